# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a Backup takes, what a Restore brings, and the lines that either lacks for LVM Storage. Specs in, text out."""

from __future__ import annotations

import fnmatch
import json
import re
import typing as t
from dataclasses import dataclass

Spec = t.Mapping[str, t.Any]

BACKUP, RESTORE = "Backup", "Restore"
VOLUMES, LOGICAL_VOLUMES, CLAIMS = "persistentVolumes", "logicalvolumes.topolvm.io", "persistentVolumeClaims"
# What a Backup has to take, in the spelling that the documentation of LVM Storage has.
NEEDED = (VOLUMES, LOGICAL_VOLUMES)

RESTORE_VOLUMES, RESTORE_STATUS = "restorePVs", "restoreStatus"
_APPLY_LABEL = "lca.openshift.io/apply-label"
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*")


@dataclass(frozen=True)
class Fault:
    """A custom resource that lacks something. ``snippet`` is the corrected part of it, with the new lines marked."""

    kind: str
    namespace: str
    name: str
    lacks: tuple[str, ...]
    snippet: str
    note: str = ""


def covers_claims(spec: Spec, namespaces: t.Iterable[str]) -> bool:
    """True for a Backup that takes the claims of one of these namespaces."""
    included, excluded = spec.get("includedNamespaces") or ["*"], spec.get("excludedNamespaces") or []
    if not any(_is_in(name, included) and not _is_in(name, excluded) for name in namespaces):
        return False
    if _named(spec, "excluded", "Namespace", CLAIMS):
        return False
    lists = [spec.get("includedNamespaceScopedResources"), spec.get("includedResources")]
    return all(_names(one, CLAIMS) for one in lists if one)


def takes(spec: Spec, resource: str) -> bool:
    """True for a Backup that takes these cluster-scoped resources."""
    if _named(spec, "excluded", "Cluster", resource):
        return False
    if wanted := spec.get("includedClusterScopedResources"):
        return _names(wanted, resource)
    all_kinds = spec.get("includeClusterResources")
    if all_kinds is not None:
        return bool(all_kinds) and (not spec.get("includedResources") or _names(spec["includedResources"], resource))
    if wanted := spec.get("includedResources"):
        return _names(wanted, resource)
    # Unasked, a Backup of all namespaces takes everything, one of some only the volumes that their claims name.
    return resource == VOLUMES or "*" in (spec.get("includedNamespaces") or ["*"])


def asks_for(spec: Spec, resource: str) -> bool:
    """True for a Backup that names these resources, and does not only take what its claims lead to."""
    return _named(spec, "included", "Cluster", resource)


def _named(spec: Spec, how: str, scope: str, resource: str) -> bool:
    return _names([*(spec.get(f"{how}{scope}ScopedResources") or ()), *(spec.get(f"{how}Resources") or ())], resource)


def _is_in(name: str, patterns: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, str(pattern)) for pattern in patterns)


def _names(listed: t.Iterable[t.Any], resource: str) -> bool:
    """True where a list of resources has this one. Velero takes any case, and the group may be left out."""
    short = resource.lower().partition(".")[0]
    return any(str(one).lower() in ("*", short, short.removesuffix("s"), resource.lower()) for one in listed)


def restore_lacks(spec: Spec, *, volumes: bool, status: bool) -> tuple[str, ...]:
    """What a Restore lacks whose Backup has these."""
    lacks = []
    if volumes and spec.get("restorePVs") is not True:
        lacks.append(RESTORE_VOLUMES)
    wanted = spec.get("restoreStatus") or {}
    brings = _names(wanted.get("includedResources") or (), LOGICAL_VOLUMES)
    if status and (not brings or _names(wanted.get("excludedResources") or (), LOGICAL_VOLUMES)):
        lacks.append(RESTORE_STATUS)
    return tuple(lacks)


# --- the corrected lines ------------------------------------------------------------------------------------------


def backup_fault(backup: Spec, lacks: t.Sequence[str]) -> Fault:
    """The Backup with the resources that no Backup takes."""
    spec = backup.get("spec") or {}
    old_style = bool(spec.get("includedResources") or spec.get("excludedResources"))
    key = "includedResources" if old_style else "includedClusterScopedResources"
    lines: list[str] = []
    if not old_style or spec.get("includedResources"):
        lines += _list_lines(key, spec.get(key) or (), lacks)
    if old_style and spec.get("includeClusterResources") is not True:
        lines.append("  includeClusterResources: true  # add")
    for excluding in ("excludedClusterScopedResources", "excludedResources"):
        if any(_names(spec.get(excluding) or (), name) for name in lacks):
            left = [one for one in spec[excluding] if not any(_names([one], name) for name in lacks)]
            lines += _list_lines(excluding, left, (), "  # nothing else") if left else [f"  {excluding}: []  # changed"]
    return _fault(BACKUP, backup, lacks, lines, _label_note(backup))


def restore_fault(restore: Spec, lacks: t.Sequence[str]) -> Fault:
    """The Restore with what brings volumes back as they were."""
    lines = ["  restorePVs: true  # add"] if RESTORE_VOLUMES in lacks else []
    if RESTORE_STATUS in lacks:
        wanted = (restore.get("spec") or {}).get("restoreStatus") or {}
        present = wanted.get("includedResources") or ()
        lines.append("  restoreStatus:" if wanted else "  restoreStatus:  # add")
        new = () if _names(present, LOGICAL_VOLUMES) else ("logicalvolumes",)
        lines += [f"  {line}" for line in _list_lines("includedResources", present, new)]
    return _fault(RESTORE, restore, lacks, lines, "")


def _label_note(backup: Spec) -> str:
    annotations = (backup.get("metadata") or {}).get("annotations") or {}
    if _APPLY_LABEL not in annotations:
        return ""
    return f"its annotation {_APPLY_LABEL} limits it to the objects named there: name the volumes too, or remove it"


def _fault(kind: str, document: Spec, lacks: t.Sequence[str], lines: t.Iterable[str], note: str) -> Fault:
    meta = document.get("metadata") or {}
    name, namespace = str(meta.get("name") or ""), str(meta.get("namespace") or "")
    head = ["apiVersion: velero.io/v1", f"kind: {kind}", "metadata:", f"  name: {name}", f"  namespace: {namespace}"]
    return Fault(kind, namespace, name, tuple(lacks), "\n".join([*head, "spec:", *lines]), note)


def _list_lines(key: str, present: t.Iterable[t.Any], added: t.Iterable[str], mark: str = "") -> list[str]:
    old = [f"  - {_scalar(one)}{mark}" for one in present]
    return [f"  {key}:" if old else f"  {key}:  # add", *old, *(f"  - {_scalar(one)}  # add" for one in added)]


def _scalar(value: t.Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
