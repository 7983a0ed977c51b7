# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge patch, JSON patch, conflicts, the status subresource, generations and dry runs."""

from __future__ import annotations

from typing import Any

import pytest

from contract.helpers import (
    BUSY,
    IBU,
    IDLE,
    MAPS,
    SEED,
    causes,
    config_maps,
    ibu,
    parametrize_cases,
    put_ibu,
    refused,
    status,
)
from contract.servers import Server


def test_merge_patch_adds_changes_and_removes(api: Server) -> None:
    put_ibu(api.admin, ibu(seedImageRef=SEED, oadpContent=[{"name": "a", "namespace": "oadp"}]))

    change = {"stage": "Prep", "seedImageRef": {"version": "4.17.4", "pullSecretRef": None}, "oadpContent": None}
    patched = api.admin.merge(IBU, {"spec": change}).ok()

    assert patched["spec"] == {"stage": "Prep", "seedImageRef": {"version": "4.17.4", "image": SEED["image"]}}


def test_merge_patch_replaces_a_list_as_a_whole(api: Server) -> None:
    put_ibu(api.admin, ibu(oadpContent=[{"name": "a", "namespace": "oadp"}, {"name": "b", "namespace": "oadp"}]))

    patched = api.admin.merge(IBU, {"spec": {"oadpContent": [{"name": "c", "namespace": "oadp"}]}}).ok()

    assert patched["spec"]["oadpContent"] == [{"name": "c", "namespace": "oadp"}]


def test_json_patch_applies_its_operations_in_order(api: Server) -> None:
    put_ibu(api.admin, ibu(seedImageRef=SEED))
    operations = [
        {"op": "test", "path": "/spec/stage", "value": "Idle"},
        {"op": "replace", "path": "/spec/stage", "value": "Prep"},
        {"op": "add", "path": "/spec/extraManifests", "value": [{"name": "x", "namespace": "y"}]},
        {"op": "add", "path": "/spec/extraManifests/-", "value": {"name": "z", "namespace": "y"}},
        {"op": "remove", "path": "/spec/seedImageRef/pullSecretRef"},
    ]

    patched = api.admin.json_patch(IBU, operations).ok()

    assert patched["spec"]["stage"] == "Prep"
    assert [item["name"] for item in patched["spec"]["extraManifests"]] == ["x", "z"]
    assert "pullSecretRef" not in patched["spec"]["seedImageRef"]


@parametrize_cases(
    "operation",
    {
        "failed test": ({"op": "test", "path": "/spec/stage", "value": "Upgrade"},),
        "remove what is absent": ({"op": "remove", "path": "/spec/oadpContent"},),
        "add below what is absent": ({"op": "add", "path": "/spec/oadpContent/-", "value": {}},),
    },
)
def test_json_patch_that_does_not_fit_is_invalid(api: Server, operation: dict[str, Any]) -> None:
    before = put_ibu(api.admin, ibu())

    document = refused(api.admin.json_patch(IBU, [operation]), 422, "Invalid")

    assert document["message"] == "the server rejected our request due to an error in our request"
    assert api.admin.get(IBU).ok() == before


def test_json_patch_replaces_what_is_absent(api: Server) -> None:
    """The standard forbids it; the API server's library does it all the same."""
    put_ibu(api.admin, ibu())

    patched = api.admin.json_patch(IBU, [{"op": "replace", "path": "/spec/oadpContent", "value": []}]).ok()

    assert patched["spec"]["oadpContent"] == []


@pytest.mark.parametrize(("method", "body"), [("merge", [1]), ("json_patch", {"op": "test"})])
def test_patch_of_the_wrong_shape_is_a_bad_request(api: Server, method: str, body: object) -> None:
    put_ibu(api.admin, ibu())

    document = refused(getattr(api.admin, method)(IBU, body), 400, "BadRequest")

    assert document["message"].startswith("error decoding patch: ")


@pytest.mark.parametrize("content_type", ["application/strategic-merge-patch+json", "application/json"])
def test_patch_type_that_custom_resources_lack(api: Server, content_type: str) -> None:
    put_ibu(api.admin, ibu())

    reply = api.admin.request("PATCH", IBU, {"spec": {"stage": "Prep"}}, content_type=content_type)

    document = refused(reply, 415, "UnsupportedMediaType")
    assert document["message"] == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_built_in_kind_takes_a_strategic_patch_too(api: Server) -> None:
    run = config_maps(api.admin, [{"color": "red"}])
    change = {"metadata": {"labels": {"color": None, "size": "big"}}, "data": {"more": "1"}}

    reply = api.admin.request("PATCH", f"{MAPS}/{run}-0", change, content_type="application/strategic-merge-patch+json")

    assert reply.ok()["metadata"]["labels"] == {"run": run, "size": "big"}
    assert reply.ok()["data"] == {"index": "0", "more": "1"}


def test_patch_of_nothing_is_not_found(api: Server) -> None:
    api.admin.delete(IBU)

    refused(api.admin.merge(IBU, {"spec": {"stage": "Prep"}}), 404, "NotFound")


def test_patch_with_a_stale_version_is_a_conflict(api: Server) -> None:
    stale = put_ibu(api.admin, ibu())["metadata"]["resourceVersion"]
    api.admin.merge(IBU, {"metadata": {"labels": {"seen": "later"}}}).ok()

    change = {"metadata": {"resourceVersion": stale}, "spec": {"stage": "Prep"}}
    document = refused(api.admin.merge(IBU, change), 409, "Conflict")

    assert document["details"] == {"name": "upgrade", "group": "lca.openshift.io", "kind": "imagebasedupgrades"}
    assert api.admin.get(IBU).ok()["spec"]["stage"] == "Idle"


def test_patch_with_the_current_version_is_stored(api: Server) -> None:
    current = put_ibu(api.admin, ibu())["metadata"]["resourceVersion"]

    change = {"metadata": {"resourceVersion": current}, "spec": {"stage": "Prep"}}

    assert api.admin.merge(IBU, change).ok()["spec"]["stage"] == "Prep"


def test_patch_of_another_uid_is_refused(api: Server) -> None:
    """So a patch can be bound to the object of before a pivot."""
    put_ibu(api.admin, ibu())

    found = causes(api.admin.merge(IBU, {"metadata": {"uid": "not-this-one"}, "spec": {"stage": "Prep"}}))

    assert ("FieldValueInvalid", "metadata.uid", 'Invalid value: "not-this-one": field is immutable') in found


def test_unknown_field_is_dropped_with_a_warning(api: Server) -> None:
    before = put_ibu(api.admin, ibu())

    reply = api.admin.merge(IBU, {"spec": {"stagee": "Prep"}})

    assert reply.ok() == before
    assert reply.headers["Warning"] == '299 - "unknown field \\"spec.stagee\\""'


def test_unknown_field_is_refused_on_request(api: Server) -> None:
    put_ibu(api.admin, ibu())

    refused(api.admin.merge(IBU, {"spec": {"stagee": "Prep"}}, fieldValidation="Strict"), 422, "Invalid")


# Generations and versions


def test_spec_change_raises_the_generation(api: Server) -> None:
    put_ibu(api.admin, ibu())

    assert api.admin.merge(IBU, {"spec": {"stage": "Prep"}}).ok()["metadata"]["generation"] == 2


@parametrize_cases(
    "path, change",
    {
        "labels": (IBU, {"metadata": {"labels": {"a": "b"}}}),
        "annotations": (IBU, {"metadata": {"annotations": {"lca.openshift.io/manual-cleanup-done": ""}}}),
        "status": (f"{IBU}/status", {"status": status(["Prep"], IDLE)}),
    },
)
def test_other_change_raises_the_version_only(api: Server, path: str, change: dict[str, Any]) -> None:
    before = put_ibu(api.admin, ibu())["metadata"]

    after = api.admin.merge(path, change).ok()["metadata"]

    assert after["generation"] == before["generation"] == 1
    assert int(after["resourceVersion"]) > int(before["resourceVersion"])


def test_change_of_nothing_writes_nothing(api: Server) -> None:
    before = put_ibu(api.admin, ibu())

    after = api.admin.merge(IBU, {"spec": {"stage": "Idle"}}).ok()

    assert after["metadata"] == before["metadata"]


# The status subresource


def test_status_in_a_plain_patch_is_ignored(api: Server) -> None:
    put_ibu(api.admin, ibu(), status(["Prep"], IDLE))

    patched = api.admin.merge(IBU, {"spec": {"stage": "Prep"}, "status": status(["Upgrade"], BUSY)}).ok()

    assert patched["spec"]["stage"] == "Prep"
    assert patched["status"] == status(["Prep"], IDLE)


def test_spec_in_a_status_patch_is_ignored(api: Server) -> None:
    put_ibu(api.admin, ibu())

    change = {"spec": {"stage": "Prep"}, "metadata": {"labels": {"a": "b"}}, "status": status(["Prep"], IDLE)}
    patched = api.admin.merge(f"{IBU}/status", change).ok()

    assert patched["spec"]["stage"] == "Idle"
    assert "labels" not in patched["metadata"]
    assert patched["status"] == status(["Prep"], IDLE)


def test_replaced_status_comes_from_the_subresource_alone(api: Server) -> None:
    document = put_ibu(api.admin, ibu(), status(["Prep"], IDLE))

    plain = api.admin.replace(IBU, {**document, "status": status([], BUSY)}).ok()
    through = api.admin.replace(f"{IBU}/status", {**plain, "status": status([], BUSY)}).ok()

    assert plain["status"] == status(["Prep"], IDLE)
    assert through["status"] == status([], BUSY)


def test_status_is_checked_against_the_schema(api: Server) -> None:
    put_ibu(api.admin, ibu())

    found = causes(api.admin.merge(f"{IBU}/status", {"status": {"conditions": [{"type": "Idle", "status": "Yes"}]}}))

    assert {
        ("FieldValueRequired", f"status.conditions[0].{key}") for key in ("message", "reason", "lastTransitionTime")
    } <= {(reason, field) for reason, field, _ in found}
    assert ("FieldValueNotSupported", "status.conditions[0].status") in {(reason, field) for reason, field, _ in found}


# Dry runs


def test_dry_run_answers_without_storing(api: Server) -> None:
    before = put_ibu(api.admin, ibu())

    answered = api.admin.merge(IBU, {"spec": {"stage": "Prep"}}, dryRun="All").ok()

    assert answered["spec"]["stage"] == "Prep"
    assert answered["metadata"]["generation"] == 2
    assert api.admin.get(IBU).ok() == before


def test_dry_run_is_refused_like_the_real_thing(api: Server) -> None:
    put_ibu(api.admin, ibu(), status(["Prep"], IDLE))

    trial = api.admin.merge(IBU, {"spec": {"stage": "Upgrade"}}, dryRun="All")
    real = api.admin.merge(IBU, {"spec": {"stage": "Upgrade"}})

    assert causes(trial) == causes(real)
    assert trial.json == real.json


def test_dry_run_of_a_create_and_a_delete(api: Server) -> None:
    before = put_ibu(api.admin, ibu())

    assert api.admin.delete(IBU, dryRun="All").status == 200
    assert api.admin.get(IBU).ok() == before

    api.admin.delete(IBU).ok()
    assert api.admin.create(IBU.rpartition("/")[0], ibu(), dryRun="All").status == 201
    assert api.admin.get(IBU).status == 404


def test_dry_run_knows_one_word(api: Server) -> None:
    put_ibu(api.admin, ibu())

    found = causes(api.admin.merge(IBU, {"spec": {"stage": "Prep"}}, dryRun="Some"))

    assert [(reason, field) for reason, field, _ in found] == [("FieldValueNotSupported", "dryRun")]
