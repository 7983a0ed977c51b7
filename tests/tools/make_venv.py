# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create or update a virtual environment from requirement files; standard library only.

The environment carries a stamp of what was put into it. As long as Python and the requirement files are the ones of
the stamp, nothing is done, so every `make` target can call this first.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import typing as t
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
CONSTRAINTS = REQUIREMENTS / "constraints.txt"


def included_files(requirement: Path) -> list[Path]:
    """The requirement file itself and, recursively, every file it includes with `-r`."""
    files = [requirement]
    for line in requirement.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            files += included_files(requirement.parent / line[3:].strip())
    return files


def stamp_of(requirement: Path) -> str:
    """What the environment depends on: the Python that makes it and the text of every file that is read."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for file in [*included_files(requirement), CONSTRAINTS]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_usable(directory: Path) -> bool:
    """Whether the environment's Python starts and has the version of this one."""
    python = directory / "bin" / "python"
    if not python.exists():
        return False
    probe = subprocess.run([python, "-c", "import pip, sys; print(sys.version)"], capture_output=True, text=True)
    return probe.returncode == 0 and probe.stdout.strip() == sys.version


def install(directory: Path, requirement: Path) -> None:
    """Bring the environment to exactly the pinned versions; pip's own words are shown on failure."""
    if not is_usable(directory):
        print(f"creating {directory} with Python {sys.version.split()[0]}", flush=True)
        try:
            venv.create(directory, clear=True, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            sys.exit(
                "This Python cannot create virtual environments (no ensurepip). On Debian and Ubuntu install "
                "the package python3-venv, or name another Python: make PYTHON=/path/to/python3 ..."
            )
    print(f"installing {requirement.name} into {directory} (a minute or two the first time)", flush=True)
    command: list[t.Any] = [directory / "bin" / "python", "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--requirement", requirement]
    # The importer of release.txt wants packages older than those of the tests.
    command += [] if requirement.stem == "release" else ["--constraint", CONSTRAINTS]
    done = subprocess.run(command)
    if done.returncode:
        sys.exit("pip could not install the packages; its message is above. Is a package index reachable from here?")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("directory", type=Path, help="the virtual environment")
    parser.add_argument("set", choices=("run", "dev", "eda", "release"), help="which requirement file")
    args = parser.parse_args()

    # "dev" includes "run": its stamp says that both are there.
    stamps = {name: args.directory / f".{name}.stamp" for name in ("run", "dev", "eda", "release")}
    wanted = {name: stamp_of(REQUIREMENTS / f"{name}.txt") for name in stamps}
    names = ("run", "dev") if args.set == "run" else (args.set,)
    for name in names:
        if stamps[name].exists() and stamps[name].read_text() == wanted[name] and is_usable(args.directory):
            return
    install(args.directory, REQUIREMENTS / f"{args.set}.txt")
    stamps[args.set].write_text(wanted[args.set])


if __name__ == "__main__":
    main()
