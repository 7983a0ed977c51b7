# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One API server's front: a port of its own, connections that can be cut, and who may do what behind it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from fleetsim.auth import User
from fleetsim.clock import SimClock
from fleetsim.faults import Faults
from fleetsim.journal import Journal
from fleetsim.rbac import Rbac
from fleetsim.resources import Registry
from fleetsim.store import Store
from fleetsim.verbs import Verbs

Handler = Callable[["Endpoint", web.BaseRequest], Awaitable[web.StreamResponse]]


class Endpoint:
    """Whatever answers on one port."""

    def __init__(
        self, name: str, registry: Registry, store: Store, clock: SimClock, rng: random.Random, handler: Handler
    ) -> None:
        self.name, self.registry, self.clock, self.rng = name, registry, clock, rng
        self.store = store
        self.verbs = Verbs(store, registry, clock, rng)
        self.version = ""
        self.absent: set[str] = set()  # tables whose CRD is not there
        self.tokens: dict[str, User] = {}
        self.rbac = Rbac()
        self.faults = Faults()
        self.journal = Journal()
        self.trusted_issuer = ""
        self._server = web.Server(
            lambda request: handler(self, request),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=3600,
        )
        self._listener: asyncio.Server | None = None
        self._mute: socket.socket | None = None
        # The port stays ours while nobody listens on it: a bound socket that does not listen refuses connections
        # and keeps the kernel from giving the port to somebody else.
        self._reserve = self._bind(0)
        self.port: int = self._reserve.getsockname()[1]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def up(self) -> bool:
        return self._listener is not None

    def use(self, store: Store) -> None:
        """Serve another etcd from now on."""
        self.store = store
        self.verbs = Verbs(store, self.registry, self.clock, self.rng)

    def headers(self, content_type: str = "application/json") -> dict[str, str]:
        return {
            "Content-Type": content_type,
            "Date": self.clock.http_date(),
            "Cache-Control": "no-cache, private",
        }

    async def listen(self, context: ssl.SSLContext | None) -> None:
        """Open the port; without a context (the tests in virtual time) there is no TLS."""
        self.mute(False)
        if self._listener is None:
            listening = self._bind(self.port)
            loop = asyncio.get_running_loop()
            shutdown = 1 if context else None
            self._listener = await loop.create_server(
                self._server, sock=listening, ssl=context, backlog=64, ssl_shutdown_timeout=shutdown
            )

    def refuse(self) -> None:
        """Like a machine whose API server has stopped: connections break, new ones are refused."""
        self.mute(False)
        self.store.shut()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Break every open connection."""
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def mute(self, on: bool) -> None:
        """Accept connections in the kernel, but never answer: what a firewall that drops looks like from far away."""
        if on and self._mute is None:
            if self._listener is not None:
                self.refuse()
            self._mute = self._bind(self.port)
            self._mute.listen(128)
        elif not on and self._mute is not None:
            self._mute.close()
            self._mute = None

    @staticmethod
    def abort(request: web.BaseRequest) -> None:
        if request.transport is not None:
            request.transport.abort()

    async def close(self) -> None:
        self.refuse()
        self._reserve.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await self._server.shutdown(0.1)

    @staticmethod
    def _bind(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", port))
        return sock

    def summary(self) -> dict[str, Any]:
        return {"name": self.name, "url": self.url, "up": self.up, "requests": len(self.journal.entries)}
