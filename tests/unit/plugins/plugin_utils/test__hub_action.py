# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hub of a group upgrade, which may be busy for a moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Refused, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import HubAction

from ..module_utils.servers import Server, running

BUSY = (503, {}, [b"apiserver is shutting down"])


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def hub(server: Server) -> GroupHub:
    return GroupHub(HubAction.open_hub({"host": server.url}), "ibu", "north")


def test_what_is_sent_to_a_busy_hub_is_sent_again(server: Server, hub: GroupHub) -> None:
    server.first = [BUSY, BUSY]

    hub.patch({"spec": {}}, dry_run=False)

    assert [method for method, _path, _headers, _body in server.requests] == ["PATCH"] * 3


def test_who_follows_a_plan_is_told_of_a_silence_at_once(server: Server, hub: GroupHub) -> None:
    server.answer = BUSY

    with pytest.raises(Unanswered, match="shutting down"):
        hub.look()
    with pytest.raises(Unanswered, match="shutting down"):
        hub.failures("north-prep-0")

    assert len(server.requests) == 2


def test_a_refusal_is_not_asked_for_twice(server: Server, hub: GroupHub) -> None:
    server.answer = (422, {}, [b'{"message": "plan is immutable"}'])

    with pytest.raises(Refused, match="immutable"):
        hub.patch({"spec": {}}, dry_run=False)

    assert len(server.requests) == 1
