# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The served fleet over TLS, with the real Kubernetes client."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client, config, watch

from fleetsim.testing import Fleet, FleetError

GROUP = ("lca.openshift.io", "v1", "imagebasedupgrades")
SCENARIO = {
    "speed": 600,
    "clusters": {"count": 14},
    "users": {"reader": {"rules": [{"verbs": ["get", "list"], "groups": "lca.openshift.io"}]}},
    "troubles": {
        "site-0002": {"no_answer": {}},
        "site-0003": {"refused_from_start": {}},
        "site-0004": {"token_only": {}},
        "site-0005": {"expired_token": {}},
        "site-0006": {"expired_certificate": {}},
        "site-0007": {"unknown_certificate": {}},
        "site-0008": {"wrong_ca": {}},
        "site-0009": {"no_permission": {}},
        "site-0010": {"kubeconfig_empty": {}},
        "site-0011": {"kubeconfig_missing": {}},
        "site-0012": {"tls_changed": {"when": "start"}},
        "site-0013": {"tls_changed": {"when": "pivot", "seconds": None}},
    },
}
SPEC = {
    "stage": "Prep",
    "seedImageRef": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"},
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(SCENARIO) as running:
        yield running


class Client:
    """Just enough of a client; no retries, so that every failure is seen."""

    def __init__(self, kubeconfig: Path) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        settings.retries = urllib3.Retry(0, raise_on_status=False)
        self.api = client.ApiClient(settings)
        self.objects = client.CustomObjectsApi(self.api)

    def get(self) -> dict[str, Any]:
        found: dict[str, Any] = self.objects.get_cluster_custom_object(*GROUP, "upgrade", _request_timeout=3)
        return found

    def patch(self, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.objects.patch_cluster_custom_object(*GROUP, "upgrade", body, _request_timeout=3)
        return found

    def truth(self, kind: str) -> bool:
        with contextlib.suppress(client.ApiException, urllib3.exceptions.HTTPError):
            conditions = (self.get().get("status") or {}).get("conditions", [])
            return any(c["type"] == kind and c["status"] == "True" for c in conditions)
        return False


def connect(fleet: Fleet, number: int, user: str | None = None) -> Client:
    return Client(fleet.kubeconfig(f"site-{number:04d}", user))


def until(there: Callable[[], Any], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_whole_upgrade(fleet: Fleet) -> None:
    site = connect(fleet, 1)
    before = site.get()["metadata"]["uid"]
    site.patch({"spec": SPEC})
    until(lambda: site.truth("PrepCompleted"))
    site.patch({"spec": {"stage": "Upgrade"}})
    until(lambda: site.truth("UpgradeCompleted"))
    assert site.get()["metadata"]["uid"] != before
    site.patch({"spec": {"stage": "Idle"}})
    until(lambda: site.truth("Idle"))

    journal = fleet.control.journal("site-0001")
    assert [(e["verb"], e["stage"], e["code"], e["generation"]) for e in journal] == [
        ("patch", "Prep", 200, 2),
        ("patch", "Upgrade", 200, 3),
        ("patch", "Idle", 200, 2),
    ]
    assert "site-0001" in fleet.control.touched()
    reactions = fleet.control.reactions()["site-0001"]
    assert [(r["stage"], r["result"], r["next_stage"]) for r in reactions] == [
        ("Prep", "completed", "Upgrade"),
        ("Upgrade", "completed", "Idle"),
        ("Idle", "completed", None),
    ]
    assert all(r["reacted"] is None or 0 <= r["reacted"] - r["visible"] < 5 for r in reactions)
    assert fleet.control.state("site-0001")["version"] == "4.17.3"


def test_refusal_is_told_and_written_down(fleet: Fleet) -> None:
    site = connect(fleet, 14)
    with pytest.raises(client.ApiException) as refused:
        site.patch({"spec": {"stage": "Upgrade"}})
    body = json.loads(refused.value.body)
    assert (refused.value.status, body["reason"]) == (422, "Invalid")
    assert "the stage transition is not permitted" in body["message"]
    entry = fleet.control.journal("site-0014")[-1]
    assert (entry["code"], entry["stage"], entry["user"]) == (422, "Upgrade", "system:admin")
    assert "site-0014" not in fleet.control.touched()


def test_no_answer(fleet: Fleet) -> None:
    with pytest.raises(urllib3.exceptions.HTTPError, match="timed out"):
        connect(fleet, 2).get()


def test_refused(fleet: Fleet) -> None:
    with pytest.raises(urllib3.exceptions.HTTPError, match="refused"):
        connect(fleet, 3).get()
    fleet.control.heal("site-0003", "refused_from_start")
    assert connect(fleet, 3).truth("Idle")


def test_token_dies_at_the_pivot(fleet: Fleet) -> None:
    assert "token" in yaml.safe_load(fleet.kubeconfig("site-0004").read_text())["users"][0]["user"]
    site = connect(fleet, 4)
    site.patch({"spec": SPEC})
    until(lambda: site.truth("PrepCompleted"))
    site.patch({"spec": {"stage": "Upgrade"}})

    def unauthorized() -> bool:
        try:
            site.get()
        except client.ApiException as error:
            return error.status == 401
        except urllib3.exceptions.HTTPError:
            pass
        return False

    until(unauthorized)


@pytest.mark.parametrize("number", [5, 6, 7])
def test_unauthorized(fleet: Fleet, number: int) -> None:
    with pytest.raises(client.ApiException) as refused:
        connect(fleet, number).get()
    assert refused.value.status == 401
    assert json.loads(refused.value.body)["message"] == "Unauthorized"


@pytest.mark.parametrize("number", [8, 12])
def test_tls_fails(fleet: Fleet, number: int) -> None:
    with pytest.raises(urllib3.exceptions.HTTPError):
        connect(fleet, number).get()


def test_no_permission(fleet: Fleet) -> None:
    site = connect(fleet, 9)
    assert site.truth("Idle")
    with pytest.raises(client.ApiException) as refused:
        site.patch({"spec": SPEC})
    assert json.loads(refused.value.body)["message"] == (
        'imagebasedupgrades.lca.openshift.io "upgrade" is forbidden: User "ibu-operator" cannot patch resource '
        '"imagebasedupgrades" in API group "lca.openshift.io" at the cluster scope'
    )
    asked = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(
                group="lca.openshift.io", resource="imagebasedupgrades", verb="patch", name="upgrade"
            )
        )
    )
    review = client.AuthorizationV1Api(site.api).create_self_subject_access_review(asked)
    assert review.status.allowed is False


def test_user_of_the_scenario(fleet: Fleet) -> None:
    site = connect(fleet, 14, "reader")
    assert site.truth("Idle")
    with pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(site.api).list_node()
    assert refused.value.status == 403


def test_kubeconfig_files(fleet: Fleet) -> None:
    assert fleet.kubeconfig("site-0010").read_text() == ""
    assert not fleet.kubeconfig("site-0011").exists()
    assert fleet.kubeconfig("site-0001").stat().st_mode & 0o777 == 0o600


def test_certificate_of_another_ca_after_the_pivot(fleet: Fleet) -> None:
    site = connect(fleet, 13)
    site.patch({"spec": SPEC})
    until(lambda: site.truth("PrepCompleted"))
    site.patch({"spec": {"stage": "Upgrade"}})

    def distrusted() -> bool:
        try:
            site.get()
        except urllib3.exceptions.SSLError:
            return True
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            return "CERTIFICATE_VERIFY_FAILED" in str(error)
        return False

    until(distrusted)
    fleet.control.heal("site-0013", "tls_changed")
    until(lambda: site.truth("UpgradeCompleted"))


def test_watch_and_its_loss(fleet: Fleet) -> None:
    site = connect(fleet, 14)
    begun = site.objects.list_cluster_custom_object(*GROUP)["metadata"]["resourceVersion"]
    stream = watch.Watch().stream(
        site.objects.list_cluster_custom_object, *GROUP, resource_version=begun, timeout_seconds=10
    )
    other = connect(fleet, 14)
    other.patch({"metadata": {"annotations": {"a": "1"}}})
    assert next(stream)["object"]["metadata"]["annotations"] == {"a": "1"}
    fleet.control.inject("site-0014", "lost_watch", {"after": 1})
    other.patch({"metadata": {"annotations": {"a": "2"}}})
    with pytest.raises(urllib3.exceptions.HTTPError):
        for _ in stream:
            pass
    fleet.control.heal("site-0014", "lost_watch")


def test_only_so_many_watches_fall_silent(fleet: Fleet) -> None:
    site, other = connect(fleet, 14), connect(fleet, 14)
    begun = site.objects.list_cluster_custom_object(*GROUP)["metadata"]["resourceVersion"]

    def watching(seconds: int) -> Any:
        arguments = {"resource_version": begun, "timeout_seconds": seconds}
        return watch.Watch().stream(site.objects.list_cluster_custom_object, *GROUP, **arguments)

    def annotate(value: str) -> None:
        other.patch({"metadata": {"annotations": {"b": value}}})

    fleet.control.inject("site-0014", "lost_watch", {"after": 1, "silent": True, "times": 1})
    first = watching(3)
    annotate("1")
    assert next(first)["object"]["metadata"]["annotations"]["b"] == "1"
    annotate("2")
    second = watching(20)
    assert [next(second)["object"]["metadata"]["annotations"]["b"] for _ in range(2)] == ["1", "2"]
    annotate("3")
    # The first is the one that suffers; it stays open, and tells nothing more until its end.
    assert next(second)["object"]["metadata"]["annotations"]["b"] == "3"
    assert list(first) == []
    fleet.control.heal("site-0014", "lost_watch")


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
def test_http_error(fleet: Fleet, code: int) -> None:
    site = connect(fleet, 14)
    fleet.control.inject("site-0014", "http_error", {"code": code, "count": 1, "verbs": ["get"]})
    with pytest.raises(client.ApiException) as refused:
        site.get()
    assert refused.value.status == code
    assert json.loads(refused.value.body)["code"] == code
    assert (refused.value.headers.get("Retry-After") is not None) == (code in (429, 503))
    assert site.truth("Idle")


def test_slow_answers(fleet: Fleet) -> None:
    site = connect(fleet, 14)
    fleet.control.inject("site-0014", "slow_answers", {"seconds": 0.3})
    begun = time.monotonic()
    site.get()
    fleet.control.heal("site-0014", "slow_answers")
    assert time.monotonic() - begun > 0.3


def test_hub(fleet: Fleet) -> None:
    hub = Client(fleet.hub_kubeconfig)
    managed = ("cluster.open-cluster-management.io", "v1", "managedclusters")
    listed = hub.objects.list_cluster_custom_object(*managed, label_selector="name in (site-0001,site-0002)")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["site-0001", "site-0002"]
    key = "import.open-cluster-management.io/disable-auto-import"
    patched = hub.objects.patch_cluster_custom_object(
        *managed, "site-0001", {"metadata": {"annotations": {key: "true"}}}
    )
    assert patched["metadata"]["annotations"] == {key: "true"}
    assert fleet.control.journal("hub")[-1]["verb"] == "patch"
    with pytest.raises(client.ApiException) as refused:
        hub.get()
    assert refused.value.status == 404


def test_inventory(fleet: Fleet) -> None:
    group = yaml.safe_load(fleet.inventory.read_text())["all"]["children"]["fleet"]
    assert len(group["hosts"]) == 14
    assert group["hosts"]["site-0001"] == {"ibu_kubeconfig": str(fleet.kubeconfig("site-0001"))}
    assert group["vars"]["ibu_seed_image_ref"] == {
        "version": "4.17.3",
        "image": "registry.example.com/seed:4.17.3",
        "pullSecretRef": {"name": "seed-pull"},
    }
    assert group["vars"]["ibu_hub_kubeconfig"] == str(fleet.hub_kubeconfig)


def test_date_is_the_simulated_one(fleet: Fleet) -> None:
    site = connect(fleet, 14)

    def ahead() -> float:
        told = client.VersionApi(site.api).get_code_with_http_info()[2]["Date"]
        return parsedate_to_datetime(told).timestamp() - time.time()

    until(lambda: ahead() > 60)


@pytest.mark.parametrize(
    ("name", "trouble", "params"),
    [("nobody", "prep_slow", {}), ("site-0001", "x", {}), ("site-0001", "prep_slow", {"x": 1})],
)
def test_control_refuses_nonsense(fleet: Fleet, name: str, trouble: str, params: dict[str, Any]) -> None:
    with pytest.raises(FleetError):
        fleet.control.inject(name, trouble, params)


def _gone(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from fleetsim.testing import Fleet\n"
        "fleet = Fleet({'clusters': {'count': 1}}, Path(sys.argv[1])).__enter__()\n"
        "print(fleet.control.url, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment, text=True
    ) as owner:
        assert owner.stdout
        port = int(owner.stdout.readline().rsplit(":", 1)[1])
        assert not _gone(port)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    until(lambda: _gone(port))


def test_run_hands_the_fleet_to_a_command(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yml"
    scenario.write_text("clusters: {count: 2}\n")
    program = "import os, sys; sys.exit(7 if os.path.exists(os.environ['ANSIBLE_INVENTORY']) else 1)"
    command = [
        sys.executable,
        "-m",
        "fleetsim",
        "run",
        "--scenario",
        str(scenario),
        "--",
        sys.executable,
        "-c",
        program,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    assert subprocess.run(command, env=environment, check=False).returncode == 7


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "no_such_key: 1",
        "clusters: {count: 1}\ntroubles: {site-0001: {x: {}}}",
        "troubles: {site-9: {}}",
        "speed: [",
    ],
)
def test_bad_scenario_is_told(tmp_path: Path, text: str) -> None:
    scenario = tmp_path / "scenario.yml"
    scenario.write_text(text)
    command = [sys.executable, "-m", "fleetsim", "serve", "--scenario", str(scenario), "--dir", str(tmp_path / "d")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fleetsim: ")
    assert "Traceback" not in done.stderr
