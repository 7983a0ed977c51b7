# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failed cleanup, driven against a small Lifecycle Agent; the clock moves only when somebody waits."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup import Cleanup, CleanupLimits
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import BACKUP, Item, Location, Mine
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import MANUAL_CLEANUP
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Observed,
    Outcome,
    Refused,
    Result,
    State,
    Unanswered,
)

START = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.timezone.utc)
SPEC = {"seedImageRef": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}}
MANUAL = "Perform cleanup manually then add 'lca.openshift.io/manual-cleanup-done' annotation to ibu CR"
BACKUPS = "failed to cleanup backups: failed to delete backups: context deadline exceeded"
STATEROOT = "failed to clean up host stateroot resources: failed to remove 1 stateroots"
JOB = "failed to job: jobs.batch is forbidden"
LOCATION = ("openshift-adp", "dpa-1")


class Killed(BaseException):
    """The process is gone, as by SIGKILL."""


@dataclass
class World:
    """A cluster whose cleanup has failed. ``failing``: the words of each of the agent's next tries; then it succeeds.

    ``quiet``: the agent says neither Aborting nor another time, as it may; ``deaf``: it never takes the annotation up.
    """

    words: str = BACKUPS
    failing: list[str] = field(default_factory=list)
    quiet: bool = False
    deaf: bool = False
    works_for: float = 30.0
    state: State = State.FINALIZE_FAILED
    version: str = "4.17.3"
    phase: str = "Available"
    back_at: float | None = None
    backups: int = 2
    clean_result: Result = Result.DONE
    die_after: int | None = None
    errors: list[Exception] = field(default_factory=list)
    seconds: float = 0.0
    since: float = 0.0
    annotations: dict[str, str] = field(default_factory=dict)
    ends_at: float | None = None
    patches: list[Mapping[str, Any]] = field(default_factory=list)
    cleaned: list[float] = field(default_factory=list)
    asked_while: list[str] = field(default_factory=list)

    # --- the clock

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        assert seconds > 0, "a wait that does not wait spins"
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        if self.back_at is not None and self.seconds >= self.back_at:
            self.phase = "Available"
        if self.ends_at is not None and self.seconds >= self.ends_at:
            self._end()

    # --- the agent

    def _begin(self) -> None:
        self.annotations.pop(MANUAL_CLEANUP, None)
        self.ends_at = self.seconds + self.works_for
        if not self.quiet:
            self.state, self.since = State.FINALIZING, self.seconds

    def _end(self) -> None:
        self.ends_at = None
        if self.failing:
            self.state, self.words = State.FINALIZE_FAILED, self.failing.pop(0)
        else:
            self.state, self.words = State.IDLE, "Idle"
        if not self.quiet or self.state is State.IDLE:
            self.since = self.seconds
        if MANUAL_CLEANUP in self.annotations and self.state is State.FINALIZE_FAILED:
            # Set too early: consumed on the next failure.
            self._begin()

    # --- what a cleanup needs of the cluster

    def _live(self) -> None:
        if self.die_after is not None:
            self.die_after -= 1
            if self.die_after < 0:
                raise Killed

    def _observed(self) -> Observed:
        self._live()
        return self._seen()

    def _seen(self) -> Observed:
        return Observed(
            self.state,
            version=self.version,
            message=f"{self.words} {MANUAL}" if self.state is State.FINALIZE_FAILED else "",
            since=START + datetime.timedelta(seconds=self.since),
            annotations=dict(self.annotations),
            spec=SPEC,
        )

    def read(self) -> Observed:
        if self.errors:
            raise self.errors.pop(0)
        return self._observed()

    def patch(self, body: Mapping[str, Any]) -> Observed:
        if self.errors:
            raise self.errors.pop(0)
        self.patches.append(body)
        self.asked_while.append(self.phase)
        self.annotations[MANUAL_CLEANUP] = ""
        seen = self._seen()
        if self.state is State.FINALIZE_FAILED and self.ends_at is None and not self.deaf:
            self._begin()
        self._live()
        return seen

    def changes(self, since: Observed, seconds: int) -> Iterator[Observed]:
        before = (self.state, dict(self.annotations))
        for _second in range(seconds):
            self.pass_time(1)
            if (self.state, self.annotations) != before:
                yield self._observed()
                return

    # --- and of OADP

    def look(self) -> Mine:
        names = [("openshift-adp", f"app-{number}") for number in range(self.backups)]
        items = tuple(Item(BACKUP, name, name[1], location=LOCATION, backup=name) for name in names)
        return Mine(backups=items, locations={LOCATION: Location(LOCATION, phase=self.phase, message="refused")})

    def clean(self) -> tuple[Outcome, dict[str, Any]]:
        self.cleaned.append(self.seconds)
        self.pass_time(5)
        removed = {"backups": [f"openshift-adp/app-{number}" for number in range(self.backups)], "restores": []}
        if self.clean_result is Result.DONE:
            self.backups = 0
        outcome = Outcome("site-0001", self.clean_result, message="velero is dead", next_step="look", changed=True)
        return outcome, {"removed": removed, "data_left": [], "volumes": ["pv-app"]}


def cleanup(world: World, **options: Any) -> Cleanup:
    limits = CleanupLimits(**options.pop("limits", {}))
    return Cleanup(world, world, limits, clock=world, stop=threading.Event(), **options)  # type: ignore[arg-type]


def test_a_cause_that_is_gone_needs_one_question() -> None:
    world = World()
    one = cleanup(world)

    assert one.run(world.read()).state is State.IDLE
    assert (one.report.asked, len(one.report.failures), world.cleaned) == (1, 1, [])
    assert one.report.failures[0]["parts"] == ["backups"]
    assert world.patches == [{"metadata": {"annotations": {MANUAL_CLEANUP: ""}}}]
    assert one.changed


@pytest.mark.parametrize("quiet", [False, True])
def test_what_fails_again_is_cleaned_up_and_asked_about_once_more(quiet: bool) -> None:
    world = World(failing=[BACKUPS], quiet=quiet)
    one = cleanup(world)

    assert one.run(world.read()).state is State.IDLE
    assert (one.report.asked, len(world.cleaned)) == (2, 1)
    assert len(one.report.failures) == 2
    assert one.report.removed["backups"] == ["openshift-adp/app-0", "openshift-adp/app-1"]
    assert one.report.volumes == ["pv-app"]


def test_the_old_failure_is_not_taken_for_the_new_one() -> None:
    """The agent works on without a sign, and its message stays as it was: only time tells a second failure."""
    world = World(quiet=True, works_for=300)
    one = cleanup(world)

    assert one.run(world.read()).state is State.IDLE
    assert (one.report.asked, world.cleaned) == (1, [])


def test_a_cleanup_that_fails_for_ever_ends_with_its_parts_and_how_often() -> None:
    world = World(failing=[BACKUPS] * 9)
    one = cleanup(world)

    with pytest.raises(Ended) as caught:
        one.run(world.read())

    assert caught.value.result is Result.FAILED
    assert "cleanup of OADP backups failed: failed to delete backups" in str(caught.value)
    assert "seen 3 times, asked the Lifecycle Agent 2" in str(caught.value)
    assert "removed 2 backups" in str(caught.value)
    assert "logs" in caught.value.step
    assert (one.report.asked, len(world.cleaned)) == (2, 1)


def test_nobody_is_asked_before_the_location_is_back() -> None:
    world = World(phase="Unavailable", back_at=300)
    one = cleanup(world)

    assert one.run(world.read()).state is State.IDLE
    assert world.asked_while == ["Available"]


def test_a_location_that_stays_away_ends_it_before_any_write() -> None:
    world = World(phase="Unavailable")
    one = cleanup(world)

    with pytest.raises(Ended, match="dpa-1 is Unavailable: refused") as caught:
        one.run(world.read())

    assert caught.value.result is Result.TIMED_OUT
    assert 600 <= world.seconds < 620
    assert not world.patches
    assert not one.changed


def test_a_bucket_that_is_given_up_is_cleaned_up_first() -> None:
    world = World(phase="Unavailable")
    one = cleanup(world, orphan_data=True)

    assert one.run(world.read()).state is State.IDLE
    assert (len(world.cleaned), one.report.asked) == (1, 1)


def test_the_word_that_gives_up_the_bucket_does_nothing_where_it_answers() -> None:
    world = World()
    one = cleanup(world, orphan_data=True)

    assert one.run(world.read()).state is State.IDLE
    assert world.cleaned == []


@pytest.mark.parametrize(("version", "name"), [("4.16.8", "rhcos_4.17.3"), ("4.17.3", "")])
def test_a_stateroot_is_left_to_the_node(version: str, name: str) -> None:
    world = World(words=STATEROOT, failing=[STATEROOT], version=version)
    one = cleanup(world)

    with pytest.raises(Ended) as caught:
        one.run(world.read())

    assert one.report.needs_node == name
    assert "recover_stateroot" in caught.value.step
    assert name in caught.value.step
    assert (world.cleaned, one.report.asked) == ([], 1)


def test_exactly_the_parts_that_failed_are_cleaned_up() -> None:
    world = World(words=f"{STATEROOT} {BACKUPS}", failing=[f"{STATEROOT} {BACKUPS}"])
    one = cleanup(world)

    with pytest.raises(Ended) as caught:
        one.run(world.read())

    assert len(world.cleaned) == 1
    assert one.report.needs_node == ""
    assert "cleanup of stateroot failed" in str(caught.value)
    assert "removed 2 backups" in str(caught.value)


def test_a_part_for_people_says_what_they_do() -> None:
    world = World(words=JOB, failing=[JOB])

    with pytest.raises(Ended) as caught:
        cleanup(world).run(world.read())

    assert "precache job" in str(caught.value)
    assert "lca-prep-precache" in caught.value.step
    assert "sno.image_upgrade.recover -l {cluster}" in caught.value.step


def test_a_cleanup_of_oadp_that_fails_ends_it_with_its_own_advice() -> None:
    world = World(failing=[BACKUPS], clean_result=Result.TIMED_OUT)
    one = cleanup(world)

    with pytest.raises(Ended, match="velero is dead") as caught:
        one.run(world.read())

    assert (caught.value.result, caught.value.step) == (Result.TIMED_OUT, "look")
    assert one.report.asked == 1


def test_an_agent_that_does_not_listen_is_named() -> None:
    world = World(deaf=True)

    with pytest.raises(Ended, match="has not taken the annotation") as caught:
        cleanup(world).run(world.read())

    assert caught.value.result is Result.TIMED_OUT
    assert "pod and log" in caught.value.step


def test_a_question_that_somebody_has_asked_is_not_asked_again() -> None:
    world = World(annotations={MANUAL_CLEANUP: ""})
    one = cleanup(world)
    seen = world.read()
    world._begin()

    assert one.run(seen).state is State.IDLE
    assert not world.patches
    assert not one.changed


def test_a_finalize_that_waits_for_ever_ends_at_the_limit() -> None:
    world = World(works_for=1e9)

    with pytest.raises(Ended, match="longer than 2400 s"):
        cleanup(world).run(world.read())


def test_a_short_silence_is_borne_and_a_long_one_is_not() -> None:
    gone = Unanswered("connect", "connection refused")
    world = World()
    seen = world.read()
    world.errors = [gone, gone]
    assert cleanup(world).run(seen).state is State.IDLE

    world = World()
    seen = world.read()
    world.errors = [gone] * 500
    with pytest.raises(Ended) as caught:
        cleanup(world).run(seen)
    assert caught.value.result is Result.UNREACHABLE


def test_missing_rights_end_it_at_once() -> None:
    world = World()
    seen = world.read()
    world.errors = [Refused("ibu is forbidden", 422)]

    with pytest.raises(Ended, match="forbidden") as caught:
        cleanup(world).run(seen)

    assert caught.value.result is Result.REFUSED
    assert world.seconds == 0


@given(
    failing=st.integers(0, 2).map(lambda number: [BACKUPS] * number),
    quiet=st.booleans(),
    works_for=st.floats(1, 300),
    back_at=st.none() | st.floats(1, 500),
    deaths=st.lists(st.integers(0, 12), max_size=4),
)
def test_killed_at_any_moment_the_next_run_converges(
    failing: list[str], quiet: bool, works_for: float, back_at: float | None, deaths: list[int]
) -> None:
    world = World(failing=failing, quiet=quiet, works_for=works_for)
    if back_at is not None:
        world.phase, world.back_at = "Unavailable", back_at
    for death in deaths:
        world.die_after = death
        try:
            one = cleanup(world)
            one.run(one.settle(world.read()))
        except (Killed, Ended):
            pass
    world.die_after = None

    for _rerun in range(2):
        try:
            one = cleanup(world)
            seen = one.run(one.settle(world.read()))
        except Ended as ended:
            # The third failure in one run ends it; the next run goes on.
            assert "seen 3 times" in str(ended)

    assert seen.state is State.IDLE
    assert "Unavailable" not in world.asked_while
