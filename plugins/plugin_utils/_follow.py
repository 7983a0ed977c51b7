# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Following a group upgrade to its end: progress, failures as soon as the clusters report them, and when to stop.

The object is polled, not watched: each change of one cluster's entry would send the entries of all of them.
"""

from __future__ import annotations

import datetime
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import (
    Failures,
    GroupView,
    Member,
    Place,
    StepView,
    failures_in,
    view,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock as minutes_and_seconds
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Unanswered
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted, has_have

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import Documents, GroupHub
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._spokes import Causes

_NAMES_SHOWN = 6
_QUIET_LINE_SECONDS = 60.0
# TALM looks at its clock every five minutes, and has its own work to do between two steps.
_TALM_SLACK = datetime.timedelta(minutes=15)


@dataclass(frozen=True)
class Limits:
    """When to ask, and when to stop waiting. Seconds of the controller; None: no such limit."""

    poll: float = 10.0
    look: float = 60.0
    timeout: float | None = None
    hub_outage: float = 600.0
    max_failures: float | None = None
    leave_failing: bool = False


@dataclass(frozen=True)
class End:
    """How the waiting ended. ``stopped`` says why it ended before TALM did; empty where TALM has ended."""

    group: GroupView
    stopped: str = ""


class Follow:
    """Waits for TALM, and says what it sees. ``members`` are the clusters that the group upgrade selects.

    ``is_wanted`` is asked at every look; once it says no, the waiting ends as by a signal.
    """

    def __init__(
        self,
        hub: GroupHub,
        members: t.Sequence[Member],
        causes: Causes,
        *,
        limits: Limits,
        clock: Clock,
        stop: threading.Event,
        show: t.Callable[[str], None],
        is_wanted: t.Callable[[], bool] = lambda: True,
    ) -> None:
        self._hub = hub
        self._members = members
        self._causes = causes
        self._limits = limits
        self._clock = clock
        self._stop = stop
        self._show = show
        self._is_wanted = is_wanted
        self._began = clock.monotonic()
        self._answered = self._began
        self._looked = float("-inf")
        self._line_at = float("-inf")
        self._line = ""
        self._told: set[tuple[str, int]] = set()
        self._failing: Failures = {}
        self._feedback_forbidden = False
        self._last: GroupView | None = None
        self._first_now: datetime.datetime | None = None

    def run(self) -> End:
        """Return once there is nothing left to wait for. Raises IbuError where the object is gone, or the hub is."""
        while True:
            documents = self._read()
            if documents is not None:
                group = self._view(documents)
                self._tell(group, documents.now)
                if (ended := self._ended(group, documents.now)) is not None:
                    return ended
            if not self._is_wanted():
                self._stop.set()
            if self._stop.is_set() and self._last is not None:
                return End(self._last, "this run was stopped; TALM goes on")
            self._clock.wait(self._stop, self._limits.poll)

    def _read(self) -> Documents | None:
        """What the hub says; None while it does not answer, which it may do for a while."""
        try:
            documents = self._hub.look()
        except Unanswered as error:
            silent = self._clock.monotonic() - self._answered
            if self._last is None or self._stop.is_set() or silent > self._limits.hub_outage:
                raise IbuError(f"the hub {self._hub.url} has not answered for {silent:.0f} s: {error}") from error
            self._print(f"the hub does not answer: {error}")
            return None
        if documents.ibgu is None:
            raise IbuError("the group upgrade was deleted while this run was waiting for it")
        self._answered = self._clock.monotonic()
        self._first_now = self._first_now or documents.now
        return documents

    def _view(self, documents: Documents) -> GroupView:
        if documents.ibgu is None:
            raise IbuError("there is no such group upgrade")
        group = view(documents.ibgu, documents.cgus, self._members, self._failing)
        if self._clock.monotonic() - self._looked >= self._limits.look or group.settled:
            self._looked = self._clock.monotonic()
            self._failing = self._look(group)
            group = view(documents.ibgu, documents.cgus, self._members, self._failing)
        self._last = group
        return group

    def _look(self, group: GroupView) -> Failures:
        """What the clusters themselves report, of those in progress and those that failed for a reason yet unknown."""
        found: dict[str, str] = {}
        step = group.current
        if step is not None and step.begun and not self._feedback_forbidden:
            try:
                found = self._hub.failures(step.cgu)
            except Unanswered as error:
                self._feedback_forbidden = error.kind == "rights"
                self._show(f"NOTE  the ManifestWorks cannot be read, so failures show later: {error}")
        return failures_in(step, found, self._causes.of(group, found))

    def _tell(self, group: GroupView, now: datetime.datetime | None) -> None:
        for step in group.steps:
            for name in step.names(Place.FAILING):
                if (name, step.number) not in self._told:
                    self._told.add((name, step.number))
                    cause = step.clusters[name].message
                    advice = self._causes.advice(name)
                    for line in _group_report.early_failure_lines(name, step, cause, advice, now):
                        self._show(line)
        self._print(_group_report.progress_text(group, now))

    def _print(self, text: str) -> None:
        """One line per change, and one a minute where nothing changes."""
        known = text.partition("   ")[0]
        now = self._clock.monotonic()
        if known == self._line and now - self._line_at < _QUIET_LINE_SECONDS:
            return
        self._line, self._line_at = known, now
        self._show(f"  {minutes_and_seconds(now - self._began)}  {text}")

    def _ended(self, group: GroupView, now: datetime.datetime | None) -> End | None:
        if group.settled:
            return End(group)
        failed = len(group.failed)
        if self._limits.max_failures is not None and failed > self._limits.max_failures:
            most = f"{self._limits.max_failures:g}"
            return End(
                group,
                f"{counted(failed, 'cluster')} {has_have(failed)} failed, {most} may; TALM goes on with the others of "
                "this step",
            )
        if self._limits.leave_failing and _only_failing(group):
            return End(
                group, "only clusters that have failed are left; TALM waits for them until the step's time is over"
            )
        waited = self._clock.monotonic() - self._began
        if self._limits.timeout is not None and waited > self._limits.timeout:
            return End(group, f"it has not ended within {waited:.0f} s (wait_timeout); TALM goes on")
        if overdue := self._overdue(group, now):
            return End(group, overdue)
        return None

    def _overdue(self, group: GroupView, now: datetime.datetime | None) -> str:
        """Why TALM itself seems not to work, by the hub's own clock; empty while it may."""
        step = group.current
        if now is None or step is None:
            return ""
        if step.deadline is not None:
            over = now - step.deadline > _TALM_SLACK
            return "TALM has not ended the step although its time is over: is its pod running?" if over else ""
        since = _last_ended(group, step) or self._first_now or now
        if now - since <= _TALM_SLACK:
            return ""
        return f"TALM has not begun the step: {step.problem or _why_idle(group)}"


def _why_idle(group: GroupView) -> str:
    if group.strangers:
        gone = ", ".join(group.strangers[:_NAMES_SHOWN])
        return f"it stops for good when a ManagedCluster that it lists is deleted; no longer selected: {gone}"
    return "is its pod running on the hub?"


def _last_ended(group: GroupView, step: StepView) -> datetime.datetime | None:
    return max((s.completed for s in group.steps if s.completed and s.number < step.number), default=None)


def _only_failing(group: GroupView) -> bool:
    """True where whoever is still open has failed, and no later step waits for the end of this one."""
    step = group.current
    if step is None or not step.begun or step.number != len(group.steps):
        return False
    return bool(step.names(Place.FAILING)) and not step.names(Place.IN_PROGRESS, Place.WAITING, Place.PENDING)
