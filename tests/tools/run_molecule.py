# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the molecule scenarios, all or those named, two at a time; each has a fleet and a working folder of its own.

Of a scenario that fails everything is shown, of one that passes only how long it took. `molecule test -s NAME` shows
one live.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checkout import ROOT

AT_A_TIME = 2
# Molecule's working folders: inside the checkout, not in the user's home.
WORK = ROOT / ".cache" / "ansible"
# Before each playbook Molecule asks for the version of ansible-playbook, which takes as long as to start a playbook.
QUICK_VERSION = """#!/bin/sh
if [ "$*" = --version ]; then echo {version}; else exec {program} "$@"; fi
"""


def quick_version() -> Path:
    """A folder for PATH with an ansible-playbook that knows its version by heart."""
    program = shutil.which("ansible-playbook")
    if program is None:
        sys.exit("There is no ansible-playbook on PATH: use `make molecule`.")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    folder = WORK / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "ansible-playbook"
    first_line = shlex.quote(version.splitlines()[0])
    script.write_text(QUICK_VERSION.format(version=first_line, program=shlex.quote(program)), encoding="utf-8")
    script.chmod(0o755)
    return folder


def environment() -> dict[str, str]:
    """Of all scenarios."""
    path = f"{quick_version()}{os.pathsep}{os.environ['PATH']}"
    ours = {
        "ANSIBLE_HOME": str(WORK),
        # A module is one process then, not five.
        "ANSIBLE_PIPELINING": "true",
        "MOLECULE_COMMAND_BORDERS": "false",
        "NO_COLOR": "1",
        "PATH": path,
    }
    return {**os.environ, **ours}


def run(scenario: str, env: dict[str, str]) -> bool:
    """Whether the scenario passed."""
    started = time.monotonic()
    done = subprocess.run(
        ["molecule", "test", "--scenario-name", scenario],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    # A scenario that cannot run on this machine says why in these words, and passes.
    skipped = re.search(r"SKIPPED: [^\"'\n]+", done.stdout)
    verdict = skipped.group() if passed and skipped else "passed" if passed else "FAILED"
    print(f"molecule {scenario}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    if not passed:
        print(done.stdout, flush=True)
    return passed


def main() -> int:
    """Run them; 1 if one failed."""
    every = sorted(path.parent.name for path in Path(ROOT, "extensions", "molecule").glob("*/molecule.yml"))
    env = environment()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(lambda scenario: run(scenario, env), sys.argv[1:] or every))
    print(f"molecule: {sum(results)} passed, {results.count(False)} failed")
    return 1 if results.count(False) else 0


if __name__ == "__main__":
    sys.exit(main())
