# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole list of troubles, with the rollout killed at random moments: every cluster ends as without the kills."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
from collections.abc import Callable

import pytest

from .runs import Playground, Started
from .test_troubles import ALL_TROUBLES, EVERYONE, NAMES, check_ends

Prepare = Callable[..., Playground]


def kill_somehow(started: Started, chance: random.Random) -> None:
    """One process or all of them, by TERM or KILL."""
    pids = started.processes()
    workers = [pid for pid in pids if pid != started.process.pid]
    victims = chance.choice([[started.process.pid], pids, workers or pids])
    started.kill(chance.choice([signal.SIGTERM, signal.SIGKILL]), victims)


@pytest.mark.parametrize("seed", [3])
def test_nothing_is_lost_and_nothing_is_stale_however_often_it_is_killed(
    prepare: Prepare, subtests: pytest.Subtests, seed: int
) -> None:
    chance = random.Random(seed)
    ground = prepare(ALL_TROUBLES)
    # Who was seen to fail by a run that was killed is left out by the next; what was written of it must stay.
    options = {**EVERYONE, "ibu_on_blocked": "exclude"}

    for _round in range(3):
        with ground.start("upgrade", **options) as started:
            # The one wait for nothing but time: the moment is what this test chooses by chance.
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(chance.uniform(2.0, 11.0))
            kill_somehow(started, chance)
            started.wait_until_gone()
        if ground.outcome_file.exists():
            assert set(json.loads(ground.outcome_file.read_text())["clusters"]) == set(NAMES)
    check_ends(ground, ground.play("upgrade", **options), subtests)
