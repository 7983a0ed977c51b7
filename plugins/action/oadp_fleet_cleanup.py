# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleans up OADP on all clusters of the batch; the documentation is in plugins/modules/oadp_fleet_cleanup.py."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import count_of, seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_cluster import OadpCluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Policy
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_drive import (
    POLICY_OPTIONS,
    TASK,
    OadpDrive,
    policy_of,
    result_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import preview_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import (
    FleetAction,
    Host,
    allow_open_files,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._fleet_run import (
    Hook,
    NoRecord,
    Unopened,
    failed_clusters,
    maker,
    run_until_stopped,
    silent,
    while_parent_lives,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session


class ActionModule(FleetAction):
    """One task for the whole batch. It fails only for bad options; a cluster's failure stands in its result."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **POLICY_OPTIONS,
        "concurrency": {"type": "int", "default": 0},
        "progress_interval": {"type": "float", "default": 5},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Clean up the batch and return a result per cluster."""
        policy = policy_of(options)
        contact = seconds_of("contact_timeout", options["contact_timeout"])
        most = count_of("concurrency", options["concurrency"]) or 0
        interval = seconds_of("progress_interval", options["progress_interval"])
        hosts = self.hosts(task_vars)
        allow_open_files(min(most or len(hosts), len(hosts)))
        stop, clock = threading.Event(), Clock()
        drives = _Drives(policy, contact, clock, stop, self.check_mode)
        fleet = Fleet(
            {host.name: drives.maker(host) for host in hosts},
            record=NoRecord(),
            clock=clock,
            stop=stop,
            show=self.show if not self.check_mode else silent,
            concurrency=most,
            interval=interval,
            is_wanted=while_parent_lives(),
        )
        outcomes = run_until_stopped(fleet, stop)
        if self.check_mode:
            for line in preview_lines(outcomes):
                self.show(line)
        return _result(outcomes, drives.made)


class _Drives:
    """Makes the drive of one cluster in the thread that runs it, and keeps it for its report."""

    def __init__(self, policy: Policy, contact: float, clock: Clock, stop: threading.Event, check: bool) -> None:
        self._policy = policy
        self._contact = contact
        self._clock = clock
        self._stop = stop
        self._check = check
        self.made: dict[str, OadpDrive] = {}

    def maker(self, host: Host) -> t.Callable[[Hook, Hook], OadpDrive | Unopened]:
        return maker(host, TASK, lambda session, notify, _commit: self._make(host.name, session, notify))

    def _make(self, name: str, session: Session, notify: Hook) -> OadpDrive:
        self.made[name] = OadpDrive(
            name,
            OadpCluster(session, volumes=self._policy.reclaim_policies),
            self._policy,
            clock=self._clock,
            stop=self._stop,
            contact=self._contact,
            notify=notify,
            check=self._check,
        )
        return self.made[name]


def _result(outcomes: t.Mapping[str, Outcome], drives: t.Mapping[str, OadpDrive]) -> dict[str, t.Any]:
    reports = {name: drive.report for name, drive in drives.items()}
    rows = {name: result_of(outcome, reports.get(name, {})) for name, outcome in outcomes.items()}
    return {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "clusters": rows,
        "failed_clusters": failed_clusters(outcomes),
        "diff": [
            {"before_header": name, "after_header": name, **row["diff"]}
            for name, row in rows.items()
            if row.get("diff") and row["diff"]["before"] != row["diff"]["after"]
        ],
    }
