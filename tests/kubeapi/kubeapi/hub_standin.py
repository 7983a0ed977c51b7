# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub on a real API server: the simulator's TALM and work agents, over HTTP, with clusters that are only a document.

Everything that TALM writes passes the real server's admission. A cluster does what it is asked at once, or fails at it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import urllib3

from fleetsim import ibu
from fleetsim.ports import Api as ManagerApi
from fleetsim.resources import CGUS, IBGUS, IBU, MANAGED, WORKS, Registry, load_registries
from fleetsim.store import clone
from fleetsim.talm import Talm
from fleetsim.work_agent import WorkAgent

from .client import Api, Document
from .server import CRDS, KubeApi
from .standin import FastClock, HttpApi

_LISTENED = (IBGUS, CGUS, WORKS)
# Of what a hub serves and a cluster does not.
GROUPS = (
    "cluster.open-cluster-management.io",
    "lcm.openshift.io",
    "ran.openshift.io",
    "work.open-cluster-management.io",
)
_ANSWERS = {
    "Prep": "Prep stage completed successfully",
    "Upgrade": "Upgrade completed",
    "Rollback": "Rollback completed",
}


@cache
def _registries() -> tuple[Registry, Registry]:
    return load_registries(CRDS)


@dataclass
class FakeCluster:
    """A managed cluster: its objects, and the stages at which it fails. A work agent's `Spoke`."""

    labels: Mapping[str, str] = field(default_factory=dict)
    fails: frozenset[str] = frozenset()
    objects: dict[tuple[str, str, str, str], Document] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)  # everything that it was asked for
    changed: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        status: ibu.Status = {}
        self._conclude(status, "Idle", 1)
        meta = {"name": ibu.NAME, "generation": 1}
        kind = {"apiVersion": "lca.openshift.io/v1", "kind": "ImageBasedUpgrade"}
        spec = {"stage": "Idle", "seedImageRef": {}}
        self.objects["lca.openshift.io", "imagebasedupgrades", ibu.NAME, ""] = {
            **kind,
            "metadata": meta,
            "spec": spec,
            "status": status,
        }

    def reachable(self) -> bool:
        return True

    def reports(self) -> bool:
        return True

    def etcd(self) -> Hashable:
        return "the only one"

    def find(self, group: str, resource: str, name: str, namespace: str) -> Document | None:
        return self.objects.get((group, resource, name, namespace))

    def apply(self, manifest: Document) -> str:
        group, _, _ = manifest["apiVersion"].rpartition("/")
        meta = manifest["metadata"]
        key = (group, f"{manifest['kind'].lower()}s", meta["name"], meta.get("namespace", ""))
        if manifest["kind"] != "ImageBasedUpgrade":
            self.objects[key] = clone(manifest)
            return ""
        old = self.objects[key]
        if old["spec"] == manifest["spec"]:
            return ""
        new = {**clone(old), "spec": clone(manifest["spec"])}
        if refused := self._refusal(new, old):
            return refused
        new["metadata"]["generation"] += 1
        self.objects[key] = new
        stage = new["spec"]["stage"]
        if stage != old["spec"].get("stage"):
            self.stages.append(stage)
            self._conclude(new["status"], stage, new["metadata"]["generation"])
            self.changed()
        return ""

    def _refusal(self, new: Document, old: Document) -> str:
        """By the rules of the CRD."""
        schema = _registries()[0].table(IBU).schema
        causes = schema.errors(new, old) if schema else []
        lines = [f"{where}: {message}" for _, message, where in causes]
        return f'ImageBasedUpgrade.lca.openshift.io "{ibu.NAME}" is invalid: {", ".join(lines)}' if lines else ""

    def _conclude(self, status: ibu.Status, stage: str, generation: int) -> None:
        """The stage is over as soon as it has begun."""
        now = datetime.now(timezone.utc)
        mark: Callable[..., None] = partial(ibu.set_condition, status, generation=generation, now=now)
        if stage == "Idle":
            ibu.keep_only(status, "Idle")
            mark("Idle", True, "Idle", "Idle")
        elif stage in self.fails:
            mark("Idle", False, "InProgress", "In progress")
            mark(f"{stage}Completed", False, "Failed", f"{stage} failed")
            mark(f"{stage}InProgress", False, "Failed", f"{stage} failed, as it was told to")
        else:
            mark("Idle", False, "InProgress", "In progress")
            mark(f"{stage}InProgress", False, "Completed", f"{stage} completed")
            mark(f"{stage}Completed", True, "Completed", _ANSWERS[stage])
        status["observedGeneration"] = generation
        status["validNextStages"] = ibu.next_stages(status, pivoted=stage == "Upgrade" and stage not in self.fails)
        if not status["validNextStages"]:
            del status["validNextStages"]


class HubStandin:
    """The hub. A context manager; it serves from entry to exit."""

    def __init__(
        self,
        folder: Path,
        clusters: Mapping[str, FakeCluster],
        *,
        namespace: str = "ibu",
        crds: Path = CRDS,
        speed: float = 600,
    ) -> None:
        self.clusters, self._namespace, self._speed = dict(clusters), namespace, speed
        self.server = KubeApi(folder, crds=crds, groups=GROUPS)
        self._registry = _registries()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub-standin", daemon=True)
        self._watchers: list[threading.Thread] = []
        self._life: Future[None] | None = None
        self._over = threading.Event()
        self._talm: Talm
        self._agents: dict[str, WorkAgent] = {}

    @property
    def admin(self) -> Api:
        return self.server.admin

    @property
    def kubeconfig(self) -> Path:
        return self.server.kubeconfig

    def __enter__(self) -> Self:
        try:
            self.server.__enter__()
            self._thread.start()
            self._call(self._make())
            for table in _LISTENED:
                watcher = threading.Thread(target=self._listen, args=(table,), name=f"watch-{table}", daemon=True)
                self._watchers.append(watcher)
                watcher.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._call(self._settle())
        self.server.close()
        for watcher in self._watchers:
            watcher.join(timeout=10)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)

    # Inside

    async def _make(self) -> None:
        api: ManagerApi = HttpApi(self.server.admin, self._registry)
        clock = FastClock(self._speed)
        names = [self._namespace, "openshift-adp", *self.clusters]
        await asyncio.gather(*(api.create("namespaces", {"metadata": {"name": name}}) for name in names))
        for name, cluster in self.clusters.items():
            await api.create(MANAGED, _managed(name, cluster.labels))
            agent = WorkAgent(api, clock, random.Random(name), name, cluster)
            cluster.changed, self._agents[name] = agent.spoke_changed, agent
        self._talm = Talm(api, clock, random.Random("talm"))
        self._life = asyncio.run_coroutine_threadsafe(self._talm.run(), self._loop)

    def _listen(self, table: str) -> None:
        """Tell of every change, also of those between two watches."""
        res = self._registry.table(table)
        path = f"/apis/{res.api_version}/{res.plural}"
        known: dict[str, Document] = {}
        while not self._over.is_set():
            try:
                listed = self.admin.get(path).ok()
                there = {obj["metadata"]["uid"]: obj for obj in listed["items"]}
                for uid in known.keys() - there.keys():
                    self._tell(table, "DELETED", known[uid])
                for uid, obj in there.items():
                    self._tell(table, "MODIFIED" if uid in known else "ADDED", obj)
                known = there
                version = listed["metadata"]["resourceVersion"]
                for event in self.admin.watch(path, resourceVersion=version, timeoutSeconds=60, read_timeout=70):
                    obj = event["object"]
                    known[obj["metadata"]["uid"]] = obj
                    if event["type"] == "DELETED":
                        del known[obj["metadata"]["uid"]]
                    self._tell(table, event["type"], obj)
            except (urllib3.exceptions.HTTPError, AssertionError, KeyError, ValueError):
                self._over.wait(0.05)

    def _tell(self, table: str, kind: str, obj: Document) -> None:
        self._loop.call_soon_threadsafe(self._hear, table, kind, obj)

    def _hear(self, table: str, kind: str, obj: Document) -> None:
        self._talm.hear(table, kind, obj)
        agent = self._agents.get(obj["metadata"]["namespace"])
        if table == WORKS and agent is not None:
            agent.hear(kind, obj)

    async def _settle(self) -> None:
        for agent in self._agents.values():
            agent.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


def _managed(name: str, labels: Mapping[str, str]) -> Document:
    spec = {"hubAcceptsClient": True, "leaseDurationSeconds": 60}
    return {"metadata": {"name": name, "labels": {"name": name, **labels}}, "spec": spec}
