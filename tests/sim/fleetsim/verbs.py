# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create, update and delete with the API server's semantics, on one store. HTTP and the in-process agent share this."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from fleetsim import errors, metadata
from fleetsim.clock import Clock, rfc3339
from fleetsim.resources import CRDS, Registry, Resource
from fleetsim.store import Object, Record, Store

_SERVER_OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


class Notes:
    """What the server tells a client beside the answer, or instead of it: fields that it does not know."""

    def __init__(self, validation: str = "Warn", patch: str = "") -> None:
        self._validation, self._patch = validation or "Warn", patch
        self.warnings: list[str] = []

    def unknown_fields(self, res: Resource, obj: Object, paths: list[str]) -> None:
        found = [f'unknown field "{path}"' for path in paths]
        if not found or self._validation == "Ignore":
            return
        if self._validation != "Strict":
            self.warnings += found
            return
        message = f"strict decoding error: {', '.join(found)}"
        if not self._patch:
            raise errors.bad_request(message)
        cause = ("FieldValueInvalid", f"Invalid value: {json.dumps(self._patch)}: {message}", "patch")
        raise errors.invalid(res.group, res.kind, obj["metadata"]["name"], [cause])

    def headers(self) -> dict[str, str]:
        if not self.warnings:
            return {}
        return {"Warning": ", ".join(f"299 - {json.dumps(warning)}" for warning in self.warnings)}


class Verbs:
    """The writing half of one API server."""

    def __init__(self, store: Store, registry: Registry, clock: Clock, rng: random.Random) -> None:
        self.store, self.registry, self._clock, self._rng = store, registry, clock, rng

    def new_uid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def create(
        self,
        res: Resource,
        namespace: str,
        obj: Object,
        *,
        trusted: bool = False,
        dry_run: bool = False,
        notes: Notes | None = None,
    ) -> Record:
        if res.custom and not trusted and not obj.get("kind"):
            raise errors.bad_request(f"the object provided is unrecognized (must be of type {res.kind}): no kind")
        meta = obj.setdefault("metadata", {})
        obj.setdefault("apiVersion", res.api_version)
        obj.setdefault("kind", res.kind)
        self._check_kind(res, obj)
        if res.custom and not trusted:
            metadata.check(res.group, res.kind, meta)
        if meta.get("generateName") and not meta.get("name"):
            meta["name"] = meta["generateName"] + "".join(self._rng.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        name = meta.get("name", "")
        if not name:
            cause = ("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
            raise errors.invalid(res.group, res.kind, "", [cause])
        if res.namespaced:
            self._place(res, namespace, meta)
        for key in (*_SERVER_OWNED, "resourceVersion", "managedFields", "selfLink"):
            meta.pop(key, None)
        if self.store.get(res.table, (namespace, name)):
            raise errors.already_exists(res.group, res.plural, name)
        if res.status and not trusted:
            obj.pop("status", None)
        meta.update(uid=self.new_uid(), creationTimestamp=rfc3339(self._clock.now()))
        if res.custom or res.status:
            meta["generation"] = 1
        self._admit(res, obj, None, trusted, notes)
        return self._dry(obj) if dry_run else self.store.put(res.table, obj)

    def update(
        self,
        res: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        subresource: str = "",
        trusted: bool = False,
        dry_run: bool = False,
        replace: bool = False,
        notes: Notes | None = None,
    ) -> Record:
        """`change` gets a copy of the stored object and returns the wanted one. `replace`: it is a PUT."""
        record = self.store.get(res.table, (namespace, name))
        if record is None:
            raise errors.not_found(res.group, res.plural, name)
        old, new = record.view(), change(record.parse())
        self._check_kind(res, new)
        self._check_identity(res, old, new, replace)
        new = self._strategy(res, old, new, subresource)
        self._admit(res, new, old, trusted, notes)
        if self._content(res, new) != self._content(res, old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if new == old:
            return record
        if dry_run:
            return self._dry(new)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return self.store.remove(res.table, (namespace, name)) or record
        return self.store.put(res.table, new)

    def delete(self, res: Resource, namespace: str, name: str, options: Object, dry_run: bool = False) -> Record:
        record = self.store.get(res.table, (namespace, name))
        if record is None:
            raise errors.not_found(res.group, res.plural, name)
        wanted = (options.get("preconditions") or {}) if options else {}
        if wanted.get("uid") and wanted["uid"] != record.uid:
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {record.uid}"
            raise errors.conflict(res.group, res.plural, name, why)
        if dry_run:
            return record
        obj = record.parse()
        if obj["metadata"].get("finalizers"):
            if "deletionTimestamp" in obj["metadata"]:
                return record
            obj["metadata"].update(deletionTimestamp=rfc3339(self._clock.now()), deletionGracePeriodSeconds=0)
            return self.store.put(res.table, obj)
        if res.table == "namespaces":
            self._empty_namespace(name)
        return self.store.remove(res.table, (namespace, name)) or record

    def _empty_namespace(self, namespace: str) -> None:
        for res in self.registry:
            if res.namespaced:
                for record in list(self.store.records(res.table, namespace)):
                    self.store.remove(res.table, (namespace, record.name))

    def _place(self, res: Resource, namespace: str, meta: Object) -> None:
        if meta.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        there = self.store.get("namespaces", ("", namespace))
        if there is None:
            raise errors.not_found("", "namespaces", namespace)
        if (there.view().get("status") or {}).get("phase") == "Terminating":
            raise errors.terminating(res.group, res.plural, meta["name"], namespace)

    @staticmethod
    def _check_kind(res: Resource, obj: Object) -> None:
        if obj.get("apiVersion", res.api_version) != res.api_version or obj.get("kind", res.kind) != res.kind:
            found = f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {res.kind}): "
                f"{found} does not match {res.api_version}, Kind={res.kind}"
            )

    @staticmethod
    def _check_identity(res: Resource, old: Object, new: Object, replace: bool) -> None:
        before, after = old["metadata"], new.setdefault("metadata", {})
        name = before["name"]
        if after.setdefault("name", name) != name:
            raise errors.bad_request(
                f"the name of the object ({after['name']}) does not match the name on the URL ({name})"
            )
        uid = after.get("uid", before["uid"])
        if uid != before["uid"] and not replace:
            cause = ("FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid")
            raise errors.invalid(res.group, res.kind, name, [cause])
        if uid != before["uid"]:
            why = f"Precondition failed: UID in precondition: {after['uid']}, UID in object meta: {before['uid']}"
            raise errors.conflict(res.group, res.plural, name, why)
        asked = after.get("resourceVersion")
        if replace and res.custom and not asked:
            cause = (
                "FieldValueInvalid",
                "Invalid value: 0: must be specified for an update",
                "metadata.resourceVersion",
            )
            raise errors.invalid(res.group, res.kind, name, [cause])
        if asked and asked != before["resourceVersion"]:
            raise errors.conflict(res.group, res.plural, name)

    @staticmethod
    def _strategy(res: Resource, old: Object, new: Object, subresource: str) -> Object:
        """Which parts of the wanted object count: status for the subresource, all the rest otherwise."""
        if subresource == "status":
            kept = {**old, "metadata": dict(old["metadata"])}
            kept.pop("status", None)
            if "status" in new:
                kept["status"] = new["status"]
            return kept
        result = {key: value for key, value in new.items() if not (res.status and key == "status")}
        if res.status and "status" in old:
            result["status"] = old["status"]
        meta = {key: value for key, value in new["metadata"].items() if value not in ({}, [])}
        for key in (*_SERVER_OWNED, "resourceVersion", "name", "namespace"):
            meta.pop(key, None)
            if key in old["metadata"]:
                meta[key] = old["metadata"][key]
        result["metadata"] = {key: meta[key] for key in sorted(meta)}
        return {"apiVersion": res.api_version, "kind": res.kind, **result}

    @staticmethod
    def _admit(res: Resource, obj: Object, old: Object | None, trusted: bool, notes: Notes | None) -> None:
        if res.schema is None or trusted:
            return
        pruned = res.schema.admit(obj, old)
        if notes is not None:
            notes.unknown_fields(res, obj, pruned)
        causes = res.schema.errors(obj, old)
        if causes:
            raise errors.invalid(res.group, res.kind, obj["metadata"]["name"], causes)

    @staticmethod
    def _content(res: Resource, obj: Object) -> dict[str, Any]:
        """What bumps the generation."""
        if not (res.custom or res.status):
            return {}
        return {key: value for key, value in obj.items() if key not in ("metadata", "status")}

    def _dry(self, obj: Object) -> Record:
        obj["metadata"].setdefault("resourceVersion", "")
        return Record(obj, self.store.rv)


def remove_api(verbs: Verbs, table: str) -> None:
    """Take a CRD away with its objects."""
    verbs.store.drop_table(table)
    verbs.store.remove(CRDS, ("", table))
