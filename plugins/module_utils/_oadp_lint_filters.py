# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: what Backups and Restores include and exclude, and what Velero refuses of it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import BACKUP
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    LSO,
    STORAGE_LABEL,
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

NEVER_BACKED_UP = ("pods", "endpoints", "controllerrevisions", "podmetrics", "packagemanifests", "replicasets")
LOCAL_VOLUMES = "localvolumes"
_NOT_RESTORABLE = frozenset(
    [
        "nodes",
        "events",
        "events.events.k8s.io",
        "backups.velero.io",
        "restores.velero.io",
        "resticrepositories.velero.io",
        "csinodes.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "backuprepositories.velero.io",
    ]
)
_OLD = ("includedResources", "excludedResources", "includeClusterResources")
_SCOPED = (
    "includedClusterScopedResources", "excludedClusterScopedResources", "includedNamespaceScopedResources",
    "excludedNamespaceScopedResources",
)  # fmt: skip
_LISTS = (
    ("includedNamespaces", "excludedNamespaces"),
    ("includedResources", "excludedResources"),
    ("includedClusterScopedResources", "excludedClusterScopedResources"),
    ("includedNamespaceScopedResources", "excludedNamespaceScopedResources"),
)
_DURATIONS = ("ttl", "csiSnapshotTimeout", "itemOperationTimeout")
_DURATION = re.compile(r"[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0")


def check(content: Content, facts: LintFacts, notes: Notes) -> None:
    """Note what is wrong."""
    for item in content.items:
        _velero(item, notes)
        _storage_label(item, notes)
        if item.kind == BACKUP:
            _styles(item, notes)
            _excluded(item, facts, notes)
        else:
            _restorable(item, notes)


# --- what Velero refuses ------------------------------------------------------------------------------------------


def _velero(item: Item, notes: Notes) -> None:
    for included, excluded in _LISTS:
        _overlap(item, included, excluded, notes)
    if item.spec.get("labelSelector") and item.spec.get("orLabelSelectors"):
        notes.add(
            "oadp-selectors", item, ("spec", "orLabelSelectors"), "labelSelector and orLabelSelectors stand together",
            "write both conditions as orLabelSelectors, or as one labelSelector",
        )  # fmt: skip
    for key in _DURATIONS:
        value = item.spec.get(key)
        if isinstance(value, str) and value and not _DURATION.fullmatch(value):
            notes.add(
                "oadp-duration", item, ("spec", key), f"spec.{key} is {value!r}",
                "write hours, minutes and seconds, for example 720h0m0s",
            )  # fmt: skip


def _overlap(item: Item, included: str, excluded: str, notes: Notes) -> None:
    into, out = item.texts(included), item.texts(excluded)
    if "*" in into and len(into) > 1:
        notes.add(
            "oadp-filters-overlap", item, ("spec", included), f"'*' stands beside other items in spec.{included}",
            "keep '*' alone, or name the items",
        )  # fmt: skip
    if "*" in out:
        notes.add("oadp-filters-overlap", item, ("spec", excluded), f"spec.{excluded} has '*'", "name what is excluded")
    both = [one for one in into if one in out and one != "*"]
    if both:
        notes.add(
            "oadp-filters-overlap", item, ("spec", excluded), f"{', '.join(both)}: both included and excluded",
            f"take it out of spec.{included} or spec.{excluded}",
        )  # fmt: skip


def _styles(backup: Item, notes: Notes) -> None:
    old = [key for key in _OLD if backup.spec.get(key) not in (None, [])]
    scoped = [key for key in _SCOPED if backup.spec.get(key) not in (None, [])]
    if old and scoped:
        notes.add(
            "oadp-filters-mixed", backup, ("spec", old[0]), f"spec.{old[0]} stands beside spec.{scoped[0]}",
            "write included and excluded resources as cluster-scoped and namespace-scoped lists only",
        )  # fmt: skip


def _restorable(restore: Item, notes: Notes) -> None:
    wrong = [one for one in restore.texts("includedResources") if one.lower() in _NOT_RESTORABLE]
    if wrong:
        notes.add(
            "oadp-not-restorable", restore, ("spec", "includedResources"), f"Velero never restores {', '.join(wrong)}",
            "take them out of spec.includedResources",
        )  # fmt: skip


# --- what does not belong into a backup ---------------------------------------------------------------------------


def _excluded(backup: Item, facts: LintFacts, notes: Notes) -> None:
    # Without LSO there are no LocalVolumes that everything could contain; named ones are wrong anywhere.
    implied = NEVER_BACKED_UP + ((LOCAL_VOLUMES,) if facts.storage and LSO in facts.storage else ())
    named = (*NEVER_BACKED_UP, LOCAL_VOLUMES)
    for key in ("includedNamespaceScopedResources", "includedResources"):
        wrong = [one for one in backup.texts(key) if resource_of(one) in named]
        if wrong:
            notes.add(
                "oadp-excluded", backup, ("spec", key), f"{', '.join(wrong)} must not be backed up",
                f"take {'it' if len(wrong) == 1 else 'them'} out of spec.{key}", _without(backup, key, wrong),
            )  # fmt: skip
    if not backup.items and _takes_all(backup):
        excluded = backup.texts("excludedNamespaceScopedResources") + backup.texts("excludedResources")
        lacking = [one for one in implied if not names(excluded, one)]
        if lacking:
            key = "excludedResources" if _is_old_style(backup) else "excludedNamespaceScopedResources"
            notes.add(
                "oadp-excluded", backup, ("spec",), f"it takes all namespaced resources, {', '.join(lacking)} too",
                f"name what it takes in spec.includedNamespaceScopedResources, or add these to spec.{key}",
                lambda doc: append_to(doc, key, lacking),
            )  # fmt: skip


def _takes_all(backup: Item) -> bool:
    """True for a Backup that takes namespaced resources of every kind."""
    listed = [*backup.texts("includedNamespaceScopedResources"), *backup.texts("includedResources")]
    if listed:
        return "*" in listed
    # Cluster-scoped lists alone do not keep namespaced resources out, but an own list of labels does.
    if "*" in backup.texts("excludedNamespaceScopedResources"):
        return False
    only_cluster = backup.texts("includedClusterScopedResources") and not backup.texts("includedNamespaces")
    return not (only_cluster or backup.spec.get("labelSelector") or backup.spec.get("orLabelSelectors"))


def _is_old_style(backup: Item) -> bool:
    return any(backup.spec.get(key) not in (None, []) for key in _OLD)


def _without(backup: Item, key: str, wrong: t.Collection[str]) -> Fix | None:
    left = [one for one in strings(backup.spec.get(key)) if one not in wrong]
    # An empty list would mean everything.
    return (lambda doc: set_path(doc, ("spec", key), left)) if left else None


# --- the label ----------------------------------------------------------------------------------------------------


def _storage_label(item: Item, notes: Notes) -> None:
    if mapping(item.metadata, "labels").get(STORAGE_LABEL):
        return
    location = item.spec.get("storageLocation")
    name = location if isinstance(location, str) and location else "default"
    notes.add(
        "oadp-storage-label", item, ("metadata", "labels"), f"the label {STORAGE_LABEL} is missing",
        f"add {STORAGE_LABEL}: {name}", lambda doc: set_path(doc, ("metadata", "labels", STORAGE_LABEL), name),
    )  # fmt: skip
