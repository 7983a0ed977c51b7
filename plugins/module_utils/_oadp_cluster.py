# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP's objects of one cluster through its API: read them, and take the steps that were decided."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import IBU_PATH, VERSION_PATH
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    BACKUP,
    NAMESPACE,
    REQUEST,
    RESTORE,
    VOLUME,
    Documents,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Step, Verb
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, State

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_VELERO = "/apis/velero.io/v1"
_BACKUPS = f"{_VELERO}/backups"
_RESTORES = f"{_VELERO}/restores"
_REQUESTS = f"{_VELERO}/deletebackuprequests"
_LOCATIONS = f"{_VELERO}/namespaces/{NAMESPACE}/backupstoragelocations"
_APPLICATIONS = f"/apis/oadp.openshift.io/v1alpha1/namespaces/{NAMESPACE}/dataprotectionapplications"
_VOLUMES = "/api/v1/persistentvolumes"
_PLURALS = {BACKUP: "backups", RESTORE: "restores", REQUEST: "deletebackuprequests"}


class OadpCluster:
    """The calls that a cleanup needs. Raises Unanswered, NotThere and Refused."""

    def __init__(self, session: Session, *, volumes: bool = True) -> None:
        self._session = session
        self._volumes = volumes

    def read(self) -> Documents:
        """Everything, fresh. The cluster's state is read last: what was listed is not newer than that."""
        seen = self._listed()
        version, now = self._optional(VERSION_PATH)
        ibu, _now = self._optional(IBU_PATH)
        release = (((version or {}).get("status") or {}).get("desired") or {}).get("version")
        return dataclasses.replace(
            seen,
            cluster_id=str(((version or {}).get("spec") or {}).get("clusterID") or ""),
            state=observe(ibu, release, now).state if ibu is not None else State.ABSENT,
            now=now,
        )

    def read_moving(self, before: Documents) -> Documents:
        """Only what moves while Velero works or a location is away; the rest as it was."""
        requests = self._session.get(_REQUESTS)
        locations = self._session.list(_LOCATIONS)
        return dataclasses.replace(
            before, requests=requests.document.get("items") or [], locations=locations, now=requests.now
        )

    def do(self, step: Step) -> str | None:
        """Take one step; the uid of the object that it has made. An object that is gone already is fine."""
        namespace, name = step.key
        if step.verb is Verb.CREATE:
            made = self._session.create(_path(step.kind, namespace), step.body).document
            return str(made["metadata"]["uid"])
        path = f"{_path(step.kind, namespace)}/{name}"
        try:
            if step.verb is Verb.DELETE:
                self._session.delete(path, step.uid)
            else:
                metadata = {**step.body.get("metadata", {}), "uid": step.uid}
                self._session.merge_patch(path, {**step.body, "metadata": metadata})
        except NotThere:
            pass
        except Refused as refusal:
            # Another object has the name by now; the next look tells whose it is.
            if "metadata.uid" not in str(refusal):
                raise
        return None

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def _listed(self) -> Documents:
        volumes = self._session.list(_VOLUMES) if self._volumes else []
        try:
            backups = self._session.list(_BACKUPS)
        except NotThere:
            # Without Velero's API there is nothing of Velero's.
            return Documents(volumes=volumes, installed=False)
        return Documents(
            backups=backups,
            restores=self._session.list(_RESTORES),
            requests=self._session.list(_REQUESTS),
            locations=self._session.list(_LOCATIONS),
            applications=self._applications(),
            volumes=volumes,
        )

    def _applications(self) -> list[dict[str, t.Any]]:
        try:
            return self._session.list(_APPLICATIONS)
        except NotThere:
            # Velero without OADP: then nothing says what a location was made from.
            return []

    def _optional(self, path: str) -> tuple[dict[str, t.Any] | None, datetime.datetime | None]:
        try:
            return self._session.get(path)
        except NotThere:
            return None, None


def _path(kind: str, namespace: str) -> str:
    return _VOLUMES if kind == VOLUME else f"{_VELERO}/namespaces/{namespace}/{_PLURALS[kind]}"
