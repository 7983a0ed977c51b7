# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine: its stateroots, what happens from power-on to the start of the Lifecycle Agent, and the watchdog."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, NoReturn

from fleetsim import ibu
from fleetsim.agent import Agent, Reboot
from fleetsim.clock import Clock
from fleetsim.objectstore import Velero
from fleetsim.ports import Api, Durations, Object, Platform, Stateroot
from fleetsim.seedimage import SeedImage
from fleetsim.store import clone
from fleetsim.troubles import Troubles

_UNIT_RESTART = 5.0


class Machine:
    """Boots, reboots and runs one agent per boot. `run()` is its whole life."""

    def __init__(
        self,
        platform: Platform,
        clock: Clock,
        durations: Durations,
        troubles: Troubles,
        rng: random.Random,
        root: Stateroot,
    ) -> None:
        self.platform, self.clock, self.durations, self.troubles, self.rng = platform, clock, durations, troubles, rng
        self.stateroots: dict[str, Stateroot] = {root.osname: root}
        self.booted = root.osname
        self.seed_image = SeedImage()  # what the registry says of the image that the goal names
        self.velero = Velero(self, clock, troubles)  # object storage outlives every pivot
        self.restores: list[Object] = []
        self.phase = "Idle"
        self.boots = 0
        self.rollbacks = 0
        self.came_back = False
        self.seeding = False  # the imager works, or the agent has not yet restored what it deleted for it
        self.agent: Agent | None = None
        self._watchdog: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._attempt = False  # this boot is the first one of an upgraded stateroot
        platform.on_change(self.notify)

    # -- what the agent asks of its machine ---------------------------------------------------------------------

    @property
    def root(self) -> Stateroot:
        return self.stateroots[self.booted]

    @property
    def other(self) -> Stateroot | None:
        """The rollback target: the stateroot that is not booted."""
        return next((root for name, root in self.stateroots.items() if name != self.booted), None)

    def notify(self) -> None:
        if self.agent is not None:
            self.agent.notify()

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def add_stateroot(self, root: Stateroot) -> None:
        self.stateroots[root.osname] = root

    async def new_stateroot(self, root: Stateroot) -> None:
        """The seed unpacked: nothing of an earlier attempt is left in it."""
        await self.platform.forget(root.osname)
        self.add_stateroot(root)

    async def remove_unbooted(self) -> None:
        for name in [name for name in self.stateroots if name != self.booted]:
            del self.stateroots[name]
            await self.platform.forget(name)

    def _factor(self, trouble: str) -> float:
        return float((self.troubles.get(trouble) or {}).get("factor", 1))

    def prep_time(self, name: str) -> float:
        return self.durations.of(name) * self._factor("prep_slow")

    def upgrade_time(self, name: str) -> float:
        return self.durations.of(name) * self._factor("upgrade_slow")

    def delay(self, name: str) -> float:
        """A duration that a trouble can stretch."""
        stretched = {"status": "no_status_for"}.get(name)
        trouble = self.troubles.get(stretched) if stretched else None
        return float(trouble["seconds"]) if trouble else self.durations.of(name)

    async def leave(self, agent: Agent, target: str) -> NoReturn:
        """Save the CR where the agent of the next boot will find it, and reboot."""
        meta: Object = {"name": ibu.NAME}
        if agent.annotations:
            meta["annotations"] = dict(agent.annotations)
        copied = {"metadata": meta, "spec": clone(agent.spec), "status": clone(agent.status)}
        self.stateroots[target].saved = copied
        if agent.stage == "Upgrade":
            self.root.saved = clone(copied)
            if "uncontrolled_rollback" in self.troubles:
                self.stateroots[target].saved = None
                raise Reboot(self.booted)
        raise Reboot(target)

    async def event(self, agent: Agent, reason: str, note: str) -> None:
        about = {"apiVersion": "lca.openshift.io/v1", "kind": "ImageBasedUpgrade", "name": ibu.NAME, "uid": agent.uid}
        stamp = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        name = f"{ibu.NAME}.{self.rng.getrandbits(60):015x}"
        await agent.api.create(
            "events.events.k8s.io",
            {
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": "default"},
                "regarding": about,
                "reason": reason,
                "note": note,
                "type": "Normal",
                "action": reason,
                "eventTime": stamp,
                "reportingController": "lifecycle-agent",
                "reportingInstance": "lifecycle-agent-0",
            },
        )

    def stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        self.root.watchdog = None

    # -- power-on to power-off ----------------------------------------------------------------------------------

    async def run(self, running: bool = True) -> NoReturn:
        """`running`: the agent is up already, as on a cluster that was installed long ago."""
        try:
            while True:
                reboot = await self._life(running)
                running = False
                await self._reboot(reboot)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _reboot(self, reboot: Reboot) -> None:
        target = self.stateroots[reboot.target]
        back = not target.fresh
        if reboot.automatic is not None:
            self._condemn(target, reboot.automatic)
        self.phase = "Rollback/Reboot" if back else "Upgrade/Reboot"
        await self.platform.stop()
        if back:
            self.rollbacks += 1
            await self.clock.sleep(self.durations.of("rollback") * self._factor("rollback_slow"))
        else:
            await self.clock.sleep(self.upgrade_time("reboot"))
            while (self.troubles.get("upgrade_hangs") or {}).get("at") == "reboot":
                await self.clock.sleep(20)
        self.came_back = reboot.automatic is None and reboot.target == self.booted
        self.booted = target.osname

    def _condemn(self, target: Stateroot, message: str) -> None:
        """Automatic rollback: the outcome is written into the copy that the old stateroot holds."""
        saved = target.saved
        if saved is None:
            return
        status, now = saved["status"], self.clock.now()
        generation = int(status.get("observedGeneration", 1))
        ibu.set_condition(status, "UpgradeCompleted", False, "Failed", "Upgrade failed", generation, now)
        ibu.set_condition(status, "UpgradeInProgress", False, "Failed", message, generation, now)

    async def _life(self, running: bool) -> Reboot:
        """One boot. Ends with the reboot that somebody asks for."""
        root = self.root
        first_boot, root.fresh = root.fresh, False
        upgraded = first_boot and not running
        api = await self.platform.start(root)
        self.boots += 1
        self.velero.start(api)
        live = asyncio.ensure_future(self._live(api, running, upgraded))
        watched = {live}
        if root.watchdog is not None:
            self._watchdog = asyncio.ensure_future(self._watch(root.watchdog))
            watched.add(self._watchdog)
        try:
            while True:
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task.cancelled():
                        continue
                    error = task.exception()
                    if isinstance(error, Reboot):
                        return error
                    if error is not None:
                        raise error
        finally:
            self.agent = None
            self.velero.stop()
            for task in (live, *watched):
                task.cancel()
            self._watchdog = None

    async def _watch(self, seconds: float) -> None:
        """lca-init-monitor: only a completed upgrade stops it."""
        trouble = self.troubles.get("init_monitor_timeout") or {}
        await self.clock.sleep(float(trouble.get("timeout") or seconds))
        if self.other is not None:
            shown = ibu.go_duration(seconds)
            raise Reboot(self.other.osname, automatic=f"Rollback due to LCA Init Monitor timeout, after {shown}")

    async def _live(self, api: Api, running: bool, upgraded: bool) -> None:
        if upgraded:
            await self._first_boot()
        if not running:
            await self._wait_for_agent(upgraded)
        self.agent = Agent(self, api)
        await self.agent.run()

    async def _first_boot(self) -> None:
        """The API server is up before its CRDs are, and the post-pivot service may fail."""
        self.phase = "Upgrade/Boot"
        trouble = self.troubles.get("no_crd")
        if trouble and trouble["when"] == "pivot":
            await self._last("no_crd", trouble["seconds"])
        else:
            await self.clock.sleep(self.durations.of("crd"))
        await self.platform.install_crds()
        failure = ""
        if trouble := self.troubles.get("postpivot_failure"):
            failure = f"Rollback due to postpivot failure: {trouble['err']}"
        elif trouble := self.troubles.get("service_unit_failure"):
            failure = f"Rollback due to service-unit failure: component {trouble['component']}"
        if failure and self.root.post_reboot_rollback and self.other is not None:
            await self.clock.sleep(self.durations.of("crd"))
            raise Reboot(self.other.osname, automatic=failure)
        while "postpivot_failure" in self.troubles or "service_unit_failure" in self.troubles:
            await self.clock.sleep(_UNIT_RESTART)  # the unit restarts until the watchdog fires

    async def _wait_for_agent(self, upgraded: bool) -> None:
        self.phase = "Upgrade/Boot" if upgraded else "Rollback/Boot"
        missing, stale = self.troubles.get("no_cr"), self.troubles.get("stale_cr_for")
        if upgraded and missing and missing["when"] == "pivot":
            await self._last("no_cr", missing["seconds"])
        elif not upgraded and stale:
            await self.clock.sleep(float(stale["seconds"]))
        else:
            await self.clock.sleep(self.durations.of("lca_start"))

    async def _last(self, name: str, seconds: float | None) -> None:
        """For so long, or until healed; then the trouble is over."""
        if seconds is not None:
            await self.clock.sleep(float(seconds))
            self.troubles.remove(name)
        while name in self.troubles:
            await self.clock.sleep(5)

    def state(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "booted": self.booted,
            "version": self.root.version,
            "stateroots": list(self.stateroots),
            "bucket": list(self.velero.bucket),
            "boots": self.boots,
            "rollbacks": self.rollbacks,
            "troubles": list(self.troubles),
        }
