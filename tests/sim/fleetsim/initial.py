# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters that start in the middle: the CR of every state in the table, and the stateroots that go with it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleetsim import ibu
from fleetsim.clock import rfc3339
from fleetsim.ports import Object

STATES = (
    "Idle",
    "PrepInProgress",
    "PrepFailed",
    "PrepCompleted",
    "UpgradePrePivot",
    "UpgradePrePivotFailed",
    "UpgradePostPivot",
    "UpgradeFailed",
    "AutoRolledBack",
    "UpgradeCompleted",
    "RollbackInProgress",
    "RollbackFailed",
    "RollbackCompleted",
    "Aborting",
    "AbortFailed",
    "Finalizing",
    "FinalizeFailed",
    "Upgraded",
)
_IN_SEED = (
    "UpgradePostPivot",
    "UpgradeFailed",
    "UpgradeCompleted",
    "RollbackInProgress",
    "RollbackFailed",
    "Finalizing",
    "FinalizeFailed",
    "Upgraded",
)
_NO_OTHER = ("Idle", "Upgraded", "PrepInProgress")
_MANUAL = (
    "Perform cleanup manually then add 'lca.openshift.io/manual-cleanup-done' annotation to ibu CR to transition back "
    "to Idle"
)


@dataclass
class Beginning:
    """The CR of the booted stateroot, and of the old one where the seed's is booted."""

    spec: Object
    status: ibu.Status
    generation: int
    in_seed: bool
    has_other: bool
    stale: tuple[Object, ibu.Status] | None = None
    annotations: dict[str, str] = field(default_factory=dict)


class _Story:
    """Tells the past of a cluster, step by step, ending now."""

    def __init__(self, now: datetime) -> None:
        self.status: ibu.Status = {}
        self.generation = 1
        self._at = now - timedelta(hours=2)

    def set(self, kind: str, value: bool, reason: str, message: str) -> None:
        self._at += timedelta(minutes=1)
        ibu.set_condition(self.status, kind, value, reason, message, self.generation, self._at)

    def running(self, stage: str, message: str = "In progress") -> None:
        ibu.start_stage(self.status, stage, self._at)
        self.set(f"{stage}InProgress", True, "InProgress", message)

    def done(self, stage: str, detail: str) -> None:
        ibu.end_stage(self.status, stage, self._at)
        self.set(f"{stage}InProgress", False, "Completed", f"{stage} completed")
        self.set(f"{stage}Completed", True, "Completed", detail)

    def failed(self, stage: str, message: str) -> None:
        self.set(f"{stage}Completed", False, "Failed", f"{stage} failed")
        self.set(f"{stage}InProgress", False, "Failed", message)

    def phases(self, stage: str, *names: str) -> None:
        for name in names:
            ibu.start_phase(self.status, stage, name, self._at)
            self._at += timedelta(minutes=2)
            ibu.end_phase(self.status, stage, name, self._at)

    def prep(self) -> None:
        self.generation = 2
        self.set("Idle", False, "InProgress", "In progress")
        self.running("Prep")
        self.phases("Prep", "Stateroot", "Precache")
        self.done("Prep", "Prep stage completed successfully")

    def upgrade(self) -> None:
        self.generation = 3
        self.running("Upgrade")
        self.phases("Upgrade", "PrePivot")

    def pivot(self, expires: datetime) -> None:
        self.generation = 1
        self.phases("Upgrade", "PostPivot")
        self.status["rollbackAvailabilityExpiration"] = rfc3339(expires)


def _tell(state: str, story: _Story, expires: datetime) -> None:
    if state in ("Idle", "Upgraded"):
        story.set("Idle", True, "Idle", "Idle")
        return
    if state in ("PrepInProgress", "PrepFailed"):
        story.generation = 2
        story.set("Idle", False, "InProgress", "In progress")
        story.running("Prep")
        if state == "PrepFailed":
            story.failed(
                "Prep",
                "precache job failed to complete. job-name: lca-prep-precache, job-namespace: "
                "openshift-lifecycle-agent",
            )
        return
    story.prep()
    if state in ("Aborting", "AbortFailed"):
        story.generation = 3
        story.status.pop("history")
        message = f"failed to clean up host stateroot resources: failed to remove 1 stateroots {_MANUAL}"
        story.set("Idle", False, state, "Aborting" if state == "Aborting" else message)
    if state in ("PrepCompleted", "Aborting", "AbortFailed"):
        return
    story.upgrade()
    if state == "UpgradePrePivotFailed":
        story.failed("Upgrade", "Failed backup CRs: acm-klusterlet")
    elif state == "AutoRolledBack":
        story.failed("Upgrade", "Rollback due to LCA Init Monitor timeout, after 30m0s")
        story.generation = 1
    if state in ("UpgradePrePivot", "UpgradePrePivotFailed", "AutoRolledBack"):
        return
    story.pivot(expires)
    _after_pivot(state, story)


def _after_pivot(state: str, story: _Story) -> None:
    if state == "UpgradeFailed":
        story.failed("Upgrade", "Failed restore CRs: acm-klusterlet")
    elif state != "UpgradePostPivot":
        story.done("Upgrade", "Upgrade completed")
    if state.startswith("Rollback"):
        story.generation = 2
        story.status.pop("rollbackAvailabilityExpiration")
        ibu.start_stage(story.status, "Rollback", story._at)
        story.set("UpgradeCompleted", False, "Failed", "Rollback requested")
        story.set("UpgradeInProgress", False, "Failed", "Rollback requested")
        story.running("Rollback")
    if state == "RollbackCompleted":
        story.generation = 1
        story.done("Rollback", "Rollback completed")
    elif state == "RollbackFailed":
        story.failed("Rollback", "failed to set default deployment: exit status 1")
    elif state in ("Finalizing", "FinalizeFailed"):
        story.generation = 2
        story.status.pop("history")
        message = f"failed to cleanup backups: failed to delete backups: context deadline exceeded {_MANUAL}"
        story.set("Idle", False, state, "Finalizing" if state == "Finalizing" else message)


def _stage(state: str) -> str:
    if state in ("Idle", "Upgraded", "Aborting", "AbortFailed", "Finalizing", "FinalizeFailed"):
        return "Idle"
    if state == "AutoRolledBack":
        return "Upgrade"
    return next(stage for stage in ("Prep", "Upgrade", "Rollback") if state.startswith(stage))


def begin(state: str, goal: dict[str, Any], now: datetime) -> Beginning:
    """Where a cluster of this state begins."""
    if state not in STATES:
        raise ValueError(f"unknown initial state {state}; one of {', '.join(STATES)}")
    story = _Story(now)
    _tell(state, story, now + timedelta(days=20))
    in_seed = state in _IN_SEED
    status = story.status
    status["observedGeneration"] = story.generation
    stages = ibu.next_stages(status, in_seed)
    if stages:
        status["validNextStages"] = stages
    spec = {"stage": _stage(state), "seedImageRef": {}} if state == "Idle" else {"stage": _stage(state), **goal}
    stale = None
    if in_seed and state not in _NO_OTHER:
        before = _Story(now)
        _tell("UpgradePrePivot", before, now)
        before.status.update(observedGeneration=3, validNextStages=["Idle"])
        stale = ({"stage": "Upgrade", **copy.deepcopy(goal)}, before.status)
    return Beginning(spec, status, story.generation, in_seed, state not in _NO_OTHER, stale)
