# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods, their logs, commands in them, and downloads from the object store, with the real Kubernetes client."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client, config
from kubernetes.stream import stream

from fleetsim import pods
from fleetsim.testing import Fleet

SCENARIO = {
    "hub": False,
    "speed": 600,
    "clusters": {"count": 2},
    "clusters_extra": {
        "site-0001": {"initial": "UpgradeCompleted", "troubles": {"restore_failed_object": {"name": "late"}}},
        "site-0002": {"troubles": {"health_blocked": {"check": "bsl"}}},
    },
}
REQUESTS = ("velero.io", "v1", "openshift-adp", "downloadrequests")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(SCENARIO) as running:
        yield running


def api(fleet: Fleet, name: str = "site-0001") -> client.ApiClient:
    return config.new_client_from_config(str(fleet.kubeconfig(name)))


def log(core: client.CoreV1Api, namespace: str, pod: str, **options: Any) -> str:
    return core.read_namespaced_pod_log(pod, namespace, **options)  # type: ignore[no-any-return]


def test_the_agents_log_tells_its_conditions(fleet: Fleet) -> None:
    core = client.CoreV1Api(api(fleet))
    names = [pod.metadata.name for pod in core.list_namespaced_pod("openshift-lifecycle-agent").items]
    assert names == [pods.AGENT_POD]
    text = log(core, "openshift-lifecycle-agent", names[0], container="manager")
    assert "UpgradeCompleted: Upgrade completed" in text
    assert "leader election" in log(core, "openshift-lifecycle-agent", names[0], previous=True)
    assert len(log(core, "openshift-lifecycle-agent", names[0], tail_lines=1, timestamps=True).splitlines()) == 1


def test_a_log_that_is_not_there(fleet: Fleet) -> None:
    core = client.CoreV1Api(api(fleet))
    with pytest.raises(client.ApiException, match="previous terminated container"):
        log(core, "openshift-adp", pods.VELERO_POD, previous=True)
    with pytest.raises(client.ApiException, match="container other is not valid"):
        log(core, "openshift-adp", pods.VELERO_POD, container="other")


def run(fleet: Fleet, command: str) -> tuple[str, str, dict[str, Any]]:
    core = client.CoreV1Api(api(fleet))
    answer = stream(
        core.connect_get_namespaced_pod_exec,
        pods.VELERO_POD,
        "openshift-adp",
        container="velero",
        command=command.split(),
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    answer.run_forever(timeout=10)
    return answer.read_stdout(), answer.read_stderr(), yaml.safe_load(answer.read_channel(3))


def test_velero_describes_a_restore(fleet: Fleet) -> None:
    out, err, status = run(fleet, "./velero describe restore late -n openshift-adp --details")
    assert (err, status["status"]) == ("", "Success")
    assert "Phase:  PartiallyFailed" in out and "AccessDenied" in out


def test_a_command_that_fails_says_so(fleet: Fleet) -> None:
    out, err, status = run(fleet, "./velero describe backup none -n openshift-adp")
    assert (out, status["details"]["causes"][0]["message"]) == ("", "1")
    assert 'backups.velero.io "none" not found' in err


def request(fleet: Fleet, cluster: str, kind: str, name: str) -> dict[str, Any]:
    objects = client.CustomObjectsApi(api(fleet, cluster))
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "DownloadRequest",
        "metadata": {"generateName": "look-"},
        "spec": {"target": {"kind": kind, "name": name}},
    }
    made = objects.create_namespaced_custom_object(*REQUESTS, body)
    found = objects.get_namespaced_custom_object(*REQUESTS, made["metadata"]["name"])
    return found.get("status") or {}


def test_a_download_request_gets_an_address(fleet: Fleet) -> None:
    status = request(fleet, "site-0001", "RestoreResults", "late")
    assert status["phase"] == "Processed"
    with urllib3.PoolManager(cert_reqs="CERT_NONE") as pool:
        answer = pool.request("GET", status["downloadURL"])
        assert json.loads(gzip.decompress(answer.data))["errors"] == {
            "velero": ["rpc error: AccessDenied: Access Denied"]
        }
        assert pool.request("GET", status["downloadURL"].partition("?")[0]).status == 403


def test_a_download_request_waits_where_the_location_is_away(fleet: Fleet) -> None:
    assert request(fleet, "site-0002", "BackupLog", "any") == {}
