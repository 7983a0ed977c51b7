# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The tables at the end: rollout, status. Values in, lines of text out."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock, result_words
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Outcome, Result

_NAMES_SHOWN = 12
_DETAIL_WIDTH = 80

# What a cluster is called that has completed these actions, the latest first.
_ACHIEVED = {
    Action.ABORT: "aborted",
    Action.ABORT_ON_FAILURE: "aborted",
    Action.FINALIZE_UPGRADE: "finalized",
    Action.FINALIZE_ROLLBACK: "rollback finalized",
    Action.ROLLBACK: "rolled back",
    Action.UPGRADE: "upgraded",
    Action.PREP: "prepared",
}

_NEXT_OF_ACHIEVED = {
    "prepared": "ansible-playbook sno.image_upgrade.upgrade",
    "upgraded": "ansible-playbook sno.image_upgrade.finalize, or sno.image_upgrade.rollback",
    "rolled back": "ansible-playbook sno.image_upgrade.rollback -e rollback_finalize=true",
}


def names_in_short(names: t.Sequence[str]) -> str:
    """The names, or the first of them and how many more there are."""
    shown = " ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


# --- check mode ---------------------------------------------------------------------------------------------------


def preview_lines(outcomes: t.Mapping[str, Outcome]) -> list[str]:
    """What a batch would do, one entry per intention."""
    groups: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        words = " ".join(outcome.message.split()) or "nothing to do"
        step = f" → {outcome.next_step.replace(name, '{cluster}')}" if outcome.result.is_failure else ""
        groups.setdefault(f"{words}{step}", []).append(name)
    return [
        f"  CHECK {len(names):>4}  {words.replace('{cluster}', names[0])}   {names_in_short(names)}"
        for words, names in groups.items()
    ]


# --- rollout ------------------------------------------------------------------------------------------------------


def achieved(outcome: Outcome) -> str:
    """One word for where a rollout has brought a cluster."""
    if outcome.result is Result.SKIPPED:
        return "skipped"
    if outcome.result is not Result.DONE:
        return "never started" if outcome.result is Result.NEVER_STARTED else result_words(outcome.result)
    return next((word for action, word in _ACHIEVED.items() if action in outcome.completed), "done")


def recap_lines(
    outcomes: t.Mapping[str, Outcome],
    *,
    outcome_file: str,
    remaining_file: str | None,
    stopped: str | None,
    seconds: float | None,
) -> list[str]:
    """The end of a rollout: what became of every cluster, how long it took, and what to run next.

    ``stopped`` says why the rollout ends before its last cluster, None where it does not.
    """
    how = "stopped" if stopped else "finished"
    took = f" {'after' if stopped else 'in'} {clock(seconds)}" if seconds is not None else ""
    lines = [f"ROLLOUT {_versions(outcomes.values())}   {how}{took}   outcome: {outcome_file}"]
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes.values():
        groups.setdefault(achieved(outcome), []).append(outcome)
    for word, members in sorted(groups.items(), key=lambda item: _GROUP_ORDER.get(item[1][0].result, 5)):
        lines.extend(_group_lines(word, members, stopped))
    if remaining_file:
        lines.append(f"  to go on with the rest: run the same command with --limit @{remaining_file}")
    if deadline := _oldest_deadline(outcomes.values()):
        lines.append(f"  oldest rollback deadline: {deadline}")
    return lines


_GROUP_ORDER = {Result.DONE: 0, Result.SKIPPED: 1, Result.NEVER_STARTED: 9, Result.IN_FLIGHT: 8, Result.INTERRUPTED: 8}


def _versions(outcomes: t.Iterable[Outcome]) -> str:
    pairs = {(o.version_before, o.version_after) for o in outcomes if o.version_before and Result.DONE is o.result}
    before = sorted({str(b) for b, _a in pairs})
    after = sorted({str(a) for _b, a in pairs})
    if not before:
        return ""
    return f"{', '.join(before)} → {', '.join(after)}" if before != after else ", ".join(before)


def _group_lines(word: str, members: t.Sequence[Outcome], stopped: str | None) -> list[str]:
    head = f"  {word:<21}{len(members):>4}   "
    if members[0].result in (Result.DONE, Result.SKIPPED):
        step = _NEXT_OF_ACHIEVED.get(word)
        lines = [f"{head}{_timings(members)}".rstrip()]
        return [*lines, f"{' ' * 29}→ {step}"] if step else lines
    if members[0].result is Result.NEVER_STARTED:
        why = f" ({stopped})" if stopped else ""
        return [f"{head}{names_in_short([m.name for m in members])}{why}"]
    return [head.rstrip(), *(line for member in members for line in _failure_lines(member))]


def _failure_lines(outcome: Outcome) -> list[str]:
    where = f"{outcome.stage or outcome.action}: " if outcome.stage or outcome.action else ""
    lines = [f"    {outcome.name}  {where}{' '.join(outcome.message.split())}"]
    return [*lines, f"      → {outcome.next_step}"] if outcome.next_step else lines


def _timings(members: t.Sequence[Outcome]) -> str:
    """Median, 95th percentile and maximum of every action's duration; of a single cluster there is only one."""
    shares = (0.5, 0.95, 1.0) if len(members) > 1 else (1.0,)
    parts = []
    for action in Action:
        values = sorted(m.durations[action] for m in members if action in m.durations)
        if values:
            parts.append(f"{action} {' / '.join(clock(_percentile(values, share)) for share in shares)}")
    legend = ["(p50 / p95 / max)"] if parts and len(members) > 1 else []
    return "   ".join([*parts, *legend])


def _percentile(values: t.Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _oldest_deadline(outcomes: t.Iterable[Outcome]) -> str | None:
    open_ones = [
        (outcome.rollback_until, outcome.name)
        for outcome in outcomes
        if outcome.rollback_until and Action.FINALIZE_UPGRADE not in outcome.completed
    ]
    if not open_ones:
        return None
    until, name = min(open_ones)
    return f"{name} until {datetime.datetime.fromisoformat(until):%Y-%m-%d %H:%M}Z"


# --- status -------------------------------------------------------------------------------------------------------

_STATUS_HEAD = ("CLUSTER", "RUNS", "STAGE", "STATE", "SINCE", "NEXT", "DETAIL")


def status_lines(rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """One line per cluster from the rows of ibu_fleet_info."""
    table = [
        _STATUS_HEAD,
        *(
            (
                row["cluster"],
                row["version"] or "-",
                row["stage"] or "-",
                row["state"],
                clock(row["since_seconds"]) if row["since_seconds"] is not None else "-",
                ", ".join(row["valid_next_stages"]) or "-",
                _shortened(" ".join(row["detail"].split())),
            )
            for row in rows
        ),
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(_STATUS_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]


def _shortened(text: str) -> str:
    """What fits into a table; one that is cut shows it."""
    return text if len(text) <= _DETAIL_WIDTH else f"{text[: _DETAIL_WIDTH - 1].rstrip()}…"
