# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Discovery, health, version, and the two kinds of 404."""

from __future__ import annotations

import pytest

from contract.helpers import IBU, IBUS, refused
from contract.servers import Server


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health_is_plain_text(api: Server, path: str) -> None:
    reply = api.admin.get(path)

    assert (reply.status, reply.text) == (200, "ok")


def test_version_names_a_kubernetes_release(api: Server) -> None:
    version = api.admin.get("/version").ok()

    assert version["gitVersion"].startswith(f"v{version['major']}.{version['minor']}.")


def test_core_api_is_version_1(api: Server) -> None:
    found = api.admin.get("/api").ok()

    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


def test_groups_list_the_lifecycle_agents(api: Server) -> None:
    found = api.admin.get("/apis").ok()

    group = next(group for group in found["groups"] if group["name"] == "lca.openshift.io")
    assert found["kind"] == "APIGroupList"
    assert group["versions"] == [{"groupVersion": "lca.openshift.io/v1", "version": "v1"}]
    assert group["preferredVersion"] == group["versions"][0]


def test_one_group_is_found_by_name(api: Server) -> None:
    found = api.admin.get("/apis/lca.openshift.io").ok()

    assert (found["kind"], found["name"]) == ("APIGroup", "lca.openshift.io")


def test_resources_describe_the_upgrade_and_its_status(api: Server) -> None:
    found = api.admin.get("/apis/lca.openshift.io/v1").ok()

    by_name = {entry["name"]: entry for entry in found["resources"]}
    upgrade, reported = by_name["imagebasedupgrades"], by_name["imagebasedupgrades/status"]
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", "lca.openshift.io/v1")
    assert (upgrade["kind"], upgrade["singularName"]) == ("ImageBasedUpgrade", "imagebasedupgrade")
    assert (upgrade["namespaced"], upgrade["shortNames"]) == (False, ["ibu"])
    assert {"get", "list", "watch", "patch", "update", "create", "delete"} <= set(upgrade["verbs"])
    assert set(reported["verbs"]) == {"get", "patch", "update"}


@pytest.mark.parametrize(
    "path",
    [
        "/apis/nosuch.example.com/v1/things",
        "/apis/nosuch.example.com/v1",
        "/apis/nosuch.example.com",
        "/apis/lca.openshift.io/v1/things",
        "/apis/lca.openshift.io/v9/imagebasedupgrades",
        "/nosuch",
    ],
)
def test_unknown_path_is_a_404_without_a_status_object(api: Server, path: str) -> None:
    """What a client reads for the upgrade itself while its CRD is not there yet."""
    reply = api.admin.get(path)

    assert (reply.status, reply.text) == (404, "404 page not found\n")
    assert reply.headers["Content-Type"].startswith("text/plain")


def test_unknown_core_resource_is_a_404_with_a_status_object(api: Server) -> None:
    document = refused(api.admin.get("/api/v1/things"), 404, "NotFound")

    assert document["message"] == "the server could not find the requested resource"


@pytest.mark.parametrize("path", [IBU, f"{IBU}/status"])
def test_missing_object_is_a_404_with_a_status_object(api: Server, path: str) -> None:
    api.admin.delete(IBU)

    document = refused(api.admin.get(path), 404, "NotFound")

    assert document["message"] == 'imagebasedupgrades.lca.openshift.io "upgrade" not found'
    assert document["details"] == {"name": "upgrade", "group": "lca.openshift.io", "kind": "imagebasedupgrades"}


def test_list_of_nothing_is_empty(api: Server) -> None:
    api.admin.delete(IBU)

    found = api.admin.get(IBUS).ok()

    assert (found["kind"], found["apiVersion"], found["items"]) == ("ImageBasedUpgradeList", "lca.openshift.io/v1", [])
    assert found["metadata"]["resourceVersion"].isdigit()
