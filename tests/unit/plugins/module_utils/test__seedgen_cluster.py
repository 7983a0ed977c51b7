# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written to a seed cluster and to its hub, and putting a pull secret back."""

from __future__ import annotations

import base64
import datetime
import json
import threading
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import Phase
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import SeedCluster, SeedHub
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Patience
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import Leftover, Remove
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_restore import restore
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    InvalidOption,
    NotThere,
    Result,
    Unanswered,
)

Object = dict[str, Any]

GENERATORS = "/apis/lca.openshift.io/v1/seedgenerators"
UPGRADES = "/apis/lca.openshift.io/v1/imagebasedupgrades"
VERSION = "/apis/config.openshift.io/v1/clusterversions/version"
SECRETS = "/api/v1/namespaces/openshift-lifecycle-agent/secrets"
PULL_SECRET = "/api/v1/namespaces/openshift-config/secrets/pull-secret"
POOLS = "/apis/machineconfiguration.openshift.io/v1/machineconfigpools"
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters/site"
ADDONS = "/apis/agent.open-cluster-management.io/v1/namespaces/site/klusterletaddonconfigs/site"

REAL = json.dumps({"auths": {"quay.io": {"username": "pull", "password": "word"}}})
DUMMY = json.dumps({"auths": {}})
OURS = {"app.kubernetes.io/managed-by": "sno.image_upgrade"}


def docker(text: str, key: str = ".dockerconfigjson", **meta: Any) -> Object:
    return {"metadata": {"name": "x", "uid": "u", **meta}, "data": {key: base64.b64encode(text.encode()).decode()}}


class FakeSession:
    """An API server of a few documents; `calls` are the writes."""

    url = "https://api.example.com:6443"

    def __init__(self, **_none: Any) -> None:
        self.documents: dict[str, Any] = {VERSION: {"status": {"desired": {"version": "4.17.3"}}}}
        self.calls: list[tuple[Any, ...]] = []
        self.probed = self.closed = 0

    def get(self, path: str, **_query: Any) -> Reply:
        found = self.documents.get(path)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise NotThere(f"{path} not found")
        return Reply(found, None)

    def list(self, path: str, **_query: Any) -> list[Object]:
        return list(self.get(path).document)

    def create(self, path: str, document: Object, **_query: Any) -> Reply:
        self.calls.append(("create", path, document))
        return Reply(document, None)

    def merge_patch(self, path: str, document: Object, **query: Any) -> Reply:
        self.calls.append(("patch", path, document, query))
        return Reply(document, None)

    def delete(self, path: str, uid: str | None = None, **_query: Any) -> Reply:
        self.calls.append(("delete", path, uid))
        self.get(path)
        return Reply({}, None)

    def probe(self) -> None:
        self.probed += 1

    def close(self) -> None:
        self.closed += 1


def cluster(**documents: Any) -> tuple[SeedCluster, FakeSession]:
    session = FakeSession()
    session.documents.update(documents)
    return SeedCluster(session), session  # type: ignore[arg-type]


class TestLook:
    """What a missing object means."""

    @pytest.mark.parametrize(("upgrades", "vacant"), [([], True), ([{"metadata": {}}], False), (None, False)])
    def test_neither_object_is_vacant_but_only_where_the_agent_is(self, upgrades: Any, vacant: bool) -> None:
        look = cluster(**{UPGRADES: upgrades})[0].look()
        assert (look.generation.phase, look.vacant, look.version) == (Phase.ABSENT, vacant, "4.17.3")

    def test_after_a_refused_connection_only_the_port_is_asked(self) -> None:
        site, session = cluster(**{VERSION: Unanswered("connect", "refused")})
        for _attempt in range(2):
            with pytest.raises(Unanswered):
                site.look()
        assert (session.probed, session.closed) == (1, 2)


class TestWrites:
    """Exactly what is meant."""

    def test_the_seed_generator(self) -> None:
        site, session = cluster()
        site.create("registry.example.com/seed:1", None)
        site.create("registry.example.com/seed:1", "registry.example.com/recert:1")
        specs = [call[2]["spec"] for call in session.calls]
        assert specs[0] == {"seedImage": "registry.example.com/seed:1"}
        assert specs[1]["recertImage"] == "registry.example.com/recert:1"
        assert session.calls[0][:2] == ("create", GENERATORS)

    def test_a_credential_is_made_changed_or_left(self) -> None:
        site, session = cluster()
        assert site.put_auth(REAL)
        made = session.calls[0][2]
        assert made["metadata"]["labels"] == OURS
        session.documents[f"{SECRETS}/seedgen"] = docker(REAL, "seedAuth", labels=OURS, resourceVersion="7")
        assert not site.put_auth(REAL)
        assert site.put_auth(DUMMY)
        assert [call[0] for call in session.calls] == ["create", "patch"]
        assert session.calls[1][2]["metadata"] == {"resourceVersion": "7"}
        assert site.seed_auth() == REAL

    def test_a_credential_of_somebody_else_is_never_replaced(self) -> None:
        site, session = cluster(**{f"{SECRETS}/seedgen": docker(REAL, "seedAuth")})
        assert not site.put_auth(REAL)
        with pytest.raises(Ended, match="another credential") as ended:
            site.put_auth(DUMMY)
        assert ended.value.result is Result.REFUSED
        assert session.calls == []

    def test_a_secret_of_somebody_else_without_the_key_gets_it(self) -> None:
        site, session = cluster(**{f"{SECRETS}/seedgen": docker(REAL, "other")})
        assert site.put_auth(REAL)
        assert list(session.calls[0][2]["data"]) == ["seedAuth"]

    def test_only_a_credential_of_our_own_is_removed(self) -> None:
        site, session = cluster(**{f"{SECRETS}/seedgen": docker(REAL, "seedAuth")})
        assert not site.drop_auth()
        assert not cluster()[0].drop_auth()
        labels = {"app.kubernetes.io/managed-by": "sno.image_upgrade", "other": "label"}
        session.documents[f"{SECRETS}/seedgen"] = docker(REAL, "seedAuth", labels=labels)
        assert site.drop_auth()
        assert session.calls == [("delete", f"{SECRETS}/seedgen", "u")]

    def test_the_credential_of_another_secret(self) -> None:
        site, _session = cluster(**{"/api/v1/namespaces/ops/secrets/push": docker(REAL)})
        assert site.auth_of("ops", "push") == REAL
        with pytest.raises(NotThere):
            site.auth_of("ops", "other")

    def test_a_removal_is_of_the_very_object_and_fine_where_it_is_gone(self) -> None:
        one = Leftover(Remove.LVM_CLUSTERS, "LVMCluster", "a", "/apis/x/a", "u-1", "ns")
        site, session = cluster()
        site.remove(one)
        assert session.calls == [("delete", "/apis/x/a", "u-1")]
        assert not site.is_there(one)


class TestHub:
    """The hub is asked when it is needed, and a hub that cannot be asked is a fact."""

    def test_it_lets_go(self) -> None:
        session = FakeSession()
        session.documents[MANAGED] = {"metadata": {"name": "site", "uid": "u-9"}}
        session.documents[ADDONS] = {"spec": {"searchCollector": {"enabled": True}}}
        hub = SeedHub(lambda: session, "site")  # type: ignore[arg-type, return-value]
        seen = hub.read()
        assert seen.managed
        hub.let_go(seen)
        assert [(call[0], call[1]) for call in session.calls] == [("patch", ADDONS), ("delete", MANAGED)]
        assert session.calls[1][2] == "u-9"

    def test_one_that_does_not_answer(self) -> None:
        session = FakeSession()
        session.documents[MANAGED] = Unanswered("connect", "refused")
        assert SeedHub(lambda: session, "site").read().problem == "refused"  # type: ignore[arg-type, return-value]

    def test_one_that_does_not_know_the_cluster(self) -> None:
        view = SeedHub(FakeSession, "site").read()  # type: ignore[arg-type]
        assert (view.asked, view.managed, view.problem) == (True, None, "")


class Time:
    """Passes only by waiting."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds


def put_back(session: FakeSession, copy: str = REAL, *, check: bool = False) -> str:
    return restore(
        SeedCluster(session),  # type: ignore[arg-type]
        lambda: copy,
        Patience(contact=1, removal=60),
        clock=Time(),  # type: ignore[arg-type]
        stop=threading.Event(),
        check=check,
        say=lambda _words: None,
    )


def half_failed(**more: Any) -> FakeSession:
    session = FakeSession()
    updated = {"metadata": {"name": "master"}, "status": {"conditions": [{"type": "Updated", "status": "True"}]}}
    session.documents.update({UPGRADES: [], PULL_SECRET: docker(DUMMY), POOLS: [updated], **more})
    return session


class TestRestore:
    """The way back after a run that failed half-way."""

    @pytest.mark.parametrize(("check", "query"), [(False, {}), (True, {"dryRun": "All"})])
    def test_the_copy_is_put_in_the_place_of_the_dummy(self, check: bool, query: Object) -> None:
        session = half_failed()
        assert put_back(session, check=check)
        assert [(call[0], call[1], call[3]) for call in session.calls] == [("patch", PULL_SECRET, query)]
        assert base64.b64decode(session.calls[0][2]["data"][".dockerconfigjson"]).decode() == REAL

    def test_a_secret_that_is_none_is_left(self) -> None:
        session = half_failed(**{PULL_SECRET: docker(REAL)})
        assert put_back(session) == ""
        assert session.calls == []

    def test_while_the_agent_works_it_is_the_agents(self) -> None:
        condition = {"type": "SeedGenInProgress", "status": "True", "message": "Cleaning cluster resources"}
        session = half_failed(**{f"{GENERATORS}/seedimage": {"metadata": {}, "status": {"conditions": [condition]}}})
        with pytest.raises(Ended, match="Cleaning cluster resources") as ended:
            put_back(session)
        assert ended.value.result is Result.REFUSED
        assert session.calls == []

    def test_a_dummy_is_no_copy(self) -> None:
        session = half_failed()
        with pytest.raises(InvalidOption, match="no credential"):
            put_back(session, DUMMY)
        assert session.calls == []

    def test_a_node_that_does_not_take_it_is_named(self) -> None:
        busy = {"metadata": {"name": "master"}, "status": {"conditions": [{"type": "Updated", "status": "False"}]}}
        with pytest.raises(Ended, match="master") as ended:
            put_back(half_failed(**{POOLS: [busy]}))
        assert ended.value.result is Result.TIMED_OUT
