# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster is, two clusters are."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted, has_have, is_are


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 clusters"), (1, "1 cluster"), (1.0, "1 cluster"), (0.6, "0.6 clusters"), (240, "240 clusters")],
)
def test_only_one_has_no_plural(number: float, words: str) -> None:
    assert counted(number, "cluster") == words


def test_the_verb_goes_with_the_number() -> None:
    assert [is_are(number) for number in (0, 1, 2)] == ["are", "is", "are"]
    assert [has_have(number) for number in (0, 1, 2)] == ["have", "has", "have"]


def test_large_numbers_stay_whole() -> None:
    assert counted(3_500_000, "cluster") == "3500000 clusters"
