# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Putting a cluster's pull secret back after a generation that failed half-way. Clock and cluster are injected."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended, interrupted
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import Phase, is_sanitized
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Result

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import SeedCluster
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Patience

_POLL_SECONDS = 5.0
_NOTICED_SECONDS = 15.0  # until the machine configuration has seen the change


def restore(
    cluster: SeedCluster,
    copy: t.Callable[[], str],
    patience: Patience,
    *,
    clock: Clock,
    stop: threading.Event,
    check: bool,
    say: t.Callable[[str], None],
) -> str:
    """Put the copy back where the agent has left its dummy; what was done, or "" where nothing had to be.

    Raises Ended where a generation is under way: the agent itself puts the secret back at its end.
    """
    look = first_contact(cluster.look, patience.contact, clock, stop)
    if not is_sanitized(cluster.pull_secret()):
        return ""
    if look.generation.phase is not Phase.ABSENT and not look.generation.phase.is_over:
        raise Ended(
            Result.REFUSED,
            f"a seed image is being generated ({look.generation.message or look.generation.phase}); at its end the "
            "agent puts the pull secret back itself",
            "wait until it is over",
        )
    text = copy()
    if is_sanitized(text):
        raise InvalidOption("pull_secret_file", "<given>", "it has no credential in it: give a pull secret that works")
    cluster.put_pull_secret(text, dry_run=check)
    if not check:
        say("put the pull secret back; waits for the MachineConfigPools")
        _wait_for_pools(cluster, patience.removal, clock, stop)
    return "put the cluster's pull secret back"


def _wait_for_pools(cluster: SeedCluster, seconds: float, clock: Clock, stop: threading.Event) -> None:
    begun, noticed = clock.monotonic(), min(_NOTICED_SECONDS, seconds / 2)
    while True:
        clock.wait(stop, min(_POLL_SECONDS, noticed))
        if stop.is_set():
            raise interrupted()
        waited, busy = clock.monotonic() - begun, cluster.busy_pools()
        if waited >= noticed and not busy:
            return
        if waited >= seconds:
            raise Ended(
                Result.TIMED_OUT,
                f"the pull secret is back, but the node is not up to date after {waited:.0f} s: {', '.join(busy)}",
                "oc get machineconfigpools; look at what it waits for",
            )
