# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application with a volume of LVM Storage, and the two ways in which an upgrade loses what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetsim.clock import rfc3339
from fleetsim.objectstore import BACKUPS, CLUSTER_ID, RESTORES
from fleetsim.ports import OADP_NAMESPACE, Object
from fleetsim.velero import VOLUMES

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

TROUBLE = "lvms_volumes"
CLAIMS, EVENTS = "persistentvolumeclaims", "events"
LOGICAL_VOLUMES = "logicalvolumes.topolvm.io"
VOLUME, CLAIM, NAMESPACE, POD = "pv-app", "app-data", "app", "app-0"
BACKUP = "small-app"
HANDLE = "1b5bd0c4-6c1b-4b47-9a1c-3d3a6f0f5a11"
_BORN = "2024-09-01T08:00:00Z"


def place(cluster: Cluster, params: dict[str, Any]) -> None:
    """The objects as they are in the stateroot that is booted: untouched, or as Velero has brought them."""
    cause = params["cause"]
    if cause not in (None, "backup", "restore"):
        raise ValueError(f"{TROUBLE}: unknown cause {cause}")
    restored = cluster.machine.booted != "rhcos"
    _mark(cluster, restored)
    if not restored:
        _logical(cluster, _BORN, {})
        return
    now = rfc3339(cluster.world.clock.now())
    _velero(cluster, cause, now)
    if cause == "backup":
        _unmountable(cluster, now)
    else:
        _logical(cluster, now, {} if cause == "restore" else {"velero.io/restore-name": BACKUP})


def _put(cluster: Cluster, table: str, name: str, obj: Object, namespace: str = "") -> None:
    meta = {**obj.pop("metadata", {}), "name": name, **({"namespace": namespace} if namespace else {})}
    record = cluster.world.populator.record(table, {"metadata": meta, **obj}, cluster.rng)
    cluster.verbs().store.put(table, record.parse())


def _mark(cluster: Cluster, restored: bool) -> None:
    """The volume gets its handle. What Velero restores has a label of its own."""
    verbs, registry = cluster.verbs(), cluster.world.registry

    def volume(obj: Object) -> Object:
        obj["spec"]["csi"] = {"driver": "topolvm.io", "volumeHandle": HANDLE}
        return obj

    def claim(obj: Object) -> Object:
        if restored:
            obj["metadata"].setdefault("labels", {})["velero.io/restore-name"] = BACKUP
        return obj

    verbs.update(registry.table(VOLUMES), "", VOLUME, volume, trusted=True)
    verbs.update(registry.table(CLAIMS), NAMESPACE, CLAIM, claim, trusted=True)


def _logical(cluster: Cluster, born: str, labels: dict[str, str]) -> None:
    obj: Object = {
        "metadata": {"creationTimestamp": born, **({"labels": labels} if labels else {})},
        "spec": {"name": VOLUME, "nodeName": cluster.name, "deviceClass": "vg1", "size": "1Gi"},
        "status": {"volumeID": HANDLE, "currentSize": "1Gi"},
    }
    _put(cluster, LOGICAL_VOLUMES, VOLUME, obj)


def _velero(cluster: Cluster, cause: str | None, now: str) -> None:
    kinds = ["persistentVolumes"] if cause == "backup" else ["persistentVolumes", "logicalvolumes.topolvm.io"]
    spec: Object = {"includedNamespaces": [NAMESPACE], "includedClusterScopedResources": kinds}
    meta: Object = {"labels": {CLUSTER_ID: cluster.cluster_id, "velero.io/storage-location": "dpa-1"}}
    backup: Object = {"metadata": meta, "spec": spec, "status": {"phase": "Completed"}}
    named = {**meta, "name": BACKUP, "namespace": OADP_NAMESPACE}
    cluster.machine.velero.bucket.put({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": named, "spec": spec})
    _put(cluster, BACKUPS, BACKUP, backup, OADP_NAMESPACE)
    brings: Object = {"restorePVs": True, "restoreStatus": {"includedResources": ["logicalvolumes"]}}
    restore: Object = {
        "spec": {"backupName": BACKUP, **({} if cause == "restore" else brings)},
        "status": {"phase": "Completed", "completionTimestamp": now},
    }
    _put(cluster, RESTORES, BACKUP, restore, OADP_NAMESPACE)


def _unmountable(cluster: Cluster, now: str) -> None:
    event: Object = {
        "involvedObject": {"kind": "Pod", "name": POD, "namespace": NAMESPACE},
        "type": "Warning",
        "reason": "FailedMount",
        "message": f'MountVolume.SetUp failed for volume "{VOLUME}" : rpc error: code = Unknown desc = VolumeID is not '
        "found",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 3,
    }
    _put(cluster, EVENTS, f"{POD}.17d0beef", event, NAMESPACE)
