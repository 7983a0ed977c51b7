# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group upgrades through the simulated hub: the plan's way, failures, stops, kills, and what is refused."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere

from .runs import Playground, Run, failing, names, scenario, until

Prepare = Callable[..., Playground]

IBGUS = "/apis/lcm.openshift.io/v1alpha1/namespaces/ibu/imagebasedgroupupgrades"
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
OPERATORS = "/apis/config.openshift.io/v1/clusteroperators"
PREP, UPGRADE, FINALIZE = ["Prep"], ["Upgrade"], ["FinalizeUpgrade"]
ALL = [{"matchLabels": {"vendor": "OpenShift"}}]
VERSION = "4.17.3"


def plan(*steps: list[str], minutes: float = 120, concurrency: int = 10) -> list[dict[str, Any]]:
    strategy = {"maxConcurrency": concurrency, "timeoutPerCluster": minutes}
    return [{"actions": actions, "rolloutStrategy": strategy} for actions in steps]


VARIABLES: dict[str, Any] = {
    "ibgu_name": "north",
    "ibgu_namespace": "ibu",
    "ibgu_cluster_label_selectors": ALL,
    "ibgu_plan": plan(PREP, UPGRADE, FINALIZE),
    "ibgu_poll_interval": 0.1,
    "ibgu_look_interval": 0.3,
    "group_upgrade_budget": "50%",
}


@pytest.fixture
def group(prepare: Prepare) -> Callable[..., Playground]:
    """A fleet with a hub, and the variables of a group upgrade."""

    def make(count: int, **more: Any) -> Playground:
        variables = {**VARIABLES, **more.pop("variables", {})}
        return prepare(scenario(count, hub=True, **more), **variables)

    return make


def hub(ground: Playground) -> Session:
    return open_session({"kubeconfig": str(ground.fleet.hub_kubeconfig)})


def group_upgrades(ground: Playground) -> dict[str, dict[str, Any]]:
    """All of them by name."""
    return {item["metadata"]["name"]: item for item in hub(ground).list(IBGUS)}


def sent(ground: Playground, name: str = "north") -> list[list[str]]:
    """The plan that the hub holds."""
    return [step["actions"] for step in group_upgrades(ground)[name]["spec"]["plan"]]


def writes(ground: Playground) -> list[tuple[str, str]]:
    """Verb and name of what was asked of group upgrades and done."""
    journal = [entry for entry in ground.fleet.control.journal("hub") if IBGUS in entry["path"]]
    return [(entry["verb"], entry["path"].rpartition("/")[2]) for entry in journal if not entry["dry_run"]]


def labels(ground: Playground, name: str) -> set[str]:
    found = hub(ground).get(f"{MANAGED}/{name}").document["metadata"]["labels"]
    return {key.rpartition("ibgu-")[2] for key in found if "/ibgu-" in key}


def stages(ground: Playground) -> dict[str, tuple[str, str]]:
    return {cluster["name"]: (cluster["stage"], cluster["version"]) for cluster in ground.fleet.control.clusters()}


def task(ground: Playground, module: str, **options: Any) -> Run:
    """One task about the group upgrade, as a user would write it."""
    path = ground.directory / "task.yml"
    play = {
        "hosts": "fleet",
        "gather_facts": False,
        "tasks": [
            {"name": "Do", f"sno.image_upgrade.{module}": options, "run_once": True, "register": "done"},
            {"name": "Show", "ansible.builtin.debug": {"var": "done"}, "run_once": True},
        ],
    }
    path.write_text(yaml.safe_dump([play]))
    return ground.play(path)


# --- the way of a plan ---------------------------------------------------------------------------------------------


def test_a_fleet_goes_through_its_plan_and_a_second_run_changes_nothing(group: Prepare) -> None:
    ground = group(4, variables={"ibgu_plan": [*plan(PREP, concurrency=2), *plan(UPGRADE, FINALIZE)]})

    run = ground.play("group_upgrade")

    assert run.code == 0, run.output
    assert sent(ground) == [PREP, UPGRADE, FINALIZE]
    assert writes(ground) == [("create", "imagebasedgroupupgrades"), ("patch", "north"), ("patch", "north")]
    assert set(stages(ground).values()) == {("Idle", VERSION)}
    # The clusters are driven by the hub alone.
    assert ground.touched() == []
    assert "step 1 ([Prep]): timeout 240 minutes = 2 batches of 120 minutes (4 clusters, 2 at a time)" in run.words
    assert "step 1 [Prep] batch 2 of 2" in run.words

    before = ground.writes()
    again = ground.play("group_upgrade")
    assert again.code == 0, again.output
    assert ground.writes() == before
    assert "changed=0" in again.output and "changed=1" not in again.output


def test_a_failure_is_told_at_once_with_its_cause_and_costs_its_host_alone(group: Prepare) -> None:
    ground = group(3, troubles=failing(2))

    run = ground.play("group_upgrade")

    assert run.code == 2, run.output
    assert run.failed_hosts == ["site-0002"]
    told = run.words.index("site-0002 FAILED in Prep: the seed image is not for this cluster")
    assert told < run.words.index("step 1 [Prep] has ended: 2 completed, 1 failed")
    assert "site-0002 failed in step 1 of ibu/north, Prep: the seed image is not for this cluster" in run.words
    assert stages(ground) == {
        "site-0001": ("Idle", VERSION),
        "site-0002": ("Prep", "4.16.8"),
        "site-0003": ("Idle", VERSION),
    }


def test_the_budget_keeps_the_next_step_back(group: Prepare) -> None:
    ground = group(4, troubles=failing(1, 2), variables={"group_upgrade_budget": "25%"})

    run = ground.play("group_upgrade")

    assert run.code == 2, run.output
    assert sent(ground) == [PREP]
    assert "2 clusters have failed, 1 may" in run.words
    assert "not sent: [Upgrade] [FinalizeUpgrade]" in run.words
    assert run.failed_hosts == names(1, 2, 3, 4)
    assert "site-0003 did not get to the end of the plan" in run.words


def test_those_that_failed_can_be_aborted_when_the_run_is_stopped(group: Prepare) -> None:
    ground = group(3, troubles=failing(1), variables={"group_upgrade_budget": "0", "group_upgrade_abort_failed": True})

    run = ground.play("group_upgrade")

    assert run.code == 2, run.output
    assert sent(ground) == [PREP] and sent(ground, "north-abort") == [["AbortOnFailure"]]
    assert {name: stage for name, (stage, _version) in stages(ground).items()} == {
        "site-0001": "Idle",
        "site-0002": "Prep",
        "site-0003": "Prep",
    }
    assert "site-0001 failed in step 1 of ibu/north, Prep: the seed image is not for this cluster" in run.words


def test_a_canary_goes_first_and_alone(group: Prepare) -> None:
    ground = group(3, variables={"group_upgrade_canary": names(2)})

    run = ground.play("group_upgrade")

    assert run.code == 0, run.output
    assert set(stages(ground).values()) == {("Idle", VERSION)}
    made = group_upgrades(ground)
    by_name = {name: [c["name"] for c in item["status"]["clusters"]] for name, item in made.items()}
    assert by_name == {"north-canary": names(2), "north": names(1, 3)}
    assert made["north-canary"]["metadata"]["creationTimestamp"] < made["north"]["metadata"]["creationTimestamp"]


def test_a_canary_that_fails_keeps_everybody_else_back(group: Prepare) -> None:
    ground = group(3, troubles=failing(2), variables={"group_upgrade_canary": names(2)})

    run = ground.play("group_upgrade")

    assert run.code == 2, run.output
    assert list(group_upgrades(ground)) == ["north-canary"]
    assert run.failed_hosts == names(1, 2, 3)
    assert "a canary cluster failed" in run.words


def test_a_stop_for_a_person_and_going_on(group: Prepare) -> None:
    ground = group(2)

    run = ground.play("group_upgrade", ibgu_stop_after=1)
    assert run.code == 0, run.output
    assert sent(ground) == [PREP]

    run = ground.play("group_upgrade")
    assert run.code == 0, run.output
    assert sent(ground) == [PREP, UPGRADE, FINALIZE]
    assert set(stages(ground).values()) == {("Idle", VERSION)}


@pytest.mark.parametrize(
    ("steps", "number"),
    [(1, signal.SIGKILL), (2, signal.SIGKILL), (3, signal.SIGKILL), (2, signal.SIGTERM)],
    ids=["1-kill", "2-kill", "3-kill", "2-term"],
)
def test_killed_in_any_step_and_run_again(group: Prepare, steps: int, number: int) -> None:
    ground = group(2)

    def has(count: int) -> bool:
        made = group_upgrades(ground)
        return bool(made) and len(made["north"]["spec"]["plan"]) == count

    with ground.start("group_upgrade") as started:
        until(lambda: has(steps), 60, f"step {steps} is sent")
        started.kill(number, [started.process.pid])
        started.wait_until_gone(20)
    assert len(sent(ground)) == steps

    run = ground.play("group_upgrade")

    assert run.code == 0, run.output
    assert [verb for verb, _name in writes(ground)] == ["create", "patch", "patch"]
    assert set(stages(ground).values()) == {("Idle", VERSION)}


def test_a_hub_that_is_away_for_a_moment(group: Prepare) -> None:
    ground = group(2, troubles={"site-0001": {"upgrade_hangs": {"at": "reboot"}}})

    with ground.start("group_upgrade") as started:
        until(lambda: "step 2 [Upgrade]" in started.output, 60, "the second step is followed")
        ground.fleet.control.errors("hub", 503)
        until(lambda: "the hub does not answer" in started.output, 20, "the outage is told")
        ground.fleet.control.errors("hub", None)
        ground.fleet.control.heal("site-0001", "upgrade_hangs")
        run = started.wait()

    assert run.code == 0, run.output


# --- finalizing -----------------------------------------------------------------------------------------------------


def test_nothing_is_finalized_while_a_cluster_is_not_fit(group: Prepare) -> None:
    ground = group(2, troubles={"site-0002": {"unhealthy_after_upgrade": {}}})

    run = ground.play("group_upgrade")

    assert run.code == 2, run.output
    assert sent(ground) == [PREP, UPGRADE]
    assert "site-0002 NOT VERIFIED: ClusterOperators not ready" in run.words
    assert "1 of 2 clusters is not fit to be finalized" in run.words


# --- what is refused, before anything is written ----------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a plan that the API does not permit": (
        {"ibgu_plan": plan(PREP, ["Abort"], UPGRADE)},
        "step 3 ([Upgrade]) cannot follow step 2 ([Abort]): the API accepts 26 plans",
    ),
    "too little time": (
        {"ibgu_plan": [{"actions": PREP, "rolloutStrategy": {"maxConcurrency": 1, "timeout": 9}}]},
        "plan step 1 timeout (ibgu_plan): 9 is not valid; "
        "it needs at least 10 minutes (2 clusters, 1 at a time, 5 minutes each)",
    ),
    "all at once by mistake": (
        {"ibgu_plan": plan(PREP, concurrency=0)},
        "plan step 1 maxConcurrency (ibgu_plan): 0 is not valid; give 1 or more",
    ),
    "nobody": ({"ibgu_cluster_label_selectors": [{"matchLabels": {"a": "b"}}]}, "they select no ManagedCluster"),
    "nobody prepared": ({"ibgu_plan": plan(UPGRADE)}, "would select none of the 2 clusters"),
    "finalizing unseen": (
        {"ibgu_plan": plan([*PREP, *UPGRADE, *FINALIZE])},
        "step 1 ([Prep,Upgrade,FinalizeUpgrade]) would finalize without a verification",
    ),
    "a misspelt selector": ({"ibgu_cluster_label_selectors": [{"matchlabels": {}}]}, "'matchlabels' is not valid"),
    "contents that the hub does not have": (
        {"ibu_oadp_content": [{"name": "nowhere", "namespace": "openshift-adp"}]},
        "the hub has no ConfigMap openshift-adp/nowhere: TALM would copy nothing",
    ),
    "a canary that is not there": ({"group_upgrade_canary": ["site-9999"]}, "clusters: 'site-9999' is not valid"),
}


@pytest.mark.parametrize(("variables", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_not_written(shared: Playground, variables: dict[str, Any], words: str) -> None:
    before = shared.writes()

    run = shared.play("group_upgrade", group_upgrade_preflight=False, **variables)

    assert run.code == 2, run.output
    assert words in run.words, run.output
    assert shared.writes() == before
    assert group_upgrades(shared) == {}


def test_hosts_that_want_different_seeds(shared: Playground) -> None:
    inventory = yaml.safe_load(shared.fleet.inventory.read_text())
    other = {"version": VERSION, "image": "registry.example.com/other:1"}
    inventory["all"]["children"]["fleet"]["hosts"]["site-0002"]["ibu_seed_image_ref"] = other
    path = shared.directory / "two_seeds.yml"
    path.write_text(yaml.safe_dump(inventory))

    run = shared.play("group_upgrade", "-i", str(path), group_upgrade_preflight=False)

    assert run.code == 2, run.output
    assert "wants another seed image than the group upgrade" in run.words, run.output
    assert group_upgrades(shared) == {}


def test_a_refusal_of_the_preflight_in_a_job_of_awx_fails_every_host(shared: Playground) -> None:
    inventory = yaml.safe_load(shared.fleet.inventory.read_text())
    inventory["all"]["children"]["fleet"]["hosts"]["site-0002"]["ibu_kubeconfig"] = "/nowhere"
    path = shared.directory / "no_kubeconfig.yml"
    path.write_text(yaml.safe_dump(inventory))

    run = shared.play("group_upgrade", "-i", str(path), awx_job_id=7)

    assert run.code == 2, run.output
    assert run.failed_hosts == names(1, 2)
    assert "site-0001: never started: preflight refused the rollout: 1 of 2 clusters is not ready" in run.words
    assert group_upgrades(shared) == {}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One fleet for everything that changes nothing."""
    from .runs import playground

    folder: Path = tmp_path_factory.mktemp("group")
    with playground(folder, scenario(2, hub=True), **VARIABLES) as ground:
        yield ground


def test_check_mode_shows_the_next_step_and_writes_nothing(shared: Playground) -> None:
    before = shared.writes()

    run = shared.play("group_upgrade", "--check", "--diff")

    assert run.code == 0, run.output
    assert "+    - Prep" in run.output
    assert "FinalizeUpgrade" not in run.output
    assert group_upgrades(shared) == {}
    changed = {name for name, count in shared.writes().items() if count != before[name]}
    # The preflight's questions about rights, and the dry run.
    assert not {entry["dry_run"] for entry in shared.fleet.control.journal("hub") if IBGUS in entry["path"]} - {True}
    assert shared.touched() == [] and changed <= {"hub", *names(1, 2)}


def test_a_limit_limits_whom_the_group_upgrade_selects(group: Prepare) -> None:
    ground = group(3, variables={"ibgu_plan": plan(PREP)})

    run = ground.play("group_upgrade", "--limit", "site-0002")

    assert run.code == 0, run.output
    assert {name for name, (stage, _v) in stages(ground).items() if stage == "Prep"} == {"site-0002"}


# --- the modules ------------------------------------------------------------------------------------------------------


def test_info_and_absent(group: Prepare) -> None:
    ground = group(2, troubles={"site-0002": {"prep_hangs": {}}})
    started = task(ground, "ibgu_plan", plan=plan(PREP, minutes=2000))
    assert started.code == 0, started.output

    refused = task(ground, "ibgu_plan", state="absent")
    assert refused.code == 2 and "ibu/north is still at work" in refused.words, refused.output

    gone = task(ground, "ibgu_plan", state="absent", delete_running=True)
    assert gone.code == 0, gone.output
    with pytest.raises(NotThere):
        hub(ground).get(f"{IBGUS}/north")
    again = task(ground, "ibgu_plan", state="absent")
    assert again.code == 0 and "changed=0" in again.output, again.output
    info = task(ground, "ibgu_info")
    assert info.code == 0 and '"exists": false' in info.output or "exists: false" in info.output, info.output


def test_a_step_is_not_appended_to_one_that_runs(group: Prepare) -> None:
    ground = group(2, troubles={"site-0002": {"prep_hangs": {}}})
    assert task(ground, "ibgu_plan", plan=plan(PREP, minutes=2000)).code == 0
    before = writes(ground)

    refused = task(ground, "ibgu_plan", plan=plan(PREP, UPGRADE, minutes=2000))

    assert refused.code == 2, refused.output
    assert "step 2 ([Upgrade]) cannot be appended while step 1 ([Prep]) is still running" in refused.words
    assert writes(ground) == before


def test_the_same_plan_without_a_hub(prepare: Prepare) -> None:
    aborting = plan(PREP, ["AbortOnFailure"], UPGRADE, minutes=60)
    ground = prepare(scenario(3, troubles=failing(2)), **{**VARIABLES, "ibgu_plan": aborting})

    run = ground.play("group_upgrade", group_upgrade_engine="direct")

    assert run.code == 2 and run.failed_hosts == ["site-0002"], run.output
    assert stages(ground) == {
        "site-0001": ("Upgrade", VERSION),
        "site-0002": ("Idle", "4.16.8"),
        "site-0003": ("Upgrade", VERSION),
    }
    assert "the seed image is not for this cluster" in run.words


def test_an_engine_that_there_is_not(shared: Playground) -> None:
    run = shared.play("group_upgrade", group_upgrade_engine="tlam")

    assert run.code == 2, run.output
    assert "group_upgrade_engine: 'tlam' is not valid; use talm (through the hub) or direct" in run.words
