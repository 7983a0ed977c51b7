# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a hub's ManagedCluster documents mean for an inventory: hosts, variables, groups. Only ``fetch`` does I/O."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import MANAGED_CLUSTERS
from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import Selector, matches_any
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

ALL_CLUSTERS = "managed_clusters"
WITHOUT_CONNECTION = "clusters_without_connection"

# kubernetes.core's options that a session uses. The others are for credentials that OpenShift does not take.
HUB_PATHS = ("ca_cert", "client_cert", "client_key")
HUB_PLAIN = ("context", "host", "validate_certs", "no_proxy")
HUB_OPTIONS = ("kubeconfig", "api_key", "proxy", "proxy_headers", *HUB_PATHS, *HUB_PLAIN)

_VERSION_CLAIM = "version.openshift.io"
_VERSION_LABEL = "openshiftVersion"
_AVAILABLE = "ManagedClusterConditionAvailable"
_GROUP_OF_STATUS = {"True": "clusters_available", "False": "clusters_unavailable"}
_UNKNOWN_GROUP = "clusters_unknown"

_IBGU_LABEL = re.compile(r"lcm\.openshift\.io/ibgu-([a-z]+)-(completed|failed)")
_IBGU_COMPLETED = ("prep", "upgrade", "rollback")
_IBGU_FAILED = (*_IBGU_COMPLETED, "abort", "abortonfailure", "finalizeupgrade", "finalizerollback")

# Longer queries may not get through a load balancer; then all clusters are listed and selected here.
_LONGEST_QUERY = 4000


@dataclasses.dataclass(frozen=True)
class ManagedCluster:
    """What the inventory keeps of a ManagedCluster. It holds nothing secret, so this is also what is cached."""

    name: str
    labels: dict[str, str]
    claims: dict[str, str]
    availability: str
    url: str | None

    @classmethod
    def of(cls, document: t.Mapping[str, t.Any]) -> ManagedCluster:
        """From the hub's document, however much of it there is yet."""
        meta, status = document["metadata"], document.get("status") or {}
        conditions = {entry.get("type"): entry.get("status") for entry in status.get("conditions") or ()}
        configs = (document.get("spec") or {}).get("managedClusterClientConfigs") or ()
        return cls(
            name=meta["name"],
            labels=dict(meta.get("labels") or {}),
            claims={entry["name"]: entry.get("value", "") for entry in status.get("clusterClaims") or ()},
            availability=conditions.get(_AVAILABLE) or "Unknown",
            url=next((config["url"] for config in configs if config.get("url")), None),
        )

    @property
    def version(self) -> str | None:
        """The OpenShift release that the cluster has reported."""
        return self.claims.get(_VERSION_CLAIM) or self.labels.get(_VERSION_LABEL) or None

    @property
    def variables(self) -> dict[str, t.Any]:
        """The host variables that come from the hub."""
        return {
            "ibu_managed_cluster": self.name,
            "ibu_managed_cluster_labels": self.labels,
            "ibu_managed_cluster_claims": self.claims,
            "ibu_managed_cluster_version": self.version,
            "ibu_managed_cluster_available": self.availability == "True",
            "ibu_managed_cluster_url": self.url,
        }

    @property
    def groups(self) -> list[str]:
        """The groups that the cluster is in."""
        found = [ALL_CLUSTERS, _GROUP_OF_STATUS.get(self.availability, _UNKNOWN_GROUP)]
        for label in self.labels:
            if match := _IBGU_LABEL.fullmatch(label):
                found.append(f"ibgu_{match[1]}_{match[2]}")
        return found


def standing_groups() -> list[str]:
    """Groups that are there without members too, so that a playbook may name them at any time."""
    return [
        ALL_CLUSTERS,
        *_GROUP_OF_STATUS.values(),
        _UNKNOWN_GROUP,
        WITHOUT_CONNECTION,
        *(f"ibgu_{action}_completed" for action in _IBGU_COMPLETED),
        *(f"ibgu_{action}_failed" for action in _IBGU_FAILED),
    ]


def queries(selectors: t.Sequence[Selector] | None) -> list[str]:
    """The values of ``labelSelector`` whose answers together hold every selected cluster; empty stands for all."""
    if selectors is None:
        return [""]
    found = sorted({selector.query for selector in selectors})
    return [""] if any(len(query) > _LONGEST_QUERY for query in found) or "" in found else found


def fetch(session: Session, selectors: t.Sequence[Selector] | None) -> list[ManagedCluster]:
    """The selected clusters by name; all of them where ``selectors`` is None. Raises IbuError that says what to do."""
    found: dict[str, ManagedCluster] = {}
    for query in queries(selectors):
        for document in _each(session, query):
            cluster = ManagedCluster.of(document)
            if selectors is None or matches_any(selectors, cluster.labels):
                found[cluster.name] = cluster
    return [found[name] for name in sorted(found)]


def _each(session: Session, query: str) -> t.Iterator[dict[str, t.Any]]:
    """The hub's documents one by one: thousands of them at once would cost ten times what is kept of them."""
    try:
        selector: dict[str, t.Any] = {"labelSelector": query} if query else {}
        yield from session.items(MANAGED_CLUSTERS, **selector)
    except NotThere as error:
        raise IbuError(
            f"{session.url} knows no ManagedClusters: Advanced Cluster Management is not installed there, "
            "or this is not the hub (check kubeconfig, context or host)"
        ) from error
    except Unanswered as error:
        if error.kind == "rights":
            raise IbuError(
                f"the account may not list ManagedClusters on {session.url}; give it get and list on "
                f"managedclusters.cluster.open-cluster-management.io ({error})"
            ) from error
        raise IbuError(f"the hub {session.url} did not list its ManagedClusters: {error}") from error


def hub_variables(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The hub connection as host variables: names, addresses and paths, never a credential itself."""
    found: dict[str, t.Any] = {name: options.get(name) for name in HUB_PLAIN}
    for name in ("kubeconfig", *HUB_PATHS):
        value = options.get(name)
        found[name] = os.path.abspath(os.path.expanduser(value)) if isinstance(value, str) and value else None
    proxy = options.get("proxy")
    found["proxy"] = proxy if proxy and not urlsplit(proxy).password else None
    return {f"ibu_hub_{name}": value for name, value in found.items() if value is not None and value != ""}
