# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a fleet takes when nobody loses any time: its slowest cluster, played in virtual time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SIM = Path(__file__).resolve().parents[1] / "sim"
sys.path[:0] = [str(_SIM), str(_SIM / "tests")]

import virtual  # noqa: E402

from fleetsim.scenario import load  # noqa: E402


def seconds(scenario: Mapping[str, Any]) -> float:
    """Real seconds from the first patch of the slowest cluster to its last condition."""
    fleet = load(dict(scenario))
    slowest = max(plan.durations.factor for plan in fleet.clusters)
    durations = {**scenario["durations"], "spread": 0, "factor": slowest}
    return virtual.run(_play(durations)) / fleet.speed


async def _play(durations: Mapping[str, float]) -> float:
    async with virtual.Site(durations=durations) as site:
        await site.prep()
        await site.upgrade()
        await site.idle()
        return site.seconds
