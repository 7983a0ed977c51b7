# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Which parts of its cleanup the Lifecycle Agent failed on, read out of the condition's message. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Word


class Part(Word):
    """One part of the cleanup. The values are for people and stand in results."""

    STATEROOT_JOB = "stateroot job"
    STATEROOT = "stateroot"
    PRECACHE = "precache job"
    ANNOTATION = "annotations"
    REQUESTS = "DeleteBackupRequests"
    BACKUPS = "backups"
    VOLUMES = "reclaim policies"
    WORKSPACE = "workspace"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Failure:
    """A part that failed, and why in the agent's words."""

    part: Part
    why: str


# The parts that this collection cleans up itself through the cluster's API.
THROUGH_API = frozenset({Part.REQUESTS, Part.BACKUPS, Part.VOLUMES})
# Those that wait for the object store.
OF_STORE = frozenset({Part.REQUESTS, Part.BACKUPS})

# Where the words of one part begin. The agent joins them with blanks: one ends where the next begins.
_BEGINNINGS: tuple[tuple[Part, str], ...] = (
    (Part.STATEROOT_JOB, r"failed to cleanup cluster stateroot resources"),
    (Part.STATEROOT, r"failed to clean up host stateroot resources"),
    (Part.PRECACHE, r"failed to job\b|failed to delete configMaps|failed to remove finalizer during cleanup"),
    (Part.ANNOTATION, r"failed to update annotations"),
    (Part.REQUESTS, r"failed to cleanup DeleteBackupRequest CRs"),
    (Part.BACKUPS, r"failed to cleanup backups|failed to delete all the backup CRs"),
    (Part.VOLUMES, r"failed to restore persistentVolumeReclaimPolicy in PVs created by LVMS"),
    (Part.WORKSPACE, r"removing /var/lib/lca/workspace failed"),
)
_BEGINNING = re.compile("|".join(f"(?P<p{number}>{words})" for number, (_part, words) in enumerate(_BEGINNINGS)))
# Releases word things differently; the subject still tells.
_SUBJECTS = (
    (Part.VOLUMES, re.compile("persistentVolumeReclaimPolicy", re.IGNORECASE)),
    (Part.REQUESTS, re.compile("DeleteBackupRequest", re.IGNORECASE)),
    (Part.BACKUPS, re.compile("backup", re.IGNORECASE)),
    (Part.STATEROOT, re.compile("host stateroot|rpm-?ostree", re.IGNORECASE)),
)
_ADVICE = re.compile(r"\s*\.?\s*Perform cleanup manually\b.*", re.DOTALL)


def failed_parts(message: str) -> tuple[Failure, ...]:
    """The parts that a message names, in its order. Words that name none are one unknown part."""
    words = " ".join(_ADVICE.sub("", message).split())
    starts = list(_BEGINNING.finditer(words))
    if not starts:
        return (Failure(_by_subject(words), words or "the agent does not say what failed"),)
    found = []
    if before := words[: starts[0].start()].strip(" .;,"):
        found.append(Failure(_by_subject(before), before))
    ends = [*(match.start() for match in starts[1:]), len(words)]
    for match, end in zip(starts, ends):  # noqa: B905
        part = _BEGINNINGS[int(str(match.lastgroup)[1:])][0]
        found.append(Failure(part, words[match.end() : end].strip(" :.;,") or match.group()))
    return tuple(found)


def parts_of(failures: t.Iterable[Failure]) -> frozenset[Part]:
    """The parts without their words."""
    return frozenset(failure.part for failure in failures)


def _by_subject(words: str) -> Part:
    return next((part for part, subject in _SUBJECTS if subject.search(words)), Part.UNKNOWN)


def in_words(part: Part) -> str:
    """The part as it stands in a sentence."""
    return f"OADP {part}" if part in OF_STORE else str(part)


def by_hand(part: Part) -> str:
    """What a person does about a part that this collection does not clean up; may contain ``{cluster}``."""
    return _BY_HAND.get(part, "")


_NAMESPACE = "oc -n openshift-lifecycle-agent"
_BY_HAND: t.Mapping[Part, str] = {
    Part.STATEROOT: "ansible-playbook sno.image_upgrade.recover_stateroot -l {cluster}",
    Part.STATEROOT_JOB: f"see why its pod does not end ({_NAMESPACE} get pods -l job-name=lca-prep-stateroot-setup)",
    Part.PRECACHE: f"see what holds it ({_NAMESPACE} get job,configmap lca-prep-precache -o yaml)",
    Part.ANNOTATION: "see why the agent may not write its ImageBasedUpgrade (oc get ibu upgrade -o yaml)",
    Part.WORKSPACE: "on the node: see what uses /var/lib/lca/workspace, then remove it "
    "(oc debug node/NODE -- chroot /host rm -rf /var/lib/lca/workspace)",
    Part.UNKNOWN: f"read the agent's log ({_NAMESPACE} logs -l app.kubernetes.io/component=lifecycle-agent -c manager)",
}
