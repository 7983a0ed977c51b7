# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The hub's side of group upgrades: reads and writes, no decisions.

No request grows with anything but the number of clusters, and documents that can be large (ManifestWorks carry whole
ConfigMaps) are read in small pages and reduced one by one.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import Member, feedback_failure
from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import parse_selectors
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._managed_clusters import fetch

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_GROUP_API = "/apis/lcm.openshift.io/v1alpha1"
_PLURAL = "imagebasedgroupupgrades"
_CGUS = "/apis/ran.openshift.io/v1alpha1/namespaces/{namespace}/clustergroupupgrades"
_WORKS = "/apis/work.open-cluster-management.io/v1/manifestworks"
_WORK_LABEL = "openshift-cluster-group-upgrades/clusterGroupUpgrade"
_SMALL_PAGE = 50


class Documents(t.NamedTuple):
    """What one look at the hub yields. ``ibgu`` is None where there is no such object; ``now`` is the hub's clock."""

    ibgu: dict[str, t.Any] | None
    cgus: list[dict[str, t.Any]]
    now: datetime.datetime | None


class GroupHub:
    """One ImageBasedGroupUpgrade on the hub, and what belongs to it."""

    def __init__(self, session: Session, namespace: str, name: str) -> None:
        self._session = session
        self._collection = f"{_GROUP_API}/namespaces/{namespace}/{_PLURAL}"
        self._path = f"{self._collection}/{name}"
        self._namespace = namespace
        self.name = name

    @property
    def url(self) -> str:
        """The hub's address."""
        return self._session.url

    def read(self) -> Documents:
        """The group upgrade and its ClusterGroupUpgrades. Raises Unanswered."""
        try:
            reply = self._session.get(self._path)
        except NotThere:
            return Documents(None, [], None)
        path = _CGUS.format(namespace=self._namespace)
        # A few objects, but each lists all its clusters several times.
        cgus = self._session.list(path, _SMALL_PAGE, labelSelector=f"ibgu={self.name}")
        return Documents(reply.document, cgus, reply.now)

    def look(self) -> Documents:
        """As ``read``, but a hub that does not answer is said at once: for who looks again before long."""
        with self._session.at_once():
            return self.read()

    def members(self, selectors: object) -> list[Member]:
        """The ManagedClusters that ``clusterLabelSelectors`` select, by name. Raises IbuError."""
        chosen = parse_selectors(selectors, "cluster_label_selectors")
        if not chosen:
            return []
        found = fetch(self._session, chosen)
        return [
            Member(cluster.name, cluster.labels, cluster.availability == "True", cluster.version) for cluster in found
        ]

    def others(self) -> t.Iterator[dict[str, t.Any]]:
        """All group upgrades of the hub, or of this namespace where the account may not read the others."""
        try:
            yield from self._session.items(f"{_GROUP_API}/{_PLURAL}", _SMALL_PAGE)
        except Unanswered as error:
            if error.kind != "rights":
                raise
            yield from self._session.items(self._collection, _SMALL_PAGE)

    def failures(self, cgu: str) -> dict[str, str]:
        """By cluster: why the action under way will not succeed, from the feedback in its ManifestWork."""
        selector = f"{_WORK_LABEL}={cgu},{_WORK_LABEL}Namespace={self._namespace}"
        with self._session.at_once():
            works = self._session.items(_WORKS, _SMALL_PAGE, labelSelector=selector)
            causes = ((work["metadata"]["namespace"], feedback_failure(work)) for work in works)
            return {cluster: cause for cluster, cause in causes if cause}

    def missing_inputs(self, ibu_spec: t.Mapping[str, t.Any]) -> list[str]:
        """What TALM is to copy to the clusters and would leave out in silence, because the hub does not have it."""
        wanted = [
            ("ConfigMap", f"/api/v1/namespaces/{item['namespace']}/configmaps/{item['name']}", item["namespace"])
            for item in ibu_spec.get("oadpContent") or ()
        ]
        secret = ((ibu_spec.get("seedImageRef") or {}).get("pullSecretRef") or {}).get("name")
        if secret:
            path = f"/api/v1/namespaces/{self._namespace}/secrets/{secret}"
            wanted.append(("Secret", path, self._namespace))
        return [f"{kind} {ns}/{path.rpartition('/')[2]}" for kind, path, ns in wanted if not self._is_there(path)]

    def _is_there(self, path: str) -> bool:
        try:
            self._session.get(path)
        except NotThere:
            return False
        except Unanswered as error:
            # Without the right to look nothing can be said, and TALM reads with its own.
            if error.kind != "rights":
                raise
        return True

    def create(self, document: t.Mapping[str, t.Any], *, dry_run: bool) -> None:
        """Create the group upgrade. Raises Refused in the API's words."""
        try:
            self._session.create(self._collection, document, **_dry(dry_run))
        except NotThere as error:
            raise IbuError(
                f"{self.url} has no namespace {self._namespace!r}, or does not know ImageBasedGroupUpgrades: is this "
                f"the hub, and is Topology Aware Lifecycle Manager installed? ({error})"
            ) from error

    def patch(self, body: t.Mapping[str, t.Any], *, dry_run: bool) -> None:
        """Change the group upgrade by a merge patch. Raises Refused in the API's words."""
        self._session.merge_patch(self._path, body, **_dry(dry_run))

    def delete(self, *, dry_run: bool) -> None:
        """Delete the group upgrade; the clusters go on with the stage that they are in."""
        try:
            self._session.delete(self._path, **_dry(dry_run))
        except NotThere:
            return


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
