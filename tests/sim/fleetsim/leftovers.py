# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left on a cluster when its object store goes away: the troubles of `effects`, for OADP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fleetsim import lvms
from fleetsim.clock import rfc3339
from fleetsim.objectstore import BACKUPS, CLUSTER_ID, LOCATIONS, REQUESTS, RESTORES, Bucket
from fleetsim.ports import OADP_NAMESPACE, Object
from fleetsim.velero import UPDATED_POLICY, VOLUMES

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

Params = dict[str, Any]

OTHER_CLUSTER = "00000000-0000-4000-8000-00000000beef"


def begin(cluster: Cluster, name: str, params: Params) -> bool:
    """Bring a trouble about. False where it is none of these."""
    makers: dict[str, Callable[[Cluster, Params], None]] = {
        "backups_left": _backups,
        "foreign_backups": _foreign,
        "requests_left": _requests,
        "restores_left": _restores,
        "pv_policy_left": _volume,
        lvms.TROUBLE: lvms.place,
        "location_unavailable": _unavailable,
        "bucket_lost": _lose,
        "bucket_shared": _share,
    }
    if name in makers:
        makers[name](cluster, params)
    return name in makers


def end(cluster: Cluster, name: str) -> None:
    """Take a trouble back, where that means anything."""
    velero = cluster.machine.velero
    if name == "location_unavailable":
        _set_location(cluster, "Available", "")
    elif name in ("requests_left", "delete_hangs"):
        velero.stuck.clear()
    if name in ("requests_left", "delete_hangs", "velero_down"):
        velero.sync_soon()


def _put(cluster: Cluster, table: str, name: str, obj: Object) -> None:
    """Put an object in place of whatever has its name, from outside the API's rules."""
    meta = {**obj.pop("metadata", {}), "name": name, "namespace": OADP_NAMESPACE}
    record = cluster.world.populator.record(table, {"metadata": meta, **obj}, cluster.rng)
    cluster.verbs().store.put(table, record.parse())


def _backups(cluster: Cluster, params: Params) -> None:
    for name in params["names"]:
        _backup(cluster, str(name), cluster.cluster_id, params)
        if params["restores"]:
            spec = {"backupName": name}
            _put(cluster, RESTORES, str(name), {"spec": spec, "status": {"phase": "Completed"}})


def _foreign(cluster: Cluster, params: Params) -> None:
    for name in params["names"]:
        _backup(cluster, str(name), OTHER_CLUSTER, {"phase": "Completed", "stored": True})


def _backup(cluster: Cluster, name: str, owner: str, params: Params) -> None:
    labels = {CLUSTER_ID: owner, "velero.io/storage-location": "dpa-1"}
    spec = {"storageLocation": "dpa-1", "includedNamespaces": ["app"]}
    _put(cluster, BACKUPS, name, {"metadata": {"labels": labels}, "spec": spec, "status": {"phase": params["phase"]}})
    if params["stored"]:
        meta = {"name": name, "namespace": OADP_NAMESPACE, "labels": labels}
        cluster.machine.velero.bucket.put(
            {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": meta, "spec": spec}
        )


def _restores(cluster: Cluster, params: Params) -> None:
    meta: Object = {"finalizers": ["restores.velero.io/external-resources-finalizer"]}
    if params["leaving"]:
        meta["deletionTimestamp"] = rfc3339(cluster.world.clock.now())
    for name in params["names"]:
        spec = {"backupName": params["backup"]}
        _put(cluster, RESTORES, str(name), {"metadata": dict(meta), "spec": spec, "status": {"phase": "Completed"}})


def _requests(cluster: Cluster, params: Params) -> None:
    created = rfc3339(cluster.world.clock.now() - timedelta(seconds=float(params["seconds"])))
    status: Object = {"phase": params["phase"], **({"errors": params["errors"]} if params["errors"] else {})}
    for name in params["names"]:
        meta = {"labels": {CLUSTER_ID: cluster.cluster_id}, "creationTimestamp": created}
        _put(cluster, REQUESTS, str(name), {"metadata": meta, "spec": {"backupName": name}, "status": dict(status)})
        record = cluster.verbs().store.get(REQUESTS, (OADP_NAMESPACE, str(name)))
        if record is not None and params["phase"] != "Processed":
            cluster.machine.velero.stuck.add(record.uid)


def _volume(cluster: Cluster, params: Params) -> None:
    def change(obj: Object) -> Object:
        obj["metadata"].setdefault("annotations", {})[UPDATED_POLICY] = "true"
        obj["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        obj["status"]["phase"] = params["phase"]
        return obj

    verbs, res = cluster.verbs(), cluster.world.registry.table(VOLUMES)
    verbs.update(res, "", params["name"], change, trusted=True)
    verbs.update(res, "", params["name"], change, subresource="status", trusted=True)


def _unavailable(cluster: Cluster, params: Params) -> None:
    _set_location(cluster, "Unavailable", str(params["message"]))
    if params["seconds"] is not None:
        machine, clock = cluster.machine, cluster.world.clock
        clock.call_later(float(params["seconds"]), lambda: machine.background(cluster.heal("location_unavailable")))


def _lose(cluster: Cluster, _params: Params) -> None:
    cluster.machine.velero.bucket.lose()
    _set_location(cluster, "Unavailable", "NoSuchBucket: The specified bucket does not exist")


def _share(cluster: Cluster, params: Params) -> None:
    cluster.machine.velero.share(cluster.world.buckets.setdefault(str(params["name"]), Bucket()))


def _set_location(cluster: Cluster, phase: str, message: str) -> None:
    res, verbs = cluster.world.registry.table(LOCATIONS), cluster.verbs()

    def change(obj: Object) -> Object:
        now = rfc3339(cluster.world.clock.now())
        obj["status"] = {**(obj.get("status") or {}), "phase": phase, "message": message, "lastValidationTime": now}
        return obj

    sub = "status" if res.status else ""
    verbs.update(res, OADP_NAMESPACE, "dpa-1", change, subresource=sub, trusted=True)
