# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fleetsim.errors import bad_request
from fleetsim.store import Record

Predicate = Callable[[Record], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,()=!]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<not>!?)\s*(?P<key>[^\s!=,()]+)\s*$")


def _split(text: str) -> list[str]:
    """On commas outside parentheses."""
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(term):
        key, wanted = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: key in labels and labels[key] in wanted
        return lambda labels: labels.get(key) not in wanted
    if found := _EQUAL.match(term):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(term):
        key, present = found["key"], not found["not"]
        return lambda labels: (key in labels) == present
    raise bad_request(f"unable to parse requirement: found '{term.strip()}', expected: ',' or 'end of string'")


def label_selector(text: str) -> Predicate | None:
    terms = [_label_term(term) for term in _split(text)]
    if not terms:
        return None
    return lambda record: all(term(record.labels) for term in terms)


# What the built-in resources allow beyond name and namespace.
_FIELDS = {
    "pods": ("spec.nodeName", "status.phase", "spec.restartPolicy"),
    "events": ("involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "reason", "type"),
    "events.events.k8s.io": ("regarding.kind", "regarding.name", "regarding.namespace", "reason", "type"),
    "secrets": ("type",),
    "jobs.batch": ("status.successful",),
    "namespaces": ("status.phase",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
}


def _field(obj: dict[str, Any], path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def field_selector(text: str, table: str) -> Predicate | None:
    terms: list[tuple[str, bool, str]] = []
    for term in _split(text):
        found = _EQUAL.match(term)
        if not found:
            raise bad_request(f"invalid field selector: '{text}'; can't understand '{term.strip()}'")
        path = found["key"]
        if path not in ("metadata.name", "metadata.namespace") and path not in _FIELDS.get(table, ()):
            raise bad_request(f"field label not supported: {path}")
        terms.append((path, found["op"] != "!=", found["value"]))
    if not terms:
        return None

    def matches(record: Record) -> bool:
        for path, equal, value in terms:
            if path == "metadata.name":
                actual = record.name
            elif path == "metadata.namespace":
                actual = record.namespace
            else:
                actual = _field(record.view(), path)
            if (actual == value) != equal:
                return False
        return True

    return matches


def both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    if first is None or second is None:
        return first or second
    return lambda record: first(record) and second(record)
