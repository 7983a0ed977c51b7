# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub: one more API server, with a ManagedCluster per cluster."""

from __future__ import annotations

import random

from fleetsim.api import handle
from fleetsim.clock import SimClock
from fleetsim.cluster import Cluster
from fleetsim.endpoint import Endpoint
from fleetsim.populate import Populator, condition
from fleetsim.rbac import Rule
from fleetsim.resources import Registry
from fleetsim.store import Object, Store

MANAGED = "managedclusters.cluster.open-cluster-management.io"
_FIRST_RV = 700_000


def managed_cluster(cluster: Cluster) -> Object:
    labels = {"name": cluster.name, "vendor": "OpenShift", "cloud": "Other", "clusterID": cluster.cluster_id}
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
                condition("ManagedClusterConditionAvailable", reason="ManagedClusterAvailable"),
            ],
            "version": {"kubernetes": "v1.29.8"},
            "clusterClaims": [{"name": "version.openshift.io", "value": cluster.plan.version}],
        },
    }


def make_hub(
    registry: Registry, clock: SimClock, issuer: str, clusters: list[Cluster], random_seed: int, history: int
) -> Endpoint:
    rng = random.Random(f"{random_seed}/hub")
    store = Store(_FIRST_RV, max(history, 1000))
    populator = Populator(registry, clock.now())
    for index, cluster in enumerate(clusters):
        record = populator.record(MANAGED, managed_cluster(cluster), rng, _FIRST_RV - 100_000 + index)
        store.seed(MANAGED, record)
    for name in ("default", "open-cluster-management", *(cluster.name for cluster in clusters)):
        meta = {
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "status": {"phase": "Active"},
        }
        store.seed("namespaces", populator.record("namespaces", meta))
    hub = Endpoint("hub", registry, store, clock, rng, handle)
    hub.version = "4.17.5"
    hub.trusted_issuer = issuer
    hub.rbac.rules = {"ibu-operator": [Rule()]}
    return hub
