# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Why volumes of LVM Storage came back without their contents. Documents in, a diagnosis out."""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _lvms_filters as filters
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    CLUSTER_ID,
    UPDATED_POLICY,
    key_of,
    parse_time,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import may_reclaim
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State, Word

Document = t.Mapping[str, t.Any]

DRIVER = "topolvm.io"
RESTORED_BY = "velero.io/restore-name"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_PROVISIONERS = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
_NOT_FOUND = "VolumeID is not found"
_VOLUME = re.compile(r'for volume "([^"]+)"')

# The Lifecycle Agent needs policy Retain from before the reboot until these.
_SETTLED = frozenset({State.IDLE, State.ABORT_FAILED, State.FINALIZE_FAILED})
_AFTER_PIVOT = frozenset({State.UPGRADE_POST_PIVOT, State.UPGRADE_FAILED_POST_PIVOT, State.UPGRADE_COMPLETED})
_FINALIZED = frozenset({State.IDLE, State.FINALIZING, State.FINALIZE_FAILED})
_BACK = frozenset({State.ROLLED_BACK, State.ROLLBACK_COMPLETED})


class Cause(Word):
    """Why contents are missing, or would be after the next upgrade. The values stand in the results."""

    NONE = "none"
    BACKUP = "backup"
    RESTORE = "restore"
    BOTH = "backup and restore"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Seen:
    """What one look at a cluster has brought. ``logical_volumes``: None where the API does not know them.

    ``made``: when the ImageBasedUpgrade was created, which after an upgrade is right after the reboot.
    """

    upgrade: Observed
    made: datetime.datetime | None = None
    cluster_id: str = ""
    events: t.Sequence[Document] = ()
    volumes: t.Sequence[Document] = ()
    claims: t.Sequence[Document] = ()
    logical_volumes: t.Sequence[Document] | None = None
    backups: t.Sequence[Document] = ()
    restores: t.Sequence[Document] = ()


@dataclass(frozen=True)
class Missing:
    """A claim whose contents are not there, and what shows it."""

    claim: str
    volume: str
    sign: str


@dataclass(frozen=True)
class Rollback:
    """Whether a rollback brings the contents back; ``possible`` is None where it is not needed."""

    possible: bool | None
    why: str
    until: datetime.datetime | None = None


@dataclass(frozen=True)
class Policies:
    """Volumes whose reclaim policy is still the one for the upgrade, by what may be done about it."""

    back: tuple[Document, ...] = ()
    kept: t.Mapping[str, str] = field(default_factory=dict)
    in_use: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with the volumes of one cluster."""

    cause: Cause
    missing: tuple[Missing, ...]
    faults: tuple[filters.Fault, ...]
    rollback: Rollback
    policies: Policies


def diagnose(seen: Seen) -> Diagnosis:
    """What is wrong, why, and what helps."""
    missing = tuple(_missing(seen))
    faults = tuple(_faults(seen))
    return Diagnosis(_cause(missing, faults), missing, faults, rollback_of(seen.upgrade), _policies(seen, missing))


def _cause(missing: t.Collection[Missing], faults: t.Collection[filters.Fault]) -> Cause:
    kinds = {fault.kind for fault in faults}
    if len(kinds) > 1:
        return Cause.BOTH
    if kinds:
        return Cause.BACKUP if filters.BACKUP in kinds else Cause.RESTORE
    return Cause.UNKNOWN if missing else Cause.NONE


# --- Backups and Restores -----------------------------------------------------------------------------------------


def _faults(seen: Seen) -> t.Iterator[filters.Fault]:
    """What the Backups and Restores of this cluster lack for the volumes that it has."""
    namespaces = {key_of(claim)[0] for claim in _claims(seen)}
    own = [doc for doc in seen.backups if _is_own(doc, seen.cluster_id)]
    covering = [doc for doc in own if filters.covers_claims(_spec(doc), namespaces)]
    takes = {
        name: [
            doc
            for doc in own
            if filters.takes(_spec(doc), name) and (doc in covering or filters.asks_for(_spec(doc), name))
        ]
        for name in filters.NEEDED
    }
    lacking = [name for name in filters.NEEDED if not takes[name]] if covering else []
    for backup in covering if lacking else ():
        yield filters.backup_fault(backup, lacking)
    # Where another Backup has the logical volumes, the Restore of the application's need not bring them.
    carriers = {
        name: {key_of(doc) for doc in ([*takes[name], *covering] if name in lacking else takes[name])}
        for name in filters.NEEDED
    }
    for restore in seen.restores if covering else ():
        source = (key_of(restore)[0], str(_spec(restore).get("backupName") or ""))
        lacks = filters.restore_lacks(
            _spec(restore),
            volumes=source in carriers[filters.VOLUMES],
            status=source in carriers[filters.LOGICAL_VOLUMES],
        )
        if lacks:
            yield filters.restore_fault(restore, lacks)


def _is_own(backup: Document, cluster_id: str) -> bool:
    labels = (backup.get("metadata") or {}).get("labels") or {}
    return bool(cluster_id) and labels.get(CLUSTER_ID) == cluster_id


# --- volumes ------------------------------------------------------------------------------------------------------


def _claims(seen: Seen) -> list[Document]:
    """The claims that LVM Storage serves."""
    volumes = {key_of(volume)[1] for volume in seen.volumes if _is_lvms(volume)}
    return [
        claim
        for claim in seen.claims
        if _spec(claim).get("volumeName") in volumes
        or any(_annotations(claim).get(name) == DRIVER for name in _PROVISIONERS)
    ]


def _is_lvms(volume: Document) -> bool:
    driver = (_spec(volume).get("csi") or {}).get("driver")
    return DRIVER in (driver, _annotations(volume).get(_PROVISIONED_BY))


def _missing(seen: Seen) -> t.Iterator[Missing]:
    """The restored claims that show a sign of lost contents. Before the reboot and after the way back, none is lost."""
    if not seen.upgrade.at_target or seen.upgrade.state in _BACK:
        return
    unmounted = _unmounted(seen.events)
    volumes = {key_of(volume)[1]: volume for volume in seen.volumes}
    for claim in _claims(seen):
        name = str(_spec(claim).get("volumeName") or "")
        sign = unmounted.get(name)
        if sign is None and name and _was_restored(claim, seen.restores):
            sign = _sign(name, volumes.get(name), seen)
        if sign:
            yield Missing("/".join(key_of(claim)), name, sign)


def _unmounted(events: t.Iterable[Document]) -> dict[str, str]:
    """The volumes that pods could not mount, and in which words."""
    found: dict[str, str] = {}
    for event in events:
        message = str(event.get("message") or event.get("note") or "")
        volume = _VOLUME.search(message)
        if _NOT_FOUND in message and volume:
            pod = event.get("involvedObject") or event.get("regarding") or {}
            found[volume.group(1)] = f"pod {pod.get('namespace')}/{pod.get('name')} cannot mount it: {_NOT_FOUND}"
    return found


def _was_restored(claim: Document, restores: t.Iterable[Document]) -> bool:
    """False for a claim that somebody made after the upgrade: it began empty."""
    if RESTORED_BY in _labels(claim):
        return True
    ends = [parse_time((restore.get("status") or {}).get("completionTimestamp")) for restore in restores]
    born = parse_time((claim.get("metadata") or {}).get("creationTimestamp"))
    return born is not None and any(end is not None and born <= end for end in ends)


def _sign(name: str, volume: Document | None, seen: Seen) -> str | None:
    """What shows that a restored claim has lost its contents, where no pod has said so."""
    if volume is None:
        return "its PersistentVolume was not restored"
    handle = (_spec(volume).get("csi") or {}).get("volumeHandle")
    if seen.logical_volumes is None or not handle:
        return None
    mine = [one for one in seen.logical_volumes if _volume_id(one) == handle]
    if not mine:
        return "no LogicalVolume has the volumeID of its PersistentVolume"
    return _young(mine[0], seen)


def _young(logical: Document, seen: Seen) -> str | None:
    """A LogicalVolume that was made after the upgrade is empty, unless a Restore brought it with its status."""
    meta = logical.get("metadata") or {}
    born = parse_time(meta.get("creationTimestamp"))
    if born is None or seen.made is None or born < seen.made:
        return None
    by = _labels(logical).get(RESTORED_BY)
    restore = next((doc for doc in seen.restores if by and key_of(doc)[1] == by), None)
    if by and (restore is None or not filters.restore_lacks(_spec(restore), volumes=False, status=True)):
        return None
    return f"its LogicalVolume {meta.get('name')} is younger than the upgrade ({born:%Y-%m-%d %H:%M}Z)"


def _volume_id(logical: Document) -> str | None:
    return (logical.get("status") or {}).get("volumeID")


# --- reclaim policies ---------------------------------------------------------------------------------------------


def _policies(seen: Seen, missing: t.Collection[Missing]) -> Policies:
    marked = [volume for volume in seen.volumes if UPDATED_POLICY in _annotations(volume)]
    if seen.upgrade.state not in _SETTLED:
        return Policies(in_use=tuple(key_of(volume)[1] for volume in marked))
    lost = {one.volume for one in missing}
    kept = {
        key_of(volume)[1]: "its contents are missing" if key_of(volume)[1] in lost else "it is not bound"
        for volume in marked
        if key_of(volume)[1] in lost or not may_reclaim(volume)
    }
    return Policies(tuple(volume for volume in marked if key_of(volume)[1] not in kept), kept)


# --- the way back -------------------------------------------------------------------------------------------------


def rollback_of(seen: Observed) -> Rollback:
    """Whether a rollback brings the contents back, and until when. It can: what is on the disk was not touched."""
    until = seen.rollback_until
    if seen.state in _BACK or not seen.at_target:
        return Rollback(None, "it runs the release whose volumes were never touched")
    if seen.state in _AFTER_PIVOT and "Rollback" in seen.valid_next:
        if until and seen.now and seen.now >= until:
            why = "its time is over: the certificates of the old release may have expired"
            return Rollback(False, why, until)
        return Rollback(True, "what is on the disk was not touched", until)
    if seen.state is State.ROLLBACK_RUNNING:
        return Rollback(True, "it is under way")
    if seen.state in _FINALIZED:
        return Rollback(False, "the upgrade was finalized: the old release and the backups are gone, or going")
    return Rollback(False, f"the cluster is {seen.state} and does not allow it")


def _spec(document: Document) -> t.Mapping[str, t.Any]:
    return document.get("spec") or {}


def _annotations(document: Document) -> t.Mapping[str, str]:
    return (document.get("metadata") or {}).get("annotations") or {}


def _labels(document: Document) -> t.Mapping[str, str]:
    return (document.get("metadata") or {}).get("labels") or {}
