# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a group upgrade: what is said when, and when the waiting ends."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import GroupView, Place
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._follow import End, Follow, Limits
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import Documents

from ..module_utils.groups import BEGAN, cgu, entry, ibgu, members, steps

START = datetime.datetime.fromisoformat(BEGAN.replace("Z", "+00:00"))
PLAN = steps(["Prep"])
EVERYONE = members("a", "b", "c")
NAMES = ["a", "b", "c"]


class FakeClock:
    """Time passes only by waiting."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds


class FakeHub:
    """Answers with one look after the other, and with the last one for ever."""

    url = "https://hub.example.com:6443"

    def __init__(
        self, looks: Sequence[Any], clock: FakeClock, failures: Mapping[str, str] | Exception | None = None
    ) -> None:
        self._looks = list(looks)
        self._clock = clock
        self._failures = failures or {}
        self.feedback_asked = 0

    def read(self) -> Documents:
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, Exception):
            raise look
        document, cgus = look
        return Documents(document, cgus, START + datetime.timedelta(seconds=self._clock.seconds))

    look = read

    def failures(self, name: str) -> Mapping[str, str]:
        self.feedback_asked += 1
        assert name == "north-prep-0"
        if isinstance(self._failures, Exception):
            raise self._failures
        return self._failures


class FakeCauses:
    """What the clusters themselves would say, of those that are in progress or failed."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def of(self, group: GroupView, _reported: Mapping[str, str]) -> dict[str, dict[str, str]]:
        lost = [name for name, cluster in group.clusters.items() if cluster.place is not Place.COMPLETED]
        return {name: {"Prep": cause} for name, cause in self._known.items() if name in lost}

    def advice(self, name: str) -> str:
        return f"mend {name}"


def looks(*results: Mapping[str, str] | bool | None) -> list[Any]:
    """The same step again and again: which clusters are through; True and False end it."""
    told = [entry(name, current="Prep") for name in NAMES]
    found: list[Any] = []
    last: Mapping[str, str] = {}
    for result in results:
        if isinstance(result, Mapping):
            last = result
        succeeded = result if isinstance(result, bool) else None
        found.append((ibgu(PLAN, told), [cgu(PLAN, 0, [NAMES], last, succeeded=succeeded)]))
    return found


def follow(
    answers: Sequence[Any],
    *,
    failures: Mapping[str, str] | Exception | None = None,
    causes: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    **limits: Any,
) -> tuple[End, list[str], FakeHub]:
    clock = FakeClock()
    hub = FakeHub(answers, clock, failures)
    lines: list[str] = []
    end = Follow(
        hub,  # type: ignore[arg-type]
        EVERYONE,
        FakeCauses(causes or {}),  # type: ignore[arg-type]
        limits=Limits(**limits),
        clock=clock,  # type: ignore[arg-type]
        stop=stop or threading.Event(),
        show=lines.append,
    ).run()
    return end, lines, hub


DONE = dict.fromkeys(NAMES, "complete")


def test_it_ends_with_the_plan_and_says_each_change_once() -> None:
    end, lines, _hub = follow(looks({}, {}, {"a": "complete"}, DONE, True))

    assert (end.stopped, end.group.settled, end.group.failed) == ("", True, [])
    assert [line.strip().partition("  ")[2].partition("   ")[0] for line in lines] == [
        "step 1 [Prep]: 3 in progress",
        "step 1 [Prep]: 2 in progress, 1 completed",
        "step 1 [Prep]: 3 completed",
        "step 1 [Prep] has ended: 3 completed",
    ]
    assert lines[0].endswith("ends at the latest in 1:00:00")


def test_a_line_a_minute_where_nothing_changes() -> None:
    _end, lines, _hub = follow([*looks(*[{}] * 13), *looks(DONE, True)])

    assert [line[:7].strip() for line in lines] == ["00:00", "01:00", "02:00", "02:10", "02:20"][: len(lines)]


def test_a_failure_is_told_as_soon_as_the_cluster_reports_it() -> None:
    end, lines, _hub = follow(
        looks({}, {}, {"b": "complete", "c": "complete", "a": "timedout"}, False),
        failures={"a": "Prep failed"},
        causes={"a": "precache job failed"},
    )

    told = [line.strip() for line in lines if "FAILED" in line or "mend" in line or "notice" in line]
    assert told == [
        "a  FAILED in Prep: precache job failed",
        "TALM does not notice before the step's time is over (ends at the latest in 1:00:00)",
        "→ mend a",
    ]
    assert end.group.clusters["a"].message == "precache job failed"


def test_the_budget_ends_the_waiting_before_talm_has_noticed_anything() -> None:
    end, _lines, _hub = follow(looks({}), failures={"a": "x", "b": "y"}, max_failures=1)

    assert end.stopped.startswith("2 clusters have failed, 1 may")
    assert end.group.failed == ["a", "b"]


def test_as_many_failures_as_the_budget_has_do_not_end_it() -> None:
    end, _lines, _hub = follow([*looks({}), *looks(DONE, True)], failures={"a": "x"}, max_failures=1)

    assert end.stopped == ""


@pytest.mark.parametrize("leave", [True, False])
def test_only_failing_clusters_are_left(leave: bool) -> None:
    rest = {"b": "complete", "c": "complete"}
    end, _lines, _hub = follow(
        [*looks(rest, rest), *looks({**rest, "a": "timedout"}, False)], failures={"a": "x"}, leave_failing=leave
    )

    assert end.stopped.startswith("only clusters that have failed are left") is leave
    assert end.group.settled is not leave


def test_a_hub_that_is_away_for_a_while_is_waited_for() -> None:
    away = Unanswered("connect", "connection refused")
    end, lines, _hub = follow([*looks({}), away, away, *looks(DONE, True)])

    assert end.stopped == ""
    assert sum("does not answer" in line for line in lines) == 1


@pytest.mark.parametrize("answers", [[], looks({})], ids=["at once", "later"])
def test_a_hub_that_stays_away(answers: list[Any]) -> None:
    with pytest.raises(IbuError, match=r"hub.example.com:6443 has not answered for \d+ s: connection refused"):
        follow([*answers, Unanswered("connect", "connection refused")], hub_outage=60)


def test_a_group_upgrade_that_somebody_deletes() -> None:
    with pytest.raises(IbuError, match="was deleted while"):
        follow([*looks({}), (None, [])])


def test_manifest_works_that_may_not_be_read_cost_one_note() -> None:
    forbidden = Unanswered("rights", "manifestworks is forbidden", 403)
    _end, lines, hub = follow([*looks(*[{}] * 20), *looks(DONE, True)], failures=forbidden, look=10)

    assert hub.feedback_asked == 1
    assert sum("manifestworks is forbidden" in line for line in lines) == 1


def test_feedback_is_read_only_as_often_as_was_said() -> None:
    _end, _lines, hub = follow([*looks(*[{}] * 12), *looks(DONE, True)], look=60, poll=10)

    assert hub.feedback_asked == 3


def test_a_talm_that_does_not_begin() -> None:
    end, _lines, _hub = follow([(ibgu(PLAN, observed=None), [])])

    assert "TALM has not begun the step: is its pod running" in end.stopped


def test_a_talm_that_a_deleted_cluster_has_stopped() -> None:
    plan = steps(["Prep"], ["Upgrade"])
    told = [entry(name, ["Prep"]) for name in [*NAMES, "gone"]]
    end, _lines, _hub = follow([(ibgu(plan, told), [cgu(plan, 0, [NAMES], DONE, succeeded=True)])])

    assert end.stopped.endswith("when a ManagedCluster that it lists is deleted; no longer selected: gone")


def test_a_talm_that_says_why_it_does_not_begin() -> None:
    stuck = cgu(PLAN, 0, conditions=[{"type": "Validated", "status": "False", "message": "Missing manifest templates"}])
    del stuck["status"]["status"]["startedAt"]
    _end, lines, _hub = follow([(ibgu(PLAN), [stuck])])

    assert "TALM does not begin: Missing manifest templates" in lines[0]


def test_a_talm_that_does_not_end_a_step_whose_time_is_over() -> None:
    end, _lines, _hub = follow(looks({}), poll=300)

    assert end.stopped.startswith("TALM has not ended the step although its time is over")


def test_the_users_own_limit() -> None:
    end, _lines, _hub = follow(looks({}), timeout=100)

    assert end.stopped.startswith("it has not ended within 110 s (wait_timeout)")


def test_a_run_that_is_told_to_stop_leaves_talm_alone() -> None:
    stop = threading.Event()
    stop.set()

    end, _lines, _hub = follow(looks({}), stop=stop)

    assert end.stopped == "this run was stopped; TALM goes on"
