# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of extra manifests finds what it is for, at its line, and nothing in manifests that are fine."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import read_documents
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import (
    NOTHING_KNOWN,
    ManifestFacts,
    in_waves,
    lint,
    size_findings,
)

FINE = """\
---
apiVersion: v1
kind: Namespace
metadata:
  name: site
  annotations: {lca.openshift.io/apply-wave: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: site
  annotations:
    lca.openshift.io/apply-wave: "2"
    lca.openshift.io/apply-type: merge
data: {a: b}
---
apiVersion: operators.coreos.com/v1alpha1
kind: CatalogSource
metadata: {name: site-operators, namespace: openshift-marketplace}
spec: {sourceType: grpc, image: "registry.example.com/catalog:v4.17"}
---
apiVersion: config.openshift.io/v1
kind: OAuth
metadata: {name: cluster}
"""
FACTS = ManifestFacts(
    namespaces=frozenset({"default", "openshift-marketplace"}),
    kinds={
        ("v1", "Namespace"): False,
        ("v1", "ConfigMap"): True,
        ("operators.coreos.com/v1alpha1", "CatalogSource"): True,
        ("config.openshift.io/v1", "OAuth"): False,
    },
    catalogs=("openshift-marketplace/site-operators", "openshift-marketplace/redhat-operators"),
    version="4.17.3",
)


def found(text: str, facts: ManifestFacts = NOTHING_KNOWN) -> list[LintFinding]:
    return lint(read_documents(text, "x.yml"), facts)


@pytest.mark.parametrize("facts", [ManifestFacts(), FACTS], ids=["alone", "with a cluster"])
def test_manifests_that_are_fine_stay_clean(facts: ManifestFacts) -> None:
    assert found(FINE, facts) == []


def one(kind: str = "ConfigMap", api: str = "v1", meta: str = "name: a, namespace: site", more: str = "") -> str:
    return f"---\napiVersion: {api}\nkind: {kind}\nmetadata: {{{meta}}}\n{more}"


WAVE = "annotations: {lca.openshift.io/apply-wave: %s}"
NAMESPACE = one("Namespace", meta="name: site" + ", " + WAVE % "'5'")
ERRORS = {
    "no object": ("- a\n", "manifest-kind", 1),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", "manifest-kind", 1),
    "no name": (one(meta=""), "manifest-name", 4),
    "generated name": (one(meta="generateName: a-"), "manifest-name", 4),
    "a list": ("apiVersion: v1\nkind: List\nitems: []\n", "manifest-name", 1),
    "MachineConfig": (one("MachineConfig", "machineconfiguration.openshift.io/v1"), "manifest-forbidden", 3),
    "Subscription": (one("Subscription", "operators.coreos.com/v1alpha1"), "manifest-forbidden", 3),
    "InstallPlan": (one("InstallPlan", "operators.coreos.com/v1alpha1"), "manifest-forbidden", 3),
    "CSV": (one("ClusterServiceVersion", "operators.coreos.com/v1alpha1"), "manifest-forbidden", 3),
    "LVMCluster": (one("LVMCluster", "lvm.topolvm.io/v1alpha1"), "manifest-storage-operator", 3),
    "LocalVolume": (one("LocalVolume", "local.storage.openshift.io/v1"), "manifest-storage-operator", 3),
    "wave": (one(meta="name: a, " + WAVE % "first"), "manifest-wave", 4),
    "wave with a blank": (one(meta="name: a, " + WAVE % "' 1'"), "manifest-wave", 4),
    "wave with a point": (one(meta="name: a, " + WAVE % "'1.0'"), "manifest-wave", 4),
}


@pytest.mark.parametrize(("text", "rule", "line"), ERRORS.values(), ids=ERRORS)
def test_what_fails_is_an_error(text: str, rule: str, line: int) -> None:
    (finding,) = found(text)
    assert (finding.level, finding.rule, finding.line, finding.file) == (Level.ERROR, rule, line, "x.yml")
    assert finding.remedy


CRD = one("CustomResourceDefinition", "apiextensions.k8s.io/v1", "name: widgets.example.com")
CRD += "spec: {group: example.com, names: {kind: Widget}}\n"
CATALOG = "spec: {image: 'registry.example.com/catalog:v4.16'}\n"
WARNINGS = {
    "wave as a number": (one(meta="name: a, namespace: site, " + WAVE % "1"), "manifest-strings"),
    "label as a boolean": (one(meta="name: a, namespace: site, labels: {a: true}"), "manifest-strings"),
    "no namespace": (one(meta="name: a"), "manifest-namespace-missing"),
    "apply-type": (
        one(meta="name: a, namespace: site, annotations: {lca.openshift.io/apply-type: Merge}"),
        "manifest-apply-type",
    ),
    "no apiVersion": ("kind: ConfigMap\nmetadata: {name: a, namespace: site}\n", "manifest-api-version"),
    "uid": (one(meta="name: a, namespace: site, uid: x, resourceVersion: '1'"), "manifest-server-fields"),
    "twice": (one() + one(), "manifest-duplicate"),
    "namespace later": (one(meta="name: a, namespace: site, " + WAVE % "'1'") + NAMESPACE, "manifest-namespace-order"),
    "namespace by name": (one("Namespace", meta="name: site") + one(), "manifest-namespace-order"),
    "CRD later": (one("Widget", "example.com/v1", "name: a") + CRD, "manifest-crd-order"),
}


@pytest.mark.parametrize(("text", "rule"), WARNINGS.values(), ids=WARNINGS)
def test_what_goes_wrong_later_is_a_warning(text: str, rule: str) -> None:
    (finding,) = found(text)
    assert (finding.level, finding.rule) == (Level.WARNING, rule)


KNOWN = {
    "kind": (one("Widget", "example.com/v1"), "manifest-kind-unknown"),
    "namespace": (one(), "manifest-namespace-unknown"),
    "catalog of the old release": (
        one("CatalogSource", "operators.coreos.com/v1alpha1", "name: site-operators, namespace: openshift-marketplace")
        + CATALOG,
        "manifest-catalog-version",
    ),
}


@pytest.mark.parametrize(("text", "rule"), KNOWN.values(), ids=KNOWN)
def test_what_only_a_cluster_can_tell(text: str, rule: str) -> None:
    rules = [finding.rule for finding in found(text, FACTS)]
    assert rule in rules
    assert [finding.rule for finding in found(text)] == []


def test_catalog_sources_that_would_be_lost_are_named() -> None:
    (finding,) = found(one("Namespace", meta="name: a"), FACTS)
    assert (finding.rule, finding.object) == (
        "manifest-catalog-lost",
        "CatalogSource openshift-marketplace/site-operators",
    )


@pytest.mark.parametrize(
    "text", [WARNINGS[name][0] for name in ("wave as a number", "label as a boolean", "no namespace", "uid")]
)
def test_the_corrected_document_is_clean(text: str) -> None:
    (finding,) = found(text)
    assert finding.corrected
    assert found(finding.corrected) == []


def test_the_order_is_that_of_the_agent() -> None:
    texts = [("z", "'1'"), ("b", "''"), ("a", "'20'"), ("c", "'3'"), ("d", "'-1'")]
    text = "".join(one(meta=f"name: {name}, namespace: site, " + WAVE % wave) for name, wave in texts)
    ordered = [document.value["metadata"]["name"] for document in in_waves(read_documents(text, "x"))]
    assert ordered == ["d", "z", "c", "a", "b"]


@pytest.mark.parametrize(
    ("size", "level"), [(1000, None), (300_000, Level.WARNING), (1_048_576, Level.WARNING), (1_048_577, Level.ERROR)]
)
def test_sizes(size: int, level: Level | None) -> None:
    assert [finding.level for finding in size_findings("x", size)] == ([level] if level else [])


def test_a_finding_is_plain_yaml() -> None:
    (finding,) = found(WARNINGS["no namespace"][0])
    assert yaml.safe_load(finding.corrected or "")["metadata"] == {"name": "a", "namespace": "NAMESPACE"}
