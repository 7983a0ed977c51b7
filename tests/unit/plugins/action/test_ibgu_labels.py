# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose labels are compared with what, and what happens when somebody else is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.action import ibgu_labels
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import DISABLE_AUTO_IMPORT
from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction, Hold
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption, Observed, State
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_labels import Entry

from ..module_utils.groups import PREP_DONE, PREP_FAILED

STALE = Entry({PREP_FAILED: ""}, {}, "7")


class FakeHost:
    """A host whose cluster says one state after the other, and the last one for ever."""

    def __init__(self, name: str, *states: Any) -> None:
        self.name = self.managed_cluster = name
        self.states = list(states) or [State.IDLE]


class FakeHub:
    """A hub that may be silent, and on which somebody else may be faster."""

    url = "https://hub.example.com:6443"

    def __init__(self, *names: str, silent: IbuError | None = None, conflicts: int = 0) -> None:
        self.entries = dict.fromkeys(names, STALE)
        self.holds: dict[str, list[Hold]] = {}
        self.busy: dict[str, str] = {}
        self.silent, self.conflicts = silent, conflicts

    def read(self, _names: set[str]) -> None:
        if self.silent:
            raise self.silent

    def write(self, name: str, decide: Callable[[Entry, bool], Correction]) -> Correction:
        for attempt in range(self.conflicts + 1):
            found = decide(self.entries[name], attempt > 0)
        return found


@pytest.fixture(autouse=True)
def _clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(_desk: object, host: FakeHost) -> Any:
        said = host.states.pop(0) if len(host.states) > 1 else host.states[0]
        return said if isinstance(said, IbuError) else Observed(said)

    monkeypatch.setattr(ibgu_labels._Desk, "_state", state)


def desk(hub: FakeHub, *hosts: FakeHost, respect: bool = True) -> tuple[Any, dict[str, Any]]:
    found = ibgu_labels._Desk({host.name: hub for host in hosts}, 1, respect=respect)  # type: ignore[misc]
    return found, found.compare(hosts)  # type: ignore[arg-type]


def test_a_hub_that_is_silent_costs_its_own_hosts_only() -> None:
    good, bad = FakeHub("a"), FakeHub(silent=IbuError("no answer"))
    hosts = [FakeHost("a"), FakeHost("b")]
    found = ibgu_labels._Desk({"a": good, "b": bad}, 1, respect=True).compare(hosts)  # type: ignore[dict-item,arg-type]

    assert found["a"].correction.remove == (PREP_FAILED,) and not found["a"].error
    assert found["b"].error == "no answer"


def test_an_import_to_be_let_go_is_no_label_that_chooses_a_cluster() -> None:
    hub = FakeHub("a", "b", "c")
    hub.entries |= {"b": Entry({}, {DISABLE_AUTO_IMPORT: "true"}, "7"), "c": Entry({}, {}, "7")}
    _hub, rows = desk(hub, FakeHost("a"), FakeHost("b"), FakeHost("c"))
    result = ibgu_labels._result(rows)

    assert [name for name, row in result["clusters"].items() if row["changed"]] == ["a", "b"]
    assert result["relabelled"] == ["a"]


def test_an_option_that_nothing_can_be_done_with_stops_everything() -> None:
    with pytest.raises(InvalidOption):
        desk(FakeHub(silent=InvalidOption("ibu_hub_kubeconfig", "x", "no file")), FakeHost("a"))


def test_after_a_conflict_the_cluster_is_asked_again() -> None:
    host = FakeHost("a", State.IDLE, State.PREP_RUNNING)
    table, rows = desk(FakeHub("a", conflicts=1), host)

    row = table.correct([host], rows)["a"]

    assert row.correction.keep and not row.error and row.correction.reason == "it is preparing"


def test_a_cluster_that_falls_silent_after_a_conflict() -> None:
    host = FakeHost("a", State.IDLE, IbuError("gone"))
    table, rows = desk(FakeHub("a", conflicts=1), host)

    assert table.correct([host], rows)["a"].error == "the cluster does not say where it stands: gone"


@pytest.mark.parametrize("respect", [True, False])
def test_group_upgrades_hold_labels_unless_told_otherwise(respect: bool) -> None:
    hub = FakeHub("a")
    hub.holds["a"] = [Hold("ibu/north", frozenset([PREP_FAILED]))]

    row = desk(hub, FakeHost("a"), respect=respect)[1]["a"]

    assert bool(row.error) is respect and row.correction.is_needed is not respect


@pytest.mark.parametrize("respect", [True, False])
def test_a_running_step_is_respected_whatever_the_options_say(respect: bool) -> None:
    hub = FakeHub("a")
    hub.busy["a"] = "ibu/north"

    row = desk(hub, FakeHost("a"), respect=respect)[1]["a"]

    assert row.correction.keep and not row.error


def test_the_table_has_one_entry_per_finding() -> None:
    hosts = [
        FakeHost("a", IbuError("no route to a")),
        FakeHost("b"),
        FakeHost("c"),
        FakeHost("d", IbuError("refused by d")),
        FakeHost("e", State.PREP_FAILED),
        FakeHost("f", State.ABORTING),
    ]
    rows = desk(FakeHub(*"abcdef"), *hosts)[1]

    assert ibgu_labels._lines(rows, check=False) == [
        "FAILED          2  the cluster does not say where it stands: no route to a",
        "                   a d",
        "LEFT ALONE      1  it is aborting",
        "                   f",
        "CHANGED         2  ibgu-prep-failed removed: the cluster is idle",
        "                   b c",
        "AGREES          1  the cluster is prep failed",
        "                   e",
    ]


def test_the_result_says_what_every_cluster_had_and_gets() -> None:
    rows = desk(FakeHub("a", "b"), FakeHost("a"), FakeHost("b", State.PREP_COMPLETED))[1]

    result = ibgu_labels._result(rows)

    assert result["changed"] and result["failed_clusters"] == {}
    assert result["clusters"]["b"] == {
        "labels": [PREP_FAILED],
        "add": [PREP_DONE],
        "remove": [PREP_FAILED],
        "release_import": False,
        "reason": "the cluster is prepared",
        "changed": True,
    }
    assert result["diff"][0]["before"] == f"{PREP_FAILED}\n" and result["diff"][0]["after"] == ""
