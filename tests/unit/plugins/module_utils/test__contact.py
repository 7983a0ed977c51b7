# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first contact: what is tried again, what is not, and what the user is told to check."""

from __future__ import annotations

import datetime
import threading
import time
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import (
    Clock,
    NoContact,
    Patience,
    away_pause,
    first_contact,
    patient,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import HubImport
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered

MANY = range(200)


class FakeClock(Clock):
    def __init__(self) -> None:
        self.seconds = 50.0

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, stop: threading.Event, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds


class Answers:
    """One answer per read; the last one for ever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.reads = 0

    def __call__(self) -> object:
        answer = self.answers[min(self.reads, len(self.answers) - 1)]
        self.reads += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def trouble(kind: str = "connect", status: int | None = None) -> Unanswered:
    return Unanswered(kind, f"{kind} trouble", status)


def test_the_first_answer_is_enough(clock: FakeClock) -> None:
    read = Answers("here")

    assert first_contact(read, 60, clock) == "here"
    assert (read.reads, clock.seconds) == (1, 50)


@pytest.mark.parametrize(
    "error",
    [trouble(), trouble("timeout"), trouble("http", 429), trouble("http", 503), NotThere("no such path")],
    ids=lambda error: f"{error.kind}-{error.status}",
)
def test_what_may_pass_is_waited_for(clock: FakeClock, error: Unanswered) -> None:
    told: list[Unanswered] = []

    assert first_contact(Answers(error, error, "here"), 60, clock, away=told.append) == "here"
    assert told == [error, error]


def test_patience_ends(clock: FakeClock) -> None:
    with pytest.raises(NoContact, match=r"connect trouble for \d+ s") as caught:
        first_contact(Answers(trouble()), 60, clock)

    assert 60 <= clock.seconds - 50 <= 70
    assert "power, network" in caught.value.next_step
    assert caught.value.next_step.endswith("(docs/runbooks/no-contact)"), "not that of an unknown state"


def test_without_patience_there_is_one_attempt(clock: FakeClock) -> None:
    read = Answers(trouble())

    with pytest.raises(NoContact) as caught:
        first_contact(read, 0, clock)

    assert str(caught.value) == "connect trouble"
    assert read.reads == 1


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (trouble("session", 401), "renew the credential"),
        (trouble("rights", 403), "rights"),
        (trouble("tls"), "certificate-authority-data"),
        (Refused("no such version", 400), "run again"),
    ],
    ids=["401", "403", "tls", "400"],
)
def test_what_will_not_pass_is_said_at_once(clock: FakeClock, error: Exception, remedy: str) -> None:
    read = Answers(error)

    with pytest.raises(NoContact) as caught:
        first_contact(read, 60, clock)

    assert read.reads == 1
    assert str(error) in str(caught.value)
    assert remedy in caught.value.next_step


@pytest.mark.parametrize("error", [trouble("session", 401), trouble("rights", 403), trouble("tls")])
def test_in_a_known_reboot_these_pass_too(clock: FakeClock, error: Unanswered) -> None:
    assert first_contact(Answers(error, error, "here"), 60, clock, expect_away=True) == "here"


def test_a_missing_object_names_the_agent(clock: FakeClock) -> None:
    with pytest.raises(NoContact, match="no ImageBasedUpgrade: 404 page not found") as caught:
        first_contact(Answers(NotThere("404 page not found")), 5, clock)

    assert "Lifecycle Agent" in caught.value.next_step


def test_a_stopped_run_asks_no_more(clock: FakeClock) -> None:
    stop = threading.Event()
    stop.set()
    read = Answers(trouble())

    with pytest.raises(NoContact):
        first_contact(read, 60, clock, stop)

    assert read.reads == 1


def test_a_defect_is_not_taken_for_silence(clock: FakeClock) -> None:
    with pytest.raises(KeyError):
        first_contact(Answers(KeyError("defect")), 60, clock)


@pytest.mark.parametrize(
    ("waited", "least", "most"), [(0, 0.125, 0.25), (1, 0.5, 1), (5, 0.5, 1), (50, 2.5, 5), (99999, 5, 10)]
)
def test_the_pause_grows_with_the_silence_and_is_never_the_same(waited: float, least: float, most: float) -> None:
    pauses = {away_pause(waited) for _attempt in MANY}

    assert all(least <= pause <= most for pause in pauses)
    assert len(pauses) > 1, "a thousand clusters must not ask in step"


def test_the_real_clock_wakes_up_for_a_stop() -> None:
    clock, stop = Clock(), threading.Event()
    stop.set()
    begun = time.monotonic()

    clock.wait(stop, 600)

    assert clock.monotonic() - begun < 60
    assert clock.now().utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.01])
def test_a_pause_that_is_over_already_is_none(seconds: float) -> None:
    clock = Clock()
    begun = clock.monotonic()

    clock.wait(threading.Event(), seconds)

    assert clock.monotonic() - begun < 60


def test_patience_asks_again_while_a_server_is_busy(clock: FakeClock) -> None:
    answers = Answers(trouble("http", 503), trouble("http", 429), trouble(), "an answer")

    assert Patience(10, clock, threading.Event())(answers) == "an answer"
    assert answers.reads == 4


@pytest.mark.parametrize(
    "error",
    [
        trouble("session", 401),
        trouble("rights", 403),
        trouble("tls"),
        trouble("conflict", 409),
        trouble("expired", 410),
        NotThere("x"),
        Refused("x", 422),
    ],
    ids=repr,
)
def test_patience_is_not_for_what_is_final(clock: FakeClock, error: Exception) -> None:
    answers = Answers(error)

    with pytest.raises(type(error)):
        Patience(10, clock, threading.Event())(answers)
    assert answers.reads == 1


def test_patience_with_a_busy_server_ends(clock: FakeClock) -> None:
    with pytest.raises(Unanswered):
        Patience(10, clock, threading.Event())(Answers(trouble("http", 503)))
    assert 60 <= clock.seconds < 75


def test_a_server_that_asks_for_a_pause_gets_it_within_reason(clock: FakeClock) -> None:
    Patience(99, clock, threading.Event())(Answers(Unanswered("http", "busy", 429, retry_after=3600), "an answer"))

    assert clock.seconds == 60


class FakeSession:
    """What is asked goes by way of ``repeat``, as in a real one."""

    url = "https://hub.example.com:6443"

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.repeat: Any = lambda ask: ask()

    def merge_patch(self, _path: str, _document: object) -> object:
        return self.repeat(self.answers)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("error", [trouble("http", 503), trouble("http", 429), trouble("connect"), trouble("timeout")])
def test_a_hub_in_the_middle_of_a_rollout_of_its_own_is_waited_for(clock: FakeClock, error: Unanswered) -> None:
    answers = Answers(error, error, "taken")
    open_hub = patient(lambda: FakeSession(answers), 60, clock, threading.Event())  # type: ignore[arg-type, return-value]

    HubImport(open_hub, "site-0001").hold()

    assert answers.reads == 3 and clock.seconds > 50


def test_a_hub_that_stays_away_is_given_up(clock: FakeClock) -> None:
    answers = Answers(trouble("http", 503))
    open_hub = patient(lambda: FakeSession(answers), 60, clock, threading.Event())  # type: ignore[arg-type, return-value]

    with pytest.raises(Unanswered):
        HubImport(open_hub, "site-0001").hold()

    assert 60 <= clock.seconds - 50 < 80
