# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster leaves its hub: the ManagedCluster goes once the klusterlet has been taken off the cluster."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from fleetsim.resources import CRDS, MANAGED
from fleetsim.seedgen import ADDON_PREFIX, KLUSTERLET_CRD
from fleetsim.store import Event, clone

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster
    from fleetsim.endpoint import Endpoint
    from fleetsim.store import Object

FINALIZER = "cluster.open-cluster-management.io/api-resource-cleanup"
ARGO_TRACKING = "argocd.argoproj.io/tracking-id"


def dressed(cluster: Cluster, managed: Object) -> Object:
    """The ManagedCluster of a cluster that shall become a seed."""
    plan = cluster.plan.seedgen
    if plan is not None:
        meta = managed["metadata"]
        meta["finalizers"] = [FINALIZER]
        if plan.gitops:
            meta["annotations"] = {
                ARGO_TRACKING: f"sites:cluster.open-cluster-management.io/ManagedCluster:/{cluster.name}"
            }
    return managed


class Detacher:
    """Watches the ManagedClusters of one hub."""

    def __init__(self, hub: Endpoint, clusters: list[Cluster]) -> None:
        self._hub = hub
        self._clusters = {one.name: one for one in clusters if one.plan.seedgen is not None}
        if self._clusters:
            hub.store.subscribe(MANAGED, self._hear)

    def _hear(self, event: Event | None) -> None:
        if event is None or event.record.name not in self._clusters:
            return
        meta = event.record.view()["metadata"]
        before = event.before.view()["metadata"] if event.before else {}
        if event.type != "DELETED" and "deletionTimestamp" in meta and "deletionTimestamp" not in before:
            self._begin(self._clusters[event.record.name])

    def _begin(self, cluster: Cluster) -> None:
        cluster.machine.background(self._let_go(cluster))

    async def _let_go(self, cluster: Cluster) -> None:
        plan, store = cluster.plan.seedgen, cluster.verbs().store
        if plan is None:
            return
        await self._hub.clock.sleep(plan.detach)
        if not plan.stays:
            store.remove(CRDS, ("", KLUSTERLET_CRD))
            for one in list(store.records("namespaces")):
                if one.name.startswith((ADDON_PREFIX, "open-cluster-management-agent")):
                    store.remove("namespaces", ("", one.name))
        gone = self._hub.store.remove(MANAGED, ("", cluster.name))
        if plan.gitops and gone is not None:
            asyncio.get_running_loop().call_soon(partial(self._again, cluster, gone.parse()))

    def _again(self, cluster: Cluster, managed: Object) -> None:
        """Argo CD makes what it owns again."""
        managed = clone(managed)
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            managed["metadata"].pop(key, None)
        self._hub.verbs.create(self._hub.registry.table(MANAGED), "", managed, trusted=True)
