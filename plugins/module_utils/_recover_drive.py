# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One cluster through recover: look, decide, take the first step, look again. Clock and cluster are injected."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup import (
    FAILED,
    Cleanup,
    CleanupLimits,
    OadpLike,
    removed_words,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup_parts import (
    THROUGH_API,
    failed_parts,
    parts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import NoContact, away_pause, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended, interrupted, late
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import (
    Do,
    Recovery,
    Way,
    Wishes,
    recover,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    Observed,
    Outcome,
    Result,
    State,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import ClusterLike
    from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction
    from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import Mine

TASK = "Recovery"
# Wait, roll back, finalize, clean up: more than this is going round in circles.
_MOST_STEPS = 8
_ACTIONS = {Do.ABORT: Action.ABORT, Do.ROLLBACK: Action.ROLLBACK, Do.FINALIZE: Action.FINALIZE_ROLLBACK}
_CLEANUPS = frozenset({Do.LOCATION, Do.RETRY, Do.OADP, Do.STATEROOT})
_LABELS_COMMAND = "ansible-playbook sno.image_upgrade.hub_labels -l {cluster}"


class DriveLike(t.Protocol):
    """What follows one action on the cluster; ``_drive.Drive`` is the real one."""

    view: View

    def run(self) -> Outcome:
        """Take the action to its end; what became of it."""


class HubSide(t.Protocol):
    """What the hub says of the cluster."""

    def correction(self, observed: Observed) -> Correction:
        """What would bring the hub into line with a cluster in this state. Raises IbuError."""

    def busy(self) -> str:
        """The group upgrade, NAMESPACE/NAME, whose running step is not done with the cluster; "" if none is known."""

    def correct(self, observed: Observed) -> tuple[bool, str]:
        """Bring it into line: whether something was written, and why something was left. Raises IbuError."""


@dataclass(frozen=True)
class Tools:
    """The ways to one cluster. ``drive`` makes what follows these goals."""

    cluster: ClusterLike
    oadp: OadpLike
    drive: t.Callable[[list[Goal]], DriveLike]
    hub: HubSide | None = None


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for the first answer, for what somebody else must end, and for a cleanup."""

    contact: float = 60.0
    wait: float = 2400.0
    cleanup: CleanupLimits = field(default_factory=CleanupLimits)


class RecoverDrive:
    """Recovers one cluster. ``run`` never raises for the cluster's sake; it returns the outcome.

    ``look``: only say what would be done. ``logs_saved``: what shows why the cluster failed is safe, so that steps
    which destroy it may be taken; without, the cluster is left as it is before such a step.
    After the run ``recovery`` says what was decided at first, ``seen`` on which state, and ``needs_logs`` and
    ``needs_node`` what somebody else has to do before it can go on.
    """

    def __init__(
        self,
        name: str,
        tools: Tools,
        wishes: Wishes,
        patience: Patience,
        *,
        clock: Clock,
        stop: threading.Event,
        notify: t.Callable[[], None] = lambda: None,
        look: bool = False,
        logs_saved: bool = False,
    ) -> None:
        self.view = View(name, task=TASK)
        self.outcome = Outcome(name, action=TASK)
        self.recovery: Recovery | None = None
        self.seen: Observed | None = None
        self.needs_logs = False
        self._tools = tools
        self._wishes = wishes
        self._patience = patience
        self._clock = clock
        self._stop = stop
        self._notify = notify
        self._look = look
        self._logs_saved = logs_saved
        self._mine: Mine | None = None
        self._cleanup = Cleanup(
            tools.cluster,
            tools.oadp,
            patience.cleanup,
            clock=clock,
            stop=stop,
            orphan_data=wishes.orphan_data,
            show=self._show,
        )

    @property
    def needs_node(self) -> str | None:
        """The stateroot to remove on the node; "" where only the node knows its name, None where none is to go."""
        return self._cleanup.report.needs_node

    @property
    def report(self) -> dict[str, t.Any]:
        """What is returned of the cluster beside the outcome's own words."""
        found, done = self.recovery, self._cleanup.report
        return {
            "way": str(found.way) if found else None,
            "saw": list(found.saw) if found else [],
            "steps": [step.text for step in found.steps] if found else [],
            "advice": found.advice.replace("{cluster}", self.view.name) if found else "",
            "failures": done.failures,
            "asked": done.asked,
            "removed": done.removed,
            "data_left": done.data_left,
            "volumes": done.volumes,
        }

    def run(self) -> Outcome:
        """Recover the cluster as far as it goes, and say how it ended."""
        outcome, begun = self.outcome, self._clock.monotonic()
        outcome.result, outcome.started = Result.IN_FLIGHT, self._clock.now().isoformat(timespec="seconds")
        try:
            self._run()
        except Ended as ended:
            outcome.result, outcome.message = ended.result, str(ended)
            step = ended.step.replace("{cluster}", self.view.name)
            outcome.next_step = pointed(step, outcome.state, str(ended)) if ended.result.is_failure else step
        finally:
            self._tools.cluster.close()
        outcome.changed = outcome.changed or self._cleanup.changed
        outcome.ended = self._clock.now().isoformat(timespec="seconds")
        outcome.seconds = round(self._clock.monotonic() - begun, 3)
        self._notify()
        return outcome

    # --- looking --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        observed = self._first_look()
        self.seen = observed
        self.outcome.version_before = observed.version
        self.recovery = self._judge(observed)
        if self._look:
            self._preview(self.recovery)
        else:
            self._follow(observed)

    def _first_look(self) -> Observed:
        try:
            return first_contact(self._tools.cluster.read, self._patience.contact, self._clock, self._stop)
        except NoContact as error:
            if self._stop.is_set():
                raise interrupted() from error
            raise Ended(Result.UNREACHABLE, str(error), error.next_step) from error

    def _judge(self, observed: Observed) -> Recovery:
        outcome = self.outcome
        outcome.stage, outcome.state, outcome.version_after = observed.stage, str(observed.state), observed.version
        mine = None
        if observed.state in FAILED and parts_of(failed_parts(observed.message)) & THROUGH_API:
            mine = self._oadp_seen()
        busy = self._tools.hub.busy() if self._tools.hub else ""
        return recover(observed, self._wishes, mine, self._labels(), busy)

    def _oadp_seen(self) -> Mine | None:
        """What is there of OADP's; the words do without, and the cleanup itself says why it could not be read."""
        try:
            return self._tools.oadp.look()
        except IbuError:
            return None

    def _labels(self) -> Correction | None:
        """What a recovered cluster needs on its hub; where the hub cannot say, the end tells why."""
        if self._tools.hub is None:
            return None
        try:
            return self._tools.hub.correction(Observed(State.IDLE))
        except IbuError:
            return None

    def _preview(self, found: Recovery) -> None:
        outcome = self.outcome
        self.needs_logs = found.wants_logs
        outcome.changed = found.way is Way.RECOVER and found.first is not Do.LEAVE
        outcome.result = Result.DONE
        outcome.message = "; ".join(found.saw)
        if found.way in (Way.PERSON, Way.UNKNOWN):
            raise _for_a_person(found)

    # --- acting ---------------------------------------------------------------------------------------------------

    def _follow(self, observed: Observed) -> None:
        for _step in range(_MOST_STEPS):
            found = self._judge(observed)
            self.needs_logs = False
            if found.way in (Way.PERSON, Way.UNKNOWN):
                self.needs_logs = found.wants_logs and not self._logs_saved
                raise _for_a_person(found)
            if found.first is None:
                self._end(found, observed)
                return
            if found.first is Do.LEAVE:
                self.needs_logs = found.wants_logs and not self._logs_saved
                raise Ended(Result.REFUSED, f"{'; '.join(found.saw)}; nothing was done on it", found.advice)
            if found.first is not Do.WAIT and found.wants_logs and not self._logs_saved:
                self.needs_logs = True
                raise _without_logs(found)
            observed = self._take(found.first, observed)
        raise Ended(
            Result.FAILED,
            f"it is {observed.state} again and again",
            "collect logs and report this; what was done is in the result",
        )

    def _take(self, do: Do, observed: Observed) -> Observed:
        """One step to its end; the state after it."""
        if do is Do.WAIT:
            return self._wait(observed)
        if do in _CLEANUPS:
            found = self._cleanup.run(observed)
            self.outcome.completed.append(str(Do.RETRY))
            return found
        return self._drive(do, observed)

    def _drive(self, do: Do, observed: Observed) -> Observed:
        """Follow one action. Where it has ended in another state than before, that state decides what is next."""
        goal = Goal(_ACTIONS[do], rollback_after_expiration=self._wishes.rollback_after_expiration)
        drive = self._tools.drive([goal])
        own, self.view = self.view, drive.view
        try:
            ended = drive.run()
        finally:
            self.view = own
        outcome = self.outcome
        outcome.changed = outcome.changed or ended.changed
        outcome.notes += ended.notes
        outcome.away_seconds = max(outcome.away_seconds, ended.away_seconds)
        if ended.result is Result.INTERRUPTED:
            raise interrupted()
        if not ended.result.is_failure:
            outcome.completed.append(str(do))
        if ended.result in (Result.UNREACHABLE, Result.TIMED_OUT):
            raise Ended(ended.result, ended.message, ended.next_step)
        fresh = self._read()
        if ended.result.is_failure and fresh.state is observed.state:
            raise Ended(ended.result, ended.message, ended.next_step)
        return fresh

    def _wait(self, observed: Observed) -> Observed:
        """Wait for what the agent, or somebody else, has to end."""
        if observed.state is State.ROLLBACK_RUNNING:
            return self._drive(Do.ROLLBACK, observed)
        if observed.state in (State.ABORTING, State.FINALIZING):
            return self._cleanup.settle(observed)
        begun, before = self._clock.monotonic(), observed.state
        while observed.state is before:
            waited = self._clock.monotonic() - begun
            if waited >= self._patience.wait:
                raise late(f"it stayed so for {waited:.0f} s", observed, None, "")
            self._show(str(observed.state), observed.message)
            self._pause(min(away_pause(waited), self._patience.wait - waited))
            observed = self._read()
        return observed

    def _end(self, found: Recovery, observed: Observed) -> None:
        """Say that it is recovered, once the hub says so too."""
        outcome = self.outcome
        outcome.result = Result.DONE
        done = removed_words(self._cleanup.report)
        words = f"recovered: it is {observed.state}" if outcome.completed else "; ".join(found.saw)
        outcome.message = f"{words}; {done}" if done else words
        if not outcome.completed and found.advice:
            outcome.next_step = found.advice.replace("{cluster}", self.view.name)
        if self._tools.hub is None or found.way is Way.NOTHING and not outcome.completed and not _is_idle(observed):
            return
        try:
            wrote, left = self._tools.hub.correct(observed)
        except IbuError as error:
            message = f"{outcome.message}; but its hub could not be brought into line: {error}"
            raise Ended(Result.FAILED, message, f"mend the hub's connection, then {_LABELS_COMMAND}") from error
        outcome.changed = outcome.changed or wrote
        if wrote:
            outcome.completed.append(str(Do.LABELS))
        if left:
            outcome.notes.append(left)

    # --- patience -------------------------------------------------------------------------------------------------

    def _read(self) -> Observed:
        """Read until the cluster answers. After a reboot the object may be missing for a while."""
        begun = self._clock.monotonic()
        while True:
            if self._stop.is_set():
                raise interrupted()
            try:
                return self._tools.cluster.read()
            except Unanswered as error:
                silent = self._clock.monotonic() - begun
                if silent >= self._patience.contact:
                    step = "check the cluster's power, network and API address, then run again"
                    raise Ended(Result.UNREACHABLE, f"{error} for {silent:.0f} s", step) from error
                self._pause(away_pause(silent))

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._stop, max(seconds, 0.01))
        if self._stop.is_set():
            raise interrupted()

    def _show(self, label: str, note: str) -> None:
        self.view.label, self.view.note = label, note
        self.view.changed = self._clock.monotonic()
        self._notify()


def _is_idle(observed: Observed) -> bool:
    return observed.state is State.IDLE


def _for_a_person(found: Recovery) -> Ended:
    return Ended(Result.FAILED, f"{found.way}: {'; '.join(found.saw)}", found.advice)


def _without_logs(found: Recovery) -> Ended:
    return Ended(
        Result.REFUSED,
        f"{'; '.join(found.saw)}; nothing was done, because what shows why would be deleted and is not saved",
        "collect its logs (ansible-playbook sno.image_upgrade.must_gather -l {cluster}), or switch that off with "
        "recover_logs=false",
    )
