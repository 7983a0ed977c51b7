# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Collecting logs: what, with which images, and whether it is needed. Values in, values out; no I/O, no clock."""

from __future__ import annotations

import datetime
import enum
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import parse_time
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Observed, State

AGENT_NAMESPACE = "openshift-lifecycle-agent"
OADP_NAMESPACE = "openshift-adp"
AGENT_DEPLOYMENT = f"/apis/apps/v1/namespaces/{AGENT_NAMESPACE}/deployments/lifecycle-agent-controller-manager"
OADP_CSVS = f"/apis/operators.coreos.com/v1alpha1/namespaces/{OADP_NAMESPACE}/clusterserviceversions"

# What Idle would delete: the failed stateroot with its logs, and the history. A rollback that somebody has asked for
# had a cause too, and nobody knows what an unknown state means.
_EVIDENCE = frozenset(
    {
        State.PREP_FAILED,
        State.UPGRADE_FAILED_PRE_PIVOT,
        State.UPGRADE_FAILED_POST_PIVOT,
        State.ROLLED_BACK,
        State.ROLLBACK_FAILED,
        State.ROLLBACK_COMPLETED,
        State.ABORT_FAILED,
        State.FINALIZE_FAILED,
        State.INVALID_TRANSITION,
        State.UNKNOWN,
    }
)

# What runs the new release and can still be asked about it. After the reboot of a rollback only its disk is there.
_NEW_RELEASE = frozenset({State.UPGRADE_POST_PIVOT, State.UPGRADE_FAILED_POST_PIVOT, State.UPGRADE_COMPLETED})

_IMAGE_NOTE = "operators.openshift.io/must-gather-image"
_IMAGE = re.compile(r"[^\s,]+[/:@][^\s,]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MADE = re.compile(r"\b(namespace|clusterrolebinding\.rbac\.authorization\.k8s\.io)/(\S+) (created|deleted)\b")


class Method(str, enum.Enum):
    """How the logs of one cluster are collected."""

    AUTO = "auto"
    OC = "oc"
    API = "api"


class Source(str, enum.Enum):
    """An image that is found on the cluster itself."""

    AGENT = "lifecycle-agent"
    OADP = "oadp"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Kind:
    """A collection that is read through the API: of the cluster, of one namespace, or with ``namespace="*"`` of all.

    Without an ``essential`` one the collection is no evidence.
    """

    api: str
    plural: str
    namespace: str = ""
    essential: bool = False

    @property
    def path(self) -> str:
        """Where the API has it."""
        base = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        place = f"/namespaces/{self.namespace}" if self.namespace not in ("", "*") else ""
        return f"{base}{place}/{self.plural}"

    @property
    def file(self) -> str:
        """Its file in the archive."""
        group = self.api.partition("/")[0] if "/" in self.api else ""
        name = f"{self.plural}.{group}" if group else self.plural
        place = {"": "cluster", "*": "all-namespaces"}.get(self.namespace, f"namespaces/{self.namespace}")
        return f"{place}/{name}.yaml"

    @property
    def title(self) -> str:
        """For messages."""
        place = {"": "", "*": " of all namespaces"}.get(self.namespace, f" in {self.namespace}")
        return f"{self.plural}{place}"


# Never Secrets, and no ConfigMaps: those hold whole manifests, Secrets among them.
KINDS: tuple[Kind, ...] = (
    Kind("lca.openshift.io/v1", "imagebasedupgrades", essential=True),
    Kind("lca.openshift.io/v1", "ipconfigs"),
    Kind("lca.openshift.io/v1", "seedgenerators"),
    Kind("apps/v1", "deployments", AGENT_NAMESPACE),
    Kind("batch/v1", "jobs", AGENT_NAMESPACE),
    Kind("v1", "pods", AGENT_NAMESPACE, essential=True),
    Kind("v1", "events", AGENT_NAMESPACE),
    Kind("operators.coreos.com/v1alpha1", "clusterserviceversions", AGENT_NAMESPACE),
    Kind("config.openshift.io/v1", "clusterversions"),
    Kind("config.openshift.io/v1", "clusteroperators"),
    Kind("config.openshift.io/v1", "infrastructures"),
    Kind("config.openshift.io/v1", "proxies"),
    Kind("config.openshift.io/v1", "networks"),
    Kind("machineconfiguration.openshift.io/v1", "machineconfigpools"),
    Kind("certificates.k8s.io/v1", "certificatesigningrequests"),
    Kind("v1", "nodes"),
    Kind("v1", "persistentvolumes"),
    Kind("topolvm.io/v1", "logicalvolumes"),
    Kind("oadp.openshift.io/v1alpha1", "dataprotectionapplications", OADP_NAMESPACE),
    Kind("velero.io/v1", "backupstoragelocations", OADP_NAMESPACE),
    Kind("velero.io/v1", "backups", OADP_NAMESPACE),
    Kind("velero.io/v1", "restores", OADP_NAMESPACE),
    Kind("velero.io/v1", "deletebackuprequests", OADP_NAMESPACE),
    Kind("operators.coreos.com/v1alpha1", "clusterserviceversions", OADP_NAMESPACE),
    Kind("apps/v1", "deployments", OADP_NAMESPACE),
    Kind("v1", "pods", OADP_NAMESPACE),
    Kind("v1", "events", OADP_NAMESPACE),
    Kind("v1", "persistentvolumeclaims", "*"),
    Kind("v1", "events", "*"),
)


@dataclass(frozen=True)
class Log:
    """The log of one container; ``previous`` is that of the run before its last restart."""

    namespace: str
    pod: str
    container: str
    previous: bool = False

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/log"

    @property
    def query(self) -> dict[str, str]:
        """Which one is meant."""
        return {"container": self.container, "timestamps": "true", **({"previous": "true"} if self.previous else {})}

    @property
    def file(self) -> str:
        """Its file in the archive."""
        name = f"{safe_name(self.container)}{'.previous' if self.previous else ''}.log"
        return f"namespaces/{self.namespace}/pods/{safe_name(self.pod)}/{name}"


def logs_of(pods: t.Iterable[t.Mapping[str, t.Any]]) -> list[Log]:
    """The logs that these pods can have: of every container that has started, and of its run before a restart."""
    found: list[Log] = []
    for pod in pods:
        meta, status = pod.get("metadata") or {}, pod.get("status") or {}
        known = [one for key in ("initContainerStatuses", "containerStatuses") for one in status.get(key) or ()]
        for one in known:
            if "waiting" in (one.get("state") or {}) and not one.get("restartCount"):
                continue
            log = Log(str(meta.get("namespace")), str(meta.get("name")), str(one.get("name")))
            found.append(log)
            if one.get("restartCount"):
                found.append(Log(log.namespace, log.pod, log.container, previous=True))
    return found


def has_evidence(observed: Observed) -> bool:
    """True where something has failed, and the way back to Idle would delete what shows why."""
    return observed.state in _EVIDENCE


def is_wanted(observed: Observed | None, only_failed: bool, before_rollback: bool) -> bool:
    """Whether to collect from a cluster: from all, or from those that one of the two ways back takes something from."""
    if not only_failed and not before_rollback:
        return True
    if observed is None:
        return False
    return (only_failed and has_evidence(observed)) or (before_rollback and observed.state in _NEW_RELEASE)


# --- archives -----------------------------------------------------------------------------------------------------


def safe_name(name: str) -> str:
    """A name that is one plain part of a path."""
    return _UNSAFE.sub("_", name).lstrip(".") or "_"


def archive_name(host: str, now: datetime.datetime) -> str:
    """The name of an archive and of the folder in it."""
    return f"{safe_name(host)}-{now:%Y%m%dT%H%M%SZ}"


def fingerprint(observed: Observed | None) -> dict[str, t.Any]:
    """What an archive shows: two archives with the same one show the same failure."""
    if observed is None:
        return {"state": "unknown", "stage": None, "since": None, "uid": None}
    since = observed.since.isoformat().replace("+00:00", "Z") if observed.since else None
    return {"state": str(observed.state), "stage": observed.stage, "since": since, "uid": observed.uid}


def is_current(
    manifest: t.Mapping[str, t.Any], shows: t.Mapping[str, t.Any], now: datetime.datetime, max_age: float
) -> bool:
    """True for an archive of the very state that the cluster is in, and no older than so many seconds."""
    taken = _time(manifest.get("collected"))
    if taken is None or manifest.get("shows") != dict(shows):
        return False
    return 0 <= (now - taken).total_seconds() < max_age


def is_enough(manifest: t.Mapping[str, t.Any], method: Method, has_oc: bool) -> bool:
    """True unless ``oc`` could collect more now than the archive has: what the API has lacks the host's own logs."""
    if manifest.get("method") == Method.OC.value or not has_oc:
        return True
    return method is Method.AUTO and bool(manifest.get("tried_oc"))


def _time(text: t.Any) -> datetime.datetime | None:
    try:
        return parse_time(str(text)) if text else None
    except ValueError:
        return None


# --- must-gather --------------------------------------------------------------------------------------------------


def check_images(option: str, images: t.Sequence[str]) -> None:
    """Raise InvalidOption unless every item is a word that names an image of the cluster, or an image itself."""
    words = ", ".join(source.value for source in Source)
    if not images:
        raise InvalidOption(option, list(images), f"give at least one of {words}, or an image")
    for image in images:
        if image not in {source.value for source in Source} and not _IMAGE.fullmatch(image):
            raise InvalidOption(option, image, f"give {words}, or an image as REGISTRY/PATH:TAG")


def agent_image(deployment: t.Mapping[str, t.Any]) -> str | None:
    """The Lifecycle Agent's own image, which is its must-gather image too."""
    spec = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    return next((str(c["image"]) for c in spec.get("containers") or () if c.get("name") == "manager"), None)


def operator_image(csvs: t.Iterable[t.Mapping[str, t.Any]]) -> str | None:
    """The must-gather image that an installed operator names: in its annotation, or among the images it needs."""
    for csv in csvs:
        if noted := ((csv.get("metadata") or {}).get("annotations") or {}).get(_IMAGE_NOTE):
            return str(noted)
        for related in (csv.get("spec") or {}).get("relatedImages") or ():
            words = f"{related.get('name')} {related.get('image')}".replace("-", "").replace("_", "").lower()
            if "mustgather" in words and related.get("image"):
                return str(related["image"])
    return None


def oc_arguments(images: t.Sequence[str], folder: str, seconds: float) -> list[str]:
    """``oc adm must-gather`` with these images; the word ``cluster`` is the cluster's own."""
    arguments = ["adm", "must-gather", f"--dest-dir={folder}", f"--timeout={max(1, int(seconds))}s"]
    for image in images:
        arguments.append("--image-stream=openshift/must-gather" if image == Source.CLUSTER else f"--image={image}")
    return arguments


def left_behind(log: str) -> list[tuple[str, str]]:
    """What ``oc adm must-gather`` said that it made and did not say that it deleted: kind and name."""
    left: dict[tuple[str, str], None] = {}
    for kind, name, what in _MADE.findall(log):
        found = (kind.partition(".")[0], name)
        if what == "created":
            left[found] = None
        else:
            left.pop(found, None)
    # The names are the tool's own; nothing else that a log may speak of is ours to delete.
    return [(kind, name) for kind, name in left if name.startswith(("openshift-must-gather-", "must-gather-"))]


# --- kubeconfig ---------------------------------------------------------------------------------------------------


def kubeconfig_for(
    options: t.Mapping[str, t.Any], document: t.Mapping[str, t.Any] | None, base: str
) -> dict[str, t.Any]:
    """A kubeconfig that says what kubernetes.core's options say, with the one context that is meant.

    ``document`` is the kubeconfig that the options name, ``base`` the folder its relative paths count from.
    """
    cluster: dict[str, t.Any] = {}
    user: dict[str, t.Any] = {}
    if document is not None:
        cluster, user = _context_of(document, options.get("context"))
    cluster = _with_absolute(cluster, ("certificate-authority",), base)
    user = _with_absolute(user, ("client-certificate", "client-key", "tokenFile"), base)
    for option, key in (("host", "server"), ("proxy", "proxy-url")):
        if options.get(option):
            cluster[key] = str(options[option])
    if options.get("ca_cert"):
        cluster.pop("certificate-authority-data", None)
        cluster["certificate-authority"] = str(options["ca_cert"])
    if options.get("validate_certs") is not None:
        _set_verification(cluster, bool(options["validate_certs"]))
    for option, key in (("client_cert", "client-certificate"), ("client_key", "client-key")):
        if options.get(option):
            user.pop(f"{key}-data", None)
            user[key] = str(options[option])
    if options.get("api_key"):
        user.pop("tokenFile", None)
        user["token"] = str(options["api_key"])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "context",
    }


def _context_of(document: t.Mapping[str, t.Any], name: str | None) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    context = _named(document, "contexts", "context", name or document.get("current-context"))
    cluster = _named(document, "clusters", "cluster", context.get("cluster"))
    user = _named(document, "users", "user", context.get("user")) if context.get("user") else {}
    return cluster, user


def _named(document: t.Mapping[str, t.Any], section: str, inner: str, name: t.Any) -> dict[str, t.Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return dict(entry.get(inner) or {})
    return {}


def _with_absolute(entry: dict[str, t.Any], keys: t.Iterable[str], base: str) -> dict[str, t.Any]:
    for key in keys:
        if entry.get(key) and not str(entry[key]).startswith("/"):
            entry[key] = f"{base.rstrip('/')}/{entry[key]}"
    return entry


def _set_verification(cluster: dict[str, t.Any], verify: bool) -> None:
    cluster.pop("insecure-skip-tls-verify", None)
    if not verify:
        # The tool refuses a CA beside it.
        cluster.pop("certificate-authority", None)
        cluster.pop("certificate-authority-data", None)
        cluster["insecure-skip-tls-verify"] = True
