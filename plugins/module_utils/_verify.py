# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Whether an upgraded cluster is fit to be finalized. Documents in, a list of problems out; no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

_Document = t.Mapping[str, t.Any]

_FAILED_RESTORES = frozenset({"Failed", "PartiallyFailed", "FailedValidation"})


@dataclass(frozen=True)
class Health:
    """The documents that decide, as the API returned them."""

    cluster_version: _Document
    cluster_operators: t.Sequence[_Document]
    nodes: t.Sequence[_Document]
    persistent_volumes: t.Sequence[_Document]
    restores: t.Sequence[_Document]


def problems(health: Health, version: str | None) -> list[str]:
    """Everything that speaks against finalizing, in words for people; empty where the cluster is fit.

    ``version`` is the seed's; None skips that comparison.
    """
    found = [
        *_version_problems(health.cluster_version, version),
        *_named("ClusterOperators not ready", health.cluster_operators, _is_operator_bad),
        *_named("nodes not ready", health.nodes, _is_node_bad),
        *_named("Restores failed", health.restores, _is_restore_bad),
        *_named("PersistentVolumes not bound", health.persistent_volumes, _is_volume_bad),
    ]
    if not health.nodes:
        found.append("the cluster lists no node")
    return found


def _version_problems(cluster_version: _Document, version: str | None) -> list[str]:
    status = cluster_version.get("status") or {}
    running = (status.get("desired") or {}).get("version")
    if version is not None and running != version:
        return [f"ClusterVersion is {running}, not the seed's {version}"]
    return []


def _named(what: str, documents: t.Iterable[_Document], is_bad: t.Callable[[_Document], bool]) -> list[str]:
    names = sorted(document["metadata"]["name"] for document in documents if is_bad(document))
    return [f"{what}: {', '.join(names)}"] if names else []


def _conditions(document: _Document) -> dict[str, str]:
    return {c["type"]: c["status"] for c in (document.get("status") or {}).get("conditions") or ()}


def _is_operator_bad(operator: _Document) -> bool:
    conditions = _conditions(operator)
    return (
        conditions.get("Available") != "True"
        or conditions.get("Degraded") == "True"
        or conditions.get("Progressing") == "True"
    )


def _is_node_bad(node: _Document) -> bool:
    conditions = _conditions(node)
    return conditions.get("Ready") != "True" or conditions.get("NetworkUnavailable") == "True"


def _is_restore_bad(restore: _Document) -> bool:
    return (restore.get("status") or {}).get("phase") in _FAILED_RESTORES


def _is_volume_bad(volume: _Document) -> bool:
    phase = (volume.get("status") or {}).get("phase")
    claimed = bool((volume.get("spec") or {}).get("claimRef"))
    # A volume that nobody claimed is merely spare.
    return phase in ("Failed", "Released", "Pending") or (phase == "Available" and claimed)
