# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Links that clusters share: how many of the clusters behind one may be at work at a time. No I/O, no clock."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

Most = t.Union[int, t.Mapping[str, int]]  # noqa: UP007


def parse_most(option: str, value: t.Any) -> Most:
    """How many clusters on each link, or by the name of the link; 0 means any number."""
    if isinstance(value, t.Mapping):
        return {str(link): _count(option, value, most) for link, most in value.items()}
    return _count(option, value, value)


def _count(option: str, value: t.Any, most: t.Any) -> int:
    text = str(most)
    if isinstance(most, bool) or not text.isdigit():
        raise InvalidOption(
            option, value, "give a number of clusters, or a mapping of links to numbers; 0 for any number"
        )
    return int(text)


class Links:
    """Places on the links of a fleet. Not locked: the caller does that.

    ``of`` is the link of each cluster; a cluster without one is bounded by nothing here.
    """

    def __init__(self, of: t.Mapping[str, str], most: Most) -> None:
        self._of = of
        self._most = most
        self._busy: collections.Counter[str] = collections.Counter()

    def _most_on(self, link: str) -> int:
        return self._most if isinstance(self._most, int) else self._most.get(link, 0)

    def places(self, names: t.Iterable[str]) -> int:
        """How many of these clusters can be at work at the same time."""
        on = collections.Counter(self._of.get(name) for name in names)
        return sum(min(count, (self._most_on(link) if link else 0) or count) for link, count in on.items())

    def enter(self, name: str) -> bool:
        """Take a place for a cluster; False where its link is full."""
        link = self._of.get(name)
        if link is None:
            return True
        most = self._most_on(link)
        if most and self._busy[link] >= most:
            return False
        self._busy[link] += 1
        return True

    def leave(self, name: str) -> None:
        """Give the place back."""
        link = self._of.get(name)
        if link is not None:
            self._busy[link] -= 1
