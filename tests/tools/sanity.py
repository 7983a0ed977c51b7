# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test` on a copy of the collection, because it insists on a path .../ansible_collections/sno/image_upgrade.

The copy has the files that git tracks or could track, and kubernetes.core as a neighbour, which the import tests need.
Everything after the script's name is passed on: `sanity.py sanity --test pep8`, `sanity.py units`.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from pathlib import Path

from checkout import ROOT, source_files

COLLECTIONS = ROOT / ".cache" / "ansible-test" / "ansible_collections"
COPY = COLLECTIONS / "sno" / "image_upgrade"
NEIGHBOUR = ROOT / ".cache" / "collections" / "ansible_collections" / "kubernetes"
# Read by nothing in the collection, and only noise for the code-smell tests.
LEFT_OUT = (".ci/", "tests/crds/", "tests/kubeapi/server/")
# What ansible-test itself writes into the copy.
KEPT = ("tests/output/",)


def files_to_test() -> list[Path]:
    """The checkout's files that ansible-test is to see."""
    return [path for path in source_files() if not path.as_posix().startswith(LEFT_OUT)]


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


def main() -> None:
    """Copy, then become ansible-test."""
    COPY.mkdir(parents=True, exist_ok=True)
    copy_changed(files_to_test())
    link_neighbour()
    os.chdir(COPY)
    os.execvp("ansible-test", ["ansible-test", *sys.argv[1:]])


if __name__ == "__main__":
    main()
