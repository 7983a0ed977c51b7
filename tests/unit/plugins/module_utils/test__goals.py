# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From options to goals."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import (
    count_of,
    goals_of,
    seconds_of,
    timeouts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption, SeedImage

SEED = {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}


def prep(**values: Any) -> Any:
    return goals_of([Action.PREP], values, "ibu_")[0]


@pytest.mark.parametrize("key", ["pullSecretRef", "pull_secret_ref"])
def test_the_apis_spelling_is_taken_too(key: str) -> None:
    assert prep(seed_image_ref={**SEED, key: {"name": "pull"}}).seed == SeedImage(**SEED, pull_secret="pull")


def test_what_is_not_given_stays_open_and_an_empty_list_clears() -> None:
    found = prep(oadp_content=[])

    assert (found.seed, found.oadp_content, found.extra_manifests, found.init_monitor_timeout) == (None, (), None, None)


def test_only_the_way_up_knows_a_seed() -> None:
    goals = goals_of(list(Action), {"seed_image_ref": SEED})

    assert {goal.action for goal in goals if goal.seed} == {Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed_image_ref", "4.17.3"),
        ("seed_image_ref", {"version": "4.17.3"}),
        ("seed_image_ref", {**SEED, "version": 4.17}),
        ("seed_image_ref", {**SEED, "tag": "x"}),
        ("seed_image_ref", {**SEED, "pullSecretRef": {"nom": "x"}}),
        ("oadp_content", "cm"),
        ("oadp_content", [{"name": "cm"}]),
        ("extra_manifests", [{"name": "cm", "namespace": "n", "key": "k"}]),
        ("auto_rollback_on_failure", {"initMonitorTimeoutSeconds": -1}),
        ("auto_rollback_on_failure", {"initMonitorTimeoutSeconds": "soon"}),
        ("auto_rollback_on_failure", {"seconds": 5}),
        ("annotations", ["a"]),
    ],
)
def test_bad_values_name_option_value_and_form(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        prep(**{option: value})

    assert caught.value.option.startswith(f"ibu_{option}")
    assert "give" in str(caught.value)


@pytest.mark.parametrize("value", ["x", -1, float("inf"), None])
def test_bad_seconds(value: Any) -> None:
    with pytest.raises(InvalidOption, match="seconds"):
        seconds_of("soak", value)


def test_timeouts() -> None:
    assert timeouts_of("timeouts", {"Prep": "60"}) == {Action.PREP: 60.0}
    with pytest.raises(InvalidOption, match="Prepp"):
        timeouts_of("timeouts", {"Prepp": 60})
    with pytest.raises(InvalidOption, match=r"timeouts\.Prep"):
        timeouts_of("timeouts", {"Prep": 0})


def test_counts() -> None:
    assert (count_of("concurrency", 0), count_of("max_failures", None)) == (0, None)
    with pytest.raises(InvalidOption, match="concurrency"):
        count_of("concurrency", -1)
