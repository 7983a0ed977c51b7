# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""A whole plan without a hub: one fleet after the other, a fleet per step. Nobody waits for a step's slowest batch."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _progress
from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Shape, text_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._steps import (
    ABORTS,
    Start,
    fold,
    not_selected,
    prepares_only,
    settled,
    start_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Goal, Observed, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted, has_have

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Maker
    from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
    from ansible_collections.sno.image_upgrade.plugins.module_utils._links import Links
    from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep
    from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record

    Leaves = t.Callable[[Observed], str]

_MINUTE = 60.0


class MakerOf(t.Protocol):
    """Makes the maker of one cluster's drive for one step."""

    def __call__(
        self, name: str, goals: t.Sequence[Goal], limits: Limits, *, leaves: Leaves | None, expect_away: bool
    ) -> Maker:
        """For the cluster of this name."""


class PlanRun:
    """Takes the members through the steps, one step after the other.

    ``goals`` holds each member's goals per step. Whoever fails leaves its step and sits out those that follow, except
    for those that abort. Once more than ``max_failures`` have failed in this run nobody is begun, in this step and in
    those that follow. ``most`` bounds every step's concurrency (0: it does not).
    ``links`` bounds the steps that only prepare, because these are what pulls images.
    """

    def __init__(
        self,
        plan: t.Sequence[PlannedStep],
        goals: t.Mapping[str, t.Sequence[t.Sequence[Goal]]],
        maker_of: MakerOf,
        *,
        limits: Limits,
        record: Record,
        clock: Clock,
        stop: threading.Event,
        show: t.Callable[[str], None],
        most: int = 0,
        links: Links | None = None,
        max_failures: int | None = None,
        interval: float = 5.0,
        is_wanted: t.Callable[[], bool] = lambda: True,
        check: bool = False,
    ) -> None:
        self._plan = plan
        self._goals = goals
        self._maker_of = maker_of
        self._limits = limits
        self._record = record
        self._clock = clock
        self._stop = stop
        self._show = show
        self._most = most
        self._links = links
        self._max_failures = max_failures
        self._interval = interval
        self._is_wanted = is_wanted
        self._check = check
        self._failed: set[str] = set()
        # Whom this run has driven: of the others the file knows more than this run.
        self._touched: set[str] = set()
        # In check mode: who would be at work, so that nothing can be said of later steps.
        self._busy: set[str] = set()
        self._starts: dict[str, Start] = {}
        self._expects_away: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}

    @property
    def shape(self) -> Shape:
        """The plan's actions, by which the outcome file knows it again."""
        return tuple(step.actions for step in self._plan)

    def run(self) -> dict[str, Outcome]:
        """Every member's outcome. After a stop it is what was reached until then."""
        goes_on = self._record.begin_plan(self.shape)
        recorded = self._record.clusters
        self._starts = {
            name: start_of(recorded.get(name) or Outcome(name), len(self._plan)) if goes_on else Start(0, Outcome(name))
            for name in self._goals
        }
        self._expects_away = {name for name in self._goals if self._record.expects_away(name)}
        self._outcomes = {name: start.outcome for name, start in self._starts.items()}
        for index in range(len(self._plan)):
            self._step(index)
            if self._stop.is_set():
                return self._outcomes
        self._record.end_plan()
        self._save()
        return self._outcomes

    # --- one step -------------------------------------------------------------------------------------------------

    def _step(self, index: int) -> None:
        here = [name for name, start in self._starts.items() if start.index <= index and name not in self._busy]
        latest = {name: _skipped(name, why) for name in here if (why := self._sits_out(name, index))}
        members = [name for name in here if name not in latest]
        if self._is_spent:
            latest.update({name: self._never_started(index, name) for name in members})
            members = []
        self._show(self._head(index, len(members)))
        latest.update(self._drive(index, members))
        for name, outcome in latest.items():
            self._fold(index, name, outcome)
        if not self._stop.is_set():
            self._save()
            self._show(_foot(latest.values()))

    def _sits_out(self, name: str, index: int) -> str:
        outcome = self._outcomes[name]
        if not outcome.result.is_failure or self._plan[index].actions[0] in ABORTS:
            return ""
        failed = (n for n, step in enumerate(outcome.steps, 1) if Result(step["result"]).is_failure)
        return f"sits out: it failed in step {next(failed, index)}"

    def _drive(self, index: int, members: t.Sequence[str]) -> dict[str, Outcome]:
        step, begun = self._plan[index], self._clock.monotonic()
        until = None if step.timeout is None else begun + step.timeout * _MINUTE
        whole = None if step.timeout_per_cluster is None else step.timeout_per_cluster * _MINUTE
        limits = dataclasses.replace(self._limits, until=until, whole=whole)
        fleet = Fleet(
            {name: self._maker(index, name, limits) for name in members},
            record=_StepRecord(self._record, self._outcomes, step.actions),
            clock=self._clock,
            stop=self._stop,
            show=self._show,
            concurrency=min(step.max_concurrency, self._most or step.max_concurrency),
            links=self._links if prepares_only(step.actions) else None,
            max_failures=self._max_failures,
            failed_before=self._failed,
            until=until,
            interval=self._interval,
            is_wanted=self._is_wanted,
        )
        outcomes = fleet.run()
        self._touched |= {name for name, outcome in outcomes.items() if outcome.result is not Result.NEVER_STARTED}
        self._failed |= {name for name, outcome in outcomes.items() if outcome.result.is_failure}
        return {name: self._judged(index, outcome) for name, outcome in outcomes.items()}

    def _maker(self, index: int, name: str, limits: Limits) -> Maker:
        goals, start = self._goals[name][index], self._starts[name]

        def leaves(observed: Observed) -> str:
            return not_selected(observed, goals)

        return self._maker_of(
            name,
            goals,
            limits,
            leaves=None if start.begun and start.index == index else leaves,
            expect_away=start.index == index and name in self._expects_away,
        )

    def _judged(self, index: int, outcome: Outcome) -> Outcome:
        """What a step has made of a cluster that belongs to it."""
        name = outcome.name
        if outcome.result is Result.NEVER_STARTED:
            return self._never_started(index, name)
        if self._check and outcome.result is Result.DONE and len(outcome.completed) < len(self._plan[index].actions):
            self._busy.add(name)
            return dataclasses.replace(outcome, message=f"{self._title(index)}: {outcome.message}")
        return settled(outcome, self._starts[name]) if self._starts[name].index == index else outcome

    def _never_started(self, index: int, name: str) -> Outcome:
        if self._is_spent:
            most = self._max_failures or 0
            whom = f"more than {counted(most, 'cluster')} {has_have(most)} failed"
            why = f"was not begun for it: {whom} (max_failures)"
        else:
            why = "was over before its turn came; give it a longer timeout"
        return Outcome(name, message=f"{self._title(index)} {why}", next_step="run again: it goes on from where it is")

    def _fold(self, index: int, name: str, latest: Outcome) -> None:
        if self._stop.is_set() and latest.result is Result.NEVER_STARTED:
            return
        outcome = fold(self._outcomes[name], self._plan[index].actions, latest)
        self._outcomes[name] = outcome
        if name in self._touched or not self._starts[name].begun:
            # Of the others the file tells what an earlier run left under way.
            self._record.put(outcome)

    @property
    def _is_spent(self) -> bool:
        return self._max_failures is not None and len(self._failed) > self._max_failures

    # --- the file and the screen ----------------------------------------------------------------------------------

    def _save(self) -> None:
        try:
            self._record.save()
        except OSError as error:
            self._show(f"WARNING  the outcome file {self._record.path} cannot be written: {error}")

    def _title(self, index: int) -> str:
        return f"step {index + 1} {text_of((self._plan[index].actions,))}"

    def _head(self, index: int, members: int) -> str:
        step = self._plan[index]
        times = [f"{step.timeout} minutes for all"] if step.timeout is not None else []
        if step.timeout_per_cluster is not None:
            times.append(f"{step.timeout_per_cluster:g} minutes for each")
        at_a_time = min(step.max_concurrency, self._most or step.max_concurrency)
        parts = (counted(members, "cluster"), f"at most {at_a_time} at a time", *times)
        how = ", ".join(parts) if members else "nobody"
        return f"STEP {index + 1} of {len(self._plan)}  {text_of((step.actions,))}  {how}"


class _StepRecord:
    """The outcome file as one step sees it: a drive knows its own step only, the file holds the whole plan."""

    def __init__(self, record: Record, before: t.Mapping[str, Outcome], actions: t.Sequence[str]) -> None:
        self.path = record.path
        self._record = record
        self._before = before
        self._actions = actions

    def put(self, outcome: Outcome) -> None:
        """Enter what has become of a cluster until now."""
        self._record.put(fold(self._before[outcome.name], self._actions, outcome))

    def save(self) -> None:
        """Replace the file."""
        self._record.save()


def _skipped(name: str, why: str) -> Outcome:
    return Outcome(name, Result.SKIPPED, message=why)


def _foot(outcomes: t.Iterable[Outcome]) -> str:
    """How many clusters the step has left where."""
    tally = collections.Counter(_progress.result_words(outcome.result) for outcome in outcomes)
    return "         " + (", ".join(f"{count} {word}" for word, count in tally.items()) or "nobody left")
