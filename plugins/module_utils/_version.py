# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Order of release versions by the rules of semver.org, as the Lifecycle Agent compares them."""

from __future__ import annotations

import re
import typing as t

# Build metadata is allowed and ignored in comparisons (semver 2.0.0, item 10).
_SEMVER = re.compile(
    r"(?P<core>(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

_Key = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


def is_valid(version: str) -> bool:
    """True for ``X.Y.Z``, optionally followed by ``-pre.release`` and ``+build``."""
    return _SEMVER.fullmatch(version) is not None


def is_newer(version: str, than: str) -> bool:
    """True where ``version`` comes strictly after ``than``; ``4.16.0-rc.1`` comes before ``4.16.0``."""
    return _key(version) > _key(than)


def _key(version: str) -> _Key:
    match = _SEMVER.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is not a version of the form X.Y.Z")
    pre = t.cast("str | None", match["pre"])
    core = tuple(int(number) for number in match["core"].split("."))
    # Numbers sort below words, and a release sorts above all its pre-releases.
    words = tuple((not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in (pre or "").split("."))
    return core, pre is None, words if pre else ()
