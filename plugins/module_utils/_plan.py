# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The plan of a group upgrade: steps of actions, which of them the API accepts, and how long a step needs. Pure."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted

# The actions of each step; what the API's rule for combinations compares.
Shape = tuple[tuple[str, ...], ...]

MOST_STEPS = 6
MOST_ACTIONS = 4
# Minutes that the API takes where a step names none, or 0.
DEFAULT_TIMEOUT = 240

_PREP, _UPGRADE, _FINALIZE = ("Prep",), ("Upgrade",), ("FinalizeUpgrade",)
_BOTH, _ON_FAILURE = ("Prep", "Upgrade"), ("AbortOnFailure",)

# Exactly the combinations that the API of ImageBasedGroupUpgrade permits. Every plan that grows by steps passes through
# shorter ones, which are therefore listed too.
PERMITTED: tuple[Shape, ...] = (
    (_PREP,),
    (_PREP, _UPGRADE),
    (_BOTH,),
    (_PREP, _UPGRADE, _FINALIZE),
    (_PREP, ("Upgrade", "FinalizeUpgrade")),
    (_BOTH, _FINALIZE),
    (("Prep", "Upgrade", "FinalizeUpgrade"),),
    (_PREP, ("Abort",)),
    (_PREP, _ON_FAILURE),
    (_PREP, _ON_FAILURE, _UPGRADE),
    (_PREP, _ON_FAILURE, _UPGRADE, _ON_FAILURE),
    (_PREP, _ON_FAILURE, _UPGRADE, _ON_FAILURE, _FINALIZE),
    (_PREP, _UPGRADE, _ON_FAILURE),
    (_PREP, _UPGRADE, _ON_FAILURE, _FINALIZE),
    (_BOTH, _ON_FAILURE),
    (_BOTH, _ON_FAILURE, _FINALIZE),
    (_UPGRADE,),
    (_UPGRADE, _FINALIZE),
    (("Upgrade", "FinalizeUpgrade"),),
    (_FINALIZE,),
    (("Rollback",),),
    (("Rollback",), ("FinalizeRollback",)),
    (("Rollback", "FinalizeRollback"),),
    (("FinalizeRollback",),),
    (("Abort",),),
    (_ON_FAILURE,),
)
_PERMITTED = frozenset(PERMITTED)
# So many of the nearest plans are named.
_MOST_NAMED = 3


@dataclass(frozen=True)
class Step:
    """One step of a plan. ``timeout`` is in minutes, for all its batches and actions together; None: the API's 240."""

    actions: tuple[str, ...]
    max_concurrency: int
    timeout: int | None = None

    @property
    def minutes(self) -> int:
        """The minutes that TALM gives the step."""
        return self.timeout or DEFAULT_TIMEOUT

    def as_spec(self) -> dict[str, t.Any]:
        """The step in the API's own spelling."""
        strategy: dict[str, t.Any] = {"maxConcurrency": self.max_concurrency}
        if self.timeout is not None:
            strategy["timeout"] = self.timeout
        return {"actions": list(self.actions), "rolloutStrategy": strategy}

    @classmethod
    def of(cls, spec: t.Mapping[str, t.Any]) -> Step:
        """From the API's spelling, as the cluster holds it."""
        strategy = spec.get("rolloutStrategy") or {}
        return cls(tuple(spec.get("actions") or ()), int(strategy.get("maxConcurrency", 0)), strategy.get("timeout"))

    def equals(self, other: Step) -> bool:
        """True where the API, which fills in the default, would see no difference."""
        mine = (self.actions, self.max_concurrency, self._filled)
        return mine == (other.actions, other.max_concurrency, other._filled)

    @property
    def _filled(self) -> int:
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


def shape_of(steps: t.Iterable[Step]) -> Shape:
    """What the API's rule for combinations looks at."""
    return tuple(step.actions for step in steps)


def is_permitted(shape: Shape) -> bool:
    """True for exactly the combinations that the API accepts."""
    return shape in _PERMITTED


def text_of(shape: Shape) -> str:
    """``[Prep,Upgrade] [FinalizeUpgrade]``."""
    return " ".join(f"[{','.join(actions)}]" for actions in shape)


def nearest(shape: Shape) -> tuple[Shape, ...]:
    """The permitted combinations that take the fewest changes to reach, all of them where nothing tells them apart.

    Of those that are equally near these keep the most actions in their order, and begin with the same one if any do.
    """
    actions = _actions(shape)

    def cost(known: Shape) -> tuple[int, int, bool]:
        return _distance(shape, known), -_kept(actions, _actions(known)), _actions(known)[:1] != actions[:1]

    costs = {known: cost(known) for known in PERMITTED}
    least = min(costs.values())
    return tuple(known for known in PERMITTED if costs[known] == least)


def _actions(shape: Shape) -> tuple[str, ...]:
    return tuple(action for actions in shape for action in actions)


def _kept(one: t.Sequence[str], other: t.Sequence[str]) -> int:
    """The length of their longest common subsequence."""
    row = [0] * (len(other) + 1)
    for mine in one:
        before = 0
        for column, theirs in enumerate(other, 1):
            before, row[column] = row[column], before + 1 if mine == theirs else max(row[column], row[column - 1])
    return row[-1]


def _distance(one: Shape, other: Shape) -> int:
    """Edits of single actions and of borders between steps that lead from one to the other (Levenshtein)."""
    left, right = _tokens(one), _tokens(other)
    row = list(range(len(right) + 1))
    for index, token in enumerate(left, 1):
        before, row[0] = row[0], index
        for column, candidate in enumerate(right, 1):
            cost = min(row[column] + 1, row[column - 1] + 1, before + (token != candidate))
            before, row[column] = row[column], cost
    return row[-1]


def _tokens(shape: Shape) -> list[str]:
    return [token for actions in shape for token in (*actions, "|")]


def first_bad_step(shape: Shape) -> int:
    """Index of the step at which a combination that is not permitted leaves every permitted one."""
    for count in range(1, len(shape) + 1):
        if not any(known[:count] == shape[:count] for known in PERMITTED):
            return count - 1
    # Each beginning is one of a permitted plan, the whole is not: it ends too early.
    return len(shape) - 1


def check_shape(shape: Shape, option: str = "plan") -> None:
    """Raise InvalidOption, naming the step, for what the API would refuse."""
    if not shape:
        raise InvalidOption(option, [], "give at least one step, such as {actions: [Prep], rolloutStrategy: ...}")
    if len(shape) > MOST_STEPS:
        raise InvalidOption(option, f"{len(shape)} steps", f"the API accepts at most {MOST_STEPS} steps")
    for number, actions in enumerate(shape, 1):
        if len(actions) > MOST_ACTIONS:
            raise InvalidOption(f"{option} step {number}", list(actions), f"a step has at most {MOST_ACTIONS} actions")
        for action in actions:
            if action not in set(Action):
                raise InvalidOption(f"{option} step {number}", action, f"an action is one of {', '.join(Action)}")
    if not is_permitted(shape):
        raise InvalidOption(option, text_of(shape), _why_not(shape))


def _why_not(shape: Shape) -> str:
    index = first_bad_step(shape)
    step = f"step {index + 1} ({text_of(shape[index : index + 1])})"
    where = f"cannot follow step {index} ({text_of(shape[index - 1 : index])})" if index else "cannot begin a plan"
    near = nearest(shape)
    named = " or ".join(map(text_of, near[:_MOST_NAMED])) + (", and others" if len(near) > _MOST_NAMED else "")
    return f"{step} {where}: the API accepts {len(PERMITTED)} plans; nearest: {named}"


def check_append(old: t.Sequence[Step], new: t.Sequence[Step], option: str = "plan") -> None:
    """Raise InvalidOption, naming the step, unless ``new`` is ``old`` with nothing or with more steps behind it.

    The API asks less, only that each old step is still somewhere in the plan: a step put before or between the old
    ones, another order, or one of two equal steps gone passes there. TALM, which counts its steps by position, would
    then take a step that ran for another one.
    """
    for number, before in enumerate(old, 1):
        now = new[number - 1] if number <= len(new) else None
        if now is None or not now.equals(before):
            raise InvalidOption(
                f"{option} step {number}",
                "nothing" if now is None else _described(now),
                f"the plan in the cluster has {_described(before)} there and can only grow: {_way_out(before, now)}, "
                f"add steps behind step {len(old)}, or choose another name for another plan",
            )


def _way_out(before: Step, now: Step | None) -> str:
    """What to do with the step that differs."""
    if now is None:
        return "give the step again"
    return "keep its actions" if now.actions != before.actions else "keep its rolloutStrategy"


def _described(step: Step) -> str:
    """``[Prep,Upgrade] with maxConcurrency 10, timeout 240``."""
    timeout = DEFAULT_TIMEOUT if step.timeout is None else step.timeout
    return f"{text_of((step.actions,))} with maxConcurrency {step.max_concurrency}, timeout {timeout}"


_RECOVERY = frozenset({Action.ABORT, Action.ABORT_ON_FAILURE, Action.ROLLBACK})


def check_recovery(step: Step, number: int, option: str = "plan") -> None:
    """Raise InvalidOption unless the step begins with an action that failed clusters can follow."""
    if not step.actions or step.actions[0] not in _RECOVERY:
        raise InvalidOption(
            f"{option} step {number}",
            list(step.actions),
            "the first action for clusters that failed is Abort, AbortOnFailure or Rollback",
        )


def batches(clusters: int, max_concurrency: int) -> int:
    """How many batches TALM cuts a step into; a non-positive concurrency means all at once."""
    return math.ceil(clusters / max_concurrency) if 0 < max_concurrency < clusters else 1


def minutes_for(clusters: int, max_concurrency: int, per_cluster: float) -> int:
    """The whole step's minutes, from the minutes that one cluster may take for all the step's actions.

    TALM divides what is left of the step's time over the batches that are left, so each batch gets its share.
    """
    return max(1, math.ceil(batches(clusters, max_concurrency) * per_cluster))


def explain_minutes(clusters: int, max_concurrency: int, per_cluster: float) -> str:
    """How ``minutes_for`` came about, for people."""
    count = batches(clusters, max_concurrency)
    many = "1 batch" if count == 1 else f"{count} batches"
    at_a_time = f"{max_concurrency} at a time" if count > 1 else "all at once"
    return (
        f"{minutes_for(clusters, max_concurrency, per_cluster)} minutes = {many} of {per_cluster:g} minutes "
        f"({counted(clusters, 'cluster')}, {at_a_time})"
    )
