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
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from fakeawx import checks

from .jobs import ROOT, answers_of, extra_variables, nodes_of, objects, template, without_raw

TEMPLATES = [one["name"] for one in objects("job_templates")["awx_job_templates"]]
QUESTIONS: dict[str, dict[str, Any]] = objects("survey_questions")["awx_survey_questions"]
WORKFLOWS = {one["name"]: one for one in objects("workflows")["awx_workflows"]}
ROLLOUT, RECOVERY = "SNO image upgrade", "SNO recover failed clusters"
WAYS = ("success", "failure", "always")
# Templates whose jobs change no cluster.
READ_ONLY = {"SNO preflight", "SNO must-gather", "SNO status"}
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


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_runs_on_no_cluster_has_the_inventory_without_one(name: str) -> None:
    plays = yaml.safe_load((ROOT / template(name)["playbook"]).read_text())
    is_local = {play["hosts"] for play in plays} == {"localhost"}
    assert is_local == (template(name).get("inventory") == "SNO control node")
    assert not (is_local and credentials_of(name))


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


# What people type, and what Ansible makes of it.
TYPED = {"batches": "5", "names": "7", "canary": "12", "seed_version": "4.18.9", "selectors": "[]"}


@pytest.mark.parametrize("typed", [{}, TYPED], ids=["the defaults", "numbers"])
def test_an_answer_may_be_read_as_a_number_or_as_nothing(typed: dict[str, str], tmp_path: Path) -> None:
    """From 2.19 on ansible-core reads an answer as YAML does that has no quotes, although AWX writes it with quotes."""
    found: dict[str, Any] = {}
    for name in TEMPLATES:
        asked = template(name).get("survey", [])
        answers = answers_of(name, **{key: value for key, value in typed.items() if key in asked})
        path = tmp_path / "extravars"
        path.write_text(extra_variables(name, answers, {}, tmp_path))
        variables = DataLoader().load_from_file(str(path), trusted_as_template=True)
        templar = Templar(variables=variables)
        found |= {key: templar.template(variables[key]) for key in template(name)["extra_vars"]}
    assert found["ibu_serial"] == (["5"] if typed else ["1", "5", "20%"])
    assert found["velero_debug_names"] == (["7"] if typed else [])
    assert found["group_upgrade_canary"] == (["12"] if typed else [])
    assert found["seed_image_remove"] == []
    assert found["ibgu_plan"][0]["actions"] == ["Prep"]


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


# --- the workflows ------------------------------------------------------------------------------------------------

every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS)


def jobs_of(workflow: str) -> dict[str, dict[str, Any]]:
    """The nodes that are no approvals."""
    return {name: node for name, node in nodes_of(workflow).items() if "job_template" in node}


def reached(workflow: str, start: str, *ways: str) -> list[str]:
    """The nodes on the way from one, along the first link of these kinds."""
    nodes, path = nodes_of(workflow), [start]
    while following := [child for way in ways for child in nodes[path[-1]].get(way, [])]:
        path.append(following[0])
    return path


def test_the_rollout_asks_before_prep_before_the_window_and_before_finalizing() -> None:
    way = ["preflight", "approve-prep", "prep", "approve-window", "upgrade", "verify", "approve-finalize", "finalize"]
    assert reached(ROLLOUT, "preflight", "success") == way


@pytest.mark.parametrize("name", ["prep", "upgrade", "verify", "finalize"])
def test_a_failure_leads_to_the_logs_and_to_a_recovery_that_only_says_what_it_would_do(name: str) -> None:
    assert reached(ROLLOUT, name, "failure", "always")[1:] == ["must-gather", "recover-check", "notify"]
    assert nodes_of(ROLLOUT)["recover-check"]["job_type"] == "check"


def test_the_upgrade_of_the_rollout_keeps_the_way_back_open() -> None:
    assert nodes_of(ROLLOUT)["upgrade"]["extra_data"] == {"ibu_stop_after": "Upgrade"}
    assert nodes_of(ROLLOUT)["verify"]["job_type"] == "check"


def test_the_recovery_saves_logs_says_what_it_would_do_and_asks() -> None:
    way = ["must-gather", "recover-check", "approve-recover", "recover", "status"]
    assert reached(RECOVERY, "must-gather", "success", "always") == way
    assert nodes_of(RECOVERY)["must-gather"]["extra_data"] == {"must_gather_only_failed": "true"}
    # Logs that could not be saved are no reason not to look: the recovery itself leaves such a cluster alone.
    assert reached(RECOVERY, "must-gather", "failure", "always")[1] == "recover-check"
    for name in ("recover-check", "approve-recover", "recover"):
        assert reached(RECOVERY, name, "failure", "always") == [name, "notify"]


@every_workflow
def test_nothing_is_changed_without_an_approval(workflow: str) -> None:
    nodes = nodes_of(workflow)
    changing = {
        name
        for name, node in jobs_of(workflow).items()
        if node["job_template"] not in READ_ONLY and node.get("job_type") != "check"
    }
    assert changing
    for name in changing:
        links = [(parent, way) for parent, node in nodes.items() for way in WAYS if name in node.get(way, [])]
        assert links, f"{name} is where the workflow begins"
        assert all("approval" in nodes[parent] and way == "success" for parent, way in links), links


@every_workflow
def test_whatever_fails_ends_the_workflow_as_failed_so_that_people_are_told(workflow: str) -> None:
    """To AWX a failure that leads to another node is none: the last node has to fail for all that led to it."""
    nodes = nodes_of(workflow)
    failing = {name for name, node in nodes.items() if node.get("extra_data", {}).get("status_failure")}
    for name in nodes:
        last = reached(workflow, name, "failure", "always")[-1]
        assert last == name or last in failing, name
    (first, *_rest) = nodes
    assert failing and not failing & set(reached(workflow, first, "success", "always"))


@every_workflow
def test_the_limit_of_a_workflow_reaches_every_job(workflow: str) -> None:
    for name, node in jobs_of(workflow).items():
        found = template(node["job_template"])
        # AWX takes it where the template asks for a limit, as all do: test_setup.py
        assert "limit" not in node and found.get("inventory", "SNO fleet") == WORKFLOWS[workflow]["inventory"], name
        plays = yaml.safe_load((ROOT / found["playbook"]).read_text())
        assert {play["hosts"] for play in plays} == {"{{ target | default('all') }}"}, name


@every_workflow
def test_every_answer_of_a_workflow_reaches_a_job_and_no_required_question_is_left_open(workflow: str) -> None:
    asked = set(WORKFLOWS[workflow].get("survey", []))
    heard: set[str] = set()
    for node in jobs_of(workflow).values():
        survey = template(node["job_template"]).get("survey", [])
        heard |= set(survey)
        # What a workflow was given counts before what a node says.
        assert node.get("extra_data", {}).keys() <= set(survey) - asked
        needed = {name for name in survey if QUESTIONS[name]["required"] and QUESTIONS[name]["default"] == ""}
        assert needed <= asked
    assert asked <= heard


def test_a_workflow_has_no_templates_name() -> None:
    """By that the playbooks know a slice: plugins/plugin_utils/_awx.py."""
    assert not WORKFLOWS.keys() & set(TEMPLATES)
    assert {node["workflow"] for node in objects("workflows")["awx_workflow_nodes"]} == WORKFLOWS.keys()


def test_the_rulebook_launches_the_recovery_with_what_it_asks_for() -> None:
    (book,) = yaml.safe_load((ROOT / "extensions/eda/rulebooks/failed_clusters_awx.yml").read_text())
    (rule,) = book["rules"]
    launch = rule["actions"][0]["run_workflow_template"]
    assert launch["name"] == f"{{{{ awx_workflow | default('{RECOVERY}') }}}}"
    assert (
        launch["organization"] == f"{{{{ awx_organization | default('{objects('settings')['awx_organization']}') }}}}"
    )
    declared = WORKFLOWS[RECOVERY]
    assert launch["job_args"].keys() == {"limit", "extra_vars"} and declared["ask_variables_on_launch"]
    assert launch["job_args"]["extra_vars"].keys() == HOSTS
    # A rulebook answers no survey, and one that waits for a person keeps no other waiting, on either side.
    assert "survey" not in declared
    assert declared["allow_simultaneous"] and book["execution_strategy"] == "parallel"
