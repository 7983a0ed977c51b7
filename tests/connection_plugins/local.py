# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In the place of Ansible's local connection: modules are forks of the worker, what they import is there already.

To start Python and to import what the modules of other collections need takes several times as long as what they do.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from ansible.plugins import connection

DOCUMENTATION = """
name: local
short_description: Modules as forks of the worker
description: [Runs a module that comes through a pipe in a fork, and all else as the local connection does.]
author: sno.image_upgrade authors
extends_documentation_fragment: [connection_pipelining]
"""

_IMPORTED = (
    "ansible.module_utils.basic",
    "ansible_collections.awx.awx.plugins.module_utils.controller_api",
    "ansible_collections.kubernetes.core.plugins.module_utils.k8s.core",
    "ansible_collections.kubernetes.core.plugins.module_utils.k8s.runner",
    "kubernetes.dynamic",
    "kubernetes.stream",
)
# This interpreter as this user, with nothing in its environment that the worker has not.
_PLAIN = re.compile(rf"/bin/sh -c '{re.escape(sys.executable)} && sleep 0'")

for _name in _IMPORTED:
    importlib.import_module(_name)


def _of_ansible() -> Any:
    """Its own local connection, under another name than this one, which has taken its."""
    path = Path(connection.__file__).with_name("local.py")
    spec = importlib.util.spec_from_file_location("ansible_own_local", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"Ansible has no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Connection


class Connection(_of_ansible()):  # type: ignore[misc]
    """Runs modules without a new interpreter."""

    transport = "local"

    def exec_command(self, cmd, in_data=None, sudoable=True):  # type: ignore[no-untyped-def]
        if not in_data or not _PLAIN.fullmatch(cmd):
            return super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                _become(in_data, output.fileno(), errors.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            errors.seek(0)
            return code, output.read(), errors.read()


def _become(program: bytes, output: int, errors: int) -> None:
    """Run the program as Python does, and never return."""
    code = 1
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), output, errors)):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = [""]
    try:
        exec(compile(program, "<stdin>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
