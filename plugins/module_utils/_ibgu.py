# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the hub's documents say about a group upgrade, per step and per cluster. Pure.

The status of an ImageBasedGroupUpgrade hides more than it shows: "completed" says nothing about success, a step that
selected nobody looks successful, and so does one whose earlier batches timed out. So everything here is computed for
each cluster that was expected, from the ClusterGroupUpgrade of each step.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import parse_time
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Step
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Word

_Document = t.Mapping[str, t.Any]

# By cluster and action, why it has failed.
Failures = t.Mapping[str, t.Mapping[str, str]]

LABEL = "lcm.openshift.io/ibgu-{action}-{outcome}"
# Actions that leave a label when they complete; all others remove every label instead.
_LABELLED = (Action.PREP, Action.UPGRADE, Action.ROLLBACK)
_ABORTS = (Action.ABORT, Action.ABORT_ON_FAILURE)
_FOR_SOME = (Action.ROLLBACK, Action.FINALIZE_UPGRADE, Action.FINALIZE_ROLLBACK)


class Place(Word):
    """Where one cluster stands in one step, or in the whole plan. The values stand in results."""

    PENDING = "pending"
    WAITING = "waiting"
    IN_PROGRESS = "in_progress"
    FAILING = "failing"
    COMPLETED = "completed"
    FAILED = "failed"
    NOT_SELECTED = "not_selected"
    SKIPPED = "skipped"
    NEVER_REACHED = "never_reached"

    @property
    def is_failure(self) -> bool:
        """True where the cluster does not get what the plan wants for it; ``failing``: only TALM does not know yet."""
        return self in (Place.FAILING, Place.FAILED, Place.NOT_SELECTED, Place.NEVER_REACHED)

    @property
    def is_open(self) -> bool:
        """True where TALM has not ended with the cluster."""
        return self in (Place.PENDING, Place.WAITING, Place.IN_PROGRESS, Place.FAILING)


@dataclass(frozen=True)
class Member:
    """A ManagedCluster that the selectors select."""

    name: str
    labels: t.Mapping[str, str] = field(default_factory=dict)
    available: bool = True
    version: str | None = None


@dataclass(frozen=True)
class InStep:
    """One cluster in one step. ``batch`` counts from 1; ``action`` is the one under way, or the one that failed."""

    place: Place
    message: str = ""
    action: str | None = None
    batch: int | None = None


@dataclass(frozen=True)
class StepView:
    """One step of the plan and its ClusterGroupUpgrade. ``number`` counts from 1."""

    number: int
    step: Step
    cgu: str
    begun: bool = False
    ended: bool = False
    timed_out: bool = False
    problem: str = ""
    batches: int = 0
    batch: int = 0
    started: datetime.datetime | None = None
    completed: datetime.datetime | None = None
    clusters: t.Mapping[str, InStep] = field(default_factory=dict)

    @property
    def is_abort(self) -> bool:
        """True where the step is for clusters that failed, so that nobody misses it."""
        return self.step.actions[0] in _ABORTS

    @property
    def deadline(self) -> datetime.datetime | None:
        """When TALM gives the step up."""
        return self.started + datetime.timedelta(minutes=self.step.minutes) if self.started else None

    def names(self, *places: Place) -> list[str]:
        """The clusters at these places."""
        return [name for name, entry in self.clusters.items() if entry.place in places]


@dataclass(frozen=True)
class ClusterView:
    """What became of one cluster over the whole plan: its first failure counts, an abort does not heal it."""

    name: str
    place: Place
    step: int | None = None
    action: str | None = None
    message: str = ""
    completed_actions: tuple[str, ...] = ()
    aborted: bool = False


@dataclass(frozen=True)
class GroupView:
    """One ImageBasedGroupUpgrade. ``strangers``: clusters that it lists, and that the selectors do not select now."""

    name: str
    namespace: str
    generation: int | None
    is_observed: bool
    message: str
    steps: tuple[StepView, ...]
    clusters: t.Mapping[str, ClusterView]
    strangers: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """True where TALM has seen the latest spec and every step has ended."""
        return self.is_observed and all(step.ended for step in self.steps)

    @property
    def current(self) -> StepView | None:
        """The step that runs, or the first that has not begun; None where all have ended."""
        return next((step for step in self.steps if not step.ended), None)

    @property
    def failed(self) -> list[str]:
        """Everyone who does not get what the plan wants."""
        return [name for name, cluster in self.clusters.items() if cluster.place.is_failure]


def label(action: str, outcome: str) -> str:
    """The label that TALM gives for an action that has ``completed`` or ``failed``."""
    return LABEL.format(action=action.lower(), outcome=outcome)


def cgu_name(ibgu: str, step: Step, index: int) -> str:
    """The name of the ClusterGroupUpgrade of a step."""
    return f"{ibgu}-{'-'.join(step.actions)}-{index}".lower()


def why_not_selected(action: str, labels: t.Mapping[str, str]) -> str:
    """Why a step with this first action would leave the cluster out; empty where it selects it."""
    if action in (Action.UPGRADE, Action.ROLLBACK, Action.FINALIZE_UPGRADE, Action.FINALIZE_ROLLBACK):
        wanted = label(_PRECONDITION[Action(action)], "completed")
        return "" if labels.get(wanted) == "" else f"the label {wanted} is missing"
    if action == Action.ABORT:
        unwanted = label(Action.UPGRADE, "completed")
        return f"it has the label {unwanted}" if unwanted in labels else ""
    if action == Action.ABORT_ON_FAILURE:
        either = [label(failed, "failed") for failed in (Action.PREP, Action.UPGRADE)]
        return "" if any(labels.get(key) == "" for key in either) else f"it has neither {either[0]} nor {either[1]}"
    return ""


_PRECONDITION = {
    Action.UPGRADE: Action.PREP,
    Action.ROLLBACK: Action.UPGRADE,
    Action.FINALIZE_UPGRADE: Action.UPGRADE,
    Action.FINALIZE_ROLLBACK: Action.ROLLBACK,
}


def view(
    ibgu: _Document,
    cgus: t.Iterable[_Document],
    members: t.Iterable[Member],
    failing: Failures | None = None,
) -> GroupView:
    """Everything that is known about a group upgrade.

    ``members`` are the clusters that the selectors select; ``failing`` holds the failures that the clusters report
    themselves and TALM will not notice before its time is over.
    """
    meta, status = ibgu["metadata"], ibgu.get("status") or {}
    by_name = {cgu["metadata"]["name"]: cgu for cgu in cgus}
    entries = {entry["name"]: entry for entry in status.get("clusters") or ()}
    expected = {member.name: member for member in members}
    # Somebody TALM has acted on is shown, even if the selectors no longer select it.
    strangers = tuple(name for name in entries if name not in expected)
    expected.update({name: Member(name) for name in strangers})
    steps: list[StepView] = []
    lost: dict[str, int] = {}
    for index, spec in enumerate((ibgu.get("spec") or {}).get("plan") or ()):
        step = Step.of(spec)
        cgu = by_name.get(cgu_name(meta["name"], step, index))
        found = _without_lost(_step_view(index, meta["name"], step, cgu, expected, entries, failing or {}), lost)
        lost.update({name: found.number for name, entry in found.clusters.items() if entry.place.is_failure})
        steps.append(found)
    generation = meta.get("generation")
    progressing = _condition(status, "Progressing")
    return GroupView(
        name=meta["name"],
        namespace=meta["namespace"],
        generation=generation,
        is_observed=generation is None or status.get("observedGeneration") == generation,
        message=str(progressing.get("message", "")),
        steps=tuple(steps),
        clusters={name: _cluster_view(name, steps, entries.get(name)) for name in sorted(expected)},
        strangers=strangers,
    )


def _without_lost(step: StepView, lost: t.Mapping[str, int]) -> StepView:
    """The step, in which nobody misses those that failed in an earlier one, nor those that it does not concern.

    A plan that begins with going back, finalizing or aborting is for those whom that concerns; in one that has brought
    the clusters there itself, somebody who is missing has been lost on the way.
    """
    concerns_some = step.is_abort or (step.number == 1 and step.step.actions[0] in _FOR_SOME)
    clusters = dict(step.clusters)
    for name, entry in step.clusters.items():
        if entry.place is Place.NOT_SELECTED and (name in lost or concerns_some):
            why = f"it failed in step {lost[name]}" if name in lost and not step.is_abort else entry.message
            clusters[name] = dataclasses.replace(entry, place=Place.SKIPPED, message=why)
    return dataclasses.replace(step, clusters=clusters)


def _condition(status: _Document, kind: str) -> _Document:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _step_view(
    index: int,
    ibgu: str,
    step: Step,
    cgu: _Document | None,
    expected: t.Mapping[str, Member],
    entries: t.Mapping[str, _Document],
    failing: Failures,
) -> StepView:
    name = cgu_name(ibgu, step, index)
    if cgu is None:
        return StepView(index + 1, step, name, clusters={member: InStep(Place.PENDING) for member in expected})
    status = cgu.get("status") or {}
    progress = status.get("status") or {}
    plan = status.get("remediationPlan") or ()
    succeeded = _condition(status, "Succeeded")
    rollout = _Rollout(
        step=step,
        batch_of={member: number for number, names in enumerate(plan, 1) for member in names},
        results={entry["name"]: entry.get("state") for entry in status.get("clusters") or ()},
        batch=int(progress.get("currentBatch") or 0),
        ended=bool(succeeded),
        selected=bool(plan) or bool(succeeded),
        entries=entries,
        failing=failing,
    )
    return StepView(
        number=index + 1,
        step=step,
        cgu=name,
        begun=True,
        ended=rollout.ended,
        timed_out=succeeded.get("status") == "False",
        problem="" if rollout.ended else _problem(status),
        batches=len(plan),
        batch=rollout.batch,
        started=parse_time(progress.get("startedAt")),
        completed=parse_time(progress.get("completedAt")),
        clusters={member: rollout.place(member, labels.labels) for member, labels in expected.items()},
    )


def _problem(status: _Document) -> str:
    """Why TALM does not begin, in its own words."""
    stuck = [_condition(status, kind) for kind in ("ClustersSelected", "Validated")]
    return "; ".join(str(c.get("message", "")) for c in stuck if c.get("status") == "False")


@dataclass(frozen=True)
class _Rollout:
    """One ClusterGroupUpgrade, taken apart."""

    step: Step
    batch_of: t.Mapping[str, int]
    results: t.Mapping[str, str | None]
    batch: int
    ended: bool
    selected: bool
    entries: t.Mapping[str, _Document]
    failing: Failures

    def cause(self, name: str) -> str | None:
        """Why the cluster has failed one of the step's actions, as it says itself."""
        known = self.failing.get(name) or {}
        return next((known[action] for action in self.step.actions if action in known), None)

    def place(self, name: str, labels: t.Mapping[str, str]) -> InStep:
        batch = self.batch_of.get(name)
        result = self.results.get(name)
        if result == "complete":
            return InStep(Place.COMPLETED, batch=batch)
        if result == "timedout":
            failed = self._failed(name)
            return InStep(
                Place.FAILED,
                self.cause(name) or str(failed.get("message") or "the step's time was over"),
                failed.get("action"),
                batch,
            )
        if batch is None:
            return self._left_out(labels)
        if self.ended:
            return InStep(Place.NEVER_REACHED, "the step ended without a result for it", batch=batch)
        return self._running(name, batch)

    def _failed(self, name: str) -> _Document:
        found = (self.entries.get(name) or {}).get("failedActions") or ()
        return next((entry for entry in reversed(found) if entry.get("action") in self.step.actions), {})

    def _left_out(self, labels: t.Mapping[str, str]) -> InStep:
        if not self.selected:
            return InStep(Place.PENDING)
        first = self.step.actions[0]
        return InStep(Place.NOT_SELECTED, why_not_selected(first, labels) or "it was not there when the step began")

    def _running(self, name: str, batch: int) -> InStep:
        action = ((self.entries.get(name) or {}).get("currentAction") or {}).get("action")
        if (cause := self.cause(name)) is not None:
            return InStep(Place.FAILING, cause, action, batch)
        return InStep(Place.IN_PROGRESS if batch <= self.batch else Place.WAITING, action=action, batch=batch)


def _cluster_view(name: str, steps: t.Sequence[StepView], entry: _Document | None) -> ClusterView:
    completed = tuple(item["action"] for item in (entry or {}).get("completedActions") or ())
    aborted = any(step.is_abort and step.clusters[name].place is Place.COMPLETED for step in steps)
    first = _first_trouble(name, steps) or _last_open(name, steps)
    if first is None:
        return ClusterView(name, Place.COMPLETED, completed_actions=completed, aborted=aborted)
    found = first.clusters[name]
    return ClusterView(name, found.place, first.number, found.action, found.message, completed, aborted)


def _first_trouble(name: str, steps: t.Sequence[StepView]) -> StepView | None:
    for step in steps:
        if step.clusters[name].place.is_failure:
            return step
    return None


def _last_open(name: str, steps: t.Sequence[StepView]) -> StepView | None:
    return next((step for step in steps if step.clusters[name].place.is_open), None)


def disagreements(group: GroupView, members: t.Iterable[Member]) -> dict[str, list[str]]:
    """By cluster: where the labels on the ManagedCluster say something else than the status of the group upgrade."""
    found = {}
    for member in members:
        cluster = group.clusters.get(member.name)
        if cluster is None:
            continue
        wanted = _labels_of(group, cluster)
        present = {key for key in member.labels if key.startswith(LABEL.partition("{")[0])}
        lines = [f"{key} is missing" for key in sorted(wanted - present)]
        lines += [f"{key} is left over" for key in sorted(present - wanted - _by_others(cluster))]
        if lines:
            found[member.name] = lines
    return found


def _labels_of(group: GroupView, cluster: ClusterView) -> set[str]:
    """The labels that the status implies: what removes them all is stronger than what adds them."""
    done = set(cluster.completed_actions)
    if done - {str(action) for action in _LABELLED}:
        return set()
    failed = {
        entry.action
        for step in group.steps
        if (entry := step.clusters[cluster.name]).place is Place.FAILED and entry.action
    }
    return {label(action, "completed") for action in done} | {label(action, "failed") for action in failed}


def _by_others(cluster: ClusterView) -> set[str]:
    """Labels of actions that this group upgrade did not ask of the cluster: an earlier one left them, rightly."""
    mine = set(cluster.completed_actions) | ({cluster.action} if cluster.action else set())
    if mine - {str(action) for action in _LABELLED}:
        return set()
    return {label(action, outcome) for action in _LABELLED if action not in mine for outcome in ("completed", "failed")}


def failures_in(step: StepView | None, reported: t.Mapping[str, str], known: Failures) -> Failures:
    """What the hub was told about the clusters of a step, and what the clusters say themselves, which counts more."""
    told = {name: dict.fromkeys(step.step.actions, cause) for name, cause in reported.items()} if step else {}
    return {name: {**told.get(name, {}), **known.get(name, {})} for name in {**told, **known}}


def feedback_failure(work: _Document) -> str | None:
    """Why the action of a ManifestWork will not succeed, from what the work agent reports; None where it may.

    A false success value of Prep, Upgrade or Rollback exists only once that stage has failed. Idle is false as long as
    an abort or finalize takes, so there only the agent's call for a manual cleanup counts.
    """
    resources = ((work.get("status") or {}).get("resourceStatus") or {}).get("manifests") or ()
    for manifest in resources:
        if (manifest.get("resourceMeta") or {}).get("kind") != "ImageBasedUpgrade":
            continue
        if refused := _not_applied(manifest):
            return refused
        return _failed_stage(_feedback(manifest))
    return None


def _not_applied(manifest: _Document) -> str | None:
    applied = _condition(manifest, "Applied")
    return str(applied.get("message") or "the manifest was not applied") if applied.get("status") == "False" else None


def _feedback(manifest: _Document) -> dict[str, str]:
    values = (manifest.get("statusFeedback") or {}).get("values") or ()
    return {value["name"]: str((value.get("fieldValue") or {}).get("string", "")) for value in values}


def _failed_stage(values: t.Mapping[str, str]) -> str | None:
    messages = "; ".join(text for name, text in values.items() if "Condition" in name and text)
    for success in ("isPrepCompleted", "isUpgradeCompleted", "isRollbackCompleted"):
        if values.get(success) == "False":
            return messages or f"{success} is False"
    return messages if "Perform cleanup manually" in messages else None
