# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where every cluster of the batch stands; the documentation is in plugins/modules/ibu_fleet_info.py."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._info import status_of, status_of_silent
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import status_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction, Host

_THREADS = 100


class ActionModule(FleetAction):
    """Reads all clusters in parallel and prints one table."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {"contact_timeout": {"type": "float", "default": 10}}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """One row per cluster, in the inventory's order."""
        patience = seconds_of("contact_timeout", options["contact_timeout"])
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            rows = list(pool.map(lambda host: _row(host, patience), self.hosts(task_vars)))
        for line in status_lines(rows):
            self.show(line)
        return {"changed": False, "clusters": rows}


def _row(host: Host, patience: float) -> dict[str, t.Any]:
    try:
        session = host.open()
    except InvalidOption as error:
        return status_of_silent(host.name, str(error))
    try:
        return status_of(host.name, first_contact(Cluster(session).read, patience, Clock()))
    except NoContact as error:
        return status_of_silent(host.name, str(error))
    finally:
        session.close()
