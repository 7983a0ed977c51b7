# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the Lifecycle Agent's table, played in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from virtual import Site

from fleetsim import ibu
from fleetsim.errors import StatusError
from fleetsim.resources import IBU

STATEROOT = (
    "Stateroot setup job in progress. job-name: lca-prep-stateroot-setup, job-namespace: openshift-lifecycle-agent"
)
PRECACHE = "Precache job in progress. job-name: lca-prep-precache, job-namespace: openshift-lifecycle-agent."
MANUAL = (
    "Perform cleanup manually then add 'lca.openshift.io/manual-cleanup-done' annotation to ibu CR to transition back "
    "to Idle"
)


def types(site: Site) -> list[str]:
    return [c["type"] for c in site.status["conditions"]]


async def test_idle_is_ready() -> None:
    async with Site() as site:
        assert site.condition("Idle") == ("True", "Idle", "Idle")
        assert site.next == ["Prep"]
        assert types(site) == ["Idle"]


async def test_prep_tells_each_step_and_completes() -> None:
    async with Site() as site:
        site.patch("Prep", **site.goal())
        await site.until(lambda: site.condition("PrepInProgress"))
        assert site.condition("Idle") == ("False", "InProgress", "In progress")
        assert site.condition("PrepInProgress") == ("True", "InProgress", "In progress")
        assert site.next == ["Idle"]
        await site.until(lambda: site.condition("PrepCompleted"))
        assert site.condition("PrepInProgress") == ("False", "Completed", "Prep completed")
        assert site.condition("PrepCompleted") == ("True", "Completed", "Prep stage completed successfully")
        assert site.next == ["Idle", "Upgrade"]
        assert types(site) == ["Idle", "PrepInProgress", "PrepCompleted"]
        assert site.messages("PrepInProgress") == [
            "In progress",
            "Successfully launched a new job for stateroot setup. job-name: , job-namespace: ",
            STATEROOT,
            "Successfully launched a new job precache. job-name: , job-namespace: ",
            f"{PRECACHE} No precache status file to read yet.",
            *(f"{PRECACHE} total: 120 (pulled: {n}, failed: 0)" for n in (30, 60, 90, 120)),
            "Prep completed",
        ]
        (history,) = site.status["history"]
        assert [p["phase"] for p in history["phases"]] == ["Stateroot", "Precache"]
        assert all("completionTime" in part for part in (history, *history["phases"]))


async def test_prep_failure_lets_nothing_but_idle() -> None:
    async with Site(troubles={"stateroot_failed": {}}) as site:
        await site.prep()
        assert site.condition("PrepCompleted") == ("False", "Failed", "Prep failed")
        assert (site.condition("PrepInProgress") or ("",))[:2] == ("False", "Failed")
        assert site.next == ["Idle"]
        assert types(site) == ["Idle", "PrepCompleted", "PrepInProgress"]
        assert "completionTime" not in site.status["history"][0]
        with pytest.raises(StatusError) as refused:
            site.patch("Upgrade")
        assert refused.value.code == 422


async def test_prep_waits_for_health_and_never_fails_on_it() -> None:
    async with Site(troubles={"health_blocked": {"check": "csr", "name": "csr-1"}}) as site:
        site.patch("Prep", **site.goal())
        await asyncio.sleep(7200)
        assert site.condition("PrepInProgress") == (
            "True",
            "InProgress",
            "Waiting for system to stabilize before Prep stage can continue: one or more health checks failed: "
            "certificateSigningRequest (csr) csr-1 not yet approved",
        )
        await site.cluster.heal("health_blocked")
        await site.until(lambda: site.condition("PrepCompleted"))
        assert ibu.is_true(site.status, "PrepCompleted")


async def test_abort_of_a_running_prep() -> None:
    async with Site() as site:
        site.patch("Prep", **site.goal())
        await site.until(lambda: "Stateroot setup job" in (site.condition("PrepInProgress") or ("", "", ""))[2])
        site.patch("Idle")
        await site.until(lambda: site.condition("Idle") == ("False", "Aborting", "Aborting"))
        assert site.next is None
        assert "history" not in site.status
        await site.until(lambda: site.condition("Idle") == ("True", "Idle", "Idle"))
        assert types(site) == ["Idle"]
        assert site.next == ["Prep"]
        assert site.get("jobs.batch", "lca-prep-stateroot-setup", "openshift-lifecycle-agent") is None
        assert site.cr and site.cr["spec"]["seedImageRef"]["version"] == "4.17.3"


async def test_upgrade_through_the_pivot() -> None:
    async with Site() as site:
        await site.prep()
        before = site.cr
        assert before
        node = site.get("nodes", "site-0001")
        version = site.cluster.endpoint.store.rv
        site.patch("Upgrade")
        await site.until(lambda: site.condition("UpgradeInProgress"))
        assert site.next == ["Idle"]
        await site.until(lambda: not site.up)
        down = site.seconds
        await site.until(lambda: site.up)
        assert site.seconds - down == pytest.approx(300, abs=1)
        assert IBU in site.cluster.endpoint.absent  # first no CRD
        await site.until(lambda: IBU not in site.cluster.endpoint.absent)
        assert site.cr is None  # then no CR
        await site.until(lambda: site.cr)
        after = site.cr
        assert after and "status" not in after  # then no status
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert after["metadata"]["generation"] == 1
        assert after["spec"] == {**before["spec"], "stage": "Upgrade"}
        assert site.cluster.endpoint.store.rv < version
        new_node = site.get("nodes", "site-0001")
        assert node and new_node
        assert node["metadata"]["uid"] != new_node["metadata"]["uid"]
        assert node["status"]["nodeInfo"]["bootID"] != new_node["status"]["nodeInfo"]["bootID"]
        await site.until(lambda: site.condition("UpgradeCompleted"))
        assert site.condition("UpgradeCompleted") == ("True", "Completed", "Upgrade completed")
        assert site.condition("UpgradeInProgress") == ("False", "Completed", "Upgrade completed")
        assert site.next == ["Idle", "Rollback"]
        assert "rollbackAvailabilityExpiration" in site.status
        assert site.status["observedGeneration"] == 1
        assert ibu.condition(site.status, "PrepCompleted")["observedGeneration"] == 2  # type: ignore[index]
        assert [p["phase"] for p in site.status["history"][1]["phases"]] == ["PrePivot", "PostPivot"]
        cluster_version = site.get("clusterversions.config.openshift.io", "version")
        assert cluster_version and cluster_version["status"]["desired"]["version"] == "4.17.3"


async def test_messages_of_an_upgrade() -> None:
    async with Site() as site:
        await site.prep()
        await site.upgrade()
        assert site.messages("UpgradeInProgress") == [
            "In progress",
            "Backing up Application Data",
            "Backup of Application Data is in progress",
            "Exporting Application Configuration",
            "Exporting Policy and Config Manifests",
            "Exporting Cluster, LVM, and cert-manager configuration",
            "In progress",
            "Applying Policy Manifests",
            "Applying Config Manifests",
            "Restoring Application Data",
            "Restore of Application Data is in progress",
            "Upgrade completed",
        ]


async def test_restored_status_is_the_old_one_until_the_first_reconcile() -> None:
    async with Site() as site:
        await site.prep()
        await site.upgrade()
        moved = [one for one in site.seen if one and one["metadata"]["generation"] == 1]
        first, second, third = [one for one in moved if one["spec"]["stage"] == "Upgrade"][:3]
        assert "status" not in first
        assert second["status"]["validNextStages"] == ["Idle"]
        assert second["status"]["observedGeneration"] == 3
        assert third["status"]["validNextStages"] == ["Rollback"]
        assert third["status"]["observedGeneration"] == 1


async def test_finalize() -> None:
    async with Site() as site:
        await site.prep()
        await site.upgrade()
        site.patch("Idle")
        await site.until(lambda: site.condition("Idle") == ("False", "Finalizing", "Finalizing"))
        assert site.next is None
        await site.until(lambda: site.condition("Idle") == ("True", "Idle", "Idle"))
        assert types(site) == ["Idle"]
        assert "rollbackAvailabilityExpiration" not in site.status
        assert list(site.cluster.machine.stateroots) == ["rhcos_4.17.3"]
        assert not list(site.cluster.endpoint.store.records("backups.velero.io"))


async def test_finalize_waits_for_health() -> None:
    async with Site(troubles={"unhealthy_after_upgrade": {"operator": "dns"}}) as site:
        await site.prep()
        await site.upgrade()
        site.patch("Idle")
        await asyncio.sleep(3600)
        assert site.condition("Idle") == (
            "False",
            "Finalizing",
            "Waiting for system to stabilize before finalize (idle) stage can continue: one or more health checks "
            "failed: one or more ClusterOperators not yet ready: dns",
        )
        await site.cluster.heal("unhealthy_after_upgrade")
        await site.until(lambda: ibu.is_true(site.status, "Idle"))


async def test_rollback_by_hand_shows_the_stale_cr_first() -> None:
    async with Site() as site:
        await site.prep()
        old = site.cr
        assert old
        await site.upgrade()
        site.patch("Rollback")
        await site.until(lambda: site.condition("RollbackInProgress"))
        assert site.condition("UpgradeCompleted") == ("False", "Failed", "Rollback requested")
        assert site.condition("UpgradeInProgress") == ("False", "Failed", "Rollback requested")
        assert site.next is None
        assert "rollbackAvailabilityExpiration" not in site.status
        await site.until(lambda: not site.up)
        await site.until(lambda: site.up)
        stale = site.cr
        assert stale
        assert stale["metadata"]["uid"] == old["metadata"]["uid"]
        assert site.condition("UpgradeInProgress") == ("True", "InProgress", "In progress")
        await site.until(lambda: site.condition("RollbackCompleted"))
        assert site.cr and site.cr["metadata"]["uid"] not in (old["metadata"]["uid"],)
        assert site.cr["metadata"]["generation"] == 1
        assert site.condition("RollbackCompleted") == ("True", "Completed", "Rollback completed")
        assert site.condition("RollbackInProgress") == ("False", "Completed", "Rollback completed")
        assert site.condition("UpgradeCompleted") == ("False", "Failed", "Rollback requested")
        assert site.next == ["Idle"]
        assert site.cluster.machine.booted == "rhcos"
        await site.idle()
        assert any("Finalizing" in text for text in site.messages("Idle"))


async def test_upgrade_again_after_a_rollback() -> None:
    async with Site() as site:
        for _ in range(2):
            await site.prep()
            await site.upgrade()
            assert ibu.is_true(site.status, "UpgradeCompleted")
            await site.rollback()
            await site.idle()
        assert site.cluster.machine.boots == 5


async def test_automatic_rollback_ends_in_an_abort() -> None:
    async with Site(troubles={"postpivot_failure": {"err": "recert"}}) as site:
        await site.prep()
        old = site.cr
        site.patch("Upgrade")
        await site.until(lambda: site.cluster.machine.rollbacks)
        await site.until(lambda: site.up)
        assert site.condition("UpgradeInProgress") == ("True", "InProgress", "In progress")  # stale
        await site.until(lambda: site.condition("UpgradeCompleted"))
        assert site.condition("UpgradeCompleted") == ("False", "Failed", "Upgrade failed")
        assert site.condition("UpgradeInProgress") == ("False", "Failed", "Rollback due to postpivot failure: recert")
        assert site.condition("RollbackCompleted") is None
        assert types(site)[-2:] == ["UpgradeCompleted", "UpgradeInProgress"]
        assert site.cr and old
        assert site.cr["metadata"]["uid"] != old["metadata"]["uid"]
        assert site.cr["metadata"]["generation"] == 1
        assert site.cr["spec"]["stage"] == "Upgrade"
        await site.until(lambda: site.next == ["Idle"])
        site.patch("Idle")
        await site.until(lambda: (site.condition("Idle") or ("", ""))[1] == "Aborting")
        await site.until(lambda: ibu.is_true(site.status, "Idle"))


@pytest.mark.parametrize(
    ("settings", "shown", "seconds"), [(None, "30m0s", 1800), (2700, "45m0s", 2700), (3600, "1h0m0s", 3600)]
)
async def test_watchdog(settings: int | None, shown: str, seconds: int) -> None:
    async with Site(troubles={"init_monitor_timeout": {}}) as site:
        more = {"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": settings}} if settings else {}
        await site.prep(**more)
        site.patch("Upgrade")
        await site.until(lambda: not site.up)
        await site.until(lambda: site.up)
        booted = site.seconds
        await site.until(lambda: not site.up)
        assert site.seconds - booted == pytest.approx(seconds, abs=1)
        await site.until(lambda: site.condition("UpgradeCompleted"))
        message = f"Rollback due to LCA Init Monitor timeout, after {shown}"
        assert site.condition("UpgradeInProgress") == ("False", "Failed", message)


async def test_watchdog_can_be_switched_off_in_prep() -> None:
    off = {"auto-rollback-on-failure.lca.openshift.io/init-monitor": "Disabled"}
    async with Site(troubles={"init_monitor_timeout": {}}, annotations=off) as site:
        await site.prep()
        site.patch("Upgrade")
        await asyncio.sleep(20000)
        assert site.next == ["Rollback"]
        assert "authentication" in (site.condition("UpgradeInProgress") or ("", "", ""))[2]


async def test_failure_after_the_pivot_without_auto_rollback() -> None:
    off = dict.fromkeys((ibu.AUTO_ROLLBACK + key for key in ("init-monitor", "upgrade-completion")), "Disabled")
    async with Site(troubles={"restore_failed": {"names": ["a", "b"]}}, annotations=off) as site:
        await site.prep()
        await site.upgrade()
        assert site.condition("UpgradeCompleted") == ("False", "Failed", "Upgrade failed")
        assert site.condition("UpgradeInProgress") == ("False", "Failed", "Failed restore CRs: a,b")
        assert site.next == ["Rollback"]
        await site.rollback()
        assert ibu.is_true(site.status, "RollbackCompleted")


@pytest.mark.parametrize(("initial", "reason"), [("AbortFailed", "AbortFailed"), ("FinalizeFailed", "FinalizeFailed")])
async def test_failed_cleanup_waits_for_the_annotation(initial: str, reason: str) -> None:
    async with Site(initial=initial) as site:
        await asyncio.sleep(3600)
        assert (site.condition("Idle") or ("", ""))[:2] == ("False", reason)
        assert (site.condition("Idle") or ("", "", ""))[2].endswith(MANUAL)
        assert site.next is None
        site.annotate(ibu.MANUAL_CLEANUP, "")
        await site.until(lambda: ibu.is_true(site.status, "Idle"))
        assert site.cr and ibu.MANUAL_CLEANUP not in site.cr["metadata"].get("annotations", {})


async def test_cleanup_can_fail_again() -> None:
    async with Site(initial="PrepFailed", troubles={"abort_failed": {"times": 2, "part": "stateroot"}}) as site:
        text = f"failed to clean up host stateroot resources: failed to remove 1 stateroots {MANUAL}"
        site.patch("Idle")
        for _ in range(2):
            await site.until(lambda: site.condition("Idle") == ("False", "AbortFailed", text))
            site.annotate(ibu.MANUAL_CLEANUP, "yes")
            await site.until(lambda: (site.condition("Idle") or ("", ""))[1] == "Aborting")
        await site.until(lambda: ibu.is_true(site.status, "Idle"))


@pytest.mark.parametrize(
    ("initial", "stage", "kind", "message", "allowed"),
    [
        ("Idle", "Upgrade", "UpgradeInProgress", "Previous stage not succeeded", ["Prep"]),
        ("PrepFailed", "Upgrade", "UpgradeInProgress", "Previous stage not succeeded", ["Idle"]),
        ("UpgradeCompleted", "Prep", "PrepInProgress", "Previous stage not succeeded", ["Idle", "Rollback"]),
        ("Idle", "Rollback", "RollbackInProgress", "Upgrade not started or already finalized", ["Prep"]),
        (
            "PrepCompleted",
            "Rollback",
            "RollbackInProgress",
            "Upgrade not started or already finalized",
            ["Idle", "Upgrade"],
        ),
        ("UpgradeFailed", "Idle", "Idle", "Transition to Idle not allowed - Rollback first", ["Rollback"]),
        ("RollbackFailed", "Idle", "Idle", "Transition to Idle not allowed - Rollback failed", None),
    ],
)
async def test_wrong_request_past_the_rules(
    initial: str, stage: str, kind: str, message: str, allowed: list[str] | None
) -> None:
    async with Site(initial=initial) as site:
        site.patch(stage, bypass=True)
        await site.until(lambda: (site.condition(kind) or ("", ""))[1] == "InvalidTransition")
        assert site.condition(kind) == ("False", "InvalidTransition", message)
        assert site.next == allowed


async def test_blocked_by_ipconfig() -> None:
    async with Site(troubles={"blocked_by_ipconfig": {"seconds": 200}}) as site:
        site.patch("Prep", **site.goal())
        await site.until(lambda: site.condition("PrepInProgress"))
        assert site.condition("PrepInProgress") == ("False", "Blocked", "IPC is not idle")
        assert site.condition("Idle") == ("True", "Idle", "Idle")
        assert site.next == ["Prep"]
        await site.until(lambda: site.condition("PrepInProgress") == ("True", "InProgress", "In progress"))
        assert 200 <= site.seconds <= 240
        await site.until(lambda: site.condition("PrepCompleted"))


@pytest.mark.parametrize("initial", ["PrepCompleted", "UpgradeCompleted"])
async def test_deleted_cr_comes_back_with_its_status(initial: str) -> None:
    async with Site(initial=initial) as site:
        await asyncio.sleep(1)
        before = site.cr
        assert before
        site.cluster.endpoint.store.remove(IBU, ("", ibu.NAME))
        await site.until(lambda: site.cr and site.status)
        assert site.cr
        assert site.cr["metadata"]["uid"] != before["metadata"]["uid"]
        assert site.cr["metadata"]["generation"] == 1
        assert site.cr["status"]["conditions"] == before["status"]["conditions"]


async def test_deleted_idle_cr_comes_back_fresh() -> None:
    async with Site(initial="Upgraded") as site:
        site.cluster.endpoint.store.remove(IBU, ("", ibu.NAME))
        await site.until(lambda: site.cr and site.next == ["Prep"])
        assert site.cr and site.cr["spec"] == {"stage": "Idle", "seedImageRef": {}}


async def test_deleted_job_fails_prep() -> None:
    async with Site() as site:
        site.patch("Prep", **site.goal())
        await site.until(lambda: site.condition("PrepInProgress") and STATEROOT in site.messages("PrepInProgress"))
        jobs = site.cluster.world.registry.table("jobs.batch")
        site.cluster.verbs().delete(jobs, "openshift-lifecycle-agent", "lca-prep-stateroot-setup", {})
        await site.until(lambda: site.condition("PrepCompleted"))
        message = (site.condition("PrepInProgress") or ("", "", ""))[2]
        assert message.startswith("stateroot job is marked to be deleted, this is not allowed. ")


async def test_trigger_reconcile_recomputes() -> None:
    async with Site(initial="PrepCompleted") as site:
        await asyncio.sleep(60)
        res = site.cluster.world.registry.table(IBU)

        def forget(obj: dict[str, Any]) -> dict[str, Any]:
            obj["status"].pop("validNextStages")
            return obj

        site.cluster.verbs().update(res, "", ibu.NAME, forget, subresource="status")
        await asyncio.sleep(600)
        assert site.next is None
        site.annotate(ibu.TRIGGER_RECONCILE, "now")
        await site.until(lambda: site.next == ["Idle", "Upgrade"])


async def test_rollback_failed_is_the_end() -> None:
    async with Site(initial="UpgradeCompleted", troubles={"rollback_failed": {}}) as site:
        await site.rollback()
        assert site.condition("RollbackCompleted") == ("False", "Failed", "Rollback failed")
        assert site.condition("RollbackInProgress") == (
            "False",
            "Failed",
            "failed to set default deployment: exit status 1",
        )
        assert site.next is None


async def test_token_dies_at_the_pivot_and_lives_again_after_a_rollback() -> None:
    async with Site() as site:
        token = site.cluster.token
        assert token in site.cluster.endpoint.tokens
        await site.prep()
        await site.upgrade()
        assert token not in site.cluster.endpoint.tokens
        await site.rollback()
        assert token in site.cluster.endpoint.tokens
