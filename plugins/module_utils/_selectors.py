# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Label selectors as ImageBasedGroupUpgrade ``spec.clusterLabelSelectors`` means them. Pure.

Inside one selector every requirement counts; several selectors are alternatives. What the API would refuse is refused
here, with the place in the option; a misspelt key is refused too, because the API would drop it and select more.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

IN = "In"
NOT_IN = "NotIn"
EXISTS = "Exists"
DOES_NOT_EXIST = "DoesNotExist"

_OPERATORS = (IN, NOT_IN, EXISTS, DOES_NOT_EXIST)
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PREFIX_LENGTH = 253


@dataclass(frozen=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: t.Mapping[str, str]) -> bool:
        """True where the labels meet it. ``NotIn`` is met by a label that is not there."""
        if self.operator == EXISTS:
            return self.key in labels
        if self.operator == DOES_NOT_EXIST:
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == IN)

    @property
    def query(self) -> str:
        """The same in the syntax of the query parameter ``labelSelector``."""
        if self.operator == EXISTS:
            return self.key
        if self.operator == DOES_NOT_EXIST:
            return f"!{self.key}"
        return f"{self.key} {'in' if self.operator == IN else 'notin'} ({','.join(sorted(self.values))})"


@dataclass(frozen=True)
class Selector:
    """One entry of ``clusterLabelSelectors``. Without requirements it selects everything, as the API has it."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: t.Mapping[str, str]) -> bool:
        """True where the labels meet all requirements."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def query(self) -> str:
        """The query parameter ``labelSelector``; empty for everything."""
        return ",".join(requirement.query for requirement in self.requirements)


def matches_any(selectors: t.Iterable[Selector], labels: t.Mapping[str, str]) -> bool:
    """True where one of the selectors selects an object with these labels. No selector selects nothing."""
    return any(selector.matches(labels) for selector in selectors)


def parse_selectors(value: object, option: str) -> tuple[Selector, ...]:
    """The selectors of an option. Raises InvalidOption, which names the place inside the option."""
    if not isinstance(value, (list, tuple)):
        raise InvalidOption(option, value, "give a list of label selectors")
    return tuple(parse_selector(entry, f"{option}[{index}]") for index, entry in enumerate(value))


def parse_selector(value: object, option: str) -> Selector:
    """One label selector. Raises InvalidOption."""
    given = _fields(value, ("matchLabels", "matchExpressions"), option)
    labels = given.get("matchLabels") or {}
    if not isinstance(labels, dict):
        raise InvalidOption(f"{option}.matchLabels", labels, "give labels and their values")
    equal = [_equality(key, wanted, f"{option}.matchLabels") for key, wanted in labels.items()]
    expressions = given.get("matchExpressions") or []
    if not isinstance(expressions, (list, tuple)):
        raise InvalidOption(f"{option}.matchExpressions", expressions, "give a list of key, operator and values")
    more = [
        _expression(entry, f"{option}.matchExpressions[{index}]")
        for index, entry in enumerate(t.cast("t.Sequence[object]", expressions))
    ]
    return Selector((*equal, *more))


def _equality(key: object, value: object, option: str) -> Requirement:
    return Requirement(_key(key, option), IN, (_value(value, f"{option}.{key}"),))


def _expression(value: object, option: str) -> Requirement:
    given = _fields(value, ("key", "operator", "values"), option)
    key = _key(given.get("key"), f"{option}.key")
    operator = given.get("operator")
    if operator not in _OPERATORS:
        raise InvalidOption(f"{option}.operator", operator, f"use one of {', '.join(_OPERATORS)}")
    values = given.get("values") or []
    if not isinstance(values, (list, tuple)):
        raise InvalidOption(f"{option}.values", values, "give a list")
    if operator in (EXISTS, DOES_NOT_EXIST) and values:
        raise InvalidOption(f"{option}.values", values, f"{operator} takes no values")
    if operator in (IN, NOT_IN) and not values:
        raise InvalidOption(f"{option}.values", values, f"{operator} needs at least one value")
    return Requirement(key, str(operator), tuple(_value(entry, f"{option}.values") for entry in values))


def _fields(value: object, known: tuple[str, ...], option: str) -> t.Mapping[str, t.Any]:
    if not isinstance(value, dict):
        raise InvalidOption(option, value, f"give a mapping with {', '.join(known)}")
    for name in value:
        if name not in known:
            raise InvalidOption(option, name, f"known here are {', '.join(known)}")
    return value


def _key(value: object, option: str) -> str:
    prefix, slash, name = value.rpartition("/") if isinstance(value, str) else ("", "", "")
    prefix_is_good = not slash or (len(prefix) <= _PREFIX_LENGTH and _PREFIX.fullmatch(prefix))
    if not prefix_is_good or not _NAME.fullmatch(name):
        raise InvalidOption(option, value, "it is no label key")
    return str(value)


def _value(value: object, option: str) -> str:
    if not isinstance(value, str):
        raise InvalidOption(option, value, "label values are strings; put it into quotes")
    if value and not _NAME.fullmatch(value):
        raise InvalidOption(option, value, "it is no label value: 63 letters, digits, '-', '_' and '.' at the most")
    return str(value)
