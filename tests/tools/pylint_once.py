# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Become `ansible-test`, whose pylint does the same in half the time; started by run_ansible_test.py.

ansible-test starts pylint for modules, for module_utils, for unit tests and for the rest, each time with the same
settings, as it has others for its own code only. Each of the four reads and infers nearly the same modules. Here it
is one pylint for all. Nor does it look for garbage: it keeps nearly all that it reads, in a third of a gigabyte.

This replaces private names of ansible-test. One that has not got them is run as it is, and a line says so.
"""

from __future__ import annotations

import importlib
import runpy
import sys
import typing as t
from pathlib import Path

PRIVATE = "ansible_test._internal.commands.sanity.pylint"
# As `python -m pylint`; the first argument of a script is its name.
WITHOUT_COLLECTOR = "import gc; gc.disable(); import pylint; pylint.run_pylint()"


def in_no_folder(_path: str, _folder: str) -> bool:
    """What belongs to no folder of its own is left for the last run of pylint."""
    return False


def without_collector(start: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """What starts commands, and pylint without a collector of garbage."""

    def run_command(args: t.Any, command: list[str], **more: t.Any) -> t.Any:
        if command[1:3] == ["-m", "pylint"]:
            command = [command[0], "-c", WITHOUT_COLLECTOR, *command[3:]]
        return start(args, command, **more)

    return run_command


def replace() -> None:
    """Replace the names, or raise ImportError or AttributeError where this ansible-test has others."""
    private: t.Any = importlib.import_module(PRIVATE)
    # Both are looked up before one is replaced: half of it would be wrong.
    _is_subdir, start = private.is_subdir, private.run_command
    private.is_subdir, private.run_command = in_no_folder, without_collector(start)


def main() -> None:
    """Become ansible-test. Which names it lacks is not an error, only slow."""
    try:
        replace()
    except (ImportError, AttributeError) as error:
        print(f"pylint runs four times, not once, as this ansible-test is another one: {error}", flush=True)
    runpy.run_path(str(Path(sys.executable).with_name("ansible-test")), run_name="__main__")


if __name__ == "__main__":
    main()
