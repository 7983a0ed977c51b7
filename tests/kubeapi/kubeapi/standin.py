# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A single-node cluster on a real API server: the simulator's machine and Lifecycle Agent, over HTTP.

The agent is the same code that runs in the simulated fleet. Here every status that it reports passes the real
server's admission, and each reboot of the machine stops that server and starts it on another etcd.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import urllib3
import yaml

from fleetsim import effects, ibu
from fleetsim.access import goal_variables
from fleetsim.clock import SimClock
from fleetsim.errors import StatusError
from fleetsim.machine import Machine
from fleetsim.populate import Populator
from fleetsim.ports import Api as AgentApi
from fleetsim.ports import Durations, KindUnknown, Stateroot
from fleetsim.resources import CRDS as CRD_TABLE
from fleetsim.resources import IBU, Registry, Resource, load_registries
from fleetsim.scenario import Goal
from fleetsim.store import Store
from fleetsim.troubles import PREP_FAILURES, Troubles
from fleetsim.verbs import Verbs

from .client import MERGE_PATCH, Api, Document, Reply
from .server import CRDS, KubeApi, wait_until

T = TypeVar("T")
# The stateroot of the first release.
INSTALLED = "rhcos"

# What the agent and the machine do by themselves. Troubles of the network and of credentials belong to the simulator.
TROUBLES = {
    *PREP_FAILURES,
    "abort_failed",
    "blocked_by_ipconfig",
    "config_manifest",
    "finalize_failed",
    "init_monitor_timeout",
    "missing_dpa",
    "no_crd",
    "no_cr",
    "no_status_for",
    "policy_manifest",
    "postpivot_failure",
    "prep_hangs",
    "prep_slow",
    "prepivot_failed",
    "pv_unbound_after_upgrade",
    "restore_failed",
    "rollback_failed",
    "rollback_slow",
    "service_unit_failure",
    "stale_cr_for",
    "uncontrolled_rollback",
    "upgrade_failed_no_auto_rollback",
    "upgrade_hangs",
    "upgrade_slow",
    "validation_warning",
    "version_wrong_after_upgrade",
}
# In simulated seconds. A reboot also costs the real seconds that the API server takes to start.
DURATIONS = {"reboot": 120, "rollback": 120, "spread": 0}


class FastClock(SimClock):
    """Waits pass quickly, but the calendar is the real one: the API server's clock cannot be hurried."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)


class HttpApi:
    """The agent's view of the API, over HTTP as the administrator."""

    def __init__(self, api: Api, registry: Registry) -> None:
        self._api, self._registry = api, registry

    async def get(self, table: str, name: str, namespace: str = "") -> Document | None:
        reply = await self._send("GET", self._path(table, namespace, name))
        return None if reply.status == 404 else reply.ok()

    async def list(self, table: str, namespace: str = "") -> list[Document]:
        reply = await self._send("GET", self._path(table, namespace))
        return [] if reply.status == 404 else list(reply.ok()["items"])

    async def create(self, table: str, obj: Document) -> Document:
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        reply = await self._send("POST", self._path(table, namespace), self._complete(table, obj))
        if reply.status == 409:
            found = await self.get(table, name, namespace)
            return found or {}
        return reply.ok()

    async def set_status(self, table: str, name: str, status: Document, namespace: str = "") -> Document:
        """By a JSON patch, which replaces the whole and asks for no version."""
        path = self._path(table, namespace, name) + ("/status" if self._registry.table(table).status else "")
        operation = {"op": "add", "path": "/status", "value": _plausible_status(table, status)}
        reply = await self._send("PATCH", path, [operation], "application/json-patch+json")
        return {} if reply.status == 404 else reply.ok()

    async def merge(self, table: str, name: str, patch: Document, namespace: str = "") -> Document:
        return (await self._send("PATCH", self._path(table, namespace, name), patch, MERGE_PATCH)).ok()

    async def delete(self, table: str, name: str, namespace: str = "") -> None:
        path = self._path(table, namespace, name)
        await self._send("PATCH", path, {"metadata": {"finalizers": None}}, MERGE_PATCH)
        # Without a garbage collector an object that waits for its dependents would stay for ever.
        await self._send("DELETE", path, {"propagationPolicy": "Background"})

    def _kind(self, obj: Document) -> Resource:
        kind, version = obj.get("kind", ""), obj.get("apiVersion", "")
        res = self._registry.kind(version, kind)
        if res is None:
            raise KindUnknown(f'no matches for kind "{kind}" in version "{version}"')
        return res

    async def namespaced(self, obj: Document) -> bool:
        return self._kind(obj).namespaced

    async def dry_run(self, obj: Document, *, create: bool = False, merge: bool = False) -> None:
        res, meta = self._kind(obj), obj["metadata"]
        there = None if create else await self.get(res.table, meta["name"], meta.get("namespace", ""))
        if there is None:
            path = self._path(res.table, meta.get("namespace", ""))
            reply = await self._send("POST", f"{path}?dryRun=All", obj)
        else:
            path = f"{self._path(res.table, meta.get('namespace', ''), meta['name'])}?dryRun=All"
            version = there["metadata"]["resourceVersion"]
            whole = {**obj, "metadata": {**meta, "resourceVersion": version}}
            reply = await (self._send("PATCH", path, obj, MERGE_PATCH) if merge else self._send("PUT", path, whole))
        _refuse(reply)

    async def dry_patch(self, resource: tuple[str, str, str], name: str, namespace: str, patch: Document) -> None:
        group, version, plural = resource
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        _refuse(await self._send("PATCH", f"{root}{place}/{plural}/{name}?dryRun=All", patch, MERGE_PATCH))

    def _path(self, table: str, namespace: str, name: str = "") -> str:
        res = self._registry.table(table)
        root = f"/apis/{res.api_version}" if res.group else f"/api/{res.version}"
        place = f"/namespaces/{namespace}" if res.namespaced and namespace else ""
        return f"{root}{place}/{res.plural}" + (f"/{name}" if name else "")

    def _complete(self, table: str, obj: Document) -> Document:
        res = self._registry.table(table)
        served = {"apiVersion": res.api_version, "kind": res.kind, **copy.deepcopy(obj)}
        for key in ("uid", "resourceVersion", "creationTimestamp", "generation"):
            served["metadata"].pop(key, None)
        return _plausible(table, served)

    async def _send(self, method: str, path: str, body: object = None, media: str = "application/json") -> Reply:
        """As the real agent does, ask again while the server warms up."""
        while True:
            reply = await asyncio.to_thread(self._api.request, method, path, body, content_type=media)
            if reply.status not in (429, 500, 503):
                return reply
            await asyncio.sleep(0.1)


def _refuse(reply: Reply) -> None:
    if reply.status >= 400:
        body = reply.json
        raise StatusError(reply.status, str(body.get("reason", "")), str(body.get("message", "")))


def _plausible(table: str, obj: Document) -> Document:
    """Fill in what a real API server insists on and the simulator leaves out."""
    spec = obj.get("spec") or {}
    if table == "jobs.batch":
        spec["template"]["spec"]["containers"] = [{"name": "job", "image": "registry.example.com/lca:1"}]
    elif table == "persistentvolumes":
        spec.setdefault("csi", {"driver": "topolvm.io", "volumeHandle": obj["metadata"]["name"]})
    elif table == "persistentvolumeclaims":
        spec.setdefault("resources", {"requests": {"storage": "1Gi"}})
    return obj


def _plausible_status(table: str, status: Document) -> Document:
    """A real server knows how a Job ends: a reason to end first, then the end."""
    if table != "jobs.batch" or not status.get("conditions"):
        return status
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    kind = status["conditions"][0]["type"]
    before = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
    conditions = [{"type": each, "status": "True", "lastTransitionTime": now} for each in (before, kind)]
    ended = {**status, "conditions": conditions, "startTime": now, "uncountedTerminatedPods": {}}
    return {**ended, "completionTime": now} if kind == "Complete" else ended


class Standin:
    """The cluster. A context manager; it serves from entry to exit."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "site-0001",
        version: str = "4.16.8",
        goal: Document | None = None,
        troubles: dict[str, Document | None] | None = None,
        durations: dict[str, float] | None = None,
        speed: float = 60,
    ) -> None:
        self.name, self._version, self._speed = name, version, speed
        self.goal = Goal(**{**_goal(), **(goal or {})})
        self._durations = Durations(**{**DURATIONS, **(durations or {})})
        for trouble in troubles or {}:
            _check(trouble)
        self._troubles = Troubles(troubles)
        self._registry, _ = load_registries(CRDS)
        self._rng = random.Random(name)
        self._cluster_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._folder = folder
        self.server = KubeApi(folder)
        self._machine: Machine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"standin-{name}", daemon=True)
        self._life: Future[None] | None = None
        self._changed: Callable[[], None] = lambda: None
        self._over = threading.Event()
        self._born: set[str] = set()
        self._watcher = threading.Thread(target=self._listen, name=f"watch-{name}", daemon=True)

    # For the tests

    @property
    def admin(self) -> Api:
        return self.server.admin

    @property
    def kubeconfig(self) -> Path:
        """With the administrator's client certificate, which survives every pivot."""
        return self.server.kubeconfig

    @property
    def inventory(self) -> Path:
        return self._folder / "inventory.yml"

    def state(self) -> Document:
        """What the machine is doing. Raises what killed it, if anything did."""
        if self._life is not None and self._life.done():
            self._life.result()
        return self._machine.state()

    def is_as_installed(self) -> bool:
        """Whether it has nothing but the release that it was installed with, and its upgrade is Idle."""
        return bool(self.state()["stateroots"] == [INSTALLED]) and self._is_idle()

    def inject(self, trouble: str, params: Document | None = None) -> None:
        _check(trouble)
        self._in_loop(lambda: self._troubles.add(trouble, params))

    def heal(self, trouble: str) -> None:
        self._in_loop(lambda: self._troubles.remove(trouble))

    # Life

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Return when the cluster is installed and its upgrade is Idle."""
        self._thread.start()
        self._machine = self._call(self._make())
        self._life = asyncio.run_coroutine_threadsafe(self._machine.run(), self._loop)
        self._watcher.start()
        wait_until(self._is_idle, f"{self.name} is Idle")
        self.inventory.write_text(self._inventory())

    def close(self) -> None:
        self._over.set()
        if self._life is not None:
            self._life.cancel()
        self.server.close()
        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                self._call(_settle(), timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
        if self._watcher.is_alive():
            self._watcher.join(timeout=10)

    # Platform, for the machine

    async def start_root(self, root: Stateroot) -> HttpApi:
        new = root.osname not in self._born
        self._born.add(root.osname)
        await asyncio.to_thread(self.server.boot, root.osname, apply_crds=False)
        api = HttpApi(self.server.admin, self._registry)
        if new:
            await self._furnish(api, root)
        return api

    async def install_crds(self) -> None:
        await asyncio.to_thread(self.server.install_crds)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.power_off)

    async def forget(self, osname: str) -> None:
        self._born.discard(osname)
        await asyncio.to_thread(self.server.forget, osname)

    async def moment(self, name: str, api: AgentApi) -> None:
        """Nothing happens around this agent."""

    def on_change(self, callback: Callable[[], None]) -> None:
        self._changed = callback

    # Inside

    async def _make(self) -> Machine:
        root = Stateroot(INSTALLED, self._version, fresh=False)
        clock = FastClock(self._speed)
        return Machine(_Platform(self), clock, self._durations, self._troubles, self._rng, root)

    async def _furnish(self, api: HttpApi, root: Stateroot) -> None:
        """A new etcd: the objects of a healthy cluster, or of the seed with what is wrong after the pivot.

        The kinds of the Lifecycle Agent come later in a seed: its CRD is what a client misses at first.
        """
        seed = root.osname != INSTALLED
        crds = [crd for crd in self.server.crds if not seed or crd["metadata"]["name"] != IBU]
        await asyncio.to_thread(self.server.apply_crds, crds)
        objects = self._objects(root, seed)
        for wave in (True, False):  # namespaces first
            chosen = [(table, obj) for table, obj in objects if (table == "namespaces") is wave]
            await asyncio.gather(*(self._put(api, table, obj) for table, obj in chosen))
        if not seed:
            spec: Document = {"stage": "Idle", "seedImageRef": {}}
            meta = {"name": ibu.NAME, **({"annotations": self.goal.annotations} if self.goal.annotations else {})}
            await api.create(IBU, {"metadata": meta, "spec": spec})

    async def _put(self, api: HttpApi, table: str, obj: Document) -> None:
        await api.create(table, obj)
        if self._registry.table(table).status and obj.get("status"):
            meta = obj["metadata"]
            await api.set_status(table, meta["name"], obj["status"], meta.get("namespace", ""))

    def _objects(self, root: Stateroot, seed: bool) -> list[tuple[str, Document]]:
        """Taken from the simulator, by way of a store that nobody serves."""
        store, clock = Store(1), SimpleNamespace(now=lambda: datetime.now(timezone.utc))
        populator = Populator(self._registry, clock.now())
        populator.fill(store, self.name, root.version, [root.version], self._cluster_id, self._rng)
        if not seed:
            refs = [("oadp", r["namespace"], r["name"]) for r in self.goal.oadp_content]
            refs += [("extra", r["namespace"], r["name"]) for r in self.goal.extra_manifests]
            populator.inputs(store, self.goal.pull_secret, refs)
        else:
            verbs = Verbs(store, self._registry, clock, self._rng)
            world = SimpleNamespace(registry=self._registry)
            wrong = SimpleNamespace(name=self.name, troubles=self._troubles, verbs=lambda: verbs, world=world)
            effects.at_pivot(wrong)  # type: ignore[arg-type]
        tables = {res.table for res in self._registry} - {CRD_TABLE, IBU}
        return [(table, record.parse()) for table in sorted(tables) for record in store.records(table)]

    def _listen(self) -> None:
        """Tell the agent of every change that it reacts to, over outages and pivots."""
        path = "/apis/lca.openshift.io/v1/imagebasedupgrades"
        seen: object = None
        while not self._over.is_set():
            try:
                listed = self.admin.get(path)
                if listed.status != 200:
                    self._over.wait(0.05)
                    continue
                version = listed.json["metadata"]["resourceVersion"]
                for obj in [*listed.json["items"], None]:
                    seen = self._tell(obj, seen) if obj else seen
                for event in self.admin.watch(path, resourceVersion=version, timeoutSeconds=60, read_timeout=70):
                    seen = self._tell(event["object"], seen)
            except (urllib3.exceptions.HTTPError, AssertionError, ValueError):
                self._over.wait(0.05)

    def _tell(self, obj: Document, seen: object) -> object:
        meta = obj["metadata"]
        now = (meta.get("uid"), meta.get("generation"), meta.get("annotations"), meta.get("deletionTimestamp"))
        if now != seen:
            self._loop.call_soon_threadsafe(self._changed)
        return now

    def _is_idle(self) -> bool:
        self.state()
        try:
            reply = self.admin.get("/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade")
        except urllib3.exceptions.HTTPError:
            return False
        return reply.status == 200 and ibu.is_true(reply.json.get("status") or {}, "Idle")

    def _inventory(self) -> str:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "ibu_kubeconfig": str(self.kubeconfig),
            **goal_variables(self.goal),
        }
        document = {"all": {"children": {"fleet": {"hosts": {self.name: variables}}}}}
        return "---\n" + yaml.safe_dump(document, sort_keys=False)

    def _call(self, work: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _in_loop(self, change: Callable[[], object]) -> None:
        async def apply() -> None:
            change()
            self._machine.notify()

        self._call(apply())


class _Platform:
    """The stand-in as the machine's power button."""

    def __init__(self, owner: Standin) -> None:
        self.start = owner.start_root
        self.install_crds, self.stop, self.forget = owner.install_crds, owner.stop, owner.forget
        self.moment, self.on_change = owner.moment, owner.on_change


async def _settle() -> None:
    """Let cancelled tasks end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _goal() -> Document:
    return {
        "image": "registry.example.com/seed:4.17.3",
        "version": "4.17.3",
        "oadp_content": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
        "extra_manifests": [{"name": "site-extra", "namespace": "openshift-lifecycle-agent"}],
    }


def _check(trouble: str) -> None:
    if trouble not in TROUBLES:
        raise ValueError(f"{trouble} cannot be played on a real API server; one of {', '.join(sorted(TROUBLES))}")
