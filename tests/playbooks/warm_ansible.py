# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible for `fleetsim.warm`: what every run imports and looks up is there already, a fork runs one command.

Ansible compiles the code of a collection anew in each run, which is a third of what a short run costs. What it reads of
its environment while it is imported is that of the warm process, the same for every run; `runs.py` starts a program of
its own for a run that wants something else there.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from ansible import constants
from ansible.plugins import loader
from ansible.utils.path import cleanup_tmp_file

TESTS = Path(__file__).resolve().parents[1]
PLUGINS = TESTS.parent / "plugins"

# What every run comes to import, and what belongs to no run.
_MODULES = (
    "ansible.cli.adhoc",
    "ansible.cli.inventory",
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.plugins.action",
    "ansible.plugins.callback",
    "kubernetes.client",
    "kubernetes.config",
)
# Ansible loads all of these for each playbook, whatever it uses, and reads their documentation for their options.
_ALL_OF = (
    loader.become_loader,
    loader.callback_loader,
    loader.connection_loader,
    loader.inventory_loader,
    loader.shell_loader,
)
_PLUGINS = (
    (loader.strategy_loader, "linear"),
    (loader.action_loader, "assert"),
    (loader.action_loader, "normal"),
    (loader.action_loader, "set_fact"),
    (loader.action_loader, "validate_argument_spec"),
    # The first of these brings all others.
    (loader.filter_loader, "to_json"),
    (loader.test_loader, "match"),
)


def _of_the_collection() -> Iterator[str]:
    """What a playbook may come to import; `modules` run in processes of their own."""
    for kind in ("action", "filter", "lookup", "plugin_utils", "module_utils"):
        for path in sorted((PLUGINS / kind).glob("*.py")):
            yield f"ansible_collections.sno.image_upgrade.plugins.{kind}.{path.stem}"


def prepare() -> None:
    """Import and look up, once."""
    # Plugins must not find what is here for the tests only.
    sys.path[:] = [folder for folder in sys.path if not Path(folder).resolve().is_relative_to(TESTS)]
    loader.init_plugin_loader()
    for name in (*_MODULES, *_of_the_collection()):
        importlib.import_module(name)
    for every in _ALL_OF:
        list(every.all(class_only=True))
    for some, name in _PLUGINS:
        if some.get(name, class_only=True) is None:
            raise RuntimeError(f"Ansible has no plugin {name}")


def warm(arguments: list[str], files: list[int]) -> None:
    """Become the command; its end is a SystemExit, as that of the program. A file is for standard error."""
    for file in files:
        os.dup2(file, 2)
    program = Path(arguments[0]).name.removeprefix("ansible").removeprefix("-") or "adhoc"
    sys.argv = arguments
    _take_own_folder(os.environ["ANSIBLE_LOCAL_TEMP"])
    # It says so of what `prepare` did.
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    sys.modules[f"ansible.cli.{program}"].main()


def _take_own_folder(parent: str) -> None:
    """As Ansible makes one for each process and removes it at the end."""
    atexit.unregister(cleanup_tmp_file)
    Path(parent).mkdir(mode=0o700, parents=True, exist_ok=True)
    own = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=parent)
    constants.DEFAULT_LOCAL_TMP = own
    atexit.register(cleanup_tmp_file, own, warn=True)
