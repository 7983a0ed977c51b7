# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Debian's docker-registry for the tests, or unpack its package into .cache; root is not needed.

`python fetch_registry.py` prints the path of the program, or says why there is none and ends with 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "docker-registry"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / PACKAGE
UNPACKED = CACHE / "usr" / "bin" / PACKAGE


class NoRegistry(Exception):
    """There is no program to run; the text says why and how to get one."""


def find() -> Path:
    """The program that is ready to run: the installed one, or the one in .cache."""
    installed = shutil.which(PACKAGE)
    if installed:
        return Path(installed)
    if UNPACKED.exists():
        return UNPACKED
    raise NoRegistry(f"no {PACKAGE}: install Debian's package of that name, or run tests/tools/fetch_registry.py")


def fetch() -> Path:
    """The program, taken from Debian's archive where it is not there yet."""
    try:
        return find()
    except NoRegistry:
        pass
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise NoRegistry(f"no {PACKAGE}, and no {tool} to get it with; put a registry of that name on PATH")
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=folder, capture_output=True, text=True)
        package = next(Path(folder).glob("*.deb"), None)
        if got.returncode or package is None:
            raise NoRegistry(f"apt-get download {PACKAGE} failed: {got.stderr.strip()}")
        # Moved in one step, so that whoever looks meanwhile finds all of it or nothing.
        subprocess.run(["dpkg-deb", "-x", package, f"{folder}/unpacked"], check=True)
        CACHE.parent.mkdir(exist_ok=True)
        shutil.rmtree(CACHE, ignore_errors=True)
        shutil.move(f"{folder}/unpacked", CACHE)
    return UNPACKED


if __name__ == "__main__":
    try:
        print(fetch())
    except NoRegistry as reason:
        sys.exit(str(reason))
