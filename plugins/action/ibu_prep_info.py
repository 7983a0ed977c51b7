# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Who is ready for the maintenance window; the documentation is in plugins/modules/ibu_prep_info.py."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS, seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._prep_report import (
    Row,
    plain,
    report_lines,
    row_of,
    silent_row,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction, Host

_THREADS = 100
_ACTIONS = (Action.PREP, Action.UPGRADE)


class ActionModule(FleetAction):
    """Reads all clusters in parallel and compares what they were prepared with to what is wanted now."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **GOAL_OPTIONS,
        "fleet": {"type": "list", "elements": "str"},
        "accept_validation_warnings": {"type": "bool", "default": True},
        "contact_timeout": {"type": "float", "default": 10},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """One row per cluster, in the inventory's order."""
        seconds_of("contact_timeout", options["contact_timeout"])
        hosts = self.hosts(task_vars, options["fleet"])
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            rows = list(pool.map(lambda host: _row(host, options), hosts))
        for line in report_lines(rows):
            self.show(line)
        return {
            "changed": False,
            "clusters": [plain(row) for row in rows],
            "ready": [row.cluster for row in rows if row.standing.is_good],
            "not_ready": {row.cluster: _verdict(row) for row in rows if not row.standing.is_good},
        }


def _row(host: Host, options: t.Mapping[str, t.Any]) -> Row:
    try:
        prep, upgrade = host.goals(_ACTIONS, options, accept_warnings=options["accept_validation_warnings"])
        session = host.open()
    except InvalidOption as error:
        return silent_row(host.name, str(error), "")
    try:
        return row_of(
            host.name, first_contact(Cluster(session).read, options["contact_timeout"], Clock()), prep, upgrade
        )
    except NoContact as error:
        return silent_row(host.name, str(error), error.next_step)
    finally:
        session.close()


def _verdict(row: Row) -> str:
    """The message with which a verdict task fails this host."""
    step = f" → {row.next_step}" if row.next_step else ""
    return f"{row.cluster} is not ready for the window: {row.standing}{': ' if row.why else ''}{row.why}{step}"
