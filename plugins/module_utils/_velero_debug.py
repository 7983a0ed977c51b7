# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Backups and Restores that failed: which, what to ask Velero about them, and what its answers say. No I/O."""

from __future__ import annotations

import enum
import re
import shlex
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

NAMESPACE = "openshift-adp"
CONTAINER = "velero"
FAILED_PHASES = ("Failed", "PartiallyFailed", "FailedValidation")
_MOST_SHOWN = 200

_NAME = re.compile(r"(?:(backup|restore)/)?([a-z0-9]([a-z0-9.-]*[a-z0-9])?)")
_LEVEL = re.compile(r"\blevel=(error|fatal|warning)\b")
_MESSAGE = re.compile(r'\bmsg="((?:[^"\\]|\\.)*)"')
_ERROR = re.compile(r'\berror="((?:[^"\\]|\\.)*)"')
_SECTION = re.compile(r"(Errors|Warnings|Validation errors):(.*)")


class What(str, enum.Enum):
    """What is asked about one object; the values are the names of files."""

    DESCRIPTION = "description.txt"
    LOG = "log"
    RESULTS = "results.json"
    CONTENTS = "contents.tar.gz"


@dataclass(frozen=True)
class Item:
    """One Backup or Restore."""

    kind: str
    name: str
    phase: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Question:
    """One thing that is asked of Velero."""

    item: Item
    what: What

    @property
    def file(self) -> str:
        """Its file in the folder."""
        return f"{self.item.kind}-{self.item.name}.{self.what.value}"

    @property
    def command(self) -> str | None:
        """How Velero's CLI is asked in its own pod; None where it has no such command."""
        kind, name, place = self.item.kind, shlex.quote(self.item.name), f"-n {NAMESPACE}"
        if self.what is What.DESCRIPTION:
            return f"./velero describe {kind} {place} {name} --details"
        if self.what is What.LOG:
            return f"./velero {kind} logs {place} {name}"
        if self.what is What.CONTENTS:
            path = shlex.quote(f"/tmp/ibu-{self.item.name}.tar.gz")  # noqa: S108
            script = (
                f"./velero backup download {place} {name} -o {path} --force >&2 && base64 {path}; "
                f"code=$?; rm -f {path}; exit $code"
            )
            return f"sh -c {shlex.quote(script)}"
        return None

    @property
    def target(self) -> str | None:
        """What a DownloadRequest calls it; None where there is no such download."""
        word = {What.LOG: "Log", What.RESULTS: "Results", What.CONTENTS: "Contents"}.get(self.what)
        return f"{self.item.kind.capitalize()}{word}" if word else None


@dataclass
class Findings:
    """What Velero's answers say, the most telling first, each thing once."""

    errors: dict[str, None]
    warnings: dict[str, None]

    @classmethod
    def none(cls) -> Findings:
        """Nothing yet."""
        return cls({}, {})

    def add(self, item: Item, level: str, text: str) -> None:
        """One thing that was found."""
        place = self.warnings if level.startswith("warning") else self.errors
        if text := " ".join(text.split()):
            place[f"{item}: {text}"] = None


def parse_names(option: str, names: t.Iterable[str]) -> list[tuple[str | None, str]]:
    """``backup/NAME``, ``restore/NAME`` or ``NAME`` for both kinds. Raises InvalidOption."""
    found: list[tuple[str | None, str]] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if not match:
            raise InvalidOption(option, name, "give backup/NAME, restore/NAME, or NAME for both")
        found.append((match[1], match[2]))
    return found


def choose(
    backups: t.Iterable[t.Mapping[str, t.Any]],
    restores: t.Iterable[t.Mapping[str, t.Any]],
    names: t.Sequence[tuple[str | None, str]],
) -> tuple[list[Item], list[str]]:
    """The named objects, or without names those that failed; and the names that nothing has."""
    items = [_item("backup", one) for one in backups] + [_item("restore", one) for one in restores]
    if not names:
        return [item for item in items if item.phase in FAILED_PHASES], []
    chosen = [item for item in items if any(kind in (None, item.kind) and name == item.name for kind, name in names)]
    missing = [
        f"{kind}/{name}" if kind else name
        for kind, name in names
        if not any(kind in (None, item.kind) and name == item.name for item in items)
    ]
    return chosen, missing


def _item(kind: str, document: t.Mapping[str, t.Any]) -> Item:
    return Item(kind, str(document["metadata"]["name"]), str((document.get("status") or {}).get("phase") or "New"))


def questions(item: Item, *, contents: bool) -> list[Question]:
    """All that is asked about an object."""
    wanted = [What.DESCRIPTION, What.LOG, What.RESULTS]
    if contents and item.kind == "backup":
        wanted.append(What.CONTENTS)
    return [Question(item, what) for what in wanted]


def running_pod(pods: t.Iterable[t.Mapping[str, t.Any]]) -> str | None:
    """The pod that has Velero's CLI."""
    for pod in pods:
        containers = [one.get("name") for one in (pod.get("spec") or {}).get("containers") or ()]
        if CONTAINER in containers and (pod.get("status") or {}).get("phase") == "Running":
            return str(pod["metadata"]["name"])
    return None


# --- what the answers say -----------------------------------------------------------------------------------------


def read_object(item: Item, document: t.Mapping[str, t.Any], findings: Findings) -> None:
    """The object's own status."""
    status = document.get("status") or {}
    if status.get("failureReason"):
        findings.add(item, "error", str(status["failureReason"]))
    for error in status.get("validationErrors") or ():
        findings.add(item, "error", f"validation: {error}")
    for level in ("errors", "warnings"):
        if status.get(level):
            findings.add(item, level, f"{status[level]} {level} in its status")


def read_log(item: Item, text: str, findings: Findings) -> None:
    """Velero's log of this object, line by line."""
    for line in text.splitlines():
        if level := _LEVEL.search(line):
            message, error = _MESSAGE.search(line), _ERROR.search(line)
            words = [match[1] for match in (message, error) if match]
            findings.add(item, level[1], ": ".join(words).replace('\\"', '"') or line)


def read_results(item: Item, document: t.Any, findings: Findings) -> None:
    """Velero's own list of errors and warnings, by where they belong."""
    for level in ("errors", "warnings"):
        for place, found in ((document.get(level) if isinstance(document, dict) else None) or {}).items():
            for where, texts in found.items() if isinstance(found, dict) else ((place, found),):
                for text in texts or ():
                    findings.add(item, level, f"{where}: {text}")


def read_description(item: Item, text: str, findings: Findings) -> None:
    """The sections of a description that list what went wrong: they are indented below their title."""
    level = ""
    for line in text.splitlines():
        if section := _SECTION.fullmatch(line.strip()) if not line.startswith(" ") else None:
            level = "warning" if section[1] == "Warnings" else "error"
            if section[2].strip() not in ("", "<none>", "0"):
                findings.add(item, level, section[2])
        elif level and line.startswith(" ") and line.strip() != "<none>":
            if not line.rstrip().endswith(":") and "<none>" not in line:
                findings.add(item, level, line)
        elif line.strip():
            level = ""


def summary(
    cluster: str,
    items: t.Sequence[Item],
    findings: Findings,
    locations: t.Iterable[t.Mapping[str, t.Any]],
    problems: t.Sequence[str],
    files: t.Iterable[str],
) -> str:
    """What a person reads first: errors, then warnings, then the rest."""
    lines = [f"{cluster}: {', '.join(f'{item} {item.phase}' for item in items)}"]
    for title, found in (("errors", findings.errors), ("warnings", findings.warnings)):
        lines += ["", f"{title} ({len(found)}):", *(f"  {text}" for text in list(found)[:_MOST_SHOWN])]
        if len(found) > _MOST_SHOWN:
            lines.append(f"  ... and {len(found) - _MOST_SHOWN} more, in the logs")
    lines += ["", "backup locations:"]
    for location in locations:
        status = location.get("status") or {}
        told = f": {status['message']}" if status.get("message") else ""
        lines.append(f"  {location['metadata']['name']}  {status.get('phase') or 'New'}{told}")
    if problems:
        lines += ["", "could not be had:", *(f"  {problem}" for problem in problems)]
    return "\n".join([*lines, "", "files:", *(f"  {name}" for name in files), ""])
