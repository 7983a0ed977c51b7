# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters as their API shows them, each read, and each against every action: tests/unit/fixtures/situations.yml."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import health_failures, observe, parse_time
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Done,
    Fail,
    Goal,
    Observed,
    Patch,
    SeedImage,
    State,
    Wait,
)

SITUATIONS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "fixtures" / "situations.yml").read_text(encoding="utf-8")
)
SEED = SeedImage("4.17.3", "registry.example.com/seed:4.17.3")
HELD = {"seedImageRef": {"version": SEED.version, "image": SEED.image}}
MOMENT = "2026-11-21T01:00:00Z"
UTC = datetime.timezone.utc


def document(situation: dict[str, Any]) -> dict[str, Any]:
    """The ImageBasedUpgrade, without the keys that the API would leave out."""
    generation = situation.get("generation", 3)
    found: dict[str, Any] = {
        "metadata": {"name": "upgrade", "uid": "a", "generation": generation, "resourceVersion": "17"},
        "spec": situation.get("spec", {**HELD, "stage": situation.get("stage")}),
    }
    if "conditions" not in situation:
        return found
    found["status"] = {
        "observedGeneration": situation.get("observed", generation),
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": MOMENT}
            for kind, (status, reason, message) in situation["conditions"].items()
        ],
    }
    if "next" in situation:
        found["status"]["validNextStages"] = situation["next"]
    if "history" in situation:
        found["status"]["history"] = situation["history"]
    return found


def seen(situation: dict[str, Any]) -> Observed:
    return observe(document(situation), situation["version"])


def in_words(decision: object) -> tuple[str, str, str]:
    """What was decided, and what people are told: the word, the message, the next step."""
    if isinstance(decision, Patch):
        return f"patch {decision.stage}", "", ""
    if isinstance(decision, Wait):
        return "wait", decision.why, ""
    if isinstance(decision, Done):
        return "skipped" if decision.skipped else "done", decision.note, ""
    assert isinstance(decision, Fail)
    return f"{decision.result}{' once settled' if decision.settle else ''}", decision.message, decision.next_step


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_situation_is_read_as_what_it_is(name: str) -> None:
    situation = SITUATIONS[name]

    observed = seen(situation)

    assert str(observed.state) == situation["state"]
    assert situation.get("says", "") in observed.message
    assert observed.valid_next == tuple(situation.get("next", ()))
    assert list(observed.progress.health) == situation.get("health", [])
    assert observed.progress.job == situation.get("job")
    assert observed.version == situation["version"]
    if "says" in situation:
        assert observed.since == parse_time(MOMENT)


CASES = [(name, action) for name, situation in SITUATIONS.items() for action in situation["decide"]]


@pytest.mark.parametrize(("name", "action"), CASES, ids=[f"{action}-{name}" for name, action in CASES])
def test_every_action_in_every_situation(name: str, action: str) -> None:
    situation = SITUATIONS[name]
    wanted = Action(action)
    seed = SEED if wanted in (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE) else None

    decision = decide(seen(situation), Goal(wanted, seed))

    word, *fragments = situation["decide"][action]
    found, message, step = in_words(decision)
    assert found == word
    for fragment, text in zip(fragments, (message, step), strict=False):
        assert fragment in text
    if isinstance(decision, Patch):
        assert decision.body == {"spec": {"stage": str(wanted.stage), **(HELD if wanted is Action.PREP else {})}}
        assert decision.verify is (wanted is Action.FINALIZE_UPGRADE)


def test_every_situation_answers_every_action_and_every_state_has_a_situation() -> None:
    assert {name for name, situation in SITUATIONS.items() if set(situation["decide"]) != set(Action)} == set()
    assert {situation["state"] for situation in SITUATIONS.values()} == set(State) - {State.ABSENT}


# --- single fields --------------------------------------------------------------------------------------------------


def test_no_object_keeps_what_is_known_otherwise() -> None:
    now = datetime.datetime(2026, 11, 21, tzinfo=UTC)

    assert observe(None, "4.16.8", now) == Observed(State.ABSENT, version="4.16.8", now=now)


def test_the_object_is_identified() -> None:
    observed = seen(SITUATIONS["prepared"])

    assert (observed.uid, observed.generation, observed.observed_generation) == ("a", 3, 3)
    assert (observed.resource_version, observed.stage, observed.target) == ("17", "Prep", "4.17.3")


@pytest.mark.parametrize("key", ["metadata", "spec", "status"])
def test_nothing_stands_for_an_empty_part(key: str) -> None:
    found = {**document(SITUATIONS["idle"]), key: None}

    observe(found, "4.16.8")
    observe({}, None)


def test_without_an_observed_generation_nothing_is_called_stale() -> None:
    found = document(SITUATIONS["prepared"])
    del found["status"]["observedGeneration"]

    assert observe(found, "4.16.8").state is State.PREP_COMPLETED


def test_durations_are_those_of_the_history() -> None:
    found = document(SITUATIONS["upgraded"])
    found["status"]["history"] = [
        {
            "stage": "Prep",
            "startTime": "2026-11-21T01:00:00Z",
            "completionTime": "2026-11-21T01:04:10Z",
            "phases": [
                {"phase": "Stateroot", "startTime": "2026-11-21T01:00:00Z", "completionTime": "2026-11-21T01:03:10Z"},
                {"phase": "Precache", "startTime": "2026-11-21T01:03:10Z", "completionTime": None},
            ],
        },
        {"stage": "Upgrade", "startTime": "2026-11-21T01:05:00Z", "phases": None},
    ]

    prep, upgrade = observe(found, "4.17.3").history

    assert (prep.stage, prep.seconds, prep.phases) == ("Prep", 250.0, {"Stateroot": 190.0, "Precache": None})
    assert prep.started == datetime.datetime(2026, 11, 21, 1, tzinfo=UTC)
    assert (upgrade.stage, upgrade.seconds, upgrade.phases) == ("Upgrade", None, {})


def test_the_phase_is_the_one_that_has_not_completed() -> None:
    found = document(SITUATIONS["preparing the stateroot"])
    started = {"startTime": MOMENT}
    found["status"]["conditions"][-1]["message"] = "In progress"
    found["status"]["history"] = [
        {"stage": "Prep", **started, "phases": [{"phase": "Stateroot", **started, "completionTime": MOMENT}]}
    ]
    assert observe(found, "4.16.8").progress.phase is None

    found["status"]["history"][0]["phases"].append({"phase": "Precache", **started, "completionTime": None})

    progress = observe(found, "4.16.8").progress
    assert (progress.phase, progress.job, progress.total) == ("Precache", "precache", None)


@pytest.mark.parametrize("tail", ["No precache status file to read yet.", "could not unmarshal precache status file"])
def test_a_precache_that_has_no_counts_yet(tail: str) -> None:
    found = document(SITUATIONS["preparing the stateroot"])
    found["status"]["conditions"][-1]["message"] = f"Precache job in progress. job-name: lca-prep-precache. {tail}"

    progress = observe(found, "4.16.8").progress

    assert (progress.job, progress.total, progress.pulled, progress.failed) == ("precache", None, None, None)


def test_the_rollback_deadline() -> None:
    found = document(SITUATIONS["upgraded"])
    assert observe(found, "4.17.3").rollback_until is None

    found["status"]["rollbackAvailabilityExpiration"] = "2026-12-20T14:01:00Z"

    assert observe(found, "4.17.3").rollback_until == datetime.datetime(2026, 12, 20, 14, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, ""])
def test_no_time(text: str | None) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("message", "checks"),
    [
        ("", ()),
        ("one or more health checks failed:", ()),
        ("x: one or more health checks failed: a", ("a",)),
        ("x: one or more health checks failed: a - b\n  - c\n  - d", ("a - b", "c", "d")),
    ],
    ids=["nothing", "unnamed", "one", "three"],
)
def test_health_checks(message: str, checks: tuple[str, ...]) -> None:
    assert health_failures(message) == checks


def test_the_target_is_the_specs_seed() -> None:
    assert Observed(State.IDLE, version="4.16.8", spec={}).target is None
    assert not Observed(State.IDLE, version=None, spec={}).at_target
    assert Observed(State.IDLE, version="4.17.3", spec=HELD).at_target
    assert not Observed(State.IDLE, version="4.16.8", spec=HELD).at_target
