# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules, roles and playbooks take, as the code itself has it, and whether values fit."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .pages import ROOT

COLLECTION = "sno.image_upgrade"
PLUGINS = "ansible_collections.sno.image_upgrade.plugins"
CHECKS = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import playbook_index  # noqa: E402


class _SpecSeen(Exception):
    """The module has said what it takes."""


def modules() -> list[str]:
    """The names of all modules."""
    return sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


@functools.cache
def documentation(path: Path) -> dict[str, Any]:
    """DOCUMENTATION and EXAMPLES of a plugin, as text and parsed."""
    source = path.read_text(encoding="utf-8")
    found = dict(re.findall(r'^(DOCUMENTATION|EXAMPLES) = r"""(.*?)^"""', source, re.DOTALL | re.MULTILINE))
    return {"documentation": yaml.safe_load(found["DOCUMENTATION"]), "examples": found["EXAMPLES"]}


@functools.cache
def module_spec(name: str) -> dict[str, Any]:
    """The arguments of ArgumentSpecValidator for a module: those of its action plugin where there is one."""
    if (ROOT / "plugins" / "action" / f"{name}.py").exists():
        options = getattr(importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule, "OPTIONS", None)
        if options is not None:
            return {"argument_spec": options}
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")

    def seen(_self: Any, **kwargs: Any) -> None:
        raise _SpecSeen({key: kwargs[key] for key in ("argument_spec", *CHECKS) if key in kwargs})

    with mock.patch("ansible.module_utils.basic.AnsibleModule.__init__", seen):
        try:
            module.main()
        except _SpecSeen as spec:
            found: dict[str, Any] = spec.args[0]
            return found
    raise AssertionError(f"{name} has made no AnsibleModule")


@functools.cache
def role_spec(name: str) -> dict[str, Any]:
    """All options of a role, whatever entry point they belong to."""
    path = ROOT / "roles" / name / "meta" / "argument_specs.yml"
    specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    return {option: about for spec in specs.values() for option, about in (spec.get("options") or {}).items()}


def without_templates(value: Any, option: dict[str, Any]) -> Any:
    """The value with something in place of each template that fits the option's type."""
    kind = option.get("type", "str")
    if isinstance(value, str) and TEMPLATE.search(value):
        if TEMPLATE.fullmatch(value.strip()):
            fitting = {"int": 1, "float": 1.0, "bool": True, "list": [], "dict": {}}
            return (option.get("choices") or [fitting.get(kind, "x")])[0]
        return TEMPLATE.sub("x", value)
    inner = option.get("options") or {}
    if isinstance(value, list):
        element = {"type": option.get("elements", "raw"), "options": inner}
        return [without_templates(item, element) for item in value]
    if isinstance(value, dict):
        return {key: without_templates(item, inner.get(key, {"type": "raw"})) for key, item in value.items()}
    return value


def problems(spec: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What Ansible itself says against these values."""
    options = spec["argument_spec"]
    filled = {name: without_templates(value, options.get(name, {})) for name, value in values.items()}
    return list(ArgumentSpecValidator(**spec).validate(filled).error_messages)


def role_problems(role: str, values: dict[str, Any]) -> list[str]:
    """What speaks against giving a role these variables; those that it does not own belong to somebody else."""
    options = role_spec(role)
    own = {name: value for name, value in values.items() if name in options or name.startswith(f"{role}_")}
    spec = {name: {**option, "required": False} for name, option in options.items()}
    return problems({"argument_spec": spec}, own)


@functools.cache
def variables() -> frozenset[str]:
    """Every variable that a user may set or read, by the code."""
    from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

    found = {f"{prefix}{name}" for prefix in ("ibu_", "ibu_hub_") for name in AUTH_ARG_SPEC}
    found |= set(playbook_index.described())
    for role in playbook_index.all_roles():
        found |= set(role_spec(role))
    for name in modules():
        # The prefix of an option that the task does not give; of those that nobody reads so, the name does no harm.
        found |= {f"{prefix}{option}" for prefix in ("ibu_", "ibgu_") for option in module_spec(name)["argument_spec"]}
    # What the code reads by name.
    for path in [*ROOT.glob("plugins/*/*.py"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"""["'{ (]((?:ibu|ibgu)_[a-z_]+)["' })|]""", text))
        if path.suffix == ".yml":
            found |= set(re.findall(r"\b[a-z][a-z_]+_[a-z_]+\b", text))
    return frozenset(found)
