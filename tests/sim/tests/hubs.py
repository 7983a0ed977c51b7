# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub with its clusters in virtual time, and a client that writes by the API's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from virtual import START

from fleetsim import patches
from fleetsim.clock import SimClock
from fleetsim.cluster import Cluster, World
from fleetsim.endpoint import Endpoint
from fleetsim.fleet import CRD_DIR
from fleetsim.hub import Manager, make_hub
from fleetsim.populate import Populator
from fleetsim.resources import CGUS, IBGUS, MANAGED, WORKS, load_registries
from fleetsim.scenario import HubPlan, load
from fleetsim.store import Object

_SPOKE, _HUB = load_registries(CRD_DIR)
NAMESPACE = "ibu"
IBU_SPEC: Object = {
    "seedImageRef": {
        "version": "4.17.3",
        "image": "registry.example.com/seed:4.17.3",
        "pullSecretRef": {"name": "seed-pull"},
    },
    "oadpContent": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
}
EVERYONE: list[Object] = [{"matchExpressions": [{"key": "name", "operator": "Exists"}]}]


def step(*actions: str, concurrency: int = 10, timeout: int | None = 60) -> Object:
    strategy = {"maxConcurrency": concurrency, **({} if timeout is None else {"timeout": timeout})}
    return {"actions": list(actions), "rolloutStrategy": strategy}


class Hub:
    """An async context manager."""

    def __init__(self, count: int = 3, hub: dict[str, Any] | None = None, **scenario: Any) -> None:
        self._scenario = load(
            {"clusters": {"count": count}, "durations": {"spread": 0}, "hub": hub or {}, **scenario}, speed=1
        )
        self.clusters: dict[str, Cluster] = {}
        self.endpoint: Endpoint
        self._manager: Manager

    async def __aenter__(self) -> Hub:
        scenario = self._scenario
        self.clock = SimClock(1, START)
        world = World(self.clock, _SPOKE, Populator(_SPOKE, START), "ca", None, None, 40, scenario.random_seed)
        self.clusters = {plan.name: Cluster(plan, world) for plan in scenario.clusters}
        for cluster in self.clusters.values():
            cluster.power_on()
        await asyncio.gather(*(cluster.started for cluster in self.clusters.values()))
        everyone, plan = list(self.clusters.values()), scenario.hub or HubPlan()
        self.endpoint = make_hub(_HUB, self.clock, "ca", everyone, scenario.random_seed, 40, plan)
        self._manager = Manager(self.endpoint, everyone, scenario.random_seed, plan)
        self._manager.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._manager.stop()
        for cluster in self.clusters.values():
            await cluster.power_off()
        await self.endpoint.close()

    # -- the client --------------------------------------------------------------------------------------------------

    @property
    def minutes(self) -> float:
        return self.clock.seconds() / 60

    def get(self, table: str, name: str, namespace: str = "") -> Object | None:
        record = self.endpoint.store.get(table, (namespace, name))
        return record.parse() if record else None

    def list(self, table: str, namespace: str = "") -> list[Object]:
        return [record.parse() for record in self.endpoint.store.records(table, namespace)]

    def start(
        self, *plan: Object, name: str = "up", selectors: list[Object] | None = EVERYONE, spec: Object | None = None
    ) -> Object:
        body: Object = {"ibuSpec": IBU_SPEC if spec is None else spec, "plan": list(plan)}
        if selectors is not None:
            body["clusterLabelSelectors"] = selectors
        obj = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": body}
        res = _HUB.table(IBGUS)
        obj.update(apiVersion=res.api_version, kind=res.kind)
        return self.endpoint.verbs.create(res, NAMESPACE, obj).parse()

    def merge(self, table: str, name: str, patch: Object, namespace: str = "") -> None:
        res = _HUB.table(table)
        self.endpoint.verbs.update(res, namespace, name, lambda old: patches.merge(old, patch))

    def append(self, *more: Object, name: str = "up") -> None:
        plan = self.ibgu(name)["spec"]["plan"]
        self.merge(IBGUS, name, {"spec": {"plan": [*plan, *more]}}, NAMESPACE)

    def delete(self, name: str = "up", table: str = IBGUS, namespace: str = NAMESPACE) -> None:
        self.endpoint.verbs.delete(_HUB.table(table), namespace, name, {})

    # -- what it looks at --------------------------------------------------------------------------------------------

    def ibgu(self, name: str = "up") -> Object:
        found = self.get(IBGUS, name, NAMESPACE)
        assert found is not None
        return found

    def cgu(self, name: str) -> Object:
        found = self.get(CGUS, name, NAMESPACE)
        assert found is not None, [cgu["metadata"]["name"] for cgu in self.list(CGUS)]
        return found

    def batch(self, name: str) -> int | None:
        """The one that the step is at."""
        found = self.get(CGUS, name, NAMESPACE) or {}
        number = ((found.get("status") or {}).get("status") or {}).get("currentBatch")
        return None if number is None else int(number)

    def works(self, cluster: str = "") -> list[Object]:
        return self.list(WORKS, cluster)

    def progress(self, name: str = "up") -> str:
        found = condition((self.ibgu(name).get("status") or {}), "Progressing")
        return str(found.get("message", ""))

    def clusters_of(self, name: str = "up") -> dict[str, Object]:
        """Per cluster: completed, failed (with message) and current actions."""
        status = self.ibgu(name).get("status") or {}
        return {entry["name"]: entry for entry in status.get("clusters") or ()}

    def results(self, name: str = "up") -> dict[str, tuple[list[str], list[str]]]:
        return {
            cluster: (
                [one["action"] for one in entry.get("completedActions") or ()],
                [one["action"] for one in entry.get("failedActions") or ()],
            )
            for cluster, entry in self.clusters_of(name).items()
        }

    def labels(self, cluster: str) -> set[str]:
        """The last part of every label that TALM has given."""
        found = self.get(MANAGED, cluster)
        assert found is not None
        start = "lcm.openshift.io/ibgu-"
        return {key.removeprefix(start) for key in found["metadata"]["labels"] if key.startswith(start)}

    def annotations(self, cluster: str) -> dict[str, str]:
        found = self.get(MANAGED, cluster)
        assert found is not None
        return found["metadata"].get("annotations") or {}

    def available(self, cluster: str) -> str:
        found = self.get(MANAGED, cluster)
        assert found is not None
        return str(condition(found["status"], "ManagedClusterConditionAvailable")["status"])

    async def until(self, there: Callable[[], Any], within: float = 600) -> None:
        """`within` minutes."""
        end = self.minutes + within
        while not there():
            assert self.minutes < end, self._story()
            await asyncio.sleep(2)

    async def pass_minutes(self, minutes: float) -> None:
        await asyncio.sleep(minutes * 60)

    async def done(self, name: str = "up", within: float = 600) -> None:
        await self.until(lambda: self.progress(name) == "All plan steps are completed", within)

    def _story(self) -> dict[str, Any]:
        cgus = {cgu["metadata"]["name"]: cgu.get("status") for cgu in self.list(CGUS)}
        machines = {name: cluster.machine.state() for name, cluster in self.clusters.items()}
        return {"cgus": cgus, "machines": machines, "works": [work.get("status") for work in self.works()]}


def condition(status: Object, kind: str) -> Object:
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def messages(status: Object) -> dict[str, tuple[str, str, str]]:
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status.get("conditions") or ()}
