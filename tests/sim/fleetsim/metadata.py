# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server refuses in the metadata of a new custom resource: the name, labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fleetsim import errors

_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PART = re.compile("(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_GO_TYPES = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
_ANNOTATIONS_MOST = 262144

Cause = tuple[str, str, str]


def check(group: str, kind: str, meta: dict[str, Any]) -> None:
    """Raise what the server answers: 400 for what it cannot decode, 422 for what it can but does not take."""
    name = meta.get("name")
    if name is not None and not isinstance(name, str):
        raise _undecodable(name, "name", "string")
    for section in ("labels", "annotations"):
        found = meta.get(section)
        if found is not None and not isinstance(found, dict):
            raise _undecodable(found, section, "map[string]string")
        for value in (found or {}).values():
            if value is not None and not isinstance(value, str):
                raise _undecodable(value, section, "string")
        if found:
            # The server decodes null into an empty text.
            meta[section] = {key: value or "" for key, value in found.items()}
    causes = [*_name(str(name or "")), *_labels(meta.get("labels") or {}), *_annotations(meta.get("annotations") or {})]
    if causes:
        raise errors.invalid(group, kind, str(name or ""), causes)


def _undecodable(value: Any, field: str, wanted: str) -> errors.StatusError:
    found = _GO_TYPES[type(value)]
    return errors.bad_request(
        f"json: cannot unmarshal {found} into Go struct field ObjectMeta.metadata.{field} of type {wanted}"
    )


def _name(name: str) -> Iterator[Cause]:
    if name and not (len(name) <= 253 and _SUBDOMAIN.fullmatch(name)):
        yield _invalid(name, "a lowercase RFC 1123 subdomain", "metadata.name")


def _labels(labels: dict[str, str]) -> Iterator[Cause]:
    for key, value in labels.items():
        yield from _key(key, key, "metadata.labels")
        if len(value) > 63 or (value and not _PART.fullmatch(value)):
            yield _invalid(value, "a valid label value", "metadata.labels")


def _annotations(annotations: dict[str, str]) -> Iterator[Cause]:
    for key in annotations:
        yield from _key(key, key.lower(), "metadata.annotations")
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_MOST:
        yield "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_MOST} bytes", "metadata.annotations"


def _key(shown: str, key: str, field: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    whole = not slash or (len(prefix) <= 253 and bool(_SUBDOMAIN.fullmatch(prefix)))
    if not whole or len(name) > 63 or not _PART.fullmatch(name):
        yield _invalid(shown, "a qualified name", field)


def _invalid(value: str, wanted: str, field: str) -> Cause:
    return "FieldValueInvalid", f'Invalid value: "{value}": must be {wanted}', field
