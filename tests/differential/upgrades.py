# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server says about changes of an upgrade, of our kind and of the upstream one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from differential.conftest import Twin
from differential.many import Many, Question
from differential.states import State
from fleetsim.patches import merge
from kubeapi import KubeApi
from kubeapi.client import MERGE_PATCH

Document = dict[str, Any]
Verdicts = tuple[Document, ...]


def create(twin: Twin, spec: Document, name: str = "upgrade") -> Document:
    """Try to create an upgrade; the verdict."""
    document = {"apiVersion": twin.api_version, "kind": twin.kind, "metadata": {"name": name}, "spec": spec}
    return twin.verdict(twin.api.create(twin.list_path, document))


def put(twin: Twin, state: State, held: Document) -> None:
    """Bring the upgrade into this state, as the Lifecycle Agent would."""
    path = f"{twin.list_path}/upgrade"
    twin.api.delete(path)
    assert create(twin, {"stage": state.stage, **held})["code"] == 201
    if status := state.status():
        twin.api.merge(f"{path}/status", {"status": status}).ok()


def attempt(twin: Twin, spec: Document) -> Document:
    """Try to change the spec without changing it; the verdict."""
    return twin.verdict(twin.api.merge(f"{twin.list_path}/upgrade", {"spec": spec}, dryRun="All"))


class Judge:
    """Nothing is asked twice: changes that make the same spec out of the same upgrade get one answer."""

    def __init__(self, server: KubeApi, twins: Sequence[Twin]) -> None:
        self._twins, self._many = twins, Many(server)
        self._known: dict[tuple[State, str, str], Verdicts] = {}

    def verdicts(self, state: State, held: Document, asked: Sequence[Document]) -> list[Verdicts]:
        """For each of these changes of an upgrade in this state what is said of our kind and of the upstream one."""
        before = {"stage": state.stage, **held}
        keys = [(state, _text(before), _text(merge(before, change))) for change in asked]
        new = {key: change for key, change in zip(keys, asked, strict=True) if key not in self._known}
        if new:
            told = [self._ask(twin, state, held, list(new.values())) for twin in self._twins]
            self._known.update(zip(new, zip(*told, strict=True), strict=True))
        return [self._known[key] for key in keys]

    def _ask(self, twin: Twin, state: State, held: Document, asked: Sequence[Document]) -> list[Document]:
        put(twin, state, held)
        path = f"{twin.list_path}/upgrade?dryRun=All"
        replies = self._many.ask([Question("PATCH", path, {"spec": change}, MERGE_PATCH) for change in asked])
        return [twin.verdict(reply) for reply in replies]


def _text(spec: Document) -> str:
    return json.dumps(spec, sort_keys=True)
