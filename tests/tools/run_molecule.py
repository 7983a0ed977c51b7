# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the molecule scenarios, all or those named, two at a time; each has a fleet and a working folder of its own.

Molecule, the playbooks and the fleets are forks of processes that have imported what they need (see warm_path.py). Of a
scenario that fails everything is shown, of one that passes only how long it took. `molecule test -s NAME` shows one
live, without any of this.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import warm_path
from checkout import ROOT
from fleetsim.warm import Warm

AT_A_TIME = 2
PROGRAMS = {
    # Every API with every type: kubernetes.core.k8s_exec imports it, for four seconds.
    **warm_path.installed("playbooks.warm_ansible", "ansible-playbook", imports=("kubernetes.client.apis",)),
    "fleetsim": warm_path.Program("fleetsim.program", (sys.executable, "-m", "fleetsim")),
}
# Molecule's working folders: inside the checkout, not in the user's home.
WORK = ROOT / ".cache" / "ansible"
# Before each playbook Molecule asks for the version of ansible-playbook, which takes as long as to start a playbook.
QUICK_VERSION = """#!/bin/sh
if [ "$*" = --version ]; then echo {version}; else exec {program} "$@"; fi
"""


def quick_version(folder: Path, path: str) -> Path:
    """Let the folder have an ansible-playbook for PATH that knows its version by heart."""
    program = shutil.which("ansible-playbook", path=path)
    if program is None:
        sys.exit("There is no ansible-playbook on PATH: use `make molecule`.")
    version = subprocess.run(["ansible-playbook", "--version"], capture_output=True, text=True, check=True).stdout
    script = folder / "ansible-playbook"
    first_line = shlex.quote(version.splitlines()[0])
    script.write_text(QUICK_VERSION.format(version=first_line, program=shlex.quote(program)), encoding="utf-8")
    script.chmod(0o755)
    return folder


def environment(folder: Path, path: str) -> dict[str, str]:
    """Of all scenarios."""
    ours = {
        # Modules are forks of Ansible's worker; see there.
        "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests" / "connection_plugins"),
        "ANSIBLE_HOME": str(WORK),
        "ANSIBLE_PIPELINING": "true",
        "MOLECULE_COMMAND_BORDERS": "false",
        "NO_COLOR": "1",
        "PATH": f"{quick_version(folder, path)}{os.pathsep}{path}",
    }
    return {**os.environ, **ours}


def run(scenario: str, molecule: Warm, env: dict[str, str]) -> bool:
    """Whether the scenario passed."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        command = ["molecule", "test", "--scenario-name", scenario]
        passed = molecule.spawn(command, output.fileno(), env=env).wait() == 0
        output.seek(0)
        said = output.read().decode(errors="replace")
    # A scenario that cannot run on this machine says why in these words, and passes.
    skipped = re.search(r"SKIPPED: [^\"'\n]+", said)
    verdict = skipped.group() if passed and skipped else "passed" if passed else "FAILED"
    print(f"molecule {scenario}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    if not passed:
        print(said, flush=True)
    return passed


def main() -> int:
    """Run them; 1 if one failed."""
    every = sorted(path.parent.name for path in Path(ROOT, "extensions", "molecule").glob("*/molecule.yml"))
    with (
        tempfile.TemporaryDirectory(prefix="molecule-") as folder,
        warm_path.warm_path(PROGRAMS) as path,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        env = environment(Path(folder), path)
        tools = os.pathsep.join(filter(None, (str(Path(__file__).parent), env.get("PYTHONPATH"))))
        molecule = Warm("warm_molecule", cwd=ROOT, env={**env, "PYTHONPATH": tools})
        results = list(pool.map(lambda scenario: run(scenario, molecule, env), sys.argv[1:] or every))
    print(f"molecule: {sum(results)} passed, {results.count(False)} failed")
    return 1 if results.count(False) else 0


if __name__ == "__main__":
    sys.exit(main())
