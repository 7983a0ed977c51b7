# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hubs on which somebody plays TALM, with groups of clusters that the tests use up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.helpers import SEED
from fleetsim.testing import Fleet
from kubeapi import Api, NoBinaries
from kubeapi.hub_standin import FakeCluster, HubStandin

Document = dict[str, Any]

NAMESPACE = "ibu"
IBGUS = f"/apis/lcm.openshift.io/v1alpha1/namespaces/{NAMESPACE}/imagebasedgroupupgrades"
CGUS = f"/apis/ran.openshift.io/v1alpha1/namespaces/{NAMESPACE}/clustergroupupgrades"
WORK_SETS = f"/apis/work.open-cluster-management.io/v1alpha1/namespaces/{NAMESPACE}/manifestworkreplicasets"
WORKS = "/apis/work.open-cluster-management.io/v1/manifestworks"
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
SPEED = 600
WAIT = 60.0
# A question costs a real server several milliseconds, and there are hundreds of them.
POLL_SECONDS = 0.15
# How many clusters, and which of them fails its Prep.
GROUPS = {"good": (3, None), "bad": (3, 2), "batches": (4, 1), "deleted": (2, None), "again": (1, None)}
OADP = [{"name": "oadp-cm", "namespace": "openshift-adp"}]


def names(group: str) -> list[str]:
    """Of its clusters."""
    first = 1
    for name, (count, _) in GROUPS.items():
        if name == group:
            return [f"site-{number:02}" for number in range(first, first + count)]
        first += count
    raise KeyError(group)


def failing(group: str) -> str | None:
    """The cluster of the group whose Prep fails."""
    number = GROUPS[group][1]
    return None if number is None else names(group)[number - 1]


@dataclass(frozen=True)
class Hub:
    """One of them, from a client's side."""

    api: Api

    def start(self, group: str, *plan: Document, name: str | None = None) -> str:
        """Create the group upgrade of a group of clusters."""
        spec = {
            "ibuSpec": {"seedImageRef": SEED, "oadpContent": OADP},
            "clusterLabelSelectors": [{"matchLabels": {"group": group}}],
            "plan": list(plan),
        }
        kind = {"apiVersion": "lcm.openshift.io/v1alpha1", "kind": "ImageBasedGroupUpgrade"}
        meta = {"name": name or group, "namespace": NAMESPACE}
        return str(self.api.create(IBGUS, {**kind, "metadata": meta, "spec": spec}).ok()["metadata"]["name"])

    def append(self, name: str, *more: Document) -> None:
        operations = [{"op": "add", "path": "/spec/plan/-", "value": step} for step in more]
        self.api.json_patch(f"{IBGUS}/{name}", operations).ok()

    def ibgu(self, name: str) -> Document:
        return self.api.get(f"{IBGUS}/{name}").ok()

    def status(self, name: str) -> Document:
        return self.ibgu(name).get("status") or {}

    def cgu(self, name: str) -> Document:
        return self.api.get(f"{CGUS}/{name}").ok()

    def cgus(self, name: str) -> list[str]:
        found = self.api.get(CGUS, labelSelector=f"ibgu={name}").ok()["items"]
        return [cgu["metadata"]["name"] for cgu in found]

    def works(self, cluster: str) -> list[Document]:
        return [w for w in self.api.get(WORKS).ok()["items"] if w["metadata"]["namespace"] == cluster]

    def cluster(self, name: str) -> Document:
        return self.api.get(f"{MANAGED}/{name}").ok()

    def labels(self, cluster: str) -> set[str]:
        start = "lcm.openshift.io/ibgu-"
        found = self.cluster(cluster)["metadata"]["labels"]
        return {key.removeprefix(start) for key in found if key.startswith(start)}

    def annotations(self, cluster: str) -> dict[str, str]:
        return self.cluster(cluster)["metadata"].get("annotations") or {}

    def results(self, name: str) -> dict[str, tuple[list[str], list[str]]]:
        """By cluster: the actions that completed and those that failed."""
        return {
            entry["name"]: tuple(
                [one["action"] for one in entry.get(kind) or ()] for kind in ("completedActions", "failedActions")
            )  # type: ignore[misc]
            for entry in self.status(name).get("clusters") or ()
        }

    def done(self, name: str) -> None:
        """TALM has seen the spec as it is, and every step has ended."""

        def over() -> bool:
            found = self.ibgu(name)
            status = found.get("status") or {}
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return seen and messages(status).get("Progressing", ("",))[0] == "False"

        until(over, lambda: (self.ibgu(name), [self.cgu(one) for one in self.cgus(name)]))


def step(*actions: str, concurrency: int = 10, timeout: int = 60) -> Document:
    return {"actions": list(actions), "rolloutStrategy": {"maxConcurrency": concurrency, "timeout": timeout}}


def messages(status: Document) -> dict[str, tuple[str, str, str]]:
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status.get("conditions") or ()}


def until(there: Callable[[], Any], story: Callable[[], Any] = lambda: "") -> None:
    end = time.monotonic() + WAIT
    while not there():
        assert time.monotonic() < end, story()
        time.sleep(POLL_SECONDS)


@contextmanager
def sim(folder: Path) -> Iterator[Hub]:
    """Whole clusters."""
    bad = [name for name in map(failing, GROUPS) if name]
    scenario = {
        "speed": SPEED,
        "hub": {"namespace": NAMESPACE},
        "clusters": {"count": sum(count for count, _ in GROUPS.values()), "name": "site-{:02}"},
        "troubles": {name: {"precache_failed": {}} for name in bad},
        "clusters_extra": {name: {"labels": {"group": group}} for group in GROUPS for name in names(group)},
    }
    with Fleet(scenario, folder) as fleet:
        yield Hub(Api(fleet.hub_kubeconfig))
        assert "Traceback" not in fleet.log, fleet.log


@contextmanager
def kube(folder: Path, crds: Path | None = None) -> Iterator[Hub]:
    """Clusters that are only a document, on a real API server."""
    clusters = {
        name: FakeCluster({"group": group}, frozenset(["Prep"] if name == failing(group) else []))
        for group in GROUPS
        for name in names(group)
    }
    try:
        standin = HubStandin(folder, clusters, namespace=NAMESPACE, speed=SPEED, **({"crds": crds} if crds else {}))
    except NoBinaries as reason:
        pytest.skip(str(reason))
    with standin:
        yield Hub(standin.admin)
