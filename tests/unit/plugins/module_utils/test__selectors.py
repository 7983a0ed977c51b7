# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors: what they select, what they are as a query, and what is refused."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import (
    Selector,
    matches_any,
    parse_selector,
    parse_selectors,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

NORTH = {"region": "north", "common": "", "lcm.openshift.io/ibgu-prep-completed": ""}


def expression(operator: str, *values: str, key: str = "region") -> dict[str, Any]:
    """A selector with one expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("document", "query", "selects"),
    [
        ({}, "", True),
        ({"matchLabels": None, "matchExpressions": None}, "", True),
        ({"matchLabels": {"region": "north"}}, "region in (north)", True),
        ({"matchLabels": {"region": "south"}}, "region in (south)", False),
        ({"matchLabels": {"common": ""}}, "common in ()", True),
        ({"matchLabels": {"absent": ""}}, "absent in ()", False),
        ({"matchLabels": {"region": "north", "absent": "x"}}, "region in (north),absent in (x)", False),
        (expression("In", "south", "north"), "region in (north,south)", True),
        (expression("In", "x", key="absent"), "absent in (x)", False),
        (expression("NotIn", "south"), "region notin (south)", True),
        (expression("NotIn", "north"), "region notin (north)", False),
        (expression("NotIn", "x", key="absent"), "absent notin (x)", True),
        (expression("Exists"), "region", True),
        (expression("Exists", key="absent"), "absent", False),
        (expression("DoesNotExist"), "!region", False),
        (expression("DoesNotExist", key="absent"), "!absent", True),
        (
            {"matchLabels": {"lcm.openshift.io/ibgu-prep-completed": ""}, **expression("In", "north")},
            "lcm.openshift.io/ibgu-prep-completed in (),region in (north)",
            True,
        ),
    ],
)
def test_a_selector_selects_and_asks(document: dict[str, Any], query: str, selects: bool) -> None:
    selector = parse_selector(document, "selector")
    assert selector.query == query
    assert selector.matches(NORTH) is selects


def test_several_selectors_are_alternatives_and_none_selects_nothing() -> None:
    either = parse_selectors([expression("In", "south"), expression("Exists", key="common")], "selectors")
    assert matches_any(either, NORTH)
    assert not matches_any(either[:1], NORTH)
    assert not matches_any((), NORTH)


def random_selector(rng: random.Random) -> Selector:
    """Up to three conditions on three labels with two values."""
    document: dict[str, Any] = {"matchLabels": {}, "matchExpressions": []}
    for _turn in range(rng.randint(0, 3)):
        key, operator = rng.choice("abc"), rng.choice(["equal", "In", "NotIn", "Exists", "DoesNotExist"])
        values = rng.sample(["", "1", "2"], rng.randint(1, 2))
        if operator == "equal":
            document["matchLabels"][key] = values[0]
        else:
            given = {} if operator.endswith(("Exists", "Exist")) else {"values": values}
            document["matchExpressions"].append({"key": key, "operator": operator, **given})
    return parse_selector(document, "selector")


def test_the_query_means_to_a_server_what_the_selector_means_here() -> None:
    server = pytest.importorskip("fleetsim.selectors")
    store = pytest.importorskip("fleetsim.store")
    rng = random.Random(1)
    every = [
        {key: value for key, value in zip("abc", values, strict=True) if value is not None}
        for values in itertools.product([None, "", "1", "2"], repeat=3)
    ]
    records = [store.Record({"metadata": {"name": "x", "labels": labels}}, 1) for labels in every]
    for _turn in range(500):
        selector = random_selector(rng)
        asked = server.label_selector(selector.query) or (lambda _record: True)
        for labels, record in zip(every, records, strict=True):
            assert asked(record) is selector.matches(labels), (selector, labels)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"matchLabel": {"a": "b"}}, "s[0]: 'matchLabel'"),
        ("a=b", "s[0]: 'a=b'"),
        ({"matchLabels": ["a"]}, "s[0].matchLabels: ['a']"),
        ({"matchLabels": {"version": 4.17}}, "s[0].matchLabels.version: 4.17"),
        ({"matchLabels": {"common": True}}, "s[0].matchLabels.common: True"),
        ({"matchLabels": {"common": "not a value"}}, "s[0].matchLabels.common: 'not a value'"),
        ({"matchLabels": {"a": "x" * 64}}, "s[0].matchLabels.a: 'xxx"),
        ({"matchLabels": {"-a": "b"}}, "s[0].matchLabels: '-a'"),
        ({"matchLabels": {"/a": "b"}}, "s[0].matchLabels: '/a'"),
        ({"matchLabels": {"a" * 64: "b"}}, "s[0].matchLabels: 'aaa"),
        ({"matchLabels": {"Upper.io/a": "b"}}, "s[0].matchLabels: 'Upper.io/a'"),
        ({"matchExpressions": {"key": "a"}}, "s[0].matchExpressions: {'key': 'a'}"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "s[0].matchExpressions[0].key is not set"),
        (expression("in", "a"), "s[0].matchExpressions[0].operator: 'in'"),
        (expression("In"), "s[0].matchExpressions[0].values: []"),
        (expression("NotIn"), "s[0].matchExpressions[0].values: []"),
        (expression("Exists", "a"), "s[0].matchExpressions[0].values: ['a']"),
        (expression("DoesNotExist", "a"), "s[0].matchExpressions[0].values: ['a']"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "value": ["b"]}]}, "s[0].matchExpressions[0]: 'value'"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]}, "s[0].matchExpressions[0].values: 'b'"),
    ],
)
def test_a_wrong_selector_is_refused_with_its_place(document: Any, place: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_selectors([document], "s")
    assert str(caught.value).startswith(place)


def test_one_selector_is_not_a_list() -> None:
    with pytest.raises(InvalidOption, match="give a list of label selectors"):
        parse_selectors({"matchLabels": {"a": "b"}}, "s")
