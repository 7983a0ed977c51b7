# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Backups and Restores failed: through Velero's CLI, and without it through DownloadRequests."""

from __future__ import annotations

import base64
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetsim import pods
from fleetsim.testing import Fleet

from .runs import Playground, Run, scenario

Prepare = Callable[..., Playground]

LEFT = {"backups_left": {"names": ["small-app"], "phase": "PartiallyFailed"}}
# All of the client's APIs, of which it uses one.
OF_K8S_EXEC = ("kubernetes.client.apis",)
FAILED = {"site-0001": {"troubles": LEFT}}


def ca(ground: Playground) -> str:
    """The object store is behind the cluster's own port."""
    kubeconfig = yaml.safe_load(ground.fleet.kubeconfig("site-0001").read_text())
    data = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    path = ground.directory / "ca.pem"
    path.write_bytes(base64.b64decode(data))
    return str(path)


def ask(ground: Playground, *arguments: str, **more: Any) -> Run:
    variables = {"velero_debug_folder": str(ground.directory / "velero"), "velero_debug_least_free": "1M", **more}
    return ground.play("velero_debug", *arguments, imports=OF_K8S_EXEC, **variables)


def folder(ground: Playground, host: str = "site-0001") -> Path:
    (found,) = (ground.directory / "velero").glob(f"{host}-*")
    return found


def files(ground: Playground, host: str = "site-0001") -> dict[str, str]:
    return {path.name: path.read_text() for path in folder(ground, host).iterdir() if path.suffix != ".gz"}


def check_saved(done: Run, ground: Playground) -> None:
    assert done.code == 0, done.output
    found = files(ground)
    assert all(pods.MARKER not in text for text in found.values())
    assert pods.MARKER not in done.output
    lines = found["summary.txt"].splitlines()
    assert lines[0] == "site-0001: backup/small-app PartiallyFailed"
    assert lines[2].startswith("errors (")
    assert any("backup/small-app: " in line and "AccessDenied" in line for line in lines[3:6])
    assert "warnings (" in found["summary.txt"] and "volume is not backed up" in found["summary.txt"]
    assert "Access Denied" in found["backup-small-app.log"]
    assert not [name for name in (ground.directory / "velero").iterdir() if ".partial" in name.name]
    assert "error: backup/small-app" in done.words


def requests(fleet: Fleet) -> list[str]:
    journal = fleet.control.journal("site-0001")
    return [entry["verb"] for entry in journal if "downloadrequests" in entry["path"]]


@pytest.mark.parametrize("arguments", [(), ("-vvv",)])
def test_the_cli_in_its_own_pod_is_asked(prepare: Prepare, arguments: tuple[str, ...]) -> None:
    ground = prepare(scenario(2, clusters_extra=FAILED))
    done = ask(ground, *arguments, velero_debug_method="exec")
    check_saved(done, ground)
    assert set(files(ground)) == {
        "summary.txt",
        "manifest.json",
        "backup-small-app.yaml",
        "backup-small-app.description.txt",
        "backup-small-app.log",
    }
    assert "site-0002 nothing no Backup or Restore has failed" in done.words
    assert requests(ground.fleet) == []


def test_without_the_cli_the_object_store_is_asked(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    done = ask(ground, velero_debug_method="download_request", velero_debug_ca_cert=ca(ground))
    check_saved(done, ground)
    assert "rpc error: AccessDenied" in files(ground)["backup-small-app.results.json"]
    assert requests(ground.fleet) == ["create", "delete", "create", "delete"]


def test_where_no_command_can_be_run_the_object_store_is_asked(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    ground.fleet.control.inject(
        "site-0001", "http_error", {"code": 403, "resource": "pods", "verbs": ["get"], "count": None}
    )
    done = ask(ground, velero_debug_ca_cert=ca(ground))
    check_saved(done, ground)
    assert len(requests(ground.fleet)) == 4


def test_a_store_that_is_not_trusted_is_named_without_its_signature(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    done = ask(ground, velero_debug_method="download_request")
    assert done.code == 0, done.output
    assert "the object store at 127.0.0.1:" in done.words and "cannot be reached from here" in done.words
    assert "Signature" not in done.output
    assert "could not be had:" in files(ground)["summary.txt"]


def test_a_location_that_is_away_is_said(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra={"site-0001": {"troubles": {**LEFT, "location_unavailable": {}}}}))
    done = ask(ground, velero_debug_method="download_request", velero_debug_timeout=1)
    assert done.code == 0, done.output
    assert "Velero gives no address within 1 s" in done.words
    assert "dpa-1 Unavailable" in " ".join(files(ground)["summary.txt"].split())
    assert requests(ground.fleet) == ["create", "delete"] * 2


@pytest.mark.parametrize("method", ["exec", "download_request"])
def test_contents_are_saved_on_word_only(prepare: Prepare, method: str) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    done = ask(ground, velero_debug_method=method, velero_debug_contents=True, velero_debug_ca_cert=ca(ground))
    assert done.code == 0, done.output
    path = folder(ground) / "backup-small-app.contents.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["resources/secrets/namespaces/app/small-app.json"]


def test_a_second_run_asks_no_more(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    assert ask(ground).code == 0
    again = ask(ground)
    assert "site-0001 kept" in again.words and "changed=0" in again.words
    assert "error: backup/small-app" in again.words
    assert len(list((ground.directory / "velero").iterdir())) == 1


def test_named_objects_need_not_have_failed(prepare: Prepare) -> None:
    ground = prepare(
        scenario(1, clusters_extra={"site-0001": {"troubles": {"backups_left": {"names": ["one", "two"]}}}})
    )
    assert "nothing" in ask(ground).words
    done = ask(ground, velero_debug_names=["restore/two"], velero_debug_method="exec")
    assert done.code == 0, done.output
    assert "restore-two.log" in files(ground) and "backup-two.log" not in files(ground)
    missing = ask(ground, velero_debug_names=["none"])
    assert missing.code != 0 and "there is no none in openshift-adp" in missing.words


def test_check_mode_asks_nothing(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra=FAILED))
    done = ask(ground, "--check")
    assert done.code == 0, done.output
    assert "would save" in done.words
    assert not (ground.directory / "velero").exists() and requests(ground.fleet) == []
