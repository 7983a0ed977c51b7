# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Says how a batch and the rollout went; the documentation is in plugins/modules/ibu_report.py."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._awx import remaining_clusters, summary
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._recap import recap, recap_of_before
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._run import default_outcome_file, latest_outcome_file


class ActionModule(FleetAction):
    """Prints; decides nothing. The verdict after it does what this has announced."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "outcome_file": {"type": "path"},
        "budget": {"type": "str", "default": "5%"},
        "max_fail_percentage": {"type": "raw", "default": 0},
        "fleet": {"type": "list", "elements": "str"},
        "whole": {"type": "bool", "default": False},
        "quiet": {"type": "bool", "default": False},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Print the budget line of a batch, and the whole recap where the rollout ends here."""
        path = options["outcome_file"] or default_outcome_file()
        record = Record.load(path, writable=not self.check_mode)
        if self.check_mode and not options["whole"]:
            # Nothing was done, so there is nothing to report; ibu_fleet has said what would be.
            return {"changed": False, "lines": [], "outcome_file": path, "summary": {}, "remaining_clusters": {}}
        if (
            not record.clusters
            and options["whole"]
            and not options["outcome_file"]
            and (latest := latest_outcome_file())
        ):
            # This run has begun no rollout, so the last one that has is meant.
            path, record = latest, Record.load(latest, writable=not self.check_mode)
        if not record.clusters:
            raise InvalidOption(
                "outcome_file",
                path,
                "there is no such outcome file; name the rollout's: -e ibu_outcome_file=FILE",
            )
        in_job = "awx_job_id" in task_vars
        lines: list[str] = []
        if options["quiet"]:
            pass
        elif options["whole"]:
            lines = recap_of_before(record, in_job=in_job)
        else:
            fleet = [str(name) for name in options["fleet"] or task_vars["ansible_play_hosts_all"]]
            # Hosts that have left the play will not be taken by a later batch.
            gone = set(task_vars["ansible_play_hosts_all"]) - set(task_vars["ansible_play_hosts"])
            lines = _batch_lines(record, fleet, gone, options, in_job=in_job)
        for line in lines:
            self.show(line)
        return {
            "changed": False,
            "lines": lines,
            "outcome_file": path,
            "summary": summary(record),
            "remaining_clusters": remaining_clusters(record),
        }


def _batch_lines(
    record: Record, fleet: list[str], gone: set[str], options: t.Mapping[str, t.Any], *, in_job: bool
) -> list[str]:
    if record.stopped:
        # The drive has ended the rollout, and has said how it went.
        return []
    budget = _budget.parse_budget("budget", options["budget"])
    percentage = _budget.check_percentage("max_fail_percentage", options["max_fail_percentage"])
    outcomes = record.clusters
    begun = [name for names in record.batches for name in names]
    failed = _budget.failures(outcomes, begun)
    batch = record.batches[-1] if record.batches else fleet
    failed_here = len([name for name in batch if name in failed])
    waiting = len(set(fleet) - set(begun) - gone)
    stopped = None
    if waiting and _budget.stops_play(failed_here, len(batch), percentage):
        stopped = (
            f"the batch's failure budget stopped the rollout: {failed_here} of {len(batch)} failed, "
            f"the limit is {percentage:g} %"
        )
    if stopped:
        record.stop(stopped)
        # What a disk that fills up now keeps from the file stands in the recap.
        with contextlib.suppress(OSError):
            record.save()
    if stopped or not waiting:
        return recap(record, fleet, stopped=stopped, in_job=in_job)
    return [
        f"BUDGET  {len(failed)} of {len(fleet)} failed so far (limit {budget}, "
        f"{counted(int(budget.clusters(len(fleet))), 'cluster')}); {counted(waiting, 'cluster')} to go"
    ]
