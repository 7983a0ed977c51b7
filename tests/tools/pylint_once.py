# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Become `ansible-test`, whose pylint does the same in half the time; started by run_ansible_test.py.

ansible-test starts pylint for modules, for module_utils, for unit tests and for the rest, each time with the same
settings, as it has others for its own code only. Each of the four reads and infers nearly the same modules. Here it
is one pylint for all. Nor does it look for garbage: it keeps nearly all that it reads, in a third of a gigabyte.
"""

from __future__ import annotations

import sys
import typing as t

from ansible_test._internal.commands.sanity import pylint
from ansible_test._util.target.cli.ansible_test_cli_stub import main

# As `python -m pylint`; the first argument of a script is its name.
WITHOUT_COLLECTOR = "import gc; gc.disable(); import pylint; pylint.run_pylint()"


def in_no_folder(_path: str, _folder: str) -> bool:
    """What belongs to no folder of its own is left for the last run of pylint."""
    return False


def run_command(args: t.Any, command: list[str], **more: t.Any) -> t.Any:
    """Run pylint without a collector of garbage."""
    if command[1:3] == ["-m", "pylint"]:
        command = [command[0], "-c", WITHOUT_COLLECTOR, *command[3:]]
    return start_command(args, command, **more)


if __name__ == "__main__":
    start_command = pylint.run_command
    pylint.is_subdir = in_no_folder
    pylint.run_command = run_command
    sys.argv[0] = "ansible-test"
    main()
