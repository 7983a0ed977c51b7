# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain HTTP to an API server, over the REST layer of the kubernetes client.

No retries and no interpretation: a test wants to see what the server answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import config

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"

Document = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One answer, as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Document:
        document = json.loads(self.text)
        assert isinstance(document, dict)
        return document

    def ok(self) -> Document:
        """The document of a request that must have worked."""
        assert 200 <= self.status < 300, f"HTTP {self.status}: {self.text[:2000]}"
        return self.json


class Api:
    """One identity on one API server."""

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        client = config.new_client_from_config(config_file=str(kubeconfig), context=context, persist_config=False)
        self._pool: urllib3.PoolManager = client.rest_client.pool_manager
        self.url: str = client.configuration.host
        authorization = client.configuration.get_api_key_with_prefix("authorization")
        self._headers = {"Authorization": authorization} if authorization else {}

    def anonymous(self) -> Api:
        """The same server, asked without any credential."""
        other = object.__new__(Api)
        other.url = self.url
        tls = {k: v for k, v in self._pool.connection_pool_kw.items() if k not in ("cert_file", "key_file")}
        other._pool = urllib3.PoolManager(**tls)
        other._headers = {}
        return other

    def with_token(self, token: str) -> Api:
        """The same server, asked with this bearer token and no client certificate."""
        other = self.anonymous()
        other._headers = {"Authorization": f"Bearer {token}"}
        return other

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, object] | None = None,
        timeout: float = 15,
    ) -> Reply:
        response = self._send(method, path, body, content_type, query, timeout, preload_content=True)
        return Reply(response.status, dict(response.headers), response.data.decode())

    def get(self, path: str, **query: object) -> Reply:
        return self.request("GET", path, query=query)

    def create(self, path: str, body: object, **query: object) -> Reply:
        return self.request("POST", path, body, query=query)

    def replace(self, path: str, body: object, **query: object) -> Reply:
        return self.request("PUT", path, body, query=query)

    def merge(self, path: str, body: object, **query: object) -> Reply:
        return self.request("PATCH", path, body, content_type=MERGE_PATCH, query=query)

    def json_patch(self, path: str, body: object, **query: object) -> Reply:
        return self.request("PATCH", path, body, content_type=JSON_PATCH, query=query)

    def delete(self, path: str, **query: object) -> Reply:
        return self.request("DELETE", path, query=query)

    def watch(self, path: str, *, read_timeout: float = 15, **query: object) -> Iterator[Document]:
        """The events of one watch until the server ends it. Raises urllib3's ReadTimeoutError in a silence."""
        response = self._send("GET", path, None, JSON, {"watch": "true", **query}, read_timeout, preload_content=False)
        try:
            assert response.status == 200, f"HTTP {response.status}: {response.data.decode()[:2000]}"
            pending = b""
            for chunk in response.stream(amt=None):
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            # Not release_conn(): an unfinished stream must not be handed to the next request.
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        body: object,
        content_type: str,
        query: Mapping[str, object] | None,
        timeout: float,
        *,
        preload_content: bool,
    ) -> urllib3.BaseHTTPResponse:
        target = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self._headers, "Accept": JSON}
        if body is not None:
            headers["Content-Type"] = content_type
        return self._pool.request(
            method,
            target,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(connect=5, read=timeout),
            retries=False,
            preload_content=preload_content,
        )
