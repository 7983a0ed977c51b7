# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The manifests that the Lifecycle Agent takes out of policies, counted as it counts. Documents in, findings out."""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, object_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import (
    APPLY_TYPE,
    FORBIDDEN,
    STORAGE_KINDS,
    annotations_of,
    finding,
    meta_of,
)

TARGET = "lca.openshift.io/target-ocp-version"
COUNT = "lca.openshift.io/target-ocp-version-manifest-count"
POLICY_WAVE = "ran.openshift.io/ztp-deploy-wave"
_VERSION = re.compile(r"\d+\.\d+(\.\d+(-[0-9A-Za-z.-]+)?)?")
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SOURCE = "the Lifecycle Agent's reading of policies"


@dataclass(frozen=True)
class PolicyFacts:
    """``version``: of the seed image. ``expected``: the value of the annotation, where it is set.

    ``on_cluster``: the policies were read on the cluster itself, so only those that the hub has put there count.
    Otherwise they are those of the hub or of a repository, and the hub will replicate them.
    """

    version: str
    expected: str | None = None
    on_cluster: bool = False


@dataclass(frozen=True)
class PolicyManifest:
    """One manifest that the agent takes. ``apply_type``: how an object that is there already is treated."""

    policy: str
    wave: int
    object: str
    apply_type: str
    label: str


@dataclass(frozen=True)
class PolicyReport:
    """The manifests in the order in which they will be applied, and what is wrong.

    ``unsupported``: compliance types that the agent does not know.
    """

    manifests: tuple[PolicyManifest, ...] = ()
    findings: tuple[LintFinding, ...] = field(default=())
    unsupported: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """What belongs into the annotation."""
        return len(self.manifests)


def labels_for(version: str) -> frozenset[str]:
    """The label values that mean this version: in full, X.Y.Z and X.Y."""
    release = version.split("-")[0].split("+")[0]
    return frozenset({version, release, ".".join(release.split(".")[:2])})


def examine(documents: t.Sequence[Document], facts: PolicyFacts) -> PolicyReport:
    """Count the labelled manifests of these policies, and say which are not counted and why."""
    reader = _Reader(facts)
    policies = [one for one in documents if isinstance(one.value, t.Mapping) and one.value.get("kind") == "Policy"]
    copied = {str(meta_of(one.value).get("name")) for one in policies}
    for document in documents:
        if isinstance(document.value, t.Mapping) and document.value.get("kind") in (
            "PolicyGenTemplate",
            "PolicyGenerator",
        ):
            reader.note("policy-generator", document, "it is no policy yet", "give the policies that are made from it")
    for document in policies:
        meta = meta_of(document.value)
        if f"{meta.get('namespace')}.{meta.get('name')}" not in copied:
            reader.policy(document)
    return reader.report()


class _Reader:
    def __init__(self, facts: PolicyFacts) -> None:
        self._facts = facts
        self._labels = labels_for(facts.version)
        self._found: list[LintFinding] = []
        self._unsupported: list[str] = []
        self._manifests: list[tuple[int, str, int, PolicyManifest]] = []

    def note(
        self,
        rule: str,
        document: Document,
        message: str,
        remedy: str,
        path: t.Sequence[str | int] = (),
        *,
        level: Level = Level.WARNING,
        corrected: t.Any = None,
    ) -> None:
        self._found.append(finding(level, rule, document, message, remedy, path, corrected, _SOURCE))

    def policy(self, document: Document) -> None:
        """Take the labelled manifests of one policy."""
        entries = list(_entries(document.value))
        labelled = [(path, entry) for path, entry in entries if TARGET in _labels(entry)]
        self._raw(document)
        if not labelled:
            return
        reason, remedy, path = self._passed_over(document)
        for where, entry in labelled:
            self._label(document, where, entry)
            if _labels(entry)[TARGET] not in self._labels:
                continue
            if reason:
                message = f"{object_name(entry.get('objectDefinition'))} is labelled but not taken: {reason}"
                self.note("policy-not-taken", document, message, remedy, path)
            else:
                self._entry(document, where, entry)

    def _passed_over(self, document: Document) -> tuple[str, str, tuple[str, ...]]:
        """Why the agent does not look into this policy, what to do, and where; empty where it does."""
        spec, name = document.value.get("spec") or {}, str(meta_of(document.value).get("name") or "")
        if str(spec.get("remediationAction") or "").lower() == "enforce":
            return "the policy is enforced", "set remediationAction: inform", ("spec", "remediationAction")
        if spec.get("disabled"):
            return "the policy is disabled", "set disabled: false", ("spec", "disabled")
        if not annotations_of(document.value).get(POLICY_WAVE):
            return f"the policy has no annotation {POLICY_WAVE}", "give it a wave", ("metadata",)
        if self._facts.on_cluster and "." not in name:
            return (
                "the hub has not put the policy there (its name has no dot)",
                "bind it on the hub",
                ("metadata", "name"),
            )
        return "", "", ()

    def _entry(self, document: Document, path: tuple[str | int, ...], entry: t.Mapping[str, t.Any]) -> None:
        kind = str(entry.get("complianceType") or "")
        obj = entry.get("objectDefinition")
        name = object_name(obj)
        if kind.lower() == "mustnothave":
            message = f"{name} is labelled but not taken: its complianceType is mustnothave"
            self.note("policy-mustnothave", document, message, "take the label away", (*path, "complianceType"))
            return
        if kind.lower() not in ("musthave", "mustonlyhave"):
            self._unsupported.append(kind)
            self.note(
                "policy-compliance-type",
                document,
                f"{name} has complianceType {kind!r}, which the agent does not know; Prep fails where "
                f"{COUNT} is set, and the upgrade otherwise",
                "give musthave or mustonlyhave",
                (*path, "complianceType"),
                level=Level.ERROR,
            )
            return
        apply_type = "merge" if kind.lower() == "musthave" else "replace"
        if apply_type == "merge" and not isinstance(meta_of(obj).get("annotations"), t.Mapping):
            self.note(
                "policy-annotations",
                document,
                f"{name} has no annotations, and so will be replaced as a whole, although it is musthave",
                f"give it the annotation {APPLY_TYPE}: merge",
                (*path, "objectDefinition"),
                corrected=_with_apply_type(obj),
            )
            apply_type = "replace"
        self._allowed(document, path, obj)
        wave = annotations_of(document.value)[POLICY_WAVE]
        if not _INTEGER.fullmatch(wave):
            message = f"{POLICY_WAVE} {wave!r} is not an integer"
            self.note("policy-wave", document, message, "give a whole number", ("metadata", "annotations", POLICY_WAVE))
        number = int(wave) if _INTEGER.fullmatch(wave) else 0
        policy = str(meta_of(document.value).get("name"))
        manifest = PolicyManifest(policy, number, name, apply_type, _labels(entry)[TARGET])
        self._manifests.append((number, policy, len(self._manifests), manifest))

    def _allowed(self, document: Document, path: tuple[str | int, ...], obj: t.Any) -> None:
        key = (str(obj.get("apiVersion")), str(obj.get("kind")))
        if key in FORBIDDEN or key[1] in STORAGE_KINDS:
            message = f"{object_name(obj)} must not be applied after the reboot"
            self.note("policy-forbidden", document, message, "take the label away", (*path, "objectDefinition", "kind"))

    def _label(self, document: Document, path: tuple[str | int, ...], entry: t.Mapping[str, t.Any]) -> None:
        value = _labels(entry)[TARGET]
        if not _VERSION.fullmatch(value):
            message = f"{object_name(entry.get('objectDefinition'))} is labelled {value!r}, which means no version"
            where = (*path, "objectDefinition", "metadata", "labels", TARGET)
            self.note("policy-label", document, message, "give X.Y, X.Y.Z or X.Y.Z-PRE.RELEASE as a string", where)

    def _raw(self, document: Document) -> None:
        for path, spec in _specs(document.value):
            if TARGET in str(spec.get("object-templates-raw") or ""):
                message = "the label stands in object-templates-raw, which the agent does not evaluate"
                self.note("policy-raw", document, message, "use object-templates", (*path, "object-templates-raw"))

    def report(self) -> PolicyReport:
        manifests = tuple(one[3] for one in sorted(self._manifests, key=lambda one: one[:3]))
        expected = self._facts.expected
        if expected is not None and expected != str(len(manifests)):
            self._found.append(count_finding(len(manifests), expected))
        return PolicyReport(manifests, tuple(self._found), tuple(self._unsupported))


def count_finding(count: int, expected: str) -> LintFinding:
    """The annotation does not say what there is. It is compared as text: 05 is not 5."""
    return LintFinding(
        Level.ERROR,
        "policy-count",
        f"{COUNT} is {expected!r}, and the policies hold {count} manifests for this version; Prep fails",
        f'set it to "{count}", or look for the missing ones above',
        source=_SOURCE,
    )


def _specs(policy: t.Mapping[str, t.Any]) -> t.Iterator[tuple[tuple[str | int, ...], t.Mapping[str, t.Any]]]:
    """The specs of the ConfigurationPolicies inside."""
    spec = policy.get("spec")
    templates = spec.get("policy-templates") if isinstance(spec, t.Mapping) else None
    for index, template in enumerate(templates if isinstance(templates, list) else ()):
        definition = template.get("objectDefinition") if isinstance(template, t.Mapping) else None
        if isinstance(definition, t.Mapping) and definition.get("kind") == "ConfigurationPolicy":
            inner = definition.get("spec")
            if isinstance(inner, t.Mapping):
                yield ("spec", "policy-templates", index, "objectDefinition", "spec"), inner


def _entries(policy: t.Mapping[str, t.Any]) -> t.Iterator[tuple[tuple[str | int, ...], t.Mapping[str, t.Any]]]:
    for path, spec in _specs(policy):
        entries = spec.get("object-templates")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, t.Mapping) and isinstance(entry.get("objectDefinition"), t.Mapping):
                yield (*path, "object-templates", index), entry


def _labels(entry: t.Mapping[str, t.Any]) -> dict[str, str]:
    found = meta_of(entry["objectDefinition"]).get("labels")
    return {str(key): str(text) for key, text in found.items()} if isinstance(found, t.Mapping) else {}


def _with_apply_type(obj: t.Any) -> t.Any:
    changed = copy.deepcopy(obj)
    changed["metadata"]["annotations"] = {APPLY_TYPE: "merge"}
    return changed
