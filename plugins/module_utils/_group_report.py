# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What users see of a group upgrade: progress, failures, the recap, and the result's keys. Values in, text out."""

from __future__ import annotations

import collections
import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import (
    ClusterView,
    GroupView,
    Member,
    Place,
    StepView,
    disagreements,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import text_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import FOLDER
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

_WORDS = {
    Place.PENDING: "not begun",
    Place.WAITING: "waiting for their batch",
    Place.IN_PROGRESS: "in progress",
    Place.FAILING: "failed but not over for TALM",
    Place.COMPLETED: "completed",
    Place.FAILED: "failed",
    Place.NOT_SELECTED: "not selected",
    Place.SKIPPED: "skipped",
    Place.NEVER_REACHED: "never reached",
}


def step_title(step: StepView) -> str:
    """``step 2 of the plan``, by its actions."""
    return f"step {step.number} {text_of((step.step.actions,))}"


def progress_text(group: GroupView, now: datetime.datetime | None) -> str:
    """One line: which step, which batch, how many clusters are where, and when TALM gives up."""
    step = group.current
    if step is None:
        last = group.steps[-1]
        return f"{step_title(last)} has ended: {tally(last)}"
    if not step.begun:
        return f"{step_title(step)}: waits for TALM to begin"
    if step.problem:
        return f"{step_title(step)}: TALM does not begin: {step.problem}"
    batch = f" batch {step.batch} of {step.batches}" if step.batches > 1 else ""
    return f"{step_title(step)}{batch}: {tally(step)}{_left(step, now)}"


def tally(step: StepView) -> str:
    """How many clusters are where in a step."""
    counts = collections.Counter(entry.place for entry in step.clusters.values())
    if set(counts) == {Place.SKIPPED}:
        return "nobody to act on"
    return ", ".join(f"{counts[place]} {_WORDS[place]}" for place in Place if counts[place])


def _left(step: StepView, now: datetime.datetime | None) -> str:
    if now is None or step.deadline is None:
        return ""
    return f"   ends at the latest in {clock((step.deadline - now).total_seconds())}"


def early_failure_lines(
    name: str, step: StepView, cause: str, next_step: str, now: datetime.datetime | None
) -> list[str]:
    """What a user reads the moment a cluster reports a failure that TALM does not see."""
    action = step.clusters[name].action or step.step.actions[0]
    head = f"         {name}  FAILED in {action}: {_one_line(cause)}"
    until = f"{_left(step, now).strip() or 'it has not ended'}"
    return [
        head,
        f"                    TALM does not notice before the step's time is over ({until})",
        _arrow(next_step),
    ]


def _arrow(text: str) -> str:
    return f"                    → {text}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def recap_lines(group: GroupView) -> list[str]:
    """The steps, then everybody who failed, grouped by cause."""
    lines = [f"GROUP UPGRADE {group.namespace}/{group.name}"]
    rows = [(step_title(step), _took(step), tally(step)) for step in group.steps]
    titles, times = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    lines += [f"  {title:<{titles}}   {took:>{times}}{'   ' if times else ''}{what}" for title, took, what in rows]
    causes: dict[tuple[str, str], list[str]] = {}
    for cluster in group.clusters.values():
        if cluster.place.is_failure:
            causes.setdefault((_where(cluster), _one_line(cluster.message)), []).append(cluster.name)
    for (where, message), names in sorted(causes.items(), key=lambda item: -len(item[1])):
        lines += [f"  {where:<21}{len(names):>4}   {message}", f"{' ' * 28}{names_in_short(names)}"]
    return lines


def _took(step: StepView) -> str:
    if step.started is None or step.completed is None:
        return ""
    return clock((step.completed - step.started).total_seconds())


def _where(cluster: ClusterView) -> str:
    doing = f" {cluster.action}" if cluster.action else f" step {cluster.step}"
    return f"{_WORDS[cluster.place]}{doing}"


def failed_clusters(group: GroupView) -> dict[str, str]:
    """By cluster, the sentence that its host fails with."""
    return {
        name: f"{name} {_WORDS[cluster.place]} in step {cluster.step} of {group.namespace}/{group.name}"
        f"{f', {cluster.action}' if cluster.action else ''}: {_one_line(cluster.message)}"
        f" → {advice(cluster, name, group)} ({FOLDER}/{_page(cluster)})"
        for name, cluster in group.clusters.items()
        if cluster.place.is_failure
    }


def _page(cluster: ClusterView) -> str:
    return "hub-not-selected" if cluster.place is Place.NOT_SELECTED else "hub-failed"


def advice(cluster: ClusterView, name: str, group: GroupView) -> str:
    """What to run next for a cluster that the plan has lost."""
    if cluster.aborted:
        return "it was aborted and is Idle again; mend the cause, then begin again with a new group upgrade"
    if cluster.place is Place.NOT_SELECTED:
        return f"bring its labels into line: ansible-playbook sno.image_upgrade.hub_labels -l {name}"
    if cluster.place is Place.NEVER_REACHED:
        return f"see where it stands: ansible-playbook sno.image_upgrade.status -l {name}"
    if cluster.action in (Action.PREP, Action.UPGRADE):
        return (
            "save the logs and abort those that failed: ansible-playbook sno.image_upgrade.group_abort "
            f"-e ibgu_namespace={group.namespace} -e ibgu_copy_from={group.name}"
        )
    return f"see where it stands: ansible-playbook sno.image_upgrade.status -l {name}"


def as_result(group: GroupView, members: t.Sequence[Member]) -> dict[str, t.Any]:
    """The group upgrade as the modules return it."""
    labels = {member.name: member for member in members}
    apart = disagreements(group, members)
    return {
        "name": group.name,
        "namespace": group.namespace,
        "settled": group.settled,
        "message": group.message,
        "steps": [_step_result(step) for step in group.steps],
        "clusters": {
            name: {
                **_cluster_result(cluster),
                "labels": sorted(key for key in labels[name].labels if "/ibgu-" in key) if name in labels else [],
                "available": labels[name].available if name in labels else None,
                "disagreements": apart.get(name, []),
            }
            for name, cluster in group.clusters.items()
        },
    }


def _step_result(step: StepView) -> dict[str, t.Any]:
    return {
        "number": step.number,
        "actions": list(step.step.actions),
        "max_concurrency": step.step.max_concurrency,
        "timeout": step.step.minutes,
        "cgu": step.cgu,
        "state": _state(step),
        "problem": step.problem,
        "batch": step.batch,
        "batches": step.batches,
        "started": _text(step.started),
        "completed": _text(step.completed),
        "seconds": (step.completed - step.started).total_seconds() if step.started and step.completed else None,
        "clusters": {
            name: {
                "place": str(entry.place),
                "action": entry.action,
                "message": entry.message,
                "batch": entry.batch,
            }
            for name, entry in step.clusters.items()
        },
    }


def _state(step: StepView) -> str:
    if not step.begun:
        return "pending"
    if not step.ended:
        return "running"
    return "timed_out" if step.timed_out else "ended"


def _cluster_result(cluster: ClusterView) -> dict[str, t.Any]:
    return {
        "place": str(cluster.place),
        "step": cluster.step,
        "action": cluster.action,
        "message": cluster.message,
        "completed_actions": list(cluster.completed_actions),
        "aborted": cluster.aborted,
    }


def _text(moment: datetime.datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
