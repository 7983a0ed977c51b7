# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Idle: nothing to do, or the abort or finalize that leads there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetsim import ibu, velero
from fleetsim.ports import LCA_NAMESPACE
from fleetsim.stage_prep import PRECACHE_JOB, STATEROOT_JOB

if TYPE_CHECKING:
    from fleetsim.agent import Agent

_MANUAL = (
    "Perform cleanup manually then add 'lca.openshift.io/manual-cleanup-done' annotation to ibu CR to transition back "
    "to Idle"
)
PARTS = {
    "stateroot": "failed to clean up host stateroot resources: failed to remove 1 stateroots",
    "stateroot_job": "failed to cleanup cluster stateroot resources: timed out waiting for the condition",
    "job": "failed to job: jobs.batch is forbidden",
    "requests": "failed to cleanup DeleteBackupRequest CRs: failed to delete DeleteBackupRequest CR acm-klusterlet: "
    "context deadline exceeded",
    "backups": "failed to cleanup backups: failed to delete backups: context deadline exceeded",
    "pv": "failed to restore persistentVolumeReclaimPolicy in PVs created by LVMS: failed to update PersistentVolume "
    "pv-app: context deadline exceeded",
    "workspace": "removing /var/lib/lca/workspace failed: device or resource busy",
}


async def run(a: Agent) -> None:
    if ibu.is_true(a.status, "Idle"):
        a.clear_refusals()
        return
    if not a.status.get("conditions"):
        await _arrive(a)
        return
    why = ibu.reason(a.status, "Idle")
    if why in ("AbortFailed", "FinalizeFailed"):
        if ibu.MANUAL_CLEANUP not in a.annotations:
            return
        await a.annotate(ibu.MANUAL_CLEANUP, None)
        finalize = why == "FinalizeFailed"
    elif why in ("Aborting", "Finalizing"):
        finalize = why == "Finalizing"
    else:
        refusal = _refusal(a)
        if refusal:
            await a.refuse(refusal)
            return
        finalize = ibu.is_true(a.status, "UpgradeCompleted") or ibu.is_true(a.status, "RollbackCompleted")
    await _clean_up(a, finalize)


def _refusal(a: Agent) -> str:
    """Idle is a legal target before the pivot, after a completed upgrade and after a completed rollback."""
    back = ibu.outcome(a.status, "Rollback")
    if back == "failed":
        return "Transition to Idle not allowed - Rollback failed"
    if back == "running":
        return "Transition to Idle not allowed - Rollback is in progress"
    if not back and a.pivoted and ibu.outcome(a.status, "Upgrade") in ("running", "failed"):
        return "Transition to Idle not allowed - Rollback first"
    return ""


async def _clean_up(a: Agent, finalize: bool) -> None:
    reason = "Finalizing" if finalize else "Aborting"
    a.machine.phase = f"Idle/{reason}"
    a.clear_refusals()
    a.status.pop("history", None)
    a.set("Idle", False, reason, reason)
    await a.write()
    if finalize:
        await a.stable("Waiting for system to stabilize before finalize (idle) stage can continue: ", idle="Finalizing")
        a.set("Idle", False, reason, reason)
        await a.write()
    name = "finalize" if finalize else "abort"
    await a.pause(a.machine.durations.of(name))
    errors = await _steps(a, f"{name}_failed")
    if errors:
        failed = "FinalizeFailed" if finalize else "AbortFailed"
        a.machine.phase = f"Idle/{failed}"
        a.set("Idle", False, failed, f"{' '.join(errors)} {_MANUAL}")
        await a.write()
        if ibu.MANUAL_CLEANUP in a.annotations:  # set too early: consumed on the next failure
            await run(a)
        return
    await _arrive(a)


async def _steps(a: Agent, trouble: str) -> list[str]:
    """All of them run even if one fails."""
    errors: list[str] = []
    active = a.troubles.get(trouble)
    part = ""
    if active and int(active["times"]) > 0:
        active["times"] = int(active["times"]) - 1
        part = str(active["part"])
        errors.append(PARTS.get(part, part))
    for job in (STATEROOT_JOB, PRECACHE_JOB):
        await a.api.delete("jobs.batch", job, LCA_NAMESPACE)
    if part not in ("stateroot", "stateroot_job"):
        await a.machine.remove_unbooted()
    await a.annotate(ibu.VALIDATION_WARNING, None)
    if part not in ("requests", "backups") and (error := await velero.delete_backups(a)):
        errors.append(error)
    if part != "pv":
        await velero.restore_policies(a)
    return errors


async def _arrive(a: Agent) -> None:
    """Idle is all that remains of the conditions; the spec stays as it is."""
    a.machine.phase = "Idle"
    a.machine.came_back = False
    ibu.keep_only(a.status, "Idle")
    a.status.pop("history", None)
    a.status.pop("rollbackAvailabilityExpiration", None)
    a.set("Idle", True, "Idle", "Idle")
    await a.write()
