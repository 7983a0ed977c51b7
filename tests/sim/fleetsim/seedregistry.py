# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on the loopback with the seed images that simulated clusters have pushed. Plain HTTP, with a login."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from fleetsim.store import dumps

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

LOGIN = "push:only-for-the-cluster-5hQ2"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<wanted>[^/]+)")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class SeedRegistry:
    """Serves what `pushed` of the clusters names."""

    def __init__(self, clusters: list[Cluster]) -> None:
        self._clusters = clusters
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        server = web.Server(self._handle, access_log=None)
        self._server = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, family=socket.AF_INET)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def _config(self, name: str, tag: str) -> bytes | None:
        """The configuration of the last image that was pushed under this name."""
        image = f"{self.address}/{name}:{tag}"
        pushers = [one for one in self._clusters if one.seed and image in one.seed.pushed_at]
        if not pushers:
            return None
        last = max(pushers, key=lambda one: one.seed.pushed_at[image] if one.seed else 0.0)
        labels = last.plan.seed_image.labels(last.machine.root.version)
        made = {"author": f"{last.name}, {last.seed.pushed_at[image] if last.seed else 0:.3f}"}
        made |= {"architecture": "amd64", "os": "linux"}
        return dumps({**made, "config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": []}})

    def _manifest(self, config: bytes) -> bytes:
        about = {"mediaType": _CONFIG, "digest": digest(config), "size": len(config)}
        return dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": about, "layers": []})

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        wanted = "Basic " + base64.b64encode(LOGIN.encode()).decode()
        if request.headers.get("Authorization") != wanted:
            return self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="seeds"'})
        found = _PATH.fullmatch(request.path)
        if found is None:
            return web.json_response({})
        for tag in self._tags(found["name"]):
            config = self._config(found["name"], tag)
            if config is None:
                continue
            manifest = self._manifest(config)
            if found["kind"] == "manifests" and found["wanted"] in (tag, digest(manifest)):
                headers = {"Docker-Content-Digest": digest(manifest)}
                return web.Response(body=manifest, content_type=_MANIFEST, headers=headers)
            if found["kind"] == "blobs" and found["wanted"] == digest(config):
                return web.Response(body=config, content_type="application/octet-stream")
        return self._error(404, "MANIFEST_UNKNOWN" if found["kind"] == "manifests" else "BLOB_UNKNOWN", {})

    def _tags(self, name: str) -> list[str]:
        start = f"{self.address}/{name}:"
        images = [image for one in self._clusters if one.seed for image in one.seed.pushed]
        return list(dict.fromkeys(image[len(start) :] for image in images if image.startswith(start)))

    @staticmethod
    def _error(status: int, code: str, headers: dict[str, str]) -> web.Response:
        return web.json_response({"errors": [{"code": code, "message": code.lower()}]}, status=status, headers=headers)
