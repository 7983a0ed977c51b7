# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan over many clusters, with drives that do what the test says. Real threads and the real outcome file."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_run import PlanRun
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, Observed, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

PATIENCE = 20
LETTERS = {
    "P": Action.PREP,
    "U": Action.UPGRADE,
    "F": Action.FINALIZE_UPGRADE,
    "A": Action.ABORT,
    "O": Action.ABORT_ON_FAILURE,
}
# What a drive does: its result, by "name actions" or by the name alone.
Script = dict[str, Any]


class FakeDrive:
    """Does what the script says for its cluster and step; done where it says nothing."""

    def __init__(self, case: Case, name: str, goals: Sequence[Goal], limits: Limits, judged: bool, away: bool) -> None:
        self.view, self.outcome = View(name), Outcome(name)
        self.case, self.limits, self.judged, self.away = case, limits, judged, away
        self.actions = [str(goal.action) for goal in goals]

    @property
    def key(self) -> str:
        return f"{self.outcome.name} {','.join(self.actions)}"

    def run(self) -> Outcome:
        self.case.driven.append(self)
        self.outcome.result, self.outcome.action = Result.IN_FLIGHT, self.actions[0]
        work = self.case.script.get(self.key, Result.DONE)
        result = work(self) if callable(work) else work
        self.outcome.result = result
        if result is Result.DONE:
            self.outcome.completed = list(self.actions)
        if self.actions == ["AbortOnFailure"] and not self.case.has_failed(self.outcome.name):
            self.outcome.result, self.outcome.completed = Result.SKIPPED, []
        if result.is_failure:
            self.outcome.message = f"failed in {self.actions[0]}"
        return self.outcome


class Case:
    """A plan in the making, and what was driven."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "outcome.json")
        self.lines: list[str] = []
        self.script: Script = {}
        self.driven: list[FakeDrive] = []
        self.stop = threading.Event()
        self.names = ["a", "b", "c"]

    @property
    def keys(self) -> list[str]:
        return [drive.key for drive in self.driven]

    def has_failed(self, name: str) -> bool:
        return any(drive.outcome.result.is_failure for drive in self.driven if drive.outcome.name == name) or bool(
            name in self.known_failures
        )

    known_failures: tuple[str, ...] = ()

    def run(self, letters: str, script: Script | None = None, width: int = 10, **more: Any) -> dict[str, Outcome]:
        self.script = script or {}
        self.driven = []
        strategy = {key: more.pop(key) for key in ("timeout", "timeout_per_cluster") if key in more}
        plan = [
            PlannedStep(tuple(str(LETTERS[letter]) for letter in step), width, **strategy) for step in letters.split()
        ]
        record = Record.load(self.path)
        record.begin("run", self.names, "now")
        run = PlanRun(
            plan,
            {name: [[Goal(Action(action)) for action in step.actions] for step in plan] for name in self.names},
            self.maker_of,
            limits=Limits(),
            record=record,
            clock=more.pop("clock", Clock()),
            stop=self.stop,
            show=self.lines.append,
            **more,
        )
        return run.run()

    def maker_of(
        self,
        name: str,
        goals: Sequence[Goal],
        limits: Limits,
        *,
        leaves: Callable[[Observed], str] | None,
        expect_away: bool,
    ) -> Any:
        return lambda _notify, _commit: FakeDrive(self, name, goals, limits, leaves is not None, expect_away)

    @property
    def saved(self) -> dict[str, Outcome]:
        return Record.load(self.path).clusters


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def results(outcomes: dict[str, Outcome]) -> str:
    return " ".join(str(outcome.result) for outcome in outcomes.values())


def test_steps_come_one_after_the_other_and_are_on_disk(case: Case) -> None:
    outcomes = case.run("P U F")

    assert results(outcomes) == results(case.saved) == "done done done"
    assert [key.partition(" ")[2] for key in case.keys] == ["Prep"] * 3 + ["Upgrade"] * 3 + ["FinalizeUpgrade"] * 3
    assert case.saved["a"].completed == ["Prep", "Upgrade", "FinalizeUpgrade"]
    assert any(line.startswith("STEP 2 of 3  [Upgrade]  3 clusters, at most 10 at a time") for line in case.lines)


def test_who_failed_is_driven_in_later_steps_only_if_they_abort(case: Case) -> None:
    outcomes = case.run("P O U O", {"a Prep": Result.FAILED})

    assert results(outcomes) == "failed done done"
    assert [key for key in case.keys if key.startswith("a ")] == ["a Prep", "a AbortOnFailure", "a AbortOnFailure"]
    assert outcomes["a"].message == "failed in Prep"
    assert outcomes["a"].steps[2]["message"] == "sits out: it failed in step 1"


def test_the_narrower_of_two_widths_counts(case: Case) -> None:
    lock, inside, most = threading.Lock(), [0], [0]
    case.names = [str(number) for number in range(8)]

    def count(_drive: FakeDrive) -> Result:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.01)
        with lock:
            inside[0] -= 1
        return Result.DONE

    case.run("P", {f"{name} Prep": count for name in case.names}, width=3)
    assert most[0] <= 3
    most[0] = 0
    case.run("P", {f"{name} Prep": count for name in case.names}, width=3, most=1)
    assert most[0] == 1


@pytest.mark.parametrize(("allowed", "driven"), [(0, 1), (1, 2), (2, 3)])
def test_a_spent_budget_begins_nobody_in_this_step_and_in_no_other(case: Case, allowed: int, driven: int) -> None:
    script = {f"{name} Prep": Result.FAILED for name in "abc"}

    outcomes = case.run("P O U", script, width=1, max_failures=allowed)

    assert case.keys[:driven] == [f"{name} Prep" for name in "abc"[:driven]]
    if allowed < 2:
        assert len(case.driven) == driven
        assert outcomes["c"].result is Result.NEVER_STARTED
        assert re.search(rf"more than {allowed} clusters? ha(s|ve) failed", outcomes["c"].message)


def test_the_budget_counts_over_all_steps_and_each_cluster_once(case: Case) -> None:
    script = {"a Prep": Result.FAILED, "a AbortOnFailure": Result.FAILED, "b Upgrade": Result.FAILED}

    outcomes = case.run("P O U F", script, width=1, max_failures=1)

    assert results(outcomes) == "failed failed never_started"
    assert outcomes["c"].completed == ["Prep"]
    assert "c Upgrade" not in case.keys and "a FinalizeUpgrade" not in case.keys


class Jumping(Clock):
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_the_time_of_a_step_is_everybodys(case: Case) -> None:
    clock = Jumping()

    def last(drive: FakeDrive) -> Result:
        clock.seconds += 300
        return Result.DONE

    outcomes = case.run("P U", {"b Prep": last}, width=1, timeout=5, clock=clock)

    assert [drive.limits.until for drive in case.driven[:2]] == [300, 300]
    assert [drive.limits.until for drive in case.driven[2:]] == [600] * 3, "each step has its own"
    assert outcomes["c"].steps[0]["result"] == "never_started"
    assert "step 1 [Prep] was over before its turn came" in outcomes["c"].steps[0]["message"]


def test_the_time_of_a_cluster_is_its_own(case: Case) -> None:
    case.run("P", timeout_per_cluster=7.5)

    assert {(drive.limits.whole, drive.limits.until) for drive in case.driven} == {(450, None)}


# --- run again ----------------------------------------------------------------------------------------------------


def stop_at(case: Case, key: str) -> dict[str, Outcome]:
    """Run until this drive is under way, then stop as a signal does."""

    def interrupt(_drive: FakeDrive) -> Result:
        case.stop.set()
        return Result.INTERRUPTED

    outcomes = case.run("P O U O", {**case.script, key: interrupt}, width=1)
    case.stop = threading.Event()
    return outcomes


def test_a_rerun_goes_on_where_each_cluster_was(case: Case) -> None:
    case.script = {"a Prep": Result.FAILED}
    stop_at(case, "b Upgrade")
    assert results(case.saved) == "failed interrupted done"
    assert Record.load(case.path).is_unfinished

    case.known_failures = ("a",)
    outcomes = case.run("P O U O", width=1)

    assert results(outcomes) == "failed done done"
    assert "a Prep" not in case.keys and "b Prep" not in case.keys
    assert [(drive.key, drive.judged) for drive in case.driven if "Upgrade" in drive.key] == [
        ("b Upgrade", False),
        ("c Upgrade", True),
    ], "whoever has begun a step is not selected again"
    assert not Record.load(case.path).is_unfinished


def test_an_abort_that_was_cut_off_is_no_new_beginning(case: Case) -> None:
    case.script = {"a Prep": Result.FAILED}
    stop_at(case, "a AbortOnFailure")

    assert case.saved["a"].result is Result.FAILED
    case.known_failures = ("a",)
    outcomes = case.run("P O U O", width=1)

    assert [key for key in case.keys if key.startswith("a ")] == ["a AbortOnFailure"] * 2
    assert (outcomes["a"].result, outcomes["a"].completed) == (Result.FAILED, ["AbortOnFailure"])


def test_between_two_steps_the_file_is_unfinished_too(case: Case) -> None:
    """Nobody is in flight then, and a plain second run must still find the file."""
    record = Record.load(case.path)
    record.begin("run", ["a"], "now")
    record.begin_plan((("Prep",), ("Upgrade",)))

    assert record.is_unfinished
    record.end_plan()
    assert not record.is_unfinished


def test_a_cluster_that_reboots_is_expected_to_be_away(case: Case) -> None:
    stop_at(case, "b Upgrade")

    case.run("P O U O")

    assert [drive.key for drive in case.driven if drive.away] == ["b Upgrade"]


def test_who_is_not_begun_keeps_what_the_file_says(case: Case) -> None:
    stop_at(case, "b Upgrade")

    case.run("P O U O", {"c Prep": Result.FAILED}, width=1, max_failures=0)

    assert Record.load(case.path).expects_away("b")


def test_a_longer_plan_goes_on_and_another_one_begins_anew(case: Case) -> None:
    case.run("P", {"a Prep": Result.DONE})
    case.run("P U")
    assert case.keys.count("a Prep") == 1, "asked again, and done by its state"
    assert case.saved["a"].completed == ["Prep", "Upgrade"]

    case.run("A")

    assert case.saved["a"].completed == ["Abort"]
    assert [len(outcome.steps) for outcome in case.saved.values()] == [1, 1, 1]


def test_a_rerun_step_by_step_is_the_same_as_one_of_the_whole_plan(case: Case) -> None:
    """A playbook that stops for a person between the steps gives the plan's beginning first, also when it is rerun."""
    case.script = {"a Prep": Result.FAILED}
    stop_at(case, "b Upgrade")
    case.known_failures = ("a",)

    assert results(case.run("P", width=1)) == "failed done done"
    assert not [key for key in case.keys if key[0] in "ab"]
    assert case.saved["b"].steps[-1]["actions"] == ["Upgrade"], "the file still knows what is under way"
    assert results(case.run("P O", width=1)) == "failed done done"
    assert results(case.run("P O U", width=1)) == "failed done done"
    assert [drive.key for drive in case.driven if "Upgrade" in drive.key and not drive.judged] == ["b Upgrade"]


def test_in_check_mode_nothing_is_said_of_steps_behind_the_next(case: Case) -> None:
    def would(drive: FakeDrive) -> Result:
        drive.outcome.message = "would go to Upgrade"
        return Result.SKIPPED

    def preview(drive: FakeDrive) -> Result:
        drive.outcome.message, drive.outcome.changed = "would go to Upgrade", True
        drive.actions = []
        return Result.DONE

    outcomes = case.run("P U F", {"a Upgrade": preview, "b Upgrade": would}, check=True)

    assert outcomes["a"].message == "step 2 [Upgrade]: would go to Upgrade"
    assert "a FinalizeUpgrade" not in case.keys
    assert "c FinalizeUpgrade" in case.keys


def test_a_disk_that_is_full_between_two_steps_strands_nobody(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    saves = [0]
    save = Record.save

    def full(record: Record) -> None:
        saves[0] += 1
        raise OSError("no space left on device")

    monkeypatch.setattr(Record, "save", full)
    outcomes = case.run("P U")
    monkeypatch.setattr(Record, "save", save)

    assert results(outcomes) == "done done done"
    assert saves[0] and any("no space left" in line for line in case.lines)
