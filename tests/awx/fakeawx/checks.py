# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX refuses of surveys and of credential types. Each function returns the refusal, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.sandbox

Refusal = dict[str, Any] | None

_QUESTION: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "textarea": str,
    "password": str,
    "multiplechoice": str,
    "multiselect": str,
    "integer": int,
    "float": (float, int),
}


def survey(spec: Mapping[str, Any]) -> Refusal:
    """A survey as a whole, and each of its questions."""
    for key, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(key), kind):
            return {"error": f"Expected {kind.__name__} for field '{key}' of the survey."}
    if not spec["spec"]:
        return {"error": "'spec' doesn't contain any items."}
    seen: set[str] = set()
    for index, question in enumerate(spec["spec"]):
        if (why := _question(question)) or question["variable"] in seen:
            return {"error": f"Survey question {index}: {why or 'variable is used twice'}"}
        seen.add(question["variable"])
    return None


def _question(question: Mapping[str, Any]) -> str | None:
    missing = [key for key in ("type", "question_name", "variable", "required") if key not in question]
    if missing:
        return f"{missing[0]} is missing"
    kind = question["type"]
    if kind not in _QUESTION:
        return f"'{kind}' is no type of question"
    if not re.fullmatch(r"[A-Za-z_]\w*", question["variable"]) or not isinstance(question["required"], bool):
        return "variable or required is not valid"
    for limit in ("min", "max"):
        if question.get(limit) is not None and type(question[limit]) is not int:
            return f"{limit} is no integer"
    default = question.get("default", "")
    if default != "" and not isinstance(default, _QUESTION[kind]):
        return f"default {default!r} is no {kind}"
    if kind in ("multiplechoice", "multiselect"):
        return _choices(question)
    return None


def _choices(question: Mapping[str, Any]) -> str | None:
    choices = question.get("choices")
    if not choices:
        return "must specify choices"
    listed = choices.splitlines() if isinstance(choices, str) else list(choices)
    if not all(isinstance(choice, str) for choice in listed):
        return "choices are strings"
    defaults = str(question.get("default", "")).splitlines()
    if any(default not in listed for default in defaults):
        return "default must be among the choices"
    return "only one default" if question["type"] == "multiplechoice" and len(defaults) > 1 else None


def credential_type(body: Mapping[str, Any]) -> Refusal:
    """The fields of a credential type, and whether its injectors use what there is."""
    fields = body.get("inputs", {}).get("fields", [])
    for entry in fields:
        if not {"id", "label"} <= entry.keys() or entry.get("type", "string") not in ("string", "boolean"):
            return {"inputs": [f"field {entry.get('id')} is not valid"]}
    names = [entry["id"] for entry in fields]
    if len(set(names)) < len(names) or "tower" in names:
        return {"inputs": ["the ids of fields are unique, and 'tower' is not one"]}
    if unknown := set(body.get("inputs", {}).get("required", [])) - set(names):
        return {"inputs": [f"required: no such fields: {sorted(unknown)}"]}
    return _injectors(body.get("injectors", {}), names)


def _injectors(injectors: Mapping[str, Any], names: Sequence[str]) -> Refusal:
    if unknown := injectors.keys() - {"file", "env", "extra_vars"}:
        return {"injectors": [f"no such injectors: {sorted(unknown)}"]}
    files = list(injectors.get("file", {}))
    if any(not re.fullmatch(r"template(\.\w+)?", name) for name in files) or ("template" in files and len(files) > 1):
        return {"injectors": [f"files are template or template.NAME, not {files}"]}
    try:
        inject(injectors, {name: "x" for name in names}, lambda name, _text: f"/{name}")
    except jinja2.TemplateError as error:
        return {"injectors": [str(error)]}
    return None


def inject(injectors: Mapping[str, Any], inputs: Mapping[str, Any], write: Any) -> dict[str, dict[str, str]]:
    """What a credential puts into a job: environment and extra variables. ``write`` makes its files."""
    sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    known: dict[str, Any] = dict(inputs)
    named: dict[str, str] = {}
    for name, template in injectors.get("file", {}).items():
        path = write(name, sandbox.from_string(template).render(**known))
        named[name.partition(".")[2]] = path
    if named:
        known["tower"] = {"filename": named.get("", named)}
    return {
        kind: {name: sandbox.from_string(text).render(**known) for name, text in injectors.get(kind, {}).items()}
        for kind in ("env", "extra_vars")
    }
