# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster through recover: it follows a script, and the clock moves only when somebody waits."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import Mine
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import Wishes
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover_drive import Patience, RecoverDrive, Tools
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    Observed,
    Outcome,
    Result,
    State,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

START = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
AFTER = {Action.ABORT: State.IDLE, Action.ROLLBACK: State.ROLLBACK_COMPLETED, Action.FINALIZE_ROLLBACK: State.IDLE}
AWAY = Unanswered("connect", "connection refused")


class World:
    """A cluster, what drives it, OADP on it, and its hub."""

    def __init__(self, state: State, **after: Any) -> None:
        self.state = state
        self.then: list[State] = after.pop("then", [])
        self.fails: dict[Action, tuple[Result, State]] = after.pop("fails", {})
        self.errors: list[Exception] = after.pop("errors", [])
        self.hub_error: IbuError | None = after.pop("hub_error", None)
        self.left = after.pop("left", "")
        self.busy_with = after.pop("busy", "")
        self.seconds = 0.0
        self.goals: list[Action] = []
        self.corrected: list[State] = []
        self.closed = 0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        assert seconds > 0, "a wait that does not wait spins"
        self.seconds += seconds
        if self.then:
            self.state = self.then.pop(0)

    def read(self) -> Observed:
        if self.errors:
            raise self.errors.pop(0)
        return Observed(self.state, stage="Prep", version="4.16.8", message="words")

    def patch(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Observed:
        raise AssertionError(f"nobody but a drive writes here: {body}")

    def changes(self, since: Observed, seconds: int) -> Iterator[Observed]:
        self.wait(threading.Event(), 1.0)
        yield self.read()

    def health(self) -> Any:
        raise AssertionError("nobody asks for it")

    def close(self) -> None:
        self.closed += 1

    # --- the other tools

    def drive(self, goals: list[Goal]) -> Any:
        world = self

        class Drive:
            view = View("site-0001", goals[0].action)

            def run(self) -> Outcome:
                action = goals[0].action
                world.goals.append(action)
                result, world.state = world.fails.get(action, (Result.DONE, AFTER[action]))
                return Outcome("site-0001", result, message="as it says", next_step="do this", changed=True)

        return Drive()

    def look(self) -> Mine:
        return Mine()

    def clean(self) -> tuple[Outcome, dict[str, Any]]:
        raise AssertionError("no cleanup has failed")

    def busy(self) -> str:
        return str(self.busy_with)

    def correction(self, observed: Observed) -> Correction:
        if self.hub_error:
            raise self.hub_error
        return Correction("the cluster is idle", remove=("lcm.openshift.io/ibgu-prep-failed",))

    def correct(self, observed: Observed) -> tuple[bool, str]:
        if self.hub_error:
            raise self.hub_error
        self.corrected.append(observed.state)
        return True, self.left


def drive(world: World, *, hub: bool = False, **options: Any) -> RecoverDrive:
    tools = Tools(world, world, world.drive, world if hub else None)
    wishes = options.pop("wishes", Wishes())
    return RecoverDrive(
        "site-0001",
        tools,
        wishes,
        Patience(),
        clock=world,  # type: ignore[arg-type]
        stop=options.pop("stop", threading.Event()),
        **{"logs_saved": True, **options},
    )


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.PREP_FAILED, [Action.ABORT]),
        (State.UPGRADE_FAILED_PRE_PIVOT, [Action.ABORT]),
        (State.ROLLED_BACK, [Action.ABORT]),
        (State.UPGRADE_FAILED_POST_PIVOT, [Action.ROLLBACK, Action.FINALIZE_ROLLBACK]),
        (State.ROLLBACK_RUNNING, [Action.ROLLBACK, Action.FINALIZE_ROLLBACK]),
        (State.ROLLBACK_COMPLETED, [Action.FINALIZE_ROLLBACK]),
        (State.IDLE, []),
        (State.PREP_COMPLETED, []),
        (State.UPGRADE_POST_PIVOT, []),
    ],
)
def test_step_by_step_to_idle(state: State, actions: list[Action]) -> None:
    world = World(state)

    ended = drive(world).run()

    assert ended.result is Result.DONE
    assert world.goals == actions
    assert ended.changed == bool(actions)
    assert world.closed


@pytest.mark.parametrize("look", [True, False])
@pytest.mark.parametrize("state", State)
def test_a_cluster_that_a_group_upgrade_works_on_is_left_alone(state: State, look: bool) -> None:
    world = World(state, busy="ibu/north")

    ended = drive(world, hub=True, look=look).run()

    assert world.goals == []
    alone = drive(World(state), look=True).run()
    if not look and alone.changed:
        assert ended.result is (Result.REFUSED if "fail" in state or state is State.ROLLED_BACK else Result.DONE)
    assert not ended.changed or state is State.IDLE


@pytest.mark.parametrize("state", State)
def test_a_look_touches_nothing_in_any_state(state: State) -> None:
    world = World(state)

    one = drive(world, hub=True, look=True)
    one.run()

    assert world.goals == []
    assert world.corrected == []
    assert one.recovery is not None
    assert one.seen is not None


@pytest.mark.parametrize("state", [State.PREP_FAILED, State.UPGRADE_FAILED_POST_PIVOT, State.ROLLBACK_COMPLETED])
def test_nothing_is_destroyed_before_the_logs_are_saved(state: State) -> None:
    world = World(state)
    one = drive(world, logs_saved=False)

    ended = one.run()

    assert (ended.result, one.needs_logs, world.goals) == (Result.REFUSED, True, [])
    assert "is not saved" in ended.message
    assert drive(World(state), logs_saved=False, wishes=Wishes(logs=False)).run().result is Result.DONE


def test_a_rollback_under_way_is_waited_for_and_then_wants_its_logs() -> None:
    world = World(State.ROLLBACK_RUNNING)
    one = drive(world, logs_saved=False)

    one.run()

    assert (world.goals, one.needs_logs) == ([Action.ROLLBACK], True)


@pytest.mark.parametrize("state", [State.ROLLBACK_FAILED, State.UNKNOWN, State.INVALID_TRANSITION])
def test_a_person_decides(state: State) -> None:
    world = World(state)

    ended = drive(world).run()

    assert ended.result is Result.FAILED
    assert "trigger-reconcile" in ended.next_step
    assert world.goals == []


def test_what_is_not_taken_up_is_waited_for_and_judged_by_what_becomes_of_it() -> None:
    world = World(State.PENDING, then=[State.PENDING, State.PREP_FAILED])
    assert drive(world).run().result is Result.DONE
    assert world.goals == [Action.ABORT]

    stuck = World(State.BLOCKED)
    ended = drive(stuck).run()
    assert ended.result is Result.TIMED_OUT
    assert stuck.seconds == pytest.approx(2400, abs=1)


def test_a_drive_that_fails_in_the_same_state_ends_it_in_its_own_words() -> None:
    world = World(State.PREP_FAILED, fails={Action.ABORT: (Result.REFUSED, State.PREP_FAILED)})

    ended = drive(world).run()

    assert (ended.result, ended.message, ended.next_step) == (
        Result.REFUSED,
        "as it says",
        "do this (docs/runbooks/prep-seed)",
    )
    assert world.goals == [Action.ABORT]


def test_a_drive_that_fails_into_another_state_goes_on_from_there() -> None:
    world = World(State.UPGRADE_FAILED_POST_PIVOT, fails={Action.ROLLBACK: (Result.FAILED, State.ROLLBACK_FAILED)})

    ended = drive(world).run()

    assert ended.message.startswith("a person must decide")


def test_going_round_in_circles_ends() -> None:
    fails = {
        Action.ROLLBACK: (Result.DONE, State.ROLLBACK_COMPLETED),
        Action.FINALIZE_ROLLBACK: (Result.DONE, State.ROLLBACK_RUNNING),
    }
    world = World(State.ROLLBACK_COMPLETED, fails=fails)

    ended = drive(world).run()

    assert ended.result is Result.FAILED
    assert "again and again" in ended.message


def test_the_hub_is_brought_into_line_in_the_end() -> None:
    world = World(State.PREP_FAILED, left="the group upgrade ibu/wave1 still lists it")

    ended = drive(world, hub=True).run()

    assert (ended.result, world.corrected) == (Result.DONE, [State.IDLE])
    assert ended.notes == ["the group upgrade ibu/wave1 still lists it"]


def test_a_hub_that_is_away_does_not_keep_the_cluster_from_its_recovery() -> None:
    world = World(State.PREP_FAILED, hub_error=IbuError("the hub does not answer"))

    ended = drive(world, hub=True).run()

    assert world.goals == [Action.ABORT]
    assert ended.result is Result.FAILED
    assert "recovered: it is idle" in ended.message
    assert "hub_labels -l site-0001" in ended.next_step


def test_no_contact_and_a_short_silence() -> None:
    assert drive(World(State.PREP_FAILED, errors=[AWAY] * 500)).run().result is Result.UNREACHABLE
    assert drive(World(State.PREP_FAILED, errors=[AWAY, AWAY])).run().result is Result.DONE


def test_a_stopped_run_says_so() -> None:
    stop = threading.Event()
    stop.set()

    ended = drive(World(State.PENDING), stop=stop).run()

    assert ended.result is Result.INTERRUPTED
