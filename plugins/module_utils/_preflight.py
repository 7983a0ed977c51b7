# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Preflight: what a survey of one cluster means for the actions to come. Values in, findings out; no I/O, no clock."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _version
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_access import (
    check_credential,
    check_kubelet_certificates,
    check_rollback_time,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_components import check_components, check_hub
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_network import check_network
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_platform import check_platform
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import check_seed
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Judge, Permission, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._health import closed_gates
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide, init_monitor_seconds, resume
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Fail,
    Goal,
    Observed,
    Patch,
    State,
    Wait,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._certificate import Certificate
    from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HealthFacts, HubFacts, TargetFacts

__all__ = (
    "ACCEPTABLE",
    "Finding",
    "Permission",
    "Policy",
    "Scope",
    "Severity",
    "Survey",
    "accepted",
    "option_findings",
    "permissions_needed",
    "references",
    "scope_of",
    "shared_servers",
    "survey_findings",
)

_IMAGE = re.compile(r"([a-z0-9]+://)?\S+")

# Time that the way back takes after the watchdog has fired.
_WAY_BACK_SECONDS = 900

# Checks that judge by what is usual: the user may know better. What the run itself would stumble over is not here.
ACCEPTABLE = (
    "container-storage",
    "cpus",
    "disk",
    "extra-manifests",
    "fips",
    "health-csr",
    "health-node",
    "health-oadp",
    "health-operators",
    "health-pools",
    "health-services",
    "health-sriov",
    "hub-components",
    "ip-family",
    "machine-networks",
    "node-count",
    "oadp",
    "oadp-content",
    "policies",
    "proxy",
    "seed-format",
    "seed-image",
    "seed-version",
    "storage-operators",
    "trust-bundle",
)

# In the middle of a reboot the agent may not have started yet: the run waits for it.
_STARTING = frozenset({State.UPGRADE_POST_PIVOT, State.ROLLBACK_RUNNING})
# Here the agent is past its gates, or reports them itself.
_MOVING = frozenset({*_STARTING, State.UPGRADE_PRE_PIVOT})
_GATED = frozenset({Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE, Action.FINALIZE_ROLLBACK})
_LCA_NAMESPACE = "openshift-lifecycle-agent"
_PULL_SECRET_KEY = ".dockerconfigjson"  # noqa: S105


@dataclass(frozen=True)
class Scope:
    """What is worth asking a cluster, from where it stands.

    ``prep``: everything that Prep depends on. ``gates``: the health gates. ``blocks``: a gate that is closed for good
    keeps the next action from beginning; otherwise that is under way already, or is none of those that wait for it.
    """

    prep: bool = False
    gates: bool = False
    blocks: bool = False


@dataclass(frozen=True)
class Survey:
    """What was read from one cluster. What its scope does not ask for is None.

    ``references``: the objects that Prep refers to, as ``Kind namespace/name``.
    """

    cluster: str
    url: str
    credential: str
    observed: Observed
    agent: Reading
    scope: Scope = Scope()
    denied: tuple[Permission, ...] = ()
    references: t.Mapping[str, Reading] = field(default_factory=dict)
    health: HealthFacts | None = None
    target: TargetFacts | None = None
    seed: Seed | None = None
    certificate: Certificate | None = None
    hub: HubFacts | None = None
    hub_problem: str | None = None
    managed_cluster: str = ""


@dataclass(frozen=True)
class Policy:
    """What the user accepts, and the deadlines that the actions will get (seconds).

    ``accept``: checks whose findings only warn. ``through_hub``: the hub carries the actions out.
    """

    accept_token: bool = False
    timeouts: t.Mapping[Action, float] = field(default_factory=dict)
    accept: frozenset[str] = frozenset()
    through_hub: bool = False


_IBU = ("lca.openshift.io", "imagebasedupgrades")
_HEALTH = (
    Permission("list", "config.openshift.io", "clusteroperators"),
    Permission("list", "", "nodes"),
    Permission("list", "", "persistentvolumes"),
    Permission("list", "velero.io", "restores", "openshift-adp"),
)


def permissions_needed(goals: t.Iterable[Goal]) -> tuple[Permission, ...]:
    """Every call that carrying out these goals will make on the cluster. What preflight alone reads is not here."""
    needed = [Permission(verb, *_IBU) for verb in ("get", "list", "watch", "patch")]
    needed.append(Permission("get", "config.openshift.io", "clusterversions"))
    if any(goal.action in (Action.UPGRADE, Action.FINALIZE_UPGRADE) for goal in goals):
        needed.extend(_HEALTH)
    return tuple(needed)


def references(goals: t.Iterable[Goal]) -> tuple[tuple[str, str, str], ...]:
    """The objects that Prep refers to: kind, namespace, name."""
    found: dict[tuple[str, str, str], None] = {}
    for goal in goals:
        if goal.action is Action.PREP:
            for namespace, name in (*(goal.oadp_content or ()), *(goal.extra_manifests or ())):
                found["ConfigMap", namespace, name] = None
            if goal.seed and goal.seed.pull_secret:
                found["Secret", _LCA_NAMESPACE, goal.seed.pull_secret] = None
    return tuple(found)


def scope_of(observed: Observed, goals: t.Sequence[Goal]) -> Scope:
    """What to ask of a cluster in this state before these goals."""
    index = resume(observed, goals)
    if index == len(goals):
        return Scope()
    goal, decision = goals[index], decide(observed, goals[index])
    if goal.action not in _GATED or observed.state in _MOVING or not isinstance(decision, (Patch, Wait)):
        return Scope()
    begins = isinstance(decision, Patch)
    return Scope(
        prep=begins and goal.action is Action.PREP,
        gates=True,
        blocks=begins and goal.action in (Action.PREP, Action.UPGRADE),
    )


# --- the inputs ---------------------------------------------------------------------------------------------------


def option_findings(cluster: str, goals: t.Sequence[Goal], policy: Policy) -> list[Finding]:
    """What is wrong with the inputs themselves, before anything is asked of the cluster."""
    judge = Judge(cluster)
    for goal in goals:
        if goal.action is Action.PREP and goal.seed is None:
            judge.blocked(
                "options", "ibu_seed_image_ref is not set", "give version and image of the seed image to upgrade to"
            )
    seed = next((goal.seed for goal in goals if goal.seed), None)
    if seed and not _version.is_valid(seed.version):
        judge.blocked(
            "options",
            f"ibu_seed_image_ref.version {seed.version!r} is no version",
            "give it as X.Y.Z or X.Y.Z-pre.release",
        )
    if seed and not _IMAGE.fullmatch(seed.image):
        judge.blocked(
            "options",
            f"ibu_seed_image_ref.image {seed.image!r} is no image reference",
            "give REGISTRY/PATH:TAG without blanks",
        )
    _deadlines(judge, goals, policy)
    return judge.findings()


def _deadlines(judge: Judge, goals: t.Sequence[Goal], policy: Policy) -> None:
    timeout = policy.timeouts.get(Action.UPGRADE)
    if timeout is None or not any(goal.action is Action.UPGRADE for goal in goals):
        return
    chosen = next((goal.init_monitor_timeout for goal in goals if goal.init_monitor_timeout is not None), 0)
    watchdog = init_monitor_seconds({"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": chosen}})
    if timeout < watchdog + _WAY_BACK_SECONDS:
        judge.warned(
            "timeouts",
            f"the timeout of Upgrade ({timeout:.0f} s) ends before an automatic rollback would show "
            f"(watchdog {watchdog} s, then about {_WAY_BACK_SECONDS} s for the way back)",
            f"give Upgrade at least {watchdog + _WAY_BACK_SECONDS} s, or read a timeout as 'still undecided'",
        )


# --- the cluster --------------------------------------------------------------------------------------------------


def survey_findings(survey: Survey, goals: t.Sequence[Goal], policy: Policy) -> list[Finding]:
    """What the survey of a cluster that answered says about the actions to come."""
    judge = Judge(survey.cluster)
    _agent(judge, survey)
    _state(judge, survey, goals)
    check_credential(
        judge,
        survey.credential,
        survey.certificate,
        goals,
        survey.observed.now,
        policy.timeouts,
        accept_token=policy.accept_token,
    )
    check_rollback_time(judge, survey.observed, goals)
    if survey.denied:
        calls = "; ".join(str(permission) for permission in survey.denied)
        judge.blocked("permissions", f"this identity may not: {calls}", "grant it, or use the admin client certificate")
    _references(judge, survey)
    _gates(judge, survey)
    _before_prep(judge, survey, goals)
    _hub(judge, survey, goals, policy)
    _unread(judge, survey)
    return accepted(judge.findings(), policy)


def accepted(findings: t.Iterable[Finding], policy: Policy) -> list[Finding]:
    """The findings, with those that the user accepts turned into warnings."""
    return [_accepted(finding, policy) for finding in findings]


def _accepted(finding: Finding, policy: Policy) -> Finding:
    if finding.severity is Severity.BLOCKED and finding.check in policy.accept:
        remedy = f"accepted by ibu_accept_findings; otherwise: {finding.remedy}"
        return dataclasses.replace(finding, severity=Severity.WARNED, remedy=remedy)
    return finding


def _agent(judge: Judge, survey: Survey) -> None:
    if survey.observed.state in _STARTING or not survey.agent.known:
        return
    if not survey.agent.items:
        cause, remedy = "the Lifecycle Agent is not installed", "install the Lifecycle Agent operator"
    elif not survey.agent.status().get("availableReplicas"):
        cause, remedy = (
            "the Lifecycle Agent is not ready",
            "look at its pod in namespace openshift-lifecycle-agent (docs/runbooks/not-taken-up)",
        )
    else:
        return
    source = "Deployment lifecycle-agent-controller-manager in openshift-lifecycle-agent"
    judge.blocked("agent", cause, remedy, source=source)


def _state(judge: Judge, survey: Survey, goals: t.Sequence[Goal]) -> None:
    index = resume(survey.observed, goals)
    if index == len(goals):
        return
    decision = decide(survey.observed, goals[index])
    if isinstance(decision, Fail):
        judge.blocked(
            "state",
            decision.message,
            pointed(decision.next_step.replace("{cluster}", survey.cluster), survey.observed.state, decision.message),
            source="ImageBasedUpgrade upgrade, ClusterVersion version",
        )


def _references(judge: Judge, survey: Survey) -> None:
    for name, reading in survey.references.items():
        if not reading.known:
            continue
        if not reading.items:
            judge.blocked("references", f"{name} does not exist on the cluster", "create it before Prep", source=name)
        elif name.startswith("Secret ") and _PULL_SECRET_KEY not in (reading.one.get("data") or {}):
            judge.blocked(
                "references",
                f"did not find key {_PULL_SECRET_KEY} in {name}",
                "make it as type kubernetes.io/dockerconfigjson (docs/runbooks/prep-registry)",
                seen=sorted(reading.one.get("data") or {}) or "no keys",
                expected=_PULL_SECRET_KEY,
                source=name,
            )


def _gates(judge: Judge, survey: Survey) -> None:
    if survey.health is None or not survey.scope.gates:
        return
    for gate in closed_gates(survey.health):
        say = judge.blocked if survey.scope.blocks and not gate.passes else judge.warned
        say(gate.check, gate.cause, gate.remedy, seen=gate.seen or gate.message, source=gate.source)


def _before_prep(judge: Judge, survey: Survey, goals: t.Sequence[Goal]) -> None:
    target, health, observed, seed = survey.target, survey.health, survey.observed, survey.seed
    goal = next((goal for goal in goals if goal.action is Action.PREP), None)
    if target is None or health is None or goal is None or seed is None:
        return
    check_seed(judge, seed, goal.seed)
    check_components(judge, seed, health, needs_oadp=needs_oadp(observed, goal))
    check_network(judge, seed, target, health)
    annotations = {**observed.annotations, **goal.annotations}
    check_platform(judge, seed, target, health, annotations, observed.version)
    judge.on_node_only("free space below /var/lib/containers")
    if not check_kubelet_certificates(judge, health.requests, observed.now):
        judge.on_node_only("the end of the kubelet's certificates")
    judge.on_node_only("host name and disks")


def needs_oadp(observed: Observed, goal: Goal) -> bool:
    """Whether Prep will be given content for OADP: by the goal, or by what the object holds already."""
    if goal.oadp_content is not None:
        return bool(goal.oadp_content)
    return bool(observed.spec.get("oadpContent"))


def _hub(judge: Judge, survey: Survey, goals: t.Sequence[Goal], policy: Policy) -> None:
    if survey.hub_problem:
        judge.blocked("hub", survey.hub_problem, "mend the hub connection (ibu_hub_*), or leave it out")
    elif survey.hub is not None:
        target = next((goal.seed.version for goal in goals if goal.seed), None)
        check_hub(judge, survey.hub, survey.managed_cluster, target, through_hub=policy.through_hub)


def _unread(judge: Judge, survey: Survey) -> None:
    """What this identity may not read is not checked; carrying the actions out does not need it."""
    readings = {"the Lifecycle Agent": survey.agent, **survey.references}
    readings |= survey.health.readings() if survey.health else {}
    readings |= survey.target.readings() if survey.target else {}
    for what, reading in readings.items():
        if reading.denied:
            judge.unknown(
                f"{what} ({reading.denied})",
                "this identity may not read them",
                "grant it (docs/rbac), or use the admin client certificate",
                check="permissions-to-check",
            )


def shared_servers(urls: t.Mapping[str, str]) -> list[Finding]:
    """Hosts that lead to one and the same API server: driving it twice would be two hands on one wheel."""
    return _shared(urls, "have the same API server {}")


def shared_clusters(uids: t.Mapping[str, str | None]) -> list[Finding]:
    """The same, of one cluster under two addresses. None: a host that has shown no ImageBasedUpgrade."""
    known = {cluster: uid for cluster, uid in uids.items() if uid}
    return _shared(known, "lead to one and the same cluster: their ImageBasedUpgrade has the uid {}")


def _shared(marks: t.Mapping[str, str], says: str) -> list[Finding]:
    """A finding for every host that has its mark in common with another."""
    by_mark: dict[str, list[str]] = {}
    for cluster, mark in marks.items():
        by_mark.setdefault(mark, []).append(cluster)
    return [
        Finding(
            Severity.BLOCKED,
            cluster,
            "inventory",
            f"{' and '.join(clusters)} {says.format(mark)}",
            "give every cluster its own ibu_kubeconfig, or remove the duplicate host",
        )
        for mark, clusters in by_mark.items()
        if len(clusters) > 1
        for cluster in clusters
    ]
