# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sliding window against batches of the same width: the real `Fleet`, drives of drawn durations, a virtual clock.

Real threads take the places; only the time they would spend waiting for a cluster is virtual. It passes when every
place that can be taken is taken, so a fleet that left one empty would not come to its end here.
"""

from __future__ import annotations

import datetime
import heapq
import random
import statistics
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".collections"), str(ROOT / ".cache" / "collections")]

from ansible_collections.sno.image_upgrade.plugins.module_utils._fleet import Fleet  # noqa: E402
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import batches, minutes_for  # noqa: E402
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome, Result  # noqa: E402
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View  # noqa: E402

SEEDS = (1, 2, 3, 4, 5)
WIDTHS = (20, 50, 100, 250)
PATIENCE = 60.0

# Minutes of one cluster for [Prep,Upgrade]: the median, and the spread of its logarithm. Prep is mostly pulling images,
# so it follows the site's link; Upgrade is mostly the reboot, which is much the same everywhere.
PREP, PREP_SPREAD = 18.0, 0.45
UPGRADE, UPGRADE_SPREAD = 16.0, 0.15
# Some sites are on a link that is far slower than the rest.
SLOW_SHARE, SLOW_FACTOR = 0.03, 3.0
# What the plan gives each cluster, and the share of those that fail: in the second comparison.
PER_CLUSTER, FAILED_SHARE = 150.0, 0.01


class Stuck(RuntimeError):
    """A place stayed empty although somebody was waiting for it."""


class VirtualTime:
    """A clock that moves on once `width` sleepers, or all that are left, are asleep."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._now = 0.0
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._tickets = 0

    def monotonic(self) -> float:
        return self._now

    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._now, datetime.timezone.utc)

    def wait(self, stop: threading.Event, seconds: float) -> None:
        raise AssertionError("only drives wait here, and they sleep")

    def sleep(self, minutes: float) -> None:
        called = threading.Event()
        with self._changed:
            self._tickets += 1
            heapq.heappush(self._sleepers, (self._now + minutes, self._tickets, called))
            self._changed.notify()
        if not called.wait(PATIENCE):
            raise Stuck

    def play(self, clusters: int, width: int) -> None:
        """Wake one after the other until all have slept."""
        for left in range(clusters, 0, -1):
            with self._changed:
                places = min(width, left)
                if not self._changed.wait_for(lambda places=places: len(self._sleepers) == places, PATIENCE):
                    raise Stuck(f"{len(self._sleepers)} of {places} places are taken, {left} clusters are left")
                self._now, _ticket, called = heapq.heappop(self._sleepers)
            called.set()


class Drive:
    """Takes as long as was drawn."""

    def __init__(self, name: str, time: VirtualTime, minutes: float) -> None:
        self.view, self.outcome = View(name), Outcome(name)
        self._time = time
        self._minutes = minutes

    def run(self) -> Outcome:
        self._time.sleep(self._minutes)
        self.outcome.result = Result.DONE
        return self.outcome


class NoRecord:
    """An outcome file that nobody reads."""

    path = ""

    def put(self, outcome: Outcome) -> None: ...

    def save(self) -> None: ...


def makespan(durations: Mapping[str, float], width: int) -> float:
    """Minutes until the fleet has driven everybody."""
    time = VirtualTime()
    members: dict[str, Any] = {
        name: lambda _notify, _commit, name=name, minutes=minutes: Drive(name, time, minutes)
        for name, minutes in durations.items()
    }
    fleet = Fleet(
        members,
        record=NoRecord(),
        clock=time,  # type: ignore[arg-type]
        stop=threading.Event(),
        show=lambda _line: None,
        concurrency=width,
        interval=float("inf"),
    )
    player = threading.Thread(target=time.play, args=(len(durations), width), daemon=True)
    player.start()
    outcomes = fleet.run()
    player.join()
    if any(outcome.result is not Result.DONE for outcome in outcomes.values()):
        raise Stuck("not everybody was driven")
    return time.monotonic()


def draw(clusters: int, seed: int) -> dict[str, float]:
    """Minutes by name. Names say nothing about durations."""
    chance = random.Random(seed)
    found = {}
    for number in range(1, clusters + 1):
        prep = PREP * chance.lognormvariate(0, PREP_SPREAD)
        prep *= SLOW_FACTOR if chance.random() < SLOW_SHARE else 1
        found[f"site-{number:04d}"] = prep + UPGRADE * chance.lognormvariate(0, UPGRADE_SPREAD)
    return found


def cut(durations: Mapping[str, float], width: int) -> list[dict[str, float]]:
    """By name, as the hub does."""
    names = sorted(durations)
    return [{name: durations[name] for name in names[n : n + width]} for n in range(0, len(names), width)]


def in_batches(durations: Mapping[str, float], width: int) -> float:
    """Minutes where each batch waits for its slowest; the same fleet, a batch at a time."""
    return sum(makespan(batch, width) for batch in cut(durations, width))


def in_batches_with_failures(durations: Mapping[str, float], width: int, failed: frozenset[str]) -> float:
    """Minutes where a batch with a failed cluster lasts as long as the plan lets it: the hub does not see failures."""
    timeout = minutes_for(len(durations), width, PER_CLUSTER)
    left, used = batches(len(durations), width), 0.0
    for batch in cut(durations, width):
        share = (timeout - used) / left
        used += share if failed & set(batch) else min(share, max(batch.values()))
        left -= 1
    return used


@dataclass(frozen=True)
class Comparison:
    """One width, over all seeds: medians."""

    width: int
    window: float
    batched: float
    ratio: float
    lowest: float
    highest: float
    ideal: float
    with_failures: float


def compare(clusters: int, width: int, seeds: Sequence[int] = SEEDS) -> Comparison:
    """Batches over window, both played by the same engine."""
    windows, batched, ideals, failing = [], [], [], []
    for seed in seeds:
        durations = draw(clusters, seed)
        windows.append(makespan(durations, width))
        batched.append(in_batches(durations, width))
        ideals.append(max(sum(durations.values()) / width, max(durations.values())))
        names = random.Random(-seed).sample(sorted(durations), max(1, round(clusters * FAILED_SHARE)))
        failing.append(in_batches_with_failures(durations, width, frozenset(names)))
    ratios = [b / w for b, w in zip(batched, windows, strict=True)]
    return Comparison(
        width,
        statistics.median(windows),
        statistics.median(batched),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(w / i for w, i in zip(windows, ideals, strict=True)),
        statistics.median(f / w for f, w in zip(failing, windows, strict=True)),
    )


def window(clusters: int) -> dict[str, Any]:
    """Print the comparison; the result for the JSON."""
    durations = sorted(draw(clusters, SEEDS[0]).values())
    median, late, last = (durations[int(share * (len(durations) - 1))] for share in (0.5, 0.95, 1))
    print(
        f"  sliding window against batches: {clusters} clusters, [Prep,Upgrade] in one step, {len(SEEDS)} draws\n"
        f"  drawn, minutes of one cluster: Prep lognormal, median {PREP:g}, sigma {PREP_SPREAD:g}, "
        f"{SLOW_SHARE:.0%} of the sites {SLOW_FACTOR:g} times as long;\n"
        f"  Upgrade lognormal, median {UPGRADE:g}, sigma {UPGRADE_SPREAD:g}; together p50 {median:.0f}, "
        f"p95 {late:.0f}, max {last:.0f} (first draw). Virtual time, the real fleet and its threads.\n"
    )
    columns = ("at a time", "window min", "batches min", "ratio", "lowest", "highest", "window/ideal", "1 % fail")
    print("".join(f"{column:>14}" for column in columns))
    found = [compare(clusters, width) for width in WIDTHS if width < clusters]
    for one in found:
        values = (
            f"{one.width}",
            f"{one.window:.0f}",
            f"{one.batched:.0f}",
            *(f"{value:.2f}" for value in (one.ratio, one.lowest, one.highest)),
            f"{one.ideal:.3f}",
            f"{one.with_failures:.2f}",
        )
        print("".join(f"{value:>14}" for value in values))
    print(
        f"\n  1 % fail: the ratio where {FAILED_SHARE:.0%} of the clusters fail and the plan gives each "
        f"{PER_CLUSTER:g} minutes; the hub waits\n  for a batch with a failed cluster until its time is over. "
        "Computed, not played.\n",
        flush=True,
    )
    return {
        "clusters": clusters,
        "ratio": {str(one.width): round(one.ratio, 2) for one in found},
        "ratio_with_failures": {str(one.width): round(one.with_failures, 2) for one in found},
        "window_over_ideal": {str(one.width): round(one.ideal, 3) for one in found},
    }
