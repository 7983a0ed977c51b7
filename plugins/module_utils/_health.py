# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The health gates: what the Lifecycle Agent waits for before it goes on with a stage, in its own words.

It never fails a stage because of them, it waits for ever. Documents in, problems out.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document, HealthFacts

_ROLES = ("control-plane", "master", "worker")
_PASSING_PHASES = frozenset({"", "None", "Pending", "InstallReady", "Installing", "Replacing", "Deleting"})


@dataclass(frozen=True)
class Gate:
    """One gate that is closed. ``message`` is the agent's text; ``cause`` the same without names.

    ``passes``: it is of a kind that opens by itself, such as an operator that is being updated.
    """

    check: str
    message: str
    cause: str
    remedy: str
    source: str
    seen: str = ""
    passes: bool = False


def closed_gates(health: HealthFacts) -> list[Gate]:
    """Every gate that is closed now. What could not be read counts as open: that is said elsewhere."""
    return [
        *_operators(health),
        *_pools(health),
        *_sriov(health),
        *_oadp(health),
        *_nodes(health),
        *_services(health),
        *_requests(health),
    ]


def conditions(document: Document) -> dict[str, str]:
    """Status by type of the conditions of an object."""
    found = (document.get("status") or {}).get("conditions") or ()
    return {str(c.get("type")): str(c.get("status")) for c in found}


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _operators(health: HealthFacts) -> t.Iterator[Gate]:
    bad, passing = [], True
    for operator in health.operators.items:
        found = conditions(operator)
        broken = found.get("Available") != "True" or found.get("Degraded") == "True"
        if broken or found.get("Progressing") == "True":
            bad.append(_name(operator))
            passing = passing and not broken
    if bad:
        yield Gate(
            "health-operators",
            f"one or more ClusterOperators not yet ready: {', '.join(bad)}",
            "one or more ClusterOperators not yet ready; every stage waits for them",
            "oc get clusteroperators (docs/runbooks/health-gate)",
            "ClusterOperator status.conditions",
            ", ".join(bad),
            passing,
        )


def _pools(health: HealthFacts) -> t.Iterator[Gate]:
    bad, passing = [], True
    for pool in health.pools.items:
        status = pool.get("status") or {}
        if status.get("machineCount") != status.get("readyMachineCount"):
            bad.append(_name(pool))
            passing = passing and conditions(pool).get("Degraded") != "True"
    if bad:
        yield Gate(
            "health-pools",
            f"one or more MachineConfigPools not yet ready: {', '.join(bad)}",
            "one or more MachineConfigPools not yet ready; every stage waits for them",
            "oc get machineconfigpools (docs/runbooks/health-gate)",
            "MachineConfigPool status.readyMachineCount",
            ", ".join(bad),
            passing,
        )


def _sriov(health: HealthFacts) -> t.Iterator[Gate]:
    if not health.sriov.served or not health.sriov.known:
        return
    bad = [item for item in health.sriov.items if (item.get("status") or {}).get("syncStatus") != "Succeeded"]
    message = "" if health.sriov.items else "no SriovNetworkNodeStates present"
    if bad:
        message = "sriovNetworkNodeState not ready"
    if message:
        yield Gate(
            "health-sriov",
            message,
            f"{message}; every stage waits for it",
            "oc get sriovnetworknodestates -A (docs/runbooks/health-gate)",
            "SriovNetworkNodeState status.syncStatus",
            ", ".join(f"{_name(item)} {(item.get('status') or {}).get('syncStatus')}" for item in bad),
            all((item.get("status") or {}).get("syncStatus") == "InProgress" for item in bad) and bool(bad),
        )


def _oadp(health: HealthFacts) -> t.Iterator[Gate]:
    protections = health.protections.items
    if not protections:
        return
    runbook = "(docs/runbooks/prep-oadp)"
    if any(conditions(item).get("Reconciled") != "True" for item in protections):
        message = "dataProtectionApplication not reconciled"
        source = "DataProtectionApplication status.conditions"
        remedy = f"oc get dataprotectionapplications -n openshift-adp -o yaml {runbook}"
        yield Gate("health-oadp", message, f"{message}; every stage waits for it", remedy, source)
        return
    if not health.locations.known:
        return
    source = "BackupStorageLocation status.phase"
    remedy = f"oc get backupstoragelocations -n openshift-adp; mend the object store or its credential {runbook}"
    if not health.locations.items:
        message = "backupsStorageLocations not yet created"
        yield Gate("health-oadp", message, f"{message}; every stage waits for them", remedy, source)
    for location in health.locations.items:
        phase = (location.get("status") or {}).get("phase")
        if phase != "Available":
            name = _name(location)
            message = f"backupStorageLocation {name} not available"
            why = str((location.get("status") or {}).get("message") or phase or "no phase")
            cause = "a backupStorageLocation is not available; every stage waits for it"
            yield Gate("health-oadp", message, cause, remedy, source, f"{name}: {why}")


def _nodes(health: HealthFacts) -> t.Iterator[Gate]:
    topology = health.infrastructure.status().get("infrastructureTopology")
    if topology not in (None, "SingleReplica"):
        return
    for node in health.nodes.items:
        name, found = _name(node), conditions(node)
        labels = (node.get("metadata") or {}).get("labels") or {}
        problems = []
        if found.get("Ready") != "True":
            problems.append(("node is not yet ready", f"node is not yet ready: {name}", "Node status.conditions"))
        if found.get("NetworkUnavailable") == "True":
            problems.append(("node network unavailable", f"node network unavailable: {name}", "Node status.conditions"))
        for role in _ROLES:
            label = f"node-role.kubernetes.io/{role}"
            if label not in labels:
                problems.append((f"node missing {label} label", f"node missing {label} label: {name}", "Node labels"))
        for cause, message, source in problems:
            remedy = f"oc label node NODE {cause.split()[2]}=" if "label" in cause else "oc describe node"
            yield Gate(
                "health-node",
                message,
                f"{cause}; every stage waits for it",
                f"{remedy} (docs/runbooks/health-gate)",
                source,
                name,
            )


def _services(health: HealthFacts) -> t.Iterator[Gate]:
    bad, passing = [], True
    for service in health.services.items:
        phase = str((service.get("status") or {}).get("phase") or "")
        if phase != "Succeeded" and "lifecycle-agent" not in _name(service):
            bad.append(_name(service))
            passing = passing and phase in _PASSING_PHASES
    if bad:
        yield Gate(
            "health-services",
            f"one or more ClusterServiceVersions not yet ready: {', '.join(bad)}",
            "one or more ClusterServiceVersions not yet ready; every stage waits for them",
            "oc get clusterserviceversions -A (docs/runbooks/health-gate)",
            "ClusterServiceVersion status.phase",
            ", ".join(bad),
            passing,
        )


def _requests(health: HealthFacts) -> t.Iterator[Gate]:
    bad = [_name(item) for item in health.requests.items if conditions(item).get("Approved") != "True"]
    if bad:
        yield Gate(
            "health-csr",
            "\n".join(f"certificateSigningRequest (csr) {name} not yet approved" for name in bad),
            "cluster has an unapproved CertificateSigningRequest; every stage will wait for it forever",
            "oc get csr; approve or delete it (docs/runbooks/health-gate-csr)",
            "CertificateSigningRequest status.conditions",
            "; ".join(f"certificateSigningRequest (csr) {name} not yet approved" for name in bad),
        )
