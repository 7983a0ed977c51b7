# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What preflight finds, and how the checks of one cluster say it. No I/O, no clock."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass


class Severity(str, enum.Enum):
    """How much a finding matters. BLOCKED: the actions cannot succeed. NO_ANSWER: nothing could be learned.

    NOT_CHECKED: one thing could not be known; it keeps no cluster from going on.
    """

    BLOCKED = "blocked"
    WARNED = "warned"
    NO_ANSWER = "no_answer"
    NOT_CHECKED = "not_checked"

    @property
    def excludes(self) -> bool:
        """Whether a cluster with such a finding cannot be used."""
        return self in (Severity.BLOCKED, Severity.NO_ANSWER)


@dataclass(frozen=True)
class Finding:
    """One problem of one cluster. Clusters with the same ``cause`` and ``remedy`` are shown together.

    What differs from cluster to cluster therefore belongs into ``seen``, never into ``cause``.
    ``source`` names the object and field that was read.
    """

    severity: Severity
    cluster: str
    check: str
    cause: str
    remedy: str
    seen: str = ""
    expected: str = ""
    source: str = ""


@dataclass(frozen=True)
class Permission:
    """One call, as SelfSubjectAccessReview asks for it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{place}"


class Judge:
    """Collects what the checks say about one cluster. What could not be known is said once per reason."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._found: list[Finding] = []
        self._unknown: dict[tuple[str, str, str], dict[str, None]] = {}

    def blocked(
        self, check: str, cause: str, remedy: str, *, seen: object = "", expected: object = "", source: str = ""
    ) -> None:
        """The actions cannot succeed."""
        self._add(Severity.BLOCKED, check, cause, remedy, seen, expected, source)

    def warned(
        self, check: str, cause: str, remedy: str, *, seen: object = "", expected: object = "", source: str = ""
    ) -> None:
        """The actions may succeed, but somebody should know."""
        self._add(Severity.WARNED, check, cause, remedy, seen, expected, source)

    def unknown(self, what: str, why: str, remedy: str, *, check: str = "not_checked") -> None:
        """``what`` could not be checked. Everything with the same reason and remedy becomes one finding."""
        self._unknown.setdefault((check, why, remedy), {})[what] = None

    def on_node_only(self, what: str) -> None:
        """``what`` cannot be seen through the API."""
        self.unknown(what, "to be seen on the node only", "oc debug node/NODE (docs/preflight)", check="host")

    def findings(self) -> list[Finding]:
        """All of it, in the order in which it was said; what could not be known comes last."""
        unknown = [
            Finding(Severity.NOT_CHECKED, self._cluster, check, f"{', '.join(whats)}: {why}", remedy)
            for (check, why, remedy), whats in self._unknown.items()
        ]
        return [*self._found, *unknown]

    def _add(
        self, severity: Severity, check: str, cause: str, remedy: str, seen: object, expected: object, source: str
    ) -> None:
        self._found.append(Finding(severity, self._cluster, check, cause, remedy, _text(seen), _text(expected), source))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, t.Iterable):
        return ", ".join(map(str, value))
    return str(value)
