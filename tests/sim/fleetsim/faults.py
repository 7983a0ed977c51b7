# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Troubles of the HTTP server itself: error answers, slow answers, lost watches."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from fleetsim import errors
from fleetsim.errors import StatusError

_TEXTS = {
    401: ("Unauthorized", "Unauthorized"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


@dataclass
class HttpError:
    """Answer with `code`: the next `count` requests, or a `share` of all."""

    code: int
    count: int | None = None
    share: float | None = None
    verbs: tuple[str, ...] = ("*",)
    resource: str = "*"
    rng: random.Random = field(default_factory=random.Random)

    def strikes(self, verb: str, resource: str) -> bool:
        if "*" not in self.verbs and verb not in self.verbs:
            return False
        if self.resource not in ("*", resource):
            return False
        if self.count is not None:
            if self.count <= 0:
                return False
            self.count -= 1
            return True
        return self.share is None or self.rng.random() < self.share


class Faults:
    """What is wrong with one API server right now. Keyed by trouble, so each can be healed alone."""

    def __init__(self) -> None:
        self.errors: dict[str, HttpError] = {}
        self.latency = 0.0  # real seconds before each answer
        self.watch_limit: int | None = None  # events after which a watch is cut
        self.watch_silent = False  # not cut but silent
        self.watch_times: int | None = None  # how many watches suffer; None for all

    def answer(self, verb: str, user: str, group: str, resource: str, namespace: str, name: str) -> StatusError | None:
        for fault in self.errors.values():
            if fault.strikes(verb, resource):
                if fault.code == 403:
                    return errors.forbidden(user, verb, group, resource, namespace, name)
                reason, message = _TEXTS.get(fault.code, ("", f"code {fault.code}"))
                wait = {"retryAfterSeconds": 1} if fault.code in (429, 503) else None
                headers = {"Retry-After": "1"} if wait else {}
                return StatusError(fault.code, reason, message, wait, headers)
        return None

    def cuts_watch(self, sent: int) -> bool:
        return not self.watch_silent and self._loses_watch(sent)

    def silences_watch(self, sent: int) -> bool:
        """Asked until it is so: from then on that watch tells nothing until its end."""
        return self.watch_silent and self._loses_watch(sent)

    def _loses_watch(self, sent: int) -> bool:
        if self.watch_limit is None or sent < self.watch_limit:
            return False
        if self.watch_times is not None:
            self.watch_times -= 1
            if self.watch_times <= 0:
                self.watch_limit = None
        return True
