# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook manifest_lint: files without a cluster, and ConfigMaps and policies on clusters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetsim.refusals import labelled, manifest

from .runs import ANSIBLE_PLAYBOOK, Playground, ansible, playground, scenario

COUNT = "lca.openshift.io/target-ocp-version-manifest-count"
WRAPPED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: site-extra, namespace: openshift-lifecycle-agent}
data:
  extra.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: a, namespace: app}
    ---
    apiVersion: machineconfiguration.openshift.io/v1
    kind: MachineConfig
    metadata: {name: 99-extra}
"""


def lint(folder: Path, **variables: Any) -> tuple[int, str]:
    done = ansible(
        [str(ANSIBLE_PLAYBOOK), "playbooks/manifest_lint.yml", "-e", json.dumps(variables)],
        folder,
        {"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    # Ansible shows a result as YAML, where quotes are doubled.
    return done.code, " ".join(done.output.split()).replace("''", "'")


def test_nothing_to_lint_is_no_success(tmp_path: Path) -> None:
    code, output = lint(tmp_path)

    assert code == 2, output
    assert "nothing to lint: give -e files=FILE or -e policies=FOLDER, or -e target=GROUP" in output


def test_files_are_linted_without_a_cluster_and_policies_counted(tmp_path: Path) -> None:
    wrong, policies = tmp_path / "extra.yml", tmp_path / "policies"
    wrong.write_text(WRAPPED)
    policies.mkdir()
    (policies / "a.yml").write_text(yaml.safe_dump_all([labelled("mustonlyhave", name="a"), labelled(name="b")]))

    code, output = lint(tmp_path, files=str(wrong), policies=[str(policies)], version="4.17.3")

    assert code == 2, output
    assert f"{wrong}:11: error: [manifest-forbidden] MachineConfig 99-extra: MachineConfig is not allowed" in output
    assert "4 documents: 1 error, 0 warnings" in output
    assert f"ibu_annotations: {{'{COUNT}': '2'}}" in output


@pytest.fixture(name="ground", scope="module")
def fixture_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    meta = {"name": "site-extra", "namespace": "openshift-lifecycle-agent"}
    text = manifest() + manifest("Widget", "w", "example.com/v1") + manifest(name="x").replace(": app", ": nowhere")
    text += "---\napiVersion: velero.io/v1\nkind: Backup\nmetadata: {name: b, namespace: app}\nspec: none\n"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"extra.yaml": text}}
    objects = {"objects": [labelled("mustonlyhave"), config], "annotations": {COUNT: "2"}}
    with playground(tmp_path_factory.mktemp("lint"), scenario(2, clusters_extra={"site-0002": objects})) as ground:
        yield ground


def test_clusters_are_asked_and_nothing_is_changed(ground: Playground) -> None:
    run = ground.play("manifest_lint", target="fleet", cluster_policies=True)

    assert run.code == 2, run.output
    words = run.words
    assert "site-0001: 1 document: 0 errors, 0 warnings" in words
    assert "site-0002: 5 documents: 1 error, 3 warnings" in words
    assert "[manifest-kind-unknown] Widget app/w" in words
    assert "[manifest-namespace-unknown] ConfigMap nowhere/x" in words
    assert "[manifest-invalid] Backup app/b" in words
    assert "[policy-count]" in words
    assert not any(ground.writes().values())
