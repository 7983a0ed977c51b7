# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The hub's labels and annotation of one cluster against what the cluster itself says. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import DISABLE_AUTO_IMPORT
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import label
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Observed, Stage, State

# What TALM itself takes for one of its labels.
_IBGU_LABEL = re.compile(r"lcm\.openshift\.io/ibgu-[a-zA-Z]+-(completed|failed)")

_PREPARED = (label(Action.PREP, "completed"),)
_UPGRADED = (*_PREPARED, label(Action.UPGRADE, "completed"))
_UPGRADE_FAILED = (*_PREPARED, label(Action.UPGRADE, "failed"))

# The labels that a cluster in this state should have. In any other state it is on its way, and nothing can be said.
_EXPECTED: t.Mapping[State, tuple[str, ...]] = {
    State.IDLE: (),
    State.PREP_COMPLETED: _PREPARED,
    State.PREP_FAILED: (label(Action.PREP, "failed"),),
    State.UPGRADE_COMPLETED: _UPGRADED,
    State.UPGRADE_FAILED_PRE_PIVOT: _UPGRADE_FAILED,
    State.UPGRADE_FAILED_POST_PIVOT: _UPGRADE_FAILED,
    State.ROLLED_BACK: _UPGRADE_FAILED,
    State.ROLLBACK_COMPLETED: (*_UPGRADED, label(Action.ROLLBACK, "completed")),
    State.ROLLBACK_FAILED: (*_UPGRADED, label(Action.ROLLBACK, "failed")),
}
# The cluster stands still, in the release that it will run: importing it again does no harm.
_SETTLED = (State.IDLE, State.UPGRADE_COMPLETED, State.ROLLED_BACK, State.ROLLBACK_COMPLETED)

# The cleanup of an upgrade or of an attempt at one has failed: which labels are right depends on how it ends.
_CLEANUPS = (State.ABORT_FAILED, State.FINALIZE_FAILED)


@dataclass(frozen=True)
class Correction:
    """What to change on the hub. ``reason`` says why, or why nothing may be changed.

    ``keep`` is true where the cluster is to be left alone; ``wrong`` where it is left alone although the hub is wrong.
    """

    reason: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    release: bool = False
    keep: bool = False
    wrong: bool = False

    @property
    def is_needed(self) -> bool:
        """True where something on the hub differs and may be changed."""
        return not self.keep and bool(self.add or self.remove or self.release)

    def patch(self) -> dict[str, t.Any]:
        """The merge patch for the ManagedCluster."""
        labels: dict[str, str | None] = {**dict.fromkeys(self.add, ""), **dict.fromkeys(self.remove)}
        metadata: dict[str, t.Any] = {"labels": labels} if labels else {}
        if self.release:
            metadata["annotations"] = {DISABLE_AUTO_IMPORT: None}
        return {"metadata": metadata}

    def words(self) -> str:
        """What is changed, for people."""
        parts = [f"{_short(key)} added" for key in self.add] + [f"{_short(key)} removed" for key in self.remove]
        if self.release:
            parts.append("auto-import on again")
        return ", ".join(parts)


def _short(key: str) -> str:
    return key.rpartition("/")[2]


def ours(labels: t.Mapping[str, str]) -> list[str]:
    """The labels of group upgrades among these."""
    return sorted(key for key in labels if _IBGU_LABEL.fullmatch(key))


def correction(
    observed: Observed,
    labels: t.Mapping[str, str],
    annotations: t.Mapping[str, str],
    holds: t.Iterable[Hold] = (),
    busy: str = "",
) -> Correction:
    """What brings the hub into line with a cluster.

    ``holds`` are what group upgrades keep doing to its labels; ``busy`` names one that is not done with it.
    """
    expected = _EXPECTED.get(observed.state)
    if expected is None:
        return Correction(_why_unknown(observed), keep=True)
    present = set(ours(labels))
    # A label that is there with a value is not the one that TALM looks for.
    good = {key for key in present if labels[key] == ""}
    add = tuple(sorted(set(expected) - good))
    remove = tuple(sorted(present - set(expected)))
    release = observed.state in _SETTLED and DISABLE_AUTO_IMPORT in annotations
    found = Correction(f"the cluster is {observed.state}", add, remove, release)
    if busy and found.is_needed:
        # It may wait for its turn with its auto-import held back already, and TALM labels it as it goes.
        why = f"{found.reason}, but the group upgrade {busy} is not done with it; wait for the end of the step"
        return dataclasses.replace(found, reason=why, keep=True)
    held_by = next((hold.name for hold in holds if hold.undoes(add, remove)), None)
    if held_by:
        why = (
            f"{found.reason}, but the group upgrade {held_by} still lists it and TALM would change the labels back; "
            "delete it first (ibgu_plan, state: absent)"
        )
        return dataclasses.replace(found, reason=why, keep=True, wrong=True)
    return found


def _why_unknown(observed: Observed) -> str:
    if observed.state in _CLEANUPS:
        return f"its cleanup has failed ({observed.state}); recover it first, the labels follow from how that ends"
    return f"it is {observed.state}"


# --- what group upgrades do ---------------------------------------------------------------------------------------

# Completed, these take all labels away instead of adding one.
_LAST = tuple(action for action in Action if action.stage is Stage.IDLE)


@dataclass(frozen=True)
class Hold:
    """What TALM does to the labels of one cluster whenever it looks at a group upgrade.

    It gives the labels of every action that has ended, and takes none away. Once the cluster was finalized or
    aborted, it takes all away instead, also those that somebody else has given since (``strips``).
    """

    name: str
    gives: frozenset[str] = frozenset()
    strips: bool = False

    def undoes(self, add: t.Collection[str], remove: t.Collection[str]) -> bool:
        """True where TALM would undo this change."""
        return bool(add) if self.strips else not self.gives.isdisjoint(remove)


def name_of(document: t.Mapping[str, t.Any]) -> str:
    """NAMESPACE/NAME."""
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def holds_of(group_upgrade: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, Hold]]:
    """The clusters that a group upgrade lists, and what TALM keeps doing to their labels."""
    name = name_of(group_upgrade)
    for entry in (group_upgrade.get("status") or {}).get("clusters") or ():
        completed = _actions(entry, "completedActions")
        gives = {label(action, "completed") for action in completed}
        gives |= {label(action, "failed") for action in _actions(entry, "failedActions")}
        if any(action in _LAST for action in completed):
            yield entry["name"], Hold(name, strips=True)
        elif gives:
            yield entry["name"], Hold(name, frozenset(gives))


def _actions(entry: t.Mapping[str, t.Any], key: str) -> list[str]:
    return [str(item["action"]) for item in entry.get(key) or ()]


def is_over(group_upgrade: t.Mapping[str, t.Any]) -> bool:
    """True where TALM has seen the whole plan and every step has ended."""
    meta, status = group_upgrade["metadata"], group_upgrade.get("status") or {}
    seen = status.get("observedGeneration") == meta.get("generation")
    conditions = status.get("conditions") or ()
    return seen and any(c.get("type") == "Progressing" and c.get("status") == "False" for c in conditions)


def under_way(cgu: t.Mapping[str, t.Any]) -> list[str]:
    """The clusters that a ClusterGroupUpgrade has taken on and is not done with."""
    status = cgu.get("status") or {}
    if any(c.get("type") == "Succeeded" for c in status.get("conditions") or ()):
        return []
    done = {entry["name"] for entry in status.get("clusters") or ()}
    return [name for batch in status.get("remediationPlan") or () for name in batch if name not in done]
