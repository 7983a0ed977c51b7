# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: read, checked, and turned into one description per cluster."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE, Durations, Object
from fleetsim.seedgen import SeedPlan
from fleetsim.seedimage import SeedImage
from fleetsim.troubles import Troubles
from fleetsim.yamls import read


class ScenarioError(ValueError):
    """The scenario file is wrong; the message says where."""


_KEYS = {
    "speed",
    "random_seed",
    "clusters",
    "seed",
    "durations",
    "hub",
    "troubles",
    "clusters_extra",
    "goal",
    "users",
    "watch_history",
    "annotations",
    "seed_image",
    "objects",
    "without",
    "seedgen",
}
_CLUSTER_KEYS = {
    "version",
    "initial",
    "durations",
    "troubles",
    "labels",
    "annotations",
    "goal",
    "users",
    "seed_image",
    "objects",
    "without",
    "seedgen",
}


@dataclass
class Goal:
    """What the inventory wants of a cluster."""

    image: str
    version: str
    pull_secret: str | None = "seed-pull"
    oadp_content: list[dict[str, str]] = field(default_factory=list)
    extra_manifests: list[dict[str, str]] = field(default_factory=list)
    auto_rollback: dict[str, int] | None = None
    annotations: dict[str, str] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        """The same as fields of the CR."""
        ref: dict[str, Any] = {"version": self.version, "image": self.image}
        if self.pull_secret:
            ref["pullSecretRef"] = {"name": self.pull_secret}
        spec: dict[str, Any] = {"seedImageRef": ref}
        if self.oadp_content:
            spec["oadpContent"] = self.oadp_content
        if self.extra_manifests:
            spec["extraManifests"] = self.extra_manifests
        if self.auto_rollback is not None:
            spec["autoRollbackOnFailure"] = self.auto_rollback
        return spec


@dataclass
class ClusterPlan:
    """Everything that is special about one cluster.

    `objects` are merged into the cluster's own of that name, or added; `without` names objects that it lacks.
    `seedgen`: it is one that shall become a seed.
    """

    name: str
    version: str
    goal: Goal
    durations: Durations
    troubles: Troubles
    initial: str = "Idle"
    labels: dict[str, str] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    seed_image: SeedImage = field(default_factory=SeedImage)
    objects: list[Object] = field(default_factory=list)
    without: list[Object] = field(default_factory=list)
    seedgen: SeedPlan | None = None


@dataclass
class HubPlan:
    """`inputs`: it holds what the goals name, for TALM to copy. `restore_needed`: no klusterlet without it.

    `users`: who may do less than everything, as on a cluster; each gets a kubeconfig hub@NAME.
    """

    talm: bool = True
    namespace: str = "ibu"
    inputs: bool = True
    restore_needed: bool = True
    users: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Scenario:
    speed: float
    random_seed: int
    hub: HubPlan | None
    watch_history: int
    clusters: list[ClusterPlan]


def _check(data: dict[str, Any], known: set[str], where: str) -> None:
    unknown = set(data) - known
    if unknown:
        raise ScenarioError(f"{where}: unknown keys {', '.join(sorted(map(str, unknown)))}")


def _goal(data: dict[str, Any], seed: dict[str, Any]) -> Goal:
    _check(data, {f.name for f in dataclasses.fields(Goal)}, "goal")
    merged = {
        "oadp_content": [{"name": "oadp-cm", "namespace": OADP_NAMESPACE}],
        "extra_manifests": [{"name": "site-extra", "namespace": LCA_NAMESPACE}],
        **seed,
        **data,
    }
    return Goal(**merged)


def _hub(data: Any) -> HubPlan | None:
    """`true`, `false`, or the options of one."""
    if not isinstance(data, dict):
        return HubPlan() if data else None
    _check(data, {f.name for f in dataclasses.fields(HubPlan)}, "hub")
    return HubPlan(**data)


def _seed_image(data: dict[str, Any]) -> SeedImage:
    _check(data, {f.name for f in dataclasses.fields(SeedImage)}, "seed_image")
    return SeedImage(**data)


def _seedgen(data: Any, own: Any) -> SeedPlan | None:
    """Of a cluster that says so itself, or whose fleet does: `true` or what is special about it."""
    if not data and data != {} and not own and own != {}:
        return None
    plan = {**(data if isinstance(data, dict) else {}), **(own if isinstance(own, dict) else {})}
    _check(plan, {f.name for f in dataclasses.fields(SeedPlan)}, "seedgen")
    return SeedPlan(**plan)


def _objects(data: dict[str, Any], own: dict[str, Any], key: str) -> list[Object]:
    """Those of all clusters, then the cluster's own."""
    found: list[Object] = [*(data.get(key) or ()), *(own.get(key) or ())]
    for each in found:
        if not {"apiVersion", "kind", "metadata"} <= set(each) or "name" not in each["metadata"]:
            raise ScenarioError(f"{key}: each needs apiVersion, kind and metadata.name")
    return found


def _durations(data: dict[str, Any], rng: random.Random) -> Durations:
    _check(data, {f.name for f in dataclasses.fields(Durations)}, "durations")
    durations = Durations(**data)
    durations.factor *= 1 + durations.spread * (2 * rng.random() - 1)
    return durations


def load(source: dict[str, Any] | Path, speed: float | None = None) -> Scenario:
    """From a file or from the same thing as a dictionary."""
    data: dict[str, Any] = read(source.read_text()) if isinstance(source, Path) else source
    if not isinstance(data, dict):
        raise ScenarioError("a scenario is a mapping")
    _check(data, _KEYS, "scenario")
    seed = data.get("seed") or {}
    seed = {"image": "registry.example.com/seed:4.17.3", "version": "4.17.3", **seed}
    fleet = {"count": 3, "name": "site-{:04d}", "version": "4.16.8", **(data.get("clusters") or {})}
    _check(fleet, {"count", "name", "version", "labels"}, "clusters")
    number = int(data.get("random_seed", 1))
    troubles, extra = data.get("troubles") or {}, data.get("clusters_extra") or {}
    names = [str(fleet["name"]).format(index) for index in range(1, int(fleet["count"]) + 1)]
    for where in (troubles, extra):
        _check(where, set(names), "troubles or clusters_extra of clusters that do not exist")
    clusters = []
    for name in names:
        own = extra.get(name) or {}
        _check(own, _CLUSTER_KEYS, name)
        try:
            wrong = Troubles({**(own.get("troubles") or {}), **(troubles.get(name) or {})})
        except ValueError as error:
            raise ScenarioError(f"{name}: {error}") from None
        goal = _goal({**(data.get("goal") or {}), **(own.get("goal") or {})}, seed)
        goal.annotations = {**goal.annotations, **(data.get("annotations") or {}), **(own.get("annotations") or {})}
        rng = random.Random(f"{number}/{name}")
        clusters.append(
            ClusterPlan(
                name=name,
                version=str(own.get("version", fleet["version"])),
                goal=goal,
                durations=_durations({**(data.get("durations") or {}), **(own.get("durations") or {})}, rng),
                troubles=wrong,
                initial=str(own.get("initial", "Idle")),
                labels={**(fleet.get("labels") or {}), **(own.get("labels") or {})},
                users={**(data.get("users") or {}), **(own.get("users") or {})},
                seed_image=_seed_image({**(data.get("seed_image") or {}), **(own.get("seed_image") or {})}),
                objects=_objects(data, own, "objects"),
                without=_objects(data, own, "without"),
                seedgen=_seedgen(data.get("seedgen"), own.get("seedgen")),
            )
        )
    return Scenario(
        speed=float(speed or data.get("speed", 60)),
        random_seed=number,
        hub=_hub(data.get("hub", True)),
        watch_history=int(data.get("watch_history", 40)),
        clusters=clusters,
    )
