# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible for `fleetsim.warm`: what every run imports and looks up is there already, a fork runs one command.

Ansible compiles the code of a collection anew in each run, which is a third of what a short run costs.

A fork reads the configuration anew, as its own directory and environment give it: ansible.cfg, ANSIBLE_CONFIG and all
other variables. Some settings are used while Ansible is imported, the paths of its plugins for example. Which these are
is watched, and a fork for which one of them has another value starts the program itself: slower, but never wrong.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants

# It uses two settings while it is imported, and is imported again in each fork.
from ansible.utils import color
from ansible.utils.path import cleanup_tmp_file

TESTS = Path(__file__).resolve().parents[1]
PLUGINS = TESTS.parent / "plugins"
_OF_ANSIBLE = Path(constants.__file__).parent

# What every run comes to import, and what belongs to no run.
_MODULES = (
    "ansible.cli.adhoc",
    "ansible.cli.inventory",
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.playbook.handler_task_include",
    "ansible.plugins.action",
    "ansible.plugins.callback",
    "kubernetes.client",
    "kubernetes.config",
    "multiprocessing.popen_fork",
    "multiprocessing.synchronize",
)
# Ansible loads all of these for each playbook, whatever it uses, and reads their documentation for their options. Those
# of others it loads in the fork: nobody watches what they read while they are imported, or change.
_ALL_OF = ("become_loader", "callback_loader", "connection_loader", "inventory_loader", "shell_loader")
_PLUGINS = (
    ("strategy_loader", "linear"),
    ("action_loader", "assert"),
    ("action_loader", "normal"),
    ("action_loader", "set_fact"),
    ("action_loader", "validate_argument_spec"),
    ("lookup_loader", "env"),
    ("lookup_loader", "file"),
    ("lookup_loader", "pipe"),
    ("lookup_loader", "url"),
    # The first of these brings all others.
    ("filter_loader", "to_json"),
    ("test_loader", "match"),
)
# Of the environment, what Python and libraries have read before: a fork cannot be told of a change.
_OF_PYTHON = ("HOME", "KUBECONFIG", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "PYTHONPATH", "TZ")

# What was used until the first fork, with its values.
_used: dict[str, Any] = {}
_environment: dict[str, str | None] = {}


def _of_the_collection() -> Iterator[str]:
    """What a playbook may come to import; `modules` run in processes of their own."""
    for kind in ("action", "filter", "lookup", "plugin_utils", "module_utils"):
        for path in sorted((PLUGINS / kind).glob("*.py")):
            yield f"ansible_collections.sno.image_upgrade.plugins.{kind}.{path.stem}"


class _Watched(types.ModuleType):
    """`ansible.constants`, of which is noted what anybody takes from it."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.isupper():
            _used[name] = value
        return value


@contextlib.contextmanager
def _watching() -> Iterator[None]:
    """Note in `_used` which settings are used, and their values."""
    config = constants.config
    ask = config.get_config_value_and_origin

    def ask_and_note(setting: str, *args: Any, plugin_type: str | None = None, **more: Any) -> Any:
        answer = ask(setting, *args, plugin_type=plugin_type, **more)
        if plugin_type is None:
            _used[setting] = answer[0]
        return answer

    constants.__class__, config.get_config_value_and_origin = _Watched, ask_and_note
    try:
        yield
    finally:
        constants.__class__ = types.ModuleType
        del config.get_config_value_and_origin


def prepare() -> None:
    """Import and look up, once."""
    # Plugins must not find what is here for the tests only.
    sys.path[:] = [folder for folder in sys.path if not _is_of_the_tests(folder)]
    with _watching():
        _import_and_look_up()
    # A folder of its own for each process.
    _used.pop("DEFAULT_LOCAL_TMP", None)
    _environment.update(_of_python())


def _import_and_look_up() -> None:
    from ansible.plugins import loader

    loader.init_plugin_loader()
    for name in (*_MODULES, *_of_the_collection()):
        importlib.import_module(name)
    for plugins in (getattr(loader, name) for name in _ALL_OF):
        for path in plugins.all(path_only=True):
            if Path(path).is_relative_to(_OF_ANSIBLE) or _is_of_the_tests(path):
                plugins.get(Path(path).stem, class_only=True)
    for loader_name, name in _PLUGINS:
        if getattr(loader, loader_name).get(name, class_only=True) is None:
            raise RuntimeError(f"Ansible has no plugin {name}")


def _is_of_the_tests(path: str) -> bool:
    return Path(path).resolve().is_relative_to(TESTS)


def _of_python() -> dict[str, str | None]:
    found = {name: os.environ.get(name) for name in _OF_PYTHON}
    folders = (os.environ.get("PYTHONPATH") or "").split(os.pathsep)
    return {**found, "PYTHONPATH": os.pathsep.join(one for one in folders if one and not _is_of_the_tests(one))}


def warm(arguments: list[str], files: list[int]) -> None:
    """Become the command; its end is a SystemExit, as that of the program. `files`: for standard error, and input."""
    for file, number in zip(files, (2, 0), strict=False):
        os.dup2(file, number)
        os.close(file)
    if not _take_settings():
        # Removes Ansible's temporary folder.
        atexit._run_exitfuncs()
        os.execvp(arguments[0], arguments)
    program = Path(arguments[0]).name.removeprefix("ansible").removeprefix("-") or "adhoc"
    sys.argv = arguments
    # It says so of what `prepare` did.
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    importlib.import_module(f"ansible.cli.{program}").main()


def _take_settings() -> bool:
    """Read the configuration as this process would have read it while it imported Ansible; whether that is the same."""
    # That of the warm process; this one makes its own in the next lines.
    atexit.unregister(cleanup_tmp_file)
    config = constants.config
    plugins = config._plugins
    definitions = config.get_configuration_definitions()
    # What the definitions are does not depend on the environment, and takes a while to read.
    config._read_config_yaml_file = lambda _path: definitions
    config.__init__()
    config._plugins = plugins
    for setting in definitions:
        constants.set_constant(setting, config.get_config_value(setting, variables=vars(constants)))
    if _of_python() != _environment or any(vars(constants)[name] != value for name, value in _used.items()):
        return False
    importlib.reload(color)
    sys.modules["ansible.utils.display"].Display()._set_column_width()
    return True
