# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the labels of a seed image say. The defaults are a seed that fits the clusters of a fleet."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

FORMAT = 4  # the constant of the simulated Lifecycle Agent
FORMAT_LABEL = "com.openshift.lifecycle-agent.seed_format_version"
INFO_LABEL = "com.openshift.lifecycle-agent.seed_cluster_info"
PARTITION = "/dev/disk/by-partlabel/varlibcontainers"


def _bundle() -> dict[str, Any]:
    return {"hasUserCaBundle": False, "proxyConfigmapName": ""}


@dataclass
class SeedImage:
    """The fields are those of the labels' JSON, in Ansible's spelling where that differs.

    `format_version: null`: the label is missing. `cluster_info: false`: an older seed without the other label.
    `inspect_error`: the registry does not give the labels, and says this. `version`: what was really unpacked into it
    (null: what the goal asks for).
    """

    format_version: int | str | None = FORMAT
    cluster_info: bool = True
    version: str | None = None
    has_proxy: bool = False
    has_fips: bool = False
    additional_trust_bundle: dict[str, Any] = field(default_factory=_bundle)
    container_storage_mountpoint_target: str = PARTITION
    base_domain: str = "example.com"
    cluster_name: str = "seed"
    sno_hostname: str = "seed"
    node_ips: list[str] = field(default_factory=lambda: ["192.0.2.10"])
    machine_networks: list[str] = field(default_factory=lambda: ["192.0.2.0/24"])
    release_registry: str = "quay.io"
    mirror_registry_configured: bool = False
    recert_image_pull_spec: str = "registry.example.com/recert:v0"
    ingress_certificate_cn: str = "ingress-operator@1725177600"
    inspect_error: str = ""

    def __post_init__(self) -> None:
        self.additional_trust_bundle = {**_bundle(), **self.additional_trust_bundle}

    def info(self, version: str) -> dict[str, Any]:
        """The JSON of the cluster label; `version` is what the goal asks for."""
        return {
            "seed_cluster_ocp_version": self.version or version,
            "base_domain": self.base_domain,
            "cluster_name": self.cluster_name,
            "sno_hostname": self.sno_hostname,
            "node_ips": self.node_ips,
            "machine_networks": self.machine_networks,
            "release_registry": self.release_registry,
            "mirror_registry_configured": self.mirror_registry_configured,
            "recert_image_pull_spec": self.recert_image_pull_spec,
            "has_proxy": self.has_proxy,
            "has_fips": self.has_fips,
            "additionalTrustBundle": self.additional_trust_bundle,
            "container_storage_mountpoint_target": self.container_storage_mountpoint_target,
            "ingress_certificate_cn": self.ingress_certificate_cn,
        }

    def labels(self, version: str) -> dict[str, str]:
        """The labels of the image, for a registry to serve and for the agent to read."""
        labels: dict[str, str] = {}
        if self.format_version is not None:
            labels[FORMAT_LABEL] = str(self.format_version)
        if self.cluster_info:
            labels[INFO_LABEL] = json.dumps(self.info(version))
        return labels
