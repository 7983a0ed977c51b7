# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `plan`, as users write it and as they get it wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import PlannedStep, parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption


def step(actions: Any = ("Prep",), **strategy: Any) -> dict[str, Any]:
    return {"actions": list(actions), "rolloutStrategy": {"maxConcurrency": 5, **strategy}}


def test_both_spellings_mean_the_same() -> None:
    ours = {"actions": ["Prep"], "rollout_strategy": {"max_concurrency": "5", "timeout_per_cluster": "7.5"}}

    assert parse_plan([step(timeoutPerCluster=7.5)]) == parse_plan([ours])
    assert parse_plan([ours]) == (PlannedStep(("Prep",), 5, None, 7.5),)


def test_numbers_may_be_text_as_the_command_line_gives_them() -> None:
    assert parse_plan([step(timeout="60")]) == (PlannedStep(("Prep",), 5, 60),)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("Prep", "plan: 'Prep' is not valid; give a list of steps"),
        (["Prep"], "plan step 1: 'Prep' is not valid; give {actions"),
        ([step(), {"actions": []}], "plan step 2 actions: .* give a list of one action or more"),
        ([{"actions": "Prep"}], "plan step 1 actions: 'Prep'"),
        ([{**step(), "when": 1}], "plan step 1: 'when' .* known here are actions, rolloutStrategy"),
        ([step(maxconcurrency=1)], "plan step 1 rolloutStrategy: 'maxconcurrency'"),
        ([{"actions": ["Prep"]}], "plan step 1 maxConcurrency: None"),
        ([step(maxConcurrency=0)], "plan step 1 maxConcurrency: 0 .* all clusters at once"),
        ([step(maxConcurrency=-3)], "plan step 1 maxConcurrency: -3"),
        ([step(maxConcurrency=True)], "plan step 1 maxConcurrency: True"),
        ([step(maxConcurrency="5%")], "plan step 1 maxConcurrency: '5%' .* number of clusters"),
        ([step(max_concurrency=5)], "'max_concurrency' .* given twice"),
        ([step(timeout=0)], "plan step 1 timeout: 0 .* whole minutes"),
        ([step(timeout=1.5)], "plan step 1 timeout: 1.5"),
        ([step(timeoutPerCluster=0)], "plan step 1 timeoutPerCluster: 0 .* above 0"),
        ([step(timeoutPerCluster="soon")], "plan step 1 timeoutPerCluster: 'soon'"),
        ([step(timeoutPerCluster="nan")], "plan step 1 timeoutPerCluster: 'nan'"),
    ],
)
def test_what_is_wrong_is_named_with_its_step(plan: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        parse_plan(plan)
