# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What OADP and Velero hold for one cluster: documents in, values out. No I/O, no clock.

Which objects are this cluster's, is decided here and nowhere else: Backups and DeleteBackupRequests by the label that
the Lifecycle Agent puts on them, Restores, which carry no such label, by the name of their Backup.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import State

Document = t.Mapping[str, t.Any]
# Namespace and name.
Key = tuple[str, str]

NAMESPACE = "openshift-adp"
API_VERSION = "velero.io/v1"
CLUSTER_ID = "config.openshift.io/clusterID"
UPDATED_POLICY = "lca.openshift.io/updated-reclaim-policy"

BACKUP, RESTORE, REQUEST, VOLUME = "Backup", "Restore", "DeleteBackupRequest", "PersistentVolume"
KINDS = (REQUEST, RESTORE, BACKUP)

DELETING = "Deleting"
PROCESSED = "Processed"
# Only Velero's own finalizers are ever taken off: it cannot do what they wait for, another controller may.
_VELERO_FINALIZERS = "velero.io/"
_ALREADY_IN_BUCKET = "already exists in object storage"
_OADP_SECRET = "cloud-credentials"  # noqa: S105


@dataclass(frozen=True)
class Documents:
    """One read of a cluster. ``now`` is the cluster's clock, ``state`` where its image-based upgrade stands."""

    cluster_id: str = ""
    backups: t.Sequence[Document] = ()
    restores: t.Sequence[Document] = ()
    requests: t.Sequence[Document] = ()
    locations: t.Sequence[Document] = ()
    applications: t.Sequence[Document] = ()
    volumes: t.Sequence[Document] = ()
    state: State = State.IDLE
    now: datetime.datetime | None = None
    installed: bool = True


@dataclass(frozen=True)
class Location:
    """A BackupStorageLocation, and what it was made from."""

    key: Key
    phase: str = ""
    message: str = ""
    last_validated: str | None = None
    last_synced: datetime.datetime | None = None
    provider: str = ""
    bucket: str = ""
    prefix: str = ""
    read_only: bool = False
    is_default: bool = False
    exists: bool = True
    application: str | None = None
    secret: str | None = None

    @property
    def usable(self) -> bool:
        """True where Velero can delete from the bucket."""
        return self.phase == "Available" and not self.read_only

    @property
    def lost(self) -> bool:
        """True where the bucket does not answer, or nothing says where it is. Not yet looked at is not lost."""
        return not self.exists or self.phase == "Unavailable"

    @property
    def problem(self) -> str:
        """Why Velero cannot delete from the bucket; empty where it can."""
        if self.usable:
            return ""
        name = self.key[1] or "(no default)"
        if not self.exists:
            return f"backup location {name} does not exist"
        if self.phase == "Available":
            return f"backup location {name} is read-only"
        return f"backup location {name} is {self.phase or 'not validated yet'}" + self._why

    @property
    def _why(self) -> str:
        since = f" (validated {self.last_validated})" if self.last_validated else ""
        return since + (f": {' '.join(self.message.split())}" if self.message else "")

    def path(self, *parts: str) -> str:
        """Where data lies in the object store, for people."""
        return "/".join(part.strip("/") for part in (self.bucket or "(bucket unknown)", self.prefix, *parts) if part)


@dataclass(frozen=True)
class Item:
    """One Backup, Restore or DeleteBackupRequest."""

    kind: str
    key: Key
    uid: str | None = None
    phase: str = ""
    created: datetime.datetime | None = None
    leaving: bool = False
    finalizers: tuple[str, ...] = ()
    backup: Key = ("", "")
    errors: tuple[str, ...] = ()
    location: Key = ("", "")
    uploaded: bool = True

    @property
    def processed(self) -> bool:
        """True for a request that Velero is done with."""
        return self.phase == PROCESSED

    @property
    def foreign_finalizers(self) -> tuple[str, ...]:
        """Those that somebody else than Velero has to take off."""
        return tuple(name for name in self.finalizers if _VELERO_FINALIZERS not in name)

    def __str__(self) -> str:
        return self.key[1]


@dataclass(frozen=True)
class Mine:
    """What belongs to this cluster, and how many Backups in the same API do not."""

    backups: tuple[Item, ...] = ()
    restores: tuple[Item, ...] = ()
    requests: tuple[Item, ...] = ()
    volumes: tuple[Document, ...] = ()
    locations: t.Mapping[Key, Location] = field(default_factory=dict)
    others: int = 0

    @property
    def items(self) -> tuple[Item, ...]:
        """All objects of Velero's, in the order in which they are listed for people."""
        return (*self.backups, *self.restores, *self.requests)

    def location(self, key: Key) -> Location:
        """The location with this name, or one that says that it is not there."""
        return self.locations.get(key) or Location(key, exists=False)

    def location_of(self, item: Item) -> Location:
        """Where the data of a Backup is, or that of the Backup that a request or Restore is about."""
        backup = next((backup for backup in self.backups if backup.key == item.backup), None)
        if backup is not None:
            return self.location(backup.location)
        # Its Backup is gone, and with it the name of the location.
        return self.location(item.location)

    @property
    def needed(self) -> tuple[Location, ...]:
        """The locations that hold, or may hold, data of these objects."""
        return tuple({location.key: location for location in map(self.location_of, self.items)}.values())


def select(seen: Documents, known: t.Mapping[Key, Key] | None = None) -> Mine:
    """What belongs to this cluster, found as the Lifecycle Agent finds it.

    ``known`` are Backups that an earlier look found to be this cluster's, and their locations: their Restores are this
    cluster's, although the Backup is gone by now. Without a cluster ID nothing is.
    """
    known = known or {}
    if not seen.cluster_id:
        return Mine()
    locations = {location.key: location for location in locations_of(seen)}
    default = _default(locations)
    own = tuple(_item(BACKUP, doc, default) for doc in seen.backups if _is_labelled(doc, seen.cluster_id))
    requests = tuple(_item(REQUEST, doc, default) for doc in seen.requests if _is_labelled(doc, seen.cluster_id))
    mine = {item.key for item in own}
    others = {key_of(doc) for doc in seen.backups} - mine
    names = (mine | set(known) | {request.backup for request in requests}) - others
    restores = (_item(RESTORE, doc, default) for doc in seen.restores)
    return Mine(
        backups=own,
        restores=tuple(_placed(restore, known) for restore in restores if restore.backup in names),
        requests=tuple(_placed(request, known) for request in requests),
        volumes=tuple(doc for doc in seen.volumes if UPDATED_POLICY in _annotations(doc)),
        locations=locations,
        others=len(others),
    )


def key_of(document: Document) -> Key:
    """Namespace and name."""
    meta = document.get("metadata") or {}
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def locations_of(seen: Documents) -> list[Location]:
    """The backup locations, in the API's order."""
    return [_location(doc, seen.applications) for doc in seen.locations]


def request_for(backup: Item, cluster_id: str, taken: t.Collection[Key]) -> dict[str, t.Any]:
    """The DeleteBackupRequest that the Lifecycle Agent would make: same name and namespace, and its label.

    Where a request that is not this cluster's has the name, the API makes up another one.
    """
    namespace, name = backup.key
    called = {"generateName": f"{name}-"} if backup.key in taken else {"name": name}
    return {
        "apiVersion": API_VERSION,
        "kind": REQUEST,
        "metadata": {**called, "namespace": namespace, "labels": {CLUSTER_ID: cluster_id}},
        "spec": {"backupName": name},
    }


def without_velero_finalizers(item: Item) -> dict[str, t.Any]:
    """The merge patch that lets go of an object whose deletion Velero cannot finish."""
    return {"metadata": {"finalizers": list(item.foreign_finalizers) or None}}


def parse_time(text: t.Any) -> datetime.datetime | None:
    """A time of the API, or None."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


def age_of(item: Item, now: datetime.datetime | None) -> float:
    """Seconds since the object was created, by the cluster's clock; 0 where that is not known."""
    return (now - item.created).total_seconds() if now and item.created else 0.0


# --- the details of a document ------------------------------------------------------------------------------------


def _item(kind: str, doc: Document, default: Key) -> Item:
    meta, spec, status = (doc.get(part) or {} for part in ("metadata", "spec", "status"))
    key = key_of(doc)
    named = spec.get("storageLocation") if kind == BACKUP else None
    return Item(
        kind,
        key,
        uid=meta.get("uid"),
        phase=str(status.get("phase") or ""),
        created=parse_time(meta.get("creationTimestamp")),
        leaving=bool(meta.get("deletionTimestamp")),
        finalizers=tuple(meta.get("finalizers") or ()),
        backup=key if kind == BACKUP else (key[0], str(spec.get("backupName") or "")),
        errors=tuple(str(error) for error in status.get("errors") or ()) if kind == REQUEST else (),
        location=(key[0], str(named)) if named else default,
        uploaded=kind != BACKUP or _has_data(status),
    )


def _placed(item: Item, known: t.Mapping[Key, Key]) -> Item:
    return dataclasses.replace(item, location=known.get(item.backup, item.location))


def _has_data(status: Document) -> bool:
    """False for a Backup that was refused before anything was written under its name.

    What lies there then, lies there for another cluster: a request to delete this Backup would delete that.
    """
    if status.get("phase") == "FailedValidation":
        return False
    return not (status.get("phase") == "Failed" and _ALREADY_IN_BUCKET in str(status.get("failureReason") or ""))


def _is_labelled(doc: Document, cluster_id: str) -> bool:
    return ((doc.get("metadata") or {}).get("labels") or {}).get(CLUSTER_ID) == cluster_id


def _annotations(doc: Document) -> Document:
    return (doc.get("metadata") or {}).get("annotations") or {}


def _default(locations: t.Mapping[Key, Location]) -> Key:
    """The location of a Backup that names none: the default one, or the only one."""
    marked = [key for key, location in locations.items() if location.is_default]
    return marked[0] if marked else next(iter(locations)) if len(locations) == 1 else (NAMESPACE, "")


def _location(doc: Document, applications: t.Sequence[Document]) -> Location:
    spec, status, store = doc.get("spec") or {}, doc.get("status") or {}, (doc.get("spec") or {}).get("objectStorage")
    application, entry = _origin(doc, applications)
    credential = spec.get("credential") or entry.get("credential") or {}
    known = credential.get("name") or (_OADP_SECRET if application else None)
    return Location(
        key_of(doc),
        phase=str(status.get("phase") or ""),
        message=str(status.get("message") or ""),
        last_validated=status.get("lastValidationTime"),
        last_synced=parse_time(status.get("lastSyncedTime")),
        provider=str(spec.get("provider") or ""),
        bucket=str((store or {}).get("bucket") or ""),
        prefix=str((store or {}).get("prefix") or ""),
        read_only=spec.get("accessMode") == "ReadOnly",
        is_default=bool(spec.get("default")),
        application=application,
        secret=str(known) if known else None,
    )


def _origin(doc: Document, applications: t.Sequence[Document]) -> tuple[str | None, Document]:
    """The DataProtectionApplication that a location comes from, and the part of it that describes the location."""
    owners = [
        o["name"] for o in doc["metadata"].get("ownerReferences") or () if o["kind"] == "DataProtectionApplication"
    ]
    namespace, name = key_of(doc)
    for application in applications:
        place, called = key_of(application)
        if place != namespace:
            continue
        entries = (application.get("spec") or {}).get("backupLocations") or ()
        for number, entry in enumerate(entries, 1):
            # OADP names a location after its application and number unless the entry has a name.
            if (entry.get("name") or f"{called}-{number}") == name and (called in owners or not owners):
                return called, entry.get("velero") or {}
    return (str(owners[0]), {}) if owners else (None, {})
