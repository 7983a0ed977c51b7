# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Numbers in sentences: one cluster is, two clusters are."""

from __future__ import annotations


def counted(number: float, noun: str) -> str:
    """``1 cluster``, ``12 clusters``, ``0 clusters``."""
    return f"{_text(number)} {noun}{'' if number == 1 else 's'}"


def _text(number: float) -> str:
    # The general format writes large numbers with an exponent.
    return str(int(number)) if number == int(number) else f"{number:g}"


def is_are(number: int) -> str:
    """The verb for so many of a whole: ``1 of 3 clusters is``."""
    return "is" if number == 1 else "are"


def has_have(number: int) -> str:
    """The verb for so many of a whole: ``1 of 3 clusters has``."""
    return "has" if number == 1 else "have"
