# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent and the machine need from the world. The simulator and the real API server each provide it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

Object = dict[str, Any]

LCA_NAMESPACE = "openshift-lifecycle-agent"
OADP_NAMESPACE = "openshift-adp"


class KindUnknown(Exception):
    """The server has no such kind of object."""


class Api(Protocol):
    """One API server as the agent uses it. `table` is `<plural>.<group>`, or `<plural>` for the core group."""

    async def get(self, table: str, name: str, namespace: str = "") -> Object | None: ...

    async def list(self, table: str, namespace: str = "") -> list[Object]:
        """Empty where the server does not know the resource."""
        ...

    async def create(self, table: str, obj: Object) -> Object:
        """The status of the object is not stored; an object that is already there is left alone."""
        ...

    async def set_status(self, table: str, name: str, status: Object, namespace: str = "") -> Object:
        """Replace the whole status."""
        ...

    async def merge(self, table: str, name: str, patch: Object, namespace: str = "") -> Object:
        """Merge patch of everything but the status."""
        ...

    async def delete(self, table: str, name: str, namespace: str = "") -> None:
        """Finalizers or not; fine when it is not there."""
        ...

    # What is only tried: with the server's admission, and nothing is stored. Refusals are StatusErrors.

    async def namespaced(self, obj: Object) -> bool:
        """Whether objects of this kind are in namespaces. Raises KindUnknown."""
        ...

    async def dry_run(self, obj: Object, *, create: bool = False, merge: bool = False) -> None:
        """Create it, or replace what is there (merge into it); `create`: what is there already is in the way."""
        ...

    async def dry_patch(self, resource: tuple[str, str, str], name: str, namespace: str, patch: Object) -> None:
        """A merge patch of the object of a resource (group, version, plural)."""
        ...


@dataclass
class Stateroot:
    """One OS root of the machine and what the Lifecycle Agent keeps in it."""

    osname: str
    version: str
    saved: Object | None = None  # the IBU to restore when the agent starts here (spec and status)
    watchdog: float | None = None  # seconds until the init monitor rolls back, read when the stateroot is made
    post_reboot_rollback: bool = True
    fresh: bool = True  # never booted: its etcd is the seed's


class Platform(Protocol):
    """Power button and API server of one machine."""

    async def start(self, root: Stateroot) -> Api:
        """The API server answers on this stateroot's etcd; a fresh one has no CRD of ours yet."""
        ...

    async def install_crds(self) -> None: ...

    async def stop(self) -> None:
        """Connection refused from now on."""
        ...

    async def forget(self, osname: str) -> None:
        """The stateroot was deleted, its etcd with it."""
        ...

    async def moment(self, name: str, api: Api) -> None:
        """`completed`: UpgradeCompleted has just become true. A place for what happens around the agent."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back whenever uid, generation or annotations of the IBU change."""
        ...


@dataclass
class Durations:
    """Simulated seconds of each step; `spread` varies them per cluster."""

    stateroot: float = 90
    precache: float = 60
    pre_pivot: float = 30
    reboot: float = 300
    crd: float = 5
    lca_start: float = 20
    status: float = 2
    post_pivot: float = 120
    finalize: float = 40
    abort: float = 30
    rollback: float = 300
    validate: float = 5
    health: float = 0
    rollback_window: float = 1_728_000
    spread: float = 0.2
    factor: float = field(default=1.0)

    def of(self, name: str) -> float:
        return float(getattr(self, name)) * self.factor
