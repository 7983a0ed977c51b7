# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Asking Velero without its CLI: a DownloadRequest gives an address in the object store, which is fetched from here."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import secrets
import ssl
import threading
import typing as t
import zlib
from urllib.parse import urlsplit

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import HAS_KUBERNETES, Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._velero_debug import NAMESPACE, Question, What

if HAS_KUBERNETES:
    import urllib3

REQUESTS = f"/apis/velero.io/v1/namespaces/{NAMESPACE}/downloadrequests"
_MOST = 128 * 1024 * 1024
_POLL_SECONDS = 0.5
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0


class NoAnswer(IbuError):
    """Velero or its object store did not give what was asked for. The text never has the signed address."""


class Store:
    """How the object store is reached from here."""

    def __init__(self, ca_cert: str | None, validate_certs: bool, proxy: str | None) -> None:
        self._context = _context(ca_cert)
        self._proxy = proxy
        if not validate_certs:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    def trust(self, locations: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        """The CAs that the backup locations name themselves are as good as a given one."""
        for location in locations:
            encoded = ((location.get("spec") or {}).get("objectStorage") or {}).get("caCert")
            with contextlib.suppress(ValueError, ssl.SSLError, TypeError):
                self._context.load_verify_locations(cadata=base64.b64decode(encoded).decode()) if encoded else None

    def fetch(self, url: str) -> bytes:
        """What lies at an address. Raises NoAnswer."""
        place = urlsplit(url).netloc.rpartition("@")[2]
        maker = urllib3.ProxyManager if self._proxy else urllib3.PoolManager
        arguments = (self._proxy,) if self._proxy else ()
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        with maker(*arguments, ssl_context=self._context) as pool:
            try:
                response = pool.request(
                    "GET",
                    url,
                    timeout=timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
                data = response.read(_MOST + 1)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                # The error's text would have the address with its signature.
                raise NoAnswer(
                    f"the object store at {place} cannot be reached from here ({type(error).__name__}): let Velero's "
                    "CLI ask for it in its pod, or give a proxy or its CA"
                ) from None
            if response.status >= 300:
                raise NoAnswer(f"the object store at {place} answers with HTTP {response.status}")
        if len(data) > _MOST:
            raise NoAnswer(f"it has more than {_MOST >> 20} MiB")
        return bytes(data)


def _context(ca_cert: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if ca_cert:
            context.load_verify_locations(cafile=ca_cert)
    except (OSError, ssl.SSLError) as error:
        raise InvalidOption("ca_cert", ca_cert, f"it cannot be loaded: {error}") from error
    return context


def download(
    session: Session, store: Store, question: Question, *, seconds: float, clock: Clock, stop: threading.Event
) -> bytes:
    """What Velero has in its object store about an object, unpacked where it is text. Raises NoAnswer."""
    name = f"ibu-{secrets.token_hex(8)}"
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "DownloadRequest",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"target": {"kind": question.target, "name": question.item.name}},
    }
    try:
        session.create(REQUESTS, body)
        try:
            url = _address(session, name, seconds, clock, stop)
        finally:
            with contextlib.suppress(NotThere, Refused, Unanswered):
                session.delete(f"{REQUESTS}/{name}")
    except (NotThere, Refused, Unanswered) as error:
        raise NoAnswer(f"no DownloadRequest: {error}") from error
    data = store.fetch(url)
    return data if question.what is What.CONTENTS else _plain(data)


def _address(session: Session, name: str, seconds: float, clock: Clock, stop: threading.Event) -> str:
    deadline = clock.monotonic() + seconds
    while True:
        status = session.get(f"{REQUESTS}/{name}").document.get("status") or {}
        if status.get("phase") == "Processed" and status.get("downloadURL"):
            return str(status["downloadURL"])
        if clock.monotonic() >= deadline or stop.is_set():
            raise NoAnswer(
                f"Velero gives no address within {seconds:.0f} s: is its pod running, its backup location Available?"
            )
        clock.wait(stop, _POLL_SECONDS)


def _plain(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            return stream.read(_MOST)
    except (OSError, EOFError, zlib.error) as error:
        raise NoAnswer(f"what the object store has is damaged: {error}") from error
