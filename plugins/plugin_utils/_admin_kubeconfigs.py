# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Where an inventory gets the clusters' admin kubeconfigs from: secrets on the hub, or a directory.

A cluster without a usable one gets an exception in place of its kubeconfig; the others are not affected.
"""

from __future__ import annotations

import base64
import binascii
import concurrent.futures
import os
import threading
import time
import typing as t

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

# The parser in C takes a tenth of the time, which counts with thousands of kubeconfigs.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_THREADS = 16
_ATTEMPTS = 3
_LONGEST_PAUSE = 5.0
# Repeating these cannot help.
_FINAL_KINDS = frozenset({"missing", "rights", "session", "tls"})

_CLUSTER_FIELDS = (
    "server",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "proxy-url",
)
_USER_FIELDS = ("client-certificate-data", "client-key-data", "token")

# What ibu_kubeconfig becomes, or why there is none.
Found = dict[str, t.Any] | str | IbuError


class NoRights(IbuError):
    """The account may not read a secret."""


class Secrets(t.NamedTuple):
    """Which secret of the hub holds a cluster's kubeconfig; ``{cluster}`` stands for its name."""

    namespace: str
    name: str
    key: str
    label_selector: str | None = None

    def place(self, cluster: str) -> tuple[str, str]:
        """Namespace and name of a cluster's secret."""
        return self.namespace.replace("{cluster}", cluster), self.name.replace("{cluster}", cluster)


class SecretReader:
    """Reads the secrets of many clusters: in pages by label where there is a selector, else one by one in parallel."""

    def __init__(
        self,
        open_hub: t.Callable[[], Session],
        secrets: Secrets,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._open_hub = open_hub
        self._secrets = secrets
        self._sleep = sleep
        self._local = threading.local()
        self._sessions: list[Session] = []

    def read(self, clusters: t.Sequence[str]) -> dict[str, Found]:
        """The kubeconfig of every cluster as a mapping, or why there is none."""
        try:
            listed = self._listed(clusters)
            missing = [cluster for cluster in clusters if cluster not in listed]
            with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
                return {**listed, **dict(zip(missing, pool.map(self._one, missing), strict=True))}
        finally:
            for session in self._sessions:
                session.close()

    def _listed(self, clusters: t.Sequence[str]) -> dict[str, Found]:
        """What one listing over all namespaces yields: nothing without the rights, and perhaps not every cluster."""
        if not self._secrets.label_selector:
            return {}
        try:
            documents = self._session().list("/api/v1/secrets", labelSelector=self._secrets.label_selector)
        except Unanswered:
            # To read them one by one takes fewer rights, and names the clusters that it fails for.
            return {}
        by_place = {(entry["metadata"]["namespace"], entry["metadata"]["name"]): entry for entry in documents}
        found = {cluster: by_place.get(self._secrets.place(cluster)) for cluster in clusters}
        return {cluster: self._kubeconfig(cluster, entry) for cluster, entry in found.items() if entry}

    def _one(self, cluster: str) -> Found:
        namespace, name = self._secrets.place(cluster)
        try:
            document = self._get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except NotThere:
            return IbuError(f"the hub has no secret {namespace}/{name}")
        except Unanswered as error:
            text = f"the hub did not give the secret {namespace}/{name}: {error}"
            return NoRights(text) if error.kind == "rights" else IbuError(text)
        except IbuError as error:
            return IbuError(f"the hub did not give the secret {namespace}/{name}: {error}")
        return self._kubeconfig(cluster, document)

    def _get(self, path: str) -> dict[str, t.Any]:
        """A moment of trouble on the hub must not cost a cluster its connection for the whole run."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._session().get(path).document
            except Unanswered as error:
                if error.kind in _FINAL_KINDS or attempt == _ATTEMPTS:
                    raise
                self._sleep(min(error.retry_after or 0.2 * attempt, _LONGEST_PAUSE))
        raise AssertionError("not reached")

    def _session(self) -> Session:
        """This thread's own."""
        if not hasattr(self._local, "session"):
            self._local.session = self._open_hub()
            self._sessions.append(self._local.session)
        return t.cast("Session", self._local.session)

    def _kubeconfig(self, cluster: str, document: t.Mapping[str, t.Any]) -> Found:
        namespace, name = self._secrets.place(cluster)
        try:
            return kubeconfig_of_secret(document, self._secrets.key)
        except IbuError as error:
            return IbuError(f"secret {namespace}/{name} on the hub: {error}")


def kubeconfig_of_secret(document: t.Mapping[str, t.Any], key: str) -> dict[str, t.Any]:
    """The kubeconfig in a Secret, reduced to what a connection needs. Raises IbuError, which never quotes it."""
    data = document.get("data") or {}
    if not data.get(key):
        raise IbuError(f"it has no key {key!r}")
    try:
        parsed = yaml.load(base64.b64decode(data[key], validate=True), _LOADER)  # noqa: S506 - a safe loader
    except (binascii.Error, ValueError, yaml.YAMLError):
        # A parser's message would quote the file.
        raise IbuError(f"the value of {key!r} is not YAML") from None
    return reduced_kubeconfig(parsed)


def reduced_kubeconfig(document: object) -> dict[str, t.Any]:
    """The current context alone, with inline data alone. Raises IbuError.

    Whoever may write the secret must not choose which command runs or which file is read on the controller, so
    ``exec``, ``auth-provider`` and paths are not taken over.
    """
    if not isinstance(document, dict):
        raise IbuError("it holds no kubeconfig")
    context = _entry(document, "contexts", document.get("current-context"), "context")
    cluster = _entry(document, "clusters", context.get("cluster"), "cluster")
    user = _entry(document, "users", context.get("user"), "user")
    kept_user = {name: user[name] for name in _USER_FIELDS if user.get(name)}
    if not str(cluster.get("server", "")).startswith("https://"):
        raise IbuError("its kubeconfig names no https server")
    if "token" not in kept_user and not {"client-certificate-data", "client-key-data"} <= set(kept_user):
        raise IbuError(
            "its kubeconfig has no inline credential (client-certificate-data with client-key-data, or token)"
        )
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin",
        "clusters": [
            {"name": "cluster", "cluster": {name: cluster[name] for name in _CLUSTER_FIELDS if name in cluster}}
        ],
        "users": [{"name": "admin", "user": kept_user}],
        "contexts": [{"name": "admin", "context": {"cluster": "cluster", "user": "admin"}}],
    }


def _entry(document: t.Mapping[str, t.Any], section: str, name: object, inner: str) -> dict[str, t.Any]:
    entries = document.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(inner), dict):
            return t.cast("dict[str, t.Any]", entry[inner])
    raise IbuError(f"its kubeconfig has no {inner} for the current context")


def files_in(directory: str, template: str, clusters: t.Iterable[str]) -> dict[str, Found]:
    """The path of every cluster's kubeconfig in a directory, or why there is none."""
    base = os.path.abspath(os.path.expanduser(directory))
    found: dict[str, Found] = {}
    for cluster in clusters:
        path = os.path.join(base, template.replace("{cluster}", cluster))
        found[cluster] = path if os.access(path, os.R_OK) else IbuError(f"no kubeconfig can be read at {path}")
    return found
