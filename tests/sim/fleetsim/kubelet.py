# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's kubelet: a pod that somebody makes runs and is ready. What it runs is not played."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fleetsim import pods
from fleetsim.populate import condition
from fleetsim.store import Event, Object, Store
from fleetsim.verbs import Verbs

if TYPE_CHECKING:
    from fleetsim.resources import Registry

PODS = "pods"


class Kubelet:
    """Starts what is new in one etcd."""

    def __init__(self, store: Store, registry: Registry, verbs: Verbs) -> None:
        self._store, self._registry, self._verbs = store, registry, verbs
        pods.place(store)
        store.subscribe(PODS, self._hear)

    def _hear(self, event: Event | None) -> None:
        if event is not None and event.type == "ADDED":
            # Later: an event is told while its own write is still going on.
            asyncio.get_running_loop().call_soon(self._start, event.record.namespace, event.record.name)

    def _start(self, namespace: str, name: str) -> None:
        pod = self._store.get(PODS, (namespace, name))
        if pod is not None and not (pod.view().get("status") or {}).get("phase"):
            self._verbs.update(self._registry.table(PODS), namespace, name, _run, subresource="status", trusted=True)


def _run(pod: Object) -> Object:
    started = [{"name": one["name"], "ready": True, "image": one["image"]} for one in pod["spec"]["containers"]]
    ready = [condition(kind, reason="") for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    pod["status"] = {"phase": "Running", "conditions": ready, "containerStatuses": started}
    return pod
