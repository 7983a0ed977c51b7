# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What an X.509 certificate says about itself: issuer and end. Standard library only; no verification."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
import typing as t
from dataclasses import dataclass

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_COMMON_NAME = bytes((0x55, 0x04, 0x03))
_SEQUENCE, _UTC_TIME, _OBJECT, _VERSION = 0x30, 0x17, 0x06, 0xA0


@dataclass(frozen=True)
class Certificate:
    """The parts that preflight looks at."""

    issuer: str
    not_after: datetime.datetime


def read_certificate(pem: str) -> Certificate | None:
    """The first certificate of a PEM text; None where there is none that can be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        der = base64.b64decode(found[1])
        # Certificate, then what is signed of it.
        fields = list(_children(_value(_value(der))))
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        _serial, _algorithm, issuer, validity = fields[:4]
        end = list(_children(validity[1]))[1]
        return Certificate(_common_name(issuer[1]), _time(*end))
    except (binascii.Error, IndexError, ValueError):
        return None


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, contents and end of the element at a position."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    if start + length > len(der):
        raise ValueError("the certificate is cut off")
    return tag, der[start : start + length], start + length


def _value(der: bytes) -> bytes:
    tag, contents, _end = _element(der, 0)
    if tag != _SEQUENCE:
        raise ValueError("no sequence")
    return contents


def _children(der: bytes) -> t.Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(der):
        tag, contents, at = _element(der, at)
        yield tag, contents


def _common_name(name: bytes) -> str:
    for _set, relative in _children(name):
        for _sequence, pair in _children(relative):
            (tag, kind), (_string, text) = list(_children(pair))[:2]
            if tag == _OBJECT and kind == _COMMON_NAME:
                return text.decode("utf-8", "replace")
    return ""


def _time(tag: int, text: bytes) -> datetime.datetime:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.datetime.strptime(text.decode("ascii"), form).replace(tzinfo=datetime.timezone.utc)
