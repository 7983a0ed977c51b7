# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local connection, whose modules are forks of the worker: what they import is there already.

To start Python and to import what the modules of awx.awx need takes several times as long as what they do.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import traceback

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: forked
short_description: Modules as forks of the worker
description: [Runs what comes through a pipe in a fork, and all else as the local connection does.]
author: sno.image_upgrade authors
extends_documentation_fragment: [connection_pipelining]
"""

for _name in ("ansible.module_utils.basic", "ansible_collections.awx.awx.plugins.module_utils.controller_api"):
    importlib.import_module(_name)


class Connection(Local):
    """Runs modules without a new interpreter."""

    transport = "forked"

    def exec_command(self, cmd, in_data=None, sudoable=True):  # type: ignore[no-untyped-def]
        if not in_data:
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
