# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight asks of a cluster and its hub, answered by fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import NOT_ASKED, Seed, check_seed
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HubFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import Survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import Reader, read_mirrors, survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey_hub import Hubs, needs_hub
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
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
SECRET = "/api/v1/namespaces/openshift-lifecycle-agent/secrets/pull"
CONFIG_MAP = "/api/v1/namespaces/openshift-adp/configmaps/backup"
SERVICES = "/apis/operators.coreos.com/v1alpha1/clusterserviceversions"
COPIES = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-adp/clusterserviceversions"
MACHINE_CONFIGS = "/apis/machineconfiguration.openshift.io/v1/machineconfigs"
IDLE = Observed(State.IDLE, version="4.16.8", valid_next=("Prep",))
PREP = Goal(Action.PREP, SeedImage("4.17.3", "registry/seed:1", "pull"), oadp_content=(("openshift-adp", "backup"),))
UPGRADE = Goal(Action.UPGRADE)
DENIED = Unanswered("rights", "forbidden", 403)


class FakeSession:
    """Has every object but the missing, lists nothing, and grants what ``may`` says."""

    url = "https://127.0.0.1:6443"
    credential = "certificate"
    certificate = ""

    def __init__(self, may: Callable[[dict[str, str]], bool] = lambda _asked: True) -> None:
        self.may = may
        self.answers: dict[str, Any] = {AGENT: {"status": {"availableReplicas": 1}}}
        self.asked: list[dict[str, str]] = []
        self.gets: list[str] = []
        self.queries: dict[str, dict[str, Any]] = {}
        self.closed = 0

    def get(self, path: str, **query: Any) -> Reply:
        self.gets.append(path)
        self.queries[path] = query
        answer = self.answers.get(path, {})
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, None)

    def items(self, path: str, page: int = 500, **query: Any) -> Iterator[dict[str, Any]]:
        yield from self.get(path, limit=page, **query).document.get("items") or ()

    def create(self, path: str, document: dict[str, Any], **_query: Any) -> Reply:
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "nothing else may be created"
        attributes = document["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        return Reply({"status": {"allowed": self.may(attributes)}}, None)

    def close(self) -> None:
        self.closed += 1


def look(session: FakeSession, *goals: Goal, observed: Observed = IDLE, seed: SeedFacts | None = None) -> Survey:
    return survey(
        "site-0001",
        session,  # type: ignore[arg-type]
        observed,
        goals,
        lambda: Seed(seed or SeedFacts()),
        lambda: (None, None),
        "managed-1",
    )


def ask_hub(hub: FakeSession | IbuError, *, through_hub: bool = False) -> tuple[HubFacts | None, str | None]:
    def open_hub() -> Any:
        if isinstance(hub, IbuError):
            raise hub
        return hub

    return Hubs(through_hub=through_hub).facts("key", open_hub, "managed-1")


def not_everything(asked: dict[str, str]) -> bool:
    return asked["verb"] != "*"


def test_a_fit_cluster() -> None:
    session = FakeSession()

    found = look(session, PREP, UPGRADE)

    assert (found.cluster, found.url, found.credential, found.denied) == ("site-0001", session.url, "certificate", ())
    assert found.agent.status() == {"availableReplicas": 1}
    assert session.asked == [{"verb": "*", "group": "*", "resource": "*"}], "an admin is asked about once"
    assert len(session.gets) == len(set(session.gets)) <= 22, "nothing is asked twice"


def test_a_lesser_identity_is_asked_about_each_call() -> None:
    session = FakeSession(not_everything)

    assert look(session, PREP).denied == ()
    assert {"verb": "patch", "group": "lca.openshift.io", "resource": "imagebasedupgrades"} in session.asked


def test_what_is_denied_is_named() -> None:
    session = FakeSession(lambda asked: not_everything(asked) and asked["verb"] != "watch")

    assert [str(one) for one in look(session, UPGRADE).denied] == ["watch imagebasedupgrades.lca.openshift.io"]


@pytest.mark.parametrize("document", [{}, {"status": None}, {"status": {}}, {"status": {"allowed": False}}])
def test_a_review_that_does_not_say_yes_says_no(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    monkeypatch.setattr(session, "create", lambda *_args: Reply(document, None))

    assert len(look(session, UPGRADE).denied) > 5


def test_what_is_missing_is_a_fact() -> None:
    session = FakeSession()
    session.answers |= {AGENT: NotThere("no"), SECRET: NotThere("no"), CONFIG_MAP: NotThere("no")}

    found = look(session, PREP)

    assert (found.agent.served, found.agent.known, found.agent.items) == (False, True, ())
    missing = [name for name, reading in found.references.items() if not reading.items]
    assert missing == ["ConfigMap openshift-adp/backup", "Secret openshift-lifecycle-agent/pull"]


def test_what_may_not_be_read_is_not_called_missing() -> None:
    session = FakeSession()
    session.answers |= {SECRET: DENIED, SERVICES: DENIED}

    found = look(session, PREP)

    assert str(found.references["Secret openshift-lifecycle-agent/pull"].denied) == (
        "get secrets in openshift-lifecycle-agent"
    )
    assert found.health and str(found.health.services.denied) == "list clusterserviceversions.operators.coreos.com"


def test_references_matter_only_before_prep() -> None:
    session = FakeSession()
    prepared = {"stage": "Prep", "seedImageRef": PREP.seed.as_spec()} if PREP.seed else {}
    observed = Observed(State.PREP_COMPLETED, spec={**prepared, "oadpContent": []}, valid_next=("Idle", "Upgrade"))

    found = look(session, UPGRADE, observed=observed)

    assert (found.references, found.target) == ({}, None)
    assert found.health is not None, "Upgrade waits for the health gates too"
    assert SECRET not in session.gets


def test_a_cluster_in_the_middle_of_its_reboot_is_asked_next_to_nothing() -> None:
    session = FakeSession()

    look(session, UPGRADE, observed=Observed(State.UPGRADE_POST_PIVOT, version="4.17.3"))

    assert session.gets == [AGENT]


def test_what_the_hub_copies_need_not_be_there() -> None:
    session = FakeSession()
    goal = Goal(Action.PREP, PREP.seed, PREP.oadp_content, (("app", "extra"),))
    found = survey(
        "a",
        session,  # type: ignore[arg-type]
        IDLE,
        (goal,),
        lambda: Seed(SeedFacts()),
        lambda: (None, None),
        "a",
        through_hub=True,
    )

    assert list(found.references) == ["ConfigMap app/extra"]


@pytest.mark.parametrize("path", [AGENT, SECRET, SERVICES])
def test_silence_in_the_middle_is_the_callers_to_judge(path: str) -> None:
    session = FakeSession()
    session.answers[path] = Unanswered("http", "busy", 503)

    with pytest.raises(Unanswered, match="busy"):
        look(session, PREP)


# --- a seed image that the control node could not look up ---------------------------------------------------------

SETS = "/apis/config.openshift.io/v1/imagedigestmirrorsets"
OLDER = "/apis/operator.openshift.io/v1alpha1/imagecontentsourcepolicies"
IN_VAIN = "registry registry.example.com: image registry.example.com/seed:1: no answer; check the address"


def look_in_vain(session: FakeSession, why: str = IN_VAIN, problem: str = "") -> Seed:
    goal = Goal(Action.PREP, SeedImage("4.17.3", "registry.example.com/seed:1", "pull"))
    seed = Seed(SeedFacts(), why, problem, "give another")
    arguments: Any = (IDLE, (goal,), lambda: seed, lambda: (None, None), "a")
    found = survey("a", session, *arguments).seed  # type: ignore[arg-type]
    assert found is not None
    return found


def mirror_set(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": "site"}, "spec": {"imageDigestMirrors": list(entries)}}]}


def test_mirrors_of_the_cluster_are_named_where_the_registry_did_not_tell() -> None:
    session = FakeSession()
    mirrors = ["mirror.site.example.com:5000", "other.example.com/seeds"]
    session.answers[SETS] = mirror_set({"source": "registry.example.com", "mirrors": mirrors})

    seed = look_in_vain(session, problem="no such image")

    assert "mirror.site.example.com:5000/seed" in seed.hint and "other.example.com/seeds/seed" in seed.hint
    assert "ibu_seed_registry_mirrors" in seed.hint
    judge = Judge("a")
    seed.missing(judge, "FIPS")
    check_seed(judge, seed, None)
    assert all(seed.hint in one.remedy for one in judge.findings()), judge.findings()


def test_mirrors_of_older_clusters_too() -> None:
    session = FakeSession()
    policy = {"repositoryDigestMirrors": [{"source": "registry.example.com/seed", "mirrors": ["m.example.com/s"]}]}
    session.answers[OLDER] = {"items": [{"spec": policy}]}

    assert "m.example.com/s" in look_in_vain(session).hint


@pytest.mark.parametrize(("older", "known"), [([{"metadata": {"name": "site"}}], True), ([], False)])
def test_one_kind_says_that_there_are_mirrors_but_that_there_are_none_takes_both(older: list[Any], known: bool) -> None:
    session = FakeSession()
    session.answers |= {SETS: DENIED, OLDER: {"items": older}}
    found = read_mirrors(Reader(session))  # type: ignore[arg-type]
    assert (found.known, bool(found.items)) == (known, bool(older))


@pytest.mark.parametrize(
    "entries",
    [
        (),
        ({"source": "elsewhere.example.com", "mirrors": ["m.example.com"]},),
        ({"source": "*.example.com", "mirrors": ["m.example.com"]},),
        ({"source": "registry.example.com"},),
        ({"source": "registry.example.com", "mirrors": ["not a name"]},),
        ({"mirrors": "x"},),
    ],
)
def test_what_says_nothing_about_the_seed_image_is_no_hint(entries: tuple[dict[str, Any], ...]) -> None:
    session = FakeSession()
    session.answers[SETS] = mirror_set(*entries)
    assert look_in_vain(session).hint == ""


def test_a_mirror_that_was_asked_already_is_no_hint() -> None:
    session = FakeSession()
    session.answers[SETS] = mirror_set({"source": "registry.example.com", "mirrors": ["m.example.com"]})
    assert look_in_vain(session, f"{IN_VAIN}; image m.example.com/seed:1: no answer").hint == ""


@pytest.mark.parametrize("why", ["", NOT_ASKED])
def test_mirrors_are_not_read_for_a_seed_that_nobody_looked_for_in_vain(why: str) -> None:
    session = FakeSession()
    assert look_in_vain(session, why).hint == ""
    assert SETS not in session.gets


# --- what is read, and what is kept of it -------------------------------------------------------------------------


def test_copies_of_operators_are_not_fetched_unless_they_decide() -> None:
    session = FakeSession()
    oadp = {
        "metadata": {"name": "oadp-operator.v1.4.1", "namespace": "openshift-adp"},
        "status": {"phase": "Succeeded"},
    }
    session.answers[SERVICES] = {"items": [{**oadp, "spec": {"icon": "x" * 9999}}]}

    found = look(session, PREP)

    assert session.queries[SERVICES]["labelSelector"] == "!olm.copiedFrom"
    assert COPIES not in session.gets
    assert found.health and "icon" not in found.health.services.one["spec"], "what is long is not kept"

    session.answers[SERVICES] = {"items": [{"metadata": {"name": "other.v1.0.0"}}]}
    session.answers[COPIES] = {"items": [oadp]}
    found = look(session, PREP)
    assert found.health and [item["metadata"]["name"] for item in found.health.services.items] == [
        "other.v1.0.0",
        "oadp-operator.v1.4.1",
    ]


def test_of_the_machine_configs_only_the_one_in_force_is_read() -> None:
    session = FakeSession()
    annotations = {"machineconfiguration.openshift.io/currentConfig": "rendered-master-1"}
    session.answers["/api/v1/nodes"] = {"items": [{"metadata": {"name": "n", "annotations": annotations}}]}
    session.answers[f"{MACHINE_CONFIGS}/rendered-master-1"] = {"spec": {"fips": True}}

    found = look(session, PREP)

    assert found.target and found.target.machine_config.spec() == {"fips": True}
    assert MACHINE_CONFIGS not in session.gets

    session.answers[MACHINE_CONFIGS] = {"items": [{"metadata": {"name": "99-own"}, "spec": {"kernelArguments": ["a"]}}]}
    found = look(session, PREP, seed=SeedFacts(machine_configs={}))
    assert found.target and list(found.target.machine_configs) == ["99-own"], "there is something to compare with now"


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("networking: {machineNetwork: [{cidr: 192.0.2.0/24}]}", ("192.0.2.0/24",)),
        ("networking: {}", ()),
        ("]not yaml", None),
        ("a text", None),
        (None, None),
    ],
)
def test_the_machine_networks(text: str | None, networks: tuple[str, ...] | None) -> None:
    session = FakeSession()
    path = "/api/v1/namespaces/kube-system/configmaps/cluster-config-v1"
    session.answers[path] = {"data": {"install-config": text}} if text else {}

    found = look(session, PREP)

    assert found.target and found.target.machine_networks == networks


def test_the_bundle_of_the_proxy_is_read_once() -> None:
    session = FakeSession()
    bundle = "/api/v1/namespaces/openshift-config/configmaps/"
    for name in ("user-ca-bundle", "other"):
        session.answers["/apis/config.openshift.io/v1/proxies/cluster"] = {"spec": {"trustedCA": {"name": name}}}
        session.answers[f"{bundle}{name}"] = {"data": {"ca-bundle.crt": name}}
        session.gets.clear()

        found = look(session, PREP)

        assert found.target and found.target.trusted_ca.one["data"] == {"ca-bundle.crt": name}
        assert session.gets.count(f"{bundle}{name}") == 1


# --- the hub ------------------------------------------------------------------------------------------------------


def fit_hub(may: Callable[[dict[str, str]], bool] = lambda _asked: True) -> FakeSession:
    hub = FakeSession(may)
    hub.answers[MANAGED] = {"items": [{"metadata": {"name": "managed-1"}}]}
    hub.answers["/apis/config.openshift.io/v1/clusterversions/version"] = {"status": {"desired": {"version": "4.17.5"}}}
    return hub


def test_a_fit_hub() -> None:
    hub = fit_hub()

    facts, problem = ask_hub(hub)

    assert problem is None and facts and facts.version == "4.17.5"
    assert hub.closed == 1


def test_a_hub_is_asked_once_for_all_its_clusters() -> None:
    hub = fit_hub()
    hub.answers[MANAGED]["items"] += [{"metadata": {"name": f"c{number}"}} for number in range(9)]
    hubs = Hubs(through_hub=False)
    for number in range(9):
        assert hubs.facts("key", lambda: hub, f"c{number}")[1] is None  # type: ignore[arg-type,return-value]

    assert hub.gets.count(MANAGED) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"items": []}, "the hub https://127.0.0.1:6443 has no ManagedCluster 'managed-1' (ibu_managed_cluster)"),
        (Unanswered("connect", "refused"), "the hub does not answer: refused"),
    ],
    ids=["unknown", "silent"],
)
def test_a_hub_in_trouble(answer: Any, words: str) -> None:
    hub = fit_hub()
    hub.answers[MANAGED] = answer

    assert ask_hub(hub) == (None, words)
    assert hub.closed == 1


def test_an_identity_for_single_clusters_of_the_hub_is_asked_about_the_one() -> None:
    hub = fit_hub(lambda asked: asked.get("name") == "managed-1")
    hub.answers[MANAGED] = DENIED

    assert ask_hub(hub)[1] is None

    hub.answers[f"{MANAGED}/managed-1"] = NotThere("no")
    assert "has no ManagedCluster 'managed-1'" in (ask_hub(hub)[1] or "")


def test_a_hub_that_only_lets_look() -> None:
    hub = fit_hub(lambda asked: asked["verb"] != "patch")

    assert ask_hub(hub)[1] == "the hub identity may not patch managedclusters.cluster.open-cluster-management.io"
    assert ask_hub(hub, through_hub=True)[1] is None, "the hub itself writes then"


def test_a_hub_whose_options_are_no_use() -> None:
    assert ask_hub(IbuError("no such file")) == (None, "no such file")


def test_prep_alone_needs_no_hub() -> None:
    assert not needs_hub([PREP])
    assert needs_hub([PREP, UPGRADE])
