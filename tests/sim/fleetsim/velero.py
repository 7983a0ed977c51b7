# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Backups and Restores that the agent makes through Velero, and how it deletes them again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import yaml

from fleetsim.agent import StageFailed
from fleetsim.objectstore import BACKUPS, CLUSTER_ID, REQUESTS, RESTORES
from fleetsim.ports import OADP_NAMESPACE, Object
from fleetsim.yamls import read_all

if TYPE_CHECKING:
    from fleetsim.agent import Agent

VOLUMES = "persistentvolumes"
UPDATED_POLICY = "lca.openshift.io/updated-reclaim-policy"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_DELETE_SECONDS = 300.0


async def _documents(a: Agent, kind: str) -> list[Object]:
    """The Backups or Restores of the ConfigMaps, by wave and name."""
    found: list[Object] = []
    for ref in a.spec.get("oadpContent") or ():
        config = await a.api.get("configmaps", ref["name"], ref["namespace"])
        if config is None:
            raise StageFailed(
                "error while getting sorted backups from configmap: OADP configmap not found, error: "
                f'configmaps "{ref["name"]}" not found. Please create the configmap.'
            )
        for text in (config.get("data") or {}).values():
            with contextlib.suppress(yaml.YAMLError):
                found += [d for d in read_all(text) if isinstance(d, dict) and d.get("kind") == kind]
    return sorted(found, key=lambda d: (_wave(d), d["metadata"]["name"]))


def _wave(document: Object) -> int:
    text = (document["metadata"].get("annotations") or {}).get("lca.openshift.io/apply-wave")
    return int(text) if text else 2147483647


async def _cluster_id(a: Agent) -> str:
    version = await a.api.get("clusterversions.config.openshift.io", "version")
    return str(version["spec"].get("clusterID", "")) if version else ""


async def back_up(a: Agent) -> None:
    backups = await _documents(a, "Backup")
    if not backups:
        return
    cluster = await _cluster_id(a)
    await _retain_volumes(a)
    for backup in backups:
        meta = backup["metadata"]
        meta.setdefault("namespace", OADP_NAMESPACE)
        meta["labels"] = {**(meta.get("labels") or {}), CLUSTER_ID: cluster}
        await a.api.delete(BACKUPS, meta["name"], meta["namespace"])
        await a.api.create(BACKUPS, backup)
        await a.api.set_status(BACKUPS, meta["name"], {"phase": "InProgress"}, meta["namespace"])
    await a.say("Backup of Application Data is in progress")
    await a.pause(a.machine.upgrade_time("pre_pivot") / 4)
    a.machine.restores = await _documents(a, "Restore")
    for backup in backups:
        meta = backup["metadata"]
        await a.api.set_status(BACKUPS, meta["name"], {"phase": "Completed"}, meta["namespace"])
        a.machine.velero.bucket.put(backup)


async def _retain_volumes(a: Agent) -> None:
    """The contents of the volumes shall outlive their objects."""
    for volume in await a.api.list(VOLUMES):
        notes = volume["metadata"].get("annotations") or {}
        if notes.get(_PROVISIONED_BY) == "topolvm.io" and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            await _reclaim(a, volume, "Retain", "true")


async def restore_policies(a: Agent) -> None:
    """Take back what was done to the volumes before the backup."""
    for volume in await a.api.list(VOLUMES):
        if UPDATED_POLICY in (volume["metadata"].get("annotations") or {}):
            await _reclaim(a, volume, "Delete", None)


async def _reclaim(a: Agent, volume: Object, policy: str, mark: str | None) -> None:
    patch = {
        "metadata": {"annotations": {UPDATED_POLICY: mark}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
    }
    await a.api.merge(VOLUMES, volume["metadata"]["name"], patch)


async def restore(a: Agent) -> list[str]:
    """OADP syncs the Backups from the bucket; then the Restores run. Returns the names of those that failed."""
    trouble = a.troubles.get("restore_failed")
    a.machine.velero.sync_soon()
    await a.machine.velero.look(a.api)
    await a.say("Restore of Application Data is in progress")
    for one in a.machine.restores:
        one["metadata"].setdefault("namespace", OADP_NAMESPACE)
        await a.api.create(RESTORES, one)
        await a.api.set_status(RESTORES, one["metadata"]["name"], {"phase": "InProgress"}, OADP_NAMESPACE)
    await a.pause(a.machine.upgrade_time("post_pivot") / 4)
    failed = [str(name) for name in trouble["names"]] if trouble else []
    if failed:
        await leave_failed(a, "Restore", failed)
    for one in a.machine.restores:
        if one["metadata"]["name"] not in failed:
            await a.api.set_status(RESTORES, one["metadata"]["name"], {"phase": "Completed"}, OADP_NAMESPACE)
    return failed


async def leave_failed(a: Agent, kind: str, names: list[str]) -> None:
    """Objects that a client can look at afterwards."""
    table = BACKUPS if kind == "Backup" else RESTORES
    for name in names:
        obj: Object = {"apiVersion": "velero.io/v1", "kind": kind, "spec": {}}
        obj["metadata"] = {"name": name, "namespace": OADP_NAMESPACE, "labels": {CLUSTER_ID: await _cluster_id(a)}}
        if kind == "Restore":
            obj["spec"] = {"backupName": name}
        await a.api.create(table, obj)
        status = {
            "phase": "PartiallyFailed",
            "errors": 1,
            "failureReason": "found a restore with status partiallyFailed",
        }
        await a.api.set_status(table, name, status, OADP_NAMESPACE)


async def delete_backups(a: Agent) -> str:
    """A DeleteBackupRequest per Backup of this cluster, followed to its end. Returns what went wrong."""
    cluster = await _cluster_id(a)
    for request in await _own(a, REQUESTS, cluster):
        await a.api.delete(REQUESTS, request["metadata"]["name"], request["metadata"]["namespace"])
    backups = await _own(a, BACKUPS, cluster)
    for backup in backups:
        place = {"name": backup["metadata"]["name"], "namespace": backup["metadata"]["namespace"]}
        request = {
            "apiVersion": "velero.io/v1",
            "kind": "DeleteBackupRequest",
            "metadata": {**place, "labels": {CLUSTER_ID: cluster}},
            "spec": {"backupName": place["name"]},
        }
        await a.api.create(REQUESTS, request)
    failed = "failed to cleanup backups: failed to delete backups: "
    end = a.clock.seconds() + _DELETE_SECONDS
    while requests := await _own(a, REQUESTS, cluster):
        for request in requests:
            errors = (request.get("status") or {}).get("errors")
            if errors:
                name = request["metadata"]["name"]
                return f"{failed}deleteBackupRequest {name} failed with errors: [{' '.join(errors)}]"
        if a.clock.seconds() >= end:
            return f"{failed}context deadline exceeded"
        await a.machine.velero.look(a.api)
        await a.pause(1)
    for backup in await _own(a, BACKUPS, cluster):
        name = backup["metadata"]["name"]
        return f"failed to cleanup backups: all DeleteBackupRequests are processed, but backup {name} is not deleted"
    a.machine.restores = []
    return ""


async def _own(a: Agent, table: str, cluster: str) -> list[Object]:
    found = await a.api.list(table)
    return [one for one in found if (one["metadata"].get("labels") or {}).get(CLUSTER_ID) == cluster]
