# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a job of AWX needs beside the rollout: no slices, an outcome for workflows, a reason for every cluster left."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Result

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record

# A workflow hands them to every job after this one, on the command line.
_NAMES_KEPT = 100


def is_slice(variables: t.Mapping[str, t.Any]) -> bool:
    """True in a job that AWX has cut out of another one.

    AWX tells a job nothing of slices. But it makes a workflow of a sliced template, which has the template's name.
    """
    workflow = variables.get("awx_workflow_job_name") or variables.get("tower_workflow_job_name")
    template = variables.get("awx_job_template_name") or variables.get("tower_job_template_name")
    return bool(workflow) and workflow == template


def check_slices(variables: t.Mapping[str, t.Any], *, accepted: bool) -> None:
    """Raise InvalidOption in a slice, unless somebody has accepted what that means."""
    if is_slice(variables) and not accepted:
        raise InvalidOption(
            "job_slice_count",
            "above 1",
            "each slice has a canary, batches and a failure budget of its own, and goes on while another one "
            "stops. Set the job slicing of the template to 1, one job drives thousands of clusters; or take slices for "
            "rollouts of their own: ibu_accept_slices=true",
        )


def summary(record: Record) -> dict[str, t.Any]:
    """The outcome in a few numbers; without secrets, and small however large the fleet is."""
    outcomes = record.clusters
    results = collections.Counter(str(outcome.result) for outcome in outcomes.values())
    failed = [name for name, outcome in outcomes.items() if outcome.result.is_failure]
    return {
        "finished": not remaining_clusters(record),
        "stopped": record.stopped,
        "clusters": len(outcomes),
        "results": dict(sorted(results.items())),
        "clusters_failed": failed[:_NAMES_KEPT],
    }


def remaining_clusters(record: Record) -> dict[str, str]:
    """What a verdict says of every cluster that a rerun should take."""
    return {
        name: _why(name, outcome, record.stopped)
        for name, outcome in record.clusters.items()
        if outcome.result not in (Result.DONE, Result.SKIPPED)
    }


def _why(name: str, outcome: t.Any, stopped: str | None) -> str:
    if outcome.result is Result.NEVER_STARTED:
        return f"{name}: never started" + (f": {stopped}" if stopped else "")
    return f"{name}: {outcome.message}" + (f" → {outcome.next_step}" if outcome.next_step else "")
