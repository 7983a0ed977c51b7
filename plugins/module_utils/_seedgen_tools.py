# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the generation of a seed image gets and gives: the ways to cluster, hub, node and registry, wish and report."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen_plan as plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import Phase, Wanted
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Result

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding
    from ansible_collections.sno.image_upgrade.plugins.module_utils._registry import ImageFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import HostFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import SeedCluster
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import HubView


class HubLike(t.Protocol):
    """The hub's side; ``_seedgen_cluster.SeedHub`` is the real one."""

    def read(self) -> HubView:
        """What the hub says of the cluster."""

    def let_go(self, seen: HubView) -> None:
        """Detach the cluster from the hub."""


class NodeLike(t.Protocol):
    """The node itself, where there is a connection to it."""

    def facts(self) -> HostFacts:
        """What only the node knows."""

    def log(self) -> str:
        """The imager's whole log."""

    def last_line(self) -> str:
        """The last line of the imager's log."""


class KeepLike(t.Protocol):
    """What is kept on the control node: the run that is under way, the copy of the pull secret, record and log."""

    @property
    def under_way(self) -> bool:
        """Whether an earlier run has asked for a seed image and has not seen how that ended."""

    @property
    def copy_of_pull_secret(self) -> str:
        """Where the copy is; empty where there is none."""

    def begin(self, image: str, facts: SeedFacts, digest_before: str) -> None:
        """Note what a run is for, before it changes anything."""

    def begun(self, image: str) -> tuple[SeedFacts | None, str]:
        """What the run that is under way noted."""

    def asked(self, uid: str) -> None:
        """Note that the SeedGenerator is there: from now on a silent API is expected."""

    def end(self) -> None:
        """Forget the run."""

    def keep_pull_secret(self, text: str) -> str:
        """Save it; where."""

    def save_record(self, facts: SeedFacts, image: str) -> str:
        """Save what is known of the seed; where."""

    def has_record(self, digest: str | None) -> str:
        """Where the record of this image is; empty where there is none."""

    def save_log(self, text: str) -> str:
        """Save it; where."""


AskRegistry = t.Callable[[str], "ImageFacts"]


@dataclass(frozen=True)
class Wish:
    """What the user wants, and consents to."""

    wanted: Wanted
    detach: plan.Detach = plan.Detach.NEVER
    remove: frozenset[plan.Remove] = frozenset()
    auth: str | None = None
    check: bool = False


@dataclass
class Report:
    """How it ended. ``steps`` are what was done, or in check mode what would be."""

    result: Result = Result.IN_FLIGHT
    message: str = ""
    next_step: str = ""
    phase: str = str(Phase.ABSENT)
    version: str | None = None
    digest: str | None = None
    changed: bool = False
    steps: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    record: str | None = None
    log: str | None = None
    pull_secret_copy: str | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    away_seconds: float = 0.0


@dataclass(frozen=True)
class Tools:
    """The ways to the cluster and to what belongs to it. None where there is none."""

    cluster: SeedCluster
    keep: KeepLike
    hub: HubLike | None = None
    node: NodeLike | None = None
    registry: AskRegistry | None = None
