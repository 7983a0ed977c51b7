# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks over a real API server whose pivot is played with a second etcd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contract.helpers import Document
from playbooks.runs import ANSIBLE_PLAYBOOK, ansible

from kubeapi.standin import Standin

pytestmark = pytest.mark.kubeapi


def play(cluster: Standin, folder: Path, playbook: str, **variables: Any) -> tuple[int, Document, str]:
    """Run a playbook as a user does; exit code, the cluster's entry in the outcome file, and the output."""
    outcome = folder / "outcome.json"
    given = {"ibu_outcome_file": str(outcome), "ibu_settle_timeout": 60, **variables}
    given_as = ("-i", str(cluster.inventory), "-e", json.dumps(given))
    done = ansible([str(ANSIBLE_PLAYBOOK), *given_as, f"playbooks/{playbook}.yml"], folder)
    entries = json.loads(outcome.read_text())["clusters"] if outcome.exists() else {}
    return done.code, entries.get(cluster.name, {}), done.output


def test_upgrade_and_rollback_by_hand(cluster: Standin, tmp_path: Path) -> None:
    cluster.inject("stale_cr_for", {"seconds": 60})
    code, entry, output = play(cluster, tmp_path, "upgrade", ibu_stop_after="Upgrade")
    assert code == 0, output
    assert (entry["result"], entry["completed"]) == ("done", ["Prep", "Upgrade"])
    assert (entry["version_before"], entry["version_after"]) == ("4.16.8", "4.17.3")

    code, entry, output = play(cluster, tmp_path, "rollback", rollback_finalize=True)
    assert code == 0, output
    assert (entry["result"], entry["state"], entry["version_after"]) == ("done", "idle", "4.16.8")
    assert cluster.state()["stateroots"] == ["rhcos"]


def test_upgrade_to_the_end(cluster: Standin, tmp_path: Path) -> None:
    code, entry, output = play(cluster, tmp_path, "upgrade")
    assert code == 0, output
    assert entry["completed"] == ["Prep", "Upgrade", "FinalizeUpgrade"]
    assert cluster.state()["stateroots"] == ["rhcos_4.17.3"]

    code, _entry, output = play(cluster, tmp_path, "upgrade")
    assert code == 0, output
    assert "changed=0" in output


def test_automatic_rollback(cluster: Standin, tmp_path: Path) -> None:
    """An operator stays unhealthy after the pivot, and the watchdog fires."""
    cluster.inject("init_monitor_timeout")
    watchdog = {"initMonitorTimeoutSeconds": 60}
    code, entry, output = play(cluster, tmp_path, "upgrade", ibu_auto_rollback_on_failure=watchdog)
    assert code == 2, output
    assert entry["result"] == "rolled_back"
    assert entry["message"] == "Rollback due to LCA Init Monitor timeout, after 1m0s"
    assert entry["version_after"] == "4.16.8"

    code, entry, output = play(cluster, tmp_path, "abort")
    assert code == 0, output
    assert (entry["result"], entry["state"]) == ("done", "idle")
    assert cluster.is_as_installed()
