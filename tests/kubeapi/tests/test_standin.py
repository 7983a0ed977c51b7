# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole upgrades on a real API server, driven by bare patches."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
import yaml
from contract.helpers import IBU, Document

from kubeapi import Binaries
from kubeapi.standin import Standin

pytestmark = pytest.mark.kubeapi

GOAL: Document = {
    "seedImageRef": {
        "version": "4.17.3",
        "image": "registry.example.com/seed:4.17.3",
        "pullSecretRef": {"name": "seed-pull"},
    },
    "oadpContent": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
    "extraManifests": [{"name": "site-extra", "namespace": "openshift-lifecycle-agent"}],
}
TIMEOUT = 60


def look(cluster: Standin) -> Document | None:
    """The upgrade, or None while the cluster is away."""
    cluster.state()  # raises if the machine has died
    try:
        reply = cluster.admin.get(IBU)
    except urllib3.exceptions.HTTPError:
        return None
    return reply.json if reply.status == 200 else None


def condition(found: Document, kind: str) -> Document:
    told = (found.get("status") or {}).get("conditions", [])
    return next((c for c in told if c["type"] == kind), {})


def until(cluster: Standin, holds: Callable[[Document], bool]) -> Document:
    deadline = time.monotonic() + TIMEOUT
    while True:
        found = look(cluster)
        if found is not None and holds(found):
            return found
        assert time.monotonic() < deadline, (cluster.state(), found)
        time.sleep(0.1)


def ended(stage: str) -> Callable[[Document], bool]:
    """The stage has an outcome, good or bad."""
    kind = stage if stage == "Idle" else f"{stage}Completed"
    wanted = ("True",) if stage == "Idle" else ("True", "False")
    return lambda found: found["spec"]["stage"] == stage and condition(found, kind).get("status") in wanted


def move(cluster: Standin, stage: str, **spec: object) -> Document:
    """Ask for a stage and wait for its end."""
    cluster.admin.merge(IBU, {"spec": {"stage": stage, **spec}}).ok()
    return until(cluster, ended(stage))


def release(cluster: Standin) -> str:
    version = cluster.admin.get("/apis/config.openshift.io/v1/clusterversions/version").ok()
    return str(version["status"]["desired"]["version"])


def test_upgrade_and_rollback_by_hand(cluster: Standin) -> None:
    """What the objects say at each step. The other ends are in test_playbooks."""
    # Four seconds: long enough to be seen on a machine that is busy.
    cluster.inject("stale_cr_for", {"seconds": 60})
    hosts = yaml.safe_load(cluster.inventory.read_text())["all"]["children"]["fleet"]["hosts"]
    assert hosts[cluster.name]["ibu_seed_image_ref"] == GOAL["seedImageRef"]
    assert hosts[cluster.name]["ibu_kubeconfig"] == str(cluster.kubeconfig)

    before = look(cluster)
    assert before is not None and before["status"]["validNextStages"] == ["Prep"]
    refused = cluster.admin.merge(IBU, {"spec": {"stage": "Upgrade"}})
    assert refused.status == 422

    # An earlier upgrade of this cluster may have left it.
    prepared = move(cluster, "Prep", **GOAL, autoRollbackOnFailure=None)
    assert prepared["status"]["validNextStages"] == ["Idle", "Upgrade"]
    assert prepared["metadata"]["uid"] == before["metadata"]["uid"]

    upgraded = move(cluster, "Upgrade")
    assert condition(upgraded, "UpgradeCompleted")["status"] == "True"
    assert upgraded["metadata"]["uid"] != before["metadata"]["uid"]
    assert upgraded["metadata"]["generation"] == 1
    assert upgraded["status"]["validNextStages"] == ["Idle", "Rollback"]
    assert upgraded["spec"] == {"stage": "Upgrade", **GOAL}
    assert release(cluster) == "4.17.3"

    cluster.admin.merge(IBU, {"spec": {"stage": "Rollback"}}).ok()
    # What the old etcd still holds is seen first: the same object as before the pivot, in progress for ever.
    stale = until(cluster, lambda found: found["metadata"]["uid"] == before["metadata"]["uid"])
    assert stale["spec"]["stage"] == "Upgrade"
    assert condition(stale, "UpgradeInProgress")["status"] == "True"

    done = until(cluster, ended("Rollback"))
    assert condition(done, "RollbackCompleted")["status"] == "True"
    assert done["metadata"]["uid"] != before["metadata"]["uid"]
    assert release(cluster) == "4.16.8"

    idle = move(cluster, "Idle")
    assert [c["type"] for c in idle["status"]["conditions"]] == ["Idle"]
    assert idle["status"]["validNextStages"] == ["Prep"]
    assert cluster.state()["stateroots"] == ["rhcos"]


def test_trouble_of_the_network_is_not_played(binaries: Binaries, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be played on a real API server"):
        Standin(tmp_path, troubles={"slow_answers": None})
