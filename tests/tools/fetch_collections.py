# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the collections that the tests need; nothing when they are there already.

They are taken out of a pinned release of the `ansible` package, because then a Python package index is all that
a machine has to reach. pip checks the download against the digest in ansible-wheel.txt.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
WHEEL = REQUIREMENTS / "ansible-wheel.txt"
# Collection -> the version that the pinned wheel has.
COLLECTIONS = {"awx.awx": "24.6.1", "kubernetes.core": "6.2.0"}
# The oldest that galaxy.yml allows, for `make matrix`.
OLDEST_WHEEL = REQUIREMENTS / "ansible-wheel-oldest.txt"
OLDEST = {"kubernetes.core": "5.2.0"}


def installed_version(directory: Path) -> str | None:
    """The version of an installed collection, None where there is none or only half of one."""
    try:
        manifest = json.loads((directory / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(manifest["collection_info"]["version"])
    except (OSError, ValueError, KeyError):
        return None


def location(root: Path, collection: str) -> Path:
    """Where Ansible looks for the collection under this collections path."""
    return root / "ansible_collections" / Path(*collection.split("."))


def download(directory: Path, requirement: Path) -> Path:
    """The pinned wheel, by pip, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--dest",
        str(directory),
        "--requirement",
        str(requirement),
    ]
    # The wheel is data here: it is never run, so the Python that it asks for does not matter.
    command += ["--python-version", "3.13"]
    if subprocess.run(command).returncode:
        sys.exit("pip could not download the wheel with the collections; its message is above.")
    return next(directory.glob("ansible-*.whl"))


def extract(wheel: Path, root: Path, collection: str) -> None:
    """Put the collection in place in one move, so that an interrupted run leaves nothing half-done."""
    target = location(root, collection)
    prefix = "/".join(["ansible_collections", *collection.split("."), ""])
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch, zipfile.ZipFile(wheel) as archive:
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(prefix)])
        shutil.rmtree(target, ignore_errors=True)
        (Path(scratch) / prefix).rename(target)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("root", type=Path, help="the collections path to put them into")
    parser.add_argument("--oldest", action="store_true", help="the oldest versions that are supported")
    args = parser.parse_args()
    root: Path = args.root
    root.mkdir(parents=True, exist_ok=True)
    wanted, requirement = (OLDEST, OLDEST_WHEEL) if args.oldest else (COLLECTIONS, WHEEL)

    missing = {name: v for name, v in wanted.items() if installed_version(location(root, name)) != v}
    if not missing:
        return
    print(f"fetching {', '.join(f'{name} {v}' for name, v in missing.items())} into {root}", flush=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        wheel = download(Path(scratch), requirement)
        for collection, version in missing.items():
            extract(wheel, root, collection)
            found = installed_version(location(root, collection))
            if found != version:
                sys.exit(f"The wheel has {collection} {found}, not {version}: correct the versions in {__file__}.")


if __name__ == "__main__":
    main()
