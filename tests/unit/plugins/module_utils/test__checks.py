# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each check of preflight: what it says of one wrong thing, and that valid configurations stay clean."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import ACCEPTABLE, Policy, Scope, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, Observed, State

from . import targets
from .targets import (
    BSL,
    DPA,
    FULL,
    IDLE,
    LABELS,
    LCA,
    LSO,
    LVMS,
    NOW,
    OADP,
    PARTITION,
    PREP,
    bundle,
    condition,
    judge,
    machine_config,
    node,
    operator,
    pool,
    problems,
    profile,
    proxy,
    service,
    some,
    unknown,
)

NO_OADP = dataclasses.replace(PREP, oadp_content=())
ABSENT = Reading(served=False)
WITH_LVMS = {"lifecycle-agent": "4.17.0", "oadp-operator": "1.4.1", "lvms-operator": "4.17.0"}
WITH_LSO = {"lifecycle-agent": "4.17.0", "oadp-operator": "1.4.1", "local-storage-operator": "4.17.0"}

LESS_LABELS = {f"node-role.kubernetes.io/{role}": "" for role in ("master", "worker")}

# --- no false alarm -----------------------------------------------------------------------------------------------

VALID: dict[str, dict[str, Any]] = {
    "plain": {},
    "labels only": {"facts": LABELS},
    "nothing known of the seed": {"facts": SeedFacts(), "why": "the registry was not asked"},
    "LVM Storage": {"health": {"services": some(LCA, OADP, LVMS)}, "seed": {"operators": WITH_LVMS}},
    "Local Storage": {"health": {"services": some(LCA, OADP, LSO)}, "seed": {"operators": WITH_LSO}},
    "no OADP at all": {
        "goal": NO_OADP,
        "health": {"protections": ABSENT, "locations": ABSENT, "services": some(LCA)},
        "seed": {"operators": {"lifecycle-agent": "4.17.0"}},
    },
    "OADP without content": {"goal": NO_OADP, "health": {"protections": some(), "locations": some()}},
    "older and newer operators on the seed": {
        "health": {"services": some(LCA, OADP, service("ptp-operator.v4.16.0-1", "openshift-ptp"))},
        "seed": {"operators": {**FULL.operators, "ptp-operator": "4.17.0"}} if FULL.operators else {},
    },
    "proxy on both": {
        "target": {"proxy": proxy(httpProxy="http://proxy.example.com:3128", noProxy=".cluster.local")},
        "seed": {"has_proxy": True},
    },
    "only noProxy on both": {"target": {"proxy": proxy(noProxy=".x")}, "seed": {"has_proxy": True}},
    "FIPS on both": {"target": {"machine_config": some(machine_config(fips=True))}, "seed": {"has_fips": True}},
    "IPv6": {
        "health": {"nodes": some(node("2001:db8::10"))},
        "target": {"machine_networks": ("2001:db8::/64",)},
        "seed": {"node_ips": ("2001:db8:1::1",), "machine_networks": ("2001:db8:1::/64",)},
    },
    "the same address as the seed": {"seed": {"node_ips": ("192.0.2.10",)}},
    "bundle on both": {"target": {"user_ca": bundle()}, "seed": {"has_user_ca_bundle": True}},
    "empty bundle is no bundle": {"target": {"user_ca": bundle(" \n")}},
    "bundle of the proxy on both": {
        "target": {"user_ca": bundle(), "trusted_ca": bundle(), "proxy": proxy("user-ca-bundle")},
        "seed": {"has_user_ca_bundle": True, "proxy_configmap_name": "user-ca-bundle"},
    },
    "another partition on both": {
        "target": {"machine_config": some(machine_config("/dev/disk/by-partlabel/x", labels=("x", "y")))},
        "seed": {"container_storage_mountpoint": "/dev/disk/by-partlabel/x"},
    },
    "profile on both": {
        "target": {"profiles": some(profile("1,0"))},
        "seed": {"performance_profile": {"cpu": {"reserved": "0-1", "isolated": "2-15"}}, "reserved_cpus": "0-1"},
    },
    "no profile on both": {"target": {"profiles": some()}},
    "keys and names of one cluster in MachineConfigs": {
        "target": {
            "machine_configs": {"99-chrony": "a", "99-master-ssh": "b", "50-master-dnsmasq-configuration": "c"},
        },
        "seed": {"machine_configs": {"99-chrony": "a", "99-master-ssh": "x", "98-var-lib-containers-partitioned": "y"}},
    },
    "mirrors on both": {
        "target": {"mirrors": some({"metadata": {"name": "m"}})},
        "seed": {"mirror_registry_configured": True},
    },
    "kernel arguments of the seed": {
        "target": {"machine_config": some(machine_config(arguments=("nosmt",)))},
        "seed": {"kernel_arguments": ("nosmt", "quiet")},
    },
    "SR-IOV": {"health": {"sriov": some({"metadata": {"name": "n"}, "status": {"syncStatus": "Succeeded"}})}},
    "a denied and an approved request": {
        "health": {"requests": some({"metadata": {"name": "c"}, "status": {"conditions": [condition("Approved")]}})}
    },
    "the agent's own ClusterServiceVersion is not ready": {
        "health": {"services": some(service("lifecycle-agent.v4.17.0", "x", "Installing"), OADP)}
    },
    "no IPConfig": {"target": {"ip_config": ABSENT}},
    "IPConfig that is blocked by the upgrade": {
        "target": {
            "ip_config": some(
                {"spec": {"stage": "Idle"}, "status": {"conditions": [condition("Idle", False, reason="Blocked")]}}
            )
        }
    },
    "no topology known, one node": {"health": {"infrastructure": Reading(denied=Permission("get", "x", "y"))}},
    "cleanup of images below 30 percent": {
        "goal": dataclasses.replace(
            PREP, annotations={"image-cleanup.lca.openshift.io/disk-usage-threshold-percent": "30"}
        )
    },
    "cleanup of images off": {
        "goal": dataclasses.replace(PREP, annotations={"image-cleanup.lca.openshift.io/on-prep": "Disabled"})
    },
    "an older seed with one label": {"seed": {"has_user_ca_bundle": None, "proxy_configmap_name": None}},
}


@pytest.mark.parametrize("case", VALID)
def test_a_valid_configuration_stays_clean(case: str) -> None:
    assert problems(**VALID[case]) == []


# --- one wrong thing at a time ------------------------------------------------------------------------------------


def csr(name: str, *conditions: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": list(conditions)}}


B, W = "blocked", "warned"
WRONG: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # the image
    "version": ({"seed": {"version": "4.17.2"}}, B, "seed-version", "(4.17.2) differs from version in spec (4.17.3)"),
    "format": ({"seed": {"format_version": "3"}}, B, "seed-format", "version mismatch: expected 4, got 3"),
    "no format": ({"seed": {"format_version": ""}}, B, "seed-format", "is missing the com.openshift.lifecycle-agent"),
    # health gates, in the agent's words
    "operator degraded": (
        {"health": {"operators": some(operator("dns"), operator("etcd", degraded=True))}},
        B,
        "health-operators",
        "one or more ClusterOperators not yet ready",
    ),
    "operator not available": (
        {"health": {"operators": some(operator("etcd", available=False))}},
        B,
        "health-operators",
        "ClusterOperators",
    ),
    "operator at work": (
        {"health": {"operators": some(operator("etcd", progressing=True))}},
        W,
        "health-operators",
        "ClusterOperators",
    ),
    "pool updating": ({"health": {"pools": some(pool("master", 1, 0))}}, W, "health-pools", "MachineConfigPools not"),
    "pool degraded": (
        {"health": {"pools": some(pool("master", 1, 0, Degraded=True))}},
        B,
        "health-pools",
        "one or more MachineConfigPools not yet ready",
    ),
    "SR-IOV without states": ({"health": {"sriov": some()}}, B, "health-sriov", "no SriovNetworkNodeStates present"),
    "SR-IOV failed": (
        {"health": {"sriov": some({"metadata": {"name": "n"}, "status": {"syncStatus": "Failed"}})}},
        B,
        "health-sriov",
        "sriovNetworkNodeState not ready",
    ),
    "DPA": (
        {"health": {"protections": some({**DPA, "status": {"conditions": [condition("Reconciled", False)]}})}},
        B,
        "health-oadp",
        "dataProtectionApplication not reconciled",
    ),
    "no location": ({"health": {"locations": some()}}, B, "health-oadp", "backupsStorageLocations not yet created"),
    "location": (
        {"health": {"locations": some({**BSL, "status": {"phase": "Unavailable", "message": "refused"}})}},
        B,
        "health-oadp",
        "backupStorageLocation is not available",
    ),
    "node": (
        {"health": {"nodes": some(node(conditions=(condition("Ready", False),)))}},
        B,
        "health-node",
        "node is not yet ready",
    ),
    "network": (
        {"health": {"nodes": some(node(conditions=(condition("Ready"), condition("NetworkUnavailable"))))}},
        B,
        "health-node",
        "node network unavailable",
    ),
    "label": (
        {"health": {"nodes": some(node(labels=LESS_LABELS))}},
        B,
        "health-node",
        "node missing node-role.kubernetes.io/control-plane label",
    ),
    "service failed": (
        {"health": {"services": some(LCA, OADP, service("x.v1.0.0", "openshift-adp", "Failed"))}, "facts": LABELS},
        B,
        "health-services",
        "one or more ClusterServiceVersions not yet ready",
    ),
    "service installing": (
        {"health": {"services": some(LCA, OADP, service("x.v1.0.0", "x", "Installing"))}, "facts": LABELS},
        W,
        "health-services",
        "ClusterServiceVersions",
    ),
    "csr": ({"health": {"requests": some(csr("csr-1"))}}, B, "health-csr", "unapproved CertificateSigningRequest"),
    "csr denied": (
        {"health": {"requests": some(csr("csr-1", condition("Denied")))}},
        B,
        "health-csr",
        "unapproved CertificateSigningRequest; every stage will wait for it forever",
    ),
    # components
    "no OADP": (
        {"health": {"services": some(LCA)}},
        B,
        "oadp",
        "Please ensure OADP operator is installed in the openshift-adp",
    ),
    "OADP elsewhere": ({"health": {"services": some(LCA, service("oadp-operator.v1.4.1", "x"))}}, B, "oadp", "Please"),
    "no API of OADP": ({"health": {"protections": ABSENT}}, B, "oadp", "Please ensure OADP operator is installed"),
    "no DPA": ({"health": {"protections": some()}}, B, "oadp", "No DataProtectionApplication CR found"),
    "two DPAs": (
        {"health": {"protections": some(DPA, {**DPA, "metadata": {"name": "dpa-2"}})}},
        B,
        "oadp",
        "Only one DataProtectionApplication CR is allowed in the openshift-adp",
    ),
    "DPA without locations": ({"health": {"protections": some({**DPA, "spec": {}})}}, B, "oadp", "backupLocations"),
    "location without credential": (
        {"health": {"protections": some({**DPA, "spec": {"backupLocations": [{"velero": {}}]}})}},
        W,
        "oadp",
        "names no credential",
    ),
    "OADP by what the object holds": (
        {
            "goal": dataclasses.replace(PREP, oadp_content=None),
            "observed": dataclasses.replace(IDLE, spec={"oadpContent": [{"name": "x", "namespace": "y"}]}),
            "health": {"protections": some()},
        },
        B,
        "oadp",
        "No DataProtectionApplication",
    ),
    "both storage operators": (
        {"health": {"services": some(LCA, OADP, LVMS, LSO)}, "facts": LABELS},
        B,
        "storage-operators",
        "are both installed",
    ),
    "no storage operator on the seed": (
        {"health": {"services": some(LCA, OADP, LVMS)}},
        B,
        "storage-operators",
        "the seed does not have the storage operator",
    ),
    "the other storage operator on the seed": (
        {"health": {"services": some(LCA, OADP, LSO)}, "seed": {"operators": {**WITH_LVMS, "local-storage": "1"}}},
        B,
        "storage-operators",
        "the seed does not have the storage operator",
    ),
    "no OADP on the seed": (
        {"seed": {"operators": {"lifecycle-agent": "4.17.0"}}},
        B,
        "oadp",
        "nothing can be",
    ),
    "lost operator": (
        {"health": {"services": some(LCA, OADP, service("ptp-operator.v4.16.0", "openshift-ptp"))}},
        W,
        "operators",
        "operators that the seed does not have",
    ),
    "newer operator": (
        {"health": {"services": some(service("lifecycle-agent.v4.18.0", "x"), OADP)}},
        W,
        "operators",
        "newer operators than the seed",
    ),
    # network and trust
    "proxy here": (
        {"target": {"proxy": proxy(noProxy=".x")}},
        B,
        "proxy",
        "seed image does not have a proxy but the cluster being upgraded does",
    ),
    "proxy there": ({"seed": {"has_proxy": True}}, B, "proxy", "has a proxy but the cluster being upgraded does not"),
    "bundle here": (
        {"target": {"user_ca": bundle()}},
        B,
        "trust-bundle",
        "does not have an openshift-config",
    ),
    "bundle there": ({"seed": {"has_user_ca_bundle": True}}, B, "trust-bundle", "seed image has an openshift-config"),
    "trustedCA": (
        {"target": {"proxy": proxy("ours"), "trusted_ca": bundle()}},
        B,
        "trust-bundle",
        "seed image's Proxy trustedCA configmap name '' (oc get proxy -oyaml) mismatches",
    ),
    "empty trustedCA": (
        {"target": {"proxy": proxy("ours"), "trusted_ca": bundle("")}, "seed": {"proxy_configmap_name": "ours"}},
        B,
        "trust-bundle",
        "proxy trustedCA configmap openshift-config/ours exists but is empty",
    ),
    "family": (
        {"health": {"nodes": some(node("2001:db8::10"))}, "target": {"machine_networks": None}},
        B,
        "ip-family",
        "node IP family mismatch with the seed (ipv4)",
    ),
    "count": ({"seed": {"node_ips": ("192.0.2.1", "2001:db8::1")}}, B, "ip-family", "node IP count mismatch"),
    "family of the record": ({"seed": {"node_ips": None, "ip_families": ("ipv6",)}}, B, "ip-family", "family mismatch"),
    "dual stack": (
        {
            "health": {"nodes": some(node("192.0.2.10", "2001:db8::10"))},
            "target": {"machine_networks": ("192.0.2.0/24", "2001:db8::/64")},
            "seed": {
                "node_ips": ("192.0.2.1", "2001:db8::1"),
                "machine_networks": ("192.0.2.0/24", "2001:db8::/64"),
            },
        },
        W,
        "ip-family",
        "dual stack is not documented",
    ),
    "networks": (
        {"seed": {"machine_networks": ("192.0.2.0/24", "198.51.100.0/24")}},
        B,
        "machine-networks",
        "differ from the seed's in number or IP family",
    ),
    "outside": ({"health": {"nodes": some(node("198.51.100.7"))}}, W, "node-ip", "in none of the cluster's machine"),
    "mirrors here": ({"target": {"mirrors": some({})}}, W, "registry-mirrors", "mirrors registries and the seed does"),
    "mirrors there": ({"seed": {"mirror_registry_configured": True}}, W, "registry-mirrors", "mirrors no registry"),
    # the node
    "two nodes": (
        {"health": {"nodes": some(node(), node(name="worker"))}},
        B,
        "node-count",
        "expected exactly one node, got 2",
    ),
    "full disk": (
        {"health": {"nodes": some(node(conditions=(condition("Ready"), condition("DiskPressure"))))}},
        B,
        "disk",
        "under DiskPressure",
    ),
    "fewer CPUs": ({"health": {"nodes": some(node(cpus="8"))}}, B, "cpus", "fewer CPUs than the seed"),
    "more CPUs": ({"health": {"nodes": some(node(cpus="32"))}}, W, "cpus", "more CPUs than the seed"),
    "FIPS here": (
        {"target": {"machine_config": some(machine_config(fips=True))}},
        B,
        "fips",
        "seed image does not have FIPS enabled but the cluster being upgraded does",
    ),
    "FIPS there": ({"seed": {"has_fips": True}}, B, "fips", "has FIPS enabled but the cluster being upgraded does not"),
    "no partition": (
        {"target": {"machine_config": some(machine_config(None))}},
        W,
        "container-storage",
        "container storage mountpoint target not found",
    ),
    "another partition": (
        {"target": {"machine_config": some(machine_config("/dev/disk/by-partlabel/other"))}},
        B,
        "container-storage",
        "container storage mountpoint target mismatch",
    ),
    "label that no partition has": (
        {"target": {"machine_config": some(machine_config(PARTITION, labels=("var-lib-containers",)))}},
        W,
        "container-storage",
        "names a partition label that no partition",
    ),
    "kernel arguments": (
        {"target": {"machine_config": some(machine_config(arguments=("nosmt",)))}},
        W,
        "kernel-arguments",
        "kernel arguments that the seed does not have",
    ),
    "cgroups": (
        {
            "target": {"machine_config": some(machine_config(arguments=("systemd.unified_cgroup_hierarchy=0",)))},
            "seed": {"kernel_arguments": ("systemd.unified_cgroup_hierarchy=0",)},
        },
        W,
        "cgroups",
        "the node has cgroups v1, the seed v2",
    ),
    "reserved CPUs": (
        {
            "target": {"profiles": some(profile("0-3"))},
            "seed": {"performance_profile": {"cpu": {"reserved": "0-1", "isolated": "2-15"}}, "reserved_cpus": "0-1"},
        },
        W,
        "reserved-cpus",
        "the reserved CPUs differ from the seed's",
    ),
    "profile": (
        {
            "target": {"profiles": some(profile(realTimeKernel={"enabled": True}))},
            "seed": {"performance_profile": {"cpu": {"reserved": "0-1", "isolated": "2-15"}}, "reserved_cpus": "0-1"},
        },
        W,
        "performance-profile",
        "differs from the seed's, which is what the node gets: realTimeKernel",
    ),
    "no profile here": (
        {"seed": {"performance_profile": {"cpu": {"reserved": "0-1"}}, "reserved_cpus": "0-1"}},
        W,
        "performance-profile",
        "differs from the seed's",
    ),
    "no profile there": ({"target": {"profiles": some(profile())}}, W, "performance-profile", "and the seed has none"),
    "own MachineConfig": (
        {"target": {"machine_configs": {"99-chrony": "a", "99-own": "b"}}},
        W,
        "machine-configs",
        "MachineConfigs that the seed does not have",
    ),
    "lost MachineConfig": ({"target": {"machine_configs": {}}}, W, "machine-configs", "the cluster does not have"),
    "other MachineConfig": (
        {"target": {"machine_configs": {"99-chrony": "b"}}},
        W,
        "machine-configs",
        "MachineConfigs differ from the seed's",
    ),
    "IPConfig": (
        {
            "target": {
                "ip_config": some({"spec": {"stage": "Config"}, "status": {"conditions": [condition("Idle", False)]}})
            }
        },
        W,
        "ipconfig",
        "IPC is not idle",
    ),
    "threshold": (
        {
            "goal": dataclasses.replace(
                PREP, annotations={"image-cleanup.lca.openshift.io/disk-usage-threshold-percent": "50%"}
            )
        },
        W,
        "image-cleanup",
        "is no whole number; images are then never removed",
    ),
    "threshold on the object": (
        {
            "observed": dataclasses.replace(
                IDLE, annotations={"image-cleanup.lca.openshift.io/disk-usage-threshold-percent": "half"}
            )
        },
        W,
        "image-cleanup",
        "is no whole number",
    ),
    "cleanup disabled in other letters": (
        {"goal": dataclasses.replace(PREP, annotations={"image-cleanup.lca.openshift.io/on-prep": "disabled"})},
        W,
        "image-cleanup",
        "has no effect",
    ),
    "cleanup disabled with a threshold": (
        {
            "goal": dataclasses.replace(
                PREP,
                annotations={
                    "image-cleanup.lca.openshift.io/on-prep": "Disabled",
                    "image-cleanup.lca.openshift.io/disk-usage-threshold-percent": "50",
                },
            )
        },
        W,
        "image-cleanup",
        "so its threshold has no effect",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_thing_is_one_finding(case: str) -> None:
    changes, severity, check, words = WRONG[case]

    found = problems(**changes)

    assert [one[:2] for one in found] == [(severity, check)], found
    assert words in found[0][2]


@pytest.mark.parametrize("case", WRONG)
def test_clusters_with_the_same_trouble_share_its_words(case: str) -> None:
    """Names, addresses and numbers of one cluster stand in what was seen, not in the cause."""
    text = "\n".join(one.cause for one in judge(**WRONG[case][0]))

    assert not any(own in text for own in ("192.0.2.10", "198.51.100.7", "csr-1", "dpa-1"))


@pytest.mark.parametrize("case", ["full disk", "no partition"])
def test_what_is_to_be_done_on_the_node_is_a_command(case: str) -> None:
    found = next(one for one in judge(**WRONG[case][0]) if one.check == WRONG[case][2])

    assert re.search(r"oc debug node/NODE -- chroot /host [a-z]+ [a-z-]+", found.remedy), found.remedy


def test_every_gate_is_seen_in_the_words_of_the_agent() -> None:
    (found,) = [one for one in judge(health={"requests": some(csr("csr-1"))}) if one.severity is Severity.BLOCKED]

    assert found.seen == "certificateSigningRequest (csr) csr-1 not yet approved"
    assert "docs/runbooks/health-gate-csr" in found.remedy


# --- when it matters ----------------------------------------------------------------------------------------------


def test_a_gate_of_what_is_under_way_only_warns() -> None:
    found = problems(health={"requests": some(csr("csr-1"))}, scope=Scope(gates=True))

    assert [one[:2] for one in found] == [("warned", "health-csr")]


def test_a_finding_can_be_accepted() -> None:
    accepting = Policy(accept=frozenset({"fips"}))

    assert [one[:2] for one in problems(seed={"has_fips": True}, policy=accepting)] == [("warned", "fips")]
    assert [one[:2] for one in problems(seed={"has_proxy": True}, policy=accepting)] == [("blocked", "proxy")]


def test_everything_that_these_checks_block_can_be_accepted() -> None:
    blocking = {check for _changes, severity, check, _words in WRONG.values() if severity == B}

    assert blocking <= set(ACCEPTABLE)


# --- what could not be known --------------------------------------------------------------------------------------


def test_of_an_unknown_seed_nothing_is_compared_and_that_is_said_once() -> None:
    found = unknown(facts=SeedFacts(), why="the registry was not asked")

    assert set(found) == {"seed-facts", "seed-record", "host"}
    assert found["seed-facts"].endswith(": the registry was not asked")
    assert all(words in found["seed-facts"] for words in ("FIPS", "the proxy", "IP family", "the machine networks"))
    assert all(words in found["seed-record"] for words in ("CPU topology", "MachineConfigs", "performance profile"))


def test_a_record_that_leaves_something_out_was_given_all_the_same() -> None:
    assert unknown(facts=SeedFacts())["seed-record"].endswith(": the seed's record was not given")
    assert unknown(facts=SeedFacts(cpus=16))["seed-record"].endswith(": the seed's record does not say")


def test_what_a_full_record_tells_is_all_checked() -> None:
    assert set(unknown()) == {"host"}


@pytest.mark.parametrize("name", [*targets.HEALTHY.readings(), *targets.TARGET.readings()])
def test_what_may_not_be_read_is_not_checked_and_raises_no_alarm(name: str) -> None:
    denied = Permission("list", "some.group", "things")
    places: dict[str, dict[str, Any]] = {}
    for facts, where in ((targets.HEALTHY, "health"), (targets.TARGET, "target")):
        readings = facts.readings()
        if name in readings:
            fields = [field.name for field in dataclasses.fields(facts)]
            place = next(
                one
                for one in fields
                if dataclasses.replace(facts, **{one: Reading(denied=denied)}).readings()[name].denied  # type: ignore[arg-type]
            )
            places[where] = {place: Reading(denied=denied)}

    assert problems(**places) == []
    assert "list things.some.group" in unknown(**places)["permissions-to-check"]


def test_a_cluster_that_does_not_tell_is_not_compared() -> None:
    found = unknown(target={"machine_config": ABSENT, "machine_networks": None})

    assert set(found) == {"host", "target-facts"}
    whats = [one.cause for one in judge(target={"machine_config": ABSENT, "machine_networks": None})]
    assert any("FIPS, the partition" in cause for cause in whats)
    assert any(cause.startswith("the machine networks:") for cause in whats)


def test_the_cgroup_version_of_a_release_with_either_is_to_be_seen_on_the_node() -> None:
    newer = dataclasses.replace(IDLE, version="4.19.1")
    goal = dataclasses.replace(PREP, seed=dataclasses.replace(targets.IMAGE, version="4.20.0"))

    assert "the cgroup version" in unknown()["host"]
    assert "the cgroup version" not in unknown(goal, observed=newer, seed={"version": "4.20.0"})["host"]


# --- time ---------------------------------------------------------------------------------------------------------


def test_little_time_for_a_rollback() -> None:
    goal = Goal(Action.ROLLBACK)
    observed = Observed(State.UPGRADE_COMPLETED, valid_next=("Idle", "Rollback"), now=NOW)
    soon = dataclasses.replace(observed, rollback_until=NOW + datetime.timedelta(minutes=50))
    late = dataclasses.replace(observed, rollback_until=NOW + datetime.timedelta(days=5))

    assert [one[:2] for one in problems(goal, observed=soon, scope=Scope())] == [("warned", "rollback-time")]
    assert problems(goal, observed=late, scope=Scope()) == []
