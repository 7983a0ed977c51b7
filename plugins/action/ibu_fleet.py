# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drives all clusters of the batch through actions or a plan; the documentation is in plugins/modules/ibu_fleet.py."""

from __future__ import annotations

import dataclasses
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, over_a_busy_moment, patient
from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import Drive
from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import (
    GOAL_OPTIONS,
    count_of,
    seconds_of,
    timeouts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import HubImport
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import parse_actions
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._links import Links, parse_most
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import check_shape
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep, parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_run import PlanRun
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import preview_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._steps import prepares_only
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
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
    of_each,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._fleet_run import (
    run_until_stopped,
    silent,
    while_parent_lives,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._recap import recap
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._run import check_free, default_outcome_file, run_id

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

# The options that say what is to be run.
_WORK = frozenset({"actions", "plan"})


class ActionModule(FleetAction):
    """One task for the whole batch. It fails only for bad options; a cluster's failure stands in its outcome."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "actions": {"type": "list", "elements": "str"},
        "plan": {"type": "list", "elements": "dict"},
        "stop_after": {"type": "str"},
        **GOAL_OPTIONS,
        "outcome_file": {"type": "path"},
        "concurrency": {"type": "int", "default": 0},
        "link_concurrency": {"type": "raw", "default": 0},
        "max_failures": {"type": "int"},
        "timeouts": {"type": "dict", "default": {}},
        "contact_timeout": {"type": "float", "default": 60},
        "settle_timeout": {"type": "float", "default": 180},
        "verify_timeout": {"type": "float", "default": 600},
        "soak": {"type": "float", "default": 0},
        "accept_validation_warnings": {"type": "bool", "default": True},
        "rollback_after_expiration": {"type": "bool", "default": False},
        "progress_interval": {"type": "float", "default": 5},
    }

    def variables(self) -> dict[str, str]:
        """What the task says is to be run is not also looked for in variables."""
        said = _WORK & set(self._task.args)
        return {name: variable for name, variable in super().variables().items() if not (said and name in _WORK)}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Drive the batch and return the outcomes."""
        steps = _steps(options)
        limits = _limits(options)
        count_of("max_failures", options["max_failures"])
        hosts = self.hosts(task_vars)
        most = count_of("concurrency", options["concurrency"]) or 0
        widest = max(step.max_concurrency for step in steps) if options["plan"] is not None else len(hosts)
        allow_open_files(min(most or len(hosts), widest, len(hosts)))
        clock = Clock()
        path = options["outcome_file"] or default_outcome_file()
        # Credentials are loaded here, in one thread and before the first write anywhere.
        try:
            described = of_each(hosts, lambda host: ([_goals(host, step, options) for step in steps], host.open()))
        except IbuError as error:
            reason = f"its next batch was not started: {error}"
            self._close_rollout(path, reason, task_vars)
            if self.check_mode or "awx_job_id" not in task_vars:
                raise
            # In a job nothing ends a play: the verdict and the closed gates leave everybody to the relaunch.
            never = {host.name: f"{host.name}: never started: {error}" for host in hosts}
            return {"changed": False, "outcomes": {}, "failed_clusters": never, "outcome_file": path}
        goals = {name: of_host for name, (of_host, _session) in described.items()}
        sessions = {name: session for name, (_goals_of, session) in described.items()}
        most_on_link = parse_most("link_concurrency", options["link_concurrency"])
        links = Links({host.name: host.link for host in hosts if host.link}, most_on_link)
        stop = threading.Event()
        record = _open_record(path, hosts, clock, self.check_mode)
        drives = _Drives(hosts, sessions, clock, stop, self.check_mode)
        common: dict[str, t.Any] = {
            "record": record,
            "clock": clock,
            "stop": stop,
            "show": self.show if not self.check_mode else silent,
            "max_failures": options["max_failures"],
            "interval": seconds_of("progress_interval", options["progress_interval"]),
            "is_wanted": while_parent_lives(),
        }
        run: Fleet | PlanRun
        if options["plan"] is not None:
            run = PlanRun(
                steps, goals, drives.maker, limits=limits, most=most, links=links, check=self.check_mode, **common
            )
        else:
            members = {
                name: drives.maker(name, only, limits, expect_away=record.expects_away(name))
                for name, (only,) in goals.items()
            }
            bound = links if prepares_only(steps[0].actions) else None
            run = Fleet(members, concurrency=most, links=bound, **common)
        outcomes = run_until_stopped(run, stop)
        if self.check_mode:
            for line in preview_lines(outcomes):
                self.show(line)
        if not record.is_saved:
            self._save_at_last(record, task_vars)
        return _result(outcomes, record.path)

    def _save_at_last(self, record: Record, task_vars: t.Mapping[str, t.Any]) -> None:
        """Save what could not be saved while the batch ran. Raises InvalidOption where that is still so: no gate and no
        report would know of this batch, so the rollout ends with it, and says here what it has come to."""
        try:
            record.save_first()
        except InvalidOption as error:
            self._show_recap(record, str(error), task_vars)
            raise

    def _close_rollout(self, path: str, reason: str, task_vars: t.Mapping[str, t.Any]) -> None:
        """Say how the rollout went, where one ends here that has had batches before."""
        record = Record.load(path, writable=not self.check_mode)
        is_first = len(record.batches) < _FIRST_BATCHES and "awx_job_id" not in task_vars
        if self.check_mode or record.run != run_id() or is_first:
            return
        record.stop(reason)
        record.save_first()
        self._show_recap(record, reason, task_vars)

    def _show_recap(self, record: Record, reason: str, task_vars: t.Mapping[str, t.Any]) -> None:
        fleet = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        for line in recap(record, fleet, stopped=reason, in_job="awx_job_id" in task_vars):
            self.show(line)


# With its second batch a rollout has something to tell.
_FIRST_BATCHES = 2


class _Drives:
    """Makes the drives of all clusters, each in the thread that runs it."""

    def __init__(
        self,
        hosts: t.Iterable[Host],
        sessions: t.Mapping[str, Session],
        clock: Clock,
        stop: threading.Event,
        check: bool,
    ) -> None:
        self._hosts = {host.name: (host, sessions[host.name]) for host in hosts}
        self._clock = clock
        self._stop = stop
        self._check = check

    def maker(
        self,
        name: str,
        goals: t.Sequence[Goal],
        limits: Limits,
        *,
        expect_away: bool,
        leaves: t.Callable[[Observed], str] | None = None,
    ) -> t.Callable[[t.Callable[[], None], t.Callable[[], None]], Drive]:
        host, session = self._hosts[name]
        open_hub = patient(host.open_hub, limits.contact, self._clock, self._stop)
        import_hold = HubImport(open_hub, host.managed_cluster) if host.has_hub else None

        def make(notify: t.Callable[[], None], commit: t.Callable[[], None]) -> Drive:
            return Drive(
                name,
                Cluster(session, over_a_busy_moment(self._clock, self._stop)),
                goals,
                limits=limits,
                clock=self._clock,
                stop=self._stop,
                notify=notify,
                commit=commit,
                import_hold=import_hold,
                expect_away=expect_away,
                check=self._check,
                leaves=leaves,
            )

        return make


def _goals(host: Host, step: PlannedStep, options: t.Mapping[str, t.Any]) -> list[Goal]:
    return host.goals(
        [Action(action) for action in step.actions],
        options,
        rollback_after_expiration=options["rollback_after_expiration"],
        accept_warnings=options["accept_validation_warnings"],
    )


def _steps(options: t.Mapping[str, t.Any]) -> tuple[PlannedStep, ...]:
    """The steps to run; a list of actions is one step. Raises InvalidOption."""
    actions, plan = options["actions"], options["plan"]
    if (actions is None) == (plan is None):
        raise InvalidOption("plan", plan, "give either actions or a plan")
    if plan is None:
        return (PlannedStep(parse_actions(actions, options["stop_after"]), 0),)
    if options["stop_after"]:
        raise InvalidOption("stop_after", options["stop_after"], "it is for actions; of a plan, leave out the steps")
    steps = parse_plan(plan)
    check_shape(tuple(step.actions for step in steps))
    return steps


def _limits(options: t.Mapping[str, t.Any]) -> Limits:
    return Limits(
        timeouts=timeouts_of("timeouts", options["timeouts"]),
        contact=seconds_of("contact_timeout", options["contact_timeout"]),
        settle=seconds_of("settle_timeout", options["settle_timeout"]),
        verify=seconds_of("verify_timeout", options["verify_timeout"]),
        soak=seconds_of("soak", options["soak"]),
    )


def _open_record(path: str, hosts: t.Iterable[Host], clock: Clock, check: bool) -> Record:
    """The rollout's outcome file, with every host of the batch in it; written once to prove that it can be."""
    record = Record.load(path, writable=not check)
    if not check:
        check_free(record)
    record.begin(run_id(), (host.name for host in hosts), clock.now().isoformat(timespec="seconds"))
    record.save_first()
    return record


def _result(outcomes: t.Mapping[str, Outcome], outcome_file: str) -> dict[str, t.Any]:
    return {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "outcomes": {name: {**dataclasses.asdict(o), "result": str(o.result)} for name, o in outcomes.items()},
        "failed_clusters": {name: _verdict(outcome) for name, outcome in outcomes.items() if outcome.result.is_failure},
        "outcome_file": outcome_file,
    }


def _verdict(outcome: Outcome) -> str:
    """The message with which the verdict task fails this host."""
    stage = outcome.stage or outcome.action or "first contact"
    step = f" → {outcome.next_step}" if outcome.next_step else ""
    return f"{outcome.name} {outcome.result.replace('_', ' ')} in stage {stage}: {outcome.message}{step}"
