# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight of a fleet in which every cluster has something of its own, in as few runs as possible."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetsim.populate import service_version

from .runs import ROOT, Playground, Run, scenario

Prepare = Callable[..., Playground]
Object = dict[str, Any]

PARTITION = "/dev/disk/by-partlabel/varlibcontainers"
IMAGE = "registry.example.com/{name}:4.17.3"
# A record of a seed that fits the simulated clusters, with everything that a record can say.
RECORD: Object = {
    "version": "4.17.3",
    "format_version": "4",
    "has_proxy": False,
    "has_fips": False,
    "has_user_ca_bundle": False,
    "proxy_configmap_name": "",
    "container_storage_mountpoint": PARTITION,
    "node_ips": ["192.0.2.10"],
    "machine_networks": ["192.0.2.0/24"],
    "mirror_registry_configured": False,
    "cpus": 16,
    "machine_configs": {},
    "operators": {"lifecycle-agent": "4.17.0", "oadp-operator": "1.4.1"},
    "kernel_arguments": [],
    "cgroup_version": "v2",
}
MACHINE_CONFIG = ("machineconfiguration.openshift.io/v1", "MachineConfig", "rendered-master-4.16")
CSV = ("operators.coreos.com/v1alpha1", "ClusterServiceVersion")
DPA = ("oadp.openshift.io/v1alpha1", "DataProtectionApplication", "dpa", "openshift-adp")


def of(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    """A manifest, or a part of one."""
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def installed(name: str, namespace: str, phase: str = "Succeeded") -> Object:
    """An operator."""
    return {"apiVersion": CSV[0], "kind": CSV[1], **service_version(name, namespace, phase)}


def proxy(trusted: str = "", **spec: str) -> Object:
    return of("config.openshift.io/v1", "Proxy", "cluster", spec={**spec, "trustedCA": {"name": trusted}})


def bundle(name: str, text: str = "-----BEGIN CERTIFICATE-----") -> Object:
    return of("v1", "ConfigMap", name, "openshift-config", data={"ca-bundle.crt": text})


def node(name: str, *addresses: str, **capacity: str) -> Object:
    found = [{"type": "InternalIP", "address": address} for address in addresses]
    return of("v1", "Node", name, status={**({"addresses": found} if found else {}), "capacity": capacity})


def networks(*cidrs: str) -> Object:
    text = yaml.safe_dump({"networking": {"machineNetwork": [{"cidr": cidr} for cidr in cidrs]}})
    return of("v1", "ConfigMap", "cluster-config-v1", "kube-system", data={"install-config": text})


@dataclass(frozen=True)
class Case:
    """What is special about a cluster; what preflight must say: severity and check of each finding."""

    id: str
    cluster: Object = field(default_factory=dict)
    seed: Object = field(default_factory=dict)
    finds: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ("host",)
    says: str = ""
    user: str = ""


def wrong(title: str, check: str, says: str, *objects: Object, severity: str = "blocked", **more: Any) -> Case:
    """One wrong thing."""
    return Case(
        title, {"objects": list(objects), **more.pop("cluster", {})}, finds=((severity, check),), says=says, **more
    )


def fine(title: str, *objects: Object, seed: Object | None = None, **cluster: Any) -> Case:
    """A valid configuration."""
    return Case(title, {"objects": list(objects), **cluster}, seed or {})


WITHOUT_OADP = [of(*CSV, "oadp-operator.v1.4.1", "openshift-adp"), of(*DPA)]
NO_CONTENT = {"oadp_content": []}
CASES = [
    fine("as it comes"),
    fine(
        "LVM Storage",
        installed("lvms-operator.v4.16.3", "openshift-storage"),
        seed={"operators": {**RECORD["operators"], "lvms-operator": "4.17.0"}},
    ),
    fine(
        "Local Storage",
        installed("local-storage-operator.v4.16.0", "openshift-local-storage"),
        seed={"operators": {**RECORD["operators"], "local-storage-operator": "4.17.0"}},
    ),
    fine("proxy on both", proxy(httpsProxy="http://proxy.example.com:3128"), seed={"has_proxy": True}),
    fine("FIPS on both", of(*MACHINE_CONFIG, spec={"fips": True}), seed={"has_fips": True}),
    fine(
        "IPv6",
        node("{name}", "2001:db8::10", cpu="16"),
        networks("2001:db8::/64"),
        seed={"node_ips": ["2001:db8:9::1"], "machine_networks": ["2001:db8:9::/64"]},
    ),
    fine(
        "CA bundles on both",
        bundle("user-ca-bundle"),
        proxy("user-ca-bundle"),
        seed={"has_user_ca_bundle": True, "proxy_configmap_name": "user-ca-bundle"},
    ),
    fine("no OADP", goal=NO_CONTENT, without=WITHOUT_OADP),
    fine("prepared already, with a seed that does not fit", initial="PrepCompleted", seed={"has_proxy": True}),
    fine("upgraded and finalized", initial="Upgraded"),
    Case("the documented permissions", unknown=("content-to-check", "host"), user="upgrader"),
    Case("least permissions", unknown=("host", "permissions-to-check"), user="least"),
    Case("least known of the seed", seed=dict.fromkeys(RECORD), unknown=("host", "seed-facts", "seed-record")),
    wrong("csr", "health-csr", "csr-7xk2p not yet approved", cluster={"troubles": {"health_blocked": {}}}),
    wrong(
        "operator",
        "health-operators",
        "authentication",
        cluster={"troubles": {"health_blocked": {"check": "clusteroperator"}}},
    ),
    wrong("backup location", "health-oadp", "connection refused", cluster={"troubles": {"location_unavailable": {}}}),
    wrong("proxy", "proxy", "does not have a proxy", proxy(noProxy=".example.com")),
    wrong("FIPS", "fips", "does not have FIPS enabled", of(*MACHINE_CONFIG, spec={"fips": True})),
    wrong("CPUs", "cpus", "fewer CPUs than the seed", node("{name}", cpu="8")),
    wrong(
        "both storage operators",
        "storage-operators",
        "are both installed",
        installed("lvms-operator.v4.16.3", "openshift-storage"),
        installed("local-storage-operator.v4.16.0", "openshift-local-storage"),
        seed={"operators": None},
        unknown=("host", "seed-record"),
    ),
    wrong(
        "no OADP for its content",
        "oadp",
        "Please ensure OADP operator is installed in the openshift-adp",
        cluster={"without": [of(*CSV, "oadp-operator.v1.4.1", "openshift-adp")]},
    ),
    wrong(
        "silence",
        "contact",
        "connection refused",
        cluster={"troubles": {"refused_from_start": {}}},
        unknown=(),
        severity="no_answer",
    ),
    wrong("unknown token", "contact", "(401)", cluster={"troubles": {"expired_token": {}}}, unknown=()),
    wrong("no agent", "contact", "no ImageBasedUpgrade", cluster={"troubles": {"lca_missing": {}}}, unknown=()),
]
NAMES = {f"site-{number:04d}": case for number, case in enumerate(CASES, 1)}


def rules_of(path: Path) -> list[Object]:
    """The rules of the documented roles for upgrades, as the simulator takes them."""
    items = yaml.safe_load(path.read_text())["items"]
    return [
        {
            "verbs": rule["verbs"],
            "groups": rule["apiGroups"],
            "resources": rule["resources"],
            **({"namespaces": item["metadata"]["namespace"]} if item["kind"] == "Role" else {}),
            # The example names a Secret of its own, for the reader to replace.
            **(
                {"names": rule["resourceNames"]}
                if "secrets" not in rule["resources"] and "resourceNames" in rule
                else {}
            ),
        }
        for item in items
        if item["kind"] in ("ClusterRole", "Role") and item["metadata"]["name"] == "image-upgrade"
        for rule in item["rules"]
    ]


# What the actions themselves need, as in the first table of docs/rbac.md, and nothing of preflight's own.
LEAST = [
    {"verbs": ["get", "list", "watch", "patch"], "groups": "lca.openshift.io", "resources": "imagebasedupgrades"},
    {"verbs": "get", "groups": "config.openshift.io", "resources": "clusterversions"},
    {"verbs": "list", "groups": "config.openshift.io", "resources": "clusteroperators"},
    {"verbs": "list", "groups": "", "resources": ["nodes", "persistentvolumes"]},
    {"verbs": "list", "groups": "velero.io", "resources": "restores", "namespaces": "openshift-adp"},
]
USERS = {"upgrader": rules_of(ROOT / "docs" / "examples" / "cluster_rbac.yml"), "least": LEAST}


def own(name: str, case: Case) -> Object:
    """The entry of a cluster in the scenario."""
    text = json.dumps(case.cluster).replace("{name}", name)
    found = json.loads(text)
    found["goal"] = {"image": IMAGE.format(name=name), **found.get("goal", {})}
    if case.user:
        found["users"] = {case.user: {"rules": USERS[case.user]}}
    return found  # type: ignore[no-any-return]


@pytest.fixture(name="ground")
def fixture_ground(prepare: Prepare) -> Playground:
    return prepare(
        scenario(len(CASES), hub=True, clusters_extra={name: own(name, case) for name, case in NAMES.items()})
    )


def seed_files(folder: Path) -> dict[str, str]:
    """A file with the facts of each cluster's seed, by image."""
    files = {}
    for name, case in NAMES.items():
        facts = {key: value for key, value in {**RECORD, **case.seed}.items() if value is not None}
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"apiVersion": "sno.image_upgrade/v1", "kind": "SeedRecord", "spec": facts}))
        files[IMAGE.format(name=name)] = str(path)
    return files


def variables_of(ground: Playground, name: str, case: Case) -> Object:
    """What stands in the inventory of a cluster besides."""
    found: Object = {}
    if case.user:
        found["ibu_kubeconfig"] = str(ground.fleet.kubeconfig(name, case.user))
    if case.cluster.get("goal") == NO_CONTENT:
        found["ibu_oadp_content"] = []
    return found


def check(ground: Playground, folder: Path, **variables: Any) -> tuple[Run, Object]:
    """A run of the playbook, and its report."""
    hosts = {name: variables_of(ground, name, case) for name, case in NAMES.items()}
    more, report = folder / "more.yml", folder / "preflight.json"
    more.write_text(yaml.safe_dump({"fleet": {"hosts": hosts}}))
    run = ground.play("preflight", "-i", str(more), ibu_report_file=str(report), ibu_contact_timeout=1, **variables)
    return run, json.loads(report.read_text())


def test_every_cluster_gets_what_it_deserves_and_no_more(
    ground: Playground, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    run, report = check(ground, tmp_path, ibu_seed_facts=seed_files(tmp_path), ibu_on_blocked="exclude")

    assert not any(ground.writes().values()), "preflight writes nothing"
    for name, case in NAMES.items():
        with subtests.test(msg=case.id):
            found = [one for one in report["findings"] if one["cluster"] == name]
            assert [(one["severity"], one["check"]) for one in found] == list(case.finds), found
            assert not case.says or case.says in f"{found[0]['cause']} ({found[0]['seen']})"
            beyond = "initial" in case.cluster
            unknown = {one["check"] for one in report["not_checked"] if name in one["clusters"]}
            assert unknown == (set() if beyond else set(case.unknown))
            assert (name in report["ready"]) == all(severity == "warned" for severity, _check in case.finds)
    blocked = [name for name, case in NAMES.items() if case.finds]
    assert run.code == 2, run.output
    assert all(name in run.words for name in blocked)
    assert all(len(line) <= 100 for line in run.output.splitlines() if line.startswith(("BLOCKED", "NOT CHECKED")))
    # What the report says of the fleet, the verdict says of each host.
    assert "seen: csr" not in run.words and "certificateSigningRequest (csr) csr-7xk2p not yet approved" in run.words


def test_what_is_accepted_only_warns(ground: Playground, tmp_path: Path) -> None:
    accepted = ["fips", "proxy", "cpus", "health-csr", "health-operators", "health-oadp", "oadp", "storage-operators"]

    run, report = check(
        ground,
        tmp_path,
        ibu_seed_facts=seed_files(tmp_path),
        ibu_accept_findings=accepted,
        ibu_on_blocked="exclude",
    )

    blocked = {one["check"] for one in report["findings"] if one["severity"] == "blocked"}
    assert blocked == {"contact"}, run.output
    assert {one["check"] for one in report["findings"] if one["severity"] == "warned"} == set(accepted)
