# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The own CRDs name their kinds as upstream does; the small ones keep the rules that an upgrade meets."""

from __future__ import annotations

from typing import Any

import pytest

from differential.conftest import OWN_GROUP, UPSTREAM_GROUP, Twin
from kubeapi import KubeApi
from kubeapi.server import CRDS, load_documents

Document = dict[str, Any]
NAMES = [crd["metadata"]["name"] for crd in load_documents(CRDS)]
IBU = "imagebasedupgrades.lca.openshift.io"


def _identity(crd: Document) -> Document:
    spec = crd["spec"]
    versions = {v["name"]: (v["served"], v["storage"], "status" in v.get("subresources", {})) for v in spec["versions"]}
    names = {key: value for key, value in spec["names"].items() if key != "categories"}
    return {"group": spec["group"], "scope": spec["scope"], "names": names, "versions": versions}


@pytest.mark.parametrize("name", NAMES)
def test_names_scope_and_versions(own_crds: dict[str, Document], upstream_crds: dict[str, Document], name: str) -> None:
    if name not in upstream_crds:
        pytest.skip(f"{name} is not among the upstream CRDs")

    assert _identity(own_crds[name]) == _identity(upstream_crds[name])


def _bare(schema: Any) -> Any:
    """A schema without its words and rules."""
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _bare(child) for name, child in value.items()} if key == "properties" else _bare(value)
        for key, value in schema.items()
        if key not in ("description", "x-kubernetes-validations")
    }


def test_schema_of_an_upgrade(own_crds: dict[str, Document], upstream_crds: dict[str, Document]) -> None:
    own, upstream = (crds[IBU]["spec"]["versions"][0] for crds in (own_crds, upstream_crds))

    assert _sorted(_bare(own["schema"])) == _sorted(_bare(upstream["schema"]))
    assert own["additionalPrinterColumns"] == upstream["additionalPrinterColumns"]


def _sorted(schema: Any) -> Any:
    """Lists of words in one order: it means nothing for what is required."""
    if isinstance(schema, dict):
        return {key: sorted(value) if key == "required" else _sorted(value) for key, value in schema.items()}
    return schema


def _twins(server: KubeApi, plural: str, kind: str) -> list[Twin]:
    return [Twin(server.admin, group, plural, kind) for group in (OWN_GROUP, UPSTREAM_GROUP)]


def _verdicts(twins: list[Twin], method: str, path: str, body: Document) -> list[Document]:
    found = []
    for twin in twins:
        typed = {"apiVersion": twin.api_version, "kind": twin.kind, **body} if method == "create" else body
        found.append(twin.verdict(getattr(twin.api, method)(twin.list_path + path, typed)))
    return found


def _alike(found: list[Document], code: int) -> None:
    assert found[0] == found[1]
    assert found[0]["code"] == code


def test_seed_generator(both: KubeApi) -> None:
    twins = _twins(both, "seedgenerators", "SeedGenerator")
    spec = {"seedImage": "registry.example.com/seed:1"}

    _alike(_verdicts(twins, "create", "", {"metadata": {"name": "other"}, "spec": spec}), 422)
    _alike(_verdicts(twins, "create", "", {"metadata": {"name": "seedimage"}, "spec": {"seedImage": ""}}), 422)
    _alike(_verdicts(twins, "create", "", {"metadata": {"name": "seedimage"}, "spec": spec}), 201)
    _alike(_verdicts(twins, "merge", "/seedimage", {"spec": {"recertImage": "registry.example.com/recert:1"}}), 422)


@pytest.mark.parametrize(("allowed", "code"), [([], 422), (["Config"], 200), (["Rollback"], 422)])
def test_ip_configuration(both: KubeApi, allowed: list[str], code: int) -> None:
    twins = _twins(both, "ipconfigs", "IPConfig")
    for twin in twins:
        twin.api.delete(f"{twin.list_path}/ipconfig")
    idle = {"metadata": {"name": "ipconfig"}, "spec": {"stage": "Idle"}}

    _alike(_verdicts(twins, "create", "", {**idle, "metadata": {"name": "other"}}), 422)
    _alike(_verdicts(twins, "create", "", idle), 201)
    reported: Document = {"conditions": [], **({"validNextStages": allowed} if allowed else {})}
    for twin in twins:
        twin.api.merge(f"{twin.list_path}/ipconfig/status", {"status": reported}).ok()
    _alike(_verdicts(twins, "merge", "/ipconfig", {"spec": {"stage": "Config"}}), code)
