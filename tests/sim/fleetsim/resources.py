# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kinds of objects there are: a table of built-in resources, OpenShift's own, and those of the CRD files."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetsim.crd import Schema, load_crds

HUB_GROUPS = (
    "agent.open-cluster-management.io",
    "cluster.open-cluster-management.io",
    "work.open-cluster-management.io",
    "lcm.openshift.io",
    "ran.openshift.io",
)


@dataclass(frozen=True, eq=False, slots=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()
    status: bool = True
    custom: bool = False
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    schema: Schema | None = field(default=None)

    @property
    def table(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def discovery(self) -> list[dict[str, Any]]:
        entry: dict[str, Any] = {
            "name": self.plural,
            "singularName": self.kind.lower(),
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": list(self.verbs),
        }
        if self.short:
            entry["shortNames"] = list(self.short)
        if not self.status:
            return [entry]
        sub = {
            "name": f"{self.plural}/status",
            "singularName": "",
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": ["get", "patch", "update"],
        }
        return [entry, sub]


# group, version, plural, kind, namespaced, short names, has a status subresource
_BUILT_IN: tuple[tuple[str, str, str, str, bool, tuple[str, ...], bool], ...] = (
    ("", "v1", "configmaps", "ConfigMap", True, ("cm",), False),
    ("", "v1", "secrets", "Secret", True, (), False),
    ("", "v1", "namespaces", "Namespace", False, ("ns",), True),
    ("", "v1", "nodes", "Node", False, ("no",), True),
    ("", "v1", "persistentvolumes", "PersistentVolume", False, ("pv",), True),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, ("pvc",), True),
    ("", "v1", "pods", "Pod", True, ("po",), True),
    ("", "v1", "events", "Event", True, ("ev",), False),
    ("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",), False),
    ("events.k8s.io", "v1", "events", "Event", True, ("ev",), False),
    ("apps", "v1", "deployments", "Deployment", True, ("deploy",), True),
    ("batch", "v1", "jobs", "Job", True, (), True),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False, (), False),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, ("sc",), False),
    ("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", False, ("csr",), True),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd",), True),
)

_CUSTOM: tuple[tuple[str, str, str, str, bool, tuple[str, ...], bool], ...] = (
    ("config.openshift.io", "v1", "clusterversions", "ClusterVersion", False, (), True),
    ("config.openshift.io", "v1", "clusteroperators", "ClusterOperator", False, ("co",), True),
    ("config.openshift.io", "v1", "proxies", "Proxy", False, (), True),
    ("config.openshift.io", "v1", "networks", "Network", False, (), True),
    ("config.openshift.io", "v1", "infrastructures", "Infrastructure", False, (), True),
    ("machineconfiguration.openshift.io", "v1", "machineconfigs", "MachineConfig", False, ("mc",), False),
    ("machineconfiguration.openshift.io", "v1", "machineconfigpools", "MachineConfigPool", False, ("mcp",), True),
    ("operators.coreos.com", "v1alpha1", "clusterserviceversions", "ClusterServiceVersion", True, ("csv",), True),
    ("velero.io", "v1", "backups", "Backup", True, (), False),
    ("velero.io", "v1", "restores", "Restore", True, (), False),
    ("velero.io", "v1", "backupstoragelocations", "BackupStorageLocation", True, ("bsl",), False),
    ("velero.io", "v1", "deletebackuprequests", "DeleteBackupRequest", True, (), False),
    ("oadp.openshift.io", "v1alpha1", "dataprotectionapplications", "DataProtectionApplication", True, ("dpa",), True),
    ("lca.openshift.io", "v1", "imagebasedupgrades", "ImageBasedUpgrade", False, ("ibu",), True),
    ("lca.openshift.io", "v1", "ipconfigs", "IPConfig", False, ("ipc",), True),
    ("lca.openshift.io", "v1", "seedgenerators", "SeedGenerator", False, ("seedgen",), True),
    ("policy.open-cluster-management.io", "v1", "policies", "Policy", True, ("plc",), True),
    ("operator.open-cluster-management.io", "v1", "klusterlets", "Klusterlet", False, (), True),
    ("agent.open-cluster-management.io", "v1", "klusterletaddonconfigs", "KlusterletAddonConfig", True, (), True),
    ("local.storage.openshift.io", "v1", "localvolumes", "LocalVolume", True, (), True),
    ("lvm.topolvm.io", "v1alpha1", "lvmclusters", "LVMCluster", True, (), True),
    ("cluster.open-cluster-management.io", "v1", "managedclusters", "ManagedCluster", False, ("mcl",), True),
)

IBU = "imagebasedupgrades.lca.openshift.io"
POLICIES = "policies.policy.open-cluster-management.io"
IPCONFIG = "ipconfigs.lca.openshift.io"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
MANAGED = "managedclusters.cluster.open-cluster-management.io"
WORKS = "manifestworks.work.open-cluster-management.io"
WORK_SETS = "manifestworkreplicasets.work.open-cluster-management.io"
IBGUS = "imagebasedgroupupgrades.lcm.openshift.io"
CGUS = "clustergroupupgrades.ran.openshift.io"


class Registry:
    """The resources that one API server knows."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._by_path = {(r.group, r.version, r.plural): r for r in resources}
        self._by_table = {r.table: r for r in self._by_path.values()}

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._by_path.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def table(self, table: str) -> Resource:
        return self._by_table[table]

    def kind(self, api_version: str, kind: str) -> Resource | None:
        return next((r for r in self if r.api_version == api_version and r.kind == kind), None)


@functools.cache
def load_registries(crd_dir: Path | None) -> tuple[Registry, Registry]:
    """The registry of a cluster and that of the hub. A CRD file wins over the built-in table.

    Nobody changes a registry, so all fleets of a process share them.
    """
    found = {
        **{(g, v, p): Resource(g, v, p, k, n, s, st) for g, v, p, k, n, s, st in _BUILT_IN},
        **{(g, v, p): Resource(g, v, p, k, n, s, st, custom=True) for g, v, p, k, n, s, st in _CUSTOM},
    }
    for crd in load_crds(crd_dir):
        found[crd.group, crd.version, crd.plural] = Resource(
            crd.group, crd.version, crd.plural, crd.kind, crd.namespaced, crd.short, crd.status, True, schema=crd.schema
        )
    hub_only = {key for key in found if key[0] in HUB_GROUPS}
    spoke_only = {key for key, r in found.items() if r.custom and key not in hub_only}
    spoke = Registry(r for key, r in found.items() if key not in hub_only)
    hub = Registry(r for key, r in found.items() if key not in spoke_only)
    return spoke, hub
