# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the actions share that talk to one hub about many clusters. Controller side only."""

from __future__ import annotations

import typing as t

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS, goals_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption, SeedImage
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import (
    HUB_PREFIX,
    PREFIX,
    FleetAction,
    Host,
    open_hub,
)

# Of the authentication options, those that say which API server is meant and who asks.
AUTH_OPTIONS: dict[str, dict[str, t.Any]] = {name: dict(spec) for name, spec in AUTH_ARG_SPEC.items()}
# The options that name the group upgrade.
NAME_OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
}


class HubAction(FleetAction):
    """Base of the actions about a group upgrade.

    An option that the task does not give is taken from a variable: what the clusters shall become from
    ``ibu_<option>``, the connection to the hub from ``ibu_hub_<option>``, all others from ``ibgu_<option>``.
    """

    def variables(self) -> dict[str, str]:
        """By option: the variable of the play that it is taken from where the task does not give it."""
        return {name: _variable(name) for name in self.OPTIONS}

    @staticmethod
    def open_hub(options: t.Mapping[str, t.Any]) -> Session:
        """A session to the hub. Raises InvalidOption, which names the variables."""
        return open_hub({name: options.get(name) for name in AUTH_OPTIONS})


def _variable(option: str) -> str:
    if option in GOAL_OPTIONS:
        return f"{PREFIX}{option}"
    return f"{HUB_PREFIX}{option}" if option in AUTH_OPTIONS else f"ibgu_{option}"


class Inventory:
    """The hosts of the inventory by the names that their clusters have on the hub. Looks only when it is asked."""

    def __init__(self, task_vars: t.Mapping[str, t.Any]) -> None:
        self._hostvars = task_vars["hostvars"]
        self._batch = [str(name) for name in task_vars.get("ansible_play_batch") or ()]
        self._by_cluster: dict[str, Host] | None = None

    def batch(self) -> t.Iterator[tuple[str, str]]:
        """Of each host of the batch its name, and the one that its cluster has on the hub."""
        for name in self._batch:
            yield name, Host(name, self._hostvars[name]).managed_cluster

    def find(self, cluster: str) -> Host | None:
        """The host of a ManagedCluster, where the inventory has one that says how to reach it."""
        if cluster in self._hostvars:
            host = Host(cluster, self._hostvars[cluster])
            if host.managed_cluster == cluster:
                return host if host.is_reachable else None
        if self._by_cluster is None:
            everyone = (Host(str(name), self._hostvars[name]) for name in self._hostvars)
            self._by_cluster = {host.managed_cluster: host for host in everyone}
        found = self._by_cluster.get(cluster)
        return found if found is not None and found.is_reachable else None


def check_one_seed(task_vars: t.Mapping[str, t.Any], wanted: SeedImage) -> None:
    """Raise InvalidOption where hosts of the play want another seed image: a group upgrade has one for all."""
    option = f"{PREFIX}seed_image_ref"
    for name in task_vars.get("ansible_play_batch") or ():
        given = task_vars["hostvars"][name].get(option)
        (theirs,) = goals_of([Action.PREP], {"seed_image_ref": given}, PREFIX)
        if theirs.seed not in (None, wanted):
            raise InvalidOption(
                option,
                given,
                f"host {name} wants another seed image than the group upgrade ({wanted.image}), which has one for all; "
                "make a group upgrade for each seed image",
            )
