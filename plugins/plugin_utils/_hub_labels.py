# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Labels and annotations of many ManagedClusters on one hub: a paged list to read, one patch each to write."""

from __future__ import annotations

import queue
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import MANAGED_CLUSTERS
from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import (
    Correction,
    Hold,
    holds_of,
    is_over,
    name_of,
    under_way,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import matches_any, parse_selectors
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    NotThere,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_rights import refusal_of

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_GROUP_UPGRADES = "/apis/lcm.openshift.io/v1alpha1/imagebasedgroupupgrades"
_CGUS = "/apis/ran.openshift.io/v1alpha1/namespaces/{namespace}/clustergroupupgrades"
_SMALL_PAGE = 20
_ATTEMPTS = 3
_CONFLICT = 409


class Entry(t.NamedTuple):
    """What is kept of a ManagedCluster."""

    labels: dict[str, str]
    annotations: dict[str, str]
    version: str


class HubLabels:
    """One hub. What it says of the clusters is there once it was read.

    ``busy``: by cluster, the group upgrade whose step is not done with it.
    """

    def __init__(self, open_hub: t.Callable[[], Session]) -> None:
        self._open = open_hub
        self._idle: queue.SimpleQueue[Session] = queue.SimpleQueue()
        self.entries: dict[str, Entry] = {}
        self.holds: dict[str, list[Hold]] = {}
        self.busy: dict[str, str] = {}
        self.warnings: list[str] = []
        self.url = ""

    def read(self, names: t.Collection[str]) -> None:
        """Read these ManagedClusters and all group upgrades. Raises IbuError."""
        session = self._borrow()
        self.url = session.url
        try:
            for document in session.items(MANAGED_CLUSTERS):
                if document["metadata"]["name"] in names:
                    self.entries[document["metadata"]["name"]] = _entry(document)
            self._read_group_upgrades(session)
        except NotThere as error:
            raise IbuError(
                f"{self.url} knows no ManagedClusters: Advanced Cluster Management is not installed there, or this is "
                "not the hub (check ibu_hub_kubeconfig)"
            ) from error
        except Unanswered as error:
            raise IbuError(refusal_of(self.url, error)) from error
        finally:
            self._idle.put(session)

    def write(self, name: str, decide: t.Callable[[Entry, bool], Correction]) -> Correction:
        """Correct one ManagedCluster, and say what was done. Threads may call this side by side.

        ``decide`` is asked again, with True, where somebody else wrote at the same time. Raises IbuError.
        """
        session = self._borrow()
        path = f"{MANAGED_CLUSTERS}/{name}"
        entry = self.entries[name]
        try:
            for attempt in range(_ATTEMPTS):
                correction = decide(entry, attempt > 0)
                if not correction.is_needed:
                    return correction
                body = correction.patch()
                body["metadata"]["resourceVersion"] = entry.version
                try:
                    session.merge_patch(path, body)
                    return correction
                except Unanswered as error:
                    if error.status != _CONFLICT:
                        raise
                entry = _entry(session.get(path).document)
            raise IbuError(f"somebody else keeps changing the ManagedCluster {name}; run again")
        finally:
            self._idle.put(session)

    def close(self) -> None:
        """Drop all connections."""
        while not self._idle.empty():
            self._idle.get().close()

    def _borrow(self) -> Session:
        """A session that nobody uses at the moment: a handshake for every cluster would cost more than the patch."""
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._open()

    def _read_group_upgrades(self, session: Session) -> None:
        """What TALM does to the labels. A hub without TALM has no group upgrades."""
        try:
            for document in session.items(_GROUP_UPGRADES, _SMALL_PAGE):
                for name, hold in holds_of(document):
                    self.holds.setdefault(name, []).append(hold)
                if not is_over(document):
                    for name in self._taken_on(session, document):
                        self.busy.setdefault(name, name_of(document))
        except NotThere:
            return
        except Unanswered as error:
            if error.kind != "rights":
                raise
            self.warnings.append(
                f"the account may not list group upgrades on {self.url}: whether one still holds a cluster, so that "
                f"TALM changes its labels back, or is about to upgrade it, is not known ({error})"
            )

    def _taken_on(self, session: Session, document: t.Mapping[str, t.Any]) -> list[str]:
        """The clusters that a running group upgrade is not done with; without the right to look, all it selects."""
        meta = document["metadata"]
        path = _CGUS.format(namespace=meta["namespace"])
        try:
            cgus = session.items(path, _SMALL_PAGE, labelSelector=f"ibgu={meta['name']}")
            return [name for cgu in cgus for name in under_way(cgu)]
        except NotThere:
            return []
        except Unanswered as error:
            if error.kind != "rights":
                raise
        try:
            selectors = parse_selectors(document["spec"].get("clusterLabelSelectors") or [], "clusterLabelSelectors")
        except InvalidOption:
            # TALM refuses it too, and selects nobody.
            return []
        return [name for name, entry in self.entries.items() if matches_any(selectors, entry.labels)]


def _entry(document: t.Mapping[str, t.Any]) -> Entry:
    meta = document["metadata"]
    return Entry(dict(meta.get("labels") or {}), dict(meta.get("annotations") or {}), str(meta["resourceVersion"]))
