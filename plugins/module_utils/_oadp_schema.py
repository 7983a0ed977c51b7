# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the API server accepts in Backups and Restores of velero.io/v1: types, enumerations, required fields.

Only what decides about acceptance stands here. A test asks real API servers whether it is true.
"""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass, field, replace

Path = tuple[t.Union[str, int], ...]  # noqa: UP007


@dataclass(frozen=True)
class Shape:
    """One field. ``fields`` are those of an object, ``values`` is every value of a map or item of a list."""

    type: str
    nullable: bool = False
    fields: t.Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    values: Shape | None = None
    words: tuple[str, ...] = ()
    not_empty: bool = False
    any_fields: bool = False


class Breach(t.NamedTuple):
    """A place in a document, and what is wrong there."""

    path: Path
    says: str


_TEXT = Shape("string")
_FLAG = Shape("boolean", nullable=True)
_COUNT = Shape("integer")
_TEXTS = Shape("array", values=_TEXT)
_NAMES = replace(_TEXTS, nullable=True)
_TEXT_MAP = Shape("object", values=_TEXT)


def _object(required: t.Sequence[str] = (), /, **fields: Shape) -> Shape:
    return Shape("object", fields=fields, required=tuple(required))


def _maybe(shape: Shape) -> Shape:
    return replace(shape, nullable=True)


def _list(of: Shape) -> Shape:
    return Shape("array", values=of)


_SELECTOR = _object(
    matchExpressions=_list(_object(("key", "operator"), key=_TEXT, operator=_TEXT, values=_TEXTS)),
    matchLabels=_TEXT_MAP,
)
_REFERENCE = _object(("kind", "name"), apiGroup=_TEXT, kind=_TEXT, name=_TEXT)
_COMMAND = replace(_TEXTS, not_empty=True)
_ON_ERROR = replace(_TEXT, words=("Continue", "Fail"))
_CHOICE = {
    "excludedNamespaces": _NAMES,
    "excludedResources": _NAMES,
    "includedNamespaces": _NAMES,
    "includedResources": _NAMES,
    "labelSelector": _maybe(_SELECTOR),
}
_BACKUP_HOOK = _list(
    _object(
        ("exec",),
        exec=_object(("command",), command=_COMMAND, container=_TEXT, onError=_ON_ERROR, timeout=_TEXT),
    )
)
_RESTORE_HOOK = _list(
    _object(
        exec=_object(
            ("command",),
            command=_COMMAND,
            container=_TEXT,
            execTimeout=_TEXT,
            onError=_ON_ERROR,
            waitForReady=_FLAG,
            waitTimeout=_TEXT,
        ),
        init=_object(initContainers=_list(Shape("object", any_fields=True)), timeout=_TEXT),
    )
)
_COMMON = {
    **_CHOICE,
    "includeClusterResources": _FLAG,
    "itemOperationTimeout": _TEXT,
    "orLabelSelectors": _maybe(_list(_SELECTOR)),
}
SPECS: t.Mapping[str, Shape] = {
    "Backup": _object(
        **_COMMON,
        csiSnapshotTimeout=_TEXT,
        datamover=_TEXT,
        defaultVolumesToFsBackup=_FLAG,
        defaultVolumesToRestic=_FLAG,
        excludedClusterScopedResources=_NAMES,
        excludedNamespaceScopedResources=_NAMES,
        hooks=_object(
            resources=_maybe(_list(_object(("name",), **_CHOICE, name=_TEXT, pre=_BACKUP_HOOK, post=_BACKUP_HOOK)))
        ),
        includedClusterScopedResources=_NAMES,
        includedNamespaceScopedResources=_NAMES,
        metadata=_object(labels=_TEXT_MAP),
        orderedResources=_maybe(_TEXT_MAP),
        resourcePolicy=_REFERENCE,
        snapshotMoveData=_FLAG,
        snapshotVolumes=_FLAG,
        storageLocation=_TEXT,
        ttl=_TEXT,
        uploaderConfig=_maybe(_object(parallelFilesUpload=_COUNT)),
        volumeSnapshotLocations=_TEXTS,
    ),
    "Restore": _object(
        **_COMMON,
        backupName=_TEXT,
        existingResourcePolicy=_maybe(_TEXT),
        hooks=_object(resources=_list(_object(("name",), **_CHOICE, name=_TEXT, postHooks=_RESTORE_HOOK))),
        namespaceMapping=_TEXT_MAP,
        preserveNodePorts=_FLAG,
        resourceModifier=_maybe(_REFERENCE),
        restorePVs=_FLAG,
        restoreStatus=_maybe(_object(excludedResources=_NAMES, includedResources=_NAMES)),
        scheduleName=_TEXT,
        uploaderConfig=_maybe(_object(parallelFilesDownload=_COUNT, writeSparseFiles=_FLAG)),
    ),
}

TOP = ("apiVersion", "kind", "metadata", "spec", "status")
METADATA = (
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink",
    "uid",
)  # fmt: skip


def breaches(value: t.Any, shape: Shape, path: Path) -> t.Iterator[Breach]:
    """Everything for which the API server refuses the value."""
    if value is None and shape.nullable:
        return
    if not _is_of(value, shape.type):
        yield Breach(path, f"must be {_ARTICLES[shape.type]}, not {_called(value)}")
    elif shape.words and value not in shape.words:
        yield Breach(path, f"must be one of {', '.join(shape.words)}, not {value!r}")
    elif isinstance(value, list):
        if shape.not_empty and not value:
            yield Breach(path, "must have at least one item")
        for index, item in enumerate(value):
            if shape.values:
                yield from breaches(item, shape.values, (*path, index))
    elif isinstance(value, dict):
        yield from _object_breaches(value, shape, path)


def _object_breaches(value: t.Mapping[str, t.Any], shape: Shape, path: Path) -> t.Iterator[Breach]:
    for name in shape.required:
        if value.get(name) is None:
            yield Breach((*path, name), "is required")
    for key, inner in value.items():
        of = shape.fields.get(key) or shape.values
        # The server takes null for a field that is not there; in a list there is no such way out.
        if of is not None and inner is not None:
            yield from breaches(inner, of, (*path, key))


class Unknown(t.NamedTuple):
    """A field that the API does not know, and the one that was probably meant."""

    path: Path
    meant: str


def unknown_fields(value: t.Any, shape: Shape, path: Path) -> t.Iterator[Unknown]:
    """The fields that the API server drops. Where the type is wrong already there is nothing to say."""
    if isinstance(value, list) and shape.values:
        for index, item in enumerate(value):
            yield from unknown_fields(item, shape.values, (*path, index))
    if not isinstance(value, dict) or shape.any_fields or shape.values:
        return
    for key, inner in value.items():
        if key in shape.fields:
            yield from unknown_fields(inner, shape.fields[key], (*path, key))
        else:
            yield Unknown((*path, key), meant_by(str(key), shape.fields))


def meant_by(word: str, known: t.Iterable[str]) -> str:
    """The one known word that this is a misspelling of, or nothing."""
    lowered = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=2, cutoff=0.85)
    if not close or (len(close) == 2 and lowered.get(word.lower()) is None and _ratio(word, close) < 0.03):
        return ""
    return lowered[close[0]]


def _ratio(word: str, close: t.Sequence[str]) -> float:
    first, second = (difflib.SequenceMatcher(None, word.lower(), one).ratio() for one in close)
    return first - second


_ARTICLES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
}


def _is_of(value: t.Any, kind: str) -> bool:
    if kind == "integer":
        return not isinstance(value, bool) and (
            isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        )
    return isinstance(value, _PYTHON[kind])


_PYTHON: t.Mapping[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool}


def _called(value: t.Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "an object" if isinstance(value, dict) else "a list"


# --- metadata -----------------------------------------------------------------------------------------------------

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ANNOTATIONS_MOST = 256 * 1024


def is_name(text: str) -> bool:
    """True for a name that the API server takes for a custom resource."""
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def is_label_value(text: str) -> bool:
    """True for a valid value of a label."""
    return len(text) <= 63 and (not text or bool(_NAME_PART.fullmatch(text)))


def metadata_breaches(metadata: t.Mapping[str, t.Any]) -> t.Iterator[Breach]:
    """What the API server refuses in labels and annotations."""
    for section in ("labels", "annotations"):
        found = metadata.get(section)
        path: Path = ("metadata", section)
        if found is None:
            continue
        if not isinstance(found, dict):
            yield Breach(path, f"must be an object, not {_called(found)}")
            continue
        yield from _section_breaches(found, section, path)


def _section_breaches(found: t.Mapping[t.Any, t.Any], section: str, path: Path) -> t.Iterator[Breach]:
    for key, value in found.items():
        here: Path = (*path, key)
        if value is not None and not isinstance(value, str):
            yield Breach(here, f"must be a string, not {_called(value)}")
        elif section == "labels" and not is_label_value(value or ""):
            yield Breach(here, f"{value!r} is no valid label value: at most 63 letters, digits, '-', '_' and '.'")
        if not _is_qualified(str(key) if section == "labels" else str(key).lower()):
            yield Breach(here, f"{key!r} is no valid name of {section[:-1]}s: PREFIX/NAME with a DNS name as prefix")
    size = sum(len(str(key).encode()) + len(str(value or "").encode()) for key, value in found.items())
    if section == "annotations" and size > _ANNOTATIONS_MOST:
        yield Breach(path, f"hold {size} bytes; at most {_ANNOTATIONS_MOST} are allowed")


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (prefix and is_name(prefix)):
        return False
    return 0 < len(name) <= 63 and bool(_NAME_PART.fullmatch(name))
