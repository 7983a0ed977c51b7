# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the clusters of a group upgrade say themselves, where the inventory knows how to reach them.

The hub's status has only a generic text for most failures; the cause stands in the cluster's own object.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _verify
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import over_a_busy_moment
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import GroupView, Place, StepView
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import next_step
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, IbuError, Observed, State

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host

_T = t.TypeVar("_T")

_THREADS = 16
# How many of the clusters in progress are asked at one look: the next look asks the next ones.
_PER_LOOK = 100

_FAILED_IN = {
    State.PREP_FAILED: (Action.PREP,),
    State.UPGRADE_FAILED_PRE_PIVOT: (Action.UPGRADE,),
    State.UPGRADE_FAILED_POST_PIVOT: (Action.UPGRADE,),
    State.ROLLED_BACK: (Action.UPGRADE,),
    State.ROLLBACK_FAILED: (Action.ROLLBACK,),
    State.ABORT_FAILED: (Action.ABORT, Action.ABORT_ON_FAILURE, Action.FINALIZE_ROLLBACK),
    State.FINALIZE_FAILED: (Action.FINALIZE_UPGRADE, Action.FINALIZE_ROLLBACK, Action.ABORT, Action.ABORT_ON_FAILURE),
}

# Failed, and in the old stateroot: the hub can take them back to Idle.
_ABORTABLE = (State.PREP_FAILED, State.UPGRADE_FAILED_PRE_PIVOT, State.ROLLED_BACK)


def failure_of(observed: Observed, actions: t.Iterable[str]) -> dict[str, str]:
    """Which of these actions has failed on the cluster, and why in its own words; empty where none has."""
    failed = {str(action) for action in _FAILED_IN.get(observed.state, ())}
    return {action: observed.message or str(observed.state) for action in actions if action in failed}


class Causes:
    """Asks clusters for the cause of their failure, and remembers it. ``find``: a cluster's host, if it has one."""

    def __init__(self, find: t.Callable[[str], Host | None]) -> None:
        self._find = find
        self._known: dict[str, dict[str, str]] = {}
        self._states: dict[str, State] = {}
        self._asked: dict[str, int] = {}
        self._round = 0

    def of(self, group: GroupView, reported: t.Collection[str]) -> dict[str, dict[str, str]]:
        """By cluster and action, why it failed; of those that are in trouble now or were."""
        self._round += 1
        suspects = {**self._in_progress(group, reported), **self._unexplained(group)}
        for name, observed in each(self._find, suspects, lambda cluster: cluster.read()).items():
            self._asked[name] = self._round
            if isinstance(observed, Observed) and (cause := failure_of(observed, suspects[name])):
                self._known.setdefault(name, {}).update(cause)
                self._states[name] = observed.state
        return {name: cause for name, cause in self._known.items() if _is_lost(group, name)}

    def advice(self, name: str) -> str:
        """What can be done about a cluster that failed while TALM still holds on to it."""
        if name not in self._states:
            return f"look at it: ansible-playbook sno.image_upgrade.status -l {name}"
        if self._states[name] in _ABORTABLE:
            step = "collect its logs now; once the step has ended, sno.image_upgrade.group_abort takes it back to Idle"
        else:
            step = f"once the step has ended: {next_step(self._states[name])}".replace("{cluster}", name)
        return pointed(step, self._states[name], " ".join(self._known.get(name, {}).values()))

    def _explains(self, name: str, step: StepView) -> bool:
        return bool(set(self._known.get(name, ())) & set(step.step.actions))

    def _in_progress(self, group: GroupView, reported: t.Collection[str]) -> dict[str, tuple[str, ...]]:
        step = group.current
        if step is None:
            return {}
        open_ones = [name for name in step.names(Place.IN_PROGRESS, Place.FAILING) if not self._explains(name, step)]
        # Whom the hub reports first, then whoever was not asked for longest.
        open_ones.sort(key=lambda name: (name not in reported, self._asked.get(name, 0)))
        entries = {name: step.clusters[name] for name in open_ones[:_PER_LOOK]}
        return {name: (entry.action,) if entry.action else step.step.actions for name, entry in entries.items()}

    def _unexplained(self, group: GroupView) -> dict[str, tuple[str, ...]]:
        return {
            name: step.step.actions
            for step in group.steps
            for name in step.names(Place.FAILED)
            if not self._explains(name, step) and name not in self._asked
        }


def _is_lost(group: GroupView, name: str) -> bool:
    cluster = group.clusters.get(name)
    return cluster is not None and cluster.place is not Place.COMPLETED


def each(
    find: t.Callable[[str], Host | None], names: t.Iterable[str], ask: t.Callable[[Cluster], _T]
) -> dict[str, _T | IbuError]:
    """What many clusters answer, asked in parallel; an exception in the place of an answer that did not come.

    Clusters that the inventory does not know are left out.
    """
    hosts = {name: host for name in names if (host := find(name)) is not None}
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(hosts, pool.map(lambda host: _ask(host, ask), hosts.values()), strict=True))


def _ask(host: Host, ask: t.Callable[[Cluster], _T]) -> _T | IbuError:
    try:
        cluster = Cluster(host.open(), over_a_busy_moment())
    except IbuError as error:
        return error
    try:
        return ask(cluster)
    except IbuError as error:
        return error
    finally:
        cluster.close()


def unfit(find: t.Callable[[str], Host | None], names: t.Sequence[str], version: str | None) -> dict[str, str]:
    """By cluster, what speaks against finalizing it; who cannot be asked is unfit too."""
    answers = each(find, names, lambda cluster: _verify.problems(cluster.health(), version))
    found = {name: _verdict(answers.get(name)) for name in names}
    return {name: problem for name, problem in found.items() if problem}


def _verdict(answer: list[str] | IbuError | None) -> str:
    if answer is None:
        return "the inventory does not say how to reach it (ibu_kubeconfig)"
    return str(answer) if isinstance(answer, IbuError) else "; ".join(answer)
