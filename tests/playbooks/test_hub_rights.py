# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities that may not do everything on the hub: what is documented is enough, what is missing is named first."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .runs import ROOT, Playground, names, playground, scenario
from .test_group import FINALIZE, PREP, UPGRADE, VARIABLES, VERSION, group_upgrades, hub, plan, stages, task
from .test_group import MANAGED as MANAGED_PATH

Object = dict[str, Any]

GROUPS, CGUS, MANAGED = "imagebasedgroupupgrades", "clustergroupupgrades", "managedclusters"


def documented() -> list[Object]:
    """What docs/examples/hub_rbac.yml grants, as rules of the simulated hub."""
    text = (ROOT / "docs" / "examples" / "hub_rbac.yml").read_text(encoding="utf-8")
    role = next(one for one in yaml.safe_load(text)["items"] if one["kind"] == "ClusterRole")
    return [
        {"groups": rule["apiGroups"], "resources": rule["resources"], "verbs": rule["verbs"]} for rule in role["rules"]
    ]


def without(verb: str, resource: str) -> Object:
    """The same account without one call."""
    rules = copy.deepcopy(documented())
    for rule in rules:
        if resource in rule["resources"]:
            rule["verbs"].remove(verb)
    return {"rules": rules}


MISSING = [
    ("get", GROUPS), ("list", GROUPS), ("create", GROUPS), ("patch", GROUPS), ("delete", GROUPS),
    ("list", CGUS), ("list", MANAGED), ("patch", MANAGED),
]  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    users = {f"no-{verb}-{resource}": without(verb, resource) for verb, resource in MISSING}
    hub = {"users": {"documented": {"rules": documented()}, **users}}
    with playground(tmp_path_factory.mktemp("rights"), scenario(2, hub=hub), **VARIABLES) as made:
        yield made


def as_user(ground: Playground, name: str) -> Object:
    return {"ibu_hub_kubeconfig": str(ground.fleet.kubeconfig("hub", name)), "group_upgrade_preflight": False}


@pytest.mark.parametrize(
    ("verb", "resource", "words"),
    [
        ("get", GROUPS, 'cannot get resource "imagebasedgroupupgrades"'),
        ("list", GROUPS, "list imagebasedgroupupgrades.lcm.openshift.io in ibu"),
        ("patch", GROUPS, "patch imagebasedgroupupgrades.lcm.openshift.io in ibu"),
        ("list", CGUS, "list clustergroupupgrades.ran.openshift.io in ibu"),
        ("list", MANAGED, "list managedclusters.cluster.open-cluster-management.io"),
        ("create", GROUPS, 'cannot create resource "imagebasedgroupupgrades"'),
    ],
)
def test_a_right_that_a_group_upgrade_needs_is_named_before_anything_is_written(
    ground: Playground, verb: str, resource: str, words: str
) -> None:
    run = ground.play("group_upgrade", **as_user(ground, f"no-{verb}-{resource}"))

    assert run.code == 2, run.output
    assert words in run.words, run.output
    assert "docs/rbac" in run.words
    assert group_upgrades(ground) == {}
    assert {state for state, _version in stages(ground).values()} == {"Idle"}


def test_the_role_of_the_documentation_is_enough(ground: Playground) -> None:
    """Comes last but for what needs a group upgrade that is there."""
    run = ground.play("group_upgrade", **as_user(ground, "documented"), ibgu_plan=plan(PREP, UPGRADE, FINALIZE))
    assert run.code == 0, run.output
    assert set(stages(ground).values()) == {("Idle", VERSION)}
    labels = ground.play("hub_labels", **as_user(ground, "documented"))
    assert labels.code == 0, labels.output


@pytest.mark.parametrize(
    ("verb", "module", "options", "words"),
    [
        ("list", "ibgu_info", {}, 'cannot list resource "clustergroupupgrades"'),
        ("delete", "ibgu_plan", {"state": "absent"}, 'cannot delete resource "imagebasedgroupupgrades"'),
    ],
)
def test_a_right_that_a_single_task_needs_is_named(
    ground: Playground, verb: str, module: str, options: Object, words: str
) -> None:
    resource = CGUS if module == "ibgu_info" else GROUPS
    connection = {"kubeconfig": str(ground.fleet.kubeconfig("hub", f"no-{verb}-{resource}"))}
    before = group_upgrades(ground)
    run = task(ground, module, name="north", namespace="ibu", **connection, **options)

    assert run.code == 2, run.output
    assert words in run.words, run.output
    assert "docs/rbac" in run.words
    assert group_upgrades(ground) == before


@pytest.mark.parametrize("verb", ["list", "patch"])
def test_a_right_that_labels_need_is_named(ground: Playground, verb: str) -> None:
    wrong = {"metadata": {"labels": {"lcm.openshift.io/ibgu-upgrade-failed": ""}}}
    for name in names(1, 2):
        hub(ground).merge_patch(f"{MANAGED_PATH}/{name}", wrong)
    before = ground.fleet.control.journal("hub")
    run = ground.play("hub_labels", **as_user(ground, f"no-{verb}-{MANAGED}"))
    assert run.code == 2, run.output
    assert f'cannot {verb} resource "{MANAGED}"' in run.words
    assert "docs/rbac" in run.words
    after = ground.fleet.control.journal("hub")
    assert not [entry for entry in after[len(before) :] if MANAGED in entry["path"] and entry["code"] < 400]
