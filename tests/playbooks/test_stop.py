# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rollout stops: which clusters were touched is counted on the servers, never read from the recap."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .runs import ROOT, Playground, failing, names, scenario

Prepare = Callable[..., Playground]

# Where the rollout stops has nothing to do with how far it takes a cluster.
SHORT = {"ibu_stop_after": "Prep"}


# --- one batch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("percentage", "touched"), [(50, 4), (49, 2)], ids=["at the limit", "above the limit"])
def test_the_share_of_a_batch_must_be_exceeded(prepare: Prepare, percentage: int, touched: int) -> None:
    ground = prepare(scenario(4, troubles=failing(1)))

    run = ground.play("upgrade", ibu_serial=[2], ibu_max_fail_percentage=percentage, ibu_budget="100%")

    assert run.code == 2, run.output
    assert ground.touched() == names(*range(1, touched + 1))
    assert run.named("never_started") == names(*range(touched + 1, 5))
    # The healthy peer of the failed cluster is not left where it stands.
    assert ground.stages("site-0002") == ["Prep", "Upgrade", "Idle"]
    assert run.named("failed") == names(1)
    assert run.remaining == names(1, *range(touched + 1, 5))


def test_a_canary_that_fails_stops_everything_by_default(prepare: Prepare) -> None:
    ground = prepare(scenario(8, troubles=failing(1)), **SHORT)

    run = ground.play("upgrade")

    assert run.code == 2, run.output
    assert ground.touched() == names(1)
    assert run.named("never_started") == names(*range(2, 9))
    assert run.remaining == names(*range(1, 9))
    assert "never started 7" in run.words
    assert "stopped the rollout: 1 of 1 failed" in run.words
    # What to do with the one that failed stands beside it.
    assert "sno.image_upgrade.abort -l site-0001" in run.words


def test_by_default_one_failure_in_a_batch_stops_the_rollout(prepare: Prepare) -> None:
    """Also where its peers were fine and the fleet's budget has room."""
    ground = prepare(scenario(4, troubles=failing(2)), **SHORT)

    run = ground.play("upgrade", ibu_serial=[1, 2, 1], ibu_budget="100%")

    assert run.code == 2, run.output
    assert ground.touched() == names(1, 2, 3)
    assert run.named("never_started") == names(4)
    assert "stopped the rollout: 1 of 2 failed, the limit is 0 %" in run.words


def test_a_whole_batch_that_fails_stops_whatever_the_limits_are(prepare: Prepare) -> None:
    ground = prepare(scenario(4, troubles=failing(1, 2)), **SHORT)

    run = ground.play("upgrade", ibu_serial=[2], ibu_max_fail_percentage=100, ibu_budget="100%")

    assert run.code == 2, run.output
    assert ground.touched() == names(1, 2)
    assert run.named("never_started") == names(3, 4)
    assert "never started 2" in run.words


# --- the whole fleet ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "touched"),
    [("2", 6), ("25%", 6), ("24%", 4), ("3", 8), (0, 2)],
    ids=["2 clusters", "25 percent are 2", "24 percent are less than 2", "never exceeded", "none"],
)
def test_the_budget_of_the_fleet_counts_over_all_batches(prepare: Prepare, budget: str | int, touched: int) -> None:
    ground = prepare(scenario(8, troubles=failing(1, 3, 5)), **SHORT)

    run = ground.play("upgrade", ibu_serial=[2], ibu_max_fail_percentage=50, ibu_budget=budget)

    assert run.code == 2, run.output
    assert ground.touched() == names(*range(1, touched + 1))
    assert run.named("never_started") == names(*range(touched + 1, 9))
    assert run.named("done") == [name for name in names(2, 4, 6, 7, 8) if name in ground.touched()]
    stopped = "the fleet's failure budget is spent:" in run.words
    assert stopped == (touched < 8)


def test_the_default_budget_lets_nobody_fail_in_a_small_fleet(prepare: Prepare) -> None:
    ground = prepare(scenario(4, troubles=failing(2)), **SHORT)

    run = ground.play("upgrade", ibu_serial=[2], ibu_max_fail_percentage=100)

    assert run.code == 2, run.output
    assert ground.touched() == names(1, 2)


# --- what Ansible does not count ----------------------------------------------------------------------------------

OPENING = """
- hosts: all
  gather_facts: false
  serial: 2
  max_fail_percentage: 0
  tasks:
"""
GATE = """
- ansible.builtin.import_role: {name: sno.image_upgrade.report, tasks_from: gate.yml}
"""
DRIVE = """
- ansible.builtin.import_role: {name: sno.image_upgrade.upgrade, tasks_from: drive.yml}
"""
LOSE_AND_END = """
- block:
    - ansible.builtin.fail: {msg: its site is closed}
      when: inventory_hostname == 'site-0001'
  rescue:
    - ansible.builtin.meta: end_host
"""
LOSE_UNREACHABLE = """
- ansible.builtin.raw: "true"
  vars: {ansible_connection: "{{ (inventory_hostname == 'site-0001') | ternary('nowhere', 'local') }}"}
"""
UPGRADE_RESCUED = """
- block:
    - ansible.builtin.import_role: {name: sno.image_upgrade.upgrade}
  rescue:
    - ansible.builtin.debug: {msg: never mind}
"""
UPGRADE_ALWAYS = """
- block:
    - ansible.builtin.import_role: {name: sno.image_upgrade.upgrade}
  always:
    - ansible.builtin.debug: {msg: collected}
"""
UPGRADE_RESCUE_FAILS = """
- block:
    - ansible.builtin.import_role: {name: sno.image_upgrade.upgrade}
  rescue:
    - ansible.builtin.fail: {msg: again}
"""
UPGRADE_FATAL_RESCUED = """
- any_errors_fatal: true
  block:
    - ansible.builtin.import_role: {name: sno.image_upgrade.upgrade}
  rescue:
    - ansible.builtin.debug: {msg: everybody of the batch gets here}
"""


def write_playbook(directory: Path, *parts: str) -> Path:
    """A user's own playbook of these tasks."""
    path = directory / "own.yml"
    path.write_text("---" + OPENING + "".join(textwrap.indent(part, "    ") for part in parts))
    return path


@pytest.mark.parametrize(
    ("parts", "troubles", "upgraded"),
    [
        ((GATE, LOSE_AND_END, DRIVE), {}, names(2)),
        ((LOSE_AND_END, GATE, DRIVE), {}, []),
        ((GATE, LOSE_UNREACHABLE, DRIVE), {}, names(2)),
        ((LOSE_UNREACHABLE, GATE, DRIVE), {}, []),
        ((GATE, UPGRADE_RESCUED), failing(1), names(2)),
        ((GATE, UPGRADE_ALWAYS), failing(1), names(2)),
        ((GATE, UPGRADE_RESCUE_FAILS), failing(1), names(2)),
        ((GATE, UPGRADE_FATAL_RESCUED), failing(1), names(2)),
    ],
    ids=[
        "rescued and ended after the gate",
        "rescued and ended before the gate",
        "unreachable after the gate",
        "unreachable before the gate",
        "upgrade failed and rescued",
        "upgrade failed in a block with always",
        "upgrade failed and the rescue failed",
        "upgrade failed, fatal and rescued",
    ],
)
def test_a_cluster_lost_in_the_users_own_play_counts(
    prepare: Prepare, tmp_path: Path, parts: tuple[str, ...], troubles: dict[str, Any], upgraded: list[str]
) -> None:
    ground = prepare(scenario(6, troubles=troubles))
    playbook = write_playbook(tmp_path, *parts)

    run = ground.play(playbook, ibu_budget=0)

    assert run.code != 0, run.output
    # Its healthy peer is taken along where the loss shows only after the gate; nobody else is, in either case.
    assert run.named("done") == upgraded
    assert ground.touched() == sorted([*upgraded, *troubles])
    assert run.named("never_started")[-4:] == names(3, 4, 5, 6)


def test_a_cluster_lost_within_the_budget_stops_nobody(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(6), **SHORT)
    playbook = write_playbook(tmp_path, LOSE_AND_END, GATE, DRIVE)

    run = ground.play(playbook, ibu_budget=1)

    assert run.code == 0, run.output
    assert ground.touched() == names(2, 3, 4, 5, 6)
    assert run.named("never_started") == names(1)
    assert run.document["batches"] == [names(1, 2), names(3, 4), names(5, 6)]


def test_clusters_that_the_preflight_left_out_are_no_failures_of_the_rollout(prepare: Prepare) -> None:
    ground = prepare(scenario(4, troubles={"site-0001": {"kubeconfig_empty": {}}}), **SHORT)

    run = ground.play("upgrade", ibu_serial=[2], ibu_budget=0, ibu_on_blocked="exclude")

    assert run.code == 2, run.output
    assert ground.touched() == names(2, 3, 4)
    assert run.remaining == names(1)


def test_the_free_strategy_is_refused(prepare: Prepare) -> None:
    """It knows no batches: every host would run the drive of all."""
    ground = prepare(scenario(2))

    run = ground.play("upgrade", env={"ANSIBLE_STRATEGY": "free"})

    assert run.code != 0, run.output
    assert "free strategy" in run.words
    assert not any(ground.writes().values())


def test_one_drive_and_one_gate_per_batch(prepare: Prepare) -> None:
    ground = prepare(scenario(5), **SHORT)

    run = ground.play("upgrade", ibu_serial=[1, "50%", "100%"])

    assert run.code == 0, run.output
    assert run.document["batches"] == [names(1), names(2, 3), names(4, 5)]
    assert run.output.count("Gate | Begin the batch") == 3
    assert run.output.count("Drive every cluster of the batch to Upgrade") == 3


# --- in a job of AWX, which is relaunched on the hosts that have failed ---------------------------------------------

REFUSED = r"(site-\d+): never started: preflight refused the rollout: 1 of 3 clusters is not ready for Prep"


def test_a_refusal_of_the_preflight_fails_every_host_in_a_job_and_one_elsewhere(prepare: Prepare) -> None:
    ground = prepare(scenario(3, troubles={"site-0002": {"kubeconfig_empty": {}}}), **SHORT)

    run = ground.play("upgrade", awx_job_id=7)
    assert run.code == 2, run.output
    assert run.failed_hosts == names(1, 2, 3)
    # Each that is ready says why it failed nevertheless.
    assert sorted(set(re.findall(REFUSED, run.words))) == names(1, 3)
    assert re.search(r"fatal: \[site-0002\]: FAILED! => \S+ \S+ msg: .?ibu_kubeconfig", run.words), run.output

    # Its point is what was found: a relaunch checks these again.
    run = ground.play("preflight", awx_job_id=7, ibu_report_file=str(ground.directory / "preflight.json"))
    assert run.failed_hosts == names(2), run.output

    # Through the hub: test_group.py
    plan = [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 3}}]
    run = ground.play("group_upgrade", awx_job_id=7, group_upgrade_engine="direct", ibgu_plan=plan, ibu_stop_after=None)
    assert run.failed_hosts == names(1, 2, 3), run.output

    run = ground.play("upgrade")
    assert run.failed_hosts == names(1), run.output
    assert "leave them out with --limit" in run.words
    assert ground.touched() == []


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_preflight_in_front_of_a_rollout_refuses_the_whole_job(path: Path) -> None:
    text = path.read_text()
    wanted = "blocked" if path.stem == "preflight" else "all"
    declared = re.findall(
        r"preflight_refusal_fails: \"{{ \(awx_job_id is defined\) \| ternary\('(\w+)', 'task'\) }}", text
    )
    assert declared == [wanted] * text.count("sno.image_upgrade.preflight\n")


# --- going on afterwards ------------------------------------------------------------------------------------------


def test_the_rest_and_nothing_else_is_done_with_the_remaining_file(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(5, troubles=failing(2)), ibu_serial=[2])
    stopped = ground.play("upgrade")
    assert stopped.code == 2, stopped.output
    assert stopped.remaining == names(2, 3, 4, 5)
    before = ground.writes()

    ground.fleet.control.heal("site-0002", "prep_failed")
    other_file = str(tmp_path / "abort.json")
    aborted = ground.play("abort", "--limit", "site-0002", ibu_outcome_file=other_file)
    assert aborted.code == 0, aborted.output
    rest = ground.play("upgrade", "--limit", f"@{ground.outcome_file.with_suffix('.remaining')}")

    assert rest.code == 0, rest.output
    assert rest.named("done") == names(1, 2, 3, 4, 5)
    assert ground.writes()["site-0001"] == before["site-0001"]
    assert ground.stages("site-0002") == ["Prep", "Idle", "Prep", "Upgrade", "Idle"]
    assert all(ground.stages(name) == ["Prep", "Upgrade", "Idle"] for name in names(1, 3, 4, 5))
    assert not ground.outcome_file.with_suffix(".remaining").exists()
    assert not ground.refusals()
