# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be sent to the hub, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import (
    Change,
    Declared,
    change_to,
    check_finalize,
    check_overlap,
    finalized_by,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import Member, view
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Step
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError

from .groups import (
    PREP_DONE,
    PREP_FAILED,
    SEED,
    SELECTORS,
    UPGRADE_DONE,
    UPGRADE_FAILED,
    cgu,
    entry,
    ibgu,
    members,
    steps,
)

TWO = members("a", "b")
PREPARED = members("a", "b", labels=[PREP_DONE])


def declared(plan: Sequence[dict[str, Any]], **changed: Any) -> Declared:
    values: dict[str, Any] = {
        "name": "north",
        "namespace": "ibu",
        "selectors": SELECTORS,
        "ibu_spec": {"seedImageRef": SEED},
        "plan": parse_plan(plan),
    }
    return Declared(**{**values, **changed})


def present(plan: list[dict[str, Any]], everyone: Sequence[Member], *, ended: bool = True) -> Any:
    """An object on the hub whose steps have all ended well, or whose last one still runs."""
    names = [member.name for member in everyone]
    cgus = [
        cgu(plan, index, [names], dict.fromkeys(names, "complete") if done else {}, succeeded=True if done else None)
        for index in range(len(plan))
        for done in (ended or index < len(plan) - 1,)
    ]
    document = ibgu(plan, [entry(name) for name in names])
    return document, view(document, cgus, everyone)


def test_a_new_group_upgrade_is_sent_whole() -> None:
    change = change_to(declared(steps(["Prep"])), None, None, TWO)

    assert change.appended == 1
    assert declared(steps(["Prep"]), annotations={"x": "y"}).document(change.steps) == {
        "apiVersion": "lcm.openshift.io/v1alpha1",
        "kind": "ImageBasedGroupUpgrade",
        "metadata": {"name": "north", "namespace": "ibu", "annotations": {"x": "y"}},
        "spec": {
            "ibuSpec": {"seedImageRef": SEED},
            "clusterLabelSelectors": SELECTORS,
            "plan": [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 10, "timeout": 60}}],
        },
    }


def test_only_the_steps_beyond_are_appended() -> None:
    held = steps(["Prep"])

    change = change_to(declared(steps(["Prep"], ["Upgrade"])), *present(held, PREPARED), PREPARED)

    assert (change.appended, [step.actions for step in change.new_steps]) == (1, [("Upgrade",)])


def test_a_plan_that_is_there_needs_nothing() -> None:
    change = change_to(declared(steps(["Prep"])), *present(steps(["Prep"]), TWO, ended=False), TWO)

    assert (change.appended, dict(change.annotations)) == (0, {})


def test_new_annotations_are_sent_and_others_left() -> None:
    document, group = present(steps(["Prep"]), TWO)
    document["metadata"]["annotations"] = {"old": "1", "kept": "2"}

    change = change_to(declared(steps(["Prep"]), annotations={"kept": "2", "new": "3"}), document, group, TWO)

    assert dict(change.annotations) == {"new": "3"}


def test_computed_minutes_stay_as_they_were_sent_although_the_fleet_has_grown() -> None:
    plan = [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 1, "timeoutPerCluster": 20}}]
    held = steps(["Prep"], max_concurrency=1, timeout=40)

    change = change_to(declared(plan), *present(held, TWO), members("a", "b", "c"))

    assert (change.appended, change.steps[0].timeout) == (0, 40)


def test_minutes_are_computed_from_the_batches_and_explained() -> None:
    plan = [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 2, "timeoutPerCluster": 20}}]

    change = change_to(declared(plan), None, None, members(*"abcde"))

    assert change.steps[0].timeout == 60
    assert change.notes == ("step 1 ([Prep]): timeout 60 minutes = 3 batches of 20 minutes (5 clusters, 2 at a time)",)


@pytest.mark.parametrize(
    ("actions", "minutes"),
    [(["Prep"], 60), (["Prep", "Upgrade"], 150), (["Rollback"], 30), (["Abort"], 40)],
    ids=str,
)
def test_minutes_that_nobody_gave(actions: list[str], minutes: int) -> None:
    plan = [{"actions": actions, "rolloutStrategy": {"maxConcurrency": 5}}]

    change = change_to(declared(plan), None, None, members("a", labels=[] if actions == ["Abort"] else [UPGRADE_DONE]))

    assert change.steps[0].timeout == minutes


def test_clusters_that_run_the_release_already_are_not_prepared_again() -> None:
    everyone = [Member("a", version="4.16.8"), Member("b", version=SEED["version"]), Member("c")]

    with pytest.raises(IbuError, match=r"b run 4\.17\.3 already, .* name them in ibgu_exclude"):
        change_to(declared(steps(["Prep"])), None, None, everyone)

    assert change_to(declared(steps(["Abort"])), None, None, everyone).appended


MANY = members(*(f"site-{number:04}" for number in range(240)))


@pytest.mark.parametrize(
    ("plan", "everyone", "words"),
    [
        (steps(["Prep"], ["Abort"], ["Upgrade"]), TWO, r"step 3 \(\[Upgrade\]\) cannot follow step 2 \(\[Abort\]\)"),
        (steps(["Prep"]), [], "they select no ManagedCluster.*completed"),
        (
            steps(["Upgrade"]),
            TWO,
            rf"step 1 \(\[Upgrade\]\) would select none of the 2 clusters.*{PREP_DONE} is missing.*hub-not-selected",
        ),
        (steps(["AbortOnFailure"]), PREPARED, r"would select none of the 2 clusters.*neither"),
        (steps(["Prep"]), members("a", labels=[PREP_FAILED]), r"have failed: a \(ibgu-prep-failed\).*must be Abort"),
        (
            steps(["Upgrade"]),
            members("a", labels=[PREP_DONE, UPGRADE_FAILED]),
            r"step 1 .*have failed: a \(ibgu-upgrade-failed\)",
        ),
        (
            [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 50, "timeout": 60, "timeoutPerCluster": 20}}],
            MANY,
            r"plan step 1 timeout: 60 .*at least 100 minutes \(240 clusters, 50 at a time, 20 minutes each\)",
        ),
        (steps(["Prep"], timeout=5, max_concurrency=50), MANY, r"plan step 1 timeout: 5 .*at least 25 minutes"),
        (steps(["Prep"], ["Upgrade"], timeout=14), TWO, r"plan step 2 timeout: 14 .*at least 15 minutes"),
    ],
)
def test_what_a_new_group_upgrade_may_not_say(plan: Any, everyone: list[Member], words: str) -> None:
    with pytest.raises(IbuError, match=words):
        change_to(declared(plan), None, None, everyone)


@pytest.mark.parametrize(
    "changed",
    [
        {"ibu_spec": {"seedImageRef": {**SEED, "version": "4.17.4"}}},
        {"ibu_spec": {"seedImageRef": SEED, "oadpContent": [{"name": "n", "namespace": "s"}]}},
        {"selectors": [{"matchLabels": {"region": "south"}}]},
    ],
    ids=["seed", "content", "selectors"],
)
def test_what_cannot_be_changed_any_more(changed: dict[str, Any]) -> None:
    with pytest.raises(IbuError, match="ibu/north was made with .* cannot be changed; declare .* another name"):
        change_to(declared(steps(["Prep"]), **changed), *present(steps(["Prep"]), TWO), TWO)


@pytest.mark.parametrize("same", [{"oadpContent": []}, {"extraManifests": []}], ids=str)
def test_nothing_and_an_empty_list_are_the_same(same: dict[str, Any]) -> None:
    wanted = declared(steps(["Prep"]), ibu_spec={"seedImageRef": SEED, **same})

    assert change_to(wanted, *present(steps(["Prep"]), TWO), TWO).appended == 0


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (steps(["Prep"]), "plan step 2: 'nothing'"),
        (steps(["Prep"], ["AbortOnFailure"]), "plan step 2"),
        (steps(["Prep"], ["Upgrade"], timeout=61), "plan step 1"),
    ],
)
def test_steps_that_ran_stay_as_they_were(plan: Any, words: str) -> None:
    with pytest.raises(IbuError, match=words):
        change_to(declared(plan), *present(steps(["Prep"], ["Upgrade"]), PREPARED), PREPARED)


def test_no_step_is_appended_to_one_that_runs() -> None:
    with pytest.raises(IbuError, match=r"step 2 \(\[Upgrade\]\) cannot be appended while step 1 .*2 in progress"):
        change_to(declared(steps(["Prep"], ["Upgrade"])), *present(steps(["Prep"]), PREPARED, ended=False), PREPARED)


def test_nobody_to_abort_is_what_everybody_hopes_for() -> None:
    change = change_to(declared(steps(["Prep"], ["AbortOnFailure"])), *present(steps(["Prep"]), PREPARED), PREPARED)

    assert change.appended == 1


def test_a_step_for_failed_clusters_may_recover_them() -> None:
    failed = [*members("a", labels=[PREP_FAILED]), *members("b", labels=[PREP_DONE])]

    assert change_to(declared(steps(["Prep"], ["AbortOnFailure"])), *present(steps(["Prep"]), failed), failed).appended
    with pytest.raises(IbuError, match="would select none"):
        change_to(declared(steps(["Rollback"])), None, None, failed)


def other(*names: str, progressing: bool, seed: Any = None, plan: Any = None) -> dict[str, Any]:
    document = ibgu(plan or steps(["Prep"]), [entry(name) for name in names], name="other", progressing=progressing)
    document["spec"]["ibuSpec"] = {"seedImageRef": seed or SEED}
    return document


UPGRADE = Change((Step(("Upgrade",), 1),), 1)


def test_no_two_group_upgrades_work_on_one_cluster() -> None:
    with pytest.raises(IbuError, match="ibu/other is still working on b"):
        check_overlap(declared(steps(["Upgrade"])), UPGRADE, TWO, [other("b", "z", progressing=True)])


def test_the_second_group_upgrade_must_repeat_the_inputs_of_the_first() -> None:
    prepared = other("b", progressing=False, seed={**SEED, "image": "registry.example.com/other:1"})

    with pytest.raises(IbuError, match="seed_image_ref.*ibu/other has prepared b with.*other:1"):
        check_overlap(declared(steps(["Upgrade"])), UPGRADE, TWO, [prepared])


@pytest.mark.parametrize(
    "harmless",
    [
        other("z", progressing=True),
        other("a", progressing=False),
        other("a", progressing=False, seed={"version": "1.2.3"}, plan=steps(["Abort"])),
        ibgu(steps(["Prep"]), [entry("a")], progressing=True),
    ],
    ids=["other clusters", "same inputs", "prepared nothing", "itself"],
)
def test_other_group_upgrades_that_do_no_harm(harmless: dict[str, Any]) -> None:
    check_overlap(declared(steps(["Upgrade"])), UPGRADE, TWO, [harmless])


@pytest.mark.parametrize(
    ("plan", "held", "stepwise", "refused"),
    [
        ([["Prep"], ["Upgrade", "FinalizeUpgrade"]], 1, False, True),
        ([["Prep"], ["Upgrade", "FinalizeUpgrade"]], 0, True, True),
        ([["Prep"], ["Upgrade"], ["FinalizeUpgrade"]], 1, False, True),
        ([["Prep"], ["Upgrade"], ["FinalizeUpgrade"]], 1, True, False),
        ([["Prep"], ["Upgrade"], ["FinalizeUpgrade"]], 2, False, False),
        ([["FinalizeUpgrade"]], 0, False, False),
        ([["Prep", "Upgrade", "FinalizeUpgrade"]], 1, False, False),
    ],
)
def test_steps_that_would_finalize_unseen(plan: Any, held: int, stepwise: bool, refused: bool) -> None:
    planned = parse_plan(steps(*plan))
    if refused:
        with pytest.raises(IbuError, match="would finalize without a verification"):
            check_finalize(planned, held, stepwise=stepwise)
    else:
        check_finalize(planned, held, stepwise=stepwise)


def test_whom_a_finalize_takes_the_way_back_from() -> None:
    everyone = [*members("a", labels=[UPGRADE_DONE]), *members("b", labels=[PREP_DONE])]

    assert finalized_by(Change((Step(("FinalizeUpgrade",), 1),), 1), everyone) == ["a"]
    assert finalized_by(UPGRADE, everyone) == []
