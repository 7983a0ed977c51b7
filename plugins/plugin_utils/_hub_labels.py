# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Labels and annotations of many ManagedClusters on one hub: a paged list to read, one patch each to write."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import MANAGED_CLUSTERS
from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction, holders
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_GROUP_UPGRADES = "/apis/lcm.openshift.io/v1alpha1/imagebasedgroupupgrades"
_SMALL_PAGE = 20
_ATTEMPTS = 3
_CONFLICT = 409


class Entry(t.NamedTuple):
    """What is kept of a ManagedCluster."""

    labels: dict[str, str]
    annotations: dict[str, str]
    version: str


class HubLabels:
    """One hub. ``entries`` and ``holders`` are there once it was read."""

    def __init__(self, open_hub: t.Callable[[], Session]) -> None:
        self._open = open_hub
        self.entries: dict[str, Entry] = {}
        self.holders: dict[str, str] = {}
        self.url = ""

    def read(self, names: t.Collection[str]) -> None:
        """Read these ManagedClusters and all group upgrades. Raises IbuError."""
        session = self._open()
        self.url = session.url
        try:
            for document in session.items(MANAGED_CLUSTERS):
                if document["metadata"]["name"] in names:
                    self.entries[document["metadata"]["name"]] = _entry(document)
            self.holders = holders(_group_upgrades(session))
        except Unanswered as error:
            raise IbuError(f"the hub {session.url} does not answer as it should: {error}") from error
        finally:
            session.close()

    def write(self, name: str, decide: t.Callable[[Entry], Correction]) -> Correction:
        """Correct one ManagedCluster; where somebody else wrote at the same time, read and decide again."""
        session = self._open()
        path = f"{MANAGED_CLUSTERS}/{name}"
        entry = self.entries[name]
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                correction = decide(entry)
                if not correction.is_needed:
                    return correction
                body = correction.patch()
                body["metadata"]["resourceVersion"] = entry.version
                try:
                    session.merge_patch(path, body)
                    return correction
                except Unanswered as error:
                    if error.status != _CONFLICT or attempt == _ATTEMPTS:
                        raise
                    entry = _entry(session.get(path).document)
            raise IbuError(f"somebody else keeps changing {name}")
        finally:
            session.close()


def _entry(document: t.Mapping[str, t.Any]) -> Entry:
    meta = document["metadata"]
    return Entry(dict(meta.get("labels") or {}), dict(meta.get("annotations") or {}), str(meta["resourceVersion"]))


def _group_upgrades(session: Session) -> t.Iterator[dict[str, t.Any]]:
    """All of them; none on a hub without TALM. Who may not see them must know that labels may come back."""
    try:
        yield from session.items(_GROUP_UPGRADES, _SMALL_PAGE)
    except NotThere:
        return
