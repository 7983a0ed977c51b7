# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The node of a seed cluster, by shell commands alone. It stays up while its API is down."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import masked_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import (
    HOST_COMMAND,
    HostFacts,
    host_facts,
)

CONTAINER = "lca_image_builder"
_LOG_LINES = 400
_LOG = (
    f"podman logs --tail {_LOG_LINES} {CONTAINER} 2>&1 || "
    f"journalctl --no-pager -n {_LOG_LINES} -u lca-generate-seed-image 2>&1"
)
_LAST_LINE = f"podman logs --tail 1 {CONTAINER} 2>&1"
_LINE_WIDTH = 120

# Runs a command line on the node: exit status and output.
Run = t.Callable[[str], "tuple[int, str]"]


class SeedNode:
    """Asks the node. It never raises: a node that cannot be reached is a fact, and costs the run nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def facts(self) -> HostFacts:
        """What only the node can say of the agent's refusals."""
        code, output = self._ask(HOST_COMMAND)
        if code:
            return HostFacts(why=f"the node could not be asked: {' '.join(output.split())[:_LINE_WIDTH]}")
        return host_facts(output)

    def log(self) -> str:
        """The end of the imager's log; empty where there is none."""
        code, output = self._ask(_LOG)
        return "" if code else output

    def last_line(self) -> str:
        """The last line of it, fit to be shown."""
        code, output = self._ask(_LAST_LINE)
        lines = output.strip().splitlines()
        return "" if code or not lines else masked_text(lines[-1])[:_LINE_WIDTH]

    def _ask(self, command: str) -> tuple[int, str]:
        try:
            return self._run(command)
        except AnsibleError as error:
            return 1, str(error)
