# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Backups and Restores that the agent makes through Velero, and Velero's part in it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import yaml

from fleetsim.agent import StageFailed
from fleetsim.ports import OADP_NAMESPACE, Object

if TYPE_CHECKING:
    from fleetsim.agent import Agent

BACKUPS, RESTORES = "backups.velero.io", "restores.velero.io"
REQUESTS = "deletebackuprequests.velero.io"
CLUSTER_ID = "config.openshift.io/clusterID"


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
                found += [d for d in yaml.safe_load_all(text) if isinstance(d, dict) and d.get("kind") == kind]
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
        a.machine.bucket[meta["name"]] = backup


async def restore(a: Agent) -> list[str]:
    """OADP syncs the Backups from the bucket; then the Restores run. Returns the names of those that failed."""
    trouble = a.troubles.get("restore_failed")
    for backup in a.machine.bucket.values():
        await a.api.create(BACKUPS, backup)
        meta = backup["metadata"]
        await a.api.set_status(BACKUPS, meta["name"], {"phase": "Completed"}, meta["namespace"])
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


async def delete_backups(a: Agent) -> None:
    """A DeleteBackupRequest per Backup of this cluster; Velero takes the Backup and its Restores away."""
    cluster = await _cluster_id(a)
    for backup in await a.api.list(BACKUPS):
        meta = backup["metadata"]
        if (meta.get("labels") or {}).get(CLUSTER_ID) != cluster:
            continue
        place = {"name": meta["name"], "namespace": meta["namespace"]}
        request = {
            "apiVersion": "velero.io/v1",
            "kind": "DeleteBackupRequest",
            "metadata": {**place, "labels": {CLUSTER_ID: cluster}},
            "spec": {"backupName": meta["name"]},
        }
        await a.api.create(REQUESTS, request)
        await a.pause(1)
        for one in await a.api.list(RESTORES, meta["namespace"]):
            if one["spec"].get("backupName") == meta["name"]:
                await a.api.delete(RESTORES, one["metadata"]["name"], meta["namespace"])
        await a.api.delete(BACKUPS, meta["name"], meta["namespace"])
        await a.api.delete(REQUESTS, meta["name"], meta["namespace"])
    a.machine.bucket.clear()
    a.machine.restores = []
