# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group upgrades and what the hub makes of them: status, lists, and the kinds beside them."""

from __future__ import annotations

from typing import Any

from contract.groups import GROUPS, group, plan, step
from contract.helpers import causes, condition, names, parametrize_cases
from kubeapi import Api

Document = dict[str, Any]

ROLLOUTS = "/apis/ran.openshift.io/v1alpha1/namespaces/default/clustergroupupgrades"
WORK = "/apis/work.open-cluster-management.io"


def test_defaults_of_a_rollout(hub: Api, name: str) -> None:
    document = {
        "apiVersion": "ran.openshift.io/v1alpha1",
        "kind": "ClusterGroupUpgrade",
        "metadata": {"name": name},
        "spec": {"remediationStrategy": {"maxConcurrency": 2}},
    }

    assert hub.create(ROLLOUTS, document).ok()["spec"] == {
        "enable": True,
        "batchTimeoutAction": "Continue",
        "remediationStrategy": {"maxConcurrency": 2, "timeout": 240},
    }


# The status


STATUS: Document = {
    "observedGeneration": 1,
    "clusters": [
        {
            "name": "site",
            "completedActions": [{"action": "Prep"}],
            "failedActions": [{"action": "Upgrade", "message": "Upgrade failed"}],
            "currentAction": {"action": "AbortOnFailure"},
        }
    ],
    "conditions": [condition("Progressing", True, "InProgress", "Waiting for plan step 0 to be completed")],
}


def test_status_is_written_apart(hub: Api, name: str) -> None:
    created = hub.create(GROUPS, {**group(name), "status": STATUS}).ok()
    plain = hub.merge(f"{GROUPS}/{name}", {"status": STATUS}).ok()
    written = hub.merge(f"{GROUPS}/{name}/status", {"status": STATUS, "spec": {"plan": plan("P U")}}).ok()

    assert "status" not in created
    assert "status" not in plain
    assert written["status"] == STATUS
    assert written["spec"] == created["spec"]
    assert written["metadata"]["generation"] == 1


def test_status_stays_when_the_plan_grows(hub: Api, name: str) -> None:
    hub.create(GROUPS, group(name)).ok()
    hub.merge(f"{GROUPS}/{name}/status", {"status": STATUS}).ok()

    grown = hub.json_patch(f"{GROUPS}/{name}", [{"op": "add", "path": "/spec/plan/-", "value": step("U")}]).ok()

    assert grown["status"] == STATUS
    assert grown["metadata"]["generation"] == 2


@parametrize_cases(
    "reported, field",
    {
        "cluster without a name": ({"clusters": [{"completedActions": []}]}, "status.clusters[0].name"),
        "action without its word": (
            {"clusters": [{"name": "site", "failedActions": [{"message": "no"}]}]},
            "status.clusters[0].failedActions[0].action",
        ),
        "condition without a reason": (
            {"conditions": [{k: v for k, v in STATUS["conditions"][0].items() if k != "reason"}]},
            "status.conditions[0].reason",
        ),
    },
)
def test_broken_status_is_refused(hub: Api, name: str, reported: Document, field: str) -> None:
    hub.create(GROUPS, group(name)).ok()

    found = causes(hub.merge(f"{GROUPS}/{name}/status", {"status": reported}))

    assert ("FieldValueRequired", field, "Required value") in found


# Lists


def test_group_upgrades_by_label(hub: Api, name: str) -> None:
    for index, labels in enumerate([{"wave": "1"}, {"wave": "2"}, {}]):
        hub.create(GROUPS, group(f"{name}-{index}", labels={"run": name, **labels})).ok()

    assert names(hub.get(GROUPS, labelSelector=f"run={name}").ok()) == [f"{name}-{index}" for index in range(3)]
    assert names(hub.get(GROUPS, labelSelector=f"run={name},wave in (2,3)").ok()) == [f"{name}-1"]
    assert names(hub.get(GROUPS, labelSelector=f"run={name},!wave").ok()) == [f"{name}-2"]


def test_rollouts_of_a_group_upgrade_are_found_by_its_label(hub: Api, name: str) -> None:
    for index, owner in enumerate([name, name, "another"]):
        document = {
            "apiVersion": "ran.openshift.io/v1alpha1",
            "kind": "ClusterGroupUpgrade",
            "metadata": {"name": f"{name}-prep-{index}", "labels": {"ibgu": owner}},
            "spec": {"remediationStrategy": {"maxConcurrency": 1}},
        }
        hub.create(ROLLOUTS, document).ok()

    found = hub.get(ROLLOUTS, labelSelector=f"ibgu={name}").ok()

    assert found["kind"] == "ClusterGroupUpgradeList"
    assert names(found) == [f"{name}-prep-0", f"{name}-prep-1"]


def test_work_of_all_clusters_is_listed_at_once(hub: Api, name: str) -> None:
    """The templates in the group upgrade's namespace, the work itself in the namespace of each cluster."""
    label = "openshift-cluster-group-upgrades/clusterGroupUpgrade"
    kept: Document = {"spec": {"workload": {"manifests": [{"kind": "Any", "spec": {"deep": [1, {"x": None}]}}]}}}
    for namespace in (f"{name}-a", f"{name}-b"):
        hub.create(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        ).ok()
        meta = {"name": f"default.{name}-prep-abcde", "labels": {label: name}}
        document = {
            "apiVersion": "work.open-cluster-management.io/v1",
            "kind": "ManifestWork",
            "metadata": meta,
            **kept,
        }
        hub.create(f"{WORK}/v1/namespaces/{namespace}/manifestworks", document).ok()
    template = {
        "apiVersion": "work.open-cluster-management.io/v1alpha1",
        "kind": "ManifestWorkReplicaSet",
        "metadata": {"name": f"{name}-prep"},
        "spec": {"manifestWorkTemplate": kept["spec"]},
    }

    stored = hub.create(f"{WORK}/v1alpha1/namespaces/default/manifestworkreplicasets", template).ok()
    found = hub.get(f"{WORK}/v1/manifestworks", labelSelector=f"{label}={name}").ok()

    assert [item["metadata"]["namespace"] for item in found["items"]] == [f"{name}-a", f"{name}-b"]
    assert [item["spec"] for item in found["items"]] == [kept["spec"]] * 2
    assert stored["spec"] == template["spec"]


def test_delete(hub: Api, name: str) -> None:
    hub.create(GROUPS, group(name)).ok()

    assert hub.delete(f"{GROUPS}/{name}").status == 200
    assert hub.get(f"{GROUPS}/{name}").status == 404
