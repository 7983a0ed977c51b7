# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback by hand: back into the other stateroot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetsim import ibu

if TYPE_CHECKING:
    from fleetsim.agent import Agent


async def run(a: Agent) -> None:
    state = ibu.outcome(a.status, "Rollback")
    if state in ("completed", "failed"):
        a.clear_refusals()
        return
    if state == "running" and not a.pivoted:
        await _arrived(a)
        return
    if not state and (not ibu.outcome(a.status, "Upgrade") or not a.pivoted):
        await a.refuse("Upgrade not started or already finalized")
        return
    a.clear_refusals()
    ibu.start_stage(a.status, "Rollback", a.clock.now())
    a.status.pop("rollbackAvailabilityExpiration", None)
    a.set("UpgradeCompleted", False, "Failed", "Rollback requested")
    a.set("UpgradeInProgress", False, "Failed", "Rollback requested")
    await a.say("In progress")
    await a.pause(2)
    await a.say("Initiating rollback")
    await a.pause(3)
    trouble = a.troubles.get("rollback_failed")
    if trouble or a.machine.other is None:
        await a.fail(str(trouble["message"]) if trouble else "unable to find an unbooted stateroot")
        return
    a.machine.phase = "Rollback/Reboot"
    await a.machine.event(a, "Reboot", "System will now reboot for rollback")
    await a.machine.leave(a, a.machine.other.osname)


async def _arrived(a: Agent) -> None:
    """Back in the old stateroot. Health does not matter for being done."""
    await a.say("Completing rollback")
    await a.pause(3)
    await a.complete("Rollback completed", "Rollback completed")
