# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What recover says: one block for each cluster, and one for all that share an outage."""

from __future__ import annotations

import datetime

from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import Do, Recovery, Step, Way
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover_report import Plan, end_lines, plan_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, Outcome, Result, State

NOW = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.timezone.utc)
STEPS = (Step(Do.LOGS, "collect logs", "going Idle deletes them", "must-gather"),)


def plan(minutes: int, saw: str = "backups failed", state: State = State.FINALIZE_FAILED) -> Plan:
    since = NOW - datetime.timedelta(minutes=minutes)
    return Plan(Observed(state, stage="Idle", since=since, now=NOW), Recovery(Way.RECOVER, (saw,), STEPS))


def test_one_cluster() -> None:
    assert plan_lines({"site-0005": plan(2)}, check=True) == [
        "site-0005   stage Idle, finalize failed for 02:00",
        "  saw       backups failed",
        "  would 1   collect logs (must-gather): going Idle deletes them",
        "Nothing was changed.",
    ]


def test_clusters_of_one_outage_share_a_block_and_others_do_not() -> None:
    saw = "location dpa-1 is Unavailable (validated 2026-11-21T01:5{}:00Z): refused"
    plans = {f"site-000{n}": plan(n, saw.format(n)) for n in (1, 2)}
    plans |= {"site-0003": plan(3, "something else"), "site-0004": plan(1, saw.format(4), State.ABORT_FAILED)}

    lines = plan_lines(plans, check=False)

    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == [
        "site-0001 site-0002 (2 clusters)   stage Idle, finalize failed for up to 02:00",
        "site-0003   stage Idle, finalize failed for 03:00",
        "site-0004   stage Idle, abort failed for 01:00",
    ]
    assert "  saw       location dpa-1 is Unavailable (validated 2026-11-21T01:51:00Z): refused" in lines
    assert "  will  1   collect logs (must-gather): going Idle deletes them" in lines


def test_advice_names_the_cluster_and_one_without_an_answer_says_why() -> None:
    person = Plan(Observed(State.ROLLBACK_FAILED), Recovery(Way.PERSON, ("it failed",), advice="do it -l {cluster}"))

    lines = plan_lines({"site-0001": person, "site-0002": Plan(None, None, "connection refused")}, check=False)

    assert "  so        a person must decide" in lines
    assert "  →         do it -l site-0001" in lines
    assert lines[-2:] == ["site-0002   not looked at", "  saw       connection refused"]


def test_the_end() -> None:
    outcomes = {
        "a": Outcome("a", Result.DONE, notes=["still listed"]),
        "b": Outcome("b", Result.DONE, notes=["still listed"]),
        "c": Outcome("c", Result.FAILED),
    }

    assert end_lines(outcomes) == ["RECOVER  3 clusters: 2 done, 1 failed", "  NOTE  still listed   a b"]
