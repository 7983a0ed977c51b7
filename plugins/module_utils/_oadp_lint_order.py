# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: which Restore belongs to which Backup, and in which order they come."""

from __future__ import annotations

import re
import typing as t
from collections import Counter

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    APPLY_WAVE,
    LAST_WAVE,
    Content,
    Fix,
    Item,
    Notes,
    Pair,
    mapping,
    resource_of,
    set_path,
)

_ANNOTATION = ("metadata", "annotations", APPLY_WAVE)
# Cluster-scoped, but made for the claims of an application.
_OF_CLAIMS = frozenset({"persistentvolumes", "logicalvolumes", "volumesnapshotcontents"})
_COMMON_WORDS = frozenset(
    [
        "app",
        "apps",
        "application",
        "backup",
        "restore",
        "cluster",
        "clusterscoped",
        "scoped",
        "scope",
        "resource",
        "resources",
        "namespaced",
        "ns",
        "crs",
    ]
)


def check(content: Content, notes: Notes) -> None:
    """Note what is wrong."""
    _pairs(content, notes)
    for item in content.items:
        _wave(item, notes)
    _platform_first(content.pairs, notes)
    _cluster_scope_first(content.pairs, notes)
    for backup in content.backups:
        _mixed(backup, notes)


# --- pairs --------------------------------------------------------------------------------------------------------


def _pairs(content: Content, notes: Notes) -> None:
    backups = {item.name for item in content.backups if item.name}
    wanted = Counter(item.backup_name for item in content.restores if item.backup_name)
    unpaired = [item for item in content.backups if item.name not in wanted]
    lost = [item for item in content.restores if item.backup_name not in backups]
    # One of each that is left over: they can only belong together.
    only = unpaired[0].name if len(unpaired) == len(lost) == 1 and unpaired[0].name else ""
    for restore in content.restores:
        _restore(restore, backups, only, notes)
    for backup in unpaired:
        notes.add(
            "oadp-pairing", backup, ("metadata", "name"), f"no Restore has spec.backupName: {backup.name or '?'}",
            "add a Restore for it" if not only else f"let Restore {lost[0].name} name it",
        )  # fmt: skip
    for name, count in wanted.items():
        if count > 1 and name in backups:
            again = [item for item in content.restores if item.backup_name == name][1:]
            for restore in again:
                notes.add(
                    "oadp-pairing", restore, ("spec", "backupName"),
                    f"{count} Restores name the Backup {name}; the agent wants one for each",
                    "make a Backup for each Restore, or put both Restores into one",
                )  # fmt: skip


def _restore(restore: Item, backups: t.Collection[str], only: str, notes: Notes) -> None:
    if restore.spec.get("scheduleName"):
        notes.add(
            "oadp-restore-source", restore, ("spec", "scheduleName"),
            "spec.scheduleName is set; the agent restores from the Backup that it has made itself",
            "remove scheduleName and name the Backup in spec.backupName",
            _without_schedule if restore.backup_name or only else None,
        )  # fmt: skip
    if not restore.backup_name:
        notes.add(
            "oadp-restore-source", restore, ("spec", "backupName"), "spec.backupName is missing",
            f"write backupName: {only}" if only else "name the Backup that it restores", _naming(only),
        )  # fmt: skip
    elif restore.backup_name not in backups:
        notes.add(
            "oadp-pairing", restore, ("spec", "backupName"),
            f"there is no Backup {restore.backup_name} in the content",
            f"write backupName: {only}" if only else "correct the name, or add the Backup", _naming(only),
        )  # fmt: skip


def _naming(backup: str) -> Fix | None:
    return (lambda doc: set_path(doc, ("spec", "backupName"), backup)) if backup else None


def _without_schedule(doc: dict[str, t.Any]) -> None:
    doc["spec"].pop("scheduleName", None)


# --- waves --------------------------------------------------------------------------------------------------------


def _wave(item: Item, notes: Notes) -> None:
    if item.wave is not None:
        return
    value = mapping(item.metadata, "annotations")[APPLY_WAVE]
    number = str(value).strip()
    whole = bool(re.fullmatch(r"[+-]?[0-9]+", number))
    is_number = isinstance(value, int) and not isinstance(value, bool)
    notes.add(
        "oadp-wave", item, _ANNOTATION,
        f"{APPLY_WAVE} is {'a number without quotes' if is_number else repr(value)}",
        f'write "{number}", a whole number in quotes' if whole else 'write a whole number in quotes, for example "2"',
        (lambda doc: set_path(doc, _ANNOTATION, number)) if whole else None,
    )  # fmt: skip


def _platform_first(pairs: t.Sequence[Pair], notes: Notes) -> None:
    applications = [p.restore for p in pairs if not p.backup.is_platform and p.restore.wave is not None]
    if not applications:
        return
    first = min(applications, key=_wave_of)
    for pair in pairs:
        restore = pair.restore
        if pair.backup.is_platform and restore.wave is not None and restore.wave >= _wave_of(first):
            notes.add(
                "oadp-wave-platform", restore, _ANNOTATION,
                f"it is of the platform but comes in {_said(restore)}, not before the application's "
                f"{first.name} in {_said(first)}",
                f"give it a lower {APPLY_WAVE} than every application, for example \"1\"",
            )  # fmt: skip


def _cluster_scope_first(pairs: t.Sequence[Pair], notes: Notes) -> None:
    applications = [p for p in pairs if not p.backup.is_platform and p.restore.wave is not None]
    namespaced = [p for p in applications if not _is_cluster_scoped(p.backup)]
    for pair in applications:
        if not _is_cluster_scoped(pair.backup) or not namespaced:
            continue
        related = [p for p in namespaced if _words(p) & _words(pair)]
        later = [p.restore for p in related or [max(namespaced, key=lambda p: _wave_of(p.restore))]]
        too_early = [restore for restore in later if _wave_of(restore) <= _wave_of(pair.restore)]
        if too_early:
            notes.add(
                "oadp-wave-cluster-scope", pair.restore, _ANNOTATION,
                f"it brings cluster-scoped resources in {_said(pair.restore)}, not before {too_early[0].name} "
                f"in {_said(too_early[0])}",
                f"give it a lower {APPLY_WAVE} than the application's namespaced Restore",
            )  # fmt: skip


def _words(pair: Pair) -> set[str]:
    """The words by which an application's Backups are told from others'."""
    return set(re.split(r"[-.]", f"{pair.backup.name}-{pair.restore.name}")) - _COMMON_WORDS - {""}


def _is_cluster_scoped(backup: Item) -> bool:
    """True for a Backup of nothing but cluster-scoped resources."""
    if backup.items:
        return all(not target.namespace for target in backup.targets)
    listed = {resource_of(one) for one in backup.texts("includedClusterScopedResources")}
    return bool(listed - _OF_CLAIMS) and not backup.texts("includedNamespaceScopedResources") and not backup.texts(
        "includedNamespaces"
    )  # fmt: skip


def _mixed(backup: Item, notes: Notes) -> None:
    own = [
        one for one in backup.texts("includedClusterScopedResources")
        if resource_of(one) not in _OF_CLAIMS | {"storageclasses"}
    ]  # fmt: skip
    scoped = backup.texts("includedNamespaceScopedResources") or backup.texts("includedNamespaces")
    if own and scoped and not backup.is_platform and not backup.items:
        notes.add(
            "oadp-cluster-scope-mixed", backup, ("spec", "includedClusterScopedResources"),
            f"it takes {', '.join(own)} of the whole cluster together with namespaced resources",
            "make a Backup and a Restore of their own for them, with apply-label for the application's own objects "
            "and a lower wave",
        )  # fmt: skip


def _wave_of(item: Item) -> int:
    return LAST_WAVE if item.wave is None else item.wave


def _said(item: Item) -> str:
    return "the last wave" if item.wave == LAST_WAVE else f"wave {item.wave}"
