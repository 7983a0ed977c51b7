# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What TALM makes of a group upgrade: its ClusterGroupUpgrades, the labels, the status. Documents in, documents out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fleetsim.ports import Object
from fleetsim.talm_actions import LAST_ACTIONS, OUR_LABELS, label, manifests, narrowed, owner, values, work_set_name

FINALIZER = "ran.openshift.io/cleanup-finalizer"
SUFFIX = "cluster-group-upgrades-operator/name-suffix"
DISABLE_IMPORT = "import.open-cluster-management.io/disable-auto-import"
DEFAULT_MINUTES = 240
_NO_REASON = "Action did not successfully complete before the timeout specified in the rolloutStrategy"
_TELLING = ("ConditionMessage", "ConditionReason")


class MissingCluster(Exception):
    """The status names a ManagedCluster that is gone: nothing more happens to this group upgrade until it is back."""


@dataclass
class Decision:
    """What one look at a group upgrade comes to."""

    status: Object
    labels: dict[str, dict[str, str | None]] = field(default_factory=dict)  # merge patches by ManagedCluster
    begin: int | None = None  # the step that begins now


def cgu_name(ibgu: str, actions: Sequence[str], index: int) -> str:
    return f"{ibgu}-{'-'.join(actions)}-{index}".lower()


def cgu_names(ibgu: Object) -> list[str]:
    plan = ibgu["spec"]["plan"]
    return [cgu_name(ibgu["metadata"]["name"], step["actions"], index) for index, step in enumerate(plan)]


def group_upgrade(ibgu: Object, index: int) -> Object:
    """The ClusterGroupUpgrade of a step. Its clusters are those of the first action, whatever the others need."""
    meta, step = ibgu["metadata"], ibgu["spec"]["plan"][index]
    actions, strategy = step["actions"], step["rolloutStrategy"]
    remediation = {"maxConcurrency": strategy["maxConcurrency"], "timeout": strategy.get("timeout") or DEFAULT_MINUTES}
    spec: Object = {
        "enable": True,
        "batchTimeoutAction": "Continue",
        "manifestWorkTemplates": [work_set_name(meta["name"], action) for action in actions],
        "remediationStrategy": remediation,
    }
    if selectors := ibgu["spec"].get("clusterLabelSelectors"):
        spec["clusterLabelSelectors"] = narrowed(selectors, actions[0])
    if "Upgrade" in actions:
        spec["actions"] = {
            "beforeEnable": {"addClusterAnnotations": {DISABLE_IMPORT: "true"}},
            "afterCompletion": {"removeClusterAnnotations": [DISABLE_IMPORT]},
        }
    suffix = (meta.get("annotations") or {}).get(SUFFIX)
    return {
        "apiVersion": "ran.openshift.io/v1alpha1",
        "kind": "ClusterGroupUpgrade",
        "metadata": {
            "name": cgu_name(meta["name"], actions, index),
            "namespace": meta["namespace"],
            "labels": {"ibgu": meta["name"]},
            **({"annotations": {SUFFIX: suffix}} if suffix else {}),
            "finalizers": [FINALIZER],
            "ownerReferences": [owner(ibgu)],
        },
        "spec": spec,
    }


def decide(ibgu: Object, cgus: Iterable[Object], managed: Iterable[Object], stamp: str) -> Decision:
    """One look. The labels come first: without them no further step may begin."""
    by_name = {cgu["metadata"]["name"]: cgu for cgu in cgus}
    clusters = _clusters(ibgu, by_name)
    labels = _labels(clusters, managed)
    begin = waits_for = None
    for index, name in enumerate(cgu_names(ibgu)):
        if name not in by_name:
            begin = waits_for = index
            break
        if not _ended(by_name[name]):
            waits_for = index
            break
    if waits_for is None:
        progressing = ("False", "Completed", "All plan steps are completed")
    else:
        progressing = ("True", "InProgress", f"Waiting for plan step {waits_for} to be completed")
    old = ibgu.get("status") or {}
    conditions = with_condition(old.get("conditions") or [], "Progressing", *progressing, stamp)
    status = {"clusters": clusters, "conditions": conditions, "observedGeneration": ibgu["metadata"]["generation"]}
    return Decision(status, labels, begin)


def with_condition(
    conditions: Iterable[Object], kind: str, value: str, reason: str, message: str, stamp: str
) -> list[Object]:
    """The list with this condition in its place, or at the end. Its time is that of the last change of status."""
    found = list(conditions)
    new = {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": stamp}
    for index, old in enumerate(found):
        if old["type"] == kind:
            if old["status"] == value:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            found[index] = new
            return found
    return [*found, new]


def _ended(cgu: Object) -> bool:
    """With any Succeeded condition, also a false one."""
    return any(c["type"] == "Succeeded" for c in (cgu.get("status") or {}).get("conditions") or ())


# -- the status -----------------------------------------------------------------------------------------------------


def _clusters(ibgu: Object, cgus: dict[str, Object]) -> list[Object]:
    """Who has done what, step by step. Clusters that no step has reached are not here."""
    found: dict[str, Object] = {}
    for name, step in zip(cgu_names(ibgu), ibgu["spec"]["plan"], strict=True):
        if name in cgus:
            _add_step(found, cgus[name].get("status") or {}, ibgu["metadata"]["name"], step["actions"])
    return [found[name] for name in sorted(found)]


def _add_step(found: dict[str, Object], status: Object, ibgu: str, actions: Sequence[str]) -> None:
    templates = [work_set_name(ibgu, action) for action in actions]
    results = status.get("clusters") or ()
    for result in results:
        entry = found.setdefault(result["name"], {"name": result["name"]})
        if result["state"] == "complete":
            _complete(entry, actions)
            continue
        current = result["currentManifestWork"]
        at = templates.index(current["name"])
        _complete(entry, actions[:at])
        failed = {"action": actions[at], "message": _message(current.get("status") or {})}
        entry.setdefault("failedActions", []).append(failed)
    done = {result["name"] for result in results}
    progress = (status.get("status") or {}).get("currentBatchRemediationProgress") or {}
    for name, where in progress.items():
        if name in done or where["state"] != "InProgress":
            continue
        entry = found.setdefault(name, {"name": name})
        at = where.get("manifestWorkIndex", 0)
        _complete(entry, actions[:at])
        entry["currentAction"] = {"action": actions[at]}


def _complete(entry: Object, actions: Sequence[str]) -> None:
    if actions:
        entry.setdefault("completedActions", []).extend({"action": action} for action in actions)


def _message(status: Object) -> str:
    """Why an action failed, as far as TALM can tell: what arrived under a telling name, and what was refused."""
    told = []
    for manifest in manifests({"status": {"resourceStatus": status}}):
        told += [text for name, text in values(manifest).items() if any(t in name for t in _TELLING) and text]
        told += [c["message"] for c in manifest["conditions"] if c["type"] == "Applied" and c["status"] == "False"]
    return ", ".join(told) or _NO_REASON


# -- the labels -----------------------------------------------------------------------------------------------------


def _labels(clusters: Iterable[Object], managed: Iterable[Object]) -> dict[str, dict[str, str | None]]:
    by_name = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in managed}
    patches = {}
    for entry in clusters:
        labels = by_name.get(entry["name"])
        if labels is None:
            raise MissingCluster(f'managedclusters.cluster.open-cluster-management.io "{entry["name"]}" not found')
        if patch := _label_patch(entry, labels):
            patches[entry["name"]] = patch
    return patches


def _label_patch(entry: Object, labels: dict[str, str]) -> dict[str, str | None]:
    completed = [one["action"] for one in entry.get("completedActions") or ()]
    if not LAST_ACTIONS.isdisjoint(completed):
        return dict.fromkeys(key for key in labels if OUR_LABELS.match(key))
    wanted = [label(action, "completed") for action in completed]
    wanted += [label(one["action"], "failed") for one in entry.get("failedActions") or ()]
    return {key: "" for key in wanted if labels.get(key) != ""}
