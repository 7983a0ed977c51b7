# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Prep checks before it starts a job, in the agent's order: the first refusal is the only one told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetsim import ibu, prep_manifests, prep_oadp, prep_seed
from fleetsim.prep_documents import refused

if TYPE_CHECKING:
    from fleetsim.agent import Agent


async def validate(a: Agent) -> None:
    if prep_seed.mount_target(await prep_seed.rendered_config(a)) is None:
        raise refused("no_container_storage")
    await _version(a, (a.spec.get("seedImageRef") or {}).get("version", ""))
    await prep_oadp.validate(a)
    await prep_manifests.validate(a)
    await prep_manifests.validate_policies(a)
    await prep_seed.validate(a)


async def _version(a: Agent, wanted: str) -> None:
    current = a.machine.root.version
    cluster_version = await a.api.get("clusterversions.config.openshift.io", "version")
    if cluster_version:
        current = cluster_version["status"]["desired"]["version"]
    try:
        higher = ibu.version_key(wanted) > ibu.version_key(current)
    except ValueError as error:
        raise refused("seed_version_unparsable", seed=wanted, err=error) from None
    if not higher:
        raise refused("seed_version", seed=wanted, current=current)
