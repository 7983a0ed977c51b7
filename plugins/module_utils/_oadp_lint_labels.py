# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: the annotation apply-label, and whether the Backup takes what it names."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    APPLY_LABEL,
    SCOPES,
    Content,
    Fix,
    Item,
    LintFacts,
    Notes,
    Target,
    append_to,
    mapping,
    names,
    resource_of,
    set_path,
    target_of,
)

_ANNOTATION = ("metadata", "annotations", APPLY_LABEL)
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_FORMS = (
    "group/version/resource/namespace/name, group/version/resource/name, v1/resource/namespace/name or v1/resource/name"
)


def check(content: Content, facts: LintFacts, notes: Notes) -> None:
    """Note what is wrong."""
    for backup in content.backups:
        if APPLY_LABEL not in mapping(backup.metadata, "annotations"):
            continue
        sound = _grammar(backup, notes)
        for target in backup.targets:
            _scope(backup, target, notes)
            _exists(backup, target, facts, notes)
        if sound:
            _resources(backup, notes)
            _namespaces(backup, notes)
            _only(backup, notes)
        _selector(backup, notes)
    for restore in content.restores:
        if APPLY_LABEL in mapping(restore.metadata, "annotations"):
            notes.add(
                "oadp-apply-label-only", restore, _ANNOTATION, "apply-label has no effect on a Restore",
                "move it to the Backup, or remove it",
            )  # fmt: skip


def _grammar(backup: Item, notes: Notes) -> bool:
    """Whether every object can be understood."""
    if not backup.items:
        if mapping(backup.metadata, "annotations")[APPLY_LABEL] in ("", None):
            notes.add(
                "oadp-apply-label", backup, _ANNOTATION, "the annotation is empty",
                "name the objects, or remove the annotation",
            )  # fmt: skip
        return False
    wrong = [(item, _trouble(item)) for item in backup.items if _trouble(item)]
    fix = _cleaned(backup.items)
    for item, trouble in wrong:
        notes.add(
            "oadp-apply-label", backup, _ANNOTATION, f"{item!r} {trouble}",
            "write a list with commas and without blanks, each " + _FORMS, fix,
        )  # fmt: skip
    return not wrong


def _trouble(item: str) -> str:
    if not item.strip():
        return "is an empty entry: there is a comma too many"
    if re.search(r"\s", item):
        return "has a blank or a line break in it"
    parts = item.split("/")
    if "" in parts:
        return "has an empty part"
    target = target_of(item)
    if target is None:
        return f"has {len(parts)} parts instead of 3 to 5"
    if not _VERSION.fullmatch(target.version):
        return f"says {target.version!r} where the version is expected"
    if len(parts) == 5 and target.group == "v1":
        return "says 'v1' where the group is expected"
    if target.resource != target.resource.lower():
        return f"says {target.resource!r} where the plural, lower case name of the resource is expected"
    return ""


def _cleaned(items: t.Sequence[str]) -> Fix | None:
    """Blanks and surplus commas can go without a question; kinds in the singular are a guess."""
    kept = [re.sub(r"\s+", "", item) for item in items]
    kept = [item for item in kept if item]
    if not kept or any(_trouble(item) for item in kept):
        return None
    return lambda doc: set_path(doc, _ANNOTATION, ",".join(kept))


def _scope(backup: Item, target: Target, notes: Notes) -> None:
    namespaced = SCOPES.get(target.resource)
    if namespaced and not target.namespace:
        form = f"{target.group}/{target.version}" if target.group else target.version
        notes.add(
            "oadp-apply-label-scope", backup, _ANNOTATION, f"{target.item} has no namespace, but {target.resource} do",
            f"write {form}/{target.resource}/NAMESPACE/{target.name}",
        )  # fmt: skip
    elif namespaced is False and target.namespace:
        form = f"{target.group}/{target.version}" if target.group else target.version
        notes.add(
            "oadp-apply-label-scope", backup, _ANNOTATION,
            f"{target.item} has the namespace {target.namespace}, but {target.resource} are in none",
            f"write {form}/{target.resource}/{target.name}",
        )  # fmt: skip


def _exists(backup: Item, target: Target, facts: LintFacts, notes: Notes) -> None:
    if target.item in facts.missing:
        notes.add(
            "oadp-apply-label-missing", backup, _ANNOTATION, f"{target.item} is not on the cluster",
            "correct the name, or take it out of the annotation",
        )  # fmt: skip
    elif facts.objects.get(target.item):
        notes.add(
            "oadp-apply-label-patch", backup, _ANNOTATION,
            f"{target.item} cannot be labelled: {facts.objects[target.item]}",
            "correct the object, or take it out of the annotation",
        )  # fmt: skip


# --- what the Backup takes ----------------------------------------------------------------------------------------


def _included(backup: Item, *, namespaced: bool) -> list[str] | None:
    """The list that decides about these resources; None where everything is taken."""
    scoped = "includedNamespaceScopedResources" if namespaced else "includedClusterScopedResources"
    listed = backup.texts(scoped) + backup.texts("includedResources")
    if listed:
        return listed
    # Cluster-scoped resources that nobody asks for come only with the claims that need them.
    other = backup.texts("includedNamespaceScopedResources")
    narrow = bool(other) or (bool(backup.texts("includedNamespaces")) and backup.texts("includedNamespaces") != ["*"])
    if not namespaced and narrow and backup.spec.get("includeClusterResources") is not True:
        return []
    return None


def _list_for(backup: Item, namespaced: bool) -> str:
    if backup.texts("includedResources"):
        return "includedResources"
    return "includedNamespaceScopedResources" if namespaced else "includedClusterScopedResources"


def _resources(backup: Item, notes: Notes) -> None:
    for namespaced in (True, False):
        listed = _included(backup, namespaced=namespaced)
        targets = [one for one in backup.targets if bool(one.namespace) is namespaced]
        excluded = backup.texts("excludedResources") + backup.texts(
            "excludedNamespaceScopedResources" if namespaced else "excludedClusterScopedResources"
        )
        out = sorted({o.resource for o in targets if names(excluded, resource_of(o.resource))})
        if out:
            notes.add(
                "oadp-apply-label-resources", backup, ("spec",),
                f"apply-label names {', '.join(out)}, which are excluded",
                "take them out of the excluded resources, or out of apply-label",
            )  # fmt: skip
        if listed is None or not targets:
            continue
        lacking = list(dict.fromkeys(o.resource for o in targets if not names(listed, resource_of(o.resource))))
        if lacking:
            key = _list_for(backup, namespaced)
            notes.add(
                "oadp-apply-label-resources", backup, ("spec", key),
                f"apply-label names {', '.join(lacking)}, but spec.{key} does not",
                f"add {', '.join(lacking)} to spec.{key}", _adding(key, lacking),
            )  # fmt: skip


def _adding(key: str, new: t.Sequence[str]) -> Fix:
    return lambda doc: append_to(doc, key, new)


def _namespaces(backup: Item, notes: Notes) -> None:
    listed = backup.texts("includedNamespaces")
    wanted = dict.fromkeys(target.namespace for target in backup.targets if target.namespace)
    lacking = [one for one in wanted if listed and "*" not in listed and one not in listed]
    if lacking:
        notes.add(
            "oadp-apply-label-namespaces", backup, ("spec", "includedNamespaces"),
            f"apply-label names objects in {', '.join(lacking)}, which spec.includedNamespaces lacks",
            f"add {', '.join(lacking)} to spec.includedNamespaces", _adding("includedNamespaces", lacking),
        )  # fmt: skip
    out = [one for one in wanted if one in backup.texts("excludedNamespaces")]
    if out:
        notes.add(
            "oadp-apply-label-namespaces", backup, ("spec", "excludedNamespaces"),
            f"apply-label names objects in {', '.join(out)}, which spec.excludedNamespaces excludes",
            "take it out of spec.excludedNamespaces, or the objects out of apply-label",
        )  # fmt: skip


def _only(backup: Item, notes: Notes) -> None:
    named = {resource_of(target.resource) for target in backup.targets}
    for key in ("includedNamespaceScopedResources", "includedClusterScopedResources", "includedResources"):
        idle = [one for one in backup.texts(key) if resource_of(one) not in named]
        if idle:
            notes.add(
                "oadp-apply-label-only", backup, ("spec", key),
                f"nothing is backed up of {', '.join(idle)}: apply-label names no such object",
                "name the objects in apply-label, back them up with another Backup, or take them out of the list",
            )  # fmt: skip


def _selector(backup: Item, notes: Notes) -> None:
    for key in ("labelSelector", "orLabelSelectors"):
        if backup.spec.get(key) and backup.items:
            notes.add(
                "oadp-apply-label-selector", backup, ("spec", key),
                f"spec.{key} stands beside apply-label, which brings a labelSelector of its own",
                "use one of them: remove the selector, or the annotation",
            )  # fmt: skip
