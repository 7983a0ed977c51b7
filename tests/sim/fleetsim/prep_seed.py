# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prep compares the labels of the seed image with the cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fleetsim.ports import LCA_NAMESPACE, Object
from fleetsim.prep_documents import refused
from fleetsim.seedimage import FORMAT, FORMAT_LABEL, INFO_LABEL

if TYPE_CHECKING:
    from fleetsim.agent import Agent

MOUNT = "var-lib-containers.mount"
_CONFIG = "openshift-config"
_BUNDLE = "user-ca-bundle"


async def validate(a: Agent) -> None:
    seed = a.spec.get("seedImageRef") or {}
    await _pull_secret(a, (seed.get("pullSecretRef") or {}).get("name"))
    if message := a.machine.seed_image.inspect_error:
        raise refused("registry_unreachable", err=message)
    labels = a.machine.seed_image.labels(seed.get("version", ""))
    found = labels.get(FORMAT_LABEL)
    if found is None:
        raise refused("seed_format_missing")
    if found != str(FORMAT):
        raise refused("seed_format_mismatch", got=found)
    # An older seed without this label is taken for one without proxy and FIPS.
    info = json.loads(labels.get(INFO_LABEL, "null"))
    await _proxy(a, bool((info or {}).get("has_proxy")))
    await _fips(a, bool((info or {}).get("has_fips")))
    if info:
        await _trust(a, info["additionalTrustBundle"])
        target = mount_target(await rendered_config(a)) or ""
        wanted = info["container_storage_mountpoint_target"]
        if target != wanted:
            raise refused("storage_target_mismatch", seed=wanted, cluster=target)


async def _pull_secret(a: Agent, name: str | None) -> None:
    if not name:
        return
    found = await a.api.get("secrets", name, LCA_NAMESPACE)
    if found is None:
        raise refused("pull_secret_missing", name=name)
    if ".dockerconfigjson" not in (found.get("data") or {}):
        raise refused("pull_secret_no_key", name=name)


async def _proxy(a: Agent, seed: bool) -> None:
    spec = ((await a.api.get("proxies.config.openshift.io", "cluster")) or {}).get("spec") or {}
    here = any(spec.get(key) for key in ("httpProxy", "httpsProxy", "noProxy"))
    if seed != here:
        raise refused("proxy_only_seed" if seed else "proxy_only_cluster")


async def _fips(a: Agent, seed: bool) -> None:
    nodes = await a.api.list("nodes")
    if len(nodes) != 1:
        raise refused("node_count", nodes=len(nodes))
    here = bool(((await rendered_config(a)).get("spec") or {}).get("fips"))
    if seed != here:
        raise refused("fips_mismatch" if seed else "fips_only_cluster")


async def _trust(a: Agent, seed: dict[str, Any]) -> None:
    here = bool(await _bundle(a, _BUNDLE))
    wanted = bool(seed["hasUserCaBundle"])
    if wanted != here:
        raise refused("trust_bundle_mismatch" if wanted else "trust_bundle_only_cluster")
    proxy = (await a.api.get("proxies.config.openshift.io", "cluster")) or {}
    name = ((proxy.get("spec") or {}).get("trustedCA") or {}).get("name", "")
    if name and await _bundle(a, name) == "":
        raise refused("trusted_ca_empty", name=name)
    if name != seed["proxyConfigmapName"]:
        raise refused("trusted_ca_mismatch", seed=seed["proxyConfigmapName"], cluster=name)


async def _bundle(a: Agent, name: str) -> str | None:
    found = await a.api.get("configmaps", name, _CONFIG)
    return None if found is None else str((found.get("data") or {}).get("ca-bundle.crt") or "")


async def rendered_config(a: Agent) -> Object:
    """The MachineConfig that the node says it has."""
    for node in await a.api.list("nodes"):
        notes = node["metadata"].get("annotations") or {}
        name = notes.get("machineconfiguration.openshift.io/currentConfig", "")
        found = await a.api.get("machineconfigs.machineconfiguration.openshift.io", name) if name else None
        if found:
            return found
    return {}


def mount_target(config: Object) -> str | None:
    """What is mounted on /var/lib/containers; None where nothing is."""
    ignition = (config.get("spec") or {}).get("config") or {}
    for unit in (ignition.get("systemd") or {}).get("units") or ():
        if unit.get("name") == MOUNT:
            for line in str(unit.get("contents", "")).splitlines():
                if line.startswith("What="):
                    return line.removeprefix("What=").strip()
    return None
