# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""A declared ImageBasedGroupUpgrade against the one on the hub: what to send, or why not. Pure.

Everything that the API or TALM would refuse, and everything that they would accept and misunderstand, is refused here,
before anything is written.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import (
    GroupView,
    Member,
    Place,
    label,
    why_not_selected,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import (
    Step,
    batches,
    check_append,
    check_shape,
    explain_minutes,
    minutes_for,
    shape_of,
    text_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import FOLDER
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, IbuError, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep

API_VERSION = "lcm.openshift.io/v1alpha1"
KIND = "ImageBasedGroupUpgrade"

# Advanced Cluster Management labels every ManagedCluster with its own name.
NAME_LABEL = "name"

_MOST_NAME = 229
_NAMES_SHOWN = 6

# Minutes that one cluster gets for an action where the plan does not say: an Upgrade must outlast its backups, the
# reboot, the watchdog's 30 minutes and the way back.
_USUAL_MINUTES = {Action.PREP: 60, Action.UPGRADE: 90, Action.ROLLBACK: 30}
_USUAL_IDLE_MINUTES = 40
# What no good cluster is faster than; a timeout below this cuts off healthy clusters.
_LEAST_MINUTES = {Action.PREP: 5, Action.UPGRADE: 15, Action.ROLLBACK: 10}
_LEAST_IDLE_MINUTES = 1

# Labels of a stage that failed: only these clusters need an abort or a rollback first.
_FAILED_STAGES = (Action.PREP, Action.UPGRADE, Action.ROLLBACK)
_RECOVERIES = (Action.ABORT, Action.ABORT_ON_FAILURE, Action.ROLLBACK)


@dataclass(frozen=True)
class Declared:
    """What the user wants: everything in the API's own spelling but the plan, whose timeouts are not computed yet.

    ``only``: the clusters that the selectors were narrowed to by name, all of which must be there.
    """

    name: str
    namespace: str
    selectors: t.Sequence[t.Mapping[str, t.Any]]
    ibu_spec: t.Mapping[str, t.Any]
    plan: t.Sequence[PlannedStep]
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    only: t.Collection[str] = ()

    def document(self, steps: t.Iterable[Step]) -> dict[str, t.Any]:
        """The object to create."""
        metadata: dict[str, t.Any] = {"name": self.name, "namespace": self.namespace}
        if self.annotations:
            metadata["annotations"] = dict(self.annotations)
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": metadata,
            "spec": {
                "ibuSpec": dict(self.ibu_spec),
                "clusterLabelSelectors": list(self.selectors),
                "plan": [step.as_spec() for step in steps],
            },
        }


@dataclass(frozen=True)
class Change:
    """What the hub is to be told. ``steps``: the whole plan afterwards; ``appended``: how many of them are new."""

    steps: tuple[Step, ...]
    appended: int
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def new_steps(self) -> tuple[Step, ...]:
        """The steps that the hub does not have yet."""
        return self.steps[len(self.steps) - self.appended :]


def narrowed(
    selectors: t.Sequence[t.Mapping[str, t.Any]], only: t.Sequence[str], without: t.Sequence[str]
) -> list[dict[str, t.Any]]:
    """The selectors, for these clusters only, or for all but those; by the label with the name that the hub gives."""
    wanted = [("In", only), ("NotIn", without)]
    more = [{"key": NAME_LABEL, "operator": how, "values": sorted(names)} for how, names in wanted if names]
    if not more:
        return [dict(selector) for selector in selectors]
    return [
        {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *more]} for selector in selectors
    ]


def check_declared(declared: Declared) -> None:
    """Raise InvalidOption for what is wrong whatever the hub holds."""
    if not declared.name or len(declared.name) > _MOST_NAME:
        raise InvalidOption("name", declared.name, f"a name has 1 to {_MOST_NAME} characters")
    check_shape(shape_of(t.cast("t.Sequence[Step]", declared.plan)))
    if not declared.selectors:
        raise InvalidOption(
            "cluster_label_selectors", [], "give at least one selector: without any, TALM waits for ever for clusters"
        )


def change_to(
    declared: Declared, present: t.Mapping[str, t.Any] | None, group: GroupView | None, members: t.Sequence[Member]
) -> Change:
    """What must be sent so that the hub holds what is declared. Raises IbuError for what must not be sent.

    ``present`` is the object on the hub, ``group`` its view, ``members`` the clusters that the selectors select.
    """
    check_declared(declared)
    _check_only(declared, members)
    held = tuple(Step.of(spec) for spec in (present or {}).get("spec", {}).get("plan") or ())
    steps, notes = resolve(declared.plan, held, members)
    if present is None or group is None:
        check_selection(steps[0], 1, members)
        check_failed_clusters(steps[0], 1, members)
        check_versions(steps[0], declared, members)
        return Change(steps, len(steps), declared.annotations, notes)
    _check_frozen(declared, present)
    check_append(held, steps)
    appended = len(steps) - len(held)
    if appended:
        _check_ended(group, len(held) + 1, steps[len(held)])
        check_selection(steps[len(held)], len(held) + 1, members, follows=True)
        check_failed_clusters(steps[len(held)], len(held) + 1, members)
    known = (present["metadata"].get("annotations") or {}).items()
    annotations = {key: value for key, value in declared.annotations.items() if (key, value) not in known}
    return Change(steps, appended, annotations, notes)


def _check_only(declared: Declared, members: t.Iterable[Member]) -> None:
    strangers = sorted(set(declared.only) - {member.name for member in members})
    if strangers:
        raise InvalidOption(
            "clusters",
            ", ".join(strangers[:_NAMES_SHOWN]),
            f"the selectors select no ManagedCluster of that name (its label {NAME_LABEL!r} counts)",
        )


def resolve(
    plan: t.Sequence[PlannedStep], held: t.Sequence[Step], members: t.Sequence[Member]
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps with the minutes that TALM gets, and how they came about. Raises InvalidOption for too few minutes.

    A step that the hub holds already keeps the minutes that were computed when it was sent.
    """
    steps, notes = [], []
    for index, planned in enumerate(plan):
        clusters = _most_clusters(index, len(held), planned, members)
        if planned.timeout is None and index < len(held):
            steps.append(Step(planned.actions, planned.max_concurrency, held[index].timeout))
            continue
        if planned.timeout is None:
            per_cluster = planned.timeout_per_cluster or _usual_minutes(planned.actions)
            minutes = minutes_for(clusters, planned.max_concurrency, per_cluster)
            how = explain_minutes(clusters, planned.max_concurrency, per_cluster)
            notes.append(f"step {index + 1} ({text_of((planned.actions,))}): timeout {how}")
            steps.append(Step(planned.actions, planned.max_concurrency, minutes))
            continue
        if index >= len(held):
            _check_minutes(index + 1, planned, clusters)
        steps.append(Step(planned.actions, planned.max_concurrency, planned.timeout))
    return tuple(steps), tuple(notes)


def _most_clusters(index: int, held: int, planned: PlannedStep, members: t.Sequence[Member]) -> int:
    """How many clusters the step may get: the first new step's are known, a later step's are at most everybody."""
    if index != held:
        return len(members)
    return len(selected(planned.actions[0], members))


def _usual_minutes(actions: t.Iterable[str]) -> float:
    return sum(_USUAL_MINUTES.get(Action(action), _USUAL_IDLE_MINUTES) for action in actions)


def _check_minutes(number: int, planned: PlannedStep, clusters: int) -> None:
    if planned.actions[0] == Action.ABORT_ON_FAILURE and planned.timeout_per_cluster is None:
        # It is for those that will have failed, of whom there are hopefully few.
        return
    per_cluster = planned.timeout_per_cluster or sum(
        _LEAST_MINUTES.get(Action(action), _LEAST_IDLE_MINUTES) for action in planned.actions
    )
    given = planned.timeout or 0
    least = minutes_for(clusters, planned.max_concurrency, per_cluster)
    if given >= least:
        return
    at_a_time = planned.max_concurrency if batches(clusters, planned.max_concurrency) > 1 else clusters
    raise InvalidOption(
        f"plan step {number} timeout",
        given,
        f"it needs at least {least} minutes ({counted(clusters, 'cluster')}, {at_a_time} at a time, "
        f"{per_cluster:g} minutes each); leave it out to have it computed, or give timeoutPerCluster",
    )


def selected(action: str, members: t.Iterable[Member]) -> list[Member]:
    """The clusters that a step with this first action gets, by the labels that they have now."""
    return [member for member in members if not why_not_selected(action, member.labels)]


def check_selection(step: Step, number: int, members: t.Sequence[Member], *, follows: bool = False) -> None:
    """Raise IbuError for a step that nobody would be in: TALM calls that a success.

    ``follows``: the step follows others, so that nobody to abort is what everybody hopes for.
    """
    if not members:
        raise InvalidOption(
            "cluster_label_selectors",
            "no cluster",
            "they select no ManagedCluster of this hub; TALM would call the empty group upgrade completed",
        )
    first = step.actions[0]
    if selected(first, members) or (follows and first == Action.ABORT_ON_FAILURE):
        return
    raise IbuError(
        f"step {number} ({text_of((step.actions,))}) would select none of the {len(members)} clusters, and TALM would "
        f"call it completed; of {members[0].name}, for one, {why_not_selected(first, members[0].labels)}. Correct the "
        f"labels (sno.image_upgrade.hub_labels) or the selectors ({FOLDER}/hub-not-selected)"
    )


def check_failed_clusters(step: Step, number: int, members: t.Iterable[Member]) -> None:
    """Raise IbuError where the step would take up clusters that failed, with an action that does not help them."""
    first = step.actions[0]
    if first in _RECOVERIES:
        return
    failed = {
        member.name: action
        for member in selected(first, members)
        for action in _FAILED_STAGES
        if label(action, "failed") in member.labels
    }
    if failed:
        shown = ", ".join(
            f"{name} (ibgu-{action.lower()}-failed)" for name, action in list(failed.items())[:_NAMES_SHOWN]
        )
        more = f" and {len(failed) - _NAMES_SHOWN} more" if len(failed) > _NAMES_SHOWN else ""
        raise IbuError(
            f"step {number} ({text_of((step.actions,))}) would select clusters that have failed: {shown}{more}; their "
            "first action must be Abort, AbortOnFailure or Rollback. Recover them and correct their labels "
            "(sno.image_upgrade.hub_labels), or leave them out of the selectors"
        )


def check_versions(step: Step, declared: Declared, members: t.Iterable[Member]) -> None:
    """Raise IbuError where the step would prepare clusters for the release that they run: their Prep would fail."""
    version = (declared.ibu_spec.get("seedImageRef") or {}).get("version")
    there = [member.name for member in members if member.version is not None and member.version == version]
    if step.actions[0] == Action.PREP and there:
        shown = ", ".join(there[:_NAMES_SHOWN])
        more = f" and {len(there) - _NAMES_SHOWN} more" if len(there) > _NAMES_SHOWN else ""
        raise IbuError(
            f"{shown}{more} run {version} already, as the hub has it; TALM would ask them for Prep again, and it would "
            "fail. Leave them out of the selectors, or name them in ibgu_exclude"
        )


def _check_frozen(declared: Declared, present: t.Mapping[str, t.Any]) -> None:
    spec = present.get("spec") or {}
    held = {key: value for key, value in (spec.get("ibuSpec") or {}).items() if key != "stage"}
    for key in sorted(set(held) | set(declared.ibu_spec)):
        before, after = held.get(key), declared.ibu_spec.get(key)
        if (before or None) != (after or None):
            raise InvalidOption(
                _OPTION_OF.get(key, key),
                after,
                f"{declared.namespace}/{declared.name} was made with {before!r} and cannot be changed; "
                "declare a group upgrade of another name",
            )
    if list(spec.get("clusterLabelSelectors") or ()) != list(declared.selectors):
        raise InvalidOption(
            "cluster_label_selectors",
            list(declared.selectors),
            f"{declared.namespace}/{declared.name} was made with {spec.get('clusterLabelSelectors')!r} and cannot be "
            "changed; declare a group upgrade of another name",
        )


_OPTION_OF = {
    "seedImageRef": "seed_image_ref",
    "oadpContent": "oadp_content",
    "extraManifests": "extra_manifests",
    "autoRollbackOnFailure": "auto_rollback_on_failure",
}


def _check_ended(group: GroupView, number: int, step: Step) -> None:
    if group.settled:
        return
    current = group.current
    if current is None:
        raise IbuError("TALM has not seen the last change of the plan yet; run again in a moment")
    counts = {place: len(current.names(place)) for place in (Place.IN_PROGRESS, Place.FAILING, Place.WAITING)}
    still = ", ".join(f"{count} {place.replace('_', ' ')}" for place, count in counts.items() if count)
    raise IbuError(
        f"step {number} ({text_of((step.actions,))}) cannot be appended while step {current.number} "
        f"({text_of((current.step.actions,))}) is still running{f' ({still})' if still else ''}; wait for it "
        "(wait: true), then run again"
    )


def check_overlap(
    declared: Declared, change: Change, members: t.Iterable[Member], others: t.Iterable[t.Mapping[str, t.Any]]
) -> None:
    """Raise IbuError where another group upgrade works on one of the clusters, or prepared it with other inputs."""
    names = {member.name for member in members}
    for other in others:
        meta = other["metadata"]
        theirs = {entry["name"] for entry in (other.get("status") or {}).get("clusters") or ()} & names
        if (meta["namespace"], meta["name"]) == (declared.namespace, declared.name) or not theirs:
            continue
        where = f"{meta['namespace']}/{meta['name']}"
        shown = ", ".join(sorted(theirs)[:_NAMES_SHOWN])
        if _is_progressing(other):
            raise IbuError(f"the group upgrade {where} is still working on {shown}; wait for it, or delete it first")
        if change.new_steps and change.new_steps[0].actions[0] in (Action.UPGRADE, Action.ROLLBACK):
            _check_same_inputs(declared, other, where, shown)


def _is_progressing(ibgu: t.Mapping[str, t.Any]) -> bool:
    conditions = (ibgu.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Progressing" and c.get("status") == "True" for c in conditions)


def _check_same_inputs(declared: Declared, other: t.Mapping[str, t.Any], where: str, shown: str) -> None:
    actions = {action for step in other["spec"].get("plan") or () for action in step.get("actions") or ()}
    if Action.PREP not in actions:
        return
    prepared = other["spec"].get("ibuSpec") or {}
    for key, option in _OPTION_OF.items():
        if (prepared.get(key) or None) != (declared.ibu_spec.get(key) or None):
            raise InvalidOption(
                option,
                declared.ibu_spec.get(key),
                f"{where} has prepared {shown} with {prepared.get(key)!r}, and the clusters refuse anything else now",
            )


def check_finalize(plan: t.Sequence[PlannedStep], held: int, *, stepwise: bool) -> None:
    """Raise IbuError for steps behind the ``held`` ones that would finalize clusters which nobody could verify before.

    ``stepwise``: the steps are sent one at a time, so that only what one step joins is out of reach.
    """
    for number, step in enumerate(plan, 1):
        unseen = step.actions[0] != Action.FINALIZE_UPGRADE or (number > held + 1 and not stepwise)
        if number > held and Action.FINALIZE_UPGRADE in step.actions and unseen:
            raise IbuError(
                f"step {number} ({text_of((step.actions,))}) would finalize without a verification of the upgraded "
                "clusters before; append FinalizeUpgrade as a step of its own once the others have ended, or say "
                "verify: false"
            )


def finalized_by(change: Change, members: t.Iterable[Member]) -> list[str]:
    """The clusters that the first new step takes the way back from."""
    if not change.new_steps or change.new_steps[0].actions[0] != Action.FINALIZE_UPGRADE:
        return []
    return [member.name for member in selected(Action.FINALIZE_UPGRADE, members)]
