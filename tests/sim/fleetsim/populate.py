# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a healthy single-node cluster. What is the same in every cluster is made once and shared."""

from __future__ import annotations

import base64
import random
import uuid
from datetime import datetime, timedelta
from typing import Any

from fleetsim import ibu
from fleetsim.clock import rfc3339
from fleetsim.discovery import kubernetes_minor
from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE
from fleetsim.resources import CRDS, IBU, IPCONFIG, Registry
from fleetsim.seedimage import PARTITION
from fleetsim.store import Object, Record, Store

OPERATORS = (
    "authentication",
    "console",
    "dns",
    "etcd",
    "image-registry",
    "ingress",
    "kube-apiserver",
    "machine-config",
    "monitoring",
    "network",
    "operator-lifecycle-manager",
    "storage",
)
NAMESPACES = ("default", "kube-system", "openshift-config", "openshift-storage", "app", LCA_NAMESPACE, OADP_NAMESPACE)
DEPLOYMENT = "lifecycle-agent-controller-manager"
OLD_ETCD, YOUNG_ETCD = 480_000, 61_000  # where the resourceVersions of an old cluster and of a seed begin
_ROLES = ("control-plane", "master", "worker")
_NAMESPACE_UUID = uuid.UUID("5f1f0a3e-52f0-4c3e-9d5b-6f1d5a1c0de0")

_OADP_DOCUMENTS = """---
apiVersion: velero.io/v1
kind: Backup
metadata:
  name: acm-klusterlet
  namespace: openshift-adp
  labels: {velero.io/storage-location: default}
  annotations: {lca.openshift.io/apply-wave: "1"}
spec:
  includedNamespaces: [open-cluster-management-agent]
  includedNamespaceScopedResources: [secrets, serviceaccounts, deployments]
---
apiVersion: velero.io/v1
kind: Restore
metadata:
  name: acm-klusterlet
  namespace: openshift-adp
  labels: {velero.io/storage-location: default}
  annotations: {lca.openshift.io/apply-wave: "1"}
spec:
  backupName: acm-klusterlet
"""
_MOUNT = f"""[Unit]
Before=local-fs.target
[Mount]
Where=/var/lib/containers
What={PARTITION}
Type=xfs
[Install]
RequiredBy=local-fs.target
"""
_EXTRA_DOCUMENTS = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: site-settings, namespace: app}
data: {upgraded: "true"}
"""


def condition(kind: str, value: bool = True, reason: str = "AsExpected", message: str = "") -> dict[str, str]:
    return {
        "type": kind,
        "status": "True" if value else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2024-09-01T08:00:00Z",
    }


def operator_status(healthy: bool, version: str = "") -> Object:
    conditions = [condition("Available", healthy), condition("Progressing", False), condition("Degraded", not healthy)]
    return {"conditions": conditions, "versions": [{"name": "operator", "version": version}]}


def version_status(version: str, history: list[str], now: datetime) -> Object:
    done = [
        {
            "state": "Completed",
            "version": one,
            "image": f"quay.io/openshift-release-dev/ocp-release:{one}-x86_64",
            "verified": False,
            "startedTime": rfc3339(now - timedelta(days=30 * (index + 1), hours=1)),
            "completionTime": rfc3339(now - timedelta(days=30 * (index + 1))),
        }
        for index, one in enumerate(history)
    ]
    image = f"quay.io/openshift-release-dev/ocp-release:{version}-x86_64"
    return {
        "desired": {"version": version, "image": image},
        "history": done,
        "observedGeneration": 2,
        "versionHash": "a1b2c3",
        "availableUpdates": None,
        "conditions": [condition("Available"), condition("Progressing", False), condition("Failing", False)],
    }


class Populator:
    """Fills stores. Keeps the shared records of each version."""

    def __init__(self, registry: Registry, now: datetime) -> None:
        self._registry, self._now = registry, now
        self._born = rfc3339(now - timedelta(days=60))
        self._shared: dict[str, list[tuple[str, Record]]] = {}
        self._rv = 1000

    def record(self, table: str, obj: Object, rng: random.Random | None = None, rv: int = 0) -> Record:
        """Complete an object. With `rng` it is one cluster's own, without it is shared by all."""
        res = self._registry.table(table)
        meta: dict[str, Any] = obj["metadata"]
        self._rv += 1
        version = rv or self._rv
        seed = f"{table}/{meta.get('namespace', '')}/{meta['name']}"
        own = uuid.UUID(int=rng.getrandbits(128), version=4) if rng else uuid.uuid5(_NAMESPACE_UUID, seed)
        meta.setdefault("uid", str(own))
        meta.setdefault("creationTimestamp", self._born)
        meta.setdefault("resourceVersion", str(version))
        if res.custom or res.status:
            meta.setdefault("generation", 1)
        return Record({"apiVersion": res.api_version, "kind": res.kind, **obj}, version)

    def shared(self, version: str) -> list[tuple[str, Record]]:
        if version not in self._shared:
            made = [(table, self.record(table, obj)) for table, obj in _common(version)]
            made += [(CRDS, self.record(CRDS, crd)) for crd in _crds(self._registry)]
            self._shared[version] = made
        return self._shared[version]

    def fill(
        self, store: Store, name: str, version: str, history: list[str], cluster_id: str, rng: random.Random
    ) -> None:
        """Everything but the ImageBasedUpgrade and the inputs of an upgrade."""
        for table, record in self.shared(version):
            store.seed(table, record)
        base = store.rv - 500
        own: list[tuple[str, Object]] = [
            ("nodes", _node(name, version, rng)),
            (
                "clusterversions.config.openshift.io",
                {
                    "metadata": {"name": "version"},
                    "spec": {"clusterID": cluster_id, "channel": f"stable-{'.'.join(version.split('.')[:2])}"},
                    "status": version_status(version, history, self._now),
                },
            ),
            ("infrastructures.config.openshift.io", _infrastructure(name)),
            (IPCONFIG, _ipconfig(self._now)),
        ]
        for index, (table, obj) in enumerate(own):
            store.seed(table, self.record(table, obj, rng, base + index))

    def inputs(self, store: Store, secret: str | None, configmaps: list[tuple[str, str, str]]) -> None:
        """The Secret and ConfigMaps (kind of content, namespace, name) that the goal names."""
        if secret:
            store.seed("secrets", self.record("secrets", _pull_secret(secret, LCA_NAMESPACE)))
        for content, namespace, name in configmaps:
            data = {"oadp.yaml": _OADP_DOCUMENTS} if content == "oadp" else {"extra.yaml": _EXTRA_DOCUMENTS}
            obj = {"metadata": {"name": name, "namespace": namespace}, "data": data}
            store.seed("configmaps", self.record("configmaps", obj))
            if store.get("namespaces", ("", namespace)) is None:
                store.seed("namespaces", self.record("namespaces", _namespace(namespace)))

    def hub_inputs(self, store: Store, namespace: str, secret: str | None, oadp_content: list[dict[str, str]]) -> None:
        """What TALM copies to clusters: the Secret from the group upgrades' namespace, ConfigMaps from their own."""
        if secret and store.get("secrets", (namespace, secret)) is None:
            store.seed("secrets", self.record("secrets", _pull_secret(secret, namespace)))
        for ref in oadp_content:
            if store.get("configmaps", (ref["namespace"], ref["name"])) is None:
                obj = {"metadata": dict(ref), "data": {"oadp.yaml": _OADP_DOCUMENTS}}
                store.seed("configmaps", self.record("configmaps", obj))

    def upgrade_cr(self, store: Store, spec: Object, status: Object, meta: Object, rng: random.Random) -> None:
        obj: Object = {"metadata": {"name": ibu.NAME, **meta}, "spec": spec}
        if status:
            obj["status"] = {key: status[key] for key in sorted(status)}
        store.seed(IBU, self.record(IBU, obj, rng, store.rv - 100))


def _pull_secret(name: str, namespace: str) -> Object:
    auth = base64.b64encode(b'{"auths":{}}').decode()
    return {
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": auth},
    }


def _namespace(name: str) -> Object:
    labels = {"kubernetes.io/metadata.name": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _common(version: str) -> list[tuple[str, Object]]:
    minor = ".".join(version.split(".")[:2])
    objects: list[tuple[str, Object]] = [("namespaces", _namespace(name)) for name in NAMESPACES]
    for name in OPERATORS:
        obj = {"metadata": {"name": name}, "spec": {}, "status": operator_status(True, version)}
        objects.append(("clusteroperators.config.openshift.io", obj))
    for name, count in (("master", 1), ("worker", 0)):
        counts = dict.fromkeys(("machineCount", "readyMachineCount", "updatedMachineCount"), count)
        conditions = [condition("Updated"), condition("Updating", False), condition("Degraded", False)]
        status = {**counts, "degradedMachineCount": 0, "conditions": conditions}
        pool = {"metadata": {"name": name}, "spec": {"paused": False}, "status": status}
        objects.append(("machineconfigpools.machineconfiguration.openshift.io", pool))
    mount = {"name": "var-lib-containers.mount", "enabled": True, "contents": _MOUNT}
    ignition = {"ignition": {"version": "3.4.0"}, "systemd": {"units": [mount]}}
    config = {"metadata": {"name": f"rendered-master-{minor}"}, "spec": {"fips": False, "config": ignition}}
    objects.append(("machineconfigs.machineconfiguration.openshift.io", config))
    objects.append(("deployments.apps", deployment(True)))
    for name, namespace in (("lifecycle-agent.v4.17.0", LCA_NAMESPACE), ("oadp-operator.v1.4.1", OADP_NAMESPACE)):
        objects.append(("clusterserviceversions.operators.coreos.com", service_version(name, namespace)))
    velero = {"provider": "aws", "default": True, "credential": {"name": "cloud-credentials", "key": "cloud"}}
    dpa = {
        "metadata": {"name": "dpa", "namespace": OADP_NAMESPACE},
        "spec": {"backupLocations": [{"velero": velero}], "configuration": {"restic": {"enable": False}}},
        "status": {"conditions": [condition("Reconciled", reason="Complete")]},
    }
    owner = {"apiVersion": "oadp.openshift.io/v1alpha1", "kind": "DataProtectionApplication", "name": "dpa", "uid": "d"}
    bsl = {
        "metadata": {"name": "dpa-1", "namespace": OADP_NAMESPACE, "ownerReferences": [owner]},
        "spec": {"provider": "aws", "default": True, "objectStorage": {"bucket": "backups", "prefix": "velero"}},
        "status": {"phase": "Available", "lastValidationTime": "2024-09-01T08:00:00Z"},
    }
    objects += [
        ("dataprotectionapplications.oadp.openshift.io", dpa),
        ("backupstoragelocations.velero.io", bsl),
        (
            "proxies.config.openshift.io",
            {"metadata": {"name": "cluster"}, "spec": {"trustedCA": {"name": ""}}, "status": {}},
        ),
        ("networks.config.openshift.io", {"metadata": {"name": "cluster"}, "spec": {"networkType": "OVNKubernetes"}}),
        ("configmaps", _cluster_config()),
        ("storageclasses.storage.k8s.io", {"metadata": {"name": "lvms-vg1"}, "provisioner": "topolvm.io"}),
        ("persistentvolumes", volume("pv-app")),
        ("persistentvolumeclaims", claim("app-data", "pv-app")),
    ]
    return objects


def volume(name: str, phase: str = "Bound") -> Object:
    return {
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "topolvm.io"}},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "lvms-vg1",
            "claimRef": {"kind": "PersistentVolumeClaim", "name": "app-data", "namespace": "app"},
        },
        "status": {"phase": phase},
    }


def claim(name: str, bound_to: str, phase: str = "Bound") -> Object:
    spec = {"storageClassName": "lvms-vg1", "volumeName": bound_to, "accessModes": ["ReadWriteOnce"]}
    return {"metadata": {"name": name, "namespace": "app"}, "spec": spec, "status": {"phase": phase}}


def service_version(name: str, namespace: str, phase: str = "Succeeded") -> Object:
    """An installed operator; its name is PACKAGE.vVERSION."""
    package, _, version = name.partition(".v")
    labels = {f"operators.coreos.com/{package}.{namespace}": ""}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"displayName": package, "version": version},
        "status": {"phase": phase, "reason": "InstallSucceeded"},
    }


def _cluster_config() -> Object:
    """What the installer leaves of its configuration: no secrets."""
    text = (
        "apiVersion: v1\nbaseDomain: example.com\ncontrolPlane: {name: master, replicas: 1}\n"
        "networking:\n  networkType: OVNKubernetes\n  machineNetwork:\n  - cidr: 192.0.2.0/24\n"
        "platform:\n  none: {}\n"
    )
    meta = {"name": "cluster-config-v1", "namespace": "kube-system"}
    return {"metadata": meta, "data": {"install-config": text}}


def deployment(ready: bool) -> Object:
    labels = {"app.kubernetes.io/component": "lifecycle-agent"}
    container = {"name": "manager", "image": "registry.redhat.io/openshift4/lifecycle-agent-rhel9-operator:v4.17"}
    counts = {"replicas": 1, "updatedReplicas": 1}
    counts |= {"readyReplicas": 1, "availableReplicas": 1} if ready else {"unavailableReplicas": 1}
    return {
        "metadata": {"name": DEPLOYMENT, "namespace": LCA_NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "status": {**counts, "observedGeneration": 1, "conditions": [condition("Available", ready)]},
    }


def _node(name: str, version: str, rng: random.Random) -> Object:
    labels = {f"node-role.kubernetes.io/{role}": "" for role in _ROLES}
    minor = ".".join(version.split(".")[:2])
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", **labels},
            "annotations": {"machineconfiguration.openshift.io/currentConfig": f"rendered-master-{minor}"},
        },
        "spec": {},
        "status": {
            "conditions": [
                condition("Ready", reason="KubeletReady"),
                condition("DiskPressure", False, "KubeletHasNoDiskPressure"),
            ],
            "capacity": {"cpu": "16", "memory": "65536000Ki", "ephemeral-storage": "314020844Ki", "pods": "250"},
            "addresses": [{"type": "InternalIP", "address": "192.0.2.10"}, {"type": "Hostname", "address": name}],
            "nodeInfo": {
                "bootID": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                "machineID": f"{rng.getrandbits(128):032x}",
                "kubeletVersion": f"v1.{kubernetes_minor(version)}.4",
                "osImage": f"Red Hat Enterprise Linux CoreOS {minor}",
                "architecture": "amd64",
            },
        },
    }


def _infrastructure(name: str) -> Object:
    return {
        "metadata": {"name": "cluster"},
        "spec": {"platformSpec": {"type": "None"}},
        "status": {
            "infrastructureName": f"{name}-x7k2p",
            "infrastructureTopology": "SingleReplica",
            "controlPlaneTopology": "SingleReplica",
            "apiServerURL": f"https://api.{name}.example.com:6443",
            "platform": "None",
        },
    }


def _ipconfig(now: datetime) -> Object:
    status: ibu.Status = {"observedGeneration": 1, "validNextStages": ["Config"]}
    ibu.set_condition(status, "Idle", True, "Idle", "Idle", 1, now - timedelta(days=1))
    return {"metadata": {"name": "ipconfig"}, "spec": {"stage": "Idle"}, "status": status}


def _crds(registry: Registry) -> list[Object]:
    """The CRD objects, without their schemas: nobody reads those here."""
    found = []
    for res in registry:
        if not res.custom:
            continue
        names = {"plural": res.plural, "singular": res.kind.lower(), "kind": res.kind, "listKind": f"{res.kind}List"}
        spec = {
            "group": res.group,
            "names": names,
            "scope": "Namespaced" if res.namespaced else "Cluster",
            "versions": [{"name": res.version, "served": True, "storage": True}],
        }
        status = {"conditions": [condition("Established"), condition("NamesAccepted")], "acceptedNames": names}
        found.append({"metadata": {"name": res.table}, "spec": spec, "status": status})
    return found
