# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option plan: both spellings are taken, and what is wrong is named with its step, its value and the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import PERMITTED, Step
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep, parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption


def step(**strategy: Any) -> dict[str, Any]:
    return {"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 5, **strategy}}


def refusal(value: object) -> tuple[str, object, str]:
    with pytest.raises(InvalidOption) as caught:
        parse_plan(value)
    return caught.value.option, caught.value.value, caught.value.remedy


def test_a_plan_in_the_apis_spelling() -> None:
    plan = [
        {"actions": ["Prep", "Upgrade"], "rolloutStrategy": {"maxConcurrency": 10, "timeout": 240}},
        {"actions": ["AbortOnFailure"], "rolloutStrategy": {"maxConcurrency": 5}},
    ]

    assert parse_plan(plan) == (PlannedStep(("Prep", "Upgrade"), 10, 240), PlannedStep(("AbortOnFailure",), 5))


def test_a_plan_in_ansibles_spelling_is_the_same_plan() -> None:
    theirs = [step(timeout=60), step(timeoutPerCluster=7.5)]
    ours = json.loads(
        json.dumps(theirs)
        .replace("rolloutStrategy", "rollout_strategy")
        .replace("maxConcurrency", "max_concurrency")
        .replace("timeoutPerCluster", "timeout_per_cluster")
    )

    assert ours != theirs
    assert parse_plan(ours) == parse_plan(theirs)


def test_numbers_of_the_command_line_are_text() -> None:
    assert parse_plan([step(maxConcurrency="5", timeout="60", timeoutPerCluster="7.5")]) == (
        PlannedStep(("Prep",), 5, 60, 7.5),
    )


@pytest.mark.parametrize("shape", PERMITTED)
def test_what_the_hub_has_is_taken(shape: tuple[tuple[str, ...], ...]) -> None:
    plan = [Step(actions, 3, 30).as_spec() for actions in shape]

    assert parse_plan(plan) == tuple(PlannedStep(actions, 3, 30) for actions in shape)


@pytest.mark.parametrize("concurrency", [0, -1, "0"])
def test_a_concurrency_that_would_mean_everybody_is_refused(concurrency: object) -> None:
    option, value, remedy = refusal([step(), step(maxConcurrency=concurrency)])

    assert (option, value) == ("plan step 2 maxConcurrency", concurrency)
    assert "all clusters at once" in remedy


@pytest.mark.parametrize(
    ("value", "option"),
    [
        (None, "plan"),
        ("Prep", "plan"),
        ({"actions": ["Prep"]}, "plan"),
        (["Prep"], "plan step 1"),
        ([step(), {"rolloutStrategy": {"maxConcurrency": 5}}], "plan step 2 actions"),
        ([{**step(), "actions": []}], "plan step 1 actions"),
        ([{**step(), "actions": "Prep"}], "plan step 1 actions"),
        ([{**step(), "action": ["Prep"]}], "plan step 1"),
        ([{"actions": ["Prep"]}], "plan step 1 maxConcurrency"),
        ([{"actions": ["Prep"], "rolloutStrategy": 5}], "plan step 1 rolloutStrategy"),
        ([{**step(), "rollout_strategy": {"maxConcurrency": 5}}], "plan step 1"),
        ([step(max_concurrency=5)], "plan step 1 rolloutStrategy"),
        ([step(canaries=["a"])], "plan step 1 rolloutStrategy"),
        ([step(maxConcurrency=True)], "plan step 1 maxConcurrency"),
        ([step(maxConcurrency="50%")], "plan step 1 maxConcurrency"),
        ([step(maxConcurrency=2.5)], "plan step 1 maxConcurrency"),
        ([step(timeout=0)], "plan step 1 timeout"),
        ([step(timeout="1h")], "plan step 1 timeout"),
        ([step(timeout=True)], "plan step 1 timeout"),
        ([step(timeoutPerCluster=0)], "plan step 1 timeoutPerCluster"),
        ([step(timeoutPerCluster="soon")], "plan step 1 timeoutPerCluster"),
        ([step(timeoutPerCluster=float("nan"))], "plan step 1 timeoutPerCluster"),
        ([step(timeoutPerCluster=float("inf"))], "plan step 1 timeoutPerCluster"),
        ([step(timeoutPerCluster=True)], "plan step 1 timeoutPerCluster"),
    ],
)
def test_what_nobody_could_follow_is_refused(value: object, option: str) -> None:
    found, _value, remedy = refusal(value)

    assert found == option
    assert remedy


def test_the_option_is_named_as_the_user_knows_it() -> None:
    with pytest.raises(InvalidOption, match="ibu_plan step 1 actions is not set; give a list"):
        parse_plan([{}], "ibu_plan")
