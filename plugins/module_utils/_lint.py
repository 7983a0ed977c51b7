# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the lints of manifests find, and how findings are shown. Values only; no I/O, no clock."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted


class Level(str, enum.Enum):
    """ERROR: it will fail. WARNING: it will not do what was meant, or fails later."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class LintFinding:
    """One thing that is wrong with one document. ``document`` and ``line`` count from 1; 0 is unknown.

    ``rule`` is a stable name, ``object`` says which object is meant ("Backup openshift-adp/small-app"), ``corrected``
    is the document as it should be, where that can be told. ``source`` is what the rule follows.
    """

    level: Level
    rule: str
    message: str
    remedy: str
    file: str = ""
    document: int = 0
    line: int = 0
    object: str = ""
    corrected: str | None = None
    source: str = ""

    @property
    def place(self) -> str:
        """Where to look: FILE:LINE."""
        return f"{self.file}:{self.line}" if self.line else self.file


def object_name(value: t.Any) -> str:
    """How findings call an object: kind, namespace and name, as far as it has them."""
    if not isinstance(value, t.Mapping):
        return ""
    found = value.get("metadata")
    meta = found if isinstance(found, t.Mapping) else {}
    namespace, name = str(meta.get("namespace") or ""), str(meta.get("name") or "")
    path = f"{namespace}/{name}" if namespace and name else name
    return f"{value.get('kind') or 'document'} {path}".strip()


def in_order(findings: t.Iterable[LintFinding]) -> list[LintFinding]:
    """As a reader wants them: by file, line and rule, then what is of no file. The same finding stands once."""
    return sorted(dict.fromkeys(findings), key=_order)


def _order(finding: LintFinding) -> tuple[bool, str, int, int, str, str, str]:
    level, rule = finding.level.value, finding.rule
    return not finding.file, finding.file, finding.document, finding.line, level, rule, finding.message


def lint_lines(findings: t.Sequence[LintFinding], documents: int) -> list[str]:
    """The findings for people, and a last line that sums them up."""
    lines: list[str] = []
    for finding in findings:
        about = f" {finding.object}:" if finding.object else ""
        where = f"{finding.place}: " if finding.place else ""
        lines.append(f"{where}{finding.level.value}: [{finding.rule}]{about} {finding.message}")
        lines.append(f"    → {finding.remedy}")
    errors = sum(finding.level is Level.ERROR for finding in findings)
    warnings = len(findings) - errors
    lines.append(f"{counted(documents, 'document')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    return lines
