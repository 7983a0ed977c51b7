# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster's way through a plan: who takes part, what is kept, where a rerun goes on."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._steps import fold, not_selected, settled, start_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    Observed,
    Outcome,
    Result,
    SeedImage,
    State,
)

OLD, NEW = "4.16.8", "4.17.3"
SEED = SeedImage(NEW, "registry.example.com/seed:4.17.3")
SPEC = {"seedImageRef": SEED.as_spec()}
UP = (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE)
UNCLEAR = {
    State.UNKNOWN,
    State.INVALID_TRANSITION,
    State.ABSENT,
    State.NO_STATUS,
    State.PENDING,
    State.BLOCKED,
}
PREPARED = {
    State.PREP_COMPLETED,
    State.UPGRADE_PRE_PIVOT,
    State.UPGRADE_POST_PIVOT,
    State.UPGRADE_COMPLETED,
    State.UPGRADE_FAILED_PRE_PIVOT,
    State.UPGRADE_FAILED_POST_PIVOT,
    State.ROLLED_BACK,
}
BACK = {State.ROLLBACK_RUNNING, State.ROLLBACK_FAILED, State.ROLLBACK_COMPLETED}


def goals(*actions: Action) -> list[Goal]:
    return [Goal(action, SEED if action in UP else None) for action in actions]


def seen(state: State, version: str = OLD) -> Observed:
    return Observed(state, version=version, spec=SPEC)


def taken(version: str, *actions: Action) -> set[State]:
    return {state for state in State if not not_selected(seen(state, version), goals(*actions))}


# --- who takes part -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "old", "new"),
    [
        (Action.PREP, set(State), set(State)),
        (Action.UPGRADE, PREPARED, PREPARED | {State.IDLE, State.FINALIZING, State.FINALIZE_FAILED}),
        (
            Action.FINALIZE_UPGRADE,
            {State.UPGRADE_COMPLETED},
            {State.UPGRADE_COMPLETED, State.IDLE, State.FINALIZING, State.FINALIZE_FAILED},
        ),
        (Action.ROLLBACK, BACK | {State.UPGRADE_COMPLETED}, BACK | {State.UPGRADE_COMPLETED}),
        (
            Action.FINALIZE_ROLLBACK,
            {State.ROLLBACK_COMPLETED, State.ROLLBACK_FAILED, State.FINALIZING, State.FINALIZE_FAILED},
            {State.ROLLBACK_COMPLETED, State.ROLLBACK_FAILED},
        ),
        (Action.ABORT, set(State) - BACK - {State.UPGRADE_COMPLETED}, set(State) - BACK - {State.UPGRADE_COMPLETED}),
        (Action.ABORT_ON_FAILURE, set(State), set(State)),
    ],
)
def test_who_takes_part_in_a_step(action: Action, old: set[State], new: set[State]) -> None:
    """By the release that runs: the old one, or the seed's. Whoever cannot be judged is not passed over in silence."""
    assert taken(OLD, action) == old | UNCLEAR
    assert taken(NEW, action) == new | UNCLEAR


def test_a_step_takes_whoever_has_it_behind_them() -> None:
    assert not not_selected(seen(State.IDLE, NEW), goals(Action.UPGRADE, Action.FINALIZE_UPGRADE))


def test_the_reason_names_the_state_and_whom_the_action_takes() -> None:
    assert (
        not_selected(seen(State.IDLE), goals(Action.UPGRADE)) == "not selected: it is idle; Upgrade takes the prepared"
    )


# --- what is kept -------------------------------------------------------------------------------------------------


def outcome(result: Result = Result.DONE, *completed: str, **more: Any) -> Outcome:
    return Outcome("a", result, completed=list(completed), **more)


def through(*steps: tuple[str, Outcome]) -> Outcome:
    found = Outcome("a")
    for actions, latest in steps:
        found = fold(found, actions.split(), latest)
    return found


PREP_FAILED = outcome(
    Result.FAILED, action="Prep", stage="Prep", state="prep failed", message="bad seed", next_step="abort it"
)
LEFT_ALONE = outcome(Result.SKIPPED, state="idle", message="it is idle, not failed")
SITS_OUT = outcome(Result.SKIPPED, message="sits out: it failed in step 1")


def test_what_is_behind_a_cluster_adds_up() -> None:
    found = through(
        ("Prep", outcome(Result.DONE, "Prep", seconds=2.0, durations={"Prep": 1.0}, changed=True, started="1")),
        ("Upgrade", outcome(Result.DONE, "Upgrade", seconds=3.0, durations={"Upgrade": 2.0}, notes=["n"], started="2")),
    )

    assert (found.result, found.completed) == (Result.DONE, ["Prep", "Upgrade"])
    assert (found.seconds, found.durations, found.changed) == (5.0, {"Prep": 1.0, "Upgrade": 2.0}, True)
    assert (found.started, found.notes) == ("1", ["n"])
    assert [(step["actions"], step["result"]) for step in found.steps] == [(["Prep"], "done"), (["Upgrade"], "done")]


def test_a_failure_stays_although_the_cluster_is_idle_again() -> None:
    aborted = outcome(Result.DONE, "AbortOnFailure", action="AbortOnFailure", stage="Idle", state="idle")

    found = through(("Prep", PREP_FAILED), ("AbortOnFailure", aborted), ("Upgrade", SITS_OUT))

    assert (found.result, found.message, found.action, found.stage) == (Result.FAILED, "bad seed", "Prep", "Prep")
    assert (found.state, found.completed) == ("idle", ["AbortOnFailure"])
    assert found.notes == ["AbortOnFailure has brought it back to Idle"]
    assert "another outcome_file" in found.next_step
    assert [step["result"] for step in found.steps] == ["failed", "done", "skipped"]


def test_a_failed_abort_is_noted_beside_the_first_failure() -> None:
    stuck = outcome(Result.FAILED, action="AbortOnFailure", state="abort failed", message="stuck", next_step="clean up")

    found = through(("Prep", PREP_FAILED), ("AbortOnFailure", stuck))

    assert (found.message, found.notes, found.next_step) == ("bad seed", ["AbortOnFailure: stuck"], "clean up")


def test_a_failed_cluster_that_is_left_alone_says_why() -> None:
    late = outcome(Result.TIMED_OUT, action="Prep", message="too slow")

    found = through(("Prep", late), ("AbortOnFailure", outcome(Result.SKIPPED, state="preparing", message="preparing")))

    assert (found.result, found.notes) == (Result.TIMED_OUT, ["preparing"])


def test_while_a_failed_cluster_is_aborted_it_is_failed() -> None:
    found = through(("Prep", PREP_FAILED), ("AbortOnFailure", outcome(Result.IN_FLIGHT, state="aborting")))

    assert (found.result, found.steps[-1]["result"]) == (Result.FAILED, "in_flight")


@pytest.mark.parametrize(
    ("steps", "result", "message"),
    [
        ([("Prep", outcome()), ("AbortOnFailure", LEFT_ALONE)], Result.DONE, ""),
        ([("AbortOnFailure", LEFT_ALONE)], Result.SKIPPED, "it is idle, not failed"),
        ([("Prep", outcome()), ("Upgrade", LEFT_ALONE)], Result.SKIPPED, "it is idle, not failed"),
        (
            [("Upgrade", outcome(Result.SKIPPED, message="first")), ("FinalizeUpgrade", LEFT_ALONE)],
            Result.SKIPPED,
            "first",
        ),
        (
            [("Prep", outcome(Result.NEVER_STARTED, message="late")), ("Upgrade", LEFT_ALONE)],
            Result.NEVER_STARTED,
            "late",
        ),
        ([("Prep", outcome()), ("AbortOnFailure", outcome(Result.NEVER_STARTED, message="x"))], Result.DONE, ""),
        (
            [("Prep", outcome()), ("Upgrade", outcome(Result.NEVER_STARTED, message="late"))],
            Result.NEVER_STARTED,
            "late",
        ),
        ([("Prep", outcome(Result.NEVER_STARTED)), ("Upgrade", outcome())], Result.DONE, ""),
        ([("Prep", outcome()), ("Upgrade", outcome(Result.INTERRUPTED))], Result.INTERRUPTED, ""),
    ],
)
def test_which_step_decides(steps: list[tuple[str, Outcome]], result: Result, message: str) -> None:
    found = through(*steps)

    assert (found.result, found.message) == (result, message)


# --- where a rerun goes on ----------------------------------------------------------------------------------------


def test_nothing_known_begins_at_the_beginning() -> None:
    start = start_of(Outcome("a", Result.FAILED, message="of another run", durations={"Prep": 1.0}), 3)

    assert (start.index, start.begun) == (0, False)
    assert (start.outcome.result, start.outcome.message) == (Result.NEVER_STARTED, "")
    assert start.outcome.durations == {"Prep": 1.0}


@pytest.mark.parametrize(
    ("steps", "index"),
    [
        ([("Prep", outcome(Result.IN_FLIGHT))], 0),
        ([("Prep", outcome(Result.DONE, "Prep"))], 0),
        ([("Prep", outcome(Result.DONE, "Prep")), ("Upgrade", outcome(Result.IN_FLIGHT))], 1),
        ([("Prep", outcome()), ("AbortOnFailure", LEFT_ALONE), ("Upgrade", outcome(Result.INTERRUPTED))], 2),
        ([("Prep", outcome()), ("AbortOnFailure", LEFT_ALONE)], 0),
        ([("Prep", outcome()), ("Upgrade", outcome(Result.NEVER_STARTED))], 0),
        ([("Prep", PREP_FAILED), ("Upgrade", SITS_OUT)], 0),
        ([("Prep", outcome()), ("Upgrade", outcome(Result.TIMED_OUT)), ("FinalizeUpgrade", SITS_OUT)], 1),
    ],
)
def test_a_rerun_goes_on_in_the_last_step_that_was_begun(steps: list[tuple[str, Outcome]], index: int) -> None:
    start = start_of(through(*steps), 5)

    assert (start.index, start.begun) == (index, True)
    assert len(start.outcome.steps) == index
    assert not start.outcome.result.is_failure, "it is tried again"


def test_what_was_aborted_is_settled_and_stays_failed() -> None:
    aborted = outcome(Result.DONE, "AbortOnFailure", state="idle")

    start = start_of(through(("Prep", PREP_FAILED), ("AbortOnFailure", aborted), ("Upgrade", SITS_OUT)), 5)

    assert (start.index, start.begun) == (2, False)
    assert (start.outcome.result, start.outcome.message) == (Result.FAILED, "bad seed")
    assert (start.outcome.changed, start.outcome.completed) == (False, ["AbortOnFailure"])


@pytest.mark.parametrize("result", [Result.IN_FLIGHT, Result.INTERRUPTED, Result.FAILED])
def test_an_abort_that_was_begun_goes_on_as_an_abort(result: Result) -> None:
    start = start_of(through(("Prep", PREP_FAILED), ("AbortOnFailure", outcome(result, action="AbortOnFailure"))), 5)

    assert (start.index, start.begun, start.outcome.result) == (1, True, Result.FAILED)
    assert start.outcome.message == "bad seed"
    idle = outcome(Result.SKIPPED, action="AbortOnFailure", state="idle", message="not failed")
    ended = settled(idle, start)
    assert (ended.result, ended.completed, ended.message) == (Result.DONE, ["AbortOnFailure"], "")


def test_a_healthy_cluster_was_not_aborted_by_being_looked_at() -> None:
    start = start_of(through(("Prep", outcome()), ("AbortOnFailure", outcome(Result.IN_FLIGHT))), 5)
    idle = outcome(Result.SKIPPED, action="AbortOnFailure", state="idle", message="not failed")

    assert settled(idle, start) is idle


def test_a_rerun_does_not_note_the_same_twice() -> None:
    stuck = outcome(Result.FAILED, action="AbortOnFailure", state="abort failed", message="stuck")
    first = through(("Prep", PREP_FAILED), ("AbortOnFailure", stuck))

    assert fold(start_of(first, 2).outcome, ["AbortOnFailure"], stuck).notes == ["AbortOnFailure: stuck"]


def test_a_run_for_the_first_steps_only_leaves_alone_who_is_beyond_them() -> None:
    found = through(("Prep", outcome(Result.DONE, "Prep")), ("Upgrade", outcome(Result.FAILED, message="late")))

    start = start_of(found, 1)

    assert (start.index, start.outcome.result, start.outcome.completed) == (1, Result.DONE, ["Prep"])


def test_a_run_for_the_first_steps_only_knows_who_has_failed_in_them() -> None:
    aborted = outcome(Result.DONE, "AbortOnFailure", state="idle")

    start = start_of(through(("Prep", PREP_FAILED), ("AbortOnFailure", aborted)), 1)

    assert (start.index, start.outcome.result, start.outcome.message) == (1, Result.FAILED, "bad seed")
