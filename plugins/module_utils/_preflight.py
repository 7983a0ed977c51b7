# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Preflight: what a survey of one cluster means for the actions to come. Values in, findings out; no I/O, no clock."""

from __future__ import annotations

import enum
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _version
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide, init_monitor_seconds, resume
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Fail, Goal, Observed, State

_IMAGE = re.compile(r"([a-z0-9]+://)?\S+")

# Time that the way back takes after the watchdog has fired.
_WAY_BACK_SECONDS = 900


class Severity(str, enum.Enum):
    """How much a finding matters. BLOCKED: the actions cannot succeed. NO_ANSWER: nothing could be learned.

    NOT_CHECKED: one thing could not be known; it keeps no cluster from going on.
    """

    BLOCKED = "blocked"
    WARNED = "warned"
    NO_ANSWER = "no_answer"
    NOT_CHECKED = "not_checked"

    @property
    def excludes(self) -> bool:
        """Whether a cluster with such a finding cannot be used."""
        return self in (Severity.BLOCKED, Severity.NO_ANSWER)


@dataclass(frozen=True)
class Finding:
    """One problem of one cluster. Clusters with the same ``cause`` and ``remedy`` are shown together.

    What differs from cluster to cluster therefore belongs into ``seen``, never into ``cause``.
    ``source`` names the object and field that was read.
    """

    severity: Severity
    cluster: str
    check: str
    cause: str
    remedy: str
    seen: str = ""
    expected: str = ""
    source: str = ""


# In the middle of a reboot the agent may not have started yet: the run waits for it.
_STARTING = frozenset({State.UPGRADE_POST_PIVOT, State.ROLLBACK_RUNNING})


@dataclass(frozen=True)
class Permission:
    """One call that the actions will make, as SelfSubjectAccessReview asks for it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{place}"


@dataclass(frozen=True)
class Survey:
    """What was read from one cluster. ``None`` for the agent: its Deployment is not there."""

    cluster: str
    url: str
    credential: str
    observed: Observed
    agent_ready: bool | None
    denied: tuple[Permission, ...] = ()
    missing_refs: tuple[str, ...] = ()
    hub_problem: str | None = None


@dataclass(frozen=True)
class Policy:
    """What the user accepts, and the deadlines that the actions will get (seconds)."""

    accept_token: bool = False
    timeouts: t.Mapping[Action, float] = field(default_factory=dict)


_IBU = ("lca.openshift.io", "imagebasedupgrades")
_HEALTH = (
    Permission("list", "config.openshift.io", "clusteroperators"),
    Permission("list", "", "nodes"),
    Permission("list", "", "persistentvolumes"),
    Permission("list", "velero.io", "restores", "openshift-adp"),
)


def permissions_needed(goals: t.Iterable[Goal]) -> tuple[Permission, ...]:
    """Every call that these goals will make on the cluster."""
    goals = tuple(goals)
    needed = [Permission(verb, *_IBU) for verb in ("get", "list", "watch", "patch")]
    needed.append(Permission("get", "config.openshift.io", "clusterversions"))
    needed.append(Permission("get", "apps", "deployments", "openshift-lifecycle-agent"))
    if any(goal.action in (Action.UPGRADE, Action.FINALIZE_UPGRADE) for goal in goals):
        needed.extend(_HEALTH)
    for kind, namespace, name in references(goals):
        needed.append(Permission("get", "", f"{kind.lower()}s", namespace, name))
    return tuple(needed)


def references(goals: t.Iterable[Goal]) -> tuple[tuple[str, str, str], ...]:
    """The objects that Prep refers to: kind, namespace, name."""
    found: dict[tuple[str, str, str], None] = {}
    for goal in goals:
        if goal.action is Action.PREP:
            for namespace, name in (*(goal.oadp_content or ()), *(goal.extra_manifests or ())):
                found["ConfigMap", namespace, name] = None
            if goal.seed and goal.seed.pull_secret:
                found["Secret", "openshift-lifecycle-agent", goal.seed.pull_secret] = None
    return tuple(found)


def option_findings(cluster: str, goals: t.Sequence[Goal], policy: Policy) -> list[Finding]:
    """What is wrong with the inputs themselves, before anything is asked of the cluster."""
    found: list[Finding] = []

    def block(cause: str, remedy: str) -> None:
        found.append(Finding(Severity.BLOCKED, cluster, "options", cause, remedy))

    for goal in goals:
        if goal.action is Action.PREP and goal.seed is None:
            block("ibu_seed_image_ref is not set", "give version and image of the seed image to upgrade to")
    seed = next((goal.seed for goal in goals if goal.seed), None)
    if seed and not _version.is_valid(seed.version):
        block(f"ibu_seed_image_ref.version {seed.version!r} is no version", "give it as X.Y.Z or X.Y.Z-pre.release")
    if seed and not _IMAGE.fullmatch(seed.image):
        block(f"ibu_seed_image_ref.image {seed.image!r} is no image reference", "give REGISTRY/PATH:TAG without blanks")
    found.extend(_deadline_findings(cluster, goals, policy))
    return found


def _deadline_findings(cluster: str, goals: t.Sequence[Goal], policy: Policy) -> t.Iterator[Finding]:
    timeout = policy.timeouts.get(Action.UPGRADE)
    if timeout is None or not any(goal.action is Action.UPGRADE for goal in goals):
        return
    chosen = next((goal.init_monitor_timeout for goal in goals if goal.init_monitor_timeout is not None), 0)
    watchdog = init_monitor_seconds({"autoRollbackOnFailure": {"initMonitorTimeoutSeconds": chosen}})
    if timeout < watchdog + _WAY_BACK_SECONDS:
        yield Finding(
            Severity.WARNED,
            cluster,
            "timeouts",
            f"the timeout of Upgrade ({timeout:.0f} s) ends before an automatic rollback would show "
            f"(watchdog {watchdog} s, then about {_WAY_BACK_SECONDS} s for the way back)",
            f"give Upgrade at least {watchdog + _WAY_BACK_SECONDS} s, or read a timeout as 'still undecided'",
        )


def survey_findings(survey: Survey, goals: t.Sequence[Goal], policy: Policy) -> list[Finding]:
    """What the survey of a cluster that answered says about the actions to come."""
    found = [
        *_agent(survey),
        *_state(survey, goals),
        *_credential(survey, goals, policy),
    ]

    def block(check: str, cause: str, remedy: str) -> None:
        found.append(Finding(Severity.BLOCKED, survey.cluster, check, cause, remedy))

    if survey.denied:
        calls = "; ".join(str(permission) for permission in survey.denied)
        block("permissions", f"this identity may not: {calls}", "grant it, or use the admin client certificate")
    for reference in survey.missing_refs:
        block("references", f"{reference} does not exist on the cluster", "create it before Prep")
    if survey.hub_problem:
        block("hub", survey.hub_problem, "mend the hub connection (ibu_hub_*), or leave it out")
    return found


def _agent(survey: Survey) -> t.Iterator[Finding]:
    if survey.observed.state in _STARTING:
        return
    if survey.agent_ready is None:
        cause, remedy = "the Lifecycle Agent is not installed", "install the Lifecycle Agent operator"
    elif not survey.agent_ready:
        cause, remedy = (
            "the Lifecycle Agent is not ready",
            "look at its pod in namespace openshift-lifecycle-agent (docs/runbooks/not-taken-up)",
        )
    else:
        return
    yield Finding(Severity.BLOCKED, survey.cluster, "agent", cause, remedy)


def _state(survey: Survey, goals: t.Sequence[Goal]) -> t.Iterator[Finding]:
    index = resume(survey.observed, goals)
    if index == len(goals):
        return
    decision = decide(survey.observed, goals[index])
    if isinstance(decision, Fail):
        yield Finding(
            Severity.BLOCKED,
            survey.cluster,
            "state",
            decision.message,
            pointed(decision.next_step.replace("{cluster}", survey.cluster), survey.observed.state, decision.message),
        )


def _credential(survey: Survey, goals: t.Sequence[Goal], policy: Policy) -> t.Iterator[Finding]:
    if survey.credential != "token" or not any(goal.action.reboots for goal in goals):
        return
    yield Finding(
        Severity.WARNED if policy.accept_token else Severity.BLOCKED,
        survey.cluster,
        "credential",
        "the connection uses a bearer token; it stops working at the reboot into the other release",
        "use the admin client certificate (docs: credentials), or accept it with ibu_accept_token=true",
    )


def shared_servers(urls: t.Mapping[str, str]) -> list[Finding]:
    """Hosts that lead to one and the same API server: driving it twice would be two hands on one wheel."""
    by_url: dict[str, list[str]] = {}
    for cluster, url in urls.items():
        by_url.setdefault(url, []).append(cluster)
    return [
        Finding(
            Severity.BLOCKED,
            cluster,
            "inventory",
            f"{' and '.join(clusters)} have the same API server {url}",
            "give every cluster its own ibu_kubeconfig, or remove the duplicate host",
        )
        for url, clusters in by_url.items()
        if len(clusters) > 1
        for cluster in clusters
    ]
