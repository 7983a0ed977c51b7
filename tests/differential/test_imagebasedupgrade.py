# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The own ImageBasedUpgrade CRD decides as the upstream one does, in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from differential.conftest import Twin
from differential.states import FIELDS, HELD, REACHABLE, REMOVE, STAGES, State, requests
from differential.upgrades import Judge, attempt, create, put
from kubeapi import KubeApi

Document = dict[str, Any]
# So many different specs come out of the 84 and 108 requests from a state: 5 stages, with 10 and with 11 other parts.
DIFFERENT = {"bare": 50, "full": 55}


@pytest.fixture(scope="module")
def judge(both: KubeApi, twins: tuple[Twin, Twin]) -> Judge:
    return Judge(both, twins)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_every_request_from_every_state(judge: Judge, state: State, held: str) -> None:
    labels, asked = zip(*requests(state, HELD[held]), strict=True)

    verdicts = judge.verdicts(state, HELD[held], asked)

    different = {label: told for label, told in zip(labels, verdicts, strict=True) if told[0] != told[1]}
    assert different == {}
    assert len({id(told) for told in verdicts}) == DIFFERENT[held]


def test_changes_to_the_same_spec_get_one_answer(judge: Judge, twins: tuple[Twin, Twin]) -> None:
    """Here all of them are asked, one by one; the judge asks about each spec once."""
    state = next(state for state in REACHABLE if state.name == "prep-running")
    _labels, asked = zip(*requests(state, HELD["full"]), strict=True)
    for twin in twins:
        put(twin, state, HELD["full"])

    one_by_one = [tuple(attempt(twin, change) for twin in twins) for change in asked]

    assert one_by_one == judge.verdicts(state, HELD["full"], asked)


@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_plain_transitions_follow_the_list_of_next_stages(judge: Judge, state: State) -> None:
    """Not only the same verdict: the right one."""
    free = state.status() is None
    verdicts = judge.verdicts(state, HELD["full"], [{"stage": stage} for stage in STAGES])
    for stage, told in zip(STAGES, verdicts, strict=True):
        allowed = free or stage == state.stage or stage in state.next_stages
        assert [verdict["code"] == 200 for verdict in told] == [allowed] * 2, stage


@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_frozen_fields_follow_the_idle_condition(judge: Judge, state: State) -> None:
    free = state.status() is None or ("Idle", True, "Idle") in state.conditions or state.stage == "Idle"
    changes = [{field: value} for field, (_, other) in FIELDS.items() for value in (other, REMOVE)]
    for change, told in zip(changes, judge.verdicts(state, HELD["full"], changes), strict=True):
        assert [verdict["code"] == 200 for verdict in told] == [free] * 2, change


STATUSES: dict[str, Any] = {
    "empty": {},
    "no conditions": {"conditions": []},
    "unknown stage": {"validNextStages": ["Later"], "conditions": []},
    "condition without its parts": {"conditions": [{"type": "Idle"}]},
    "condition with another status": {
        "conditions": [
            {"type": "Idle", "status": "Yes", "reason": "", "message": "", "lastTransitionTime": "yesterday"}
        ]
    },
    "condition of another name": {
        "conditions": [
            {
                "type": "not a name",
                "status": "Unknown",
                "reason": "Not a reason",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": -1,
            }
        ]
    },
    "expiration that is no time": {"rollbackAvailabilityExpiration": "soon"},
    "history": {
        "history": [
            {
                "stage": "Prep",
                "startTime": "2026-01-01T00:00:00Z",
                "completionTime": None,
                "phases": [{"phase": "Stateroot", "startTime": "2026-01-01T00:00:00Z", "other": 1}],
            }
        ]
    },
    "history that is no list": {"history": {"stage": "Prep"}},
    "unknown field": {"observedGeneration": 1, "nosuch": True},
    "nothing": None,
}


@pytest.mark.parametrize("reported", STATUSES.values(), ids=list(STATUSES))
@pytest.mark.parametrize("state", REACHABLE[1:4], ids=lambda state: state.name)
def test_status_is_checked_alike(twins: tuple[Twin, Twin], state: State, reported: Any) -> None:
    found = []
    for twin in twins:
        put(twin, state, {})
        path = f"{twin.list_path}/upgrade/status"
        found.append(twin.verdict(twin.api.merge(path, {"status": reported}, dryRun="All")))

    assert found[0] == found[1]


SPECS: dict[str, Any] = {
    "empty": {},
    "unknown stage": {"stage": "prep"},
    "empty stage": {"stage": ""},
    "stage of another type": {"stage": ["Prep"]},
    "empty image": {"seedImageRef": {"image": ""}},
    "image with a blank": {"seedImageRef": {"image": "quay.io/a b"}},
    "image with a line break": {"seedImageRef": {"image": "quay.io/a\nb"}},
    "image with a scheme": {"seedImageRef": {"image": "docker://quay.io/a"}},
    "image with an odd scheme": {"seedImageRef": {"image": "DOCKER://"}},
    "image alone": {"seedImageRef": {"image": "quay.io/a"}},
    "version alone": {"seedImageRef": {"version": "not a version"}},
    "version of another type": {"seedImageRef": {"version": 4.17}},
    "pull secret without a name": {"seedImageRef": {"pullSecretRef": {}}},
    "pull secret with an empty name": {"seedImageRef": {"pullSecretRef": {"name": ""}}},
    "pull secret of another type": {"seedImageRef": {"pullSecretRef": "pull"}},
    "content without a name": {"oadpContent": [{"namespace": "a"}]},
    "content without a namespace": {"oadpContent": [{"name": "a"}, {"name": "b"}]},
    "content twice": {"oadpContent": [{"name": "a", "namespace": "b"}] * 2},
    "content of another type": {"oadpContent": [1], "extraManifests": {}},
    "manifests without anything": {"extraManifests": [{}]},
    "negative timeout": {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": -1}},
    "zero timeout": {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 0}},
    "broken timeout": {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 1.5}},
    "timeout as text": {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": "1800"}},
    "unknown fields": {"stage": "Idle", "nosuch": 1, "seedImageRef": {"nosuch": 1}},
    "several at once": {"stage": "x", "seedImageRef": {"image": ""}, "oadpContent": [{}]},
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_spec_is_checked_alike(twins: tuple[Twin, Twin], spec: Document) -> None:
    for twin in twins:
        twin.api.delete(f"{twin.list_path}/upgrade")
    created = [create(twin, spec) for twin in twins]
    for twin in twins:
        put(twin, REACHABLE[2], {})
    patched = [attempt(twin, spec) for twin in twins]

    assert created[0] == created[1]
    assert patched[0] == patched[1]


@pytest.mark.parametrize("name", ["upgrade", "upgrades", "another"])
def test_name_is_checked_alike(twins: tuple[Twin, Twin], name: str) -> None:
    for twin in twins:
        twin.api.delete(f"{twin.list_path}/upgrade")

    own, upstream = (create(twin, {"stage": "Idle"}, name) for twin in twins)

    assert own == upstream
    assert own["code"] == (201 if name == "upgrade" else 422)
