# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients wrote, and how quickly they reacted: the tests' truth about what was touched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Entry:
    """One write request."""

    simulated: float
    real: float
    verb: str
    path: str
    user: str
    stage: str | None
    code: int
    generation: int | None
    dry_run: bool = False
    reason: str = ""

    def asdict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Reaction:
    """In real, monotonic seconds: a stage's end was in the API at `visible`, a client was first sent it at `sent`, and
    the next stage was asked for at `reacted`. Between the first two lies the server's own work, when many move at once.
    """

    stage: str
    result: str
    visible: float
    sent: float | None = None
    reacted: float | None = None
    next_stage: str | None = None

    def asdict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Journal:
    entries: list[Entry] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    reads: int = 0
    watches: int = 0
    spec_writes: int = 0
    first_request: float | None = None
    last_result: tuple[str, str] | None = None

    def write(self, entry: Entry, changed_spec: bool) -> None:
        self.entries.append(entry)
        if changed_spec:
            self.spec_writes += 1
        if changed_spec and entry.stage and self.reactions and self.reactions[-1].reacted is None:
            self.reactions[-1].reacted, self.reactions[-1].next_stage = entry.real, entry.stage

    def result(self, stage: str, result: str, real: float) -> None:
        """The status now shows the end of a stage. Repeats (a status restored after a reboot) do not count."""
        if self.last_result != (stage, result):
            self.last_result = (stage, result)
            self.reactions.append(Reaction(stage, result, real))

    def told(self, real: float) -> None:
        """A client was just sent the current state."""
        if self.reactions and self.reactions[-1].sent is None:
            self.reactions[-1].sent = real

    def running(self, stage: str) -> None:
        self.last_result = (stage, "running")
