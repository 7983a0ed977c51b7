# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One API server: requests, and the meaning of its refusals.

The transport is the kubernetes client's REST layer. Unlike kubernetes.core's ``get_api_client`` this neither discovers
the API (dozens of requests and a cache that goes stale over a pivot) nor touches the client library's process-wide
default configuration, so one process can talk to many clusters.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import socket
import typing as t
from urllib.parse import urlencode, urlsplit

from ansible_collections.sno.image_upgrade.plugins.module_utils._connection import HAS_KUBERNETES, connection_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered

if HAS_KUBERNETES:
    import urllib3
    from kubernetes.client.rest import RESTClientObject

if t.TYPE_CHECKING:
    import ssl

    from kubernetes.client import Configuration

__all__ = ("HAS_KUBERNETES", "MERGE_PATCH", "Repeat", "Reply", "Session", "error_of", "once", "open_session")

MERGE_PATCH = "application/merge-patch+json"

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0

# Errors that a repetition cannot mend: the request itself is wrong.
_FINAL_STATUSES = frozenset({400, 405, 406, 413, 415, 422})


class Reply(t.NamedTuple):
    """One answer: the decoded JSON document and the server's clock."""

    document: dict[str, t.Any]
    now: datetime.datetime | None


# Asks, and asks again where that is worth it.
Repeat = t.Callable[[t.Callable[[], Reply]], Reply]


class _Connections(t.NamedTuple):
    """What carries requests, and what precedes their paths."""

    pool: urllib3.PoolManager | urllib3.HTTPConnectionPool
    root: str


class Session:
    """Requests to one API server over its own connections. Not to be shared between threads."""

    def __init__(self, configuration: Configuration, context: ssl.SSLContext | None, certificate: str = "") -> None:
        self._configuration = configuration
        # Of the client, in PEM; public. Its file may be gone.
        self.certificate = certificate
        # Repeats requests that want to be repeated. At first nothing is: a drive judges every failure itself.
        self.repeat: Repeat = once
        self._pools = RESTClientObject(configuration).pool_manager
        if context is not None:
            for name in ("cert_file", "key_file", "ca_certs", "ca_cert_data"):
                self._pools.connection_pool_kw.pop(name, None)
            self._pools.connection_pool_kw["ssl_context"] = context
        self._connections: _Connections | None = None

    @property
    def url(self) -> str:
        """The API server's address."""
        return str(self._configuration.host).rstrip("/")

    @property
    def credential(self) -> str:
        """``certificate``, ``token`` or ``none``: what kind of credential this session presents."""
        if self._configuration.auth_settings():
            return "token"
        return "certificate" if self._configuration.cert_file else "none"

    def get(self, path: str, **query: str | int) -> Reply:
        """The document at a path."""
        return self._reply("GET", path, query)

    def list(self, path: str, page: int = 500, **query: str | int) -> list[dict[str, t.Any]]:
        """All items of a collection, fetched page by page."""
        return list(self.items(path, page, **query))

    def items(self, path: str, page: int = 500, **query: str | int) -> t.Iterator[dict[str, t.Any]]:
        """The items of a collection one by one; no more than a page of them is held at a time."""
        token: str | None = ""
        while token is not None:
            document = self.get(path, limit=page, **({"continue": token} if token else {}), **query).document
            yield from document.get("items") or ()
            token = (document.get("metadata") or {}).get("continue") or None

    def text(self, path: str, most: int, **query: str | int) -> tuple[bytes, int]:
        """The end of a plain text such as a log, no more than ``most`` bytes of it, and how many bytes are missing."""
        response = self._request("GET", path, query, stream=True)
        kept, length = bytearray(), 0
        try:
            with _transport_errors(self.url):
                for chunk in response.stream(65536):
                    kept += chunk
                    length += len(chunk)
                    del kept[: max(0, len(kept) - most)]
        finally:
            response.close()
        return bytes(kept), length - len(kept)

    def create(self, path: str, document: t.Mapping[str, t.Any], **query: str | int) -> Reply:
        """Post a document to a collection."""
        return self._reply("POST", path, query, document, "application/json")

    def merge_patch(self, path: str, document: t.Mapping[str, t.Any], **query: str | int) -> Reply:
        """Change an object by a JSON merge patch; lists are replaced as a whole."""
        return self._reply("PATCH", path, query, document, MERGE_PATCH)

    def replace(self, path: str, document: t.Mapping[str, t.Any], **query: str | int) -> Reply:
        """Put a whole object in the place of what is there."""
        return self._reply("PUT", path, query, document, "application/json")

    def delete(self, path: str, uid: str | None = None, **query: str | int) -> Reply:
        """Ask for an object to be deleted; it may stay a while, until its finalizers are done.

        With ``uid`` only that object is meant: another one that has its name by now is a conflict.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}} if uid else None
        return self._reply("DELETE", path, query, options, "application/json" if options else None)

    def watch(
        self, path: str, *, resource_version: str, seconds: int, **query: str | int
    ) -> t.Iterator[dict[str, t.Any]]:
        """The events of a collection after a resource version, until the server ends the watch in time.

        Every wait on the socket has a limit: a watch that was resumed across a change of etcd hangs in silence.
        """
        query = {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": seconds, **query}
        response = self._request("GET", path, query, stream=True, read_seconds=seconds + _CONNECT_SECONDS)
        try:
            with _transport_errors(self.url):
                yield from _events(response, self.url)
        finally:
            # An unfinished stream cannot go back to the pool.
            response.close()

    @contextlib.contextmanager
    def repeating(self, repeat: Repeat) -> t.Iterator[None]:
        """Meanwhile requests are repeated in this way."""
        before, self.repeat = self.repeat, repeat
        try:
            yield
        finally:
            self.repeat = before

    def at_once(self) -> t.ContextManager[None]:
        """Meanwhile nothing is repeated: for who would rather know that the server is silent."""
        return self.repeating(once)

    def probe(self) -> None:
        """Raise Unanswered where nobody listens, for a tenth of what a refused request costs.

        A node that reboots is asked many times. Behind a proxy only a request can tell.
        """
        if self._configuration.proxy:
            return
        address = urlsplit(self.url)
        try:
            socket.create_connection((address.hostname, address.port or 443), _CONNECT_SECONDS).close()
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            raise Unanswered(
                "connect", f"connection {'refused by' if refused else 'not possible to'} {self.url}"
            ) from error

    def close(self) -> None:
        """Drop the open connections. The session can still be used; it connects again."""
        if self._connections is not None:
            self._pools.clear()
            self._connections = None

    def _connect(self) -> _Connections:
        """The only pool that is needed.

        The manager of many pools would look the only one up again for each request, a fifth of what that costs. Plain
        HTTP needs it where there is a proxy, which wants whole addresses.
        """
        address = urlsplit(self.url)
        if address.scheme == "http" and self._configuration.proxy:
            return _Connections(self._pools, self.url)
        return _Connections(self._pools.connection_from_url(self.url), address.path)

    def _reply(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, str | int],
        document: t.Mapping[str, t.Any] | None = None,
        content_type: str | None = None,
    ) -> Reply:
        return self.repeat(lambda: self._reply_once(method, path, query, document, content_type))

    def _reply_once(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, str | int],
        document: t.Mapping[str, t.Any] | None,
        content_type: str | None,
    ) -> Reply:
        response = self._request(method, path, query, document, content_type)
        return Reply(_document(response.data, self.url), _server_time(response.headers))

    def _auth_headers(self) -> dict[str, str]:
        # Asked for every time: a credential plugin of the kubeconfig may have a new token by now.
        settings: t.Any = self._configuration.auth_settings()
        return {auth["key"]: auth["value"] for auth in settings.values()}

    def _request(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, str | int],
        document: t.Mapping[str, t.Any] | None = None,
        content_type: str | None = None,
        *,
        stream: bool = False,
        read_seconds: float = _READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "sno.image_upgrade"}
        headers.update(self._auth_headers())
        if content_type:
            headers["Content-Type"] = content_type
        with _transport_errors(self.url):
            pool, root = self._connections = self._connections or self._connect()
            response = pool.request(
                method,
                f"{root}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=json.dumps(document) if document is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=read_seconds),
                # Repetition is the caller's decision (repeat): it knows whether an outage is expected.
                retries=False,
                preload_content=not stream,
            )
        if response.status >= 400:
            with _transport_errors(self.url):
                body = response.data
            raise error_of(response.status, response.headers, body, f"{method} {path}")
        return response


def once(ask: t.Callable[[], Reply]) -> Reply:
    """Not repeated at all."""
    return ask()


def open_session(options: t.Mapping[str, t.Any], prefix: str = "") -> Session:
    """A session from kubernetes.core's authentication options. Nothing is sent yet.

    ``prefix`` is put before option names in errors, which are InvalidOption.
    """
    return Session(*connection_of(options, prefix))


@contextlib.contextmanager
def _transport_errors(url: str) -> t.Iterator[None]:
    try:
        yield
    except urllib3.exceptions.SSLError as error:
        raise Unanswered("tls", f"no trusted TLS connection to {url}: {_brief(error)}") from error
    except urllib3.exceptions.NameResolutionError as error:
        raise Unanswered("connect", f"the name of {url} is not known: {_brief(error)}") from error
    except urllib3.exceptions.NewConnectionError as error:
        refused = "refused" in str(error)
        raise Unanswered("connect", f"connection refused by {url}" if refused else f"no connection to {url}") from error
    except urllib3.exceptions.TimeoutError as error:
        raise Unanswered("timeout", f"no answer from {url} in time") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unanswered("connect", f"connection to {url} lost: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0][:200]


def _document(text: bytes, url: str) -> dict[str, t.Any]:
    """The JSON object in an answer. Something between here and the API server may have answered in its place."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unanswered("http", f"{url} answered with something that is no object in JSON", 200)
    return found


def _events(response: urllib3.BaseHTTPResponse, url: str) -> t.Iterator[dict[str, t.Any]]:
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            event = _document(line, url)
            kind, found = event.get("type"), event.get("object")
            if not kind or not isinstance(found, dict):
                raise Unanswered("http", f"{url} sent something that is no event of a watch", 200)
            if kind == "ERROR":
                raise Unanswered("expired", str(found.get("message")), found.get("code"))
            yield event


def _server_time(headers: t.Mapping[str, str]) -> datetime.datetime | None:
    """The server's own clock, so that the age of a condition does not depend on the controller's."""
    try:
        return email.utils.parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return None


def error_of(status: int, headers: t.Mapping[str, str], body: bytes, request: str) -> Unanswered | Refused:
    """The exception that an HTTP error status means."""
    message = _status_message(body) or f"HTTP {status} for {request}"
    if status == 404:
        return NotThere(message)
    if status in _FINAL_STATUSES:
        return Refused(message, status)
    kind = {401: "session", 403: "rights", 409: "conflict", 410: "expired"}.get(status, "http")
    if status == 401:
        message = f"the credential is not accepted (401 {message})"
    return Unanswered(kind, message, status, _retry_after(headers))


def _retry_after(headers: t.Mapping[str, str]) -> float | None:
    try:
        return float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _status_message(body: bytes) -> str:
    """The API's own words. A server that is just starting answers in plain text."""
    try:
        document = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()[:200]
    return str(document.get("message", "")) if isinstance(document, dict) else ""
