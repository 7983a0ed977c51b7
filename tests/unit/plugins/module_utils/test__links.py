# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places on shared links."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._links import Links, parse_most
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

OF = {"a": "north", "b": "north", "c": "north", "d": "south"}


def test_a_link_has_so_many_places_and_gives_them_back() -> None:
    links = Links(OF, 2)
    assert [links.enter(name) for name in ("a", "b", "c", "d", "free")] == [True, True, False, True, True]
    links.leave("free")
    links.leave("a")
    assert links.enter("c")


@pytest.mark.parametrize(
    ("most", "places"), [(0, 5), (1, 3), (2, 4), ({"north": 1}, 3), ({"south": 1}, 5), ({"north": 0}, 5), ({}, 5)]
)
def test_how_many_can_be_at_work(most: Any, places: int) -> None:
    assert Links(OF, most).places([*OF, "free"]) == places


@pytest.mark.parametrize("value", [4, "4", {"north": "4"}])
def test_numbers_may_be_text_as_from_the_command_line(value: Any) -> None:
    assert parse_most("x", value) in (4, {"north": 4})


@pytest.mark.parametrize("value", [-1, 1.5, "many", True, None, [1], {"north": -1}, {"north": None}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="ibu_link_concurrency"):
        parse_most("ibu_link_concurrency", value)
