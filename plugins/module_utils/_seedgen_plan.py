# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What is done to a cluster before it can become a seed, and by whose consent. Documents in, values out; no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import (
    ADDON_PREFIX,
    KLUSTERLET_CRD,
    SeedSurvey,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Word

Document = t.Mapping[str, t.Any]


class Remove(Word):
    """What may be removed from the cluster, each by its own consent. The order is that of the removal."""

    DATA_PROTECTION = "data_protection"
    VOLUMES = "volumes"
    LOCAL_VOLUMES = "local_volumes"
    LVM_CLUSTERS = "lvm_clusters"
    ADDONS = "addons"
    KLUSTERLET = "klusterlet"


class Detach(Word):
    """How the cluster gets rid of its hub."""

    NEVER = "never"
    DELETE = "delete"
    WAIT = "wait"


# Which consent cures which finding.
_CURES = {
    "hub": Remove.KLUSTERLET,
    "addons": Remove.ADDONS,
    "volumes": Remove.VOLUMES,
    "local_volumes": Remove.LOCAL_VOLUMES,
    "lvm_clusters": Remove.LVM_CLUSTERS,
    "data_protection": Remove.DATA_PROTECTION,
}
_GOES_WITH_THE_HUB = frozenset({"hub", "addons"})


@dataclass(frozen=True)
class Leftover:
    """One object to remove. ``uid`` makes sure that it is still the one that was shown."""

    consent: Remove
    kind: str
    name: str
    path: str
    uid: str
    namespace: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{place}"


_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def leftovers(survey: SeedSurvey, consents: t.Collection[Remove]) -> list[Leftover]:
    """The exact list of what these consents remove, in the order of the removal."""
    addons = [one for one in survey.namespaces.items if one["metadata"]["name"].startswith(ADDON_PREFIX)]
    # Claims first: they hold their volumes. What the driver has not removed by then is removed as a volume.
    claims = [one for one in survey.claims.items if (one.get("spec") or {}).get("volumeName")]
    listed: list[tuple[Remove, str, str, t.Iterable[Document]]] = [
        (
            Remove.DATA_PROTECTION,
            "DataProtectionApplication",
            "/apis/oadp.openshift.io/v1alpha1/namespaces/{namespace}/dataprotectionapplications/{name}",
            survey.protections.items,
        ),
        (
            Remove.VOLUMES,
            "PersistentVolumeClaim",
            "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}",
            claims,
        ),
        (Remove.VOLUMES, "PersistentVolume", "/api/v1/persistentvolumes/{name}", survey.volumes.items),
        (
            Remove.LOCAL_VOLUMES,
            "LocalVolume",
            "/apis/local.storage.openshift.io/v1/namespaces/{namespace}/localvolumes/{name}",
            survey.local_volumes.items,
        ),
        (
            Remove.LVM_CLUSTERS,
            "LVMCluster",
            "/apis/lvm.topolvm.io/v1alpha1/namespaces/{namespace}/lvmclusters/{name}",
            survey.lvm_clusters.items,
        ),
        (Remove.ADDONS, "Namespace", "/api/v1/namespaces/{name}", addons),
        (
            Remove.KLUSTERLET,
            "Klusterlet",
            "/apis/operator.open-cluster-management.io/v1/klusterlets/{name}",
            survey.klusterlets.items,
        ),
        (Remove.KLUSTERLET, "CustomResourceDefinition", _CRDS + "/{name}", survey.klusterlet_crd.items),
    ]
    return [
        _leftover(consent, kind, path, document)
        for consent, kind, path, documents in listed
        if consent in consents
        for document in documents
    ]


def _leftover(consent: Remove, kind: str, path: str, document: Document) -> Leftover:
    meta = document["metadata"]
    name, namespace = str(meta["name"]), str(meta.get("namespace") or "")
    where = path.format(name=name, namespace=namespace)
    return Leftover(consent, kind, name, where, str(meta.get("uid") or ""), namespace)


def remaining(
    found: t.Iterable[Finding], consents: t.Collection[Remove], *, detaches: bool, restores: bool = False
) -> list[Finding]:
    """The findings that nothing of what is consented to will cure.

    ``detaches``: the cluster will be detached from its hub, which takes the klusterlet and the add-ons away.
    """
    return [one for one in found if not _is_cured(one, consents, detaches=detaches, restores=restores)]


def _is_cured(finding: Finding, consents: t.Collection[Remove], *, detaches: bool, restores: bool) -> bool:
    if detaches and finding.check in _GOES_WITH_THE_HUB:
        return True
    if restores and finding.check == "pull_secret":
        return True
    return _CURES.get(finding.check) in consents


def refusing(found: t.Iterable[Finding]) -> list[Finding]:
    """Those with which nothing is begun."""
    return [one for one in found if one.severity is Severity.BLOCKED]


# --- the hub ----------------------------------------------------------------------------------------------------------

_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_ARGO_INSTANCE = "app.kubernetes.io/instance"
_SITECONFIG = "siteconfig.open-cluster-management.io/"
_OWNER_KINDS = frozenset({"ClusterInstance", "SiteConfig"})


def gitops_owner(managed: Document) -> str:
    """Who would make this ManagedCluster again when it is deleted; empty where nobody shows."""
    meta = managed.get("metadata") or {}
    notes, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    for owner in meta.get("ownerReferences") or ():
        if owner.get("kind") in _OWNER_KINDS:
            return f"{owner['kind']} {owner.get('name')}"
    for place in (labels, notes):
        for key, value in place.items():
            if key.startswith(_SITECONFIG):
                return f"ClusterInstance {value}"
    if tracking := notes.get(_ARGO_TRACKING):
        return f"Argo CD application {str(tracking).partition(':')[0]}"
    if instance := labels.get(_ARGO_INSTANCE):
        return f"Argo CD application {instance}"
    return ""


def disabled_addons(config: Document) -> dict[str, t.Any]:
    """The merge patch that switches every add-on of a KlusterletAddonConfig off; empty where none is on."""
    spec = config.get("spec") or {}
    on = [name for name, value in spec.items() if isinstance(value, dict) and value.get("enabled")]
    return {"spec": {name: {"enabled": False} for name in sorted(on)}} if on else {}


@dataclass(frozen=True)
class HubView:
    """The cluster as its hub sees it. ``managed`` is None where it is not there, ``asked`` False without a hub."""

    asked: bool = False
    managed: Document | None = None
    addon_config: Document | None = None
    problem: str = ""


def hub_findings(cluster: str, survey: SeedSurvey, hub: HubView, detach: Detach) -> list[Finding]:
    """What stands in the way of the detachment that is asked for."""
    attached = bool(survey.klusterlet_crd.items) or hub.managed is not None

    def blocked(cause: str, remedy: str, seen: str = "") -> list[Finding]:
        return [Finding(Severity.BLOCKED, cluster, "detach", cause, remedy, seen, source="ManagedCluster")]

    if detach is Detach.DELETE and attached:
        if hub.problem:
            return blocked("the hub could not be asked", "mend ibu_hub_kubeconfig, then run again", hub.problem)
        if not hub.asked:
            return blocked(
                "no hub connection is given, so the cluster cannot be detached",
                "give ibu_hub_kubeconfig, or detach it by hand and wait for that: seed_image_detach=wait",
            )
        if hub.managed is not None and (owner := gitops_owner(hub.managed)):
            return blocked(
                "the ManagedCluster belongs to GitOps, which would make it again",
                "remove the site from Git, and wait for that with seed_image_detach=wait",
                owner,
            )
        if hub.managed is None:
            return blocked(
                "the hub does not know the cluster, but its klusterlet is still there",
                "name the cluster as its hub does (ibu_managed_cluster), or remove what is left: "
                "seed_image_remove=[klusterlet]",
            )
    if detach is not Detach.WAIT and hub.managed is not None and not survey.klusterlet_crd.items:
        # Nothing on the cluster: the hub would import it again by itself.
        return [
            Finding(
                Severity.WARNED,
                cluster,
                "hub",
                "the hub still has a ManagedCluster of this name",
                "delete it, or the hub may import the cluster again: seed_image_detach=delete",
                source="ManagedCluster",
            )
        ]
    return []


def leads_off_the_hub(survey: SeedSurvey, hub: HubView, detach: Detach) -> bool:
    """Whether the cluster will be waited for until it is detached."""
    return detach is not Detach.NEVER and (bool(survey.klusterlet_crd.items) or hub.managed is not None)


def is_detached(survey: SeedSurvey, hub: HubView) -> bool:
    """True where neither the hub nor the cluster shows a trace that the agent would refuse."""
    addons = any(one["metadata"]["name"].startswith(ADDON_PREFIX) for one in survey.namespaces.items)
    return hub.managed is None and not survey.klusterlet_crd.items and not addons


def attached_words(survey: SeedSurvey, hub: HubView) -> str:
    """What is still there of the hub, for people."""
    there = []
    if hub.managed is not None:
        leaving = (hub.managed.get("metadata") or {}).get("deletionTimestamp")
        there.append("ManagedCluster is being deleted" if leaving else "ManagedCluster is there")
    if survey.klusterlet_crd.items:
        there.append(f"CRD {KLUSTERLET_CRD}")
    there += [
        f"namespace {one['metadata']['name']}"
        for one in survey.namespaces.items
        if one["metadata"]["name"].startswith(ADDON_PREFIX)
    ]
    return ", ".join(there)


# --- the registry -----------------------------------------------------------------------------------------------------


def note(cluster: str, check: str, what: str) -> Finding:
    """Something that is not looked at."""
    return Finding(Severity.NOT_CHECKED, cluster, check, what, "")


def blocked_by_registry(cluster: str, problem: str, remedy: str) -> Finding:
    """The registry cannot be asked, so that the result could not be verified either."""
    return Finding(
        Severity.BLOCKED,
        cluster,
        "registry",
        "the registry of the seed image could not be asked from here",
        f"{remedy or 'mend the connection'}; or do without verification: seed_image_verify=false",
        problem,
        source="the registry's API",
    )


def name_is_taken(cluster: str, image: str, digest: str) -> Finding:
    """The push will replace what the name stands for."""
    return Finding(
        Severity.WARNED,
        cluster,
        "registry",
        "there is an image of this name already, which will be replaced",
        "take a new tag for each seed image, so that rollouts know what they get",
        f"{image} is {digest}",
        source="the registry's API",
    )
