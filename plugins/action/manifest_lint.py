# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module manifest_lint, and prints its findings where they are wanted."""

from __future__ import annotations

from ansible_collections.sno.image_upgrade.plugins.action.oadp_lint import ActionModule as LintAction


class ActionModule(LintAction):
    """The same as for the other lint: the module, and a display."""
