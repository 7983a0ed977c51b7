# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of a group upgrade: whom they are for, what they put on a cluster, and how they see that it worked. Pure.

Two of the paths that read the cluster's answer end in a quote that does not belong there, as the product's do: what
they name exists on no cluster, so these values never arrive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from fleetsim import ibu
from fleetsim.ports import LCA_NAMESPACE, Object

LABEL = "lcm.openshift.io/ibgu-{action}-{outcome}"
OUR_LABELS = re.compile(r"^lcm\.openshift\.io/ibgu-[a-zA-Z]+-(completed|failed)$")
EXPECTED = "openshift-cluster-group-upgrades/expectedValues"
_COPIED_ANNOTATIONS = "lca.openshift.io"
_ROLE = "open-cluster-management:klusterlet-work:ibu-role"


@dataclass(frozen=True)
class Action:
    """`needs`: the labels of which a cluster must have one; `without`: the label that it must not have."""

    name: str
    stage: str
    needs: tuple[str, ...] = ()
    without: str = ""

    @property
    def success(self) -> str:
        """The feedback value that is `True` once the action is done."""
        return "isIdle" if self.stage == "Idle" else f"is{self.stage}Completed"

    @property
    def feedback(self) -> dict[str, str]:
        """Name and path of everything that is read from the cluster's ImageBasedUpgrade."""
        if self.stage == "Idle":
            return {
                "isIdle": _path("Idle", "status"),
                "idleConditionReason": _path("Idle", "reason'"),
                "idleConditionMessages": _path("Idle", "message"),
            }
        start = self.stage.lower()
        return {
            self.success: _path(f"{self.stage}Completed", "status"),
            f"{start}InProgressConditionMessage": _path(f"{self.stage}InProgress", "message'"),
            f"{start}CompletedConditionMessages": _path(f"{self.stage}Completed", "message"),
        }


@cache
def label(action: str, outcome: str) -> str:
    return LABEL.format(action=action.lower(), outcome=outcome)


def _path(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_PREPARED, _UPGRADED = label("Prep", "completed"), label("Upgrade", "completed")

ACTIONS = {
    action.name: action
    for action in (
        Action("Prep", "Prep"),
        Action("Upgrade", "Upgrade", needs=(_PREPARED,)),
        Action("Rollback", "Rollback", needs=(_UPGRADED,)),
        Action("FinalizeUpgrade", "Idle", needs=(_UPGRADED,)),
        Action("FinalizeRollback", "Idle", needs=(label("Rollback", "completed"),)),
        Action("Abort", "Idle", without=_UPGRADED),
        Action("AbortOnFailure", "Idle", needs=(label("Prep", "failed"), label("Upgrade", "failed"))),
    )
}
# Completed, these take every label of ours away instead of adding one.
LAST_ACTIONS = frozenset(("Abort", "AbortOnFailure", "FinalizeUpgrade", "FinalizeRollback"))


# -- which clusters -------------------------------------------------------------------------------------------------


def narrowed(selectors: Iterable[Object], first: str) -> list[Object]:
    """The selectors of a step: each of the group's, narrowed to the clusters that the first action is for."""
    action, found = ACTIONS[first], []
    for selector in selectors:
        for needed in action.needs:
            found.append({**selector, "matchLabels": {**(selector.get("matchLabels") or {}), needed: ""}})
        if action.without:
            absent = {"key": action.without, "operator": "DoesNotExist"}
            found.append({**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), absent]})
        if not action.needs and not action.without:
            found.append(selector)
    return found


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """A LabelSelector. ValueError for an operator that there is not."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(one, labels) for one in selector.get("matchExpressions") or ())


def _meets(requirement: Object, labels: dict[str, str]) -> bool:
    key, operator, values = requirement["key"], requirement["operator"], requirement.get("values") or ()
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f'"{operator}" is not a valid label selector operator')


# -- what is put on a cluster ---------------------------------------------------------------------------------------


def copies(ibu_spec: Object, namespace: str) -> Iterator[tuple[str, str, str, str]]:
    """What Prep takes along from the hub: table, namespace and name there, and the namespace on the cluster."""
    for ref in ibu_spec.get("oadpContent") or ():
        yield "configmaps", ref["namespace"], ref["name"], ref["namespace"]
    secret = ((ibu_spec.get("seedImageRef") or {}).get("pullSecretRef") or {}).get("name")
    if secret:
        yield "secrets", namespace, secret, LCA_NAMESPACE


def copied(found: Object, namespace: str) -> Object:
    """An object of the hub as a manifest."""
    meta = {"name": found["metadata"]["name"], "namespace": namespace}
    kept: Object = {key: found[key] for key in ("apiVersion", "kind", "type", "data", "binaryData") if key in found}
    return {**kept, "metadata": meta}


def work_set(ibgu: Object, action: Action, extra: list[Object]) -> Object:
    """The ManifestWorkReplicaSet of an action: a mere store of its ManifestWork, for its Placement is missing."""
    meta, ordinal = ibgu["metadata"], len(extra) + 1
    expected = [{"manifestIndex": ordinal, "name": action.success, "value": "True"}]
    rules = [{"name": name, "path": path} for name, path in action.feedback.items()]
    identity = {"group": "lca.openshift.io", "resource": "imagebasedupgrades", "name": ibu.NAME, "namespace": ""}
    template = {
        "deleteOption": {"propagationPolicy": "Orphan"},
        "manifestConfigs": [
            {"resourceIdentifier": identity, "feedbackRules": [{"type": "JSONPaths", "jsonPaths": rules}]}
        ],
        "workload": {"manifests": [*extra, _role(), _upgrade(ibgu, action.stage)]},
    }
    return {
        "apiVersion": "work.open-cluster-management.io/v1alpha1",
        "kind": "ManifestWorkReplicaSet",
        "metadata": {
            "name": work_set_name(meta["name"], action.name),
            "namespace": meta["namespace"],
            "annotations": {EXPECTED: json.dumps(expected, separators=(",", ":"))},
            "ownerReferences": [owner(ibgu)],
        },
        "spec": {"manifestWorkTemplate": template, "placementRefs": [{"name": "dummy"}]},
    }


def work_set_name(ibgu: str, action: str) -> str:
    return f"{ibgu}-{action}".lower()


def owner(ibgu: Object) -> Object:
    meta = ibgu["metadata"]
    kind = {"apiVersion": "lcm.openshift.io/v1alpha1", "kind": "ImageBasedGroupUpgrade", "controller": True}
    return {**kind, "name": meta["name"], "uid": meta["uid"], "blockOwnerDeletion": True}


def _role() -> Object:
    rule = {"apiGroups": ["lca.openshift.io"], "resources": ["imagebasedupgrades"], "verbs": ["*"]}
    labels = {"open-cluster-management.io/aggregate-to-work": "true"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": _ROLE, "labels": labels},
        "rules": [rule],
    }


def _upgrade(ibgu: Object, stage: str) -> Object:
    meta: Object = {"name": ibu.NAME}
    notes = ibgu["metadata"].get("annotations") or {}
    if taken := {key: value for key, value in notes.items() if _COPIED_ANNOTATIONS in key}:
        meta["annotations"] = taken
    spec = {**(ibgu["spec"].get("ibuSpec") or {}), "stage": stage}
    return {"apiVersion": "lca.openshift.io/v1", "kind": "ImageBasedUpgrade", "metadata": meta, "spec": spec}


# -- what came of it ------------------------------------------------------------------------------------------------


def is_true(conditions: Iterable[Object] | None, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in conditions or ())


def manifests(work: Object) -> list[Object]:
    """What the cluster's work agent says of each manifest."""
    return ((work.get("status") or {}).get("resourceStatus") or {}).get("manifests") or []


def succeeded(work: Object) -> bool:
    """The values that a ManifestWork is expected to bring have arrived. A false one is not a failure, only not yet."""
    conditions = (work.get("status") or {}).get("conditions")
    if not (is_true(conditions, "Applied") and is_true(conditions, "Available")):
        return False
    by_ordinal = {one["resourceMeta"]["ordinal"]: one for one in manifests(work)}
    expected = json.loads(work["metadata"]["annotations"][EXPECTED])
    return all(_has_value(by_ordinal.get(one["manifestIndex"]), one["name"], one["value"]) for one in expected)


def _has_value(manifest: Object | None, name: str, wanted: str) -> bool:
    if manifest is None:
        return False
    if not all(is_true(manifest["conditions"], kind) for kind in ("Applied", "Available", "StatusFeedbackSynced")):
        return False
    return values(manifest).get(name) == wanted


def values(manifest: Object) -> dict[str, str]:
    found = (manifest.get("statusFeedback") or {}).get("values") or ()
    return {one["name"]: one["fieldValue"].get("string", "") for one in found}
