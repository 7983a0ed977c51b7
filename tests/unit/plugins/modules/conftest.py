# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules from their options to their JSON, against an API that the test plays."""

from __future__ import annotations

import contextlib
import copy
import datetime
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _module
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import IBU_COLLECTION, IBU_PATH, VERSION_PATH
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere

testing = pytest.importorskip("ansible.module_utils.testing", reason="ansible-core 2.16 cannot patch module options")

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
Run = Callable[..., dict[str, Any]]


class FakeApi:
    """A session with the API of one cluster. ``refusals`` are what a patch meets, ``sent`` what it brought."""

    url = "https://api.site-0001.example.com:6443"

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {VERSION_PATH: {"status": {"desired": {"version": "4.16.8"}}}}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.sent: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.events: list[dict[str, Any]] = []
        self.refusals: list[Exception] = []
        self.options: dict[str, Any] = {}

    def show(self, stage: str, allowed: list[str], *conditions: tuple[str, str, str, str], version: str = "") -> None:
        """Put the cluster into a state."""
        self.objects[IBU_PATH] = ibu(stage, allowed, *conditions)
        if version:
            self.objects[VERSION_PATH] = {"status": {"desired": {"version": version}}}

    def get(self, path: str, **_query: Any) -> Reply:
        found = self.objects.get(path, NotThere(f"{path} not found"))
        if isinstance(found, Exception):
            raise found
        return Reply(copy.deepcopy(found), NOW)

    def list(self, path: str, **_query: Any) -> list[dict[str, Any]]:
        return self.lists.get(path, [])

    def merge_patch(self, path: str, document: dict[str, Any], **query: Any) -> Reply:
        self.sent.append((document, query))
        for refusal in self.refusals:
            raise refusal
        changed = copy.deepcopy(self.objects[path])
        changed["spec"].update(document["spec"])
        changed["metadata"]["generation"] += 1
        return Reply(changed, NOW)

    def watch(self, path: str, **_query: Any) -> Iterator[dict[str, Any]]:
        assert path == IBU_COLLECTION
        yield from self.events

    def repeating(self, _repeat: object) -> contextlib.nullcontext[None]:
        """Whatever it is asked, it answers."""
        return contextlib.nullcontext()

    def probe(self) -> None:
        """Somebody listens."""

    def close(self) -> None:
        """Nothing to drop."""


def ibu(stage: str, allowed: list[str], *conditions: tuple[str, str, str, str], generation: int = 3) -> dict[str, Any]:
    return {
        "metadata": {"name": "upgrade", "uid": "a", "generation": generation, "resourceVersion": "7"},
        "spec": {"stage": stage, "seedImageRef": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}},
        "status": {
            "observedGeneration": generation,
            "validNextStages": allowed,
            "conditions": [
                dict(zip(("type", "status", "reason", "message"), condition, strict=True)) for condition in conditions
            ],
        },
    }


IDLE = ("Idle", "True", "Idle", "Idle")
PREPARED = ("PrepCompleted", "True", "Completed", "Prep stage completed successfully")
UPGRADED = ("UpgradeCompleted", "True", "Completed", "Upgrade completed")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    api = FakeApi()

    def open_session(options: dict[str, Any]) -> FakeApi:
        api.options = options
        return api

    monkeypatch.setattr(_module._session, "open_session", open_session)
    monkeypatch.setattr(_module, "_DEFAULT_KUBECONFIG", "/nowhere/kubeconfig")
    return api


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a module's main() with options, and return what it prints."""

    def run(module: ModuleType, **options: Any) -> dict[str, Any]:
        with testing.patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        found: dict[str, Any] = json.loads(capfd.readouterr().out)
        found.pop("invocation", None)
        return found

    return run
