# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Reading an ImageBasedUpgrade document: documents in, an Observed value out. No I/O, no clock."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Observed,
    Progress,
    Stage,
    StageTiming,
    State,
)

_Condition = t.Mapping[str, t.Any]
_Conditions = t.Mapping[str, _Condition]

_IDLE_REASONS = {
    "Aborting": State.ABORTING,
    "AbortFailed": State.ABORT_FAILED,
    "Finalizing": State.FINALIZING,
    "FinalizeFailed": State.FINALIZE_FAILED,
    "Blocked": State.BLOCKED,
    "InvalidTransition": State.INVALID_TRANSITION,
    # The normal reason from Prep until finalize: with stage Idle it says that the agent has not looked yet.
    "InProgress": State.PENDING,
}

_AUTOMATIC_ROLLBACK = ("Rollback due to", "Uncontrolled rollback")
_HEALTH_MARK = "one or more health checks failed:"
_PRECACHE_COUNTS = re.compile(r"total: (\d+) \(pulled: (\d+), failed: (\d+)\)")
_JOBS = {"lca-prep-stateroot-setup": "stateroot", "lca-prep-precache": "precache"}
_JOB_PHASES = {"Stateroot": "stateroot", "Precache": "precache"}


def seconds_in(observed: Observed, stage: Stage, began_at: datetime.datetime | None) -> float | None:
    """How long a stage took: the agent's own timing where its history still has it; going Idle empties the history.

    ``began_at``: when the stage was asked for, by the cluster's clock.
    """
    known = next((timing.seconds for timing in observed.history if timing.stage == stage and timing.seconds), None)
    ended_at = observed.since or observed.now
    if known is not None or not (began_at and ended_at):
        return known
    return max(0.0, (ended_at - began_at).total_seconds())


def observe(ibu: t.Mapping[str, t.Any] | None, version: str | None, now: datetime.datetime | None = None) -> Observed:
    """What one read of a cluster says.

    ``ibu`` is the ImageBasedUpgrade document (None: the API has none), ``version`` the ClusterVersion's
    ``status.desired.version`` (None: not known), ``now`` the cluster's clock at the time of the read.
    """
    if ibu is None:
        return Observed(State.ABSENT, version=version, now=now)
    meta, spec, status = (ibu.get(key) or {} for key in ("metadata", "spec", "status"))
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    history = _history(status.get("history") or ())
    state, deciding = _state(ibu, conditions, history, version)
    return Observed(
        state=state,
        stage=spec.get("stage"),
        version=version,
        reason=str(deciding.get("reason", "")),
        message=str(deciding.get("message", "")),
        since=parse_time(deciding.get("lastTransitionTime")),
        valid_next=tuple(status.get("validNextStages") or ()),
        uid=meta.get("uid"),
        generation=meta.get("generation"),
        observed_generation=status.get("observedGeneration"),
        resource_version=meta.get("resourceVersion"),
        spec=spec,
        annotations=meta.get("annotations") or {},
        rollback_until=parse_time(status.get("rollbackAvailabilityExpiration")),
        history=history,
        progress=_progress(str(deciding.get("message", "")), history),
        now=now,
    )


def parse_time(text: str | None) -> datetime.datetime | None:
    """An RFC 3339 time of the API (always UTC) as an aware datetime; None stays None."""
    if not text:
        return None
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _state(
    ibu: t.Mapping[str, t.Any], conditions: _Conditions, history: tuple[StageTiming, ...], version: str | None
) -> tuple[State, _Condition]:
    """The state, and the condition whose words explain it."""
    if not conditions:
        return State.NO_STATUS, {}
    stage = str((ibu.get("spec") or {}).get("stage"))
    status = ibu["status"]
    if _is_stale(ibu):
        return State.PENDING, {}
    if stage == Stage.IDLE:
        return _idle_state(conditions.get("Idle", {}))
    running = conditions.get(f"{stage}InProgress", {})
    completed = conditions.get(f"{stage}Completed", {})
    if stage not in set(Stage) and (running or completed):
        return State.UNKNOWN, running or completed
    if running.get("reason") == "Blocked":
        return State.BLOCKED, running
    if running.get("reason") == "InvalidTransition":
        return State.INVALID_TRANSITION, running
    if completed.get("status") == "True":
        return _COMPLETED[stage], completed
    if completed.get("status") == "False" and completed.get("reason") == "Failed":
        # The Completed condition only says "Prep failed"; the cause stands in the InProgress condition.
        return _failed_state(stage, running, status, _is_after_pivot(ibu, history, version)), running
    if running.get("status") == "True":
        return _running_state(stage, _is_after_pivot(ibu, history, version)), running
    return State.PENDING, {}


_COMPLETED: t.Mapping[str, State] = {
    Stage.PREP: State.PREP_COMPLETED,
    Stage.UPGRADE: State.UPGRADE_COMPLETED,
    Stage.ROLLBACK: State.ROLLBACK_COMPLETED,
}


def _is_stale(ibu: t.Mapping[str, t.Any]) -> bool:
    """True where the agent has not yet looked at the spec's latest change.

    Only ever compared inside one object: after a pivot the generation restarts at 1 while the restored status may
    carry a higher number.
    """
    observed = ibu["status"].get("observedGeneration")
    generation = (ibu.get("metadata") or {}).get("generation")
    return observed is not None and generation is not None and observed < generation


def _idle_state(idle: _Condition) -> tuple[State, _Condition]:
    if idle.get("status") == "True":
        return State.IDLE, idle
    return _IDLE_REASONS.get(str(idle.get("reason")), State.UNKNOWN), idle


def _running_state(stage: str, after_pivot: bool) -> State:
    if stage == Stage.UPGRADE:
        return State.UPGRADE_POST_PIVOT if after_pivot else State.UPGRADE_PRE_PIVOT
    return State.PREP_RUNNING if stage == Stage.PREP else State.ROLLBACK_RUNNING


def _failed_state(stage: str, running: _Condition, status: t.Mapping[str, t.Any], after_pivot: bool) -> State:
    if stage == Stage.PREP:
        return State.PREP_FAILED
    if stage == Stage.ROLLBACK:
        return State.ROLLBACK_FAILED
    if str(running.get("message", "")).startswith(_AUTOMATIC_ROLLBACK):
        # The words are written before the reboot; only the list of next stages proves that the way back is over.
        return State.ROLLED_BACK if Stage.IDLE in (status.get("validNextStages") or ()) else State.PENDING
    return State.UPGRADE_FAILED_POST_PIVOT if after_pivot else State.UPGRADE_FAILED_PRE_PIVOT


def _is_after_pivot(ibu: t.Mapping[str, t.Any], history: tuple[StageTiming, ...], version: str | None) -> bool:
    status, spec = ibu["status"], ibu.get("spec") or {}
    next_stages = status.get("validNextStages") or ()
    if Stage.ROLLBACK in next_stages:
        return True
    if Stage.IDLE in next_stages and version != (spec.get("seedImageRef") or {}).get("version"):
        return False
    return version == (spec.get("seedImageRef") or {}).get("version") or any(
        "PostPivot" in timing.phases for timing in history
    )


def _history(entries: t.Iterable[t.Mapping[str, t.Any]]) -> tuple[StageTiming, ...]:
    return tuple(
        StageTiming(
            stage=str(entry.get("stage")),
            started=parse_time(entry.get("startTime")),
            seconds=_seconds(entry),
            phases={str(phase.get("phase")): _seconds(phase) for phase in entry.get("phases") or ()},
        )
        for entry in entries
    )


def _seconds(entry: t.Mapping[str, t.Any]) -> float | None:
    start, end = parse_time(entry.get("startTime")), parse_time(entry.get("completionTime"))
    return (end - start).total_seconds() if start and end else None


def _progress(message: str, history: tuple[StageTiming, ...]) -> Progress:
    phase = next((name for name, seconds in history[-1].phases.items() if seconds is None), None) if history else None
    job = next((short for name, short in _JOBS.items() if name in message), _JOB_PHASES.get(phase or ""))
    counts = _PRECACHE_COUNTS.search(message)
    total, pulled, failed = (int(number) for number in counts.groups()) if counts else (None, None, None)
    return Progress(phase, job, total, pulled, failed, health_failures(message), message)


def health_failures(message: str) -> tuple[str, ...]:
    """The health checks that hold a stage up, in the agent's words; empty where it waits for nothing of the kind."""
    _before, mark, checks = message.partition(_HEALTH_MARK)
    if not mark:
        return ()
    return tuple(check.strip() for check in re.split(r"\n\s*-\s+", checks.strip()) if check.strip())
