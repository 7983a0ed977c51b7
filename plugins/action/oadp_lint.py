# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module oadp_lint, and prints its findings where they are wanted."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_display = Display()


class ActionModule(ActionBase):
    """The module, and a display."""

    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module and print what it found."""
        super().run(tmp, task_vars)
        # A module runs in the folder of the playbook, which for one of a collection is nobody's.
        arguments = {**self._task.args, "base": self._task.args.get("base") or os.getcwd()}
        result: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        if boolean(self._task.args.get("show", False), strict=False):
            host = str((task_vars or {}).get("inventory_hostname", ""))
            before = "" if host in ("", "localhost") else f"{host}: "
            for line in result.get("lines", ()):
                _display.display(f"{before}{line}")
            for line in result.get("not_checked", ()):
                _display.display(f"{before}not checked: {line}")
        return result
