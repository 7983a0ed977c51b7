# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One etcd: objects as JSON text, one sequence of resourceVersions, a bounded history per resource.

An object is kept as the text that goes over the wire: that is what every reader asks for, a tenth of the memory of
the parsed form, and immutable, so a thousand clusters share one record of everything that is the same in all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

Object = dict[str, Any]
Name = tuple[str, str]  # (namespace, name); namespace "" for cluster scope


def dumps(value: Any) -> bytes:
    return orjson.dumps(value)


def clone(value: Any) -> Any:
    """A deep copy of JSON; several times faster than copy.deepcopy."""
    return orjson.loads(orjson.dumps(value))


class Record:
    """One stored version of one object."""

    __slots__ = ("_parsed", "generation", "labels", "name", "namespace", "raw", "rv", "uid")

    def __init__(self, obj: Object, rv: int) -> None:
        meta = obj["metadata"]
        self.rv = rv
        self.name: str = meta["name"]
        self.namespace: str = meta.get("namespace", "")
        self.uid: str = meta.get("uid", "")
        self.generation: int = meta.get("generation", 0)
        self.labels: dict[str, str] = meta.get("labels") or {}
        self.raw = dumps(obj)
        self._parsed: Object | None = None

    def parse(self) -> Object:
        """A copy of its own for the caller."""
        return orjson.loads(self.raw)  # type: ignore[no-any-return]

    def view(self) -> Object:
        """For reading only: the parsed form is kept for the next reader."""
        if self._parsed is None:
            self._parsed = self.parse()
        return self._parsed

    def forget(self) -> None:
        """Replaced by a newer version: from now on only watches that resume ask for this one, and they want text."""
        self._parsed = None


class Event(NamedTuple):
    rv: int
    type: str
    record: Record
    before: Record | None

    def line(self) -> bytes:
        return event_line(self.type, self.record.raw)


def event_line(kind: str, raw: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


Listener = Callable[[Event | None], None]


class Store:
    """Every write gets the next resourceVersion. Listeners hear each event, and None when the store is shut."""

    def __init__(self, first_rv: int, history: int = 40) -> None:
        self.rv = first_rv
        self._tables: dict[str, dict[Name, Record]] = {}
        self._history: dict[str, deque[Event]] = {}
        self._oldest: dict[str, int] = {}  # per table: the version that a watch may start from at the earliest
        self._floor = first_rv
        self._limit = history
        self.limits: dict[str, int] = {}  # of tables that keep less, or more
        self._listeners: dict[str, set[Listener]] = {}

    def get(self, table: str, name: Name) -> Record | None:
        return self._tables.get(table, {}).get(name)

    def records(self, table: str, namespace: str = "") -> Iterator[Record]:
        """In etcd's order."""
        for key, record in sorted(self._tables.get(table, {}).items()):
            if not namespace or key[0] == namespace:
                yield record

    def seed(self, table: str, record: Record) -> None:
        """Put a record in place without history, before anybody looks."""
        self._tables.setdefault(table, {})[record.namespace, record.name] = record

    def put(self, table: str, obj: Object) -> Record:
        self.rv += 1
        obj["metadata"]["resourceVersion"] = str(self.rv)
        record = Record(obj, self.rv)
        key = (record.namespace, record.name)
        rows = self._tables.setdefault(table, {})
        before = rows.get(key)
        if before is not None and before.rv > self._floor:  # one that came with the store may be shared
            before.forget()
        rows[key] = record
        self._publish(table, Event(self.rv, "MODIFIED" if before else "ADDED", record, before))
        return record

    def remove(self, table: str, name: Name) -> Record | None:
        before = self._tables.get(table, {}).pop(name, None)
        if before is None:
            return None
        self.rv += 1
        last = before.parse()
        last["metadata"]["resourceVersion"] = str(self.rv)
        record = Record(last, self.rv)
        self._publish(table, Event(self.rv, "DELETED", record, before))
        return record

    def drop_table(self, table: str) -> None:
        for name in list(self._tables.get(table, {})):
            self.remove(table, name)

    def oldest(self, table: str) -> int:
        return self._oldest.get(table, self._floor)

    def since(self, table: str, rv: int) -> list[Event]:
        return [event for event in self._history.get(table, ()) if event.rv > rv]

    def compact(self) -> None:
        """Forget all history: every watch from an older version has expired."""
        self._history.clear()
        self._oldest.clear()
        self._floor = self.rv

    def subscribe(self, table: str, listener: Listener) -> None:
        self._listeners.setdefault(table, set()).add(listener)

    def unsubscribe(self, table: str, listener: Listener) -> None:
        self._listeners.get(table, set()).discard(listener)

    def shut(self) -> None:
        """The server stops: every watch ends."""
        for listeners in self._listeners.values():
            for listener in tuple(listeners):
                listener(None)

    def _publish(self, table: str, event: Event) -> None:
        past = self._history.setdefault(table, deque())
        past.append(event)
        if len(past) > self.limits.get(table, self._limit):
            self._oldest[table] = past.popleft().rv
        for listener in tuple(self._listeners.get(table, ())):
            listener(event)
