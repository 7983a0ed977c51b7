# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's labels against what a cluster says."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import correction, holders
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State

from .groups import PREP_DONE, PREP_FAILED, ROLLBACK_DONE, UPGRADE_DONE, UPGRADE_FAILED, entry, ibgu, steps

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


def test_labels_that_talm_would_put_back() -> None:
    found = correction(Observed(State.IDLE), labels(PREP_FAILED), {}, "ibu/north")

    assert not found.is_needed and found.wrong
    assert "ibu/north still lists it" in found.reason and "delete it first" in found.reason


def test_a_group_upgrade_does_no_harm_to_labels_that_are_right() -> None:
    found = correction(Observed(State.PREP_FAILED), labels(PREP_FAILED), HELD, "ibu/north")

    assert not found.wrong and not found.is_needed


def test_the_annotation_may_go_although_a_group_upgrade_lists_the_cluster() -> None:
    assert correction(Observed(State.IDLE), labels(), HELD, "ibu/north").release


def test_who_is_listed_by_whom() -> None:
    found = holders([ibgu(steps(["Prep"]), [entry("a"), entry("b")]), ibgu(steps(["Abort"]), [entry("b")], name="two")])

    assert found == {"a": "ibu/north", "b": "ibu/north"}
