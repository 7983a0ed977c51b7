# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declares a group upgrade on the hub and follows it; the documentation is in plugins/modules/ibgu_plan.py."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import parse_budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import view
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_action import (
    FOLLOW_OPTIONS,
    GROUP_OPTIONS,
    declared_by,
    hub_errors,
    limits_of,
    origin_of,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_run import (
    GroupRun,
    Outcome,
    Settings,
    still_running,
    text_of_object,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import (
    AUTH_OPTIONS,
    NAME_OPTIONS,
    HubAction,
    Inventory,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_rights import check_group_rights


class ActionModule(HubAction):
    """Creates, extends or deletes one ImageBasedGroupUpgrade. A cluster's failure stands in the result."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **NAME_OPTIONS,
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        **GROUP_OPTIONS,
        "wait": {"type": "bool", "default": False},
        **FOLLOW_OPTIONS,
        "max_failures": {"type": "str"},
        "leave_failing": {"type": "bool", "default": False},
        "verify": {"type": "bool", "default": False},
        "delete_running": {"type": "bool", "default": False},
        **AUTH_OPTIONS,
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Bring the hub to what is declared, then wait for TALM where that is wanted."""
        settings = Settings(
            wait=options["wait"],
            verify=options["verify"],
            budget=parse_budget("max_failures", options["max_failures"]) if options["max_failures"] else None,
            limits=limits_of(options),
            check=self.check_mode,
        )
        session = self.open_hub(options)
        with hub_errors(session):
            hub = GroupHub(session, options["namespace"], options["name"])
            if options["state"] == "absent":
                return self._absent(hub, allow_running=options["delete_running"])
            declared = declared_by(options, task_vars, origin_of(options, session))
            check_group_rights(session, declared.namespace)
            outcome = GroupRun(hub, declared, settings, Inventory(task_vars), self.show).run()
        for line in _group_report.recap_lines(outcome.group) if outcome.group else ():
            self.show(line)
        return _result(outcome)

    def _absent(self, hub: GroupHub, *, allow_running: bool) -> dict[str, t.Any]:
        documents = hub.read()
        if documents.ibgu is None:
            return {"changed": False, "diff": {"before": "", "after": ""}}
        members = hub.members(documents.ibgu["spec"].get("clusterLabelSelectors") or [])
        group = view(documents.ibgu, documents.cgus, members)
        if not group.settled and not allow_running:
            raise IbuError(still_running(group))
        hub.delete(dry_run=self.check_mode)
        return {"changed": True, "diff": {"before": text_of_object(documents.ibgu), "after": ""}}


def _result(outcome: Outcome) -> dict[str, t.Any]:
    return {
        "changed": outcome.changed,
        "diff": {"before": outcome.before or "", "after": outcome.after},
        "appended_steps": outcome.appended,
        "group": _group_report.as_result(outcome.group, outcome.members) if outcome.group else {},
        "failed_clusters": _group_report.failed_clusters(outcome.group) if outcome.group else {},
        "stopped": outcome.stopped,
    }
