# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following a SeedGenerator: it goes away and comes back, and only what it says at its end counts."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import ABSENT, Generation, Phase
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import Look
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Follow, Patience
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Result, Unanswered

REFUSED = Unanswered("connect", "connection refused")
FORBIDDEN = Unanswered("rights", "forbidden", 403)
FIRST = Generation(Phase.PENDING, uid="a")


def running(message: str, uid: str = "a") -> Generation:
    phase = Phase.IMAGING if message == "Launching imager container" else Phase.RUNNING
    return Generation(phase, message, uid=uid)


LAUNCHED = running("Launching imager container")
BACK = running("Finalizing seed generation", "b")
DONE = Generation(Phase.COMPLETED, "Seed Generation completed", uid="b")
GONE = Look(ABSENT, vacant=True)
DELETED = Look(ABSENT, vacant=False)


class World:
    """Answers each look with the next entry of a script, the last one for ever; time passes only by waiting."""

    def __init__(self, *script: Any, watched: tuple[Any, ...] = ()) -> None:
        self.script, self.watched = list(script), list(watched)
        self.seconds, self.looks = 0.0, 0
        self.said: list[str] = []
        self.stop = threading.Event()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        assert seconds > 0, "a wait that does not wait spins"
        self.seconds += seconds

    def look(self) -> Look:
        self.looks += 1
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        return entry if isinstance(entry, Look) else Look(entry)

    def changes(self, _since: Generation, seconds: int) -> Iterator[Generation]:
        self.seconds += 1
        while self.watched:
            entry = self.watched.pop(0)
            if isinstance(entry, Exception):
                raise entry
            yield entry
        self.seconds += seconds

    def follow(self, first: Generation = FIRST, line: Callable[[], str] | None = None, **more: Any) -> Follow:
        self.driver = Follow(
            self,
            Patience(**more),
            clock=self,
            stop=self.stop,
            say=self.said.append,
            host_line=line,  # type: ignore[arg-type]
        )
        return self.driver


def test_the_good_way() -> None:
    world = World(
        REFUSED,
        REFUSED,
        GONE,
        GONE,
        Generation(Phase.PENDING, uid="b"),
        DONE,
        watched=(running("Pulling"), LAUNCHED, NotThere("gone")),
    )
    found = world.follow().run(FIRST)
    assert found == DONE
    for words in ("Pulling", "Launching imager container", "kubelet and CRI-O are stopped", "answers again"):
        assert any(words in line for line in world.said)
    assert world.driver.away_seconds > 0


def test_an_object_that_is_gone_is_no_success_and_after_a_while_a_failure() -> None:
    world = World(GONE, watched=(LAUNCHED, NotThere("gone")))
    with pytest.raises(Ended, match="does not bring the SeedGenerator back") as ended:
        world.follow(lost=900).run(FIRST)
    assert ended.value.result is Result.FAILED
    assert 900 <= world.seconds < 1000


def test_one_that_somebody_has_deleted_is_not_waited_for_as_the_imager_is() -> None:
    world = World(DELETED, watched=(running("Pulling"), NotThere("gone")))
    with pytest.raises(Ended, match="somebody has deleted the SeedGenerator"):
        world.follow(lost=60).run(FIRST)


def test_a_silence_between_starts_the_patience_with_a_missing_object_anew() -> None:
    world = World(*[GONE] * 3, REFUSED, *[GONE] * 3, DONE, watched=(LAUNCHED, NotThere("gone")))
    assert world.follow(lost=4).run(FIRST) == DONE


def test_the_outcome_of_the_one_before_does_not_count() -> None:
    old = Generation(Phase.FAILED, "no", uid="old")
    world = World(old, DONE)
    assert world.follow().run(old, before="old") == DONE


@pytest.mark.parametrize("launched", [False, True])
def test_a_refused_identity_is_final_unless_the_imager_works(launched: bool) -> None:
    world = World(FORBIDDEN, DONE)
    follow = world.follow()
    if launched:
        assert follow.run(ABSENT, launched=True) == DONE
    else:
        with pytest.raises(Ended, match="refuses this identity"):
            follow.run(ABSENT)


def test_a_deadline_ends_every_wait() -> None:
    world = World(REFUSED)
    with pytest.raises(Ended, match="no answer from the API") as ended:
        world.follow(generation=600).run(ABSENT, launched=True)
    assert ended.value.result is Result.TIMED_OUT
    assert "podman logs" in ended.value.step
    assert world.seconds == pytest.approx(600, abs=1)


def test_a_health_gate_is_named_at_the_deadline() -> None:
    gate = running("Waiting for system to stabilize: one or more health checks failed")
    world = World(gate)
    with pytest.raises(Ended) as ended:
        world.follow(generation=600).run(gate)
    assert "repair what the health checks name" in ended.value.step


def test_what_does_not_change_is_told_again_from_time_to_time() -> None:
    world = World(REFUSED)
    with pytest.raises(Ended):
        world.follow(generation=600, progress=60, line=lambda: "pushing layer 7").run(ABSENT, launched=True)
    lines = [line for line in world.said if "the imager says: pushing layer 7" in line]
    assert 8 <= len(lines) <= 10


def test_a_stop_ends_it_at_once() -> None:
    world = World(running("Pulling"))
    world.stop.set()
    with pytest.raises(Ended) as ended:
        world.follow().run(FIRST)
    assert ended.value.result is Result.INTERRUPTED


def test_an_expired_watch_is_no_silence() -> None:
    world = World(BACK, DONE, watched=(Unanswered("expired", "too old", 410),))
    assert world.follow().run(FIRST) == DONE
    assert not any("no answer" in line for line in world.said)


def test_a_deletion_that_no_watch_has_told_is_seen_when_it_is_read_anew() -> None:
    world = World(GONE, REFUSED, BACK, DONE, watched=(LAUNCHED,))
    assert world.follow().run(FIRST) == DONE
    assert any("the SeedGenerator is gone" in line for line in world.said)
