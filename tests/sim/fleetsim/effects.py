# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trouble does to the objects and to the HTTP server of a cluster, and how it is taken back.

Troubles of the agent and the machine are not here: those look for them themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fleetsim import ibu, leftovers, lvms
from fleetsim.faults import HttpError
from fleetsim.objectstore import CLUSTER_ID
from fleetsim.populate import DEPLOYMENT, claim, condition, deployment, operator_status, volume
from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE, Object
from fleetsim.rbac import Rule
from fleetsim.resources import IBU
from fleetsim.verbs import remove_api

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

Params = dict[str, Any]

_OPERATORS = "clusteroperators.config.openshift.io"
_CSRS = "certificatesigningrequests.certificates.k8s.io"
_NETWORK = ("no_answer", "refused_from_start")


def _edit(cluster: Cluster, table: str, name: str, change: Callable[[Object], None], namespace: str = "") -> None:
    """Change an object from outside the API's rules; nothing where it is not."""
    verbs = cluster.verbs()
    if verbs.store.get(table, (namespace, name)) is None:
        return

    def apply(obj: Object) -> Object:
        change(obj)
        return obj

    res = cluster.world.registry.table(table)
    verbs.update(res, namespace, name, apply, subresource="status" if res.status else "", trusted=True)


def _create(cluster: Cluster, table: str, obj: Object) -> None:
    meta = obj["metadata"]
    verbs = cluster.verbs()
    if verbs.store.get(table, (meta.get("namespace", ""), meta["name"])) is None:
        verbs.create(cluster.world.registry.table(table), meta.get("namespace", ""), obj, trusted=True)


def _set_condition(obj: Object, kind: str, value: bool) -> None:
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    kept = [c for c in conditions if c["type"] != kind]
    obj["status"]["conditions"] = [*kept, condition(kind, value, "Simulated")]


def _operator(cluster: Cluster, name: str, healthy: bool) -> None:
    _edit(cluster, _OPERATORS, name, lambda o: o["status"].update(operator_status(healthy)))


def _health(cluster: Cluster, params: Params, healthy: bool) -> None:
    """Make one of the health checks fail, or pass again."""
    check, name = params["check"], params["name"]
    if check == "csr":
        name = name or "csr-7xk2p"
        spec = {"signerName": "kubernetes.io/kubelet-serving", "username": f"system:node:{cluster.name}", "request": ""}
        if not healthy:
            _create(cluster, _CSRS, {"metadata": {"name": name}, "spec": spec, "status": {}})
        else:
            cluster.verbs().store.remove(_CSRS, ("", name))
    elif check == "clusteroperator":
        _operator(cluster, name or "authentication", healthy)
    elif check == "mcp":
        table = "machineconfigpools.machineconfiguration.openshift.io"
        _edit(cluster, table, name or "master", lambda o: o["status"].update(readyMachineCount=int(healthy)))
    elif check == "node":
        _edit(cluster, "nodes", name or cluster.name, lambda o: _set_condition(o, "Ready", healthy))
    elif check == "dpa":
        table = "dataprotectionapplications.oadp.openshift.io"
        _edit(cluster, table, name or "dpa", lambda o: _set_condition(o, "Reconciled", healthy), OADP_NAMESPACE)
    elif check == "bsl":
        phase = "Available" if healthy else "Unavailable"
        table = "backupstoragelocations.velero.io"
        _edit(cluster, table, name or "dpa-1", lambda o: o["status"].update(phase=phase), OADP_NAMESPACE)
    elif check == "csv":
        phase = "Succeeded" if healthy else "Installing"
        table = "clusterserviceversions.operators.coreos.com"
        _edit(cluster, table, name or "oadp-operator.v1.4.1", lambda o: o["status"].update(phase=phase), OADP_NAMESPACE)
    else:
        raise ValueError(f"health_blocked: unknown check {check}")


def _http(cluster: Cluster, params: Params) -> None:
    count, share = params["count"], params["share"]
    cluster.endpoint.faults.errors["http_error"] = HttpError(
        code=int(params["code"]),
        count=None if count is None else int(count),
        share=None if share is None else float(share),
        verbs=tuple(params["verbs"]),
        resource=str(params["resource"]),
        rng=random.Random(f"{cluster.name}/http"),
    )


def _inputs(cluster: Cluster, present: bool, name: str | None = None, secret: bool = False) -> None:
    goal, store = cluster.plan.goal, cluster.verbs().store
    if present:
        refs = [("oadp", r["namespace"], r["name"]) for r in goal.oadp_content]
        refs += [("extra", r["namespace"], r["name"]) for r in goal.extra_manifests]
        cluster.world.populator.inputs(store, goal.pull_secret, refs)
    elif secret and goal.pull_secret:
        store.remove("secrets", (LCA_NAMESPACE, goal.pull_secret))
    elif not secret:
        for ref in (*goal.oadp_content, *goal.extra_manifests):
            if name in (None, ref["name"]):
                store.remove("configmaps", (ref["namespace"], ref["name"]))


def _lca(cluster: Cluster, ready: bool) -> None:
    status = deployment(ready)["status"]
    _edit(cluster, "deployments.apps", DEPLOYMENT, lambda o: o.update(status=status), LCA_NAMESPACE)


def _no_lca(cluster: Cluster) -> None:
    store = cluster.verbs().store
    store.remove("deployments.apps", (LCA_NAMESPACE, DEPLOYMENT))
    store.remove("clusterserviceversions.operators.coreos.com", (LCA_NAMESPACE, "lifecycle-agent.v4.17.0"))
    remove_api(cluster.verbs(), IBU)
    cluster.endpoint.absent.add(IBU)


def _failed_restore(cluster: Cluster, params: Params) -> None:
    labels = {CLUSTER_ID: cluster.cluster_id}
    obj: Object = {
        "metadata": {"name": params["name"], "namespace": OADP_NAMESPACE, "labels": labels},
        "spec": {"backupName": params["name"]},
        "status": {"phase": params["phase"], "errors": 1},
    }
    store = cluster.verbs().store
    if store.get("restores.velero.io", (OADP_NAMESPACE, params["name"])):
        _edit(cluster, "restores.velero.io", params["name"], lambda o: o.update(status=obj["status"]), OADP_NAMESPACE)
    else:
        _create(cluster, "restores.velero.io", obj)


def _unbound(cluster: Cluster, params: Params, phase: str) -> None:
    name = params["name"]
    _create(cluster, "persistentvolumes", volume(name))
    _create(cluster, "persistentvolumeclaims", claim("app-data", name))
    _edit(cluster, "persistentvolumes", name, lambda o: o["status"].update(phase=phase))
    waiting = "Bound" if phase == "Bound" else "Pending"
    _edit(cluster, "persistentvolumeclaims", "app-data", lambda o: o["status"].update(phase=waiting), "app")


def _version(cluster: Cluster, version: str) -> None:
    def change(obj: Object) -> None:
        obj["status"]["desired"]["version"] = version
        obj["status"]["history"][0]["version"] = version

    _edit(cluster, "clusterversions.config.openshift.io", "version", change)


def at_start(cluster: Cluster) -> None:
    """Before the port opens for the first time: what is wrong from the beginning, without history."""
    for name in list(cluster.troubles):
        _objects(cluster, name, cluster.troubles.get(name) or {})
    cluster.verbs().store.compact()


def at_pivot(cluster: Cluster) -> None:
    """The seed's etcd has just come up."""
    troubles = cluster.troubles
    if params := troubles.get("version_wrong_after_upgrade"):
        _version(cluster, str(params["version"]))
    if params := troubles.get("pv_unbound_after_upgrade"):
        _unbound(cluster, params, "Released")
    if params := troubles.get("init_monitor_timeout"):
        _operator(cluster, str(params["operator"]), False)
    if params := troubles.get("health_blocked"):
        _health(cluster, params, False)
    for name in ("location_unavailable", "bucket_lost"):
        if params := troubles.get(name):
            leftovers.begin(cluster, name, params)


def at_moment(cluster: Cluster, moment: str) -> None:
    """Prep has just begun, or the upgrade has just completed."""
    late = cluster.troubles.get("health_blocked")
    if moment == "prep" and late and late["when"] == "prep":
        _health(cluster, late, False)
    if moment != "completed":
        return
    if params := cluster.troubles.get("unhealthy_after_upgrade"):
        _operator(cluster, str(params["operator"]), False)
    if params := cluster.troubles.get("restore_failed_object"):
        _failed_restore(cluster, params)
    if params := cluster.troubles.get(lvms.TROUBLE):
        lvms.place(cluster, params)


def _in_seed(cluster: Cluster) -> bool:
    return cluster.machine.booted != "rhcos"


def _objects(cluster: Cluster, name: str, params: Params) -> None:
    """The troubles that change objects or answers at once."""
    faults = cluster.endpoint.faults
    if leftovers.begin(cluster, name, params):
        return
    if name == "health_blocked":
        if params["when"] == "start":
            _health(cluster, params, False)
    elif name == "http_error":
        _http(cluster, params)
    elif name == "slow_answers":
        faults.latency = float(params["seconds"])
    elif name == "lost_watch":
        faults.watch_limit, faults.watch_silent = int(params["after"]), bool(params["silent"])
        faults.watch_times = params["times"]
    elif name == "lca_missing":
        _no_lca(cluster)
    elif name == "lca_not_ready":
        _lca(cluster, False)
    elif name == "no_crd" and params["when"] == "start":
        remove_api(cluster.verbs(), IBU)
        cluster.endpoint.absent.add(IBU)
    elif name == "no_cr" and params["when"] == "start":
        cluster.verbs().store.remove(IBU, ("", ibu.NAME))
    elif name == "configmap_missing":
        _inputs(cluster, False, params["name"])
    elif name == "secret_missing":
        _inputs(cluster, False, secret=True)
    elif _in_seed(cluster):
        _late(cluster, name, params)


def _late(cluster: Cluster, name: str, params: Params) -> None:
    """Troubles of an upgraded cluster, for one that is upgraded already."""
    if name == "version_wrong_after_upgrade":
        _version(cluster, str(params["version"]))
    elif name == "pv_unbound_after_upgrade":
        _unbound(cluster, params, "Released")
    elif name == "init_monitor_timeout":
        _operator(cluster, str(params["operator"]), False)
    elif cluster.machine.phase == "Upgrade completed" or cluster.plan.initial == "UpgradeCompleted":
        at_moment(cluster, "completed")


async def begin(cluster: Cluster, name: str, params: Params) -> None:
    """Injected at run time."""
    if name in _NETWORK or (name == "tls_changed" and params["when"] == "start"):
        await cluster.relisten()
    elif name == "no_permission":
        cluster.endpoint.rbac.denied.append(Rule((params["verb"],), (params["group"],), (params["resource"],)))
    else:
        _objects(cluster, name, params)


async def end(cluster: Cluster, name: str, params: Params) -> None:
    """Healed at run time."""
    faults = cluster.endpoint.faults
    if name in _NETWORK or name == "tls_changed":
        await cluster.relisten()
    elif name == "no_permission":
        cluster.endpoint.rbac.denied.clear()
    elif name == "health_blocked":
        _health(cluster, params, True)
    elif name == "http_error":
        faults.errors.pop(name, None)
    elif name == "slow_answers":
        faults.latency = 0.0
    elif name == "lost_watch":
        faults.watch_limit = None
    elif name in ("unhealthy_after_upgrade", "init_monitor_timeout"):
        _operator(cluster, str(params["operator"]), True)
    elif name in ("configmap_missing", "secret_missing"):
        _inputs(cluster, True)
    elif name == "lca_not_ready":
        _lca(cluster, True)
    elif name in ("no_crd", "lca_missing"):
        cluster.endpoint.absent.discard(IBU)
        _create(cluster, "deployments.apps", deployment(True))
    elif name == "pv_unbound_after_upgrade":
        _unbound(cluster, params, "Bound")
    elif name == "version_wrong_after_upgrade" and _in_seed(cluster):
        _version(cluster, cluster.machine.root.version)
    elif name == "restore_failed_object":
        cluster.verbs().store.remove("restores.velero.io", (OADP_NAMESPACE, params["name"]))
    else:
        leftovers.end(cluster, name)
