# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start ansible-playbook as a user does, and count on the servers what it did."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetsim.testing import Fleet
from fleetsim.warm import Warm

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
FETCHED = ROOT / ".cache" / "collections"

# Simulated seconds per real second: an upgrade, which takes 20 minutes or so, is over in a second or two.
SPEED = 1000
RUN_TIMEOUT = 180.0
POLL_SECONDS = 0.02
# A killed run may finish the request that it is in, but not go on to the next; the tests share the machine.
GONE_SECONDS = 30.0
# Modules are forks of Ansible's worker where they come to it through a pipe; see there.
QUICK_MODULES = {"ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests" / "connection_plugins"), "ANSIBLE_PIPELINING": "true"}
# Marks every process of a run, whatever session or process group it has put itself into.
MARK = "IBU_TEST_RUN"

# Fast enough for the simulator's clock, and the same for every run that does not say otherwise. The real defaults are
# meant for nodes that take ten minutes to reboot.
VARIABLES: dict[str, Any] = {
    "ibu_settle_timeout": 3,
    "ibu_verify_timeout": 2,
    "ibu_contact_timeout": 4,
    "ibu_progress_interval": 1,
    "must_gather_least_free": "1M",
    # Nobody answers at registry.example.com. The tests of preflight give the facts of the seed in a file.
    "ibu_seed_lookup": "never",
}


def names(*numbers: int) -> list[str]:
    """The names of clusters by number."""
    return [f"site-{number:04d}" for number in numbers]


def scenario(count: int, **more: Any) -> dict[str, Any]:
    """A fleet of so many clusters on which nothing goes wrong unless `more` says so."""
    return {"speed": SPEED, "random_seed": 1, "hub": False, "clusters": {"count": count}, **more}


def failing(*numbers: int) -> dict[str, dict[str, Any]]:
    """Troubles that let Prep of these clusters fail at once."""
    return {name: {"prep_failed": {"message": "the seed image is not for this cluster"}} for name in names(*numbers)}


def _environment() -> dict[str, str]:
    """Of every run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**kept, "ANSIBLE_NOCOLOR": "true", "COLUMNS": "200", **QUICK_MODULES}


# Starts a playbook in a fifth of the time; see there.
_WARM = Warm("playbooks.warm_ansible", cwd=ROOT, env={**_environment(), "PYTHONPATH": str(ROOT / "tests")})


@dataclass(frozen=True)
class Ended:
    """One of Ansible's programs that has ended."""

    code: int
    output: str
    errors: str


def ansible(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    *,
    apart: bool = False,
    imports: Sequence[str] = (),
) -> Ended:
    """Run one of Ansible's programs to its end; `apart`: standard error is not in the output.

    `folder` is for temporary files. What is in `env` comes to the environment. `imports`: see `Warm.spawn`.
    """
    environment = {**_environment(), "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"), **(env or {})}
    with tempfile.TemporaryFile(dir=folder) as output, tempfile.TemporaryFile(dir=folder) as errors:
        files = [errors.fileno()] if apart else []
        process = _WARM.spawn(list(command), output.fileno(), files, environment, imports=imports)
        try:
            code = process.wait(RUN_TIMEOUT)
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return Ended(code, output.read().decode(), errors.read().decode())


@dataclass
class Run:
    """A run that has ended."""

    code: int
    output: str
    outcome_file: Path

    @property
    def document(self) -> dict[str, Any]:
        """The outcome file."""
        return json.loads(self.outcome_file.read_text())  # type: ignore[no-any-return]

    @property
    def outcomes(self) -> dict[str, dict[str, Any]]:
        """What the outcome file says of every cluster."""
        return self.document["clusters"]  # type: ignore[no-any-return]

    def named(self, result: str) -> list[str]:
        """The clusters with this result."""
        return [name for name, outcome in self.outcomes.items() if outcome["result"] == result]

    @property
    def remaining(self) -> list[str]:
        """What the run wrote for --limit."""
        return self.outcome_file.with_suffix(".remaining").read_text().split()

    @property
    def words(self) -> str:
        """The output in one line, whatever width Ansible wrapped it to."""
        return " ".join(self.output.split())

    @property
    def failed_hosts(self) -> list[str]:
        """Whom AWX would relaunch, by name: those that the recap counts as failed."""
        return sorted(re.findall(r"^(\S+) +: .* failed=[1-9]", self.output, re.M))


@dataclass
class Playground:
    """Where a test runs playbooks: a directory of its own, the fleet, and the variables of all its runs."""

    directory: Path
    fleet: Fleet
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def outcome_file(self) -> Path:
        return self.directory / "rollout.json"

    def command(self, playbook: str | Path, *arguments: str, **variables: Any) -> list[str]:
        """The command line. A variable that is None is left out."""
        own = {"ibu_outcome_file": str(self.outcome_file), "must_gather_folder": str(self.directory / "must-gather")}
        given = {**VARIABLES, **own, **self.variables, **variables}
        given = {name: value for name, value in given.items() if value is not None}
        where = f"playbooks/{playbook}.yml" if isinstance(playbook, str) and "." not in playbook else str(playbook)
        return [str(ANSIBLE_PLAYBOOK), "-i", str(self.fleet.inventory), "-e", json.dumps(given), *arguments, where]

    def environment(self, **more: str) -> dict[str, str]:
        """The caller's environment without its own settings of Ansible."""
        return {**_environment(), "ANSIBLE_LOCAL_TEMP": str(self.directory / "ansible"), **more}

    def play(
        self,
        playbook: str | Path,
        *arguments: str,
        env: dict[str, str] | None = None,
        imports: Sequence[str] = (),
        **variables: Any,
    ) -> Run:
        """Run a playbook from the checkout to its end."""
        done = ansible(self.command(playbook, *arguments, **variables), self.directory, env, imports=imports)
        return Run(done.code, done.output, self.outcome_file)

    def start(self, playbook: str, *arguments: str, **variables: Any) -> Started:
        """Start a playbook in the background."""
        return Started(self, self.command(playbook, *arguments, **variables))

    # -- what the servers say ---------------------------------------------------------------------------------------

    def touched(self) -> list[str]:
        """The clusters whose spec somebody changed."""
        return self.fleet.control.touched()

    def writes(self, *, dry_runs: bool = False) -> dict[str, int]:
        """How many write requests every server has received, refused ones too. Preflight makes dry runs of content."""
        servers = [cluster["name"] for cluster in self.fleet.control.clusters()]
        with_hub = [*servers, "hub"] if self.fleet.hub_kubeconfig.exists() else servers
        journals = {name: self.fleet.control.journal(name) for name in with_hub}
        return {name: sum(dry_runs or not one["dry_run"] for one in found) for name, found in journals.items()}

    def stages(self, name: str) -> list[str]:
        """The stages that were asked of a cluster and taken, in order."""
        journal = self.fleet.control.journal(name)
        return [entry["stage"] for entry in journal if entry["stage"] and entry["code"] == 200 and not entry["dry_run"]]

    def version(self, name: str) -> str:
        """The release that a cluster runs."""
        return str(self.fleet.control.state(name)["version"])

    def refusals(self) -> dict[str, list[dict[str, Any]]]:
        """Requests that a server refused because of what they asked: those that should never have been sent."""
        clusters, codes = [cluster["name"] for cluster in self.fleet.control.clusters()], (400, 409, 415, 422)
        found = {
            name: [one for one in self.fleet.control.journal(name) if not one["dry_run"] and one["code"] in codes]
            for name in clusters
        }
        return {name: entries for name, entries in found.items() if entries}


def _hang_up_ends() -> None:
    """As in a terminal, also where the tests themselves were started with nohup, which the run would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Started:
    """A run in the background. Ends with the context, whatever it left behind."""

    def __init__(self, ground: Playground, command: list[str]) -> None:
        self.ground = ground
        self._mark = uuid.uuid4().hex
        self._log = ground.directory / f"run-{self._mark[:8]}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=ground.environment(**{MARK: self._mark}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_hang_up_ends,
            )

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGKILL, self.processes())
        self.process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def processes(self) -> list[int]:
        """Every living process of this run, ansible-playbook itself first."""
        return sorted(marked(f"{MARK}={self._mark}"), key=lambda pid: (pid != self.process.pid, pid))

    @staticmethod
    def kill(number: int, pids: Iterable[int]) -> None:
        """Send a signal to these."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self) -> Run:
        """Let it come to its end."""
        code = self.process.wait(RUN_TIMEOUT)
        return Run(code, self.output, self.ground.outcome_file)

    def wait_until_gone(self, seconds: float = GONE_SECONDS) -> None:
        """Until not one process of the run is left."""
        try:
            until(lambda: self.process.poll() is not None and not self.processes(), seconds, "the run is gone")
        except AssertionError as error:
            left = "".join(f"\n{pid}: {_what_it_does(pid)}" for pid in self.processes())
            raise AssertionError(f"{error}; left: {left}\n{self.output}") from None


def _what_it_does(pid: int) -> str:
    """Its state, and where each of its threads waits: to be known of one that does not end."""
    threads = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            state = (task / "stat").read_text().rpartition(")")[2].split()
            threads.append(f"{task.name} {state[0]} of {state[1]} in {(task / 'wchan').read_text()}")
    with contextlib.suppress(OSError):
        signals = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Sig")]
        return "; ".join([*threads, *signals])
    return "has ended"


def marked(setting: str) -> list[int]:
    """The living processes that have this NAME=VALUE in their environment."""
    wanted, found = setting.encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        # A process that has ended and was not collected yet has an empty environment.
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def until(is_true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition; its failure names what never came."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def playground(directory: Path, fleet_scenario: dict[str, Any], **variables: Any) -> Iterator[Playground]:
    """A fleet, and a directory to run playbooks against it."""
    directory.mkdir(parents=True, exist_ok=True)
    with Fleet(fleet_scenario) as fleet:
        yield Playground(directory, fleet, variables)
