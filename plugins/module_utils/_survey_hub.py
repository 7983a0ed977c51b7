# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Reading a hub once for all its clusters. Sends nothing that changes anything."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HubFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import MANAGED_CLUSTERS
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import Reader, may
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, IbuError, NotThere

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Goal

_GROUP = "cluster.open-cluster-management.io"
_HELD_OR_LET_GO = (Action.UPGRADE, Action.ABORT, Action.ABORT_ON_FAILURE)


def needs_hub(goals: t.Iterable[Goal]) -> bool:
    """Whether the hub will be written to for these goals: its auto-import is held back, or let go again."""
    return any(goal.action in _HELD_OR_LET_GO for goal in goals)


class Hubs:
    """The hubs of a fleet. Each is asked once, by the first cluster that needs it; the others wait for the answer."""

    def __init__(self, *, through_hub: bool) -> None:
        self._through_hub = through_hub
        self._lock = threading.Lock()
        self._facts: dict[str, HubFacts] = {}
        self._locks: dict[str, threading.Lock] = {}

    def facts(
        self, key: str, open_hub: t.Callable[[], Session], managed_cluster: str
    ) -> tuple[HubFacts | None, str | None]:
        """What is known of the hub, or what is wrong with it for this cluster."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._facts:
                self._facts[key] = read_hub(open_hub, through_hub=self._through_hub)
        facts = self._facts[key]
        if facts.problem:
            return None, facts.problem
        problem = self._problem(facts, open_hub, managed_cluster)
        return (None, problem) if problem else (facts, None)

    def _problem(self, facts: HubFacts, open_hub: t.Callable[[], Session], managed_cluster: str) -> str | None:
        if facts.clusters is None:
            return None if self._through_hub else _ask_for_one(open_hub, managed_cluster)
        if managed_cluster not in facts.clusters:
            return f"the hub {facts.url} has no ManagedCluster {managed_cluster!r} (ibu_managed_cluster)"
        if not facts.may_patch and not self._through_hub:
            return _ask_for_one(open_hub, managed_cluster)
        return None


def read_hub(open_hub: t.Callable[[], Session], *, through_hub: bool) -> HubFacts:
    """Everything that preflight wants to know of a hub."""
    try:
        hub = open_hub()
    except IbuError as error:
        return HubFacts(problem=str(error))
    try:
        reader = Reader(hub)
        managed = reader.each(f"{_GROUP}/v1", "managedclusters", _short, page=500)
        version = reader.get("config.openshift.io/v1", "clusterversions", "version")
        acm = reader.list("operator.open-cluster-management.io/v1", "multiclusterhubs")
        return HubFacts(
            url=hub.url,
            clusters={item["metadata"]["name"]: item for item in managed.items} if managed.known else None,
            may_patch=through_hub or may(hub, Permission("patch", _GROUP, "managedclusters")),
            version=(version.status().get("desired") or {}).get("version"),
            acm=acm,
            group_upgrades=_has_group_upgrades(reader) if through_hub else None,
            denied=tuple(one.denied for one in (version, acm) if one.denied),
        )
    except IbuError as error:
        return HubFacts(problem=f"the hub does not answer: {error}")
    finally:
        hub.close()


def _short(document: Document) -> dict[str, t.Any]:
    return {
        "metadata": {"name": document["metadata"]["name"]},
        "status": {"conditions": (document.get("status") or {}).get("conditions") or []},
    }


def _has_group_upgrades(reader: Reader) -> bool | None:
    found = reader.list("lcm.openshift.io/v1alpha1", "imagebasedgroupupgrades")
    return found.served if found.known else None


def _ask_for_one(open_hub: t.Callable[[], Session], managed_cluster: str) -> str | None:
    """What an identity with rights on single ManagedClusters can be told."""
    try:
        hub = open_hub()
    except IbuError as error:
        return str(error)
    try:
        hub.get(f"{MANAGED_CLUSTERS}/{managed_cluster}")
        permission = Permission("patch", _GROUP, "managedclusters", name=managed_cluster)
        return None if may(hub, permission) else f"the hub identity may not {permission}"
    except NotThere:
        return f"the hub {hub.url} has no ManagedCluster {managed_cluster!r} (ibu_managed_cluster)"
    except IbuError as error:
        return f"the hub does not answer: {error}"
    finally:
        hub.close()
