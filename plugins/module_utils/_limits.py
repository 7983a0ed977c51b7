# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""How long a drive is patient. Values only."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

DEFAULT_TIMEOUTS: t.Mapping[Action, float] = {
    Action.PREP: 3600,
    # Backups, the watchdog's 30 minutes and the way back: a shorter deadline would call a timeout what the
    # Lifecycle Agent later reports as rolled back.
    Action.UPGRADE: 5400,
    Action.FINALIZE_UPGRADE: 2400,
    Action.ROLLBACK: 1800,
    Action.FINALIZE_ROLLBACK: 2400,
    Action.ABORT: 2400,
    Action.ABORT_ON_FAILURE: 2400,
}


@dataclass(frozen=True)
class Limits:
    """How long to be patient, in seconds.

    ``whole``: what one cluster may take for all its goals; takes the place of the default deadlines of the actions.
    ``until``: a moment of the controller's monotonic clock at which everybody's time is over.
    """

    timeouts: t.Mapping[Action, float] = field(default_factory=dict)
    contact: float = 60.0
    settle: float = 180.0
    denied: float = 300.0
    verify: float = 600.0
    soak: float = 0.0
    whole: float | None = None
    until: float | None = None

    def timeout(self, action: Action) -> float:
        """The deadline of one action."""
        return self.timeouts.get(action, DEFAULT_TIMEOUTS[action] if self.whole is None else float("inf"))

    def last_moment(self, begun: float) -> float:
        """When a drive that began at this moment must be over, whatever it is at."""
        ends = [float("inf") if end is None else end for end in (self.until, self.whole and begun + self.whole)]
        return min(ends)

    def last_words(self, now: float) -> str:
        """Whose time is over at the last moment."""
        if self.until is not None and now >= self.until:
            return "time of its step was over"
        return f"{(self.whole or 0) / 60:g} minutes of this cluster in its step were over"
