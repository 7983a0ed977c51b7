# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work agent of a managed cluster: applies ManifestWorks and reports what has become of them.

It hears of changes and does nothing in between. A change of the cluster is reported with the agent's next round, as one
that looks every 10 to 19 seconds would.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import traceback
from collections.abc import Hashable, Iterator
from typing import NamedTuple, Protocol

from fleetsim.clock import Clock, rfc3339
from fleetsim.ports import Api, Object
from fleetsim.resources import WORKS
from fleetsim.talm_plan import with_condition

ROUND = (10.0, 19.0)  # simulated seconds from one look at the cluster to the next
_AT_ONCE = (0.5, 2.0)  # until a new ManifestWork is taken up
_PATH = re.compile(r'^\.status\.conditions\[\?\(@\.type=="(\w+)"\)\]\.(.+)$')


class Spoke(Protocol):
    """A managed cluster from within."""

    def reachable(self) -> bool:
        """The agent runs there, and gets through to the hub."""
        ...

    def reports(self) -> bool:
        """False: it works, but is never heard of."""
        ...

    def etcd(self) -> Hashable:
        """Something else after a pivot."""
        ...

    def apply(self, manifest: Object) -> str:
        """Create the object or bring it into line; returns why that was refused, else nothing.

        Everything but metadata and status is replaced as a whole, labels and annotations are merged.
        """
        ...

    def find(self, group: str, resource: str, name: str, namespace: str) -> Object | None: ...


class _Found(NamedTuple):
    """What there is of one manifest. `asked`: somebody wants to know of it; no `values`: nothing can be told."""

    error: str
    there: bool
    asked: bool
    values: tuple[tuple[str, str], ...] | None


class _Work:
    """A ManifestWork, as far as the agent has come with it."""

    def __init__(self, obj: Object) -> None:
        self.uid: str = obj["metadata"]["uid"]
        self.generation: int = obj["metadata"].get("generation", 1)
        self.manifests: list[Object] = obj["spec"]["workload"]["manifests"]
        self.rules: list[Object] = obj["spec"].get("manifestConfigs") or []
        self.errors: list[str] = []
        self.etcd: Hashable = None
        self.told: tuple[_Found, ...] = ()  # what the last report said
        self.status: Object = obj.get("status") or {}


class WorkAgent:
    """Of one cluster."""

    def __init__(self, hub: Api, clock: Clock, rng: random.Random, cluster: str, spoke: Spoke) -> None:
        self._hub, self._clock, self._rng, self._cluster, self._spoke = hub, clock, rng, cluster, spoke
        self._works: dict[str, _Work] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def hear(self, kind: str, obj: Object) -> None:
        """An event of the ManifestWorks in the cluster's namespace. Without the work nothing is touched any more."""
        meta = obj["metadata"]
        if kind == "DELETED":
            self._works.pop(meta["name"], None)
            return
        known = self._works.get(meta["name"])
        if known is None or (known.uid, known.generation) != (meta["uid"], meta.get("generation", 1)):
            self._works[meta["name"]] = _Work(obj)
            self._wake(self._rng.uniform(*_AT_ONCE))

    def spoke_changed(self) -> None:
        """Something happened on the cluster, or it can be reached again."""
        if self._works:
            self._wake(self._rng.uniform(0, self._rng.uniform(*ROUND)))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _wake(self, seconds: float) -> None:
        due = self._clock.seconds() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._clock.call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._task is not None and not self._task.done():
            self._wake(_AT_ONCE[0])
            return
        self._task = asyncio.ensure_future(self._round())

    async def _round(self) -> None:
        try:
            for name, work in list(self._works.items()):
                if self._spoke.reachable():
                    self._apply(work)
                    if self._spoke.reports():
                        await self._report(name, work)
        except Exception:
            traceback.print_exc(file=sys.stderr)

    def _apply(self, work: _Work) -> None:
        """As long as the work is there the upgrade's spec is put back; the rest is only looked at in a new etcd."""
        fresh = work.etcd != self._spoke.etcd() or any(work.errors)
        if fresh:
            work.errors = [self._spoke.apply(manifest) for manifest in work.manifests]
            work.etcd = self._spoke.etcd()
        else:
            work.errors[-1] = self._spoke.apply(work.manifests[-1])

    async def _report(self, name: str, work: _Work) -> None:
        """Nothing new costs nothing."""
        found = tuple(self._find(work, index) for index in range(len(work.manifests)))
        if found == work.told:
            return
        work.told = found
        stamp = rfc3339(self._clock.now())
        old = (work.status.get("resourceStatus") or {}).get("manifests") or [{}] * len(found)
        told = [
            _told(manifest, index, found[index], old[index].get("conditions") or [], stamp)
            for index, manifest in enumerate(work.manifests)
        ]
        conditions = work.status.get("conditions") or []
        if any(work.errors):
            applied = ("False", "AppliedManifestWorkFailed", "Failed to apply manifest work")
        else:
            applied = ("True", "AppliedManifestWorkComplete", "Apply manifest work complete")
        conditions = with_condition(conditions, "Applied", *applied, stamp)
        if all(one.there for one in found):
            available = ("True", "ResourcesAvailable", "All resources are available")
        else:
            available = ("False", "ResourcesNotAvailable", "Some resources are not available")
        conditions = with_condition(conditions, "Available", *available, stamp)
        conditions = [{**one, "observedGeneration": work.generation} for one in conditions]
        work.status = {"conditions": conditions, "resourceStatus": {"manifests": told}}
        await self._hub.set_status(WORKS, name, work.status, self._cluster)

    def _find(self, work: _Work, index: int) -> _Found:
        meta = _resource_meta(work.manifests[index], index)
        identity = {key: meta[key] for key in ("group", "resource", "name", "namespace")}
        live = self._spoke.find(**identity)
        paths = [path for rule in work.rules if rule["resourceIdentifier"] == identity for path in _paths(rule)]
        values = tuple(_values(paths, live)) if paths and live is not None else None
        return _Found(work.errors[index], live is not None, bool(paths), values)


def _told(manifest: Object, ordinal: int, found: _Found, conditions: list[Object], stamp: str) -> Object:
    """The status of one manifest."""
    if found.error:
        applied = ("False", "AppliedManifestFailed", f"Failed to apply manifest: {found.error}")
    else:
        applied = ("True", "AppliedManifestComplete", "Apply manifest complete")
    conditions = with_condition(conditions, "Applied", *applied, stamp)
    if found.there:
        available = ("True", "ResourceAvailable", "Resource is available")
    else:
        available = ("False", "ResourceNotAvailable", "Resource is not available")
    conditions = with_condition(conditions, "Available", *available, stamp)
    if found.values is not None:
        synced = ("True", "StatusFeedbackSynced", "")
    else:
        synced = ("False", "StatusFeedbackSyncFailed" if found.asked else "NoStatusFeedbackSynced", "")
    told: Object = {
        "conditions": with_condition(conditions, "StatusFeedbackSynced", *synced, stamp),
        "resourceMeta": _resource_meta(manifest, ordinal),
    }
    if found.values is not None:
        told["statusFeedback"] = {
            "values": [
                {"name": name, "fieldValue": {"type": "String", "string": value}} for name, value in found.values
            ]
        }
    return told


def _paths(rule: Object) -> list[Object]:
    return [path for one in rule["feedbackRules"] for path in one.get("jsonPaths") or ()]


def _values(paths: list[Object], live: Object) -> Iterator[tuple[str, str]]:
    """A path that leads nowhere brings no value, and that is no error."""
    for one in paths:
        found = _PATH.match(one["path"])
        if found is None:
            continue
        for condition in (live.get("status") or {}).get("conditions") or ():
            if condition["type"] == found[1] and found[2] in condition:
                yield one["name"], str(condition[found[2]])


def _resource_meta(manifest: Object, ordinal: int) -> Object:
    group, _, version = manifest["apiVersion"].rpartition("/")
    return {
        "group": group,
        "kind": manifest["kind"],
        "name": manifest["metadata"]["name"],
        "namespace": manifest["metadata"].get("namespace", ""),
        "ordinal": ordinal,
        "resource": f"{manifest['kind'].lower()}s",
        "version": version,
    }
