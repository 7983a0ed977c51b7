# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's labels against what a cluster says."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import (
    Hold,
    correction,
    holds_of,
    is_over,
    under_way,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State

from .groups import PREP_DONE, PREP_FAILED, ROLLBACK_DONE, UPGRADE_DONE, UPGRADE_FAILED, cgu, entry, ibgu, steps

HOLD = "import.open-cluster-management.io/disable-auto-import"
HELD = {HOLD: "true"}
OTHERS = {"name": "site-1", "region": "north", "lcm.openshift.io/ibgu": "x"}


def labels(*keys: str) -> dict[str, str]:
    return {**OTHERS, **dict.fromkeys(keys, "")}


@pytest.mark.parametrize(
    ("state", "present", "add", "remove"),
    [
        (State.IDLE, [], [], []),
        (State.IDLE, [PREP_DONE, UPGRADE_FAILED], [], [PREP_DONE, UPGRADE_FAILED]),
        (State.PREP_COMPLETED, [PREP_FAILED], [PREP_DONE], [PREP_FAILED]),
        (State.PREP_FAILED, [PREP_DONE], [PREP_FAILED], [PREP_DONE]),
        (State.UPGRADE_COMPLETED, [PREP_DONE, UPGRADE_FAILED], [UPGRADE_DONE], [UPGRADE_FAILED]),
        (State.ROLLED_BACK, [PREP_DONE], [UPGRADE_FAILED], []),
        (State.UPGRADE_FAILED_POST_PIVOT, [PREP_DONE, UPGRADE_FAILED], [], []),
        (State.ROLLBACK_COMPLETED, [PREP_DONE, UPGRADE_DONE], [ROLLBACK_DONE], []),
        (
            State.IDLE,
            ["lcm.openshift.io/ibgu-finalizeupgrade-failed"],
            [],
            ["lcm.openshift.io/ibgu-finalizeupgrade-failed"],
        ),
    ],
)
def test_what_is_added_and_removed(state: State, present: list[str], add: list[str], remove: list[str]) -> None:
    found = correction(Observed(state), labels(*present), {})

    assert (list(found.add), list(found.remove)) == (add, remove)
    assert found.is_needed == bool(add or remove)
    assert found.patch() == {
        "metadata": {"labels": {**dict.fromkeys(add, ""), **dict.fromkeys(remove)}} if add or remove else {}
    }


def test_a_label_with_a_value_is_not_the_one_that_talm_looks_for() -> None:
    found = correction(Observed(State.PREP_COMPLETED), {PREP_DONE: "true"}, {})

    assert (found.add, found.remove) == ((PREP_DONE,), ())


@pytest.mark.parametrize(
    "state",
    [
        State.PREP_RUNNING,
        State.UPGRADE_PRE_PIVOT,
        State.UPGRADE_POST_PIVOT,
        State.ROLLBACK_RUNNING,
        State.ABORTING,
        State.FINALIZING,
        State.ABORT_FAILED,
        State.FINALIZE_FAILED,
        State.ABSENT,
        State.NO_STATUS,
        State.UNKNOWN,
    ],
)
def test_a_cluster_on_its_way_is_left_alone(state: State) -> None:
    found = correction(Observed(state), labels(PREP_DONE), HELD)

    assert found.keep and not found.is_needed and not found.wrong
    assert str(state) in found.reason


@pytest.mark.parametrize(
    ("state", "release"),
    [
        (State.IDLE, True),
        (State.UPGRADE_COMPLETED, True),
        (State.ROLLED_BACK, True),
        (State.ROLLBACK_COMPLETED, True),
        (State.PREP_COMPLETED, False),
        (State.UPGRADE_FAILED_POST_PIVOT, False),
        (State.UPGRADE_FAILED_PRE_PIVOT, False),
    ],
)
def test_the_hub_may_import_again_what_stands_still(state: State, release: bool) -> None:
    found = correction(Observed(state), {}, HELD)

    assert found.release is release
    assert (found.patch()["metadata"].get("annotations") == {HOLD: None}) is release


def test_what_is_not_held_back_is_not_released() -> None:
    assert not correction(Observed(State.IDLE), labels(), {"other": "x"}).is_needed


GIVES = Hold("ibu/north", frozenset([PREP_FAILED]))
STRIPS = Hold("ibu/north", strips=True)


def test_labels_that_talm_would_put_back() -> None:
    found = correction(Observed(State.IDLE), labels(PREP_FAILED), {}, [GIVES])

    assert not found.is_needed and found.wrong
    assert "ibu/north still lists it" in found.reason and "delete it first" in found.reason


def test_labels_that_talm_would_take_away_again() -> None:
    found = correction(Observed(State.PREP_COMPLETED), labels(), {}, [STRIPS])

    assert not found.is_needed and found.wrong


@pytest.mark.parametrize(
    ("state", "present", "hold"),
    [
        # It gives what is missing itself, takes away what is too much itself, or has nothing to do with it.
        (State.PREP_FAILED, [], GIVES),
        (State.IDLE, [PREP_FAILED], STRIPS),
        (State.UPGRADE_COMPLETED, [PREP_DONE, UPGRADE_FAILED], Hold("ibu/north", frozenset([PREP_DONE]))),
    ],
)
def test_a_group_upgrade_that_would_undo_nothing_holds_nobody(state: State, present: list[str], hold: Hold) -> None:
    assert correction(Observed(state), labels(*present), {}, [hold]).is_needed


def test_one_of_several_group_upgrades_is_enough() -> None:
    found = correction(Observed(State.IDLE), labels(PREP_FAILED), {}, [STRIPS, Hold("ibu/two", GIVES.gives)])

    assert found.wrong and "ibu/two" in found.reason


def test_a_group_upgrade_does_no_harm_to_labels_that_are_right() -> None:
    found = correction(Observed(State.PREP_FAILED), labels(PREP_FAILED), HELD, [GIVES])

    assert not found.wrong and not found.is_needed


def test_the_annotation_may_go_although_a_group_upgrade_lists_the_cluster() -> None:
    assert correction(Observed(State.IDLE), labels(), HELD, [GIVES]).release


@pytest.mark.parametrize(("present", "annotations"), [([], HELD), ([PREP_FAILED], {})])
def test_a_cluster_that_waits_for_its_turn_is_left_alone(present: list[str], annotations: dict[str, str]) -> None:
    found = correction(Observed(State.IDLE), labels(*present), annotations, busy="ibu/north")

    assert found.keep and not found.is_needed and not found.wrong
    assert "ibu/north is not done with it" in found.reason


def test_nothing_is_said_of_the_turn_of_a_cluster_whose_labels_are_right() -> None:
    found = correction(Observed(State.IDLE), labels(), {}, busy="ibu/north")

    assert (found.keep, found.reason) == (False, "the cluster is idle")


def test_what_a_group_upgrade_keeps_doing_to_labels() -> None:
    north = ibgu(
        steps(["Prep"], ["Upgrade"], ["FinalizeUpgrade"]),
        [
            entry("begun", current="Prep"),
            entry("failed", ["Prep"], {"Upgrade": "why"}),
            entry("finalized", ["Prep", "Upgrade", "FinalizeUpgrade"]),
            entry("aborted", ["AbortOnFailure"], {"Prep": "why"}),
        ],
    )

    assert dict(holds_of(north)) == {
        "failed": Hold("ibu/north", frozenset([PREP_DONE, UPGRADE_FAILED])),
        "finalized": STRIPS,
        "aborted": STRIPS,
    }
    assert not dict(holds_of({"metadata": {"name": "new", "namespace": "ibu"}}))


@pytest.mark.parametrize(
    ("observed", "progressing", "over"),
    [(1, False, True), (1, True, False), (0, False, False), (None, None, False), (1, None, False)],
)
def test_when_a_group_upgrade_is_over(observed: int | None, progressing: bool | None, over: bool) -> None:
    assert is_over(ibgu(steps(["Prep"]), observed=observed, progressing=progressing)) is over


def test_whom_a_step_is_not_done_with() -> None:
    plan = steps(["Prep", "Upgrade"])
    batches = [["a", "b"], ["c", "d"]]

    assert under_way(cgu(plan, 0, batches, {"a": "complete", "b": "timedout"})) == ["c", "d"]
    assert under_way(cgu(plan, 0, batches, {"a": "complete"}, succeeded=False)) == []
    assert under_way({"metadata": {"name": "not-begun"}}) == []
