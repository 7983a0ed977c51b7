# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Which page of docs/runbooks a symptom belongs to. A state and a message in, the name of a page out."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import State

FOLDER = "docs/runbooks"

# Parts of messages, because the messages vary by release. The first line that fits counts.
_Patterns = t.Sequence[tuple[str, str]]

# What is said of a cluster in any state, by the collection or by the cluster.
_ANYWHERE: _Patterns = (
    ("rollback was safe until", "rollback-deadline"),
    ("Prep left a validation warning", "prep-extra-manifests"),
    ("not fit to be finalized", "not-verified"),
    ("the stage transition is not permitted", "invalid-transition"),
    ("while ibu is in progress", "invalid-transition"),
    ("(status.validNextStages)", "invalid-transition"),
    ("were not restored", "lvms-contents"),
    ("VolumeID is not found", "lvms-contents"),
    ("refuses this identity", "no-contact"),
    ("; no answer for", "stuck-away"),
)

# What a stage that goes on waits for.
_WAITING: _Patterns = (
    ("certificateSigningRequest", "health-gate-csr"),
    ("health checks failed", "health-gate"),
    ("not yet ready", "health-gate"),
    ("Waiting for system to", "health-gate"),
    ("IPC is not idle", "blocked-by-ipconfig"),
    ("Stateroot setup job", "prep-stateroot"),
    ("job for stateroot", "prep-stateroot"),
    ("recache job", "prep-precache"),
    ("job precache", "prep-precache"),
    ("Backup of Application Data", "backups-and-restores"),
    ("Restor", "backups-and-restores"),
)

_PREP: _Patterns = (
    ("stateroot setup job", "prep-stateroot"),
    ("stateroot job", "prep-stateroot"),
    ("precache job", "prep-precache"),
    ("oadp operator availability", "prep-oadp"),
    ("oadp configMap", "prep-oadp"),
    ("extramanifest", "prep-extra-manifests"),
    ("manifests from policies", "prep-extra-manifests"),
    ("pull-secret", "prep-registry"),
    ("failed to inspect image", "prep-registry"),
    ("failed to get seed image labels", "prep-registry"),
    ("", "prep-seed"),
)

_BEFORE_REBOOT: _Patterns = (("Failed backup CRs", "backups-and-restores"), ("", "upgrade-before-reboot"))

_ROLLED_BACK: _Patterns = (
    ("postpivot failure", "rolled-back-postpivot"),
    ("service-unit failure", "rolled-back-postpivot"),
    ("Init Monitor timeout", "rolled-back-watchdog"),
    ("DataProtectionApplication", "rolled-back-dpa"),
    ("applying policy manifests", "rolled-back-manifests"),
    ("applying config manifests", "rolled-back-manifests"),
    ("restore failure", "rolled-back-restore"),
    ("", "rolled-back-uncontrolled"),
)

_BY_STATE: t.Mapping[State, _Patterns] = {
    State.PREP_FAILED: _PREP,
    State.UPGRADE_FAILED_PRE_PIVOT: _BEFORE_REBOOT,
    State.UPGRADE_FAILED_POST_PIVOT: (("", "upgrade-after-reboot"),),
    State.ROLLED_BACK: _ROLLED_BACK,
    State.ROLLBACK_FAILED: (("", "rollback-failed"),),
    State.ABORT_FAILED: (("", "abort-failed"),),
    State.FINALIZE_FAILED: (("", "finalize-failed"),),
    State.BLOCKED: (("", "blocked-by-ipconfig"),),
    State.INVALID_TRANSITION: (("", "invalid-transition"),),
    State.PENDING: (("", "not-taken-up"),),
    State.NO_STATUS: (("", "not-taken-up"),),
    State.ABSENT: (("", "no-contact"),),
    State.UNKNOWN: (("", "unknown-state"),),
    State.PREP_RUNNING: _WAITING,
    State.UPGRADE_PRE_PIVOT: _WAITING,
    State.UPGRADE_POST_PIVOT: (*_WAITING, ("; it is after reboot", "upgrade-after-reboot")),
    State.FINALIZING: _WAITING,
}

# What is said while a seed image is made.
_SEED: _Patterns = (
    ("invalid cluster pull-secret", "seed-pull-secret"),
    ("failed sanitizing cluster's pull-secret", "seed-pull-secret"),
    ("does not bring the SeedGenerator back", "seed-lost"),
    ("somebody has deleted the SeedGenerator", "seed-lost"),
    ("the agent reports success, but", "seed-not-verified"),
    ("the registry has an image of", "seed-not-verified"),
    ("imager", "seed-failed"),
    ("failed to pull recert image", "seed-failed"),
    ("failed to cleanup resources", "seed-failed"),
    ("Failure occurred during check", "seed-failed"),
    ("not over within", "seed-failed"),
    ("a SeedGenerator is there", "seed-failed"),
    ("a SeedGenerator for another image", "seed-failed"),
    ("Rejected", "seed-refused"),
    ("keep it from becoming a seed", "seed-refused"),
    ("still in the way", "seed-refused"),
    ("it is not detached from its hub", "seed-refused"),
    ("belongs to GitOps", "seed-refused"),
    ("seedgen", "seed-refused"),
)

# Pages that no state and no message of a cluster leads to: what is seen on the hub.
_HUB_PAGES = ("hub-failed", "hub-not-selected", "hub-auto-import")

PAGES = frozenset(
    {*_HUB_PAGES, *(page for _part, page in _ANYWHERE)}
    | {page for patterns in (*_BY_STATE.values(), _SEED) for _part, page in patterns}
)


def runbook_of(state: State | str | None, message: str) -> str:
    """The page about this symptom, without folder and ending; empty where there is none."""
    text = " ".join(message.split())
    by_state = _BY_STATE[State(state)] if state in _BY_STATE else ()
    for part, page in (*_ANYWHERE, *by_state):
        if part in text:
            return page
    return ""


def pointed(step: str, state: State | str | None, message: str) -> str:
    """A next step with the page that says more, where there is one."""
    return _with_page(step, runbook_of(state, message))


def no_contact_pointed(step: str) -> str:
    """The same for a cluster that could not be read at all, so that it has no state."""
    return _with_page(step, "no-contact")


def _with_page(step: str, page: str) -> str:
    return f"{step} ({FOLDER}/{page})" if step and page and FOLDER not in step else step


def seed_runbook_of(message: str) -> str:
    """The same for a message about the generation of a seed image."""
    text = " ".join(message.split())
    return next((page for part, page in _SEED if part in text), "")


def seed_pointed(step: str, message: str) -> str:
    """The same as ``pointed`` for the generation of a seed image."""
    return _with_page(step, seed_runbook_of(message))
