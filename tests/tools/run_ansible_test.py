# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test` on a copy of the collection, as it insists on a path .../ansible_collections/sno/image_upgrade.

The copy has the files that git tracks or could track, and kubernetes.core as a neighbour, which the import tests need.
What follows the script's name is passed on, the Python is the running one: `run_ansible_test.py sanity --test pep8`.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

from checkout import ROOT, source_files

BASE = ROOT / ".cache" / "ansible-test"
HOME = BASE / "home"
COLLECTIONS = BASE / "ansible_collections"
COPY = COLLECTIONS / "sno" / "image_upgrade"
NEIGHBOUR = ROOT / ".cache" / "collections" / "ansible_collections" / "kubernetes"
# Sanity is about what is released, and its unit tests. The rest of tests/ is held to ruff and mypy: ansible-test's
# pylint has rules of its own for names and subprocesses that mean nothing outside Ansible.
FOLDERS = (
    "changelogs/",
    "docs/",
    "extensions/",
    "meta/",
    "playbooks/",
    "plugins/",
    "roles/",
    "tests/sanity/",
    "tests/unit/",
)
FILES = ("CHANGELOG.md", "CHANGELOG.rst", "LICENSE", "README.md", "galaxy.yml", "tests/config.yml")
# What ansible-test and git themselves write into the copy.
KEPT = ("tests/output/", ".git/")


def files_to_test() -> list[Path]:
    """The checkout's files that ansible-test is to see."""
    return [path for path in source_files() if path.as_posix() in FILES or path.as_posix().startswith(FOLDERS)]


def copy_changed(files: list[Path]) -> None:
    """Make the copy the same as the checkout, touching only what differs."""
    for path in files:
        source, target = ROOT / path, COPY / path
        if target.exists() and filecmp.cmp(source, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for extra in {path.relative_to(COPY) for path in COPY.rglob("*") if not path.is_dir()} - set(files):
        if not extra.as_posix().startswith(KEPT):
            (COPY / extra).unlink()


def link_neighbour() -> None:
    """Put kubernetes.core beside the copy."""
    link = COLLECTIONS / "kubernetes"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(NEIGHBOUR, COLLECTIONS))


def make_repository() -> None:
    """Make the copy a repository of its own, since for the checkout's git it is an ignored folder without files."""
    if not (COPY / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)


def keep_get_pip() -> None:
    """Let ansible-test find get_pip.py where it would download it to: under the version that it puts into environments.

    That is told by a private function; an ansible-test that has another one downloads it.
    """

    class AnyPython:
        version = ""

    try:
        from ansible_test._internal import python_requirements

        version = str(python_requirements.get_venv_packages(AnyPython())["pip"])
    except (ImportError, AttributeError, KeyError, TypeError) as error:
        print(f"get_pip.py is downloaded, as this ansible-test is another one: {error}", flush=True)
        return
    cached = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("get_pip.py"), cached)


def environment() -> dict[str, str]:
    """A home of its own, where ansible-test keeps its environments, with the user's own settings of pip."""
    user = Path.home()
    own = {"XDG_CONFIG_HOME": str(user / ".config"), "XDG_CACHE_HOME": str(user / ".cache")}
    return own | dict(os.environ) | {"HOME": str(HOME)}


def main() -> None:
    """Copy, then become ansible-test."""
    COPY.mkdir(parents=True, exist_ok=True)
    copy_changed(files_to_test())
    link_neighbour()
    make_repository()
    keep_get_pip()
    os.chdir(COPY)
    command, *rest = sys.argv[1:] or ["sanity"]
    # Only this Python: ansible-test would else try whatever calls itself python3.x on the PATH, working or not.
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = str(Path(__file__).with_name("pylint_once.py"))
    os.execve(sys.executable, [sys.executable, program, command, "--python", python, *rest], environment())


if __name__ == "__main__":
    main()
