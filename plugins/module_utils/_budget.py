# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The failure budgets of a rollout, counted as Ansible counts: a budget must be exceeded to stop it."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")


@dataclass(frozen=True)
class Budget:
    """How many failures a fleet may have: a share of it in percent, or a number of clusters."""

    amount: float
    is_share: bool

    def clusters(self, fleet_size: int) -> float:
        """The budget as a number of clusters; not rounded, so that 5 % of 10 is exceeded by the first failure."""
        return self.amount * fleet_size / 100 if self.is_share else self.amount

    def is_exceeded(self, failures: int, fleet_size: int) -> bool:
        """True where there are strictly more failures than the budget allows."""
        return failures > self.clusters(fleet_size)

    def __str__(self) -> str:
        return f"{self.amount:g} %" if self.is_share else counted(self.amount, "cluster")


def parse_budget(option: str, value: object) -> Budget:
    """A budget from ``"5%"`` or ``12``. Raises InvalidOption."""
    match = _FORM.fullmatch(str(value).strip())
    if match is None:
        raise InvalidOption(option, value, 'give a share such as "5%", or a number of clusters')
    amount, is_share = float(match[1]), bool(match[2])
    if is_share and amount > 100:
        raise InvalidOption(option, value, "a share lies between 0% and 100%")
    return Budget(amount, is_share)


def check_batches(option: str, value: object) -> None:
    """Raise InvalidOption unless the value is a good ``serial``: batch sizes that are positive numbers or shares."""
    items = value if isinstance(value, list) else [value]
    for item in items or [None]:
        match = _FORM.fullmatch(str(item).strip())
        good = match is not None and float(match[1]) > 0 and (not match[2] or float(match[1]) <= 100)
        if match is not None and not match[2] and "." in match[1]:
            good = False
        if not good or isinstance(item, bool):
            raise InvalidOption(
                option,
                value,
                'a batch is a number of clusters from 1, or a share such as "20%", or a list of those; '
                'on the command line as JSON: -e \'{"ibu_serial": [1, 5, "20%"]}\'',
            )


def check_percentage(option: str, value: object) -> float:
    """A percentage between 0 and 100. Raises InvalidOption."""
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise InvalidOption(option, value, "give a percentage between 0 and 100")
    return number


def failures(outcomes: t.Mapping[str, Outcome], begun: t.Iterable[str]) -> list[str]:
    """The clusters of the batches begun that count as failed.

    A cluster whose batch was begun but that was never driven was lost on the way (unreachable, or failed in a task of
    the user's own, rescued or not): Ansible's own count misses some of these.
    """
    lost = {Result.NEVER_STARTED}
    return [name for name in begun if name in outcomes and _counts(outcomes[name], lost)]


def _counts(outcome: Outcome, lost: set[Result]) -> bool:
    return outcome.result.is_failure or outcome.result in lost


def stops_play(failed: int, batch_size: int, max_fail_percentage: float) -> bool:
    """True where Ansible ends the play after this batch: its budget is exceeded, or nobody is left."""
    return failed > 0 and (failed == batch_size or failed * 100 / batch_size > max_fail_percentage)
