# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which the generation of a seed image is refused or fails, and the scenario that brings it about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetsim.seedgen import FAILURES, SeedPlan

Scenario = dict[str, Any]


@dataclass(frozen=True)
class SeedRefusal:
    """`message`: the agent's words. `scenario`: keys of the cluster. `check`: the finding that tells of it beforehand.

    `on_host`: only the node itself can tell beforehand. Where `check` is empty, nobody can know it before it happens.
    """

    message: str
    check: str
    scenario: Scenario = field(default_factory=dict)
    on_host: bool = False


def _seed(**plan: Any) -> Scenario:
    return {"seedgen": plan}


def _with(**obj: Any) -> Scenario:
    return {"seedgen": {}, "objects": [obj]}


_REFUSALS = {
    "set_default": SeedRefusal(
        'Rejected: Installed release does not support "ostree admin set-default" feature',
        "ostree",
        _seed(set_default=False),
        on_host=True,
    ),
    "container_storage": SeedRefusal(
        "Rejected: Cluster must be configured with shared container storage", "container_storage", _seed(storage=False)
    ),
    "hub": SeedRefusal(
        "Rejected: Cluster must be detached from hub prior to seed generation", "hub", _seed(attached=True)
    ),
    "addons": SeedRefusal(
        "Rejected due to presence of ACM addon(s): open-cluster-management-addon-observability, "
        "open-cluster-management-addon-search",
        "addons",
        _seed(addons=["observability", "search"]),
    ),
    "dnsmasq": SeedRefusal(
        "Rejected due to system missing dnsmasq config required for IBU", "dnsmasq", _seed(dnsmasq=False), on_host=True
    ),
    "pull_secret": SeedRefusal(
        "Rejected due to invalid cluster pull-secret (previously sanitized without proper restore)",
        "pull_secret",
        _seed(sanitized=True),
    ),
    "volumes": SeedRefusal(
        "Rejected: Cluster must not have any Persistent Volumes configured",
        "volumes",
        _with(apiVersion="v1", kind="PersistentVolume", metadata={"name": "pv-left"}, spec={}, status={}),
    ),
    "local_volumes": SeedRefusal(
        "Rejected: Cluster must not have any LocalVolumes configured",
        "local_volumes",
        _with(
            apiVersion="local.storage.openshift.io/v1",
            kind="LocalVolume",
            metadata={"name": "disks", "namespace": "openshift-storage"},
            spec={},
        ),
    ),
    "lvm_clusters": SeedRefusal(
        "Rejected: Cluster must not have any LVMClusters configured",
        "lvm_clusters",
        _with(
            apiVersion="lvm.topolvm.io/v1alpha1",
            kind="LVMCluster",
            metadata={"name": "lvmcluster", "namespace": "openshift-storage"},
            spec={},
        ),
    ),
    "data_protection": SeedRefusal(
        "Rejected: Cluster must not have any DataProtectionApplication resources configured",
        "data_protection",
        _with(
            apiVersion="oadp.openshift.io/v1alpha1",
            kind="DataProtectionApplication",
            metadata={"name": "dpa", "namespace": "openshift-adp"},
            spec={},
            status={"conditions": [{"type": "Reconciled", "status": "True"}]},
        ),
    ),
    "oadp": SeedRefusal(
        "Rejected: Cluster must have OADP version >= 1.3.1",
        "oadp",
        {
            "seedgen": {},
            "without": [
                {
                    "apiVersion": "operators.coreos.com/v1alpha1",
                    "kind": "ClusterServiceVersion",
                    "metadata": {"name": "oadp-operator.v1.4.1", "namespace": "openshift-adp"},
                }
            ],
            "objects": [
                {
                    "apiVersion": "operators.coreos.com/v1alpha1",
                    "kind": "ClusterServiceVersion",
                    "metadata": {"name": "oadp-operator.v1.3.0", "namespace": "openshift-adp"},
                    "spec": {},
                    "status": {"phase": "Succeeded"},
                }
            ],
        },
    ),
    "no_secret": SeedRefusal(
        'could not access secret seedgen in openshift-lifecycle-agent: secrets "seedgen" not found',
        "secret",
        _seed(secret="missing"),
    ),
    "no_seed_auth": SeedRefusal("could not find seedAuth in seedgen secret", "secret", _seed(secret="no_key")),
}

_ERR = SeedPlan().err
_RUN_TIME = {
    f"run_{name}": SeedRefusal(text.format(err=_ERR, exit_code=SeedPlan().exit_code), "", _seed(fails=name))
    for name, text in FAILURES.items()
    if text
}

SEED: dict[str, SeedRefusal] = {**_REFUSALS, **_RUN_TIME}
