# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a hub's objects tell, each thing once."""

from __future__ import annotations

from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub_events import WORK_LABEL, HubEvents

Told = list[tuple[str, str, str, str]]


def work(cluster: str = "a", uid: str = "1", stage: str = "Prep", **values: str) -> dict[str, Any]:
    feedback = [{"name": name, "fieldValue": {"type": "String", "string": text}} for name, text in values.items()]
    manifest = {"resourceMeta": {"kind": "ImageBasedUpgrade"}, "statusFeedback": {"values": feedback}}
    meta = {"namespace": cluster, "name": f"work-{uid}", "uid": uid, "labels": {WORK_LABEL: "north-prep-0"}}
    return {
        "metadata": meta,
        "spec": {"workload": {"manifests": [{"kind": "ImageBasedUpgrade", "spec": {"stage": stage}}]}},
        "status": {"resourceStatus": {"manifests": [manifest]}},
    }


def failed_work(cluster: str = "a", uid: str = "1") -> dict[str, Any]:
    return work(cluster, uid, isPrepCompleted="False", prepCompletedConditionMessages="Prep failed")


def cluster(name: str = "a", *labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {f"lcm.openshift.io/ibgu-{one}": "" for one in labels}}}


def short(events: list[dict[str, Any]]) -> Told:
    return [(one["type"], one["cluster"], one["action"], one["source"]) for one in events]


FAILED = [("failed", "a", "Prep", "ManifestWork")]


def test_a_failure_is_told_once_with_its_cause_whatever_tells_it_again() -> None:
    hub = HubEvents("https://hub")
    assert hub.work(work()) == []
    (event,) = hub.work(failed_work())
    assert short([event]) == FAILED
    assert (event["message"], event["group"], event["hub"]) == ("Prep failed", "north-prep-0", "https://hub")
    assert hub.work(failed_work()) == []
    hub.work_gone(failed_work())
    # TALM's own verdict comes when the step is over, after the ManifestWork has gone.
    assert hub.cluster(cluster("a", "prep-failed")) == []


def test_a_cluster_that_went_silent_is_told_of_by_its_label() -> None:
    hub = HubEvents("h")
    hub.work(work())
    assert short(hub.cluster(cluster("a", "prep-failed"))) == [("failed", "a", "Prep", "ManagedCluster")]


def test_the_same_action_asked_for_again_can_fail_again() -> None:
    hub = HubEvents("h")
    assert short(hub.work(failed_work())) == FAILED
    hub.work_gone(failed_work())
    assert hub.work(work(uid="2")) == []
    assert short(hub.work(failed_work(uid="2"))) == FAILED


def test_while_the_label_of_the_first_failure_is_there_it_is_the_same_failure() -> None:
    hub = HubEvents("h")
    hub.work(failed_work())
    hub.cluster(cluster("a", "prep-failed"))
    assert hub.work(failed_work(uid="2")) == []
    # An abort takes the labels away, and all begins anew.
    assert hub.cluster(cluster("a")) == []
    assert short(hub.cluster(cluster("a", "prep-failed"))) == [("failed", "a", "Prep", "ManagedCluster")]


def test_completed_actions_and_other_clusters() -> None:
    hub = HubEvents("h")
    assert short(hub.work(work(isPrepCompleted="True"))) == [("completed", "a", "Prep", "ManifestWork")]
    assert hub.cluster(cluster("a", "prep-completed")) == []
    assert short(hub.work(failed_work("b", "7"))) == [("failed", "b", "Prep", "ManifestWork")]
    assert short(hub.work(work("b", "8", "Idle", isIdle="True"))) == [("completed", "b", "Idle", "ManifestWork")]


def test_other_labels_and_other_values_are_nothing() -> None:
    hub = HubEvents("h")
    found = {"lcm.openshift.io/ibgu-prep-failed": "x", "lcm.openshift.io/ibgu-dance-failed": "", "vendor": "OpenShift"}
    assert hub.cluster({"metadata": {"name": "a", "labels": found}}) == []
    assert hub.cluster({"metadata": {"name": "a"}}) == []
    assert hub.work({"metadata": {"namespace": "a", "name": "w"}}) == []


def test_a_cluster_that_left_and_came_back_is_a_new_one() -> None:
    hub = HubEvents("h")
    assert hub.cluster(cluster("a", "upgrade-failed"), initial=True)[0]["initial"] is True
    hub.cluster_gone(cluster("a"))
    assert short(hub.cluster(cluster("a", "upgrade-failed"))) == [("failed", "a", "Upgrade", "ManagedCluster")]


def test_the_end_of_a_group_upgrade_is_told_once_with_who_failed() -> None:
    hub = HubEvents("h")

    def group(status: str, generation: int = 1) -> dict[str, Any]:
        clusters = [{"name": "a", "failedActions": [{"action": "Prep"}]}, {"name": "b"}]
        conditions = [{"type": "Progressing", "status": status}]
        return {
            "metadata": {"namespace": "ibu", "name": "north", "generation": generation},
            "status": {"observedGeneration": 1, "conditions": conditions, "clusters": clusters},
        }

    assert hub.group(group("True")) == []
    (event,) = hub.group(group("False"))
    assert (event["type"], event["group"], event["failed"], event["clusters"]) == ("ended", "ibu/north", ["a"], 2)
    assert hub.group(group("False")) == []
    # A step was added: TALM has not seen it yet.
    assert hub.group(group("False", generation=2)) == []
    assert len(hub.group(group("False"))) == 1
    hub.group_gone(group("False"))
