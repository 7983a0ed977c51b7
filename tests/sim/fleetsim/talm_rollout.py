# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollout of one step: batches, clusters that walk through the actions, and time. Pure: commands come out.

A failure is no event here: a cluster that does not get ahead is only found when the batch's time is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleetsim.ports import Object
from fleetsim.talm_plan import with_condition

LOOK_EVERY = 300.0
ALL_DONE = "All manifestworks rolled out successfully on all clusters"
NOBODY = "All clusters already compliant with the specified managed policies"
TOO_LONG = "Manifestwork rollout took too long"


class Moment(NamedTuple):
    """A time as the clock counts, and as the API spells it."""

    seconds: float
    stamp: str


class Command(NamedTuple):
    """`create` or `delete` a ManifestWork; the cluster is `done` with the step; its time is `over`."""

    verb: str
    cluster: str
    action: int


class Rollout:
    """From the start of a ClusterGroupUpgrade on a list of clusters to its end."""

    def __init__(self, clusters: Sequence[str], templates: Sequence[str], strategy: Object, now: Moment) -> None:
        names = sorted(clusters)
        self.size = size = len(names)
        concurrency = strategy["maxConcurrency"]
        self.concurrency = min(concurrency, size) if concurrency > 0 else size
        self.batches = [names[at : at + self.concurrency] for at in range(0, size, self.concurrency)] if size else []
        self.templates = list(templates)
        self.seconds = strategy["timeout"] * 60.0
        self.started = now
        self.batch_started = now
        self.batch_seconds = 0.0
        self.batch = 0  # counts from 1
        self.at: dict[str, int | None] = {}  # in the current batch: the action; None before its ManifestWork is there
        self.open: set[str] = set()
        self.results: dict[str, Object] = {}
        self.ended: Moment | None = None
        self.conditions: list[Object] = []

    def begin(self, now: Moment) -> list[Command]:
        self._set("ClustersSelected", "True", "ClusterSelectionCompleted", "All selected clusters are valid", now)
        self._set("Validated", "True", "ValidationCompleted", "Completed validation", now)
        if not self.batches:
            self._end(now, "True", "Completed", NOBODY)
            return []
        self._set("Progressing", "True", "InProgress", "Rolling out manifestworks", now)
        return self._next_batch(now)

    def _next_batch(self, now: Moment) -> list[Command]:
        """It gets its share of the time that is left; the last one all of it."""
        left = len(self.batches) - self.batch
        self.batch_seconds = (self.seconds - (now.seconds - self.started.seconds)) / left
        self.batch += 1
        self.batch_started = now
        members = self.batches[self.batch - 1]
        self.at = dict.fromkeys(members)
        self.open = set(members)
        return [Command("create", name, 0) for name in members]

    def created(self, cluster: str, index: int) -> None:
        if cluster in self.at:
            self.at[cluster] = index

    def succeeded(self, cluster: str, index: int) -> list[Command]:
        """This action is done: on to the next, or done with the step."""
        if cluster not in self.open or self.at[cluster] != index:
            return []
        if index + 1 < len(self.templates):
            return [Command("delete", cluster, index), Command("create", cluster, index + 1)]
        self.open.discard(cluster)
        self.results[cluster] = {"name": cluster, "state": "complete"}
        return [Command("done", cluster, index)]

    def look(self, now: Moment) -> list[Command]:
        """Is the batch done, or its time over?"""
        if self.ended is not None or not self.batches:
            return []
        last = self.batch == len(self.batches)
        if not self.open:
            if last:
                self._end(now, "True", "Completed", ALL_DONE)
                return []
            return self._next_batch(now)
        if now.seconds - self.started.seconds >= self.seconds:
            commands = self._give_up()
            self._end(now, "False", "TimedOut", TOO_LONG)
            return commands
        if not last and now.seconds - self.batch_started.seconds >= self.batch_seconds:
            return [*self._give_up(), *self._next_batch(now)]
        return []

    def _give_up(self) -> list[Command]:
        """Clusters of batches that have not begun get no result at all."""
        late = sorted(self.open)
        commands = []
        for name in late:
            index = self.at[name] or 0
            self.results[name] = {"name": name, "state": "timedout", **self._current(index, [])}
            commands.append(Command("over", name, index))
        self.open.clear()
        return commands

    def _current(self, index: int, manifests: list[Object]) -> Object:
        return {"currentManifestWork": {"name": self.templates[index], "status": {"manifests": manifests}}}

    def explain(self, cluster: str, index: int, manifests: list[Object]) -> None:
        """What was last known of a cluster whose time is over."""
        self.results[cluster].update(self._current(index, manifests))

    def next_look(self, now: Moment) -> float:
        """The clock's seconds of the next look that happens without any news."""
        start = self.batch_started.seconds
        return start + (int((now.seconds - start) // LOOK_EVERY) + 1) * LOOK_EVERY

    def _end(self, now: Moment, value: str, reason: str, message: str) -> None:
        self._set("Progressing", "False", reason, message, now)
        self._set("Succeeded", value, reason, message, now)
        self.ended = now
        self.at = {}

    def _set(self, kind: str, value: str, reason: str, message: str, now: Moment) -> None:
        self.conditions = with_condition(self.conditions, kind, value, reason, message, now.stamp)

    def status(self, safe_names: dict[str, str]) -> Object:
        """Of the ClusterGroupUpgrade."""
        progress: Object = {"startedAt": self.started.stamp}
        if self.ended is not None:
            progress["completedAt"] = self.ended.stamp
        else:
            progress.update(
                currentBatch=self.batch,
                currentBatchStartedAt=self.batch_started.stamp,
                currentBatchRemediationProgress={name: self._progress(name) for name in self.at},
            )
        found: Object = {"conditions": self.conditions, "status": progress}
        if self.results:
            found["clusters"] = [self.results[name] for name in sorted(self.results)]
        if self.batches:
            found.update(
                computedMaxConcurrency=self.concurrency, remediationPlan=self.batches, safeResourceNames=safe_names
            )
        return found

    def _progress(self, name: str) -> Object:
        if name not in self.open:
            return {"state": "Completed"}
        index = self.at[name]
        return {"state": "NotStarted"} if index is None else {"state": "InProgress", "manifestWorkIndex": index}
