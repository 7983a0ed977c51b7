# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python for `fleetsim.warm` as Ansible starts it for a module: a fork reads the module from standard input.

What modules import is there already, except for Ansible itself and for collections: these are brought by each module.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import warnings

_MODULES = (
    "kubernetes.client",
    # Every API with every type: kubernetes.core.k8s_exec imports it, for four seconds.
    "kubernetes.client.apis",
    "kubernetes.config",
    "kubernetes.dynamic",
    "kubernetes.dynamic.resource",
    "kubernetes.stream",
    "runpy",
    "yaml",
)
# What is read while these are imported, or before.
_READ = ("HOME", "KUBECONFIG", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "TZ")

_environment: dict[str, str | None] = {}


def prepare() -> None:
    """Import, once."""
    # What is here for the tests only must not be found by modules.
    given = (os.environ.get("PYTHONPATH") or "").split(os.pathsep)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [folder for folder in sys.path if not (folder in given and folder.startswith(tests))]
    # One of them has been renamed, and says so whatever the filters are.
    with warnings.catch_warnings(record=True):
        for name in _MODULES:
            importlib.import_module(name)
    _environment.update(_of_now())


def _of_now() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in _READ if name != "PYTHONPATH"}


def warm(arguments: list[str], files: list[int]) -> None:
    """Become Python that runs what standard input has; `files` are for standard error, and input."""
    for file, number in zip(files, (2, 0), strict=False):
        os.dup2(file, number)
        os.close(file)
    if len(arguments) > 1 or _of_now() != _environment:
        os.execv(sys.executable, [sys.executable, *arguments[1:]])
    main = types.ModuleType("__main__")
    sys.modules["__main__"], sys.argv = main, [""]
    exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec"), vars(main))
