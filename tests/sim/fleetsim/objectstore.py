# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object storage, and the part of Velero that deletes Backups there and brings them back from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fleetsim.clock import Clock, rfc3339
from fleetsim.ports import OADP_NAMESPACE, Api, Object
from fleetsim.store import clone

if TYPE_CHECKING:
    from fleetsim.machine import Machine
    from fleetsim.troubles import Troubles

BACKUPS, RESTORES = "backups.velero.io", "restores.velero.io"
REQUESTS = "deletebackuprequests.velero.io"
LOCATIONS = "backupstoragelocations.velero.io"
CLUSTER_ID = "config.openshift.io/clusterID"
# What Velero has to look at when it changes.
WATCHED = (BACKUPS, RESTORES, REQUESTS, LOCATIONS)

_SYNC_SECONDS = 60.0
_DELETE_SECONDS = 2.0


class Bucket:
    """Backups by name, as they were uploaded. Several clusters may share one."""

    def __init__(self) -> None:
        self._backups: dict[str, Object] = {}
        self._listeners: list[Callable[[], None]] = []

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._backups))

    def __contains__(self, name: str) -> bool:
        return name in self._backups

    def get(self, name: str) -> Object:
        found: Object = clone(self._backups[name])
        return found

    def listen(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def put(self, backup: Object) -> None:
        self._backups[backup["metadata"]["name"]] = clone(backup)
        self._tell()

    def remove(self, name: str) -> None:
        """What lies under a name goes, whoever has put it there."""
        if self._backups.pop(name, None) is not None:
            self._tell()

    def lose(self) -> None:
        self._backups.clear()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


class Velero:
    """One cluster's Velero. It looks when it is told that something has changed, and one look at a time."""

    def __init__(self, machine: Machine, clock: Clock, troubles: Troubles) -> None:
        self._machine, self._clock, self._troubles = machine, clock, troubles
        self.bucket = Bucket()
        self.bucket.listen(self.sync_soon)
        self.stuck: set[str] = set()  # requests that it never ends, by uid
        self._api: Api | None = None
        self._lock = asyncio.Lock()
        self._again = False
        self._sync_wanted = False
        self._timer: asyncio.TimerHandle | None = None

    def share(self, bucket: Bucket) -> None:
        """Keep the Backups in a bucket that others use too."""
        own, self.bucket = self.bucket, bucket
        bucket.listen(self.sync_soon)
        for name in own:
            bucket.put(own.get(name))
        self.sync_soon()

    def start(self, api: Api) -> None:
        """The node is up, on this stateroot's API."""
        self._api = api
        self.sync_soon()

    def stop(self) -> None:
        self._api = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self, table: str, deleted: bool) -> None:
        """An object of a watched kind has changed. A Backup that was deleted is found missing by the next sync."""
        if table == BACKUPS and deleted and self._timer is None and self._api is not None:
            self._timer = self._clock.call_later(_SYNC_SECONDS, self.sync_soon)
        elif table != BACKUPS:
            self.notify()

    def sync_soon(self) -> None:
        self._timer = None
        self._sync_wanted = True
        self.notify()

    def notify(self) -> None:
        self._again = True
        if self._api is not None and not self._lock.locked():
            self._machine.background(self._look())

    async def _look(self) -> None:
        if self._api is not None:
            await self.look(self._api)

    async def look(self, api: Api) -> None:
        """Do what there is to do. The agent calls it too, where nobody tells of changes."""
        async with self._lock:
            self._again = False
            if "velero_down" in self._troubles:
                return
            for request in await api.list(REQUESTS):
                if request["metadata"]["uid"] not in self.stuck:
                    await self._process(api, request)
            if await self._available(api):
                await self._let_go(api)
                if self._sync_wanted:
                    self._sync_wanted = False
                    await self._sync(api)
        if self._again:
            self.notify()

    # -- requests -----------------------------------------------------------------------------------------------

    async def _process(self, api: Api, request: Object) -> None:
        meta, status = request["metadata"], request.get("status") or {}
        if status.get("phase") == "Processed":
            return
        name, namespace = str(request["spec"].get("backupName")), meta["namespace"]
        if self._hangs(meta["uid"]):
            await self._status(api, meta, {"phase": self._stuck_phase()})
            return
        if status.get("phase") != "InProgress":
            await self._status(api, meta, {"phase": "InProgress"})
        if not await self._available(api):
            return  # it goes on once the location is back
        backup = await api.get(BACKUPS, name, namespace)
        if backup is None:
            await self._status(api, meta, {"phase": "Processed", "errors": ["backup not found"]})
            return
        await api.set_status(BACKUPS, name, {**(backup.get("status") or {}), "phase": "Deleting"}, namespace)
        await self._clock.sleep(_DELETE_SECONDS)
        if errors := self._errors():
            await self._status(api, meta, {"phase": "Processed", "errors": errors})
            return
        self.bucket.remove(name)
        for restore in await api.list(RESTORES, namespace):
            if restore["spec"].get("backupName") == name:
                await api.delete(RESTORES, restore["metadata"]["name"], namespace)
        await api.delete(BACKUPS, name, namespace)
        await api.delete(REQUESTS, meta["name"], namespace)

    async def _status(self, api: Api, meta: Object, status: Object) -> None:
        await api.set_status(REQUESTS, meta["name"], status, meta["namespace"])

    def _hangs(self, uid: str) -> bool:
        trouble = self._troubles.get("delete_hangs")
        if not trouble or int(trouble["times"]) <= 0:
            return False
        trouble["times"] = int(trouble["times"]) - 1
        self.stuck.add(uid)
        return True

    def _stuck_phase(self) -> str:
        return str((self._troubles.get("delete_hangs") or {}).get("phase", "InProgress"))

    def _errors(self) -> list[str]:
        trouble = self._troubles.get("delete_fails")
        if not trouble or int(trouble["times"]) <= 0:
            return []
        trouble["times"] = int(trouble["times"]) - 1
        return [str(error) for error in trouble["errors"]]

    # -- the bucket ---------------------------------------------------------------------------------------------

    @staticmethod
    async def _available(api: Api) -> bool:
        locations = await api.list(LOCATIONS, OADP_NAMESPACE)
        return all((one.get("status") or {}).get("phase") == "Available" for one in locations)

    @staticmethod
    async def _let_go(api: Api) -> None:
        """Restores that somebody has deleted keep their finalizer until their files are gone."""
        for restore in await api.list(RESTORES):
            meta = restore["metadata"]
            if meta.get("deletionTimestamp"):
                await api.delete(RESTORES, meta["name"], meta["namespace"])

    async def _sync(self, api: Api) -> None:
        """What is in the bucket gets an object; a completed one whose data is gone loses it."""
        for name in list(self.bucket):
            if await api.get(BACKUPS, name, OADP_NAMESPACE) is None:
                backup = self.bucket.get(name)
                await api.create(BACKUPS, backup)
                await api.set_status(BACKUPS, name, {"phase": "Completed"}, OADP_NAMESPACE)
        for backup in await api.list(BACKUPS, OADP_NAMESPACE):
            name = backup["metadata"]["name"]
            if (backup.get("status") or {}).get("phase") == "Completed" and name not in self.bucket:
                await api.delete(BACKUPS, name, OADP_NAMESPACE)
        now = rfc3339(self._clock.now())
        for location in await api.list(LOCATIONS, OADP_NAMESPACE):
            status = {**(location.get("status") or {}), "lastSyncedTime": now}
            await api.set_status(LOCATIONS, location["metadata"]["name"], status, OADP_NAMESPACE)
