# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade: before the pivot (backups, exports, reboot) and after it (manifests, restores, watchdog off)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fleetsim import ibu, velero
from fleetsim.agent import Reboot, StageFailed
from fleetsim.clock import rfc3339

if TYPE_CHECKING:
    from fleetsim.agent import Agent

_EXPORTS = (
    "Exporting Application Configuration",
    "Exporting Policy and Config Manifests",
    "Exporting Cluster, LVM, and cert-manager configuration",
)


async def run(a: Agent) -> None:
    state = ibu.outcome(a.status, "Upgrade")
    if state in ("completed", "failed"):
        a.clear_refusals()
        return
    if ibu.outcome(a.status, "Prep") != "completed" or ibu.outcome(a.status, "Rollback"):
        await a.refuse("Previous stage not succeeded")
        return
    a.clear_refusals()
    await (_after_pivot(a) if a.pivoted else _before_pivot(a))


async def _before_pivot(a: Agent) -> None:
    if a.machine.came_back:  # booted here again although the stage was under way
        await a.fail("Uncontrolled rollback")
        return
    ibu.start_stage(a.status, "Upgrade", a.clock.now())
    if ibu.reason(a.status, "Idle") != "InProgress":
        a.set("Idle", False, "InProgress", "In progress")
    a.phase("PrePivot")
    await a.say("In progress")
    try:
        await a.stable("Waiting for system to stabilize before Upgrade (pre-pivot) stage can continue: ")
        a.phase("PrePivot")
        await a.hang("upgrade_hangs", at="pre")
        if trouble := a.troubles.get("prepivot_failed"):
            await _prepivot_failure(a, str(trouble["message"]))
        if a.spec.get("oadpContent"):
            await a.say("Backing up Application Data")
            await velero.back_up(a)
        for message in _EXPORTS:
            await a.say(message)
            await a.pause(a.machine.upgrade_time("pre_pivot") / (len(_EXPORTS) + 1))
    except StageFailed as failure:
        await a.fail(str(failure))
        return
    a.end_phase("PrePivot")
    await a.say("In progress")
    await a.pause(a.machine.upgrade_time("pre_pivot") / (len(_EXPORTS) + 1))
    await a.machine.event(a, "Reboot", "System will now reboot for upgrade")
    await a.machine.leave(a, ibu.osname(a.spec["seedImageRef"]["version"]))


async def _prepivot_failure(a: Agent, message: str) -> None:
    await a.say("Backing up Application Data")
    await a.pause(a.machine.upgrade_time("pre_pivot") / 2)
    if message.startswith("Failed backup CRs: "):
        await velero.leave_failed(a, "Backup", message.removeprefix("Failed backup CRs: ").split(","))
    raise StageFailed(message)


async def _after_pivot(a: Agent) -> None:
    """The first status write after the pivot makes validNextStages [Rollback]."""
    now = a.clock.now()
    a.phase("PostPivot")
    if "rollbackAvailabilityExpiration" not in a.status:
        expires = now + timedelta(seconds=a.machine.durations.rollback_window)
        a.status["rollbackAvailabilityExpiration"] = rfc3339(expires)
    await a.say("In progress")
    try:
        await _gate(a)
        await _settle(a)
    except StageFailed as failure:
        await a.fail(str(failure))
        return
    a.end_phase("PostPivot")
    a.machine.stop_watchdog()
    await a.complete("Upgrade completed", "Upgrade completed")
    await a.machine.platform.moment("completed", a.api)


async def _gate(a: Agent) -> None:
    """Bad health here never fails the upgrade: it waits, until the watchdog fires."""
    await a.stable("Waiting for system to stabilize: ", deferred=False)
    a.phase("PostPivot")


async def _settle(a: Agent) -> None:
    steps = a.machine.upgrade_time("post_pivot") / 4
    await a.pause(steps)
    if (a.troubles.get("upgrade_hangs") or {}).get("at") == "post":
        a.machine.stop_watchdog()
        await a.hang("upgrade_hangs", at="post")
    if trouble := a.troubles.get("upgrade_failed_no_auto_rollback"):
        a.machine.stop_watchdog()
        raise StageFailed(str(trouble["message"]))
    if trouble := a.troubles.get("missing_dpa"):
        await _give_up(
            a, "missing DataProtectionApplication", f"DataProtectionApplication {trouble['name']} is not found"
        )
    await a.say("Applying Policy Manifests")
    await a.pause(steps)
    if trouble := a.troubles.get("policy_manifest"):
        await _give_up(a, "failure applying policy manifests", f"failed to apply manifest: {trouble['err']}")
    await a.say("Applying Config Manifests")
    await a.pause(steps)
    if trouble := a.troubles.get("config_manifest"):
        await _give_up(a, "failure applying config manifests", f"failed to apply manifest: {trouble['err']}")
    if a.spec.get("oadpContent") or "restore_failed" in a.troubles:
        await a.say("Restoring Application Data")
        failed = await velero.restore(a)
        if failed:
            await _give_up(a, "restore failure", f"Failed restore CRs: {','.join(failed)}")
    await a.pause(steps)
    await a.stable("Waiting for system to fully stabilize: ", mandatory=True, deferred=True)


async def _give_up(a: Agent, cause: str, detail: str) -> None:
    """Roll back by itself, unless that is switched off; then fail, and the watchdog may still fire."""
    if a.rollback_enabled("upgrade-completion") and a.machine.other is not None:
        raise Reboot(a.machine.other.osname, automatic=f"Rollback due to {cause}: {detail}")
    raise StageFailed(detail)
