# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The own ImageBasedUpgrade CRD decides as the upstream one does, in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from differential.conftest import Twin
from differential.states import FIELDS, HELD, REACHABLE, REMOVE, STAGES, State, requests

Document = dict[str, Any]


def create(twin: Twin, spec: Document, name: str = "upgrade") -> Document:
    """Try to create an upgrade; the verdict."""
    document = {"apiVersion": twin.api_version, "kind": twin.kind, "metadata": {"name": name}, "spec": spec}
    return twin.verdict(twin.api.create(twin.list_path, document))


def put(twin: Twin, state: State, held: Document) -> None:
    """Bring the upgrade into this state, as the Lifecycle Agent would."""
    path = f"{twin.list_path}/upgrade"
    twin.api.delete(path)
    assert create(twin, {"stage": state.stage, **held})["code"] == 201
    if status := state.status():
        twin.api.merge(f"{path}/status", {"status": status}).ok()


def attempt(twin: Twin, spec: Document) -> Document:
    """Try to change the spec without changing it; the verdict."""
    return twin.verdict(twin.api.merge(f"{twin.list_path}/upgrade", {"spec": spec}, dryRun="All"))


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_every_request_from_every_state(twins: tuple[Twin, Twin], state: State, held: str) -> None:
    for twin in twins:
        put(twin, state, HELD[held])

    different = {}
    for label, asked in requests(state, HELD[held]):
        own, upstream = (attempt(twin, asked) for twin in twins)
        if own != upstream:
            different[label] = {"own": own, "upstream": upstream}

    assert different == {}


@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_plain_transitions_follow_the_list_of_next_stages(twins: tuple[Twin, Twin], state: State) -> None:
    """Not only the same verdict: the right one."""
    for twin in twins:
        put(twin, state, HELD["full"])
        free = state.status() is None
        for stage in STAGES:
            allowed = free or stage == state.stage or stage in state.next_stages
            assert (attempt(twin, {"stage": stage})["code"] == 200) is allowed, (twin.group, stage)


@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_frozen_fields_follow_the_idle_condition(twins: tuple[Twin, Twin], state: State) -> None:
    for twin in twins:
        put(twin, state, HELD["full"])
        free = state.status() is None or ("Idle", True, "Idle") in state.conditions or state.stage == "Idle"
        for field, (_, other) in FIELDS.items():
            for value in (other, REMOVE):
                assert (attempt(twin, {field: value})["code"] == 200) is free, (twin.group, field, value)


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
