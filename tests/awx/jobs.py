# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook as AWX does: ansible-runner, in a private data directory with the files that AWX writes."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

from fakeawx import checks
from fleetsim.testing import Fleet

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = f"{ROOT}/.collections:{ROOT}/.cache/collections"

# Fast enough for the simulator's clock.
QUICK = {
    "ibu_settle_timeout": 3,
    "ibu_verify_timeout": 2,
    "ibu_contact_timeout": 4,
    "ibu_progress_interval": 1,
    "must_gather_least_free": "1M",
}


@functools.cache
def objects(name: str) -> Any:
    """The data in awx/NAME.yml."""
    return yaml.safe_load((ROOT / "awx" / f"{name}.yml").read_text())


def without_raw(value: Any) -> Any:
    """What awx_setup.yml makes of text that is protected from its own templating."""
    if isinstance(value, dict):
        return {key: without_raw(entry) for key, entry in value.items()}
    return re.sub(r"{% (end)?raw %}", "", value) if isinstance(value, str) else value


@functools.cache
def template(name: str) -> dict[str, Any]:
    """A job template with its extra variables as awx_setup.yml loads them."""
    data = objects("job_templates")
    found = next(one for one in data["awx_job_templates"] if one["name"] == name)
    given = found.get("extra_vars", {})
    if isinstance(given, str):
        shared = [data[part] for part in re.findall(r"awx_\w+_vars", given)]
        given = {key: value for part in shared for key, value in part.items()}
    return {**found, "extra_vars": without_raw({**data["awx_job_defaults"], **given})}


def answers_of(name: str, **given: Any) -> dict[str, Any]:
    """The answers of a survey: what a person gives, and the defaults of the rest."""
    questions = objects("survey_questions")["awx_survey_questions"]
    asked = template(name).get("survey", [])
    assert given.keys() <= set(asked), f"{name} does not ask for {given.keys() - set(asked)}"
    return {variable: questions[variable]["default"] for variable in asked} | given


class Unsafe(str):
    """Text that AWX does not let Ansible take for a template: all that does not stand in the template itself."""


class Dumper(yaml.SafeDumper):
    """Writes it as AWX does."""


Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style="'"))


def extra_variables(name: str, answers: Mapping[str, Any], more: Mapping[str, Any], folder: Path) -> str:
    """The file of extra variables of a job."""
    safe = json.loads(json.dumps(template(name)["extra_vars"]).replace("{{ awx_persistent_folder }}", str(folder)))
    unsafe = {key: Unsafe(value) if isinstance(value, str) else value for key, value in {**answers, **more}.items()}
    return yaml.dump({**safe, **QUICK, **unsafe}, Dumper=Dumper, sort_keys=False)


@dataclass
class Job:
    """A job that has ended."""

    status: str
    log: str
    artifacts: dict[str, Any]
    # As in the job host summaries: what the event playbook_on_stats says. None where there was no such event.
    stats: dict[str, dict[str, int]] | None
    directory: Path

    @property
    def words(self) -> str:
        """The log in one line, without colors."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", self.log).split())

    @property
    def relaunch_limit(self) -> str:
        """The limit that AWX gives a job which is relaunched on failed hosts."""
        assert self.stats is not None, "AWX refuses: playbook stats not available"
        return ",".join(sorted({*self.stats.get("failures", {}), *self.stats.get("dark", {})}))

    @property
    def outcome_files(self) -> list[Path]:
        """What it left in the project, which AWX throws away."""
        return sorted((self.directory / "project").glob("rollout-*.json"))


@dataclass
class Controller:
    """Runs jobs one after the other; nothing is kept between them but the fleet itself."""

    directory: Path
    fleet: Fleet
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def launch(
        self,
        name: str,
        answers: Mapping[str, Any],
        *,
        limit: str = "",
        check: bool = False,
        timeout: int = 0,
        launch_type: str = "manual",
        meta: Mapping[str, Any] | None = None,
        cancel: Callable[[Job], bool] | None = None,
    ) -> Job:
        """Launch a job template with the answers to its survey, and wait for the job."""
        number = next(self.numbers)
        private = self.directory / f"awx_{number}"
        self._project(private)
        arguments, environment = self._credentials(private)
        self._write(private / "inventory" / "hosts", self._inventory(), 0o700)
        meta_variables = {
            "awx_job_id": number,
            "awx_job_launch_type": launch_type,
            "awx_inventory_id": 1,
            **(meta or {}),
        }
        meta_variables["awx_job_template_name"] = name
        given = answers_of(name, **answers)
        extra = extra_variables(name, given, meta_variables, self.directory / "persistent")
        self._write(private / "env" / "extravars", extra, 0o600)
        arguments = [*(["--check"] if check else []), *(["-l", limit] if limit else []), *arguments]
        self._write(private / "env" / "cmdline", " ".join(arguments), 0o600)
        settings = {"job_timeout": timeout, "suppress_ansible_output": True, "suppress_output_file": True}
        self._write(private / "env" / "settings", json.dumps(settings), 0o600)
        job = Job("running", "", {}, None, private)
        done = ansible_runner.interface.run(
            private_data_dir=str(private),
            ident=str(number),
            playbook=template(name)["playbook"],
            inventory=str(private / "inventory" / "hosts"),
            envvars={**self._environment(number, private), **environment},
            event_handler=lambda event: _note(job, event),
            cancel_callback=(lambda: cancel(job)) if cancel else None,
            quiet=True,
        )
        job.status = done.status
        return job

    def _project(self, private: Path) -> None:
        """The copy of the project that every job works in."""
        for name in ("playbooks", "awx"):
            shutil.copytree(ROOT / name, private / "project" / name)
        shutil.copy(ROOT / "ansible.cfg", private / "project")

    def _inventory(self) -> str:
        """The inventory as AWX writes it: a script that prints hosts, variables and AWX's own numbers of them."""
        fleet = yaml.safe_load(self.fleet.inventory.read_text())["all"]["children"]["fleet"]
        shared = {name: value for name, value in fleet["vars"].items() if name != "ibu_seed_image_ref"}
        members = {
            # How awx/inventory/managed_clusters.yml makes them; the kubeconfig comes from the credential.
            name: {"ibu_context": name, "remote_tower_enabled": "true", "remote_tower_id": number}
            for number, name in enumerate(fleet["hosts"], 1)
        }
        data = {"all": {"hosts": list(members), "vars": shared}, "_meta": {"hostvars": members}}
        return f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(data)!r})\n"

    def _credentials(self, private: Path) -> tuple[list[str], dict[str, str]]:
        """Inject the credential of the clusters as AWX does: its files, environment and extra variables."""
        kind = next(one for one in objects("credential_types")["awx_credential_types"] if "clusters" in one["name"])
        secret = {"kubeconfig": self._merged_kubeconfig()}
        count = itertools.count(1)

        def write(_name: str, text: str) -> str:
            return str(self._write(private / "env" / f"tmp_{next(count)}", text, 0o600))

        injected = checks.inject(without_raw(kind["injectors"]), secret, write)
        path = self._write(private / "env" / "tmp_vars", yaml.safe_dump(injected["extra_vars"]), 0o400)
        return ["-e", f"@{path}"], injected["env"]

    def _merged_kubeconfig(self) -> str:
        """One kubeconfig for all clusters, with a context for each, as `kubectl config view --flatten` makes it."""
        merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
        for path in sorted((self.fleet.dir / "kubeconfigs").glob("*.yml")):
            if "@" not in (name := path.stem):
                own = yaml.safe_load(path.read_text())
                merged["clusters"].append({"name": name, "cluster": own["clusters"][0]["cluster"]})
                merged["users"].append({"name": name, "user": own["users"][0]["user"]})
                merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
        return yaml.safe_dump(merged)

    @staticmethod
    def _environment(number: int, private: Path) -> dict[str, str]:
        return {
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "AWX_PRIVATE_DATA_DIR": str(private),
            "JOB_ID": str(number),
            "MAX_EVENT_RES": "700000",
            # Where the execution environment has ansible-playbook.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(private),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        }

    @staticmethod
    def _write(path: Path, text: str, mode: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


def _note(job: Job, event: Mapping[str, Any]) -> bool:
    """What AWX keeps of an event."""
    if event.get("stdout"):
        job.log += event["stdout"] + "\n"
    if event["event"] == "playbook_on_stats":
        data = event["event_data"]
        job.artifacts = data.get("artifact_data", {})
        job.stats = {key: data.get(key) or {} for key in ("ok", "failures", "dark", "processed")}
    return False
