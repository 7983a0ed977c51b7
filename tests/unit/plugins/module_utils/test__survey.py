# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight asks of a cluster and its hub, answered by fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import Survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    NotThere,
    Observed,
    SeedImage,
    State,
    Unanswered,
)

AGENT = "/apis/apps/v1/namespaces/openshift-lifecycle-agent/deployments/lifecycle-agent-controller-manager"
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters/managed-1"
SECRET = "/api/v1/namespaces/openshift-lifecycle-agent/secrets/pull"
CONFIG_MAP = "/api/v1/namespaces/openshift-adp/configmaps/backup"
IDLE = Observed(State.IDLE, version="4.16.8", valid_next=("Prep",))
PREP = Goal(Action.PREP, SeedImage("4.17.3", "registry/seed:1", "pull"), oadp_content=(("openshift-adp", "backup"),))
UPGRADE = Goal(Action.UPGRADE)


class FakeSession:
    """Has every object but the missing, and grants what ``may`` says."""

    url = "https://127.0.0.1:6443"
    credential = "certificate"

    def __init__(self, may: Callable[[dict[str, str]], bool] = lambda _asked: True) -> None:
        self.may = may
        self.answers: dict[str, Any] = {AGENT: {"status": {"availableReplicas": 1}}}
        self.asked: list[dict[str, str]] = []
        self.gets: list[str] = []
        self.closed = 0

    def get(self, path: str, **_query: Any) -> Reply:
        self.gets.append(path)
        answer = self.answers.get(path, {})
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, None)

    def create(self, path: str, document: dict[str, Any], **_query: Any) -> Reply:
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "nothing else may be created"
        attributes = document["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        return Reply({"status": {"allowed": self.may(attributes)}}, None)

    def close(self) -> None:
        self.closed += 1


def look(
    session: FakeSession, *goals: Goal, observed: Observed = IDLE, hub: FakeSession | IbuError | None = None
) -> Survey:
    def open_hub() -> Any:
        if isinstance(hub, IbuError):
            raise hub
        return hub

    return survey("site-0001", session, observed, goals, open_hub if hub else None, "managed-1")  # type: ignore[arg-type]


def not_everything(asked: dict[str, str]) -> bool:
    return asked["verb"] != "*"


def test_a_fit_cluster() -> None:
    session = FakeSession()

    found = look(session, PREP, UPGRADE)

    assert found == Survey("site-0001", session.url, "certificate", IDLE, True)
    assert session.asked == [{"verb": "*", "group": "*", "resource": "*"}], "an admin is asked about once"


def test_a_lesser_identity_is_asked_about_each_call() -> None:
    session = FakeSession(not_everything)

    assert look(session, PREP).denied == ()
    assert {"verb": "patch", "group": "lca.openshift.io", "resource": "imagebasedupgrades"} in session.asked
    assert {
        "verb": "get",
        "resource": "secrets",
        "namespace": "openshift-lifecycle-agent",
        "name": "pull",
    } in session.asked


def test_what_is_denied_is_named() -> None:
    session = FakeSession(lambda asked: not_everything(asked) and asked["verb"] != "watch")

    assert [str(one) for one in look(session, UPGRADE).denied] == ["watch imagebasedupgrades.lca.openshift.io"]


@pytest.mark.parametrize("document", [{}, {"status": None}, {"status": {}}, {"status": {"allowed": False}}])
def test_a_review_that_does_not_say_yes_says_no(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    monkeypatch.setattr(session, "create", lambda *_args: Reply(document, None))

    assert len(look(session, UPGRADE).denied) > 5


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        ({"status": {"availableReplicas": 1}}, True),
        ({"status": {"availableReplicas": 0}}, False),
        ({"status": {}}, False),
        ({}, False),
        (NotThere("not found"), None),
    ],
    ids=["ready", "none", "no count", "no status", "not installed"],
)
def test_the_agent(answer: Any, ready: bool | None) -> None:
    session = FakeSession()
    session.answers[AGENT] = answer

    assert look(session, PREP).agent_ready is ready


def test_missing_references_are_all_named() -> None:
    session = FakeSession()
    session.answers |= {SECRET: NotThere("no"), CONFIG_MAP: NotThere("no")}

    assert look(session, PREP).missing_refs == (
        "ConfigMap openshift-adp/backup",
        "Secret openshift-lifecycle-agent/pull",
    )


def test_what_may_not_be_read_is_not_called_missing() -> None:
    session = FakeSession(lambda asked: not_everything(asked) and asked["resource"] != "secrets")

    found = look(session, PREP)

    assert found.missing_refs == ()
    assert [str(one) for one in found.denied] == ["get secrets in openshift-lifecycle-agent"]
    assert SECRET not in session.gets


def test_references_matter_only_before_prep() -> None:
    session = FakeSession()
    session.answers |= {SECRET: NotThere("no"), CONFIG_MAP: NotThere("no")}

    assert look(session, PREP, observed=Observed(State.PREP_COMPLETED)).missing_refs == ()


@pytest.mark.parametrize("path", [AGENT, SECRET])
def test_silence_in_the_middle_is_the_callers_to_judge(path: str) -> None:
    session = FakeSession()
    session.answers[path] = Unanswered("http", "busy", 503)

    with pytest.raises(Unanswered, match="busy"):
        look(session, PREP)


def test_a_fit_hub() -> None:
    hub = FakeSession()

    assert look(FakeSession(), UPGRADE, hub=hub).hub_problem is None
    assert (hub.gets, hub.closed) == ([MANAGED], 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (NotThere("no"), "the hub https://127.0.0.1:6443 has no ManagedCluster 'managed-1' (ibu_managed_cluster)"),
        (Unanswered("connect", "refused"), "the hub does not answer: refused"),
    ],
    ids=["unknown", "silent"],
)
def test_a_hub_in_trouble(answer: Exception, words: str) -> None:
    hub = FakeSession()
    hub.answers[MANAGED] = answer

    assert look(FakeSession(), UPGRADE, hub=hub).hub_problem == words
    assert hub.closed == 1


def test_a_hub_that_only_lets_look() -> None:
    hub = FakeSession(lambda asked: asked["verb"] != "patch")

    problem = look(FakeSession(), UPGRADE, hub=hub).hub_problem

    assert problem == "the hub identity may not patch managedclusters.cluster.open-cluster-management.io"


def test_a_hub_whose_options_are_no_use() -> None:
    assert look(FakeSession(), UPGRADE, hub=IbuError("no such file")).hub_problem == "no such file"


def test_prep_alone_needs_no_hub() -> None:
    hub = FakeSession()

    look(FakeSession(), PREP, hub=hub)

    assert hub.gets == []
