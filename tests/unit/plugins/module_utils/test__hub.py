# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hub's auto-import: one patch to hold it back, one to let it go."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import HubImport
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Refused, Unanswered

PATH = "/apis/cluster.open-cluster-management.io/v1/managedclusters/site-0001"
KEY = "import.open-cluster-management.io/disable-auto-import"


class FakeHub:
    url = "https://hub.example.com:6443"

    def __init__(self, error: Exception | None = None, **annotations: str) -> None:
        self.error = error
        self.annotations = annotations
        self.calls: list[Any] = []

    def get(self, path: str) -> Reply:
        if self.error:
            raise self.error
        return Reply({"metadata": {"annotations": self.annotations} if self.annotations else {}}, None)

    def merge_patch(self, path: str, document: dict[str, Any]) -> None:
        self.calls.append((path, document["metadata"]["annotations"]))
        if self.error:
            raise self.error
        self.annotations.update(document["metadata"]["annotations"])

    def close(self) -> None:
        self.calls.append("close")


def hub_import(hub: FakeHub) -> HubImport:
    return HubImport(lambda: hub, "site-0001")  # type: ignore[arg-type, return-value]


def test_hold_and_release_touch_one_annotation_and_close_the_connection() -> None:
    hub = FakeHub()
    held = hub_import(hub)

    held.hold()
    held.release()

    assert hub.calls == [(PATH, {KEY: "true"}), "close", (PATH, {KEY: None}), "close"]


@pytest.mark.parametrize("annotations", [{}, {"other": "true"}], ids=["none", "another"])
def test_nothing_is_written_to_a_cluster_that_is_not_held_back(annotations: dict[str, str]) -> None:
    hub = FakeHub(**annotations)

    hub_import(hub).release()

    assert hub.calls == ["close"]


def test_the_hub_is_not_contacted_before_it_is_needed() -> None:
    def refuse() -> Any:
        raise AssertionError("opened too early")

    HubImport(refuse, "site-0001")


def test_a_cluster_that_the_hub_does_not_know() -> None:
    hub = FakeHub(NotThere("not found"))

    with pytest.raises(
        IbuError, match=r"hub\.example\.com:6443 has no ManagedCluster 'site-0001'.*ibu_managed_cluster"
    ):
        hub_import(hub).hold()

    assert hub.calls[-1] == "close"


@pytest.mark.parametrize("error", [Unanswered("connect", "refused"), Refused("no", 422)], ids=["silent", "refusing"])
def test_a_hub_in_trouble_speaks_for_itself(error: IbuError) -> None:
    hub = FakeHub(error)

    with pytest.raises(type(error), match=str(error)):
        hub_import(hub).release()

    assert hub.calls[-1] == "close"
