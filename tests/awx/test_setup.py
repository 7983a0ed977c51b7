# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx_setup.yml loads the objects into an API that speaks AWX's, and awxkit exports from there what was loaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from awxkit.api.client import Connection
from awxkit.api.pages.api import ApiV2
from playbooks.runs import QUICK_MODULES

from fakeawx.server import TOKEN, FakeAwx

from .jobs import ROOT, nodes_of, objects, template, without_raw

ROLLOUT = "SNO image upgrade"
TIMEOUT = 600.0
SECRET = "kind: Config # the secret of the test"
GIVEN = {
    "awx_project_url": "https://git.example.com/sno/image_upgrade.git",
    "awx_hub_kubeconfig": SECRET,
    "awx_clusters_kubeconfig": SECRET,
    "awx_notification_url": "https://hooks.example.com/rollouts",
}
# A few of each, for runs whose point is not the whole.
FEW: dict[str, Any] = {
    "awx_credential_types": [],
    "awx_credentials": [],
    "awx_notification_url": "",
    "awx_inventory_sources": [],
    "awx_job_templates": objects("job_templates")["awx_job_templates"][:1],
    "awx_workflows": [],
    "awx_workflow_nodes": [],
}


@dataclass
class Loader:
    """An API, and awx_setup.yml against it."""

    awx: FakeAwx
    directory: Path

    def run(self, *arguments: str, **variables: Any) -> str:
        """Run it; the output. Nothing secret may stand in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        ours = {
            "CONTROLLER_HOST": self.awx.url,
            "CONTROLLER_OAUTH_TOKEN": TOKEN,
            **QUICK_MODULES,
            # A quick one is first there; see tests/tools/warm_path.py.
            "PATH": f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}",
            # Every request would load all authorities of the system first, which takes longer than all the rest of it.
            "SSL_CERT_FILE": os.devnull,
            "SSL_CERT_DIR": os.devnull,
        }
        given = json.dumps({**GIVEN, **variables})
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "-e", given, *arguments, "playbooks/awx_setup.yml"],
            cwd=ROOT,
            env={**kept, **ours, "ANSIBLE_LOCAL_TEMP": str(self.directory), "ANSIBLE_NOCOLOR": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    def writes(self) -> list[str]:
        """What was written since the last call."""
        found, self.awx.writes = self.awx.writes, []
        return found

    def export(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """What awxkit exports, by kind and name."""
        connection = Connection(self.awx.url)
        connection.login(token=TOKEN, auth_type="Bearer")
        data = ApiV2(connection=connection, endpoint="/api/v2/").get().export_assets(**dict.fromkeys(kinds, ""))
        return {kind: {one["name"]: one for one in data[kind]} for kind in kinds}


def changed(output: str) -> list[str]:
    """The items that a run says it has changed."""
    return re.findall(r"^changed: \[localhost\] => \(item=(.*)\)$", output, re.M)


@pytest.fixture(name="loader")
def fixture_loader(tmp_path: Path) -> Iterator[Loader]:
    """An empty AWX whose project has the playbooks of this checkout."""
    with FakeAwx(f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml")) as awx:
        yield Loader(awx, tmp_path)


def test_the_whole_set_loads_exports_equal_and_is_put_back_after_a_change_by_hand(loader: Loader) -> None:
    loader.run()
    assert loader.writes()
    exported = check_export(loader)

    change_by_hand(loader)
    assert loader.export("job_templates") != {"job_templates": exported["job_templates"]}
    again = loader.run()
    # Everything else is as it was: a run that finds nothing to do writes nothing.
    assert sorted(changed(again)) == ["SNO image upgrade: prep", "SNO upgrade"]
    assert len(loader.writes()) == 3, "the template, its survey, and the link of the node"
    assert check_export(loader) == exported


def change_by_hand(loader: Loader) -> None:
    """What somebody clicks together: two jobs at once, a question less, a link of the workflow gone."""
    store = loader.awx.store
    upgrade = next(item for _kind, item in store.all("job_templates") if item["name"] == "SNO upgrade")
    store.change("job_templates", upgrade["id"], {"allow_simultaneous": True})
    survey = store.surveys["job_templates", upgrade["id"]]
    store.set_survey("job_templates", upgrade["id"], {**survey, "spec": survey["spec"][:-1]})
    rollout = next(item["id"] for _kind, item in store.all("workflow_job_templates") if item["name"] == ROLLOUT)
    everything = [item for _kind, item in store.all("workflow_job_template_nodes")]
    nodes = {item["identifier"]: item["id"] for item in everything if item["workflow_job_template"] == rollout}
    kind = "workflow_job_template_nodes"
    store.associate(kind, nodes["prep"], "failure_nodes", nodes["must-gather"], remove=True)


def check_export(loader: Loader) -> dict[str, Any]:
    """The export has what the data has, object by object."""
    found = loader.export(
        "execution_environments",
        "credential_types",
        "credentials",
        "notification_templates",
        "projects",
        "inventory",
        "inventory_sources",
        "job_templates",
        "workflow_job_templates",
    )
    templates = objects("job_templates")["awx_job_templates"]
    assert list(found["job_templates"]) == [one["name"] for one in templates]
    for name, exported in found["job_templates"].items():
        check_template(name, exported)
    types = objects("credential_types")["awx_credential_types"]
    assert [one["name"] for one in types] == list(found["credential_types"])
    for one in types:
        exported = found["credential_types"][one["name"]]
        assert exported["inputs"] == one["inputs"]
        assert exported["injectors"] == {kind: without_raw(part) for kind, part in one["injectors"].items()}
    assert {one["inputs"]["kubeconfig"] for one in found["credentials"].values()} == {"$encrypted$"}
    (source,) = found["inventory_sources"].values()
    (declared,) = objects("inventories")["awx_inventory_sources"]
    names = {"inventory", "source_project", "credential", "execution_environment"}
    assert {key: source[key]["name"] for key in names} == {key: declared[key] for key in names}
    assert {key: source[key] for key in declared.keys() - names} == {
        key: declared[key] for key in declared.keys() - names
    }
    assert found["projects"]["SNO image upgrade"]["scm_url"] == GIVEN["awx_project_url"]
    workflows = {one["name"]: one for one in objects("workflows")["awx_workflows"]}
    assert found["workflow_job_templates"].keys() == workflows.keys()
    for name, exported in found["workflow_job_templates"].items():
        check_workflow(exported, workflows[name])
    return found


def check_template(name: str, exported: dict[str, Any]) -> None:
    declared = template(name)
    assert (exported["playbook"], exported["description"]) == (declared["playbook"], declared["description"])
    assert exported["inventory"]["name"] == declared.get("inventory", "SNO fleet")
    variables = json.loads(exported["extra_vars"])
    folder = "/var/lib/sno-image-upgrade"
    assert variables == json.loads(json.dumps(declared["extra_vars"]).replace("{{ awx_persistent_folder }}", folder))
    there = [one for one in declared.get("credentials", ["SNO clusters", "SNO hub"]) if one != "SNO nodes"]
    assert sorted(one["name"] for one in exported["related"]["credentials"]) == sorted(there)
    questions = objects("survey_questions")["awx_survey_questions"]
    assert exported["survey_enabled"] == ("survey" in declared)
    survey = exported["related"]["survey_spec"].get("spec", [])
    assert survey == [questions[variable] for variable in declared.get("survey", [])]
    assert exported["ask_limit_on_launch"] and not exported["ask_variables_on_launch"]
    assert (exported["job_slice_count"], exported["allow_simultaneous"]) == (1, False)


def check_workflow(exported: dict[str, Any], workflow: dict[str, Any]) -> None:
    questions = objects("survey_questions")["awx_survey_questions"]
    survey = exported["related"]["survey_spec"].get("spec", [])
    assert survey == [questions[variable] for variable in workflow.get("survey", [])]
    assert exported["survey_enabled"] == ("survey" in workflow)
    assert exported["inventory"]["name"] == workflow["inventory"] and exported["ask_limit_on_launch"]
    for name in ("ask_variables_on_launch", "allow_simultaneous"):
        assert exported[name] == workflow.get(name, False)
    nodes = {node["identifier"]: node for node in exported["related"]["workflow_nodes"]}
    declared = nodes_of(workflow["name"])
    assert nodes.keys() == declared.keys()
    for name, node in declared.items():
        for way in ("success", "failure", "always"):
            links = [one["identifier"] for one in nodes[name]["related"][f"{way}_nodes"]]
            assert links == node.get(way, [])
        if "job_template" in node:
            assert nodes[name]["unified_job_template"]["name"] == node["job_template"]
        else:
            assert nodes[name]["related"]["create_approval_template"] == node["approval"]
        assert (nodes[name]["job_type"], nodes[name]["extra_data"]) == (
            node.get("job_type"),
            node.get("extra_data", {}),
        )
    for when in ("error", "success", "approvals"):
        assert len(exported["related"][f"notification_templates_{when}"]) == 1


def test_check_mode_says_what_it_would_do_and_does_nothing(loader: Loader) -> None:
    output = loader.run("--check", **FEW)
    assert "SNO preflight" in changed(output) and "SNO image upgrade" in changed(output)
    assert loader.writes() == []

    loader.run(**FEW)
    loader.writes()
    before = loader.export("projects")
    project = next(item for _kind, item in loader.awx.store.all("projects"))
    loader.awx.store.change("projects", project["id"], {"scm_branch": "somebody-elses"})
    output = loader.run("--check", **FEW)
    assert changed(output) == ["SNO image upgrade"]
    assert loader.writes() == [] and loader.export("projects") != before
