# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""How a drive ends before its last goal, in words for people. Values in, errors to raise out."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import next_step
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Decision,
    Fail,
    Observed,
    Patch,
    Result,
    State,
    Wait,
)


class Ended(Exception):
    """The drive is over before its last goal. ``step`` may contain ``{cluster}``."""

    def __init__(self, result: Result, message: str, step: str) -> None:
        super().__init__(message)
        self.result = result
        self.step = step


def would(decision: Decision) -> str:
    """What following a decision would mean, for who only looks. Raises Ended where it leads nowhere."""
    if isinstance(decision, Fail):
        raise Ended(decision.result, decision.message, decision.next_step)
    if isinstance(decision, Patch):
        return f"would go to {decision.stage}"
    return f"would wait: {decision.why}" if isinstance(decision, Wait) else decision.note


def interrupted() -> Ended:
    """Somebody stopped the run."""
    return Ended(
        Result.INTERRUPTED,
        "this run was stopped; the cluster goes on by itself",
        "run again: it continues from what the cluster says",
    )


def denied(seconds: float, error: Exception) -> Ended:
    """The cluster is back, but not for this identity."""
    return Ended(
        Result.FAILED,
        f"the cluster has answered for {seconds:.0f} s, but refuses this identity: {error}",
        "bearer tokens and role bindings do not survive the pivot; use the admin client certificate and run again",
    )


def forbidden(stage: str, seconds: float, error: Exception) -> Ended:
    """The cluster can be read, but this identity may not change it."""
    return Ended(
        Result.REFUSED,
        f"the API has not let this identity go to {stage} for {seconds:.0f} s: {error}",
        "give it the rights that docs/rbac lists, or mend the admission policy that refuses it, and run again",
    )


def not_taken(over: str, why: str) -> Ended:
    """Its time is up, and a patch was never taken although the cluster could be read."""
    return Ended(
        Result.TIMED_OUT,
        f"{over}; {why}",
        "mend what keeps the API from taking it (a webhook, a policy, a full etcd), and run again",
    )


def unverified(found: t.Iterable[str]) -> Ended:
    """What speaks against the upgraded cluster has not gone away."""
    return Ended(
        Result.UNVERIFIED,
        "not fit to be finalized: " + "; ".join(found),
        "repair it and run finalize again, or ansible-playbook sno.image_upgrade.rollback -l {cluster}",
    )


def taken_elsewhere(observed: Observed) -> Ended:
    """It was upgraded when the wait for its health began, and is not any more."""
    return Ended(
        Result.REFUSED,
        f"somebody else has gone on with it while it was waited for: it is {observed.state}",
        next_step(observed.state),
    )


def late(over: str, observed: Observed, silent: float | None, why: str) -> Ended:
    """Its time is up. ``over``: whose time; ``silent``: for how long it has not answered, and ``why``."""
    if silent is not None:
        return Ended(
            Result.TIMED_OUT,
            f"{over}; no answer for {silent:.0f} s: {why}; last seen {observed.state}",
            "look at the node's console; once it answers, run again: it continues from where it is",
        )
    words = f' ("{observed.message}")' if observed.message else ""
    return Ended(Result.TIMED_OUT, f"{over}; it is {observed.state}{words}", _late_step(observed))


def _late_step(observed: Observed) -> str:
    if observed.state is State.PENDING:
        return (
            "the Lifecycle Agent does not react: look at its pod and log in namespace openshift-lifecycle-agent, "
            "then change the annotation lca.openshift.io/trigger-reconcile"
        )
    if observed.progress.health:
        return "repair what the health checks name; the stage goes on by itself, so run again afterwards"
    if observed.state is State.UPGRADE_POST_PIVOT:
        return "wait for the watchdog to roll it back, or ansible-playbook sno.image_upgrade.rollback -l {cluster}"
    if observed.state is State.UPGRADE_PRE_PIVOT:
        # Backups have no deadline of their own, and until the reboot there is a way back.
        return (
            "run again to go on waiting, or ansible-playbook sno.image_upgrade.abort -l {cluster}; what holds it up "
            "stands in the Lifecycle Agent's log"
        )
    return next_step(observed.state)
