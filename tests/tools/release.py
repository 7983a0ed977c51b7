# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release of what is committed: changelog, tarball, importer, and the demo in an empty environment.

The checkout stays as it is; everything happens on an export of HEAD in .cache/release. Nothing is published: the
last lines say what is left to do.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

from checkout import ROOT

RELEASE = ROOT / ".cache" / "release"
TOOLS = ROOT / ".cache" / "release-tools"
BIN = Path(sys.executable).parent
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z][0-9A-Za-z.-]*)?")
COMPLAINT = re.compile(r"^(WARNING|ERROR)[: ].*", re.MULTILINE)


def run(
    *command: str | Path, cwd: Path = RELEASE, env: dict[str, str] | None = None, code: tuple[int, ...] = (0,)
) -> str:
    """A command's words; the end of the release where it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        # Tools start each other by name.
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in code:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def refuse(version: str, wanted: str, changes: str, tags: list[str]) -> str | None:
    """Why there is no release of this, None if there is."""
    if not VERSION.fullmatch(version):
        return f'version "{version}" in galaxy.yml is no semantic version: MAJOR.MINOR.PATCH, see docs/upgrade_notes.md'
    if wanted and wanted != version:
        return f"galaxy.yml has version {version}, not {wanted}: correct one of the two"
    if changes:
        return f"there are changes that are not committed; a release is made of what is committed:\n{changes}"
    if f"v{version}" in tags or version in tags:
        return f"version {version} has a tag already: raise it in galaxy.yml"
    return None


def export(tree: Path) -> None:
    """The files of HEAD, and a repository around them, as ansible-galaxy and antsibull-changelog ask git."""
    tree.mkdir(parents=True)
    archive = tree.with_suffix(".tar")
    run("git", "archive", "--output", archive, "HEAD", cwd=ROOT)
    with tarfile.open(archive) as content:
        content.extractall(tree, filter="tar")
    archive.unlink()


def write_changelog(tree: Path, version: str) -> None:
    """From the fragments, unless the release stands in the changelog already."""
    released = tree / "changelogs" / "changelog.yaml"
    known = yaml.safe_load(released.read_text(encoding="utf-8"))["releases"] if released.exists() else {}
    if version not in known:
        run(BIN / "antsibull-changelog", "release", "--version", version, cwd=tree)
    for name in ("CHANGELOG.md", "CHANGELOG.rst"):
        # Markdown has the dots escaped.
        if version not in (tree / name).read_text(encoding="utf-8").replace("\\", ""):
            sys.exit(f"{name} does not speak of {version}")


def import_(tarball: Path) -> None:
    """What Galaxy's importer says; no complaint is let pass."""
    # Our documentation takes fragments of kubernetes.core's, which the importer does not fetch.
    packages = next(TOOLS.glob("lib/python*/site-packages"))
    run(sys.executable, ROOT / "tests" / "tools" / "fetch_collections.py", packages)
    env = {
        "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # `make lint` has run it, with the profile "production", which is stricter.
        "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
        "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true",
        "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(RELEASE / "tmp"),
    }
    said = run(TOOLS / "bin" / "python", "-m", "galaxy_importer.main", tarball, env=env)
    complaints = COMPLAINT.findall(said) and [found.group() for found in COMPLAINT.finditer(said)]
    if complaints:
        sys.exit("galaxy-importer complains:\n" + "\n".join(complaints))
    print("galaxy-importer: no complaints", flush=True)


def try_elsewhere(tarball: Path) -> None:
    """Install the tarball into an environment that has nothing else, and run the demo with what was installed."""
    environment, collections = RELEASE / "venv", RELEASE / "collections"
    run(sys.executable, ROOT / "tests" / "tools" / "make_venv.py", environment, "run")
    run(sys.executable, ROOT / "tests" / "tools" / "fetch_collections.py", collections)
    galaxy = environment / "bin" / "ansible-galaxy"
    alone = {"ANSIBLE_CONFIG": str(RELEASE / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(collections)}
    (RELEASE / "ansible.cfg").touch()
    run(galaxy, "collection", "install", "--offline", "--collections-path", collections, tarball, env=alone)
    demo = ROOT / "tests" / "tools" / "demo.py"
    said = run(environment / "bin" / "python", demo, "--installed", env=alone)
    print(said[-6000:], flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--version", default="", help="the version that this is to be; else that of galaxy.yml")
    parser.add_argument(
        "--rehearse", action="store_true", help="go on where the checkout has changes; HEAD is released"
    )
    args = parser.parse_args()

    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    version = str(galaxy["version"])
    changes = "" if args.rehearse else run("git", "status", "--porcelain", cwd=ROOT)
    reason = refuse(version, args.version, changes, run("git", "tag", cwd=ROOT).split())
    if reason:
        sys.exit(f"No release: {reason}")

    shutil.rmtree(RELEASE, ignore_errors=True)
    tree = RELEASE / "tree" / "ansible_collections" / galaxy["namespace"] / galaxy["name"]
    export(tree)
    write_changelog(tree, version)
    run(BIN / "ansible-galaxy", "collection", "build", "--output-path", RELEASE, tree)
    tarball = next(RELEASE.glob("*.tar.gz"))
    import_(tarball)
    try_elsewhere(tarball)
    print(
        f"release: {tarball.relative_to(ROOT)} is ready. To publish it: commit what `antsibull-changelog release` "
        f"makes of the fragments, `git tag v{version}`, `ansible-galaxy collection publish` it."
    )


if __name__ == "__main__":
    main()
