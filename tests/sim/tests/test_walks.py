# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random walks: whatever a client asks for within the rules, and whatever goes wrong, the agent keeps its word."""

from __future__ import annotations

import asyncio
import random

import pytest
from virtual import Site

from fleetsim import ibu, initial
from fleetsim.errors import StatusError
from fleetsim.troubles import PREP_FAILURES

_AGENT_TROUBLES = [
    *random.Random(1).sample(sorted(set(PREP_FAILURES) - {"prep_failed"}), 6),
    "prep_hangs",
    "prep_slow",
    "validation_warning",
    "health_blocked",
    "blocked_by_ipconfig",
    "prepivot_failed",
    "postpivot_failure",
    "init_monitor_timeout",
    "missing_dpa",
    "restore_failed",
    "uncontrolled_rollback",
    "upgrade_failed_no_auto_rollback",
    "upgrade_hangs",
    "unhealthy_after_upgrade",
    "abort_failed",
    "finalize_failed",
    "rollback_failed",
    "no_status_for",
    "stale_cr_for",
    "lca_not_ready",
]


def _check(site: Site) -> None:
    """What holds at every moment that a client can look."""
    assert site.cluster.machine.phase != "crashed"
    if site.cr is None or not site.status.get("conditions"):
        return
    kinds = [c["type"] for c in site.status["conditions"]]
    assert len(kinds) == len(set(kinds))
    for stage in ("Prep", "Upgrade", "Rollback"):
        running, completed = f"{stage}InProgress", f"{stage}Completed"
        assert not (ibu.is_true(site.status, running) and ibu.is_true(site.status, completed))
    if ibu.is_true(site.status, "Idle"):
        assert site.next == ["Prep"]
        assert set(kinds) <= {"Idle", "PrepInProgress"}
    assert site.next != []


@pytest.mark.parametrize("seed", range(30))
async def test_walk(seed: int) -> None:
    rng = random.Random(seed)
    troubles = {name: {} for name in rng.sample(_AGENT_TROUBLES, rng.randrange(3))}
    start = rng.choice(initial.STATES)
    async with Site(initial=start, troubles=troubles) as site:
        for _ in range(25):
            await asyncio.sleep(rng.expovariate(1 / 200))
            _check(site)
            if rng.random() < 0.2:
                name = rng.choice(_AGENT_TROUBLES)
                if name in site.cluster.troubles:
                    await site.cluster.heal(name)
                elif site.up:
                    await site.cluster.inject(name, {})
            allowed = site.next
            if allowed and rng.random() < 0.7:
                spec = site.goal() if allowed == ["Prep"] else {}
                if allowed == ["Prep"] and site.cluster.machine.booted != "rhcos":
                    spec["seedImageRef"] = {"version": "4.18.1", "image": "registry.example.com/seed:4.18.1"}
                site.patch(rng.choice(allowed), **spec)
            elif site.cr and site.status.get("conditions") and rng.random() < 0.2:
                wrong = sorted({"Prep", "Upgrade", "Rollback"} - set(allowed or ()) - {site.cr["spec"]["stage"]})
                with pytest.raises(StatusError, match="the stage transition is not permitted"):
                    site.patch(rng.choice(wrong))
            elif (site.condition("Idle") or ("", ""))[1] in ("AbortFailed", "FinalizeFailed"):
                site.annotate(ibu.MANUAL_CLEANUP, "")


@pytest.mark.parametrize("state", initial.STATES)
async def test_every_beginning_holds(state: str) -> None:
    """A cluster that starts in the middle is what the agent would have made of it."""
    async with Site(initial=state) as site:
        stage = (site.cr or {})["spec"]["stage"]
        for _ in range(50):
            _check(site)
            await asyncio.sleep(60)
        if state in ("PrepInProgress", "UpgradePrePivot", "UpgradePostPivot", "RollbackInProgress"):
            assert ibu.is_true(site.status, f"{stage}Completed")
        elif state in ("Aborting", "Finalizing"):
            assert ibu.is_true(site.status, "Idle")
        else:
            assert site.cluster.machine.boots == 1
        assert (site.cr or {})["spec"]["stage"] == stage
