# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a user sees of the generation of a seed image, and what the task returns. Values in, lines and values out."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_tools import Report

_HEADS = {
    Severity.BLOCKED: "REFUSED",
    Severity.WARNED: "WARNED",
    Severity.NO_ANSWER: "NO ANSWER",
    Severity.NOT_CHECKED: "NOT CHECKED",
}
_WIDTH = max(map(len, _HEADS.values()))


def finding_lines(name: str, findings: t.Iterable[Finding]) -> list[str]:
    """Every finding with its remedy."""
    return [line for one in findings for line in _finding(name, one)]


def end_lines(name: str, report: Report, *, check: bool) -> list[str]:
    """How it ended: in check mode what would be done; what to know from now on."""
    if report.result.is_failure:
        return []
    if check and report.steps:
        steps = [f"  would {number}  {step}" for number, step in enumerate(report.steps, 1)]
        return [f"{name}  {report.message}:", *steps]
    warnings = [f"{'WARNING':<{_WIDTH}}  {name}: {words}" for words in report.warnings]
    return [f"{'DONE':<{_WIDTH}}  {name}: {report.message}", *warnings]


def _finding(name: str, finding: Finding) -> t.Iterator[str]:
    yield f"{_HEADS[finding.severity]:<{_WIDTH}}  {name}: {finding.cause}"
    details = []
    if finding.seen:
        details.append(f"seen: {finding.seen}")
    if finding.expected:
        details.append(f"expected: {finding.expected}")
    if details:
        yield f"{'':<{_WIDTH}}    {'; '.join(details)}"
    if finding.remedy:
        yield f"{'':<{_WIDTH}}    → {finding.remedy}"


def plain_report(report: Report) -> dict[str, t.Any]:
    """The report as the task returns it; no secret is in it."""
    return {
        "changed": report.changed,
        "result": str(report.result),
        "message": report.message,
        "next_step": report.next_step,
        "phase": report.phase,
        "version": report.version,
        "digest": report.digest,
        "steps": list(report.steps),
        "findings": [_plain(one) for one in report.findings],
        "record": report.record,
        "log": report.log,
        "pull_secret_copy": report.pull_secret_copy,
        "warnings_of_use": list(report.warnings),
        "seconds": report.seconds,
        "away_seconds": report.away_seconds,
    }


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "severity": finding.severity.value,
        "check": finding.check,
        "cause": finding.cause,
        "seen": finding.seen,
        "expected": finding.expected,
        "source": finding.source,
        "remedy": finding.remedy,
    }
