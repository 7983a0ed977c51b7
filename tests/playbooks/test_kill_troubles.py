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
from typing import Any

import pytest

from .runs import Playground, Started, scenario
from .test_troubles import CASES, NAMES, TIMEOUTS

Prepare = Callable[..., Playground]

# Who was seen to fail by a run that was killed is left out by the next; what was written of it must stay.
EVERYONE: dict[str, Any] = {
    "ibu_serial": ["100%"],
    "ibu_max_fail_percentage": 100,
    "ibu_budget": "100%",
    "ibu_timeouts": TIMEOUTS,
    "ibu_on_blocked": "exclude",
    # Of a server that answers every fifth request with an error, all health has to be read.
    "ibu_verify_timeout": 8,
}


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
    cases = dict(zip(NAMES, CASES, strict=True))
    troubles = {name: {case.trouble: case.params} for name, case in cases.items()}
    ground = prepare({**scenario(len(CASES), troubles=troubles), "speed": 600})

    for _round in range(3):
        with ground.start("upgrade", **EVERYONE) as started:
            # The one wait for nothing but time: the moment is what this test chooses by chance.
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(chance.uniform(2.0, 11.0))
            kill_somehow(started, chance)
            started.wait_until_gone()
        if ground.outcome_file.exists():
            assert set(json.loads(ground.outcome_file.read_text())["clusters"]) == set(NAMES)
    run = ground.play("upgrade", **EVERYONE)

    for name, case in cases.items():
        with subtests.test(msg=case.id):
            outcome = run.outcomes[name]
            assert (outcome["result"], outcome["state"]) == (case.result, case.state), outcome
            assert case.message in outcome["message"]
            assert case.next_step.format(cluster=name) in outcome["next_step"]
            assert ground.stages(name) == case.stages
            assert ground.version(name) == case.version
    assert not ground.refusals(), "a request was refused for what it asked"
    assert run.remaining == [name for name, case in cases.items() if case.result != "done"]
