# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A healthy target cluster and the seed that fits it, to change in one place at a time."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HealthFacts, Reading, TargetFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    Finding,
    Policy,
    Scope,
    Severity,
    Survey,
    survey_findings,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, Observed, SeedImage, State

NOW = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc)
IMAGE = SeedImage("4.17.3", "registry.example.com/seed:4.17.3", "pull")
PREP = Goal(Action.PREP, IMAGE, oadp_content=(("openshift-adp", "oadp-cm"),))
PARTITION = "/dev/disk/by-partlabel/varlibcontainers"
ROLES = ("control-plane", "master", "worker")


def condition(kind: str, status: bool = True, **more: str) -> dict[str, str]:
    return {"type": kind, "status": str(status), **more}


def some(*documents: dict[str, Any]) -> Reading:
    return Reading(documents)


def operator(name: str, available: bool = True, degraded: bool = False, progressing: bool = False) -> dict[str, Any]:
    conditions = [
        condition("Available", available),
        condition("Degraded", degraded),
        condition("Progressing", progressing),
    ]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def pool(name: str, count: int, ready: int, **kinds: bool) -> dict[str, Any]:
    status = {"machineCount": count, "readyMachineCount": ready}
    conditions = [condition(kind, value) for kind, value in kinds.items()]
    return {"metadata": {"name": name}, "status": {**status, "conditions": conditions}}


def service(name: str, namespace: str, phase: str = "Succeeded") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "status": {"phase": phase}}


def node(
    *addresses: str,
    name: str = "n",
    cpus: str = "16",
    labels: dict[str, str] | None = None,
    conditions: tuple[dict[str, str], ...] = (condition("Ready"),),
) -> dict[str, Any]:
    roles = {f"node-role.kubernetes.io/{role}": "" for role in ROLES}
    found = [{"type": "InternalIP", "address": one} for one in addresses or ("192.0.2.10",)]
    return {
        "metadata": {"name": name, "labels": roles if labels is None else labels},
        "status": {"conditions": list(conditions), "addresses": found, "capacity": {"cpu": cpus}},
    }


def machine_config(
    what: str | None = PARTITION, fips: bool = False, labels: tuple[str, ...] = (), arguments: tuple[str, ...] = ()
) -> dict[str, Any]:
    unit = {"name": "var-lib-containers.mount", "enabled": True, "contents": f"[Mount]\nWhat={what}\n"}
    disks = [{"device": "/dev/x", "partitions": [{"label": label} for label in labels]}]
    config = {"systemd": {"units": [unit] if what else []}, "storage": {"disks": disks if labels else []}}
    return {"spec": {"fips": fips, "config": config, "kernelArguments": list(arguments)}}


def bundle(text: str = "-----BEGIN CERTIFICATE-----") -> Reading:
    return some({"data": {"ca-bundle.crt": text}})


def proxy(trusted: str = "", **spec: str) -> Reading:
    return some({"spec": {**spec, "trustedCA": {"name": trusted}}})


def profile(reserved: str = "0-1", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"cpu": {"reserved": reserved, "isolated": "2-15"}, **spec}}


DPA: dict[str, Any] = {
    "metadata": {"name": "dpa", "namespace": "openshift-adp"},
    "spec": {"backupLocations": [{"velero": {"credential": {"name": "cloud"}}}]},
    "status": {"conditions": [condition("Reconciled")]},
}
BSL: dict[str, Any] = {"metadata": {"name": "dpa-1"}, "status": {"phase": "Available"}}
OADP = service("oadp-operator.v1.4.1", "openshift-adp")
LCA = service("lifecycle-agent.v4.17.0", "openshift-lifecycle-agent")
LVMS = service("lvms-operator.v4.16.3", "openshift-storage")
LSO = service("local-storage-operator.v4.16.0", "openshift-local-storage")

HEALTHY = HealthFacts(
    operators=some(operator("dns"), operator("etcd")),
    pools=some(pool("master", 1, 1), pool("worker", 0, 0)),
    nodes=some(node()),
    infrastructure=some({"status": {"infrastructureTopology": "SingleReplica"}}),
    sriov=Reading(served=False),
    protections=some(DPA),
    locations=some(BSL),
    services=some(LCA, OADP),
    requests=some(),
)
TARGET = TargetFacts(
    proxy=proxy(),
    user_ca=Reading(served=False),
    machine_config=some(machine_config()),
    cluster_config=some({}),
    machine_networks=("192.0.2.0/24",),
    profiles=Reading(served=False),
    ip_config=some({"spec": {"stage": "Idle"}, "status": {"conditions": [condition("Idle")]}}),
    mirrors=some(),
    all_machine_configs=some(),
    machine_configs={"99-chrony": "a"},
)
LABELS = SeedFacts(
    version="4.17.3",
    format_version="4",
    has_proxy=False,
    has_fips=False,
    has_user_ca_bundle=False,
    proxy_configmap_name="",
    container_storage_mountpoint=PARTITION,
    node_ips=("192.0.2.200",),
    machine_networks=("192.0.2.0/24",),
    mirror_registry_configured=False,
)
FULL = dataclasses.replace(
    LABELS,
    cpus=16,
    machine_configs={"99-chrony": "a"},
    operators={"lifecycle-agent": "4.17.0", "oadp-operator": "1.4.1"},
    kernel_arguments=(),
    cgroup_version="v2",
)
BEFORE_PREP = Scope(prep=True, gates=True, blocks=True)
CAREFUL = Policy()
IDLE = Observed(State.IDLE, version="4.16.8", valid_next=("Prep",), now=NOW)


def judge(
    goal: Goal = PREP,
    *,
    health: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
    seed: dict[str, Any] | None = None,
    facts: SeedFacts = FULL,
    observed: Observed = IDLE,
    scope: Scope = BEFORE_PREP,
    policy: Policy = CAREFUL,
    why: str = "",
    **more: Any,
) -> list[Finding]:
    """What preflight says of the healthy cluster with these changes."""
    survey = Survey(
        cluster="a",
        url="https://a",
        credential="certificate",
        observed=observed,
        agent=some({"status": {"availableReplicas": 1}}),
        scope=scope,
        health=dataclasses.replace(HEALTHY, **(health or {})),
        target=dataclasses.replace(TARGET, **(target or {})),
        seed=Seed(dataclasses.replace(facts, **(seed or {})), why),
        **more,
    )
    findings = survey_findings(survey, (goal,), policy)
    assert all(one.cluster == "a" and one.cause and one.remedy and one.check for one in findings)
    return findings


def problems(*arguments: Any, **more: Any) -> list[tuple[str, str, str]]:
    """Severity, check and cause of what is wrong; what was not checked is left out."""
    return [
        (one.severity.value, one.check, one.cause)
        for one in judge(*arguments, **more)
        if one.severity is not Severity.NOT_CHECKED
    ]


def unknown(*arguments: Any, **more: Any) -> dict[str, str]:
    """What was not checked, by check."""
    return {one.check: one.cause for one in judge(*arguments, **more) if one.severity is Severity.NOT_CHECKED}
