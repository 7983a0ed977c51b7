# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Reading from a cluster whether it can become a seed, and what targets will be compared with. No judgement here."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record as record
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import NAMESPACE, SECRET
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import (
    KLUSTERLET_CRD,
    HostFacts,
    SeedSurvey,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import (
    Reader,
    current_config,
    install_config,
    read_health,
    read_mirrors,
    read_services,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_CONFIG = "config.openshift.io/v1"
_MACHINES = "machineconfiguration.openshift.io/v1"
_OADP = "oadp.openshift.io/v1alpha1"
_OPENSHIFT_CONFIG = "openshift-config"


def read_survey(session: Session, host: HostFacts | None = None) -> SeedSurvey:
    """Everything that decides whether the agent will make a seed image of this cluster."""
    reader = Reader(session)
    health = read_health(reader)
    return SeedSurvey(
        nodes=health.nodes,
        rendered=current_config(reader, health.nodes),
        klusterlet_crd=reader.get("apiextensions.k8s.io/v1", "customresourcedefinitions", KLUSTERLET_CRD),
        klusterlets=reader.list("operator.open-cluster-management.io/v1", "klusterlets"),
        namespaces=reader.list("v1", "namespaces"),
        pull_secret=reader.get("v1", "secrets", "pull-secret", _OPENSHIFT_CONFIG),
        volumes=reader.list("v1", "persistentvolumes"),
        claims=reader.list("v1", "persistentvolumeclaims"),
        local_volumes=reader.list("local.storage.openshift.io/v1", "localvolumes"),
        lvm_clusters=reader.list("lvm.topolvm.io/v1alpha1", "lvmclusters"),
        protections=reader.list(_OADP, "dataprotectionapplications"),
        services=health.services,
        secret=reader.get("v1", "secrets", SECRET, NAMESPACE),
        upgrade=reader.get("lca.openshift.io/v1", "imagebasedupgrades", "upgrade"),
        agent=reader.get("apps/v1", "deployments", "lifecycle-agent-controller-manager", NAMESPACE),
        health=health,
        host=host or HostFacts(),
    )


def read_record(session: Session, recert_image: str | None = None) -> SeedFacts:
    """What targets will be compared with, as it is before the generation. What may not be read stays unknown."""
    reader = Reader(session)
    node = reader.list("v1", "nodes").one
    proxy, release = reader.get(_CONFIG, "proxies", "cluster"), reader.get(_CONFIG, "clusterversions", "version")
    bundle = reader.get("v1", "configmaps", "user-ca-bundle", _OPENSHIFT_CONFIG)
    desired = release.status().get("desired") or {}
    version = str(desired["version"]) if desired.get("version") else None
    packages = read_services(reader)
    operators = record.operators(packages.items) if packages.known else None
    addresses = record.node_ips(node)
    install = install_config(reader.get("v1", "configmaps", "cluster-config-v1", "kube-system")) or {}
    profiles = reader.list("performance.openshift.io/v2", "performanceprofiles")
    mirrors = read_mirrors(reader)
    facts = SeedFacts(
        version=version,
        has_proxy=record.has_proxy(proxy.one) if proxy.known else None,
        has_user_ca_bundle=record.has_user_ca_bundle(bundle.one) if bundle.known else None,
        proxy_configmap_name=record.proxy_configmap_name(proxy.one) if proxy.known else None,
        node_ips=addresses or None,
        machine_networks=record.machine_networks(install) or None,
        cluster_name=_text((install.get("metadata") or {}).get("name")),
        base_domain=_text(install.get("baseDomain")),
        release_registry=_text(str(desired.get("image") or "").partition("/")[0]),
        mirror_registry_configured=bool(mirrors.items) if mirrors.known else None,
        recert_image=recert_image,
        cpus=record.cpu_topology(node).cpus,
        reserved_cpus=record.reserved_cpus(profiles.one) if profiles.items else None,
        performance_profile=record.canonical_profile(profiles.one) if profiles.items else None,
        operators=operators,
        ip_families=record.ip_families(addresses) or None,
        storage_operator=record.storage_operator(operators or ()),
    )
    return _with_configs(reader, node, facts)


def _with_configs(reader: Reader, node: Document, facts: SeedFacts) -> SeedFacts:
    """Add what the MachineConfigs say. They are long: each is reduced at once."""
    digests: dict[str, str] = {}
    listed = reader.each(_MACHINES, "machineconfigs", lambda item: digests.update(record.machine_configs([item])))
    rendered = current_config(reader, Reading((node,)))
    arguments = record.kernel_arguments(rendered.one) if rendered.items else None
    config = reader.get(_CONFIG, "nodes", "cluster")
    return SeedFacts(
        **{
            **vars(facts),
            "has_fips": record.has_fips(rendered.one) if rendered.items else None,
            "container_storage_mountpoint": (
                record.container_storage_mountpoint(rendered.one) if rendered.items else None
            ),
            "machine_configs": digests if listed.known and listed.served else None,
            "kernel_arguments": arguments,
            "cgroup_version": record.cgroup_version(config.one, arguments or (), facts.version),
        }
    )


def _text(value: t.Any) -> str | None:
    return str(value) if value else None
