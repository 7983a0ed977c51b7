# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ManagedCluster means for the inventory, and how the hub is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import parse_selectors
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._managed_clusters import (
    ManagedCluster,
    fetch,
    hub_variables,
    queries,
    standing_groups,
)


def document(name: str, labels: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    """A ManagedCluster as the hub has it."""
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {}, "status": status}


class Hub:
    """A hub that answers the queries it is told of, and no others."""

    url = "https://hub.example.com:6443"

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def items(self, path: str, labelSelector: str = "") -> Iterator[dict[str, Any]]:
        assert path == "/apis/cluster.open-cluster-management.io/v1/managedclusters"
        answer = self._answers[labelSelector]
        if isinstance(answer, Exception):
            raise answer
        yield from answer


def test_a_cluster_that_reports_everything() -> None:
    cluster = ManagedCluster.of(
        {
            **document(
                "site-1",
                {"openshiftVersion": "4.16.1", "lcm.openshift.io/ibgu-prep-completed": ""},
                conditions=[
                    {"type": "ManagedClusterJoined", "status": "True"},
                    {"type": "ManagedClusterConditionAvailable", "status": "True"},
                ],
                clusterClaims=[{"name": "version.openshift.io", "value": "4.16.8"}],
            ),
            "spec": {
                "managedClusterClientConfigs": [{"caBundle": "x"}, {"url": "https://api.site-1.example.com:6443"}]
            },
        }
    )
    assert cluster.variables == {
        "ibu_managed_cluster": "site-1",
        "ibu_managed_cluster_labels": {"openshiftVersion": "4.16.1", "lcm.openshift.io/ibgu-prep-completed": ""},
        "ibu_managed_cluster_claims": {"version.openshift.io": "4.16.8"},
        "ibu_managed_cluster_version": "4.16.8",
        "ibu_managed_cluster_available": True,
        "ibu_managed_cluster_url": "https://api.site-1.example.com:6443",
    }
    assert cluster.groups == ["managed_clusters", "clusters_available", "ibgu_prep_completed"]


def test_a_cluster_that_was_only_just_created() -> None:
    cluster = ManagedCluster.of({"metadata": {"name": "site-1"}})
    assert cluster.variables == {
        "ibu_managed_cluster": "site-1",
        "ibu_managed_cluster_labels": {},
        "ibu_managed_cluster_claims": {},
        "ibu_managed_cluster_version": None,
        "ibu_managed_cluster_available": False,
        "ibu_managed_cluster_url": None,
    }
    assert cluster.groups == ["managed_clusters", "clusters_unknown"]


def test_the_label_gives_the_version_where_the_claim_does_not() -> None:
    assert ManagedCluster.of(document("site-1", {"openshiftVersion": "4.16.1"})).version == "4.16.1"


@pytest.mark.parametrize(
    ("status", "group"),
    [("True", "clusters_available"), ("False", "clusters_unavailable"), ("Unknown", "clusters_unknown")],
)
def test_availability_is_a_group(status: str, group: str) -> None:
    conditions = [{"type": "ManagedClusterConditionAvailable", "status": status}]
    cluster = ManagedCluster.of(document("site-1", conditions=conditions))
    assert group in cluster.groups
    assert group in standing_groups()


@pytest.mark.parametrize(
    ("label", "groups"),
    [
        ("lcm.openshift.io/ibgu-upgrade-failed", ["ibgu_upgrade_failed"]),
        ("lcm.openshift.io/ibgu-abortonfailure-failed", ["ibgu_abortonfailure_failed"]),
        ("lcm.openshift.io/ibgu-upgrade-started", []),
        ("example.com/ibgu-upgrade-failed", []),
    ],
)
def test_labels_of_group_upgrades_are_groups(label: str, groups: list[str]) -> None:
    assert ManagedCluster.of(document("site-1", {label: ""})).groups[2:] == groups
    assert set(groups) <= set(standing_groups())


def test_clusters_of_several_selectors_come_once_and_sorted() -> None:
    selectors = parse_selectors([{"matchLabels": {"a": "1"}}, {"matchLabels": {"b": "1"}}], "selectors")
    one, two = document("site-1", {"b": "1"}), document("site-2", {"a": "1", "b": "1"})
    found = fetch(Hub({"a in (1)": [two], "b in (1)": [two, one]}), selectors)  # type: ignore[arg-type]
    assert [cluster.name for cluster in found] == ["site-1", "site-2"]


def test_without_selectors_every_cluster_is_taken() -> None:
    assert [cluster.name for cluster in fetch(Hub({"": [document("site-1")]}), None)] == ["site-1"]  # type: ignore[arg-type]


def test_an_empty_list_of_selectors_asks_nothing() -> None:
    assert fetch(Hub({}), ()) == []  # type: ignore[arg-type]


def test_one_that_takes_everything_makes_other_queries_superfluous() -> None:
    assert queries(parse_selectors([{"matchLabels": {"a": "1"}}, {}], "selectors")) == [""]


def test_a_query_too_long_for_a_url_is_answered_from_the_whole_list() -> None:
    names = [f"site-{number:04d}" for number in range(1000)]
    expression = {"key": "name", "operator": "In", "values": names}
    selectors = parse_selectors([{"matchExpressions": [expression]}], "selectors")
    everything = [document("site-0001", {"name": "site-0001"}), document("other", {"name": "other"})]
    assert [cluster.name for cluster in fetch(Hub({"": everything}), selectors)] == ["site-0001"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotThere("404 page not found"), "https://hub.example.com:6443 knows no ManagedClusters: Advanced Cluster"),
        (Unanswered("rights", "managedclusters is forbidden", 403), "may not list ManagedClusters on https://hub"),
        (Unanswered("connect", "connection refused"), "did not list its ManagedClusters: connection refused"),
    ],
)
def test_a_hub_that_does_not_answer_is_told_apart(error: Exception, text: str) -> None:
    with pytest.raises(IbuError, match=text):
        fetch(Hub({"": error}), None)  # type: ignore[arg-type]


def test_the_hub_connection_is_passed_on_without_credentials() -> None:
    options = {
        "kubeconfig": "hub.kubeconfig",
        "context": "admin",
        "host": None,
        "api_key": "token",
        "validate_certs": False,
        "client_key": "~/key.pem",
        "proxy": "http://user:word@proxy.example.com:3128",
        "proxy_headers": {"basic_auth": "user:word"},
    }
    assert hub_variables(options) == {
        "ibu_hub_kubeconfig": os.path.abspath("hub.kubeconfig"),
        "ibu_hub_context": "admin",
        "ibu_hub_validate_certs": False,
        "ibu_hub_client_key": os.path.expanduser("~/key.pem"),
    }


def test_an_inline_kubeconfig_of_the_hub_is_not_passed_on() -> None:
    assert hub_variables({"kubeconfig": {"users": []}, "proxy": "http://proxy.example.com:3128"}) == {
        "ibu_hub_proxy": "http://proxy.example.com:3128"
    }
