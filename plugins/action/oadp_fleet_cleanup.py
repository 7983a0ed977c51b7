# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleans up OADP on all clusters of the batch; the documentation is in plugins/modules/oadp_fleet_cleanup.py."""

from __future__ import annotations

import os
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import View
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
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import (
    FleetAction,
    Host,
    StopOnSignal,
    allow_open_files,
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
        stop, clock, parent = threading.Event(), Clock(), os.getppid()
        drives = _Drives(policy, contact, clock, stop, self.check_mode)
        fleet = Fleet(
            {host.name: drives.maker(host) for host in hosts},
            record=_NoRecord(),
            clock=clock,
            stop=stop,
            show=self.show if not self.check_mode else _silent,
            concurrency=most,
            interval=interval,
            # A killed ansible-playbook leaves its workers behind; a rerun must not meet them at the same clusters.
            is_wanted=lambda: os.getppid() == parent,
        )
        with StopOnSignal(stop) as signals:
            outcomes = fleet.run()
            if stop.is_set():
                # Whoever asked for the stop is gone or going, and nobody listens any more.
                os._exit(128 + signals.number)
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

    def maker(self, host: Host) -> t.Callable[[t.Callable[[], None], t.Callable[[], None]], OadpDrive | _Unopened]:
        # Credentials are loaded here, in one thread and before the first write anywhere.
        try:
            session = host.open()
        except InvalidOption as error:
            # A host that was described wrongly is no reason to leave the others in their outage.
            unopened = _Unopened(host.name, str(error))
            return lambda _notify, _commit: unopened
        return lambda notify, _commit: self._make(host.name, session, notify)

    def _make(self, name: str, session: Session, notify: t.Callable[[], None]) -> OadpDrive:
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


class _Unopened:
    """In the place of a drive, for a host whose connection variables are of no use."""

    def __init__(self, name: str, why: str) -> None:
        self.view = View(name, task=TASK)
        self.outcome = Outcome(name, action=TASK)
        self._why = why

    def run(self) -> Outcome:
        """Say so."""
        self.outcome.result, self.outcome.message = Result.UNREACHABLE, self._why
        self.outcome.next_step = "correct its connection variables, then run again"
        return self.outcome


class _NoRecord:
    """The outcome file belongs to rollouts: what a cleanup did to a cluster is not what became of its upgrade."""

    path = ""

    def put(self, outcome: Outcome) -> None:
        """Nothing to keep."""

    def save(self) -> None:
        """Nothing to write."""


def _silent(_line: str) -> None:
    """Check mode has a preview of its own instead of progress."""


def _result(outcomes: t.Mapping[str, Outcome], drives: t.Mapping[str, OadpDrive]) -> dict[str, t.Any]:
    reports = {name: drive.report for name, drive in drives.items()}
    rows = {name: result_of(outcome, reports.get(name, {})) for name, outcome in outcomes.items()}
    return {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "clusters": rows,
        "failed_clusters": {
            name: f"{name}: {outcome.message}" + (f" → {outcome.next_step}" if outcome.next_step else "")
            for name, outcome in outcomes.items()
            if outcome.result.is_failure
        },
        "diff": [
            {"before_header": name, "after_header": name, **row["diff"]}
            for name, row in rows.items()
            if row.get("diff") and row["diff"]["before"] != row["diff"]["after"]
        ],
    }
