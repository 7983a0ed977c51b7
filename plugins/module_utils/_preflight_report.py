# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What preflight says: a table by cause for people, one document for machines. Values in, text and data out."""

from __future__ import annotations

import collections
import dataclasses
import re
import textwrap
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity

API_VERSION = "sno.image_upgrade/v1"
KIND = "PreflightReport"

_WIDTH = 100
_WORDS = {
    Severity.BLOCKED: "BLOCKED",
    Severity.WARNED: "WARNED",
    Severity.NO_ANSWER: "NO ANSWER",
    Severity.NOT_CHECKED: "NOT CHECKED",
}
_COUNTED = {Severity.BLOCKED: "blocked", Severity.WARNED: "warned", Severity.NO_ANSWER: "no answer"}
_WORD_WIDTH = max(len(_WORDS[severity]) for severity in _COUNTED)
_NAME_LINES = 4
_NAMES_IN_COMMAND = 12
_VALUES = 3
# Where the way out begins if it has room on the line of the names.
_ARROW_COLUMN = 67


@dataclass(frozen=True)
class Group:
    """Everything that clusters with one cause and one remedy share. ``{cluster}`` stands for the name of each."""

    severity: Severity
    check: str
    cause: str
    remedy: str
    findings: tuple[Finding, ...]

    @property
    def names(self) -> list[str]:
        """The clusters, each once, in the order of the fleet."""
        return list(dict.fromkeys(finding.cluster for finding in self.findings))


def groups_of(findings: t.Iterable[Finding]) -> list[Group]:
    """The findings by cause: the worst first, and of those the most frequent."""
    found: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in findings:
        remedy = finding.remedy.replace(finding.cluster, "{cluster}")
        found.setdefault((finding.severity, finding.cause, remedy), []).append(finding)
    order = list(Severity)
    groups = [
        Group(severity, members[0].check, cause, remedy, tuple(members))
        for (severity, cause, remedy), members in found.items()
    ]
    return sorted(groups, key=lambda group: (order.index(group.severity), -len(group.names)))


# --- for people ---------------------------------------------------------------------------------------------------


def preflight_lines(
    fleet: t.Sequence[str], findings: t.Sequence[Finding], target: str, seconds: float, report: str | None = None
) -> list[str]:
    """The findings of a whole fleet, one entry per cause. ``report`` names the file that holds all of it."""
    groups = groups_of(findings)
    width = max([len(str(len(group.names))) for group in groups if group.severity in _COUNTED], default=1)
    indent = _WORD_WIDTH + 1 + width + 2
    lines = [_headline(fleet, findings, target, seconds)]
    for group in groups:
        if group.severity is Severity.NOT_CHECKED:
            continue
        lines += ["", *_group_lines(group, width, " " * indent, report)]
    unknown = [group for group in groups if group.severity is Severity.NOT_CHECKED]
    for group in unknown:
        lines += ["", *_unknown_lines(group, " " * indent, len(fleet))]
    return lines


def _headline(fleet: t.Sequence[str], findings: t.Sequence[Finding], target: str, seconds: float) -> str:
    unusable = {finding.cluster for finding in findings if finding.severity.excludes}
    parts = [f"{len(set(fleet) - unusable)} ready"]
    for severity, word in _COUNTED.items():
        if count := len({finding.cluster for finding in findings if finding.severity is severity}):
            parts.append(f"{count} {word}")
    goal = f" → {target}" if target else ""
    clusters = "cluster" if len(fleet) == 1 else "clusters"
    return f"PREFLIGHT  {len(fleet)} {clusters}{goal}   {'   '.join(parts)}   ({seconds:.0f} s)"


def _group_lines(group: Group, width: int, indent: str, report: str | None) -> list[str]:
    names = group.names
    head = f"{_WORDS[group.severity]:<{_WORD_WIDTH}} {len(names):<{width}}  "
    way_out = group.remedy.replace("{cluster}", ",".join(names) if len(names) <= _NAMES_IN_COMMAND else "GROUP")
    seen = _seen(group)
    if group.severity is Severity.NO_ANSWER and len(names) == 1:
        # One line is enough: who, and its own words.
        words = f"{names[0]}: {group.findings[0].seen or group.cause}"
        return [*_wrapped(head, words, indent), *_wrapped(f"{indent}→ ", way_out, f"{indent}  ")]
    lines = _wrapped(head, group.cause, indent)
    if seen:
        lines += _wrapped(f"{indent}seen: ", seen, f"{indent}      ")
    shown = _name_lines(names, indent, report)
    last = f"{shown[-1]:<{_ARROW_COLUMN - 1}}  → {way_out}"
    if len(shown) == 1 and len(shown[0]) < _ARROW_COLUMN and len(last) <= _WIDTH:
        return [*lines, last]
    return [*lines, *shown, *_wrapped(f"{indent}→ ", way_out, f"{indent}  ")]


def _unknown_lines(group: Group, indent: str, fleet: int) -> list[str]:
    """One reason for not knowing; whom it concerns is said only where that is not the whole fleet."""
    names = group.names
    whom = "" if len(names) == fleet else f" ({len(names)} of {fleet} clusters)"
    lines = _wrapped(f"{_WORDS[group.severity]}  ", f"{group.cause}{whom}", indent)
    return [*lines, *_wrapped(f"{indent}→ ", group.remedy, f"{indent}  ")]


def _seen(group: Group) -> str:
    """What was seen and what was expected, where the cause does not say so itself."""
    counted = collections.Counter(finding.seen for finding in group.findings if finding.seen)
    values = [value for value, _count in counted.most_common(_VALUES)]
    if not values or (len(counted) == 1 and _says(group.cause, values[0])):
        return ""
    text = "; ".join(f"{value} ({counted[value]})" if len(counted) > 1 else value for value in values)
    more = len(counted) - len(values)
    text += f"; and {more} other values" if more > 0 else ""
    expected = {finding.expected for finding in group.findings if finding.expected}
    return f"{text}, expected {expected.pop()}" if len(expected) == 1 else text


def _says(text: str, value: str) -> bool:
    """Whether the value stands in the text as words of its own: no "no" in "not", no 3 in 13 or 4.17.3."""
    return re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\w)", text) is not None


def _name_lines(names: t.Sequence[str], indent: str, report: str | None) -> list[str]:
    """The names, at most four lines of them, and how many more there are."""
    lines = textwrap.wrap(" ".join(names), _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    if len(lines) > _NAME_LINES:
        shown = " ".join(lines[: _NAME_LINES - 1])
        more = len(names) - len(shown.split())
        where = f" (all of them in {report})" if report else ""
        lines = [*lines[: _NAME_LINES - 1], f"and {more} more of {len(names)}{where}"]
    return [f"{indent}{line}" for line in lines]


def _wrapped(first: str, text: str, indent: str) -> list[str]:
    plain = " ".join(text.split())
    return textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


# --- for machines -------------------------------------------------------------------------------------------------


def plain_findings(findings: t.Iterable[Finding]) -> list[dict[str, str]]:
    """Every problem of every cluster. What could not be checked is not among them."""
    return [
        dataclasses.asdict(finding) | {"severity": finding.severity.value}
        for finding in findings
        if finding.severity is not Severity.NOT_CHECKED
    ]


def plain_unknown(findings: t.Iterable[Finding]) -> list[dict[str, t.Any]]:
    """What could not be checked, once per reason, with the clusters that it concerns."""
    return [
        {"check": group.check, "cause": group.cause, "remedy": group.remedy, "clusters": group.names}
        for group in groups_of(finding for finding in findings if finding.severity is Severity.NOT_CHECKED)
    ]


def report_document(fleet: t.Sequence[str], findings: t.Sequence[Finding], target: str) -> dict[str, t.Any]:
    """The report file."""
    unusable = {finding.cluster for finding in findings if finding.severity.excludes}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "target": target,
        "clusters": list(fleet),
        "ready": [name for name in fleet if name not in unusable],
        "findings": plain_findings(findings),
        "not_checked": plain_unknown(findings),
    }
