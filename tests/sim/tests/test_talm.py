# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TALM on the simulated hub: plans that go well, and everything that looks as if they had."""

from __future__ import annotations

import pytest
from hubs import EVERYONE, IBU_SPEC, NAMESPACE, Hub, messages, step

from fleetsim.resources import CGUS, IBGUS, IBU, MANAGED, WORK_SETS, WORKS
from fleetsim.store import Object
from fleetsim.talm_plan import DISABLE_IMPORT, cgu_name

ONE, TWO, THREE = "site-0001", "site-0002", "site-0003"
GENERIC = "Action did not successfully complete before the timeout specified in the rolloutStrategy"
ALL_GOOD = "All manifestworks rolled out successfully on all clusters"


def named(*names: str) -> list[Object]:
    return [{"matchExpressions": [{"key": "name", "operator": "In", "values": list(names)}]}]


def feedback(work: Object) -> dict[str, str]:
    last = work["status"]["resourceStatus"]["manifests"][-1]
    return {one["name"]: one["fieldValue"]["string"] for one in last["statusFeedback"]["values"]}


# -- plans that go well ---------------------------------------------------------------------------------------------


async def test_a_whole_plan_in_one_step_each() -> None:
    async with Hub() as hub:
        created = hub.start(step("Prep"), step("Upgrade", timeout=90), step("FinalizeUpgrade", timeout=20))
        await hub.until(lambda: hub.progress() == "Waiting for plan step 0 to be completed")
        await hub.until(lambda: hub.progress() == "Waiting for plan step 1 to be completed")
        assert all(hub.labels(name) == {"prep-completed"} for name in hub.clusters)
        await hub.until(lambda: hub.progress() == "Waiting for plan step 2 to be completed")
        assert all(hub.labels(name) == {"prep-completed", "upgrade-completed"} for name in hub.clusters)
        await hub.done()

        status = hub.ibgu()["status"]
        assert status["observedGeneration"] == created["metadata"]["generation"]
        assert messages(status) == {"Progressing": ("False", "Completed", "All plan steps are completed")}
        assert [entry["name"] for entry in status["clusters"]] == [ONE, TWO, THREE]
        assert hub.results()[ONE] == (["Prep", "Upgrade", "FinalizeUpgrade"], [])
        assert [hub.labels(name) for name in hub.clusters] == [set(), set(), set()]
        assert [cluster.machine.state()["version"] for cluster in hub.clusters.values()] == ["4.17.3"] * 3
        assert [cgu["metadata"]["name"] for cgu in hub.list(CGUS)] == [
            "up-finalizeupgrade-2",
            "up-prep-0",
            "up-upgrade-1",
        ]
        assert hub.works() == []
        assert hub.minutes < 30


async def test_what_tells_of_a_running_step() -> None:
    async with Hub() as hub:
        hub.start(step("Prep", "Upgrade", concurrency=2))
        await hub.until(lambda: len(hub.works(ONE)) == 1 and hub.works(ONE)[0].get("status"))

        cgu = hub.cgu("up-prep-upgrade-0")
        assert cgu["metadata"]["labels"] == {"ibgu": "up"}
        assert cgu["spec"]["manifestWorkTemplates"] == ["up-prep", "up-upgrade"]
        assert cgu["spec"]["remediationStrategy"] == {"maxConcurrency": 2, "timeout": 60}
        assert cgu["spec"]["clusterLabelSelectors"] == EVERYONE
        assert messages(cgu["status"])["Progressing"] == ("True", "InProgress", "Rolling out manifestworks")
        assert cgu["status"]["remediationPlan"] == [[ONE, TWO], [THREE]]
        progress = cgu["status"]["status"]["currentBatchRemediationProgress"]
        assert progress == dict.fromkeys((ONE, TWO), {"state": "InProgress", "manifestWorkIndex": 0})
        assert hub.clusters_of()[ONE] == {"name": ONE, "currentAction": {"action": "Prep"}}
        assert THREE not in hub.clusters_of()

        work = hub.works(ONE)[0]
        assert work["metadata"]["name"] == cgu["status"]["safeResourceNames"]["ibu.up-prep"]
        assert work["metadata"]["labels"] == {
            "openshift-cluster-group-upgrades/clusterGroupUpgrade": "up-prep-upgrade-0",
            "openshift-cluster-group-upgrades/clusterGroupUpgradeNamespace": NAMESPACE,
        }
        expected = '[{"manifestIndex":3,"name":"isPrepCompleted","value":"True"}]'
        assert work["metadata"]["annotations"]["openshift-cluster-group-upgrades/expectedValues"] == expected
        assert work["spec"]["deleteOption"] == {"propagationPolicy": "Orphan"}
        assert work["spec"]["workload"]["manifests"][-1]["spec"] == {**IBU_SPEC, "stage": "Prep"}
        await hub.until(lambda: hub.works(ONE) and "-upgrade-" in hub.works(ONE)[0]["metadata"]["name"])
        assert len(hub.works(ONE)) == 1
        await hub.until(lambda: hub.clusters_of()[ONE].get("currentAction") == {"action": "Upgrade"})
        assert hub.results()[ONE] == (["Prep"], [])


async def test_inside_a_batch_each_cluster_walks_on_its_own() -> None:
    async with Hub(2, troubles={TWO: {"prep_slow": {"factor": 5}}}) as hub:
        hub.start(step("Prep", "Upgrade"))
        await hub.until(lambda: any("-upgrade-" in work["metadata"]["name"] for work in hub.works(ONE)))
        assert "-prep-" in hub.works(TWO)[0]["metadata"]["name"]
        await hub.done()
        assert hub.results() == dict.fromkeys((ONE, TWO), (["Prep", "Upgrade"], []))


async def test_a_step_is_appended() -> None:
    async with Hub() as hub:
        hub.start(step("Prep"))
        await hub.done()
        hub.append(step("Upgrade"))
        assert hub.ibgu()["status"]["observedGeneration"] < hub.ibgu()["metadata"]["generation"]
        await hub.until(lambda: hub.progress() == "Waiting for plan step 1 to be completed")
        await hub.done()
        assert hub.ibgu()["status"]["observedGeneration"] == hub.ibgu()["metadata"]["generation"]
        assert hub.results()[THREE] == (["Prep", "Upgrade"], [])


async def test_rollback_and_its_end_are_another_group_upgrade() -> None:
    async with Hub(2) as hub:
        hub.start(step("Prep", "Upgrade"))
        await hub.done()
        hub.start(step("Rollback", "FinalizeRollback"), name="back")
        await hub.done("back")
        assert hub.results("back") == dict.fromkeys((ONE, TWO), (["Rollback", "FinalizeRollback"], []))
        assert hub.clusters[ONE].machine.state()["version"] == "4.16.8"
        assert hub.labels(ONE) == set()


# -- selection ------------------------------------------------------------------------------------------------------


async def test_only_the_first_action_of_a_step_selects() -> None:
    labels = {"lcm.openshift.io/ibgu-prep-completed": ""}
    async with Hub(clusters_extra={ONE: {"initial": "PrepCompleted", "labels": labels}}) as hub:
        hub.start(step("Upgrade", "FinalizeUpgrade"), spec=hub.clusters[ONE].plan.goal.spec())
        await hub.done()
        assert hub.results() == {ONE: (["Upgrade", "FinalizeUpgrade"], [])}


@pytest.mark.parametrize(
    "action, selected",
    [
        ("Upgrade", {ONE, TWO}),
        ("Rollback", {TWO}),
        ("FinalizeUpgrade", {TWO}),
        ("FinalizeRollback", {THREE}),
        ("Abort", {ONE, THREE, "site-0004", "site-0005"}),
        ("AbortOnFailure", {"site-0004", "site-0005"}),
    ],
)
async def test_each_action_is_for_clusters_with_its_label(action: str, selected: set[str]) -> None:
    given = {
        ONE: ["prep-completed"],
        TWO: ["prep-completed", "upgrade-completed"],
        THREE: ["rollback-completed"],
        "site-0004": ["prep-failed"],
        "site-0005": ["upgrade-failed"],
    }
    extra = {
        name: {"labels": {f"lcm.openshift.io/ibgu-{label}": "" for label in labels}} for name, labels in given.items()
    }
    async with Hub(5, clusters_extra=extra) as hub:
        hub.start(step(action, concurrency=1, timeout=1))
        await hub.until(lambda: hub.list(CGUS) and hub.list(CGUS)[0].get("status"))
        plan = hub.cgu(cgu_name("up", [action], 0))["status"]["remediationPlan"]
        assert plan == [[name] for name in sorted(selected)]


async def test_a_step_that_matches_nobody_looks_successful() -> None:
    async with Hub() as hub:
        hub.start(step("Upgrade"))
        await hub.done()
        found = messages(hub.cgu("up-upgrade-0")["status"])
        nobody = "All clusters already compliant with the specified managed policies"
        assert found["Succeeded"] == ("True", "Completed", nobody)
        assert hub.results() == {}
        assert hub.minutes < 1


async def test_without_selectors_it_waits_for_ever() -> None:
    async with Hub() as hub:
        hub.start(step("Prep"), selectors=None)
        await hub.pass_minutes(500)
        found = messages(hub.cgu("up-prep-0")["status"])
        text = (
            "Unable to select clusters: cannot obtain all the details about the clusters in the CR: no cluster "
            "specified for remediation"
        )
        assert found == {"ClustersSelected": ("False", "ClusterNotFound", text)}
        assert hub.progress() == "Waiting for plan step 0 to be completed"


async def test_selectors_are_alternatives() -> None:
    async with Hub(4) as hub:
        hub.start(step("Prep"), selectors=[{"matchLabels": {"name": ONE}}, *named(THREE)])
        await hub.done()
        assert set(hub.results()) == {ONE, THREE}


# -- failures -------------------------------------------------------------------------------------------------------


async def test_a_failure_is_only_found_when_the_time_is_over() -> None:
    async with Hub(troubles={TWO: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", timeout=50))
        await hub.until(lambda: hub.labels(ONE) == hub.labels(THREE) == {"prep-completed"})
        assert hub.minutes < 10
        await hub.until(lambda: feedback(hub.works(TWO)[0]).get("isPrepCompleted") == "False", within=10)
        assert feedback(hub.works(TWO)[0]) == {
            "isPrepCompleted": "False",
            "prepCompletedConditionMessages": "Prep failed",
        }
        assert hub.labels(TWO) == set()
        await hub.done()
        assert 50 <= hub.minutes < 56
        assert hub.clusters_of()[TWO] == {
            "name": TWO,
            "failedActions": [{"action": "Prep", "message": "Prep failed"}],
        }
        assert hub.labels(TWO) == {"prep-failed"}
        cgu = hub.cgu("up-prep-0")["status"]
        too_long = ("False", "TimedOut", "Manifestwork rollout took too long")
        assert (messages(cgu)["Succeeded"], messages(cgu)["Progressing"]) == (too_long, too_long)
        assert {one["name"]: one["state"] for one in cgu["clusters"]} == {
            ONE: "complete",
            TWO: "timedout",
            THREE: "complete",
        }


async def test_the_next_step_begins_after_a_timeout_too() -> None:
    async with Hub(troubles={TWO: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", timeout=30), step("Upgrade", timeout=30))
        await hub.done()
        assert hub.results() == {ONE: (["Prep", "Upgrade"], []), TWO: ([], ["Prep"]), THREE: (["Prep", "Upgrade"], [])}


async def test_a_time_that_is_over_is_found_up_to_five_minutes_late() -> None:
    async with Hub(1, troubles={ONE: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", timeout=6))
        await hub.done()
        assert 9.9 < hub.minutes < 10.1


async def test_what_hangs_fails_with_the_generic_text() -> None:
    async with Hub(1, troubles={ONE: {"prep_hangs": {}}}) as hub:
        hub.start(step("Prep", timeout=20))
        await hub.done()
        assert hub.clusters_of()[ONE]["failedActions"] == [{"action": "Prep", "message": GENERIC}]


async def test_a_failed_upgrade_leaves_both_labels_and_the_annotation() -> None:
    async with Hub(2, troubles={TWO: {"postpivot_failure": {}}}) as hub:
        hub.start(step("Prep"), step("Upgrade", timeout=60))
        await hub.until(lambda: hub.works(ONE) and "-upgrade-" in hub.works(ONE)[0]["metadata"]["name"])
        assert [hub.annotations(name) for name in (ONE, TWO)] == [{DISABLE_IMPORT: "true"}] * 2
        await hub.until(lambda: hub.results()[ONE] == (["Prep", "Upgrade"], []))
        assert (hub.annotations(ONE), hub.annotations(TWO)) == ({}, {DISABLE_IMPORT: "true"})
        await hub.done()
        assert hub.labels(TWO) == {"prep-completed", "upgrade-failed"}
        assert hub.clusters_of()[TWO]["failedActions"] == [{"action": "Upgrade", "message": "Upgrade failed"}]
        assert hub.annotations(TWO) == {DISABLE_IMPORT: "true"}

        hub.append(step("AbortOnFailure", timeout=30), step("FinalizeUpgrade", timeout=30))
        await hub.until(lambda: len(hub.list(CGUS)) == 4)
        await hub.done()
        assert hub.cgu("up-abortonfailure-2")["status"]["remediationPlan"] == [[TWO]]
        assert hub.results() == {
            ONE: (["Prep", "Upgrade", "FinalizeUpgrade"], []),
            TWO: (["Prep", "AbortOnFailure"], ["Upgrade"]),
        }
        assert (hub.labels(ONE), hub.labels(TWO)) == (set(), set())
        assert hub.annotations(TWO) == {DISABLE_IMPORT: "true"}


async def test_a_cluster_that_fails_skips_the_rest_of_its_step() -> None:
    async with Hub(2, troubles={TWO: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", "Upgrade", "FinalizeUpgrade", timeout=60))
        await hub.done()
        assert hub.results() == {ONE: (["Prep", "Upgrade", "FinalizeUpgrade"], []), TWO: ([], ["Prep"])}
        assert (hub.labels(ONE), hub.labels(TWO)) == (set(), {"prep-failed"})


async def test_what_the_cluster_refuses_is_told_in_its_words() -> None:
    """A second group upgrade must repeat the spec exactly, or the cluster's own rules refuse it."""
    async with Hub(1) as hub:
        hub.start(step("Prep"))
        await hub.done()
        hub.start(step("Upgrade", timeout=5), name="more", spec={**IBU_SPEC, "oadpContent": []})
        await hub.done("more")
        (failed,) = hub.clusters_of("more")[ONE]["failedActions"]
        assert failed["action"] == "Upgrade"
        assert "can not change spec.oadpContent while ibu is in progress" in failed["message"]
        hub.start(step("Abort"), name="less", spec={})
        await hub.done("less")
        assert hub.results("less") == {ONE: (["Abort"], [])}
        found = hub.clusters[ONE].endpoint.store.get(IBU, ("", "upgrade"))
        assert found is not None and found.parse()["spec"] == {"stage": "Idle"}


# -- batches --------------------------------------------------------------------------------------------------------


async def test_a_step_is_successful_although_an_earlier_batch_timed_out() -> None:
    async with Hub(4, troubles={ONE: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", concurrency=2, timeout=60))
        await hub.until(lambda: hub.batch("up-prep-0") == 2)
        assert 30 <= hub.minutes < 31
        await hub.done()
        assert messages(hub.cgu("up-prep-0")["status"])["Succeeded"] == ("True", "Completed", ALL_GOOD)
        assert hub.minutes < 40
        assert hub.labels(ONE) == {"prep-failed"}


async def test_what_is_left_of_the_time_is_shared_anew() -> None:
    async with Hub(3, troubles={TWO: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", concurrency=1, timeout=123))
        await hub.until(lambda: hub.batch("up-prep-0") == 2)
        begun = hub.minutes
        assert begun < 5
        await hub.until(lambda: hub.batch("up-prep-0") == 3)
        assert (123 - begun) / 2 <= hub.minutes - begun <= (123 - begun) / 2 + 5


async def test_clusters_of_a_batch_that_never_began_are_nowhere() -> None:
    async with Hub(3, troubles={ONE: {"prep_hangs": {}}}) as hub:
        hub.start(step("Prep", concurrency=1, timeout=4))
        await hub.done()
        assert hub.results() == {ONE: ([], ["Prep"])}
        assert messages(hub.cgu("up-prep-0")["status"])["Succeeded"][:2] == ("False", "TimedOut")


@pytest.mark.parametrize("concurrency", [0, -1, 99])
async def test_no_positive_concurrency_means_everybody(concurrency: int) -> None:
    async with Hub() as hub:
        hub.start(step("Prep", concurrency=concurrency))
        await hub.done()
        status = hub.cgu("up-prep-0")["status"]
        assert (status["remediationPlan"], status["computedMaxConcurrency"]) == ([[ONE, TWO, THREE]], 3)


@pytest.mark.parametrize("timeout", [0, None])
async def test_no_timeout_means_four_hours(timeout: int | None) -> None:
    async with Hub(1, troubles={ONE: {"precache_failed": {}}}) as hub:
        hub.start(step("Prep", timeout=timeout))
        await hub.done()
        assert 239 < hub.minutes < 246


# -- labels and deletion --------------------------------------------------------------------------------------------


async def test_labels_come_back_with_the_next_change_only() -> None:
    async with Hub(2) as hub:
        hub.start(step("Prep"))
        await hub.done()
        hub.merge(MANAGED, ONE, {"metadata": {"labels": {"lcm.openshift.io/ibgu-prep-completed": None}}})
        hub.merge(IBGUS, "up", {"metadata": {"annotations": {"a": "b"}}}, NAMESPACE)
        await hub.pass_minutes(300)
        assert hub.labels(ONE) == set()
        hub.append(step("Upgrade"))
        await hub.until(lambda: hub.labels(ONE))
        assert hub.labels(ONE) == {"prep-completed"}


async def test_all_labels_go_on_every_look_after_a_finalize() -> None:
    labels = {"lcm.openshift.io/ibgu-prep-failed": "", "lcm.openshift.io/ibgu-upgrade-failed": ""}
    async with Hub(1, clusters_extra={ONE: {"labels": labels}}) as hub:
        hub.start(step("Prep"), step("Upgrade"), step("FinalizeUpgrade"))
        await hub.done()
        assert hub.labels(ONE) == set()


async def test_a_cluster_that_is_gone_stops_everything() -> None:
    async with Hub() as hub:
        hub.start(step("Prep"))
        await hub.done()
        hub.delete(TWO, MANAGED, "")
        hub.append(step("Upgrade"))
        await hub.pass_minutes(300)
        assert [cgu["metadata"]["name"] for cgu in hub.list(CGUS)] == ["up-prep-0"]
        assert hub.ibgu()["status"]["observedGeneration"] == 1
        assert hub.progress() == "All plan steps are completed"


async def test_deletion_leaves_the_labels_the_annotation_and_the_stage() -> None:
    async with Hub(2) as hub:
        hub.start(step("Prep"), step("Upgrade"))
        await hub.until(lambda: hub.clusters[ONE].machine.phase == "Upgrade/Reboot")
        hub.delete()
        await hub.until(lambda: not hub.works(), within=1)
        assert (hub.list(CGUS), hub.list(WORK_SETS)) == ([], [])
        await hub.until(lambda: hub.clusters[ONE].machine.phase == "Upgrade completed")
        await hub.pass_minutes(30)
        assert hub.labels(ONE) == {"prep-completed"}
        assert hub.annotations(ONE) == {DISABLE_IMPORT: "true"}


async def test_a_new_group_upgrade_of_the_same_name_begins_anew() -> None:
    async with Hub(1) as hub:
        hub.start(step("Prep"))
        await hub.done()
        hub.delete()
        hub.start(step("Upgrade"))
        await hub.done()
        assert hub.results() == {ONE: (["Upgrade"], [])}
        assert [cgu["metadata"]["name"] for cgu in hub.list(CGUS)] == ["up-upgrade-0"]


async def test_it_goes_the_same_way_every_time() -> None:
    async def story() -> list[str]:
        async with Hub(4, troubles={TWO: {"precache_failed": {}}}, durations={"spread": 0.5}) as hub:
            told: list[str] = []
            hub.endpoint.store.subscribe(
                WORKS, lambda e: told.append(f"{hub.minutes:.3f} {e.type} {e.record.name}") if e else None
            )
            hub.start(step("Prep", "Upgrade", concurrency=2))
            await hub.done()
            return told

    assert await story() == await story()


async def test_the_status_is_not_written_for_each_cluster() -> None:
    async with Hub(200, durations={"spread": 0.2}) as hub:
        writes = dict.fromkeys((WORKS, CGUS, IBGUS), 0)
        for table in writes:
            hub.endpoint.store.subscribe(table, lambda _, table=table: writes.update({table: writes[table] + 1}))
        hub.start(step("Prep", concurrency=0))
        await hub.done()
        assert writes[WORKS] >= 800
        assert 3 < writes[CGUS] < 100 and 3 < writes[IBGUS] < 100
