# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oadp_lint: what it reads, what it returns, and when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Unanswered
from ansible_collections.sno.image_upgrade.plugins.modules import oadp_lint

from .conftest import FakeApi, Run

BROKEN = """\
apiVersion: velero.io/v1
kind: Backup
metadata:
  name: a
  namespace: adp
  labels: {velero.io/storage-location: default}
spec:
  includedNamespaceScopedResources: [secrets]
---
apiVersion: velero.io/v1
kind: Restore
metadata: {name: a, namespace: openshift-adp, labels: {velero.io/storage-location: default}}
spec: {backupName: a}
"""
WARNED = BROKEN.replace("namespace: adp", "namespace: openshift-adp").replace("[secrets]", "[secrets, pods]")


def test_findings_name_their_place_and_come_with_the_corrected_document(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.yml").write_text(BROKEN)

    result = run(oadp_lint, paths=["app.yml"], base=str(tmp_path))

    assert result["failed"]
    (finding,) = result["findings"]
    corrected = finding.pop("corrected")
    assert finding == {
        "level": "error",
        "rule": "oadp-namespace",
        "message": "the namespace is adp",
        "remedy": "write namespace: openshift-adp",
        "file": "app.yml",
        "document": 1,
        "line": 5,
        "object": "Backup adp/a",
        "source": "",
    }
    assert corrected == result["corrected"][0]["text"]
    assert "  namespace: openshift-adp\n" in corrected
    assert result["msg"].startswith("app.yml:5: error: [oadp-namespace] Backup adp/a: the namespace is adp")
    assert (result["error_count"], result["warning_count"], result["documents"]) == (1, 0, 2)


@pytest.mark.parametrize(
    ("text", "fail_on", "fails"),
    [(BROKEN, "never", False), (WARNED, "error", False), (WARNED, "warning", True), (BROKEN, "error", True)],
)
def test_from_which_level_on_it_fails(run: Run, text: str, fail_on: str, fails: bool) -> None:
    result = run(oadp_lint, content=text, fail_on=fail_on)

    assert bool(result.get("failed")) is fails
    assert result["findings"]
    assert result["changed"] is False


def test_folders_are_searched_and_other_files_left_alone(run: Run, tmp_path: Path) -> None:
    for name, text in (("b/app.yml", BROKEN), (".git/x.yml", BROKEN), ("c/values.yml", "a: [\n"), ("d.txt", BROKEN)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    result = run(oadp_lint, paths=[str(tmp_path)])

    assert [finding["file"] for finding in result["findings"]] == [f"{tmp_path}/b/app.yml"]


def test_a_file_that_is_no_text_is_a_finding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"a: b\nc: \xff\n")

    result = run(oadp_lint, paths=[str(tmp_path / "a.yml")])

    assert ("yaml-syntax", 2) in [(finding["rule"], finding["line"]) for finding in result["findings"]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"paths": ["/nowhere/a.yml"]}, "paths: '/nowhere/a.yml' is not valid; the file cannot be read"),
        ({"content": "a", "ignore": ["oadp-wafe"]}, "ignore: 'oadp-wafe' is not valid; there is no such rule"),
        ({"config_maps": [{"name": "a"}], "ask_cluster": False}, "ConfigMaps can only be read from a cluster"),
        ({}, "one of the following is required: paths, config_maps, content"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(run: Run, options: dict[str, Any], says: str) -> None:
    assert says in run(oadp_lint, **options)["msg"]


class Cluster(FakeApi):
    """A cluster with a ConfigMap, and a way to try things out."""

    def __init__(self) -> None:
        super().__init__()
        self.objects["/api/v1/namespaces/openshift-adp/configmaps/oadp-cm"] = {
            "metadata": {"name": "oadp-cm", "namespace": "openshift-adp"},
            "data": {"a.yaml": WARNED},
        }
        self.objects["/apis/velero.io/v1"] = {
            "resources": [
                {"kind": "Backup", "name": "backups", "namespaced": True},
                {"kind": "Restore", "name": "restores", "namespaced": True},
            ]
        }
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.denied = False

    def items(self, path: str, _page: int = 500, **_query: Any) -> list[dict[str, Any]]:
        if self.denied:
            raise Unanswered("rights", "no", 403)
        return self.lists.get(path, [])

    def create(self, path: str, document: dict[str, Any], **query: Any) -> None:
        self.created.append((path, query))


def test_a_cluster_is_asked_with_dry_runs_alone(run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    monkeypatch.setattr(oadp_lint, "open_session", lambda _module: cluster)

    result = run(oadp_lint, kubeconfig="/x", config_maps=[{"name": "oadp-cm"}], fail_on="never")

    assert {path.rpartition("/")[2] for path, _query in cluster.created} == {"backups", "restores"}
    assert all(query == {"dryRun": "All"} for _path, query in cluster.created)
    found = {(finding["rule"], finding["file"], finding["line"]) for finding in result["findings"]}
    assert ("oadp-excluded", "ConfigMap openshift-adp/oadp-cm", 8) in found
    assert {rule for rule, _file, _line in found} == {
        "oadp-excluded",
        "oadp-operator",
        "oadp-dpa",
        "oadp-backup-location",
    }


def test_what_may_not_be_asked_is_said(run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.denied = True
    monkeypatch.setattr(oadp_lint, "open_session", lambda _module: cluster)

    result = run(oadp_lint, kubeconfig="/x", config_maps=[{"name": "oadp-cm"}])

    assert "installed operators: this identity cannot list" in result["not_checked"][0]
    assert {finding["rule"] for finding in result["findings"]} == {"oadp-excluded"}


def test_a_configmap_that_is_not_there_is_a_refusal(run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.objects["/api/v1/namespaces/openshift-adp/configmaps/oadp-cm"] = NotThere("no")
    monkeypatch.setattr(oadp_lint, "open_session", lambda _module: cluster)

    result = run(oadp_lint, kubeconfig="/x", config_maps=[{"name": "oadp-cm"}])

    assert (
        result["msg"]
        == "config_maps: 'openshift-adp/oadp-cm' is not valid; Prep fails without it; create the ConfigMap"
    )
