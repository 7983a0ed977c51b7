# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failure budgets, counted as Ansible counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import (
    check_batches,
    check_percentage,
    failures,
    parse_budget,
    stops_play,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result


@pytest.mark.parametrize(
    ("budget", "failed", "fleet", "exceeded"),
    [
        ("5%", 12, 240, False),
        ("5%", 13, 240, True),
        ("5%", 1, 10, True),
        ("10%", 1, 10, False),
        ("0", 0, 10, False),
        ("0", 1, 10, True),
        ("0%", 1, 10, True),
        (3, 3, 1000, False),
        ("3", 4, 1000, True),
        ("100%", 10, 10, False),
    ],
)
def test_a_budget_must_be_exceeded(budget: object, failed: int, fleet: int, exceeded: bool) -> None:
    assert parse_budget("budget", budget).is_exceeded(failed, fleet) is exceeded


@given(st.integers(0, 100), st.integers(0, 500), st.integers(1, 500))
def test_a_share_means_what_ansible_means(share: int, failed: int, fleet: int) -> None:
    assert parse_budget("budget", f"{share}%").is_exceeded(failed, fleet) is (failed * 100 > share * fleet)


@pytest.mark.parametrize("value", ["", "x", "-1", "101%", "5 percent", "5%%"])
def test_bad_budgets_name_option_and_value(value: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_budget("budget (ibu_budget)", value)

    assert "ibu_budget" in str(caught.value) and repr(value) in str(caught.value)


def test_no_budget_at_all_is_told_so() -> None:
    with pytest.raises(InvalidOption, match=r"^budget \(ibu_budget\) is not set; give a share"):
        parse_budget("budget (ibu_budget)", None)


@pytest.mark.parametrize("value", [1, "1", "20%", "100%", [1, 5, "20%"]])
def test_good_batches(value: Any) -> None:
    check_batches("serial", value)


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", 1.5, "x", True, [], [1, 0], None])
def test_bad_batches(value: Any) -> None:
    with pytest.raises(InvalidOption, match="serial"):
        check_batches("serial", value)


@pytest.mark.parametrize(("value", "number"), [(0, 0.0), ("25", 25.0), ("25%", 25.0), (100, 100.0)])
def test_good_percentages(value: object, number: float) -> None:
    assert check_percentage("max_fail_percentage", value) == number


@pytest.mark.parametrize("value", [-1, 101, "x", None])
def test_bad_percentages(value: object) -> None:
    with pytest.raises(InvalidOption):
        check_percentage("max_fail_percentage", value)


@pytest.mark.parametrize(
    ("failed", "batch", "percentage", "stops"),
    [(1, 2, 50, False), (1, 2, 49, True), (0, 5, 0, False), (1, 5, 0, True), (1, 1, 100, True), (5, 5, 100, True)],
    ids=["equal", "exceeded", "nobody", "budget 0", "canary", "whole batch"],
)
def test_when_ansible_ends_the_play(failed: int, batch: int, percentage: float, stops: bool) -> None:
    assert stops_play(failed, batch, percentage) is stops


def test_who_is_lost_on_the_way_counts_and_who_can_go_on_does_not() -> None:
    outcomes = {str(result): Outcome(str(result), result) for result in Result}

    found = failures(outcomes, outcomes)

    assert set(found) == {
        "failed",
        "rolled_back",
        "timed_out",
        "unreachable",
        "refused",
        "unverified",
        "never_started",
    }
