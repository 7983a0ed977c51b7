# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a group upgrade, run without a hub: what it asks of each cluster is counted on the servers."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .runs import Playground, Run, names, scenario, until

Prepare = Callable[..., Playground]

PLAYBOOK = """\
    ---
    - hosts: all
      gather_facts: false
      tasks:
        - sno.image_upgrade.ibu_fleet:
            plan: "{{ the_plan }}"
          run_once: true
          register: fleet

        - ansible.builtin.assert:
            that: inventory_hostname not in fleet.failed_clusters
            fail_msg: "{{ fleet.failed_clusters[inventory_hostname] | default('') }}"
            quiet: true
"""
LETTERS = {
    "P": "Prep",
    "U": "Upgrade",
    "F": "FinalizeUpgrade",
    "R": "Rollback",
    "E": "FinalizeRollback",
    "A": "Abort",
    "O": "AbortOnFailure",
}
# Slow enough that there is something to hit.
KILL_SPEED = 300


def plan(letters: str, concurrency: int = 10, **strategy: Any) -> list[dict[str, Any]]:
    """`PU F` is [Prep,Upgrade] [FinalizeUpgrade]."""
    return [
        {
            "actions": [LETTERS[letter] for letter in step],
            "rolloutStrategy": {"maxConcurrency": concurrency, **strategy},
        }
        for step in letters.split()
    ]


def play(ground: Playground, letters: str, *arguments: str, **more: Any) -> Run:
    """Run a plan to its end."""
    given = more.pop("the_plan", None) or plan(letters)
    return ground.play(playbook(ground), *arguments, the_plan=given, **more)


def playbook(ground: Playground) -> Path:
    path = ground.directory / "own.yml"
    path.write_text(textwrap.dedent(PLAYBOOK))
    return path


def steps(run: Run, name: str) -> list[str]:
    """What became of a cluster, step by step."""
    return [step["result"] for step in run.outcomes[name]["steps"]]


# --- plans that go well -------------------------------------------------------------------------------------------

UP = ["Prep", "Upgrade", "Idle"]


@pytest.mark.parametrize(
    ("letters", "stages", "results"),
    [
        ("P", UP[:1], "done"),
        ("P U", UP[:2], "done done"),
        ("P U F", UP, "done done done"),
        ("PU F", UP, "done done"),
        ("PUF", UP, "done"),
        ("P A", ["Prep", "Idle"], "done done"),
        ("P O U O F", UP, "done skipped done skipped done"),
    ],
)
def test_a_plan_from_idle(prepare: Prepare, letters: str, stages: list[str], results: str) -> None:
    ground = prepare(scenario(3))

    run = play(ground, letters)

    assert run.code == 0, run.output
    assert run.named("done") == names(1, 2, 3)
    for name in names(1, 2, 3):
        assert ground.stages(name) == stages
        assert steps(run, name) == results.split()
        actions = [LETTERS[letter] for letter in letters if letter.strip() and letter != "O"]
        assert run.outcomes[name]["completed"] == actions
    assert not ground.refusals()

    again = play(ground, letters)
    assert again.code == 0, again.output
    assert all(ground.stages(name) == stages for name in names(1, 2, 3)), "a second run asks for nothing"


STATES = ["Idle", "PrepFailed", "PrepCompleted", "UpgradePrePivotFailed", "AutoRolledBack", "UpgradeCompleted"]
STATES += ["RollbackCompleted", "Upgraded"]


@pytest.mark.parametrize(
    ("letters", "asked", "skipped", "failed"),
    [
        ("U F", {3: ["Upgrade", "Idle"], 6: ["Idle"]}, (1, 2, 7), (4, 5)),
        ("F", {6: ["Idle"]}, (1, 2, 3, 4, 5, 7), ()),
        ("R E", {6: ["Rollback", "Idle"], 7: ["Idle"]}, (1, 2, 3, 4, 5, 8), ()),
        ("E", {7: ["Idle"]}, (1, 2, 3, 4, 5, 6, 8), ()),
        ("A", {2: ["Idle"], 3: ["Idle"], 4: ["Idle"], 5: ["Idle"]}, (6, 7), ()),
        ("O", {2: ["Idle"], 4: ["Idle"], 5: ["Idle"]}, (1, 3, 6, 7, 8), ()),
    ],
)
def test_a_step_takes_clusters_by_what_they_are(
    prepare: Prepare, letters: str, asked: dict[int, list[str]], skipped: tuple[int, ...], failed: tuple[int, ...]
) -> None:
    extra = {name: {"initial": state} for name, state in zip(names(*range(1, 9)), STATES, strict=True)}
    ground = prepare(scenario(8, clusters_extra=extra))

    run = play(ground, letters)

    assert run.code == (2 if failed else 0), run.output
    assert {number: ground.stages(names(number)[0]) for number in range(1, 9)} == {
        number: asked.get(number, []) for number in range(1, 9)
    }
    assert run.named("skipped") == names(*skipped)
    assert [name for name in run.outcomes if run.outcomes[name]["result"] in ("failed", "rolled_back")] == names(
        *failed
    )
    assert all(run.outcomes[name]["message"] for name in names(*skipped)), "everybody knows why it was left out"
    assert not ground.refusals()


# --- failures -----------------------------------------------------------------------------------------------------

TROUBLES = {
    "site-0001": {"prep_failed": {"message": "the seed image is not for this cluster"}},
    "site-0002": {"postpivot_failure": {}},
    "site-0003": {"upgrade_failed_no_auto_rollback": {}},
}


def test_only_the_failed_are_aborted_and_stay_failed(prepare: Prepare) -> None:
    ground = prepare(scenario(4, troubles=TROUBLES))

    run = play(ground, "P O U O F")

    assert run.code == 2, run.output
    assert ground.stages("site-0001") == ["Prep", "Idle"]
    assert ground.stages("site-0002") == ["Prep", "Upgrade", "Idle"]
    assert ground.stages("site-0003") == ["Prep", "Upgrade"], "Idle would be refused after the reboot"
    assert ground.stages("site-0004") == UP
    assert [run.outcomes[name]["result"] for name in names(1, 2, 3, 4)] == ["failed", "rolled_back", "failed", "done"]
    first = run.outcomes["site-0001"]
    assert (first["action"], first["completed"], first["state"]) == ("Prep", ["AbortOnFailure"], "idle")
    assert first["message"] == "the seed image is not for this cluster"
    assert "AbortOnFailure has brought it back to Idle" in first["notes"]
    assert steps(run, "site-0001") == ["failed", "done", "skipped", "skipped", "skipped"]
    assert steps(run, "site-0003") == ["done", "skipped", "failed", "refused", "skipped"]
    assert "rollback -l site-0003" in run.outcomes["site-0003"]["next_step"]
    assert not ground.refusals()


def test_whoever_fails_one_action_skips_the_rest_of_its_step(prepare: Prepare) -> None:
    ground = prepare(scenario(3, troubles={"site-0001": TROUBLES["site-0001"]}))

    run = play(ground, "PU F")

    assert run.code == 2, run.output
    assert ground.stages("site-0001") == ["Prep"]
    assert steps(run, "site-0001") == ["failed", "skipped"]
    assert ground.stages("site-0002") == ground.stages("site-0003") == UP


def test_a_spent_budget_stops_the_step_and_those_behind_it(prepare: Prepare) -> None:
    ground = prepare(scenario(5, troubles={name: TROUBLES["site-0001"] for name in names(2, 3)}))

    run = play(ground, "", the_plan=plan("P O U", concurrency=1), ibu_max_failures=1)

    assert run.code == 2, run.output
    assert ground.touched() == names(1, 2, 3)
    assert not any("Idle" in ground.stages(name) for name in names(2, 3)), "their logs are still there"
    assert run.named("never_started") == names(1, 4, 5)
    assert "more than 1 cluster has failed" in run.outcomes["site-0001"]["message"]
    assert run.outcomes["site-0001"]["completed"] == ["Prep"]


def test_the_time_of_a_step_ends_it_for_everybody(prepare: Prepare) -> None:
    """A minute is real time; a simulated fleet that hangs is cut off after it."""
    ground = prepare(scenario(3, troubles={"site-0001": {"prep_hangs": {}}}))

    run = play(ground, "", the_plan=plan("P U", concurrency=1, timeoutPerCluster=0.05))

    assert run.code == 2, run.output
    assert [run.outcomes[name]["result"] for name in names(1, 2, 3)] == ["timed_out", "done", "done"]
    assert "0.05 minutes of this cluster in its step were over" in run.outcomes["site-0001"]["message"]
    assert ground.stages("site-0001") == ["Prep"]


# --- options and check mode ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("the_plan", "more", "words"),
    [
        (plan("P U A"), {}, "step 3 ([Abort]) cannot follow step 2 ([Upgrade])"),
        (plan("P", concurrency=0), {}, "plan step 1 maxConcurrency: 0 is not valid"),
        (plan("P"), {"ibu_stop_after": "Prep"}, "of a plan, leave out the steps"),
    ],
)
def test_a_plan_that_means_nothing_is_refused_before_any_write(
    prepare: Prepare, the_plan: Any, more: dict[str, Any], words: str
) -> None:
    ground = prepare(scenario(1))

    run = play(ground, "", the_plan=the_plan, **more)

    assert run.code == 2, run.output
    assert words in run.words
    assert not any(ground.writes().values())


def test_check_mode_says_what_every_cluster_would_do_next(prepare: Prepare) -> None:
    extra = {"site-0002": {"initial": "PrepCompleted"}, "site-0003": {"initial": "PrepFailed"}}
    ground = prepare(scenario(4, clusters_extra={**extra, "site-0004": {"initial": "Upgraded"}}))

    run = play(ground, "P O U", "--check")

    assert "step 1 [Prep]: would go to Prep site-0001" in run.words
    assert "step 3 [Upgrade]: would go to Upgrade site-0002" in run.words
    assert not any(ground.writes().values())
    assert not ground.outcome_file.exists()


# --- killed and run again -----------------------------------------------------------------------------------------


def asked(name: str, stage: str) -> Callable[[Playground], bool]:
    return lambda ground: stage in ground.stages(name)


@pytest.mark.parametrize(
    ("step", "moment", "number"),
    [
        (1, asked("site-0002", "Prep"), signal.SIGKILL),
        (2, asked("site-0001", "Idle"), signal.SIGKILL),
        (2, asked("site-0001", "Idle"), signal.SIGTERM),
        (3, asked("site-0002", "Upgrade"), signal.SIGKILL),
        (3, asked("site-0002", "Upgrade"), signal.SIGTERM),
        (5, asked("site-0003", "Idle"), signal.SIGKILL),
    ],
    ids=["Prep-KILL", "Abort-KILL", "Abort-TERM", "Upgrade-KILL", "Upgrade-TERM", "Finalize-KILL"],
)
def test_a_plan_that_was_killed_goes_on(
    prepare: Prepare, step: int, moment: Callable[[Playground], bool], number: signal.Signals
) -> None:
    troubles = {"site-0001": TROUBLES["site-0001"]}
    ground = prepare({**scenario(3, troubles=troubles), "speed": KILL_SPEED})
    letters = plan("P O U O F")

    with ground.start(str(playbook(ground)), the_plan=letters) as started:
        until(lambda: moment(ground), 60, f"step {step} has begun")
        started.kill(number, started.processes())
        started.wait_until_gone()
    run = play(ground, "", the_plan=letters)

    assert run.code == 2, run.output
    assert ground.stages("site-0001") == ["Prep", "Idle"], "what was aborted is not prepared again"
    assert ground.stages("site-0002") == ground.stages("site-0003") == UP
    assert [run.outcomes[name]["result"] for name in names(1, 2, 3)] == ["failed", "done", "done"]
    assert run.outcomes["site-0001"]["message"] == "the seed image is not for this cluster"
    assert run.outcomes["site-0001"]["completed"] == ["AbortOnFailure"]
    assert not ground.refusals()


def test_an_aborted_plan_that_was_killed_prepares_nobody_again(prepare: Prepare) -> None:
    ground = prepare({**scenario(3), "speed": KILL_SPEED})
    letters = plan("P A")

    with ground.start(str(playbook(ground)), the_plan=letters) as started:
        until(lambda: any("Idle" in ground.stages(name) for name in names(1, 2, 3)), 60, "the abort has begun")
        started.kill(signal.SIGKILL, started.processes())
        started.wait_until_gone()
    run = play(ground, "", the_plan=letters)

    assert run.code == 0, run.output
    assert all(ground.stages(name) == ["Prep", "Idle"] for name in names(1, 2, 3))
    assert run.named("done") == names(1, 2, 3)


def test_a_plan_that_has_grown_goes_on_behind_its_last_step(prepare: Prepare) -> None:
    ground = prepare(scenario(2, troubles={"site-0001": TROUBLES["site-0001"]}))
    play(ground, "P O")

    run = play(ground, "P O U")

    assert ground.stages("site-0001") == ["Prep", "Idle"]
    assert ground.stages("site-0002") == ["Prep", "Upgrade"]
    assert [run.outcomes[name]["result"] for name in names(1, 2)] == ["failed", "done"]


def test_another_plan_begins_anew(prepare: Prepare) -> None:
    ground = prepare(scenario(1, troubles={"site-0001": TROUBLES["site-0001"]}))
    play(ground, "P O")
    ground.fleet.control.heal("site-0001", "prep_failed")

    run = play(ground, "PU")

    assert run.code == 0, run.output
    assert ground.stages("site-0001") == ["Prep", "Idle", "Prep", "Upgrade"]
    assert run.outcomes["site-0001"]["notes"] == []


def test_a_step_that_failed_is_tried_again_once_the_cluster_is_mended(prepare: Prepare) -> None:
    ground = prepare(scenario(1, troubles={"site-0001": TROUBLES["site-0001"]}))
    assert play(ground, "P U").code == 2
    assert play(ground, "P U").code == 2, "nothing has changed"
    assert ground.stages("site-0001") == ["Prep"]
    ground.fleet.control.heal("site-0001", "prep_failed")
    assert ground.play("abort", ibu_outcome_file=str(ground.directory / "abort.json")).code == 0

    run = play(ground, "P U")

    assert run.code == 0, run.output
    assert ground.stages("site-0001") == ["Prep", "Idle", "Prep", "Upgrade"]
