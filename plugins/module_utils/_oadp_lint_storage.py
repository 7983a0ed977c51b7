# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: volumes of LVM Storage and of the Local Storage Operator, and the klusterlet."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms_filters import (
    CLAIMS,
    LOGICAL_VOLUMES,
    VOLUMES,
    asks_for,
    restore_lacks,
    takes,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    APPLY_LABEL,
    IBU_ROLE,
    LSO,
    LVMS,
    LVMS_RESOURCES,
    NOWHERE,
    PRIORITY_CLASS,
    PULL_SECRET,
    Content,
    Fix,
    Item,
    LintFacts,
    Notes,
    append_to,
    mapping,
    names,
    resource_of,
    set_path,
    strings,
)

_CLUSTER_LIST, _EXCLUDED_LIST = "includedClusterScopedResources", "excludedClusterScopedResources"
_CONTENTS = "volumesnapshotcontents"
_NOT_WITH_LSO = frozenset({"persistentvolumes", "logicalvolumes", "localvolumes"})


def check(content: Content, facts: LintFacts, notes: Notes) -> None:
    """Note what is wrong."""
    if not content.items:
        return
    storage = _storage(content, facts, notes)
    for backup in content.backups:
        if not backup.is_platform and _takes_claims(backup):
            _volumes(backup, storage, notes)
        if storage == LSO:
            _only_local(backup, notes)
    for pair in content.pairs:
        is_lvms = storage == LVMS or (storage is None and _is_for_lvms(pair.backup))
        if is_lvms and not pair.backup.is_platform and _takes_claims(pair.backup):
            _restored(pair.restore, notes)
    if storage == LVMS or (storage is None and any(map(_is_for_lvms, content.backups))):
        _lvms_platform(content, known=storage is not None, notes=notes)
    _klusterlet(content, facts, notes)


# --- volumes ------------------------------------------------------------------------------------------------------


def _storage(content: Content, facts: LintFacts, notes: Notes) -> str | None:
    """The storage operator that decides; None where it is not known, or where there are both."""
    if facts.storage is None:
        asked = {LVMS for one in content.backups if _is_for_lvms(one)}
        asked |= {LSO for one in content.backups if _is_for_lso(one)}
        if len(asked) == 2:
            notes.add(
                "oadp-storage-mixed", NOWHERE, (),
                "some Backups are made for LVM Storage, others for the Local Storage Operator",
                "keep what belongs to the operator that the cluster has",
            )  # fmt: skip
        return None
    if len(facts.storage) > 1:
        notes.add(
            "oadp-storage-mixed", NOWHERE, (), "the cluster has both LVM Storage and the Local Storage Operator",
            "remove one of them: an image-based upgrade supports one",
        )  # fmt: skip
        return None
    return next(iter(facts.storage), "")


def _is_for_lvms(backup: Item) -> bool:
    return backup.is_lvms or asks_for(backup.filters, LOGICAL_VOLUMES)


def _is_for_lso(backup: Item) -> bool:
    excluded = backup.texts(_EXCLUDED_LIST) + backup.texts("excludedResources")
    return names(excluded, "persistentvolumes") and not backup.is_platform


def _takes_claims(backup: Item) -> bool:
    """True for a Backup that takes volume claims, as far as its lists tell."""
    wanted = resource_of(CLAIMS)
    if backup.items:
        return any(resource_of(target.resource) == wanted for target in backup.targets)
    if names(backup.texts("excludedNamespaceScopedResources") + backup.texts("excludedResources"), wanted):
        return False
    lists = [backup.texts("includedNamespaceScopedResources"), backup.texts("includedResources")]
    if any(lists):
        return any(names(one, wanted) for one in lists if one)
    only_cluster = backup.texts(_CLUSTER_LIST) and not backup.texts("includedNamespaces")
    return not only_cluster


def _volumes(backup: Item, storage: str | None, notes: Notes) -> None:
    if storage == LVMS or (storage is None and _is_for_lvms(backup)):
        _for_lvms(backup, notes)
    elif storage == LSO:
        if not _is_for_lso(backup):
            notes.add(
                "oadp-lso-backup", backup, ("spec", _EXCLUDED_LIST),
                "it takes volume claims and does not exclude persistentVolumes",
                f"add persistentVolumes to spec.{_excluding(backup)}",
                _adding(backup, _excluding(backup), [VOLUMES], _CLUSTER_LIST),
            )  # fmt: skip
    elif storage is None and not _is_for_lso(backup):
        notes.add(
            "oadp-storage-unknown", backup, ("spec",), "it takes volume claims and says nothing of their volumes",
            f"with LVM Storage add persistentVolumes and {LOGICAL_VOLUMES} to spec.{_CLUSTER_LIST}, with the Local "
            f"Storage Operator add persistentVolumes to spec.{_EXCLUDED_LIST}",
        )  # fmt: skip


def _for_lvms(backup: Item, notes: Notes) -> None:
    lacking = [one for one in (VOLUMES, LOGICAL_VOLUMES) if not takes(backup.filters, one)]
    taken = backup.texts("includedNamespaceScopedResources") + backup.texts("includedResources")
    if any(resource_of(one) == "volumesnapshots" for one in taken) and not takes(backup.filters, _CONTENTS):
        lacking.append(_CONTENTS)
    if lacking:
        old = bool(backup.texts("includedResources"))
        key = "includedResources" if old else _CLUSTER_LIST
        notes.add(
            "oadp-lvms-backup", backup, ("spec", key),
            f"it takes volume claims of LVM Storage, but not {', '.join(lacking)}", f"add them to spec.{key}",
            _adding(backup, key, lacking, "excludedResources" if old else _EXCLUDED_LIST),
        )  # fmt: skip


def _excluding(backup: Item) -> str:
    old = any(backup.spec.get(key) not in (None, []) for key in ("includedResources", "excludedResources"))
    return "excludedResources" if old or backup.spec.get("includeClusterResources") is not None else _EXCLUDED_LIST


def _adding(backup: Item, key: str, new: t.Sequence[str], opposite: str) -> Fix:
    """Add to one list, and take out of the opposite one."""
    wanted = {resource_of(one) for one in new}
    left = [one for one in backup.texts(opposite) if resource_of(one) not in wanted]
    was_there = len(left) != len(backup.texts(opposite))

    def fix(doc: dict[str, t.Any]) -> None:
        append_to(doc, key, new)
        if key == "includedResources":
            set_path(doc, ("spec", "includeClusterResources"), True)
        if was_there and left:
            set_path(doc, ("spec", opposite), left)
        elif was_there:
            doc["spec"].pop(opposite, None)

    return fix


def _restored(restore: Item, notes: Notes) -> None:
    lacks = restore_lacks(restore.filters, volumes=True, status=True)
    if lacks:
        notes.add(
            "oadp-lvms-restore", restore, ("spec", lacks[0]), f"it lacks {' and '.join(lacks)} for LVM Storage",
            "write restorePVs: true and restoreStatus.includedResources: [logicalvolumes]", _restoring,
        )  # fmt: skip


def _restoring(doc: dict[str, t.Any]) -> None:
    set_path(doc, ("spec", "restorePVs"), True)
    status = mapping(mapping(doc, "spec"), "restoreStatus")
    present = strings(status.get("includedResources"))
    if not names(present, "logicalvolumes"):
        set_path(doc, ("spec", "restoreStatus", "includedResources"), [*present, "logicalvolumes"])
    excluded = [one for one in strings(status.get("excludedResources")) if resource_of(one) != "logicalvolumes"]
    if excluded != strings(status.get("excludedResources")):
        set_path(doc, ("spec", "restoreStatus", "excludedResources"), excluded)


def _lvms_platform(content: Content, *, known: bool, notes: Notes) -> None:
    taken = {
        resource_of(one) for backup in content.backups
        for one in backup.texts("includedNamespaceScopedResources") + backup.texts("includedResources")
    } | {target.resource for backup in content.backups for target in backup.targets}  # fmt: skip
    lacking = [one for one in LVMS_RESOURCES if one not in taken]
    if lacking:
        has = "the cluster has LVM Storage" if known else "a Backup is made for LVM Storage"
        notes.add(
            "oadp-lvms-platform", NOWHERE, (), f"{has}, but nothing backs up {', '.join(lacking)}",
            "add a Backup and a Restore of them in openshift-storage, in a lower wave than applications "
            "(role oadp_content writes them)",
        )  # fmt: skip


def _only_local(backup: Item, notes: Notes) -> None:
    named = [one for one in backup.texts(_CLUSTER_LIST) if resource_of(one) in _NOT_WITH_LSO]
    if backup.is_lvms or named:
        what = ", ".join(named) or ", ".join(LVMS_RESOURCES)
        notes.add(
            "oadp-storage-mixed", backup, ("spec", _CLUSTER_LIST),
            f"it takes {what}, but the cluster has the Local Storage Operator",
            "remove it: the agent does what is needed",
        )  # fmt: skip


# --- klusterlet ---------------------------------------------------------------------------------------------------


def _klusterlet(content: Content, facts: LintFacts, notes: Notes) -> None:
    found = [one for one in content.backups if one.is_klusterlet]
    if facts.hub and not found:
        notes.add(
            "oadp-klusterlet", NOWHERE, (), "the cluster has a hub, but nothing backs up its klusterlet",
            "add a Backup and a Restore of the klusterlet (role oadp_content writes them)",
        )  # fmt: skip
    for backup in found:
        if facts.hub is False:
            notes.add(
                "oadp-klusterlet-no-hub", backup, ("metadata", "name"),
                "it backs up the klusterlet, but the cluster has none", "remove this Backup and its Restore",
            )  # fmt: skip
            continue
        if _is_through_hub(content, facts) and backup.items and IBU_ROLE not in backup.items:
            notes.add(
                "oadp-klusterlet-ibgu", backup, ("metadata", "annotations", APPLY_LABEL),
                "apply-label lacks the ClusterRole open-cluster-management:klusterlet-work:ibu-role",
                f"add {IBU_ROLE} to {APPLY_LABEL}", _with_role,
            )  # fmt: skip
        for item in (PULL_SECRET, PRIORITY_CLASS):
            if item in backup.items and item not in facts.objects and item not in facts.missing:
                notes.add(
                    "oadp-klusterlet-optional", backup, ("metadata", "annotations", APPLY_LABEL),
                    f"{item} does not exist on every cluster", "make sure that it is there, or take it out",
                )  # fmt: skip


def _is_through_hub(content: Content, facts: LintFacts) -> bool:
    if facts.through_hub is not None:
        return facts.through_hub
    return any(one.value.get("kind") == "ImageBasedGroupUpgrade" for one in content.upgrades)


def _with_role(doc: dict[str, t.Any]) -> None:
    annotations = doc["metadata"]["annotations"]
    annotations[APPLY_LABEL] = f"{annotations[APPLY_LABEL]},{IBU_ROLE}"
    append_to(doc, "includedClusterScopedResources", ["clusterroles"])
