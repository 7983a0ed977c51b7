# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One cluster through a session that answers what the test says."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import IBU_PATH, VERSION_PATH, Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    NotThere,
    Observed,
    Refused,
    State,
    Unanswered,
)

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


def ibu(uid: str = "u1", resource_version: str = "7", stage: str = "Idle") -> dict[str, Any]:
    return {
        "metadata": {"name": "upgrade", "uid": uid, "resourceVersion": resource_version, "generation": 1},
        "spec": {"stage": stage},
        "status": {"conditions": [{"type": "Idle", "status": "True", "reason": "Idle"}], "observedGeneration": 1},
    }


class FakeSession:
    url = "https://127.0.0.1:6443"

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {IBU_PATH: ibu(), VERSION_PATH: {"status": {"desired": {"version": "4.16.8"}}}}
        self.lists: dict[str, Any] = {}
        self.events: list[Any] = []
        self.now: datetime.datetime | None = NOON
        self.calls: list[Any] = []
        self.repeat: Any = lambda ask: ask()

    def _give(self, found: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, path: str, **_query: Any) -> Reply:
        self.calls.append(("get", path))
        return Reply(self._give(self.objects[path]), self.now)

    def list(self, path: str, **_query: Any) -> Any:
        return self.repeat(lambda: self._give(self.lists.get(path, [])))

    def merge_patch(self, path: str, body: Any, **query: Any) -> Reply:
        self.calls.append(("patch", path, body, query))
        return Reply(self._give(self.objects[path]), self.now)

    def watch(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(("watch", path, query))
        for event in self.events:
            yield self._give(event)

    @contextlib.contextmanager
    def repeating(self, repeat: Any) -> Iterator[None]:
        self.repeat, before = repeat, self.repeat
        yield
        self.repeat = before

    def probe(self) -> None:
        """Somebody listens."""

    def close(self) -> None:
        self.calls.append("close")

    @property
    def version_reads(self) -> int:
        return self.calls.count(("get", VERSION_PATH))


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def cluster(session: FakeSession) -> Cluster:
    return Cluster(session)  # type: ignore[arg-type]


def test_a_read_tells_state_version_and_the_clusters_clock(cluster: Cluster) -> None:
    observed = cluster.read()

    assert (observed.state, observed.version, observed.uid) == (State.IDLE, "4.16.8", "u1")
    assert observed.now is not None and abs((observed.now - NOON).total_seconds()) < 10


def test_a_server_without_a_date_has_no_clock(cluster: Cluster, session: FakeSession) -> None:
    session.now = None

    assert cluster.read().now is None


def test_the_version_is_read_once_for_one_object(cluster: Cluster, session: FakeSession) -> None:
    cluster.read()
    cluster.read()

    assert session.version_reads == 1


def test_a_new_object_may_mean_a_new_release(cluster: Cluster, session: FakeSession) -> None:
    cluster.read()
    session.objects[IBU_PATH] = ibu("u2")
    session.objects[VERSION_PATH] = {"status": {"desired": {"version": "4.17.3"}}}

    assert cluster.read().version == "4.17.3"


@pytest.mark.parametrize("error", [Unanswered("connect", "gone"), NotThere("not found")], ids=["silence", "404"])
def test_after_an_outage_nothing_is_known(cluster: Cluster, session: FakeSession, error: Unanswered) -> None:
    cluster.read()
    session.objects[IBU_PATH] = error
    with pytest.raises(type(error)):
        cluster.read()
    assert session.calls[-1] == "close", "the connections of before the reboot are of no use"

    session.objects[IBU_PATH] = ibu()
    session.objects[VERSION_PATH] = {"status": {"desired": {"version": "4.17.3"}}}

    assert cluster.read().version == "4.17.3"


def test_a_server_that_is_not_ready_yet_keeps_its_connection(cluster: Cluster, session: FakeSession) -> None:
    cluster.read()
    session.objects[IBU_PATH] = NotThere("not found")
    for _attempt in range(3):
        with pytest.raises(NotThere):
            cluster.read()
    assert session.calls.count("close") == 1

    session.objects[IBU_PATH] = Unanswered("connect", "gone")
    with pytest.raises(Unanswered):
        cluster.read()
    assert session.calls.count("close") == 2


def test_a_read_that_something_on_the_way_refuses_is_an_outage(cluster: Cluster, session: FakeSession) -> None:
    refusal = Refused("Bad Request", 400)
    session.objects[IBU_PATH] = session.objects[VERSION_PATH] = refusal
    session.events = [refusal]
    last = Observed(State.IDLE, resource_version="7")

    asked: list[Callable[[], object]] = [cluster.read, lambda: list(cluster.changes(last, 60)), cluster.health]
    for ask in asked:
        with pytest.raises(Unanswered, match="HTTP 400: Bad Request") as caught:
            ask()

        assert (caught.value.kind, caught.value.status) == ("http", 400)


def test_a_patch_that_is_refused_is_refused(cluster: Cluster, session: FakeSession) -> None:
    session.objects[IBU_PATH] = Refused("can not change spec.stage", 422)

    with pytest.raises(Refused, match=r"spec\.stage"):
        cluster.patch({"spec": {"stage": "Upgrade"}})


def test_an_outage_between_object_and_version_is_an_outage(cluster: Cluster, session: FakeSession) -> None:
    session.objects[VERSION_PATH] = Unanswered("http", "starting", 503)

    with pytest.raises(Unanswered, match="starting"):
        cluster.read()


@pytest.mark.parametrize("document", [{}, {"status": None}, {"status": {"desired": None}}, {"status": {"desired": {}}}])
def test_a_cluster_version_that_says_nothing_yet(cluster: Cluster, session: FakeSession, document: Any) -> None:
    session.objects[VERSION_PATH] = document

    assert cluster.read().version is None


@pytest.mark.parametrize(("dry_run", "query"), [(False, {}), (True, {"dryRun": "All"})])
def test_a_patch_goes_to_the_one_object(
    cluster: Cluster, session: FakeSession, dry_run: bool, query: dict[str, str]
) -> None:
    body = {"spec": {"stage": "Prep"}}

    assert cluster.patch(body, dry_run=dry_run).state is State.IDLE
    assert session.calls[0] == ("patch", IBU_PATH, body, query)


def test_changes_are_watched_from_what_was_seen(cluster: Cluster, session: FakeSession) -> None:
    session.events = [{"type": "MODIFIED", "object": ibu(resource_version="8")}]

    found = list(cluster.changes(Observed(State.IDLE, resource_version="7"), 60))

    assert [one.resource_version for one in found] == ["8"]
    kind, _path, query = session.calls[0]
    assert kind == "watch"
    assert (query["resource_version"], query["seconds"]) == ("7", 60)
    assert query["fieldSelector"] == "metadata.name=upgrade"


def test_a_deleted_object_is_an_outage(cluster: Cluster, session: FakeSession) -> None:
    session.events = [{"type": "DELETED", "object": ibu()}]

    with pytest.raises(NotThere, match="deleted"):
        list(cluster.changes(Observed(State.IDLE, resource_version="7"), 60))


def test_a_watch_that_expires_says_so(cluster: Cluster, session: FakeSession) -> None:
    session.events = [{"type": "MODIFIED", "object": ibu()}, Unanswered("expired", "too old", 410)]
    changes = cluster.changes(Observed(State.IDLE), 60)

    assert next(changes).state is State.IDLE
    with pytest.raises(Unanswered, match="too old"):
        next(changes)


def test_health_is_everything_that_decides(cluster: Cluster, session: FakeSession) -> None:
    session.lists = {
        "/apis/config.openshift.io/v1/clusteroperators": ["operator"],
        "/api/v1/nodes": ["node"],
        "/api/v1/persistentvolumes": ["volume"],
        "/apis/velero.io/v1/namespaces/openshift-adp/restores": ["restore"],
    }

    health = cluster.health()

    assert health.cluster_version == session.objects[VERSION_PATH]
    assert (health.cluster_operators, health.nodes) == (["operator"], ["node"])
    assert (health.persistent_volumes, health.restores) == (["volume"], ["restore"])


def test_a_busy_moment_costs_health_one_request(session: FakeSession) -> None:
    nodes = [Unanswered("http", "busy", 503), [{"metadata": {"name": "n"}}]]

    def patience(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Unanswered:
            return nodes.pop()

    session.lists["/api/v1/nodes"] = nodes[0]

    assert Cluster(session, patience).health().nodes == [{"metadata": {"name": "n"}}]  # type: ignore[arg-type]


def test_only_the_restores_may_be_unknown_to_the_api(cluster: Cluster, session: FakeSession) -> None:
    session.lists = {"/apis/velero.io/v1/namespaces/openshift-adp/restores": NotThere("no such API")}
    assert cluster.health().restores == []

    session.lists = {"/apis/config.openshift.io/v1/clusteroperators": NotThere("no such API")}
    with pytest.raises(NotThere):
        cluster.health()


def test_restores_that_may_not_be_read_are_not_taken_for_none(cluster: Cluster, session: FakeSession) -> None:
    session.lists = {"/apis/velero.io/v1/namespaces/openshift-adp/restores": Unanswered("rights", "forbidden", 403)}

    with pytest.raises(Unanswered, match="forbidden"):
        cluster.health()


def test_closing_closes_the_session(cluster: Cluster, session: FakeSession) -> None:
    cluster.close()

    assert session.calls == ["close"]
