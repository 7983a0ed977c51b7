# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ImageBasedUpgrade API refuses, and in which words: the schema and the six rules."""

from __future__ import annotations

import re
from typing import Any

import pytest

from contract.helpers import (
    BUSY,
    IBU,
    IBUS,
    IDLE,
    SEED,
    causes,
    condition,
    ibu,
    parametrize_cases,
    put_ibu,
    refused,
    status,
)
from contract.servers import Server
from kubeapi import Reply

SINGLETON = "ibu is a singleton, metadata.name must be 'upgrade'"
TRANSITION = (
    "the stage transition is not permitted. Please refer to status.validNextStages for valid transitions. "
    "If status.validNextStages is not present, it indicates that no transitions are currently allowed"
)
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
FROZEN: dict[str, tuple[Any, Any]] = {
    "seedImageRef": (SEED, {**SEED, "version": "4.18.0"}),
    "oadpContent": ([{"name": "a", "namespace": "oadp"}], [{"name": "b", "namespace": "oadp"}]),
    "extraManifests": ([{"name": "a", "namespace": "lca"}], []),
    "autoRollbackOnFailure": ({"initMonitorTimeoutSeconds": 600}, {"initMonitorTimeoutSeconds": 900}),
}
PREPARED = status(["Idle", "Upgrade"], BUSY, condition("PrepCompleted", True, "Completed"))


def frozen(field: str) -> str:
    return f"can not change spec.{field} while ibu is in progress"


def broken_rules(reply: Reply) -> list[str]:
    """The rules' messages. Kubernetes before 1.33 puts the value's type in front of them."""
    found = []
    for reason, field, message in causes(reply):
        told = re.fullmatch(r'Invalid value: (?:"object": )?(.*)', message, re.DOTALL)
        assert told and (reason, field) == ("FieldValueInvalid", "<nil>"), (reason, field, message)
        found.append(told[1])
    return found


# The schema


@parametrize_cases(
    "spec, reason, field, message",
    {
        "unknown stage": (
            {"stage": "Downgrade"},
            "FieldValueNotSupported",
            "spec.stage",
            'Unsupported value: "Downgrade": supported values: "Idle", "Prep", "Upgrade", "Rollback"',
        ),
        "version that is no string": (
            {"stage": "Idle", "seedImageRef": {"version": 4.17}},
            "FieldValueTypeInvalid",
            "spec.seedImageRef.version",
            'Invalid value: "number": spec.seedImageRef.version in body must be of type string: "number"',
        ),
        "empty image": (
            {"stage": "Idle", "seedImageRef": {"image": ""}},
            "FieldValueInvalid",
            "spec.seedImageRef.image",
            'Invalid value: "": spec.seedImageRef.image in body should be at least 1 chars long',
        ),
        "image with a blank": (
            {"stage": "Idle", "seedImageRef": {"image": "a b"}},
            "FieldValueInvalid",
            "spec.seedImageRef.image",
            "Invalid value: \"a b\": spec.seedImageRef.image in body should match '^([a-z0-9]+://)?[\\S]+$'",
        ),
        "pull secret without a name": (
            {"stage": "Idle", "seedImageRef": {"pullSecretRef": {}}},
            "FieldValueRequired",
            "spec.seedImageRef.pullSecretRef.name",
            "Required value",
        ),
        "content without a namespace": (
            {"stage": "Idle", "oadpContent": [{"name": "a", "namespace": "b"}, {"name": "c"}]},
            "FieldValueRequired",
            "spec.oadpContent[1].namespace",
            "Required value",
        ),
        "content that is no list": (
            {"stage": "Idle", "extraManifests": {"name": "a", "namespace": "b"}},
            "FieldValueTypeInvalid",
            "spec.extraManifests",
            'Invalid value: "object": spec.extraManifests in body must be of type array: "object"',
        ),
        "negative timeout": (
            {"stage": "Idle", "autoRollbackOnFailure": {"initMonitorTimeoutSeconds": -1}},
            "FieldValueInvalid",
            "spec.autoRollbackOnFailure.initMonitorTimeoutSeconds",
            "Invalid value: -1: spec.autoRollbackOnFailure.initMonitorTimeoutSeconds in body "
            "should be greater than or equal to 0",
        ),
    },
)
def test_schema(api: Server, spec: dict[str, Any], reason: str, field: str, message: str) -> None:
    """One broken value: its own cause, and a second one where the rules could not be looked at because of it."""
    put_ibu(api.admin, ibu())

    reply = api.admin.merge(IBU, {"spec": spec})

    told = [f"{field}: {message}"]
    if reason != "FieldValueInvalid":
        told.append(f"<nil>: Invalid value: null: {UNCHECKED}")
    assert causes(reply)[0] == (reason, field, message)
    assert [f"{field}: {message}" for _, field, message in causes(reply)] == told
    document = reply.json
    text = f"[{', '.join(told)}]" if len(told) > 1 else told[0]
    assert document["message"] == f'ImageBasedUpgrade.lca.openshift.io "upgrade" is invalid: {text}'
    assert document["details"]["name"] == "upgrade"
    assert (document["details"]["group"], document["details"]["kind"]) == ("lca.openshift.io", "ImageBasedUpgrade")


def test_schema_tells_every_broken_value(api: Server) -> None:
    put_ibu(api.admin, ibu())

    reply = api.admin.merge(IBU, {"spec": {"stage": "Later", "seedImageRef": {"image": ""}}})

    assert {field for _, field, _ in causes(reply)} == {"spec.stage", "spec.seedImageRef.image", "<nil>"}


@pytest.mark.parametrize("image", ["registry.example.com/seed:1", "docker://registry.example.com/seed@sha256:00"])
def test_image_reference_is_accepted(api: Server, image: str) -> None:
    put_ibu(api.admin, ibu())

    assert api.admin.merge(IBU, {"spec": {"seedImageRef": {"image": image}}}).status == 200


# Rule 1


def test_only_one_name_is_allowed(api: Server) -> None:
    other = ibu()
    other["metadata"]["name"] = "another"

    reply = api.admin.create(IBUS, other)

    assert broken_rules(reply) == [SINGLETON]
    document = refused(reply, 422, "Invalid")
    assert document["message"].startswith('ImageBasedUpgrade.lca.openshift.io "another" is invalid: <nil>: ')
    assert document["message"].endswith(SINGLETON)


# Rules 2 to 5


@pytest.mark.parametrize("field", FROZEN)
@pytest.mark.parametrize("change", ["add", "change", "remove"])
def test_field_is_frozen_in_progress(api: Server, field: str, change: str) -> None:
    value, other = FROZEN[field]
    held = {} if change == "add" else {field: value}
    put_ibu(api.admin, ibu("Prep", **held), PREPARED)
    wanted = {"add": value, "change": other, "remove": None}[change]

    assert broken_rules(api.admin.merge(IBU, {"spec": {field: wanted}})) == [frozen(field)]
    assert broken_rules(api.admin.merge(IBU, {"spec": {"stage": "Upgrade", field: wanted}})) == [frozen(field)]


@pytest.mark.parametrize("field", FROZEN)
def test_field_may_change_on_the_way_to_idle(api: Server, field: str) -> None:
    value, other = FROZEN[field]
    put_ibu(api.admin, ibu("Prep", **{field: value}), PREPARED)

    assert api.admin.merge(IBU, {"spec": {"stage": "Idle", field: other}}).ok()["spec"][field] == other


@pytest.mark.parametrize("field", FROZEN)
def test_field_may_change_while_idle(api: Server, field: str) -> None:
    value, other = FROZEN[field]
    put_ibu(api.admin, ibu(**{field: value}), status(["Prep"], IDLE))

    assert api.admin.merge(IBU, {"spec": {field: other}}).ok()["spec"][field] == other
    assert api.admin.merge(IBU, {"spec": {"stage": "Prep", field: value}}).ok()["spec"]["stage"] == "Prep"


@pytest.mark.parametrize("field", FROZEN)
def test_field_may_change_while_going_idle(api: Server, field: str) -> None:
    """The rule looks at the stage that is asked for, not at the Idle condition alone."""
    value, other = FROZEN[field]
    put_ibu(api.admin, ibu("Idle", **{field: value}), status([], condition("Idle", False, "Aborting", "Aborting")))

    assert api.admin.merge(IBU, {"spec": {field: other}}).status == 200


@pytest.mark.parametrize("field", FROZEN)
def test_unchanged_field_may_be_sent_again(api: Server, field: str) -> None:
    value, _ = FROZEN[field]
    put_ibu(api.admin, ibu("Prep", **{field: value}), PREPARED)

    assert api.admin.merge(IBU, {"spec": {"stage": "Upgrade", field: value}}).status == 200


def test_every_broken_rule_is_told(api: Server) -> None:
    put_ibu(api.admin, ibu("Prep", seedImageRef=SEED), PREPARED)
    change = {"stage": "Rollback", **{field: other for field, (_, other) in FROZEN.items()}}

    reply = api.admin.merge(IBU, {"spec": change})

    assert sorted(broken_rules(reply)) == sorted([*(frozen(field) for field in FROZEN), TRANSITION])
    assert reply.json["message"].startswith('ImageBasedUpgrade.lca.openshift.io "upgrade" is invalid: [<nil>: ')


# Rule 6


@pytest.mark.parametrize("stage", ["Idle", "Prep", "Upgrade", "Rollback"])
@pytest.mark.parametrize("allowed", [[], ["Idle"], ["Idle", "Upgrade"], ["Rollback"], ["Idle", "Rollback"]])
def test_stage_must_be_a_valid_next_one_or_stay(api: Server, stage: str, allowed: list[str]) -> None:
    put_ibu(api.admin, ibu("Prep"), status(allowed, BUSY))

    reply = api.admin.merge(IBU, {"spec": {"stage": stage}})

    if stage == "Prep" or stage in allowed:
        assert reply.ok()["spec"]["stage"] == stage
    else:
        assert broken_rules(reply) == [TRANSITION]
        assert api.admin.get(IBU).ok()["spec"]["stage"] == "Prep"


def test_refused_transition_is_told_in_full(api: Server) -> None:
    put_ibu(api.admin, ibu(), status(["Prep"], IDLE))

    document = refused(api.admin.merge(IBU, {"spec": {"stage": "Upgrade"}}), 422, "Invalid")

    assert document["message"].startswith('ImageBasedUpgrade.lca.openshift.io "upgrade" is invalid: <nil>: ')
    assert document["message"].endswith(TRANSITION)
    assert document["details"]["causes"][0]["field"] == "<nil>"


def test_stage_cannot_be_taken_away(api: Server) -> None:
    """The rule cannot be evaluated then, which is a refusal too; its words come after the reason."""
    put_ibu(api.admin, ibu(), status(["Prep"], IDLE))

    reply = api.admin.merge(IBU, {"spec": {"stage": None}})

    assert [message for message in broken_rules(reply) if message.endswith(TRANSITION)]


# What no rule covers


@pytest.mark.parametrize("stage", ["Idle", "Prep", "Upgrade", "Rollback"])
def test_everything_goes_before_the_first_status(api: Server, stage: str) -> None:
    put_ibu(api.admin, ibu("Upgrade", seedImageRef=SEED))
    change = {"stage": stage, **{field: other for field, (_, other) in FROZEN.items()}}

    assert api.admin.merge(IBU, {"spec": change}).ok()["spec"]["stage"] == stage


def test_annotations_may_always_change(api: Server) -> None:
    put_ibu(api.admin, ibu("Upgrade"), status([], BUSY))

    change = {"metadata": {"annotations": {"lca.openshift.io/trigger-reconcile": "now"}}}

    assert api.admin.merge(IBU, change).ok()["metadata"]["annotations"] == change["metadata"]["annotations"]


def test_refused_patch_leaves_everything_as_it_was(api: Server) -> None:
    before = put_ibu(api.admin, ibu("Prep"), status([], BUSY))

    change = {"metadata": {"annotations": {"a": "b"}}, "spec": {"stage": "Upgrade"}}

    assert broken_rules(api.admin.merge(IBU, change)) == [TRANSITION]
    assert api.admin.get(IBU).ok() == before
