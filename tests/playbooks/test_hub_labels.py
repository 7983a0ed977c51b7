# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels on the hub, after what happened to the clusters beside it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import yaml

from .runs import Playground, failing, names, scenario
from .test_group import IBGUS, MANAGED, hub, labels
from .test_group_recovery import HOLD, set_labels

Prepare = Callable[..., Playground]

CGUS = "/apis/ran.openshift.io/v1alpha1/namespaces/ibu/clustergroupupgrades"


def annotations(ground: Playground, name: str) -> dict[str, Any]:
    return hub(ground).get(f"{MANAGED}/{name}").document["metadata"].get("annotations") or {}


def wrong(prepare: Prepare, **clusters: dict[str, Any]) -> Playground:
    """A fleet in several states whose hub has heard of none of them, and is not looked after by TALM."""
    return prepare(scenario(len(clusters), hub={"talm": False}, clusters_extra=clusters))


FLEET: dict[str, dict[str, Any]] = {
    "site-0001": {},
    "site-0002": {"initial": "PrepCompleted"},
    "site-0003": {"initial": "UpgradeCompleted"},
    "site-0004": {"initial": "AutoRolledBack"},
}


def test_labels_are_corrected_and_a_second_run_changes_nothing(prepare: Prepare) -> None:
    ground = wrong(prepare, **FLEET)
    set_labels(ground, "site-0001", prep_completed="", upgrade_failed="")
    hub(ground).merge_patch(f"{MANAGED}/site-0001", {"metadata": {"annotations": {HOLD: "true"}}})
    hub(ground).merge_patch(f"{MANAGED}/site-0002", {"metadata": {"annotations": {HOLD: "true"}}})

    before = ground.writes()
    looked = ground.play("hub_labels", "--check", "--diff")
    assert looked.code == 0, looked.output
    assert "WOULD CHANGE" in looked.output and "-lcm.openshift.io/ibgu-upgrade-failed" in looked.output
    assert ground.writes() == before

    run = ground.play("hub_labels")
    assert run.code == 0, run.output
    assert {name: labels(ground, name) for name in FLEET} == {
        "site-0001": set(),
        "site-0002": {"prep-completed"},
        "site-0003": {"prep-completed", "upgrade-completed"},
        "site-0004": {"prep-completed", "upgrade-failed"},
    }
    assert HOLD not in annotations(ground, "site-0001")
    # It may be about to reboot into the other release.
    assert annotations(ground, "site-0002")[HOLD] == "true"
    assert (
        "ibgu-prep-completed removed, ibgu-upgrade-failed removed, auto-import on again: the cluster is idle"
        in run.words
    )

    before = ground.writes()
    again = ground.play("hub_labels")
    assert again.code == 0 and "changed=0" in again.output, again.output
    assert ground.writes() == before
    assert ground.touched() == []


def test_a_cluster_that_does_not_answer_is_left_alone_and_fails_its_host(prepare: Prepare) -> None:
    ground = prepare(scenario(2, hub={"talm": False}, troubles={"site-0002": {"kubeconfig_missing": {}}}))
    set_labels(ground, "site-0001", prep_failed="")
    set_labels(ground, "site-0002", prep_failed="")

    run = ground.play("hub_labels", ibgu_contact_timeout=1)

    assert run.code == 2 and run.failed_hosts == names(2), run.output
    assert (labels(ground, "site-0001"), labels(ground, "site-0002")) == (set(), {"prep-failed"})


# --- group upgrades that are still there ---------------------------------------------------------------------------


def group_upgrade(ground: Playground, *clusters: dict[str, Any], over: bool = True) -> None:
    """What TALM has made of a group upgrade, without TALM."""
    progressing = {
        "type": "Progressing",
        "status": str(not over),
        "reason": "Completed" if over else "InProgress",
        "message": "All plan steps are completed" if over else "Waiting for plan step 0 to be completed",
        "lastTransitionTime": "2026-11-21T01:00:00Z",
    }
    body = {
        "apiVersion": "lcm.openshift.io/v1alpha1",
        "kind": "ImageBasedGroupUpgrade",
        "metadata": {"name": "north", "namespace": "ibu"},
        "spec": {
            "clusterLabelSelectors": [{"matchLabels": {"vendor": "OpenShift"}}],
            "ibuSpec": {"seedImageRef": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}},
            "plan": [{"actions": ["Prep", "Upgrade"], "rolloutStrategy": {"maxConcurrency": 1, "timeout": 60}}],
        },
    }
    session = hub(ground)
    session.create(IBGUS, body)
    status = {"clusters": list(clusters), "conditions": [progressing], "observedGeneration": 1}
    session.merge_patch(f"{IBGUS}/north/status", {"status": status})


def step(ground: Playground, *batches: list[str], done: dict[str, str]) -> None:
    """The ClusterGroupUpgrade of its step, which runs."""
    body = {
        "apiVersion": "ran.openshift.io/v1alpha1",
        "kind": "ClusterGroupUpgrade",
        "metadata": {"name": "north-prep-upgrade-0", "namespace": "ibu", "labels": {"ibgu": "north"}},
        "spec": {"remediationStrategy": {"maxConcurrency": 1, "timeout": 60}},
    }
    session = hub(ground)
    session.create(CGUS, body)
    found = [{"name": name, "state": state} for name, state in done.items()]
    status = {"remediationPlan": [list(batch) for batch in batches], "clusters": found}
    session.merge_patch(f"{CGUS}/north-prep-upgrade-0/status", {"status": status})


def hold(ground: Playground, *clusters: str) -> None:
    for name in clusters:
        hub(ground).merge_patch(f"{MANAGED}/{name}", {"metadata": {"annotations": {HOLD: "true"}}})


def test_labels_that_talm_would_put_back(prepare: Prepare) -> None:
    ground = wrong(prepare, **{"site-0001": {}, "site-0002": {"initial": "UpgradeCompleted"}})
    set_labels(ground, "site-0001", prep_failed="")
    set_labels(ground, "site-0002", prep_completed="")
    group_upgrade(
        ground,
        {"name": "site-0001", "failedActions": [{"action": "Prep", "message": "why"}]},
        {"name": "site-0002", "completedActions": [{"action": "Prep"}]},
    )

    run = ground.play("hub_labels")

    assert run.code == 2 and run.failed_hosts == names(1), run.output
    assert "the group upgrade ibu/north still lists it and TALM would change the labels back" in run.words
    assert labels(ground, "site-0001") == {"prep-failed"}
    # TALM takes nothing away, so what is missing can be given.
    assert labels(ground, "site-0002") == {"prep-completed", "upgrade-completed"}

    run = ground.play("hub_labels", ibgu_despite_group_upgrades=True)
    assert run.code == 0, run.output
    assert labels(ground, "site-0001") == set()

    run = ground.play("hub_labels")
    assert run.code == 0 and "changed=0" in run.output, run.output


def test_a_cluster_in_a_batch_to_come_keeps_its_import_held_back(prepare: Prepare) -> None:
    ground = wrong(prepare, **{"site-0001": {"initial": "UpgradeCompleted"}, "site-0002": {}, "site-0003": {}})
    set_labels(ground, "site-0001", prep_completed="", upgrade_completed="")
    hold(ground, *names(1, 2, 3))
    group_upgrade(ground, over=False)
    step(ground, ["site-0001"], ["site-0002"], done={"site-0001": "complete"})

    run = ground.play("hub_labels", ibgu_despite_group_upgrades=True)

    assert run.code == 0, run.output
    assert "the group upgrade ibu/north is not done with it; wait for the end of the step" in run.words
    assert [HOLD in annotations(ground, name) for name in names(1, 2, 3)] == [False, True, False]


def test_talm_itself_changes_nothing_back(prepare: Prepare) -> None:
    ground = prepare(scenario(2, hub=True, troubles=failing(2)))
    set_labels(ground, "site-0001", prep_completed="", abortonfailure_failed="")

    first, second = ground.play("hub_labels"), ground.play("hub_labels")

    assert (first.code, second.code) == (0, 0) and "changed=0" in second.output, second.output
    assert labels(ground, "site-0001") == set()


# --- hubs that fail ------------------------------------------------------------------------------------------------


def test_a_hub_that_does_not_answer_fails_its_own_hosts_only(prepare: Prepare) -> None:
    ground = prepare(scenario(2, hub={"talm": False}))
    set_labels(ground, "site-0001", prep_failed="")
    silent = yaml.safe_load(ground.fleet.hub_kubeconfig.read_text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        silent["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{taken.getsockname()[1]}"
    (ground.directory / "silent.kubeconfig").write_text(yaml.safe_dump(silent))
    more = {"all": {"hosts": {"site-0002": {"ibu_hub_kubeconfig": str(ground.directory / "silent.kubeconfig")}}}}
    (ground.directory / "more.yml").write_text(yaml.safe_dump(more))

    run = ground.play("hub_labels", "-i", str(ground.directory / "more.yml"), ibgu_contact_timeout=0.5)

    assert run.code == 2 and run.failed_hosts == names(2), run.output
    assert "the hub https://127.0.0.1:" in run.words and "does not answer as it should" in run.words
    assert labels(ground, "site-0001") == set()


def test_a_cluster_that_the_hub_does_not_know(prepare: Prepare) -> None:
    ground = prepare(scenario(1, hub={"talm": False}), ibu_managed_cluster="somebody-else")

    run = ground.play("hub_labels")

    assert run.code == 2 and run.failed_hosts == names(1), run.output
    assert "has no ManagedCluster 'somebody-else'; name it in ibu_managed_cluster" in run.words


def test_a_cluster_whose_abort_failed_is_left_alone_and_fails_nobody(prepare: Prepare) -> None:
    ground = wrong(prepare, **{"site-0001": {"initial": "AbortFailed"}})
    set_labels(ground, "site-0001", prep_failed="", abort_failed="")
    before = ground.writes()

    run = ground.play("hub_labels")

    assert run.code == 0 and "LEFT ALONE" in run.output, run.output
    assert "its cleanup has failed (abort failed); recover it first" in run.words
    assert ground.writes() == before
