# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Watching one kind of object on a hub, over its outages and over watches that expire. No decisions."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub_events import WORK_LABEL, Event, HubEvents
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_PAGE = 50
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True)
class Kind:
    """A collection to watch, and which methods of HubEvents its objects are for."""

    path: str
    change: str
    gone: str
    selector: str = ""


KINDS = {
    "works": Kind("/apis/work.open-cluster-management.io/v1/manifestworks", "work", "work_gone", WORK_LABEL),
    "clusters": Kind("/apis/cluster.open-cluster-management.io/v1/managedclusters", "cluster", "cluster_gone"),
    "groups": Kind("/apis/lcm.openshift.io/v1alpha1/imagebasedgroupupgrades", "group", "group_gone"),
}


class HubWatch:
    """Follows a collection until stopped, and emits what has happened.

    A list first, then watches from it on; after a watch that ended in silence the list again, because one that was
    resumed across a change of the hub's etcd tells nothing for ever. ``say`` gets one line per outage and per return.
    """

    def __init__(
        self,
        session: Session,
        kind: Kind,
        events: HubEvents,
        lock: threading.Lock,
        *,
        emit: t.Callable[[Event], None],
        say: t.Callable[[str], None],
        clock: Clock,
        stop: threading.Event,
        seconds: int = 300,
    ) -> None:
        self._session = session
        self._kind = kind
        self._events = events
        self._lock = lock
        self._emit = emit
        self._say = say
        self._clock = clock
        self._stop = stop
        self._seconds = seconds
        self._known: dict[str, dict[str, t.Any]] = {}
        self._initial = True
        self._silent = False

    def run(self) -> None:
        """Return once stopped. Raises IbuError where the hub refuses at first: no such API, or no permission."""
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            try:
                version = self._list()
                pause = _FIRST_PAUSE
                self._watch_from(version)
            except Unanswered as error:
                if error.kind == "expired":
                    # Too old to go on from: the list tells what was missed. It may be too old again at once.
                    self._clock.wait(self._stop, _FIRST_PAUSE)
                    continue
                self._outage(error)
                self._clock.wait(self._stop, pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _outage(self, error: Unanswered) -> None:
        if self._initial and error.kind in ("rights", "session", "missing"):
            raise IbuError(f"{self._session.url}{self._kind.path} cannot be watched: {error}") from error
        if not self._silent:
            self._say(f"the hub {self._session.url} does not answer: {error}")
        self._silent = True

    def _list(self) -> str:
        """Take up what is there; the version from which a watch goes on."""
        found: dict[str, dict[str, t.Any]] = {}
        version, more = "", ""
        query = {"labelSelector": self._kind.selector} if self._kind.selector else {}
        while True:
            page = self._session.get(self._kind.path, limit=_PAGE, **({"continue": more} if more else {}), **query)
            metadata = page.document.get("metadata") or {}
            version = str(metadata.get("resourceVersion") or version)
            for item in page.document.get("items") or ():
                found[_key(item)] = _head(item)
                self._changed(item)
            more = str(metadata.get("continue") or "")
            if not more:
                break
        for key in set(self._known) - set(found):
            self._gone(self._known[key])
        self._known, self._initial = found, False
        if self._silent:
            self._silent = False
            self._say(f"the hub {self._session.url} answers again")
        return version

    def _watch_from(self, version: str) -> None:
        """Follow the changes after a version, until a watch ends without any or the hub loses it."""
        query = {"labelSelector": self._kind.selector} if self._kind.selector else {}
        while not self._stop.is_set():
            before = version
            watched = self._session.watch(
                self._kind.path,
                resource_version=version,
                seconds=self._seconds,
                allowWatchBookmarks="true",
                **query,
            )
            for event in watched:
                version = self._take(event)
                if self._stop.is_set():
                    return
            if version == before:
                return

    def _take(self, event: dict[str, t.Any]) -> str:
        item = event["object"]
        if event["type"] == "DELETED":
            self._known.pop(_key(item), None)
            self._gone(item)
        elif event["type"] in ("ADDED", "MODIFIED"):
            self._known[_key(item)] = _head(item)
            self._changed(item)
        return str(item["metadata"]["resourceVersion"])

    def _changed(self, item: dict[str, t.Any]) -> None:
        with self._lock:
            for event in getattr(self._events, self._kind.change)(item, initial=self._initial):
                self._emit(event)

    def _gone(self, item: dict[str, t.Any]) -> None:
        with self._lock:
            getattr(self._events, self._kind.gone)(item)


def _key(item: dict[str, t.Any]) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _head(item: dict[str, t.Any]) -> dict[str, t.Any]:
    """As much of an object as its end is told with: ManifestWorks carry whole ConfigMaps."""
    return {"metadata": {name: item["metadata"].get(name) for name in ("namespace", "name", "uid")}}
