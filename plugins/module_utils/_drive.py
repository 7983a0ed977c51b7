# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One cluster to one goal after the other: read, decide, act, wait. The clock and the cluster are injected."""

from __future__ import annotations

import contextlib
import random
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import NoContact, away_pause, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import (
    Ended,
    denied,
    forbidden,
    interrupted,
    late,
    not_taken,
    taken_elsewhere,
    unverified,
    would,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide, next_step, resume
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import seconds_in
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Done,
    Fail,
    Goal,
    IbuError,
    Observed,
    Outcome,
    Patch,
    Refused,
    Result,
    State,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import problems
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

if t.TYPE_CHECKING:
    import datetime
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import Health

_WATCH_SECONDS = 120
_WATCH_SECONDS_AROUND_REBOOT = 60
# A silence that is longer than any pause between two attempts is an outage of its own.
_BETWEEN_ATTEMPTS = 30.0
_UNWRITTEN = frozenset({State.ABSENT, State.NO_STATUS, State.PENDING})
_DENIALS = frozenset({401, 403})
_ABORTS = frozenset({Action.ABORT, Action.ABORT_ON_FAILURE})


class ClusterLike(t.Protocol):
    """What a drive needs of a cluster; ``_cluster.Cluster`` is the real one."""

    def read(self) -> Observed:
        """What the cluster says now."""

    def patch(self, body: t.Mapping[str, t.Any], *, dry_run: bool = False) -> Observed:
        """Send a merge patch; what the cluster says then."""

    def changes(self, since: Observed, seconds: int) -> t.Iterator[Observed]:
        """What it says whenever that changes."""

    def health(self) -> Health:
        """What its health gates say."""

    def close(self) -> None:
        """Give up the connection."""


class ImportHold(t.Protocol):
    """The hub's auto-import of this cluster, held while its node reboots into another release."""

    def hold(self) -> None:
        """Let the hub leave the cluster alone."""

    def release(self) -> None:
        """Let the hub import it again."""


class Drive:
    """Takes one cluster through its goals. ``run`` never raises for the cluster's sake; it returns the outcome.

    ``check``: only look, and say in the outcome what would be done.
    ``expect_away``: the cluster may be in the middle of its reboot, so silence at the first contact is no failure.
    ``notify`` is called after every change of ``view``; ``commit`` before a node is sent into its reboot, and returns
    once the outcome file says so: whoever runs next then knows why the cluster is silent.
    ``leaves`` is asked once, before anything else, why this cluster is to be left alone; "" where it is not.
    """

    def __init__(
        self,
        name: str,
        cluster: ClusterLike,
        goals: t.Sequence[Goal],
        *,
        limits: Limits,
        clock: Clock,
        stop: threading.Event,
        notify: t.Callable[[], None] = lambda: None,
        commit: t.Callable[[], None] = lambda: None,
        import_hold: ImportHold | None = None,
        expect_away: bool = False,
        check: bool = False,
        leaves: t.Callable[[Observed], str] | None = None,
    ) -> None:
        self.view = View(name)
        self.outcome = Outcome(name)
        self._cluster = cluster
        self._goals = goals
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._notify = notify
        self._commit = commit
        self._import_hold = import_hold
        self._expect_away = expect_away
        self._check = check
        self._leaves = leaves
        self._watch: t.Iterator[Observed] | None = None
        self._deadline = self._last_moment = float("inf")
        self._denied_since: float | None = None
        # Since when the cluster has been there to be read, but has not taken a patch.
        self._untaken_since: float | None = None
        self._last = Observed(State.UNKNOWN)
        self._verified = False

    def run(self) -> Outcome:
        """Drive to the end and say how it ended."""
        begun = self._clock.monotonic()
        self._last_moment = self._limits.last_moment(begun)
        outcome = self.outcome
        outcome.result, outcome.started = Result.IN_FLIGHT, self._clock.now().isoformat(timespec="seconds")
        try:
            outcome.result = self._run()
        except Ended as ended:
            outcome.result, outcome.message = ended.result, str(ended)
            step = ended.step.format(cluster=self.view.name)
            outcome.next_step = pointed(step, outcome.state, str(ended)) if ended.result.is_failure else step
        finally:
            self._cluster.close()
        outcome.ended = self._clock.now().isoformat(timespec="seconds")
        outcome.seconds = round(self._clock.monotonic() - begun, 3)
        self._notify()
        return outcome

    def _run(self) -> Result:
        observed = self._first_contact()
        self.outcome.version_before = observed.version
        if self._leaves is not None:
            observed = self._judgeable(observed)
            if why := self._leaves(observed):
                self.outcome.message = why
                return Result.SKIPPED
        index = resume(observed, self._goals)
        self.outcome.completed = [str(goal.action) for goal in self._goals[:index]]
        last = self._goals[-1]
        if index == len(self._goals) and last.action is Action.UPGRADE and not self._check:
            # The run that saw the upgrade complete may not have lived to verify it.
            self._confirm(last, observed)
        if index == len(self._goals) or self._check:
            return self._preview(observed, self._goals[min(index, len(self._goals) - 1)])
        result = Result.DONE
        for goal in self._goals[index:]:
            observed, done = self._reach(goal, observed)
            result = Result.SKIPPED if done.skipped else Result.DONE
            self.outcome.message = done.note
            if not done.skipped:
                self.outcome.completed.append(str(goal.action))
        return result

    def _judgeable(self, observed: Observed) -> Observed:
        """A state that says who the cluster is: until the agent has written one, it cannot be chosen or left alone."""
        self._begin(self._goals[0])
        while not self._check and (observed.state in _UNWRITTEN or self._is_held_up(observed)):
            observed = self._next()
        return observed

    def _is_held_up(self, observed: Observed) -> bool:
        return observed.state is State.BLOCKED and self._goals[0].action not in _ABORTS

    def _preview(self, observed: Observed, goal: Goal) -> Result:
        """Where nothing is to be done: say what the state means for the goal."""
        decision = decide(observed, goal)
        self.outcome.action = str(goal.action)
        self.outcome.message = would(decision)
        self.outcome.changed = isinstance(decision, Patch)
        return Result.SKIPPED if isinstance(decision, Done) and decision.skipped else Result.DONE

    # --- one goal -------------------------------------------------------------------------------------------------

    def _reach(self, goal: Goal, observed: Observed) -> tuple[Observed, Done]:
        """Follow one goal to its end. Raises Ended where it cannot be reached."""
        self._begin(goal)
        began_at = observed.now
        settle_until: float | None = None
        asked = False
        while True:
            self._check_stop()
            decision = decide(observed, goal)
            if not isinstance(decision, Patch):
                self._forget_untaken()
            if isinstance(decision, Done):
                # Back in Idle nothing shows any more that it was this very abort.
                decision = Done() if asked and decision.skipped else decision
                self._complete(goal, decision, observed, began_at)
                return observed, decision
            if isinstance(decision, Fail):
                if settle_until is None:
                    settle_until = self._clock.monotonic() + (self._limits.settle if decision.settle else 0)
                if self._clock.monotonic() >= settle_until:
                    raise Ended(decision.result, decision.message, decision.next_step)
                observed = self._next(settle_until - self._clock.monotonic())
                continue
            settle_until = None
            if isinstance(decision, Patch):
                observed = self._apply(goal, decision, observed)
                began_at, asked = observed.now, True
            else:
                observed = self._next()

    def _begin(self, goal: Goal) -> None:
        self.outcome.action = str(goal.action)
        self._deadline = min(self._clock.monotonic() + self._limits.timeout(goal.action), self._last_moment)
        self.view.action = goal.action
        self._show()

    def _complete(self, goal: Goal, done: Done, observed: Observed, began_at: datetime.datetime | None) -> None:
        if goal.action is Action.ABORT_ON_FAILURE and done.skipped:
            # It may be in the middle of its upgrade: nothing of it is ours, the hub's annotation neither.
            return
        self._record_duration(goal, observed, began_at)
        self._confirm(goal, observed)

    def _confirm(self, goal: Goal, observed: Observed) -> None:
        """Verify what was upgraded, and let the hub import again."""
        if goal.action is Action.UPGRADE and observed.state is State.UPGRADE_COMPLETED:
            self._verify(observed)
        if goal.action in (Action.UPGRADE, Action.FINALIZE_ROLLBACK, *_ABORTS):
            self._release_import()

    def _record_duration(self, goal: Goal, observed: Observed, began_at: datetime.datetime | None) -> None:
        seconds = seconds_in(observed, goal.action.stage, began_at)
        if seconds is not None:
            self.outcome.durations[str(goal.action)] = seconds

    def _apply(self, goal: Goal, decision: Patch, observed: Observed) -> Observed:
        """Send the one patch of a stage. A refusal is final unless the cluster has moved on in between."""
        if decision.verify and (self._limits.soak or not self._verified):
            upgraded_earlier = not self._verified
            if self._soak(observed):
                # Hours may have passed, and a person may have rolled it back or finalized it.
                observed = self._seen(self._read())
                if decide(observed, goal) != decision:
                    return observed
            self._verify(observed)
            if upgraded_earlier:
                # The run that held the import back did not live to let it go.
                self._release_import()
        if goal.action is Action.UPGRADE:
            self._hold_import()
        if goal.action.reboots or goal.action in _ABORTS:
            # An aborted cluster looks like one that was never begun; only the outcome file can tell them apart.
            self._commit()
        self._check_stop()
        try:
            taken = self._seen(self._cluster.patch(decision.body))
        except Unanswered as error:
            return self._not_taken(decision.stage, error)
        except Refused as refusal:
            fresh = self._seen(self._read())
            if decide(fresh, goal) != decision:
                return fresh
            allowed = ", ".join(fresh.valid_next) or "none"
            raise Ended(
                Result.REFUSED,
                f"the API refused {decision.stage}: {refusal} (it allows: {allowed})",
                next_step(fresh.state),
            ) from refusal
        self.outcome.changed = True
        return taken

    def _not_taken(self, stage: str, error: Unanswered) -> Observed:
        """Whether the patch arrived is unknown; only the cluster can tell. Raises Ended where it is not let in.

        A webhook, a policy or a full etcd may keep patches out for long while everything can be read: the longer that
        lasts, the less often it is tried again.
        """
        began = self._untaken_since or self._clock.monotonic()
        waited = self._clock.monotonic() - began
        is_forbidden = error.status in _DENIALS
        self.outcome.changed |= not is_forbidden
        if is_forbidden and waited >= self._limits.denied:
            raise forbidden(stage, waited, error)
        if waited:
            self._pause(waited)
        observed = self._return_from_silence(error)
        self._untaken_since, self.view.note = began, f"the API did not take {stage}: {error}"
        return self._seen(observed)

    def _forget_untaken(self) -> None:
        if self._untaken_since is not None:
            self._untaken_since, self.view.note = None, ""

    # --- verification, soak and the hub ---------------------------------------------------------------------------

    def _verify(self, observed: Observed) -> None:
        """Wait until nothing speaks against the upgraded cluster. Raises Ended where that does not come true."""
        began = self._clock.monotonic()
        while True:
            found = self._problems(observed)
            if not found:
                self._verified, self.view.note = True, ""
                return
            waited = self._clock.monotonic() - began
            if waited >= self._limits.verify or self._clock.monotonic() >= self._last_moment:
                self._look_again()
                raise unverified(found)
            self.view.note = found[0]
            self._show()
            self._pause(waited)
            self._check_stop()

    def _look_again(self) -> None:
        """See what the cluster is by now. Raises Ended where it is not upgraded any more, or not waiting for that."""
        with contextlib.suppress(Unanswered):
            fresh = self._seen(self._cluster.read())
            if fresh.state is not State.UPGRADE_COMPLETED:
                raise taken_elsewhere(fresh)

    def _problems(self, observed: Observed) -> list[str]:
        try:
            return problems(self._cluster.health(), observed.target)
        except Unanswered as error:
            return [f"its health cannot be read: {error}"]

    def _soak(self, observed: Observed) -> bool:
        """Let the upgraded cluster prove itself; counted from when it completed, so a rerun does not start over.

        True where that took any time.
        """
        if not self._limits.soak:
            return False
        elapsed = (observed.now - observed.since).total_seconds() if observed.now and observed.since else 0.0
        left = self._limits.soak - max(0.0, elapsed)
        if left > 0:
            self.view.note = f"soaking for {left:.0f} s"
            self._show()
            if (pause := min(left, self._last_moment - self._clock.monotonic())) > 0:
                self._clock.wait(self._stop, pause)
            self._deadline = min(self._deadline + left, self._last_moment)
            self._check_stop()
            self._check_deadline()
        return left > 0

    def _hold_import(self) -> None:
        if self._import_hold is None:
            return
        self.view.note = "asking the hub to hold its auto-import"
        self._show()
        try:
            self._import_hold.hold()
        except IbuError as error:
            self._check_stop()
            raise Ended(
                Result.FAILED,
                f"the hub did not take the annotation that holds its auto-import: {error}",
                "mend the hub connection and run again; nothing was changed on the cluster",
            ) from error
        self.view.note = ""

    def _release_import(self) -> None:
        if self._import_hold is None:
            return
        try:
            self._import_hold.release()
        except IbuError as error:
            self.outcome.notes.append(f"the hub still holds its auto-import back: {error}")

    # --- reading and waiting --------------------------------------------------------------------------------------

    def _first_contact(self) -> Observed:
        patience = self._limits.timeout(Action.UPGRADE) if self._expect_away else self._limits.contact
        try:
            return self._seen(
                first_contact(
                    self._cluster.read,
                    min(patience, self._last_moment - self._clock.monotonic()),
                    self._clock,
                    self._stop,
                    expect_away=self._expect_away,
                    away=self._away,
                )
            )
        except NoContact as error:
            self._check_stop()
            raise Ended(Result.UNREACHABLE, str(error), error.next_step) from error

    def _next(self, most: float = _WATCH_SECONDS) -> Observed:
        """The next state worth a decision, through whatever outage lies in between."""
        while True:
            self._check_stop()
            self._check_deadline()
            try:
                observed = self._next_of_watch(most)
            except Unanswered as error:
                self._watch = None
                observed = self._return_from_silence(error)
            if self._is_current(observed):
                return self._seen(observed)

    def _next_of_watch(self, most: float) -> Observed:
        if self._watch is None:
            self._watch = self._cluster.changes(self._last, self._watch_seconds(most))
        observed = next(self._watch, None)
        if observed is None:
            # A watch that ended quietly proves nothing: read again, then watch from there.
            self._watch = None
            observed = self._cluster.read()
        return observed

    def _watch_seconds(self, most: float) -> int:
        reboots = self.view.action is not None and self.view.action.reboots
        usual = _WATCH_SECONDS_AROUND_REBOOT if reboots else _WATCH_SECONDS
        left = min(most, self._deadline - self._clock.monotonic(), usual * random.uniform(0.8, 1.0))  # noqa: S311
        return max(1, int(left) + 1)

    def _is_current(self, observed: Observed) -> bool:
        """False for an event of before our own patch that was still on its way."""
        last = self.view.observed
        if last is None or observed.uid != last.uid or observed.generation is None or last.generation is None:
            return True
        return observed.generation >= last.generation

    def _read(self) -> Observed:
        try:
            return self._cluster.read()
        except Unanswered as error:
            return self._return_from_silence(error)

    def _return_from_silence(self, error: Unanswered) -> Observed:
        """Ask until the cluster answers again, at most until the action's deadline."""
        since = self._clock.monotonic()
        if error.kind not in ("expired", "conflict"):
            self._away(error)
            self._pause(0)
        while True:
            self._check_stop()
            self._check_denied(error)
            self._check_deadline()
            try:
                observed = self._cluster.read()
            except Unanswered as again:
                error = again
                self._away(error)
                self._pause(self._clock.monotonic() - since)
            else:
                self._denied_since = None
                return observed

    def _pause(self, waited: float) -> None:
        self._clock.wait(self._stop, away_pause(waited))

    def _check_denied(self, error: Unanswered) -> None:
        """A server that answers, but not to this identity, will not change its mind for ever."""
        if error.status not in _DENIALS:
            self._denied_since = None
            return
        now = self._clock.monotonic()
        self._denied_since = self._denied_since or now
        if now - self._denied_since >= self._limits.denied:
            raise denied(now - self._denied_since, error)

    def _check_deadline(self) -> None:
        now, action, away_since = self._clock.monotonic(), self.view.action, self.view.away_since
        if now < self._deadline:
            return
        if now >= self._last_moment:
            over = f"{action} was not over when the {self._limits.last_words(now)}"
        else:
            over = f"{action} took longer than {self._limits.timeout(action) if action else 0.0:.0f} s"
        silent = None if away_since is None else now - away_since
        if self._untaken_since is not None and (silent or 0.0) < _BETWEEN_ATTEMPTS:
            raise not_taken(over, self.view.note)
        raise late(over, self._last, silent, self.view.away_why)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise interrupted()

    # --- keeping the view -----------------------------------------------------------------------------------------

    def _seen(self, observed: Observed) -> Observed:
        if self.view.away_since is not None:
            gone = self._clock.monotonic() - self.view.away_since
            self.outcome.away_seconds = round(max(self.outcome.away_seconds, gone), 3)
        self._last = observed
        self.view.observed, self.view.away_since = observed, None
        outcome = self.outcome
        outcome.stage, outcome.state, outcome.version_after = observed.stage, str(observed.state), observed.version
        outcome.rollback_until = observed.rollback_until.isoformat() if observed.rollback_until else None
        self._show()
        return observed

    def _away(self, error: Unanswered) -> None:
        if self.view.away_since is None:
            self.view.away_since = self._clock.monotonic()
        self.view.away_why = str(error)
        self._show()

    def _show(self) -> None:
        self.view.changed = self._clock.monotonic()
        self._notify()
