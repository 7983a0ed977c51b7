# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that the cleanup of OADP sends, on the simulator and on a real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    CLUSTER_ID,
    Documents,
    Item,
    request_for,
    select,
    without_velero_finalizers,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_cluster import OadpCluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Step, Verb
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Unanswered
from fleetsim.testing import Fleet
from kubeapi import KubeApi, NoBinaries

NS = "openshift-adp"
MINE, OTHER = "11111111-aaaa", "22222222-bbbb"
VELERO = "/apis/velero.io/v1"
FINALIZER = "restores.velero.io/external-resources-finalizer"


@pytest.fixture(name="session", scope="module", params=["sim", pytest.param("kube", marks=pytest.mark.kubeapi)])
def fixture_session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A cluster on which nobody else looks at these objects."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sim":
        troubles = {"site": {"lca_not_ready": {}, "velero_down": {}}}
        scenario = {"speed": 1, "hub": False, "clusters": {"count": 1, "name": "site"}, "troubles": troubles}
        with Fleet(scenario, folder) as fleet:
            yield open_session({"kubeconfig": str(fleet.kubeconfig("site"))})
        return
    try:
        server = KubeApi(folder)
    except NoBinaries as reason:
        pytest.skip(str(reason))
    with server:
        found = open_session({"kubeconfig": str(server.kubeconfig)})
        found.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
        yield found


def put(session: Session, kind: str, name: str, owner: str | None = None, **more: object) -> str:
    """An object as Velero would have made it; its uid."""
    labels = {CLUSTER_ID: owner} if owner else {}
    meta = {"name": name, "labels": labels, **({"finalizers": [FINALIZER]} if more.pop("held", False) else {})}
    document = {"apiVersion": "velero.io/v1", "kind": kind, "metadata": meta, "spec": more}
    path = f"{VELERO}/namespaces/{NS}/{kind.lower()}s"
    return str(session.create(path, document).document["metadata"]["uid"])


def one(seen: Documents, kind: str, name: str) -> Item | None:
    mine = select(seen)
    items = {"Backup": mine.backups, "Restore": mine.restores, "DeleteBackupRequest": mine.requests}[kind]
    return next((item for item in items if item.key == (NS, name)), None)


def look(cluster: OadpCluster) -> Documents:
    found = cluster.read()
    return Documents(**{**vars(found), "cluster_id": MINE})


def test_backups_requests_and_restores_are_made_found_and_deleted(session: Session) -> None:
    cluster = OadpCluster(session)
    put(session, "Backup", "a", MINE)
    put(session, "Backup", "theirs", OTHER)
    put(session, "Restore", "a", None, backupName="a")
    put(session, "Restore", "theirs", None, backupName="theirs")

    backup = one(look(cluster), "Backup", "a")
    assert backup is not None
    made = cluster.do(Step(Verb.CREATE, "DeleteBackupRequest", backup.key, "", body=request_for(backup, MINE, ())))
    seen = look(cluster)
    request, restore = one(seen, "DeleteBackupRequest", "a"), one(seen, "Restore", "a")
    assert request is not None and request.uid == made and request.backup == backup.key
    assert restore is not None and one(seen, "Restore", "theirs") is None
    moving = cluster.read_moving(seen)
    assert moving.now is not None and request.created is not None
    assert [doc["metadata"]["name"] for doc in moving.requests] == ["a"]

    with pytest.raises(Unanswered) as conflict:
        cluster.do(Step(Verb.CREATE, "DeleteBackupRequest", backup.key, "", body=request_for(backup, MINE, ())))
    assert conflict.value.kind == "conflict"
    another = request_for(backup, MINE, [backup.key])
    assert cluster.do(Step(Verb.CREATE, "DeleteBackupRequest", backup.key, "", body=another)) != made

    with pytest.raises(Unanswered) as conflict:
        cluster.do(Step(Verb.DELETE, "Backup", backup.key, "", "not-this-one"))
    assert conflict.value.kind == "conflict"
    for item in (restore, backup, request):
        cluster.do(Step(Verb.DELETE, item.kind, item.key, "", item.uid))
        cluster.do(Step(Verb.DELETE, item.kind, item.key, "", item.uid))
        assert one(look(cluster), item.kind, "a") is None
    assert len([doc for doc in look(cluster).backups if doc["metadata"]["name"] == "theirs"]) == 1


def test_what_velero_holds_is_let_go_by_uid(session: Session) -> None:
    cluster = OadpCluster(session)
    put(session, "Backup", "held", MINE)
    uid = put(session, "Restore", "held", None, backupName="held", held=True)
    key = (NS, "held")
    cluster.do(Step(Verb.DELETE, "Restore", key, "", uid))
    restore = one(look(cluster), "Restore", "held")
    assert restore is not None and restore.leaving and restore.finalizers == (FINALIZER,)

    body = without_velero_finalizers(restore)
    cluster.do(Step(Verb.RELEASE, "Restore", key, "", "not-this-one", body))
    assert one(look(cluster), "Restore", "held") is not None
    cluster.do(Step(Verb.RELEASE, "Restore", key, "", uid, body))
    assert one(look(cluster), "Restore", "held") is None


def test_a_volume_goes_back_to_delete(session: Session) -> None:
    cluster = OadpCluster(session)
    note = "lca.openshift.io/updated-reclaim-policy"
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/nowhere"},
        "persistentVolumeReclaimPolicy": "Retain",
    }
    meta = {"name": "pv-left", "annotations": {note: "true"}}
    made = session.create(
        "/api/v1/persistentvolumes", {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}
    )
    assert [doc["metadata"]["name"] for doc in select(look(cluster)).volumes] == ["pv-left"]
    body = {"metadata": {"annotations": {note: None}}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    step = Step(Verb.RECLAIM, "PersistentVolume", ("", "pv-left"), "", made.document["metadata"]["uid"], body)
    cluster.do(step)
    volume = session.get("/api/v1/persistentvolumes/pv-left").document
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert select(look(cluster)).volumes == ()
