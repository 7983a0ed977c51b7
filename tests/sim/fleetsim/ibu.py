# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of an ImageBasedUpgrade as the Lifecycle Agent writes it: conditions, history, next stages. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from fleetsim.clock import rfc3339

Status = dict[str, Any]

NAME = "upgrade"
MANUAL_CLEANUP = "lca.openshift.io/manual-cleanup-done"
TRIGGER_RECONCILE = "lca.openshift.io/trigger-reconcile"
VALIDATION_WARNING = "extra-manifest.lca.openshift.io/validation-warning"
AUTO_ROLLBACK = "auto-rollback-on-failure.lca.openshift.io/"

IDLE_BUSY = ("Aborting", "AbortFailed", "Finalizing", "FinalizeFailed")


def condition(status: Status, kind: str) -> dict[str, Any] | None:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), None)


def is_true(status: Status, kind: str) -> bool:
    found = condition(status, kind)
    return found is not None and found["status"] == "True"


def reason(status: Status, kind: str) -> str:
    found = condition(status, kind)
    return str(found["reason"]) if found else ""


def set_condition(
    status: Status, kind: str, value: bool, why: str, message: str, generation: int, now: datetime
) -> None:
    """A condition whose status flips goes to the end of the list, and Idle always does."""
    conditions: list[dict[str, Any]] = status.setdefault("conditions", [])
    old = condition(status, kind)
    wanted = {
        "lastTransitionTime": rfc3339(now),
        "message": message,
        "observedGeneration": generation,
        "reason": why,
        "status": "True" if value else "False",
        "type": kind,
    }
    if old is None:
        conditions.append(wanted)
        return
    if old["status"] == wanted["status"]:
        wanted["lastTransitionTime"] = old["lastTransitionTime"]
        if kind != "Idle":
            old.update(wanted)
            return
    conditions.remove(old)
    conditions.append(wanted)


def keep_only(status: Status, *kinds: str) -> None:
    status["conditions"] = [c for c in status.get("conditions", ()) if c["type"] in kinds]


def drop_condition(status: Status, kind: str) -> None:
    status["conditions"] = [c for c in status.get("conditions", ()) if c["type"] != kind]


def outcome(status: Status, stage: str) -> str:
    """`completed`, `failed`, `running`, or nothing when the stage was not begun."""
    completed = condition(status, f"{stage}Completed")
    if completed is not None:
        return "completed" if completed["status"] == "True" else "failed"
    return "running" if is_true(status, f"{stage}InProgress") else ""


def next_stages(status: Status, pivoted: bool) -> list[str]:
    """Which stages may be asked for next; an empty list is left out of the status."""
    if not status.get("conditions"):
        return []
    if is_true(status, "Idle"):
        return ["Prep"]
    if reason(status, "Idle") in IDLE_BUSY:
        return []
    back = outcome(status, "Rollback")
    if back:
        return ["Idle"] if back == "completed" else []
    upgrade = outcome(status, "Upgrade")
    if upgrade == "completed":
        return ["Idle", "Rollback"]
    if upgrade:
        return ["Rollback"] if pivoted else ["Idle"]
    prep = outcome(status, "Prep")
    if prep:
        return ["Idle", "Upgrade"] if prep == "completed" else ["Idle"]
    return []


def start_stage(status: Status, stage: str, now: datetime) -> None:
    history: list[dict[str, Any]] = status.setdefault("history", [])
    if not any(entry["stage"] == stage for entry in history):
        history.append({"stage": stage, "startTime": rfc3339(now)})


def end_stage(status: Status, stage: str, now: datetime) -> None:
    for entry in status.get("history", ()):
        if entry["stage"] == stage:
            entry["completionTime"] = rfc3339(now)


def start_phase(status: Status, stage: str, phase: str, now: datetime) -> None:
    for entry in status.get("history", ()):
        if entry["stage"] == stage:
            phases = entry.setdefault("phases", [])
            if not any(p["phase"] == phase for p in phases):
                phases.append({"phase": phase, "startTime": rfc3339(now)})


def end_phase(status: Status, stage: str, phase: str, now: datetime) -> None:
    for entry in status.get("history", ()):
        for found in entry.get("phases", ()):
            if entry["stage"] == stage and found["phase"] == phase:
                found["completionTime"] = rfc3339(now)


def osname(version: str) -> str:
    """The stateroot's name for a version."""
    return "rhcos_" + version.replace("-", "_")


def go_duration(seconds: float) -> str:
    """Go's spelling: 30m0s, 1h0m0s, 45s."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


_SEMVER = re.compile(r"^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")


def version_key(version: str) -> tuple[Any, ...]:
    """Semver order; ValueError for what is not semver. A release is above its own pre-releases."""
    found = _SEMVER.match(version)
    if not found:
        raise ValueError(f"{version} is not in dotted-tri format")
    pre = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in (found[4] or "").split(".") if p)
    return (int(found[1]), int(found[2]), int(found[3]), found[4] is None, pre)
