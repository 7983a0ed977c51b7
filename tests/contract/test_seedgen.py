# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SeedGenerator API refuses and keeps: one of a fixed name, never changed, deleted and created again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contract.helpers import condition, events, parametrize_cases, refused
from contract.servers import Server
from kubeapi import Reply

Document = dict[str, Any]

COLLECTION = "/apis/lca.openshift.io/v1/seedgenerators"
OBJECT = f"{COLLECTION}/seedimage"
IMAGE = "registry.example.com/seeds/sno:4.17.3"


def generator(name: str = "seedimage", **spec: Any) -> Document:
    return {
        "apiVersion": "lca.openshift.io/v1",
        "kind": "SeedGenerator",
        "metadata": {"name": name},
        "spec": {"seedImage": IMAGE, **spec},
    }


@pytest.fixture(autouse=True)
def fixture_alone(api: Server) -> Iterator[None]:
    """No SeedGenerator before, none after."""
    api.admin.delete(OBJECT)
    yield
    api.admin.delete(OBJECT)


def messages(reply: Reply) -> list[str]:
    return [cause["message"] for cause in refused(reply, 422, "Invalid")["details"]["causes"]]


def test_it_is_a_singleton(api: Server) -> None:
    told = messages(api.admin.create(COLLECTION, generator("other")))
    assert len(told) == 1
    assert "seedgen is a singleton, metadata.name must be 'seedimage'" in told[0]
    created = api.admin.create(COLLECTION, generator()).ok()
    assert created["metadata"]["generation"] == 1
    refused(api.admin.create(COLLECTION, generator()), 409, "AlreadyExists")


@parametrize_cases(
    "spec, field",
    {
        "empty image": ({"seedImage": ""}, "spec.seedImage"),
        "image with a space": ({"seedImage": "registry.example.com/a b"}, "spec.seedImage"),
        "image that is no text": ({"seedImage": 1}, "spec.seedImage"),
        "empty recert image": ({"recertImage": ""}, "spec.recertImage"),
    },
)
def test_images_have_a_form(api: Server, spec: Document, field: str) -> None:
    reply = api.admin.create(COLLECTION, generator(**spec))
    assert field in [cause["field"] for cause in refused(reply, 422, "Invalid")["details"]["causes"]]


@parametrize_cases(
    "change",
    {
        "another image": ({"seedImage": "registry.example.com/seeds/sno:4.17.4"},),
        "another tool": ({"recertImage": "registry.example.com/recert:1"},),
        "no image": ({"seedImage": None},),
    },
)
def test_its_spec_is_never_changed(api: Server, change: Document) -> None:
    api.admin.create(COLLECTION, generator()).ok()
    told = messages(api.admin.merge(OBJECT, {"spec": change}))
    assert any("cannot modify spec, cr must be deleted and recreated" in one for one in told)
    assert api.admin.get(OBJECT).ok()["spec"] == {"seedImage": IMAGE}


def test_labels_may_change_and_count_as_no_generation(api: Server) -> None:
    api.admin.create(COLLECTION, generator()).ok()
    changed = api.admin.merge(OBJECT, {"metadata": {"labels": {"a": "b"}}}).ok()
    assert changed["metadata"]["generation"] == 1


def test_the_status_is_the_agents_alone(api: Server) -> None:
    told = condition("SeedGenCompleted", True, "Completed", "Seed Generation completed")
    created = api.admin.create(COLLECTION, {**generator(), "status": {"conditions": [told]}}).ok()
    assert "status" not in created
    written = api.admin.merge(f"{OBJECT}/status", {"status": {"conditions": [told], "observedGeneration": 1}}).ok()
    assert written["status"]["conditions"][0]["reason"] == "Completed"
    assert written["metadata"]["generation"] == 1


def test_created_again_it_is_another_object(api: Server) -> None:
    first = api.admin.create(COLLECTION, generator()).ok()
    api.admin.merge(f"{OBJECT}/status", {"status": {"observedGeneration": 1}}).ok()
    api.admin.delete(OBJECT)
    refused(api.admin.get(OBJECT), 404, "NotFound")
    second = api.admin.create(COLLECTION, generator()).ok()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["metadata"]["generation"] == 1
    assert "status" not in second


def test_a_watch_tells_of_the_deletion_and_of_the_return(api: Server) -> None:
    first = api.admin.create(COLLECTION, generator()).ok()
    stream = api.admin.watch(COLLECTION, resourceVersion=first["metadata"]["resourceVersion"], timeoutSeconds="3")
    api.admin.delete(OBJECT)
    api.admin.create(COLLECTION, generator()).ok()
    assert events(stream) == [("DELETED", "seedimage"), ("ADDED", "seedimage")]
