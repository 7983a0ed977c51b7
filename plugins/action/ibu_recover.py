# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovers all clusters of the batch, each from its own state; documented in plugins/modules/ibu_recover.py."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _labels
from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup import CleanupLimits, OadpPart
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, over_a_busy_moment, patient
from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import Drive
from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import count_of, seconds_of, timeouts_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import HubImport
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_cluster import OadpCluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Policy
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import Wishes
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover_drive import (
    TASK,
    Patience,
    RecoverDrive,
    Tools,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover_report import Plan, end_lines, plan_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Goal,
    IbuError,
    InvalidOption,
    Observed,
    Outcome,
)
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
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_labels import Entry, HubLabels

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session


class ActionModule(FleetAction):
    """One task for the whole batch. It fails only for bad options; a cluster's failure stands in its result."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "look": {"type": "bool", "default": False},
        "clusters": {"type": "list", "elements": "str"},
        "only_cleanup": {"type": "bool", "default": False},
        "logs": {"type": "bool", "default": True},
        "logs_saved": {"type": "list", "elements": "str", "default": []},
        "location_timeout": {"type": "float", "default": 600},
        "request_timeout": {"type": "float", "default": 300},
        "cleanup_timeout": {"type": "float", "default": 2400},
        "answer_timeout": {"type": "float", "default": 600},
        "same_failure_timeout": {"type": "float", "default": 420},
        "wait_timeout": {"type": "float", "default": 2400},
        "remove_stuck": {"type": "bool", "default": False},
        "orphan_data": {"type": "bool", "default": False},
        "finalize_rollback": {"type": "bool", "default": True},
        "rollback_after_expiration": {"type": "bool", "default": False},
        "node_access": {"type": "bool", "default": False},
        "despite_group_upgrades": {"type": "bool", "default": False},
        "timeouts": {"type": "dict", "default": {}},
        "contact_timeout": {"type": "float", "default": 60},
        "settle_timeout": {"type": "float", "default": 180},
        "concurrency": {"type": "int", "default": 0},
        "progress_interval": {"type": "float", "default": 5},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Look at the batch, say what will be done, and do it unless only a look was asked for."""
        look = self.check_mode or options["look"]
        hosts = self._chosen(options["clusters"], task_vars)
        most = count_of("concurrency", options["concurrency"]) or 0
        allow_open_files(min(most or len(hosts), len(hosts)))
        stop, clock = threading.Event(), Clock()
        hubs = _hubs(hosts, respect=not options["despite_group_upgrades"])
        drives = _Drives(options, clock, stop, hubs, look=look)
        fleet = Fleet(
            {host.name: drives.maker(host) for host in hosts},
            record=NoRecord(),
            clock=clock,
            stop=stop,
            show=silent if look else self.show,
            concurrency=most,
            interval=seconds_of("progress_interval", options["progress_interval"]),
            is_wanted=while_parent_lives(),
        )
        outcomes = run_until_stopped(fleet, stop)
        for hub in hubs.values():
            hub.close()
        lines = plan_lines(_plans(outcomes, drives.made), check=self.check_mode) if look else end_lines(outcomes)
        for line in lines:
            self.show(line)
        return {**_result(outcomes, drives.made, look=look), "check_mode": self.check_mode}

    def _chosen(self, names: list[str] | None, task_vars: t.Mapping[str, t.Any]) -> list[Host]:
        """The hosts of the batch, or those of them that are named."""
        batch = [str(name) for name in task_vars["ansible_play_batch"]]
        if names is None:
            return self.hosts(task_vars)
        if strangers := sorted(set(names) - set(batch)):
            raise InvalidOption("clusters", strangers[0], "it names hosts of the current batch")
        return self.hosts(task_vars, [name for name in batch if name in names])


class _Drives:
    """Makes the drive of one cluster in the thread that runs it, and keeps it for its report."""

    def __init__(
        self,
        options: t.Mapping[str, t.Any],
        clock: Clock,
        stop: threading.Event,
        hubs: t.Mapping[str, _Hub],
        *,
        look: bool,
    ) -> None:
        self._policy = Policy(
            location_timeout=seconds_of("location_timeout", options["location_timeout"]),
            request_timeout=seconds_of("request_timeout", options["request_timeout"], 1),
            remove_stuck=options["remove_stuck"],
            orphan_data=options["orphan_data"],
        )
        self._wishes = Wishes(
            logs=options["logs"],
            location_timeout=self._policy.location_timeout,
            orphan_data=options["orphan_data"],
            rollback_after_expiration=options["rollback_after_expiration"],
            finalize_rollback=options["finalize_rollback"],
            node_access=options["node_access"],
            only_cleanup=options["only_cleanup"],
        )
        contact = seconds_of("contact_timeout", options["contact_timeout"])
        self._patience = Patience(
            contact=contact,
            wait=seconds_of("wait_timeout", options["wait_timeout"]),
            cleanup=CleanupLimits(
                location=self._policy.location_timeout,
                take_up=seconds_of("answer_timeout", options["answer_timeout"]),
                same=seconds_of("same_failure_timeout", options["same_failure_timeout"]),
                whole=seconds_of("cleanup_timeout", options["cleanup_timeout"]),
                contact=contact,
            ),
        )
        self._limits = Limits(
            timeouts=timeouts_of("timeouts", options["timeouts"]),
            contact=contact,
            settle=seconds_of("settle_timeout", options["settle_timeout"]),
        )
        self._saved = frozenset(options["logs_saved"])
        self._clock = clock
        self._stop = stop
        self._hubs = hubs
        self._look = look
        self.made: dict[str, RecoverDrive] = {}

    def maker(self, host: Host) -> t.Callable[[Hook, Hook], RecoverDrive | Unopened]:
        return maker(host, TASK, lambda session, notify, commit: self._make(host, session, notify, commit))

    def _make(self, host: Host, session: Session, notify: Hook, commit: Hook) -> RecoverDrive:
        cluster = Cluster(session, over_a_busy_moment(self._clock, self._stop))
        clock, stop = self._clock, self._stop
        open_hub = patient(host.open_hub, self._patience.contact, clock, stop)

        def drive(goals: list[Goal]) -> Drive:
            return Drive(
                host.name,
                cluster,
                goals,
                limits=self._limits,
                clock=clock,
                stop=stop,
                notify=notify,
                commit=commit,
                import_hold=HubImport(open_hub, host.managed_cluster) if host.has_hub else None,
            )

        contact = self._patience.contact
        oadp = OadpPart(
            host.name, OadpCluster(session), self._policy, clock=clock, stop=stop, contact=contact, notify=notify
        )
        made = RecoverDrive(
            host.name,
            Tools(cluster, oadp, drive, self._hubs.get(host.name)),
            self._wishes,
            self._patience,
            clock=clock,
            stop=stop,
            notify=notify,
            look=self._look,
            logs_saved=host.name in self._saved,
        )
        self.made[host.name] = made
        return made


class _Hub:
    """The hub's side of one cluster. A hub that did not answer says so to everybody who asks."""

    def __init__(self, host: Host, hub: HubLabels, error: IbuError | None, respect: bool) -> None:
        self._name = host.managed_cluster
        self._hub = hub
        self._error = error
        self._respect = respect
        self._import = HubImport(host.open_hub, host.managed_cluster)

    def correction(self, observed: Observed) -> _labels.Correction:
        """What would bring the hub into line with a cluster in this state. Raises IbuError."""
        if self._error is not None:
            raise self._error
        entry = self._hub.entries.get(self._name)
        if entry is None:
            raise IbuError(f"{self._hub.url} has no ManagedCluster {self._name!r}; name it in ibu_managed_cluster")
        return self._judged(observed, entry)

    def correct(self, observed: Observed) -> tuple[bool, str]:
        """Bring it into line: whether something was written, and why something was left. Raises IbuError."""
        found = self.correction(observed)
        if found.keep:
            release = found.release and found.wrong
            if release:
                # Labels that TALM would put back are no reason to keep the cluster from being imported.
                self._import.release()
            return release, found.reason if found.add or found.remove or found.release else ""
        written = self._hub.write(self._name, lambda entry, _again: self._judged(observed, entry))
        return written.is_needed, ""

    def busy(self) -> str:
        """The group upgrade whose running step is not done with the cluster; a hub that is away names none."""
        return self._hub.busy.get(self._name, "")

    def close(self) -> None:
        """Drop the connections to the hub."""
        self._hub.close()

    def _judged(self, observed: Observed, entry: Entry) -> _labels.Correction:
        holds = self._hub.holds.get(self._name, ()) if self._respect else ()
        return _labels.correction(observed, entry.labels, entry.annotations, holds, self.busy())


def _hubs(hosts: t.Sequence[Host], *, respect: bool) -> dict[str, _Hub]:
    """The hub's side of every host that has one. Each hub is read once; one that is away fails nobody yet."""
    known: dict[str, HubLabels] = {}
    members: dict[str, list[Host]] = {}
    for host in hosts:
        if host.has_hub:
            known.setdefault(host.hub_key, HubLabels(host.open_hub))
            members.setdefault(host.hub_key, []).append(host)
    found = {}
    for key, hub in known.items():
        error: IbuError | None = None
        try:
            hub.read({host.managed_cluster for host in members[key]})
        except IbuError as problem:
            error = problem
        found.update({host.name: _Hub(host, hub, error, respect) for host in members[key]})
    return found


def _plans(outcomes: t.Mapping[str, Outcome], made: t.Mapping[str, RecoverDrive]) -> dict[str, Plan]:
    plans = {}
    for name, outcome in outcomes.items():
        drive = made.get(name)
        problem = f"{outcome.message} → {outcome.next_step}" if outcome.next_step else outcome.message
        plans[name] = Plan(drive.seen, drive.recovery, problem) if drive else Plan(None, None, problem)
    return plans


def _result(outcomes: t.Mapping[str, Outcome], made: t.Mapping[str, RecoverDrive], *, look: bool) -> dict[str, t.Any]:
    return {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "clusters": {name: _row(outcome, made.get(name)) for name, outcome in outcomes.items()},
        "failed_clusters": failed_clusters(outcomes),
        "needs_logs": [name for name, drive in made.items() if drive.needs_logs],
        "needs_node": {} if look else {n: d.needs_node for n, d in made.items() if d.needs_node is not None},
    }


def _row(outcome: Outcome, drive: RecoverDrive | None) -> dict[str, t.Any]:
    return {
        "changed": outcome.changed,
        "result": str(outcome.result),
        "state": outcome.state,
        "version": outcome.version_after,
        "message": outcome.message,
        "next_step": outcome.next_step,
        "completed": list(outcome.completed),
        "notes": list(outcome.notes),
        "seconds": outcome.seconds,
        **(drive.report if drive else {}),
    }
