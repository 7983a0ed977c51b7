# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them, on the simulated fleet: logs, outcomes, relaunches, and what becomes of a stopped one."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playbooks.runs import marked, until

from fleetsim.testing import Fleet

from .jobs import Controller, Job, nodes_of, template

SEED = {
    "seed_version": "4.17.3",
    "seed_image": "registry.example.com/seed:4.17.3",
    "seed_pull_secret": "seed-pull",
}
ROLLOUT, RECOVERY = "SNO image upgrade", "SNO recover failed clusters"
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

        def prepare(count: int, *, speed: int = 1000, hub: bool = False, **more: Any) -> Controller:
            scenario = {"speed": speed, "random_seed": 1, "hub": hub, "clusters": {"count": count}, **more}
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
    left = "site-0002,site-0004,site-0005,site-0006"
    assert job.relaunch_limit == left
    assert set(controller.fleet.control.touched()) == {"site-0001", "site-0002", "site-0003"}
    assert [path.exists() for path in job.outcome_files] == [True]

    # Too early: one has failed still, so preflight refuses all, and the button of that job takes all of them again.
    refused = controller.launch("SNO upgrade", {**SEED, "batches": "1,2,50%"}, limit=left, launch_type="relaunch")
    assert refused.status == "failed" and refused.relaunch_limit == left, refused.log
    never = re.findall(
        r"(site-\d+): never started: preflight refused the rollout: 1 of 4 clusters is not", refused.words
    )
    assert set(never) == {"site-0004", "site-0005", "site-0006"}

    # The cause is mended, the failed one goes back, and the button does the rest in a container that knows nothing.
    controller.fleet.control.heal("site-0002", "prep_failed")
    back = controller.launch("SNO abort", {"must_gather_before_idle": "false"}, limit="site-0002")
    assert back.status == "successful", back.log
    again = controller.launch(
        "SNO upgrade", {**SEED, "batches": "1,2,50%"}, limit=refused.relaunch_limit, launch_type="relaunch"
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
    until(lambda: not marked(f"AWX_PRIVATE_DATA_DIR={directory}"), WAIT, "no process of the job is there")


def test_a_slice_is_refused_before_anything_is_touched(prepare: Prepare) -> None:
    controller = prepare(2)
    # AWX makes a workflow of a sliced template, under the template's name.
    job = controller.launch(
        "SNO upgrade", SEED, meta={"awx_workflow_job_name": "SNO upgrade", "awx_workflow_job_id": 7}
    )
    assert job.status == "failed"
    assert "job_slice_count" in job.words and "a failure budget of its own" in job.words
    assert controller.fleet.control.touched() == []


# --- the workflows ------------------------------------------------------------------------------------------------


def walk(
    controller: Controller, workflow: str, given: dict[str, Any], *, start: str, limit: str = "", approve: bool = True
) -> tuple[list[tuple[str, str]], str]:
    """Run a workflow from a node on. What ran and how each node ended, and how AWX says that the workflow did."""
    nodes, artifacts = nodes_of(workflow), {"awx_workflow_job_name": workflow, "awx_workflow_job_id": 1}
    ran: list[tuple[str, str]] = []
    ended, name = "successful", start
    while name:
        node, status = nodes[name], "successful"
        if "job_template" in node:
            job = launch_node(controller, node, given, artifacts, limit)
            # Whatever follows gets what every job before it has left.
            status, artifacts = job.status, {**artifacts, **job.artifacts}
        elif not approve:
            status = "failed"
        ran.append((name, status))
        following = [*node.get("success" if status == "successful" else "failure", []), *node.get("always", [])]
        if status != "successful" and not following:
            # To AWX any other failure has been dealt with.
            ended = "failed"
        name = next(iter(following), "")
    return ran, ended


def launch_node(
    controller: Controller, node: dict[str, Any], given: dict[str, Any], artifacts: dict[str, Any], limit: str
) -> Job:
    """A node's job gets what the node says, what the jobs before have left, and before these what the workflow got."""
    asked = template(node["job_template"]).get("survey", [])
    answers = {**node.get("extra_data", {}), **{key: value for key, value in given.items() if key in asked}}
    rest = {key: value for key, value in given.items() if key not in asked}
    return controller.launch(
        node["job_template"], answers, check=node.get("job_type") == "check", meta={**artifacts, **rest}, limit=limit
    )


def test_the_workflow_takes_a_fleet_to_its_end(prepare: Prepare) -> None:
    controller = prepare(3)
    ran, ended = walk(controller, ROLLOUT, {**SEED, "batches": "1,100%"}, start="preflight")
    assert ended == "successful" and {status for _name, status in ran} == {"successful"}, ran
    assert [name for name, _status in ran if not name.startswith("approve")] == [
        *("preflight", "prep", "upgrade", "verify", "finalize")
    ]
    assert set(versions(controller).values()) == {"4.17.3"}
    assert stages(controller, "site-0003") == ["Prep", "Upgrade", "Idle"]


def test_a_failed_upgrade_leads_to_saved_logs_and_a_plan_and_the_other_workflow_recovers_it(prepare: Prepare) -> None:
    # With a hub: the hosts come from the inventory source, and the hub's credential is injected.
    controller = prepare(2, hub=True, troubles={"site-0001": {"prepivot_failed": {}}})
    ran, ended = walk(controller, ROLLOUT, {**SEED, "batches": "1,100%"}, start="upgrade")
    assert ran == [
        ("upgrade", "failed"),
        ("must-gather", "successful"),
        ("recover-check", "successful"),
        ("notify", "failed"),
    ]
    assert ended == "failed", "people are told of a failure"
    saved = [path.name for path in (controller.directory / "persistent" / "must-gather").rglob("*") if path.is_file()]
    assert any("site-0001" in name for name in saved) and not any("site-0002" in name for name in saved)
    assert stages(controller, "site-0001") == ["Prep", "Upgrade"], "nothing was recovered, only told"

    # As the rulebook launches it; at first somebody says no.
    given = {"target": "site-0001"}
    ran, ended = walk(controller, RECOVERY, given, start="approve-recover", limit="site-0001", approve=False)
    assert (ran, ended) == ([("approve-recover", "failed"), ("notify", "failed")], "failed")
    assert stages(controller, "site-0001") == ["Prep", "Upgrade"]
    ran, ended = walk(controller, RECOVERY, given, start="must-gather", limit="site-0001")
    assert ran == [
        (name, "successful") for name in ("must-gather", "recover-check", "approve-recover", "recover", "status")
    ]
    assert ended == "successful"
    assert stages(controller, "site-0001") == ["Prep", "Upgrade", "Idle"]
    assert "site-0002" not in controller.fleet.control.touched()
