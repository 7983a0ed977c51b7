# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes a fleet through a plan on the hub; the documentation is in plugins/modules/ibgu_fleet.py."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import Budget, parse_budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import Declared, narrowed
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import Place
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_action import (
    FOLLOW_OPTIONS,
    GROUP_OPTIONS,
    declared_by,
    hub_errors,
    limits_of,
    origin_of,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_run import GroupRun, Outcome, Settings
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import (
    AUTH_OPTIONS,
    NAME_OPTIONS,
    HubAction,
    Inventory,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_rights import check_group_rights

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session


class ActionModule(HubAction):
    """Canary, then everybody else, step by step within a budget. A cluster's failure stands in the result."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **NAME_OPTIONS,
        **GROUP_OPTIONS,
        "canary": {"type": "list", "elements": "str", "default": []},
        "stop_after": {"type": "int"},
        "budget": {"type": "str", "default": "5%"},
        "verify": {"type": "bool", "default": True},
        "require_hosts": {"type": "bool", "default": True},
        "limit_to_hosts": {"type": "bool", "default": False},
        "abort_failed": {"type": "bool", "default": False},
        **FOLLOW_OPTIONS,
        **AUTH_OPTIONS,
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run the group upgrades that the plan takes, as far as they may go."""
        inventory = Inventory(task_vars)
        settings = _settings(options, inventory, check=self.check_mode)
        session = self.open_hub(options)
        with hub_errors(session):
            declared = declared_by(options, task_vars, origin_of(options, session))
            check_group_rights(session, declared.namespace, steps=len(declared.plan))
            if options["limit_to_hosts"]:
                hosts = [cluster for _host, cluster in inventory.batch()]
                declared = dataclasses.replace(declared, selectors=narrowed(declared.selectors, hosts, ()))
            runs = _Runs(session, declared, settings, inventory, self.show)
            if options["canary"]:
                runs.canary(options["canary"])
            if not runs.stopped:
                runs.everybody_else(options["canary"])
            if runs.stopped and options["abort_failed"] and not self.check_mode:
                runs.abort_failed()
        return _result(runs, inventory)


class _Runs:
    """The group upgrades of one call, and what has come of them."""

    def __init__(
        self,
        session: Session,
        declared: Declared,
        settings: Settings,
        inventory: Inventory,
        show: t.Callable[[str], None],
    ) -> None:
        self._session = session
        self._declared = declared
        self._settings = settings
        self._inventory = inventory
        self._show = show
        self.outcomes: list[Outcome] = []
        self.stopped = ""

    def canary(self, names: t.Sequence[str]) -> None:
        """The whole plan on a few clusters, as a group upgrade of its own, of which nobody may fail."""
        declared = dataclasses.replace(
            self._declared,
            name=f"{self._declared.name}-canary",
            selectors=narrowed(self._declared.selectors, names, ()),
            only=tuple(names),
        )
        self._show(f"CANARY  {' '.join(names)}")
        settings = dataclasses.replace(self._settings, budget=Budget(0, is_share=False), stop_after=None)
        outcome = self._run(declared, settings)
        if outcome.stopped or (outcome.group and outcome.group.failed):
            self.stopped = (
                f"a canary cluster failed: {outcome.stopped}" if outcome.stopped else "a canary cluster failed"
            )

    def everybody_else(self, canary: t.Sequence[str]) -> None:
        """The plan on all others."""
        selectors = narrowed(self._declared.selectors, (), canary)
        outcome = self._run(dataclasses.replace(self._declared, selectors=selectors), self._settings)
        self.stopped = outcome.stopped

    def abort_failed(self) -> None:
        """Take those that failed back to Idle, as a group upgrade of its own: the stopped plan cannot be added to."""
        failed = [
            name
            for outcome in self.outcomes
            if outcome.group
            for name, cluster in outcome.group.clusters.items()
            if cluster.place is Place.FAILED and not cluster.aborted
        ]
        if not failed:
            return
        step = PlannedStep((str(Action.ABORT_ON_FAILURE),), self._declared.plan[0].max_concurrency)
        declared = dataclasses.replace(self._declared, name=f"{self._declared.name}-abort", plan=(step,))
        declared = dataclasses.replace(declared, selectors=narrowed(declared.selectors, failed, ()), only=())
        self._show(f"ABORT  {' '.join(failed)}")
        self._run(declared, dataclasses.replace(self._settings, budget=None, stop_after=None))

    def _run(self, declared: Declared, settings: Settings) -> Outcome:
        hub = GroupHub(self._session, declared.namespace, declared.name)
        outcome = GroupRun(hub, declared, settings, self._inventory, self._show).run()
        self.outcomes.append(outcome)
        for line in _group_report.recap_lines(outcome.group) if outcome.group else ():
            self._show(line)
        return outcome


def _settings(options: t.Mapping[str, t.Any], inventory: Inventory, *, check: bool) -> Settings:
    stop_after = options["stop_after"]
    if stop_after is not None and stop_after < 1:
        raise InvalidOption("stop_after", stop_after, "give the number of a step, from 1")
    return Settings(
        stepwise=True,
        stop_after=stop_after,
        verify=options["verify"],
        budget=parse_budget("budget", options["budget"]),
        limits=limits_of(options),
        check=check,
        # Whoever shall be aborted must have been let go by TALM first.
        stop_early=not options["abort_failed"],
        allowed={cluster for _host, cluster in inventory.batch()} if options["require_hosts"] else None,
    )


def _result(runs: _Runs, inventory: Inventory) -> dict[str, t.Any]:
    failed: dict[str, str] = {}
    for outcome in runs.outcomes:
        # The first group upgrade that a cluster failed in says why; that it was aborted afterwards does not heal it.
        failed = {**_group_report.failed_clusters(outcome.group), **failed} if outcome.group else failed
    return {
        "changed": any(outcome.changed for outcome in runs.outcomes),
        "diff": [{"before": outcome.before or "", "after": outcome.after} for outcome in runs.outcomes],
        "groups": [
            _group_report.as_result(outcome.group, outcome.members) for outcome in runs.outcomes if outcome.group
        ],
        "failed_clusters": _by_host(runs, failed, inventory),
        "stopped": runs.stopped,
        "next_step": runs.outcomes[-1].next_step,
    }


def _by_host(runs: _Runs, failed: t.Mapping[str, str], inventory: Inventory) -> dict[str, str]:
    """Why each host has failed: for its cluster's own reason, or because the run was stopped before it was through."""
    found = {}
    for host, cluster in inventory.batch():
        if cluster in failed:
            found[host] = failed[cluster]
        elif runs.stopped:
            found[host] = f"{host} did not get to the end of the plan: {runs.stopped} → mend the cause, then run again"
    return found
