# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub's API refuses of a group upgrade, and in which words: the schema and the rules."""

from __future__ import annotations

from typing import Any

import pytest

from contract.groups import GROUPS, SELECTORS, broken, group, plan, step
from contract.helpers import SEED, causes, parametrize_cases, refused
from contract.test_rules import UNCHECKED
from kubeapi import Api

Document = dict[str, Any]

COMBINATION = "invalid combinations of actions in the plan"
APPEND_ONLY = "plan is append only"
# In the letters of `contract.groups`.
PERMITTED = (
    *("P", "P U", "PU", "P U F", "P UF", "PU F", "PUF", "P A", "P O", "P O U", "P O U O", "P O U O F"),
    *("P U O", "P U O F", "PU O", "PU O F", "U", "U F", "UF", "F", "R", "R E", "RE", "E", "A", "O"),
)


# The plan


@pytest.mark.parametrize("letters", PERMITTED)
def test_permitted_plan(hub: Api, name: str, letters: str) -> None:
    created = hub.create(GROUPS, group(name, letters)).ok()

    assert created["spec"]["plan"] == plan(letters)


def test_there_are_26_permitted_plans() -> None:
    assert len(set(PERMITTED)) == 26


@pytest.mark.parametrize(
    "letters", ["", "PP", "P P", "U P", "FU", "P R", "PUR", "P U A", "U O", "P O U F", "P UO", "RF", "A O", "P U O F F"]
)
def test_other_plan(hub: Api, name: str, letters: str) -> None:
    reply = hub.create(GROUPS, group(name, letters))

    assert broken(reply) == [("spec.plan", COMBINATION)]
    document = refused(reply, 422, "Invalid")
    assert document["message"].startswith(f'ImageBasedGroupUpgrade.lcm.openshift.io "{name}" is invalid: spec.plan: ')
    assert document["message"].endswith(COMBINATION)
    assert hub.get(f"{GROUPS}/{name}").status == 404


@parametrize_cases(
    "actions",
    {
        "unknown": (["Finalize"],),
        "other case": (["prep"],),
        "none": ([],),
        "empty": ([""],),
        "joined": (["Prep,Upgrade"],),
    },
)
def test_words_of_actions_are_exact(hub: Api, name: str, actions: list[str]) -> None:
    steps = [{"actions": actions, "rolloutStrategy": {"maxConcurrency": 1}}]

    assert broken(hub.create(GROUPS, group(name, steps))) == [("spec.plan", COMBINATION)]


@parametrize_cases(
    "letters, field, count, most",
    {
        "steps": ("P U O F P U O", "spec.plan", 7, 6),
        "actions": ("PUFPU", "spec.plan[0].actions", 5, 4),
        "actions of a later step": ("P UUUUU", "spec.plan[1].actions", 5, 4),
    },
)
def test_too_many(hub: Api, name: str, letters: str, field: str, count: int, most: int) -> None:
    """The rules are not looked at then: their cost is reckoned with these limits."""
    found = causes(hub.create(GROUPS, group(name, letters)))

    assert found[0] == ("FieldValueTooMany", field, f"Too many: {count}: must have at most {most} items")
    assert found[1:] == [("FieldValueInvalid", "<nil>", f"Invalid value: null: {UNCHECKED}")]


# The plan grows


@parametrize_cases(
    "old, new",
    {
        "one step": ("P", "P U"),
        "two steps": ("P U", "P U O F"),
        "nothing": ("P U", "P U"),
        "what ran before": ("PU O", "PU O F"),
    },
)
def test_plan_grows_by_merge_patch(hub: Api, name: str, old: str, new: str) -> None:
    before = hub.create(GROUPS, group(name, old)).ok()

    after = hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": plan(new)}}).ok()

    assert after["spec"] == {**before["spec"], "plan": plan(new)}
    assert after["metadata"]["generation"] == (1 if old == new else 2)


def test_plan_grows_by_json_patch(hub: Api, name: str) -> None:
    hub.create(GROUPS, group(name, "P")).ok()

    operations = [{"op": "add", "path": "/spec/plan/-", "value": step(letters)} for letters in ("O", "U")]
    after = hub.json_patch(f"{GROUPS}/{name}", operations).ok()

    assert after["spec"]["plan"] == plan("P O U")
    assert hub.get(f"{GROUPS}/{name}").ok() == after


def test_default_timeout_may_be_left_out_when_the_plan_grows(hub: Api, name: str) -> None:
    """The default is filled in before the rule compares."""
    first = {"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 5}}
    hub.create(GROUPS, group(name, [step("P", timeout=240)])).ok()

    after = hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": [first, step("U")]}}).ok()

    assert after["spec"]["plan"] == [step("P", timeout=240), step("U")]


@parametrize_cases(
    "old, new, told",
    {
        "step gone": ("P U", plan("P"), [APPEND_ONLY]),
        "first step gone": ("P U F", plan("U F"), [APPEND_ONLY]),
        "other step": ("P U", plan("P O"), [APPEND_ONLY]),
        "steps joined": ("P U", plan("PU"), [APPEND_ONLY]),
        "step grown": ("P", plan("PU"), [APPEND_ONLY]),
        "other concurrency": ("P", [step("P", 6)], [APPEND_ONLY]),
        "other timeout": ("P", [step("P", timeout=61), step("U")], [APPEND_ONLY]),
        "no timeout": ("P", [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 5}}], [APPEND_ONLY]),
        "everything gone": ("P", [], [APPEND_ONLY, COMBINATION]),
        "changed into none": ("P U", plan("P A U"), [COMBINATION]),
        "appended into none": ("P U", plan("P U A"), [COMBINATION]),
        "turned into none": ("P U", plan("U P"), [COMBINATION]),
        "both": ("P U", plan("P P"), [APPEND_ONLY, COMBINATION]),
    },
)
def test_plan_is_append_only(hub: Api, name: str, old: str, new: list[Document], told: list[str]) -> None:
    before = hub.create(GROUPS, group(name, old)).ok()

    reply = hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": new}})

    assert sorted(broken(reply)) == sorted(("spec.plan", message) for message in told)
    assert hub.get(f"{GROUPS}/{name}").ok() == before


@parametrize_cases(
    "old, new",
    {
        "put before": ("U", "P U"),
        "put between": ("P U", "P O U"),
        "turned around": ("P O U", "P U O"),
        "one of two equal steps gone": ("P O U O", "P O U"),
    },
)
def test_a_step_may_move_as_long_as_it_is_there(hub: Api, name: str, old: str, new: str) -> None:
    """The rule only asks that each old step is somewhere in the plan. Our own check refuses all of these."""
    hub.create(GROUPS, group(name, old)).ok()

    assert hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": plan(new)}}).ok()["spec"]["plan"] == plan(new)


def test_replacing_a_step_by_json_patch_is_refused(hub: Api, name: str) -> None:
    hub.create(GROUPS, group(name, "P U")).ok()

    operation = {"op": "replace", "path": "/spec/plan/1/rolloutStrategy/timeout", "value": 90}

    assert broken(hub.json_patch(f"{GROUPS}/{name}", [operation])) == [("spec.plan", APPEND_ONLY)]


def test_dry_run_judges_and_stores_nothing(hub: Api, name: str) -> None:
    assert hub.create(GROUPS, group(name, "P P"), dryRun="All").status == 422
    hub.create(GROUPS, group(name, "P"), dryRun="All").ok()
    assert hub.get(f"{GROUPS}/{name}").status == 404

    before = hub.create(GROUPS, group(name, "P")).ok()
    grown = hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": plan("P U")}}, dryRun="All").ok()
    shrunk = hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": plan("U")}}, dryRun="All")

    assert grown["spec"]["plan"] == plan("P U")
    assert broken(shrunk) == [("spec.plan", APPEND_ONLY)]
    assert hub.get(f"{GROUPS}/{name}").ok() == before


def test_patch_of_a_version_that_is_gone_is_a_conflict(hub: Api, name: str) -> None:
    """So that two plans are not appended to the same one."""
    stale = hub.create(GROUPS, group(name, "P")).ok()["metadata"]["resourceVersion"]
    hub.merge(f"{GROUPS}/{name}", {"spec": {"plan": plan("P O")}}).ok()

    patch = {"metadata": {"resourceVersion": stale}, "spec": {"plan": plan("P O U")}}

    refused(hub.merge(f"{GROUPS}/{name}", patch), 409, "Conflict")


# What cannot change


@parametrize_cases(
    "change",
    {
        "version": ({"seedImageRef": {"version": "4.18.0"}},),
        "stage": ({"stage": "Idle"},),
        "content": ({"oadpContent": [{"name": "a", "namespace": "oadp"}]},),
        "manifests": ({"extraManifests": []},),
        "monitor": ({"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 60}},),
        "seed gone": ({"seedImageRef": None},),
    },
)
def test_ibu_spec_is_immutable(hub: Api, name: str, change: Document) -> None:
    hub.create(GROUPS, group(name, "P")).ok()

    reply = hub.merge(f"{GROUPS}/{name}", {"spec": {"ibuSpec": change, "plan": plan("P U")}})

    assert broken(reply) == [("spec.ibuSpec", "ibuSpec is immutable")]


@parametrize_cases(
    "selectors",
    {
        "other label": ([{"matchLabels": {"region": "south"}}],),
        "one more": ([*SELECTORS, {"matchLabels": {"region": "south"}}],),
        "none": ([],),
        "expression": ([{"matchExpressions": [{"key": "region", "operator": "In", "values": ["north"]}]}],),
    },
)
def test_selectors_are_immutable(hub: Api, name: str, selectors: list[Document]) -> None:
    hub.create(GROUPS, group(name, "P", clusterLabelSelectors=SELECTORS)).ok()

    reply = hub.merge(f"{GROUPS}/{name}", {"spec": {"clusterLabelSelectors": selectors}})

    assert broken(reply) == [("spec.clusterLabelSelectors", "clusterLabelSelectors is immutable")]


def test_selectors_may_come_and_go_as_a_whole(hub: Api, name: str) -> None:
    """The rule compares two values, and where one is missing there is nothing to compare."""
    hub.create(GROUPS, group(name, "P")).ok()

    came = hub.merge(f"{GROUPS}/{name}", {"spec": {"clusterLabelSelectors": SELECTORS}}).ok()
    gone = hub.merge(f"{GROUPS}/{name}", {"spec": {"clusterLabelSelectors": None}}).ok()

    assert came["spec"]["clusterLabelSelectors"] == SELECTORS
    assert "clusterLabelSelectors" not in gone["spec"]


@pytest.mark.parametrize("length", [229, 230, 253])
def test_length_of_the_name(hub: Api, name: str, length: int) -> None:
    long = f"{name}-{'x' * length}"[:length]

    reply = hub.create(GROUPS, group(long), dryRun="All")

    if length < 230:
        assert reply.ok()["metadata"]["name"] == long
    else:
        assert broken(reply) == [("<nil>", "Name length must be less than 230 characters")]


# Schema and defaults


@parametrize_cases(
    "spec, reason, field",
    {
        "no plan": ({"ibuSpec": {}}, "FieldValueRequired", "spec.plan"),
        "no ibuSpec": ({"plan": plan("P")}, "FieldValueRequired", "spec.ibuSpec"),
        "no actions": (
            {"ibuSpec": {}, "plan": [{"rolloutStrategy": {"maxConcurrency": 1}}]},
            "FieldValueRequired",
            "spec.plan[0].actions",
        ),
        "no strategy": (
            {"ibuSpec": {}, "plan": [{"actions": ["Prep"]}]},
            "FieldValueRequired",
            "spec.plan[0].rolloutStrategy",
        ),
        "no concurrency": (
            {"ibuSpec": {}, "plan": [{"actions": ["Prep"], "rolloutStrategy": {"timeout": 60}}]},
            "FieldValueRequired",
            "spec.plan[0].rolloutStrategy.maxConcurrency",
        ),
        "concurrency as text": (
            {"ibuSpec": {}, "plan": [step("P", maxConcurrency="5")]},
            "FieldValueTypeInvalid",
            "spec.plan[0].rolloutStrategy.maxConcurrency",
        ),
        "share of an hour": (
            {"ibuSpec": {}, "plan": [step("P", timeout=1.5)]},
            "FieldValueTypeInvalid",
            "spec.plan[0].rolloutStrategy.timeout",
        ),
        "action that is no list": (
            {"ibuSpec": {}, "plan": [{"actions": "Prep", "rolloutStrategy": {"maxConcurrency": 1}}]},
            "FieldValueTypeInvalid",
            "spec.plan[0].actions",
        ),
        "unknown stage": (
            {"ibuSpec": {"stage": "Later"}, "plan": plan("P")},
            "FieldValueNotSupported",
            "spec.ibuSpec.stage",
        ),
        "expression without an operator": (
            {"ibuSpec": {}, "plan": plan("P"), "clusterLabelSelectors": [{"matchExpressions": [{"key": "a"}]}]},
            "FieldValueRequired",
            "spec.clusterLabelSelectors[0].matchExpressions[0].operator",
        ),
        "label that is a number": (
            {"ibuSpec": {}, "plan": plan("P"), "clusterLabelSelectors": [{"matchLabels": {"a": 1}}]},
            "FieldValueTypeInvalid",
            "spec.clusterLabelSelectors[0].matchLabels.a",
        ),
    },
)
def test_schema(hub: Api, name: str, spec: Document, reason: str, field: str) -> None:
    document = {**group(name), "spec": spec}

    found = causes(hub.create(GROUPS, document))

    assert (reason, field) in [(told, where) for told, where, _ in found]
    assert ("<nil>", f"Invalid value: null: {UNCHECKED}") in [(where, message) for _, where, message in found]


def test_seed_image_is_checked_as_in_the_upgrade_itself(hub: Api, name: str) -> None:
    reply = hub.create(GROUPS, group(name, ibuSpec={"seedImageRef": {"image": "a b"}}))

    assert [(reason, field) for reason, field, _ in causes(reply)] == [
        ("FieldValueInvalid", "spec.ibuSpec.seedImageRef.image")
    ]


@pytest.mark.parametrize("given", [None, 0, -5, 1, 240, 2**31, 2**62])
def test_timeout(hub: Api, name: str, given: int | None) -> None:
    """Only an absent one gets the default; no number is refused."""
    strategy: Document = {"maxConcurrency": 5, **({} if given is None else {"timeout": given})}

    created = hub.create(GROUPS, group(name, [{"actions": ["Prep"], "rolloutStrategy": strategy}])).ok()

    assert created["spec"]["plan"][0]["rolloutStrategy"]["timeout"] == (240 if given is None else given)


@pytest.mark.parametrize("given", [0, -1, 1, 2**31, 2**62])
def test_concurrency(hub: Api, name: str, given: int) -> None:
    created = hub.create(GROUPS, group(name, [step("P", given)])).ok()

    assert created["spec"]["plan"][0]["rolloutStrategy"]["maxConcurrency"] == given


def test_unknown_fields_are_dropped(hub: Api, name: str) -> None:
    created = hub.create(GROUPS, group(name, [{**step("P"), "canaries": ["a"]}], nosuch=1)).ok()

    assert created["spec"] == {"ibuSpec": {"seedImageRef": SEED}, "plan": plan("P")}
