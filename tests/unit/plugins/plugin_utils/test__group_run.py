# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declared group upgrade on its way to the hub: whole, step by step, stopped, and gone on with."""

from __future__ import annotations

import copy
import datetime
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import Budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import Declared
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import Member
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError
from ansible_collections.sno.image_upgrade.plugins.plugin_utils import _group_run
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._follow import Limits
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import Documents
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group_run import GroupRun, Settings

from ..module_utils.groups import PREP_DONE, SEED, SELECTORS, UPGRADE_DONE, cgu, entry, members, steps

NOW = datetime.datetime(2026, 11, 21, 1, 0, tzinfo=datetime.timezone.utc)


class FakeClock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds


class FakeHub:
    """A hub whose TALM ends every step at the second look, well for all but the clusters in `failing`."""

    url = "https://hub.example.com:6443"

    def __init__(self, everyone: list[Member], failing: Mapping[int, set[str]] | None = None) -> None:
        self.everyone = everyone
        self.failing = failing or {}
        self.document: dict[str, Any] | None = None
        self.writes: list[Any] = []
        self.missing: list[str] = []
        self.other: list[dict[str, Any]] = []
        self._looks = 0

    def read(self) -> Documents:
        if self.document is None:
            return Documents(None, [], None)
        self._looks += 1
        plan = self.document["spec"]["plan"]
        names = [member.name for member in self.everyone]
        done = len(plan) if self._looks > 1 else len(plan) - 1
        cgus = [self._cgu(plan, index, names, ended=index < done) for index in range(len(plan))]
        self.document["status"] = {"observedGeneration": 1, "clusters": [entry(name) for name in names]}
        return Documents(copy.deepcopy(self.document), cgus, NOW)

    look = read

    def _cgu(self, plan: Any, index: int, names: list[str], *, ended: bool) -> dict[str, Any]:
        bad = self.failing.get(index + 1, set())
        results = {name: "timedout" if name in bad else "complete" for name in names}
        return cgu(plan, index, [names], results if ended else {}, succeeded=not bad if ended else None)

    def members(self, selectors: Any) -> list[Member]:
        assert selectors == SELECTORS
        return self.everyone

    def others(self) -> Iterator[dict[str, Any]]:
        yield from self.other

    def failures(self, _cgu: str) -> dict[str, str]:
        return {}

    def missing_inputs(self, _spec: Any) -> list[str]:
        return self.missing

    def create(self, document: Any, *, dry_run: bool) -> None:
        self._write("create", document["spec"]["plan"], dry_run)
        if not dry_run:
            meta = {**document["metadata"], "generation": 1, "resourceVersion": "7"}
            self.document = {**copy.deepcopy(dict(document)), "metadata": meta}

    def patch(self, body: Any, *, dry_run: bool) -> None:
        assert body["metadata"]["resourceVersion"] == "7"
        self._write("patch", body.get("spec", {}).get("plan", []), dry_run)
        if not dry_run and self.document is not None:
            self.document["spec"].update(copy.deepcopy(body.get("spec", {})))
            self.document["metadata"].setdefault("annotations", {}).update(body["metadata"].get("annotations", {}))

    def _write(self, verb: str, plan: Any, dry_run: bool) -> None:
        self._looks = 0
        self.writes.append((verb, [step["actions"] for step in plan], dry_run))


class FakeInventory:
    @staticmethod
    def find(_name: str) -> None:
        return None


THREE = steps(["Prep"], ["AbortOnFailure"], ["Upgrade"])
EVERYONE = members("a", "b", "c", labels=[PREP_DONE])


def run(hub: FakeHub, plan: Any = THREE, **settings: Any) -> tuple[_group_run.Outcome, list[str]]:
    lines: list[str] = []
    declared = Declared("north", "ibu", SELECTORS, {"seedImageRef": SEED}, parse_plan(plan))
    outcome = GroupRun(
        hub,  # type: ignore[arg-type]
        declared,
        Settings(limits=Limits(poll=1), **settings),
        FakeInventory(),  # type: ignore[arg-type]
        lines.append,
        FakeClock(),  # type: ignore[arg-type]
    ).run()
    return outcome, lines


def test_whole_at_once_and_not_waited_for() -> None:
    hub = FakeHub(EVERYONE)

    outcome, _lines = run(hub)

    assert hub.writes == [("create", [["Prep"], ["AbortOnFailure"], ["Upgrade"]], False)]
    assert (outcome.changed, outcome.appended, outcome.next_step) == (True, 3, None)


def test_a_second_time_nothing_is_written() -> None:
    hub = FakeHub(EVERYONE)
    run(hub, wait=True)

    outcome, _lines = run(hub, wait=True)

    assert len(hub.writes) == 1
    assert (outcome.changed, outcome.appended) == (False, 0)


def test_step_by_step() -> None:
    hub = FakeHub(EVERYONE)

    outcome, _lines = run(hub, stepwise=True)

    assert [plan for _verb, plan, _dry in hub.writes] == [
        [["Prep"]],
        [["Prep"], ["AbortOnFailure"]],
        [["Prep"], ["AbortOnFailure"], ["Upgrade"]],
    ]
    assert (outcome.appended, outcome.stopped, outcome.next_step) == (3, "", None)


def test_a_stop_for_a_person_and_going_on() -> None:
    hub = FakeHub(EVERYONE)

    outcome, _lines = run(hub, stepwise=True, stop_after=2)
    assert (len(hub.writes), outcome.stopped, outcome.next_step) == (2, "", 3)

    outcome, _lines = run(hub, stepwise=True)
    assert (len(hub.writes), outcome.appended, outcome.next_step) == (3, 1, None)


def test_a_stop_that_is_behind_the_plan_sends_nothing_back() -> None:
    hub = FakeHub(EVERYONE)
    run(hub, stepwise=True)

    outcome, _lines = run(hub, stepwise=True, stop_after=1)

    assert (len(hub.writes), outcome.changed, outcome.next_step) == (3, False, None)


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_killed_at_any_step_it_goes_on_without_a_second_group_upgrade(killed_after: int) -> None:
    hub = FakeHub(EVERYONE)

    class Killed(Exception):
        """As if the process had gone."""

    def kill(body: Any, *, dry_run: bool) -> None:
        original(body, dry_run=dry_run)
        if len(hub.writes) == killed_after:
            raise Killed

    original: Any = hub.patch
    if killed_after > 1:
        hub.patch = kill  # type: ignore[method-assign]
    else:
        original = hub.create
        hub.create = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(hub, stepwise=True)
    hub.patch, hub.create = FakeHub.patch.__get__(hub), FakeHub.create.__get__(hub)  # type: ignore[method-assign]

    outcome, _lines = run(hub, stepwise=True)

    assert [verb for verb, _plan, _dry in hub.writes] == ["create", "patch", "patch"]
    assert outcome.next_step is None


def test_the_budget_keeps_the_next_step_back() -> None:
    hub = FakeHub(EVERYONE, {1: {"a", "b"}})

    outcome, lines = run(hub, stepwise=True, budget=Budget(1, is_share=False), stop_early=False)

    assert len(hub.writes) == 1
    assert outcome.stopped == "2 of 3 clusters have failed, the limit is 1 cluster"
    assert outcome.next_step == 2
    assert lines[-1].endswith("not sent: [AbortOnFailure] [Upgrade]")


def test_a_higher_budget_lets_it_go_on() -> None:
    hub = FakeHub(EVERYONE, {1: {"a"}})
    run(hub, stepwise=True, budget=Budget(0, is_share=False))

    outcome, _lines = run(hub, stepwise=True, budget=Budget(50, is_share=True))

    assert (len(hub.writes), outcome.stopped) == (3, "")
    assert outcome.group is not None and outcome.group.failed == ["a"]


def test_check_mode_shows_the_next_step_and_writes_nothing() -> None:
    hub = FakeHub(EVERYONE)

    outcome, _lines = run(hub, stepwise=True, check=True)

    assert hub.writes == [("create", [["Prep"]], True)]
    assert hub.document is None
    assert (outcome.changed, outcome.next_step) == (True, 2)
    assert "maxConcurrency: 10" in outcome.after and outcome.before == ""


def test_what_talm_would_copy_must_be_there() -> None:
    hub = FakeHub(EVERYONE)
    hub.missing = ["ConfigMap openshift-adp/oadp-cm"]

    with pytest.raises(IbuError, match="the hub has no ConfigMap openshift-adp/oadp-cm: TALM would copy nothing"):
        run(hub)

    assert hub.writes == []


def test_nothing_is_copied_for_a_step_without_prep() -> None:
    hub = FakeHub(EVERYONE)
    hub.missing = ["ConfigMap openshift-adp/oadp-cm"]

    assert run(hub, steps(["Upgrade"]))[0].changed


def test_clusters_that_are_no_hosts_of_the_play() -> None:
    hub = FakeHub(EVERYONE)

    with pytest.raises(
        IbuError, match=r"2 of the 3 clusters that the selectors select are no hosts of this play: b, c"
    ):
        run(hub, allowed={"a"})

    assert hub.writes == []


def test_nothing_is_finalized_that_nobody_could_look_at() -> None:
    hub = FakeHub(members("a", labels=[UPGRADE_DONE]))

    with pytest.raises(IbuError, match=r"1 of 1 clusters is not fit to be finalized.*: a; see above"):
        run(hub, steps(["FinalizeUpgrade"]), verify=True)

    assert hub.writes == []


def test_a_plan_that_finalizes_unseen_is_refused_before_its_first_step() -> None:
    hub = FakeHub(EVERYONE)

    with pytest.raises(IbuError, match=r"step 1 .* would finalize without a verification"):
        run(hub, steps(["Prep", "Upgrade", "FinalizeUpgrade"]), verify=True, stepwise=True)

    assert hub.writes == []


def test_a_bad_step_at_the_end_of_the_plan_is_refused_before_the_first_is_sent() -> None:
    hub = FakeHub(EVERYONE)

    with pytest.raises(IbuError, match=r"step 2 .* would finalize without a verification"):
        run(hub, steps(["Prep"], ["Upgrade", "FinalizeUpgrade"]), verify=True, stepwise=True)

    assert hub.writes == []
