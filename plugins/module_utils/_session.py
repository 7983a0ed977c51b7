# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One API server: authentication, requests, and the meaning of its refusals.

The options are those of kubernetes.core; the transport is the kubernetes client's REST layer. Unlike
``get_api_client`` this neither discovers the API (dozens of requests and a cache that goes stale over a pivot) nor
touches the client library's process-wide default configuration, so one process can talk to many clusters.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import json
import os
import re
import socket
import ssl
import tempfile
import typing as t
from urllib.parse import urlencode, urlsplit

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP, AUTH_ARG_SPEC

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)

try:
    import urllib3
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.client.rest import RESTClientObject
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    HAS_KUBERNETES = True
    # libyaml where PyYAML has it: it saves two thirds of the time that opening a session takes.
    _YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    # Every caller reports this with missing_required_lib before it opens a session.
    HAS_KUBERNETES = False

MERGE_PATCH = "application/merge-patch+json"

_NAME_MOST = 255
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0

# Errors that a repetition cannot mend: the request itself is wrong.
_FINAL_STATUSES = frozenset({400, 405, 406, 413, 415, 422})


class Reply(t.NamedTuple):
    """One answer: the decoded JSON document and the server's clock."""

    document: dict[str, t.Any]
    now: datetime.datetime | None


class Session:
    """Requests to one API server over its own connections. Not to be shared between threads."""

    def __init__(self, configuration: Configuration, context: ssl.SSLContext | None, certificate: str = "") -> None:
        self._configuration = configuration
        # Of the client, in PEM; public. Its file may be gone.
        self.certificate = certificate
        # Repeats requests that want to be repeated. At first nothing is: a drive judges every failure itself.
        self.repeat: t.Callable[[t.Callable[[], Reply]], Reply] = _once
        self._pools = RESTClientObject(configuration).pool_manager
        if context is not None:
            for name in ("cert_file", "key_file", "ca_certs", "ca_cert_data"):
                self._pools.connection_pool_kw.pop(name, None)
            self._pools.connection_pool_kw["ssl_context"] = context
        self._pool, self._root = self._connections()

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
                yield from _events(response)
        finally:
            # An unfinished stream cannot go back to the pool.
            response.close()

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
        self._pools.clear()
        self._pool, self._root = self._connections()

    def _connections(self) -> tuple[urllib3.PoolManager | urllib3.HTTPConnectionPool, str]:
        """What carries requests, and what precedes their paths.

        The manager of many pools would look the only one up again for each request, a fifth of what that costs. Plain
        HTTP needs it where there is a proxy, which wants whole addresses.
        """
        address = urlsplit(self.url)
        if address.scheme == "http" and self._configuration.proxy:
            return self._pools, self.url
        return self._pools.connection_from_url(self.url), address.path

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
        try:
            return Reply(json.loads(response.data), _server_time(response.headers))
        except ValueError as error:
            raise Unanswered("http", f"{self.url} answered with something that is not JSON", response.status) from error

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
            response = self._pool.urlopen(
                method,
                f"{self._root}{path}" + (f"?{urlencode(query)}" if query else ""),
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


def _once(ask: t.Callable[[], Reply]) -> Reply:
    return ask()


def open_session(options: t.Mapping[str, t.Any], prefix: str = "") -> Session:
    """A session from kubernetes.core's authentication options. Nothing is sent yet.

    ``prefix`` is put before option names in errors, which are InvalidOption. Keys and certificates that a kubeconfig
    carries inline touch the disk only inside this call, in a directory of this user alone.
    """
    with tempfile.TemporaryDirectory(prefix="ibu-") as workdir:
        configuration = _configuration(options, prefix, workdir)
        return Session(configuration, _tls_context(configuration, prefix), _certificate(configuration))


def has_connection(options: t.Mapping[str, t.Any]) -> bool:
    """True where the options say which API server is meant."""
    return bool(options.get("kubeconfig") or options.get("host"))


def names_a_file(kubeconfig: object) -> bool:
    """True for a value that may be shown: a path, not the text of a kubeconfig or a token that was put in its place."""
    if not isinstance(kubeconfig, str) or "\n" in kubeconfig or "{" in kubeconfig:
        return False
    # An encoded kubeconfig has one line and slashes too, but is long and does not begin like an absolute path.
    short = len(kubeconfig) <= _NAME_MOST and ("/" in kubeconfig or "." in kubeconfig)
    return kubeconfig.startswith(("/", "~")) or short or os.path.exists(kubeconfig)


# Options of kubernetes.core that the REST layer alone does not act on: ignoring them would mean another identity.
_UNSUPPORTED = ("username", "password", "impersonate_user", "impersonate_groups")


def _configuration(options: t.Mapping[str, t.Any], prefix: str, workdir: str) -> Configuration:
    for name in _UNSUPPORTED:
        if options.get(name):
            raise InvalidOption(
                f"{prefix}{name}", "<given>", "it is not supported; use a client certificate, or a token in api_key"
            )
    if not has_connection(options):
        raise InvalidOption(
            f"{prefix}kubeconfig",
            None,
            f"say how to reach the cluster: {prefix}kubeconfig, or {prefix}host with {prefix}client_cert "
            f"and {prefix}client_key",
        )
    configuration = Configuration()
    if options.get("kubeconfig"):
        _load_kubeconfig(configuration, options, prefix, workdir)
    for attribute, option in AUTH_ARG_MAP.items():
        value = options.get(option)
        if value is None or option in ("kubeconfig", "context", "persist_config"):
            continue
        if AUTH_ARG_SPEC[option].get("type") == "bool":
            value = _boolean(value, f"{prefix}{option}")
        elif option == "api_key":
            value = {"authorization": f"Bearer {value}"}
        elif option == "proxy_headers":
            value = _proxy_headers(value, f"{prefix}{option}")
        elif option == "host":
            _check_address(value, f"{prefix}{option}")
        setattr(configuration, attribute, value)
    _check_address(configuration.host, f"{prefix}kubeconfig")
    return configuration


def _check_address(address: t.Any, option: str) -> None:
    """Refuse an address without a scheme: the transport would take it for plain HTTP, and send a token in the clear."""
    if not str(address).startswith(("https://", "http://")):
        raise InvalidOption(option, address, "give the API's address as https://HOST:PORT")


def _proxy_headers(value: t.Any, option: str) -> t.Any:
    try:
        return urllib3.util.make_headers(**value)
    except TypeError:
        raise InvalidOption(
            option, "<given>", "give a dictionary of basic_auth, proxy_basic_auth and user_agent"
        ) from None


def _boolean(value: t.Any, option: str) -> bool:
    try:
        return bool(boolean(value))
    except TypeError:
        raise InvalidOption(option, value, "give true or false") from None


def _load_kubeconfig(configuration: Configuration, options: t.Mapping[str, t.Any], prefix: str, workdir: str) -> None:
    option, value = f"{prefix}kubeconfig", options["kubeconfig"]
    shown = value if names_a_file(value) else "<inline kubeconfig>"
    if isinstance(value, str) and not names_a_file(value):
        raise InvalidOption(option, "<text>", "give the path of a file, or the kubeconfig itself as a dictionary")
    document = _read_kubeconfig(option, value) if isinstance(value, str) else value
    if not isinstance(document, dict) or not document.get("clusters"):
        raise InvalidOption(
            option, shown, "it is empty or no kubeconfig; give a file with clusters, users and contexts"
        )
    base = os.path.dirname(os.path.abspath(os.path.expanduser(value))) if isinstance(value, str) else os.getcwd()
    try:
        load_kube_config_from_dict(
            _with_files(document, base, workdir),
            context=options.get("context"),
            client_configuration=configuration,
            persist_config=False,
        )
        _check_user(document, options.get("context"))
    except (AttributeError, ConfigException, KeyError, OSError, TypeError, ValueError) as error:
        # The library's text names the broken entry and never its secret.
        raise InvalidOption(option, shown, f"it cannot be used: {error}") from error


def _check_user(document: t.Mapping[str, t.Any], context: str | None) -> None:
    """Raise ValueError where a usable kubeconfig names a user that it lacks: the client would go on as nobody."""
    name = context or document["current-context"]
    user = next(entry["context"].get("user") for entry in document["contexts"] if entry["name"] == name)
    if user and user not in [entry["name"] for entry in document.get("users") or ()]:
        raise ValueError(f"its context {name!r} names the user {user!r}, who is not among its users")


def _read_kubeconfig(option: str, path: str) -> t.Any:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            return yaml.load(stream, Loader=_YAML_LOADER)  # noqa: S506
    except OSError as error:
        raise InvalidOption(option, path, f"the file cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # A parser's message would quote the file.
        raise InvalidOption(option, path, "the file is not YAML") from None


def _with_files(document: t.Mapping[str, t.Any], base: str, workdir: str) -> dict[str, t.Any]:
    """The kubeconfig with inline data moved to files in ``workdir`` and relative paths made absolute.

    The client library would put inline data into temporary files that outlive a forked worker.
    """
    result = dict(document)
    for section, inner, keys in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key")),
    ):
        result[section] = [
            {**entry, inner: _entry_with_files(entry.get(inner) or {}, keys, base, workdir)}
            for entry in document.get(section) or ()
        ]
    return result


def _entry_with_files(entry: t.Mapping[str, t.Any], keys: t.Iterable[str], base: str, workdir: str) -> dict[str, t.Any]:
    result = dict(entry)
    for key in keys:
        data = result.pop(f"{key}-data", None)
        if data:
            descriptor, result[key] = tempfile.mkstemp(dir=workdir)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(base64.b64decode(data))
        elif result.get(key):
            result[key] = os.path.join(base, result[key])
    return result


def _tls_context(configuration: Configuration, prefix: str) -> ssl.SSLContext | None:
    """One TLS context for all connections of a session; None where the address is not https."""
    if not str(configuration.host).startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        names = f"{prefix}kubeconfig, {prefix}ca_cert, {prefix}client_cert or {prefix}client_key"
        raise InvalidOption(names, configuration.host, f"its certificates or key cannot be loaded: {error}") from error
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificate(configuration: Configuration) -> str:
    """The client's certificate. A file that also holds the key is cut down to what is public."""
    if not configuration.cert_file:
        return ""
    with open(configuration.cert_file, encoding="ascii", errors="replace") as stream:
        found = re.search(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", stream.read())
    return found[0] if found else ""


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


def _events(response: urllib3.BaseHTTPResponse) -> t.Iterator[dict[str, t.Any]]:
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise Unanswered("expired", str(status.get("message")), status.get("code"))
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
