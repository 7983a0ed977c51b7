# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-rulebook in an environment of its own, and a fleet with a hub."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playbooks.conftest import fixture_prepare
from playbooks.runs import ROOT

__all__ = ["fixture_prepare"]

ENVIRONMENT = ROOT / ".cache" / "eda"
LEAST_JAVA = 17


@pytest.fixture(scope="session", name="rulebook_bin")
def fixture_rulebook_bin() -> Path:
    """The folder with ansible-rulebook; without it, or without a Java that it can use, there is nothing to run."""
    if not shutil.which("java"):
        pytest.skip("no java: ansible-rulebook needs Java 17 or newer")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    number = said.partition('"')[2].partition(".")[0]
    if not number.isdigit() or int(number) < LEAST_JAVA:
        pytest.skip(f"java is too old for ansible-rulebook: {said.splitlines()[0] if said else 'it says nothing'}")
    make = [sys.executable, str(ROOT / "tests" / "tools" / "make_venv.py"), str(ENVIRONMENT), "eda"]
    made = subprocess.run(make, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"ansible-rulebook cannot be installed: {(made.stderr or made.stdout).strip()[-300:]}")
    return ENVIRONMENT / "bin"
