# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which plans of a group upgrade are asked about: every short one, the neighbours of good ones, and random ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence, Set

from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import (
    MOST_ACTIONS,
    MOST_STEPS,
    PERMITTED,
    Shape,
    Step,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

Actions = tuple[str, ...]
Plan = tuple[Step, ...]

WORDS: Actions = tuple(str(action) for action in Action)
# For edits: one that the API does not know, too.
EDITS: Actions = (*WORDS, "prep")
SEED = 20260


def steps_of(most: int, words: Sequence[str] = WORDS, least: int = 1) -> list[Actions]:
    """Every step of `least` to `most` actions."""
    return [actions for count in range(least, most + 1) for actions in itertools.product(words, repeat=count)]


def short_plans() -> list[Shape]:
    """Every plan of one or two steps of one or two actions.

    With 7 actions there are 7 + 49 = 56 such steps, so 56 plans of one step and 56 * 56 = 3,136 of two: 3,192.
    """
    steps = steps_of(2)
    return [plan for count in (1, 2) for plan in itertools.product(steps, repeat=count)]


def plans_with_nothing_somewhere() -> list[Shape]:
    """No step at all, and plans of one or two steps of up to two actions of which at least one step is empty."""
    steps = steps_of(2, least=0)
    return [(), ((),), *(plan for plan in itertools.product(steps, repeat=2) if () in plan)]


# One edit away


def neighbours(plan: Shape) -> set[Shape]:
    """Every plan one edit away: of an action, or of a step."""
    return {*_action_edits(plan), *_step_edits(plan)} - {plan}


def _action_edits(plan: Shape) -> Iterator[Shape]:
    """An action inserted, taken away or replaced, in any step."""
    for index, actions in enumerate(plan):
        for at in range(len(actions) + 1):
            head, tail = actions[:at], actions[at:]
            for word in EDITS:
                yield _with(plan, index, (*head, word, *tail))
                if tail:
                    yield _with(plan, index, (*head, word, *tail[1:]))
            if tail:
                yield _with(plan, index, (*head, *tail[1:]))


def _step_edits(plan: Shape) -> Iterator[Shape]:
    """A step inserted, taken away, moved, cut in two or joined with the next one."""
    for at in range(len(plan) + 1):
        for actions in ((), *((word,) for word in EDITS)):
            yield (*plan[:at], actions, *plan[at:])
    for index, actions in enumerate(plan):
        rest = (*plan[:index], *plan[index + 1 :])
        yield rest
        yield from ((*rest[:at], actions, *rest[at:]) for at in range(len(rest) + 1))
        for at in range(len(actions) + 1):
            yield (*plan[:index], actions[:at], actions[at:], *plan[index + 1 :])
        if index + 1 < len(plan):
            yield (*plan[:index], (*actions, *plan[index + 1]), *plan[index + 2 :])


def _with(plan: Shape, index: int, actions: Actions) -> Shape:
    return (*plan[:index], actions, *plan[index + 1 :])


# Random ones


def random_plans(count: int, seed: int = SEED) -> list[Shape]:
    """So many different plans within the CRD's limits: one in two anything, one in two 2 to 4 edits from a good one."""
    rng = random.Random(seed)
    found: dict[Shape, None] = {}
    while len(found) < count:
        plan = _strayed(rng) if len(found) % 2 else _anything(rng)
        if len(plan) <= MOST_STEPS and all(len(actions) <= MOST_ACTIONS for actions in plan):
            found.setdefault(plan)
    return list(found)


def _anything(rng: random.Random) -> Shape:
    steps = rng.randint(1, MOST_STEPS)
    return tuple(tuple(rng.choices(WORDS, k=rng.randint(1, MOST_ACTIONS))) for _step in range(steps))


def _strayed(rng: random.Random) -> Shape:
    plan = rng.choice(PERMITTED)
    for _edit in range(rng.randint(2, 4)):
        plan = _edited(plan, rng)
    return plan


def _edited(plan: Shape, rng: random.Random) -> Shape:
    """One edit at random; the list of all neighbours would be long to make for each."""
    index = rng.randrange(len(plan)) if plan else 0
    if not plan or rng.random() < 0.2:
        return (*plan[:index], (rng.choice(WORDS),), *plan[index:])
    actions = list(plan[index])
    at = rng.randint(0, len(actions))
    kind = rng.choice(["insert", "delete", "replace", "split", "merge", "drop"])
    if kind == "insert":
        actions.insert(at, rng.choice(WORDS))
    elif kind == "delete":
        del actions[at : at + 1]
    elif kind == "replace":
        actions[at : at + 1] = [rng.choice(WORDS)]
    elif kind == "split":
        return (*plan[:index], tuple(actions[:at]), tuple(actions[at:]), *plan[index + 1 :])
    elif kind == "merge":
        return (*plan[:index], tuple(word for step in plan[index : index + 2] for word in step), *plan[index + 2 :])
    else:
        return (*plan[:index], *plan[index + 1 :])
    return _with(plan, index, tuple(actions))


# Appending

# Two strategies that the API tells apart are enough to say which old step a new one is.
STRATEGIES = ((1, 30), (2, 60))


def labelled(plan: Shape, shared: Set[Actions]) -> Iterator[Plan]:
    """The plan with each of two strategies in each step whose actions are shared, and the first one in the others."""
    choices = [STRATEGIES if actions in shared else STRATEGIES[:1] for actions in plan]
    for strategies in itertools.product(*choices):
        yield tuple(Step(actions, *strategy) for actions, strategy in zip(plan, strategies, strict=True))


def changes() -> list[tuple[Plan, Plan]]:
    """Every permitted plan, and what may be tried to make of it: every permitted plan, and the odd ones.

    Strategies matter only in steps that both plans have, and their names not at all: the first such step of the old
    plan has the first one.
    """
    found: dict[tuple[Plan, Plan], None] = {}
    for old, new in itertools.product(PERMITTED, PERMITTED):
        shared = set(old) & set(new)
        ways = list(labelled(old, shared))
        ways = ways[: (len(ways) + 1) // 2]
        found.update(dict.fromkeys(itertools.product(ways, labelled(new, shared))))
    for old in PERMITTED:
        plain = next(labelled(old, set()))
        found.update(dict.fromkeys((plain, odd) for odd in _odd_successors(plain)))
    return list(found)


def _odd_successors(old: Plan) -> Iterator[Plan]:
    """Longer by any step of up to two actions, shorter at either end, doubled, turned around, slower or faster."""
    yield from ((*old, Step(actions, *STRATEGIES[0])) for actions in steps_of(2, least=0))
    yield from itertools.permutations(old)
    for at, step in enumerate(old):
        yield old[:at]
        yield old[at + 1 :]
        yield (*old[:at], step, *old[at:])
        for most, timeout in ((0, 30), (2, 30), (1, 0), (1, 29), (1, 240), (1, None)):
            yield (*old[:at], Step(step.actions, most, timeout), *old[at + 1 :])
