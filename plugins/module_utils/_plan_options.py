# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""From the option ``plan`` to steps: the same spelling for the hub and for the direct engine. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

_STEP_KEYS = {"actions": "actions", "rolloutStrategy": "strategy", "rollout_strategy": "strategy"}
_STRATEGY_KEYS = {
    "maxConcurrency": "max_concurrency",
    "max_concurrency": "max_concurrency",
    "timeout": "timeout",
    "timeoutPerCluster": "timeout_per_cluster",
    "timeout_per_cluster": "timeout_per_cluster",
}
_FORM = "give {actions: [Prep], rolloutStrategy: {maxConcurrency: 50, timeout: MINUTES or timeoutPerCluster: MINUTES}}"


@dataclass(frozen=True)
class PlannedStep:
    """One step as the user gives it. Minutes; ``timeout`` is for the whole step, ``timeout_per_cluster`` for each."""

    actions: tuple[str, ...]
    max_concurrency: int
    timeout: int | None = None
    timeout_per_cluster: float | None = None


def parse_plan(value: object, option: str = "plan") -> tuple[PlannedStep, ...]:
    """The steps of a plan. Raises InvalidOption, which names the step, its value and the remedy."""
    if isinstance(value, (str, bytes)) or not isinstance(value, t.Sequence):
        raise InvalidOption(option, value, f"give a list of steps; of a step, {_FORM}")
    return tuple(_step(entry, f"{option} step {number}") for number, entry in enumerate(value, 1))


def _step(value: object, option: str) -> PlannedStep:
    given = _known(value, _STEP_KEYS, option)
    actions = given.get("actions")
    if isinstance(actions, (str, bytes)) or not isinstance(actions, t.Sequence) or not actions:
        raise InvalidOption(f"{option} actions", actions, "give a list of one action or more, such as [Prep]")
    strategy = _known(given.get("strategy") or {}, _STRATEGY_KEYS, f"{option} rolloutStrategy")
    per_cluster = strategy.get("timeout_per_cluster")
    return PlannedStep(
        actions=tuple(str(action) for action in actions),
        max_concurrency=_concurrency(strategy.get("max_concurrency"), f"{option} maxConcurrency"),
        timeout=_minutes(strategy.get("timeout"), f"{option} timeout"),
        timeout_per_cluster=None if per_cluster is None else _share(per_cluster, f"{option} timeoutPerCluster"),
    )


def _known(value: object, keys: t.Mapping[str, str], option: str) -> dict[str, t.Any]:
    """The entries by their one name. Raises InvalidOption for keys that nobody would read."""
    if not isinstance(value, t.Mapping):
        raise InvalidOption(option, value, _FORM)
    found: dict[str, t.Any] = {}
    for key, entry in value.items():
        if key not in keys:
            raise InvalidOption(option, key, f"known here are {', '.join(keys)}")
        if keys[key] in found:
            raise InvalidOption(option, key, "it is given twice, in two spellings")
        found[keys[key]] = entry
    return found


def _whole(value: object) -> int | None:
    """A whole number, also as text, which is what extra variables of the command line are; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return int(str(value))
    except ValueError:
        return None


def _concurrency(value: object, option: str) -> int:
    number = _whole(value)
    if number is None:
        raise InvalidOption(option, value, "give the number of clusters that may be worked on at a time")
    if number < 1:
        raise InvalidOption(option, value, "give 1 or more; TALM would take this for all clusters at once")
    return number


def _minutes(value: object, option: str) -> int | None:
    if value is None:
        return None
    number = _whole(value)
    if number is None or number < 1:
        raise InvalidOption(option, value, "give whole minutes, 1 or more")
    return number


def _share(value: object, option: str) -> float:
    try:
        minutes = float(str(value))
    except ValueError:
        minutes = 0.0
    if isinstance(value, bool) or not 0 < minutes < float("inf"):
        raise InvalidOption(option, value, "give the minutes that one cluster may take, above 0")
    return minutes
