# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state that an upgrade can be in, as the Lifecycle Agent reports it, and what a client may try from there.

The conditions of earlier stages stay where they were, as on a real cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

Document = dict[str, Any]

STAGES = ("Idle", "Prep", "Upgrade", "Rollback")
KEEP = "keep"  # the request says nothing about this
REMOVE = None  # in a merge patch: take it away


@dataclass(frozen=True)
class State:
    """A stage that was asked for, and what is reported about it."""

    name: str
    stage: str
    next_stages: tuple[str, ...]
    conditions: tuple[tuple[str, bool, str], ...]

    def status(self) -> Document | None:
        """None before the first report."""
        if not self.conditions:
            return None
        told = [
            {
                "type": kind,
                "status": str(status),
                "reason": reason,
                "message": f"{kind} {reason}",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 1,
            }
            for kind, status, reason in self.conditions
        ]
        listed = {"validNextStages": list(self.next_stages)} if self.next_stages else {}
        return {"observedGeneration": 1, "conditions": told, **listed}


_BUSY = (("Idle", False, "InProgress"),)
_PREPARED = (("PrepInProgress", False, "Completed"), ("PrepCompleted", True, "Completed"))
_UPGRADED = (*_PREPARED, ("UpgradeInProgress", False, "Completed"), ("UpgradeCompleted", True, "Completed"))
_FAILED = (*_PREPARED, ("UpgradeCompleted", False, "Failed"), ("UpgradeInProgress", False, "Failed"))
_ROLLED_BACK = (*_FAILED, ("RollbackInProgress", False, "Completed"), ("RollbackCompleted", True, "Completed"))


def _idle(reason: str, *earlier: tuple[str, bool, str]) -> tuple[tuple[str, bool, str], ...]:
    return (*earlier, ("Idle", reason == "Idle", reason))


REACHABLE = (
    State("new", "Idle", (), ()),
    State("restored-without-status", "Upgrade", (), ()),
    State("idle", "Idle", ("Prep",), _idle("Idle")),
    State("aborting", "Idle", (), _idle("Aborting", *_PREPARED)),
    State("abort-failed", "Idle", (), _idle("AbortFailed", *_PREPARED)),
    State("finalizing", "Idle", (), _idle("Finalizing", *_UPGRADED)),
    State("finalize-failed", "Idle", (), _idle("FinalizeFailed", *_UPGRADED)),
    State("idle-blocked", "Idle", ("Idle",), _idle("Blocked")),
    State("idle-refused", "Idle", ("Rollback",), _idle("InvalidTransition", *_FAILED)),
    State("prep-requested", "Prep", ("Prep",), _idle("Idle")),
    State("prep-blocked", "Prep", ("Prep",), (*_idle("Idle"), ("PrepInProgress", False, "Blocked"))),
    State("prep-running", "Prep", ("Idle",), (*_BUSY, ("PrepInProgress", True, "InProgress"))),
    State(
        "prep-failed",
        "Prep",
        ("Idle",),
        (*_BUSY, ("PrepCompleted", False, "Failed"), ("PrepInProgress", False, "Failed")),
    ),
    State("prep-completed", "Prep", ("Idle", "Upgrade"), (*_BUSY, *_PREPARED)),
    State("prep-refused", "Prep", ("Idle",), (*_BUSY, ("PrepInProgress", False, "InvalidTransition"))),
    State("upgrade-requested", "Upgrade", ("Idle", "Upgrade"), (*_BUSY, *_PREPARED)),
    State(
        "upgrade-blocked", "Upgrade", ("Idle", "Upgrade"), (*_BUSY, *_PREPARED, ("UpgradeInProgress", False, "Blocked"))
    ),
    State(
        "upgrade-before-pivot", "Upgrade", ("Idle",), (*_BUSY, *_PREPARED, ("UpgradeInProgress", True, "InProgress"))
    ),
    State("upgrade-failed-before-pivot", "Upgrade", ("Idle",), (*_BUSY, *_FAILED)),
    State(
        "upgrade-after-pivot", "Upgrade", ("Rollback",), (*_BUSY, *_PREPARED, ("UpgradeInProgress", True, "InProgress"))
    ),
    State("upgrade-failed-after-pivot", "Upgrade", ("Rollback",), (*_BUSY, *_FAILED)),
    State("rolled-back-automatically", "Upgrade", ("Idle",), (*_BUSY, *_FAILED)),
    State("upgrade-completed", "Upgrade", ("Idle", "Rollback"), (*_BUSY, *_UPGRADED)),
    State("upgrade-refused", "Upgrade", ("Idle",), (*_BUSY, ("UpgradeInProgress", False, "InvalidTransition"))),
    State("rollback-running", "Rollback", (), (*_BUSY, *_FAILED, ("RollbackInProgress", True, "InProgress"))),
    State(
        "rollback-failed",
        "Rollback",
        (),
        (*_BUSY, *_FAILED, ("RollbackCompleted", False, "Failed"), ("RollbackInProgress", False, "Failed")),
    ),
    State("rollback-completed", "Rollback", ("Idle",), (*_BUSY, *_ROLLED_BACK)),
    State("rollback-refused", "Rollback", ("Idle",), (*_BUSY, ("RollbackInProgress", False, "InvalidTransition"))),
)

# Per frozen field: a value, and another one.
FIELDS: dict[str, tuple[Any, Any]] = {
    "seedImageRef": (
        {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3", "pullSecretRef": {"name": "pull"}},
        {"version": "4.17.4", "image": "registry.example.com/seed:4.17.4"},
    ),
    "oadpContent": (
        [{"name": "a", "namespace": "openshift-adp"}, {"name": "b", "namespace": "openshift-adp"}],
        [{"name": "b", "namespace": "openshift-adp"}, {"name": "a", "namespace": "openshift-adp"}],
    ),
    "extraManifests": ([{"name": "a", "namespace": "openshift-lifecycle-agent"}], []),
    "autoRollbackOnFailure": ({"initMonitorTimeoutSeconds": 600}, {"initMonitorTimeoutSeconds": 0}),
}
HELD: dict[str, Document] = {"bare": {}, "full": {field: value for field, (value, _) in FIELDS.items()}}


def changes(held: Document) -> Iterator[tuple[str, Document]]:
    """Changes of the frozen fields of a spec: none, each way for each field alone, and all together."""
    yield "nothing", {}
    for field, (value, other) in FIELDS.items():
        yield f"same {field}", {field: held.get(field)}
        yield f"set {field}", {field: other if field in held else value}
        yield f"empty {field}", {field: type(value)()}
        if field in held:
            yield f"remove {field}", {field: REMOVE}
    yield "all", {field: other for field, (_, other) in FIELDS.items()}


def requests(state: State, held: Document) -> Iterator[tuple[str, Document]]:
    """Every stage that can be asked for, with every change of the rest."""
    for stage, (label, change) in product((KEEP, *STAGES, REMOVE), changes(held)):
        asked = dict(change) if stage == KEEP else {"stage": stage, **change}
        yield f"{state.name}: stage {stage}, {label}", asked
