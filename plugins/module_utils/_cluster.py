# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One single-node cluster through its API: read, patch and watch its ImageBasedUpgrade, read its health."""

from __future__ import annotations

import contextlib
import datetime
import time
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import once
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    NotThere,
    Observed,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._verify import Health

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Repeat, Reply, Session

IBU_COLLECTION = "/apis/lca.openshift.io/v1/imagebasedupgrades"
IBU_NAME = "upgrade"
IBU_PATH = f"{IBU_COLLECTION}/{IBU_NAME}"
VERSION_PATH = "/apis/config.openshift.io/v1/clusterversions/version"


class Cluster:
    """The calls that the drive of one cluster needs. Raises Unanswered, NotThere and Refused.

    ``patience`` is for what takes many requests, each of which may meet a busy moment.
    """

    def __init__(self, session: Session, patience: Repeat = once) -> None:
        self._session = session
        self._patience = patience
        self._version: str | None = None
        self._uid: str | None = None
        self._clock: datetime.datetime | None = None
        self._clock_read = 0.0
        self._refused = False
        self._answered = False

    def read(self) -> Observed:
        """A fresh read. A missing ImageBasedUpgrade raises NotThere."""
        try:
            if self._refused:
                self._session.probe()
            with _reading():
                reply = self._session.get(IBU_PATH)
                self._refused = False
                self._set_clock(reply)
                observed = self._observed(reply.document)
                self._answered = True
                return observed
        except Unanswered as error:
            self._refused = error.kind == "connect"
            # Whatever was known may belong to the release of before the outage.
            self._version = None
            if self._answered or not isinstance(error, NotThere):
                # A server that says once more that it is not ready keeps its connection: a new one costs as much as
                # several requests, and on the way back every node says it many times.
                self._session.close()
            self._answered = False
            raise

    def patch(self, body: t.Mapping[str, t.Any], *, dry_run: bool = False) -> Observed:
        """Send a merge patch to the ImageBasedUpgrade; the state right after it."""
        query = {"dryRun": "All"} if dry_run else {}
        reply = self._session.merge_patch(IBU_PATH, body, **query)
        self._set_clock(reply)
        return self._observed(reply.document)

    def changes(self, since: Observed, seconds: int) -> t.Iterator[Observed]:
        """Later states of the same object, until ``seconds`` are over or the server ends the watch."""
        events = self._session.watch(
            IBU_COLLECTION,
            resource_version=since.resource_version or "0",
            seconds=seconds,
            fieldSelector=f"metadata.name={IBU_NAME}",
        )
        with _reading():
            for event in events:
                if event["type"] == "DELETED":
                    raise NotThere("the ImageBasedUpgrade was deleted")
                yield self._observed(event["object"])

    def health(self) -> Health:
        """What decides whether an upgraded cluster may be finalized."""
        with _reading(), self._session.repeating(self._patience):
            return Health(
                cluster_version=self._session.get(VERSION_PATH).document,
                cluster_operators=self._session.list("/apis/config.openshift.io/v1/clusteroperators"),
                nodes=self._session.list("/api/v1/nodes"),
                persistent_volumes=self._session.list("/api/v1/persistentvolumes"),
                restores=self._list_if_served("/apis/velero.io/v1/namespaces/openshift-adp/restores"),
            )

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def _set_clock(self, reply: Reply) -> None:
        self._clock, self._clock_read = reply.now, time.monotonic()

    def _now(self) -> datetime.datetime | None:
        """The cluster's clock; a watch carries no date, so it is carried on from the last answer."""
        if self._clock is None:
            return None
        return self._clock + datetime.timedelta(seconds=time.monotonic() - self._clock_read)

    def _list_if_served(self, path: str) -> list[dict[str, t.Any]]:
        """Like list; a cluster without the API has no such objects."""
        try:
            return self._session.list(path)
        except NotThere:
            return []

    def _observed(self, document: dict[str, t.Any]) -> Observed:
        uid = (document.get("metadata") or {}).get("uid")
        if self._version is None or uid != self._uid:
            # A new uid means that the object was created again, possibly in the other release.
            self._version = self._read_version()
            self._uid = uid
        return observe(document, self._version, self._now())

    def _read_version(self) -> str | None:
        status = self._session.get(VERSION_PATH).document.get("status") or {}
        version = (status.get("desired") or {}).get("version")
        return str(version) if version else None


@contextlib.contextmanager
def _reading() -> t.Iterator[None]:
    """Who only looks proposes nothing that could be refused for good: such an answer is not the cluster's own."""
    try:
        yield
    except Refused as refusal:
        raise Unanswered("http", f"HTTP {refusal.status}: {refusal}", refusal.status) from refusal
