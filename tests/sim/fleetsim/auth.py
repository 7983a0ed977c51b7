# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asking: client certificates and bearer tokens."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fleetsim import errors

ANONYMOUS_PATHS = ("/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()

    @property
    def admin(self) -> bool:
        return "system:masters" in self.groups


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


_Name = tuple[tuple[tuple[str, str], ...], ...]


@lru_cache(maxsize=1024)
def _read(issuer: _Name, subject: _Name, ends: str) -> tuple[str, User, float]:
    """Issuer's name, user and last second. Every request asks, and there are few certificates."""
    by = dict(part for group in issuer for part in group)
    parts = [part for group in subject for part in group]
    common = next(value for key, value in parts if key == "commonName")
    groups = tuple(value for key, value in parts if key == "organizationName")
    return by.get("commonName", ""), User(common, groups), ssl.cert_time_to_seconds(ends)


def user_of_certificate(certificate: dict[str, Any] | None, trusted_issuer: str) -> User | None:
    """None without a certificate; 401 for one that another CA signed."""
    if not certificate:
        return None
    issuer, user, ends = _read(certificate["issuer"], certificate["subject"], certificate["notAfter"])
    if issuer != trusted_issuer or ends < time.time():
        raise errors.unauthorized()
    return user


def user_of_header(header: str | None, tokens: dict[str, User]) -> User | None:
    """None without a bearer token; 401 for one that this API server did not issue."""
    if not header:
        return None
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return None
    user = tokens.get(token.strip())
    if user is None:
        raise errors.unauthorized()
    return user
