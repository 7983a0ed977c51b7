# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies are counted as the agent counts them, and what it passes over is said with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import read_documents
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level
from ansible_collections.sno.image_upgrade.plugins.module_utils._policies import (
    PolicyFacts,
    PolicyReport,
    examine,
    labels_for,
)

VERSION = "4.17.0-rc.1"


def entry(kind: str = "mustonlyhave", label: str | None = "4.17", name: str = "m", **meta: Any) -> dict[str, Any]:
    labels = {"lca.openshift.io/target-ocp-version": label} if label else {}
    metadata = {"name": name, "namespace": "app", "labels": labels, "annotations": {}, **meta}
    return {
        "complianceType": kind,
        "objectDefinition": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata},
    }


def policy(*entries: Any, name: str = "common.config", wave: str | None = "10", raw: str = "", **spec: Any) -> str:
    inner: dict[str, Any] = {"object-templates": list(entries)}
    if raw:
        inner = {"object-templates-raw": raw}
    definition = {"kind": "ConfigurationPolicy", "metadata": {"name": "c"}, "spec": inner}
    meta: dict[str, Any] = {"name": name, "namespace": "ztp"}
    if wave is not None:
        meta["annotations"] = {"ran.openshift.io/ztp-deploy-wave": wave}
    body = {"remediationAction": "inform", **spec, "policy-templates": [{"objectDefinition": definition}]}
    whole = {
        "apiVersion": "policy.open-cluster-management.io/v1",
        "kind": "Policy",
        "metadata": meta,
        "spec": body,
    }
    return yaml.safe_dump(whole, explicit_start=True)


def look(text: str, **facts: Any) -> PolicyReport:
    return examine(read_documents(text, "p.yml"), PolicyFacts(**{"version": VERSION, "on_cluster": True, **facts}))


@pytest.mark.parametrize(("label", "count"), [("4.17.0-rc.1", 1), ("4.17.0", 1), ("4.17", 1), ("4.16", 0), ("4", 0)])
def test_three_spellings_of_the_version_count(label: str, count: int) -> None:
    assert look(policy(entry(label=label))).count == count
    assert (label in labels_for(VERSION)) == bool(count)


NOT_TAKEN = {
    "enforced": (policy(entry(), remediationAction="enforce"), "policy-not-taken"),
    "disabled": (policy(entry(), disabled=True), "policy-not-taken"),
    "no wave": (policy(entry(), wave=None), "policy-not-taken"),
    "no dot": (policy(entry(), name="config"), "policy-not-taken"),
    "mustnothave": (policy(entry("mustnothave")), "policy-mustnothave"),
    "compliance type": (policy(entry("mustexist")), "policy-compliance-type"),
    "raw": (policy(raw="- labels: {lca.openshift.io/target-ocp-version: '4.17'}"), "policy-raw"),
    "label": (policy(entry(label="v4.17")), "policy-label"),
    "generator": (
        "apiVersion: ran.openshift.io/v1\nkind: PolicyGenTemplate\nmetadata: {name: a}\n",
        "policy-generator",
    ),
}


@pytest.mark.parametrize(("text", "rule"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_is_not_counted_says_why(text: str, rule: str) -> None:
    report = look(text)
    assert report.count == 0
    assert [finding.rule for finding in report.findings] == [rule]


@pytest.mark.parametrize(
    "text",
    [policy(entry(label=None)), policy(entry(label=None), remediationAction="enforce"), policy(entry(label="4.18.1"))],
)
def test_what_is_not_meant_is_passed_over_in_silence(text: str) -> None:
    assert look(text) == PolicyReport()


def test_policies_of_the_hub_count_although_they_have_no_dot_yet() -> None:
    assert look(policy(entry(), name="config"), on_cluster=False).count == 1
    both = policy(entry(), name="config") + policy(entry(), name="ztp.config")
    assert look(both, on_cluster=False).count == 1


def test_the_order_is_wave_then_name() -> None:
    text = policy(entry(name="late"), wave="20", name="a.a")
    text += policy(entry(name="second"), entry(name="third"), wave="3", name="b.b")
    text += policy(entry(name="first"), wave="3", name="a.b")
    names = [manifest.object for manifest in look(text).manifests]
    assert names == [f"ConfigMap app/{name}" for name in ("first", "second", "third", "late")]


def test_musthave_merges_unless_there_are_no_annotations_at_all() -> None:
    report = look(policy(entry("musthave"), entry("mustonlyhave", name="n")))
    assert [manifest.apply_type for manifest in report.manifests] == ["merge", "replace"]
    report = look(policy(entry("musthave", annotations=None)))
    assert [manifest.apply_type for manifest in report.manifests] == ["replace"]
    (finding,) = report.findings
    assert finding.rule == "policy-annotations"
    assert yaml.safe_load(finding.corrected or "")["metadata"]["annotations"] == {
        "lca.openshift.io/apply-type": "merge"
    }


@pytest.mark.parametrize(("expected", "fine"), [("1", True), ("01", False), ("2", False), ("", False), (None, True)])
def test_the_count_is_compared_as_text(expected: str | None, fine: bool) -> None:
    report = look(policy(entry()), expected=expected)
    assert [(finding.rule, finding.level) for finding in report.findings] == (
        [] if fine else [("policy-count", Level.ERROR)]
    )


def test_kinds_that_must_not_come_after_the_reboot() -> None:
    odd = entry()
    odd["objectDefinition"].update(apiVersion="machineconfiguration.openshift.io/v1", kind="MachineConfig")
    report = look(policy(odd, wave="x"))
    assert [finding.rule for finding in report.findings] == ["policy-forbidden", "policy-wave"]


@pytest.mark.parametrize("spec", [None, [], {"policy-templates": "x"}, {"policy-templates": [None, {}]}])
def test_half_written_policies_are_read(spec: Any) -> None:
    text = yaml.safe_dump({"kind": "Policy", "metadata": {"name": "a.b"}, "spec": spec})
    assert look(text) == PolicyReport()
