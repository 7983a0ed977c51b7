# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""oadp_lint from the command line: files without a cluster, and what is on clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .runs import Playground, scenario

Prepare = Callable[..., Playground]

RIGHT = """\
---
apiVersion: velero.io/v1
kind: Backup
metadata:
  name: small-app
  namespace: openshift-adp
  labels: {velero.io/storage-location: default}
spec:
  includedNamespaces: [test]
  includedNamespaceScopedResources: [secrets]
---
apiVersion: velero.io/v1
kind: Restore
metadata:
  name: small-app
  namespace: openshift-adp
  labels: {velero.io/storage-location: default}
  annotations: {lca.openshift.io/apply-wave: "3"}
spec:
  backupName: small-app
"""
LABEL = "annotations: {lca.openshift.io/apply-label: v1/secrets/app/not-there}"
MISSING = RIGHT.replace("labels: {velero", LABEL + "\n  labels: {velero", 1).replace("[test]", "[app]")


def content(text: str) -> dict[str, Any]:
    meta = {"name": "oadp-cm", "namespace": "openshift-adp"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"oadp.yaml": text}}


def test_files_and_folders_are_checked_without_a_cluster(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    folder = ground.directory / "oadp"
    folder.mkdir()
    (folder / "app.yml").write_text(RIGHT)
    (folder / "other.yml").write_text("no: [backup\n")

    run = ground.play("oadp_lint", target="localhost", files=f"{folder}")

    assert run.code == 0, run.output
    assert "2 documents: 0 errors, 0 warnings" in run.output


@pytest.mark.parametrize(("more", "code"), [({}, 2), ({"ignore": "oadp-wave"}, 0), ({"fail_on": "never"}, 0)])
def test_an_error_is_shown_as_a_compiler_does_and_fails(prepare: Prepare, more: dict[str, str], code: int) -> None:
    ground = prepare(scenario(1))
    file: Path = ground.directory / "app.yml"
    file.write_text(RIGHT.replace('"3"', "3"))

    run = ground.play("oadp_lint", target="localhost", files=str(file), **more)

    assert run.code == code, run.output
    shown = f"{file}:18: error: [oadp-wave] Restore openshift-adp/small-app: lca.openshift.io/apply-wave is a number"
    assert (shown in run.words) == ("ignore" not in more)


def test_what_is_on_clusters_is_checked_and_the_clusters_are_asked(prepare: Prepare) -> None:
    ground = prepare(
        scenario(2, clusters_extra={"site-0002": {"objects": [content(MISSING)]}}),
        ibu_oadp_content=[{"name": "oadp-cm", "namespace": "openshift-adp"}],
    )

    run = ground.play("oadp_lint", target="all", hub=False, storage="none")

    assert "[oadp-apply-label-missing]" in run.words
    assert "site-0002: ConfigMap openshift-adp/oadp-cm:7: error: [oadp-apply-label-missing]" in run.words
    assert "v1/secrets/app/not-there is not on the cluster" in run.words
    assert run.code == 2
    assert "site-0001 : ok=2" in run.words, run.output
    assert set(ground.writes().values()) == {0}


def test_a_configmap_that_is_not_there_is_named(prepare: Prepare) -> None:
    ground = prepare(scenario(1), ibu_oadp_content=[{"name": "lost", "namespace": "openshift-adp"}])

    run = ground.play("oadp_lint", target="all")

    assert run.code == 2
    assert "config_maps: 'openshift-adp/lost' is not valid; Prep fails without it" in run.words
