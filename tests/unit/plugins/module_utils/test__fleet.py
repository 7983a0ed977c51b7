# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many drives at once, with drives that do what the test says. Real threads; events instead of sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet
from ansible_collections.sno.image_upgrade.plugins.module_utils._links import Links
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

PATIENCE = 20


class FakeDrive:
    def __init__(self, name: str, work: Callable[[FakeDrive], Result], commit: Callable[[], None]) -> None:
        self.view, self.outcome = View(name), Outcome(name)
        self.commit = commit
        self._work = work

    def run(self) -> Outcome:
        self.outcome.result = Result.IN_FLIGHT
        self.outcome.result = self._work(self)
        return self.outcome


class Case:
    """A fleet in the making, and what it showed."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.record = Record.load(str(folder / "outcome.json"))

    def run(self, works: dict[str, Callable[[FakeDrive], Result]], **more: Any) -> dict[str, Outcome]:
        self.record.begin("run", works, "now")
        members = {
            name: lambda _notify, commit, name=name, work=work: FakeDrive(name, work, commit)
            for name, work in works.items()
        }
        fleet = Fleet(
            members,  # type: ignore[arg-type]
            record=self.record,
            clock=more.pop("clock", None) or Clock(),
            stop=self.stop,
            show=self.lines.append,
            **more,
        )
        return fleet.run()

    @property
    def saved(self) -> dict[str, str]:
        return {name: str(found.result) for name, found in Record.load(self.record.path).clusters.items()}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def results(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: str(outcome.result) for name, outcome in outcomes.items()}


def good(_drive: FakeDrive) -> Result:
    return Result.DONE


def bad(_drive: FakeDrive) -> Result:
    return Result.FAILED


def test_everyone_has_an_outcome_and_it_is_on_disk(case: Case) -> None:
    outcomes = case.run({"a": good, "b": bad})

    assert results(outcomes) == case.saved == {"a": "done", "b": "failed"}
    assert any("b  FAILED" in line for line in case.lines)


def test_all_of_a_batch_run_at_once(case: Case) -> None:
    together = threading.Barrier(5, timeout=PATIENCE)

    def meet(_drive: FakeDrive) -> Result:
        together.wait()
        return Result.DONE

    assert set(results(case.run({str(n): meet for n in range(5)})).values()) == {"done"}


def test_the_window_is_kept_and_refilled(case: Case) -> None:
    lock, inside, most = threading.Lock(), [0], [0]
    pair = threading.Barrier(2, timeout=PATIENCE)

    def count(_drive: FakeDrive) -> Result:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        pair.wait()
        with lock:
            inside[0] -= 1
        return Result.DONE

    outcomes = case.run({str(n): count for n in range(6)}, concurrency=2)

    assert most == [2]
    assert set(results(outcomes).values()) == {"done"}


@pytest.mark.parametrize(("allowed", "started"), [(0, 1), (1, 2), (None, 4)])
def test_nobody_starts_once_too_many_have_failed(case: Case, allowed: int | None, started: int) -> None:
    outcomes = case.run({str(n): bad for n in range(4)}, concurrency=1, max_failures=allowed)

    assert list(results(outcomes).values()) == ["failed"] * started + ["never_started"] * (4 - started)


def test_a_defect_in_one_drive_is_its_own_failure(case: Case) -> None:
    def explode(_drive: FakeDrive) -> Result:
        raise KeyError("surprise")

    outcomes = case.run({"a": explode, "b": good})

    assert results(outcomes) == {"a": "failed", "b": "done"}
    assert "internal error: KeyError" in outcomes["a"].message


def test_a_commit_returns_once_the_file_says_so(case: Case) -> None:
    seen: list[dict[str, str]] = []

    def commit(drive: FakeDrive) -> Result:
        drive.commit()
        seen.append(case.saved)
        return Result.DONE

    case.run({"a": commit})

    assert seen == [{"a": "in_flight"}]


@pytest.mark.parametrize("how", ["signal", "orphan"])
def test_a_stopped_run_leaves_a_complete_file(case: Case, how: str) -> None:
    running, release, wanted = threading.Event(), threading.Event(), [True]

    def hang(_drive: FakeDrive) -> Result:
        running.set()
        release.wait(PATIENCE)
        return Result.DONE

    def stop_it() -> None:
        running.wait(PATIENCE)
        if how == "signal":
            case.stop.set()
        wanted[0] = False

    threading.Thread(target=stop_it).start()
    is_wanted = (lambda: wanted[0]) if how == "orphan" else (lambda: True)
    try:
        outcomes = case.run({"a": hang, "b": hang}, concurrency=1, is_wanted=is_wanted)
    finally:
        release.set()

    assert case.stop.is_set()
    assert results(outcomes) == {"a": "interrupted", "b": "never_started"}
    assert case.saved == {"a": "interrupted", "b": "never_started"}


def test_who_was_not_started_keeps_what_an_earlier_run_said(case: Case) -> None:
    case.record.begin("earlier", ["a", "b"], "then")
    case.record.put(Outcome("b", Result.INTERRUPTED, action="Upgrade"))

    case.run({"a": bad, "b": good}, concurrency=1, max_failures=0)

    assert Record.load(case.record.path).expects_away("b")


def test_a_full_disk_is_said_once_and_strands_nobody(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(case.record, "save", full)

    outcomes = case.run({"a": good, "b": good}, concurrency=1)

    assert set(results(outcomes).values()) == {"done"}
    assert len([line for line in case.lines if "no space left" in line]) == 1


def test_a_cluster_that_cannot_even_be_prepared_is_its_own_failure(case: Case) -> None:
    case.record.begin("run", ["a", "b"], "now")

    def broken(*_callbacks: Callable[[], None]) -> Any:
        raise ValueError("no such kubeconfig")

    members = {"a": broken, "b": lambda _notify, commit: FakeDrive("b", good, commit)}
    fleet = Fleet(members, record=case.record, clock=Clock(), stop=case.stop, show=case.lines.append)  # type: ignore[arg-type]

    assert results(fleet.run()) == {"a": "failed", "b": "done"}


def test_many_commits_share_saves_and_each_finds_itself_saved(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    saves: list[int] = []
    save = case.record.save
    together = threading.Barrier(20, timeout=PATIENCE)

    def counted() -> None:
        saves.append(1)
        save()

    def commit(drive: FakeDrive) -> Result:
        together.wait()
        drive.outcome.message = "sent"
        drive.commit()
        assert Record.load(case.record.path).clusters[drive.outcome.name].message == "sent"
        return Result.DONE

    monkeypatch.setattr(case.record, "save", counted)
    outcomes = case.run({str(n): commit for n in range(20)})

    assert set(results(outcomes).values()) == {"done"}, outcomes
    assert len(saves) < 25


def test_a_commit_that_follows_another_closely_waits_for_more_to_come(case: Case) -> None:
    waits: list[float] = []

    class Standing(Clock):
        def monotonic(self) -> float:
            return 5.0

        def wait(self, stop: threading.Event, seconds: float) -> None:
            waits.append(seconds)

    def commit(drive: FakeDrive) -> Result:
        drive.commit()
        assert waits == []
        drive.commit()
        return Result.DONE

    assert results(case.run({"a": commit}, clock=Standing())) == {"a": "done"}
    assert waits == [pytest.approx(0.1)]


def test_a_commit_on_a_full_disk_strands_nobody(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    def commit(drive: FakeDrive) -> Result:
        drive.commit()
        return Result.DONE

    monkeypatch.setattr(case.record, "save", full)

    assert results(case.run({"a": commit})) == {"a": "done"}


def test_a_commit_after_the_end_of_a_stopped_run_does_not_hang(case: Case) -> None:
    over, ended = threading.Event(), threading.Event()

    def commit_late(drive: FakeDrive) -> Result:
        case.stop.set()
        over.wait(PATIENCE)
        drive.commit()
        ended.set()
        return Result.INTERRUPTED

    outcomes = case.run({"a": commit_late, "b": good}, concurrency=1)
    over.set()

    assert ended.wait(PATIENCE)
    assert results(outcomes)["b"] == "never_started"


def test_a_slot_is_refilled_while_another_is_slow(case: Case) -> None:
    last = threading.Event()

    def slow(_drive: FakeDrive) -> Result:
        return Result.DONE if last.wait(PATIENCE) else Result.TIMED_OUT

    def finish(_drive: FakeDrive) -> Result:
        last.set()
        return Result.DONE

    outcomes = case.run({"slow": slow, "b": good, "c": good, "d": finish}, concurrency=2)

    assert set(results(outcomes).values()) == {"done"}


@pytest.mark.parametrize("result", [Result.SKIPPED, Result.INTERRUPTED])
def test_only_failures_count(case: Case, result: Result) -> None:
    outcomes = case.run({str(n): lambda _drive: result for n in range(3)}, concurrency=1, max_failures=0)

    assert set(results(outcomes).values()) == {str(result)}


def test_every_failure_is_told_once_and_no_success(case: Case) -> None:
    def look_again(drive: FakeDrive) -> Result:
        for _round in range(3):
            drive.commit()
        return Result.DONE

    case.run({"a": bad, "b": look_again, "c": bad}, concurrency=1)

    told = [line.split()[0] for line in case.lines if "FAILED" in line]
    assert sorted(told) == ["a", "c"]


def test_a_batch_of_nobody(case: Case) -> None:
    assert case.run({}) == {}


class Jumping(Clock):
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_nobody_starts_once_the_time_is_over(case: Case) -> None:
    clock = Jumping()

    def slow(_drive: FakeDrive) -> Result:
        clock.seconds += 60
        return Result.DONE

    outcomes = case.run({str(n): slow for n in range(4)}, concurrency=1, clock=clock, until=120)

    assert list(results(outcomes).values()) == ["done", "done", "never_started", "never_started"]


@pytest.mark.parametrize(("before", "started"), [((), 2), (("x",), 1), (("x", "y"), 0), (("0", "1"), 0)])
def test_who_has_failed_before_counts_along(case: Case, before: tuple[str, ...], started: int) -> None:
    outcomes = case.run({str(n): bad for n in range(4)}, concurrency=1, max_failures=1, failed_before=before)

    assert list(results(outcomes).values()) == ["failed"] * started + ["never_started"] * (4 - started)


def test_who_fails_once_more_is_not_counted_twice(case: Case) -> None:
    outcomes = case.run({"0": bad, "1": good, "2": good}, concurrency=1, max_failures=1, failed_before=["0"])

    assert list(results(outcomes).values()) == ["failed", "done", "done"]


def test_a_full_link_holds_up_only_those_behind_it(case: Case) -> None:
    lock, inside, most = threading.Lock(), [0], [0]
    apart = threading.Event()

    def pull(_drive: FakeDrive) -> Result:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        # The one without a link comes last in line, and gets by all the same.
        assert apart.wait(PATIENCE)
        with lock:
            inside[0] -= 1
        return Result.DONE

    def pass_by(_drive: FakeDrive) -> Result:
        apart.set()
        return Result.DONE

    links = Links({str(n): "north" for n in range(6)}, 2)
    outcomes = case.run({**{str(n): pull for n in range(6)}, "free": pass_by}, links=links, concurrency=7)
    assert set(results(outcomes).values()) == {"done"} and len(outcomes) == 7
    assert most[0] == 2
