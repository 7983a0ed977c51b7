# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables at the end of rollout and status."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._report import (
    achieved,
    names_in_short,
    preview_lines,
    recap_lines,
    status_lines,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome, Result

MANY = [f"s{number:02}" for number in range(14)]


def done(name: str, *completed: str, **more: Any) -> Outcome:
    return Outcome(
        name, Result.DONE, completed=list(completed), version_before="4.16.8", version_after="4.17.3", **more
    )


def recap(*outcomes: Outcome, **more: Any) -> str:
    options: dict[str, Any] = {"outcome_file": "o.json", "remaining_file": None, "stopped": None, "seconds": None}
    return "\n".join(recap_lines({outcome.name: outcome for outcome in outcomes}, **{**options, **more}))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "s00"), (12, " ".join(MANY[:12])), (13, f"{' '.join(MANY[:12])} and 1 more")],
)
def test_names_in_short(count: int, text: str) -> None:
    assert names_in_short(MANY[:count]) == text


# --- check mode ---------------------------------------------------------------------------------------------------


def test_a_preview_has_one_line_for_each_intention() -> None:
    outcomes = {
        "s01": Outcome("s01", Result.DONE, message="would go to Prep"),
        "s02": Outcome("s02", Result.DONE, message="would go to Prep"),
        "s03": Outcome("s03", Result.DONE),
        "s04": Outcome("s04", Result.REFUSED, message="not\nprepared", next_step="abort -l s04"),
    }

    assert [line.split(maxsplit=1)[1] for line in preview_lines(outcomes)] == [
        "2  would go to Prep   s01 s02",
        "1  nothing to do   s03",
        "1  not prepared → abort -l s04   s04",
    ]


# --- rollout ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (done("a", "Prep", "Upgrade", "FinalizeUpgrade"), "finalized"),
        (done("a", "Prep", "Upgrade"), "upgraded"),
        (done("a", "Prep"), "prepared"),
        (done("a", "Rollback"), "rolled back"),
        (done("a", "Rollback", "FinalizeRollback"), "rollback finalized"),
        (done("a", "Abort"), "aborted"),
        (done("a"), "done"),
        (Outcome("a", Result.SKIPPED, completed=["Prep"]), "skipped"),
        (Outcome("a"), "never started"),
        (Outcome("a", Result.FAILED, completed=["Prep"]), "failed"),
        (Outcome("a", Result.ROLLED_BACK), "rolled back by itself"),
    ],
)
def test_one_word_for_each_end(outcome: Outcome, word: str) -> None:
    assert achieved(outcome) == word


def test_a_finished_rollout() -> None:
    text = recap(done("a", "Prep", "Upgrade", "FinalizeUpgrade", durations={"Upgrade": 61.0}), seconds=3661)

    assert text.splitlines()[0] == "ROLLOUT 4.16.8 → 4.17.3   finished in 1:01:01   outcome: o.json"
    assert text.splitlines()[1] == "  finalized               1   Upgrade 01:01"
    assert "→" not in "\n".join(text.splitlines()[1:])


def test_what_is_left_to_do_stands_under_each_group() -> None:
    text = recap(done("a", "Prep"), done("b", "Prep", "Upgrade"), done("c", "Rollback"))

    assert "→ ansible-playbook sno.image_upgrade.upgrade\n" in text
    assert "→ ansible-playbook sno.image_upgrade.finalize, or" in text
    assert "rollback_finalize=true" in text


def test_failures_stand_between_the_done_and_the_never_started() -> None:
    text = recap(
        Outcome("z1"),
        Outcome("f1", Result.FAILED, action="Prep", message="no\n image", next_step="abort -l f1"),
        Outcome("f2", Result.FAILED, action="Upgrade", stage="Prep", message="m"),
        done("d1", "Prep"),
        Outcome("i1", Result.INTERRUPTED, message="stopped"),
        stopped="budget used up",
        remaining_file="o.remaining",
    )

    assert " stopped " in text.splitlines()[0]
    places = [text.index(word) for word in ("prepared", "  failed", "interrupted", "never started", "--limit")]
    assert places == sorted(places)
    assert "    f1  Prep: no image\n      → abort -l f1\n" in text
    assert "    f2  Prep: m\n" in text
    assert "z1 (budget used up)" in text
    assert "--limit @o.remaining" in text


def test_a_rollout_is_finished_in_a_time_and_stopped_after_one() -> None:
    assert "stopped after 01:05 " in recap(Outcome("a"), stopped="budget used up", seconds=65)


def test_percentiles() -> None:
    outcomes = [done(f"c{number}", "Prep", durations={"Prep": float(number)}) for number in range(1, 101)]

    assert "Prep 00:51 / 01:36 / 01:40" in recap(*outcomes)


def test_several_releases_in_one_fleet() -> None:
    other = Outcome("b", Result.DONE, completed=["Prep"], version_before="4.16.9", version_after="4.17.3")

    assert recap(done("a"), other).startswith("ROLLOUT 4.16.8, 4.16.9 → 4.17.3 ")
    assert recap(Outcome("a")).startswith("ROLLOUT    finished")


def test_the_oldest_rollback_deadline_that_still_counts() -> None:
    text = recap(
        done("a", "Upgrade", rollback_until="2026-12-03T10:00:00+00:00"),
        done("b", "Upgrade", rollback_until="2026-12-01T10:00:00+00:00"),
        done("c", "FinalizeUpgrade", rollback_until="2026-11-01T10:00:00+00:00"),
    )

    assert text.splitlines()[-1] == "  oldest rollback deadline: b until 2026-12-01 10:00Z"


# --- status -------------------------------------------------------------------------------------------------------


def test_status_is_a_table() -> None:
    rows = [
        {
            "cluster": "site-0001",
            "version": "4.16.8",
            "stage": "Prep",
            "state": "preparing",
            "since_seconds": 61,
            "valid_next_stages": ["Idle"],
            "detail": "two\n lines " + "x" * 200,
        },
        {
            "cluster": "b",
            "version": None,
            "stage": None,
            "state": "no answer",
            "since_seconds": None,
            "valid_next_stages": [],
            "detail": "",
        },
    ]

    head, first, second = status_lines(rows)

    assert head.split() == ["CLUSTER", "RUNS", "STAGE", "STATE", "SINCE", "NEXT", "DETAIL"]
    assert first.startswith("site-0001  4.16.8  Prep   preparing  01:01  Idle  two lines xxx")
    assert len(first) < 140
    assert first.endswith("xxx…")
    assert second.split() == ["b", "-", "-", "no", "answer", "-", "-"]
    assert second.index("no answer") == head.index("STATE")


def test_status_of_nobody() -> None:
    assert len(status_lines([])) == 1
