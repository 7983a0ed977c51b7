# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and Restores made at random: valid ones, and ones in which something has been broken."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_schema import SPECS, Shape

Document = dict[str, Any]
SEED = 20261
_WORDS = ("a", "test", "secrets", "persistentVolumes", "10m", "*", "x.example.com", "")
_WRONG = (None, True, 7, 1.5, 2.0, "", "text", "true", [], ["a"], [7], {}, {"a": "b"}, {"a": 7}, [{}], [None])
_NAMES = ("small-app", "a", "a.b-c.example", "a" * 253)
_WRONG_NAMES = ("Small", "a_b", "-a", "a-", "a..b", "a" * 254, "", " ", 5, None, True, ["a"])
_WRONG_VALUES = ("a b", "-a", "a/b", "x" * 64, 5, True, 1.5, ["a"], {"a": "b"})
_WRONG_KEYS = ("a b", "-a", "a/b/c", "Upper.Example/a", "/a", "a/", "x" * 64)


def documents(count: int) -> Iterator[Document]:
    """So many of each kind; about every third is as it was made, which is valid."""
    chance = random.Random(SEED)
    for kind in sorted(SPECS):
        for _ in range(count):
            document = _valid(kind, chance)
            for _ in range(chance.choice((0, 1, 1, 2))):
                _break(document, chance)
            yield document


def _valid(kind: str, chance: random.Random) -> Document:
    metadata: Document = {"name": chance.choice(_NAMES), "namespace": "openshift-adp"}
    if chance.random() < 0.7:
        metadata["labels"] = {"velero.io/storage-location": "default", "b": None}
    if chance.random() < 0.5:
        metadata["annotations"] = {"lca.openshift.io/apply-wave": "3", "Any/thing": "goes / here ", "c": None}
    return {"apiVersion": "velero.io/v1", "kind": kind, "metadata": metadata, "spec": _value(SPECS[kind], chance)}


def _value(shape: Shape, chance: random.Random) -> Any:
    if shape.nullable and chance.random() < 0.1:
        return None
    if shape.words:
        return chance.choice(shape.words)
    if shape.type == "string":
        return chance.choice(_WORDS)
    if shape.type == "boolean":
        return chance.random() < 0.5
    if shape.type == "integer":
        return chance.choice((0, 3, 2**40, -1))
    if shape.type == "array":
        assert shape.values is not None
        return [_value(shape.values, chance) for _ in range(chance.randint(1 if shape.not_empty else 0, 2))]
    return _object(shape, chance)


def _object(shape: Shape, chance: random.Random) -> Document:
    if shape.values is not None:
        return {word: _value(shape.values, chance) for word in chance.sample(_WORDS, 2)}
    made = {
        name: _value(inner, chance)
        for name, inner in shape.fields.items()
        if name in shape.required or chance.random() < 0.3
    }
    if shape.any_fields or chance.random() < 0.05:
        made["anything"] = chance.choice(_WRONG)
    return made


# --- breaking -----------------------------------------------------------------------------------------------------


def _break(document: Document, chance: random.Random) -> None:
    """Change one place of it; not every change makes it invalid."""
    metadata = document["metadata"]
    what = chance.random()
    if what < 0.1:
        metadata["name"] = chance.choice(_WRONG_NAMES)
    elif what < 0.25:
        _break_section(metadata, chance)
    elif what < 0.3:
        document[chance.choice(("spec", "status"))] = copy.deepcopy(chance.choice(_WRONG))
    else:
        _break_spec(document, chance)


def _break_section(metadata: Document, chance: random.Random) -> None:
    section = chance.choice(("labels", "annotations"))
    if not isinstance(metadata.get(section), dict):
        metadata[section] = {}
    how = chance.random()
    if how < 0.2:
        metadata[section] = copy.deepcopy(chance.choice(_WRONG))
    elif how < 0.6:
        metadata[section]["broken"] = copy.deepcopy(chance.choice(_WRONG_VALUES))
    else:
        metadata[section][chance.choice(_WRONG_KEYS)] = "fine"


def _break_spec(document: Document, chance: random.Random) -> None:
    places = list(_places(document.get("spec")))
    if not places:
        return
    holder, key = chance.choice(places)
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(_WRONG))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value, as its holder and key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield value, key
        yield from _places(one)
