# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The outcome file of a rollout: what became of every cluster of the fleet, valid JSON at every moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._files import remove_partial, replace_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    InvalidOption,
    Outcome,
    Result,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Shape

FORMAT = 1

_REBOOTING = frozenset(str(action) for action in Action if action.reboots)


class Record:
    """The fleet's outcomes in memory, and their file. One writer at a time."""

    def __init__(self, path: str, document: dict[str, t.Any] | None = None, *, writable: bool = True) -> None:
        self.path = path
        self._writable = writable
        # False once a save has failed, until one succeeds.
        self.is_saved = True
        self._document = document or {"format": FORMAT, "run": None, "started": None, "batches": [], "clusters": {}}
        # Each cluster's line of the file. Encoding all of a thousand clusters every second would take a third of the
        # process's time.
        self._lines: dict[str, str] = {}

    @classmethod
    def load(cls, path: str, *, writable: bool = True) -> Record:
        """The record of an earlier run, or an empty one where there is no file.

        ``writable=False`` keeps all changes in memory, for check mode. Raises InvalidOption for a file that is no
        outcome file.
        """
        try:
            with open(path, encoding="utf-8") as stream:
                document = json.load(stream)
        except FileNotFoundError:
            return cls(path, writable=writable)
        except (OSError, ValueError) as error:
            raise InvalidOption("outcome_file", path, f"it cannot be read as an outcome file: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise InvalidOption("outcome_file", path, f"it is no outcome file of format {FORMAT}; name another file")
        if not _is_complete(document):
            raise InvalidOption(
                "outcome_file", path, "it is damaged or was edited by hand; mend it or name another file"
            )
        return cls(path, document, writable=writable)

    @property
    def clusters(self) -> dict[str, Outcome]:
        """Outcome per cluster, in the order in which the fleet lists them."""
        return {name: _outcome(name, entry) for name, entry in self._document["clusters"].items()}

    @property
    def started(self) -> str | None:
        """When the rollout began, UTC."""
        return t.cast("str | None", self._document["started"])

    @property
    def run(self) -> str | None:
        """The run that wrote the file last."""
        return t.cast("str | None", self._document["run"])

    @property
    def stopped(self) -> str | None:
        """Why the latest run ended before its last cluster, None where it did not."""
        return t.cast("str | None", self._document.get("stopped"))

    def stop(self, reason: str) -> None:
        """Note that the run takes no further batch."""
        self._document["stopped"] = reason

    @property
    def is_unfinished(self) -> bool:
        """True where a run ended before its clusters did, or before its plan."""
        plan = self._document.get("plan") or {"ended": True}
        return not plan["ended"] or any(self.was_under_way(name) for name in self._document["clusters"])

    def was_under_way(self, name: str) -> bool:
        """True where an earlier run did not see how this cluster ended."""
        entry = self._document["clusters"].get(name) or {}
        return entry.get("result") in (Result.IN_FLIGHT, Result.INTERRUPTED)

    @property
    def batches(self) -> list[list[str]]:
        """The clusters of every batch that was begun, in order."""
        return t.cast("list[list[str]]", self._document["batches"])

    def begin(self, run: str, fleet: t.Iterable[str], now: str) -> None:
        """Enter every cluster of the fleet, so that one that is never reached is listed too.

        Another run than the one before begins its own count of batches and failures.
        """
        if self._document["run"] != run:
            self._document.update(run=run, started=now, batches=[], stopped=None)
        for name in fleet:
            self._document["clusters"].setdefault(name, _entry(Outcome(name)))

    def begin_batch(self, names: t.Sequence[str]) -> None:
        """Note that a batch begins with these clusters."""
        self.batches.append(list(names))

    def begin_plan(self, shape: Shape) -> bool:
        """Note that this plan begins. True where the file tells how far an earlier run has come with it.

        The plan may have grown since, as on the hub, and a run may be for its first steps only. What the file tells of
        any other plan says nothing about this one and is dropped.
        """
        known = tuple(tuple(actions) for actions in (self._document.get("plan") or {}).get("steps", ()))
        both = min(len(known), len(shape))
        goes_on = bool(known) and known[:both] == shape[:both]
        if not goes_on:
            for name, entry in self._document["clusters"].items():
                if entry.pop("steps", None):
                    self._lines.pop(name, None)
        longest = known if goes_on and len(known) > len(shape) else shape
        self._document["plan"] = {"steps": [list(actions) for actions in longest], "ended": False}
        return goes_on

    def end_plan(self) -> None:
        """Note that the plan has come to its end for everybody."""
        self._document["plan"]["ended"] = True

    def put(self, outcome: Outcome) -> None:
        """Enter what became of one cluster. Timings of stages that an earlier run saw are kept."""
        entry = _entry(outcome)
        before = self._document["clusters"].get(outcome.name) or {}
        entry["durations"] = {**before.get("durations", {}), **entry["durations"]}
        # Until its first contact a drive has no action; what an earlier run left under way still is.
        entry["action"] = entry["action"] or before.get("action")
        entry["version_before"] = before.get("version_before") or entry["version_before"]
        self._document["clusters"][outcome.name] = entry
        self._lines.pop(outcome.name, None)

    def expects_away(self, name: str) -> bool:
        """True where an earlier run left this cluster in the middle of an action that reboots it."""
        entry = self._document["clusters"].get(name) or {}
        unfinished = entry.get("result") in (Result.IN_FLIGHT, Result.INTERRUPTED, Result.TIMED_OUT)
        return unfinished and entry.get("action") in _REBOOTING

    def save(self) -> None:
        """Replace the file at once: a reader, or a kill at any moment, finds the old or the new one, never half."""
        if self._writable:
            self.is_saved = False
            # It holds no secrets and is meant to be read by others.
            replace_text(self.path, self._text(), 0o644)
            self.is_saved = True

    def _text(self) -> str:
        """The document with a line per cluster, of which only those that changed are encoded again."""
        clusters = self._document["clusters"]
        for name, entry in clusters.items():
            if name not in self._lines:
                self._lines[name] = f"{json.dumps(name)}: {json.dumps(entry)}"
        head = json.dumps({key: value for key, value in self._document.items() if key != "clusters"})
        lines = ",\n".join(self._lines[name] for name in clusters)
        return f'{head[:-1]}, "clusters": {{\n{lines}\n}}}}\n'

    def save_first(self) -> None:
        """Save before anything is done, when another file can still be named. Raises InvalidOption."""
        try:
            self.save()
            if self._writable:
                remove_partial(self.path)
        except OSError as error:
            raise InvalidOption("outcome_file", self.path, f"it cannot be written: {error.strerror}") from error

    def save_remaining(self) -> str | None:
        """Write the names that a rerun should take, one a line, for ``--limit @FILE``. None where none is left."""
        names = [name for name, outcome in self.clusters.items() if outcome.result not in (Result.DONE, Result.SKIPPED)]
        path = self.remaining_path
        if not self._writable:
            return None
        if not names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return None
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("".join(f"{name}\n" for name in names))
        return path

    @property
    def remaining_path(self) -> str:
        """Where ``save_remaining`` writes."""
        return f"{os.path.splitext(self.path)[0]}.remaining"


def _entry(outcome: Outcome) -> dict[str, t.Any]:
    # The drive goes on writing meanwhile: its containers are copied in one step each, never iterated over.
    entry = {**vars(outcome), "result": str(outcome.result)}
    entry.update(durations=dict(outcome.durations), completed=list(outcome.completed), notes=list(outcome.notes))
    if not outcome.steps:
        # Only plans have them.
        del entry["steps"]
    del entry["name"]
    return entry


def _is_complete(document: t.Mapping[str, t.Any]) -> bool:
    try:
        for name, entry in document["clusters"].items():
            _outcome(name, entry)
            _check_steps(entry.get("steps", ()))
        _check_plan(document.get("plan"))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return {"run", "started", "batches"} <= document.keys()


def _check_steps(steps: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    """Raise what _is_complete takes for damage."""
    for step in steps:
        Result(step["result"])
        if not step["actions"] or not isinstance(step["completed"], list):
            raise ValueError(step)


def _check_plan(plan: t.Mapping[str, t.Any] | None) -> None:
    if plan is not None and not (isinstance(plan["ended"], bool) and all(map(bool, plan["steps"]))):
        raise ValueError(plan)


def _outcome(name: str, entry: t.Mapping[str, t.Any]) -> Outcome:
    known = {field.name for field in dataclasses.fields(Outcome)}
    values = {key: value for key, value in entry.items() if key in known}
    return Outcome(name, **{**values, "result": Result(values["result"])})
