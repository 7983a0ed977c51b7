# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub: one more API server, with a ManagedCluster per cluster, and the manager that plays TALM on it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial

from fleetsim.api import handle
from fleetsim.clock import SimClock
from fleetsim.cluster import Cluster
from fleetsim.detach import Detacher, dressed
from fleetsim.endpoint import Endpoint
from fleetsim.klusterlet import AVAILABLE, LOST, Klusterlet
from fleetsim.localapi import LocalApi
from fleetsim.populate import Populator, condition
from fleetsim.ports import OADP_NAMESPACE
from fleetsim.rbac import Rule
from fleetsim.resources import CGUS, IBGUS, MANAGED, WORKS, Registry
from fleetsim.scenario import HubPlan
from fleetsim.store import Event, Object, Store
from fleetsim.talm import Talm

_FIRST_RV = 700_000
_LONG_HISTORY = 20  # events of objects that grow with the fleet


def managed_cluster(cluster: Cluster) -> Object:
    labels = {"name": cluster.name, "vendor": "OpenShift", "cloud": "Other", "clusterID": cluster.cluster_id}
    available = condition(AVAILABLE, reason="ManagedClusterAvailable")
    if "hub_unavailable" in cluster.troubles:
        available.update(zip(("status", "reason", "message"), LOST, strict=True))
    return {
        "metadata": {"name": cluster.name, "labels": {**labels, **cluster.plan.labels}},
        "spec": {
            "hubAcceptsClient": True,
            "leaseDurationSeconds": 60,
            "managedClusterClientConfigs": [{"url": cluster.endpoint.url}],
        },
        "status": {
            "conditions": [
                condition("HubAcceptedManagedCluster", reason="HubClusterAdminAccepted"),
                condition("ManagedClusterJoined", reason="ManagedClusterJoined"),
                available,
            ],
            "version": {"kubernetes": "v1.29.8"},
            "clusterClaims": [{"name": "version.openshift.io", "value": cluster.plan.version}],
        },
    }


def make_hub(
    registry: Registry,
    clock: SimClock,
    issuer: str,
    clusters: list[Cluster],
    random_seed: int,
    history: int,
    plan: HubPlan,
) -> Endpoint:
    rng = random.Random(f"{random_seed}/hub")
    store = Store(_FIRST_RV, max(history, 1000))
    store.limits = dict.fromkeys((IBGUS, CGUS), _LONG_HISTORY)
    populator = Populator(registry, clock.now())
    for index, cluster in enumerate(clusters):
        if cluster.plan.seedgen is not None and not cluster.plan.seedgen.attached:
            continue
        managed = dressed(cluster, managed_cluster(cluster))
        record = populator.record(MANAGED, managed, rng, _FIRST_RV - 100_000 + index)
        store.seed(MANAGED, record)
    goals = [cluster.plan.goal for cluster in clusters]
    places = {ref["namespace"] for goal in goals for ref in goal.oadp_content}
    places |= {"default", "open-cluster-management", OADP_NAMESPACE, plan.namespace}
    for name in (*sorted(places), *(cluster.name for cluster in clusters)):
        meta = {
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "status": {"phase": "Active"},
        }
        store.seed("namespaces", populator.record("namespaces", meta))
    if plan.inputs:
        for goal in goals:
            populator.hub_inputs(store, plan.namespace, goal.pull_secret, goal.oadp_content)
    hub = Endpoint("hub", registry, store, clock, rng, handle)
    hub.version = "4.17.5"
    hub.trusted_issuer = issuer
    hub.rbac.rules = {"ibu-operator": [Rule()]}
    for user, account in plan.users.items():
        hub.rbac.rules[user] = [Rule.of(rule) for rule in account.get("rules") or ()]
    Detacher(hub, clusters)
    return hub


class Manager:
    """What runs on a hub, and what the hub's agents do on the clusters. Nothing of it is a client's doing."""

    def __init__(self, hub: Endpoint, clusters: list[Cluster], random_seed: int, plan: HubPlan) -> None:
        self._store, self._clusters = hub.store, clusters
        api = LocalApi(hub.store, hub.registry, hub.verbs)
        self._talm = Talm(api, hub.clock, random.Random(f"{random_seed}/talm"))
        self._klusterlets: dict[str, Klusterlet] = {}
        for cluster in clusters:
            rng = random.Random(f"{random_seed}/{cluster.name}/klusterlet")
            self._klusterlets[cluster.name] = Klusterlet(cluster, api, rng, plan.restore_needed)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for cluster in self._clusters:
            cluster.klusterlet = self._klusterlets[cluster.name]
        for table in (IBGUS, CGUS, WORKS):
            self._store.subscribe(table, partial(self._hear, table))
        self._task = asyncio.ensure_future(self._talm.run())

    def _hear(self, table: str, event: Event | None) -> None:
        if event is None:
            return
        # A ManifestWork is looked at once; the long documents are also what the manager will read next.
        obj = event.record.parse() if table == WORKS else event.record.view()
        self._talm.hear(table, event.type, obj)
        if table == WORKS and (klusterlet := self._klusterlets.get(event.record.namespace)):
            klusterlet.agent.hear(event.type, obj)

    async def stop(self) -> None:
        for klusterlet in self._klusterlets.values():
            klusterlet.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
