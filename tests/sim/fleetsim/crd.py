# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRD files as rules: pruning, defaults, schema validation and the CEL rules, in the API server's words."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cel
import jsonschema

from fleetsim.yamls import read_all

Cause = tuple[str, str, str]  # reason, message, field

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "dict": "object", "list": "array"}


# After one of these the CEL rules are not looked at.
_BLOCKING = (
    "FieldValueRequired",
    "FieldValueTypeInvalid",
    "FieldValueNotSupported",
    "FieldValueTooLong",
    "FieldValueTooMany",
)
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_OF_STRINGS = ("maxLength", "minLength", "pattern")


@dataclass(frozen=True)
class _Rule:
    program: Any
    message: str
    transition: bool
    reason: str


@dataclass(frozen=True)
class Crd:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...]
    status: bool
    schema: Schema


class Schema:
    """One version's openAPIV3Schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        plain = _plain(schema, top=True)
        self._validator = jsonschema.Draft202012Validator(plain)
        parts = plain.get("properties") or {}
        self._parts = {key: jsonschema.Draft202012Validator(part) for key, part in parts.items()}
        self._rules: dict[int, list[_Rule]] = {}
        self._above_rules: set[int] = set()  # parts of the schema with a rule in them or below
        self._compile(schema)

    def admit(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[str]:
        """Prune unknown fields and fill in defaults, in place. Returns the paths that were pruned."""
        pruned: list[str] = []
        known = {key for key in obj if old is not None and key in old and obj[key] == old[key]}
        keep = {"apiVersion", "kind", "metadata"} | known
        _prune(obj, self._schema, "", pruned, keep)
        for key, child in (self._schema.get("properties") or {}).items():
            if key not in obj and "default" in child:
                obj[key] = copy.deepcopy(child["default"])
            if key in obj and key not in keep:
                _default(obj[key], child)
        return pruned

    def errors(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Cause]:
        """Schema errors, or the broken CEL rules where the schema is fine."""
        causes = _first_of_each_string(self._schema_errors(obj, old))
        if any(reason in _BLOCKING for reason, _, _ in causes):
            return [*causes, ("FieldValueInvalid", f"Invalid value: null: {_UNCHECKED}", "<nil>")]
        return [*causes, *self._broken(self._schema, obj, old, "")]

    def _schema_errors(self, obj: dict[str, Any], old: dict[str, Any] | None) -> Iterator[_Found]:
        """Only what changed is looked at again: the status is long, and most writes do not touch it."""
        if old is None or old.keys() != obj.keys():
            body = {key: value for key, value in obj.items() if key != "metadata"}
            yield from (_Found(error, "") for error in self._validator.iter_errors(body))
            return
        for key, part in self._parts.items():
            if key in obj and key != "metadata" and obj[key] != old[key]:
                yield from (_Found(error, key) for error in part.iter_errors(obj[key]))

    def _compile(self, schema: dict[str, Any]) -> bool:
        rules = [
            _Rule(cel.compile(r["rule"]), r["message"], "oldSelf" in r["rule"], r.get("reason", "FieldValueInvalid"))
            for r in schema.get("x-kubernetes-validations") or []
        ]
        if rules:
            self._rules[id(schema)] = rules
        below = [self._compile(child) for child in _children(schema)]
        if rules or any(below):
            self._above_rules.add(id(schema))
        return id(schema) in self._above_rules

    def _broken(self, schema: dict[str, Any], value: Any, old: Any, path: str) -> Iterator[Cause]:
        if id(schema) not in self._above_rules:
            return
        rules = self._rules.get(id(schema), [])
        # turning the objects into CEL's values is the costly part: once for all rules
        names = cel.Context({"self": value, "oldSelf": old}) if rules else None
        for rule in rules:
            if rule.transition and old is None:
                continue
            try:
                passed = rule.program.execute(names)
                message = rule.message
            except Exception as error:
                passed, message = False, f"{error} evaluating rule: {rule.message}"
            if not passed:
                shown = _TYPES.get(type(value).__name__, "object")
                yield rule.reason, f'Invalid value: "{shown}": {message}', path or "<nil>"
        if isinstance(value, dict):
            for key, child in (schema.get("properties") or {}).items():
                if key in value and key != "metadata":
                    before = old.get(key) if isinstance(old, dict) else None
                    yield from self._broken(child, value[key], before, f"{path}.{key}" if path else key)
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            for index, item in enumerate(value):
                yield from self._broken(schema["items"], item, None, f"{path}[{index}]")


def _children(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (schema.get("properties") or {}).values()
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield schema[key]


def _plain(schema: Any, *, top: bool = False) -> Any:
    """An ordinary JSON schema: no x-kubernetes keys, nullable spelled out, the object's metadata left to the server."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: {} if top and name == "metadata" else _plain(child) for name, child in value.items()}
        elif not key.startswith("x-kubernetes-") and key not in ("nullable", "format", "default", "description"):
            out[key] = value if key in ("enum", "required") else _plain(value)
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("anyOf", None)
        out["type"] = ["integer", "string"]
    if schema.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out


def _prune(value: Any, schema: dict[str, Any], path: str, pruned: list[str], keep: set[str]) -> None:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, list):
        items = schema.get("items")
        for index, item in enumerate(value):
            if isinstance(items, dict):
                _prune(item, items, f"{path}[{index}]", pruned, set())
        return
    if not isinstance(value, dict):
        return
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    for key in list(value):
        here = f"{path}.{key}" if path else key
        if key in keep:
            continue
        child = properties.get(key, extra)
        if value[key] is None and isinstance(child, dict) and not child.get("nullable") and "default" not in child:
            # null stands for a field that is not there.
            del value[key]
        elif key in properties:
            _prune(value[key], properties[key], here, pruned, set())
        elif isinstance(extra, dict):
            _prune(value[key], extra, here, pruned, set())
        elif not extra:
            pruned.append(here)
            del value[key]


def _default(value: Any, schema: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, child in (schema.get("properties") or {}).items():
            if key not in value and "default" in child:
                value[key] = copy.deepcopy(child["default"])
            if key in value:
                _default(value[key], child)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            _default(item, schema["items"])


def _first_of_each_string(errors: Iterable[_Found]) -> list[Cause]:
    """The API server tells one thing about a string: its length before its pattern."""
    found = sorted(errors, key=lambda f: _OF_STRINGS.index(f.kind) if f.kind in _OF_STRINGS else -1)
    causes: list[Cause] = []
    strings: set[str] = set()
    for one in found:
        if one.kind in _OF_STRINGS:
            if one.path in strings:
                continue
            strings.add(one.path)
        causes += _causes(one)
    return causes


class _Found:
    """One jsonschema error, and where it is in the whole object."""

    def __init__(self, error: jsonschema.ValidationError, top: str) -> None:
        self.error, self.kind, self.path = error, str(error.validator), top
        for part in error.absolute_path:
            self.path += f"[{part}]" if isinstance(part, int) else f".{part}" if self.path else str(part)


def _shown(value: Any) -> str:
    return json.dumps(value)


def _causes(found: _Found) -> Iterator[Cause]:
    """One jsonschema error in the API server's words."""
    error, path = found.error, found.path
    value: Any = error.instance
    limit: Any = error.validator_value
    body = f"{path} in body"
    if error.validator == "required":
        missing = [key for key in limit if key not in value]
        # jsonschema reports each missing key on its own
        key = next((key for key in missing if repr(key) in error.message), missing[0])
        yield "FieldValueRequired", "Required value", f"{path}.{key}" if path else key
    elif error.validator == "enum":
        listed = ", ".join(_shown(item) for item in limit)
        yield "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}", path
    elif error.validator == "type":
        name = "null" if value is None else _TYPES[type(value).__name__]
        wanted = limit if isinstance(limit, str) else limit[0]
        yield "FieldValueTypeInvalid", f'Invalid value: "{name}": {body} must be of type {wanted}: "{name}"', path
    elif error.validator == "maxItems":
        yield "FieldValueTooMany", f"Too many: {len(value)}: must have at most {limit} items", path
    else:
        yield "FieldValueInvalid", f"Invalid value: {_shown(value)}: {_reason(error, body)}", path


def _reason(error: jsonschema.ValidationError, body: str) -> str:
    limit = error.validator_value
    words = {
        "minLength": f"{body} should be at least {limit} chars long",
        "maxLength": f"{body} should be at most {limit} chars long",
        "pattern": f"{body} should match '{limit}'",
        "minimum": f"{body} should be greater than or equal to {limit}",
        "maximum": f"{body} should be less than or equal to {limit}",
        "minItems": f"{body} should have at least {limit} items",
    }
    return words.get(str(error.validator), error.message)


def load_crds(folder: Path | None) -> Iterator[Crd]:
    """Every served version of every CustomResourceDefinition below the folder."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
        for document in read_all(path.read_text()):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                yield from _versions(document["spec"])


def _versions(spec: dict[str, Any]) -> Iterator[Crd]:
    names = spec["names"]
    for version in spec["versions"]:
        if version.get("served", True):
            yield Crd(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(names.get("shortNames") or ()),
                status="status" in (version.get("subresources") or {}),
                schema=Schema(version["schema"]["openAPIV3Schema"]),
            )
