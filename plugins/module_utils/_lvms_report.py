# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a user reads about the volumes of LVM Storage. Values in, rows and lines of text out."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms import Cause, Diagnosis, Rollback
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import key_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted

RUNBOOK = "docs/runbooks/lvms-contents"
_NO_ANSWER = "no answer"
_INDENT = " " * 13

_TITLES = {
    Cause.BACKUP: "the Backup lacks resources",
    Cause.RESTORE: "the Restore lacks restorePVs or restoreStatus",
    Cause.BOTH: "Backup and Restore lack resources",
    Cause.UNKNOWN: "no Backup or Restore on the cluster says why",
}
_ORDER = {word: number for number, word in enumerate(("MISSING", "AT RISK", "NO ANSWER", "POLICY"))}


def row_of(observed: Observed, diagnosis: Diagnosis) -> dict[str, t.Any]:
    """What the plugin returns of one cluster, before anything is set back."""
    rollback, policies = diagnosis.rollback, diagnosis.policies
    return {
        "state": str(observed.state),
        "cause": str(diagnosis.cause),
        "missing": [{"claim": one.claim, "volume": one.volume, "sign": one.sign} for one in diagnosis.missing],
        "corrections": [
            {
                "kind": fault.kind,
                "namespace": fault.namespace,
                "name": fault.name,
                "lacks": list(fault.lacks),
                "snippet": fault.snippet,
                "note": fault.note,
            }
            for fault in diagnosis.faults
        ],
        "configmaps": [f"{one.get('namespace')}/{one.get('name')}" for one in observed.spec.get("oadpContent") or ()],
        "rollback": {
            "possible": rollback.possible,
            "until": rollback.until.isoformat().replace("+00:00", "Z") if rollback.until else None,
            "why": rollback.why,
        },
        "reclaim_policies": {
            "left": [key_of(volume)[1] for volume in policies.back],
            "set_back": [],
            "kept": dict(policies.kept),
            "in_use": list(policies.in_use),
        },
        "message": message_of(diagnosis),
        "next_step": next_step_of(diagnosis),
    }


def row_of_silent(why: str, step: str) -> dict[str, t.Any]:
    """The same keys for a cluster that does not answer."""
    return {
        "state": _NO_ANSWER,
        "cause": str(Cause.NONE),
        "missing": [],
        "corrections": [],
        "configmaps": [],
        "rollback": {"possible": None, "until": None, "why": ""},
        "reclaim_policies": {"left": [], "set_back": [], "kept": {}, "in_use": []},
        "message": why,
        "next_step": step,
    }


def is_failure(row: t.Mapping[str, t.Any]) -> bool:
    """True for a cluster whose contents are missing, or of which nothing is known."""
    return bool(row["missing"]) or row["state"] == _NO_ANSWER


def message_of(diagnosis: Diagnosis) -> str:
    """One sentence."""
    lacks = "; ".join(f"{fault.kind} {fault.name} lacks {', '.join(fault.lacks)}" for fault in diagnosis.faults)
    if diagnosis.missing:
        claims = ", ".join(one.claim for one in diagnosis.missing)
        return f"the contents of {claims} were not restored: {lacks or _TITLES[Cause.UNKNOWN]}"
    return f"nothing is missing, but {lacks}: the next upgrade would lose the contents" if lacks else ""


def next_step_of(diagnosis: Diagnosis) -> str:
    """What to do; may contain ``{cluster}``."""
    if not diagnosis.missing:
        return "correct what is named before the next upgrade" if diagnosis.faults else ""
    correct = "correct what is named, then upgrade again" if diagnosis.faults else "then find the cause"
    if diagnosis.rollback.possible:
        command = "ansible-playbook sno.image_upgrade.rollback -l {cluster}"
        return f"leave claims and volumes alone; {command}{_until(diagnosis.rollback)}; {correct} ({RUNBOOK})"
    return f"no rollback brings them back: {diagnosis.rollback.why} ({RUNBOOK})"


def _until(rollback: Rollback) -> str:
    return f" before {_minute(rollback.until)}" if rollback.until else ""


def _minute(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"


# --- lines --------------------------------------------------------------------------------------------------------


def lines_of(rows: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """All clusters, one entry per cause."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, row in rows.items():
        for word, title, details in _entries(row):
            groups.setdefault((word, title, details), []).append(name)
    tally = {word: sum(len(names) for key, names in groups.items() if key[0] == word) for word in _ORDER}
    counts = [f"{number} {word.lower()}" for word, number in tally.items() if number and word != "POLICY"]
    counts = counts if tally["MISSING"] else ["nothing missing", *counts]
    lines = [f"LVMS  {counted(len(rows), 'cluster')}   {'   '.join(counts)}"]
    for (word, title, details), names in sorted(groups.items(), key=lambda item: (_ORDER[item[0][0]], -len(item[1]))):
        lines += ["", f"{word:<9} {len(names):>2} {title}", f"{_INDENT}{names_in_short(names)}"]
        for name in names if word == "MISSING" else ():
            lines += [f"{_INDENT}{name}: {text}" for text in _own_lines(rows[name])]
        lines += [f"{_INDENT}{line}" for line in details.splitlines()]
    return lines


def _entries(row: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str, str]]:
    """The groups that a cluster belongs to: a word, a title, and the lines that all of the group share."""
    if row["state"] == _NO_ANSWER:
        yield "NO ANSWER", row["message"], f"→ {row['next_step']}"
    elif row["missing"] or row["corrections"]:
        cause = Cause(row["cause"])
        title = _lacking(row) or _TITLES[cause]
        yield "MISSING" if row["missing"] else "AT RISK", title, "\n".join(_corrections(row))
    if names := [*row["reclaim_policies"]["left"], *row["reclaim_policies"]["set_back"]]:
        done = "were set back" if row["reclaim_policies"]["set_back"] else "→ -e recover_lvms_restore_policies=true"
        yield "POLICY", "reclaim policies are Retain for an upgrade that is over", f"{', '.join(names)}: {done}"
    if kept := row["reclaim_policies"]["kept"]:
        lines = [f"{name}: {why}; policy Delete could remove what is left of it" for name, why in kept.items()]
        yield "POLICY", "reclaim policies stay Retain", "\n".join(lines)


def _lacking(row: t.Mapping[str, t.Any]) -> str:
    return "; ".join(f"{one['kind']} {one['name']} lacks {', '.join(one['lacks'])}" for one in row["corrections"])


def _corrections(row: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    where = f" ({', '.join(row['configmaps'])})" if row["configmaps"] else ""
    for one in row["corrections"]:
        yield f"in the ConfigMap of oadpContent that has {one['kind']} {one['name']}{where}:"
        yield from (f"  {line}" for line in one["snippet"].splitlines())
        if one["note"]:
            yield f"  {one['note']}"


def _own_lines(row: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for one in row["missing"]:
        yield f"{one['claim']}: {one['sign']}"
    yield f"→ {row['next_step']}"
