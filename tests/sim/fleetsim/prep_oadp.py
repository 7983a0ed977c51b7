# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prep looks at the OADP operator and at the Backups and Restores of oadpContent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetsim.errors import StatusError
from fleetsim.objectstore import BACKUPS, CLUSTER_ID, REQUESTS
from fleetsim.ports import OADP_NAMESPACE, KindUnknown, Object
from fleetsim.prep_documents import Undecodable, annotation, config_maps, documents, refused
from fleetsim.resources import CRDS

if TYPE_CHECKING:
    from fleetsim.agent import Agent

APPLY_LABEL = "lca.openshift.io/apply-label"
BACKUP_LABEL = "lca.openshift.io/backup"
_PATIENCE = 300.0


async def validate(a: Agent) -> None:
    """Nothing is asked where nothing is to be backed up."""
    if not a.spec.get("oadpContent"):
        return
    await _operator(a)
    backups, restores = await _read(a)
    for backup in backups:
        await _dry_run(a, backup, "backup")
    for backup in backups:
        await _labels(a, backup)
    for restore in restores:
        await _dry_run(a, restore, "restore")
    names = {backup["metadata"].get("name") for backup in backups}
    for restore in restores:
        wanted = (restore.get("spec") or {}).get("backupName", "")
        if wanted not in names:
            raise refused("restore_unpaired", backup=wanted, restore=restore["metadata"].get("name", ""))
    if not backups or len(backups) != len(restores):
        raise refused("backup_restore_count")
    await _stale(a, {str(name) for name in names})


async def _operator(a: Agent) -> None:
    versions = await a.api.list("clusterserviceversions.operators.coreos.com", OADP_NAMESPACE)
    crds = await a.api.list(CRDS)
    installed = any("oadp-operator" in csv["metadata"]["name"] for csv in versions)
    if not installed or not any(crd["metadata"]["name"].endswith("oadp.openshift.io") for crd in crds):
        raise refused("oadp_missing")
    found = await a.api.list("dataprotectionapplications.oadp.openshift.io", OADP_NAMESPACE)
    if len(found) != 1:
        raise refused("dpa_twice" if found else "dpa_missing")


async def _read(a: Agent) -> tuple[list[Object], list[Object]]:
    """Documents of any other kind are passed over in silence."""
    found: list[Object] = []
    for _, config in await config_maps(a, "oadpContent", "oadp_configmap_missing"):
        for text in (config.get("data") or {}).values():
            try:
                found += documents(text)
            except Undecodable as error:
                raise refused("oadp_undecodable", err=error) from None
    ours = [one for one in found if one.get("apiVersion") == "velero.io/v1" and isinstance(one.get("metadata"), dict)]
    return [o for o in ours if o["kind"] == "Backup"], [o for o in ours if o["kind"] == "Restore"]


async def _dry_run(a: Agent, document: Object, kind: str) -> None:
    """One that is there already is fine."""
    name = document["metadata"].get("name", "")
    try:
        await a.api.dry_run(document, create=True)
    except KindUnknown as error:
        raise refused(f"{kind}_dry_run_failed", err=error) from None
    except StatusError as error:
        if error.reason == "AlreadyExists":
            return
        if error.code == 422:
            raise refused(f"{kind}_invalid", name=name, err=error.message) from None
        raise refused(f"{kind}_dry_run_failed", err=error.message) from None


async def _labels(a: Agent, backup: Object) -> None:
    """Each object that apply-label names must be there, and let itself be labelled."""
    text = annotation(backup, APPLY_LABEL)
    targets = [_target(item) for item in text.split(",")] if text else []
    for group, version, plural, namespace, name in targets:
        patch = {"metadata": {"labels": {BACKUP_LABEL: backup["metadata"].get("name", "")}}}
        try:
            await a.api.dry_patch((group, version, plural), name, namespace, patch)
        except StatusError as error:
            raise refused("apply_label_missing", err=error.message) from None


def _target(item: str) -> tuple[str, str, str, str, str]:
    """Group, version, resource, namespace and name. Four parts that begin with v1 are of the core group."""
    parts = item.split("/")
    if len(parts) == 5:
        return parts[0], parts[1], parts[2], parts[3], parts[4]
    if len(parts) == 4 and parts[0] == "v1":
        return "", parts[0], parts[1], parts[2], parts[3]
    if len(parts) == 4:
        return parts[0], parts[1], parts[2], "", parts[3]
    if len(parts) == 3:
        return "", parts[0], parts[1], "", parts[2]
    raise refused("apply_label_invalid", item=item)


async def _stale(a: Agent, names: set[str]) -> None:
    """Backups of these names that another cluster has left are deleted, from the bucket too."""
    version = await a.api.get("clusterversions.config.openshift.io", "version")
    own = str(version["spec"].get("clusterID", "")) if version else ""

    async def left() -> list[Object]:
        there = await a.api.list(BACKUPS, OADP_NAMESPACE)
        named = [one for one in there if one["metadata"]["name"] in names]
        return [one for one in named if (one["metadata"].get("labels") or {}).get(CLUSTER_ID, own) != own]

    for backup in await left():
        name = backup["metadata"]["name"]
        meta = {"name": name, "namespace": OADP_NAMESPACE, "labels": {CLUSTER_ID: own}}
        await a.api.create(REQUESTS, {"metadata": meta, "spec": {"backupName": name}})
    end = a.clock.seconds() + _PATIENCE
    while await left():
        if a.clock.seconds() >= end:
            raise refused("stale_backups")
        await a.machine.velero.look(a.api)
        await a.pause(1)
