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
    """How long to be patient, in seconds."""

    timeouts: t.Mapping[Action, float] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    contact: float = 60.0
    settle: float = 180.0
    denied: float = 300.0
    verify: float = 600.0
    soak: float = 0.0

    def timeout(self, action: Action) -> float:
        """The deadline of one action."""
        return self.timeouts.get(action, DEFAULT_TIMEOUTS[action])
