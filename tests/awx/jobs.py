# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook as AWX does: ansible-runner, in a private data directory with the files that AWX writes."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

from fakeawx import checks
from fleetsim.testing import Fleet

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = f"{ROOT}/.collections:{ROOT}/.cache/collections"

# The credentials of a template that names none: awx_setup.yml
BY_DEFAULT = ["SNO clusters", "SNO hub"]
# What comes from credentials, and never from the inventory.
INJECTED = ("ibu_kubeconfig", "ibu_hub_kubeconfig")

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


def nodes_of(workflow: str) -> dict[str, dict[str, Any]]:
    """The nodes of a workflow, by identifier."""
    nodes = objects("workflows")["awx_workflow_nodes"]
    return {node["identifier"]: node for node in nodes if node["workflow"] == workflow}


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
    # What the last update of the inventory has found.
    synchronized: dict[str, dict[str, Any]] | None = None

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
        shutil.rmtree(self._home, ignore_errors=True)
        arguments, environment = self._credentials(private, template(name).get("credentials", BY_DEFAULT))
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
        with _cancel_signal():
            done = ansible_runner.interface.run(
                private_data_dir=str(private),
                ident=str(number),
                playbook=template(name)["playbook"],
                inventory=str(private / "inventory" / "hosts"),
                envvars={**self._environment(number, private, real=bool(timeout or cancel)), **environment},
                event_handler=lambda event: _note(job, event, cancel),
                quiet=True,
            )
        job.status = done.status
        # pytest shows it where the test fails.
        print(f"--- job {number}, {name}: {job.status}\n{job.log}")
        return job

    def _project(self, private: Path) -> None:
        """The copy of the project that every job works in."""
        for name in ("playbooks", "awx"):
            shutil.copytree(ROOT / name, private / "project" / name)
        shutil.copy(ROOT / "ansible.cfg", private / "project")

    def _inventory(self) -> str:
        """The inventory as AWX writes it: a script that prints hosts, variables and AWX's own numbers of them."""
        fleet = yaml.safe_load(self.fleet.inventory.read_text())["all"]["children"]["fleet"]
        shared = {name: value for name, value in fleet["vars"].items() if name not in ("ibu_seed_image_ref", *INJECTED)}
        members = {
            name: {**variables, "remote_tower_enabled": "true", "remote_tower_id": number}
            for number, (name, variables) in enumerate(self._hosts(list(fleet["hosts"])).items(), 1)
        }
        data = {"all": {"hosts": list(members), "vars": shared}, "_meta": {"hostvars": members}}
        return f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(data)!r})\n"

    def _hosts(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """What the inventory source has left in AWX's database; without a hub, what it would have."""
        if not self.fleet.hub_kubeconfig.exists():
            return {name: {"ibu_context": name} for name in names}
        # One look serves the jobs that follow: update_cache_timeout.
        self.synchronized = self.synchronized or self._synchronize()
        return self.synchronized

    def _synchronize(self) -> dict[str, dict[str, Any]]:
        """An update of the inventory: the variables of every host."""
        (source,) = objects("inventories")["awx_inventory_sources"]
        private = self.directory / "awx_inventory"
        self._project(private)
        _arguments, environment = self._credentials(private, [source["credential"]])
        done = subprocess.run(
            ["ansible-inventory", "-i", source["source_path"], "--list", "--export"],
            cwd=private / "project",
            env={**self._environment(0, private), "ANSIBLE_FORCE_COLOR": "False", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # This is how ansible-inventory writes text that is not to be taken for a template.
        listed = json.loads(done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found))
        return dict(listed["_meta"]["hostvars"])

    def _credentials(self, private: Path, names: list[str]) -> tuple[list[str], dict[str, str]]:
        """Inject credentials as AWX does: their files, environment and extra variables."""
        types = {one["name"]: one for one in objects("credential_types")["awx_credential_types"]}
        secrets = {"SNO clusters": self._merged_kubeconfig()}
        if self.fleet.hub_kubeconfig.exists():
            secrets["SNO hub"] = self.fleet.hub_kubeconfig.read_text()
        count = itertools.count(1)

        def write(_name: str, text: str) -> str:
            return str(self._write(private / "env" / f"tmp_{next(count)}", text, 0o600))

        arguments: list[str] = []
        environment: dict[str, str] = {}
        for credential in objects("credentials")["awx_credentials"]:
            if credential["name"] in secrets.keys() & set(names):
                injectors = without_raw(types[credential["credential_type"]]["injectors"])
                injected = checks.inject(injectors, {"kubeconfig": secrets[credential["name"]]}, write)
                path = write("extra_vars", yaml.safe_dump(injected["extra_vars"]))
                arguments += ["-e", f"@{path}"]
                environment |= injected["env"]
        return arguments, environment

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

    @property
    def _home(self) -> Path:
        """Of all jobs, empty for each: one of their own would be a warm process of their own, see warm_path.py."""
        return self.directory.parent / "home"

    def _environment(self, number: int, private: Path, *, real: bool = False) -> dict[str, str]:
        """`real`: ansible-playbook itself is started, also where PATH begins with the programs of warm_path.py."""
        # Where the execution environment has ansible-playbook.
        installed = str(Path(sys.executable).parent)
        path = [installed, os.environ["PATH"]] if real else [os.environ["PATH"], installed]
        return {
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "AWX_PRIVATE_DATA_DIR": str(private),
            "JOB_ID": str(number),
            "MAX_EVENT_RES": "700000",
            "PATH": os.pathsep.join(path),
            "HOME": str(self._home),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        }

    @staticmethod
    def _write(path: Path, text: str, mode: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


@contextlib.contextmanager
def _cancel_signal() -> Iterator[None]:
    """A job is canceled by TERM to ansible-runner, which takes it for the whole process; then it is the test's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note(job: Job, event: Mapping[str, Any], cancel: Callable[[Job], bool] | None) -> bool:
    """What AWX keeps of an event; a person who sees it may cancel the job."""
    if event.get("stdout"):
        job.log += event["stdout"] + "\n"
    if event["event"] == "playbook_on_stats":
        data = event["event_data"]
        job.artifacts = data.get("artifact_data", {})
        job.stats = {key: data.get(key) or {} for key in ("ok", "failures", "dark", "processed")}
    if cancel and cancel(job):
        os.kill(os.getpid(), signal.SIGTERM)
    return False
