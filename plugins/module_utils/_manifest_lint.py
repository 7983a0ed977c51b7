# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the Lifecycle Agent will say of extra manifests, and what it will not say. Documents in, findings out."""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document, as_yaml
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, object_name

WAVE = "lca.openshift.io/apply-wave"
APPLY_TYPE = "lca.openshift.io/apply-type"
LAST_WAVE = 2147483647
MOST_BYTES = 1024 * 1024
APPLY_BYTES = 256 * 1024

_OLM = "operators.coreos.com/v1alpha1"
FORBIDDEN = frozenset(
    {
        ("machineconfiguration.openshift.io/v1", "MachineConfig"),
        (_OLM, "ClusterServiceVersion"),
        (_OLM, "InstallPlan"),
        (_OLM, "Subscription"),
    }
)
STORAGE_KINDS = frozenset({"LVMCluster", "LocalVolume", "LocalVolumeSet", "LocalVolumeDiscovery"})
# The marketplace operator makes these again by itself.
DEFAULT_CATALOGS = frozenset({"certified-operators", "community-operators", "redhat-marketplace", "redhat-operators"})

# Kinds that need no namespace. Of others it is not known without a cluster, so nothing is said of them.
_NAMESPACED = frozenset(
    {
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("v1", "PersistentVolumeClaim"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "StatefulSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        (_OLM, "CatalogSource"),
        ("operators.coreos.com/v1", "OperatorGroup"),
        ("velero.io/v1", "Backup"),
        ("velero.io/v1", "Restore"),
    }
)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_TAG = re.compile(r":v?(\d+\.\d+)(?:[.-][\w.-]+)?$")

_IN_PREP = "Prep fails"
_AFTER = "Prep only warns of it; after the reboot it rolls the upgrade back"
_LATER = "Prep only warns of it; after the reboot it is tried again until the watchdog rolls the upgrade back"
_SPEC = "the Lifecycle Agent's checks of extraManifests in Prep"
_DOCS = "the product documentation of image-based upgrades"


@dataclass(frozen=True)
class ManifestFacts:
    """What is known of the cluster and of the upgrade; None is unknown.

    ``kinds``: of (apiVersion, kind) that the cluster serves, whether their objects are in namespaces.
    ``catalogs``: NAMESPACE/NAME of the cluster's CatalogSources. ``version``: the release to come.
    """

    namespaces: frozenset[str] | None = None
    kinds: t.Mapping[tuple[str, str], bool] | None = None
    catalogs: tuple[str, ...] | None = None
    version: str = ""


NOTHING_KNOWN = ManifestFacts()


def lint(documents: t.Sequence[Document], facts: ManifestFacts = NOTHING_KNOWN) -> list[LintFinding]:
    """Everything that is wrong with these manifests as a whole, which are all of one ImageBasedUpgrade."""
    found: list[LintFinding] = []
    usable: list[Document] = []
    for document in documents:
        errors = list(_unusable(document))
        found += errors
        if not errors:
            usable.append(document)
            found += _alone(document, facts)
    found += _together(usable, facts)
    return found


def finding(
    level: Level,
    rule: str,
    document: Document,
    message: str,
    remedy: str,
    path: t.Sequence[str | int] = (),
    corrected: t.Any = None,
    source: str = _SPEC,
) -> LintFinding:
    """A finding about a field of a document."""
    return LintFinding(
        level,
        rule,
        message,
        remedy,
        file=document.file,
        document=document.index,
        line=document.line_of(path),
        object=object_name(document.value),
        corrected=None if corrected is None else as_yaml(corrected),
        source=source,
    )


def meta_of(value: t.Any) -> t.Mapping[str, t.Any]:
    """The metadata; empty where there is none to speak of."""
    found = value.get("metadata") if isinstance(value, t.Mapping) else None
    return found if isinstance(found, t.Mapping) else {}


def annotations_of(value: t.Any) -> dict[str, str]:
    """The annotations as a Kubernetes client reads them: one that is no string takes all of them away."""
    found = meta_of(value).get("annotations")
    if not isinstance(found, t.Mapping) or any(not isinstance(text, str) for text in found.values()):
        return {}
    return {str(key): str(text) for key, text in found.items()}


def wave_of(value: t.Any) -> int | None:
    """The wave; the last one where none is given, None where it is no integer."""
    text = annotations_of(value).get(WAVE, "")
    if not text:
        return LAST_WAVE
    return int(text) if _INTEGER.fullmatch(text) else None


def in_waves(documents: t.Iterable[Document]) -> list[Document]:
    """In the order in which they will be applied: by wave, then by name."""
    return sorted(documents, key=lambda one: (wave_of(one.value) or 0, str(meta_of(one.value).get("name", ""))))


# --- each document on its own -----------------------------------------------------------------------------------------


def _unusable(document: Document) -> t.Iterator[LintFinding]:
    """What makes Prep fail. Nothing else can be said of such a document."""
    value = document.value

    def error(rule: str, message: str, remedy: str, *path: str, source: str = _SPEC) -> LintFinding:
        return finding(Level.ERROR, rule, document, message, remedy, path, source=source)

    if not isinstance(value, t.Mapping):
        yield error("manifest-kind", f"it is no object; {_IN_PREP}", "give apiVersion, kind and metadata")
        return
    kind, api_version = value.get("kind"), value.get("apiVersion")
    if not isinstance(kind, str) or not kind:
        yield error("manifest-kind", f"it has no kind; {_IN_PREP}", "give apiVersion and kind")
        return
    if not meta_of(value).get("name"):
        items = isinstance(value.get("items"), list)
        remedy = (
            "give its items as documents of their own" if items else "give metadata.name (generateName will not do)"
        )
        yield error("manifest-name", f"it has no name; {_IN_PREP}", remedy, "metadata")
    if (api_version, kind) in FORBIDDEN:
        yield error(
            "manifest-forbidden",
            f"{kind} is not allowed in extra manifests; {_IN_PREP}",
            "leave it out: it has to be in the seed image",
            "kind",
        )
    elif kind in STORAGE_KINDS:
        yield error(
            "manifest-storage-operator",
            f"{kind} must not be an extra manifest; Prep does not refuse it, but volumes are then at stake",
            "leave it out: LVM Storage comes with its Backup and Restore, Local Storage with the agent",
            "kind",
            source=_DOCS,
        )
    if wave_of(value) is None:
        yield error(
            "manifest-wave",
            f"{WAVE} {annotations_of(value)[WAVE]!r} is not an integer; {_IN_PREP}",
            "give a whole number as a string, or leave it out to be last",
            "metadata",
            "annotations",
            WAVE,
        )


def _alone(document: Document, facts: ManifestFacts) -> t.Iterator[LintFinding]:
    value = document.value
    meta = meta_of(value)

    def warning(rule: str, message: str, remedy: str, *path: str, corrected: t.Any = None) -> LintFinding:
        return finding(Level.WARNING, rule, document, message, remedy, path, corrected)

    if not value.get("apiVersion"):
        yield warning("manifest-api-version", f"it has no apiVersion. {_AFTER}", "give it")
    elif facts.kinds is not None and (value["apiVersion"], value["kind"]) not in facts.kinds:
        message = f"the cluster knows no {value['kind']} of {value['apiVersion']}. {_AFTER}, unless the seed knows it"
        yield warning("manifest-kind-unknown", message, "make sure that the seed image has its CRD", "kind")
    for field in ("annotations", "labels"):
        texts = meta.get(field)
        if isinstance(texts, t.Mapping) and any(not isinstance(text, str) for text in texts.values()):
            yield warning(
                "manifest-strings",
                f"metadata.{field} has a value that is no string, so all of them are lost. {_AFTER}",
                "put quotes around it",
                "metadata",
                field,
                corrected=_with_strings(value, field),
            )
    if _needs_namespace(value, facts) and not meta.get("namespace"):
        yield warning(
            "manifest-namespace-missing",
            "it has no namespace and will be made in the namespace default",
            "give metadata.namespace",
            "metadata",
            corrected=_with_namespace(value),
        )
    kind = annotations_of(value).get(APPLY_TYPE, "replace")
    if kind not in ("merge", "replace"):
        yield warning(
            "manifest-apply-type",
            f"{APPLY_TYPE} {kind!r} is not known; the object is replaced",
            "give merge or replace",
            "metadata",
            "annotations",
            APPLY_TYPE,
        )
    for field in ("resourceVersion", "uid", "managedFields"):
        if meta.get(field):
            yield warning(
                "manifest-server-fields",
                f"metadata.{field} belongs to one object of one cluster; creating it with this fails or is ignored",
                "leave it out",
                "metadata",
                field,
                corrected=_without_server_fields(value),
            )
            break
    yield from _catalog_version(document, facts)


def _catalog_version(document: Document, facts: ManifestFacts) -> t.Iterator[LintFinding]:
    """A catalog has to be that of the release to come."""
    value = document.value
    if value["kind"] != "CatalogSource" or not facts.version:
        return
    spec = value.get("spec")
    image = str(spec.get("image") or "") if isinstance(spec, t.Mapping) else ""
    found, wanted = _TAG.search(image), ".".join(facts.version.split(".")[:2])
    if found and found[1] != wanted:
        yield finding(
            Level.WARNING,
            "manifest-catalog-version",
            document,
            f"its image is the catalog of {found[1]}, and the release to come is {facts.version}",
            f"give the catalog of {wanted}",
            ("spec", "image"),
            source=_DOCS,
        )


def _needs_namespace(value: t.Mapping[str, t.Any], facts: ManifestFacts) -> bool:
    key = (str(value.get("apiVersion")), str(value["kind"]))
    if facts.kinds is not None and key in facts.kinds:
        return facts.kinds[key]
    return key in _NAMESPACED


def _with_strings(value: t.Any, field: str) -> t.Any:
    changed = copy.deepcopy(value)
    texts = changed["metadata"][field]
    for key, text in texts.items():
        if not isinstance(text, str):
            texts[key] = {True: "true", False: "false"}[text] if isinstance(text, bool) else str(text or "")
    return changed


def _with_namespace(value: t.Any) -> t.Any:
    changed = copy.deepcopy(value)
    changed["metadata"]["namespace"] = "NAMESPACE"
    return changed


def _without_server_fields(value: t.Any) -> t.Any:
    changed = copy.deepcopy(value)
    for field in ("resourceVersion", "uid", "managedFields", "creationTimestamp", "generation", "selfLink"):
        changed["metadata"].pop(field, None)
    changed.pop("status", None)
    return changed


# --- all together -----------------------------------------------------------------------------------------------------


def _together(documents: t.Sequence[Document], facts: ManifestFacts) -> t.Iterator[LintFinding]:
    ordered = in_waves(documents)
    yield from _twice(ordered)
    yield from _namespaces(ordered, facts)
    yield from _own_kinds(ordered)
    yield from _lost_catalogs(ordered, facts)


def _twice(ordered: t.Sequence[Document]) -> t.Iterator[LintFinding]:
    first: dict[tuple[str, ...], Document] = {}
    for document in ordered:
        value, meta = document.value, meta_of(document.value)
        group = str(value.get("apiVersion") or "").rpartition("/")[0]
        key = (group, str(value["kind"]), str(meta.get("namespace") or ""), str(meta["name"]))
        if key in first:
            other = first[key]
            yield finding(
                Level.WARNING,
                "manifest-duplicate",
                document,
                f"the same object stands in {other.file}:{other.line} too; what is applied last wins",
                "leave one of them out",
            )
        first.setdefault(key, document)


def _namespaces(ordered: t.Sequence[Document], facts: ManifestFacts) -> t.Iterator[LintFinding]:
    made = {
        str(meta_of(document.value)["name"]): position
        for position, document in reversed(list(enumerate(ordered)))
        if (document.value.get("apiVersion"), document.value["kind"]) == ("v1", "Namespace")
    }
    for position, document in enumerate(ordered):
        value = document.value
        namespace = str(meta_of(value).get("namespace") or "")
        # An object of the cluster may carry the field and nobody looks at it.
        cluster_wide = (facts.kinds or {}).get((str(value.get("apiVersion")), str(value["kind"])), True) is False
        there = facts.namespaces is not None and namespace in facts.namespaces
        if not namespace or cluster_wide or there:
            continue
        if namespace in made and made[namespace] > position:
            yield finding(
                Level.WARNING,
                "manifest-namespace-order",
                document,
                f"its namespace {namespace} is made after it. {_LATER}",
                f"give the Namespace a lower {WAVE}",
                ("metadata", "namespace"),
            )
        elif namespace not in made and facts.namespaces is not None:
            yield finding(
                Level.WARNING,
                "manifest-namespace-unknown",
                document,
                f"its namespace {namespace} is neither on the cluster nor among the manifests. {_LATER}, "
                "unless the seed has it",
                "add the Namespace with a lower wave",
                ("metadata", "namespace"),
            )


def _own_kinds(ordered: t.Sequence[Document]) -> t.Iterator[LintFinding]:
    """Objects of a kind that the manifests bring themselves come after its CRD."""
    made: dict[tuple[str, str], int] = {}
    for position, document in enumerate(ordered):
        spec = document.value.get("spec")
        if document.value["kind"] == "CustomResourceDefinition" and isinstance(spec, t.Mapping):
            kind = str((spec.get("names") or {}).get("kind"))
            made[str(spec.get("group")), kind] = position
    for position, document in enumerate(ordered):
        key = (str(document.value.get("apiVersion") or "").rpartition("/")[0], str(document.value["kind"]))
        if made.get(key, -1) > position:
            yield finding(
                Level.WARNING,
                "manifest-crd-order",
                document,
                f"the CRD of its kind comes after it. {_AFTER}",
                f"give the CustomResourceDefinition a lower {WAVE}",
                ("kind",),
            )


def _lost_catalogs(ordered: t.Sequence[Document], facts: ManifestFacts) -> t.Iterator[LintFinding]:
    """After the reboot all CatalogSources are deleted; only those among the manifests come back."""
    kept = set()
    for document in ordered:
        if document.value["kind"] == "CatalogSource":
            meta = meta_of(document.value)
            kept.add(f"{meta.get('namespace') or 'default'}/{meta['name']}")
    for name in facts.catalogs or ():
        default = name.partition("/")[2] in DEFAULT_CATALOGS and name.startswith("openshift-marketplace/")
        if name not in kept and not default:
            yield LintFinding(
                Level.WARNING,
                "manifest-catalog-lost",
                "the CatalogSource is on the cluster and not among the extra manifests; the upgrade removes it",
                "add it to the extra manifests, with the catalog of the release to come",
                object=f"CatalogSource {name}",
                source=_DOCS,
            )


def size_findings(name: str, size: int) -> list[LintFinding]:
    """What a file or ConfigMap of so many bytes is too large for."""

    def one(level: Level, message: str, remedy: str) -> list[LintFinding]:
        return [LintFinding(level, "manifest-size", message, remedy, file=name, source="the Kubernetes API")]

    if size > MOST_BYTES:
        message = f"{size} bytes are more than the {MOST_BYTES} that a ConfigMap may hold"
        return one(Level.ERROR, message, "split it into several ConfigMaps")
    if size > APPLY_BYTES:
        message = f"{size} bytes are more than the {APPLY_BYTES} that fit into the annotation of oc apply"
        return one(
            Level.WARNING, message, "use oc create, oc apply --server-side, or kubernetes.core.k8s without apply"
        )
    return []
