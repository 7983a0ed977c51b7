# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ibu_stage: from options to one patch, and its answer."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Refused
from ansible_collections.sno.image_upgrade.plugins.modules import ibu_stage

HOST = "https://api.site-0001.example.com:6443"
SEED = {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}
IDLE = ("Idle", "True", "Idle", "Idle")
PREPARED = ("PrepCompleted", "True", "Completed", "Prep stage completed successfully")
UPGRADED = ("UpgradeCompleted", "True", "Completed", "Upgrade completed")
NODE = {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.fixture
def stage(run: Any) -> Any:
    def stage(name: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = run(ibu_stage, host=HOST, stage=name, **options)
        return found

    return stage


def test_one_patch_brings_everything_that_prep_needs(api: Any, stage: Any) -> None:
    api.show("Idle", ["Prep"], IDLE)

    found = stage(
        "Prep",
        seed_image_ref={**SEED, "pull_secret_ref": {"name": "pull"}},
        oadp_content=[{"name": "oadp-cm", "namespace": "openshift-adp"}],
        extra_manifests=[],
        auto_rollback_on_failure={"init_monitor_timeout_seconds": 900},
        annotations={"a": "b"},
    )

    body = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "stage": "Prep",
            "seedImageRef": {**SEED, "pullSecretRef": {"name": "pull"}},
            "oadpContent": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
            "extraManifests": [],
            "autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 900},
        },
    }
    assert api.sent == [(body, {})]
    assert found["changed"] is True
    assert found["status"]["state"] == "requested"
    assert found["diff"]["before"]["spec"]["stage"] == "Idle"
    assert found["diff"]["after"]["spec"]["oadpContent"] == body["spec"]["oadpContent"]


def test_the_apis_spelling_of_options(api: Any, stage: Any) -> None:
    api.show("Idle", ["Prep"], IDLE)

    stage("Prep", seedImageRef={**SEED, "pullSecretRef": {"name": "pull"}}, oadpContent=[])

    assert api.sent[0][0]["spec"] == {
        "stage": "Prep",
        "seedImageRef": {**SEED, "pullSecretRef": {"name": "pull"}},
        "oadpContent": [],
    }


def test_the_second_time_nothing_is_sent(api: Any, stage: Any) -> None:
    api.show("Prep", ["Idle", "Upgrade"], PREPARED)

    found = stage("Prep", seed_image_ref=SEED)

    assert (found["changed"], api.sent) == (False, [])
    assert found["diff"]["before"] == found["diff"]["after"]


def test_check_mode_lets_the_api_judge_and_changes_nothing(api: Any, stage: Any) -> None:
    api.show("Prep", ["Idle", "Upgrade"], PREPARED)

    found = stage("Upgrade", _ansible_check_mode=True)

    assert api.sent == [({"spec": {"stage": "Upgrade"}}, {"dryRun": "All"})]
    assert found["changed"] is True


def test_a_refusal_names_cluster_state_and_the_way_out(api: Any, stage: Any) -> None:
    api.show("Idle", ["Prep"], IDLE)

    found = stage("Upgrade", seed_image_ref=SEED)

    assert found["failed"] is True and found["changed"] is False
    assert found["msg"] == (
        "api.site-0001.example.com: cannot follow Upgrade: it is Idle and not prepared. Next: run Prep first"
    )
    assert found["next_step"] == "run Prep first"
    assert found["status"]["state"] == "idle"
    assert api.sent == []


def test_the_apis_own_refusal_is_passed_on(api: Any, stage: Any) -> None:
    api.show("Prep", ["Idle", "Upgrade"], PREPARED)
    api.refusals = [Refused("the stage transition is not permitted", 422)]

    found = stage("Upgrade")

    assert "the API refused Upgrade: the stage transition is not permitted (it allows: Idle, Upgrade)" in found["msg"]
    assert "abort -l api.site-0001.example.com" in found["next_step"]
    assert "{" not in found["msg"]


@pytest.mark.parametrize(("nodes", "sent"), [([NODE], 1), ([], 0)], ids=["fit", "not fit"])
def test_nothing_is_finalized_unseen(api: Any, stage: Any, nodes: list[Any], sent: int) -> None:
    api.show("Upgrade", ["Idle", "Rollback"], UPGRADED, version="4.17.3")
    api.lists["/api/v1/nodes"] = nodes

    found = stage("Idle")

    assert len(api.sent) == sent
    assert ("not fit to be finalized: the cluster lists no node" in found.get("msg", "")) is (sent == 0)


def test_waiting_says_how_long_it_took(api: Any, stage: Any) -> None:
    api.show("Prep", ["Idle"], ("PrepInProgress", "True", "InProgress", "In progress"))
    done = {**api.objects["/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade"]}
    done["status"] = {
        "observedGeneration": 3,
        "validNextStages": ["Idle", "Upgrade"],
        "conditions": [dict(zip(("type", "status", "reason", "message"), PREPARED, strict=True))],
    }
    api.events = [{"type": "MODIFIED", "object": done}]

    found = stage("Prep", wait=True, seed_image_ref=SEED)

    assert found["status"]["state"] == "prepared"
    assert found["duration"] >= 0
    assert found["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stage": "Sleep"}, "value of stage must be one of: Idle, Prep, Upgrade, Rollback"),
        ({"stage": "Prep", "seed_image_ref": {"version": "4.17.3"}}, "missing required arguments: image"),
        ({"stage": "Prep", "seed_image_ref": SEED, "oadp_content": [{"name": "x"}]}, "namespace"),
        ({"stage": "Prep", "auto_rollback_on_failure": {"init_monitor_timeout_seconds": -1}}, "0 or more"),
    ],
    ids=["stage", "seed", "reference", "watchdog"],
)
def test_bad_options_are_named_before_anything_is_asked(
    api: Any, run: Any, options: dict[str, Any], words: str
) -> None:
    found = run(ibu_stage, host=HOST, **options)

    assert found["failed"] is True
    assert words in found["msg"]
    assert api.sent == []


def test_a_seed_that_is_no_version_is_refused(api: Any, stage: Any) -> None:
    api.show("Idle", ["Prep"], IDLE)

    found = stage("Prep", seed_image_ref={**SEED, "version": "latest"})

    assert "'latest' is no version of the form X.Y.Z" in found["msg"]
    assert api.sent == []


def test_after_its_deadline_a_rollback_needs_a_word(api: Any, stage: Any) -> None:
    api.show("Upgrade", ["Idle", "Rollback"], UPGRADED, version="4.17.3")
    ibu = api.objects["/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade"]
    ibu["status"]["rollbackAvailabilityExpiration"] = "2026-11-20T12:00:00Z"

    assert "rollback was safe until 2026-11-20 12:00Z" in stage("Rollback")["msg"]
    assert api.sent == []

    stage("Rollback", rollback_after_expiration=True)
    assert api.sent == [({"spec": {"stage": "Rollback"}}, {})]
