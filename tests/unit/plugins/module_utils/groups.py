# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of group upgrades as the hub has them, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import Member, cgu_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Step

PREP_DONE = "lcm.openshift.io/ibgu-prep-completed"
PREP_FAILED = "lcm.openshift.io/ibgu-prep-failed"
UPGRADE_DONE = "lcm.openshift.io/ibgu-upgrade-completed"
UPGRADE_FAILED = "lcm.openshift.io/ibgu-upgrade-failed"
ROLLBACK_DONE = "lcm.openshift.io/ibgu-rollback-completed"
SEED = {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}
SELECTORS = [{"matchLabels": {"region": "north"}}]
BEGAN = "2026-11-21T01:00:00Z"
LATER = "2026-11-21T01:10:00Z"


def members(*names: str, labels: Iterable[str] = ()) -> list[Member]:
    return [Member(name, dict.fromkeys(labels, "")) for name in names]


def steps(*actions: Sequence[str], timeout: int = 60, max_concurrency: int = 10) -> list[dict[str, Any]]:
    strategy = {"maxConcurrency": max_concurrency, "timeout": timeout}
    return [{"actions": list(names), "rolloutStrategy": strategy} for names in actions]


def ibgu(
    plan: Sequence[Mapping[str, Any]],
    clusters: Iterable[Mapping[str, Any]] = (),
    *,
    name: str = "north",
    observed: int | None = 1,
    progressing: bool | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An ImageBasedGroupUpgrade of generation 1."""
    status: dict[str, Any] = {"clusters": list(clusters)}
    if observed is not None:
        status["observedGeneration"] = observed
    if progressing is not None:
        status["conditions"] = [{"type": "Progressing", "status": str(progressing), "message": "Waiting"}]
    return {
        "metadata": {"name": name, "namespace": "ibu", "generation": 1, "resourceVersion": "7", **more},
        "spec": {"ibuSpec": {"seedImageRef": SEED}, "clusterLabelSelectors": SELECTORS, "plan": list(plan)},
        "status": status,
    }


def entry(
    name: str, completed: Iterable[str] = (), failed: Mapping[str, str] | None = None, current: str | None = None
) -> dict[str, Any]:
    """One cluster in the status of the group upgrade."""
    found: dict[str, Any] = {"name": name, "completedActions": [{"action": action} for action in completed]}
    found["failedActions"] = [{"action": action, "message": text} for action, text in (failed or {}).items()]
    if current:
        found["currentAction"] = {"action": current}
    return found


def cgu(
    plan: Sequence[Mapping[str, Any]],
    index: int,
    batches: Sequence[Sequence[str]] = (),
    results: Mapping[str, str] | None = None,
    *,
    succeeded: bool | None = None,
    batch: int = 1,
    conditions: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The ClusterGroupUpgrade of a step."""
    progress: dict[str, Any] = {"startedAt": BEGAN, "currentBatch": batch}
    told = list(conditions)
    if succeeded is not None:
        progress["completedAt"] = LATER
        told.append({"type": "Succeeded", "status": str(succeeded), "reason": "Completed" if succeeded else "TimedOut"})
    return {
        "metadata": {"name": cgu_name("north", Step.of(plan[index]), index), "namespace": "ibu"},
        "status": {
            "status": progress,
            "remediationPlan": [list(names) for names in batches],
            "clusters": [{"name": name, "state": state} for name, state in (results or {}).items()],
            "conditions": told,
        },
    }


def work(conditions: Mapping[str, str], values: Mapping[str, str], refused: str = "") -> dict[str, Any]:
    """A ManifestWork whose second manifest is the ImageBasedUpgrade."""
    told = [{"type": kind, "status": status, "message": refused} for kind, status in conditions.items()]
    feedback = [{"name": key, "fieldValue": {"type": "String", "string": text}} for key, text in values.items()]
    return {
        "metadata": {"namespace": "site-1", "name": "ibu.north-prep-x"},
        "status": {
            "resourceStatus": {
                "manifests": [
                    {"resourceMeta": {"kind": "ConfigMap"}, "conditions": [{"type": "Applied", "status": "False"}]},
                    {
                        "resourceMeta": {"kind": "ImageBasedUpgrade"},
                        "conditions": told,
                        "statusFeedback": {"values": feedback},
                    },
                ]
            }
        },
    }
