# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster to one stage, as ``ibu_stage`` asks for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._stage import (
    Answer,
    Request,
    StageFailed,
    action_for,
    merged,
    to_stage,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    InvalidOption,
    Observed,
    Refused,
    Stage,
    State,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import Health

OLD, NEW = "4.16.8", "4.17.3"
SEED = {"version": NEW, "image": "registry.example.com/seed:1"}
NODE = {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
VERSION = {"status": {"desired": {"version": NEW}}}


class FakeClock(Clock):
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds


class FakeCluster:
    """Reads are answered from a list, its last entry for ever; a patch by one answer."""

    def __init__(self, *reads: Any, patched: Any = None, nodes: tuple[Any, ...] = (NODE,)) -> None:
        self.reads, self.patched, self.nodes = list(reads), patched, nodes
        self.sent: list[tuple[Mapping[str, Any], bool]] = []

    def read(self) -> Observed:
        answer = self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]
        if isinstance(answer, Exception):
            raise answer
        found: Observed = answer
        return found

    def patch(self, body: Mapping[str, Any], *, dry_run: bool = False) -> Observed:
        self.sent.append((body, dry_run))
        if isinstance(self.patched, Exception):
            raise self.patched
        found: Observed = self.patched
        return found

    def changes(self, since: Observed, seconds: int) -> Iterator[Observed]:
        return iter(())

    def health(self) -> Health:
        return Health(VERSION, [], self.nodes, [], [])

    def close(self) -> None:
        pass


def at(state: State, version: str = OLD, *valid_next: str, spec: dict[str, Any] | None = None, **more: Any) -> Observed:
    return Observed(state, version=version, valid_next=valid_next, spec=spec or {"seedImageRef": SEED}, **more)


def ask(cluster: FakeCluster, stage: Stage, clock: Clock | None = None, **more: Any) -> Answer:
    options = more.pop("options", {"seed_image_ref": SEED} if stage is Stage.PREP else {})
    return to_stage("site-0001", cluster, Request(stage, options, **more), clock or FakeClock())


IDLE = at(State.IDLE, OLD, "Prep", spec={"stage": "Idle", "oadpContent": [{"name": "n", "namespace": "x"}]})
PREPARING = at(State.PREP_RUNNING, OLD, "Idle")
UPGRADED = at(State.UPGRADE_COMPLETED, NEW, "Idle", "Rollback")


@pytest.mark.parametrize("stage", [Stage.PREP, Stage.UPGRADE, Stage.ROLLBACK])
@pytest.mark.parametrize("state", [State.IDLE, State.UPGRADE_COMPLETED, State.ROLLED_BACK])
def test_a_stage_is_its_action(stage: Stage, state: State) -> None:
    assert action_for(stage, at(state)) == stage


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (State.UPGRADE_COMPLETED, Action.FINALIZE_UPGRADE),
        (State.FINALIZE_FAILED, Action.FINALIZE_UPGRADE),
        (State.ROLLBACK_COMPLETED, Action.FINALIZE_ROLLBACK),
        (State.ROLLBACK_RUNNING, Action.FINALIZE_ROLLBACK),
        (State.ROLLBACK_FAILED, Action.FINALIZE_ROLLBACK),
        (State.PREP_COMPLETED, Action.ABORT),
        (State.PREP_FAILED, Action.ABORT),
        (State.UPGRADE_FAILED_PRE_PIVOT, Action.ABORT),
        (State.ROLLED_BACK, Action.ABORT),
        (State.IDLE, Action.ABORT),
    ],
)
def test_idle_finalizes_what_is_done_and_aborts_what_is_not(state: State, action: Action) -> None:
    assert action_for(Stage.IDLE, at(state)) is action


def test_a_request_is_sent_and_not_waited_for() -> None:
    cluster = FakeCluster(IDLE, patched=PREPARING)

    answer = ask(cluster, Stage.PREP)

    assert (answer.changed, answer.observed, answer.seconds) == (True, PREPARING, None)
    assert cluster.sent == [({"spec": {"stage": "Prep", "seedImageRef": SEED}}, False)]


def test_the_diff_is_what_the_user_set() -> None:
    answer = ask(FakeCluster(IDLE, patched=PREPARING), Stage.PREP)

    assert answer.before["spec"] == IDLE.spec
    assert answer.after["spec"] == {**IDLE.spec, "stage": "Prep", "seedImageRef": SEED}


def test_check_mode_lets_the_api_judge() -> None:
    cluster = FakeCluster(IDLE, patched=IDLE)

    answer = ask(cluster, Stage.PREP, check=True, wait=True)

    assert answer.changed
    assert [dry for _body, dry in cluster.sent] == [True]


@pytest.mark.parametrize(
    ("stage", "observed"),
    [(Stage.PREP, PREPARING), (Stage.IDLE, IDLE), (Stage.ROLLBACK, at(State.ROLLBACK_COMPLETED))],
    ids=["under way", "there", "passed"],
)
def test_nothing_is_sent_where_nothing_is_due(stage: Stage, observed: Observed) -> None:
    cluster = FakeCluster(observed)

    answer = ask(cluster, stage)

    assert not answer.changed and answer.before == answer.after
    assert cluster.sent == []


def test_a_stage_out_of_reach_fails_with_a_way_out() -> None:
    with pytest.raises(StageFailed, match="not prepared") as caught:
        ask(FakeCluster(IDLE), Stage.UPGRADE)

    assert caught.value.next_step == "run Prep first"
    assert caught.value.answer is not None and not caught.value.answer.changed


def test_a_refused_patch_tells_what_the_api_allows() -> None:
    cluster = FakeCluster(at(State.PREP_COMPLETED, OLD, "Idle", "Upgrade"), patched=Refused("not now", 422))

    with pytest.raises(StageFailed, match=r"refused Upgrade: not now \(it allows: Idle, Upgrade\)") as caught:
        ask(cluster, Stage.UPGRADE)

    assert "abort" in caught.value.next_step


def test_an_unfit_cluster_is_not_finalized() -> None:
    cluster = FakeCluster(UPGRADED, patched=UPGRADED, nodes=())

    with pytest.raises(StageFailed, match="not fit to be finalized: the cluster lists no node"):
        ask(cluster, Stage.IDLE)

    assert cluster.sent == []


def test_a_fit_cluster_is_finalized() -> None:
    cluster = FakeCluster(UPGRADED, patched=at(State.FINALIZING, NEW))

    assert ask(cluster, Stage.IDLE).changed
    assert cluster.sent == [({"spec": {"stage": "Idle"}}, False)]


def test_no_contact_is_a_failed_stage() -> None:
    clock = FakeClock()

    with pytest.raises(StageFailed, match="refused for") as caught:
        ask(FakeCluster(Unanswered("connect", "refused")), Stage.PREP, clock, contact_timeout=20.0)

    assert caught.value.answer is None
    assert "power, network" in caught.value.next_step
    assert 20 <= clock.seconds < 30


def test_bad_options_are_said_before_anything_is_asked() -> None:
    with pytest.raises(InvalidOption, match="seed_image_ref"):
        ask(FakeCluster(AssertionError("was asked")), Stage.IDLE, options={"seed_image_ref": {"version": "4.17.3"}})


def test_with_wait_it_is_driven_to_the_end() -> None:
    cluster = FakeCluster(IDLE, IDLE, PREPARING, at(State.PREP_COMPLETED), patched=PREPARING)

    answer = ask(cluster, Stage.PREP, wait=True)

    assert answer.changed and answer.observed.state is State.PREP_COMPLETED
    assert answer.seconds is not None


def test_a_wait_ends_at_its_own_deadline() -> None:
    class Slow(FakeClock):
        def monotonic(self) -> float:
            self.seconds += 1
            return self.seconds

    clock = Slow()

    with pytest.raises(StageFailed, match="Prep took longer than 90 s; it is preparing") as caught:
        ask(FakeCluster(PREPARING), Stage.PREP, clock, wait=True, wait_timeout=90.0)

    assert clock.seconds < 200
    assert caught.value.answer is not None and caught.value.answer.observed is PREPARING


def test_an_expired_rollback_needs_consent() -> None:
    clock = FakeClock()
    late = at(State.UPGRADE_COMPLETED, NEW, "Idle", "Rollback", rollback_until=clock.now(), now=clock.now())
    cluster = FakeCluster(late, patched=late)

    with pytest.raises(StageFailed, match="rollback was safe until"):
        ask(cluster, Stage.ROLLBACK)

    assert ask(cluster, Stage.ROLLBACK, rollback_after_expiration=True).changed


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        ({"a": 1}, {"a": None, "b": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}, {"a": {"c": 2, "d": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ],
)
def test_merge_patches_of_rfc_7386(document: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    before = repr(document)

    assert merged(document, patch) == result
    assert repr(document) == before
