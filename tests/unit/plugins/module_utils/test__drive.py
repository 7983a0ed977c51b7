# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster driven through its goals: it follows a script, and the clock moves only when somebody waits."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._drive import Drive
from ansible_collections.sno.image_upgrade.plugins.module_utils._limits import Limits
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    NotThere,
    Observed,
    Outcome,
    Progress,
    Refused,
    Result,
    SeedImage,
    StageTiming,
    State,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import Health

OLD, NEW = "4.16.8", "4.17.3"
SEED = SeedImage(NEW, "registry.example.com/seed:4.17.3")
SPEC = {"seedImageRef": SEED.as_spec()}
BORN = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
ALLOWED = {
    State.IDLE: ("Prep",),
    State.PREP_RUNNING: ("Idle",),
    State.PREP_FAILED: ("Idle",),
    State.PREP_COMPLETED: ("Idle", "Upgrade"),
    State.UPGRADE_PRE_PIVOT: ("Idle",),
    State.UPGRADE_POST_PIVOT: ("Rollback",),
    State.UPGRADE_COMPLETED: ("Idle", "Rollback"),
    State.ROLLED_BACK: ("Idle",),
    State.ROLLBACK_COMPLETED: ("Idle",),
}
UP = (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE)


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return BORN + datetime.timedelta(seconds=self.seconds)

    def wait(self, stop: threading.Event, seconds: float) -> None:
        assert seconds > 0, "a wait that does not wait spins"
        self.seconds += seconds


def at(
    state: State, version: str = OLD, *, generation: int = 1, uid: str = "a", message: str = "", **more: Any
) -> Observed:
    return Observed(
        state,
        version=version,
        valid_next=ALLOWED.get(state, ()),
        uid=uid,
        generation=generation,
        spec=SPEC,
        message=message or str(state),
        **more,
    )


def away(kind: str = "connect", status: int | None = None) -> Unanswered:
    return NotThere("not found") if status == 404 else Unanswered(kind, f"{kind} trouble", status)


HEALTHY = Health(
    {"status": {"desired": {"version": NEW}}},
    [],
    [{"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}],
    [],
    [],
)
SICK = Health({"status": {"desired": {"version": NEW}}}, [], [], [], [])


class FakeCluster:
    """Answers from a script of (call, answer); the last answer of ``read`` may be repeated for ever."""

    def __init__(self, clock: FakeClock, *script: tuple[str, Any], then: Any = None, health: Any = HEALTHY) -> None:
        self._clock = clock
        self._script = list(script)
        self._then = then
        self._health = health
        self.patches: list[Mapping[str, Any]] = []
        self.calls: list[str] = []

    def _answer(self, call: str) -> Any:
        self.calls.append(call)
        if not self._script and self._then is not None:
            answer = self._then
        else:
            assert self._script, f"nothing left to answer {call} with"
            expected, answer = self._script.pop(0)
            assert call == expected, (call, expected, self.calls)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def read(self) -> Observed:
        found: Observed = self._answer("read")
        return found

    def patch(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Observed:
        self.patches.append(body)
        found: Observed = self._answer("patch")
        return found

    def changes(self, since: Observed, seconds: int) -> Iterator[Observed]:
        while True:
            if not self._script and self._then is not None:
                self._clock.seconds += seconds
                return
            if self._script[0][0] != "event":
                self._clock.seconds += seconds
                return
            yield self._answer("event")

    def health(self) -> Health:
        self.calls.append("health")
        if isinstance(self._health, BaseException):
            raise self._health
        health: Health = self._health
        return health

    def close(self) -> None:
        self.calls.append("close")

    @property
    def stages(self) -> list[str]:
        return [body["spec"]["stage"] for body in self.patches]


class Hold:
    def __init__(self, error: IbuError | None = None) -> None:
        self.error = error
        self.calls: list[str] = []

    def hold(self) -> None:
        self._call("hold")

    def release(self) -> None:
        self._call("release")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.error:
            raise self.error


def run(clock: FakeClock, cluster: FakeCluster, *actions: Action, limits: Limits | None = None, **more: Any) -> Outcome:
    goals = [Goal(action, SEED if action in UP else None) for action in actions]
    stop = more.pop("stop", threading.Event())
    drive = Drive("site-0001", cluster, goals, limits=limits or Limits(), clock=clock, stop=stop, **more)  # type: ignore[arg-type]
    return drive.run()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


IDLE, PREPARED = at(State.IDLE), at(State.PREP_COMPLETED, generation=2)
PRE, POST = at(State.UPGRADE_PRE_PIVOT, generation=3), at(State.UPGRADE_POST_PIVOT, NEW, uid="b")
UPGRADED = at(State.UPGRADE_COMPLETED, NEW, uid="b")
FINALIZING, FINALIZED = at(State.FINALIZING, NEW, uid="b", generation=2), at(State.IDLE, NEW, uid="b", generation=2)


def test_from_idle_to_finalized_through_the_reboot(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", IDLE),
        ("patch", at(State.PENDING, generation=2)),
        ("event", at(State.PREP_RUNNING, generation=2)),
        ("event", PREPARED),
        ("patch", at(State.PENDING, generation=3)),
        ("event", PRE),
        ("event", away()),
        ("read", away()),
        ("read", away(status=404)),
        ("read", at(State.NO_STATUS, NEW, uid="b")),
        ("event", POST),
        ("event", UPGRADED),
        ("patch", FINALIZING),
        ("event", FINALIZED),
    )
    hold = Hold()

    outcome = run(clock, cluster, *UP, import_hold=hold)

    assert outcome.result is Result.DONE, outcome
    assert outcome.completed == ["Prep", "Upgrade", "FinalizeUpgrade"]
    assert (outcome.version_before, outcome.version_after) == (OLD, NEW)
    assert cluster.stages == ["Prep", "Upgrade", "Idle"]
    assert hold.calls == ["hold", "release"]
    assert outcome.away_seconds > 0
    assert cluster.calls.count("health") == 1, "what was verified a moment ago is not verified again"


def test_a_soaked_cluster_is_verified_again(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", PRE),
        ("event", UPGRADED),
        ("read", UPGRADED),
        ("patch", FINALIZING),
        ("event", FINALIZED),
        health=HEALTHY,
    )

    outcome = run(clock, cluster, Action.UPGRADE, Action.FINALIZE_UPGRADE, limits=Limits(soak=300))

    assert outcome.result is Result.DONE
    assert cluster.calls.count("health") == 2


def test_a_finished_cluster_is_left_alone(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", FINALIZED))

    outcome = run(clock, cluster, *UP)

    assert (outcome.result, outcome.changed, cluster.patches) == (Result.DONE, False, [])


@pytest.mark.parametrize(
    "error",
    [
        away("connect"),
        away("timeout"),
        away("tls"),
        away("session", 401),
        away("rights", 403),
        away(status=404),
        away("http", 429),
        away("http", 500),
        away("http", 503),
        away("expired", 410),
    ],
    ids=lambda error: f"{error.kind}-{error.status}",
)
def test_any_silence_is_a_state_during_the_upgrade(clock: FakeClock, error: Unanswered) -> None:
    cluster = FakeCluster(clock, ("read", PRE), ("event", error), ("read", error), ("read", error), ("read", UPGRADED))

    assert run(clock, cluster, Action.UPGRADE).result is Result.DONE


@pytest.mark.parametrize(
    ("error", "patient", "remedy"),
    [
        (away("connect"), True, "power, network"),
        (away("http", 503), True, "run again"),
        (away(status=404), True, "Lifecycle Agent"),
        (away("session", 401), False, "credential"),
        (away("rights", 403), False, "rights"),
        (away("tls"), False, "CA"),
    ],
    ids=lambda value: str(getattr(value, "kind", value)),
)
def test_the_same_silence_is_a_failure_at_first_contact(
    clock: FakeClock, error: Unanswered, patient: bool, remedy: str
) -> None:
    cluster = FakeCluster(clock, then=error)

    outcome = run(clock, cluster, Action.PREP, limits=Limits(contact=30))

    assert outcome.result is Result.UNREACHABLE
    assert remedy in outcome.next_step
    # Not the page of an unknown state: it has none, as nothing was read.
    assert outcome.next_step.endswith("(docs/runbooks/no-contact)") and outcome.state is None
    assert (clock.seconds - 1000 >= 30) is patient


def test_a_known_reboot_is_waited_for_at_first_contact(clock: FakeClock) -> None:
    script = [("read", away("session", 401))] * 200
    cluster = FakeCluster(clock, *script, ("read", UPGRADED))

    assert run(clock, cluster, Action.UPGRADE, expect_away=True).result is Result.DONE


def test_a_server_that_knows_this_identity_no_more_is_not_waited_for(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PRE), then=away("session", 401))

    outcome = run(clock, cluster, Action.UPGRADE, limits=Limits(denied=300))

    assert outcome.result is Result.FAILED
    assert "refuses this identity" in outcome.message and "client certificate" in outcome.next_step
    assert 300 <= clock.seconds - 1000 < 400


def test_a_failed_stage_ends_within_one_event(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock, ("read", PRE), ("event", at(State.ROLLED_BACK, uid="c", message="Rollback due to postpivot failure: x"))
    )

    outcome = run(clock, cluster, Action.UPGRADE)

    assert outcome.result is Result.ROLLED_BACK
    assert outcome.message == "Rollback due to postpivot failure: x"
    assert "abort -l site-0001" in outcome.next_step
    assert clock.seconds == 1000


def test_the_deadline_names_what_the_stage_waits_for(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", at(State.PREP_RUNNING)), then=at(State.PREP_RUNNING, message="pulling"))

    outcome = run(clock, cluster, Action.PREP, limits=Limits(timeouts={Action.PREP: 600}))

    assert outcome.result is Result.TIMED_OUT
    assert "longer than 600 s" in outcome.message and "pulling" in outcome.message
    assert 600 <= clock.seconds - 1000 < 760


def test_the_deadline_counts_during_an_outage(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PRE), then=away("connect"))

    outcome = run(clock, cluster, Action.UPGRADE, limits=Limits(timeouts={Action.UPGRADE: 900}))

    assert outcome.result is Result.TIMED_OUT
    assert "no answer for" in outcome.message and "before reboot" in outcome.message


def test_a_refusal_is_reported_in_the_apis_words(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE), ("patch", Refused("no such image reference", 422)), ("read", IDLE))

    outcome = run(clock, cluster, Action.PREP)

    assert outcome.result is Result.REFUSED
    assert "no such image reference" in outcome.message and "it allows: Prep" in outcome.message


def test_a_refusal_is_forgotten_where_the_cluster_has_moved_on(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE), ("patch", Refused("not permitted", 422)), ("read", PREPARED))

    assert run(clock, cluster, Action.PREP).result is Result.DONE


def test_a_patch_whose_answer_was_lost_is_not_sent_again(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PREPARED), ("patch", away("timeout")), ("read", PRE), ("event", UPGRADED))

    assert run(clock, cluster, Action.UPGRADE).result is Result.DONE
    assert cluster.stages == ["Upgrade"]


def test_an_event_of_before_the_patch_is_not_believed(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", at(State.IDLE, generation=1)),
        ("patch", at(State.PENDING, generation=2)),
        ("event", at(State.IDLE, generation=1)),
        ("event", PREPARED),
    )

    assert run(clock, cluster, Action.PREP).result is Result.DONE
    assert cluster.stages == ["Prep"]


def test_the_object_of_before_the_reboot_is_waited_out_on_the_way_back(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", UPGRADED),
        ("patch", at(State.ROLLBACK_RUNNING, NEW, uid="b", generation=2)),
        ("event", away()),
        ("read", at(State.UPGRADE_PRE_PIVOT, uid="a", generation=3)),
        ("read", at(State.UPGRADE_PRE_PIVOT, uid="a", generation=3)),
        ("read", at(State.ROLLBACK_COMPLETED, uid="c")),
    )

    outcome = run(clock, cluster, Action.ROLLBACK, limits=Limits(settle=600))

    assert outcome.result is Result.DONE
    assert cluster.stages == ["Rollback"]


def test_what_does_not_settle_is_refused(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PRE), then=PRE)

    outcome = run(clock, cluster, Action.ROLLBACK, limits=Limits(settle=180))

    assert outcome.result is Result.REFUSED
    assert 180 <= clock.seconds - 1000 < 400


@pytest.mark.parametrize("health", [SICK, away("http", 503)], ids=["sick", "unreadable"])
def test_nothing_is_finalized_without_verification(clock: FakeClock, health: Any) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), then=UPGRADED, health=health)

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(verify=120))

    assert outcome.result is Result.UNVERIFIED
    assert cluster.patches == []
    assert "rollback -l site-0001" in outcome.next_step
    assert 120 <= clock.seconds - 1000 < 200


@pytest.mark.parametrize(("soak", "completed", "waited"), [(0, 0, 0), (300, 100, 200), (300, 400, 0), (300, -50, 300)])
def test_soak_counts_from_the_end_of_the_upgrade(clock: FakeClock, soak: int, completed: int, waited: int) -> None:
    since = BORN - datetime.timedelta(seconds=completed)
    upgraded = at(State.UPGRADE_COMPLETED, NEW, uid="b", since=since, now=BORN)
    again = [("read", upgraded)] if waited else []
    cluster = FakeCluster(clock, ("read", upgraded), *again, ("patch", FINALIZING), ("event", FINALIZED))

    run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(soak=soak))

    assert clock.seconds - 1000 == pytest.approx(waited)


@pytest.mark.parametrize(("health", "result"), [(HEALTHY, Result.DONE), (SICK, Result.UNVERIFIED)], ids=["fit", "sick"])
def test_an_upgrade_that_an_earlier_run_left_is_verified_all_the_same(
    clock: FakeClock, health: Health, result: Result
) -> None:
    cluster, hold = FakeCluster(clock, ("read", UPGRADED), then=UPGRADED, health=health), Hold()

    outcome = run(clock, cluster, Action.PREP, Action.UPGRADE, import_hold=hold, limits=Limits(verify=60))

    assert outcome.result is result
    assert cluster.patches == []
    assert hold.calls == (["release"] if result is Result.DONE else [])


def test_no_upgrade_without_the_hubs_consent(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PREPARED))

    outcome = run(clock, cluster, Action.UPGRADE, import_hold=Hold(IbuError("hub is down")))

    assert outcome.result is Result.FAILED and "hub is down" in outcome.message
    assert cluster.patches == []


def test_a_stop_while_the_hub_is_waited_for_is_no_failure(clock: FakeClock) -> None:
    stop, cluster = threading.Event(), FakeCluster(clock, ("read", PREPARED))

    class Leaving(Hold):
        def hold(self) -> None:
            stop.set()
            raise Unanswered("http", "the hub is busy", 503)

    outcome = run(clock, cluster, Action.UPGRADE, import_hold=Leaving(), stop=stop)

    assert outcome.result is Result.INTERRUPTED


def test_a_hub_that_does_not_let_go_is_a_note(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE))
    hold = Hold(IbuError("hub is down"))
    drive_to_abort = FakeCluster(
        clock, ("read", PREPARED), ("patch", at(State.ABORTING, generation=3)), ("event", IDLE_AGAIN)
    )

    assert run(clock, cluster, Action.ABORT, import_hold=hold).notes == []
    outcome = run(clock, drive_to_abort, Action.ABORT, import_hold=hold)

    assert outcome.result is Result.DONE
    assert outcome.notes == ["the hub still holds its auto-import back: hub is down"]


IDLE_AGAIN = at(State.IDLE, generation=3)


def test_the_record_is_written_before_the_node_reboots(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", PREPARED), ("patch", PRE), ("event", UPGRADED))
    seen: list[int] = []

    run(clock, cluster, Action.UPGRADE, commit=lambda: seen.append(len(cluster.patches)))

    assert seen == [0]


def test_prep_needs_no_such_record(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE), ("patch", at(State.PREP_RUNNING, generation=2)), ("event", PREPARED))
    seen: list[int] = []

    run(clock, cluster, Action.PREP, commit=lambda: seen.append(1))

    assert seen == []


def test_a_stopped_run_sends_nothing_more(clock: FakeClock) -> None:
    stop = threading.Event()
    cluster = FakeCluster(clock, ("read", PREPARED))

    outcome = run(clock, cluster, Action.UPGRADE, stop=stop, commit=stop.set)

    assert outcome.result is Result.INTERRUPTED
    assert cluster.patches == []


@pytest.mark.parametrize(
    ("first", "message", "changed"),
    [(IDLE, "would go to Prep", True), (at(State.PREP_RUNNING), "would wait", False), (FINALIZED, "", False)],
    ids=["request", "wait", "nothing"],
)
def test_check_mode_only_looks(clock: FakeClock, first: Observed, message: str, changed: bool) -> None:
    cluster = FakeCluster(clock, ("read", first))

    outcome = run(clock, cluster, *UP, check=True)

    assert outcome.result is Result.DONE
    assert message in outcome.message
    assert (outcome.changed, cluster.patches) == (changed, [])


def test_abort_skips_the_upgraded(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED))

    outcome = run(clock, cluster, Action.ABORT)

    assert outcome.result is Result.SKIPPED
    assert cluster.patches == []


def test_durations_come_from_the_clusters_own_clock(clock: FakeClock) -> None:
    later = BORN + datetime.timedelta(seconds=41)
    cluster = FakeCluster(
        clock,
        ("read", UPGRADED),
        ("patch", at(State.FINALIZING, NEW, uid="b", generation=2, now=BORN)),
        ("event", at(State.IDLE, NEW, uid="b", generation=2, since=later)),
    )

    assert run(clock, cluster, Action.FINALIZE_UPGRADE).durations == {"FinalizeUpgrade": 41.0}


def test_an_import_that_an_earlier_run_held_is_let_go_before_finalizing(clock: FakeClock) -> None:
    """A run that was killed in its Upgrade has held the import; only the next one can let it go."""
    hold = Hold()
    cluster = FakeCluster(clock, ("read", UPGRADED), ("patch", FINALIZING), ("event", FINALIZED))

    assert run(clock, cluster, *UP, import_hold=hold).result is Result.DONE
    assert hold.calls == ["release"]


def test_a_soak_does_not_let_go_twice(clock: FakeClock) -> None:
    hold = Hold()
    cluster = FakeCluster(
        clock, ("read", PRE), ("event", UPGRADED), ("read", UPGRADED), ("patch", FINALIZING), ("event", FINALIZED)
    )

    run(clock, cluster, Action.UPGRADE, Action.FINALIZE_UPGRADE, limits=Limits(soak=300), import_hold=hold)

    assert hold.calls == ["release"]


@pytest.mark.parametrize(
    ("script", "actions", "calls"),
    [
        ([("read", at(State.ROLLED_BACK))], [Action.UPGRADE], []),
        (
            [("read", PREPARED), ("patch", at(State.ABORTING, generation=3)), ("event", at(State.IDLE, generation=3))],
            [Action.ABORT],
            ["release"],
        ),
        (
            [("read", at(State.ROLLBACK_COMPLETED)), ("patch", at(State.FINALIZING)), ("event", at(State.IDLE))],
            [Action.FINALIZE_ROLLBACK],
            ["release"],
        ),
        (
            [("read", UPGRADED), ("patch", at(State.ROLLBACK_RUNNING)), ("event", at(State.ROLLBACK_COMPLETED))],
            [Action.ROLLBACK],
            [],
        ),
    ],
    ids=["failed upgrade", "abort", "finalized rollback", "rollback"],
)
def test_when_the_hub_may_import_again(
    clock: FakeClock, script: list[tuple[str, Any]], actions: list[Action], calls: list[str]
) -> None:
    hold = Hold()

    run(clock, FakeCluster(clock, *script), *actions, import_hold=hold)

    assert hold.calls == calls


def test_an_unverified_upgrade_is_not_given_back_to_the_hub(clock: FakeClock) -> None:
    hold = Hold()
    cluster = FakeCluster(clock, ("read", PRE), ("event", UPGRADED), then=UPGRADED, health=SICK)

    outcome = run(clock, cluster, Action.UPGRADE, limits=Limits(verify=30), import_hold=hold)

    assert outcome.result is Result.UNVERIFIED
    assert hold.calls == []


@pytest.mark.parametrize(
    ("status", "ends"), [(401, Result.FAILED), (403, Result.FAILED), (404, Result.TIMED_OUT), (503, Result.TIMED_OUT)]
)
def test_only_a_lasting_refusal_of_the_identity_ends_early(clock: FakeClock, status: int, ends: Result) -> None:
    cluster = FakeCluster(clock, ("read", PRE), then=away("http", status))

    outcome = run(clock, cluster, Action.UPGRADE, limits=Limits(denied=300, timeouts={Action.UPGRADE: 900}))

    assert outcome.result is ends


def test_refusals_of_the_identity_with_silence_between_do_not_add_up(clock: FakeClock) -> None:
    turns = [away("session", 401)] * 8 + [away()]
    cluster = FakeCluster(clock, ("read", PRE), *(("read", turn) for turn in turns * 20), ("read", UPGRADED))
    limits = Limits(denied=120)

    assert run(clock, cluster, Action.UPGRADE, limits=limits).result is Result.DONE
    assert clock.seconds - 1000 > 600


def test_a_quiet_end_of_a_watch_is_followed_by_a_read(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", at(State.PREP_RUNNING)), ("read", at(State.PREP_RUNNING)), ("read", PREPARED))

    assert run(clock, cluster, Action.PREP).result is Result.DONE
    assert cluster.calls == ["read", "read", "read", "close"]


@pytest.mark.parametrize(("kind", "status"), [("expired", 410), ("conflict", 409)])
def test_a_watch_that_expired_is_no_outage(clock: FakeClock, kind: str, status: int) -> None:
    cluster = FakeCluster(
        clock, ("read", at(State.PREP_RUNNING)), ("event", away(kind, status)), ("read", at(State.PREP_COMPLETED))
    )

    outcome = run(clock, cluster, Action.PREP)

    assert (outcome.result, outcome.away_seconds, clock.seconds) == (Result.DONE, 0, 1000)


def test_a_patch_that_did_not_arrive_is_sent_once_more(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock, ("read", PREPARED), ("patch", away()), ("read", PREPARED), ("patch", PRE), ("event", UPGRADED)
    )

    assert run(clock, cluster, Action.UPGRADE).result is Result.DONE
    assert cluster.stages == ["Upgrade", "Upgrade"]


class Stubborn(FakeCluster):
    """Can be read at any time, and takes nothing."""

    def __init__(self, clock: FakeClock, seen: Observed, error: Unanswered) -> None:
        super().__init__(clock, then=seen)
        self.error = error

    def patch(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Observed:
        self.patches.append(body)
        raise self.error


def test_a_cluster_that_lets_itself_be_read_but_not_written_is_not_waited_for(clock: FakeClock) -> None:
    cluster = Stubborn(clock, IDLE, away("rights", 403))

    outcome = run(clock, cluster, Action.PREP, limits=Limits(denied=300))

    assert outcome.result is Result.REFUSED
    assert "has not let this identity go to Prep for 3" in outcome.message and "rights trouble" in outcome.message
    assert "docs/rbac" in outcome.next_step
    assert not outcome.changed
    assert 300 <= clock.seconds - 1000 < 400


def test_what_kept_a_patch_from_being_taken_is_said_at_the_deadline(clock: FakeClock) -> None:
    cluster = Stubborn(clock, IDLE, away("http", 500))
    seen: list[str] = []

    limits = Limits(timeouts={Action.PREP: 900})
    goals = [Goal(Action.PREP, SEED)]
    drive = Drive("a", cluster, goals, limits=limits, clock=clock, stop=threading.Event())
    drive._notify = lambda: seen.append(drive.view.note)
    outcome = drive.run()

    assert outcome.result is Result.TIMED_OUT
    assert "did not take Prep: http trouble" in outcome.message
    assert "the API did not take Prep: http trouble" in seen
    assert outcome.changed, "it may have arrived"
    assert len(cluster.patches) < 200, "the longer it lasts, the less often it is asked"


def test_what_kept_a_patch_is_forgotten_once_it_is_taken(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", IDLE),
        ("patch", away("http", 500)),
        ("read", IDLE),
        ("patch", at(State.PENDING, generation=2)),
        then=at(State.PREP_RUNNING, generation=2),
    )

    outcome = run(clock, cluster, Action.PREP, limits=Limits(timeouts={Action.PREP: 900}))

    assert outcome.result is Result.TIMED_OUT and "did not take" not in outcome.message


def test_a_cluster_that_falls_silent_after_it_took_no_patch_is_said_to_be_silent(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE), ("patch", away("http", 500)), ("read", IDLE), then=away("connect"))

    outcome = run(clock, cluster, Action.PREP, limits=Limits(timeouts={Action.PREP: 900}))

    assert outcome.result is Result.TIMED_OUT
    assert "no answer for" in outcome.message and "console" in outcome.next_step


def test_a_stop_in_the_middle_of_an_outage(clock: FakeClock) -> None:
    stop = threading.Event()
    cluster = FakeCluster(clock, ("read", PRE), then=away())

    outcome = run(
        clock, cluster, Action.UPGRADE, stop=stop, notify=lambda: stop.set() if clock.seconds > 1100 else None
    )

    assert outcome.result is Result.INTERRUPTED
    assert outcome.state == "before reboot"
    assert clock.seconds < 1130


def test_a_stop_while_it_waits_for_the_first_answer(clock: FakeClock) -> None:
    stop = threading.Event()
    cluster = FakeCluster(clock, then=away())

    outcome = run(clock, cluster, Action.PREP, stop=stop, notify=stop.set)

    assert outcome.result is Result.INTERRUPTED


def test_a_stopped_soak_finalizes_nothing(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(clock, "wait", lambda stop, _seconds: stop.set())
    cluster = FakeCluster(clock, ("read", UPGRADED))

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(soak=300), stop=stop)

    assert (outcome.result, cluster.patches) == (Result.INTERRUPTED, [])


@pytest.mark.parametrize("state", [State.ROLLBACK_COMPLETED, State.IDLE])
def test_what_a_person_did_during_the_soak_is_seen_before_anything_is_finalized(clock: FakeClock, state: State) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), ("read", at(state)))

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(soak=300))

    assert cluster.patches == []
    assert (outcome.result.is_failure, outcome.state, outcome.version_after) == (True, str(state), OLD)
    assert "health" not in cluster.calls


def test_what_a_person_did_during_the_verification_is_what_the_outcome_says(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), then=at(State.ROLLBACK_COMPLETED), health=SICK)

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(verify=30))

    assert (outcome.result, outcome.state) == (Result.REFUSED, str(State.ROLLBACK_COMPLETED))
    assert "somebody" in outcome.message and str(State.ROLLBACK_COMPLETED) in outcome.message
    assert "sno.image_upgrade.rollback -l" in outcome.next_step
    assert cluster.patches == []


def test_a_cluster_that_falls_silent_while_it_is_verified_is_not_verified(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), then=away(), health=away())

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(verify=30))

    assert outcome.result is Result.UNVERIFIED
    assert "its health cannot be read" in outcome.message


def test_a_soak_longer_than_the_deadline_is_no_timeout(clock: FakeClock) -> None:
    limits = Limits(soak=9000, timeouts={Action.FINALIZE_UPGRADE: 600})
    cluster = FakeCluster(
        clock,
        ("read", UPGRADED),
        ("read", UPGRADED),
        ("patch", FINALIZING),
        ("event", FINALIZING),
        ("event", FINALIZED),
    )

    assert run(clock, cluster, Action.FINALIZE_UPGRADE, limits=limits).result is Result.DONE


def test_health_that_mends_is_waited_for(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), ("patch", FINALIZING), ("event", FINALIZED))
    states = iter([SICK, away(), HEALTHY])

    def health() -> Health:
        found = next(states)
        if isinstance(found, Exception):
            raise found
        return found

    cluster.health = health  # type: ignore[method-assign]

    assert run(clock, cluster, Action.FINALIZE_UPGRADE).result is Result.DONE


def test_the_way_out_of_a_late_stage_depends_on_what_it_waits_for(clock: FakeClock) -> None:
    steps = {}
    for name, state, progress in (
        ("ignored", State.PENDING, Progress()),
        ("unhealthy", State.UPGRADE_POST_PIVOT, Progress(health=("node n is not ready",))),
        ("watchdog", State.UPGRADE_POST_PIVOT, Progress()),
        ("backup", State.UPGRADE_PRE_PIVOT, Progress()),
        ("other", State.PREP_RUNNING, Progress()),
    ):
        seen = at(state, progress=progress)
        outcome = run(clock, FakeCluster(clock, ("read", seen), then=seen), Action.UPGRADE)
        assert outcome.result is Result.TIMED_OUT
        steps[name] = outcome.next_step

    assert "lca.openshift.io/trigger-reconcile" in steps["ignored"]
    assert "repair what the health checks name" in steps["unhealthy"]
    assert "wait for the watchdog" in steps["watchdog"] and "rollback -l site-0001" in steps["watchdog"]
    assert "run again" in steps["backup"] and "abort -l site-0001" in steps["backup"]
    assert "abort -l site-0001" in steps["other"]


def test_the_view_follows_the_drive(clock: FakeClock) -> None:
    seen: list[tuple[str, bool]] = []
    cluster = FakeCluster(clock, ("read", PRE), ("event", away()), ("read", away()), ("read", UPGRADED))
    drive = Drive(
        "a",
        cluster,
        [Goal(Action.UPGRADE, SEED)],
        limits=Limits(),
        clock=clock,  # type: ignore[arg-type]
        stop=threading.Event(),
        notify=lambda: seen.append((str(drive.outcome.state), drive.view.away_since is not None)),
    )

    outcome = drive.run()

    assert ("before reboot", True) in seen, "while it is away, the last state stands"
    assert seen[-1] == ("upgraded", False)
    assert outcome.ended and outcome.started and outcome.seconds == pytest.approx(clock.seconds - 1000, abs=0.01)
    assert cluster.calls[-1] == "close"


def test_settling_starts_anew_after_the_cluster_has_moved(clock: FakeClock) -> None:
    leftover = at(State.UPGRADE_PRE_PIVOT, uid="b", generation=2)
    cluster = FakeCluster(
        clock,
        ("read", leftover),
        ("read", at(State.PENDING, uid="b", generation=2)),
        *[("read", at(State.ROLLBACK_RUNNING, uid="b", generation=2))] * 6,
        ("read", leftover),
        ("read", at(State.ROLLBACK_COMPLETED, uid="b", generation=2)),
    )

    assert run(clock, cluster, Action.ROLLBACK, limits=Limits(settle=180)).result is Result.DONE


def test_refusals_of_the_identity_with_an_answer_between_do_not_add_up(clock: FakeClock) -> None:
    episode = [("event", away("session", 401)), *[("read", away("session", 401))] * 25, ("read", PRE)]
    cluster = FakeCluster(clock, ("read", PRE), *episode * 15, ("event", UPGRADED))

    assert run(clock, cluster, Action.UPGRADE, limits=Limits(denied=200)).result is Result.DONE
    assert clock.seconds - 1000 > 200


def test_of_several_outages_the_longest_counts(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", PRE),
        ("event", away()),
        *[("read", away())] * 30,
        ("read", PRE),
        ("event", away()),
        ("read", UPGRADED),
    )

    assert run(clock, cluster, Action.UPGRADE).away_seconds > 10


def test_durations_of_other_stages_are_not_taken(clock: FakeClock) -> None:
    history = (StageTiming("Prep", BORN, 99.0), StageTiming("Upgrade", BORN, 7.0))
    upgraded = at(State.UPGRADE_COMPLETED, NEW, uid="b", history=history)

    assert run(clock, FakeCluster(clock, ("read", PRE), ("event", upgraded)), Action.UPGRADE).durations == {
        "Upgrade": 7.0
    }


# --- a step of a plan -----------------------------------------------------------------------------------------------

FAILED_PREP = at(State.PREP_FAILED, generation=2, message="bad seed")


def test_a_cluster_that_is_left_alone_is_only_read(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", IDLE))

    outcome = run(clock, cluster, Action.UPGRADE, leaves=lambda observed: f"it is {observed.state}")

    assert (outcome.result, outcome.message, outcome.action) == (Result.SKIPPED, "it is idle", "Upgrade")
    assert cluster.calls == ["read", "close"]


def test_whether_to_leave_it_alone_is_asked_once_the_agent_has_written_what_it_is(clock: FakeClock) -> None:
    asked: list[State] = []

    def leaves(observed: Observed) -> str:
        asked.append(observed.state)
        return ""

    blocked = at(State.BLOCKED, generation=3)
    cluster = FakeCluster(
        clock, ("read", at(State.PENDING, generation=3)), ("event", blocked), ("event", PRE), ("event", UPGRADED)
    )

    assert run(clock, cluster, Action.UPGRADE, leaves=leaves).result is Result.DONE
    assert asked == [State.UPGRADE_PRE_PIVOT]


def test_what_never_shows_who_it_is_times_out(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", at(State.NO_STATUS)), then=at(State.NO_STATUS))

    outcome = run(clock, cluster, Action.UPGRADE, leaves=lambda _observed: "", limits=Limits(whole=300))

    assert outcome.result is Result.TIMED_OUT
    assert clock.seconds - 1000 < 460


def test_the_minutes_of_a_cluster_count_for_all_its_actions_and_replace_the_defaults(clock: FakeClock) -> None:
    slow = [("event", at(State.PREP_RUNNING, generation=2)) for _number in range(3)]
    cluster = FakeCluster(
        clock, ("read", IDLE), ("patch", at(State.PENDING, generation=2)), *slow, then=at(State.PREP_RUNNING)
    )

    outcome = run(clock, cluster, Action.PREP, Action.UPGRADE, limits=Limits(whole=7200))

    assert outcome.result is Result.TIMED_OUT
    assert "120 minutes of this cluster in its step were over" in outcome.message
    assert 7200 <= clock.seconds - 1000 < 7400, "Prep's own hour does not count"


def test_the_end_of_the_step_comes_before_the_end_of_the_action(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", at(State.PREP_RUNNING)), then=at(State.PREP_RUNNING))

    outcome = run(clock, cluster, Action.PREP, limits=Limits(until=1600))

    assert outcome.result is Result.TIMED_OUT
    assert "Prep was not over when the time of its step was over" in outcome.message
    assert 1600 <= clock.seconds < 1760


def test_the_action_has_its_own_deadline_within_the_step(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", at(State.PREP_RUNNING)), then=at(State.PREP_RUNNING))

    outcome = run(clock, cluster, Action.PREP, limits=Limits(until=9999, timeouts={Action.PREP: 600}))

    assert "Prep took longer than 600 s" in outcome.message


def test_nobody_waits_for_a_first_answer_longer_than_its_step_lasts(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, then=away())

    outcome = run(clock, cluster, Action.UPGRADE, limits=Limits(until=1300), expect_away=True)

    assert outcome.result is Result.UNREACHABLE
    assert clock.seconds < 1320


def test_a_soak_ends_with_its_step_and_nothing_is_finalized(clock: FakeClock) -> None:
    fresh = at(State.UPGRADE_COMPLETED, NEW, uid="b", since=BORN, now=BORN)
    cluster = FakeCluster(clock, ("read", fresh))

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(soak=3600, until=1600))

    assert outcome.result is Result.TIMED_OUT
    assert (cluster.stages, clock.seconds) == ([], 1600)


def test_a_verification_ends_with_its_step(clock: FakeClock) -> None:
    cluster = FakeCluster(clock, ("read", UPGRADED), then=UPGRADED, health=SICK)

    outcome = run(clock, cluster, Action.FINALIZE_UPGRADE, limits=Limits(verify=600, until=1100))

    assert outcome.result is Result.UNVERIFIED
    assert clock.seconds < 1120


def test_abort_on_failure_takes_a_failed_cluster_home_and_lets_the_hub_import_again(clock: FakeClock) -> None:
    commits: list[int] = []
    hold = Hold()
    cluster = FakeCluster(
        clock,
        ("read", FAILED_PREP),
        ("patch", at(State.PENDING, generation=3)),
        ("event", at(State.ABORTING, generation=3)),
        ("event", at(State.IDLE, generation=3)),
    )

    outcome = run(
        clock, cluster, Action.ABORT_ON_FAILURE, import_hold=hold, commit=lambda: commits.append(len(cluster.patches))
    )

    assert (outcome.result, outcome.completed, outcome.message) == (Result.DONE, ["AbortOnFailure"], "")
    assert cluster.stages == ["Idle"]
    assert commits == [0], "the file says so before the cluster is asked"
    assert hold.calls == ["release"]


@pytest.mark.parametrize("state", [State.IDLE, State.PREP_RUNNING, State.PREP_COMPLETED, State.UPGRADE_POST_PIVOT])
def test_abort_on_failure_touches_nothing_of_anybody_else(clock: FakeClock, state: State) -> None:
    """The hub's annotation neither: its cluster may be in the middle of its reboot."""
    hold = Hold()
    cluster = FakeCluster(clock, ("read", at(state)))

    outcome = run(clock, cluster, Action.ABORT_ON_FAILURE, import_hold=hold)

    assert (outcome.result, outcome.completed) == (Result.SKIPPED, [])
    assert f"it is {state}, not failed" in outcome.message
    assert (cluster.patches, hold.calls) == ([], [])


def test_an_abort_on_failure_that_fails_is_a_failure(clock: FakeClock) -> None:
    cluster = FakeCluster(
        clock,
        ("read", FAILED_PREP),
        ("patch", at(State.ABORTING, generation=3)),
        ("event", at(State.ABORT_FAILED, generation=3, message="stateroot busy")),
    )

    outcome = run(clock, cluster, Action.ABORT_ON_FAILURE)

    assert (outcome.result, outcome.message) == (Result.FAILED, "stateroot busy")
    assert "manual-cleanup-done" in outcome.next_step
