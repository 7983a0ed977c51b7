# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The first contact with a cluster, and how to keep asking one that is silent. The clock is injected."""

from __future__ import annotations

import datetime
import random
import threading
import time
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import no_contact_pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    NotThere,
    Refused,
    Unanswered,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_T = t.TypeVar("_T")

# A busy moment is over at once. A reboot is not, and to ask a thousand clusters four times a second costs a core.
_PAUSE_FIRST = 0.25
_PAUSE_LEAST = 1.0
_PAUSE_MOST = 10.0
_PAUSE_SHARE = 0.1
# Pauses up to this many seconds do not hear a request to stop.
_NAP = 2.0

# What it takes until another of a hub's API servers has taken over. Whoever mistyped its address waits as long.
_BUSY_SECONDS = 20.0


class Clock:
    """Real time. Tests inject their own."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def now(self) -> datetime.datetime:
        """The controller's time of day, UTC."""
        return datetime.datetime.now(datetime.timezone.utc)

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Sleep, but no more than two seconds past a request to stop."""
        if seconds <= _NAP and not stop.is_set():
            # A thousand that nap at one event while their nodes reboot would get in each other's way.
            time.sleep(max(0.0, seconds))
        else:
            stop.wait(seconds)


class Patience:
    """Asks again where an API server is busy, until it was so for ``seconds`` on end. What is final is raised at once.

    For surveys of many requests: none of them must fail for a busy moment. Not to be shared between threads.
    """

    def __init__(self, seconds: float, clock: Clock, stop: threading.Event) -> None:
        self._seconds, self._clock, self._stop = seconds, clock, stop

    def __call__(self, ask: t.Callable[[], _T]) -> _T:
        """The answer. Raises Unanswered."""
        begun = self._clock.monotonic()
        while True:
            try:
                return ask()
            except Unanswered as error:
                waited = self._clock.monotonic() - begun
                if _is_an_answer(error) or _is_hopeless(error) or self._stop.is_set() or waited >= self._seconds:
                    raise
                self._clock.wait(self._stop, min(error.retry_after or away_pause(waited), _PAUSE_MOST))


def over_a_busy_moment(clock: Clock | None = None, stop: threading.Event | None = None) -> Patience:
    """What waits until another API server has taken over, or this one has caught up."""
    return Patience(_BUSY_SECONDS, clock or Clock(), stop or threading.Event())


def patient(
    open_session: t.Callable[[], Session], seconds: float, clock: Clock, stop: threading.Event
) -> t.Callable[[], Session]:
    """Opens sessions that ask again while their API server is busy: for a hub, which nobody expects to be away."""

    def opened() -> Session:
        session = open_session()
        session.repeat = Patience(seconds, clock, stop)
        return session

    return opened


class NoContact(IbuError):
    """The cluster could not be read at all; ``next_step`` says what to check."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = no_contact_pointed(next_step)


def away_pause(waited: float) -> float:
    """Seconds to the next attempt: longer the longer it has been silent, so that its return is seen a tenth late."""
    least = min(_PAUSE_FIRST + waited, _PAUSE_LEAST)
    return min(max(waited * _PAUSE_SHARE, least), _PAUSE_MOST) * random.uniform(0.5, 1.0)  # noqa: S311


def first_contact(
    read: t.Callable[[], _T],
    patience: float,
    clock: Clock,
    stop: threading.Event | None = None,
    *,
    expect_away: bool = False,
    away: t.Callable[[Unanswered], None] = lambda _error: None,
) -> _T:
    """The first read, tried for ``patience`` seconds. Raises NoContact.

    What is normal during a reboot is a failure here, at once where waiting cannot mend it. ``expect_away``: a reboot is
    known to be under way. ``away`` is told of every attempt that failed.
    """
    stop = stop or threading.Event()
    begun = clock.monotonic()
    while True:
        try:
            return read()
        except Unanswered as error:
            away(error)
            waited = clock.monotonic() - begun
            if stop.is_set() or waited >= patience or (_is_hopeless(error) and not expect_away):
                raise NoContact(*_no_contact(error, waited)) from error
            clock.wait(stop, away_pause(waited))
        except Refused as refusal:
            raise NoContact(*_no_contact(refusal, 0)) from refusal


def _is_an_answer(error: Unanswered) -> bool:
    """True where the server is well, and the same request would be answered alike."""
    return isinstance(error, NotThere) or error.kind in ("conflict", "expired")


def _is_hopeless(error: Unanswered) -> bool:
    """True for a refusal that waiting does not mend, outside a reboot."""
    return error.status in (401, 403) or error.kind == "tls"


def _no_contact(error: Exception, waited: float) -> tuple[str, str]:
    """What to say, and what to check, where the first contact failed."""
    if isinstance(error, NotThere):
        return (
            f"it has no ImageBasedUpgrade: {error}",
            "install the Lifecycle Agent on the cluster, or wait until it has started",
        )
    kind = error.kind if isinstance(error, Unanswered) else "http"
    status = error.status if isinstance(error, Unanswered) else None
    lasting = f" for {waited:.0f} s" if waited >= 1 else ""
    if status == 401:
        return str(
            error
        ), "renew the credential in ibu_kubeconfig (or ibu_api_key): it is expired or of another cluster"
    if status == 403:
        return str(error), "give this identity the rights that docs/rbac lists, or use the admin client certificate"
    if kind == "tls":
        return str(error), "give the cluster's own CA: certificate-authority-data in ibu_kubeconfig, or ibu_ca_cert"
    return f"{error}{lasting}", "check the cluster's power, network and API address, then run again"
