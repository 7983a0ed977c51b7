# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Following a SeedGenerator to its end, through the outage of the whole API. Clock and cluster are injected."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import away_pause
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended, interrupted
from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock as clock_words
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import (
    LAUNCHING,
    Generation,
    Phase,
    is_expected,
    is_news,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Result, Unanswered

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import Look

_WATCH_SECONDS = 60


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for the first answer, the hub, a removal, the whole generation.

    ``lost``: an API that answers all this time without the SeedGenerator will not bring it back. ``progress``: how
    often a line tells of what has not changed.
    """

    contact: float = 60.0
    detach: float = 3600.0
    removal: float = 900.0
    generation: float = 7200.0
    lost: float = 900.0
    progress: float = 60.0


class ClusterLike(t.Protocol):
    """What following needs of a cluster."""

    def look(self) -> Look:
        """All that shows how far it is."""

    def changes(self, since: Generation, seconds: int) -> t.Iterator[Generation]:
        """What the SeedGenerator says whenever that changes."""


class Follow:
    """Follows one generation. ``run`` returns a SeedGenerator that is over, or raises Ended.

    ``host_line``: the last line of the imager's log, from the node.
    """

    def __init__(
        self,
        cluster: ClusterLike,
        patience: Patience,
        *,
        clock: Clock,
        stop: threading.Event,
        say: t.Callable[[str], None],
        host_line: t.Callable[[], str] | None = None,
    ) -> None:
        self.away_seconds = 0.0
        self._cluster, self._patience, self._clock, self._stop = cluster, patience, clock, stop
        self._say, self._host_line = say, host_line
        self._launched = False
        self._before = ""
        self._step = ""
        self._told: set[str] = set()
        self._told_at = self._began = clock.monotonic()
        self._silent_since: float | None = None
        self._gone_since: float | None = None

    def run(self, first: Generation, *, before: str = "", launched: bool = False) -> Generation:
        """``before``: the uid of a SeedGenerator whose outcome does not count. ``launched``: the imager was started."""
        self._before, self._launched = before, launched
        found: Generation | None = first if first.phase is not Phase.ABSENT else None
        while True:
            if found is not None and (over := self._take(found)):
                return over
            try:
                found = self._next(found)
            except Unanswered as error:
                found = None
                self._away(error)

    def _take(self, found: Generation) -> Generation | None:
        """Note what the agent says; the generation where it is over."""
        self._back()
        if not is_news(found, self._before):
            return None
        self._launched = self._launched or found.phase is Phase.IMAGING
        if found.phase.is_over:
            return found
        words = found.message or str(found.phase)
        self._step = words
        if words not in self._told:
            # Once each: the object that comes back says first what was true before the imager.
            self._told.add(words)
            self._tell(words)
        elif self._is_due():
            self._tell(words)
        return None

    def _next(self, found: Generation | None) -> Generation | None:
        """The next state. After every silence, and whenever a watch has ended, it is read anew."""
        self._check()
        if found is not None:
            seconds = max(1, int(min(_WATCH_SECONDS, self._patience.progress, self._left())))
            for change in self._cluster.changes(found, seconds):
                self._check()
                if self._take(change):
                    return change
        return self._read()

    def _read(self) -> Generation | None:
        look = self._cluster.look()
        if look.generation.phase is Phase.ABSENT:
            self._missing(vacant=look.vacant)
            return None
        return look.generation

    # --- silence ------------------------------------------------------------------------------------------------------

    def _missing(self, *, vacant: bool) -> None:
        """The API answers, and there is no SeedGenerator: never a success, and for a while no failure either."""
        now = self._clock.monotonic()
        self._end_silence(now)
        self._launched = self._launched or vacant
        if self._gone_since is None:
            self._gone_since = now
            self._tell("the SeedGenerator is gone: the imager has been started, or the agent has not come back yet")
        gone = now - self._gone_since
        if gone >= self._patience.lost:
            raise self._lost(gone)
        self._pause(away_pause(gone))

    def _lost(self, gone: float) -> Ended:
        if not self._launched:
            return Ended(
                Result.FAILED,
                "somebody has deleted the SeedGenerator; the agent has stopped telling how it goes on",
                "see in the agent's log whether it still works, then run again",
            )
        return Ended(
            Result.FAILED,
            f"the API has answered for {gone:.0f} s, but the agent does not bring the SeedGenerator back: it has lost "
            "what it saved, or does not start",
            "look for 'unable to recover SeedGenerator CR' in the agent's log",
        )

    def _away(self, error: Unanswered) -> None:
        """No answer: normal while the imager works, and otherwise waited for until the deadline, unless it is final."""
        if isinstance(error, NotThere):
            # A watch has seen the deletion, or the API itself is not there yet: the next read tells which.
            self._pause(0.25)
            return
        if not is_expected(error.kind, error.status, self._launched):
            raise Ended(
                Result.FAILED,
                f"the cluster refuses this identity: {error}",
                "give it the rights that docs/rbac lists, then run again: it goes on from where the cluster is",
            )
        now = self._clock.monotonic()
        self._gone_since = None
        if error.kind not in ("expired", "conflict") and self._silent_since is None:
            self._silent_since = now
            why = "kubelet and CRI-O are stopped while the imager works" if self._launched else str(error)
            self._tell(f"no answer ({why})")
        silent = now - (self._silent_since or now)
        if self._is_due():
            self._tell(f"no answer for {clock_words(silent)}{self._imager()}")
        self._check()
        self._pause(away_pause(silent))

    def _imager(self) -> str:
        """What the imager says, where the node can be asked: it stays up while its API is down."""
        if self._host_line is None:
            return ""
        line = self._host_line().strip()
        return f"; the imager says: {line}" if line else ""

    def _back(self) -> None:
        self._gone_since = None
        self._end_silence(self._clock.monotonic())

    def _end_silence(self, now: float) -> None:
        if self._silent_since is not None:
            silent = now - self._silent_since
            self.away_seconds = round(max(self.away_seconds, silent), 3)
            self._tell(f"answers again after {clock_words(silent)}")
            self._silent_since = None

    # --- patience -----------------------------------------------------------------------------------------------------

    def _left(self) -> float:
        return self._patience.generation - (self._clock.monotonic() - self._began)

    def _check(self) -> None:
        """Raise Ended where somebody stops the run or its time is up."""
        if self._stop.is_set():
            raise interrupted()
        if self._left() > 0:
            return
        silent = self._silent_since is not None
        where = "no answer from the API" if silent else f'it says "{self._step}"' if self._step else "it says nothing"
        step = "run again: it continues from what the cluster says"
        if silent or self._step == LAUNCHING:
            step = f"look at the node: podman logs lca_image_builder; {step}"
        elif "Waiting for system to stabilize" in self._step:
            step = f"repair what the health checks name; {step}"
        raise Ended(Result.TIMED_OUT, f"not over within {self._patience.generation:.0f} s; {where}", step)

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._stop, max(0.01, min(seconds, self._left())))
        self._check()

    def _is_due(self) -> bool:
        return self._clock.monotonic() - self._told_at >= self._patience.progress

    def _tell(self, words: str) -> None:
        self._told_at = self._clock.monotonic()
        self._say(words)
