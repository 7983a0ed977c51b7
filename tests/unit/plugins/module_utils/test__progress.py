# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that a user reads while a batch runs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import (
    clock,
    counts,
    detail,
    failure_lines,
    result_words,
    watchdog_seconds,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Observed,
    Outcome,
    Progress,
    Result,
    State,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


def view(
    name: str = "a", action: Action | None = Action.UPGRADE, state: State | None = State.UPGRADE_PRE_PIVOT, **more: Any
) -> View:
    fields = {key: more.pop(key) for key in ("away_since", "changed", "note") if key in more}
    return View(name, action, Observed(state, **more) if state else None, **fields)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00"),
        (59.9, "00:59"),
        (60, "01:00"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (90061, "25:01:01"),
        (-5, "00:00"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("result", Result)
def test_every_result_has_words(result: Result) -> None:
    assert result_words(result)


def test_counts_stand_in_the_order_of_the_work() -> None:
    views = [
        view(action=Action.UPGRADE),
        view(action=Action.UPGRADE, away_since=1.0),
        view(action=Action.PREP, state=State.PREP_RUNNING),
        view(action=Action.PREP, state=State.PREP_RUNNING, away_since=1.0),
        view(action=None, state=None),
    ]
    ended = [Outcome("x", Result.DONE), Outcome("y", Result.DONE), Outcome("z", Result.TIMED_OUT)]

    assert counts(views, ended, 7) == (
        "Contact 1: 1 connecting; Prep 2: 1 preparing, 1 no answer; Upgrade 2: 1 before reboot, 1 away (rebooting); "
        "2 done, 1 timed out; 7 waiting"
    )


def test_counts_of_nothing() -> None:
    assert counts([], [], 0) == ""


def test_the_slowest_tells_what_it_waits_for() -> None:
    slow = view("slow", changed=10, progress=Progress(message="pulling\n  things"))
    fast = view("fast", changed=20, progress=Progress(message="other"))

    assert detail([fast, slow], 30) == 'slowest: slow "pulling things"'


@pytest.mark.parametrize(
    ("progress", "note", "words"),
    [
        (Progress(total=9, pulled=4, failed=1, message="m"), "", "pulled 4 of 9 images, 1 failed"),
        (Progress(health=("operator x degraded", "y"), total=9, message="m"), "", "operator x degraded"),
        (Progress(message="m"), "soaking for 3 s", "soaking for 3 s"),
    ],
    ids=["images", "health", "note"],
)
def test_what_is_most_worth_knowing(progress: Progress, note: str, words: str) -> None:
    assert detail([view(progress=progress, note=note)], 0) == f'slowest: a "{words}"'


def test_long_words_are_cut() -> None:
    text = detail([view(progress=Progress(message="x" * 300))], 0)

    assert len(text) < 80 and text.endswith('…"')


def test_nothing_to_tell() -> None:
    assert detail([], 0) == ""
    assert detail([view(state=None)], 0) == ""


def test_the_oldest_outage_comes_before_the_slowest() -> None:
    views = [view("a", away_since=90.0), view("b", away_since=40.0), view("c", progress=Progress(message="m"))]

    assert detail(views, 100) == "b away for 01:00"


def test_a_watchdog_about_to_fire_comes_first() -> None:
    views = [view("a", away_since=0.0), view("b", away_since=700.0), view("c", note="n")]

    assert detail(views, 1000) == "a watchdog rolls back in 13:20"
    assert detail(views, 1801) == "a watchdog is due"


def test_the_watchdog_counts_the_clusters_own_time_and_setting() -> None:
    spec = {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 600}}
    since, now = NOON, NOON + datetime.timedelta(seconds=100)
    post = view(state=State.UPGRADE_POST_PIVOT, spec=spec, since=since, now=now)

    assert watchdog_seconds(post, 12345) == 500
    assert watchdog_seconds(view(state=State.UPGRADE_POST_PIVOT, spec=spec), 0) is None, "its clock is not known"


@pytest.mark.parametrize(
    "other",
    [view(state=None), view(), view(action=Action.PREP, away_since=0.0), view(action=Action.ROLLBACK, away_since=0.0)],
    ids=["unseen", "before the reboot", "prep", "rollback"],
)
def test_no_watchdog_runs_elsewhere(other: View) -> None:
    assert watchdog_seconds(other, 5000) is None


def test_a_failure_is_one_line_and_its_way_out() -> None:
    failed = Outcome("a", Result.ROLLED_BACK, message="two\n lines", next_step="look", seconds=65)

    assert [line.strip() for line in failure_lines(failed)] == [
        "a  ROLLED BACK BY ITSELF after 01:05: two lines",
        "→ look",
    ]
    assert [line.strip() for line in failure_lines(Outcome("a", Result.FAILED, message="m"))] == ["a  FAILED: m"]
