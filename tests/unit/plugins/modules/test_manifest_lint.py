# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module reads and returns; the rules have tests of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_ask import Asked, read_files, read_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import ManifestFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._policies import PolicyManifest, PolicyReport
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.modules import manifest_lint

NOTHING: dict[str, Any] = {
    "paths": None,
    "config_maps": None,
    "policies": None,
    "cluster_policies": False,
    "version": None,
    "manifest_count": None,
    "ask_cluster": None,
    "ignore": [],
}


@pytest.mark.parametrize(
    ("params", "option"),
    [
        ({"policies": ["x"]}, "version"),
        ({"cluster_policies": True}, "version"),
        ({"version": "latest"}, "version"),
        ({"ignore": ["manifest-nothing"]}, "ignore"),
        ({"policies": ["x"], "cluster_policies": True, "version": "4.17.3"}, "cluster_policies"),
        ({"config_maps": [{"name": "a", "namespace": "b"}], "ask_cluster": False}, "ask_cluster"),
    ],
)
def test_what_cannot_be_meant_is_refused(params: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        manifest_lint.check_options({**NOTHING, **params})
    assert caught.value.option == option


def test_the_count_comes_as_the_annotation() -> None:
    report = PolicyReport((PolicyManifest("a.b", 1, "ConfigMap x", "merge", "4.17"),))
    result = manifest_lint.result_of([], 1, report, Asked(ManifestFacts()))
    assert result["annotations"] == {"lca.openshift.io/target-ocp-version-manifest-count": "1"}
    assert (result["manifest_count"], result["manifests"][0]["object"]) == (1, "ConfigMap x")
    empty = manifest_lint.result_of([], 0, None, Asked(ManifestFacts()))
    assert (empty["annotations"], empty["manifest_count"], empty["manifests"]) == ({}, None, [])


def test_folders_are_read_and_what_is_wrong_with_texts_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("kind: A\nkind: B\n---\nx: [\n---\nkind: C\n")
    (tmp_path / "b.txt").write_text("kind: [")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "c.yml").write_text("kind: [")
    text = read_files("paths", ["."], str(tmp_path))
    assert [one.value["kind"] for one in text.documents] == ["B", "C"]
    assert [(one.rule, one.line) for one in text.findings] == [("yaml-syntax", 5), ("yaml-duplicate-key", 2)]


@pytest.mark.parametrize("path", ["nowhere.yml", "binary.yml"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidOption, match=path):
        read_files("paths", [path], str(tmp_path))


def test_the_size_of_a_configmap_is_that_of_its_data() -> None:
    text = "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  a.yaml: |\n    kind: X\n    text: " + "x" * 1_100_000
    (finding,) = read_text(text, "big.yml").findings
    assert (finding.rule, finding.level.value) == ("manifest-size", "error")
