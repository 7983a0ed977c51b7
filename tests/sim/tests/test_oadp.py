# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Velero, its bucket, and the cleanup that the Lifecycle Agent does through it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from virtual import Site

from fleetsim import ibu
from fleetsim.objectstore import BACKUPS, CLUSTER_ID, LOCATIONS, REQUESTS, RESTORES
from fleetsim.ports import OADP_NAMESPACE

LEFT: dict[str, Any] = {"backups_left": {"names": ["small-app"]}}


def site(initial: str = "Upgraded", **troubles: Any) -> Site:
    return Site(initial=initial, troubles=troubles)


def names(s: Site, table: str) -> list[str]:
    return [record.name for record in s.cluster.endpoint.store.records(table)]


def request(s: Site, name: str) -> None:
    """As a client asks for it."""
    meta = {"name": name, "namespace": OADP_NAMESPACE, "labels": {CLUSTER_ID: s.cluster.cluster_id}}
    table = s.cluster.world.registry.table(REQUESTS)
    wanted = {"kind": "DeleteBackupRequest", "metadata": meta, "spec": {"backupName": name}}
    s.cluster.verbs().create(table, OADP_NAMESPACE, wanted)


def remove(s: Site, table: str, name: str) -> None:
    s.cluster.verbs().delete(s.cluster.world.registry.table(table), OADP_NAMESPACE, name, {})


async def message(s: Site, reason: str) -> str:
    """The text of a failed cleanup without its last sentence."""
    await s.until(lambda: (s.condition("Idle") or ("", ""))[1] == reason)
    return (s.condition("Idle") or ("", "", ""))[2].partition(" Perform cleanup manually")[0]


async def test_a_request_takes_the_backup_its_data_and_its_restores_away() -> None:
    async with site(**LEFT, foreign_backups={"names": ["b"]}) as s:
        assert list(s.cluster.machine.velero.bucket) == ["b", "small-app"]
        request(s, "small-app")
        await s.until(lambda: names(s, BACKUPS) == ["b"])
        assert (names(s, RESTORES), names(s, REQUESTS)) == ([], [])
        assert list(s.cluster.machine.velero.bucket) == ["b"]


async def test_a_backup_object_that_is_deleted_alone_comes_back() -> None:
    async with site(**LEFT) as s:
        uid = (s.get(BACKUPS, "small-app", OADP_NAMESPACE) or {})["metadata"]["uid"]
        await asyncio.sleep(1)
        remove(s, BACKUPS, "small-app")
        await asyncio.sleep(59)
        assert names(s, BACKUPS) == []
        await asyncio.sleep(2)
        back = s.get(BACKUPS, "small-app", OADP_NAMESPACE) or {}
        assert back["metadata"]["uid"] != uid
        assert back["metadata"]["labels"][CLUSTER_ID] == s.cluster.cluster_id
        location = s.get(LOCATIONS, "dpa-1", OADP_NAMESPACE) or {}
        assert location["status"]["lastSyncedTime"] > "2026-03-01T22:00:59Z"


async def test_a_request_waits_for_the_location() -> None:
    async with site(**LEFT, location_unavailable={"seconds": 900}) as s:
        location = s.get(LOCATIONS, "dpa-1", OADP_NAMESPACE) or {}
        assert location["status"]["phase"] == "Unavailable"
        assert "connection refused" in location["status"]["message"]
        request(s, "small-app")
        await asyncio.sleep(890)
        assert (s.get(REQUESTS, "small-app", OADP_NAMESPACE) or {})["status"] == {"phase": "InProgress"}
        await s.until(lambda: names(s, BACKUPS) == [], within=60)
        location = s.get(LOCATIONS, "dpa-1", OADP_NAMESPACE) or {}
        assert (location["status"]["phase"], location["status"]["message"]) == ("Available", "")


async def test_deletions_that_fail_and_hang() -> None:
    async with site(**LEFT, delete_fails={"times": 1, "errors": ["AccessDenied"]}, delete_hangs={"times": 1}) as s:
        request(s, "small-app")
        await asyncio.sleep(600)
        assert (s.get(REQUESTS, "small-app", OADP_NAMESPACE) or {})["status"] == {"phase": "InProgress"}
        remove(s, REQUESTS, "small-app")
        request(s, "small-app")
        await asyncio.sleep(60)
        failed = {"phase": "Processed", "errors": ["AccessDenied"]}
        assert (s.get(REQUESTS, "small-app", OADP_NAMESPACE) or {})["status"] == failed
        assert (s.get(BACKUPS, "small-app", OADP_NAMESPACE) or {})["status"]["phase"] == "Deleting"
        remove(s, REQUESTS, "small-app")
        request(s, "small-app")
        await s.until(lambda: names(s, BACKUPS) == [])


async def test_velero_down_does_nothing_until_healed() -> None:
    async with site(**LEFT, velero_down={}) as s:
        request(s, "small-app")
        await asyncio.sleep(600)
        assert "status" not in (s.get(REQUESTS, "small-app", OADP_NAMESPACE) or {})
        await s.cluster.heal("velero_down")
        await s.until(lambda: names(s, BACKUPS) == [])


async def test_requests_left_hang_until_healed() -> None:
    async with site(**LEFT, requests_left={}) as s:
        left = s.get(REQUESTS, "small-app", OADP_NAMESPACE) or {}
        assert left["metadata"]["creationTimestamp"] == "2026-03-01T21:00:00Z"
        await asyncio.sleep(600)
        assert names(s, REQUESTS) == ["small-app"]
        await s.cluster.heal("requests_left")
        await s.until(lambda: names(s, BACKUPS) == [])


async def test_a_lost_bucket_takes_its_location_with_it() -> None:
    async with site(**LEFT, bucket_lost={}) as s:
        assert list(s.cluster.machine.velero.bucket) == []
        assert "NoSuchBucket" in (s.get(LOCATIONS, "dpa-1", OADP_NAMESPACE) or {})["status"]["message"]
        remove(s, BACKUPS, "small-app")
        await asyncio.sleep(600)
        assert names(s, BACKUPS) == []


async def test_restores_left_go_once_velero_can_reach_the_bucket() -> None:
    async with site(**LEFT, restores_left={}, location_unavailable={"seconds": 100}) as s:
        await asyncio.sleep(90)
        assert names(s, RESTORES) == ["late", "small-app"]
        await s.until(lambda: names(s, RESTORES) == ["small-app"], within=60)


async def test_two_clusters_in_one_bucket_see_each_others_backups() -> None:
    async with site(backups_left={"names": ["one"]}) as one, site(backups_left={"names": ["two"]}) as two:
        await one.cluster.inject("bucket_shared", {})
        two.cluster.world.buckets.update(one.cluster.world.buckets)
        await two.cluster.inject("bucket_shared", {})
        await one.until(lambda: names(one, BACKUPS) == names(two, BACKUPS) == ["one", "two"], within=60)
        labels = (two.get(BACKUPS, "one", OADP_NAMESPACE) or {})["metadata"]["labels"]
        assert labels[CLUSTER_ID] == one.cluster.cluster_id
        request(one, "one")
        await one.until(lambda: names(one, BACKUPS) == names(two, BACKUPS) == ["two"], within=60)


@pytest.mark.parametrize("times", [1, 2])
async def test_the_agents_cleanup_fails_so_often_and_then_succeeds(times: int) -> None:
    trouble = {"finalize_failed": {"times": times, "part": "backups"}}
    async with site("UpgradeCompleted", **LEFT, **trouble) as s:
        s.patch("Idle")
        for _ in range(times):
            assert "context deadline exceeded" in await message(s, "FinalizeFailed")
            assert list(s.cluster.machine.velero.bucket) == ["small-app"]
            s.annotate(ibu.MANUAL_CLEANUP, "")
            await s.until(lambda: (s.condition("Idle") or ("", ""))[1] != "FinalizeFailed")
        await s.until(lambda: ibu.is_true(s.status, "Idle"))
        assert list(s.cluster.machine.velero.bucket) == []


@pytest.mark.parametrize(
    ("troubles", "says"),
    [
        ({"location_unavailable": {}}, "failed to delete backups: context deadline exceeded"),
        ({"velero_down": {}}, "failed to delete backups: context deadline exceeded"),
        (
            {"delete_fails": {"times": 1, "errors": ["AccessDenied"]}},
            "failed to delete backups: deleteBackupRequest small-app failed with errors: [AccessDenied]",
        ),
    ],
    ids=["location", "velero", "errors"],
)
async def test_the_agents_cleanup_fails_with_velero_and_succeeds_after_it(troubles: dict[str, Any], says: str) -> None:
    async with site("PrepCompleted", **LEFT, **troubles, pv_policy_left={}) as s:
        s.patch("Idle")
        assert await message(s, "AbortFailed") == f"failed to cleanup backups: {says}"
        for name in troubles:
            await s.cluster.heal(name)
        s.annotate(ibu.MANUAL_CLEANUP, "")
        await s.until(lambda: ibu.is_true(s.status, "Idle"))
        assert (names(s, BACKUPS), names(s, REQUESTS), list(s.cluster.machine.velero.bucket)) == ([], [], [])


async def test_volumes_are_retained_over_the_upgrade_and_given_back() -> None:
    def volume() -> dict[str, Any]:
        return s.get("persistentvolumes", "pv-app") or {}

    async with site("Idle") as s:
        await s.prep()
        s.patch("Upgrade")
        await s.until(lambda: volume()["spec"]["persistentVolumeReclaimPolicy"] == "Retain")
        assert volume()["metadata"]["annotations"]["lca.openshift.io/updated-reclaim-policy"] == "true"
        await s.until(lambda: s.condition("UpgradeCompleted"))
        await s.rollback()
        assert volume()["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        await s.idle()
        assert volume()["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        assert "lca.openshift.io/updated-reclaim-policy" not in volume()["metadata"]["annotations"]
