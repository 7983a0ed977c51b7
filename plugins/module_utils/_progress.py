# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a user sees while a batch runs. Values in, lines of text out."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import init_monitor_seconds
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Outcome, Result, State

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

_WATCHDOG_WARNING_SECONDS = 1500
_DETAIL_WIDTH = 60

_RESULT_WORDS = {
    Result.DONE: "done",
    Result.SKIPPED: "skipped",
    Result.FAILED: "failed",
    Result.ROLLED_BACK: "rolled back by itself",
    Result.TIMED_OUT: "timed out",
    Result.UNREACHABLE: "unreachable",
    Result.REFUSED: "refused",
    Result.UNVERIFIED: "not verified",
    Result.INTERRUPTED: "interrupted",
    Result.IN_FLIGHT: "in flight",
    Result.NEVER_STARTED: "waiting",
}


def result_words(result: Result) -> str:
    """The result as it stands in a line of text."""
    return _RESULT_WORDS[result]


def clock(seconds: float) -> str:
    """``MM:SS``, or ``H:MM:SS`` from an hour on."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, seconds_left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes:02}:{seconds_left:02}"


def counts(views: t.Iterable[View], outcomes: t.Iterable[Outcome], waiting: int) -> str:
    """How many clusters are where: ``Upgrade 5: 3 before reboot, 2 away; 4 done``."""
    running: dict[str, collections.Counter[str]] = {}
    for view in views:
        running.setdefault(str(view.task or view.action or "Contact"), collections.Counter())[_label(view)] += 1
    parts = [
        f"{action} {tally.total() if hasattr(tally, 'total') else sum(tally.values())}: {_tally(tally)}"
        for action, tally in sorted(running.items(), key=lambda item: _ORDER.get(item[0], -1))
    ]
    ended = collections.Counter(result_words(outcome.result) for outcome in outcomes)
    if ended:
        parts.append(_tally(ended))
    if waiting:
        parts.append(f"{waiting} waiting")
    return "; ".join(parts)


_ORDER = {str(action): number for number, action in enumerate(Action)}


def _tally(tally: collections.Counter[str]) -> str:
    return ", ".join(f"{number} {label}" for label, number in tally.items())


def _label(view: View) -> str:
    if view.away_since is not None:
        return "away (rebooting)" if view.action and view.action.reboots else "no answer"
    if view.observed is None:
        return view.label or "connecting"
    return str(view.observed.state)


def detail(views: t.Sequence[View], now: float) -> str:
    """The one thing most worth knowing: a watchdog about to fire, the oldest outage, or what the slowest waits for."""
    if warning := _watchdog(views, now):
        return warning
    away = [view for view in views if view.away_since is not None]
    if away:
        oldest = min(away, key=lambda view: view.away_since or 0)
        return f"{oldest.name} away for {clock(now - (oldest.away_since or now))}"
    slowest = min(views, key=lambda view: view.changed, default=None)
    words = _words(slowest) if slowest else ""
    return f'slowest: {slowest.name} "{_short(words)}"' if slowest and words else ""


def _words(view: View) -> str:
    if view.note or view.observed is None:
        return view.note
    progress = view.observed.progress
    if progress.health:
        return progress.health[0]
    if progress.total is not None:
        return f"pulled {progress.pulled} of {progress.total} images, {progress.failed} failed"
    return progress.message


def _watchdog(views: t.Iterable[View], now: float) -> str:
    running = [(left, view.name) for view in views if (left := watchdog_seconds(view, now)) is not None]
    if not running or min(running)[0] > _WATCHDOG_WARNING_SECONDS:
        return ""
    left, name = min(running)
    return f"{name} watchdog rolls back in {clock(left)}" if left > 0 else f"{name} watchdog is due"


def watchdog_seconds(view: View, now: float) -> float | None:
    """Seconds until the watchdog in the new stateroot rolls this cluster back; None where it does not run.

    Counted from the start of the silence, which is earlier than the boot: the warning may come early, never late.
    """
    observed = view.observed
    if view.action is not Action.UPGRADE or observed is None:
        return None
    limit = init_monitor_seconds(observed.spec)
    if view.away_since is not None:
        return limit - (now - view.away_since)
    if observed.state is State.UPGRADE_POST_PIVOT and observed.now and observed.since:
        return limit - (observed.now - observed.since).total_seconds()
    return None


def failure_lines(outcome: Outcome) -> list[str]:
    """What a user reads the moment a cluster fails."""
    after = f" after {clock(outcome.seconds)}" if outcome.seconds is not None else ""
    head = f"         {outcome.name}  {result_words(outcome.result).upper()}{after}: {_one_line(outcome.message)}"
    return [head, f"                    → {outcome.next_step}"] if outcome.next_step else [head]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    line = _one_line(text)
    return line if len(line) <= _DETAIL_WIDTH else line[: _DETAIL_WIDTH - 1] + "…"
