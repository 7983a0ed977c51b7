# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why volumes lost their contents; the documentation is in plugins/modules/lvms_diagnosis.py."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms_report import is_failure, lines_of
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._lvms_host import diagnose_host

_THREADS = 100


class ActionModule(FleetAction):
    """Reads all clusters in parallel, and prints what it found by cause."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "restore_policies": {"type": "bool", "default": False},
        "contact_timeout": {"type": "float", "default": 30},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """One row per cluster, in the inventory's order."""
        patience = seconds_of("contact_timeout", options["contact_timeout"])
        restore, check = options["restore_policies"], self.check_mode
        hosts = self.hosts(task_vars)
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda host: diagnose_host(host, patience, restore=restore, check=check), hosts)
            rows = dict(zip([host.name for host in hosts], found, strict=True))
        for line in lines_of(rows):
            self.show(line)
        changed = {name: row["reclaim_policies"]["set_back"] for name, row in rows.items()}
        return {
            "changed": any(changed.values()),
            "clusters": rows,
            "failed_clusters": {
                name: f"{name}: {row['message']} → {row['next_step']}" for name, row in rows.items() if is_failure(row)
            },
            "diff": [_diff(name, volumes) for name, volumes in changed.items() if volumes],
        }


def _diff(host: str, volumes: t.Sequence[str]) -> dict[str, t.Any]:
    before, after = ({name: policy for name in volumes} for policy in ("Retain", "Delete"))
    return {"before_header": host, "after_header": host, "before": before, "after": after}
