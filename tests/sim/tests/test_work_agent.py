# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub puts on the clusters, how it hears of them, and when it does not."""

from __future__ import annotations

from hubs import IBU_SPEC, NAMESPACE, Hub, messages, step

from fleetsim.resources import IBGUS, IBU, MANAGED, WORK_SETS

ONE, TWO = "site-0001", "site-0002"
GENERIC = "Action did not successfully complete before the timeout specified in the rolloutStrategy"


# -- what is put on the clusters ------------------------------------------------------------------------------------


async def test_prep_brings_the_config_maps_and_the_secret_along() -> None:
    wrong = {ONE: {"configmap_missing": {"name": "oadp-cm"}, "secret_missing": {}}}
    async with Hub(1, troubles=wrong) as hub:
        hub.start(step("Prep"))
        await hub.done()
        assert hub.results() == {ONE: (["Prep"], [])}


async def test_what_the_hub_does_not_have_is_left_out_in_silence() -> None:
    async with Hub(1, hub={"inputs": False}, troubles={ONE: {"configmap_missing": {"name": "oadp-cm"}}}) as hub:
        hub.start(step("Prep", timeout=20))
        await hub.done()
        assert hub.results() == {ONE: ([], ["Prep"])}
        template = hub.get(WORK_SETS, "up-prep", NAMESPACE)
        assert template is not None
        work = template["spec"]["manifestWorkTemplate"]["workload"]["manifests"]
        assert [one["kind"] for one in work] == ["ClusterRole", "ImageBasedUpgrade"]


async def test_what_could_not_be_brought_is_told_and_tried_again() -> None:
    refs = [{"name": "oadp-cm", "namespace": "elsewhere"}]
    async with Hub(1, goal={"oadp_content": refs}) as hub:
        cluster = hub.clusters[ONE]
        namespace = cluster.endpoint.store.remove("namespaces", ("", "elsewhere"))
        cluster.endpoint.store.remove("configmaps", ("elsewhere", "oadp-cm"))
        hub.start(step("Prep"), spec={**IBU_SPEC, "oadpContent": refs})
        await hub.until(lambda: hub.works(ONE) and hub.works(ONE)[0].get("status"))
        status = hub.works(ONE)[0]["status"]
        refused = ("False", "AppliedManifestFailed", 'Failed to apply manifest: namespaces "elsewhere" not found')
        assert messages(status["resourceStatus"]["manifests"][0])["Applied"] == refused
        assert messages(status)["Applied"][:2] == ("False", "AppliedManifestWorkFailed")
        assert namespace is not None
        cluster.endpoint.store.put("namespaces", namespace.parse())
        await hub.done()
        assert hub.clusters[ONE].endpoint.store.get("configmaps", ("elsewhere", "oadp-cm"))


async def test_extra_manifests_are_not_brought_along() -> None:
    spec = {**IBU_SPEC, "extraManifests": [{"name": "site-extra", "namespace": "openshift-lifecycle-agent"}]}
    async with Hub(1, troubles={ONE: {"configmap_missing": {"name": "site-extra"}}}) as hub:
        hub.start(step("Prep", timeout=20), spec=spec)
        await hub.done()
        assert hub.results() == {ONE: ([], ["Prep"])}


async def test_annotations_of_the_lifecycle_agent_are_copied_once() -> None:
    async with Hub(1) as hub:
        notes = {"auto-rollback-on-failure.lca.openshift.io/init-monitor": "Disabled", "other.example.com/x": "y"}
        hub.start(step("Prep"))
        hub.merge(IBGUS, "up", {"metadata": {"annotations": notes}}, NAMESPACE)
        await hub.done()
        found = hub.clusters[ONE].endpoint.store.get(IBU, ("", "upgrade"))
        assert found is not None
        assert found.parse()["metadata"]["annotations"] == {
            "auto-rollback-on-failure.lca.openshift.io/init-monitor": "Disabled"
        }
        hub.merge(
            IBGUS,
            "up",
            {"metadata": {"annotations": {"lca.openshift.io/trigger-reconcile": "1"}}},
            NAMESPACE,
        )
        hub.append(step("Upgrade"))
        await hub.until(lambda: hub.get(WORK_SETS, "up-upgrade", NAMESPACE))
        template = hub.get(WORK_SETS, "up-upgrade", NAMESPACE)
        assert template is not None
        upgrade = template["spec"]["manifestWorkTemplate"]["workload"]["manifests"][-1]
        assert set(upgrade["metadata"]["annotations"]) == {
            "auto-rollback-on-failure.lca.openshift.io/init-monitor",
            "lca.openshift.io/trigger-reconcile",
        }


async def test_driving_the_cluster_by_hand_fights_the_agent() -> None:
    async with Hub(1) as hub:
        hub.start(step("Prep"))
        await hub.until(lambda: "Prep/" in hub.clusters[ONE].machine.phase)
        cluster = hub.clusters[ONE]
        res = cluster.world.registry.table(IBU)
        cluster.verbs().update(res, "", "upgrade", lambda old: {**old, "spec": {**old["spec"], "stage": "Idle"}})
        await hub.done()
        found = cluster.endpoint.store.get(IBU, ("", "upgrade"))
        assert found is not None and found.parse()["spec"]["stage"] == "Prep"


# -- the way to the clusters ----------------------------------------------------------------------------------------


async def test_a_cluster_that_reboots_is_unknown_and_its_feedback_stale() -> None:
    async with Hub(1) as hub:
        hub.start(step("Prep"), step("Upgrade"))
        await hub.until(lambda: hub.clusters[ONE].machine.phase == "Upgrade/Reboot")
        version = hub.works(ONE)[0]["metadata"]["resourceVersion"]
        await hub.until(lambda: hub.available(ONE) == "Unknown")
        assert hub.works(ONE)[0]["metadata"]["resourceVersion"] == version
        await hub.done()
        assert hub.available(ONE) == "True"
        managed = hub.get(MANAGED, ONE)
        assert managed is not None
        assert managed["status"]["clusterClaims"] == [{"name": "version.openshift.io", "value": "4.17.3"}]


async def test_without_a_restore_no_klusterlet_comes_back() -> None:
    spec = {"seedImageRef": IBU_SPEC["seedImageRef"]}
    async with Hub(1) as hub:
        hub.start(step("Prep"), step("Upgrade", timeout=60), spec=spec)
        await hub.done()
        assert hub.clusters[ONE].machine.phase == "Upgrade completed"
        assert hub.results() == {ONE: (["Prep"], ["Upgrade"])}
        assert hub.available(ONE) == "Unknown"


async def test_a_hub_may_do_without_restores() -> None:
    spec = {"seedImageRef": IBU_SPEC["seedImageRef"]}
    async with Hub(1, hub={"restore_needed": False}) as hub:
        hub.start(step("Prep", "Upgrade"), spec=spec)
        await hub.done()
        assert hub.results() == {ONE: (["Prep", "Upgrade"], [])}


async def test_an_unavailable_cluster_is_selected_and_times_out() -> None:
    async with Hub(2, troubles={TWO: {"hub_unavailable": {}}}) as hub:
        assert hub.available(TWO) == "Unknown"
        hub.start(step("Prep", timeout=20))
        await hub.done()
        assert hub.results() == {ONE: (["Prep"], []), TWO: ([], ["Prep"])}
        assert hub.clusters_of()[TWO]["failedActions"][0]["message"] == GENERIC
        assert hub.clusters[TWO].machine.phase == "Idle"
        await hub.clusters[TWO].heal("hub_unavailable")
        await hub.until(lambda: hub.available(TWO) == "True", within=1)


async def test_a_cut_off_cluster_takes_its_work_up_when_it_is_back() -> None:
    async with Hub(1) as hub:
        await hub.clusters[ONE].inject("hub_unavailable", None)
        hub.start(step("Prep"))
        await hub.until(lambda: hub.available(ONE) == "Unknown", within=5)
        assert hub.clusters[ONE].machine.phase == "Idle"
        await hub.clusters[ONE].heal("hub_unavailable")
        await hub.done()
        assert hub.results() == {ONE: (["Prep"], [])}


async def test_a_silent_agent_works_and_is_never_heard_of() -> None:
    async with Hub(1, troubles={ONE: {"work_agent_silent": {}}}) as hub:
        hub.start(step("Prep", timeout=20))
        await hub.done()
        assert hub.clusters[ONE].machine.phase == "Prep completed"
        assert hub.available(ONE) == "True"
        assert hub.clusters_of()[ONE]["failedActions"] == [{"action": "Prep", "message": GENERIC}]


async def test_nothing_of_it_is_a_client() -> None:
    async with Hub(1) as hub:
        hub.start(step("Prep"))
        await hub.done()
        assert hub.endpoint.journal.entries == []
        assert hub.clusters[ONE].endpoint.journal.spec_writes == 0
