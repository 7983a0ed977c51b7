# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What Prep will say of the content that an upgrade refers to, asked of the cluster beforehand: all of it at once.

The Lifecycle Agent stops at its first error and tells no more; it also really creates namespaces that only exist in
manifests. Here everything is collected, and nothing is created.
"""

from __future__ import annotations

import functools
import json
import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document, NotYaml, read_documents
from ansible_collections.sno.image_upgrade.plugins.module_utils._dry_run import Answer, DryRuns
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Judge, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, object_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import (
    APPLY_TYPE,
    WAVE,
    ManifestFacts,
    annotations_of,
    in_waves,
    lint,
    meta_of,
    size_findings,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import APPLY_LABEL, target_by_parts
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_lint import lint as lint_oadp
from ansible_collections.sno.image_upgrade.plugins.module_utils._policies import COUNT, PolicyFacts, examine
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import Reader
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Goal, Observed

_EXTRA, _OADP, _POLICIES, _STALE = "extra-manifests", "oadp-content", "policies", "stale-backups"
_SPEC = "failed to validate IBU spec: "
_IN_EXTRA = _SPEC + "failed to validate extramanifest cms: "
_IN_OADP = _SPEC + "failed to validate oadp configMap: "
_IN_POLICIES = _SPEC + "failed to validate manifests from policies: "
_ADP = "openshift-adp"
_VELERO = "velero.io/v1"
_BACKUP_LABEL = "lca.openshift.io/backup"
_CLUSTER_ID = "config.openshift.io/clusterID"
_ROLLED_BACK = "Prep will only warn of it; after the reboot the upgrade is rolled back"
# What a dry run tells better.
_TOLD_BY_DRY_RUNS = frozenset({"manifest-namespace-order", "manifest-kind-unknown", "manifest-namespace-unknown"})

Refs = t.Tuple[t.Tuple[str, str], ...]  # noqa: UP006
# The lint says this where it does not know the cluster.
_OF_THE_CLUSTER = frozenset({"oadp-storage-unknown"})

ConfigMaps = t.Sequence[t.Tuple[str, t.Mapping[str, t.Any]]]  # noqa: UP006


class NotDecoded(Exception):
    """A text that the agent cannot decode; the words are its own, as far as they can be known."""

    def __init__(self, key: str, name: str, words: str, line: int) -> None:
        super().__init__(words)
        self.key, self.name, self.line = key, name, line


def content_findings(
    session: Session,
    cluster: str,
    goals: t.Sequence[Goal],
    observed: Observed | None = None,
    *,
    known: t.Mapping[str, Reading] | None = None,
    through_hub: bool = False,
) -> list[Finding]:
    """What speaks against Prep in the ConfigMaps that the goals name, and in the cluster's policies.

    For clusters that are before Prep. Where nothing is referred to, nothing is asked.
    ``observed``: what the goals leave as it is stands there. ``known``: what was read already, by kind and name.
    ``through_hub``: the hub brings the OADP ConfigMaps along, so they are not on the cluster yet.
    """
    goal = next((goal for goal in goals if goal.action is Action.PREP), None)
    if goal is None:
        return []
    checks = _Checks(session, cluster, goal, known or {})
    backups = _refs(goal.oadp_content, observed, "oadpContent")
    if backups:
        if through_hub:
            checks.unknown("Backups and Restores", "the hub brings their ConfigMaps along", "lint them with oadp_lint")
        else:
            checks.oadp(backups)
    manifests = _refs(goal.extra_manifests, observed, "extraManifests")
    if manifests:
        checks.extra(manifests)
    annotations = {**(observed.annotations if observed else {}), **goal.annotations}
    if annotations.get(COUNT) is not None:
        checks.policies(str(annotations[COUNT]))
    return checks.judge.findings()


def _refs(given: Refs | None, observed: Observed | None, field: str) -> Refs:
    """Namespace and name of each ConfigMap, once."""
    if given is None:
        listed = (observed.spec.get(field) if observed else None) or ()
        given = tuple((str(one["namespace"]), str(one["name"])) for one in listed)
    return tuple(dict.fromkeys(given))


@functools.lru_cache(maxsize=256)
def _read(text: str, file: str) -> tuple[Document, ...]:
    """Many clusters have the same text: it is read once. Nobody changes what is inside. Raises NotYaml."""
    return tuple(read_documents(text, file))


@functools.lru_cache(maxsize=64)
def _lint_oadp(texts: tuple[tuple[str, str], ...]) -> tuple[LintFinding, ...]:
    """What the lint of Backups and Restores says, without what depends on the cluster."""
    documents = [document for name, text in texts for document in _read(text, name)]
    return tuple(found for found in lint_oadp(documents) if found.rule not in _OF_THE_CLUSTER)


class _Checks:
    """Of one cluster."""

    def __init__(self, session: Session, cluster: str, goal: Goal, known: t.Mapping[str, Reading]) -> None:
        self.judge = Judge(cluster)
        self._known = known
        self._reader, self._dry, self._goal = Reader(session), DryRuns(session), goal

    # --- what all have in common --------------------------------------------------------------------------------------

    def unknown(self, what: str, why: str, remedy: str) -> None:
        """Something that could not be checked."""
        self.judge.unknown(what, why, remedy, check="content-to-check")

    def _denied(self, what: str, permission: Permission) -> None:
        remedy = "grant it (docs/rbac), or use the admin client certificate"
        self.unknown(f"{what} ({permission})", "this identity may not try it", remedy)

    def _config_maps(self, refs: t.Iterable[tuple[str, str]]) -> list[tuple[str, t.Mapping[str, t.Any]]] | None:
        """The data of the ConfigMaps; None where one may not be read.

        That is said with everything else that may not be read, and so is one that is not there.
        """
        found = []
        for namespace, name in refs:
            reading = self._known.get(f"ConfigMap {namespace}/{name}")
            reading = reading or self._reader.get("v1", "configmaps", name, namespace)
            if reading.denied:
                return None
            if reading.items:
                found.append((f"{namespace}/{name}", reading.one.get("data") or {}))
        return found

    def _documents(self, maps: ConfigMaps) -> list[Document]:
        """Every document, as the agent decodes them. Raises NotDecoded at the first that it cannot."""
        found: list[Document] = []
        for name, data in maps:
            for key, text in data.items():
                short = name.rpartition("/")[2]
                try:
                    documents = _read(str(text), f"ConfigMap {name} {key}")
                except NotYaml as error:
                    raise NotDecoded(key, short, _go_words(error), error.line) from None
                for document in documents:
                    if not isinstance(document.value, dict) or not document.value.get("kind"):
                        shown = json.dumps(document.value, separators=(",", ":"), default=str)
                        raise NotDecoded(key, short, f"Object 'Kind' is missing in '{shown}'", document.line)
                found += documents
        return found

    # --- extraManifests -----------------------------------------------------------------------------------------------

    def extra(self, refs: Refs) -> None:
        """Manifests that are applied after the reboot."""
        maps = self._config_maps(refs)
        if maps is None:
            return
        for name, data in maps:
            for found in size_findings(f"ConfigMap {name}", sum(len(str(text).encode()) for text in data.values())):
                self._lint(_EXTRA, found)
        try:
            documents = self._documents(maps)
        except NotDecoded as error:
            words = f"{_IN_EXTRA}failed to decode {error.key} in the configMap {error.name}: {error}"
            self._refused(_EXTRA, "an extra manifest cannot be decoded", "lint it with manifest_lint", words)
            return
        catalogs = self._reader.list("operators.coreos.com/v1alpha1", "catalogsources")
        names = tuple(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in catalogs.items)
        version = self._goal.seed.version if self._goal.seed else ""
        broken = set()
        for found in lint(documents, ManifestFacts(catalogs=names, version=version)):
            if found.level is Level.ERROR:
                broken.add((found.file, found.document))
            if found.rule not in _TOLD_BY_DRY_RUNS:
                self._lint(_EXTRA, found, _words(found, documents))
        self._try_each([one for one in in_waves(documents) if (one.file, one.index) not in broken])

    def _lint(self, check: str, found: LintFinding, words: str = "") -> None:
        say = self.judge.blocked if found.level is Level.ERROR else self.judge.warned
        cause = f"{found.object}: {found.message}" if found.object else found.message
        say(check, cause, found.remedy, seen=words or found.place, source=found.place if words else found.source)

    def _refused(self, check: str, cause: str, remedy: str, words: str, document: Document | None = None) -> None:
        self.judge.blocked(check, cause, remedy, seen=words, source=document.file if document else "")

    def _try_each(self, documents: t.Sequence[Document]) -> None:
        made: set[str] = set()
        for document in documents:
            value, meta = document.value, meta_of(document.value)
            namespace = str(meta.get("namespace") or "default")
            merge = annotations_of(value).get(APPLY_TYPE) == "merge"
            answer = self._dry.apply(value, namespace, merge=merge)
            if answer.no_namespace and namespace in made:
                # The agent makes the namespace for its check; any other one shows what is wrong with the object too.
                answer = self._dry.apply(value, "default", merge=merge)
            self._extra_answer(document, namespace, answer)
            if value["kind"] == "Namespace" and value.get("apiVersion") == "v1" and answer.fine:
                made.add(str(meta["name"]))

    def _extra_answer(self, document: Document, namespace: str, answer: Answer) -> None:
        kind, name, shown = document.value["kind"], meta_of(document.value)["name"], object_name(document.value)
        if answer.denied:
            self._denied("dry runs of extra manifests", answer.denied)
        elif answer.unknown_kind:
            cause = f"{shown}: the cluster does not know this kind. {_ROLLED_BACK}, unless the seed image knows it"
            remedy = "make sure that the CRD is in the seed image"
            self._warned(document, cause, remedy, f"{kind}[{name}] - CRD not deployed on cluster")
        elif answer.no_namespace:
            words = (
                f"{kind}[{name}] - namespace {namespace} not found on cluster or not added in configmap in right order"
            )
            cause = f"{shown}: its namespace is neither on the cluster nor made before it by a manifest"
            self._warned(document, cause, f"add the Namespace to the manifests, with a lower {WAVE}", words)
        elif answer.invalid:
            words = f"{kind}[{name}] - dryrun failed in namespace {namespace}: {answer.message}"
            self._warned(document, f"{shown}: the API refuses it. {_ROLLED_BACK}", "correct the manifest", words)
        elif not answer.fine:
            words = f"{_IN_EXTRA}failed to validate manifest with dryrun: {answer.message}"
            cause, remedy = f"{shown}: the cluster will not take it; Prep fails", "see the cluster's words"
            self._refused(_EXTRA, cause, remedy, words, document)

    def _warned(self, document: Document, cause: str, remedy: str, words: str) -> None:
        self.judge.warned(_EXTRA, cause, remedy, seen=words, source=document.file)

    # --- oadpContent --------------------------------------------------------------------------------------------------

    def oadp(self, refs: Refs) -> None:
        """Backups and Restores: Prep tries to create each, looks for what apply-label names, and pairs them."""
        maps = self._config_maps(refs)
        if maps is None or len(maps) < len(refs):
            return  # what is in the missing ones may be the counterpart of what is in the others
        try:
            documents = self._documents(maps)
        except NotDecoded as error:
            words = f"{_IN_OADP}failed to decode file: {error}"
            self._refused(_OADP, "a document cannot be decoded", "lint it with oadp_lint", words)
            return
        ours = [one for one in documents if one.value.get("apiVersion") == _VELERO and meta_of(one.value).get("name")]
        backups = [one for one in ours if one.value["kind"] == "Backup"]
        restores = [one for one in ours if one.value["kind"] == "Restore"]
        for document in (*backups, *restores):
            self._velero(document)
        for document in backups:
            self._labels(document)
        self._pairs(backups, restores)
        if not any(one.severity is Severity.BLOCKED for one in self.judge.findings()):
            # What Prep lets pass, and fails later or loses something.
            texts = tuple((f"ConfigMap {name} {key}", str(text)) for name, data in maps for key, text in data.items())
            for found in _lint_oadp(texts):
                self._lint(_OADP, found)
        self._stale({str(meta_of(one.value)["name"]) for one in backups})

    def _velero(self, document: Document) -> None:
        kind, name = document.value["kind"], meta_of(document.value)["name"]
        answer = self._dry.apply(document.value, str(meta_of(document.value).get("namespace") or ""), create=True)
        if answer.denied:
            self._denied(f"dry runs of {kind}s", answer.denied)
        elif answer.unknown_kind:
            return  # without OADP, which is found by others
        elif not answer.fine:
            # The agent's words differ in one capital letter.
            words = (
                f"Invalid {'backup' if kind == 'Backup' else kind} {name} detected in configmap, error: "
                f"{answer.message}. Please update the invalid {kind} in configmap."
                if answer.status == 422
                else f"failed to create {kind.lower()} with dry run: {answer.message}"
            )
            cause = f"{object_name(document.value)}: the API refuses it; Prep fails"
            self._refused(_OADP, cause, "correct it; lint it with oadp_lint", _IN_OADP + words, document)

    def _labels(self, document: Document) -> None:
        name = str(meta_of(document.value)["name"])
        text = annotations_of(document.value).get(APPLY_LABEL, "")
        for item in text.split(",") if text else ():
            target = target_by_parts(item)
            if target is None:
                words = f"{_IN_OADP}invalid apply-label obj in annotation value: {item}"
                cause = f"{object_name(document.value)}: {APPLY_LABEL} names no object with {item!r}; Prep fails"
                remedy = "give GROUP/VERSION/RESOURCE/NAMESPACE/NAME, without the namespace where there is none"
                self._refused(_OADP, cause, remedy, words, document)
                continue
            answer = self._dry.label(target, _BACKUP_LABEL, name)
            if answer.denied:
                self._denied(f"the objects of {APPLY_LABEL}", answer.denied)
            elif not answer.fine:
                words = (
                    f"{_IN_OADP}failed apply backup label to objects included in apply-backup annotation: "
                    f"failed to patch object: {answer.message}"
                )
                cause = f"{object_name(document.value)}: {item!r} of {APPLY_LABEL} cannot be labelled; Prep fails"
                self._refused(_OADP, cause, "take it out of the annotation, or make it on the cluster", words, document)

    def _pairs(self, backups: t.Sequence[Document], restores: t.Sequence[Document]) -> None:
        names = {str(meta_of(one.value)["name"]) for one in backups}
        for document in restores:
            spec = document.value.get("spec")
            wanted = str(spec.get("backupName") or "") if isinstance(spec, dict) else ""
            if wanted not in names:
                name = meta_of(document.value)["name"]
                words = f"{_IN_OADP}The backup CR {wanted} defined in restore CR {name} not found in OADP configmaps"
                cause = f"{object_name(document.value)}: its Backup {wanted!r} is not in the ConfigMaps; Prep fails"
                self._refused(_OADP, cause, "add the Backup, or correct spec.backupName", words, document)
        if not backups or len(backups) != len(restores):
            words = (
                f"{_IN_OADP}Both backup and restore CRs should be specified in OADP configmaps and each backup CR "
                "should be paired with a corresponding restore CR."
            )
            cause = (
                f"there are {len(backups)} Backups and {len(restores)} Restores; Prep wants one Restore of each Backup"
            )
            self._refused(_OADP, cause, "add what is missing", words)

    def _stale(self, names: set[str]) -> None:
        """Prep deletes Backups of these names that are another cluster's, out of the bucket too."""
        there = self._reader.list(_VELERO, "backups", _ADP)
        if there.denied:
            self._denied("Backups of other clusters", there.denied)
            return
        named = {
            str(one["metadata"]["name"]): (one["metadata"].get("labels") or {}).get(_CLUSTER_ID)
            for one in there.items
            if one["metadata"]["name"] in names
        }
        if not any(named.values()):
            return
        version = self._reader.get("config.openshift.io/v1", "clusterversions", "version")
        own = version.spec().get("clusterID")
        foreign = sorted(name for name, cluster in named.items() if cluster and own and cluster != own)
        if foreign:
            self.judge.warned(
                _STALE,
                "Backups of the same names belong to another cluster; Prep deletes them, out of the bucket too, and "
                "fails where it cannot",
                "give every cluster a bucket or prefix of its own",
                seen=foreign,
                source=f"label {_CLUSTER_ID} of Backups in {_ADP}",
            )

    # --- policies -----------------------------------------------------------------------------------------------------

    def policies(self, expected: str) -> None:
        """The labelled manifests in the cluster's policies, where the annotation says how many there shall be."""
        reading = self._reader.list("policy.open-cluster-management.io/v1", "policies")
        if reading.denied:
            self._denied("policies", reading.denied)
            return
        if not reading.served:
            error = 'no matches for kind "Policy" in version "policy.open-cluster-management.io/v1"'
            words = f"{_IN_POLICIES}failed to list policies: {error}"
            cause = f"{COUNT} is set, and the cluster has no policies; Prep fails"
            self._refused(_POLICIES, cause, "take the annotation away (ibu_annotations)", words)
            return
        version = self._goal.seed.version if self._goal.seed else ""
        documents = [_policy(one) for one in reading.items]
        report = examine(documents, PolicyFacts(version, expected, on_cluster=True))
        for found in report.findings:
            words = ""
            if found.rule == "policy-count":
                words = (
                    f"{_IN_POLICIES}The labeled manifests count found in policies {report.count} does not match the "
                    f"expected manifests count {expected}"
                )
            elif found.rule == "policy-compliance-type":
                words = f"{_IN_POLICIES}unsupported compliance type: {report.unsupported[0]}"
            self._lint(_POLICIES, found, words)


def _policy(obj: t.Mapping[str, t.Any]) -> Document:
    meta = obj["metadata"]
    return Document(f"Policy {meta['namespace']}/{meta['name']}", 1, 0, obj)


def _go_words(error: NotYaml) -> str:
    """As the agent's parser says it: without what it was about to do."""
    problem = re.sub("^while [^:]+: ", "", str(error))
    return f"yaml: line {error.line}: {problem}"


def _words(found: LintFinding, documents: t.Sequence[Document]) -> str:
    """What the agent says of the same thing in Prep; empty where it says nothing."""
    place = (found.file, found.document)
    value: t.Any = next((one.value for one in documents if (one.file, one.index) == place), {})
    kind, name = value.get("kind"), meta_of(value).get("name")
    if found.rule == "manifest-name":
        return f"{_IN_EXTRA}{kind} resource name is empty"
    if found.rule == "manifest-forbidden":
        return f"{_IN_EXTRA}{kind}[{name}] in extramanifests is not allowed"
    if found.rule == "manifest-wave":
        wave = json.dumps(annotations_of(value)[WAVE])
        error = f"strconv.Atoi: parsing {wave}: invalid syntax"
        return f"{_IN_EXTRA}failed to sort and group manifests: error convert: {error}"
    return ""
