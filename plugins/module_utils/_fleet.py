# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Many drives at once: a sliding window of threads, progress, and the outcome file.

Threads, not coroutines: the kubernetes client is synchronous, and a thread that waits on a socket costs no CPU and
about 0.15 MB (``make bench`` shows both).
"""

from __future__ import annotations

import collections
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _progress
from ansible_collections.sno.image_upgrade.plugins.module_utils._links import Links
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome, Result

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

    class RecordLike(t.Protocol):
        """What a fleet needs of an outcome file; ``_record.Record`` is the real one."""

        path: str

        def put(self, outcome: Outcome) -> None:
            """Enter what became of a cluster."""

        def save(self) -> None:
            """Write the file."""

    class DriveLike(t.Protocol):
        """What a fleet needs of a drive; ``_drive.Drive`` takes a cluster through an upgrade."""

        view: View
        outcome: Outcome

        def run(self) -> Outcome:
            """Drive the cluster to its goals; what became of it."""

    # Makes the drive of one cluster; called once, in the thread that then runs it.
    Maker = t.Callable[[t.Callable[[], None], t.Callable[[], None]], DriveLike]

_STACK_BYTES = 512 * 1024
_TICK_SECONDS = 0.25
_SAVE_SECONDS = 1.0
# Hundreds may be about to reboot in the same minute. A save of a thousand outcomes each, one after the other, would
# keep all drives from working; nobody misses a tenth of a second before a reboot.
_COMMIT_SECONDS = 0.1
_QUIET_LINE_SECONDS = 60.0


class Fleet:
    """Runs every member through its drive, ``concurrency`` of them at a time (0: all).

    A slot is refilled as soon as a cluster is done. Once more than ``max_failures`` have failed, nobody else starts;
    ``failed_before`` counts along. Nobody starts at or after ``until`` either, a moment of the clock.
    ``links`` bounds how many of the members behind one link are at work; the places are then for whoever is next.
    ``is_wanted`` is asked several times a second; once it says no, the run stops as by a signal.
    ``show`` prints one line; ``interval`` is the least time between two progress lines, in seconds.
    """

    def __init__(
        self,
        members: t.Mapping[str, Maker],
        *,
        record: RecordLike,
        clock: Clock,
        stop: threading.Event,
        show: t.Callable[[str], None],
        concurrency: int = 0,
        links: Links | None = None,
        max_failures: int | None = None,
        failed_before: t.Collection[str] = (),
        until: float | None = None,
        interval: float = 5.0,
        is_wanted: t.Callable[[], bool] = lambda: True,
    ) -> None:
        self._members = members
        self._waiting = collections.deque(members.items())
        self._record = record
        self._clock = clock
        self._stop = stop
        self._show = show
        self._max_failures = max_failures
        self._failed_before = frozenset(failed_before)
        self._until = until
        self._interval = interval
        self._is_wanted = is_wanted
        self._changed = threading.Condition()
        self._links = links or Links({}, 0)
        self._workers = min(concurrency or len(members), self._links.places(members))
        self._running: dict[str, DriveLike] = {}
        self._ended: dict[str, Outcome] = {}
        self._commits_wanted = 0
        self._commits_done = 0
        # Names whose outcome may have changed since the last save. A deque: any thread appends, one takes.
        self._touched: collections.deque[str] = collections.deque()
        self._began = clock.monotonic()
        self._saved_at = float("-inf")
        self._line_at = float("-inf")
        self._last_counts = ""
        self._told: set[str] = set()
        self._unsaved_told = False

    def run(self) -> dict[str, Outcome]:
        """Drive everyone to the end, or until stopped. Always returns an outcome for every member."""
        previous = threading.stack_size(_STACK_BYTES)
        try:
            for number in range(self._workers):
                # Daemons: a stopped run must not wait for a socket that is silent for a minute.
                threading.Thread(target=self._work, name=f"drive-{number}", daemon=True).start()
        finally:
            threading.stack_size(previous)
        while self._tick():
            pass
        return self._finish()

    # --- in the drives' threads -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._take()) is not None:
            name, make = job
            outcome = self._drive(name, make)
            with self._changed:
                self._running.pop(name, None)
                self._links.leave(name)
                self._ended[name] = outcome
                self._touched.append(name)
                self._changed.notify_all()
        with self._changed:
            self._workers -= 1
            self._changed.notify_all()

    def _take(self) -> tuple[str, Maker] | None:
        with self._changed:
            while self._waiting and not (self._stop.is_set() or self._is_over() or self._is_spent()):
                for index, job in enumerate(self._waiting):
                    if self._links.enter(job[0]):
                        del self._waiting[index]
                        return job
                # Every link that somebody waits for is full.
                self._changed.wait(_TICK_SECONDS)
            return None

    def _is_over(self) -> bool:
        return self._until is not None and self._clock.monotonic() >= self._until

    def _is_spent(self) -> bool:
        if self._max_failures is None:
            return False
        failed = self._failed_before | {name for name, outcome in self._ended.items() if outcome.result.is_failure}
        return len(failed) > self._max_failures

    def _drive(self, name: str, make: Maker) -> Outcome:
        try:
            drive = make(lambda: self._touched.append(name), lambda: self._commit(name))
            with self._changed:
                self._running[name] = drive
                self._touched.append(name)
            return drive.run()
        except Exception as error:  # noqa: BLE001
            # A defect in one drive must not take the others down, nor pass as anything but a failure.
            return Outcome(
                name,
                Result.FAILED,
                message=f"internal error: {type(error).__name__}: {error}",
                next_step="report this as a defect of the collection; the cluster itself was not judged",
            )

    def _commit(self, name: str) -> None:
        """Return once a save that began after this call is on disk; many callers share one save."""
        self._touched.append(name)
        with self._changed:
            self._commits_wanted += 1
            ticket = self._commits_wanted
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._commits_done >= ticket or self._stop.is_set())

    # --- in the caller's thread -----------------------------------------------------------------------------------

    def _tick(self) -> bool:
        """Wait for something to happen, then report and save. False once nothing is left to do."""
        self._wait()
        with self._changed:
            wanted, over = self._commits_wanted, self._workers == 0
            views = [drive.view for drive in self._running.values()]
            ended = dict(self._ended)
            waiting = len(self._waiting)
        if not self._is_wanted():
            self._stop.set()
        now = self._clock.monotonic()
        self._tell_failures(ended)
        self._tell_progress(now, views, list(ended.values()), waiting, over)
        if wanted > self._commits_done or (self._touched and now - self._saved_at >= _SAVE_SECONDS):
            self._save(now)
            with self._changed:
                self._commits_done = wanted
                self._changed.notify_all()
        return not over and not self._stop.is_set()

    def _wait(self) -> None:
        """Until something has happened. What is to be on disk before a reboot is saved at once, unless something was
        saved just now: then it waits for those that come with it."""
        with self._changed:
            if self._commits_wanted == self._commits_done and self._workers:
                self._changed.wait(_TICK_SECONDS)
            if self._commits_wanted == self._commits_done:
                return
        if (pause := self._saved_at + _COMMIT_SECONDS - self._clock.monotonic()) > 0:
            self._clock.wait(self._stop, pause)

    def _tell_failures(self, ended: t.Mapping[str, Outcome]) -> None:
        for name, outcome in ended.items():
            if name not in self._told:
                self._told.add(name)
                if outcome.result.is_failure:
                    for line in _progress.failure_lines(outcome):
                        self._show(line)

    def _tell_progress(self, now: float, views: list[View], ended: list[Outcome], waiting: int, over: bool) -> None:
        """One line per change, but not more often than the interval; one a minute where nothing changes."""
        age = now - self._line_at
        if age < self._interval and not over:
            return
        text = _progress.counts(views, ended, waiting)
        if text == self._last_counts and age < _QUIET_LINE_SECONDS:
            return
        self._last_counts, self._line_at = text, now
        extra = _progress.detail(views, now)
        self._show(f"  {_progress.clock(now - self._began)}  {text:<60}  {extra}".rstrip())

    def _save(self, now: float) -> None:
        """Write the outcome file. A disk that fills up must not strand clusters in the middle of their reboot."""
        self._saved_at = now
        for outcome in self._touched_outcomes():
            self._record.put(outcome)
        try:
            self._record.save()
        except OSError as error:
            if not self._unsaved_told:
                self._unsaved_told = True
                self._show(f"WARNING  the outcome file {self._record.path} cannot be written: {error}")

    def _touched_outcomes(self) -> list[Outcome]:
        names = set()
        while self._touched:
            names.add(self._touched.popleft())
        outcomes = self._outcomes()
        return [outcomes[name] for name in names]

    def _outcomes(self) -> dict[str, Outcome]:
        with self._changed:
            running = {name: drive.outcome for name, drive in self._running.items()}
            ended = dict(self._ended)
        return {name: ended.get(name) or running.get(name) or Outcome(name) for name in self._members}

    def _finish(self) -> dict[str, Outcome]:
        outcomes = self._outcomes()
        for outcome in outcomes.values():
            if outcome.result is Result.IN_FLIGHT:
                outcome.result = Result.INTERRUPTED
                outcome.message = "this run was stopped; the cluster goes on by itself"
                outcome.next_step = "run again: it continues from what the cluster says"
        # Whoever was not started in this run keeps what an earlier one has said.
        self._touched.extend(name for name, outcome in outcomes.items() if outcome.result is not Result.NEVER_STARTED)
        self._save(self._clock.monotonic())
        return outcomes
