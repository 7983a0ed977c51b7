# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them, on the simulated fleet: logs, outcomes, relaunches, and what becomes of a stopped one."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetsim.testing import Fleet

from .jobs import Controller, Job, objects, template

SEED = {
    "seed_version": "4.17.3",
    "seed_image": "registry.example.com/seed:4.17.3",
    "seed_pull_secret": "seed-pull",
}
NODES = {node["identifier"]: node for node in objects("workflows")["awx_workflow_nodes"]}
# What a terminal would do something with, other than colors: a job log has no terminal.
CONTROL = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f]")
WAIT = 60.0
# Seconds after which AWX ends a job. Enough for it to begin on a busy machine; the test waits for all of it.
LIMIT = 12

Prepare = Callable[..., Controller]


@pytest.fixture(name="prepare")
def fixture_prepare(tmp_path: Path) -> Iterator[Prepare]:
    """Start a fleet, and an AWX for it; they end with the test."""
    with contextlib.ExitStack() as stack:

        def prepare(count: int, *, speed: int = 1000, **more: Any) -> Controller:
            scenario = {"speed": speed, "random_seed": 1, "hub": False, "clusters": {"count": count}, **more}
            return Controller(tmp_path, stack.enter_context(Fleet(scenario)))

        yield prepare


def versions(controller: Controller) -> dict[str, str]:
    """What every cluster runs."""
    clusters = [cluster["name"] for cluster in controller.fleet.control.clusters()]
    return {name: controller.fleet.control.state(name)["version"] for name in clusters}


def stages(controller: Controller, name: str) -> list[str]:
    """The stages that were asked of a cluster and taken, in order."""
    journal = controller.fleet.control.journal(name)
    return [entry["stage"] for entry in journal if entry["stage"] and entry["code"] == 200 and not entry["dry_run"]]


def test_a_stopped_rollout_is_relaunched_on_its_failed_hosts_and_takes_the_never_started_too(prepare: Prepare) -> None:
    controller = prepare(6, troubles={"site-0002": {"prep_failed": {"message": "no space left"}}})
    job = controller.launch("SNO upgrade", {**SEED, "batches": "1,2,50%"})

    # The job, its log, and what the workflow gets of it.
    assert job.status == "failed"
    assert not CONTROL.search(job.log.replace("\r\n", "\n")), "a job log has lines, and colors at most"
    assert re.search(r"^  \d\d:\d\d  (Prep|Upgrade) 1: 1 ", job.log, re.M), "progress is in the log"
    assert "never started 3 site-0004 site-0005 site-0006 (the batch's failure budget stopped" in job.words
    assert "to go on with the rest: relaunch this job on its failed hosts" in job.words
    outcome = job.artifacts["rollout_outcome"]
    assert outcome["results"] == {"done": 2, "failed": 1, "never_started": 3} and not outcome["finished"]
    assert outcome["clusters_failed"] == ["site-0002"]
    assert "the batch's failure budget stopped the rollout" in outcome["stopped"]
    for secret in ("PRIVATE KEY", "client-key-data", "LS0t"):
        assert secret not in job.log + json.dumps(job.artifacts)

    # What AWX relaunches is what is left, and nothing of it was touched before.
    assert job.relaunch_limit == "site-0002,site-0004,site-0005,site-0006"
    assert set(controller.fleet.control.touched()) == {"site-0001", "site-0002", "site-0003"}
    assert [path.exists() for path in job.outcome_files] == [True]

    # The cause is mended, the failed one goes back, and the button does the rest in a container that knows nothing.
    controller.fleet.control.heal("site-0002", "prep_failed")
    back = controller.launch("SNO abort", {"must_gather_before_idle": "false"}, limit="site-0002")
    assert back.status == "successful", back.log
    again = controller.launch(
        "SNO upgrade", {**SEED, "batches": "1,2,50%"}, limit=job.relaunch_limit, launch_type="relaunch"
    )
    assert again.status == "successful", again.log
    assert again.artifacts["rollout_outcome"]["finished"]
    assert again.artifacts["rollout_outcome"]["results"] == {"done": 4}
    assert set(versions(controller).values()) == {"4.17.3"}
    assert stages(controller, "site-0001") == ["Prep", "Upgrade", "Idle"], "done once, not touched again"


def test_a_job_that_is_canceled_or_times_out_leaves_a_valid_file_and_the_next_needs_none(prepare: Prepare) -> None:
    controller = prepare(4, speed=120, troubles={"site-0004": {"prep_hangs": {}}})
    answers = {**SEED, "batches": "100%"}

    def is_rebooting(job: Job) -> bool:
        return "rebooting" in job.log or "away" in job.log

    canceled = controller.launch("SNO upgrade", answers, cancel=is_rebooting)
    assert canceled.status == "canceled"
    check_left_behind(canceled, controller)
    # AWX refuses to relaunch such a job on failed hosts; on all hosts is what there is, and right.
    assert canceled.stats is None

    # One hangs, so this job comes to its time limit.
    late = controller.launch("SNO upgrade", answers, timeout=LIMIT)
    assert late.status == "timeout" and late.stats is None
    check_left_behind(late, controller)

    controller.fleet.control.heal("site-0004", "prep_hangs")
    done = controller.launch("SNO upgrade", answers, launch_type="relaunch")
    assert done.status == "successful", done.log
    assert set(versions(controller).values()) == {"4.17.3"}
    for name in versions(controller):
        assert stages(controller, name) == ["Prep", "Upgrade", "Idle"], "nothing is asked twice of a cluster"


def check_left_behind(job: Job, controller: Controller) -> None:
    """A stopped job has a whole outcome file, no process, and no request that a cluster had to refuse."""
    wait_until_gone(job.directory)
    (path,) = job.outcome_files
    outcome = json.loads(path.read_text())
    assert set(outcome["clusters"]) == set(versions(controller))
    for name in versions(controller):
        codes = [entry["code"] for entry in controller.fleet.control.journal(name)]
        assert not {400, 409, 415, 422} & set(codes)
        assert stages(controller, name) in (["Prep"], ["Prep", "Upgrade"], ["Prep", "Upgrade", "Idle"])


def wait_until_gone(directory: Path) -> None:
    """Until no process of the job is left."""
    mark = f"AWX_PRIVATE_DATA_DIR={directory}".encode()
    deadline = time.monotonic() + WAIT
    while any(is_marked(entry, mark) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        assert time.monotonic() < deadline, "a process of the job is still there"
        time.sleep(0.05)


def is_marked(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def test_a_slice_is_refused_before_anything_is_touched(prepare: Prepare) -> None:
    controller = prepare(2)
    # AWX makes a workflow of a sliced template, under the template's name.
    job = controller.launch(
        "SNO upgrade", SEED, meta={"awx_workflow_job_name": "SNO upgrade", "awx_workflow_job_id": 7}
    )
    assert job.status == "failed"
    assert "job_slice_count" in job.words and "a failure budget of its own" in job.words
    assert controller.fleet.control.touched() == []


# --- the workflow -------------------------------------------------------------------------------------------------


def walk(controller: Controller, answers: dict[str, Any]) -> list[tuple[str, str]]:
    """Run the workflow; everybody approves everything. The nodes that ran, and how each job ended."""
    ran: list[tuple[str, str]] = []
    name, previous = "preflight", {}
    while name:
        node = NODES[name]
        status = "successful"
        if "job_template" in node:
            job = launch_node(controller, node, answers, previous)
            status, previous = job.status, job.artifacts
            ran.append((name, status))
        way = "success" if status == "successful" else "failure"
        name = next(iter([*node.get(way, []), *node.get("always", [])]), "")
    return ran


def launch_node(
    controller: Controller, node: dict[str, Any], answers: dict[str, Any], artifacts: dict[str, Any]
) -> Job:
    """A node's job gets those answers of the workflow that its template asks for, and what the job before has left."""
    asked = template(node["job_template"]).get("survey", [])
    given = {key: value for key, value in {**answers, **node.get("extra_data", {})}.items() if key in asked}
    meta = {"awx_workflow_job_name": "SNO image upgrade", "awx_workflow_job_id": 1, **artifacts}
    return controller.launch(node["job_template"], given, check=node.get("job_type") == "check", meta=meta)


def test_the_workflow_takes_a_fleet_to_its_end(prepare: Prepare) -> None:
    controller = prepare(3)
    ran = walk(controller, {**SEED, "batches": "1,100%"})
    assert ran == [(name, "successful") for name in ("preflight", "prep", "upgrade", "verify", "finalize")]
    assert set(versions(controller).values()) == {"4.17.3"}
    assert stages(controller, "site-0003") == ["Prep", "Upgrade", "Idle"]


def test_a_failed_upgrade_leads_to_saved_logs_and_to_words_about_the_recovery(prepare: Prepare) -> None:
    controller = prepare(2, troubles={"site-0001": {"prepivot_failed": {}}})
    ran = walk(controller, {**SEED, "batches": "1,100%"})
    assert [name for name, _status in ran] == ["preflight", "prep", "upgrade", "must-gather", "recover-check", "notify"]
    assert dict(ran)["upgrade"] == "failed"
    saved = [path.name for path in (controller.directory / "persistent" / "must-gather").rglob("*") if path.is_file()]
    assert any("site-0001" in name for name in saved) and not any("site-0002" in name for name in saved)
    assert stages(controller, "site-0001") == ["Prep", "Upgrade"], "nothing was recovered, only told"
