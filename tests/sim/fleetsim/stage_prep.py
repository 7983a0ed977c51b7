# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prep: health gate, validation, stateroot job, precache job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetsim import ibu, prep_checks
from fleetsim.agent import StageFailed
from fleetsim.ports import LCA_NAMESPACE, Stateroot
from fleetsim.prep_documents import refused

if TYPE_CHECKING:
    from fleetsim.agent import Agent

STATEROOT_JOB = "lca-prep-stateroot-setup"
PRECACHE_JOB = "lca-prep-precache"
FINALIZERS = {
    STATEROOT_JOB: "lca.openshift.io/stateroot-setup-finalizer",
    PRECACHE_JOB: "lca.openshift.io/precache-finalizer",
}
IMAGES = 120
_PROGRESS_STEPS = 4
_DEFAULT_WATCHDOG = 1800


async def run(a: Agent) -> None:
    state = ibu.outcome(a.status, "Prep")
    later = ibu.outcome(a.status, "Upgrade") or ibu.outcome(a.status, "Rollback")
    if state in ("completed", "failed") and not later:
        a.clear_refusals()
        return
    if later or (not state and not ibu.is_true(a.status, "Idle")):
        await a.refuse("Previous stage not succeeded")
        return
    a.clear_refusals()
    if not state:
        ibu.start_stage(a.status, "Prep", a.clock.now())
        a.set("Idle", False, "InProgress", "In progress")
        await a.say("In progress")
    try:
        await a.machine.platform.moment("prep", a.api)
        await a.stable("Waiting for system to stabilize before Prep stage can continue: ")
        await a.hang("prep_hangs", at="health")
        await _validate(a)
        await _stateroot(a)
        await _precache(a)
    except StageFailed as failure:
        await a.fail(str(failure))
        return
    detail = "Prep stage completed successfully"
    if ibu.VALIDATION_WARNING in a.annotations:
        detail = (
            "Prep stage completed with extramanifests validation warning. Please check the annotation "
            f"'{ibu.VALIDATION_WARNING}' for details."
        )
    await a.complete("Prep completed", detail)


async def _validate(a: Agent) -> None:
    """What the agent checks before it starts a job. Troubles come first: they stand for whatever may be wrong."""
    a.machine.phase = "Prep/Validation"
    await a.pause(a.machine.prep_time("validate"))
    if message := a.troubles.prep_failure("validate", a.machine.root.version):
        raise StageFailed(message)
    await prep_checks.validate(a)
    if warning := a.troubles.get("validation_warning"):
        await a.annotate(ibu.VALIDATION_WARNING, str(warning["message"]))


async def _stateroot(a: Agent) -> None:
    """Pull and unpack the seed into a stateroot of its own; the rollback settings are read now and never again."""
    a.phase("Stateroot")
    await _start_job(a, STATEROOT_JOB)
    await a.say("Successfully launched a new job for stateroot setup. job-name: , job-namespace: ")
    await a.pause(a.machine.prep_time("stateroot") * 0.1)
    await a.say(f"Stateroot setup job in progress. job-name: {STATEROOT_JOB}, job-namespace: {LCA_NAMESPACE}")
    await a.hang("prep_hangs", at="stateroot")
    await _work(a, STATEROOT_JOB, a.machine.prep_time("stateroot") * 0.9, "this is not allowed")
    version = a.spec["seedImageRef"]["version"]
    if message := a.troubles.prep_failure("stateroot", a.machine.root.version):
        await _finish_job(a, STATEROOT_JOB, "Failed")
        raise StageFailed(message)
    if a.machine.seed_image.version not in (None, version):  # only the job's log says so
        await _finish_job(a, STATEROOT_JOB, "Failed")
        raise refused("stateroot_failed")
    await _finish_job(a, STATEROOT_JOB, "Complete")
    seconds = (a.spec.get("autoRollbackOnFailure") or {}).get("initMonitorTimeoutSeconds") or _DEFAULT_WATCHDOG
    await a.machine.new_stateroot(
        Stateroot(
            osname=ibu.osname(version),
            version=version,
            watchdog=float(seconds) if a.rollback_enabled("init-monitor") else None,
            post_reboot_rollback=a.rollback_enabled("post-reboot-config"),
        )
    )
    a.end_phase("Stateroot")


async def _precache(a: Agent) -> None:
    a.phase("Precache")
    await _start_job(a, PRECACHE_JOB)
    await a.say("Successfully launched a new job precache. job-name: , job-namespace: ")
    place = f"Precache job in progress. job-name: {PRECACHE_JOB}, job-namespace: {LCA_NAMESPACE}."
    await a.pause(a.machine.prep_time("precache") * 0.1)
    await a.say(f"{place} No precache status file to read yet.")
    await a.hang("prep_hangs", at="precache")
    failed = int((a.troubles.get("precache_failed") or {}).get("failed_images", 0))
    for step in range(1, _PROGRESS_STEPS + 1):
        await _work(a, PRECACHE_JOB, a.machine.prep_time("precache") * 0.9 / _PROGRESS_STEPS, "this not allowed")
        lost = failed if step == _PROGRESS_STEPS else 0
        pulled = IMAGES * step // _PROGRESS_STEPS - lost
        await a.say(f"{place} total: {IMAGES} (pulled: {pulled}, failed: {lost})")
    if message := a.troubles.prep_failure("precache", a.machine.root.version):
        await _finish_job(a, PRECACHE_JOB, "Failed")
        raise StageFailed(message)
    await _finish_job(a, PRECACHE_JOB, "Complete")
    a.end_phase("Precache")


async def _work(a: Agent, job: str, seconds: float, refusal: str) -> None:
    """Time passes in a job. A job that somebody deletes meanwhile fails the stage."""
    await a.pause(seconds)
    found = await a.api.get("jobs.batch", job, LCA_NAMESPACE)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        what = "stateroot" if job == STATEROOT_JOB else "precache"
        raise StageFailed(
            f"{what} job is marked to be deleted, {refusal}. job-name: {job}, job-namespace: {LCA_NAMESPACE}"
        )


async def _start_job(a: Agent, name: str) -> None:
    owner = {"apiVersion": "lca.openshift.io/v1", "kind": "ImageBasedUpgrade", "name": ibu.NAME, "uid": a.uid}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": LCA_NAMESPACE,
            "finalizers": [FINALIZERS[name]],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": []}}},
    }
    await a.api.create("jobs.batch", job)
    await a.api.set_status("jobs.batch", name, {"active": 1}, LCA_NAMESPACE)


async def _finish_job(a: Agent, name: str, kind: str) -> None:
    counter = "succeeded" if kind == "Complete" else "failed"
    status = {"conditions": [{"type": kind, "status": "True"}], counter: 1}
    await a.api.set_status("jobs.batch", name, status, LCA_NAMESPACE)
