# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight takes for facts: an API that is not there, a read that is denied, a list without copies in pages."""

from __future__ import annotations

import uuid

import pytest

from contract.helpers import refused
from contract.servers import Server

SERVICES = "/apis/operators.coreos.com/v1alpha1"
ABSENT = "/apis/performance.openshift.io/v2/performanceprofiles"


def test_an_api_that_is_not_there_is_a_404_for_who_may_do_everything(api: Server) -> None:
    assert api.admin.get(ABSENT, limit=500).status == 404


def test_an_api_that_is_not_there_is_a_403_for_who_may_not_ask(api: Server) -> None:
    """Rights are looked at first: without the right it cannot be known whether the API is there."""
    refused(api.reader.get(ABSENT, limit=500), 403, "Forbidden")


@pytest.mark.parametrize("path", ["/api/v1/namespaces/kube-system/secrets/x", "/api/v1/namespaces/kube-system/secrets"])
def test_an_object_that_may_not_be_read_is_a_403_whether_it_is_there_or_not(api: Server, path: str) -> None:
    refused(api.reader.get(path), 403, "Forbidden")


def test_operators_are_listed_in_pages_without_their_copies(api: Server) -> None:
    run = uuid.uuid4().hex[:8]
    for index in range(5):
        labels = {"run": run, **({"olm.copiedFrom": "x"} if index % 2 else {})}
        document = {
            "apiVersion": "operators.coreos.com/v1alpha1",
            "kind": "ClusterServiceVersion",
            "metadata": {"name": f"op-{run}-{index}.v1.0.0", "namespace": "default", "labels": labels},
            "spec": {"version": "1.0.0"},
        }
        assert api.admin.create(f"{SERVICES}/namespaces/default/clusterserviceversions", document).status == 201

    found, token = [], ""
    while True:
        more = {"continue": token} if token else {}
        page = api.admin.get(
            f"{SERVICES}/clusterserviceversions", limit=2, labelSelector=f"run={run},!olm.copiedFrom", **more
        ).ok()
        assert len(page["items"]) <= 2
        found += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue")
        if not token:
            break

    assert found == [f"op-{run}-{index}.v1.0.0" for index in (0, 2, 4)]
