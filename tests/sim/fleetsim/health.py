# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lifecycle Agent's health checks, made on the objects that a client can read too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fleetsim.ports import OADP_NAMESPACE, Api, Object

_PREFIX = "one or more health checks failed: "
_ROLES = ("control-plane", "master", "worker")


def _has(obj: Object, kind: str, value: str = "True") -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"] == value for c in conditions)


async def _operators(api: Api) -> list[str]:
    bad = [
        o["metadata"]["name"]
        for o in await api.list("clusteroperators.config.openshift.io")
        if not _has(o, "Available") or _has(o, "Progressing") or _has(o, "Degraded")
    ]
    return [f"one or more ClusterOperators not yet ready: {', '.join(bad)}"] if bad else []


async def _pools(api: Api) -> list[str]:
    bad = [
        p["metadata"]["name"]
        for p in await api.list("machineconfigpools.machineconfiguration.openshift.io")
        if p["status"].get("machineCount") != p["status"].get("readyMachineCount")
    ]
    return [f"one or more MachineConfigPools not yet ready: {', '.join(bad)}"] if bad else []


async def _oadp(api: Api) -> list[str]:
    dpas = await api.list("dataprotectionapplications.oadp.openshift.io", OADP_NAMESPACE)
    if not dpas:
        return []
    if not all(_has(dpa, "Reconciled") for dpa in dpas):
        return ["dataProtectionApplication not reconciled"]
    locations = await api.list("backupstoragelocations.velero.io", OADP_NAMESPACE)
    if not locations:
        return ["backupsStorageLocations not yet created"]
    return [
        f"backupStorageLocation {b['metadata']['name']} not available"
        for b in locations
        if (b.get("status") or {}).get("phase") != "Available"
    ]


async def _nodes(api: Api) -> list[str]:
    problems = []
    for node in await api.list("nodes"):
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        if not _has(node, "Ready"):
            problems.append(f"node is not yet ready: {name}")
        if _has(node, "NetworkUnavailable"):
            problems.append(f"node network unavailable: {name}")
        for role in _ROLES:
            if f"node-role.kubernetes.io/{role}" not in labels:
                problems.append(f"node missing node-role.kubernetes.io/{role} label: {name}")
    return problems


async def _csvs(api: Api) -> list[str]:
    bad = [
        c["metadata"]["name"]
        for c in await api.list("clusterserviceversions.operators.coreos.com")
        if (c.get("status") or {}).get("phase") != "Succeeded" and "lifecycle-agent" not in c["metadata"]["name"]
    ]
    return [f"one or more ClusterServiceVersions not yet ready: {', '.join(bad)}"] if bad else []


async def _csrs(api: Api) -> list[str]:
    return [
        f"certificateSigningRequest (csr) {csr['metadata']['name']} not yet approved"
        for csr in await api.list("certificatesigningrequests.certificates.k8s.io")
        if not _has(csr, "Approved")
    ]


_Check = Callable[[Api], Awaitable[list[str]]]
MANDATORY: tuple[_Check, ...] = (_operators, _pools, _oadp)
DEFERRED: tuple[_Check, ...] = (_nodes, _csvs, _csrs)


async def health(api: Api, mandatory: bool = True, deferred: bool = True) -> str:
    """What is wrong, in the agent's words; empty when all is well. Mandatory problems are told first and alone."""
    for checks, wanted in ((MANDATORY, mandatory), (DEFERRED, deferred)):
        problems = [problem for check in checks if wanted for problem in await check(api)]
        if problems:
            return _PREFIX + "\n  - ".join(problems)
    return ""
