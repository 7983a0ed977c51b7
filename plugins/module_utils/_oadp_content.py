# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Backups and Restores as the OADP lint sees them: parts of documents with any content, and a place for findings."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import LintFinding, object_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import API_VERSION, BACKUP, NAMESPACE, RESTORE
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_rules import RULES

APPLY_WAVE = "lca.openshift.io/apply-wave"
APPLY_LABEL = "lca.openshift.io/apply-label"
STORAGE_LABEL = "velero.io/storage-location"
BACKUP_LABEL = "lca.openshift.io/backup"
LAST_WAVE = 2147483647
LVMS, LSO = "lvms", "lso"

AGENT_NAMESPACE = "open-cluster-management-agent"
IBU_ROLE = "rbac.authorization.k8s.io/v1/clusterroles/open-cluster-management:klusterlet-work:ibu-role"
PULL_SECRET = f"v1/secrets/{AGENT_NAMESPACE}/open-cluster-management-image-pull-credentials"
PRIORITY_CLASS = "scheduling.k8s.io/v1/priorityclasses/klusterlet-critical"
LVMS_RESOURCES = ("lvmclusters", "lvmvolumegroups", "lvmvolumegroupnodestatuses")

Fix = t.Callable[[dict[str, t.Any]], None]
Path = tuple[t.Union[str, int], ...]  # noqa: UP007

_FILTER = re.compile("(included|excluded)[A-Z]")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class LintFacts:
    """What is known of the cluster that the content is for; None is not known.

    ``storage``: which of LVM Storage and the Local Storage Operator are there. ``hub``: whether it has a klusterlet.
    ``through_hub``: whether an ImageBasedGroupUpgrade will drive it. ``objects``: of apply-label, what the API said to
    a dry run patch; an empty text is success. ``missing``: those of them that do not exist. ``refusals``: what the API
    said to dry runs of Backups and Restores, by kind and name. ``operators``: names of the ClusterServiceVersions in
    openshift-adp. ``seed``: the cluster is a seed cluster; ``seed_oadp``: the OADP version that a seed record has.
    """

    storage: frozenset[str] | None = None
    hub: bool | None = None
    through_hub: bool | None = None
    objects: t.Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    refusals: t.Mapping[tuple[str, str], str] = field(default_factory=dict)
    operators: tuple[str, ...] | None = None
    applications: tuple[t.Mapping[str, t.Any], ...] | None = None
    locations: tuple[t.Mapping[str, t.Any], ...] | None = None
    secrets: frozenset[str] | None = None
    seed: bool = False
    seed_oadp: str | None = None


NOTHING_KNOWN = LintFacts()


class Target(t.NamedTuple):
    """One object of apply-label, as the agent understands the text."""

    item: str
    group: str
    version: str
    resource: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Its address at the API server."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        space = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{space}/{self.resource}/{self.name}"


def target_of(item: str) -> Target | None:
    """The object that is named; None where there can be none of such a name."""
    if any(not part or re.search(r"\s", part) for part in item.split("/")):
        return None
    return target_by_parts(item)


def target_by_parts(item: str) -> Target | None:
    """As the agent does it, which only counts the parts: three to five, whatever they hold.

    Four of them that begin with exactly v1 are a namespaced object of the core group.
    """
    parts = item.split("/")
    if len(parts) == 5:
        return Target(item, *parts)
    if len(parts) == 4 and parts[0] == "v1":
        return Target(item, "", *parts)
    if len(parts) == 4:
        group, version, resource, name = parts
        return Target(item, group, version, resource, "", name)
    if len(parts) == 3:
        version, resource, name = parts
        return Target(item, "", version, resource, "", name)
    return None


@dataclass(frozen=True)
class Item:
    """One Backup or Restore; whatever has the wrong type counts as empty."""

    document: Document

    @property
    def value(self) -> dict[str, t.Any]:
        """The whole document."""
        return t.cast("dict[str, t.Any]", self.document.value)

    @property
    def kind(self) -> str:
        """Backup or Restore."""
        return str(self.value.get("kind"))

    @property
    def metadata(self) -> dict[str, t.Any]:
        """Its metadata."""
        return mapping(self.value, "metadata")

    @property
    def name(self) -> str:
        """Its name, or nothing."""
        name = self.metadata.get("name")
        return name if isinstance(name, str) else ""

    @property
    def spec(self) -> dict[str, t.Any]:
        """Its spec."""
        return mapping(self.value, "spec")

    @property
    def backup_name(self) -> str:
        """Of a Restore, the Backup that it names."""
        name = self.spec.get("backupName")
        return name if isinstance(name, str) else ""

    @property
    def wave(self) -> int | None:
        """Its wave; None where the annotation cannot be read."""
        text = mapping(self.metadata, "annotations").get(APPLY_WAVE)
        if text is None or text == "":
            return LAST_WAVE
        return int(text) if isinstance(text, str) and _WHOLE_NUMBER.fullmatch(text) else None

    @property
    def items(self) -> list[str]:
        """The objects of apply-label, as they stand there; nothing where there is no such annotation."""
        text = mapping(self.metadata, "annotations").get(APPLY_LABEL)
        return text.split(",") if isinstance(text, str) and text else []

    @property
    def targets(self) -> list[Target]:
        """The objects of apply-label that can be understood."""
        return [target for target in map(target_of, self.items) if target]

    def texts(self, key: str) -> list[str]:
        """The strings of a list in the spec."""
        return strings(self.spec.get(key))

    @property
    def filters(self) -> dict[str, t.Any]:
        """What the spec includes and excludes, and what it restores, without values of wrong types."""
        status = mapping(self.spec, "restoreStatus")
        found: dict[str, t.Any] = {key: strings(value) for key, value in self.spec.items() if _FILTER.match(str(key))}
        found["restoreStatus"] = {key: strings(value) for key, value in status.items()}
        for key in ("restorePVs", "includeClusterResources"):
            if isinstance(self.spec.get(key), bool):
                found[key] = self.spec[key]
        return found

    @property
    def is_klusterlet(self) -> bool:
        """True for a Backup of the klusterlet."""
        named = [target.namespace for target in self.targets] + self.texts("includedNamespaces")
        cluster = {resource_of(one) for one in self.texts("includedClusterScopedResources")}
        return AGENT_NAMESPACE in named or "klusterlets" in cluster or "klusterlet" in self.name

    @property
    def is_lvms(self) -> bool:
        """True for a Backup of LVM Storage's own objects."""
        listed = self.texts("includedNamespaceScopedResources") + self.texts("includedResources")
        named = {resource_of(one) for one in listed} | {target.resource for target in self.targets}
        return bool(named & set(LVMS_RESOURCES))

    @property
    def is_platform(self) -> bool:
        """True for a Backup that is not an application's."""
        return self.is_klusterlet or self.is_lvms


@dataclass(frozen=True)
class Pair:
    """A Backup and the first Restore that names it."""

    backup: Item
    restore: Item


@dataclass(frozen=True)
class Content:
    """Everything that is linted together."""

    backups: tuple[Item, ...] = ()
    restores: tuple[Item, ...] = ()
    config_maps: tuple[Document, ...] = ()
    applications: tuple[Document, ...] = ()
    upgrades: tuple[Document, ...] = ()
    others: tuple[Document, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """Backups, then Restores."""
        return self.backups + self.restores

    @property
    def pairs(self) -> list[Pair]:
        """Every Backup that has a Restore."""
        by_name: dict[str, Item] = {}
        for restore in self.restores:
            by_name.setdefault(restore.backup_name, restore)
        return [Pair(one, by_name[one.name]) for one in self.backups if one.name and one.name in by_name]


@dataclass
class Fault:
    """A finding in the making. ``fix`` corrects a copy of the document, where that is certain."""

    rule: str
    document: Document
    path: Path
    message: str
    remedy: str
    fix: Fix | None = None

    def finding(self, corrected: str | None) -> LintFinding:
        """What is reported."""
        rule = RULES[self.rule]
        return LintFinding(
            rule.level, self.rule, self.message, self.remedy, self.document.file, self.document.index,
            self.document.line_of(self.path), object_name(self.document.value), corrected, self.document.inside,
        )  # fmt: skip


NOWHERE = Document("", 0, 0, None)


class Notes:
    """Collects faults. What concerns no document is noted at NOWHERE."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(
        self, rule: str, where: Item | Document, path: Path, message: str, remedy: str, fix: Fix | None = None
    ) -> None:
        """One more."""
        document = where.document if isinstance(where, Item) else where
        self.faults.append(Fault(rule, document, path, message, remedy, fix))


# --- parts of documents -------------------------------------------------------------------------------------------


def mapping(value: t.Any, key: str) -> dict[str, t.Any]:
    """A part that is an object; an empty one where it is anything else."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def strings(value: t.Any) -> list[str]:
    """The strings of a list, and nothing of anything else."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def is_ours(value: t.Any) -> bool:
    """True for what the agent takes for a Backup or Restore."""
    return isinstance(value, dict) and value.get("apiVersion") == API_VERSION and value.get("kind") in (BACKUP, RESTORE)


_SHORT = {
    "cm": "configmaps", "crd": "customresourcedefinitions", "crds": "customresourcedefinitions",
    "deploy": "deployments", "ds": "daemonsets", "ep": "endpoints", "ing": "ingresses", "ns": "namespaces",
    "po": "pods", "pv": "persistentvolumes", "pvc": "persistentvolumeclaims", "rs": "replicasets",
    "sa": "serviceaccounts", "sc": "storageclasses", "sts": "statefulsets", "svc": "services",
}  # fmt: skip


def resource_of(text: str) -> str:
    """The plural, lower case name of a resource, without its group: Velero takes any case, one or many, short names."""
    word = text.lower().partition(".")[0]
    word = _SHORT.get(word, word)
    if word in SCOPES or word == "*":
        return word
    for plural in (f"{word}s", f"{word}es", f"{word[:-1]}ies"):
        if plural in SCOPES:
            return plural
    return word


_NAMESPACED = """configmaps controllerrevisions cronjobs daemonsets deployments endpoints endpointslices events
 horizontalpodautoscalers imagestreams ingresses jobs leases limitranges localvolumes localvolumesets
 localvolumediscoveries lvmclusters lvmvolumegroups lvmvolumegroupnodestatuses networkattachmentdefinitions
 networkpolicies packagemanifests persistentvolumeclaims poddisruptionbudgets podmetrics pods replicasets
 replicationcontrollers resourcequotas rolebindings roles routes secrets serviceaccounts services statefulsets
 volumesnapshots backups restores subscriptions operatorgroups"""
_CLUSTER_SCOPED = """clusterrolebindings clusterroles customresourcedefinitions klusterlets logicalvolumes
 mutatingwebhookconfigurations namespaces nodes persistentvolumes priorityclasses runtimeclasses
 securitycontextconstraints storageclasses validatingwebhookconfigurations volumesnapshotclasses
 volumesnapshotcontents csidrivers csinodes volumeattachments apiservices"""
# True for namespaced resources. What is not here has a scope that is not known.
SCOPES: t.Mapping[str, bool] = {
    **dict.fromkeys(_NAMESPACED.split(), True),
    **dict.fromkeys(_CLUSTER_SCOPED.split(), False),
}


def names(listed: t.Iterable[str], resource: str) -> bool:
    """True where a list of resources has this one, or all."""
    return any(resource_of(one) in ("*", resource) for one in listed)


def set_path(value: dict[str, t.Any], path: t.Sequence[str], new: t.Any) -> None:
    """Put a value into nested objects, which are made where they are missing."""
    for key in path[:-1]:
        if not isinstance(value.get(key), dict):
            value[key] = {}
        value = value[key]
    value[path[-1]] = new


def append_to(value: dict[str, t.Any], key: str, new: t.Iterable[str]) -> None:
    """Add to a list of the spec what is not in it yet."""
    present = strings(mapping(value, "spec").get(key))
    set_path(value, ("spec", key), [*present, *(one for one in new if one not in present)])


def same_namespace(value: t.Any) -> bool:
    """True for an object in OADP's namespace."""
    return mapping(value, "metadata").get("namespace") == NAMESPACE
