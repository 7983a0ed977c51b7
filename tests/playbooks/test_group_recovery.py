# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aborting, rolling back and finalizing by way of the hub, and the labels that choose the clusters for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import open_session

from .runs import Playground, failing, names, scenario, until
from .test_group import (
    MANAGED,
    PREP,
    UPGRADE,
    VARIABLES,
    VERSION,
    group_upgrades,
    hub,
    labels,
    plan,
    stages,
    task,
)

Prepare = Callable[..., Playground]

HOLD = "import.open-cluster-management.io/disable-auto-import"

AGAIN = {
    "ibgu_copy_from": "north",
    "ibgu_namespace": "ibu",
    "ibgu_poll_interval": 0.1,
    "ibgu_look_interval": 0.3,
}


@pytest.fixture
def upgraded(prepare: Prepare) -> Playground:
    """Two clusters that a group upgrade has upgraded, and one whose Prep has failed."""
    ground = prepare(scenario(3, hub=True, troubles=failing(3)), **AGAIN)
    first = {**VARIABLES, "ibgu_copy_from": None, "ibgu_plan": plan(PREP, UPGRADE)}
    run = ground.play("group_upgrade", **first)
    assert run.failed_hosts == names(3), run.output
    return ground


def has_failed(ground: Playground, name: str) -> bool:
    session = open_session({"kubeconfig": str(ground.fleet.kubeconfig(name))})
    document = session.get("/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade").document
    conditions = (document.get("status") or {}).get("conditions") or ()
    session.close()
    return any(condition["type"].endswith("InProgress") and condition["reason"] == "Failed" for condition in conditions)


def saved_logs(ground: Playground) -> list[str]:
    """The hosts whose logs have been saved."""
    return sorted(path.name.rsplit("-", 1)[0] for path in ground.directory.rglob("*.tar.gz"))


def set_labels(ground: Playground, name: str, **wanted: str | None) -> None:
    body = {f"lcm.openshift.io/ibgu-{key.replace('_', '-')}": value for key, value in wanted.items()}
    hub(ground).merge_patch(f"{MANAGED}/{name}", {"metadata": {"labels": body}})


def test_abort_rollback_and_finalize_each_take_whom_they_concern(upgraded: Playground) -> None:
    ground = upgraded
    # An automatic rollback leaves it held back; it chooses nobody, so it stops none of these.
    hub(ground).merge_patch(f"{MANAGED}/site-0001", {"metadata": {"annotations": {HOLD: "true"}}})

    aborted = ground.play("group_abort")
    assert "auto-import on again" in aborted.words
    assert aborted.code == 0, aborted.output
    assert stages(ground) == {
        "site-0001": ("Upgrade", VERSION),
        "site-0002": ("Upgrade", VERSION),
        "site-0003": ("Idle", "4.16.8"),
    }
    assert labels(ground, "site-0003") == set()
    # Only the one that failed had logs worth keeping.
    assert saved_logs(ground) == ["site-0003"]

    back = ground.play("group_rollback", "--limit", "site-0001")
    assert back.code == 0, back.output
    assert stages(ground)["site-0001"] == ("Idle", "4.16.8")
    assert stages(ground)["site-0002"] == ("Upgrade", VERSION)
    # What shows why it is taken back was saved before, although it had not failed.
    assert saved_logs(ground) == ["site-0001", "site-0003"]

    done = ground.play("group_finalize")
    assert done.code == 0, done.output
    assert stages(ground)["site-0002"] == ("Idle", VERSION)
    assert stages(ground)["site-0001"] == ("Idle", "4.16.8")

    before = ground.writes()
    again = ground.play("group_finalize")
    assert again.code == 0, again.output
    assert ground.writes() == before


def test_a_group_rollback_without_saved_logs_sends_nothing_unless_that_is_accepted(upgraded: Playground) -> None:
    ground = upgraded
    ground.fleet.control.inject("site-0001", "http_error", {"code": 403, "resource": "pods", "count": None})
    held = ground.play("group_rollback", "--limit", "site-0001")
    assert held.code != 0
    assert "accept the loss with must_gather_on_failure=go_on" in held.words
    assert "north-rollback" not in group_upgrades(ground)
    at_once = ground.play("group_rollback", "--limit", "site-0001", must_gather_before_idle=False)
    assert at_once.code == 0, at_once.output
    assert saved_logs(ground) == []
    assert stages(ground)["site-0001"] == ("Idle", "4.16.8")


def test_labels_that_would_choose_wrongly_stop_it_before_anything_is_sent(upgraded: Playground) -> None:
    ground = upgraded
    set_labels(ground, "site-0003", upgrade_completed="")
    before = ground.writes()["hub"]

    run = ground.play("group_rollback")

    assert run.code == 2, run.output
    assert "the labels on the hub do not say what the clusters say" in run.words
    assert "north-rollback" not in group_upgrades(ground)
    assert ground.writes()["hub"] == before


def test_recover_leaves_a_cluster_to_the_step_that_still_runs(prepare: Prepare) -> None:
    ground = prepare(scenario(2, hub=True, troubles=failing(2)), **VARIABLES, must_gather_method="api")
    ground.variables |= {"must_gather_least_free": 0, "must_gather_folder": str(ground.directory / "logs")}
    # One that failed keeps its step running for all its time.
    assert task(ground, "ibgu_plan", plan=plan(PREP, minutes=20000)).code == 0
    until(lambda: has_failed(ground, "site-0002"), 60, "the failure")
    before = ground.writes()

    said = ground.play("recover", "--check")
    assert said.code == 0, said.output
    assert "the group upgrade ibu/north still works on it" in said.words
    assert "would 2 leave it to the group upgrade ibu/north until that is done with it" in said.words
    assert "would 3 abort the upgrade" in said.words

    run = ground.play("recover")
    assert run.code == 2 and run.failed_hosts == names(2), run.output
    assert "nothing was done on it" in run.words
    assert "oc -n ibu delete imagebasedgroupupgrades north" in run.words
    assert ground.writes() == before
    assert [path.name[:9] for path in (ground.directory / "logs").glob("*.tar.gz")] == names(2)

    assert task(ground, "ibgu_plan", state="absent", delete_running=True).code == 0
    after = ground.play("recover")
    assert after.code == 0, after.output
    assert stages(ground)["site-0002"] == ("Idle", "4.16.8")
