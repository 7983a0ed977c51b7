# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is ready for the window."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._prep_report import (
    Row,
    Standing,
    report_lines,
    row_of,
    silent_row,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, Observed, SeedImage, State

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
SEED = SeedImage("4.18.9", "registry.example.com/seeds/sno:4.18.9")
OLDER = SeedImage("4.18.5", "registry.example.com/seeds/sno:4.18.5")
WARNING = {"extra-manifest.lca.openshift.io/validation-warning": "it may not apply"}


def row(state: State, seed: SeedImage = SEED, version: str = "4.17.3", accept: bool = True, **more: Any) -> Row:
    spec = {"seedImageRef": seed.as_spec()}
    since = NOW - datetime.timedelta(hours=30)
    more.setdefault("valid_next", ("Idle", "Prep", "Upgrade"))
    observed = Observed(state, stage="Prep", version=version, spec=spec, now=NOW, since=since, **more)
    goals = [Goal(action, SEED, accept_warnings=accept) for action in (Action.PREP, Action.UPGRADE)]
    return row_of("site-1", observed, goals[0], goals[1])


@pytest.mark.parametrize(
    ("found", "standing", "says"),
    [
        (row(State.PREP_COMPLETED), Standing.READY, ""),
        (row(State.PREP_COMPLETED, annotations=WARNING), Standing.READY, ""),
        (row(State.PREP_COMPLETED, annotations=WARNING, accept=False), Standing.FAILED, "it may not apply"),
        (row(State.PREP_COMPLETED, OLDER), Standing.STALE, "prepared with seed version '4.18.5', not '4.18.9'"),
        (row(State.PREP_COMPLETED, SeedImage("4.18.9", "other")), Standing.STALE, "prepared with seed image 'other'"),
        (row(State.PREP_COMPLETED, version="4.18.9"), Standing.STALE, "upgraded in another way since Prep"),
        (row(State.PREP_COMPLETED, valid_next=()), Standing.FAILED, "allows: none"),
        (row(State.PREP_RUNNING), Standing.PREPARING, "Prep is running"),
        (row(State.PREP_RUNNING, message="pulled 3 of 9"), Standing.PREPARING, "pulled 3 of 9"),
        (row(State.PREP_RUNNING, OLDER), Standing.STALE, "4.18.5"),
        (row(State.PREP_FAILED, message="no such image"), Standing.FAILED, "no such image"),
        (row(State.IDLE), Standing.NOT_PREPARED, "not requested yet"),
        (row(State.IDLE, version="4.18.9"), Standing.UPGRADED, ""),
        (row(State.IDLE, version="4.19.1"), Standing.FAILED, "not above the running 4.19.1"),
        (row(State.UPGRADE_PRE_PIVOT), Standing.UNDER_WAY, "before reboot"),
        (row(State.UPGRADE_COMPLETED, version="4.18.9"), Standing.UPGRADED, ""),
        (row(State.ROLLED_BACK), Standing.FAILED, ""),
        (row(State.ABORTING), Standing.PREPARING, "aborting"),
        (row(State.UNKNOWN), Standing.FAILED, "unknown"),
    ],
)
def test_standing(found: Row, standing: Standing, says: str) -> None:
    assert found.standing is standing
    assert says in found.why
    # Whoever is not ready and does not get there by itself has a next step, with its name in it.
    waits = standing in (Standing.PREPARING, Standing.UNDER_WAY)
    assert bool(found.next_step) is not (standing.is_good or waits)
    assert "{" not in found.next_step


def test_a_stale_cluster_is_aborted_and_prepared_again() -> None:
    assert row(State.PREP_COMPLETED, OLDER).next_step == (
        "ansible-playbook sno.image_upgrade.abort -l site-1, then ansible-playbook sno.image_upgrade.prep -l site-1"
    )


def test_what_it_was_prepared_with_and_since_when() -> None:
    found = row(State.PREP_COMPLETED, OLDER)
    assert (found.seed, found.image, found.seconds) == (OLDER.version, OLDER.image, 30 * 3600)
    assert row(State.IDLE, OLDER).seed is None


def test_one_age_is_no_span() -> None:
    rows = [Row("a", Standing.READY, seed="4.18.9", seconds=33)]
    assert report_lines(rows)[-1] == "READY         1  with seed 4.18.9, prepared 00:33 ago"


def test_the_report_says_who_shares_a_cause_once() -> None:
    stale = [Row(f"s-{n:02}", Standing.STALE, "old seed", f"abort -l s-{n:02}") for n in range(10)]
    rows = [
        Row("a", Standing.READY, seed="4.18.9", seconds=3600),
        Row("b", Standing.READY, seed="4.18.9", seconds=7200, note="Prep warned: x"),
        Row("c", Standing.FAILED, "no such image", "do this -l c"),
        silent_row("d", "no answer from it", "ansible-playbook x -l {cluster}"),
        *stale,
    ]
    assert report_lines(rows) == [
        "READY FOR THE WINDOW  2 of 14",
        "",
        "READY         2  with seed 4.18.9, prepared 1:00:00 to 2:00:00 ago",
        "  Prep warned: x: b",
        "",
        "STALE         10",
        "  s-00, s-01, s-02, s-03, s-04, s-05, s-06, s-07 and 2 more: old seed",
        "    → abort -l CLUSTERS",
        "",
        "FAILED        1",
        "  c: no such image",
        "    → do this -l c",
        "",
        "NO ANSWER     1",
        "  d: no answer from it",
        "    → ansible-playbook x -l d",
    ]
