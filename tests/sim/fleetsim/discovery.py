# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/version, /api, /apis and below."""

from __future__ import annotations

from typing import Any

from fleetsim.resources import Registry

_SSAR = {
    "name": "selfsubjectaccessreviews",
    "singularName": "selfsubjectaccessreview",
    "namespaced": False,
    "kind": "SelfSubjectAccessReview",
    "verbs": ["create"],
}
AUTHORIZATION = "authorization.k8s.io"


def kubernetes_minor(openshift: str) -> int:
    """OpenShift 4.N carries Kubernetes 1.(N+13)."""
    try:
        return int(openshift.split(".")[1]) + 13
    except (IndexError, ValueError):
        return 30


def version_document(openshift: str) -> dict[str, str]:
    minor = kubernetes_minor(openshift)
    return {
        "major": "1",
        "minor": str(minor),
        "gitVersion": f"v1.{minor}.4",
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2024-10-01T00:00:00Z",
        "goVersion": "go1.22.7",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def api_versions(address: str) -> dict[str, Any]:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _groups(registry: Registry, absent: set[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for res in registry:
        if res.group and res.table not in absent and res.version not in groups.setdefault(res.group, []):
            groups[res.group].append(res.version)
    groups[AUTHORIZATION] = ["v1"]
    return {group: versions for group, versions in groups.items() if versions}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry, absent: set[str]) -> dict[str, Any]:
    groups = [_group(name, versions) for name, versions in _groups(registry, absent).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(registry: Registry, absent: set[str], group: str) -> dict[str, Any] | None:
    versions = _groups(registry, absent).get(group)
    return None if versions is None else {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def resource_list(registry: Registry, absent: set[str], group: str, version: str) -> dict[str, Any] | None:
    entries: list[dict[str, Any]] = []
    for res in registry:
        if (res.group, res.version) == (group, version) and res.table not in absent:
            entries += res.discovery()
    if (group, version) == (AUTHORIZATION, "v1"):
        entries.append(_SSAR)
    if not entries:
        return None
    name = f"{group}/{version}" if group else version
    entries.sort(key=lambda entry: entry["name"])
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}
