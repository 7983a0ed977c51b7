# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Reading from one cluster what preflight judges. All I/O of preflight, and none of its judgement.

A missing API is a fact, and so is a read that this identity may not make; everything else that goes wrong is raised.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record
from ansible_collections.sno.image_upgrade.plugins.module_utils._certificate import read_certificate
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import with_hint
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HealthFacts, Reading, TargetFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    Permission,
    Survey,
    permissions_needed,
    references,
    scope_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Unanswered

try:
    import yaml

    _YAML_LOADER: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    # Every caller reports the missing library before it opens a session.
    pass

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document, HubFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Goal, Observed

_LCA = "openshift-lifecycle-agent"
_ADP = "openshift-adp"
_CONFIG = "config.openshift.io/v1"
_MACHINES = "machineconfiguration.openshift.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_READS = ("get", "list", "watch")
_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}
# Documents of these kinds are long: no more than so many are held at a time, and only what is judged is kept.
_PAGE_OF_LONG = 20
_SERVICES = "operators.coreos.com/v1alpha1"


class Reader:
    """Reads objects of one API server. A path is ``group/version`` (or ``v1``), a namespace, a plural and a name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, api: str, plural: str, name: str, namespace: str = "") -> Reading:
        """One object."""
        try:
            return Reading((self._session.get(f"{_collection(api, plural, namespace)}/{name}").document,))
        except NotThere:
            return Reading(served=False)
        except Unanswered as error:
            return self._denied(error, Permission("get", _group(api), plural, namespace, name))

    def list(self, api: str, plural: str, namespace: str = "", **query: str | int) -> Reading:
        """All objects of a collection."""
        return self.each(api, plural, lambda item: item, namespace, page=500, **query)

    def each(
        self,
        api: str,
        plural: str,
        keep: t.Callable[[dict[str, t.Any]], dict[str, t.Any] | None],
        namespace: str = "",
        page: int = _PAGE_OF_LONG,
        **query: str | int,
    ) -> Reading:
        """What ``keep`` makes of each object of a collection; None is left out."""
        try:
            items = self._session.items(_collection(api, plural, namespace), page, **query)
            return Reading(tuple(kept for item in items if (kept := keep(item)) is not None))
        except NotThere:
            return Reading(served=False)
        except Unanswered as error:
            return self._denied(error, Permission("list", _group(api), plural, namespace))

    @staticmethod
    def _denied(error: Unanswered, permission: Permission) -> Reading:
        if error.status != 403:
            raise error
        return Reading(denied=permission)


def _collection(api: str, plural: str, namespace: str) -> str:
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def _group(api: str) -> str:
    return api.partition("/")[0] if "/" in api else ""


def survey(
    name: str,
    session: Session,
    observed: Observed,
    goals: t.Sequence[Goal],
    find_seed: t.Callable[[], Seed],
    read_hub: t.Callable[[], tuple[HubFacts | None, str | None]],
    managed_cluster: str,
    *,
    through_hub: bool = False,
) -> Survey:
    """Ask a cluster that has answered its first read for everything else. Sends nothing that changes anything.

    ``through_hub``: the hub will write to the cluster and copy what it needs there, so this identity only reads.
    ``find_seed`` gives what is known of the seed image, and is asked only before Prep; ``read_hub`` gives the facts of
    the hub, or what is wrong with it.
    """
    reader, scope = Reader(session), scope_of(observed, goals)
    # Prep alone needs them, and a cluster that is past it may not have them any more: a fresh stateroot holds none.
    named = references([_without_copies(goal) if through_hub else goal for goal in goals] if scope.prep else ())
    health = read_health(reader) if scope.gates else None
    seed = find_seed() if scope.prep else None
    target = _target(reader, health, seed) if seed and health else None
    image = next((goal.seed.image for goal in goals if goal.seed), "")
    if seed and target:
        seed = with_hint(seed, image, target.mirrors.items)
    hub, hub_problem = read_hub()
    return Survey(
        cluster=name,
        url=session.url,
        credential=session.credential,
        observed=observed,
        agent=reader.get("apps/v1", "deployments", "lifecycle-agent-controller-manager", _LCA),
        scope=scope,
        denied=_denied(session, goals, through_hub=through_hub),
        references={
            f"{kind} {namespace}/{one}": reader.get("v1", _PLURALS[kind], one, namespace)
            for kind, namespace, one in named
        },
        health=health,
        target=target,
        seed=seed,
        certificate=read_certificate(session.certificate),
        hub=hub,
        hub_problem=hub_problem,
        managed_cluster=managed_cluster,
    )


def _without_copies(goal: Goal) -> Goal:
    """The goal without what the hub copies to the cluster itself; extra manifests it does not."""
    seed = dataclasses.replace(goal.seed, pull_secret=None) if goal.seed else None
    return dataclasses.replace(goal, seed=seed, oadp_content=None)


# --- what the agent's health gates look at ------------------------------------------------------------------------


def read_health(reader: Reader) -> HealthFacts:
    """All that the gates look at."""
    protections = reader.list("oadp.openshift.io/v1alpha1", "dataprotectionapplications", _ADP)
    has_protection = bool(protections.items)
    return HealthFacts(
        operators=reader.list(_CONFIG, "clusteroperators"),
        pools=reader.list(_MACHINES, "machineconfigpools"),
        nodes=reader.list("v1", "nodes"),
        infrastructure=reader.get(_CONFIG, "infrastructures", "cluster"),
        sriov=reader.list("sriovnetwork.openshift.io/v1", "sriovnetworknodestates"),
        protections=protections,
        locations=reader.list("velero.io/v1", "backupstoragelocations", _ADP) if has_protection else Reading(),
        services=read_services(reader),
        requests=reader.list("certificates.k8s.io/v1", "certificatesigningrequests"),
    )


def read_services(reader: Reader) -> Reading:
    """Operators as they were installed: their copies in other namespaces say the same, and are many and long."""
    found = reader.each(_SERVICES, "clusterserviceversions", _short, labelSelector="!olm.copiedFrom")
    if not found.items or any("oadp-operator" in item["metadata"]["name"] for item in found.items):
        return found
    # The agent takes a copy in OADP's namespace for the operator.
    copies = reader.each(_SERVICES, "clusterserviceversions", _short, _ADP)
    return Reading((*found.items, *(item for item in copies.items if item not in found.items)))


def _short(service: dict[str, t.Any]) -> dict[str, t.Any]:
    """What is judged of a ClusterServiceVersion, which holds icons, examples and descriptions."""
    meta, spec, status = (service.get(part) or {} for part in ("metadata", "spec", "status"))
    return {
        "metadata": {key: meta[key] for key in ("name", "namespace", "labels") if key in meta},
        "spec": {key: spec[key] for key in ("version",) if key in spec},
        "status": {key: status[key] for key in ("phase", "reason") if key in status},
    }


# --- what only Prep depends on ------------------------------------------------------------------------------------


def _target(reader: Reader, health: HealthFacts, seed: Seed) -> TargetFacts:
    proxy = reader.get(_CONFIG, "proxies", "cluster")
    user_ca = reader.get("v1", "configmaps", "user-ca-bundle", "openshift-config")
    cluster_config = reader.get("v1", "configmaps", "cluster-config-v1", "kube-system")
    facts = seed.facts
    configs: dict[str, str] = {}
    all_configs = Reading(served=False)
    if facts.machine_configs is not None:
        all_configs = reader.each(_MACHINES, "machineconfigs", lambda item: _digest(item, configs))
    return TargetFacts(
        proxy=proxy,
        user_ca=user_ca,
        trusted_ca=_trusted_ca(reader, proxy, user_ca),
        machine_config=current_config(reader, health.nodes),
        cluster_config=cluster_config,
        machine_networks=_machine_networks(cluster_config),
        profiles=reader.list("performance.openshift.io/v2", "performanceprofiles"),
        ip_config=reader.get("lca.openshift.io/v1", "ipconfigs", "ipconfig"),
        mirrors=read_mirrors(reader) if _asks_for_mirrors(seed) else Reading(served=False),
        all_machine_configs=all_configs,
        machine_configs=configs,
    )


def _trusted_ca(reader: Reader, proxy: Reading, user_ca: Reading) -> Reading:
    name = _seed_record.proxy_configmap_name(proxy.one)
    if not name:
        return Reading(served=False)
    return user_ca if name == "user-ca-bundle" else reader.get("v1", "configmaps", name, "openshift-config")


def current_config(reader: Reader, nodes: Reading) -> Reading:
    """The rendered MachineConfig that the node runs: of all that are kept, the only one that counts."""
    annotations = (nodes.one.get("metadata") or {}).get("annotations") or {}
    name = annotations.get(_seed_record.CURRENT_CONFIG)
    return reader.get(_MACHINES, "machineconfigs", str(name)) if name else Reading(served=False)


def _digest(config: Document, into: dict[str, str]) -> None:
    into.update(_seed_record.machine_configs([config]))


def _machine_networks(cluster_config: Reading) -> tuple[str, ...] | None:
    document = install_config(cluster_config)
    return None if document is None else _seed_record.machine_networks(document)


def install_config(cluster_config: Reading) -> dict[str, t.Any] | None:
    """What the cluster was installed with; None where that is not known."""
    text = (cluster_config.one.get("data") or {}).get("install-config")
    try:
        document = yaml.load(str(text), Loader=_YAML_LOADER) if text else None  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return None
    return document if isinstance(document, dict) else None


def _asks_for_mirrors(seed: Seed) -> bool:
    """To compare them with the seed's, or to find the seed image by them."""
    return seed.facts.mirror_registry_configured is not None or seed.was_sought_in_vain


def read_mirrors(reader: Reader) -> Reading:
    """Either kind of object that says where images are mirrored."""
    found = reader.list(_CONFIG, "imagedigestmirrorsets")
    if found.items:
        return found
    older = reader.list("operator.openshift.io/v1alpha1", "imagecontentsourcepolicies")
    # One kind says that there are mirrors; that there are none takes both.
    return older if older.items or found.known else found


# --- permissions --------------------------------------------------------------------------------------------------


def _denied(session: Session, goals: t.Sequence[Goal], *, through_hub: bool) -> tuple[Permission, ...]:
    # The usual identity may do everything: one question instead of a dozen.
    if may(session, Permission("*", "*", "*")):
        return ()
    needed = [p for p in permissions_needed(goals) if p.verb in _READS or not through_hub]
    return tuple(permission for permission in needed if not may(session, permission))


def may(session: Session, permission: Permission) -> bool:
    """Whether the API says that this identity may make a call."""
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
