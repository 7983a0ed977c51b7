# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source against a simulated hub: what it tells, and that it stays at it over outages and lost watches."""

from __future__ import annotations

import asyncio
import contextlib
import runpy
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playbooks.runs import Playground, Started, failing, names, scenario
from playbooks.test_group import FINALIZE, PREP, UPGRADE, VARIABLES, plan

SOURCE = (
    Path(__file__).resolve().parents[2]
    / ".collections/ansible_collections/sno/image_upgrade/extensions/eda/plugins/event_source/hub.py"
)
PATIENCE = 60.0
# What is waited for may be something else than an event.
LOOK_SECONDS = 0.1

Prepare = Callable[..., Playground]


class Listener:
    """What the source has put into its queue."""

    def __init__(self, queue: asyncio.Queue[dict[str, Any]], task: asyncio.Task[None]) -> None:
        self._queue = queue
        self.task = task
        self.events: list[dict[str, Any]] = []

    async def until(self, is_true: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Everything told until then."""

        async def listen() -> None:
            while not is_true(self.events):
                with contextlib.suppress(asyncio.TimeoutError):
                    self.events.append((await asyncio.wait_for(self._queue.get(), LOOK_SECONDS))["ibu"])

        listening = asyncio.ensure_future(listen())
        done, _ = await asyncio.wait({listening, self.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if listening not in done:
            listening.cancel()
            if self.task in done:
                self.task.result()
            raise AssertionError(f"not within {PATIENCE:g} s; told so far: {self.events}")
        return self.events

    def found(self, kind: str, action: str) -> list[str]:
        return sorted(one["cluster"] for one in self.events if (one["type"], one.get("action")) == (kind, action))


@contextlib.asynccontextmanager
async def listening(ground: Playground, **args: Any) -> AsyncIterator[Listener]:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    main = runpy.run_path(str(SOURCE))["main"]
    task = asyncio.ensure_future(main(queue, {"kubeconfig": str(ground.fleet.hub_kubeconfig), **args}))
    try:
        yield Listener(queue, task)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


@pytest.fixture(name="group")
def fixture_group(prepare: Prepare) -> Callable[..., Playground]:
    def make(count: int, **more: Any) -> Playground:
        return prepare(
            scenario(count, hub=True, **more), **{**VARIABLES, "ibgu_plan": plan(PREP, UPGRADE, FINALIZE, minutes=300)}
        )

    return make


def started(ground: Playground) -> Started:
    return ground.start("group_upgrade")


def test_every_action_of_every_cluster_is_told_once(group: Prepare) -> None:
    ground = group(3, troubles=failing(2))

    async def run() -> Listener:
        async with listening(ground, watch=["works", "clusters"]) as heard:
            with started(ground) as playing:
                await heard.until(lambda _: heard.found("completed", "Upgrade") == names(1, 3))
                await heard.until(lambda _: heard.found("failed", "Prep") == names(2))
                await asyncio.to_thread(playing.wait)
            return heard

    heard = asyncio.run(run())
    assert heard.found("completed", "Prep") == names(1, 3)
    (failure,) = [one for one in heard.events if one["type"] == "failed"]
    assert failure["source"] == "ManifestWork" and failure["message"] and not failure["initial"]
    assert failure["group"].startswith("north-prep")


def test_what_is_there_already_is_told_as_such(group: Prepare) -> None:
    ground = group(2, troubles=failing(2))
    ground.play("group_upgrade")

    async def run() -> list[dict[str, Any]]:
        async with listening(ground, watch="clusters") as heard:
            return list(await heard.until(lambda events: any(one["type"] == "failed" for one in events)))

    events = asyncio.run(run())
    assert {one["initial"] for one in events} == {True}


@pytest.mark.parametrize("trouble", ["cut", "errors", "compact"])
def test_it_stays_at_it_over_outages_and_lost_watches(
    group: Prepare, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    ground = group(2, troubles=failing(2))
    control = ground.fleet.control

    async def run() -> Listener:
        # Short watches, so that one begins while the hub is in trouble.
        async with listening(ground, watch_seconds=1) as heard:
            with started(ground) as playing:
                await heard.until(lambda _: heard.found("failed", "Prep") == names(2))
                if trouble == "cut":
                    control.cut("hub")
                elif trouble == "compact":
                    control.compact("hub")
                else:
                    control.errors("hub", 503)
                    await heard.until(lambda _: "does not answer" in caplog.text)
                    control.errors("hub", None)
                await heard.until(lambda _: heard.found("completed", "Upgrade") == names(1))
                await asyncio.to_thread(playing.wait)
            return heard

    heard = asyncio.run(run())
    assert heard.found("completed", "Prep") == names(1)
    assert heard.found("failed", "Prep") == names(2)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"watch": ["everything"]}, "'everything' is not valid"),
        ({"watch": []}, "is not valid"),
        ({"kubekonfig": "x"}, "'kubekonfig' is no option"),
        ({"kubeconfig": "/nowhere"}, "cannot be read"),
    ],
)
def test_options_of_no_use_are_named(group: Prepare, args: dict[str, Any], says: str) -> None:
    ground = group(1)

    async def run() -> None:
        async with listening(ground, **args) as heard:
            await heard.until(lambda _events: False)

    with pytest.raises(Exception, match=says):
        asyncio.run(run())
