# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists and watches of a hub in trouble, in the order that the test says. No network, no clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub_events import HubEvents
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_watch import KINDS, HubWatch

EXPIRED = Unanswered("expired", "too old resource version", 410)
AWAY = Unanswered("connect", "connection refused")


class Patience(Clock):
    """Waits for nothing, and remembers for how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.waits.append(seconds)


def cluster(name: str, *labels: str, version: str = "1") -> dict[str, Any]:
    found = {f"lcm.openshift.io/ibgu-{one}": "" for one in labels}
    return {"metadata": {"name": name, "labels": found, "resourceVersion": version}}


def page(*items: dict[str, Any], version: str = "10", more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)}


def changed(item: dict[str, Any], kind: str = "MODIFIED") -> dict[str, Any]:
    return {"type": kind, "object": item}


class Hub:
    """Answers with what comes next: a page, an error, or the events of a watch that may end in an error."""

    url = "https://hub"

    def __init__(self, *script: Any) -> None:
        self._script = list(script)
        self.asked: list[str] = []
        self.stop = threading.Event()

    def _next(self) -> Any:
        found = self._script.pop(0)
        if not self._script:
            self.stop.set()
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, _path: str, **query: Any) -> Reply:
        self.asked.append(f"list {query.get('continue', '')}".strip())
        return Reply(self._next(), None)

    def watch(self, _path: str, *, resource_version: str, **_query: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(f"watch {resource_version}")
        for event in self._next():
            if isinstance(event, Exception):
                raise event
            yield event


class Case:
    def __init__(self, *script: Any) -> None:
        self.hub, self.clock = Hub(*script), Patience()
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def run(self) -> list[tuple[str, str, bool]]:
        watch = HubWatch(
            self.hub,  # type: ignore[arg-type]
            KINDS["clusters"],
            HubEvents("h"),
            threading.Lock(),
            emit=self.events.append,
            say=self.lines.append,
            clock=self.clock,
            stop=self.hub.stop,
        )
        watch.run()
        return [(one["type"], one["cluster"], one["initial"]) for one in self.events]


def test_pages_first_and_then_the_changes_from_there() -> None:
    case = Case(
        page(cluster("a", "prep-failed"), more="m"),
        page(cluster("b"), version="12"),
        [changed(cluster("b", "prep-failed", version="13"))],
        [],
    )
    assert case.run() == [("failed", "a", True), ("failed", "b", False)]
    assert case.hub.asked == ["list", "list m", "watch 12", "watch 13"]


def test_what_was_missed_by_a_watch_that_expired_is_in_the_list() -> None:
    case = Case(
        page(cluster("a")),
        [changed(cluster("a", version="11")), EXPIRED],
        page(cluster("a", "prep-failed"), version="50"),
        [],
    )
    assert case.run() == [("failed", "a", False)]
    assert case.hub.asked == ["list", "watch 10", "list", "watch 50"]
    assert case.lines == []


def test_an_outage_is_waited_for_longer_and_longer_and_told_once() -> None:
    case = Case(page(cluster("a")), [AWAY], AWAY, AWAY, page(cluster("a", "prep-failed")), [])
    assert case.run() == [("failed", "a", False)]
    assert case.clock.waits == [1, 2, 4]
    assert case.lines == [
        "the hub https://hub does not answer: connection refused",
        "the hub https://hub answers again",
    ]


def test_a_hub_that_is_away_at_first_is_waited_for_too() -> None:
    case = Case(AWAY, page(cluster("a", "prep-failed")), [])
    assert case.run() == [("failed", "a", True)]


def test_a_watch_that_ends_in_silence_is_not_trusted() -> None:
    case = Case(page(cluster("a")), [], page(cluster("a", "prep-failed"), version="20"), [])
    assert case.run() == [("failed", "a", False)]
    assert case.hub.asked == ["list", "watch 10", "list", "watch 20"]


def test_who_left_during_an_outage_is_forgotten() -> None:
    case = Case(
        page(cluster("a", "prep-failed")),
        [EXPIRED],
        page(),
        [changed(cluster("a", "prep-failed", version="60"), "ADDED")],
        [],
    )
    assert case.run() == [("failed", "a", True), ("failed", "a", False)]


def test_a_bookmark_only_moves_the_version() -> None:
    mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}}
    case = Case(page(cluster("a")), [mark], [])
    assert case.run() == []
    assert case.hub.asked == ["list", "watch 10", "watch 40"]


@pytest.mark.parametrize("error", [Unanswered("rights", "forbidden", 403), NotThere("no such API")])
def test_what_can_never_be_watched_is_an_error(error: Exception) -> None:
    case = Case(error, page())
    with pytest.raises(IbuError, match="cannot be watched"):
        case.run()


def test_a_right_that_is_lost_later_is_an_outage() -> None:
    case = Case(page(cluster("a")), [Unanswered("rights", "forbidden", 403)], page(cluster("a", "prep-failed")), [])
    assert case.run() == [("failed", "a", False)]
