# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: what a survey means."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    Permission,
    Policy,
    Severity,
    Survey,
    option_findings,
    permissions_needed,
    references,
    shared_servers,
    survey_findings,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    Observed,
    SeedImage,
    State,
)

SEED = SeedImage("4.17.3", "registry.example.com/seed:4.17.3", "pull")
PREP = Goal(Action.PREP, SEED, oadp_content=(("openshift-adp", "oadp-cm"),))
UP = (PREP, Goal(Action.UPGRADE, SEED), Goal(Action.FINALIZE_UPGRADE, SEED))
IDLE = Observed(State.IDLE, version="4.16.8", valid_next=("Prep",))


def survey(**more: Any) -> Survey:
    return Survey(
        **{
            "cluster": "a",
            "url": "https://a",
            "credential": "certificate",
            "observed": IDLE,
            "agent_ready": True,
            **more,
        }
    )


def found(goals: tuple[Goal, ...] = UP, policy: Policy | None = None, **more: Any) -> list[tuple[str, str]]:
    findings = survey_findings(survey(**more), goals, policy or Policy())
    assert all(finding.remedy and finding.cluster == "a" for finding in findings)
    return [(finding.severity.value, finding.cause) for finding in findings]


def test_nothing_speaks_against_a_healthy_cluster() -> None:
    assert found() == []
    assert option_findings("a", UP, Policy()) == []


@pytest.mark.parametrize(
    ("more", "severity", "fragment"),
    [
        ({"agent_ready": None}, "blocked", "Lifecycle Agent is not installed"),
        ({"agent_ready": False}, "blocked", "Lifecycle Agent is not ready"),
        (
            {"denied": (Permission("patch", "lca.openshift.io", "imagebasedupgrades"),)},
            "blocked",
            "patch imagebasedupgrades.lca",
        ),
        ({"missing_refs": ("ConfigMap openshift-adp/oadp-cm",)}, "blocked", "openshift-adp/oadp-cm does not exist"),
        ({"hub_problem": "the hub does not answer"}, "blocked", "the hub does not answer"),
        ({"credential": "token"}, "blocked", "bearer token"),
        (
            {"observed": Observed(State.IDLE, version="4.18.0", valid_next=("Prep",))},
            "blocked",
            "not above the running 4.18.0",
        ),
        (
            {"observed": Observed(State.PREP_FAILED, message="no image", spec={"seedImageRef": SEED.as_spec()})},
            "blocked",
            "no image",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_blocks(more: dict[str, Any], severity: str, fragment: str) -> None:
    findings = found(**more)

    assert len(findings) == 1
    assert findings[0][0] == severity and fragment in findings[0][1]


def test_a_token_may_be_accepted_and_does_no_harm_to_prep() -> None:
    assert found(policy=Policy(accept_token=True), credential="token")[0][0] == "warned"
    assert found(goals=(PREP,), credential="token") == []


@pytest.mark.parametrize(
    ("seed", "fragment"),
    [
        (None, "ibu_seed_image_ref is not set"),
        (SeedImage("4.17", SEED.image), "ibu_seed_image_ref.version '4.17'"),
        (SeedImage("4.17.3", "has blanks"), "ibu_seed_image_ref.image 'has blanks'"),
    ],
)
def test_bad_inputs_are_named(seed: SeedImage | None, fragment: str) -> None:
    findings = option_findings("a", (Goal(Action.PREP, seed),), Policy())

    assert [finding.severity for finding in findings] == [Severity.BLOCKED]
    assert fragment in findings[0].cause


@pytest.mark.parametrize(("timeout", "warned"), [(2700, False), (2699, True), (None, False)])
def test_a_deadline_shorter_than_the_watchdog_is_warned_of(timeout: float | None, warned: bool) -> None:
    policy = Policy(timeouts={Action.UPGRADE: timeout} if timeout else {})

    assert [f.severity for f in option_findings("a", UP, policy)] == ([Severity.WARNED] if warned else [])


def test_permissions_follow_the_actions() -> None:
    asked = {str(permission) for permission in permissions_needed(UP)}
    less = {str(permission) for permission in permissions_needed((Goal(Action.ABORT),))}

    assert {"patch imagebasedupgrades.lca.openshift.io", "list nodes", "get configmaps in openshift-adp"} <= asked
    assert "get secrets in openshift-lifecycle-agent" in asked
    assert "list nodes" not in less and not any("configmaps" in text for text in less)


def test_only_prep_refers_to_objects() -> None:
    assert references(UP) == (
        ("ConfigMap", "openshift-adp", "oadp-cm"),
        ("Secret", "openshift-lifecycle-agent", "pull"),
    )
    assert references(UP[1:]) == ()


def test_two_hosts_of_one_server_are_both_named() -> None:
    findings = shared_servers({"a": "https://x", "b": "https://y", "c": "https://x"})

    assert [finding.cluster for finding in findings] == ["a", "c"]
    assert findings[0].cause == "a and c have the same API server https://x"
