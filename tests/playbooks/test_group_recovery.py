# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aborting, rolling back and finalizing by way of the hub, and the labels that choose the clusters for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .runs import Playground, failing, names, scenario
from .test_group import (
    MANAGED,
    PREP,
    UPGRADE,
    VARIABLES,
    VERSION,
    failed_hosts,
    group_upgrades,
    hub,
    labels,
    plan,
    stages,
)

Prepare = Callable[..., Playground]

AGAIN = {
    "ibgu_copy_from": "north",
    "ibgu_namespace": "ibu",
    "ibgu_poll_interval": 0.1,
    "ibgu_look_interval": 0.3,
}
HOLD = "import.open-cluster-management.io/disable-auto-import"


@pytest.fixture
def upgraded(prepare: Prepare) -> Playground:
    """Two clusters that a group upgrade has upgraded, and one whose Prep has failed."""
    ground = prepare(scenario(3, hub=True, troubles=failing(3)), **AGAIN)
    first = {**VARIABLES, "ibgu_copy_from": None, "ibgu_plan": plan(PREP, UPGRADE)}
    run = ground.play("group_upgrade", **first)
    assert failed_hosts(run) == names(3), run.output
    return ground


def annotations(ground: Playground, name: str) -> dict[str, Any]:
    return hub(ground).get(f"{MANAGED}/{name}").document["metadata"].get("annotations") or {}


def set_labels(ground: Playground, name: str, **wanted: str | None) -> None:
    body = {f"lcm.openshift.io/ibgu-{key.replace('_', '-')}": value for key, value in wanted.items()}
    hub(ground).merge_patch(f"{MANAGED}/{name}", {"metadata": {"labels": body}})


def test_abort_rollback_and_finalize_each_take_whom_they_concern(upgraded: Playground) -> None:
    ground = upgraded

    aborted = ground.play("group_abort")
    assert aborted.code == 0, aborted.output
    assert stages(ground) == {
        "site-0001": ("Upgrade", VERSION),
        "site-0002": ("Upgrade", VERSION),
        "site-0003": ("Idle", "4.16.8"),
    }
    assert labels(ground, "site-0003") == set()

    back = ground.play("group_rollback", "--limit", "site-0001")
    assert back.code == 0, back.output
    assert stages(ground)["site-0001"] == ("Idle", "4.16.8")
    assert stages(ground)["site-0002"] == ("Upgrade", VERSION)

    done = ground.play("group_finalize")
    assert done.code == 0, done.output
    assert stages(ground)["site-0002"] == ("Idle", VERSION)
    assert stages(ground)["site-0001"] == ("Idle", "4.16.8")

    before = ground.writes()
    again = ground.play("group_finalize")
    assert again.code == 0, again.output
    assert ground.writes() == before


def test_labels_that_would_choose_wrongly_stop_it_before_anything_is_sent(upgraded: Playground) -> None:
    ground = upgraded
    set_labels(ground, "site-0003", upgrade_completed="")
    before = ground.writes()["hub"]

    run = ground.play("group_rollback")

    assert run.code == 2, run.output
    assert "the labels on the hub do not say what the clusters say" in run.words
    assert "north-rollback" not in group_upgrades(ground)
    assert ground.writes()["hub"] == before


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

    assert run.code == 2 and failed_hosts(run) == names(2), run.output
    assert (labels(ground, "site-0001"), labels(ground, "site-0002")) == (set(), {"prep-failed"})


def test_labels_that_talm_would_put_back(upgraded: Playground) -> None:
    ground = upgraded
    set_labels(ground, "site-0003", prep_failed=None)

    run = ground.play("hub_labels")
    assert run.code == 2 and failed_hosts(run) == names(3), run.output
    assert "the group upgrade ibu/north still lists it and TALM would change the labels back" in run.words

    run = ground.play("hub_labels", ibgu_despite_group_upgrades=True)
    assert run.code == 0, run.output
    assert labels(ground, "site-0003") == {"prep-failed"}
