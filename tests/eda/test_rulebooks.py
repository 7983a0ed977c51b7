# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebooks under ansible-rulebook itself: from a failed cluster on the hub to logs, a plan and a report."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbooks.runs import Playground, failing, names, scenario, until
from playbooks.test_group import FINALIZE, PREP, UPGRADE, VARIABLES, plan

ROOT = Path(__file__).resolve().parents[2]
RULEBOOKS = ROOT / "extensions" / "eda" / "rulebooks"
WORKFLOWS = ROOT / "awx" / "workflows.yml"
# Java, the rule engine and three playbook runs on a busy machine.
PATIENCE = 240.0

Prepare = Callable[..., Playground]


class Receiver:
    """A server that keeps what is posted to it; what it answers to GET is by path."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self.posted: list[dict[str, Any]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.posted.append(json.loads(body))
                self._answer(201, pages.get(f"POST {self.path}", {}))

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                self._answer(200 if path in pages else 404, pages.get(path, {}))

            def _answer(self, status: int, document: Any) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_args: Any) -> None:
                pass

        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listener.daemon_threads = True
        serve = {"poll_interval": 0.05}
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs=serve, daemon=True)
        self.address = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class Rulebook:
    """ansible-rulebook in the background; it and all that it has started end with the context."""

    def __init__(
        self, rulebook_bin: Path, ground: Playground, rulebook: str, *arguments: str, **variables: Any
    ) -> None:
        folder = ground.directory
        file = folder / "variables.yml"
        file.write_text(yaml.safe_dump({"hub_kubeconfig": str(ground.fleet.hub_kubeconfig), **variables}))
        self._log = folder / "rulebook.log"
        command = [str(rulebook_bin / "ansible-rulebook"), "--rulebook", rulebook, "--vars", str(file)]
        command += ["-i", str(ground.fleet.inventory), "--verbose", *arguments]
        found = f"{ROOT / '.collections'}:{ROOT / '.cache' / 'collections'}"
        mine = {
            "ANSIBLE_COLLECTIONS_PATH": found,
            "PATH": f"{rulebook_bin}:{os.environ['PATH']}",
            "TMPDIR": str(folder),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=ground.environment(**mine),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Rulebook:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)

    def until(self, is_true: Callable[[], object], what: str) -> None:
        try:
            until(lambda: is_true() or self.process.poll() is not None, PATIENCE, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-6000:]}") from None
        assert is_true(), f"ansible-rulebook has ended: {self.output[-6000:]}"


@pytest.mark.slow
def test_a_failed_cluster_leads_to_logs_a_plan_and_a_report(prepare: Prepare, rulebook_bin: Path) -> None:
    variables = {**VARIABLES, "ibgu_plan": plan(PREP, UPGRADE, FINALIZE), "must_gather_least_free": "1M"}
    ground = prepare(scenario(2, hub=True, troubles=failing(2)), **variables)
    with Receiver({}) as people:
        folder = ground.directory / "logs"
        given = {"notify_url": people.address, "logs_folder": str(folder)}
        book = Rulebook(rulebook_bin, ground, "sno.image_upgrade.failed_clusters", **given)
        with book, ground.start("group_upgrade"):
            book.until(lambda: people.posted, "people are told")
        (report,) = people.posted
        output = book.output
    assert (report["cluster"], report["action"]) == ("site-0002", "Prep")
    assert report["recover"]["way"] == "recover", output[-4000:]
    # Whoever told of it first, the hub's feedback or TALM's label that has no cause.
    assert "the seed image is not for this cluster" in report["message"]
    # Kept for people, and not in the folder of the run, which is gone with it.
    (archive,) = folder.glob("*.tar.gz")
    assert archive.name.startswith("site-0002-") and report["logs"] == str(archive)
    # It only looks: nobody but the hub has asked the clusters for anything.
    assert ground.touched() == []


def test_the_rulebooks_are_what_ansible_rulebook_takes(rulebook_bin: Path) -> None:
    check = (
        "import sys, yaml; from ansible_rulebook.validators import Validate\n"
        "for path in sys.argv[1:]: Validate.rulebook(yaml.safe_load(open(path)))"
    )
    books = [str(path) for path in RULEBOOKS.glob("*.yml")]
    assert len(books) == 2
    done = subprocess.run([rulebook_bin / "python", "-c", check, *books], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_may_be_left_out_of_the_variables_has_a_default() -> None:
    """ansible-rulebook calls no action whose variables it cannot fill in, and its words about that mean nothing."""
    text = "".join(path.read_text(encoding="utf-8") for path in RULEBOOKS.glob("*.yml"))
    names = {name.split(".")[0] for name in re.findall(r"{{ *([a-z_.]+) *}}", text)}
    assert names == {"event", "hub_kubeconfig", "logs_folder"}


@pytest.mark.slow
def test_each_failed_cluster_opens_an_approval_in_awx_of_its_own(prepare: Prepare, rulebook_bin: Path) -> None:
    ground = prepare(scenario(2, hub=True, troubles=failing(1, 2)), **VARIABLES)
    # As awx_setup.yml loads it: tests/awx/test_setup.py
    declared = next(one for one in yaml.safe_load(WORKFLOWS.read_text())["awx_workflows"] if "recover" in one["name"])
    workflow = {
        "id": 7,
        "type": "workflow_job_template",
        "name": declared["name"],
        "summary_fields": {"organization": {"name": "Default"}},
        "related": {"launch": "/api/v2/workflow_job_templates/7/launch/"},
        **dict.fromkeys(("ask_limit_on_launch", "ask_variables_on_launch"), True),
        **dict.fromkeys(("ask_labels_on_launch", "ask_inventory_on_launch"), False),
    }
    # It waits for a person, who does not come: that must not keep the other cluster from its own.
    job = {"id": 9, "url": "/api/v2/workflow_jobs/9/", "status": "running", "artifacts": {}}
    pages = {
        "/api/v2/config/": {"version": "24.6.1"},
        "/api/v2/unified_job_templates/": {"results": [workflow]},
        "POST /api/v2/workflow_job_templates/7/launch/": job,
        "/api/v2/workflow_jobs/9/": job,
    }
    with Receiver(pages) as awx:
        book = Rulebook(
            rulebook_bin,
            ground,
            "sno.image_upgrade.failed_clusters_awx",
            "--controller-url",
            awx.address,
            "--controller-token",
            "only-for-tests",
        )
        with book, ground.start("group_upgrade"):
            book.until(lambda: len(awx.posted) > 1, "a workflow is started for each")
        asked = sorted(awx.posted, key=lambda one: str(one["limit"]))
    assert set(awx.paths) == {"/api/v2/workflow_job_templates/7/launch/"}
    assert [one["limit"] for one in asked] == names(1, 2)
    given = [
        json.loads(one["extra_vars"]) if isinstance(one["extra_vars"], str) else one["extra_vars"] for one in asked
    ]
    assert [one["target"] for one in given] == names(1, 2)
