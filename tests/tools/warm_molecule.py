# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule for `fleetsim.warm`: it is imported, and has asked for Ansible's configuration, once for all scenarios."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def prepare() -> None:
    """What every scenario comes to do, in the environment and the folder of all of them."""
    commands = importlib.import_module("molecule.command")
    for found in pkgutil.iter_modules(commands.__path__, "molecule.command."):
        importlib.import_module(found.name)
    importlib.import_module("molecule.provisioner.ansible_playbook")
    importlib.import_module("molecule.shell")
    # Kept by Molecule: Ansible's version and `ansible-config dump`.
    _version = importlib.import_module("molecule.app").get_app(Path.cwd()).runtime.version


def warm(arguments: list[str], _files: list[int]) -> None:
    """Become the command."""
    sys.argv = arguments
    sys.modules["molecule.shell"].main()
