# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control API: plain HTTP on the loopback, for tests and for people. JSON in, JSON out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fleetsim.faults import HttpError

if TYPE_CHECKING:
    from fleetsim.fleet import SimFleet


class Control:
    """GET /clusters /state /journal /reactions /touched; POST /inject /heal /compact /cut /errors."""

    def __init__(self, fleet: SimFleet) -> None:
        self._fleet = fleet

    async def handle(self, request: web.BaseRequest) -> web.Response:
        try:
            body = json.loads(await request.read() or b"{}")
            answer = await self._route(request.method, request.path.strip("/"), dict(request.query), body)
        except KeyError as error:
            return web.json_response({"error": f"no such cluster or field: {error}"}, status=404)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(answer)

    async def _route(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        fleet = self._fleet
        if (method, path) == ("GET", "clusters"):
            return [cluster.state() for cluster in fleet.clusters.values()]
        if (method, path) == ("GET", "state"):
            return fleet.clusters[query["name"]].state()
        if (method, path) == ("GET", "journal"):
            return [entry.asdict() for entry in fleet.endpoint(query["name"]).journal.entries]
        if (method, path) == ("GET", "reactions"):
            clusters = fleet.clusters.values()
            return {c.name: [r.asdict() for r in c.endpoint.journal.reactions] for c in clusters}
        if (method, path) == ("GET", "touched"):
            return sorted(c.name for c in fleet.clusters.values() if c.endpoint.journal.spec_writes)
        if (method, path) == ("POST", "inject"):
            await fleet.clusters[body["name"]].inject(body["trouble"], body.get("params"))
            fleet.rewrite_access(body["name"])
            return {}
        if (method, path) == ("POST", "heal"):
            await fleet.clusters[body["name"]].heal(body["trouble"])
            fleet.rewrite_access(body["name"])
            return {}
        if (method, path) == ("POST", "compact"):
            fleet.endpoint(body["name"]).store.compact()
            return {}
        if (method, path) == ("POST", "cut"):
            fleet.endpoint(body["name"]).cut()
            return {}
        if (method, path) == ("POST", "errors"):
            self._set_errors(body["name"], body["code"])
            return {}
        raise ValueError(f"no such call: {method} /{path}")

    def _set_errors(self, name: str, code: int | None) -> None:
        """Let an API server, the hub's too, answer everything with this code, or as usual again."""
        errors = self._fleet.endpoint(name).faults.errors
        errors.pop("control", None)
        if code is not None:
            errors["control"] = HttpError(code)
