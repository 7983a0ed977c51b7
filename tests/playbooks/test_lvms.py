# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of LVM Storage that lost their contents: the cause, the lines to add, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .runs import Playground, scenario

Prepare = Callable[..., Playground]


def upgraded(cause: str | None, **troubles: Any) -> dict[str, Any]:
    return {"initial": "UpgradeCompleted", "troubles": {"lvms_volumes": {"cause": cause}, **troubles}}


def patches(ground: Playground, host: str) -> list[dict[str, Any]]:
    """What was sent about volumes, dry runs left out."""
    journal = ground.fleet.control.journal(host)
    return [entry for entry in journal if "persistentvolumes" in entry["path"] and not entry["dry_run"]]


def test_clusters_are_listed_by_cause_with_the_lines_to_add(prepare: Prepare) -> None:
    extra = {
        "site-0001": upgraded("backup"),
        "site-0002": upgraded("restore"),
        "site-0003": upgraded(None),
        "site-0004": upgraded("backup"),
        "site-0006": {"troubles": {"refused_from_start": {}}},
    }
    ground = prepare(scenario(6, clusters_extra=extra))
    done = ground.play("recover_lvms")
    assert done.code != 0, done.output
    words = done.words
    assert "LVMS 6 clusters 3 missing 1 no answer" in words
    assert "MISSING 2 Backup small-app lacks logicalvolumes.topolvm.io site-0001 site-0004" in words
    assert "site-0001: app/app-data: pod app/app-0 cannot mount it: VolumeID is not found" in words
    assert "- persistentVolumes - logicalvolumes.topolvm.io # add" in words
    assert "MISSING 1 Restore small-app lacks restorePVs, restoreStatus site-0002" in words
    assert "site-0002: app/app-data: its LogicalVolume pv-app is younger than the upgrade" in words
    assert "restorePVs: true # add restoreStatus: # add includedResources: # add - logicalvolumes # add" in words
    assert "ansible-playbook sno.image_upgrade.rollback -l site-0002 before 20" in words
    assert all(name in words.partition("PLAY RECAP")[0] for name in ("site-0001: the contents of", "site-0006: "))
    assert not any(ground.writes().values())


def test_a_rollback_brings_the_contents_back(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra={"site-0001": upgraded("backup")}))
    assert ground.play("recover_lvms").code != 0
    rolled = ground.play("rollback")
    assert rolled.code == 0, rolled.output
    done = ground.play("recover_lvms")
    assert done.code == 0, done.output
    # The Backup is the same: the next upgrade would lose them again.
    assert "LVMS 1 cluster nothing missing 1 at risk" in done.words


def test_a_real_upgrade_loses_contents(prepare: Prepare) -> None:
    extra = {"site-0001": {"troubles": {"lvms_volumes": {"cause": "restore"}}}}
    ground = prepare(scenario(1, clusters_extra=extra))
    assert ground.play("recover_lvms").code == 0
    assert ground.play("upgrade").code == 0
    done = ground.play("recover_lvms")
    assert done.code != 0 and "the contents of app/app-data were not restored" in done.words


@pytest.mark.parametrize("state", ["FinalizeFailed", "AbortFailed", "Upgraded"])
def test_reclaim_policies_are_set_back_on_word_only(prepare: Prepare, state: str) -> None:
    extra = {"site-0001": {"initial": state, "troubles": {"pv_policy_left": {}}}}
    ground = prepare(scenario(1, clusters_extra=extra))
    told = ground.play("recover_lvms")
    assert told.code == 0 and "pv-app: → -e recover_lvms_restore_policies=true" in told.words
    checked = ground.play("recover_lvms", "--check", "--diff", recover_lvms_restore_policies=True)
    assert checked.code == 0, checked.output
    assert "changed=1" in checked.words and "Retain" in checked.output and patches(ground, "site-0001") == []
    done = ground.play("recover_lvms", recover_lvms_restore_policies=True)
    assert done.code == 0 and "pv-app: were set back" in done.words, done.output
    assert len(patches(ground, "site-0001")) == 1
    again = ground.play("recover_lvms", recover_lvms_restore_policies=True)
    assert "changed=0" in again.words and len(patches(ground, "site-0001")) == 1


def test_policies_that_are_still_needed_stay(prepare: Prepare) -> None:
    extra = {
        "site-0001": {"initial": "UpgradePostPivot", "troubles": {"pv_policy_left": {}, "upgrade_hangs": {}}},
        "site-0002": {"initial": "FinalizeFailed", "troubles": {"pv_policy_left": {"phase": "Released"}}},
    }
    ground = prepare(scenario(2, clusters_extra=extra))
    done = ground.play("recover_lvms", recover_lvms_restore_policies=True)
    assert done.code == 0, done.output
    assert "pv-app: it is not bound; policy Delete could remove what is left of it" in done.words
    assert patches(ground, "site-0001") == patches(ground, "site-0002") == []
