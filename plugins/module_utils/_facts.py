# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What was read of a target cluster and of its hub, as the checks get it. Nothing here asks anybody."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission

Document = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Reading:
    """One answer: objects, or the reason for none.

    ``served`` is False where the API or the object is not there, which is a fact and not an error.
    ``denied`` is the permission that this identity lacks; then nothing is known.
    """

    items: tuple[Document, ...] = ()
    served: bool = True
    denied: Permission | None = None

    @property
    def known(self) -> bool:
        """Whether the items are all there are."""
        return self.denied is None

    @property
    def one(self) -> Document:
        """The only object, or an empty one."""
        return self.items[0] if self.items else {}

    def spec(self) -> Document:
        """The spec of the only object."""
        return self.one.get("spec") or {}

    def status(self) -> Document:
        """The status of the only object."""
        return self.one.get("status") or {}


NOTHING = Reading(served=False)


@dataclass(frozen=True)
class HealthFacts:
    """The objects that the Lifecycle Agent looks at before it goes on with a stage."""

    operators: Reading = NOTHING
    pools: Reading = NOTHING
    nodes: Reading = NOTHING
    infrastructure: Reading = NOTHING
    sriov: Reading = NOTHING
    protections: Reading = NOTHING
    locations: Reading = NOTHING
    services: Reading = NOTHING
    requests: Reading = NOTHING

    def readings(self) -> dict[str, Reading]:
        """Every reading, by what it is good for."""
        return {
            "ClusterOperators": self.operators,
            "MachineConfigPools": self.pools,
            "the node": self.nodes,
            "the topology": self.infrastructure,
            "SR-IOV": self.sriov,
            "the DataProtectionApplication": self.protections,
            "the BackupStorageLocations": self.locations,
            "ClusterServiceVersions": self.services,
            "CertificateSigningRequests": self.requests,
        }


@dataclass(frozen=True)
class TargetFacts:
    """What only Prep depends on. ``machine_networks``: of the installation's configuration; None is unknown.

    ``machine_configs``: fingerprints by name, read only where the seed's are known.
    """

    proxy: Reading = NOTHING
    user_ca: Reading = NOTHING
    trusted_ca: Reading = NOTHING
    machine_config: Reading = NOTHING
    cluster_config: Reading = NOTHING
    machine_networks: tuple[str, ...] | None = None
    profiles: Reading = NOTHING
    ip_config: Reading = NOTHING
    mirrors: Reading = NOTHING
    all_machine_configs: Reading = NOTHING
    machine_configs: t.Mapping[str, str] = field(default_factory=dict)
    secrets: t.Mapping[str, Reading] = field(default_factory=dict)

    def readings(self) -> dict[str, Reading]:
        """Every reading, by what it is good for."""
        return {
            "the proxy": self.proxy,
            "the user CA bundle": self.user_ca,
            "the CA bundle of the proxy": self.trusted_ca,
            "FIPS and the partition of container storage": self.machine_config,
            "the machine networks": self.cluster_config,
            "performance profiles": self.profiles,
            "the IPConfig": self.ip_config,
            "mirrored registries": self.mirrors,
            "MachineConfigs": self.all_machine_configs,
        }


@dataclass(frozen=True)
class HubFacts:
    """One hub, read once for all its clusters. ``problem`` says why nothing is known.

    ``clusters`` is None where the ManagedClusters could not be listed; ``version`` and ``acm`` where unknown.
    """

    url: str = ""
    problem: str = ""
    clusters: t.Mapping[str, Document] | None = None
    may_patch: bool = True
    version: str | None = None
    acm: Reading = NOTHING
    group_upgrades: bool | None = None
    denied: tuple[Permission, ...] = ()
