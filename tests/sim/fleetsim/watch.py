# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches: one queue per watcher, fed by the store, drained in one write."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import web

from fleetsim import errors
from fleetsim.resources import Resource
from fleetsim.selectors import Predicate
from fleetsim.store import Event, Store, dumps, event_line

if TYPE_CHECKING:
    from fleetsim.endpoint import Endpoint

BOOKMARK_EVERY = 60.0
BOOKMARK_BEFORE_END = 2.0


def _bookmark(res: Resource, rv: int, initial_end: bool = False) -> bytes:
    meta: dict[str, object] = {"resourceVersion": str(rv), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj = {"kind": res.kind, "apiVersion": res.api_version, "metadata": meta}
    return event_line("BOOKMARK", dumps(obj))


class Watcher:
    """The queue between a store and one client."""

    def __init__(self, store: Store, table: str, namespace: str, matches: Predicate | None, after: int) -> None:
        self._store, self._table, self._namespace, self._matches = store, table, namespace, matches
        self._after = after
        self._lines: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self.shut = False

    def __enter__(self) -> Watcher:
        self._store.subscribe(self._table, self.hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._store.unsubscribe(self._table, self.hear)

    def hear(self, event: Event | None) -> None:
        if event is None:
            self.shut = True
        elif event.rv <= self._after or not (line := self._line(event)):
            return
        else:
            self._lines.append(line)
        if self._wake and not self._wake.done():
            self._wake.set_result(None)

    def _line(self, event: Event) -> bytes | None:
        """With a selector an object can come into sight or out of it without being created or deleted."""
        if self._namespace and event.record.namespace != self._namespace:
            return None
        if self._matches is None:
            return event.line()
        now, before = self._matches(event.record), event.before is not None and self._matches(event.before)
        if event.type == "DELETED":
            return event.line() if before else None
        if now:
            return event_line("MODIFIED" if before else "ADDED", event.record.raw)
        return event_line("DELETED", event.record.raw) if before else None

    def current(self) -> bytes:
        """Everything there is, as ADDED events."""
        return b"".join(
            event_line("ADDED", record.raw)
            for record in self._store.records(self._table, self._namespace)
            if self._matches is None or self._matches(record)
        )

    async def wait(self, seconds: float) -> list[bytes]:
        """The lines that came; none when the time is over or the store was shut."""
        if not self._lines and not self.shut and seconds > 0:
            loop = asyncio.get_running_loop()
            self._wake = loop.create_future()
            timer = loop.call_later(seconds, self._time_over, self._wake)
            try:
                await self._wake
            finally:
                timer.cancel()
                self._wake = None
        lines = list(self._lines)
        self._lines.clear()
        return lines

    @staticmethod
    def _time_over(wake: asyncio.Future[None]) -> None:
        if not wake.done():
            wake.set_result(None)


def _start(text: str | None) -> int:
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f'Invalid value: "{text}": invalid resource version') from None


async def serve_watch(
    ep: Endpoint, request: web.BaseRequest, res: Resource, namespace: str, matches: Predicate | None
) -> web.StreamResponse:
    """Stream events until timeoutSeconds, an outage or the client's end."""
    query, store = request.query, ep.store
    rv = _start(query.get("resourceVersion"))
    loop = asyncio.get_running_loop()
    end = loop.time() + float(query.get("timeoutSeconds") or random.uniform(1800, 3600))
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    response = web.StreamResponse(headers=ep.headers())
    response.enable_chunked_encoding()
    if rv and rv < store.oldest(res.table):
        await response.prepare(request)
        message = f"too old resource version: {rv} ({store.oldest(res.table)})"
        await response.write(event_line("ERROR", errors.expired(message).body().strip()))
        await response.write_eof()
        return response
    with Watcher(store, res.table, namespace, matches, rv or store.rv) as watcher:
        backlog = b"" if rv else watcher.current()
        if not rv and query.get("sendInitialEvents") in ("true", "1"):
            backlog += _bookmark(res, store.rv, initial_end=True)
        if rv:
            for event in store.since(res.table, rv):
                watcher.hear(event)
        # From a version that this etcd has not reached, a real API server does not even send headers.
        started = rv <= store.rv
        if started:
            await response.prepare(request)
            await response.write(backlog) if backlog else None
        sent, silent = 0, False
        next_bookmark = loop.time() + BOOKMARK_EVERY
        while not watcher.shut and (now := loop.time()) < end:
            wait = end - now
            if bookmarks and started:
                if next_bookmark <= now:
                    await response.write(_bookmark(res, store.rv))
                    next_bookmark = now + BOOKMARK_EVERY
                wait = min(wait, next_bookmark - now)
                if end - now > BOOKMARK_BEFORE_END:
                    wait = min(wait, end - now - BOOKMARK_BEFORE_END)
                elif next_bookmark < end:
                    next_bookmark = end
                    await response.write(_bookmark(res, store.rv))
            lines = await watcher.wait(wait)
            if not lines:
                continue
            if not started:
                await response.prepare(request)
                started = True
            silent = silent or ep.faults.silences_watch(sent)
            if not silent:
                await response.write(b"".join(lines))
                ep.journal.told(ep.clock.real())
            sent += len(lines)
            if ep.faults.cuts_watch(sent):
                ep.abort(request)
                return response
        if watcher.shut:
            ep.abort(request)
            return response
        if not started:
            await response.prepare(request)
        if bookmarks and end - loop.time() > -1:
            await response.write(_bookmark(res, store.rv))
        await response.write_eof()
    return response
