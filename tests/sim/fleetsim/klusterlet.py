# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What joins a simulated cluster to the hub: the work agent's hands on it, and the lease that keeps it available.

After a pivot the cluster is the seed's: the klusterlet is back only when OADP has restored it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from typing import TYPE_CHECKING

from fleetsim import patches
from fleetsim.errors import StatusError
from fleetsim.ports import Api, Object
from fleetsim.resources import MANAGED
from fleetsim.store import clone
from fleetsim.talm_plan import with_condition
from fleetsim.work_agent import WorkAgent

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

AVAILABLE = "ManagedClusterConditionAvailable"
JOINED = ("True", "ManagedClusterAvailable", "Managed cluster is available")
LOST = ("Unknown", "ManagedClusterLeaseUpdateStopped", "Registration agent stopped updating its lease.")
LEASE = 120.0  # simulated seconds of silence before the cluster counts as lost; shortened, as the reboots are
_POD_STARTS = (20.0, 40.0)
_RESTORES = "restores.velero.io"


class Klusterlet:
    """Of one cluster."""

    def __init__(self, cluster: Cluster, hub: Api, rng: random.Random, restore_needed: bool) -> None:
        self._cluster, self._hub, self._rng = cluster, hub, rng
        self._clock = cluster.world.clock
        self._restore_needed = restore_needed
        self._running = True
        self._homes = {"rhcos", cluster.machine.booted}  # stateroots that it lives in
        self._shown = self._version()
        self._shown_available = "hub_unavailable" not in cluster.troubles
        self._lease: asyncio.TimerHandle | None = None
        self._coming: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self.agent = WorkAgent(hub, self._clock, rng, cluster.name, self)

    # -- what happens to it -------------------------------------------------------------------------------------

    def powered(self, on: bool) -> None:
        """The cluster's API server went down, or came up in some stateroot."""
        if self._coming is not None:
            self._coming.cancel()
        if on:
            self._coming = self._clock.call_later(self._rng.uniform(*_POD_STARTS), self._start)
        else:
            self._running = False
            self._look()

    def _start(self) -> None:
        self._running = True
        self.changed()

    def changed(self) -> None:
        """The ImageBasedUpgrade or the troubles of the cluster changed."""
        booted = self._cluster.machine.booted
        if booted not in self._homes and (not self._restore_needed or self._restored()):
            self._homes.add(booted)
        self._look()
        if self.reachable():
            self.agent.spoke_changed()

    def forgot(self, osname: str) -> None:
        self._homes.discard(osname)

    def close(self) -> None:
        self.agent.close()
        for timer in (self._lease, self._coming):
            if timer is not None:
                timer.cancel()
        for task in self._writes:
            task.cancel()

    def _restored(self) -> bool:
        records = self._cluster.verbs().store.records(_RESTORES)
        return any((record.view().get("status") or {}).get("phase") == "Completed" for record in records)

    # -- what the hub sees of the cluster -----------------------------------------------------------------------

    def _look(self) -> None:
        if self.reachable():
            if self._lease is not None:
                self._lease.cancel()
                self._lease = None
            if not self._shown_available or self._shown != self._version():
                self._shown_available, self._shown = True, self._version()
                self._show()
        elif self._shown_available and self._lease is None:
            self._lease = self._clock.call_later(LEASE, self._lose)

    def _lose(self) -> None:
        self._lease = None
        if not self.reachable():
            self._shown_available = False
            self._show()

    def _version(self) -> str:
        return self._cluster.machine.root.version

    def _show(self) -> None:
        task = asyncio.ensure_future(self._write())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self) -> None:
        found = await self._hub.get(MANAGED, self._cluster.name)
        if found is None:
            return
        status = clone(found.get("status") or {})
        shown = JOINED if self._shown_available else LOST
        stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        status["conditions"] = with_condition(status.get("conditions") or [], AVAILABLE, *shown, stamp)
        for claim in status.get("clusterClaims") or ():
            if claim["name"] == "version.openshift.io":
                claim["value"] = self._shown
        await self._hub.set_status(MANAGED, self._cluster.name, status)

    # -- Spoke --------------------------------------------------------------------------------------------------

    def reachable(self) -> bool:
        cluster = self._cluster
        return self._running and cluster.machine.booted in self._homes and "hub_unavailable" not in cluster.troubles

    def reports(self) -> bool:
        return "work_agent_silent" not in self._cluster.troubles

    def etcd(self) -> Hashable:
        return id(self._cluster.verbs().store)

    def find(self, group: str, resource: str, name: str, namespace: str) -> Object | None:
        table = f"{resource}.{group}" if group else resource
        if table in self._cluster.endpoint.absent:
            return None
        record = self._cluster.verbs().store.get(table, (namespace, name))
        return record.view() if record else None

    def apply(self, manifest: Object) -> str:
        """By the API's rules: what they refuse is reported in the API's words."""
        verbs, meta = self._cluster.verbs(), manifest["metadata"]
        res = self._cluster.world.registry.kind(manifest["apiVersion"], manifest["kind"])
        if res is None or res.table in self._cluster.endpoint.absent:
            return "the server could not find the requested resource"
        namespace = meta.get("namespace", "")
        record = verbs.store.get(res.table, (namespace, meta["name"]))
        try:
            if record is None:
                verbs.create(res, namespace, clone(manifest))
            elif not _in_line(record.view(), manifest):
                verbs.update(res, namespace, meta["name"], lambda old: _brought_into_line(old, manifest))
        except StatusError as error:
            return error.message
        return ""


def _in_line(live: Object, manifest: Object) -> bool:
    if any(live.get(key) != value for key, value in manifest.items() if key != "metadata"):
        return False
    for kind in ("labels", "annotations"):
        there = live["metadata"].get(kind) or {}
        if any(there.get(key) != value for key, value in (manifest["metadata"].get(kind) or {}).items()):
            return False
    return True


def _brought_into_line(live: Object, manifest: Object) -> Object:
    kinds = {kind: manifest["metadata"][kind] for kind in ("labels", "annotations") if kind in manifest["metadata"]}
    merged: Object = patches.merge(live, {"metadata": kinds})
    return {**merged, **clone({key: value for key, value in manifest.items() if key != "metadata"})}
