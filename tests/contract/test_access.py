# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: refusals with their words, reviews, and credentials that the server does not know."""

from __future__ import annotations

from typing import Any

import pytest

from contract.helpers import IBU, IBUS, REVIEWS, Document, ibu, parametrize_cases, put_ibu, refused
from contract.servers import Server
from kubeapi import Api


def review(api: Api, **attributes: str) -> Document:
    """The answer to: may I do this?"""
    asked = {"verb": "patch", "group": "lca.openshift.io", "resource": "imagebasedupgrades", **attributes}
    document = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    reply = api.create(REVIEWS, document)
    assert reply.status == 201
    return reply.json


def test_reader_reads(api: Server) -> None:
    put_ibu(api.admin, ibu())

    assert api.reader.get(IBU).status == 200
    assert api.reader.get(IBUS).status == 200


@parametrize_cases(
    "verb, subject, resource, request_",
    {
        "patch": ("patch", ' "upgrade"', "imagebasedupgrades", ("PATCH", IBU, {"spec": {"stage": "Prep"}})),
        "status": ("patch", ' "upgrade"', "imagebasedupgrades/status", ("PATCH", f"{IBU}/status", {"status": {}})),
        "create": ("create", "", "imagebasedupgrades", ("POST", IBUS, ibu())),
        "delete": ("delete", ' "upgrade"', "imagebasedupgrades", ("DELETE", IBU, None)),
    },
)
def test_reader_may_not_write(
    api: Server, verb: str, subject: str, resource: str, request_: tuple[str, str, Any]
) -> None:
    before = put_ibu(api.admin, ibu())
    method, path, body = request_
    media = "application/merge-patch+json" if method == "PATCH" else "application/json"

    document = refused(api.reader.request(method, path, body, content_type=media), 403, "Forbidden")

    assert document["message"] == (
        f'imagebasedupgrades.lca.openshift.io{subject} is forbidden: User "{api.reader_name}" cannot {verb} '
        f'resource "{resource}" in API group "lca.openshift.io" at the cluster scope'
    )
    assert (document["details"]["group"], document["details"]["kind"]) == ("lca.openshift.io", "imagebasedupgrades")
    assert api.admin.get(IBU).ok() == before


def test_refusal_names_the_namespace(api: Server) -> None:
    document = refused(api.reader.get("/api/v1/namespaces/openshift-adp/secrets/pull"), 403, "Forbidden")

    assert document["message"] == (
        f'secrets "pull" is forbidden: User "{api.reader_name}" cannot get resource "secrets" in API group "" '
        'in the namespace "openshift-adp"'
    )
    assert document["details"] == {"name": "pull", "kind": "secrets"}


def test_refusal_comes_before_the_look_for_the_object(api: Server) -> None:
    api.admin.delete(IBU)

    refused(api.reader.merge(IBU, {"spec": {"stage": "Prep"}}), 403, "Forbidden")


def test_refused_dry_run(api: Server) -> None:
    put_ibu(api.admin, ibu())

    refused(api.reader.merge(IBU, {"spec": {"stage": "Prep"}}, dryRun="All"), 403, "Forbidden")


@pytest.mark.parametrize(("verb", "allowed"), [("get", True), ("watch", True), ("patch", False), ("delete", False)])
def test_review_tells_what_the_reader_may_do(api: Server, verb: str, allowed: bool) -> None:
    document = review(api.reader, verb=verb)

    assert document["kind"] == "SelfSubjectAccessReview"
    assert document["status"]["allowed"] is allowed
    assert document["spec"]["resourceAttributes"]["verb"] == verb


def test_review_of_a_subresource_is_its_own(api: Server) -> None:
    assert review(api.reader, verb="get")["status"]["allowed"] is True
    assert review(api.reader, verb="get", subresource="status")["status"]["allowed"] is False


def test_review_of_the_administrator(api: Server) -> None:
    assert review(api.admin, verb="delete", group="", resource="secrets", namespace="any")["status"]["allowed"] is True


@pytest.mark.parametrize("path", [IBU, IBUS, "/apis", "/api/v1/namespaces"])
def test_unknown_token_is_unauthorized(api: Server, path: str) -> None:
    document = refused(api.admin.with_token("not-a-token-of-this-server").get(path), 401, "Unauthorized")

    assert document["message"] == "Unauthorized"


def test_unknown_token_cannot_write(api: Server) -> None:
    before = put_ibu(api.admin, ibu())

    refused(api.admin.with_token("nonsense").merge(IBU, {"spec": {"stage": "Prep"}}), 401, "Unauthorized")

    assert api.admin.get(IBU).ok() == before


def test_stranger_may_look_at_health_and_version_only(api: Server) -> None:
    stranger = api.admin.anonymous()

    assert stranger.get("/readyz").status == 200
    assert stranger.get("/version").status == 200
    told = refused(stranger.get(IBU), 403, "Forbidden")
    assert told["message"] == (
        'imagebasedupgrades.lca.openshift.io "upgrade" is forbidden: User "system:anonymous" cannot get resource '
        '"imagebasedupgrades" in API group "lca.openshift.io" at the cluster scope'
    )


def test_stranger_may_not_discover(api: Server) -> None:
    told = refused(api.admin.anonymous().get("/apis"), 403, "Forbidden")

    assert told["message"] == 'forbidden: User "system:anonymous" cannot get path "/apis"'


def test_everybody_known_may_discover(api: Server) -> None:
    assert api.reader.get("/apis/lca.openshift.io/v1").status == 200
