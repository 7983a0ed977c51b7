# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout may be killed at any moment, in any way, and is then simply started again."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from .runs import Playground, Run, Started, names, scenario, until

Prepare = Callable[..., Playground]

# Slower than elsewhere, so that there is something to hit: an upgrade takes about three seconds.
SPEED = 300
FLEET = names(1, 2, 3)


class Reader(threading.Thread):
    """Reads the outcome file all the time, as a dashboard would, and keeps what it could not make sense of."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._over = threading.Event()
        self.reads = 0
        self.complaints: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.002):
            try:
                text = self._path.read_text()
            except FileNotFoundError:
                if self.reads:
                    self.complaints.append("the file was away")
                continue
            self.reads += 1
            try:
                known = set(json.loads(text)["clusters"])
            except (ValueError, KeyError) as error:
                self.complaints.append(f"{error}: {text[:200]!r}")
            else:
                if known != set(FLEET):
                    self.complaints.append(f"only {sorted(known)} are in it")

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self._over.set()
        self.join()


def main_only(run: Started) -> list[int]:
    """As a person or a job runner does who knows one process."""
    return [run.process.pid]


def everything(run: Started) -> list[int]:
    """As a container or a systemd unit ends."""
    return run.processes()


def workers(run: Started) -> list[int]:
    """As a machine that is short of memory does."""
    return [pid for pid in run.processes() if pid != run.process.pid]


def in_prep(ground: Playground) -> bool:
    return any(ground.stages(name) == ["Prep"] for name in FLEET)


def at_the_upgrade(ground: Playground) -> bool:
    """Just before the patch, or just after it: Prep is over."""
    return any(reactions for reactions in ground.fleet.control.reactions().values())


def after_the_upgrade(ground: Playground) -> bool:
    return any("Upgrade" in ground.stages(name) for name in FLEET)


def in_the_outage(ground: Playground) -> bool:
    return any(not cluster["up"] for cluster in ground.fleet.control.clusters())


def in_finalize(ground: Playground) -> bool:
    return any("Idle" in ground.stages(name) for name in FLEET)


CASES: list[tuple[Callable[[Playground], bool], Callable[[Started], list[int]], int]] = [
    (in_prep, main_only, signal.SIGTERM),
    (in_prep, everything, signal.SIGKILL),
    (at_the_upgrade, everything, signal.SIGTERM),
    (at_the_upgrade, main_only, signal.SIGKILL),
    (after_the_upgrade, workers, signal.SIGKILL),
    (after_the_upgrade, main_only, signal.SIGINT),
    (in_the_outage, main_only, signal.SIGTERM),
    (in_the_outage, main_only, signal.SIGKILL),
    (in_finalize, everything, signal.SIGTERM),
    (in_finalize, everything, signal.SIGKILL),
]


def fleet(**more: Any) -> dict[str, Any]:
    return {**scenario(len(FLEET), **more), "speed": SPEED}


def check_file(path: Path) -> None:
    """Whatever happened: the file is whole, and says something of everybody."""
    assert set(json.loads(path.read_text())["clusters"]) == set(FLEET)


def check_converged(ground: Playground, run: Run) -> None:
    """On the servers: every stage was asked for once and taken, and nothing else was ever sent."""
    assert run.code == 0, run.output
    assert run.named("done") == FLEET
    for name in FLEET:
        assert ground.stages(name) == ["Prep", "Upgrade", "Idle"], name
        assert ground.version(name) == "4.17.3"
    assert not ground.refusals()
    leftovers = [path.name for path in ground.directory.glob("*.partial")]
    assert not leftovers, "temporary files are left beside the outcome file"


@pytest.mark.parametrize(
    ("moment", "whom", "number"),
    CASES,
    ids=[f"{moment.__name__}-{whom.__name__}-{signal.Signals(number).name}" for moment, whom, number in CASES],
)
def test_a_killed_rollout_is_continued(
    prepare: Prepare,
    moment: Callable[[Playground], bool],
    whom: Callable[[Started], Iterable[int]],
    number: int,
) -> None:
    ground = prepare(fleet(), ibu_serial=["100%"], ibu_max_fail_percentage=100)

    with Reader(ground.outcome_file) as reader, ground.start("upgrade") as started:
        until(lambda: moment(ground), 60, moment.__name__)
        started.kill(number, whom(started))
        started.wait_until_gone()
        check_file(ground.outcome_file)
        check_converged(ground, ground.play("upgrade"))

    assert reader.reads > 10
    assert not reader.complaints


@pytest.mark.parametrize("seed", [1, 2])
def test_a_rollout_killed_again_and_again_gets_there(prepare: Prepare, seed: int) -> None:
    chance = random.Random(seed)
    ground = prepare(fleet(random_seed=seed, hub=True), ibu_serial=[1, "100%"], ibu_max_fail_percentage=100)

    for _round in range(4):
        with ground.start("upgrade") as started:
            # The one wait for nothing but time: the moment is what this test chooses by chance.
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.process.wait(chance.uniform(0.5, 5.0))
            # Between two tasks there is no worker to hit.
            victims = chance.choice([main_only, everything, workers])(started) or main_only(started)
            number = chance.choice([signal.SIGTERM, signal.SIGKILL])
            started.kill(number, victims)
            started.wait_until_gone()
        if ground.outcome_file.exists():
            check_file(ground.outcome_file)

    check_converged(ground, ground.play("upgrade"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_nobody_drives_on_after_the_run_was_killed(prepare: Prepare, number: signal.Signals) -> None:
    """The clusters hang, so what is left of the run cannot end by reaching its goal."""
    ground = prepare(fleet(troubles={name: {"prep_hangs": {}} for name in FLEET}), ibu_serial=["100%"])

    with ground.start("upgrade") as started:
        until(lambda: all(ground.stages(name) for name in FLEET), 60, "Prep is asked for")
        started.kill(number, [started.process.pid])
        started.wait_until_gone()
        check_file(ground.outcome_file)

    results = {outcome["result"] for outcome in json.loads(ground.outcome_file.read_text())["clusters"].values()}
    assert results <= {"interrupted", "in_flight"}
    for name in FLEET:
        ground.fleet.control.heal(name, "prep_hangs")
    check_converged(ground, ground.play("upgrade"))


def test_a_batch_that_was_stopped_is_the_last_one(prepare: Prepare) -> None:
    """Whoever ends the worker alone, as a machine that is shut down may do first, has stopped the rollout."""
    ground = prepare(fleet(troubles={"site-0001": {"prep_hangs": {}}}), ibu_serial=[1, 2])

    with ground.start("upgrade") as started:
        until(lambda: ground.stages("site-0001"), 60, "Prep is asked for")
        started.kill(signal.SIGTERM, workers(started))
        run = started.wait()
        started.wait_until_gone()

    assert run.code != 0, run.output
    assert ground.touched() == names(1)
    assert run.outcomes["site-0001"]["result"] == "interrupted"
    assert run.named("never_started") == names(2, 3)


def test_a_cluster_that_is_still_in_its_reboot_is_waited_for_by_the_next_run(prepare: Prepare) -> None:
    """Its silence is no finding of the preflight, and no failure of the first contact."""
    troubles = {"site-0001": {"upgrade_hangs": {"at": "reboot"}}}
    ground = prepare(fleet(troubles=troubles), ibu_serial=["100%"], ibu_contact_timeout=1)

    with ground.start("upgrade") as started:
        until(lambda: not ground.fleet.control.state("site-0001")["up"], 60, "it reboots")
        started.kill(signal.SIGKILL, started.processes())
        started.wait_until_gone()
    with ground.start("upgrade") as started:
        until(lambda: "nothing: this run waits for it" in started.output, 60, "the preflight says so")
        until(lambda: "site-0001 away for" in started.output, 60, "the drive waits for it")
        ground.fleet.control.heal("site-0001", "upgrade_hangs")
        run = started.wait()

    check_converged(ground, run)


def test_failures_that_nobody_saw_are_not_lost(prepare: Prepare) -> None:
    """Between the kill and the rerun two clusters fail. The rerun enters them, and takes the third to its end."""
    troubles = {"site-0001": {"postpivot_failure": {}}, "site-0002": {"service_unit_failure": {}}}
    ground = prepare(fleet(troubles=troubles), ibu_serial=["100%"], ibu_max_fail_percentage=100, ibu_budget="100%")

    with ground.start("upgrade") as started:
        until(lambda: all("Upgrade" in ground.stages(name) for name in FLEET), 60, "Upgrade is asked for")
        started.kill(signal.SIGKILL, started.processes())
        started.wait_until_gone()
    results = {outcome["result"] for outcome in json.loads(ground.outcome_file.read_text())["clusters"].values()}
    assert "in_flight" in results
    until(lambda: all(is_failed(ground, name) for name in troubles), 60, "the clusters have failed")
    run = ground.play("upgrade")

    assert run.code == 2, run.output
    assert [run.outcomes[name]["result"] for name in FLEET] == ["rolled_back", "rolled_back", "done"]
    assert "Rollback due to postpivot failure" in run.outcomes["site-0001"]["message"]
    assert [ground.stages(name)[1:] for name in FLEET] == [["Upgrade"], ["Upgrade"], ["Upgrade", "Idle"]]
    assert run.remaining == ["site-0001", "site-0002"]
    assert not ground.refusals()


def is_failed(ground: Playground, name: str) -> bool:
    """Whether the Upgrade of a cluster has failed for good: it allows to go back to Idle."""
    state = ground.fleet.control.state(name)
    failed = any(c["type"] == "UpgradeCompleted" and c["reason"] == "Failed" for c in state["conditions"])
    return bool(failed and state["up"] and state["valid_next_stages"] == ["Idle"])
