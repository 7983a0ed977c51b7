# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Opens a batch, or stops the rollout; the documentation is in plugins/modules/ibu_gate.py."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._awx import check_slices
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._recap import recap
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._run import check_free, default_outcome_file, run_id


class ActionModule(FleetAction):
    """Fails, before anything of the batch is touched, once the fleet's failure budget is exceeded."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "outcome_file": {"type": "path"},
        "budget": {"type": "str", "default": "5%"},
        "fleet": {"type": "list", "elements": "str"},
        "excluded": {"type": "list", "elements": "str", "default": []},
        "on_stop": {"type": "str", "choices": ["fail", "close"], "default": "fail"},
        "accept_slices": {"type": "bool", "default": False},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Judge what has failed so far, then enter the batch into the outcome file."""
        check_slices(task_vars, accepted=options["accept_slices"])
        budget = _budget.parse_budget("budget", options["budget"])
        fleet = [str(name) for name in options["fleet"] or task_vars["ansible_play_hosts_all"]]
        batch = [str(name) for name in task_vars["ansible_play_batch"]]
        record = Record.load(options["outcome_file"] or default_outcome_file(), writable=not self.check_mode)
        if not self.check_mode:
            check_free(record)
        record.begin(run_id(), fleet, Clock().now().isoformat(timespec="seconds"))
        closed = {"changed": False, "is_open": False, "failed_clusters": [], "outcome_file": record.path}
        if record.stopped and options["on_stop"] == "close":
            return {**closed, "reason": record.stopped}
        begun = [name for names in record.batches for name in names]
        begun += (lost := _lost_before_a_gate(task_vars, {*begun, *options["excluded"]}))
        failed = _budget.failures(record.clusters, begun)
        if budget.is_exceeded(len(failed), len(fleet)):
            reason = (
                f"the fleet's failure budget is spent: {len(failed)} of {len(fleet)} clusters failed, "
                f"the limit is {budget}"
            )
            record.stop(reason)
            record.save_first()
            for line in recap(record, fleet, stopped=reason, in_job="awx_job_id" in task_vars):
                self.show(line)
            if options["on_stop"] == "close":
                return {**closed, "failed_clusters": failed, "reason": reason}
            raise IbuError(f"{reason}; this batch and all after it were not started")
        # With the lost ones in it, the report of this batch and the gates after it count them too.
        record.begin_batch([*lost, *batch])
        record.save_first()
        return {
            "changed": False,
            "is_open": True,
            "batch": len(record.batches),
            "failed_clusters": failed,
            "outcome_file": record.path,
        }


def _lost_before_a_gate(task_vars: t.Mapping[str, t.Any], known: t.Collection[str]) -> list[str]:
    """Hosts that left the play before the gate of their batch: unreachable, failed or ended in the user's own tasks."""
    still_there = {str(name) for name in task_vars["ansible_play_hosts"]}
    names = (str(name) for name in task_vars["ansible_play_hosts_all"])
    return [name for name in names if name not in still_there and name not in known]
