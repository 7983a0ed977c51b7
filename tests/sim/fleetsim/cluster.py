# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One simulated single-node cluster: an API server's front, an etcd per stateroot, and a machine with its agent."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import sys
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleetsim import effects, ibu, initial, patches, seedgen
from fleetsim.api import handle
from fleetsim.auth import User
from fleetsim.clock import SimClock
from fleetsim.endpoint import Endpoint
from fleetsim.klusterlet import Klusterlet
from fleetsim.kubelet import Kubelet
from fleetsim.localapi import LocalApi
from fleetsim.machine import Machine
from fleetsim.objectstore import BACKUPS, REQUESTS, RESTORES, WATCHED, Bucket
from fleetsim.populate import OLD_ETCD, YOUNG_ETCD, Populator
from fleetsim.ports import Object, Stateroot
from fleetsim.rbac import Rule
from fleetsim.resources import CRDS, IBU, Registry
from fleetsim.scenario import ClusterPlan
from fleetsim.store import Event, Store, clone
from fleetsim.verbs import Verbs

CONFIGS = "machineconfigs.machineconfiguration.openshift.io"
OPERATOR = "ibu-operator"  # the account of hosts that are no administrators
SERVICE_ACCOUNT = "system:serviceaccount:ibu:operator"


@dataclass(frozen=True)
class World:
    """What all clusters of a fleet have in common."""

    clock: SimClock
    registry: Registry
    populator: Populator
    issuer: str
    serving: ssl.SSLContext | None
    strange: ssl.SSLContext | None
    watch_history: int
    random_seed: int
    buckets: dict[str, Bucket] = field(default_factory=dict)  # those that clusters share


class Cluster:
    """A cluster of the fleet. It is its machine's platform."""

    def __init__(self, plan: ClusterPlan, world: World) -> None:
        self.plan, self.name, self.world = plan, plan.name, world
        self.rng = random.Random(f"{world.random_seed}/{plan.name}/life")
        self.cluster_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.token = secrets.token_urlsafe(32)
        self.troubles = plan.troubles
        self._stores: dict[str, Store] = {}
        self._changed: Callable[[], None] = lambda: None
        self._seen: tuple[Any, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.klusterlet: Klusterlet | None = None  # where there is a hub
        self.seed: seedgen.SeedAgent | None = None  # where it shall become a seed
        self.started = asyncio.get_running_loop().create_future()
        self.endpoint = Endpoint(plan.name, world.registry, Store(1), world.clock, self.rng, handle)
        self.endpoint.trusted_issuer = world.issuer
        self.machine = self._install()
        self._grant()

    # -- before power-on ----------------------------------------------------------------------------------------

    def _install(self) -> Machine:
        """Stateroots, etcds and the CR of the state that the scenario starts in."""
        plan, goal = self.plan, self.plan.goal
        start = initial.begin(plan.initial, goal.spec(), self.world.clock.now())
        old = Stateroot("rhcos", plan.version, fresh=False)
        new = Stateroot(ibu.osname(goal.version), goal.version, fresh=not start.in_seed)
        booted = new if start.in_seed else old
        machine = Machine(self, self.world.clock, plan.durations, self.troubles, self.rng, booted)
        machine.seed_image = plan.seed_image
        if start.has_other:
            machine.add_stateroot(old if start.in_seed else new)
        meta: Object = {"generation": start.generation}
        if goal.annotations:
            meta["annotations"] = dict(goal.annotations)
        if start.in_seed:
            store = self._fill(new.version, seed=True)
            if start.stale:
                stale = self._fill(old.version, seed=False)
                self._put_cr(stale, *start.stale, {**meta, "generation": 3})
                self._stores[old.osname] = stale
                old.saved = {"metadata": dict(meta), "spec": start.stale[0], "status": start.stale[1]}
            if plan.initial == "UpgradePostPivot":
                new.watchdog = 1800.0
        else:
            store = self._fill(old.version, seed=False)
        self._put_cr(store, start.spec, start.status, meta)
        self._stores[booted.osname] = store
        self.endpoint.use(store)
        return machine

    def _fill(self, version: str, seed: bool) -> Store:
        first = (YOUNG_ETCD if seed else OLD_ETCD) + self.rng.randrange(1000)
        store = Store(first, self.world.watch_history)
        history = [version] if seed else [version, "4.14.20"]
        self.world.populator.fill(store, self.name, version, history, self.cluster_id, self.rng)
        if not seed:
            goal = self.plan.goal
            refs = [("oadp", r["namespace"], r["name"]) for r in goal.oadp_content]
            refs += [("extra", r["namespace"], r["name"]) for r in goal.extra_manifests]
            self.world.populator.inputs(store, goal.pull_secret, refs)
            if self.plan.seedgen is not None:
                self._furnish(store, self.plan.seedgen)
            self._own_objects(store)
        return store

    def _furnish(self, store: Store, plan: seedgen.SeedPlan) -> None:
        """What a cluster that shall become a seed has, and what it lacks."""
        for table, namespace, name in seedgen.WITHOUT:
            store.remove(table, (namespace, name))
        if not plan.attached:
            store.remove(CRDS, ("", seedgen.KLUSTERLET_CRD))
        for table, obj in seedgen.objects(plan):
            store.seed(table, self.world.populator.record(table, obj, self.rng))
        for record in list(store.records(CONFIGS)):
            obj = record.parse()
            units = ((obj["spec"].get("config") or {}).get("systemd") or {}).get("units") or [seedgen.MOUNT]
            obj["spec"]["config"] = seedgen.node_config(plan, units[0])
            store.seed(CONFIGS, self.world.populator.record(CONFIGS, obj, self.rng))

    def _own_objects(self, store: Store) -> None:
        """What the scenario adds to this cluster, changes in it, or takes away."""
        populator, registry = self.world.populator, self.world.registry
        for wanted in self.plan.without:
            if res := registry.kind(wanted["apiVersion"], wanted["kind"]):
                meta = wanted["metadata"]
                store.remove(res.table, (meta.get("namespace", ""), meta["name"]))
                if res.table == CRDS:
                    self.endpoint.absent.add(meta["name"])
        for wanted in self.plan.objects:
            res = registry.kind(wanted["apiVersion"], wanted["kind"])
            if res is None:
                raise ValueError(f"objects: the cluster knows no {wanted['kind']} of {wanted['apiVersion']}")
            meta = wanted["metadata"]
            there = store.get(res.table, (meta.get("namespace", ""), meta["name"]))
            obj = patches.merge(there.parse(), clone(wanted)) if there else clone(wanted)
            store.seed(res.table, populator.record(res.table, obj, self.rng))

    def _put_cr(self, store: Store, spec: Object, status: ibu.Status, meta: Object) -> None:
        self.world.populator.upgrade_cr(store, spec, status, dict(meta), self.rng)
        store.subscribe(IBU, self._hear)

    def _grant(self) -> None:
        rbac = self.endpoint.rbac
        rbac.rules = {OPERATOR: [Rule()], SERVICE_ACCOUNT: [Rule()]}
        for user, account in self.plan.users.items():
            rbac.rules[user] = [Rule.of(rule) for rule in account.get("rules") or ()]
        if missing := self.troubles.get("no_permission"):
            rbac.denied.append(Rule((missing["verb"],), (missing["group"],), (missing["resource"],)))

    # -- life ---------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            await self.machine.run()
        except Exception:
            self.machine.phase = "crashed"
            traceback.print_exc(file=sys.stderr)
            if not self.started.done():
                self.started.set_result(None)

    async def power_off(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.endpoint.close()

    # -- Platform -----------------------------------------------------------------------------------------------

    async def start(self, root: Stateroot) -> LocalApi:
        store = self._stores.get(root.osname)
        endpoint = self.endpoint
        if store is None:
            store = self._stores[root.osname] = self._fill(root.version, seed=True)
            store.subscribe(IBU, self._hear)
            endpoint.absent = {IBU}
            endpoint.use(store)
            effects.at_pivot(self)
        else:
            endpoint.absent.discard(IBU)
            endpoint.use(store)
        for table in WATCHED:
            store.subscribe(table, self._hear_velero)
        Kubelet(store, self.world.registry, endpoint.verbs)
        self._new_boot_id()
        # a bearer token belongs to the etcd (and the service-account key) that it was issued with
        endpoint.tokens = {self.token: User(SERVICE_ACCOUNT)} if root.osname == "rhcos" else {}
        endpoint.version = root.version
        if not self.started.done():
            effects.at_start(self)
        api = LocalApi(store, self.world.registry, endpoint.verbs)
        if self.plan.seedgen is not None and self.seed is None:
            self.seed = seedgen.SeedAgent(self, api, self.plan.seedgen)
        await self._listen()
        if self.klusterlet is not None:
            self.klusterlet.powered(True)
        if not self.started.done():
            self.started.set_result(None)
        return api

    async def _listen(self) -> None:
        if "refused_from_start" in self.troubles:
            return
        if "no_answer" in self.troubles:
            self.endpoint.mute(True)
            return
        trouble = self.troubles.get("tls_changed")
        pivoted = self.machine.boots > 0
        if trouble and (trouble["when"] == "start" or pivoted):
            await self.endpoint.listen(self.world.strange)
            if trouble["seconds"] is not None:
                self.world.clock.call_later(float(trouble["seconds"]), self.machine.background, self._true_face())
            return
        await self.endpoint.listen(self.world.serving)

    async def _true_face(self) -> None:
        self.troubles.remove("tls_changed")
        await self.relisten()

    async def relisten(self) -> None:
        """Take the port again with what is in force now."""
        self.endpoint.refuse()
        await self._listen()

    def _new_boot_id(self) -> None:
        boot_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        res = self.world.registry.table("nodes")

        def change(node: Object) -> Object:
            node["status"]["nodeInfo"]["bootID"] = boot_id
            return node

        for record in list(self.endpoint.store.records("nodes")):
            self.endpoint.verbs.update(res, "", record.name, change, subresource="status", trusted=True)

    async def install_crds(self) -> None:
        self.endpoint.absent.discard(IBU)

    async def stop(self) -> None:
        self.endpoint.refuse()
        if self.klusterlet is not None:
            self.klusterlet.powered(False)

    async def forget(self, osname: str) -> None:
        self._stores.pop(osname, None)
        if self.klusterlet is not None:
            self.klusterlet.forgot(osname)

    async def moment(self, name: str, api: Any) -> None:
        effects.at_moment(self, name)

    def on_change(self, callback: Callable[[], None]) -> None:
        self._changed = callback

    # -- what goes on -------------------------------------------------------------------------------------------

    def _hear(self, event: Event | None) -> None:
        if event is None:
            return
        if self.klusterlet is not None:
            self.klusterlet.changed()
        if event.type == "DELETED":
            self._changed()
            return
        obj = event.record.view()
        seen = (event.record.uid, event.record.generation, obj["metadata"].get("annotations"))
        self._note(obj["spec"].get("stage", ""), obj.get("status") or {})
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def _hear_velero(self, event: Event | None) -> None:
        if event is not None:
            kind = f"{event.record.view()['kind'].lower()}s.velero.io"
            self.machine.velero.changed(kind, event.type == "DELETED")

    def _note(self, stage: str, status: ibu.Status) -> None:
        """For the reactions: has a stage just ended, as a client can see?"""
        journal = self.endpoint.journal
        if stage == "Idle":
            why = ibu.reason(status, "Idle")
            result = "completed" if why == "Idle" else "failed" if why.endswith("Failed") else "running"
        else:
            result = ibu.outcome(status, stage) or "running"
        if result == "running":
            journal.running(stage)
        else:
            journal.result(stage, result, self.world.clock.real())

    def verbs(self) -> Verbs:
        return self.endpoint.verbs

    async def inject(self, name: str, params: dict[str, Any] | None) -> None:
        given = self.troubles.add(name, params)
        await effects.begin(self, name, given)
        self._notify()

    async def heal(self, name: str) -> None:
        params = self.troubles.get(name)
        if params is not None:
            self.troubles.remove(name)
            await effects.end(self, name, params)
            self._notify()

    def _notify(self) -> None:
        self.machine.notify()
        if self.klusterlet is not None:
            self.klusterlet.changed()

    def state(self) -> dict[str, Any]:
        record = self.endpoint.store.get(IBU, ("", ibu.NAME))
        obj = record.view() if record else {}
        journal = self.endpoint.journal
        return {
            "name": self.name,
            "url": self.endpoint.url,
            "up": self.endpoint.up,
            "stage": (obj.get("spec") or {}).get("stage"),
            "valid_next_stages": (obj.get("status") or {}).get("validNextStages", []),
            "conditions": (obj.get("status") or {}).get("conditions", []),
            "generation": record.generation if record else None,
            "uid": record.uid if record else None,
            "first_request": journal.first_request,
            "reads": journal.reads,
            "watches": journal.watches,
            "writes": sum(not entry.dry_run for entry in journal.entries),
            "spec_writes": journal.spec_writes,
            "velero": {
                table.partition(".")[0]: [record.name for record in self.endpoint.store.records(table)]
                for table in (BACKUPS, RESTORES, REQUESTS)
            },
            **({"seed": self.seed.state()} if self.seed else {}),
            **self.machine.state(),
        }
