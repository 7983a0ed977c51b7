# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One cluster's way through the steps of a plan: who takes part, what is kept, where a rerun goes on. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import resume, runs_goal
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    Observed,
    Outcome,
    Result,
    State,
)

ABORTS = frozenset({Action.ABORT, Action.ABORT_ON_FAILURE})


def prepares_only(actions: t.Sequence[str]) -> bool:
    """True where the clusters only pull images, so that what bounds them is the line and not the risk."""
    return tuple(actions) == (Action.PREP,)


_PREPARED = frozenset(
    {
        State.PREP_COMPLETED,
        State.UPGRADE_PRE_PIVOT,
        State.UPGRADE_POST_PIVOT,
        State.UPGRADE_COMPLETED,
        State.UPGRADE_FAILED_PRE_PIVOT,
        State.UPGRADE_FAILED_POST_PIVOT,
        State.ROLLED_BACK,
    }
)
_GOING_BACK = frozenset({State.ROLLBACK_RUNNING, State.ROLLBACK_FAILED, State.ROLLBACK_COMPLETED})
_FINALIZING = frozenset({State.FINALIZING, State.FINALIZE_FAILED})
# Nobody can tell who these are; the decision says what is wrong with them, or waits.
_UNCLEAR = frozenset(
    {State.UNKNOWN, State.INVALID_TRANSITION, State.ABSENT, State.NO_STATUS, State.PENDING, State.BLOCKED}
)

# Of a step: neither begun by the cluster, nor anything that a rerun would have to go on with.
_NOT_BEGUN = frozenset({str(Result.SKIPPED), str(Result.NEVER_STARTED)})


# --- who takes part -----------------------------------------------------------------------------------------------


def not_selected(observed: Observed, goals: t.Sequence[Goal]) -> str:
    """Why a step with these goals leaves the cluster alone; "" where it takes it.

    The hub selects by the labels that the actions before have left; here the cluster's own state says the same. A
    cluster that has the step behind it belongs to it.
    """
    if observed.state in _UNCLEAR or _takes(observed, goals):
        return ""
    return f"not selected: it is {observed.state}; {_WHOM[goals[0].action]}"


_WHOM = {
    Action.UPGRADE: "Upgrade takes the prepared",
    Action.FINALIZE_UPGRADE: "FinalizeUpgrade takes the upgraded",
    Action.ROLLBACK: "Rollback takes the upgraded",
    Action.FINALIZE_ROLLBACK: "FinalizeRollback takes those that were rolled back on request",
    Action.ABORT: "Abort leaves the upgraded alone",
}


def _takes(observed: Observed, goals: t.Sequence[Goal]) -> bool:
    state, goal = observed.state, goals[0]
    if goal.action is Action.UPGRADE:
        return state in _PREPARED or resume(observed, goals) > 0
    if goal.action is Action.FINALIZE_UPGRADE:
        behind = state is State.IDLE or state in _FINALIZING
        return state is State.UPGRADE_COMPLETED or (behind and runs_goal(observed, goal))
    if goal.action is Action.ROLLBACK:
        return state is State.UPGRADE_COMPLETED or state in _GOING_BACK
    if goal.action is Action.FINALIZE_ROLLBACK:
        behind = state in _FINALIZING and not observed.at_target
        return state in (State.ROLLBACK_COMPLETED, State.ROLLBACK_FAILED) or behind
    if goal.action is Action.ABORT:
        return state is not State.UPGRADE_COMPLETED and state not in _GOING_BACK
    # Prep takes everybody. Who has failed, AbortOnFailure itself knows best.
    return True


# --- what is kept -------------------------------------------------------------------------------------------------


def fold(before: Outcome, actions: t.Sequence[str], latest: Outcome) -> Outcome:
    """The cluster's outcome after a further step of its plan, or in the middle of it.

    A failure stays: whoever failed did not get what the plan is for, even when AbortOnFailure has cleaned up since.
    """
    entry = {
        "actions": list(actions),
        "result": str(latest.result),
        "completed": list(latest.completed),
        "message": latest.message,
    }
    merged = dataclasses.replace(
        latest if _decides(before, actions, latest) else before,
        name=before.name,
        version_before=before.version_before or latest.version_before,
        version_after=latest.version_after or before.version_after,
        state=latest.state or before.state,
        rollback_until=latest.rollback_until if latest.state else before.rollback_until,
        started=before.started or latest.started,
        ended=latest.ended or before.ended,
        seconds=_sum(before.seconds, latest.seconds),
        away_seconds=max(before.away_seconds, latest.away_seconds),
        changed=before.changed or latest.changed,
        durations={**before.durations, **latest.durations},
        completed=list(dict.fromkeys((*before.completed, *latest.completed))),
        notes=list(before.notes),
        steps=[*before.steps, entry],
    )
    notes = [*latest.notes, *(_after_failure(merged, latest) if before.result.is_failure else ())]
    # A rerun finds the same again.
    merged.notes.extend(note for note in notes if note not in merged.notes)
    return merged


def _decides(before: Outcome, actions: t.Sequence[str], latest: Outcome) -> bool:
    """True where the step, and not what was before it, says how the cluster's plan ends."""
    if before.result.is_failure:
        return False
    if not before.steps or latest.result not in (Result.SKIPPED, Result.NEVER_STARTED):
        return True
    # That nobody had to be aborted is good news, and whoever was left out before was left out for the first reason.
    return actions[0] != Action.ABORT_ON_FAILURE and before.result not in (Result.SKIPPED, Result.NEVER_STARTED)


def _after_failure(merged: Outcome, latest: Outcome) -> list[str]:
    """What to add about a cluster that failed before and was seen again, in a step that aborts."""
    if aborts := ABORTS & set(latest.completed):
        merged.next_step = "mend the cause, then begin again with another outcome_file"
        return [f"{next(iter(aborts))} has brought it back to Idle"]
    if latest.result.is_failure:
        merged.next_step = latest.next_step or merged.next_step
        return [f"{latest.action}: {latest.message}"]
    return [latest.message] if latest.state and latest.message else []


def _sum(one: float | None, other: float | None) -> float | None:
    return one if other is None else round((one or 0.0) + other, 3)


# --- where a rerun goes on ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a run takes a cluster up. ``begun``: an earlier run has begun that very step, so nobody selects again."""

    index: int
    outcome: Outcome
    begun: bool = False


def start_of(recorded: Outcome, steps: int) -> Start:
    """Where to go on with a cluster in a plan of so many steps, after what the outcome file tells of the same plan.

    It goes on in the last step that it has begun, from its own state: an earlier step would undo what this one did,
    as Prep does for a cluster that was aborted. A step that it failed is tried again, unless it was aborted since.
    """
    index = next((n for n in reversed(range(len(recorded.steps))) if _is_begun(recorded.steps[n])), None)
    if index is None:
        return Start(0, _fresh(recorded, 0))
    if index >= steps:
        # This run is for the first steps only, and they are behind it.
        failed = _has_failed(recorded.steps[:steps])
        return Start(steps, _kept(recorded, steps) if failed else _fresh(recorded, steps), begun=True)
    if _is_aborted(recorded.steps[index]):
        # Nothing shows in its state that it was; and nothing is left to do.
        return Start(index + 1, _kept(recorded, index + 1))
    if _has_failed(recorded.steps[:index]):
        return Start(index, _kept(recorded, index), begun=True)
    return Start(index, _fresh(recorded, index), begun=True)


def _is_begun(step: t.Mapping[str, t.Any]) -> bool:
    return step["result"] not in _NOT_BEGUN


def _is_aborted(step: t.Mapping[str, t.Any]) -> bool:
    return step["result"] == Result.DONE and step["actions"][0] in ABORTS


def _has_failed(steps: t.Iterable[t.Mapping[str, t.Any]]) -> bool:
    return any(Result(step["result"]).is_failure for step in steps)


def _kept(recorded: Outcome, index: int) -> Outcome:
    """The outcome as it is in the file, without the steps that are run again."""
    steps = recorded.steps[:index]
    return dataclasses.replace(recorded, changed=False, steps=steps, completed=_completed(steps))


def _fresh(recorded: Outcome, index: int) -> Outcome:
    """An outcome that knows what is behind the cluster, and nothing of how it ended in an earlier run."""
    steps = recorded.steps[:index]
    return Outcome(
        recorded.name,
        Result.DONE if index else Result.NEVER_STARTED,
        version_before=recorded.version_before,
        durations=dict(recorded.durations),
        completed=_completed(steps),
        steps=steps,
    )


def _completed(steps: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    return list(dict.fromkeys(action for step in steps for action in step["completed"]))


def settled(latest: Outcome, start: Start) -> Outcome:
    """What a step that an earlier run had begun has come to, where the cluster's state alone cannot tell any more."""
    failed = start.begun and start.outcome.result.is_failure
    if failed and latest.result is Result.SKIPPED and latest.state == State.IDLE and latest.action in ABORTS:
        return dataclasses.replace(latest, result=Result.DONE, message="", completed=[str(latest.action)])
    return latest
