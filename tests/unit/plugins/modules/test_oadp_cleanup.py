# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oadp_cleanup: from options to requests, and its answer."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import VERSION_PATH
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import CLUSTER_ID
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere
from ansible_collections.sno.image_upgrade.plugins.modules import oadp_cleanup

HOST = "https://api.site-0001.example.com:6443"
MINE = "11111111-aaaa"
NS = "openshift-adp"
VELERO = f"/apis/velero.io/v1/namespaces/{NS}"
FAILED = ("Idle", "False", "FinalizeFailed", "failed to cleanup backups: context deadline exceeded")


class Velero:
    """Deletes what it is asked to, at once, and notes what else arrives."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.calls: list[tuple[str, str, Any]] = []

    def create(self, path: str, document: dict[str, Any], **_query: Any) -> Reply:
        self.calls.append(("POST", path, document))
        gone = document["spec"]["backupName"]
        for kind in ("backups", "restores"):
            path = f"/apis/velero.io/v1/{kind}"
            self.api.lists[path] = [doc for doc in self.api.lists[path] if doc["metadata"]["name"] != gone]
        return Reply({"metadata": {"uid": "r1"}}, None)

    def delete(self, path: str, uid: str | None = None, **_query: Any) -> Reply:
        self.calls.append(("DELETE", path, uid))
        for known in self.api.lists:
            kind = path.rsplit("/", 2)[-2]
            if known.endswith(f"/{kind}"):
                self.api.lists[known] = [doc for doc in self.api.lists[known] if doc["metadata"]["uid"] != uid]
        return Reply({}, None)


def document(name: str, owner: str | None = MINE, phase: str = "Completed", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": NS, "uid": f"uid-{name}", "labels": {CLUSTER_ID: owner} if owner else {}}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase}}


@pytest.fixture
def velero(api: Any, monkeypatch: pytest.MonkeyPatch) -> Velero:
    velero = Velero(api)
    api.create, api.delete = velero.create, velero.delete
    api.show("Idle", [], FAILED)
    api.objects[VERSION_PATH]["spec"] = {"clusterID": MINE}
    store = {"objectStorage": {"bucket": "backups"}, "credential": {"name": "cloud-credentials"}}
    api.lists = {
        "/apis/velero.io/v1/backups": [document("small-app"), document("theirs", "22222222-bbbb")],
        "/apis/velero.io/v1/restores": [document("small-app", None, backupName="small-app")],
        "/apis/velero.io/v1/deletebackuprequests": [],
        f"{VELERO}/backupstoragelocations": [document("dpa-1", None, "Available", **store)],
    }
    return velero


def test_one_request_deletes_the_backup(velero: Velero, run: Any) -> None:
    found = run(oadp_cleanup, host=HOST)

    labels = {CLUSTER_ID: MINE}
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "DeleteBackupRequest",
        "metadata": {"name": "small-app", "namespace": NS, "labels": labels},
        "spec": {"backupName": "small-app"},
    }
    assert velero.calls == [("POST", f"{VELERO}/deletebackuprequests", body)]
    assert found["changed"] is True
    assert found["result"] == "done"
    assert found["removed"]["backups"] == found["removed"]["restores"] == [f"{NS}/small-app"]
    assert found["others"] == 1
    assert found["diff"]["before"]["backups"] == [f"{NS}/small-app"]
    assert found["diff"]["after"]["backups"] == []
    assert found["locations"][0]["secret"] == "cloud-credentials"


def test_check_mode_sends_nothing(velero: Velero, run: Any) -> None:
    found = run(oadp_cleanup, host=HOST, _ansible_check_mode=True)
    assert (found["changed"], velero.calls) == (True, [])
    assert found["removed"]["backups"] == [f"{NS}/small-app"]


def test_objects_go_by_uid_where_the_bucket_is_lost(api: Any, velero: Velero, run: Any) -> None:
    api.lists[f"{VELERO}/backupstoragelocations"][0]["status"]["phase"] = "Unavailable"
    found = run(oadp_cleanup, host=HOST, orphan_data=True)
    assert velero.calls == [
        ("DELETE", f"{VELERO}/restores/small-app", "uid-small-app"),
        ("DELETE", f"{VELERO}/backups/small-app", "uid-small-app"),
    ]
    assert [row["path"] for row in found["data_left"]] == ["backups/restores/small-app", "backups/backups/small-app"]


def test_a_failure_says_what_was_seen_and_what_to_do(api: Any, velero: Velero, run: Any) -> None:
    api.lists[f"{VELERO}/backupstoragelocations"][0]["status"] = {"phase": "Unavailable", "message": "no route"}
    found = run(oadp_cleanup, host=HOST, location_timeout=0)
    assert (found["failed"], found["result"], velero.calls) == (True, "timed_out", [])
    assert (
        "api.site-0001.example.com: backup location dpa-1 is Unavailable: no route; nothing was deleted" in found["msg"]
    )
    assert "repair Secret cloud-credentials or the object store" in found["msg"]
    assert found["found"]["backups"][0]["name"] == "small-app"


def test_without_velero_there_is_nothing_to_do(
    api: Any, velero: Velero, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(path: str, **_query: Any) -> list[dict[str, Any]]:
        if "velero" in path:
            raise NotThere("the server could not find the requested resource")
        return []

    monkeypatch.setattr(api, "list", nothing)
    found = run(oadp_cleanup, host=HOST)
    assert (found["result"], found["changed"]) == ("skipped", False)
    assert "OADP is not installed" in found["message"]


@pytest.mark.parametrize("option", ["location_timeout", "request_timeout", "contact_timeout"])
def test_a_time_that_is_none_is_refused_by_name(velero: Velero, run: Any, option: str) -> None:
    found = run(oadp_cleanup, host=HOST, **{option: -1})
    assert found["failed"] and found["msg"].startswith(f"{option}: -1")
    assert velero.calls == []
