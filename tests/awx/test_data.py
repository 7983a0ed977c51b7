# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of AWX and the content of the collection fit together."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakeawx import checks

from .jobs import ROOT, objects, template, without_raw

TEMPLATES = [one["name"] for one in objects("job_templates")["awx_job_templates"]]
QUESTIONS: dict[str, dict[str, Any]] = objects("survey_questions")["awx_survey_questions"]
NODES = {node["identifier"]: node for node in objects("workflows")["awx_workflow_nodes"]}
TYPES: dict[str, dict[str, Any]] = {one["name"]: one for one in objects("credential_types")["awx_credential_types"]}

# Playbooks that are no jobs, and why.
NOT_IN_AWX = {"awx_setup": "it loads AWX itself", "react_to_failure": "ansible-rulebook runs it"}

# What Ansible and AWX know without a role.
CONNECTION = {"ansible_ssh_private_key_file"}
HOSTS = {"target"}


@functools.cache
def options_of(name: str) -> dict[str, dict[str, Any]]:
    """The variables of a role, or of a module's options that come from variables."""
    spec = ROOT / "roles" / name / "meta" / "argument_specs.yml"
    if spec.exists():
        return dict(yaml.safe_load(spec.read_text())["argument_specs"]["main"]["options"])
    module = ROOT / "plugins" / "modules" / f"{name}.py"
    if not module.exists():
        return {}
    documents = [document_of(module)]
    for fragment in documents[0].get("extends_documentation_fragment", []):
        if re.fullmatch(r"sno\.image_upgrade\.\w+", fragment):
            documents.append(document_of(ROOT / "plugins" / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"))
    return {f"ibu_{key}": value for one in documents for key, value in (one.get("options") or {}).items()}


def document_of(path: Path) -> dict[str, Any]:
    """The documentation in a module or fragment."""
    text = re.search(r'^( *)DOCUMENTATION = r"""\n(.*?)^ *"""', path.read_text(), re.M | re.S)
    return dict(yaml.safe_load(text[2]) or {}) if text else {}


def content_of(playbook: str) -> Iterator[str]:
    """The names of all roles and modules that a playbook comes to."""
    seen: set[str] = set()
    waiting = [(ROOT / playbook).read_text()]
    while waiting:
        for name in set(re.findall(r"sno\.image_upgrade\.(\w+)", waiting.pop())) - seen:
            seen.add(name)
            yield name
            waiting += [path.read_text() for path in sorted((ROOT / "roles" / name / "tasks").glob("*.yml"))]


@functools.cache
def known(playbook: str) -> dict[str, dict[str, Any]]:
    """Every variable that a playbook reads, with what is declared of it; a role's word counts before a module's."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(content_of(playbook), key=lambda name: (ROOT / "roles" / name).exists()):
        for variable, spec in options_of(name).items():
            before = found.get(variable, {})
            defaults = [*before.get("defaults", []), *([spec["default"]] if "default" in spec else [])]
            found[variable] = {**before, **spec, "defaults": defaults}
    text = (ROOT / playbook).read_text()
    for play in yaml.safe_load(text):
        for variable, value in (play.get("vars") or {}).items():
            found.setdefault(variable, {"default": value, "defaults": [value]})
    for variable, default in re.findall(r"\{\{ (\w+) \| default\(([^)]*)\)", text):
        if variable not in HOSTS:
            value = yaml.safe_load(default)
            found.setdefault(variable, {"default": value}).setdefault("defaults", []).append(value)
    return found


def test_every_playbook_has_a_template_and_every_template_a_playbook() -> None:
    playbooks = {f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml") if path.stem not in NOT_IN_AWX}
    assert {template(name)["playbook"] for name in TEMPLATES} == playbooks
    assert len(set(TEMPLATES)) == len(TEMPLATES) == len(playbooks)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_survey_asks_for_what_the_playbook_reads(name: str) -> None:
    found = template(name)
    variables = known(found["playbook"])
    used = set(re.findall(r"\b[a-z_]+\b", " ".join(map(str, found["extra_vars"].values()))))
    for asked in found.get("survey", []):
        if asked not in variables:
            assert asked in used, f"{name} asks for {asked}, which nothing reads"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_survey_declares_what_the_playbook_does(name: str) -> None:
    found = template(name)
    variables = known(found["playbook"])
    for asked in set(found.get("survey", [])) & variables.keys():
        question, spec = QUESTIONS[asked], variables[asked]
        assert question["type"] in kinds_of(spec), f"{name}: {asked}"
        if choices := spec.get("choices"):
            assert set(question["choices"]) == set(choices) - {""}, f"{name}: {asked}"
        if spec.get("required"):
            assert question["required"], f"{name}: {asked}"
        # A role and the modules in it may wait for different times; one of them is asked for.
        if defaults := [as_answer(default) for default in spec.get("defaults", []) if default is not None]:
            assert question["default"] in defaults, f"{name}: {asked}"


def kinds_of(spec: dict[str, Any]) -> tuple[str, ...]:
    """The types of questions whose answers a declared type takes."""
    if spec.get("choices"):
        return ("multiselect",) if spec.get("type") == "list" else ("multiplechoice",)
    kind = spec.get("type")
    if kind is None:
        # Declared by the playbook alone.
        kind = type(spec["default"]).__name__
    return {
        "bool": ("multiplechoice",),
        "int": ("integer",),
        "float": ("float", "integer"),
        "str": ("text", "multiplechoice"),
        "path": ("text",),
        "list": ("text",),
    }[kind]


def as_answer(default: Any) -> Any:
    """A default as a survey writes it."""
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(map(str, default)) if isinstance(default, list) else default


def test_the_batches_asked_for_are_those_of_the_playbooks() -> None:
    declared = re.findall(r"ibu_serial \| default\((.*?)\) ", (ROOT / "playbooks/upgrade.yml").read_text())
    assert QUESTIONS["batches"]["default"] == as_answer(yaml.safe_load(declared[0]))


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_sets_is_read(name: str) -> None:
    found = template(name)
    defaults = objects("job_templates")["awx_job_defaults"]
    own = found["extra_vars"].keys() - defaults.keys()
    assert own <= known(found["playbook"]).keys() | HOSTS


def test_the_defaults_of_all_templates_are_read_somewhere() -> None:
    everything = {variable for name in TEMPLATES for variable in known(template(name)["playbook"])}
    assert objects("job_templates")["awx_job_defaults"].keys() <= everything


def test_the_questions_are_ones_that_awx_takes() -> None:
    asked = {variable for name in TEMPLATES for variable in template(name).get("survey", [])}
    assert QUESTIONS.keys() == asked, "a question that nobody asks, or one that is missing"
    assert all(question["variable"] == variable for variable, question in QUESTIONS.items())
    assert all(question["question_description"].endswith(".") for question in QUESTIONS.values())
    assert checks.survey({"name": "", "description": "", "spec": list(QUESTIONS.values())}) is None


# --- credentials --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TYPES)
def test_a_credential_injects_what_the_playbooks_read(name: str) -> None:
    fields = TYPES[name]["inputs"]["fields"]
    inputs = {entry["id"]: "secret" if entry.get("secret") else "shown" for entry in fields}
    injected = checks.inject(without_raw_deep(TYPES[name]["injectors"]), inputs, lambda file, _text: f"/{file}")
    readers = [template(one)["playbook"] for one in TEMPLATES if name in credentials_of(one)]
    assert readers
    for playbook in readers:
        read = known(playbook).keys() | CONNECTION
        if name != "SNO node, ssh":
            # Host variables that every playbook reads: docs/inventory.md.
            read |= set(re.findall(r"`(ibu_(?:hub_)?kubeconfig)`", (ROOT / "docs/inventory.md").read_text()))
        assert injected["extra_vars"].keys() <= read
    assert not any("secret" in value for kind in injected.values() for value in kind.values()), "a secret is a file"


def test_the_inventory_reads_what_the_credential_of_the_hub_puts_into_the_environment() -> None:
    text = (ROOT / "plugins/inventory/managed_clusters.py").read_text()
    for variable in TYPES["SNO hub"]["injectors"]["env"]:
        assert f"- name: {variable}\n" in text


def test_the_inventory_of_awx_holds_no_credential() -> None:
    source = yaml.safe_load((ROOT / "awx/inventory/managed_clusters.yml").read_text())
    assert (source["connection"], source["hub_variables"]) == ("none", False)
    (declared,) = objects("inventories")["awx_inventory_sources"]
    assert declared["source_path"] == "awx/inventory/managed_clusters.yml"


def credentials_of(name: str) -> set[str]:
    """The types of the credentials of a template."""
    types = {one["name"]: one["credential_type"] for one in objects("credentials")["awx_credentials"]}
    return {types[one] for one in template(name).get("credentials", ["SNO clusters", "SNO hub"])}


def without_raw_deep(injectors: dict[str, Any]) -> dict[str, Any]:
    return {kind: without_raw(entries) for kind, entries in injectors.items()}


# --- the workflow -------------------------------------------------------------------------------------------------


def reached(start: str, *ways: str) -> list[str]:
    """The nodes on the way from one, along the first link of these kinds."""
    path = [start]
    while following := [child for way in ways for child in NODES[path[-1]].get(way, [])]:
        path.append(following[0])
    return path


def test_the_workflow_asks_before_prep_before_the_window_and_before_finalizing() -> None:
    way = ["preflight", "approve-prep", "prep", "approve-window", "upgrade", "verify", "approve-finalize", "finalize"]
    assert reached("preflight", "success") == way
    assert [name for name in way if "approval" in NODES[name]] == ["approve-prep", "approve-window", "approve-finalize"]


@pytest.mark.parametrize("name", ["prep", "upgrade", "verify", "finalize"])
def test_a_failure_leads_to_the_logs_and_to_a_recovery_that_only_says_what_it_would_do(name: str) -> None:
    assert reached(name, "failure", "always")[1:] == ["must-gather", "recover-check", "notify"]
    assert NODES["recover-check"]["job_type"] == "check"


def test_the_upgrade_of_the_workflow_keeps_the_way_back_open() -> None:
    assert NODES["upgrade"]["extra_data"] == {"ibu_stop_after": "Upgrade"}
    assert NODES["verify"]["job_type"] == "check"


def test_every_answer_of_the_workflow_reaches_a_job_and_no_required_question_is_left_open() -> None:
    (workflow,) = objects("workflows")["awx_workflows"]
    asked = set(workflow["survey"])
    heard: set[str] = set()
    for node in NODES.values():
        if "job_template" in node:
            survey = template(node["job_template"]).get("survey", [])
            heard |= set(survey)
            assert node.get("extra_data", {}).keys() <= set(survey)
            needed = {name for name in survey if QUESTIONS[name]["required"] and QUESTIONS[name]["default"] == ""}
            assert needed <= asked
    assert asked <= heard
