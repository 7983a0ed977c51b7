# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""A failed abort or finalize of one cluster: ask the agent to try again, and clean up what it cannot.

The old failure stays in the condition until the agent has looked again, and a new one may read the same. It counts as
looked at once the annotation is gone and something of the condition has changed, or long enough has passed.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup_parts import (
    OF_STORE,
    THROUGH_API,
    Failure,
    Part,
    by_hand,
    failed_parts,
    in_words,
    parts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import away_pause
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended, interrupted, late
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import select
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Policy, location_advice
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_drive import RIGHTS, OadpDrive
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import (
    MANUAL_CLEANUP,
    leftover_stateroot,
    stateroot_command,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Observed,
    Outcome,
    Refused,
    Result,
    State,
    Unanswered,
)

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import Mine
    from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_drive import ClusterLike as OadpClusterLike

_T = t.TypeVar("_T")

FAILED = frozenset({State.ABORT_FAILED, State.FINALIZE_FAILED})
_WORKING = frozenset({State.ABORTING, State.FINALIZING})
_WATCH_SECONDS = 60.0
# The failure that was found, the one after asking again, and the one after the cleanup by this collection.
_MOST_FAILURES = 3


class ClusterLike(t.Protocol):
    """What a cleanup needs of a cluster; ``_cluster.Cluster`` is the real one."""

    def read(self) -> Observed:
        """What the cluster says now."""

    def patch(self, body: t.Mapping[str, t.Any]) -> Observed:
        """Send a merge patch; what the cluster says then."""

    def changes(self, since: Observed, seconds: int) -> t.Iterator[Observed]:
        """What it says whenever that changes."""


class OadpLike(t.Protocol):
    """OADP's side of a cluster; ``OadpPart`` is the real one."""

    def look(self) -> Mine:
        """What OADP holds of this cluster."""

    def clean(self) -> tuple[Outcome, dict[str, t.Any]]:
        """Remove it; what became of it, and what is told of it."""


@dataclass(frozen=True)
class CleanupLimits:
    """How long to be patient, in seconds.

    ``take_up``: until the agent takes the annotation away. ``same``: until a failure that reads as the old one counts
    as a new one; deleting backups alone may take the agent five minutes. ``whole``: for one try of the agent.
    """

    location: float = 600.0
    take_up: float = 600.0
    same: float = 420.0
    whole: float = 2400.0
    contact: float = 60.0


@dataclass
class CleanupReport:
    """What happened: every failure that was seen, how often the agent was asked, and what was removed here.

    ``needs_node``: the stateroot that has to go on the node; "" where only the node knows its name, None: not needed.
    """

    failures: list[dict[str, t.Any]] = field(default_factory=list)
    asked: int = 0
    removed: dict[str, list[str]] = field(default_factory=dict)
    data_left: list[dict[str, t.Any]] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    needs_node: str | None = None

    @property
    def removed_anything(self) -> bool:
        """True where this run itself has removed or changed something of OADP's."""
        return any(self.removed.values()) or bool(self.volumes)

    def took(self, report: t.Mapping[str, t.Any]) -> None:
        """Add what a cleanup of OADP has removed."""
        for kind, names in (report.get("removed") or {}).items():
            self.removed.setdefault(kind, []).extend(names)
        self.data_left += report.get("data_left") or ()
        self.volumes += report.get("volumes") or ()


class OadpPart:
    """OADP's objects of one cluster, read and cleaned up through its API."""

    def __init__(
        self,
        name: str,
        cluster: OadpClusterLike,
        policy: Policy,
        *,
        clock: Clock,
        stop: threading.Event,
        contact: float = 60.0,
        notify: t.Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._cluster = cluster
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._contact = contact
        self._notify = notify

    def look(self) -> Mine:
        """What is there of this cluster. Raises Unanswered and Refused."""
        return select(self._cluster.read())

    def clean(self) -> tuple[Outcome, dict[str, t.Any]]:
        """Remove what is there; how that ended, and what it has removed."""
        drive = OadpDrive(
            self._name,
            self._cluster,
            self._policy,
            clock=self._clock,
            stop=self._stop,
            contact=self._contact,
            notify=self._notify,
        )
        return drive.run(), drive.report


class Cleanup:
    """Takes one cluster out of its failed cleanup. ``show`` is told what is being done: a label, and a note."""

    def __init__(
        self,
        cluster: ClusterLike,
        oadp: OadpLike,
        limits: CleanupLimits,
        *,
        clock: Clock,
        stop: threading.Event,
        orphan_data: bool = False,
        show: t.Callable[[str, str], None] = lambda _label, _note: None,
    ) -> None:
        self.report = CleanupReport()
        self.changed = False
        self._cluster = cluster
        self._oadp = oadp
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._orphan_data = orphan_data
        self._show = show

    def run(self, observed: Observed) -> Observed:
        """The first state that is no failed cleanup any more. Raises Ended where there is no way to one."""
        if observed.state in FAILED and MANUAL_CLEANUP in observed.annotations:
            # Whoever has asked, perhaps this run's predecessor: the agent has not looked yet.
            observed = self._answer(observed, observed)
        while observed.state in FAILED:
            failures = failed_parts(observed.message)
            self.report.failures.append(
                {"parts": [str(failure.part) for failure in failures], "message": " ".join(observed.message.split())}
            )
            if len(self.report.failures) >= _MOST_FAILURES:
                raise self._given_up(failures)
            if len(self.report.failures) > 1 or self._is_given_up_store(failures):
                self._clean_up(failures, observed)
            elif parts_of(failures) & OF_STORE:
                self._wait_for_location()
            observed = self._ask(observed)
        return observed

    def settle(self, observed: Observed) -> Observed:
        """The state once an abort or finalize that is under way has ended, well or not."""
        return self._answer(observed, observed) if observed.state in _WORKING else observed

    # --- the store ------------------------------------------------------------------------------------------------

    def _is_given_up_store(self, failures: t.Sequence[Failure]) -> bool:
        """True where the user has said that the bucket is lost, and it is: the agent would only fail once more."""
        if not self._orphan_data or not parts_of(failures) & OF_STORE:
            return False
        bad = [location for location in self._look_at_oadp().needed if not location.usable]
        return bool(bad) and all(location.lost for location in bad)

    def _wait_for_location(self) -> None:
        """Return once every location that the cluster's backups need is Available. Raises Ended after the limit."""
        begun = self._clock.monotonic()
        while True:
            bad = [location for location in self._look_at_oadp().needed if not location.usable]
            if not bad:
                return
            waited = self._clock.monotonic() - begun
            problems = "; ".join(location.problem for location in bad)
            if waited >= self._limits.location:
                words = f"{problems}; waited {waited:.0f} s for it, and did not ask the Lifecycle Agent to fail again"
                raise Ended(Result.TIMED_OUT, words, location_advice(bad[0]))
            self._show("waiting for the backup location", problems)
            self._pause(min(away_pause(waited), self._limits.location - waited))

    def _look_at_oadp(self) -> Mine:
        return self._persistent(self._oadp.look)

    # --- the manual cleanup ---------------------------------------------------------------------------------------

    def _clean_up(self, failures: t.Sequence[Failure], observed: Observed) -> None:
        """Clean up the parts that have failed, as far as the API reaches. Raises Ended where others are left."""
        parts = parts_of(failures)
        if parts & THROUGH_API:
            self._show("cleaning up OADP", "")
            outcome, report = self._oadp.clean()
            self.report.took(report)
            self.changed = self.changed or outcome.changed
            self._check_stop()
            if outcome.result.is_failure:
                raise Ended(outcome.result, self._told(failures, outcome.message), outcome.next_step)
        if rest := [failure for failure in failures if failure.part not in THROUGH_API]:
            raise self._for_a_person(rest, observed)

    def _for_a_person(self, rest: t.Sequence[Failure], observed: Observed) -> Ended:
        steps = []
        for failure in rest:
            if failure.part is Part.STATEROOT:
                self.report.needs_node = leftover_stateroot(observed)
                steps.append(stateroot_command(self.report.needs_node))
            else:
                steps.append(by_hand(failure.part))
        then = "then ansible-playbook sno.image_upgrade.recover -l {cluster}"
        return Ended(Result.FAILED, self._told(rest, ""), "; ".join([*steps, then]))

    def _given_up(self, failures: t.Sequence[Failure]) -> Ended:
        hints = [by_hand(failure.part) or by_hand(Part.UNKNOWN) for failure in failures]
        step = "; ".join(dict.fromkeys([by_hand(Part.UNKNOWN), *hints]))
        return Ended(Result.FAILED, self._told(failures, ""), step)

    def _told(self, failures: t.Sequence[Failure], why: str) -> str:
        """Which part failed, how often, and what was removed."""
        times = len(self.report.failures)
        parts = "; ".join(f"cleanup of {in_words(failure.part)} failed: {failure.why}" for failure in failures)
        often = f"{parts} (seen {times} time{'s' if times > 1 else ''}, asked the Lifecycle Agent {self.report.asked})"
        done = f"; {removed_words(self.report)}" if self.report.removed_anything else ""
        return often + done + (f"; {why}" if why else "")

    # --- the agent ------------------------------------------------------------------------------------------------

    def _ask(self, observed: Observed) -> Observed:
        """Ask the agent to repeat its cleanup, and wait for what comes of it."""
        self._check_stop()
        self._show("asking for another cleanup", "")
        self.changed = True
        self.report.asked += 1
        try:
            asked = self._cluster.patch({"metadata": {"annotations": {MANUAL_CLEANUP: ""}}})
        except Unanswered:
            # Whether it arrived is unknown. If it did not, the old failure stays, and the next round asks again.
            asked = self._persistent(self._cluster.read)
        except Refused as refusal:
            raise Ended(Result.REFUSED, f"the API refused the annotation {MANUAL_CLEANUP}: {refusal}", RIGHTS) from None
        return self._answer(observed, asked)

    def _answer(self, old: Observed, current: Observed) -> Observed:
        """The state once the agent has looked again: gone on, or failed once more."""
        begun = self._clock.monotonic()
        consumed: float | None = None
        looked = False
        while True:
            self._check_stop()
            now = self._clock.monotonic()
            if current.state in _WORKING:
                looked, left = True, begun + self._limits.whole - now
                self._show("cleaning up (Lifecycle Agent)", current.message)
                if left <= 0:
                    raise late(f"the cleanup took longer than {self._limits.whole:.0f} s", current, None, "")
            elif current.state not in FAILED:
                return current
            elif MANUAL_CLEANUP in current.annotations:
                left = begun + self._limits.take_up - now
                self._show("asked for another cleanup", "")
                if left <= 0:
                    raise _not_taken_up(now - begun)
            else:
                consumed = now if consumed is None else consumed
                left = consumed + self._limits.same - now
                changed = (current.since, current.message) != (old.since, old.message)
                if looked or changed or left <= 0:
                    return current
                self._show("cleaning up (Lifecycle Agent)", "")
            current = self._next(current, left)

    def _next(self, last: Observed, most: float) -> Observed:
        """The next state after a change, or a fresh one after a while without any."""
        seconds = max(1, math.ceil(min(most, _WATCH_SECONDS)))
        try:
            found = next(self._cluster.changes(last, seconds), None)
        except Unanswered as error:
            if error.kind not in ("expired", "conflict"):
                self._pause(away_pause(0))
            found = None
        return self._persistent(self._cluster.read) if found is None else found

    # --- patience -------------------------------------------------------------------------------------------------

    def _persistent(self, read: t.Callable[[], _T]) -> _T:
        """Read until the cluster answers; a cleanup reboots nothing, so silence may not last."""
        begun = self._clock.monotonic()
        while True:
            self._check_stop()
            try:
                return read()
            except Unanswered as error:
                if error.status in (401, 403) or error.kind == "tls":
                    raise Ended(Result.FAILED, str(error), RIGHTS) from error
                silent = self._clock.monotonic() - begun
                if silent >= self._limits.contact:
                    step = "check the cluster's power, network and API address, then run again"
                    raise Ended(Result.UNREACHABLE, f"{error} for {silent:.0f} s", step) from error
                self._pause(away_pause(silent))
            except Refused as refusal:
                raise Ended(Result.FAILED, str(refusal), RIGHTS) from refusal

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._stop, max(seconds, 0.01))
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise interrupted()


def _not_taken_up(seconds: float) -> Ended:
    return Ended(
        Result.TIMED_OUT,
        f"the Lifecycle Agent has not taken the annotation {MANUAL_CLEANUP} up for {seconds:.0f} s",
        "look at its pod and log in namespace openshift-lifecycle-agent, then run again",
    )


def removed_words(report: CleanupReport) -> str:
    """What this run has removed itself."""
    parts = [f"{len(names)} {kind.replace('_', ' ')}" for kind, names in report.removed.items() if names]
    words = [f"removed {', '.join(parts)}"] if parts else []
    if report.data_left:
        words.append(f"the data of {len(report.data_left)} stays in the bucket")
    if report.volumes:
        words.append(f"set the reclaim policy of {', '.join(report.volumes)} back to Delete")
    return "; ".join(words)
