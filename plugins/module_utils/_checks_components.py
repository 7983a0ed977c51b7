# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Operators on the cluster and on its hub: which are there, and of which release. Facts in, findings out."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record, _version

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document, HealthFacts, HubFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge

OADP_NAMESPACE = "openshift-adp"
_OADP, _LCA = "oadp-operator", "lifecycle-agent"
_STORAGE = ("lvms-operator", "local-storage-operator")
_CSV_PHASE = "ClusterServiceVersion"
_DPA = "DataProtectionApplication in openshift-adp"


def check_components(judge: Judge, seed: Seed, health: HealthFacts, *, needs_oadp: bool) -> None:
    """Everything of this page that the cluster itself tells."""
    if needs_oadp:
        _oadp(judge, health)
    if not health.services.known:
        return
    installed = _seed_record.operators(health.services.items)
    if all(name in installed for name in _STORAGE):
        judge.blocked(
            "storage-operators",
            "LVM Storage and the Local Storage Operator are both installed; image-based upgrades support one of them",
            "remove the one that no volume uses",
            seen=[f"{name} {installed[name]}" for name in _STORAGE],
            expected="one of them, or none",
            source=_CSV_PHASE,
        )
    _against_seed(judge, seed, installed, needs_oadp=needs_oadp)


def _oadp(judge: Judge, health: HealthFacts) -> None:
    """What Prep checks first where it is given content for OADP, in its order and words."""
    installed = any(
        _OADP in str(item["metadata"]["name"]) and item["metadata"].get("namespace") == OADP_NAMESPACE
        for item in health.services.items
    )
    if (health.services.known and not installed) or not health.protections.served:
        judge.blocked(
            "oadp",
            "Please ensure OADP operator is installed in the openshift-adp",
            "install the OADP operator in the namespace openshift-adp, or leave out ibu_oadp_content "
            "(docs/runbooks/prep-oadp)",
            seen="no such ClusterServiceVersion" if health.protections.served else "no DataProtectionApplication API",
            expected=f"a ClusterServiceVersion {_OADP} in {OADP_NAMESPACE}",
            source=_CSV_PHASE,
        )
        return
    if not health.protections.known:
        return
    protections = health.protections.items
    if len(protections) != 1:
        judge.blocked(
            "oadp",
            "Only one DataProtectionApplication CR is allowed in the openshift-adp"
            if protections
            else "No DataProtectionApplication CR found in the openshift-adp",
            "have exactly one DataProtectionApplication (docs/runbooks/prep-oadp)",
            seen=[item["metadata"]["name"] for item in protections] or "none",
            expected="one",
            source=_DPA,
        )
        return
    _protection(judge, protections[0])


def _protection(judge: Judge, protection: Document) -> None:
    locations = (protection.get("spec") or {}).get("backupLocations")
    if not locations:
        judge.blocked(
            "oadp",
            "the DataProtectionApplication has no spec.backupLocations; the Lifecycle Agent cannot work with it",
            "give it a backup location (docs/runbooks/prep-oadp)",
            source=f"{_DPA}, spec.backupLocations",
        )
        return
    for location in locations:
        velero = location.get("velero")
        if velero is not None and not (velero.get("credential") or {}).get("name"):
            judge.warned(
                "oadp",
                "a backup location names no credential; no Secret is carried over for it, and restores cannot read it",
                "name the Secret in spec.backupLocations[].velero.credential.name",
                source=f"{_DPA}, spec.backupLocations",
            )


def _against_seed(judge: Judge, seed: Seed, installed: t.Mapping[str, str], *, needs_oadp: bool) -> None:
    theirs = seed.facts.operators
    if theirs is None:
        seed.missing_record(judge, "operators and their versions")
        return
    storage, of_seed = _seed_record.storage_operator(installed), _seed_record.storage_operator(theirs)
    if storage and storage != of_seed:
        judge.blocked(
            "storage-operators",
            "the seed does not have the storage operator of the cluster; its volumes cannot be used after the reboot",
            "use a seed with the same storage operator",
            seen=storage,
            expected=of_seed or "none",
            source=_CSV_PHASE,
        )
    if needs_oadp and not any("oadp" in name for name in theirs):
        judge.blocked(
            "oadp",
            "the seed does not have the OADP operator, so nothing can be restored after the reboot",
            "use a seed with the OADP operator",
            source="the seed's record",
        )
    lost = [name for name in installed if name not in theirs and "oadp" not in name and name not in _STORAGE]
    if lost:
        judge.warned(
            "operators",
            "the cluster has operators that the seed does not have; after the upgrade they are gone",
            "add them to the seed, or install them again by policies or extra manifests",
            seen=lost,
            source=_CSV_PHASE,
        )
    newer = [name for name, ours in installed.items() if _is_below(theirs.get(name), ours)]
    if newer:
        judge.warned(
            "operators",
            "the cluster has newer operators than the seed; the upgrade takes them back",
            "update them on the seed",
            seen=[f"{name} {installed[name]}, seed {theirs[name]}" for name in newer],
            source=_CSV_PHASE,
        )


def _is_below(version: str | None, other: str | None) -> bool:
    """True where both are versions, and the first comes before the other."""
    known = version and other and _version.is_valid(version) and _version.is_valid(other)
    return bool(known) and _version.is_newer(str(other), str(version))


# --- the hub ------------------------------------------------------------------------------------------------------


def check_hub(judge: Judge, hub: HubFacts, managed_cluster: str, target: str | None, *, through_hub: bool) -> None:
    """The hub's own release, and what it knows of this cluster."""
    for permission in hub.denied:
        judge.unknown(
            "the hub",
            f"the hub identity may not {permission}",
            "grant it (docs/rbac)",
            check="hub-permissions",
        )
    if _is_below(hub.version, target):
        judge.warned(
            "hub-version",
            f"the hub runs {hub.version}; it should be at least at the target version {target}",
            "upgrade the hub first",
            seen=hub.version or "",
            expected=f"{target} or above",
            source="ClusterVersion version of the hub, status.desired.version",
        )
    for acm in hub.acm.items:
        status = acm.get("status") or {}
        if status.get("phase") not in (None, "Running"):
            judge.warned(
                "hub-version",
                "Advanced Cluster Management on the hub is not running",
                "oc get multiclusterhub -A on the hub",
                seen=f"{status.get('currentVersion') or 'no version'}, phase {status.get('phase')}",
                expected="phase Running",
                source="MultiClusterHub status.phase",
            )
    if through_hub:
        _through_hub(judge, hub, managed_cluster)


def _through_hub(judge: Judge, hub: HubFacts, managed_cluster: str) -> None:
    if hub.group_upgrades is False:
        judge.blocked(
            "hub-components",
            "the hub does not know ImageBasedGroupUpgrade: Topology Aware Lifecycle Manager is missing or too old",
            "install or update Topology Aware Lifecycle Manager on the hub",
            source="/apis/lcm.openshift.io/v1alpha1 of the hub",
        )
    document = (hub.clusters or {}).get(managed_cluster)
    if document is None:
        return
    found = (document.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "ManagedClusterConditionAvailable" and c.get("status") != "True" for c in found):
        judge.warned(
            "hub-availability",
            "the hub has no contact with the cluster; its step would last until its timeout",
            "oc get managedcluster on the hub (docs/runbooks/hub-failed)",
            source="ManagedCluster status.conditions",
        )
