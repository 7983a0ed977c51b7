# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One cluster to one stage: what ``ibu_stage`` does, with the cluster injected."""

from __future__ import annotations

import copy
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import ClusterLike, Drive
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import goals_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide, next_step
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Fail,
    Goal,
    IbuError,
    Observed,
    Patch,
    Refused,
    Result,
    Stage,
    State,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import problems

_FINALIZE_UPGRADE = frozenset({State.UPGRADE_COMPLETED, State.FINALIZE_FAILED})
_FINALIZE_ROLLBACK = frozenset({State.ROLLBACK_RUNNING, State.ROLLBACK_FAILED, State.ROLLBACK_COMPLETED})


@dataclass(frozen=True)
class Request:
    """What the user asks of one cluster. ``wait_timeout`` in seconds; None: the stage's usual deadline."""

    stage: Stage
    options: t.Mapping[str, t.Any]
    wait: bool = False
    wait_timeout: float | None = None
    contact_timeout: float = 60.0
    rollback_after_expiration: bool = False
    check: bool = False


@dataclass(frozen=True)
class Answer:
    """How it went; ``before`` and ``after`` are what a diff shows."""

    changed: bool
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    observed: Observed
    note: str = ""
    seconds: float | None = None


class StageFailed(IbuError):
    """The stage was not reached; ``next_step`` says what to do, ``answer`` what was seen."""

    def __init__(self, message: str, step: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.next_step = step
        self.answer = answer


def action_for(stage: Stage, observed: Observed) -> Action:
    """The action that a desired stage means here: going Idle finalizes what is done and aborts what is not."""
    if stage is not Stage.IDLE:
        return Action(stage.value)
    if observed.state in _FINALIZE_UPGRADE:
        return Action.FINALIZE_UPGRADE
    return Action.FINALIZE_ROLLBACK if observed.state in _FINALIZE_ROLLBACK else Action.ABORT


def to_stage(name: str, cluster: ClusterLike, request: Request, clock: Clock) -> Answer:
    """Bring the cluster to the stage. Raises StageFailed, and InvalidOption before anything is asked."""
    goals_of([Action.PREP], request.options)
    observed = _contact(cluster, request, clock)
    goal = goals_of(
        [action_for(request.stage, observed)],
        request.options,
        rollback_after_expiration=request.rollback_after_expiration,
    )[0]
    if request.wait and not request.check:
        return _drive(name, cluster, goal, request, clock, observed)
    return _request(cluster, goal, request, observed)


def _contact(cluster: ClusterLike, request: Request, clock: Clock) -> Observed:
    try:
        return first_contact(cluster.read, request.contact_timeout, clock)
    except NoContact as error:
        raise StageFailed(str(error), error.next_step) from error


def _request(cluster: ClusterLike, goal: Goal, request: Request, observed: Observed) -> Answer:
    """Send the patch, if one is due, and look no further. In check mode the API judges it by a dry run."""
    decision = decide(observed, goal)
    if isinstance(decision, Fail):
        step = pointed(decision.next_step, observed.state, decision.message)
        raise StageFailed(decision.message, step, _unchanged(observed))
    if not isinstance(decision, Patch):
        return _unchanged(observed)
    if decision.verify and (found := problems(cluster.health(), observed.target)):
        raise StageFailed(
            "not fit to be finalized: " + "; ".join(found), "repair it, then try again", _unchanged(observed)
        )
    try:
        after = cluster.patch(decision.body, dry_run=request.check)
    except Refused as refusal:
        allowed = ", ".join(observed.valid_next) or "none"
        message = f"the API refused {decision.stage}: {refusal} (it allows: {allowed})"
        step = pointed(next_step(observed.state), observed.state, message)
        raise StageFailed(message, step, _unchanged(observed)) from refusal
    return Answer(True, _shown(observed), merged(_shown(observed), decision.body), after)


def _drive(name: str, cluster: ClusterLike, goal: Goal, request: Request, clock: Clock, observed: Observed) -> Answer:
    timeouts = {goal.action: request.wait_timeout} if request.wait_timeout is not None else {}
    limits = Limits(timeouts=timeouts, contact=request.contact_timeout)
    drive = Drive(name, cluster, [goal], limits=limits, clock=clock, stop=threading.Event())
    outcome = drive.run()
    last = drive.view.observed or observed
    answer = Answer(outcome.changed, _shown(observed), _shown(last), last, outcome.message, outcome.seconds)
    if outcome.result not in (Result.DONE, Result.SKIPPED):
        raise StageFailed(outcome.message, outcome.next_step, answer)
    return answer


def _unchanged(observed: Observed) -> Answer:
    return Answer(False, _shown(observed), _shown(observed), observed)


def _shown(observed: Observed) -> dict[str, t.Any]:
    """The part of the object that a user can set: what a diff compares."""
    return {"metadata": {"annotations": dict(observed.annotations)}, "spec": copy.deepcopy(dict(observed.spec))}


def merged(document: t.Mapping[str, t.Any], patch: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A document after a JSON merge patch (RFC 7386)."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, t.Mapping):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, t.Mapping) else {}, value)
        else:
            result[key] = value
    return result
