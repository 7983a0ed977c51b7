# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated time. One real second is `speed` simulated seconds; the simulated calendar starts at the real now."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Protocol


def rfc3339(moment: datetime) -> str:
    """Kubernetes' spelling of a time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Clock(Protocol):
    """What the agent and the machine need from time."""

    def now(self) -> datetime: ...

    def seconds(self) -> float:
        """Simulated seconds since the clock was made; only differences matter."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: object, *args: object) -> asyncio.TimerHandle: ...


class SimClock:
    """A clock on the running event loop: its timers are the only timers, so a thousand idle clusters cost nothing."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        self.speed = speed
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time()
        self._start = start or datetime.now(timezone.utc)

    def seconds(self) -> float:
        return (self._loop.time() - self._zero) * self.speed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds())

    def http_date(self) -> str:
        return format_datetime(self.now(), usegmt=True)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def call_later(self, seconds: float, callback, *args) -> asyncio.TimerHandle:  # type: ignore[no-untyped-def]
        return self._loop.call_later(max(0.0, seconds) / self.speed, callback, *args)

    @staticmethod
    def real() -> float:
        """The machine's monotonic clock: the same in every process of this machine, so clients can compare."""
        return time.monotonic()
