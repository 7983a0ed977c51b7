# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever Prep refuses, preflight says before: one cluster for each refusal, one run of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import from_labels
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import open_session
from fleetsim.refusals import PREP, backup, labelled, manifest, restore
from fleetsim.scenario import load

from .runs import Playground, playground, scenario, until

Object = dict[str, Any]

IMAGE = "registry.example.com/{}:4.17.3"
IBU = "/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade"
# The collection itself never asks for these.
SENT_BY_HAND = (PREP["version too low"], PREP["version no version"])
COUNT = "lca.openshift.io/target-ocp-version-manifest-count"
MANIFESTS = (
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: new, annotations: {lca.openshift.io/apply-wave: '1'}}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: new}\n"
)


def config_map(name: str, namespace: str, text: str) -> Object:
    meta = {"name": name, "namespace": namespace}
    key = "oadp.yaml" if namespace == "openshift-adp" else "extra.yaml"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {key: text}}


# Checks that quote what the agent will say.
QUOTED = ("oadp-content", "extra-manifests", "policies")
# Valid configurations: no finding, and no refusal.
HEALTHY: dict[str, Object] = {
    "as it comes": {},
    "a namespace of its own": {
        "objects": [config_map("site-extra", "openshift-lifecycle-agent", MANIFESTS)],
    },
    "policies": {"annotations": {COUNT: "1"}, "objects": [labelled("mustonlyhave")]},
    "apply-label": {
        "objects": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "app"}},
            config_map(
                "oadp-cm",
                "openshift-adp",
                backup(
                    annotation="lca.openshift.io/apply-label: v1/secrets/app/pull",
                    spec="{includedNamespaces: [app], includedNamespaceScopedResources: [secrets]}",
                )
                + restore(),
            ),
        ]
    },
    "what is there already": {
        "objects": [
            config_map("site-extra", "openshift-lifecycle-agent", manifest("ConfigMap", "kept")),
            config_map("kept", "app", "x"),
        ],
    },
}
# What Prep lets pass, and what fails in the Upgrade stage: title, cluster, severity, check, and a word of the cause.
MIXED = "{includedNamespaces: [app], includedResources: [secrets], excludedNamespaceScopedResources: [pods]}"
LATER: dict[str, tuple[Object, str, str, str]] = {
    "filters of two kinds": (
        {"objects": [config_map("oadp-cm", "openshift-adp", backup(spec=MIXED) + restore())]},
        "blocked",
        "oadp-content",
        "Backup openshift-adp/small-app",
    ),
    "a kind that is not there": (
        {"objects": [config_map("site-extra", "openshift-lifecycle-agent", manifest("Widget", "w", "example.com/v1"))]},
        "warned",
        "extra-manifests",
        "the cluster does not know this kind",
    ),
    "a namespace that is not there": (
        {
            "objects": [
                config_map(
                    "site-extra", "openshift-lifecycle-agent", manifest().replace("namespace: app", "namespace: none")
                )
            ]
        },
        "warned",
        "extra-manifests",
        "its namespace is neither on the cluster",
    ),
}
CASES: list[tuple[str, Object]] = [
    *((name, refusal.cluster) for name, refusal in PREP.items()),
    *((f"healthy: {name}", cluster) for name, cluster in HEALTHY.items()),
    *((f"later: {name}", case[0]) for name, case in LATER.items()),
]
NAMES = {f"site-{number:04d}": name for number, (name, _) in enumerate(CASES, 1)}


def fleet() -> Object:
    """Each cluster with an image of its own, so that each can have a seed of its own."""
    extra = {}
    for name, (_, cluster) in zip(NAMES, CASES, strict=True):
        own = copy.deepcopy(cluster)
        own["goal"] = {"image": IMAGE.format(name), **own.get("goal", {})}
        extra[name] = own
    durations = {"stateroot": 5, "precache": 5, "spread": 0}
    return scenario(len(CASES), durations=durations, clusters_extra=extra)


@pytest.fixture(name="ground", scope="module")
def fixture_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    with playground(tmp_path_factory.mktemp("walk"), fleet()) as ground:
        yield ground


@pytest.fixture(name="report", scope="module")
def fixture_report(ground: Playground) -> Object:
    """What one preflight of the whole fleet says. Prep runs only after it."""
    files = {}
    for plan in load(fleet()).clusters:
        facts = from_labels(plan.seed_image.labels(plan.goal.version))
        path = ground.directory / f"{plan.name}.yml"
        path.write_text(yaml.safe_dump(facts.to_document()))
        files[IMAGE.format(plan.name)] = str(path)
    report = ground.directory / "preflight.json"
    ground.play("preflight", ibu_report_file=str(report), ibu_seed_facts=files, ibu_on_blocked="exclude")
    assert not any(ground.writes().values()), "preflight changes nothing"
    return json.loads(report.read_text())  # type: ignore[no-any-return]


@pytest.fixture(name="said", scope="module")
def fixture_said(ground: Playground, report: Object) -> dict[str, str]:
    """What the clusters say after one Prep of the whole fleet, for which nobody looked before."""
    assert report
    path = ground.directory / "prep.yml"
    task = {"sno.image_upgrade.ibu_fleet": {"actions": ["Prep"]}, "run_once": True}
    path.write_text(yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "tasks": [task]}]))
    ground.play(path, ibu_max_failures=len(CASES))
    for plan in load(fleet()).clusters:
        if PREP.get(NAMES[plan.name]) in SENT_BY_HAND:
            session = open_session({"kubeconfig": str(ground.fleet.kubeconfig(plan.name))})
            session.merge_patch(IBU, {"spec": {"stage": "Prep", **plan.goal.spec()}})
            until(lambda name=plan.name: failed(ground, name), 20, f"Prep of {plan.name} has failed")
    return {
        one["name"]: next((c["message"] for c in one["conditions"] if c["type"] == "PrepInProgress"), "")
        for one in ground.fleet.control.clusters()
    }


def failed(ground: Playground, name: str) -> bool:
    return any(one["type"] == "PrepCompleted" for one in ground.fleet.control.state(name)["conditions"])


def findings(report: Object, name: str) -> list[Object]:
    return [one for one in report["findings"] if one["cluster"] == name]


@pytest.mark.parametrize(("name", "title"), [item for item in NAMES.items() if item[1] in PREP], ids=list(PREP))
def test_preflight_says_before_what_prep_refuses(report: Object, name: str, title: str) -> None:
    refusal = PREP[title]
    found = findings(report, name)
    if refusal.unforeseen:
        assert found == []
        return
    ours = [one for one in found if one["check"] == refusal.check]
    assert ours, found
    assert all(one["severity"] in ("blocked", "warned") for one in found)
    if refusal.check in QUOTED and not refusal.text:
        assert refusal.message in [one["seen"] for one in ours]


@pytest.mark.parametrize("name", [name for name, title in NAMES.items() if title.startswith("healthy")])
def test_valid_configurations_get_no_finding(report: Object, name: str) -> None:
    assert findings(report, name) == []


@pytest.mark.parametrize(("name", "title"), [item for item in NAMES.items() if item[1] in PREP], ids=list(PREP))
def test_prep_says_exactly_that(said: dict[str, str], name: str, title: str) -> None:
    assert said[name] == PREP[title].message


@pytest.mark.parametrize("name", [name for name, title in NAMES.items() if title.startswith("healthy")])
def test_valid_configurations_are_prepared(said: dict[str, str], name: str) -> None:
    assert said[name] == "Prep completed"


@pytest.mark.parametrize("name", [name for name, title in NAMES.items() if title.startswith("later")])
def test_what_prep_lets_pass_is_told_too(report: Object, said: dict[str, str], name: str) -> None:
    _, severity, check, cause = LATER[NAMES[name].removeprefix("later: ")]
    assert said[name] == "Prep completed"
    found = [one for one in findings(report, name) if one["check"] == check]
    assert [one["severity"] for one in found] == [severity], found
    assert cause in found[0]["cause"]
