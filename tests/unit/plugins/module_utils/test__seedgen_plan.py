# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is removed by whose consent, and how a cluster leaves its hub."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen_plan as plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import (
    HOST_COMMAND,
    KLUSTERLET_CRD,
    HostFacts,
    SeedSurvey,
    host_facts,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import Detach, HubView, Remove

Object = dict[str, Any]


def named(name: str, namespace: str = "", **more: Any) -> Object:
    return {"metadata": {"name": name, "uid": f"u-{name}", **({"namespace": namespace} if namespace else {})}, **more}


def reading(*items: Object) -> Reading:
    return Reading(tuple(items))


EVERYTHING = SeedSurvey(
    klusterlet_crd=reading(named(KLUSTERLET_CRD)),
    klusterlets=reading(named("klusterlet")),
    namespaces=reading(named("app"), named("open-cluster-management-addon-search")),
    volumes=reading(named("pv-claimed"), named("pv-free")),
    claims=reading(named("data", "app", spec={"volumeName": "pv-claimed"}), named("waiting", "app", spec={})),
    local_volumes=reading(named("disks", "openshift-storage")),
    lvm_clusters=reading(named("lvmcluster", "openshift-storage")),
    protections=reading(named("dpa", "openshift-adp")),
)


class TestLeftovers:
    """Only what is consented to, and exactly that."""

    def test_nothing_without_consent(self) -> None:
        assert plan.leftovers(EVERYTHING, frozenset()) == []

    @pytest.mark.parametrize(
        ("consent", "names"),
        [
            (Remove.DATA_PROTECTION, ["DataProtectionApplication dpa in openshift-adp"]),
            (
                Remove.VOLUMES,
                ["PersistentVolumeClaim data in app", "PersistentVolume pv-claimed", "PersistentVolume pv-free"],
            ),
            (Remove.LOCAL_VOLUMES, ["LocalVolume disks in openshift-storage"]),
            (Remove.LVM_CLUSTERS, ["LVMCluster lvmcluster in openshift-storage"]),
            (Remove.ADDONS, ["Namespace open-cluster-management-addon-search"]),
            (Remove.KLUSTERLET, ["Klusterlet klusterlet", f"CustomResourceDefinition {KLUSTERLET_CRD}"]),
        ],
    )
    def test_each_consent_is_for_its_own(self, consent: Remove, names: list[str]) -> None:
        found = plan.leftovers(EVERYTHING, {consent})
        assert [str(one) for one in found] == names
        assert all(one.uid and one.path.endswith(one.name) for one in found)

    def test_the_klusterlet_goes_last_and_before_its_crd(self) -> None:
        kinds = [one.kind for one in plan.leftovers(EVERYTHING, set(Remove))]
        assert kinds[-2:] == ["Klusterlet", "CustomResourceDefinition"]
        assert kinds[0] == "DataProtectionApplication"


def finding(check: str, severity: Severity = Severity.BLOCKED) -> Finding:
    return Finding(severity, "site", check, "cause", "remedy")


class TestRemaining:
    """What no consent cures."""

    def test_a_consent_cures_its_finding_only(self) -> None:
        found = [finding("volumes"), finding("lvm_clusters"), finding("oadp")]
        left = plan.remaining(found, {Remove.VOLUMES}, detaches=False)
        assert [one.check for one in left] == ["lvm_clusters", "oadp"]

    def test_the_hub_takes_its_own_away(self) -> None:
        found = [finding("hub"), finding("addons"), finding("volumes")]
        assert [one.check for one in plan.remaining(found, (), detaches=True)] == ["volumes"]

    def test_only_what_blocks_refuses(self) -> None:
        found = [finding("a", Severity.WARNED), finding("b", Severity.NOT_CHECKED), finding("c")]
        assert [one.check for one in plan.refusing(found)] == ["c"]


MANAGED = named("site")


class TestHub:
    """Whose ManagedCluster it is, and how it goes."""

    @pytest.mark.parametrize(
        ("meta", "owner"),
        [
            ({}, ""),
            ({"annotations": {"argocd.argoproj.io/tracking-id": "sites:x/y:z/site"}}, "Argo CD application sites"),
            ({"labels": {"app.kubernetes.io/instance": "sites"}}, "Argo CD application sites"),
            ({"labels": {"siteconfig.open-cluster-management.io/owned-by": "ns_site"}}, "ClusterInstance ns_site"),
            ({"ownerReferences": [{"kind": "ClusterInstance", "name": "site"}]}, "ClusterInstance site"),
            ({"ownerReferences": [{"kind": "Something", "name": "site"}]}, ""),
        ],
    )
    def test_who_would_make_it_again(self, meta: Object, owner: str) -> None:
        assert plan.gitops_owner({"metadata": {"name": "site", **meta}}) == owner

    def test_addons_that_are_on_are_switched_off(self) -> None:
        config = {
            "spec": {"searchCollector": {"enabled": True}, "policyController": {"enabled": False}, "version": "1"}
        }
        assert plan.disabled_addons(config) == {"spec": {"searchCollector": {"enabled": False}}}
        assert plan.disabled_addons({"spec": {"policyController": {"enabled": False}}}) == {}

    @pytest.mark.parametrize(
        ("detach", "survey", "hub", "words"),
        [
            (Detach.NEVER, EVERYTHING, HubView(), ""),
            (Detach.DELETE, EVERYTHING, HubView(), "no hub connection"),
            (Detach.DELETE, EVERYTHING, HubView(True, problem="refused"), "could not be asked"),
            (Detach.DELETE, EVERYTHING, HubView(True), "does not know the cluster"),
            (Detach.DELETE, EVERYTHING, HubView(True, MANAGED), ""),
            (Detach.WAIT, EVERYTHING, HubView(True, MANAGED), ""),
            (Detach.DELETE, SeedSurvey(), HubView(True), ""),
            (Detach.NEVER, SeedSurvey(), HubView(True, MANAGED), "still has a ManagedCluster"),
        ],
    )
    def test_what_is_in_the_way_of_the_detachment(
        self, detach: Detach, survey: SeedSurvey, hub: HubView, words: str
    ) -> None:
        told = [one.cause for one in plan.hub_findings("site", survey, hub, detach)]
        assert bool(told) is bool(words)
        assert words in "".join(told)

    def test_detached_is_when_no_trace_is_left(self) -> None:
        assert plan.is_detached(SeedSurvey(), HubView(True))
        assert not plan.is_detached(SeedSurvey(), HubView(True, MANAGED))
        assert not plan.is_detached(EVERYTHING, HubView(True))
        leaving = {"metadata": {"name": "site", "deletionTimestamp": "now"}}
        words = plan.attached_words(EVERYTHING, HubView(True, leaving))
        assert "is being deleted" in words
        assert KLUSTERLET_CRD in words
        assert "open-cluster-management-addon-search" in words


class TestHost:
    """What a login shell answers, with whatever else it says."""

    def test_answers_are_found_among_other_lines(self) -> None:
        text = "Red Hat Enterprise Linux CoreOS\nseed:set_default=yes\nseed:storage=no\n  seed:dnsmasq=yes\r\n"
        assert host_facts(text) == HostFacts(set_default=True, storage=False, dnsmasq=True, why="")

    def test_no_answer_is_no_fact(self) -> None:
        found = host_facts("sudo: a password is required\n")
        assert (found.set_default, found.storage, found.dnsmasq) == (None, None, None)
        assert found.why

    def test_the_command_asks_for_every_fact(self) -> None:
        for name in ("set_default", "storage", "dnsmasq"):
            assert f"seed:{name}=yes" in HOST_COMMAND
            assert f"seed:{name}=no" in HOST_COMMAND
