# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's view of a simulated API server: the same verbs as over HTTP, without HTTP and without admission."""

from __future__ import annotations

from fleetsim import patches
from fleetsim.errors import StatusError, no_resource, not_allowed
from fleetsim.ports import KindUnknown, Object
from fleetsim.resources import Registry, Resource
from fleetsim.store import Store, clone
from fleetsim.verbs import Verbs


class LocalApi:
    def __init__(self, store: Store, registry: Registry, verbs: Verbs) -> None:
        self._store, self._registry, self._verbs = store, registry, verbs

    def _resource(self, table: str) -> Resource:
        return self._registry.table(table)

    async def get(self, table: str, name: str, namespace: str = "") -> Object | None:
        record = self._store.get(table, (namespace, name))
        return record.view() if record else None

    async def list(self, table: str, namespace: str = "") -> list[Object]:
        return [record.view() for record in self._store.records(table, namespace)]

    async def create(self, table: str, obj: Object) -> Object:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        there = self._store.get(table, (namespace, meta["name"]))
        if there is not None:
            return there.view()
        copied = {**obj, "metadata": dict(meta)}
        copied.pop("status", None)
        return self._verbs.create(self._resource(table), namespace, copied, trusted=True).view()

    async def set_status(self, table: str, name: str, status: Object, namespace: str = "") -> Object:
        res = self._resource(table)
        sub = "status" if res.status else ""
        try:
            record = self._verbs.update(
                res, namespace, name, lambda obj: {**obj, "status": status}, subresource=sub, trusted=True
            )
        except StatusError:  # deleted meanwhile: the next look will tell
            return {}
        return record.view()

    async def merge(self, table: str, name: str, patch: Object, namespace: str = "") -> Object:
        record = self._verbs.update(
            self._resource(table), namespace, name, lambda obj: patches.merge(obj, patch), trusted=True
        )
        return record.view()

    async def delete(self, table: str, name: str, namespace: str = "") -> None:
        self._store.remove(table, (namespace, name))

    # Only tried: these go through the API's rules.

    def _kind(self, obj: Object) -> Resource:
        kind, version = obj.get("kind", ""), obj.get("apiVersion", "")
        res = self._registry.kind(version, kind)
        if res is None:
            raise KindUnknown(f'no matches for kind "{kind}" in version "{version}"')
        return res

    async def namespaced(self, obj: Object) -> bool:
        return self._kind(obj).namespaced

    async def dry_run(self, obj: Object, *, create: bool = False, merge: bool = False) -> None:
        res, meta = self._kind(obj), obj["metadata"]
        namespace = meta.get("namespace", "") if res.namespaced else ""
        if res.namespaced and not namespace:
            raise not_allowed(res.group, res.plural)
        if create or self._store.get(res.table, (namespace, meta["name"])) is None:
            self._verbs.create(res, namespace, clone(obj), dry_run=True)
            return

        def change(there: Object) -> Object:
            if merge:
                return patches.merge(there, obj)  # type: ignore[no-any-return]
            version = there["metadata"]["resourceVersion"]
            return {**clone(obj), "metadata": {**clone(meta), "resourceVersion": version}}

        self._verbs.update(res, namespace, meta["name"], change, dry_run=True, replace=not merge)

    async def dry_patch(self, resource: tuple[str, str, str], name: str, namespace: str, patch: Object) -> None:
        res = self._registry.find(*resource)
        if res is None:
            raise no_resource()
        self._verbs.update(res, namespace, name, lambda obj: patches.merge(obj, patch), dry_run=True)
