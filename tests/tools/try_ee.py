# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder makes of the collection: its dependencies by `introspect`, a build context by `create`.

An image is not built: that takes a container engine and registries.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from checkout import ROOT

TOOLS = ROOT / ".cache" / "release-tools" / "bin"
WORK = ROOT / ".cache" / "execution-environment"
OURS = "sno.image_upgrade"
# What the collection's own files ask for, and on which platforms.
PYTHON = {"kubernetes>=31.0.0"}
SYSTEM = {
    "openshift-clients [platform:rhel-8 platform:rhel-9]",
    "kubernetes-client [platform:fedora]",
    "openssh-clients [platform:rpm]",
    "openssh-client [platform:dpkg]",
}


def builder(*arguments: str | Path) -> str:
    """The words of ansible-builder; the end of the script where it fails."""
    done = subprocess.run(
        [TOOLS / "ansible-builder", *arguments], cwd=WORK, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"ansible-builder {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def introspect() -> None:
    """The files of meta/ are found and read, beside those of kubernetes.core."""
    found = WORK / "collections" / "ansible_collections"
    (found / "sno").mkdir(parents=True)
    (found / "sno" / "image_upgrade").symlink_to(ROOT)
    (found / "kubernetes").symlink_to(ROOT / ".cache" / "collections" / "ansible_collections" / "kubernetes")
    told = yaml.safe_load(builder("introspect", "--sanitize", WORK / "collections"))
    for kind, wanted in (("python", PYTHON), ("system", SYSTEM)):
        ours = {line.split("  #")[0] for line in told[kind] if line.endswith(OURS)}
        if ours != wanted:
            sys.exit(
                f"ansible-builder introspect: the {kind} packages of {OURS} are {sorted(ours)}, not {sorted(wanted)}"
            )


def create(tarball: Path) -> None:
    """A build context with the collection's tarball in it."""
    shutil.copy(ROOT / "execution-environment.yml", WORK)
    shutil.copy(tarball, WORK)
    builder("create", "--file", WORK / "execution-environment.yml", "--context", WORK / "context")
    build = WORK / "context" / "_build"
    requested = yaml.safe_load((build / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    missing = [one["name"] for one in requested if not (build / one["name"]).exists()]
    if missing or not requested:
        sys.exit(f"the build context asks for {requested}, and lacks {missing}")


def main() -> None:
    """Try both."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    tarball = next((ROOT / ".cache" / "build").glob("*.tar.gz"), None)
    if tarball is None:
        sys.exit("There is no tarball in .cache/build: `make build` makes one first.")
    introspect()
    create(tarball)
    print("execution environment: ansible-builder reads the collection's needs and makes a build context")


if __name__ == "__main__":
    main()
