# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._awx import check_slices, remaining_clusters, summary

SLICE = {"awx_job_template_name": "Upgrade", "awx_workflow_job_name": "Upgrade"}


def record(tmp_path: Path, *outcomes: Outcome, more: t.Sequence[str] = ()) -> Record:
    """A record of these outcomes, and of clusters that were never started."""
    found = Record(str(tmp_path / "rollout.json"))
    found.begin("run-1", [*(outcome.name for outcome in outcomes), *more], "2026-01-01T00:00:00+00:00")
    for outcome in outcomes:
        found.put(outcome)
    return found


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"awx_job_template_name": "Upgrade"},
        {"awx_job_template_name": "Upgrade", "awx_workflow_job_name": "Rollout"},
    ],
    ids=["no job", "a job", "a job of a workflow"],
)
def test_what_is_no_slice_goes_through(variables: dict[str, t.Any]) -> None:
    check_slices(variables, accepted=False)


@pytest.mark.parametrize("prefix", ["awx", "tower"])
def test_a_slice_is_refused_unless_it_is_accepted(prefix: str) -> None:
    variables = {name.replace("awx", prefix): value for name, value in SLICE.items()}
    with pytest.raises(InvalidOption, match="ibu_accept_slices=true"):
        check_slices(variables, accepted=False)
    check_slices(variables, accepted=True)


def test_the_summary_is_small_however_many_clusters_failed(tmp_path: Path) -> None:
    failed = [Outcome(f"site-{number:04d}", result=Result.FAILED, message="no " * 50) for number in range(3000)]
    found = summary(record(tmp_path, *failed, Outcome("fine", result=Result.DONE)))
    assert found["results"] == {"done": 1, "failed": 3000} and found["clusters"] == 3001
    assert len(found["clusters_failed"]) == 100 and len(json.dumps(found)) < 5000


def test_a_finished_rollout_has_nothing_left(tmp_path: Path) -> None:
    found = record(tmp_path, Outcome("a", result=Result.DONE), Outcome("b", result=Result.SKIPPED))
    assert remaining_clusters(found) == {}
    assert summary(found)["finished"]


def test_every_cluster_that_is_left_says_why(tmp_path: Path) -> None:
    left = Outcome("a", result=Result.FAILED, message="no space", next_step="abort")
    found = record(tmp_path, left, Outcome("b", result=Result.INTERRUPTED, message="stopped"), more=["c"])
    found.stop("the budget is spent")
    said = {"a": "a: no space → abort", "b": "b: stopped", "c": "c: never started: the budget is spent"}
    assert remaining_clusters(found) == said


def test_another_run_begins_without_the_stop_of_the_one_before(tmp_path: Path) -> None:
    found = record(tmp_path, Outcome("a", result=Result.FAILED))
    found.stop("the budget is spent")
    found.save()
    again = Record.load(found.path)
    assert again.stopped == "the budget is spent"
    again.begin("run-1", ["a"], "later")
    assert again.stopped == "the budget is spent"
    again.begin("run-2", ["a"], "later")
    assert again.stopped is None
