# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Reading from one cluster what preflight judges. All I/O of preflight, and none of its judgement."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import MANAGED_CLUSTERS
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    Permission,
    Survey,
    permissions_needed,
    references,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    NotThere,
    Observed,
    Patch,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_AGENT = "/apis/apps/v1/namespaces/openshift-lifecycle-agent/deployments/lifecycle-agent-controller-manager"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_READS = ("get", "list", "watch")
_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}


def survey(
    name: str,
    session: Session,
    observed: Observed,
    goals: t.Sequence[Goal],
    open_hub: t.Callable[[], Session] | None,
    managed_cluster: str,
    *,
    through_hub: bool = False,
) -> Survey:
    """Ask a cluster that has answered its first read for everything else. Sends nothing that changes anything.

    ``through_hub``: the hub will write to the cluster and copy what it needs there, so this identity only reads.
    """
    denied = _denied(session, goals, through_hub=through_hub)
    return Survey(
        cluster=name,
        url=session.url,
        credential=session.credential,
        observed=observed,
        agent_ready=_agent_ready(session),
        denied=denied,
        # Prep alone needs them, and a cluster that is past it may not have them any more: a fresh stateroot holds none.
        missing_refs=_missing(
            session,
            [
                _without_copies(goal) if through_hub else goal
                for goal in goals
                if isinstance(decide(observed, goal), Patch)
            ],
            denied,
        ),
        hub_problem=_hub_problem(open_hub, managed_cluster, goals),
    )


def _without_copies(goal: Goal) -> Goal:
    """The goal without what the hub copies to the cluster itself; extra manifests it does not."""
    seed = dataclasses.replace(goal.seed, pull_secret=None) if goal.seed else None
    return dataclasses.replace(goal, seed=seed, oadp_content=None)


def _denied(session: Session, goals: t.Sequence[Goal], *, through_hub: bool) -> tuple[Permission, ...]:
    # The usual identity may do everything: one question instead of a dozen.
    if _may(session, Permission("*", "*", "*")):
        return ()
    needed = [p for p in permissions_needed(goals) if p.verb in _READS or not through_hub]
    return tuple(permission for permission in needed if not _may(session, permission))


def _may(session: Session, permission: Permission) -> bool:
    attributes = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "namespace": permission.namespace,
        "name": permission.name,
    }
    review = session.create(
        _REVIEWS,
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        },
    )
    return bool((review.document.get("status") or {}).get("allowed"))


def _agent_ready(session: Session) -> bool | None:
    try:
        status = session.get(_AGENT).document.get("status") or {}
    except NotThere:
        return None
    return bool(status.get("availableReplicas"))


def _missing(session: Session, goals: t.Sequence[Goal], denied: t.Collection[Permission]) -> tuple[str, ...]:
    missing = []
    for kind, namespace, name in references(goals):
        resource = _PLURALS[kind]
        if Permission("get", "", resource, namespace, name) in denied:
            continue
        try:
            session.get(f"/api/v1/namespaces/{namespace}/{resource}/{name}")
        except NotThere:
            missing.append(f"{kind} {namespace}/{name}")
    return tuple(missing)


def _hub_problem(open_hub: t.Callable[[], Session] | None, managed_cluster: str, goals: t.Sequence[Goal]) -> str | None:
    held_or_let_go = (Action.UPGRADE, Action.ABORT, Action.ABORT_ON_FAILURE)
    if open_hub is None or not any(goal.action in held_or_let_go for goal in goals):
        return None
    try:
        hub = open_hub()
    except IbuError as error:
        return str(error)
    try:
        hub.get(f"{MANAGED_CLUSTERS}/{managed_cluster}")
        permission = Permission("patch", "cluster.open-cluster-management.io", "managedclusters", name=managed_cluster)
        return None if _may(hub, permission) else f"the hub identity may not {permission}"
    except NotThere:
        return f"the hub {hub.url} has no ManagedCluster {managed_cluster!r} (ibu_managed_cluster)"
    except IbuError as error:
        return f"the hub does not answer: {error}"
    finally:
        hub.close()
