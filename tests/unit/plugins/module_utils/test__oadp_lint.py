# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the OADP lint finds what breaks it, where it is, and nothing in content that is right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import readable
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import LintFinding
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_lint import (
    Linted,
    LintFacts,
    lint,
    linted,
    targets_of,
    velero_documents,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_rules import RULES

_SPEC = importlib.util.spec_from_file_location("oadp_corpus", Path(__file__).with_name("oadp_corpus.py"))
assert _SPEC is not None and _SPEC.loader is not None
corpus = importlib.util.module_from_spec(_SPEC)
sys.modules["oadp_corpus"] = corpus
_SPEC.loader.exec_module(corpus)

REPOSITORY = Path(__file__).resolve().parents[4]
CASES = [(rule, case) for rule, cases in corpus.BROKEN.items() for case in cases]
IDS = [f"{rule}-{index}" for rule, cases in corpus.BROKEN.items() for index in range(len(cases))]


def run(text: str, facts: LintFacts = LintFacts()) -> Linted:  # noqa: B008
    """Lint a text."""
    documents, broken = readable(text, "a.yml")
    return linted(documents, facts, broken)


def named(findings: tuple[LintFinding, ...], rule: str) -> list[LintFinding]:
    """The findings of a rule."""
    return [finding for finding in findings if finding.rule == rule]


@pytest.mark.parametrize("name", corpus.CLEAN)
def test_content_that_is_right_stays_clean(name: str) -> None:
    text, facts = corpus.CLEAN[name]
    assert run(text, facts).findings == ()


def test_every_rule_is_broken_once() -> None:
    assert sorted(corpus.BROKEN) == sorted(RULES)


@pytest.mark.parametrize(("rule", "case"), CASES, ids=IDS)
def test_what_breaks_a_rule_is_found(rule: str, case: corpus.Broken) -> None:
    found = named(run(case.text, case.facts).findings, rule)
    assert found, f"{rule} says nothing"
    assert any(case.says in finding.message for finding in found), [finding.message for finding in found]
    assert {finding.level for finding in found} == {RULES[rule].level}
    assert all(finding.remedy for finding in found)
    if case.line:
        assert case.line in [finding.line for finding in found]


@pytest.mark.parametrize(("rule", "case"), CASES, ids=IDS)
def test_corrections_leave_nothing_to_correct(rule: str, case: corpus.Broken) -> None:
    first = run(case.text, case.facts)
    for finding in first.findings:
        assert finding.corrected is None or RULES[finding.rule].mends, finding.rule
    for document, text in first.corrected:
        again = run(text, case.facts)
        left = [one for one in again.findings if one.corrected is not None and one.rule != "oadp-storage-label"]
        # What has just become a Backup or Restore is looked at for the first time.
        if document.value.get("kind") in ("Backup", "Restore"):
            assert left == [], left


def test_every_rule_that_may_mend_does_so_once() -> None:
    mending = {
        finding.rule for _rule, case in CASES for finding in run(case.text, case.facts).findings if finding.corrected
    }
    expected = {rule.name for rule in RULES.values() if rule.mends}
    assert mending == expected - {"yaml-duplicate-key"}


def test_a_finding_says_where_it_is() -> None:
    (finding,) = named(run(corpus.config_map(corpus.APP.replace('"3"', "three"))).findings, "oadp-wave")
    assert (finding.file, finding.document, finding.line) == ("a.yml", 2, 27)
    assert finding.object == "Restore openshift-adp/small-app"
    assert finding.source == "openshift-adp/oadp-cm oadp.yaml"


def test_the_corrected_document_keeps_its_order() -> None:
    ((_document, text),) = run(corpus.APP.replace('"3"', "3")).corrected
    assert text.splitlines() == [
        "apiVersion: velero.io/v1",
        "kind: Restore",
        "metadata:",
        "  name: small-app",
        "  namespace: openshift-adp",
        "  labels:",
        "    velero.io/storage-location: default",
        "  annotations:",
        "    lca.openshift.io/apply-wave: '3'",
        "spec:",
        "  backupName: small-app",
    ]


def test_ignored_rules_say_nothing() -> None:
    documents, broken = readable(corpus.APP.replace("openshift-adp", "adp"), "a.yml")
    assert {one.rule for one in linted(documents, broken=broken).findings} == {"oadp-namespace"}
    assert linted(documents, ignore=["oadp-namespace"]).findings == ()


def test_a_configmap_of_settings_is_not_looked_into() -> None:
    text = "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata: {mode: fast, other: '['}\n"
    documents, _broken = readable(corpus.APP + text, "a.yml")
    assert lint(documents) == []
    rules = {finding.rule for finding in linted(documents, every_config_map=True).findings}
    assert rules == {"yaml-no-object", "yaml-syntax"}


def test_the_objects_of_apply_label_have_addresses() -> None:
    documents, _broken = readable(
        corpus.labelled("apps/v1/deployments/a/b,v1/secrets/a/b,x.io/v1/things/c,v1/nodes/n,z"), "a"
    )
    assert targets_of(velero_documents(documents)) == {
        "apps/v1/deployments/a/b": "/apis/apps/v1/namespaces/a/deployments/b",
        "v1/secrets/a/b": "/api/v1/namespaces/a/secrets/b",
        "x.io/v1/things/c": "/apis/x.io/v1/things/c",
        "v1/nodes/n": "/api/v1/nodes/n",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[]", "a", "{}", "kind: []", "kind: Backup", "apiVersion: velero.io/v1\nkind: Backup",
        "apiVersion: velero.io/v1\nkind: Backup\nmetadata: []\nspec: []",
        "apiVersion: velero.io/v1\nkind: Restore\nmetadata: {labels: 1, annotations: [a]}\nspec: {backupName: [a]}",
        "apiVersion: velero.io/v1\nkind: Backup\nmetadata: {name: {}}\nspec: {includedNamespaces: {a: b}, hooks: 1}",
        "apiVersion: velero.io/v1\nkind: Backup\nmetadata: {annotations: {lca.openshift.io/apply-label: 1}}\n",
        "kind: ConfigMap\ndata: {a: 1, b: 'kind: Backup', c: null}",
        "kind: ConfigMap\nmetadata: 1\ndata: []",
        "kind: DataProtectionApplication\nspec: {backupLocations: [1, {velero: []}], configuration: []}",
        "kind: ImageBasedUpgrade\nspec: {oadpContent: [1, {}]}",
        "1: 2\nkind: Backup\napiVersion: velero.io/v1",
    ],
)  # fmt: skip
def test_any_document_can_be_linted(text: str) -> None:
    assert run(text).findings


def rules_page() -> str:
    """The page of the rules, as it must be."""
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "<!-- Made from plugins/module_utils/_oadp_rules.py; a test says so when it is not up to date. -->",
        "# Rules of `oadp_lint`",
        "",
        "Names and levels are stable. An *error* will fail: Prep refuses it, or Velero does in the Upgrade stage. A",
        "*warning* will not do what was meant. A rule that *mends* may come with a corrected document, where only one",
        "correction is possible. `ignore` (`-e ignore=RULE,RULE`) leaves rules out.",
    ]
    titles = {
        "files": "Of the text",
        "content": "Of the content",
        "cluster": "With a cluster at hand",
    }
    for needs, title in titles.items():
        lines += ["", f"## {title}", "", "| Rule | Level | Mends | It says | Because |", "|---|---|---|---|---|"]
        for rule in RULES.values():
            if rule.needs == needs:
                mends = "yes" if rule.mends else ""
                lines.append(f"| `{rule.name}` | {rule.level.value} | {mends} | {rule.says} | {rule.because} |")
    return "\n".join(lines) + "\n"


def test_the_page_of_the_rules_is_up_to_date() -> None:
    page = REPOSITORY / "docs" / "oadp_lint_rules.md"
    assert page.read_text(encoding="utf-8") == rules_page()


@pytest.mark.parametrize(
    "resource",
    [
        "pods",
        "endpoints",
        "controllerrevision",
        "podmetrics",
        "packagemanifest",
        "replicaset",
        "localvolume",
        "po",
        "RS",
    ],
)
def test_what_the_product_excludes_is_told_in_any_spelling(resource: str) -> None:
    (finding,) = run(corpus.APP.replace("deployments]", f"{resource}]")).findings
    assert (finding.rule, finding.message) == ("oadp-excluded", f"{resource} must not be backed up")
    assert finding.corrected is not None and resource not in finding.corrected


@pytest.mark.parametrize(
    "resource", ["pods", "endpoints", "controllerrevisions", "podmetrics", "packagemanifests", "replicasets"]
)
def test_a_backup_of_everything_has_to_exclude_each_of_them(resource: str) -> None:
    excluded = corpus.CLEAN["everything in some namespaces"][0].replace(f"{resource}, ", "")
    (finding,) = run(excluded).findings
    assert (finding.rule, finding.message) == ("oadp-excluded", f"it takes all namespaced resources, {resource} too")
