# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml and prep.yml where nothing goes wrong: order, hub, second run, check mode, a stop on the way."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config

from .runs import ANSIBLE_PLAYBOOK, FETCHED, ROOT, Playground, names, scenario, until

Prepare = Callable[..., Playground]

HOLD = "import.open-cluster-management.io/disable-auto-import"


def is_held(ground: Playground, name: str) -> bool:
    """Whether the hub's auto-import of a cluster is held back."""
    api = client.CustomObjectsApi(config.new_client_from_config(str(ground.fleet.hub_kubeconfig)))
    found: Any = api.get_cluster_custom_object("cluster.open-cluster-management.io", "v1", "managedclusters", name)
    api.api_client.close()
    return (found["metadata"].get("annotations") or {}).get(HOLD) == "true"


def times(ground: Playground, name: str) -> dict[str, float]:
    """When each stage was asked of a cluster."""
    return {entry["stage"]: entry["real"] for entry in ground.fleet.control.journal(name)}


def test_a_fleet_is_upgraded_in_batches_and_a_second_run_changes_nothing(prepare: Prepare) -> None:
    ground = prepare(scenario(6, hub=True))

    run = ground.play("upgrade", ibu_serial=[1, 2, "50%"])

    assert run.code == 0, run.output
    batches = [names(1), names(2, 3), names(4, 5, 6)]
    assert run.document["batches"] == batches
    assert run.named("done") == names(1, 2, 3, 4, 5, 6)
    for name in names(1, 2, 3, 4, 5, 6):
        assert ground.stages(name) == ["Prep", "Upgrade", "Idle"]
        assert ground.version(name) == "4.17.3"
        assert run.outcomes[name]["completed"] == ["Prep", "Upgrade", "FinalizeUpgrade"]
        assert set(run.outcomes[name]["durations"]) == {"Prep", "Upgrade", "FinalizeUpgrade"}
    for earlier, later in zip(batches, batches[1:], strict=False):
        last = max(times(ground, name)["Idle"] for name in earlier)
        assert last < min(times(ground, name)["Prep"] for name in later)
    assert not ground.refusals()
    assert "ROLLOUT 4.16.8 → 4.17.3" in run.words
    assert "finalized 6" in run.words

    before = ground.writes()
    again = ground.play("upgrade", ibu_serial=[1, 2, "50%"])
    assert again.code == 0, again.output
    assert "changed=0" in again.output and "changed=1" not in again.output
    assert ground.writes() == before
    # Another target is another upgrade, and this one is not above what they run.
    older = {"version": "4.16.9", "image": "registry.example.com/seed:4.16.9"}
    back = ground.play("upgrade", ibu_seed_image_ref=older)
    assert back.code == 2, back.output
    assert "4.16.9 is not above the running 4.17.3" in back.words
    assert ground.writes() == before


def test_the_hub_is_held_back_from_before_the_upgrade_until_its_end(prepare: Prepare) -> None:
    ground = prepare(scenario(1, hub=True, troubles={"site-0001": {"upgrade_hangs": {"at": "reboot"}}}))

    with ground.start("upgrade") as started:
        until(lambda: "Upgrade" in ground.stages("site-0001"), 60, "Upgrade is asked for")
        assert is_held(ground, "site-0001")
        ground.fleet.control.heal("site-0001", "upgrade_hangs")
        run = started.wait()

    assert run.code == 0, run.output
    assert not is_held(ground, "site-0001")
    hold, release = (entry["real"] for entry in ground.fleet.control.journal("hub"))
    asked = times(ground, "site-0001")
    assert hold < asked["Upgrade"] < release < asked["Idle"]


def test_a_hub_that_is_away_when_it_is_needed_is_waited_for(prepare: Prepare) -> None:
    ground = prepare(scenario(1, hub=True))

    with ground.start("upgrade", ibu_progress_interval=0.1) as started:
        until(lambda: "Prep" in ground.stages("site-0001"), 60, "Prep is asked for")
        ground.fleet.control.errors("hub", 503)
        until(lambda: "asking the hub to hold its auto-import" in started.output, 60, "the hub is asked")
        assert "Upgrade" not in ground.stages("site-0001")
        ground.fleet.control.errors("hub", None)
        run = started.wait()

    assert run.code == 0, run.output
    assert ground.stages("site-0001") == ["Prep", "Upgrade", "Idle"]


def test_check_mode_says_what_would_happen_and_writes_nothing(prepare: Prepare) -> None:
    extra = {"site-0002": {"initial": "PrepCompleted"}, "site-0003": {"initial": "Upgraded"}}
    ground = prepare(scenario(3, hub=True, clusters_extra=extra))

    run = ground.play("upgrade", "--check", ibu_serial=["100%"])

    assert run.code == 0, run.output
    assert "would go to Prep site-0001" in run.words
    assert "would go to Upgrade site-0002" in run.words
    assert "nothing to do site-0003" in run.words
    assert "changed=1" in run.output
    assert not any(ground.writes().values())
    assert not ground.outcome_file.exists()


def test_a_fleet_prepared_ahead_is_upgraded_from_where_it_is(prepare: Prepare) -> None:
    ground = prepare(scenario(3))

    prepared = ground.play("prep")
    assert prepared.code == 0, prepared.output
    assert all(ground.stages(name) == ["Prep"] for name in names(1, 2, 3))
    assert "prepared 3" in prepared.words

    upgraded = ground.play("upgrade", ibu_stop_after="Upgrade", ibu_serial=["100%"])
    assert upgraded.code == 0, upgraded.output
    assert all(ground.stages(name) == ["Prep", "Upgrade"] for name in names(1, 2, 3))
    assert "upgraded 3" in upgraded.words
    # What the run before measured is not lost.
    assert set(upgraded.outcomes["site-0002"]["durations"]) == {"Prep", "Upgrade"}
    assert upgraded.outcomes["site-0002"]["version_before"] == "4.16.8"

    finalized = ground.play("finalize", ibu_serial=["100%"])
    assert finalized.code == 0, finalized.output
    assert all(ground.stages(name) == ["Prep", "Upgrade", "Idle"] for name in names(1, 2, 3))
    assert finalized.named("done") == names(1, 2, 3)

    report = ground.play("report")
    assert report.code == 0, report.output
    assert "finalized 3" in report.words


def test_what_a_cluster_has_behind_it_needs_nothing_any_more(prepare: Prepare) -> None:
    """Once it is prepared or done, its pull secret may go, and its ConfigMaps too."""
    ground = prepare(scenario(2), ibu_serial=["100%"])
    assert ground.play("upgrade", "-l", "site-0001").code == 0
    for name in names(1, 2):
        ground.fleet.control.inject(name, "secret_missing")

    refused = ground.play("upgrade")
    assert refused.code == 2, refused.output
    assert "1 of 2 clusters is not ready" in refused.words
    ground.fleet.control.heal("site-0002", "secret_missing")
    run = ground.play("upgrade")

    assert run.code == 0, run.output
    assert run.named("done") == names(1, 2)
    assert ground.stages("site-0001") == ["Prep", "Upgrade", "Idle"]


def test_stop_after_prep_goes_no_further(prepare: Prepare) -> None:
    ground = prepare(scenario(2))

    run = ground.play("upgrade", ibu_stop_after="Prep", ibu_serial=["100%"])

    assert run.code == 0, run.output
    assert all(ground.stages(name) == ["Prep"] for name in names(1, 2))
    assert all(run.outcomes[name]["state"] == "prepared" for name in names(1, 2))


def test_the_concurrency_window_is_kept(prepare: Prepare) -> None:
    ground = prepare(scenario(4))

    run = ground.play("upgrade", ibu_serial=["100%"], ibu_concurrency=2, ibu_stop_after="Prep")

    assert run.code == 0, run.output
    begun = sorted(times(ground, name)["Prep"] for name in names(1, 2, 3, 4))
    reactions = ground.fleet.control.reactions()
    prepared = sorted(reaction["visible"] for name in names(1, 2, 3, 4) for reaction in reactions[name])
    assert begun[2] > prepared[0], "the third began before one of the first two was prepared"
    assert begun[3] > prepared[1]


def test_the_installed_collection_works_by_its_full_name_from_anywhere(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(scenario(2))
    galaxy = ANSIBLE_PLAYBOOK.with_name("ansible-galaxy")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = ground.environment(ANSIBLE_COLLECTIONS_PATH=f"{elsewhere}:{FETCHED}")
    build = [galaxy, "collection", "build", "--output-path", elsewhere, ROOT]
    subprocess.run(build, cwd=elsewhere, env=env, check=True, capture_output=True)
    (tarball,) = elsewhere.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        assert not [name for name in archive.getnames() if name.startswith("tests")]
    install = [galaxy, "collection", "install", "--offline", "--no-deps", "-p", elsewhere, tarball]
    subprocess.run(install, cwd=elsewhere, env=env, check=True, capture_output=True)

    # As little is said as a user can get away with: no outcome file, no settings of a test.
    command = [ANSIBLE_PLAYBOOK, "-i", ground.fleet.inventory, "sno.image_upgrade.upgrade", "-e", "target=fleet"]
    done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [ground.version(name) for name in names(1, 2)] == ["4.17.3", "4.17.3"]
    assert len(list(elsewhere.glob("rollout-*.json"))) == 1, "the outcome file lies where the user was"
