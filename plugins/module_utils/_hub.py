# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The hub's side of one cluster: holding back its auto-import while the node reboots into another release."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

MANAGED_CLUSTERS = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
DISABLE_AUTO_IMPORT = "import.open-cluster-management.io/disable-auto-import"


class HubImport:
    """Sets and removes the annotation that stops the hub from importing the cluster again during the pivot.

    The hub is contacted only when it is needed, by the thread that drives the cluster.
    """

    def __init__(self, open_hub: t.Callable[[], Session], managed_cluster: str) -> None:
        self._open_hub = open_hub
        self._name = managed_cluster

    def hold(self) -> None:
        """Hold the auto-import back. Raises IbuError where the hub does not take it."""
        with self._managed_cluster() as (session, path):
            session.merge_patch(path, _annotation("true"))

    def release(self) -> None:
        """Let the hub import again. Writes nothing to a cluster that is not held back."""
        with self._managed_cluster() as (session, path):
            annotations = session.get(path).document["metadata"].get("annotations") or {}
            if DISABLE_AUTO_IMPORT in annotations:
                session.merge_patch(path, _annotation(None))

    @contextlib.contextmanager
    def _managed_cluster(self) -> t.Iterator[tuple[Session, str]]:
        session = self._open_hub()
        try:
            yield session, f"{MANAGED_CLUSTERS}/{self._name}"
        except NotThere as error:
            raise IbuError(
                f"{session.url} has no ManagedCluster {self._name!r}; name it in ibu_managed_cluster"
            ) from error
        finally:
            session.close()


def _annotation(value: str | None) -> dict[str, t.Any]:
    return {"metadata": {"annotations": {DISABLE_AUTO_IMPORT: value}}}
