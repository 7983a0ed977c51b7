# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Topology Aware Lifecycle Manager: carries out on an API server what `talm_plan` and `talm_rollout` decide.

It knows only the interfaces of `ports`, so the same manager runs on the simulated hub and on a real API server. One
worker does one job after the other, and a job that is asked for twice before it begins is done once: with thousands of
clusters that report, the status of a step is written every now and then and not for each of them.
"""

from __future__ import annotations

import asyncio
import random
import sys
import traceback
from dataclasses import dataclass, field
from typing import NoReturn

from fleetsim.clock import Clock, rfc3339
from fleetsim.errors import StatusError
from fleetsim.ports import Api, Object
from fleetsim.resources import CGUS, IBGUS, MANAGED, WORK_SETS, WORKS
from fleetsim.store import clone
from fleetsim.talm_actions import (
    ACTIONS,
    EXPECTED,
    copied,
    copies,
    manifests,
    selects,
    succeeded,
    work_set,
    work_set_name,
)
from fleetsim.talm_plan import DISABLE_IMPORT, SUFFIX, MissingCluster, decide, group_upgrade, with_condition
from fleetsim.talm_rollout import Command, Moment, Rollout

Key = tuple[str, str]  # namespace and name
Job = tuple[str, str, str]  # what to do, with the object of this namespace and name

OF_CGU = "openshift-cluster-group-upgrades/clusterGroupUpgrade"
OF_NAMESPACE = "openshift-cluster-group-upgrades/clusterGroupUpgradeNamespace"
NO_CLUSTERS = (
    "Unable to select clusters: cannot obtain all the details about the clusters in the CR: no cluster specified for "
    "remediation"
)
_SELECT_EVERY, _TEMPLATES_EVERY, _ERROR_EVERY = 300.0, 60.0, 60.0
# Between two writes of a step's status, per cluster: simulated seconds, and real ones.
_PACE, _REAL_PACE = 0.01, 3e-4
_BREATH = 50  # commands between two looks at the rest of the world
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass
class _Step:
    """A ClusterGroupUpgrade whose clusters are chosen."""

    key: Key
    rollout: Rollout
    templates: list[Object]  # the ManifestWorkReplicaSets
    names: list[str]  # of the ManifestWorks, by action
    holds_back: bool  # keeps auto-import away until a cluster is done
    works: dict[str, int] = field(default_factory=dict)  # cluster: the action whose ManifestWork is there
    news: dict[str, Object] = field(default_factory=dict)  # cluster: its ManifestWork as it has come in
    look: asyncio.TimerHandle | None = None
    marked: bool = False
    written: float = 0.0  # in the event loop's time
    finished: bool = False

    @property
    def safe_names(self) -> dict[str, str]:
        place = self.key[0]
        return {f"{place}.{t}": name for t, name in zip(self.rollout.templates, self.names, strict=True)}


class Talm:
    """`hear` takes in what changed on the hub; `run` reacts, for ever."""

    def __init__(self, api: Api, clock: Clock, rng: random.Random) -> None:
        self._api, self._clock, self._rng = api, clock, rng
        self._steps: dict[Key, _Step] = {}
        self._seen: dict[Key, tuple[str, int]] = {}  # uid and generation of the group upgrades
        self._jobs: dict[Job, None] = {}
        self._wake = asyncio.Event()

    # -- what comes in -----------------------------------------------------------------------------------------------

    def hear(self, table: str, kind: str, obj: Object) -> None:
        """An event of the group upgrades, the ClusterGroupUpgrades or the ManifestWorks."""
        meta = obj["metadata"]
        if table == IBGUS:
            self._hear_group(kind, meta)
        elif table == CGUS:
            if meta.get("deletionTimestamp") and kind != "DELETED":
                self._add(("drop", meta["namespace"], meta["name"]))
            if group := (meta.get("labels") or {}).get("ibgu"):
                self._add(("group", meta["namespace"], group))
        elif table == WORKS and kind == "MODIFIED":
            labels = meta.get("labels") or {}
            step = self._steps.get((labels.get(OF_NAMESPACE, ""), labels.get(OF_CGU, "")))
            if step is not None:
                step.news[meta["namespace"]] = obj
                self._add(("step", *step.key))

    def _hear_group(self, kind: str, meta: Object) -> None:
        """There is no timer for a group upgrade: only changes of its spec and of its ClusterGroupUpgrades count."""
        key = (meta["namespace"], meta["name"])
        now = (meta["uid"], meta.get("generation", 1))
        if kind == "DELETED":
            self._seen.pop(key, None)
        elif self._seen.get(key) == now:
            return
        else:
            self._seen[key] = now
        self._add(("group", *key))

    def _add(self, job: Job) -> None:
        self._jobs.setdefault(job)
        self._wake.set()

    def _add_later(self, seconds: float, job: Job) -> asyncio.TimerHandle:
        return self._clock.call_later(seconds, self._add, job)

    # -- the worker --------------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        work = {"group": self._group, "start": self._start, "step": self._advance, "write": self._write}
        work["drop"] = self._drop
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                job = next(iter(self._jobs))
                del self._jobs[job]
                try:
                    await work[job[0]]((job[1], job[2]))
                except MissingCluster:
                    self._add_later(_ERROR_EVERY, job)
                except Exception:
                    traceback.print_exc(file=sys.stderr)
                    self._add_later(_ERROR_EVERY, job)

    def _now(self) -> Moment:
        return Moment(self._clock.seconds(), rfc3339(self._clock.now()))

    # -- group upgrades ----------------------------------------------------------------------------------------------

    async def _group(self, key: Key) -> None:
        namespace, name = key
        ibgu = await self._api.get(IBGUS, name, namespace)
        await self._clean_up(key, ibgu)
        if ibgu is None:
            return
        cgus = await self._cgus(key)
        decision = decide(ibgu, cgus, await self._api.list(MANAGED) if cgus else (), self._now().stamp)
        for number, (cluster, labels) in enumerate(decision.labels.items()):
            await self._api.merge(MANAGED, cluster, {"metadata": {"labels": labels}})
            await self._breathe(number)
        if decision.status != ibgu.get("status"):
            await self._api.set_status(IBGUS, name, decision.status, namespace)
        if decision.begin is not None:
            await self._create_step(ibgu, decision.begin)

    async def _cgus(self, key: Key) -> list[Object]:
        found = await self._api.list(CGUS, key[0])
        return [cgu for cgu in found if (cgu["metadata"].get("labels") or {}).get("ibgu") == key[1]]

    async def _clean_up(self, key: Key, ibgu: Object | None) -> None:
        """Take away what an earlier group upgrade of this name has left. Labels and annotations stay as they are."""
        uid = ibgu["metadata"]["uid"] if ibgu else None
        for cgu in await self._cgus(key):
            if _owner(cgu) != uid:
                await self._drop((key[0], cgu["metadata"]["name"]))
        for action in ACTIONS:
            name = work_set_name(key[1], action)
            found = await self._api.get(WORK_SETS, name, key[0])
            if found is not None and _owner(found) != uid:
                await self._api.delete(WORK_SETS, name, key[0])

    async def _create_step(self, ibgu: Object, index: int) -> None:
        cgu = group_upgrade(ibgu, index)
        for action in ibgu["spec"]["plan"][index]["actions"]:
            await self._create_template(ibgu, action)
        await self._api.create(CGUS, cgu)
        self._add(("start", cgu["metadata"]["namespace"], cgu["metadata"]["name"]))

    async def _create_template(self, ibgu: Object, name: str) -> None:
        """What is there stays: later edits of the ConfigMaps and of the annotations come too late."""
        action, namespace = ACTIONS[name], ibgu["metadata"]["namespace"]
        if await self._api.get(WORK_SETS, work_set_name(ibgu["metadata"]["name"], name), namespace) is not None:
            return
        extra = []
        if name == "Prep":
            for table, source, copy, target in copies(ibgu["spec"].get("ibuSpec") or {}, namespace):
                found = await self._api.get(table, copy, source)
                if found is not None:  # what is not there is left out, and nobody is told
                    extra.append(copied(found, target))
        await self._api.create(WORK_SETS, work_set(ibgu, action, extra))

    # -- the start of a step -----------------------------------------------------------------------------------------

    async def _start(self, key: Key) -> None:
        namespace, name = key
        cgu = await self._api.get(CGUS, name, namespace)
        if cgu is None or key in self._steps or cgu["metadata"].get("deletionTimestamp"):
            return
        spec = cgu["spec"]
        selectors = spec.get("clusterLabelSelectors")
        try:
            clusters = await self._select(selectors) if selectors else None
            problem = NO_CLUSTERS
        except ValueError as error:
            clusters, problem = None, f"Unable to select clusters: {error}"
        if clusters is None:
            await self._stuck(cgu, "ClustersSelected", "ClusterNotFound", problem)
            self._add_later(_SELECT_EVERY, ("start", *key))
            return
        templates = {one: await self._api.get(WORK_SETS, one, namespace) for one in spec["manifestWorkTemplates"]}
        if missing := [one for one, found in templates.items() if found is None]:
            text = f"Missing manifest templates: [{' '.join(missing)}]"
            await self._stuck(cgu, "Validated", "NotAllManifestTemplatesExist", text)
            self._add_later(_TEMPLATES_EVERY, ("start", *key))
            return
        suffix = (cgu["metadata"].get("annotations") or {}).get(SUFFIX) or "".join(self._rng.choices(_LETTERS, k=5))
        step = _Step(
            key=key,
            rollout=Rollout(clusters, list(templates), spec["remediationStrategy"], self._now()),
            templates=[clone(found) for found in templates.values() if found],
            names=[f"{namespace}.{one}-{suffix}"[:253] for one in templates],
            holds_back="actions" in spec,
        )
        self._steps[key] = step
        if step.holds_back:
            for number, cluster in enumerate(clusters):
                await self._annotate(cluster, "true")
                await self._breathe(number)
        await self._execute(step, step.rollout.begin(self._now()))
        await self._advance(key)

    async def _select(self, selectors: list[Object]) -> list[str]:
        """At this moment, whatever becomes of the labels later. Clusters that are away are selected like any other."""
        found = []
        for cluster in await self._api.list(MANAGED):
            labels = cluster["metadata"].get("labels") or {}
            if any(selects(selector, labels) for selector in selectors):
                found.append(cluster["metadata"]["name"])
        return found

    async def _stuck(self, cgu: Object, kind: str, reason: str, text: str) -> None:
        meta, status = cgu["metadata"], cgu.get("status") or {}
        conditions = with_condition(
            status.get("conditions") or [], kind, "False", reason, text, rfc3339(self._clock.now())
        )
        await self._api.set_status(CGUS, meta["name"], {**status, "conditions": conditions}, meta["namespace"])

    # -- its course --------------------------------------------------------------------------------------------------

    async def _advance(self, key: Key) -> None:
        """Take in what the clusters reported, and look at the time."""
        step = self._steps.get(key)
        if step is None or step.finished:
            return
        news, step.news = step.news, {}
        for number, (cluster, work) in enumerate(news.items()):
            index = step.works.get(cluster)
            if index is not None and work["metadata"]["name"] == step.names[index] and succeeded(work):
                await self._execute(step, step.rollout.succeeded(cluster, index))
            await self._breathe(number)
        await self._execute(step, step.rollout.look(self._now()))
        if step.look is not None:
            step.look.cancel()
            step.look = None
        if step.rollout.ended is not None:
            step.finished = True
            await self._delete_works(step)
            await self._write(key)
            return
        now = self._now()
        step.look = self._add_later(step.rollout.next_look(now) - now.seconds, ("step", *key))
        if not step.marked:
            step.marked = True
            self._clock.call_later(_PACE * step.rollout.size, self._add_paced, step)

    def _add_paced(self, step: _Step) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), step.written + _REAL_PACE * step.rollout.size), self._add, ("write", *step.key))

    async def _execute(self, step: _Step, commands: list[Command]) -> None:
        for number, (verb, cluster, index) in enumerate(commands):
            if verb == "create":
                await self._create_work(step, cluster, index)
            elif verb == "delete":
                step.works.pop(cluster, None)
                await self._api.delete(WORKS, step.names[index], cluster)
            elif verb == "done" and step.holds_back:
                await self._annotate(cluster, None)
            elif verb == "over":
                work = await self._api.get(WORKS, step.names[index], cluster)
                step.rollout.explain(cluster, index, manifests(work or {}))
            await self._breathe(number)

    async def _create_work(self, step: _Step, cluster: str, index: int) -> None:
        template = step.templates[index]
        work = {
            "apiVersion": "work.open-cluster-management.io/v1",
            "kind": "ManifestWork",
            "metadata": {
                "name": step.names[index],
                "namespace": cluster,
                "labels": {OF_CGU: step.key[1], OF_NAMESPACE: step.key[0]},
                "annotations": {EXPECTED: template["metadata"]["annotations"][EXPECTED]},
            },
            "spec": template["spec"]["manifestWorkTemplate"],
        }
        try:
            await self._api.create(WORKS, work)
        except (StatusError, AssertionError):  # a cluster without its namespace gets nowhere, and times out
            return
        step.works[cluster] = index
        step.rollout.created(cluster, index)

    async def _annotate(self, cluster: str, value: str | None) -> None:
        """Hold ACM back from importing the cluster again while it reboots."""
        found = await self._api.get(MANAGED, cluster)
        if found is not None and (found["metadata"].get("annotations") or {}).get(DISABLE_IMPORT) != value:
            await self._api.merge(MANAGED, cluster, {"metadata": {"annotations": {DISABLE_IMPORT: value}}})

    async def _write(self, key: Key) -> None:
        step = self._steps.get(key)
        if step is not None:
            step.marked, step.written = False, asyncio.get_running_loop().time()
            await self._api.set_status(CGUS, key[1], step.rollout.status(step.safe_names), key[0])

    # -- its end -----------------------------------------------------------------------------------------------------

    async def _delete_works(self, step: _Step) -> None:
        """They go with Orphan: what they have put on the clusters stays, and so does what is going on there."""
        works, step.works = step.works, {}
        for number, (cluster, index) in enumerate(works.items()):
            await self._api.delete(WORKS, step.names[index], cluster)
            await self._breathe(number)

    async def _drop(self, key: Key) -> None:
        """A ClusterGroupUpgrade is deleted; its finalizer is for this."""
        step = self._steps.pop(key, None)
        if step is not None:
            if step.look is not None:
                step.look.cancel()
            await self._delete_works(step)
        await self._api.delete(CGUS, key[1], key[0])

    @staticmethod
    async def _breathe(number: int) -> None:
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)


def _owner(obj: Object) -> str | None:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((one["uid"] for one in owners), None)
