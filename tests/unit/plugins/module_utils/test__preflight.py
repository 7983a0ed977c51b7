# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: what a survey means."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HubFacts, Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    Permission,
    Policy,
    Scope,
    Severity,
    Survey,
    option_findings,
    permissions_needed,
    references,
    scope_of,
    shared_clusters,
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
READY = Reading(({"status": {"availableReplicas": 1}},))
UP = (PREP, Goal(Action.UPGRADE, SEED), Goal(Action.FINALIZE_UPGRADE, SEED))
SPEC = {
    "stage": "Prep",
    "seedImageRef": SEED.as_spec(),
    "oadpContent": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
}
IDLE = Observed(State.IDLE, version="4.16.8", valid_next=("Prep",))


def survey(**more: Any) -> Survey:
    return Survey(
        **{
            "cluster": "a",
            "url": "https://a",
            "credential": "certificate",
            "observed": IDLE,
            "agent": READY,
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
        ({"agent": Reading(served=False)}, "blocked", "Lifecycle Agent is not installed"),
        ({"agent": Reading(({},))}, "blocked", "Lifecycle Agent is not ready"),
        ({"agent": Reading(({"status": {"availableReplicas": 0}},))}, "blocked", "Lifecycle Agent is not ready"),
        (
            {"denied": (Permission("patch", "lca.openshift.io", "imagebasedupgrades"),)},
            "blocked",
            "patch imagebasedupgrades.lca",
        ),
        (
            {"references": {"ConfigMap openshift-adp/oadp-cm": Reading(served=False)}},
            "blocked",
            "openshift-adp/oadp-cm does not exist",
        ),
        (
            {"references": {"Secret openshift-lifecycle-agent/pull": Reading(({"data": {"config.json": ""}},))}},
            "blocked",
            "did not find key .dockerconfigjson in Secret openshift-lifecycle-agent/pull",
        ),
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

    assert {"patch imagebasedupgrades.lca.openshift.io", "list nodes"} <= asked
    assert "list nodes" not in less
    assert not any("secrets" in text or "configmaps" in text for text in asked), "only preflight itself reads those"


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


def test_one_cluster_under_two_addresses_is_found_by_its_upgrade() -> None:
    findings = shared_clusters({"a": "1-2", "b": "3-4", "c": "1-2", "d": None, "e": None})

    assert [(finding.cluster, finding.severity) for finding in findings] == [
        ("a", Severity.BLOCKED),
        ("c", Severity.BLOCKED),
    ]
    assert findings[0].cause == "a and c lead to one and the same cluster: their ImageBasedUpgrade has the uid 1-2"
    assert "own ibu_kubeconfig" in findings[0].remedy


@pytest.mark.parametrize(
    ("observed", "goals", "scope"),
    [
        (IDLE, UP, Scope(prep=True, gates=True, blocks=True)),
        (IDLE, (Goal(Action.ABORT),), Scope()),
        (Observed(State.PREP_RUNNING, spec=SPEC), UP, Scope(gates=True)),
        (
            Observed(State.PREP_COMPLETED, spec=SPEC, valid_next=("Idle", "Upgrade")),
            UP,
            Scope(gates=True, blocks=True),
        ),
        (Observed(State.UPGRADE_POST_PIVOT, spec={"seedImageRef": SEED.as_spec()}), UP, Scope()),
        (
            Observed(
                State.UPGRADE_COMPLETED,
                version="4.17.3",
                spec={"seedImageRef": SEED.as_spec()},
                valid_next=("Idle", "Rollback"),
            ),
            UP,
            Scope(gates=True),
        ),
        (Observed(State.IDLE, version="4.17.3", spec={"seedImageRef": SEED.as_spec()}), UP, Scope()),
        (Observed(State.PREP_FAILED, spec={"seedImageRef": SEED.as_spec()}), UP, Scope()),
    ],
    ids=["before Prep", "abort", "preparing", "prepared", "after the reboot", "upgraded", "done", "failed"],
)
def test_a_cluster_is_asked_only_what_still_matters(observed: Observed, goals: tuple[Goal, ...], scope: Scope) -> None:
    assert scope_of(observed, goals) == scope


def test_what_may_not_be_read_is_said_once_and_blocks_nothing() -> None:
    secret, deployment = Permission("get", "", "secrets", "x", "pull"), Permission("get", "apps", "deployments", "x")

    findings = survey_findings(
        survey(agent=Reading(denied=deployment), references={"Secret x/pull": Reading(denied=secret)}), UP, Policy()
    )

    assert [finding.severity for finding in findings] == [Severity.NOT_CHECKED]
    assert "get deployments.apps in x" in findings[0].cause and "get secrets in x" in findings[0].cause
    assert not findings[0].severity.excludes


def test_the_key_of_the_pull_secret_is_all_that_is_looked_at() -> None:
    secret = Reading(({"data": {".dockerconfigjson": "c2VjcmV0"}},))

    assert found(references={"Secret openshift-lifecycle-agent/pull": secret}) == []


@pytest.mark.parametrize(
    ("hub", "through_hub", "words"),
    [
        (HubFacts(version="4.16.9"), False, "the hub runs 4.16.9; it should be at least at the target version 4.17.3"),
        (HubFacts(version="4.17.3"), False, None),
        (HubFacts(version=None), False, None),
        (
            HubFacts(acm=Reading(({"status": {"phase": "Installing", "currentVersion": "2.11.0"}},))),
            False,
            "Advanced Cluster Management on the hub is not running",
        ),
        (HubFacts(acm=Reading(({"status": {"phase": "Running", "currentVersion": "2.12.1"}},))), False, None),
        (HubFacts(group_upgrades=False), True, "does not know ImageBasedGroupUpgrade"),
        (HubFacts(group_upgrades=False), False, None),
        (HubFacts(group_upgrades=True), True, None),
        (
            HubFacts(
                clusters={
                    "m": {"status": {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": "Unknown"}]}}
                }
            ),
            True,
            "the hub has no contact with the cluster",
        ),
        (HubFacts(denied=(Permission("get", "config.openshift.io", "clusterversions"),)), False, "the hub identity"),
    ],
)
def test_the_hub(hub: HubFacts, through_hub: bool, words: str | None) -> None:
    causes = [cause for _s, cause in found(policy=Policy(through_hub=through_hub), hub=hub, managed_cluster="m")]

    assert len(causes) == (words is not None)
    assert not words or words in causes[0]
