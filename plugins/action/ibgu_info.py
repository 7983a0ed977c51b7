# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a group upgrade stands, per step and cluster; the documentation is in plugins/modules/ibgu_info.py."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import (
    Failures,
    GroupView,
    failures_in,
    view,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_action import hub_errors
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import (
    AUTH_OPTIONS,
    NAME_OPTIONS,
    HubAction,
    Inventory,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._spokes import Causes


class ActionModule(HubAction):
    """One look at the hub, and at the clusters in trouble where that is wanted."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **NAME_OPTIONS,
        "causes": {"type": "bool", "default": False},
        "quiet": {"type": "bool", "default": False},
        **AUTH_OPTIONS,
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The group upgrade as it is now."""
        session = self.open_hub(options)
        with hub_errors(session):
            hub = GroupHub(session, options["namespace"], options["name"])
            documents = hub.read()
            if documents.ibgu is None:
                return {"changed": False, "exists": False, "group": {}, "failed_clusters": {}}
            members = hub.members((documents.ibgu.get("spec") or {}).get("clusterLabelSelectors") or [])
            group = view(documents.ibgu, documents.cgus, members)
            if options["causes"]:
                failing = _causes(hub, group, task_vars)
                group = view(documents.ibgu, documents.cgus, members, failing)
        for line in _group_report.recap_lines(group) if not options["quiet"] else ():
            self.show(line)
        return {
            "changed": False,
            "exists": True,
            "group": _group_report.as_result(group, members),
            "failed_clusters": _group_report.failed_clusters(group),
        }


def _causes(hub: GroupHub, group: GroupView, task_vars: t.Mapping[str, t.Any]) -> Failures:
    step = group.current
    reported = hub.failures(step.cgu) if step is not None and step.begun else {}
    return failures_in(step, reported, Causes(Inventory(task_vars).find).of(group, reported))
