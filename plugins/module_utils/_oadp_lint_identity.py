# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: what the objects are. API version, kind, namespace, name, and the types that the API server takes."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import API_VERSION, BACKUP, NAMESPACE, RESTORE
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    APPLY_WAVE,
    NOWHERE,
    Content,
    Fix,
    Item,
    Notes,
    Path,
    set_path,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_schema import (
    METADATA,
    SPECS,
    TOP,
    Breach,
    Unknown,
    breaches,
    is_name,
    meant_by,
    metadata_breaches,
    unknown_fields,
)

# Beside the content, people keep these in one folder with it.
_NEIGHBOURS = frozenset(
    [
        "ConfigMap",
        "Secret",
        "Namespace",
        "DataProtectionApplication",
        "BackupStorageLocation",
        "ImageBasedUpgrade",
        "ImageBasedGroupUpgrade",
        "Kustomization",
        "List",
        "Subscription",
        "OperatorGroup",
        "Policy",
        "PolicyGenerator",
    ]
)


def check(content: Content, notes: Notes) -> None:
    """Note what is wrong."""
    if not content.items:
        notes.add(
            "oadp-empty", NOWHERE, (), "there is neither a Backup nor a Restore",
            "give the files or ConfigMaps that spec.oadpContent names, or leave oadpContent empty",
        )  # fmt: skip
    for document in content.others:
        _other(document, content, notes)
    for item in content.items:
        _identity(item, notes)
        _types(item, notes)
        _unknown(item, notes)
    for items in (content.backups, content.restores):
        _twice(items, notes)


# --- what is no Backup and no Restore -----------------------------------------------------------------------------


def _other(document: Document, content: Content, notes: Notes) -> None:
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or not value.get("kind"):
        notes.add(
            "yaml-no-object", document, (), "the document is no object with apiVersion and kind",
            "give it apiVersion and kind, or remove it",
        )  # fmt: skip
        return
    kind, version = str(value["kind"]), str(value.get("apiVersion") or "")
    meant = meant_by(kind.removesuffix("s"), (BACKUP, RESTORE))
    if kind in (BACKUP, RESTORE) and _is_velero(version):
        notes.add(
            "oadp-api-version", document, ("apiVersion",),
            f"apiVersion is {version or 'missing'}: the agent passes over this {kind}",
            f"write apiVersion: {API_VERSION}", lambda doc: doc.update(apiVersion=API_VERSION),
        )  # fmt: skip
    elif meant and meant != kind and _is_velero(version):
        notes.add(
            "oadp-kind", document, ("kind",), f"there is no kind {kind} in velero.io: the agent passes over it",
            f"write kind: {meant}", _typed(meant),
        )  # fmt: skip
    elif document.inside or (kind not in _NEIGHBOURS and _stands_beside(document, content)):
        notes.add(
            "oadp-ignored", document, ("kind",), f"the agent passes over a {kind} in oadpContent",
            "put it into a ConfigMap of spec.extraManifests, or remove it",
        )  # fmt: skip


def _is_velero(version: str) -> bool:
    """True for velero.io in any version, also misspelt, and for nothing at all."""
    group = version.partition("/")[0].lower()
    return not group or group == "v1" or bool(meant_by(group, ("velero.io",))) or "velero" in group


def _typed(kind: str) -> Fix:
    return lambda doc: doc.update(apiVersion=API_VERSION, kind=kind)


def _stands_beside(document: Document, content: Content) -> bool:
    """True in a file that has Backups or Restores: it will become the value of a ConfigMap."""
    return any(item.document.file == document.file for item in content.items)


# --- names and namespaces -----------------------------------------------------------------------------------------


def _identity(item: Item, notes: Notes) -> None:
    namespace = item.metadata.get("namespace")
    if namespace != NAMESPACE:
        notes.add(
            "oadp-namespace", item, ("metadata", "namespace"), f"the namespace is {namespace or 'missing'}",
            f"write namespace: {NAMESPACE}", lambda doc: set_path(doc, ("metadata", "namespace"), NAMESPACE),
        )  # fmt: skip
    name = item.metadata.get("name")
    if not isinstance(name, str) or not is_name(name):
        shown = "missing" if name is None else repr(name)
        notes.add(
            "oadp-name", item, ("metadata", "name"), f"metadata.name is {shown}",
            "give a name of lower case letters, digits, '-' and '.', at most 253 characters",
        )  # fmt: skip
    if item.kind == BACKUP and item.items and len(item.name) > 63:
        notes.add(
            "oadp-name-label", item, ("metadata", "name"),
            f"the name has {len(item.name)} characters, but with apply-label it becomes the value of a label",
            "shorten it to 63 characters, in the Backup and in its Restore's spec.backupName",
        )  # fmt: skip


def _twice(items: t.Sequence[Item], notes: Notes) -> None:
    for name, count in Counter(item.name for item in items if item.name).items():
        if count < 2:
            continue
        first, *again = [item for item in items if item.name == name]
        for item in again:
            notes.add(
                "oadp-duplicate-name", item, ("metadata", "name"),
                f"there is another {item.kind} {name} in {first.document.file}:{first.document.line}",
                "give each its own name, or remove the copy",
            )  # fmt: skip


# --- what the API server takes ------------------------------------------------------------------------------------


def _types(item: Item, notes: Notes) -> None:
    metadata = item.value.get("metadata")
    if not isinstance(metadata, dict):
        return
    for breach in metadata_breaches(metadata):
        if breach.path[-1] != APPLY_WAVE:
            notes.add(
                "oadp-metadata", item, breach.path, f"{_dotted(breach.path)} {breach.says}",
                "write a string in quotes" if "must be a string" in breach.says else "correct it",
                _quoted(item, breach.path),
            )  # fmt: skip
    for breach in _spec_breaches(item):
        notes.add(
            "oadp-schema", item, breach.path, f"{_dotted(breach.path)} {breach.says}", "correct the value",
            _corrected(item, breach),
        )  # fmt: skip


def _spec_breaches(item: Item) -> t.Iterator[Breach]:
    if item.value.get("spec") is not None:
        yield from breaches(item.value["spec"], SPECS[item.kind], ("spec",))
    status = item.value.get("status")
    if status is not None and not isinstance(status, dict):
        yield Breach(("status",), "must be an object; it is not needed here")


def _quoted(item: Item, path: Path) -> Fix | None:
    value = _at(item.value, path)
    if value is None or isinstance(value, (str, dict, list)):
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return lambda doc: _put(doc, path, text)


def _corrected(item: Item, breach: Breach) -> Fix | None:
    """A flag in quotes, or one string where a list is wanted, can only mean one thing."""
    value = _at(item.value, breach.path)
    if "must be true or false" in breach.says and str(value).lower() in ("true", "false", "yes", "no", "on", "off"):
        flag = str(value).lower() in ("true", "yes", "on")
        return lambda doc: _put(doc, breach.path, flag)
    if "must be a list" in breach.says and isinstance(value, str) and value:
        items = [part.strip() for part in value.split(",") if part.strip()]
        return lambda doc: _put(doc, breach.path, items)
    if "must be a whole number" in breach.says and isinstance(value, str) and value.isdigit():
        number = int(value)
        return lambda doc: _put(doc, breach.path, number)
    return None


def _at(value: t.Any, path: Path) -> t.Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _put(value: t.Any, path: Path, new: t.Any) -> None:
    holder = _at(value, path[:-1])
    if isinstance(holder, (dict, list)):
        holder[path[-1]] = new  # type: ignore[index]


def _dotted(path: Path) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


# --- what the API server drops ------------------------------------------------------------------------------------


def _unknown(item: Item, notes: Notes) -> None:
    found = [Unknown((key,), meant_by(str(key), TOP)) for key in item.value if key not in TOP]
    found += [Unknown(("metadata", key), meant_by(str(key), METADATA)) for key in item.metadata if key not in METADATA]
    found += unknown_fields(item.value.get("spec"), SPECS[item.kind], ("spec",))
    for path, meant in found:
        place = _elsewhere(item, path)
        remedy = f"write {meant}" if meant else place or "remove it, or look it up with oc explain"
        notes.add(
            "oadp-unknown-field", item, path, f"the API does not know {_dotted(path)}: it is dropped", remedy,
            _renamed(item, path, meant),
        )  # fmt: skip


def _elsewhere(item: Item, path: Path) -> str:
    """Fields of the spec are often written beside it."""
    if len(path) == 1 and str(path[0]) in SPECS[item.kind].fields:
        return f"move it into spec: spec.{path[0]}"
    other = RESTORE if item.kind == BACKUP else BACKUP
    if path[0] == "spec" and len(path) == 2 and str(path[1]) in SPECS[other].fields:
        return f"it is a field of a {other}: remove it"
    return ""


def _renamed(item: Item, path: Path, meant: str) -> Fix | None:
    holder = _at(item.value, path[:-1])
    if not meant or not isinstance(holder, dict) or meant in holder:
        return None

    def fix(doc: dict[str, t.Any]) -> None:
        inner = _at(doc, path[:-1])
        if isinstance(inner, dict) and meant not in inner:
            # The order stays: people compare the two.
            renamed = {meant if key == path[-1] else key: value for key, value in inner.items()}
            inner.clear()
            inner.update(renamed)

    return fix
