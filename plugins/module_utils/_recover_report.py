# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What recover says before it does anything, and after it. Values in, lines of text out."""

from __future__ import annotations

import collections
import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock, result_words
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import Recovery, Step, Way
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, Outcome
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted

_NOTHING = "Nothing was changed."
# Every cluster looks at its own time at the store that they share.
_VALIDATED = re.compile(r" \(validated [^)]*\)")


class Plan(t.NamedTuple):
    """One cluster: what was seen, and what follows. ``problem``: why it could not be looked at."""

    seen: Observed | None
    recovery: Recovery | None
    problem: str = ""


def plan_lines(plans: t.Mapping[str, Plan], *, check: bool) -> list[str]:
    """One block per cluster; clusters of the same outage, which say the same, share one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, plan in plans.items():
        # Clusters in different states do not share a block, whatever else they have in common.
        state = f"{plan.seen.stage} {plan.seen.state}" if plan.seen else ""
        groups.setdefault((state, *(_VALIDATED.sub("", line) for line in _body(plan, check))), []).append(name)
    lines = []
    for names in groups.values():
        body = _body(plans[names[0]], check)
        lines.append(_head(names, plans))
        lines += [line.replace("{cluster}", ",".join(names)) for line in body]
    return [*lines, _NOTHING] if check else lines


def _head(names: t.Sequence[str], plans: t.Mapping[str, Plan]) -> str:
    """``site-0005   stage Idle, FinalizeFailed for 02:10``; of many the longest time."""
    seen = plans[names[0]].seen
    if seen is None:
        return f"{names_in_short(names)}   not looked at"
    ages = [age for name in names if (age := _age(plans[name].seen)) is not None]
    lasting = f" for {'up to ' if len(names) > 1 else ''}{clock(max(ages))}" if ages else ""
    count = f" ({len(names)} clusters)" if len(names) > 1 else ""
    return f"{names_in_short(names)}{count}   stage {seen.stage}, {seen.state}{lasting}"


def _age(seen: Observed | None) -> float | None:
    if seen is None or seen.since is None or seen.now is None:
        return None
    return max(0.0, (seen.now - seen.since).total_seconds())


def _body(plan: Plan, check: bool) -> t.Iterator[str]:
    found = plan.recovery
    if found is None or plan.seen is None:
        yield f"  saw       {plan.problem or 'no answer'}"
        return
    for saw in found.saw:
        yield f"  saw       {saw}"
    if found.way is not Way.RECOVER:
        yield f"  so        {found.way}"
    for number, step in enumerate(found.steps, 1):
        yield f"  {'would' if check else 'will ':<5} {number:<3} {_step(step)}"
    if found.advice:
        yield f"  →         {found.advice}"


def _step(step: Step) -> str:
    means = f" ({step.means})" if step.means else ""
    return f"{step.text}{means}: {step.why}"


def end_lines(outcomes: t.Mapping[str, Outcome]) -> list[str]:
    """What became of the batch, and what each cluster was left with that a user should know."""
    counts = collections.Counter(result_words(outcome.result) for outcome in outcomes.values())
    results = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [f"RECOVER  {counted(len(outcomes), 'cluster')}: {results}"]
    notes: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        for note in outcome.notes:
            notes.setdefault(note, []).append(name)
    lines += [f"  NOTE  {note}   {names_in_short(names)}" for note, names in notes.items()]
    return lines
