# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Dry runs as the Lifecycle Agent makes them in Prep. The server tries everything and stores nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import Target
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

Object = t.Mapping[str, t.Any]

# Kinds that every cluster has, or OADP brings: nothing has to be asked to know how they are called.
_PLURALS: dict[tuple[str, str], tuple[str, bool]] = {
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "Namespace"): ("namespaces", False),
    ("velero.io/v1", "Backup"): ("backups", True),
    ("velero.io/v1", "Restore"): ("restores", True),
}


@dataclass(frozen=True)
class Answer:
    """What the server said: nothing where it would do it. ``denied``: this identity may not even try.

    ``unknown_kind``: no such API; ``no_namespace``: the namespace is not there.
    """

    status: int = 0
    message: str = ""
    denied: Permission | None = None
    unknown_kind: bool = False
    no_namespace: bool = False

    @property
    def fine(self) -> bool:
        """Whether the server would do it."""
        return not (self.status or self.denied or self.unknown_kind or self.no_namespace)

    @property
    def invalid(self) -> bool:
        """Whether the object itself is wrong (422, 400)."""
        return self.status in (400, 422)


UNKNOWN_KIND = Answer(unknown_kind=True)


class DryRuns:
    """Of one cluster. Remembers which kinds it serves."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kinds: dict[str, dict[str, tuple[str, bool]] | None] = {}

    def kind(self, api_version: str, kind: str) -> tuple[str, bool] | None:
        """The plural of a kind, and whether its objects are in namespaces; None where the cluster does not know it."""
        known = _PLURALS.get((api_version, kind))
        if known and not api_version.startswith("velero.io/"):
            return known
        if api_version not in self._kinds:
            self._kinds[api_version] = self._discover(api_version)
        served = self._kinds[api_version]
        return None if served is None else served.get(kind)

    def _discover(self, api_version: str) -> dict[str, tuple[str, bool]] | None:
        try:
            found = self._session.get(_root(api_version)).document.get("resources") or ()
        except NotThere:
            return None
        return {one["kind"]: (one["name"], bool(one["namespaced"])) for one in found if "/" not in one["name"]}

    def apply(self, obj: Object, namespace: str, *, merge: bool = False, create: bool = False) -> Answer:
        """Create it, or replace what is there (merge into it). ``create``: what is there already is fine."""
        found = self.kind(str(obj.get("apiVersion") or ""), str(obj.get("kind") or ""))
        if found is None:
            return UNKNOWN_KIND
        plural, namespaced = found
        namespace = namespace if namespaced else ""
        name = str(obj["metadata"]["name"])
        collection = _collection(str(obj["apiVersion"]), plural, namespace)
        group = str(obj["apiVersion"]).rpartition("/")[0]
        whole = {**obj, "metadata": {**obj["metadata"], **({"namespace": namespace} if namespaced else {})}}
        there = self._there(f"{collection}/{name}")
        if there is None:
            may = Permission("create", group, plural, namespace)
            return self._try(lambda: self._session.create(collection, whole, dryRun="All"), may)
        if create:
            return Answer()
        if merge:
            may = Permission("patch", group, plural, namespace, name)
            return self._try(lambda: self._session.merge_patch(f"{collection}/{name}", whole, dryRun="All"), may)
        may = Permission("update", group, plural, namespace, name)
        whole["metadata"] = {**whole["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
        return self._try(lambda: self._session.replace(f"{collection}/{name}", whole, dryRun="All"), may)

    def label(self, target: Target, label: str, value: str) -> Answer:
        """Label an object."""
        patch = {"metadata": {"labels": {label: value}}}
        may = Permission("patch", target.group, target.resource, target.namespace, target.name)
        return self._try(lambda: self._session.merge_patch(target.path, patch, dryRun="All"), may)

    def _there(self, path: str) -> Object | None:
        """The object; None where it is not there, or may not be read: then creating it tells."""
        try:
            return self._session.get(path).document
        except NotThere:
            return None
        except Unanswered as error:
            if error.status == 403:
                return None
            raise

    @staticmethod
    def _try(ask: t.Callable[[], t.Any], may: Permission) -> Answer:
        try:
            ask()
        except NotThere as error:
            text = str(error)
            return Answer(404, text, no_namespace=text.startswith('namespaces "'))
        except Refused as error:
            return Answer(error.status, str(error))
        except Unanswered as error:
            if error.status == 403:
                # A server that may not is no answer; one that will not (a quota, a namespace on its way out) is.
                lacking = f" cannot {may.verb} resource " in str(error)
                return Answer(403, str(error), denied=may if lacking else None)
            if error.status == 409:
                return Answer()
            raise
        return Answer()


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _collection(api_version: str, plural: str, namespace: str) -> str:
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{_root(api_version)}{place}/{plural}"
