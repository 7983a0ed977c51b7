# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests in ConfigMaps, as the agent reads them: documents, waves, and one dry run of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from fleetsim.agent import StageFailed
from fleetsim.ports import Object
from fleetsim.troubles import PREP_FAILURES
from fleetsim.yamls import read_all

if TYPE_CHECKING:
    from fleetsim.agent import Agent

LAST_WAVE = 2147483647
WAVE = "lca.openshift.io/apply-wave"
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def refused(name: str, /, **params: object) -> StageFailed:
    """The failure of that name, in the agent's words."""
    known = PREP_FAILURES[name]
    return StageFailed(known.message.format(**{**known.params, **params}))


class Undecodable(Exception):
    """The text is no manifest."""


def documents(text: str) -> Iterator[Object]:
    """Every document that is not empty. A document without a kind is none."""
    try:
        found = read_all(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Undecodable(f"yaml: line {line}: {error.problem}") from None
    for document in found:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise Undecodable(f"json: cannot unmarshal {_go_type(document)} into Go value of type map[string]interface")
        if not document.get("kind"):
            raise Undecodable(f"Object 'Kind' is missing in '{json.dumps(document, separators=(',', ':'))}'")
        yield document


def _go_type(value: Any) -> str:
    return {"list": "array", "str": "string", "bool": "bool"}.get(type(value).__name__, "number")


def meta_of(document: Object) -> Object:
    meta = document.get("metadata")
    return meta if isinstance(meta, dict) else {}


def annotation(document: Object, key: str) -> str:
    """One annotation that is no string takes all of them away, as in any client of Kubernetes."""
    notes = meta_of(document).get("annotations")
    if not isinstance(notes, dict) or any(not isinstance(text, str) for text in notes.values()):
        return ""
    return str(notes.get(key) or "")


def by_wave(found: list[Object]) -> list[Object]:
    """Ascending waves, names inside a wave. ValueError for a wave that is no integer."""
    keyed = []
    for document in found:
        text = annotation(document, WAVE)
        if text and not _INTEGER.fullmatch(text):
            raise ValueError(f"strconv.Atoi: parsing {json.dumps(text)}: invalid syntax")
        keyed.append((int(text) if text else LAST_WAVE, str(meta_of(document).get("name", "")), document))
    return [document for _, _, document in sorted(keyed, key=lambda one: one[:2])]


async def config_maps(a: Agent, field: str, missing: str) -> list[tuple[str, Object]]:
    """The ConfigMaps that a field of the spec names, each once."""
    found: list[tuple[str, Object]] = []
    seen = set()
    for ref in a.spec.get(field) or ():
        if (ref["namespace"], ref["name"]) in seen:
            continue
        seen.add((ref["namespace"], ref["name"]))
        config = await a.api.get("configmaps", ref["name"], ref["namespace"])
        if config is None:
            raise refused(missing, name=ref["name"])
        found.append((ref["name"], config))
    return found
