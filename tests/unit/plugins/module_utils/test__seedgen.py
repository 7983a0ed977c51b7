# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a SeedGenerator says, and what to do about it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen as seedgen
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import Again, Do, Generation, Phase, Wanted

IMAGE = "registry.example.com/seed:4.17.3"
Object = dict[str, Any]


def condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01"}


def generator(*conditions: Object, image: str = IMAGE) -> Object:
    meta = {"name": "seedimage", "uid": "u-1", "resourceVersion": "7"}
    return {"metadata": meta, "spec": {"seedImage": image}, "status": {"conditions": list(conditions)}}


def running(message: str) -> Object:
    return condition("SeedGenInProgress", "True", "InProgress", message)


FAILED = condition("SeedGenCompleted", "False", "Failed", "Seed generation failed: no")
DONE = condition("SeedGenCompleted", "True", "Completed", "Seed Generation completed")


@pytest.mark.parametrize(
    ("conditions", "phase", "message"),
    [
        ((), Phase.PENDING, ""),
        ((running("Pulling recert image"),), Phase.RUNNING, "Pulling recert image"),
        ((running("Launching imager container"),), Phase.IMAGING, "Launching imager container"),
        # A restored object still carries what was true before: only what it says last counts.
        ((running("Finalizing seed generation"), DONE), Phase.RUNNING, "Finalizing seed generation"),
        ((condition("SeedGenInProgress", "False", "Failed", "why"), FAILED), Phase.FAILED, "why"),
        ((FAILED,), Phase.FAILED, "no"),
        ((condition("SeedGenInProgress", "False", "Completed", "ok"), DONE), Phase.COMPLETED, "ok"),
        ((condition("SeedGenInProgress", "False", "Failed", "why"),), Phase.PENDING, ""),
        ((condition("SeedGenCompleted", "Unknown", "Unknown", "?"),), Phase.PENDING, ""),
    ],
)
def test_phase(conditions: tuple[Object, ...], phase: Phase, message: str) -> None:
    found = seedgen.generation_of(generator(*conditions))
    assert (found.phase, found.message) == (phase, message)
    assert (found.uid, found.image, found.resource_version) == ("u-1", IMAGE, "7")


def test_a_prefix_that_comes_twice_is_taken_away_twice() -> None:
    twice = "Seed generation failed: Seed generation failed: imager container status check failed"
    found = seedgen.generation_of(generator(condition("SeedGenCompleted", "False", "Failed", twice)))
    assert found.message == "imager container status check failed"


def generation(phase: Phase, image: str = IMAGE, message: str = "") -> Generation:
    return Generation(phase, message, image, uid="u-1")


@pytest.mark.parametrize(
    ("found", "again", "under_way", "do"),
    [
        (seedgen.ABSENT, Again.NEVER, False, Do.CREATE),
        (seedgen.ABSENT, Again.ALWAYS, False, Do.CREATE),
        (seedgen.ABSENT, Again.ALWAYS, True, Do.FOLLOW),
        (generation(Phase.PENDING), Again.NEVER, False, Do.FOLLOW),
        (generation(Phase.IMAGING), Again.ALWAYS, False, Do.FOLLOW),
        (generation(Phase.RUNNING, "other"), Again.ALWAYS, False, Do.REFUSE),
        (generation(Phase.COMPLETED), Again.NEVER, False, Do.NOTHING),
        (generation(Phase.COMPLETED), Again.FAILED, False, Do.NOTHING),
        (generation(Phase.COMPLETED), Again.ALWAYS, False, Do.RECREATE),
        (generation(Phase.COMPLETED, "other"), Again.FAILED, False, Do.REFUSE),
        (generation(Phase.COMPLETED, "other"), Again.ALWAYS, False, Do.RECREATE),
        (generation(Phase.FAILED), Again.NEVER, False, Do.REFUSE),
        (generation(Phase.FAILED), Again.FAILED, False, Do.RECREATE),
        (generation(Phase.FAILED, "other"), Again.FAILED, False, Do.RECREATE),
    ],
)
def test_what_there_is_decides(found: Generation, again: Again, under_way: bool, do: Do) -> None:
    way = seedgen.decide(found, Wanted(IMAGE, again=again), under_way=under_way)
    assert way.do is do
    assert bool(way.remedy) is (do is Do.REFUSE)


def test_another_recert_image_is_another_wish() -> None:
    found = Generation(Phase.COMPLETED, "", IMAGE, "registry.example.com/recert:1")
    assert seedgen.decide(found, Wanted(IMAGE, "registry.example.com/recert:2")).do is Do.REFUSE
    assert seedgen.decide(found, Wanted(IMAGE)).do is Do.NOTHING


@pytest.mark.parametrize(
    ("kind", "status", "launched", "expected"),
    [
        ("connect", None, False, True),
        ("timeout", None, True, True),
        ("tls", None, True, True),
        ("http", 503, False, True),
        ("http", 429, False, True),
        ("missing", 404, False, False),
        ("missing", 404, True, True),
        ("session", 401, False, False),
        ("rights", 403, True, True),
        ("http", 418, True, False),
    ],
)
def test_which_silence_is_normal(kind: str, status: int | None, launched: bool, expected: bool) -> None:
    assert seedgen.is_expected(kind, status, launched) is expected


def login(words: str) -> Object:
    return {"auth": base64.b64encode(words.encode()).decode()}


@pytest.mark.parametrize(
    ("auths", "sanitized"),
    [
        ({"quay.io": login("user:word")}, False),
        ({"quay.io": {"username": "user", "password": "word"}}, False),
        ({"quay.io": {"identitytoken": "token"}}, False),
        ({"quay.io": {"auth": "not base64!"}}, False),
        ({"registry.example.com": login("empty:empty")}, True),
        ({"registry.example.com": login("empty:empty"), "quay.io": login("user:word")}, False),
        ({"quay.io": {}}, True),
        ({"quay.io": login("user:")}, True),
        ({}, True),
        (None, True),
    ],
)
def test_a_pull_secret_without_any_credential_is_a_dummy(auths: Object | None, sanitized: bool) -> None:
    assert seedgen.is_sanitized(json.dumps({"auths": auths})) is sanitized


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}"])
def test_what_cannot_be_read_is_no_pull_secret(text: str) -> None:
    assert seedgen.is_sanitized(text)


def test_what_nobody_has_said_so_far_is_not_explained_away() -> None:
    cause = seedgen.explain("something that no release has said so far")
    assert cause.key == "unknown"
    assert cause.remedy


LOGIN, OTHER = '{"auths": {"a": {"auth": "YTpi"}}}', '{"auths": {"b": {"auth": "YTpi"}}}'
OURS = {"app.kubernetes.io/managed-by": "sno.image_upgrade"}


@pytest.mark.parametrize(
    ("there", "labels", "loses"),
    [
        (OTHER, {}, True),
        ("not JSON", {}, True),
        (LOGIN, {}, False),
        # The same login, written differently.
        ('{"auths":{"a":{"auth":"YTpi"}}}', {}, False),
        # Made by an earlier run.
        (OTHER, {**OURS, "other": "label"}, False),
        ("", {}, False),
    ],
)
def test_what_would_be_lost_of_a_credential_that_is_there(there: str, labels: Object, loses: bool) -> None:
    data = {"seedAuth": base64.b64encode(there.encode()).decode()}
    assert seedgen.would_lose({"metadata": {"labels": labels}, "data": data}, LOGIN) is loses
