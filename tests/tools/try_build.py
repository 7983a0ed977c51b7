# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's tarball, look into it, install it into an empty folder and try it from there.

What runs there sees neither this checkout nor its ansible.cfg, only the installed files and kubernetes.core.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

from checkout import ROOT

BUILD = ROOT / ".cache" / "build"
ELSEWHERE = BUILD / "elsewhere"
FETCHED = ROOT / ".cache" / "collections"
# All that a user gets. A new entry here is a decision, not an accident of build_ignore.
RELEASED = {
    "CHANGELOG.md",
    "CHANGELOG.rst",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "awx",
    "changelogs",
    "docs",
    "execution-environment.yml",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


def run(*command: str | Path) -> str:
    """Run a command in the empty folder; its standard output, or the end of the script with its words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment |= {
        "ANSIBLE_CONFIG": str(ELSEWHERE / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{ELSEWHERE}:{FETCHED}",
    }
    done = subprocess.run(command, cwd=ELSEWHERE, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build() -> Path:
    """The fresh tarball."""
    run("ansible-galaxy", "collection", "build", "--force", "--output-path", BUILD, ROOT)
    return next(BUILD.glob("*.tar.gz"))


def check_contents(tarball: Path) -> None:
    """Nothing but what users need is in it."""
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    surplus = {name.split("/")[0] for name in names} - RELEASED
    caches = {name for name in names if "__pycache__" in name or name.endswith(".pyc")}
    if surplus or caches:
        sys.exit(
            f"The tarball has what users do not need: {sorted(surplus | caches)}. Add it to build_ignore in galaxy.yml."
        )
    print(f"{tarball.name}: {len(names)} entries, {tarball.stat().st_size // 1024} KiB")


def check_installed(name: str) -> None:
    """Every plugin has its documentation, every playbook parses, and both are found by their full names."""
    installed = ELSEWHERE / "ansible_collections" / Path(*name.split("."))
    modules = sorted(path.stem for path in (installed / "plugins" / "modules").glob("*.py"))
    full_names = [f"{name}.{module}" for module in modules]
    # As text, because that is what users read; as JSON it does not pass over what it cannot find.
    run("ansible-doc", *full_names)
    documented = json.loads(run("ansible-doc", "--json", *full_names))
    missing = [module for module in full_names if "doc" not in documented.get(module, {})]
    if missing:
        sys.exit(f"ansible-doc has nothing to say of {missing}")
    playbooks = sorted(path.stem for path in (installed / "playbooks").glob("*.yml"))
    run("ansible-playbook", "--inventory", "localhost,", "--syntax-check", *(f"{name}.{one}" for one in playbooks))
    print(f"installed elsewhere: ansible-doc reads {len(modules)} modules, {len(playbooks)} playbooks parse")


def main() -> None:
    """Build, look, install, try."""
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    shutil.rmtree(BUILD, ignore_errors=True)
    ELSEWHERE.mkdir(parents=True)
    # Empty, so that the user's own configuration has no say here.
    (ELSEWHERE / "ansible.cfg").touch()
    tarball = build()
    check_contents(tarball)
    run("ansible-galaxy", "collection", "install", "--offline", "--collections-path", ELSEWHERE, tarball)
    check_installed(f"{galaxy['namespace']}.{galaxy['name']}")
    print("build: passed")


if __name__ == "__main__":
    main()
