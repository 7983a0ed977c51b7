# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What has happened to the clusters of a hub, from the objects of its watches. Documents in, events out; no I/O.

The hub tells the same thing twice: the work agent's feedback says early and with its cause that a stage has failed, the
label of TALM says so once its time is over, and alone tells of clusters that went silent. Here it is one event.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import feedback_failure
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

Document = t.Mapping[str, t.Any]
Event = dict[str, t.Any]

WORK_LABEL = "openshift-cluster-group-upgrades/clusterGroupUpgrade"
FAILED, COMPLETED, ENDED = "failed", "completed", "ended"
_LABEL = re.compile(r"lcm\.openshift\.io/ibgu-([a-z]+)-(completed|failed)")
_ACTIONS = {action.lower(): str(action) for action in Action}
_SUCCESS = ("isPrepCompleted", "isUpgradeCompleted", "isRollbackCompleted", "isIdle")


class _Key(t.NamedTuple):
    cluster: str
    action: str
    outcome: str


class HubEvents:
    """Remembers what was told, so that each failure and each success is one event. Not locked: the caller does that.

    ``initial``: the object was there when the watching began.
    """

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._told: set[_Key] = set()
        self._labels: dict[str, frozenset[_Key]] = {}
        self._works: set[str] = set()
        self._groups: dict[str, bool] = {}

    def work(self, work: Document, *, initial: bool = False) -> list[Event]:
        """A ManifestWork is there, or has changed."""
        meta = work["metadata"]
        cluster, uid = str(meta["namespace"]), str(meta.get("uid") or meta["name"])
        action, message = _stage(work), feedback_failure(work)
        outcome = FAILED if message else COMPLETED if _has_completed(work) else ""
        if uid not in self._works:
            self._works.add(uid)
            # The action is asked for once more: what became of it earlier counts no longer.
            held = self._labels.get(cluster, frozenset())
            self._told -= {_Key(cluster, action, word) for word in (FAILED, COMPLETED)} - held
        if not outcome:
            return []
        group = str((meta.get("labels") or {}).get(WORK_LABEL) or "")
        return self._tell(_Key(cluster, action, outcome), message or "", "ManifestWork", initial, group)

    def work_gone(self, work: Document) -> None:
        """A ManifestWork was deleted. What it told stays told: the label comes only after it."""
        meta = work["metadata"]
        self._works.discard(str(meta.get("uid") or meta["name"]))

    def cluster(self, cluster: Document, *, initial: bool = False) -> list[Event]:
        """A ManagedCluster is there, or has changed."""
        name = str(cluster["metadata"]["name"])
        now = frozenset(_labels(name, cluster["metadata"].get("labels") or {}))
        before = self._labels.get(name, frozenset())
        self._labels[name] = now
        self._told -= before - now
        return [event for key in sorted(now - before) for event in self._tell(key, "", "ManagedCluster", initial, "")]

    def cluster_gone(self, cluster: Document) -> None:
        """A ManagedCluster was deleted."""
        name = str(cluster["metadata"]["name"])
        self._labels.pop(name, None)
        self._told = {key for key in self._told if key.cluster != name}

    def group(self, group: Document, *, initial: bool = False) -> list[Event]:
        """An ImageBasedGroupUpgrade is there, or has changed: its end is an event, with who failed."""
        meta, status = group["metadata"], group.get("status") or {}
        name = f"{meta.get('namespace', '')}/{meta['name']}"
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        seen = status.get("observedGeneration") == meta.get("generation")
        ended = seen and (conditions.get("Progressing") or {}).get("status") == "False"
        before, self._groups[name] = self._groups.get(name, False), ended
        if not ended or before:
            return []
        clusters = status.get("clusters") or ()
        failed = [str(one["name"]) for one in clusters if one.get("failedActions")]
        told = {"group": name, "failed": failed, "clusters": len(clusters)}
        return [{"type": ENDED, **told, "source": "ImageBasedGroupUpgrade", "hub": self._hub, "initial": initial}]

    def group_gone(self, group: Document) -> None:
        """An ImageBasedGroupUpgrade was deleted."""
        meta = group["metadata"]
        self._groups.pop(f"{meta.get('namespace', '')}/{meta['name']}", None)

    def _tell(self, key: _Key, message: str, source: str, initial: bool, group: str) -> list[Event]:
        if key in self._told:
            return []
        self._told.add(key)
        event = {"type": key.outcome, "cluster": key.cluster, "action": key.action, "message": message}
        return [{**event, "group": group, "source": source, "hub": self._hub, "initial": initial}]


def _labels(cluster: str, labels: t.Mapping[str, str]) -> t.Iterator[_Key]:
    for name, value in labels.items():
        found = _LABEL.fullmatch(name)
        if found and value == "" and found[1] in _ACTIONS:
            yield _Key(cluster, _ACTIONS[found[1]], found[2])


def _stage(work: Document) -> str:
    """The stage that a ManifestWork asks for. Idle is an abort or a finalize."""
    for manifest in ((work.get("spec") or {}).get("workload") or {}).get("manifests") or ():
        if manifest.get("kind") == "ImageBasedUpgrade":
            return str((manifest.get("spec") or {}).get("stage") or "")
    return ""


def _has_completed(work: Document) -> bool:
    for manifest in ((work.get("status") or {}).get("resourceStatus") or {}).get("manifests") or ():
        for value in (manifest.get("statusFeedback") or {}).get("values") or ():
            if value.get("name") in _SUCCESS and (value.get("fieldValue") or {}).get("string") == "True":
                return True
    return False
