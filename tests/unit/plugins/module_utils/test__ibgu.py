# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub's status hides: success, failure and selection of each cluster."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._group_report import failed_clusters
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import (
    Place,
    cgu_name,
    disagreements,
    feedback_failure,
    view,
    why_not_selected,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Step

from .groups import (
    PREP_DONE,
    PREP_FAILED,
    ROLLBACK_DONE,
    UPGRADE_DONE,
    UPGRADE_FAILED,
    cgu,
    entry,
    ibgu,
    members,
    steps,
    work,
)

PREP = steps(["Prep"])
ALL_GOOD = {"Applied": "True", "Available": "True", "StatusFeedbackSynced": "True"}


def test_a_cgu_is_named_after_the_actions_and_the_index() -> None:
    assert cgu_name("Up", Step(("Prep", "FinalizeUpgrade"), 1), 2) == "up-prep-finalizeupgrade-2"


def test_before_talm_has_begun_everybody_is_pending() -> None:
    group = view(ibgu(PREP, observed=None), [], members("a", "b"))

    assert not group.settled and group.current is not None and not group.current.begun
    assert {name: c.place for name, c in group.clusters.items()} == {"a": Place.PENDING, "b": Place.PENDING}


def test_batches_one_after_the_other() -> None:
    running = cgu(PREP, 0, [["a", "b"], ["c"]], {"a": "complete"}, batch=1)
    group = view(ibgu(PREP, [entry("b", current="Prep")]), [running], members("a", "b", "c"))

    step = group.steps[0]
    assert (step.batch, step.batches, step.begun, step.ended) == (1, 2, True, False)
    assert step.clusters["a"].place is Place.COMPLETED
    assert (step.clusters["b"].place, step.clusters["b"].action) == (Place.IN_PROGRESS, "Prep")
    assert (step.clusters["c"].place, step.clusters["c"].batch) == (Place.WAITING, 2)
    assert group.failed == []


def test_a_step_that_is_called_completed_although_its_first_batch_timed_out() -> None:
    done = cgu(PREP, 0, [["a"], ["b"]], {"a": "timedout", "b": "complete"}, succeeded=True, batch=2)
    told = entry("a", failed={"Prep": "Prep failed"})
    group = view(ibgu(PREP, [told, entry("b", ["Prep"])]), [done], members("a", "b"))

    assert group.settled
    assert group.failed == ["a"]
    assert (group.clusters["a"].place, group.clusters["a"].action) == (Place.FAILED, "Prep")
    assert group.clusters["a"].message == "Prep failed"


def test_a_step_that_selected_nobody_and_is_called_completed() -> None:
    plan = steps(["Upgrade"])
    group = view(ibgu(plan), [cgu(plan, 0, succeeded=True)], members("a"))

    assert group.settled and group.failed == ["a"]
    assert group.clusters["a"].place is Place.NOT_SELECTED
    assert group.clusters["a"].message == f"the label {PREP_DONE} is missing"
    assert failed_clusters(group)["a"].endswith("(docs/runbooks/hub-not-selected)")


def test_a_cluster_that_came_after_the_step_had_begun() -> None:
    done = cgu(PREP, 0, [["a"]], {"a": "complete"}, succeeded=True)

    group = view(ibgu(PREP), [done], members("a", "late"))

    assert group.clusters["late"].message == "it was not there when the step began"


def test_a_cluster_in_neither_list_was_never_reached() -> None:
    done = cgu(PREP, 0, [["a", "b"]], {"a": "complete"}, succeeded=True)

    group = view(ibgu(PREP), [done], members("a", "b"))

    assert group.failed == ["b"]
    assert group.clusters["b"].place is Place.NEVER_REACHED


def test_what_talm_cannot_begin() -> None:
    stuck = cgu(PREP, 0, conditions=[{"type": "ClustersSelected", "status": "False", "message": "no cluster"}])

    group = view(ibgu(PREP), [stuck], [])

    assert group.current is not None and group.current.problem == "no cluster"


def test_a_cluster_waits_while_talm_has_not_selected_yet() -> None:
    group = view(ibgu(PREP), [cgu(PREP, 0)], members("a"))

    assert group.clusters["a"].place is Place.PENDING


def test_a_failure_that_the_cluster_reports_itself() -> None:
    running = cgu(PREP, 0, [["a", "b"]])
    told = [entry("a", current="Prep"), entry("b", current="Prep")]

    group = view(ibgu(PREP, told), [running], members("a", "b"), {"a": {"Prep": "precache failed"}})

    assert group.failed == ["a"]
    assert (group.clusters["a"].place, group.clusters["a"].message) == (Place.FAILING, "precache failed")
    assert group.clusters["b"].place is Place.IN_PROGRESS


def test_the_real_cause_stands_in_for_the_generic_text() -> None:
    done = cgu(PREP, 0, [["a"]], {"a": "timedout"}, succeeded=False)
    told = [entry("a", failed={"Prep": "Action did not successfully complete"})]

    group = view(ibgu(PREP, told), [done], members("a"), {"a": {"Prep": "precache failed"}})

    assert group.clusters["a"].message == "precache failed"
    assert group.steps[0].timed_out


def test_the_first_failure_counts_and_an_abort_does_not_heal_it() -> None:
    plan = steps(["Prep"], ["AbortOnFailure"], ["Upgrade"])
    cgus = [
        cgu(plan, 0, [["a", "b"]], {"a": "timedout", "b": "complete"}, succeeded=False),
        cgu(plan, 1, [["a"]], {"a": "complete"}, succeeded=True),
        cgu(plan, 2, [["b"]], {"b": "complete"}, succeeded=True),
    ]
    told = [entry("a", ["AbortOnFailure"], {"Prep": "Prep failed"}), entry("b", ["Prep", "Upgrade"])]

    group = view(ibgu(plan, told), cgus, members("a", "b"))

    assert group.settled and group.failed == ["a"]
    assert (group.clusters["a"].step, group.clusters["a"].action, group.clusters["a"].aborted) == (1, "Prep", True)
    assert group.clusters["b"].place is Place.COMPLETED
    assert not group.clusters["b"].aborted


def test_nobody_misses_a_step_for_those_that_failed() -> None:
    plan = steps(["Prep"], ["AbortOnFailure"])
    cgus = [cgu(plan, 0, [["a"]], {"a": "complete"}, succeeded=True), cgu(plan, 1, succeeded=True)]

    group = view(ibgu(plan), cgus, members("a"))

    assert group.failed == [] and group.clusters["a"].place is Place.COMPLETED


def test_somebody_whom_the_selectors_no_longer_select_is_still_shown() -> None:
    running = cgu(PREP, 0, [["gone"]])

    group = view(ibgu(PREP, [entry("gone", current="Prep")]), [running], [])

    assert group.clusters["gone"].place is Place.IN_PROGRESS


def test_a_plan_is_not_settled_before_its_last_change_was_seen() -> None:
    done = cgu(PREP, 0, [["a"]], {"a": "complete"}, succeeded=True)

    assert not view(ibgu(PREP, observed=0), [done], members("a")).settled
    assert view(ibgu(PREP), [done], members("a")).settled


@pytest.mark.parametrize(
    ("action", "labels", "why"),
    [
        ("Prep", [], ""),
        ("Upgrade", [PREP_DONE], ""),
        ("Upgrade", [PREP_FAILED], f"the label {PREP_DONE} is missing"),
        ("Rollback", [UPGRADE_DONE], ""),
        ("Rollback", [], f"the label {UPGRADE_DONE} is missing"),
        ("FinalizeUpgrade", [UPGRADE_DONE], ""),
        ("FinalizeRollback", [ROLLBACK_DONE], ""),
        ("FinalizeRollback", [UPGRADE_DONE], f"the label {ROLLBACK_DONE} is missing"),
        ("Abort", [], ""),
        ("Abort", [UPGRADE_DONE], f"it has the label {UPGRADE_DONE}"),
        ("AbortOnFailure", [PREP_FAILED], ""),
        ("AbortOnFailure", [UPGRADE_FAILED], ""),
        ("AbortOnFailure", [PREP_DONE], f"it has neither {PREP_FAILED} nor {UPGRADE_FAILED}"),
    ],
)
def test_whom_a_step_selects(action: str, labels: list[str], why: str) -> None:
    assert why_not_selected(action, dict.fromkeys(labels, "")) == why


def test_a_label_with_a_value_is_not_the_one_that_talm_gives() -> None:
    assert why_not_selected("Upgrade", {PREP_DONE: "true"}) == f"the label {PREP_DONE} is missing"


def test_where_labels_and_status_disagree() -> None:
    plan = steps(["Prep", "Upgrade"])
    done = cgu(plan, 0, [["a", "b", "c"]], {"a": "complete", "b": "timedout", "c": "complete"}, succeeded=False)
    told = [
        entry("a", ["Prep", "Upgrade"]),
        entry("b", ["Prep"], {"Upgrade": "Upgrade failed"}),
        entry("c", ["Prep", "Upgrade"]),
    ]
    everyone = [
        *members("a", labels=[PREP_DONE, UPGRADE_DONE]),
        *members("b", labels=[PREP_DONE, UPGRADE_DONE]),
        *members("c", labels=[PREP_DONE, UPGRADE_DONE, ROLLBACK_DONE]),
    ]
    group = view(ibgu(plan, told), [done], everyone)

    assert disagreements(group, everyone) == {
        "b": [f"{UPGRADE_FAILED} is missing", f"{UPGRADE_DONE} is left over"],
    }


def test_after_a_finalize_no_label_may_be_left() -> None:
    plan = steps(["FinalizeUpgrade"])
    done = cgu(plan, 0, [["a"]], {"a": "complete"}, succeeded=True)
    everyone = members("a", labels=[UPGRADE_DONE])
    group = view(ibgu(plan, [entry("a", ["FinalizeUpgrade"])]), [done], everyone)

    assert disagreements(group, everyone) == {"a": [f"{UPGRADE_DONE} is left over"]}


@pytest.mark.parametrize(
    ("values", "failure"),
    [
        ({"isPrepCompleted": "False", "prepCompletedConditionMessages": "Prep failed"}, "Prep failed"),
        ({"isPrepCompleted": "False"}, "isPrepCompleted is False"),
        ({"isPrepCompleted": "True"}, None),
        ({"isUpgradeCompleted": "False", "upgradeCompletedConditionMessages": "Upgrade failed"}, "Upgrade failed"),
        ({"isIdle": "False", "idleConditionMessages": "Aborting"}, None),
        (
            {"isIdle": "False", "idleConditionMessages": "x Perform cleanup manually then"},
            "x Perform cleanup manually then",
        ),
        ({}, None),
    ],
    ids=str,
)
def test_what_the_work_agent_reports(values: dict[str, str], failure: str | None) -> None:
    assert feedback_failure(work(ALL_GOOD, values)) == failure


def test_an_object_that_the_cluster_refused() -> None:
    refused = work({**ALL_GOOD, "Applied": "False"}, {}, "the stage transition is not permitted")

    assert feedback_failure(refused) == "the stage transition is not permitted"


def test_a_work_that_nobody_has_looked_at_yet() -> None:
    assert feedback_failure({"metadata": {"namespace": "a"}}) is None


def test_whoever_failed_is_not_missed_in_later_steps() -> None:
    plan = steps(["Prep"], ["Upgrade"])
    cgus = [
        cgu(plan, 0, [["a", "b"]], {"a": "timedout", "b": "complete"}, succeeded=False),
        cgu(plan, 1, [["b"]], {"b": "complete"}, succeeded=True),
    ]

    group = view(ibgu(plan), cgus, members("a", "b"))

    assert (group.steps[1].clusters["a"].place, group.steps[1].clusters["a"].message) == (
        Place.SKIPPED,
        "it failed in step 1",
    )
    assert group.failed == ["a"] and group.clusters["a"].step == 1


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        (steps(["FinalizeUpgrade"]), Place.SKIPPED),
        (steps(["Rollback", "FinalizeRollback"]), Place.SKIPPED),
        (steps(["Abort"]), Place.SKIPPED),
        (steps(["Upgrade"]), Place.NOT_SELECTED),
    ],
    ids=["finalize", "rollback", "abort", "upgrade"],
)
def test_whom_a_plan_does_not_concern_is_not_missed(plan: list[dict[str, Any]], place: Place) -> None:
    done = cgu(plan, 0, [["b"]], {"b": "complete"}, succeeded=True)

    group = view(ibgu(plan), [done], members("a", "b"))

    assert group.steps[0].clusters["a"].place is place
    assert group.failed == (["a"] if place.is_failure else [])


def test_somebody_who_was_lost_between_two_steps_is_missed() -> None:
    plan = steps(["Upgrade"], ["FinalizeUpgrade"])
    cgus = [
        cgu(plan, 0, [["a", "b"]], {"a": "complete", "b": "complete"}, succeeded=True),
        cgu(plan, 1, [["b"]], {"b": "complete"}, succeeded=True),
    ]

    assert view(ibgu(plan), cgus, members("a", "b")).failed == ["a"]


def test_a_cause_belongs_to_the_action_that_failed() -> None:
    plan = steps(["Prep"], ["AbortOnFailure"])
    cgus = [cgu(plan, 0, [["a"]], {"a": "timedout"}, succeeded=False), cgu(plan, 1, [["a"]])]

    group = view(ibgu(plan), cgus, members("a"), {"a": {"Prep": "precache failed"}})

    assert group.steps[0].clusters["a"].message == "precache failed"
    assert group.steps[1].clusters["a"].place is Place.IN_PROGRESS
