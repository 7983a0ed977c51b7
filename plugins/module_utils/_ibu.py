# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The decision core: ``decide(observed, goal)`` for one cluster. Pure: values in, a decision out."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _version
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Decision,
    Done,
    Fail,
    Goal,
    InvalidOption,
    Observed,
    Patch,
    Result,
    Stage,
    State,
    Wait,
)

# Only the order in which a cluster can live through them; every contiguous part is a plan too.
_SEQUENCES = (
    (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE),
    (Action.ROLLBACK, Action.FINALIZE_ROLLBACK),
    (Action.ABORT,),
    (Action.ABORT_ON_FAILURE,),
)

DEFAULT_INIT_MONITOR_SECONDS = 1800

# Nothing can be said yet, whatever the goal is.
_UNDECIDED = {
    State.ABSENT: "the ImageBasedUpgrade is not there yet",
    State.NO_STATUS: "the Lifecycle Agent has not written a status yet",
    State.PENDING: "the Lifecycle Agent has not taken up the request yet",
    State.BLOCKED: "an IPConfig change is under way on the cluster",
}

_PREPARED = frozenset({State.PREP_RUNNING, State.PREP_FAILED, State.PREP_COMPLETED})
_UPGRADING = frozenset(
    {
        State.UPGRADE_PRE_PIVOT,
        State.UPGRADE_POST_PIVOT,
        State.UPGRADE_COMPLETED,
        State.UPGRADE_FAILED_PRE_PIVOT,
        State.UPGRADE_FAILED_POST_PIVOT,
        State.ROLLED_BACK,
    }
)

_ABORT_COMMAND = "ansible-playbook sno.image_upgrade.abort -l {cluster}"
_STATUS_COMMAND = "ansible-playbook sno.image_upgrade.status -l {cluster}"
_ROLLBACK_COMMAND = "ansible-playbook sno.image_upgrade.rollback -l {cluster}"
_CLEANUP_ADVICE = (
    "ansible-playbook sno.image_upgrade.recover -l {cluster}, or repair what the message names, then annotate the "
    "ImageBasedUpgrade with lca.openshift.io/manual-cleanup-done"
)

_NEXT_STEPS = {
    State.PREP_FAILED: f"collect logs, {_ABORT_COMMAND}, then start again",
    State.UPGRADE_FAILED_PRE_PIVOT: f"collect logs, {_ABORT_COMMAND}, then start again from Prep",
    State.ROLLED_BACK: f"it runs its old release again; collect logs, then {_ABORT_COMMAND}",
    State.UPGRADE_FAILED_POST_PIVOT: f"collect logs, then {_ROLLBACK_COMMAND}",
    State.ROLLBACK_FAILED: "stop; collect logs and call a person: no automatic way leads out of a failed rollback; "
    "ansible-playbook sno.image_upgrade.recover -l {cluster} --check says what is known of it, and the back door",
    State.ABORT_FAILED: _CLEANUP_ADVICE,
    State.FINALIZE_FAILED: _CLEANUP_ADVICE,
    State.INVALID_TRANSITION: "set spec.stage back to the stage that the cluster is in",
    State.UPGRADE_COMPLETED: "ansible-playbook sno.image_upgrade.finalize -l {cluster}",
    # Without its option it would say that there is nothing to do.
    State.ROLLBACK_COMPLETED: f"collect logs, then {_ROLLBACK_COMMAND} -e rollback_finalize=true",
    State.ROLLBACK_RUNNING: f"wait for it: {_ROLLBACK_COMMAND}",
    State.PREP_COMPLETED: f"{_ABORT_COMMAND}, then start again",
    State.PREP_RUNNING: f"{_ABORT_COMMAND}, then start again",
}


def next_step(state: State) -> str:
    """What to do about a cluster that is in this state and should not be; may contain ``{cluster}``."""
    return _NEXT_STEPS.get(state, _STATUS_COMMAND)


def parse_actions(names: t.Sequence[str], stop_after: str | None = None) -> tuple[Action, ...]:
    """The actions of a list of names, up to ``stop_after`` where it is given.

    Raises InvalidOption for an unknown action, an order no cluster can follow, or a stop that is not on the way.
    """
    known = ", ".join(Action)
    try:
        actions = tuple(Action(name) for name in names)
    except ValueError:
        unknown = next(name for name in names if name not in set(Action))
        raise InvalidOption("actions", unknown, f"an action is one of {known}") from None
    if not any(_is_part(actions, sequence) for sequence in _SEQUENCES):
        allowed = "; ".join(", ".join(sequence) for sequence in _SEQUENCES)
        raise InvalidOption("actions", list(names), f"a cluster can follow one of these, whole or in part: {allowed}")
    if not stop_after:
        return actions
    if stop_after not in actions:
        raise InvalidOption("stop_after", stop_after, f"it is one of the actions to run: {', '.join(actions)}")
    return actions[: actions.index(Action(stop_after)) + 1]


def _is_part(actions: tuple[Action, ...], sequence: tuple[Action, ...]) -> bool:
    starts = range(len(sequence) - len(actions) + 1)
    return bool(actions) and any(sequence[start : start + len(actions)] == actions for start in starts)


def resume(observed: Observed, goals: t.Sequence[Goal]) -> int:
    """Index of the first goal that is still to be reached; ``len(goals)`` where nothing is left to do.

    The latest goal that the cluster has reached settles all before it: after a finalized upgrade no trace of its
    Prep is left. A goal that is skipped settles nothing.
    """
    for index in range(len(goals), 0, -1):
        decision = decide(observed, goals[index - 1])
        if isinstance(decision, Done) and not decision.skipped:
            return index
    return 0


def decide(observed: Observed, goal: Goal) -> Decision:
    """What to do next to bring this cluster to this goal."""
    if _may_leave_blocked(observed, goal):
        return _patch(observed, {"stage": Stage.IDLE.value})
    if observed.state is State.BLOCKED and goal.action is Action.ABORT_ON_FAILURE and observed.stage != Stage.IDLE:
        return _untouched(observed)
    if observed.state in _UNDECIDED:
        return Wait(_UNDECIDED[observed.state])
    if observed.state is State.UNKNOWN:
        return _refuse(observed, goal, f"its state is unknown to this collection (reason {observed.reason!r})")
    if mismatch := _seed_mismatch(observed, goal):
        return _refuse(observed, goal, mismatch)
    return _BY_ACTION[goal.action](observed, goal)


def _may_leave_blocked(observed: Observed, goal: Goal) -> bool:
    """True where an abort need not wait for the IPConfig. A cluster that is blocked on its way to Idle must."""
    leads_on = observed.stage != Stage.IDLE and Stage.IDLE in observed.valid_next
    return observed.state is State.BLOCKED and goal.action is Action.ABORT and leads_on


def _seed_mismatch(observed: Observed, goal: Goal) -> str | None:
    """Why the upgrade under way is not the one that the goal means; None where it is, or where there is none."""
    if goal.seed is None or observed.state not in _PREPARED | _UPGRADING:
        return None
    present = observed.spec.get("seedImageRef") or {}
    for key, wanted in (("version", goal.seed.version), ("image", goal.seed.image)):
        if present.get(key) != wanted:
            return f"it was prepared with seed {key} {present.get(key)!r}, not {wanted!r}"
    if observed.state not in (State.PREP_RUNNING, State.PREP_COMPLETED):
        # A failed Prep has something better to say than that its inputs have changed since.
        return None
    for field, wanted_refs in (("oadpContent", goal.oadp_content), ("extraManifests", goal.extra_manifests)):
        if wanted_refs is not None and _refs(observed.spec.get(field)) != wanted_refs:
            return f"it was prepared with another spec.{field} than is wanted now"
    return None


def _refs(items: t.Iterable[t.Mapping[str, str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((item["namespace"], item["name"]) for item in items or ())


def runs_goal(observed: Observed, goal: Goal) -> bool:
    """True where the cluster runs the release that the goal means, or without one the release of its own spec."""
    return observed.version == goal.seed.version if goal.seed else observed.at_target


def _prep(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state is State.IDLE:
        return _prep_from_idle(observed, goal)
    if state in (State.ABORTING, State.FINALIZING):
        if state is State.FINALIZING and runs_goal(observed, goal):
            return Done("the upgrade is being finalized")
        return Wait(f"the cluster is {state} an earlier upgrade")
    if state is State.PREP_RUNNING:
        return Wait("Prep is running")
    if state in (State.PREP_COMPLETED, State.UPGRADE_PRE_PIVOT, State.UPGRADE_POST_PIVOT, State.UPGRADE_COMPLETED):
        return Done()
    return _fail(observed, goal)


def _prep_from_idle(observed: Observed, goal: Goal) -> Decision:
    if goal.seed is None:
        return _refuse(observed, goal, "no seed image is given (seed_image_ref)")
    if observed.version == goal.seed.version:
        return Done(f"it already runs {goal.seed.version}")
    if observed.version is None:
        return Wait("the running version is not known yet")
    for version in (goal.seed.version, observed.version):
        if not _version.is_valid(version):
            return _refuse(
                observed, goal, f"{version!r} is no version of the form X.Y.Z", "give the seed's own version"
            )
    if not _version.is_newer(goal.seed.version, observed.version):
        return _refuse(
            observed,
            goal,
            f"the seed's version {goal.seed.version} is not above the running {observed.version}",
            "use a seed image of a later release",
        )
    return _patch(observed, prep_spec(goal), _changed_annotations(observed, goal))


def prep_spec(goal: Goal) -> dict[str, t.Any]:
    """Everything that must travel in the one patch to Prep, because the API freezes the spec afterwards."""
    spec: dict[str, t.Any] = {"stage": Stage.PREP.value}
    if goal.seed is not None:
        spec["seedImageRef"] = goal.seed.as_spec()
    for field, refs in (("oadpContent", goal.oadp_content), ("extraManifests", goal.extra_manifests)):
        if refs is not None:
            spec[field] = [{"namespace": namespace, "name": name} for namespace, name in refs]
    if goal.init_monitor_timeout is not None:
        spec["autoRollbackOnFailure"] = {"initMonitorTimeoutSeconds": goal.init_monitor_timeout}
    return spec


def _changed_annotations(observed: Observed, goal: Goal) -> dict[str, str | None]:
    return {key: value for key, value in goal.annotations.items() if observed.annotations.get(key) != value}


def _upgrade(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state is State.PREP_COMPLETED:
        if runs_goal(observed, goal):
            return _refuse(observed, goal, f"it already runs {observed.version}, upgraded in another way since Prep")
        warning = observed.annotations.get("extra-manifest.lca.openshift.io/validation-warning")
        if warning and not goal.accept_warnings:
            return _refuse(observed, goal, f"Prep left a validation warning: {warning}")
        return _patch(observed, {"stage": Stage.UPGRADE.value}, _changed_annotations(observed, goal))
    if state is State.PREP_RUNNING:
        return Wait("Prep is still running")
    if state in (State.UPGRADE_PRE_PIVOT, State.UPGRADE_POST_PIVOT):
        return Wait("the upgrade is running")
    if state is State.UPGRADE_COMPLETED:
        return Done()
    if state is State.ABORTING:
        return Wait("the cluster is aborting an earlier upgrade")
    if state in (State.IDLE, State.FINALIZING, State.FINALIZE_FAILED) and runs_goal(observed, goal):
        return Done(f"it already runs {observed.version}")
    if state is State.IDLE:
        return _refuse(observed, goal, "it is Idle and not prepared", "run Prep first")
    return _fail(observed, goal)


def _finalize_upgrade(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state is State.UPGRADE_COMPLETED:
        return _patch(observed, {"stage": Stage.IDLE.value}, verify=True)
    if state is State.FINALIZING:
        return Wait("the upgrade is being finalized")
    if state in (State.UPGRADE_PRE_PIVOT, State.UPGRADE_POST_PIVOT):
        return Wait("the upgrade is still running")
    if state is State.IDLE and runs_goal(observed, goal):
        return Done()
    if state is State.IDLE:
        return _refuse(observed, goal, f"there is no upgrade to finalize; it is Idle and runs {observed.version}")
    return _fail(observed, goal)


def _rollback(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state in (State.UPGRADE_COMPLETED, State.UPGRADE_POST_PIVOT, State.UPGRADE_FAILED_POST_PIVOT):
        if refusal := _expired(observed, goal):
            return refusal
        return _patch(observed, {"stage": Stage.ROLLBACK.value})
    if state is State.ROLLBACK_RUNNING:
        return Wait("the rollback is running")
    if state is State.ROLLBACK_COMPLETED:
        return Done()
    if state is State.ROLLED_BACK:
        return Done("it has rolled back by itself")
    if state is State.UPGRADE_PRE_PIVOT:
        # On the way back the old etcd still holds the object of before the reboot, until the agent replaces it.
        return _refuse(observed, goal, "its upgrade has not rebooted yet", _ABORT_COMMAND, settle=True)
    if state in (State.IDLE, State.FINALIZING, State.FINALIZE_FAILED):
        return _refuse(observed, goal, "there is nothing to roll back to: finalizing removes the old stateroot")
    return _fail(observed, goal)


def _expired(observed: Observed, goal: Goal) -> Fail | None:
    until, now = observed.rollback_until, observed.now
    if goal.rollback_after_expiration or until is None or now is None or now <= until:
        return None
    return _refuse(
        observed,
        goal,
        f"rollback was safe until {until:%Y-%m-%d %H:%M}Z; the old release's control plane certificates may have "
        "expired, and the node would then need its certificate signing requests approved by hand",
        "stay on the new release and finalize, or allow it explicitly (ibu_rollback_after_expiration=true); after "
        "the reboot, with the admin kubeconfig, approve the node's client and serving requests (oc get csr, oc adm "
        "certificate approve) until it is Ready and no request is pending",
    )


def _finalize_rollback(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    # After an automatic rollback the way back to Idle is an abort for the agent; the request is the same.
    if state in (State.ROLLBACK_COMPLETED, State.ROLLED_BACK):
        return _patch(observed, {"stage": Stage.IDLE.value})
    if state in (State.FINALIZING, State.ABORTING):
        return Wait(f"the rollback is {state}")
    if state is State.ROLLBACK_RUNNING:
        return Wait("the rollback is still running")
    if state is State.IDLE and not observed.at_target:
        return Done()
    return _fail(observed, goal)


def _abort(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state is State.IDLE:
        return Done()
    if state is State.UPGRADE_COMPLETED:
        return Done("it is upgraded; abort leaves upgraded clusters alone", skipped=True)
    if state in (State.ABORTING, State.FINALIZING):
        return Wait(f"the cluster is {state}")
    if state in _PREPARED | {State.UPGRADE_PRE_PIVOT, State.UPGRADE_FAILED_PRE_PIVOT, State.ROLLED_BACK}:
        return _patch(observed, {"stage": Stage.IDLE.value})
    if state is State.UPGRADE_POST_PIVOT:
        return _refuse(observed, goal, "it has rebooted into the new release", _ROLLBACK_COMMAND)
    return _fail(observed, goal)


def _abort_on_failure(observed: Observed, goal: Goal) -> Decision:
    state = observed.state
    if state in (State.PREP_FAILED, State.UPGRADE_FAILED_PRE_PIVOT, State.ROLLED_BACK):
        return _patch(observed, {"stage": Stage.IDLE.value})
    if state is State.ABORTING:
        return Wait(f"the cluster is {state}")
    if state is State.UPGRADE_FAILED_POST_PIVOT:
        # Sent from the hub this would be Idle all the same, which the API refuses here.
        return _refuse(observed, goal, "it has failed after its reboot into the new release")
    if state in (State.ABORT_FAILED, State.ROLLBACK_FAILED, State.INVALID_TRANSITION):
        return _fail(observed, goal)
    return _untouched(observed)


def _untouched(observed: Observed) -> Done:
    return Done(f"it is {observed.state}, not failed; AbortOnFailure leaves it alone", skipped=True)


_BY_ACTION: t.Mapping[Action, t.Callable[[Observed, Goal], Decision]] = {
    Action.PREP: _prep,
    Action.UPGRADE: _upgrade,
    Action.FINALIZE_UPGRADE: _finalize_upgrade,
    Action.ROLLBACK: _rollback,
    Action.FINALIZE_ROLLBACK: _finalize_rollback,
    Action.ABORT: _abort,
    Action.ABORT_ON_FAILURE: _abort_on_failure,
}


def _patch(
    observed: Observed,
    spec: t.Mapping[str, t.Any],
    annotations: t.Mapping[str, str | None] | None = None,
    *,
    verify: bool = False,
) -> Decision:
    stage = Stage(spec["stage"])
    if stage not in observed.valid_next:
        allowed = ", ".join(observed.valid_next) or "none"
        return Fail(
            Result.REFUSED,
            f"cannot go to {stage}: it is {observed.state} and allows: {allowed} (status.validNextStages)",
            "if the list looks stale, change the annotation lca.openshift.io/trigger-reconcile on the "
            "ImageBasedUpgrade and look again",
            settle=True,
        )
    body: dict[str, t.Any] = {"spec": dict(spec)}
    if annotations:
        body["metadata"] = {"annotations": dict(annotations)}
    return Patch(body, stage, verify)


_FAILED = {
    State.PREP_FAILED: Result.FAILED,
    State.UPGRADE_FAILED_PRE_PIVOT: Result.FAILED,
    State.UPGRADE_FAILED_POST_PIVOT: Result.FAILED,
    State.ROLLED_BACK: Result.ROLLED_BACK,
    State.ROLLBACK_FAILED: Result.FAILED,
    State.ABORT_FAILED: Result.FAILED,
    State.FINALIZE_FAILED: Result.FAILED,
}


def _fail(observed: Observed, goal: Goal) -> Fail:
    """The end of the road: a failure in the cluster's own words, or a refusal where the goal does not fit."""
    if observed.state in _FAILED:
        return Fail(_FAILED[observed.state], observed.message, next_step(observed.state))
    return _refuse(observed, goal, f"it is {observed.state}")


def _refuse(observed: Observed, goal: Goal, why: str, way_out: str | None = None, *, settle: bool = False) -> Fail:
    message = f"cannot follow {goal.action}: {why}"
    return Fail(Result.REFUSED, message, way_out or next_step(observed.state), settle)


def init_monitor_seconds(spec: t.Mapping[str, t.Any]) -> int:
    """How long the watchdog in the new stateroot waits before it rolls back; 0 and absent mean the default."""
    chosen = (spec.get("autoRollbackOnFailure") or {}).get("initMonitorTimeoutSeconds")
    return int(chosen) if chosen else DEFAULT_INIT_MONITOR_SECONDS
