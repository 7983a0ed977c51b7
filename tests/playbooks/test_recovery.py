# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways back: rollback.yml and abort.yml; and status.yml, which says where everybody is."""

from __future__ import annotations

from collections.abc import Callable

from .runs import Playground, names, scenario

Prepare = Callable[..., Playground]


def test_rollback_through_the_stale_object_and_back_to_idle(prepare: Prepare) -> None:
    extra = {name: {"initial": "UpgradeCompleted"} for name in names(1, 2, 3)}
    # 600 simulated seconds are enough for a client to see the object of before the reboot, and to believe it.
    troubles = {"site-0001": {"stale_cr_for": {"seconds": 600}}, "site-0003": {"rollback_failed": {}}}
    ground = prepare(scenario(3, clusters_extra=extra, troubles=troubles))

    back = ground.play("rollback")

    assert back.code == 2, back.output
    assert all(ground.stages(name) == ["Rollback"] for name in names(1, 2, 3))
    assert [ground.version(name) for name in names(1, 2)] == ["4.16.8", "4.16.8"]
    assert back.named("done") == names(1, 2)
    assert all(back.outcomes[name]["state"] == "rolled back" for name in names(1, 2))
    failed = back.outcomes["site-0003"]
    assert (failed["result"], failed["state"]) == ("failed", "rollback failed")
    assert "failed to set default deployment" in failed["message"]
    assert "call a person" in failed["next_step"]
    assert back.remaining == names(3)

    again = ground.play("rollback", "--limit", "site-0001,site-0002")
    assert again.code == 0, again.output
    assert all(ground.stages(name) == ["Rollback"] for name in names(1, 2))

    idle = ground.play("rollback", "--limit", "site-0001,site-0002", rollback_finalize=True)
    assert idle.code == 0, idle.output
    assert all(ground.stages(name) == ["Rollback", "Idle"] for name in names(1, 2))
    assert [idle.outcomes[name]["state"] for name in names(1, 2)] == ["idle", "idle"]
    assert not ground.refusals()


def test_rollback_of_clusters_that_have_nothing_to_roll_back_is_refused_before_any_write(prepare: Prepare) -> None:
    extra = {"site-0001": {"initial": "UpgradeCompleted"}, "site-0003": {"initial": "UpgradePrePivotFailed"}}
    ground = prepare(scenario(3, clusters_extra=extra))

    run = ground.play("rollback")

    assert run.code == 2, run.output
    assert "there is nothing to roll back to" in run.words
    assert "sno.image_upgrade.abort -l site-0003" in run.words
    assert not any(ground.writes().values())


def test_abort_from_every_state_that_allows_it(prepare: Prepare) -> None:
    states = ("PrepInProgress", "PrepFailed", "PrepCompleted", "UpgradePrePivotFailed", "AutoRolledBack")
    extra = {name: {"initial": state} for name, state in zip(names(1, 2, 3, 4, 5), states, strict=True)}
    extra |= {"site-0007": {"initial": "UpgradeCompleted"}, "site-0008": {"initial": "PrepCompleted"}}
    ground = prepare(scenario(8, clusters_extra=extra, troubles={"site-0008": {"abort_failed": {"times": 9}}}))

    run = ground.play("abort")

    assert run.code == 2, run.output
    assert all(ground.stages(name) == ["Idle"] for name in names(1, 2, 3, 4, 5, 8))
    assert ground.stages("site-0006") == ground.stages("site-0007") == []
    assert run.named("done") == names(1, 2, 3, 4, 5, 6)
    assert run.named("skipped") == names(7)
    assert {ground.version(name) for name in names(1, 2, 3, 4, 5, 6)} == {"4.16.8"}
    failed = run.outcomes["site-0008"]
    assert (failed["result"], failed["state"]) == ("failed", "abort failed")
    assert "stateroot" in failed["message"]
    assert "manual-cleanup-done" in failed["next_step"]
    assert "aborted 6" in run.words
    assert not ground.refusals()


def test_finalize_only_what_is_upgraded_and_fit(prepare: Prepare) -> None:
    extra = {name: {"initial": "UpgradeCompleted"} for name in names(1, 2)}
    troubles = {"site-0002": {"unhealthy_after_upgrade": {}}}
    ground = prepare(scenario(3, clusters_extra=extra, troubles=troubles))

    refused = ground.play("finalize")
    assert refused.code == 2, refused.output
    assert "there is no upgrade to finalize; it is Idle and runs 4.16.8" in refused.words
    assert not any(ground.writes().values())

    run = ground.play("finalize", "--limit", "site-0001,site-0002", ibu_serial=["100%"])
    assert run.code == 2, run.output
    assert ground.touched() == names(1)
    assert run.outcomes["site-0002"]["result"] == "unverified"
    assert "ingress" in run.outcomes["site-0002"]["message"]

    ground.fleet.control.heal("site-0002", "unhealthy_after_upgrade")
    mended = ground.play("finalize", "--limit", "site-0001,site-0002", ibu_serial=["100%"])
    assert mended.code == 0, mended.output
    assert [ground.stages(name) for name in names(1, 2)] == [["Idle"], ["Idle"]]


def test_status_shows_every_state_and_changes_nothing(prepare: Prepare) -> None:
    states = {
        "site-0001": "UpgradeCompleted",
        "site-0002": "PrepFailed",
        "site-0003": "AutoRolledBack",
        "site-0004": "FinalizeFailed",
    }
    extra = {name: {"initial": state} for name, state in states.items()}
    ground = prepare(scenario(6, clusters_extra=extra, troubles={"site-0006": {"refused_from_start": {}}}))

    run = ground.play("status", env={"COLUMNS": "300"}, ibu_contact_timeout=1)

    assert run.code == 0, run.output
    table = run.output.partition("PLAY RECAP")[0].splitlines()
    rows = {line.split()[0]: " ".join(line.split()) for line in table if line.startswith(("CLUSTER", "site-"))}
    assert rows["CLUSTER"] == "CLUSTER RUNS STAGE STATE SINCE NEXT DETAIL"
    assert rows["site-0001"].startswith("site-0001 4.17.3 Upgrade upgraded ")
    assert "Idle, Rollback roll back until 20" in rows["site-0001"]
    assert "4.16.8 Prep prep failed " in rows["site-0002"]
    assert " Idle precache job failed to complete" in rows["site-0002"]
    assert "4.16.8 Upgrade rolled back automatically " in rows["site-0003"]
    assert "LCA Init Monitor timeout" in rows["site-0003"]
    assert "4.17.3 Idle finalize failed " in rows["site-0004"]
    assert rows["site-0005"].startswith("site-0005 4.16.8 Idle idle ")
    assert rows["site-0006"].startswith("site-0006 - - no answer - - connection refused")
    assert not any(ground.writes().values())
