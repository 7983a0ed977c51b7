# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches: from a fresh list, their ends, their expiry, and the one that never answers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from contract.helpers import IBU, IBUS, MAPS, config_maps, events, ibu, put_ibu
from contract.servers import Server

NEVER = 999_999_999


def _version(api: Server, path: str = IBUS) -> str:
    version = api.admin.get(path).ok()["metadata"]["resourceVersion"]
    assert isinstance(version, str)
    return version


def test_watch_from_a_list_tells_what_came_after(api: Server) -> None:
    put_ibu(api.admin, ibu())
    start = _version(api)
    api.admin.merge(IBU, {"spec": {"stage": "Prep"}}).ok()
    api.admin.merge(IBU, {"metadata": {"labels": {"a": "b"}}}).ok()
    api.admin.delete(IBU).ok()
    api.admin.create(IBUS, ibu()).ok()

    seen = list(api.admin.watch(IBUS, resourceVersion=start, timeoutSeconds=1))

    assert [event["type"] for event in seen] == ["MODIFIED", "MODIFIED", "DELETED", "ADDED"]
    assert [event["object"]["spec"]["stage"] for event in seen] == ["Prep", "Prep", "Prep", "Idle"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))
    assert versions[0] > int(start)


def test_watch_tells_of_a_write_at_once(api: Server) -> None:
    put_ibu(api.admin, ibu())
    stream = api.admin.watch(IBUS, resourceVersion=_version(api), timeoutSeconds=10)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, stream)
        written = time.monotonic()
        api.admin.merge(IBU, {"spec": {"stage": "Prep"}}).ok()
        event = first.result(timeout=10)
    stream.close()

    assert (event["type"], event["object"]["spec"]["stage"]) == ("MODIFIED", "Prep")
    assert time.monotonic() - written < 2


def test_watch_of_a_write_that_changes_nothing_is_silent(api: Server) -> None:
    put_ibu(api.admin, ibu())
    start = _version(api)
    api.admin.merge(IBU, {"spec": {"stage": "Idle"}}).ok()

    assert events(api.admin.watch(IBUS, resourceVersion=start, timeoutSeconds=1)) == []


@pytest.mark.parametrize("version", ["", "0"])
def test_watch_without_a_version_begins_with_what_is_there(api: Server, version: str) -> None:
    put_ibu(api.admin, ibu())

    assert events(api.admin.watch(IBUS, resourceVersion=version, timeoutSeconds=1)) == [("ADDED", "upgrade")]


def test_watch_of_one_object_by_its_field(api: Server) -> None:
    """What a client does that waits for one upgrade."""
    put_ibu(api.admin, ibu())
    start = _version(api)
    api.admin.merge(f"{IBU}/status", {"status": {"validNextStages": ["Prep"], "conditions": []}}).ok()

    query = {"fieldSelector": "metadata.name=upgrade", "resourceVersion": start, "timeoutSeconds": 1}
    seen = list(api.admin.watch(IBUS, **query))

    assert [event["object"]["status"]["validNextStages"] for event in seen] == [["Prep"]]


def test_connection_serves_on_after_a_watch(api: Server) -> None:
    put_ibu(api.admin, ibu())
    for _ in range(2):
        assert events(api.admin.watch(IBUS, timeoutSeconds=1)) == [("ADDED", "upgrade")]
        assert api.admin.get(IBU).status == 200


def test_watch_of_one_name(api: Server) -> None:
    run = config_maps(api.admin, [{}, {}])
    start = _version(api, MAPS)
    for index in (0, 1):
        api.admin.merge(f"{MAPS}/{run}-{index}", {"data": {"index": "changed"}}).ok()

    query = {"fieldSelector": f"metadata.name={run}-1", "resourceVersion": start, "timeoutSeconds": 1}

    assert events(api.admin.watch(MAPS, **query)) == [("MODIFIED", f"{run}-1")]


def test_watch_with_labels_sees_objects_come_and_go(api: Server) -> None:
    """An object that stops matching is told as deleted, one that begins to match as added."""
    run = config_maps(api.admin, [{"color": "red"}, {"color": "blue"}])
    start = _version(api, MAPS)
    api.admin.merge(f"{MAPS}/{run}-0", {"metadata": {"labels": {"color": "blue"}}}).ok()
    api.admin.merge(f"{MAPS}/{run}-1", {"metadata": {"labels": {"color": "red"}}}).ok()

    query = {"labelSelector": f"run={run},color=red", "resourceVersion": start, "timeoutSeconds": 1}

    assert events(api.admin.watch(MAPS, **query)) == [("DELETED", f"{run}-0"), ("ADDED", f"{run}-1")]


def test_server_ends_a_watch_after_its_timeout(api: Server) -> None:
    put_ibu(api.admin, ibu())
    begun = time.monotonic()

    assert events(api.admin.watch(IBUS, resourceVersion=_version(api), timeoutSeconds=1)) == []
    assert 0.8 < time.monotonic() - begun < 4


@pytest.mark.parametrize("asked", [True, False])
def test_bookmark_moves_a_watch_along_that_saw_nothing(api: Server, asked: bool) -> None:
    """About two seconds before the end, if others changed meanwhile and the client asked for bookmarks."""
    start = _version(api, MAPS)
    others = threading.Timer(0.3, lambda: config_maps(api.admin, [{}]))
    others.start()

    query = {"labelSelector": "run=none", "resourceVersion": start, "timeoutSeconds": 4}
    seen = list(api.admin.watch(MAPS, **query, **({"allowWatchBookmarks": "true"} if asked else {})))

    others.join()
    assert {event["type"] for event in seen} == ({"BOOKMARK"} if asked else set())
    for event in seen:
        told = event["object"]
        assert (told["kind"], told["apiVersion"]) == ("ConfigMap", "v1")
        assert int(told["metadata"]["resourceVersion"]) > int(start)
        assert not told["metadata"].get("name")


def test_watch_from_an_old_version_expires_inside_the_stream(api: Server) -> None:
    put_ibu(api.admin, ibu())

    seen = list(api.admin.watch(IBUS, resourceVersion=1, timeoutSeconds=5))

    assert [event["type"] for event in seen] == ["ERROR"]
    told = seen[0]["object"]
    assert (told["kind"], told["status"], told["reason"], told["code"]) == ("Status", "Failure", "Expired", 410)
    assert told["message"].startswith("too old resource version: 1 (")


def test_watch_from_a_version_of_another_etcd_hangs_in_silence(api: Server) -> None:
    """No headers, no event, no error, not even when the object changes: only the client's own timeout ends it."""
    put_ibu(api.admin, ibu())
    writer = threading.Timer(0.5, lambda: api.admin.merge(IBU, {"spec": {"stage": "Prep"}}))
    writer.start()

    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        list(api.admin.watch(IBUS, resourceVersion=NEVER, read_timeout=2))

    writer.join()
    assert api.admin.get(IBU).ok()["spec"]["stage"] == "Prep"


def test_watch_may_be_read_only(api: Server) -> None:
    put_ibu(api.admin, ibu())

    assert events(api.reader.watch(IBUS, timeoutSeconds=1)) == [("ADDED", "upgrade")]
