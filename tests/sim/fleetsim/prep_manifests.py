# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prep looks at extraManifests and at the labelled manifests of policies, before it touches anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetsim import ibu
from fleetsim.agent import StageFailed
from fleetsim.errors import StatusError
from fleetsim.ports import KindUnknown, Object
from fleetsim.prep_documents import Undecodable, annotation, by_wave, config_maps, documents, meta_of, refused
from fleetsim.resources import CRDS, POLICIES

if TYPE_CHECKING:
    from fleetsim.agent import Agent

COUNT = "lca.openshift.io/target-ocp-version-manifest-count"
TARGET = "lca.openshift.io/target-ocp-version"
APPLY_TYPE = "lca.openshift.io/apply-type"
POLICY_WAVE = "ran.openshift.io/ztp-deploy-wave"
_FORBIDDEN = {
    ("machineconfiguration.openshift.io/v1", "MachineConfig"),
    ("operators.coreos.com/v1alpha1", "ClusterServiceVersion"),
    ("operators.coreos.com/v1alpha1", "InstallPlan"),
    ("operators.coreos.com/v1alpha1", "Subscription"),
}
_PREFIX = "failed to validate IBU spec: failed to validate extramanifest cms: "


async def validate(a: Agent) -> None:
    """Errors fail Prep; warnings are written down, and only where there is no error."""
    found: list[Object] = []
    for name, config in await config_maps(a, "extraManifests", "extra_manifest_configmap_missing"):
        for key, text in (config.get("data") or {}).items():
            try:
                found += documents(text)
            except Undecodable as error:
                raise refused("extra_manifest_undecodable", key=key, name=name, err=error) from None
    try:
        found = by_wave(found)
    except ValueError as error:
        raise refused("extra_manifest_wave", err=error) from None
    check = _DryRun(a)
    try:
        for document in found:
            await check.one(document)
    finally:
        await check.clean_up()
    if check.errors:
        first, *others = map(str, check.errors)
        raise StageFailed("; ".join([first, *(text.removeprefix(_PREFIX) for text in others)]))
    if check.warnings:
        await a.annotate(ibu.VALIDATION_WARNING, "; ".join(check.warnings))


class _DryRun:
    """Each manifest on its own, in the order in which they will be applied."""

    def __init__(self, a: Agent) -> None:
        self._a = a
        self._made: list[str] = []  # namespaces that only the manifests have: they are there for as long as this lasts
        self.errors: list[Exception] = []
        self.warnings: list[str] = []

    async def one(self, document: Object) -> None:
        kind, meta = document["kind"], meta_of(document)
        name = meta.get("name")
        if not name:
            self.errors.append(refused("extra_manifest_no_name", kind=kind))
            return
        if (document.get("apiVersion"), kind) in _FORBIDDEN:
            self.errors.append(refused("extra_manifest_forbidden", kind=kind, name=name))
            return
        try:
            await self._try(document)
        except KindUnknown:
            self.warnings.append(f"{kind}[{name}] - CRD not deployed on cluster")

    async def _try(self, document: Object) -> None:
        api, kind = self._a.api, document["kind"]
        name = document["metadata"]["name"]
        namespace = ""
        if await api.namespaced(document):
            namespace = document["metadata"].get("namespace") or "default"
            if await api.get("namespaces", namespace) is None:
                why = f"namespace {namespace} not found on cluster or not added in configmap in right order"
                self.warnings.append(f"{kind}[{name}] - {why}")
                return
            document = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
        try:
            await api.dry_run(document, merge=annotation(document, APPLY_TYPE) == "merge")
        except StatusError as error:
            if error.code in (400, 422):
                self.warnings.append(f"{kind}[{name}] - dryrun failed in namespace {namespace}: {error.message}")
            else:
                self.errors.append(refused("extra_manifest_dry_run", err=error.message))
            return
        if (document.get("apiVersion"), kind) == ("v1", "Namespace") and await api.get("namespaces", name) is None:
            await api.create("namespaces", document)
            self._made.append(name)

    async def clean_up(self) -> None:
        for name in self._made:
            await self._a.api.delete("namespaces", name)


# -- policies -------------------------------------------------------------------------------------------------------


async def validate_policies(a: Agent) -> None:
    """Only where the annotation says how many manifests there shall be."""
    expected = a.annotations.get(COUNT)
    if expected is None:
        return
    if await a.api.get(CRDS, POLICIES) is None:
        raise refused("policy_crd_missing")
    version = (a.spec.get("seedImageRef") or {}).get("version", "")
    found = 0
    for policy in await a.api.list(POLICIES):
        if _counts(policy):
            found += len(_labelled(policy, version))
    if str(found) != expected:
        raise refused("policy_count", found=found, expected=expected)


def _counts(policy: Object) -> bool:
    spec = policy.get("spec") or {}
    if str(spec.get("remediationAction", "")).lower() == "enforce" or spec.get("disabled"):
        return False
    return bool(annotation(policy, POLICY_WAVE)) and "." in policy["metadata"]["name"]


def _labelled(policy: Object, version: str) -> list[Object]:
    """The objects that the policy holds for this release."""
    release = version.split("-")[0].split("+")[0]
    wanted = {version, release, ".".join(release.split(".")[:2])}
    found = []
    for template in policy["spec"].get("policy-templates") or ():
        definition = (template or {}).get("objectDefinition") or {}
        if definition.get("kind") != "ConfigurationPolicy":
            continue
        for entry in (definition.get("spec") or {}).get("object-templates") or ():
            kind: Any = str(entry.get("complianceType", "")).lower()
            obj = entry.get("objectDefinition") or {}
            labels = meta_of(obj).get("labels") or {}
            if kind == "mustnothave" or labels.get(TARGET) not in wanted:
                continue
            if kind not in ("musthave", "mustonlyhave"):
                raise refused("policy_compliance_type", kind=entry.get("complianceType", ""))
            found.append(obj)
    return found
