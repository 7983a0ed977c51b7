# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Get, list with pages and selectors, create, replace, delete."""

from __future__ import annotations

import re
from typing import Any

import pytest

from contract.helpers import (
    IBU,
    IBUS,
    IDLE,
    MAPS,
    causes,
    config_maps,
    ibu,
    names,
    parametrize_cases,
    put_ibu,
    refused,
    status,
)
from contract.servers import Server
from kubeapi.server import wait_until


def test_create_answers_with_what_the_server_adds(api: Server) -> None:
    api.admin.delete(IBU)

    reply = api.admin.create(IBUS, ibu())

    meta = reply.json["metadata"]
    assert reply.status == 201
    assert meta["generation"] == 1
    assert meta["resourceVersion"].isdigit()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", meta["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])


def test_create_drops_the_status(api: Server) -> None:
    api.admin.delete(IBU)

    created = api.admin.create(IBUS, {**ibu(), "status": status(["Prep"], IDLE)}).ok()

    assert "status" not in created


def test_second_create_is_a_conflict(api: Server) -> None:
    put_ibu(api.admin, ibu())

    document = refused(api.admin.create(IBUS, ibu()), 409, "AlreadyExists")

    assert document["message"] == 'imagebasedupgrades.lca.openshift.io "upgrade" already exists'


def test_get_answers_with_what_create_stored(api: Server) -> None:
    created = put_ibu(api.admin, ibu())

    assert api.admin.get(IBU).ok() == created


def test_list_holds_the_same_object(api: Server) -> None:
    created = put_ibu(api.admin, ibu())

    found = api.admin.get(IBUS).ok()

    assert found["items"] == [created]
    assert int(found["metadata"]["resourceVersion"]) >= int(created["metadata"]["resourceVersion"])


def test_delete_then_create_gives_a_new_uid_and_generation_1(api: Server) -> None:
    before = put_ibu(api.admin, ibu())
    api.admin.merge(IBU, {"spec": {"stage": "Prep"}}).ok()

    deleted = api.admin.delete(IBU)
    after = api.admin.create(IBUS, ibu()).ok()

    assert (deleted.status, deleted.json["kind"]) == (200, "Status")
    assert deleted.json["status"] == "Success"
    assert deleted.json["details"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["generation"] == 1


def test_delete_of_nothing_is_not_found(api: Server) -> None:
    api.admin.delete(IBU)

    refused(api.admin.delete(IBU), 404, "NotFound")


def test_delete_of_another_uid_is_a_conflict(api: Server) -> None:
    put_ibu(api.admin, ibu())
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "not-this-one"}}

    refused(api.admin.request("DELETE", IBU, options), 409, "Conflict")


def test_finalizer_keeps_a_deleted_object(api: Server) -> None:
    document = ibu()
    document["metadata"]["finalizers"] = ["example.com/hold"]
    put_ibu(api.admin, document)

    deleted = api.admin.delete(IBU).ok()
    held = api.admin.get(IBU).ok()
    api.admin.merge(IBU, {"metadata": {"finalizers": None}}).ok()

    assert deleted["metadata"]["deletionTimestamp"] == held["metadata"]["deletionTimestamp"]
    assert api.admin.get(IBU).status == 404


def test_replace_from_a_stale_read_is_a_conflict(api: Server) -> None:
    stale = put_ibu(api.admin, ibu())
    api.admin.merge(IBU, {"metadata": {"labels": {"seen": "later"}}}).ok()
    stale["spec"]["stage"] = "Prep"

    document = refused(api.admin.replace(IBU, stale), 409, "Conflict")

    assert document["message"] == (
        'Operation cannot be fulfilled on imagebasedupgrades.lca.openshift.io "upgrade": '
        "the object has been modified; please apply your changes to the latest version and try again"
    )


def test_replace_needs_a_resource_version(api: Server) -> None:
    put_ibu(api.admin, ibu())

    found = causes(api.admin.replace(IBU, ibu("Prep")))

    assert [(reason, field) for reason, field, _ in found] == [("FieldValueInvalid", "metadata.resourceVersion")]
    assert found[0][2].endswith("must be specified for an update")


def test_replace_from_a_fresh_read_is_stored(api: Server) -> None:
    document = put_ibu(api.admin, ibu())
    document["spec"]["stage"] = "Prep"

    replaced = api.admin.replace(IBU, document).ok()

    assert replaced["spec"] == {"stage": "Prep"}
    assert api.admin.get(IBU).ok() == replaced


def test_body_without_a_kind_is_a_bad_request(api: Server) -> None:
    api.admin.delete(IBU)

    refused(api.admin.create(IBUS, {"metadata": {"name": "upgrade"}, "spec": {}}), 400, "BadRequest")


def test_pages_cover_a_list_exactly_once(api: Server) -> None:
    run = config_maps(api.admin, [{}] * 5)
    query = {"labelSelector": f"run={run}", "limit": 2}

    pages, token = [], ""
    while not pages or token:
        page = api.admin.get(MAPS, **query, **({"continue": token} if token else {})).ok()
        pages.append(names(page))
        token = page["metadata"].get("continue", "")

    assert pages == [[f"{run}-0", f"{run}-1"], [f"{run}-2", f"{run}-3"], [f"{run}-4"]]


def test_page_of_a_whole_resource_counts_the_rest(api: Server) -> None:
    """A count is given only where no selector is: the server would have to look at everything."""
    config_maps(api.admin, [{}] * 3)
    total = len(api.admin.get(MAPS).ok()["items"])

    page = api.admin.get(MAPS, limit=1).ok()

    assert page["metadata"]["remainingItemCount"] == total - 1


def test_pages_keep_the_version_of_the_first(api: Server) -> None:
    run = config_maps(api.admin, [{}] * 2)
    first = api.admin.get(MAPS, labelSelector=f"run={run}", limit=1).ok()["metadata"]
    config_maps(api.admin, [{}])

    second = api.admin.get(MAPS, **{"labelSelector": f"run={run}", "limit": 1, "continue": first["continue"]}).ok()

    assert second["metadata"]["resourceVersion"] == first["resourceVersion"]


@pytest.mark.parametrize("query", [{"limit": "many"}, {"continue": "nonsense"}])
def test_malformed_page_is_a_bad_request(api: Server, query: dict[str, Any]) -> None:
    refused(api.admin.get(MAPS, **query), 400, "BadRequest")


@parametrize_cases(
    "selector, wanted",
    {
        "equal": ("color=red", [0]),
        "double equal": ("color==red", [0]),
        "not equal counts the absent": ("color!=red", [1, 2]),
        "in": ("color in (red,blue)", [0, 1]),
        "not in": ("color notin (blue)", [0, 2]),
        "exists": ("color", [0, 1]),
        "does not exist": ("!color", [2]),
        "and": ("color,size=big", [1]),
    },
)
def test_label_selector(api: Server, selector: str, wanted: list[int]) -> None:
    run = config_maps(api.admin, [{"color": "red"}, {"color": "blue", "size": "big"}, {"size": "big"}])

    found = api.admin.get(MAPS, labelSelector=f"run={run},{selector}").ok()

    assert names(found) == [f"{run}-{index}" for index in wanted]


@pytest.mark.parametrize("selector", ["a=b=c", "a in (b", "a=b c"])
def test_malformed_label_selector_is_a_bad_request(api: Server, selector: str) -> None:
    refused(api.admin.get(MAPS, labelSelector=selector), 400, "BadRequest")


def test_field_selector_by_name(api: Server) -> None:
    run = config_maps(api.admin, [{}, {}])

    found = api.admin.get(MAPS, fieldSelector=f"metadata.name={run}-1").ok()

    assert names(found) == [f"{run}-1"]


def test_field_selector_on_another_field_is_a_bad_request(api: Server) -> None:
    document = refused(api.admin.get(IBUS, fieldSelector="spec.stage=Idle"), 400, "BadRequest")

    assert document["message"] == "field label not supported: spec.stage"


def test_read_at_a_version_that_never_was_times_out(api: Server) -> None:
    document = refused(api.admin.get(IBUS, resourceVersion=999_999_999), 504, "Timeout")

    assert document["message"].startswith("Timeout: Too large resource version: 999999999, current: ")
    assert document["details"]["retryAfterSeconds"] == 1


def test_list_without_a_version_is_up_to_date(api: Server) -> None:
    put_ibu(api.admin, ibu())

    assert names(api.admin.get(IBUS, resourceVersion="").ok()) == ["upgrade"]


def test_list_from_the_cache_catches_up(api: Server) -> None:
    put_ibu(api.admin, ibu())

    # Version 0 may be answered from a cache that has not heard of the last write.
    wait_until(lambda: names(api.admin.get(IBUS, resourceVersion="0").ok()) == ["upgrade"], "the cache has it")
