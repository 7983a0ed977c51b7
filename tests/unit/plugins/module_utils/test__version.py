# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of releases."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._version import is_newer, is_valid

# From the oldest to the newest: the example of semver.org, item 11, among releases as they are named in practice.
IN_ORDER = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "4.9.50",
    "4.16.0-ec.6",
    "4.16.0-rc.0",
    "4.16.0",
    "4.16.8",
    "4.16.10",
    "4.17.0-0.nightly-2024-09-01-120000",
    "4.17.0",
    "10.0.0",
]


@pytest.mark.parametrize(("older", "newer"), [*itertools.combinations(IN_ORDER, 2)])
def test_every_release_comes_after_those_before_it(older: str, newer: str) -> None:
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


@pytest.mark.parametrize("version", [*IN_ORDER, "4.16.0+build.7", "4.16.0-rc.1+7"])
def test_nothing_is_newer_than_itself(version: str) -> None:
    assert is_valid(version)
    assert not is_newer(version, version)


def test_a_build_says_nothing_about_the_order() -> None:
    assert not is_newer("4.16.0+2", "4.16.0+1")
    assert not is_newer("4.16.0+1", "4.16.0")


@pytest.mark.parametrize(
    "text", ["", "4.16", "4.16.0.1", "v4.16.0", "04.16.0", "4.16.0-", "4.16.0-a..b", "latest", "4.16.0 ", "4.16.x"]
)
def test_what_is_no_version(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(ValueError, match="X.Y.Z"):
        is_newer(text, "4.16.0")
    with pytest.raises(ValueError, match="X.Y.Z"):
        is_newer("4.16.0", text)


NUMBERS = st.tuples(*[st.integers(0, 120)] * 3)


@given(NUMBERS, NUMBERS)
def test_numbers_are_compared_as_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert is_newer(".".join(map(str, one)), ".".join(map(str, other))) is (one > other)
