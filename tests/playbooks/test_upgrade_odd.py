# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml used and disturbed as people and machines do: options off the command line, files that go away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .runs import Playground, failing, names, scenario, until

Prepare = Callable[..., Playground]

# Slower than elsewhere, so that something can happen while a batch is under way.
SLOW = {"speed": 300}


# --- options off the command line ---------------------------------------------------------------------------------


def test_a_percentage_may_be_written_with_its_sign(prepare: Prepare) -> None:
    """Ansible takes it so; what reports on the batch has to as well."""
    ground = prepare(scenario(4, troubles=failing(1)), ibu_stop_after="Prep")

    run = ground.play("upgrade", "-e", "ibu_max_fail_percentage=50%", ibu_serial=[2], ibu_budget="100%")

    assert run.code == 2, run.output
    assert run.failed_hosts == names(1)
    assert ground.touched() == names(1, 2, 3, 4)
    assert "ROLLOUT" in run.output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("ibu_soak=10m", "soak (ibu_soak): '10m' is not valid; give a number"),
        ("ibu_concurrency=many", "concurrency (ibu_concurrency): 'many' is not valid; give a whole number"),
        ("ibu_accept_token=perhaps", "accept_token (ibu_accept_token): 'perhaps' is not valid; give true or false"),
        ("ibu_timeouts=60", "timeouts (ibu_timeouts): '60' is not valid; give a dictionary"),
        ('{"ibu_timeouts": {"Fly": 5}}', "timeouts (ibu_timeouts): 'Fly' is not valid; an action is one of Prep"),
        ("ibu_serial=1,5", "serial (ibu_serial): '1,5' is not valid"),
    ],
    ids=lambda text: text.partition(": {" if "{" in text else "=")[0],
)
def test_a_value_of_another_type_is_named_with_its_variable(prepare: Prepare, given: str, words: str) -> None:
    ground = prepare(scenario(1))

    run = ground.play("upgrade", "-e", given)

    assert run.code == 2, run.output
    assert words in run.words
    assert "Tagged" not in run.output
    assert not any(ground.writes().values())


def test_a_group_that_does_not_exist_is_no_rollout_of_nobody(prepare: Prepare) -> None:
    ground = prepare(scenario(1))

    run = ground.play("upgrade", target="ran_nroth")

    assert run.code != 0, run.output
    assert "ran_nroth" in run.words


# --- hosts that are described wrongly -----------------------------------------------------------------------------


def write_own(folder: Path) -> Path:
    """A playbook of the user's own, without a preflight."""
    task = {"name": "Drive", "sno.image_upgrade.ibu_fleet": {"actions": ["Prep"]}, "run_once": True}
    path = folder / "own.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    return path


def write_hosts(folder: Path, **hosts: dict[str, object]) -> Path:
    path = folder / "more.yml"
    path.write_text(yaml.safe_dump({"fleet": {"hosts": hosts}}))
    return path


def test_a_drive_without_preflight_names_the_hosts_that_it_cannot_use(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(3))
    more = write_hosts(
        tmp_path, nowhere={}, elsewhere={}, **{"site-0002": {"ibu_seed_image_ref": {"version": "4.17.3"}}}
    )

    run = ground.play(write_own(tmp_path), "-i", str(more))

    assert run.code == 2, run.output
    assert "elsewhere nowhere: ibu_kubeconfig is not set; say how to reach the cluster" in run.words
    assert "site-0002: ibu_seed_image_ref: {'version': '4.17.3'} is not valid" in run.words
    assert not any(ground.writes().values())


def test_one_cluster_under_two_addresses_is_upgraded_by_nobody(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(2))
    other = yaml.safe_load(ground.fleet.kubeconfig("site-0001").read_text())
    cluster = other["clusters"][0]["cluster"]
    cluster["server"] = cluster["server"].replace("127.0.0.1", "localhost")
    cluster["insecure-skip-tls-verify"] = True
    del cluster["certificate-authority-data"]

    run = ground.play("upgrade", "-i", str(write_hosts(tmp_path, twin={"ibu_kubeconfig": other})))

    assert run.code == 2, run.output
    assert "2 of 3 clusters are not ready" in run.words
    assert "site-0001 and twin lead to one and the same cluster" in run.words
    assert not any(ground.writes().values())


def test_a_template_that_fails_is_a_finding_of_its_host(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(3))
    more = write_hosts(
        tmp_path,
        nowhere={},
        **{
            "site-0001": {"ibu_kubeconfig": "{{ lookup('ansible.builtin.file', '/no/such/file') }}"},
            "site-0002": {"ibu_oadp_content": "{{ 1 / 0 }}"},
        },
    )
    report = tmp_path / "preflight.json"

    run = ground.play("upgrade", "-i", str(more), ibu_report_file=str(report))

    assert run.code == 2, run.output
    assert not any(ground.writes().values())
    assert "3 of 4 clusters are not ready" in run.words
    found = {finding["cluster"]: finding for finding in json.loads(report.read_text())["findings"]}
    assert found["site-0001"]["cause"] == "ibu_kubeconfig: '<template>' is not valid"
    assert "/no/such/file" in found["site-0001"]["remedy"]
    assert found["site-0002"]["cause"] == "ibu_oadp_content: '<template>' is not valid"
    assert found["nowhere"]["cause"] == "ibu_kubeconfig is not set"


def test_a_kubeconfig_that_goes_away_in_mid_rollout_ends_it_with_a_recap(prepare: Prepare) -> None:
    ground = prepare({**scenario(4), **SLOW})

    with ground.start("upgrade", ibu_serial=[1, 2, 1]) as started:
        until(lambda: "Upgrade" in ground.stages("site-0001"), 60, "the canary is at its upgrade")
        gone = ground.fleet.kubeconfig("site-0003")
        gone.unlink()
        run = started.wait()

    assert run.code == 2, run.output
    assert ground.touched() == names(1)
    message = f"site-0003: ibu_kubeconfig: '{gone}' is not valid; the file cannot be read: No such file or directory"
    assert message in run.words
    assert "finalized 1" in run.words
    assert "never started 3" in run.words
    assert run.remaining == names(2, 3, 4)
    assert f"--limit @{run.outcome_file.with_suffix('.remaining')}" in run.output
    (fatal,) = (line for line in run.words.split("fatal: ")[1:])
    assert fatal.count("No such file") == 1, "the same sentence again and again"


def test_in_a_job_a_batch_that_cannot_begin_leaves_everybody_for_the_relaunch(prepare: Prepare) -> None:
    """AWX relaunches on the hosts that have failed; where Ansible ends the play, those of later batches are none."""
    ground = prepare({**scenario(4), **SLOW})

    with ground.start("upgrade", ibu_serial=[1, 2, 1], awx_job_id=7) as started:
        until(lambda: "Upgrade" in ground.stages("site-0001"), 60, "the canary is at its upgrade")
        ground.fleet.kubeconfig("site-0003").unlink()
        run = started.wait()

    assert run.code == 2, run.output
    assert run.failed_hosts == names(2, 3, 4)
    assert ground.touched() == names(1)
    assert run.output.count("ROLLOUT ") == 1
    assert (
        "never started 3 site-0002 site-0003 site-0004 (its next batch was not started: site-0003: ibu_kube"
        in run.words
    )
    assert "the batch's failure budget" not in run.output


# --- the outcome file ---------------------------------------------------------------------------------------------


def test_two_runs_do_not_write_the_same_outcome_file(prepare: Prepare, tmp_path: Path) -> None:
    """Each would write over what the other has seen."""
    ground = prepare(scenario(2, troubles={"site-0001": {"prep_hangs": {}}}))

    with ground.start("upgrade", "-l", "site-0001") as started:
        until(lambda: ground.stages("site-0001"), 60, "the first run is at work")
        second = ground.play("upgrade", "-l", "site-0002")
        # A playbook of the user's own may have no gate.
        third = ground.play(write_own(tmp_path), "-l", "site-0002")
        ground.fleet.control.heal("site-0001", "prep_hangs")
        first = started.wait()

    for refused in (second, third):
        assert refused.code == 2, refused.output
        assert f"(ibu_outcome_file): '{ground.outcome_file}' is not valid; another run is writing it" in refused.words
    assert ground.stages("site-0002") == []
    assert first.code == 0, first.output
    assert set(first.outcomes) == {"site-0001"}
    after = ground.play("upgrade", "-l", "site-0002")
    assert after.code == 0, after.output
    assert after.named("done") == names(1, 2)


def test_a_folder_that_goes_away_strands_nobody_and_takes_nothing_from_the_recap(prepare: Prepare) -> None:
    """As a disk that fills up does: what this batch has come to can be kept nowhere, so nothing more is begun."""
    ground = prepare({**scenario(4, troubles=failing(2)), **SLOW})
    folder = ground.directory / "outcomes"
    folder.mkdir()
    path = folder / "rollout.json"

    with ground.start(
        "upgrade", ibu_outcome_file=str(path), ibu_serial=[2], ibu_max_fail_percentage=100, ibu_budget="100%"
    ) as started:
        until(lambda: "Upgrade" in ground.stages("site-0001"), 60, "an upgrade is under way")
        shutil.rmtree(folder)
        run = started.wait()

    assert run.code == 2, run.output
    assert ground.stages("site-0001") == ["Prep", "Upgrade", "Idle"]
    assert ground.touched() == names(1, 2)
    assert "finalized 1" in run.words
    assert "site-0002 Prep: the seed image is not for this cluster" in run.words
    assert "never started 2" in run.words
    assert f"(ibu_outcome_file): '{path}' is not valid; it cannot be written: No such file or directory" in run.words
    assert "rollout.remaining cannot be written: No such file or directory" in run.words
    assert "Traceback" not in run.output
