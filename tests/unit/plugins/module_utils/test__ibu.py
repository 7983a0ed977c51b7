# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every row of the state table, from status documents as the Lifecycle Agent writes them, against every action."""

from __future__ import annotations

import copy
import dataclasses
import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import (
    decide,
    init_monitor_seconds,
    next_step,
    parse_actions,
    prep_spec,
    resume,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import health_failures, observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Done,
    Fail,
    Goal,
    InvalidOption,
    Observed,
    Patch,
    Result,
    SeedImage,
    Stage,
    State,
    Wait,
)

OLD, NEW = "4.16.8", "4.17.3"
SEED = SeedImage(NEW, f"registry.example.com/seed:{NEW}")
SPEC = {"seedImageRef": {"version": NEW, "image": SEED.image}}
LATER = "2026-11-21T01:00:00Z"

RUNNING = ("True", "InProgress")
ENDED = ("False", "Completed")
FAILED = ("False", "Failed")
DONE = ("True", "Completed")


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message or reason,
        "lastTransitionTime": LATER,
        "observedGeneration": 3,
    }


BUSY = [condition("Idle", "False", "InProgress")]
PREPARED = [*BUSY, condition("PrepInProgress", *ENDED), condition("PrepCompleted", *DONE)]
UPGRADED = [*PREPARED, condition("UpgradeInProgress", *ENDED), condition("UpgradeCompleted", *DONE)]


def failed_upgrade(message: str) -> list[dict[str, Any]]:
    return [*PREPARED, condition("UpgradeCompleted", *FAILED), condition("UpgradeInProgress", *FAILED, message)]


ROLLING = [*failed_upgrade("Rollback requested"), condition("RollbackInProgress", *RUNNING, "Initiating rollback")]

# state: what spec.stage says, what the conditions say, the stages allowed next, the release that runs
ROWS: dict[State, tuple[str, list[dict[str, Any]], list[str], str]] = {
    State.NO_STATUS: ("Idle", [], [], OLD),
    State.PENDING: ("Prep", [condition("Idle", "True", "Idle")], ["Prep"], OLD),
    State.BLOCKED: (
        "Prep",
        [condition("Idle", "True", "Idle"), condition("PrepInProgress", "False", "Blocked", "IPC is not idle")],
        ["Prep"],
        OLD,
    ),
    State.INVALID_TRANSITION: (
        "Upgrade",
        [*BUSY, condition("UpgradeInProgress", "False", "InvalidTransition", "Previous stage not succeeded")],
        ["Idle"],
        OLD,
    ),
    State.IDLE: ("Idle", [condition("Idle", "True", "Idle")], ["Prep"], OLD),
    State.ABORTING: ("Idle", [condition("Idle", "False", "Aborting")], [], OLD),
    State.ABORT_FAILED: ("Idle", [condition("Idle", "False", "AbortFailed", "failed to cleanup backups: x")], [], OLD),
    State.FINALIZING: ("Idle", [*UPGRADED, condition("Idle", "False", "Finalizing")], [], NEW),
    State.FINALIZE_FAILED: ("Idle", [condition("Idle", "False", "FinalizeFailed", "failed to cleanup x")], [], NEW),
    State.PREP_RUNNING: ("Prep", [*BUSY, condition("PrepInProgress", *RUNNING)], ["Idle"], OLD),
    State.PREP_FAILED: (
        "Prep",
        [*BUSY, condition("PrepCompleted", *FAILED, "Prep failed"), condition("PrepInProgress", *FAILED, "no image")],
        ["Idle"],
        OLD,
    ),
    State.PREP_COMPLETED: ("Prep", PREPARED, ["Idle", "Upgrade"], OLD),
    State.UPGRADE_PRE_PIVOT: ("Upgrade", [*PREPARED, condition("UpgradeInProgress", *RUNNING)], ["Idle"], OLD),
    State.UPGRADE_POST_PIVOT: ("Upgrade", [*PREPARED, condition("UpgradeInProgress", *RUNNING)], ["Rollback"], NEW),
    State.UPGRADE_FAILED_PRE_PIVOT: ("Upgrade", failed_upgrade("Failed backup CRs: a"), ["Idle"], OLD),
    State.UPGRADE_FAILED_POST_PIVOT: ("Upgrade", failed_upgrade("restore went wrong"), ["Rollback"], NEW),
    State.ROLLED_BACK: ("Upgrade", failed_upgrade("Rollback due to postpivot failure: recert"), ["Idle"], OLD),
    State.UPGRADE_COMPLETED: ("Upgrade", UPGRADED, ["Idle", "Rollback"], NEW),
    State.ROLLBACK_RUNNING: ("Rollback", ROLLING, [], NEW),
    State.ROLLBACK_FAILED: (
        "Rollback",
        [*ROLLING[:-1], condition("RollbackCompleted", *FAILED), condition("RollbackInProgress", *FAILED, "ostree")],
        [],
        NEW,
    ),
    State.ROLLBACK_COMPLETED: (
        "Rollback",
        [*ROLLING[:-1], condition("RollbackInProgress", *ENDED), condition("RollbackCompleted", *DONE)],
        ["Idle"],
        OLD,
    ),
}


def document(state: State, **meta: Any) -> dict[str, Any]:
    stage, conditions, allowed, _version = ROWS[state]
    status: dict[str, Any] = {"conditions": copy.deepcopy(conditions), "observedGeneration": 3} if conditions else {}
    if allowed:
        status["validNextStages"] = allowed
    found: dict[str, Any] = {
        "metadata": {"name": "upgrade", "uid": "a", "generation": 3, "resourceVersion": "17", **meta},
        "spec": {**SPEC, "stage": stage},
    }
    return {**found, "status": status} if status else found


def seen(state: State) -> Observed:
    if state is State.ABSENT:
        return observe(None, OLD)
    return observe(document(state), ROWS[state][3])


def goal(action: Action, **kwargs: Any) -> Goal:
    wants_seed = action in (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE)
    return Goal(action, **{"seed": SEED if wants_seed else None, **kwargs})


@pytest.mark.parametrize("state", ROWS, ids=lambda state: state.name)
def test_the_document_is_read_as_its_state(state: State) -> None:
    assert seen(state).state is state


def test_no_object_is_a_state_of_its_own() -> None:
    assert observe(None, NEW).state is State.ABSENT


W, D, F, R = "wait", "done", "failed", "refused"
ACTIONS = (
    Action.PREP,
    Action.UPGRADE,
    Action.FINALIZE_UPGRADE,
    Action.ROLLBACK,
    Action.FINALIZE_ROLLBACK,
    Action.ABORT,
    Action.ABORT_ON_FAILURE,
)
# What is decided in each state, for the actions in the order above; a stage means: request it.
TABLE: dict[State, tuple[str, ...]] = {
    State.ABSENT: (W, W, W, W, W, W, W),
    State.NO_STATUS: (W, W, W, W, W, W, W),
    State.PENDING: (W, W, W, W, W, W, W),
    State.BLOCKED: (W, W, W, W, W, W, D),
    State.INVALID_TRANSITION: (R, R, R, R, R, R, R),
    State.IDLE: ("Prep", R, R, R, D, D, D),
    State.ABORTING: (W, W, R, R, W, W, W),
    State.ABORT_FAILED: (F, F, F, F, F, F, F),
    State.FINALIZING: (D, D, W, R, W, W, D),
    State.FINALIZE_FAILED: (F, D, F, R, F, F, D),
    State.PREP_RUNNING: (W, W, R, R, R, "Idle", D),
    State.PREP_FAILED: (F, F, F, F, F, "Idle", "Idle"),
    State.PREP_COMPLETED: (D, "Upgrade", R, R, R, "Idle", D),
    State.UPGRADE_PRE_PIVOT: (D, W, W, R, R, "Idle", D),
    State.UPGRADE_POST_PIVOT: (D, W, W, "Rollback", R, R, D),
    State.UPGRADE_FAILED_PRE_PIVOT: (F, F, F, F, F, "Idle", "Idle"),
    State.UPGRADE_FAILED_POST_PIVOT: (F, F, F, "Rollback", F, F, R),
    State.ROLLED_BACK: ("rolled_back", "rolled_back", "rolled_back", D, "Idle", "Idle", "Idle"),
    State.UPGRADE_COMPLETED: (D, D, "Idle", "Rollback", R, D, D),
    State.ROLLBACK_RUNNING: (R, R, R, W, W, R, D),
    State.ROLLBACK_FAILED: (F, F, F, F, F, F, F),
    State.ROLLBACK_COMPLETED: (R, R, R, D, "Idle", R, D),
}


def word(decision: object) -> str:
    if isinstance(decision, Patch):
        assert decision.body["spec"]["stage"] == decision.stage
        return str(decision.stage)
    if isinstance(decision, Fail):
        assert decision.message and decision.next_step
        return str(decision.result)
    return W if isinstance(decision, Wait) else D


@pytest.mark.parametrize("state", TABLE, ids=lambda state: state.name)
def test_every_action_in_every_state(state: State) -> None:
    assert tuple(word(decide(seen(state), goal(action))) for action in ACTIONS) == TABLE[state]


def test_the_table_knows_every_state() -> None:
    assert set(TABLE) == set(State) - {State.UNKNOWN}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_state_is_refused(action: Action) -> None:
    strange = observe({**document(State.IDLE), "status": {"conditions": [condition("Idle", "False", "Odd")]}}, OLD)

    decision = decide(strange, goal(action))

    assert strange.state is State.UNKNOWN
    assert isinstance(decision, Fail) and "'Odd'" in decision.message


@pytest.mark.parametrize("action", [Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE])
def test_idle_at_the_seeds_release_is_done(action: Action) -> None:
    assert isinstance(decide(observe(document(State.IDLE), NEW), goal(action)), Done)


def test_a_failure_speaks_the_clusters_words_and_names_the_way_out() -> None:
    decision = decide(seen(State.ROLLED_BACK), goal(Action.UPGRADE))

    assert isinstance(decision, Fail)
    assert decision.message == "Rollback due to postpivot failure: recert"
    assert "abort -l {cluster}" in decision.next_step


def test_finalize_asks_for_verification_and_abort_does_not() -> None:
    finalize = decide(seen(State.UPGRADE_COMPLETED), goal(Action.FINALIZE_UPGRADE))
    abort = decide(seen(State.PREP_COMPLETED), goal(Action.ABORT))

    assert isinstance(finalize, Patch) and finalize.verify
    assert isinstance(abort, Patch) and not abort.verify


def test_abort_leaves_the_upgraded_alone() -> None:
    decision = decide(seen(State.UPGRADE_COMPLETED), goal(Action.ABORT))

    assert isinstance(decision, Done) and decision.skipped


def test_abort_on_failure_leaves_everybody_else_alone_and_says_so() -> None:
    for state in (State.IDLE, State.PREP_RUNNING, State.PREP_COMPLETED, State.UPGRADE_COMPLETED, State.BLOCKED):
        decision = decide(seen(state), goal(Action.ABORT_ON_FAILURE))

        assert isinstance(decision, Done) and decision.skipped, state
        assert f"it is {state}, not failed" in decision.note


def test_a_failure_after_the_reboot_is_not_aborted_but_rolled_back() -> None:
    decision = decide(seen(State.UPGRADE_FAILED_POST_PIVOT), goal(Action.ABORT_ON_FAILURE))

    assert isinstance(decision, Fail) and decision.result is Result.REFUSED
    assert "after its reboot" in decision.message
    assert "rollback -l {cluster}" in decision.next_step


def test_an_abort_that_waits_for_an_ip_configuration_is_waited_for() -> None:
    blocked = observe({**document(State.BLOCKED), "spec": {**SPEC, "stage": "Idle"}}, OLD)
    idle = dataclasses.replace(blocked, state=State.BLOCKED)

    assert isinstance(decide(idle, goal(Action.ABORT_ON_FAILURE)), Wait)


# --- stale and half-written documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", set(ROWS) - {State.NO_STATUS}, ids=lambda state: state.name)
def test_a_status_of_before_the_last_change_is_not_believed(state: State) -> None:
    assert observe(document(state, generation=4), ROWS[state][3]).state is State.PENDING


def test_a_restored_object_may_carry_the_generation_of_before() -> None:
    found = document(State.UPGRADE_COMPLETED, generation=1, uid="b")

    assert observe(found, NEW).state is State.UPGRADE_COMPLETED


def test_null_times_and_no_history_are_no_progress() -> None:
    found = document(State.PREP_RUNNING)
    found["status"]["history"] = [
        {"stage": "Prep", "startTime": LATER, "completionTime": None, "phases": [{"phase": "Stateroot"}]}
    ]

    observed = observe(found, OLD)

    assert observed.history[0].seconds is None
    assert observed.progress.phase == "Stateroot"
    assert observed.progress.job == "stateroot"


def test_without_a_list_of_next_stages_nothing_is_requested() -> None:
    found = document(State.PREP_COMPLETED)
    del found["status"]["validNextStages"]

    decision = decide(observe(found, OLD), goal(Action.UPGRADE))

    assert isinstance(decision, Fail) and decision.settle
    assert "allows: none" in decision.message
    assert "trigger-reconcile" in decision.next_step


def test_rollback_waits_before_it_believes_an_object_of_before_the_reboot() -> None:
    decision = decide(seen(State.UPGRADE_PRE_PIVOT), goal(Action.ROLLBACK))

    assert isinstance(decision, Fail) and decision.settle


def test_words_of_a_rollback_count_only_once_the_way_back_is_over() -> None:
    found = document(State.ROLLED_BACK)
    found["status"]["validNextStages"] = ["Rollback"]

    assert observe(found, NEW).state is State.PENDING


def test_after_the_pivot_the_version_tells_where_the_list_cannot() -> None:
    found = document(State.UPGRADE_PRE_PIVOT)
    del found["status"]["validNextStages"]

    assert observe(found, NEW).state is State.UPGRADE_POST_PIVOT
    assert observe(found, OLD).state is State.UPGRADE_PRE_PIVOT


# --- Prep -----------------------------------------------------------------------------------------------------------


def test_prep_carries_everything_in_one_patch() -> None:
    wanted = goal(
        Action.PREP,
        seed=dataclasses.replace(SEED, pull_secret="pull"),
        oadp_content=(("openshift-adp", "oadp-cm"),),
        extra_manifests=(),
        init_monitor_timeout=900,
        annotations={"a": "1", "same": "x", "gone": None},
    )
    idle = observe(document(State.IDLE, annotations={"same": "x", "gone": "y"}), OLD)

    decision = decide(idle, wanted)

    assert isinstance(decision, Patch)
    assert decision.body == {
        "metadata": {"annotations": {"a": "1", "gone": None}},
        "spec": {
            "stage": "Prep",
            "seedImageRef": {"version": NEW, "image": SEED.image, "pullSecretRef": {"name": "pull"}},
            "oadpContent": [{"namespace": "openshift-adp", "name": "oadp-cm"}],
            "extraManifests": [],
            "autoRollbackOnFailure": {"initMonitorTimeoutSeconds": 900},
        },
    }


def test_prep_leaves_alone_what_was_not_given() -> None:
    assert prep_spec(goal(Action.PREP)) == {"stage": "Prep", "seedImageRef": {"version": NEW, "image": SEED.image}}


@pytest.mark.parametrize(
    ("running", "seed", "fragment"),
    [
        ("4.17.3", "4.17.2", "not above"),
        ("4.17.3", "4.17.3-rc.1", "not above"),
        ("4.17.3", None, "no seed image is given"),
        ("4.16.8", "4.17", "'4.17' is no version of the form X.Y.Z"),
        ("stable", "4.17.3", "'stable' is no version of the form X.Y.Z"),
    ],
)
def test_prep_refuses_a_seed_that_leads_nowhere(running: str, seed: str | None, fragment: str) -> None:
    wanted = goal(Action.PREP, seed=SeedImage(seed, SEED.image) if seed else None)

    decision = decide(observe(document(State.IDLE), running), wanted)

    assert isinstance(decision, Fail) and fragment in decision.message


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"seed": SeedImage("4.17.4", SEED.image)}, "seed version '4.17.3', not '4.17.4'"),
        ({"seed": SeedImage(NEW, "registry.example.com/other:1")}, "seed image"),
        ({"oadp_content": (("openshift-adp", "other"),)}, "spec.oadpContent"),
        ({"extra_manifests": (("a", "b"),)}, "spec.extraManifests"),
    ],
)
def test_another_upgrade_under_way_is_not_taken_over(change: dict[str, Any], fragment: str) -> None:
    decision = decide(seen(State.PREP_COMPLETED), goal(Action.UPGRADE, **change))

    assert isinstance(decision, Fail) and decision.result is Result.REFUSED
    assert fragment in decision.message
    assert "abort" in decision.next_step


def test_a_validation_warning_stops_only_who_asks_for_it() -> None:
    key = "extra-manifest.lca.openshift.io/validation-warning"
    warned = observe(document(State.PREP_COMPLETED, annotations={key: "CRD not deployed"}), OLD)

    assert isinstance(decide(warned, goal(Action.UPGRADE)), Patch)
    strict = decide(warned, goal(Action.UPGRADE, accept_warnings=False))
    assert isinstance(strict, Fail) and "CRD not deployed" in strict.message


# --- rollback deadline ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "override", "expected"),
    [
        ("2026-12-20T14:00:00+00:00", False, Patch),
        ("2026-12-20T14:02:00+00:00", False, Fail),
        ("2026-12-20T14:02:00+00:00", True, Patch),
    ],
    ids=["before", "after", "after, but allowed"],
)
def test_rollback_minds_its_deadline(now: str, override: bool, expected: type) -> None:
    found = document(State.UPGRADE_COMPLETED)
    found["status"]["rollbackAvailabilityExpiration"] = "2026-12-20T14:01:00Z"
    observed = observe(found, NEW, datetime.datetime.fromisoformat(now))

    decision = decide(observed, goal(Action.ROLLBACK, rollback_after_expiration=override))

    assert isinstance(decision, expected)


# --- lists of actions -----------------------------------------------------------------------------------------------

UP = [goal(action) for action in (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE)]
BACK = [goal(action) for action in (Action.ROLLBACK, Action.FINALIZE_ROLLBACK)]


@pytest.mark.parametrize(
    ("state", "index"),
    [
        (State.IDLE, 0),
        (State.PREP_RUNNING, 0),
        (State.PREP_FAILED, 0),
        (State.PREP_COMPLETED, 1),
        (State.UPGRADE_PRE_PIVOT, 1),
        (State.UPGRADE_POST_PIVOT, 1),
        (State.UPGRADE_COMPLETED, 2),
        (State.FINALIZING, 2),
        (State.FINALIZE_FAILED, 2),
        (State.ROLLED_BACK, 0),
    ],
)
def test_where_a_run_goes_on(state: State, index: int) -> None:
    assert resume(seen(state), UP) == index


def test_a_finalized_cluster_has_everything_behind_it() -> None:
    assert resume(observe(document(State.IDLE), NEW), UP) == 3


@pytest.mark.parametrize(
    ("state", "index"),
    [
        (State.UPGRADE_COMPLETED, 0),
        (State.ROLLBACK_RUNNING, 0),
        (State.ROLLBACK_COMPLETED, 1),
        (State.ROLLED_BACK, 1),
        (State.IDLE, 2),
    ],
)
def test_where_a_way_back_goes_on(state: State, index: int) -> None:
    assert resume(seen(state), BACK) == index


@pytest.mark.parametrize(
    "names",
    [
        ["Prep"],
        ["Upgrade", "FinalizeUpgrade"],
        ["Prep", "Upgrade", "FinalizeUpgrade"],
        ["Rollback", "FinalizeRollback"],
        ["FinalizeRollback"],
        ["Abort"],
    ],
)
def test_lists_that_a_cluster_can_follow(names: list[str]) -> None:
    assert [str(action) for action in parse_actions(names)] == names


@pytest.mark.parametrize(
    ("names", "stop_after", "fragment"),
    [
        (["Prepp"], None, "Prepp"),
        ([], None, "actions"),
        (["Upgrade", "Prep"], None, "whole or in part"),
        (["Prep", "FinalizeUpgrade"], None, "whole or in part"),
        (["Prep", "Rollback"], None, "whole or in part"),
        (["Prep"], "Upgrade", "stop_after"),
        (["Prep"], "nonsense", "stop_after"),
        (["Prep", "AbortOnFailure"], None, "whole or in part"),
    ],
)
def test_lists_that_none_can(names: list[str], stop_after: str | None, fragment: str) -> None:
    with pytest.raises(InvalidOption, match=fragment):
        parse_actions(names, stop_after)


def test_stop_after_cuts_the_list() -> None:
    assert parse_actions(["Prep", "Upgrade", "FinalizeUpgrade"], "Upgrade") == (Action.PREP, Action.UPGRADE)


# --- progress -------------------------------------------------------------------------------------------------------


def test_precache_counts() -> None:
    found = document(State.PREP_RUNNING)
    found["status"]["conditions"][-1]["message"] = (
        "Precache job in progress. job-name: lca-prep-precache, job-namespace: x. total: 120 (pulled: 80, failed: 1)"
    )

    progress = observe(found, OLD).progress

    assert (progress.job, progress.total, progress.pulled, progress.failed) == ("precache", 120, 80, 1)


def test_health_checks_are_named_one_by_one() -> None:
    text = (
        "Waiting for system to stabilize: one or more health checks failed: a not ready: x, y\n  - csr z not approved"
    )

    assert health_failures(text) == ("a not ready: x, y", "csr z not approved")
    assert health_failures("Backing up Application Data") == ()


@pytest.mark.parametrize(
    ("chosen", "seconds"),
    [({}, 1800), ({"initMonitorTimeoutSeconds": 0}, 1800), ({"initMonitorTimeoutSeconds": 60}, 60)],
)
def test_watchdog(chosen: dict[str, int], seconds: int) -> None:
    assert init_monitor_seconds({"autoRollbackOnFailure": chosen}) == seconds


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_next_step(state: State) -> None:
    assert next_step(state)


# What a playbook that a next step names takes a cluster through.
PLAYBOOKS = {
    "abort -l {cluster}": [goal(Action.ABORT)],
    "finalize -l {cluster}": [goal(Action.FINALIZE_UPGRADE)],
    "rollback -l {cluster} -e rollback_finalize=true": BACK,
    "rollback -l {cluster}": BACK[:1],
}


@pytest.mark.parametrize("state", ROWS, ids=lambda state: state.name)
def test_the_playbook_that_a_next_step_names_has_something_to_do(state: State) -> None:
    """Whoever runs it and is told that there is nothing to do is where they were before."""
    step = next_step(state)
    named = next((goals for words, goals in PLAYBOOKS.items() if f"sno.image_upgrade.{words}" in step), None)
    if named is None:
        assert any(f"sno.image_upgrade.{name}" in step for name in ("status", "recover")) or "spec.stage" in step
        return
    observed = seen(state)
    index = resume(observed, named)
    assert index < len(named)
    assert isinstance(decide(observed, named[index]), Patch | Wait)


# --- whatever a document says ---------------------------------------------------------------------------------------

STAGES = [*map(str, Stage), "Rehearse"]
KINDS = ["Idle", *(f"{stage}{end}" for stage in STAGES[1:] for end in ("InProgress", "Completed"))]
REASONS = [
    "Idle",
    "InProgress",
    "Completed",
    "Failed",
    "Aborting",
    "AbortFailed",
    "Finalizing",
    "FinalizeFailed",
    "Blocked",
    "InvalidTransition",
    "Odd",
]
MESSAGES = ["", "In progress", "Rollback due to postpivot failure: x", "Uncontrolled rollback", "Rollback requested"]
CONDITIONS = st.lists(
    st.builds(
        condition,
        st.sampled_from(KINDS),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(REASONS),
        st.sampled_from(MESSAGES),
    ),
    max_size=7,
)
MAYBE_TIME = st.sampled_from([None, LATER])
PHASES = st.lists(
    st.fixed_dictionaries(
        {"phase": st.sampled_from(["Stateroot", "Precache", "PrePivot", "PostPivot"])},
        optional={"startTime": MAYBE_TIME, "completionTime": MAYBE_TIME},
    ),
    max_size=3,
)
HISTORY = st.lists(
    st.fixed_dictionaries(
        {"stage": st.sampled_from(STAGES)},
        optional={"startTime": MAYBE_TIME, "completionTime": MAYBE_TIME, "phases": st.none() | PHASES},
    ),
    max_size=3,
)
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "conditions": st.none() | CONDITIONS,
        "validNextStages": st.none() | st.lists(st.sampled_from(STAGES), max_size=3, unique=True),
        "observedGeneration": st.integers(0, 5),
        "rollbackAvailabilityExpiration": MAYBE_TIME,
        "history": st.none() | HISTORY,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "uid": st.just("a"),
                "generation": st.integers(1, 5),
                "annotations": st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
            },
        ),
        "spec": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "stage": st.sampled_from(STAGES),
                "seedImageRef": st.sampled_from([None, {}, SPEC["seedImageRef"]]),
                "oadpContent": st.sampled_from([None, [], [{"name": "a", "namespace": "b"}]]),
            },
        ),
        "status": st.none() | STATUS,
    },
)
RUNNING_VERSIONS = [OLD, NEW, None, "odd"]
VERSIONS = st.sampled_from(RUNNING_VERSIONS)
ALL_GOALS = [
    Goal(action, seed, oadp_content=content)
    for action in ACTIONS
    for seed in (None, SEED, SeedImage("4.16.1", SEED.image), SeedImage("latest", "r/s"))
    for content in (None, (), (("b", "a"),))
]
GOALS = st.sampled_from(ALL_GOALS)


def check_patch(found: dict[str, Any], version: str | None, wanted: Goal, decision: object) -> None:
    """What is true of every patch, whatever the cluster says."""
    if not isinstance(decision, Patch):
        return
    status, meta = found.get("status") or {}, found.get("metadata") or {}
    assert decision.stage in (status.get("validNextStages") or ())
    assert decision.stage != found["spec"]["stage"], "a patch that changes nothing would be sent for ever"
    assert status.get("observedGeneration", 9) >= meta.get("generation", 0)
    assert wanted.seed is None or (decision.stage, version) not in ((Stage.PREP, NEW), (Stage.UPGRADE, NEW))
    assert decision.body["spec"]["stage"] == wanted.action.stage == decision.stage


@settings(max_examples=100)
@given(DOCUMENTS, VERSIONS, GOALS)
def test_no_document_is_too_strange_for_a_decision(found: dict[str, Any], version: str | None, wanted: Goal) -> None:
    decision = decide(observe(found, version, datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)), wanted)

    check_patch(found, version, wanted, decision)


@pytest.mark.parametrize("state", ROWS, ids=lambda state: state.name)
def test_whatever_is_wanted_nothing_illegal_is_sent(state: State) -> None:
    for version in RUNNING_VERSIONS:
        for wanted in ALL_GOALS:
            check_patch(document(state), version, wanted, decide(observe(document(state), version), wanted))


@settings(max_examples=150)
@given(
    state=st.sampled_from([state for state in ROWS if state is not State.NO_STATUS]),
    allowed=st.lists(st.sampled_from(STAGES), max_size=4, unique=True),
    generations=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    version=VERSIONS,
    wanted=GOALS,
)
def test_no_list_of_next_stages_leads_to_something_illegal(
    state: State, allowed: list[str], generations: tuple[int, int], version: str | None, wanted: Goal
) -> None:
    found = document(state, generation=generations[0])
    found["status"].update(validNextStages=allowed, observedGeneration=generations[1])

    check_patch(found, version, wanted, decide(observe(found, version), wanted))


LISTS = [
    sequence[start:end]
    for sequence in (ACTIONS[:3], ACTIONS[3:5], ACTIONS[5:6], ACTIONS[6:])
    for start in range(len(sequence))
    for end in range(start + 1, len(sequence) + 1)
]


@pytest.mark.parametrize("actions", LISTS, ids="-".join)
@pytest.mark.parametrize("state", TABLE, ids=lambda state: state.name)
def test_every_list_goes_on_after_the_last_action_that_is_done(state: State, actions: tuple[Action, ...]) -> None:
    """An abort that leaves a cluster alone has not been done."""
    words = dict(zip(ACTIONS, TABLE[state], strict=True))
    skipped = {(State.UPGRADE_COMPLETED, Action.ABORT), *((state, Action.ABORT_ON_FAILURE) for state in State)}
    reached = [n for n, action in enumerate(actions, 1) if words[action] == D and (state, action) not in skipped]

    assert parse_actions([str(action) for action in actions]) == actions
    assert resume(seen(state), [goal(action) for action in actions]) == max(reached, default=0)
