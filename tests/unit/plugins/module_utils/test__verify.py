# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against finalizing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import Health, problems

NEW = "4.17.3"


def thing(name: str, *, phase: str | None = None, claimed: bool = False, **conditions: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": kind, "status": status} for kind, status in conditions.items()]},
    }
    if phase:
        found["status"]["phase"] = phase
    if claimed:
        found["spec"] = {"claimRef": {"name": "c"}}
    return found


def operator(name: str, **conditions: str) -> dict[str, Any]:
    return thing(name, **{"Available": "True", "Degraded": "False", "Progressing": "False", **conditions})


FIT = Health(
    cluster_version={"status": {"desired": {"version": NEW}}},
    cluster_operators=[operator("dns"), thing("bare", Available="True")],
    nodes=[thing("node", Ready="True", NetworkUnavailable="False")],
    persistent_volumes=[thing("used", phase="Bound", claimed=True), thing("spare", phase="Available")],
    restores=[thing("app", phase="Completed"), thing("other", phase="InProgress"), thing("new")],
)


def found(version: str | None = NEW, **change: Any) -> list[str]:
    return problems(dataclasses.replace(FIT, **change), version)


def test_nothing_speaks_against_a_fit_cluster() -> None:
    assert found() == []


def test_another_release_than_the_seeds() -> None:
    assert found("4.17.4") == ["ClusterVersion is 4.17.3, not the seed's 4.17.4"]
    assert found(cluster_version={}) == ["ClusterVersion is None, not the seed's 4.17.3"]
    assert found(None, cluster_version={}) == []


@pytest.mark.parametrize(
    "bad",
    [
        operator("dns", Available="False"),
        operator("dns", Available="Unknown"),
        operator("dns", Degraded="True"),
        operator("dns", Progressing="True"),
        {"metadata": {"name": "dns"}},
        {"metadata": {"name": "dns"}, "status": {"conditions": None}},
    ],
    ids=["not available", "unknown", "degraded", "progressing", "no status", "no conditions"],
)
def test_operators(bad: dict[str, Any]) -> None:
    assert found(cluster_operators=[operator("ok"), bad]) == ["ClusterOperators not ready: dns"]


@pytest.mark.parametrize(
    "bad",
    [thing("n", Ready="False"), thing("n"), thing("n", Ready="True", NetworkUnavailable="True")],
    ids=["not ready", "silent", "no network"],
)
def test_nodes(bad: dict[str, Any]) -> None:
    assert found(nodes=[bad]) == ["nodes not ready: n"]


def test_a_cluster_without_nodes_is_not_fit() -> None:
    assert found(nodes=[]) == ["the cluster lists no node"]


@pytest.mark.parametrize("phase", ["Failed", "PartiallyFailed", "FailedValidation"])
def test_restores(phase: str) -> None:
    assert found(restores=[thing("app", phase=phase)]) == ["Restores failed: app"]


@pytest.mark.parametrize(
    ("phase", "claimed"),
    [("Failed", False), ("Released", True), ("Pending", False), ("Available", True)],
)
def test_volumes(phase: str, claimed: bool) -> None:
    assert found(persistent_volumes=[thing("v", phase=phase, claimed=claimed)]) == ["PersistentVolumes not bound: v"]


def test_everything_is_named_at_once_and_in_order() -> None:
    bad = operator("b", Available="False"), operator("a", Degraded="True")

    assert found("4.17.4", cluster_operators=bad, nodes=[thing("n")], restores=[thing("r", phase="Failed")]) == [
        "ClusterVersion is 4.17.3, not the seed's 4.17.4",
        "ClusterOperators not ready: a, b",
        "nodes not ready: n",
        "Restores failed: r",
    ]
