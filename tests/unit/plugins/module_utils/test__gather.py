# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is collected, from whom, with which images, and under which names."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils import _gather
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Observed, State

NOW = datetime.datetime(2026, 11, 21, 1, 12, 40, tzinfo=datetime.timezone.utc)
FAILED = Observed(State.PREP_FAILED, stage="Prep", since=NOW, uid="u")


def test_neither_secrets_nor_configmaps_are_read() -> None:
    assert not {"secrets", "configmaps"} & {kind.plural for kind in _gather.KINDS}


def test_every_kind_has_a_file_of_its_own_and_a_path() -> None:
    assert len({kind.file for kind in _gather.KINDS}) == len(_gather.KINDS)
    by_title = {kind.title: kind for kind in _gather.KINDS}
    assert by_title["nodes"].path == "/api/v1/nodes"
    assert by_title["events of all namespaces"].path == "/api/v1/events"
    jobs = by_title["jobs in openshift-lifecycle-agent"]
    assert jobs.path == "/apis/batch/v1/namespaces/openshift-lifecycle-agent/jobs"
    assert jobs.file == "namespaces/openshift-lifecycle-agent/jobs.batch.yaml"


@pytest.mark.parametrize("state", list(State))
def test_what_is_running_or_well_has_no_evidence(state: State) -> None:
    well = {"idle", "prepared", "upgraded", "preparing", "aborting", "finalizing", "requested", "rolling back"}
    found = _gather.has_evidence(Observed(state))
    assert not (found and state in well)
    assert found or "fail" not in state
    assert found or not state.startswith("rolled back")


@pytest.mark.parametrize("state", list(State))
def test_a_rollback_takes_away_what_the_new_release_shows(state: State) -> None:
    left = {State.UPGRADE_POST_PIVOT, State.UPGRADE_FAILED_POST_PIVOT, State.UPGRADE_COMPLETED}
    seen = Observed(state)
    wanted = {(idle, back): _gather.is_wanted(seen, idle, back) for idle in (True, False) for back in (True, False)}

    assert wanted == {
        (False, False): True,
        (True, False): _gather.has_evidence(seen),
        (False, True): state in left,
        (True, True): _gather.has_evidence(seen) or state in left,
    }


def test_the_logs_of_containers_that_have_run() -> None:
    pod = {
        "metadata": {"namespace": "n", "name": "p"},
        "status": {
            "initContainerStatuses": [{"name": "init", "state": {"terminated": {}}, "restartCount": 0}],
            "containerStatuses": [
                {"name": "new", "state": {"waiting": {}}, "restartCount": 0},
                {"name": "crashed", "state": {"waiting": {}}, "restartCount": 3},
            ],
        },
    }
    found = _gather.logs_of([pod, {"metadata": {}}])
    assert [(log.container, log.previous) for log in found] == [("init", False), ("crashed", False), ("crashed", True)]
    assert found[2].query == {"container": "crashed", "timestamps": "true", "previous": "true"}
    assert found[2].file == "namespaces/n/pods/p/crashed.previous.log"


@given(st.text())
def test_a_safe_name_is_one_plain_part_of_a_path(name: str) -> None:
    safe = _gather.safe_name(name)
    assert safe and "/" not in safe and not safe.startswith(".")
    assert safe.isascii() and safe.isprintable()


def test_the_name_of_an_archive() -> None:
    assert _gather.archive_name("site-0001", NOW) == "site-0001-20261121T011240Z"


# --- is a new one needed? -----------------------------------------------------------------------------------------


def manifest(**more: Any) -> dict[str, Any]:
    return {"collected": "2026-11-21T01:12:40Z", "shows": _gather.fingerprint(FAILED), **more}


@pytest.mark.parametrize(
    ("change", "seconds", "current"),
    [
        ({}, 0, True),
        ({}, 3599, True),
        ({}, 3600, False),
        ({}, -5, False),
        ({"shows": {**_gather.fingerprint(FAILED), "since": "2026-11-20T00:00:00Z"}}, 10, False),
        ({"shows": _gather.fingerprint(Observed(State.IDLE))}, 10, False),
        ({"collected": "yesterday"}, 10, False),
        ({"collected": None}, 10, False),
    ],
)
def test_an_archive_is_current_for_the_same_failure_only(change: dict[str, Any], seconds: int, current: bool) -> None:
    now = NOW + datetime.timedelta(seconds=seconds)
    assert _gather.is_current(manifest(**change), _gather.fingerprint(FAILED), now, 3600) is current


@pytest.mark.parametrize(
    ("method", "has_oc", "manifest", "enough"),
    [
        ("auto", False, {"method": "api", "tried_oc": False}, True),
        ("api", False, {"method": "api"}, True),
        ("auto", True, {"method": "oc"}, True),
        ("auto", True, {"method": "api", "tried_oc": True}, True),
        ("auto", True, {"method": "api", "tried_oc": False}, False),
        ("oc", True, {"method": "api", "tried_oc": True}, False),
    ],
)
def test_what_the_api_had_is_not_enough_once_there_is_oc(
    method: str, has_oc: bool, manifest: dict[str, Any], enough: bool
) -> None:
    assert _gather.is_enough(manifest, _gather.Method(method), has_oc) is enough


# --- must-gather --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["registry.example.com/a:1", "lifecycle-agent", "oadp", "cluster", "a/b@sha256:0"])
def test_images_that_can_be_run(image: str) -> None:
    _gather.check_images("images", [image])


@pytest.mark.parametrize("images", [[], ["lifecycle agent"], ["LifecycleAgent"], ["a b:c"], ["a:1,b:2"], [""]])
def test_images_that_cannot(images: list[str]) -> None:
    with pytest.raises(InvalidOption, match="images: .* give"):
        _gather.check_images("images", images)


def test_the_agents_image_is_that_of_its_manager() -> None:
    containers = [{"name": "kube-rbac-proxy", "image": "a"}, {"name": "manager", "image": "b"}]
    assert _gather.agent_image({"spec": {"template": {"spec": {"containers": containers}}}}) == "b"
    assert _gather.agent_image({}) is None


@pytest.mark.parametrize(
    "csv",
    [
        {"metadata": {"annotations": {"operators.openshift.io/must-gather-image": "r/x:1"}}},
        {"spec": {"relatedImages": [{"name": "velero", "image": "r/v:1"}, {"name": "must-gather", "image": "r/x:1"}]}},
        {"spec": {"relatedImages": [{"name": "", "image": "r/v:1"}, {"name": "oadp_mustgather", "image": "r/x:1"}]}},
    ],
)
def test_an_operator_names_its_image(csv: dict[str, Any]) -> None:
    assert _gather.operator_image([{}, csv]) == "r/x:1"


def test_an_operator_that_names_none() -> None:
    assert _gather.operator_image([{"metadata": {"name": "oadp-operator.v1.4.1"}, "spec": {}}]) is None


def test_the_command() -> None:
    assert _gather.oc_arguments(["r/x:1", "cluster"], "/d", 600.5) == [
        "adm",
        "must-gather",
        "--dest-dir=/d",
        "--timeout=600s",
        "--image=r/x:1",
        "--image-stream=openshift/must-gather",
    ]


def test_only_what_it_made_itself_and_did_not_delete_is_left_behind() -> None:
    log = """[must-gather      ] OUT namespace/openshift-must-gather-5kznj created
[must-gather      ] OUT clusterrolebinding.rbac.authorization.k8s.io/must-gather-sdqb2 created
[must-gather-x] POD namespace/openshift-etcd created
[must-gather      ] OUT clusterrolebinding.rbac.authorization.k8s.io/must-gather-sdqb2 deleted
"""
    assert _gather.left_behind(log) == [("namespace", "openshift-must-gather-5kznj")]
    assert _gather.left_behind("") == []


# --- kubeconfig ---------------------------------------------------------------------------------------------------

KUBECONFIG = {
    "current-context": "b",
    "clusters": [
        {"name": "x", "cluster": {"server": "https://x", "certificate-authority": "ca.pem"}},
        {"name": "y", "cluster": {"server": "https://y", "certificate-authority-data": "Y2E="}},
    ],
    "users": [
        {"name": "u", "user": {"client-certificate": "/c.pem", "client-key": "k.pem"}},
        {"name": "v", "user": {"token": "t"}},
    ],
    "contexts": [
        {"name": "a", "context": {"cluster": "x", "user": "u"}},
        {"name": "b", "context": {"cluster": "y", "user": "v"}},
    ],
}


def parts(options: dict[str, Any], document: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    found = _gather.kubeconfig_for(options, document, "/base")
    assert found["current-context"] == found["contexts"][0]["name"]
    assert len(found["clusters"]) == len(found["users"]) == 1
    return found["clusters"][0]["cluster"], found["users"][0]["user"]


def test_only_the_context_that_is_meant_is_written() -> None:
    assert parts({}, KUBECONFIG) == ({"server": "https://y", "certificate-authority-data": "Y2E="}, {"token": "t"})
    cluster, user = parts({"context": "a"}, KUBECONFIG)
    assert cluster == {"server": "https://x", "certificate-authority": "/base/ca.pem"}
    assert user == {"client-certificate": "/c.pem", "client-key": "/base/k.pem"}


def test_options_win_over_the_kubeconfig() -> None:
    options = {"host": "https://z", "ca_cert": "/z.pem", "api_key": "k", "proxy": "http://p", "client_cert": "/c2"}
    cluster, user = parts(options, KUBECONFIG)
    assert cluster == {"server": "https://z", "certificate-authority": "/z.pem", "proxy-url": "http://p"}
    assert user == {"token": "k", "client-certificate": "/c2"}
    assert parts({"host": "https://z", "client_cert": "/c", "client_key": "/k"}) == (
        {"server": "https://z"},
        {"client-certificate": "/c", "client-key": "/k"},
    )


def test_without_verification_no_ca_is_named() -> None:
    cluster, _user = parts({"validate_certs": False}, KUBECONFIG)
    assert cluster == {"server": "https://y", "insecure-skip-tls-verify": True}
    insecure = {**KUBECONFIG, "clusters": [{"name": "y", "cluster": {"server": "s", "insecure-skip-tls-verify": True}}]}
    assert parts({"validate_certs": True}, insecure)[0] == {"server": "s"}
