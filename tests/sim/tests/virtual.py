# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster in virtual time: hours pass in milliseconds, and nothing is ever late."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import Any, TypeVar

from fleetsim import ibu
from fleetsim.clock import SimClock
from fleetsim.cluster import Cluster, World
from fleetsim.fleet import CRD_DIR
from fleetsim.populate import Populator
from fleetsim.resources import IBU, Registry, load_registries
from fleetsim.scenario import load
from fleetsim.store import Event, Object

T = TypeVar("T")
START = datetime(2026, 3, 1, 22, 0, 0, tzinfo=timezone.utc)
_REGISTRY: Registry = load_registries(CRD_DIR)[0]


class Stuck(AssertionError):
    """Nothing is left to wait for."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: it moves the loop's time on instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("every task waits for something that will not come")
        if timeout > 0:
            self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class Site:
    """One cluster with everything around it but TLS, and a client that goes through the API's rules."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.seen: list[Object | None] = []  # every version of the CR; None where it was deleted
        self.cluster: Cluster

    async def __aenter__(self) -> Site:
        known = ("initial", "troubles", "goal", "annotations", "version", "seed_image", "objects", "without", "seedgen")
        extra = {key: self._options[key] for key in known if key in self._options}
        durations = {"spread": 0, **self._options.get("durations", {})}
        scenario = load(
            {"clusters": {"count": 1}, "durations": durations, "clusters_extra": {"site-0001": extra}}, speed=1
        )
        clock = SimClock(1, START)
        world = World(clock, _REGISTRY, Populator(_REGISTRY, START), "ca", None, None, 40, 1)
        self.cluster = Cluster(scenario.clusters[0], world)
        self._spy()
        self.cluster.power_on()
        await self.cluster.started
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cluster.power_off()

    def _spy(self) -> None:
        """Note every version of the CR, in whatever etcd."""
        hear = self.cluster._hear

        def listen(event: Event | None) -> None:
            if event is not None:
                self.seen.append(None if event.type == "DELETED" else event.record.parse())
            hear(event)

        self.cluster._hear = listen  # type: ignore[method-assign]
        for store in self.cluster._stores.values():
            store.unsubscribe(IBU, hear)
            store.subscribe(IBU, listen)

    @property
    def seconds(self) -> float:
        return self.cluster.world.clock.seconds()

    @property
    def up(self) -> bool:
        return self.cluster.endpoint.up

    @property
    def cr(self) -> Object | None:
        """The CR as a client reads it at this moment."""
        if not self.up or IBU in self.cluster.endpoint.absent:
            return None
        record = self.cluster.endpoint.store.get(IBU, ("", ibu.NAME))
        return record.parse() if record else None

    @property
    def status(self) -> ibu.Status:
        return (self.cr or {}).get("status") or {}

    def condition(self, kind: str) -> tuple[str, str, str] | None:
        found = ibu.condition(self.status, kind)
        return (found["status"], found["reason"], found["message"]) if found else None

    @property
    def next(self) -> list[str] | None:
        return self.status.get("validNextStages")

    def messages(self, kind: str) -> list[str]:
        """Every message that a condition has had, in order, repeats left out."""
        told: list[str] = []
        for one in self.seen:
            found = ibu.condition((one or {}).get("status") or {}, kind)
            if found and (not told or told[-1] != found["message"]):
                told.append(found["message"])
        return told

    def patch(self, stage: str | None = None, bypass: bool = False, **spec: Any) -> None:
        """A client's merge patch; `bypass` leaves the API's rules out."""
        wanted = {**({"stage": stage} if stage else {}), **spec}
        self.cluster.verbs().update(
            _REGISTRY.table(IBU), "", ibu.NAME, lambda o: {**o, "spec": {**o["spec"], **wanted}}, trusted=bypass
        )

    def annotate(self, key: str, value: str | None) -> None:
        def change(obj: Object) -> Object:
            notes = dict(obj["metadata"].get("annotations") or {})
            if value is None:
                notes.pop(key, None)
            else:
                notes[key] = value
            obj["metadata"]["annotations"] = notes
            return obj

        self.cluster.verbs().update(_REGISTRY.table(IBU), "", ibu.NAME, change)

    def get(self, table: str, name: str, namespace: str = "") -> Object | None:
        record = self.cluster.endpoint.store.get(table, (namespace, name))
        return record.parse() if record else None

    async def until(self, there: Callable[[], Any], within: float = 7200) -> None:
        end = self.seconds + within
        while not there():
            assert self.seconds < end, f"not reached: {self.cluster.machine.state()} {self.status}"
            await asyncio.sleep(0.5)

    def goal(self, **more: Any) -> dict[str, Any]:
        return {**self.cluster.plan.goal.spec(), **more}

    # the usual ways

    async def prep(self, **more: Any) -> None:
        self.patch("Prep", **self.goal(**more))
        await self.until(lambda: self.condition("PrepCompleted"))

    async def upgrade(self) -> None:
        self.patch("Upgrade")
        await self.until(lambda: self.condition("UpgradeCompleted"))

    async def rollback(self) -> None:
        self.patch("Rollback")
        await self.until(lambda: self.condition("RollbackCompleted"))

    async def idle(self) -> None:
        self.patch("Idle")
        await self.until(lambda: (self.condition("Idle") or ("",))[0] == "True")
