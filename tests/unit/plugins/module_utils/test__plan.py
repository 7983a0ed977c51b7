# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: what is permitted, what may be appended, what is said about the rest, and how many minutes a step needs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils import _plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import PERMITTED, Shape, Step
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, InvalidOption

WORDS = [str(action) for action in Action]
# What the product documents as permitted, in letters: P(rep) U(pgrade) F(inalizeUpgrade) R(ollback)
# E (FinalizeRollback) A(bort) O (AbortOnFailure). Written apart from the code, so that neither can slip alone.
LETTERS = dict(zip("PUFREAO", WORDS, strict=True))
DOCUMENTED = (
    "P|P U|PU|P U F|P UF|PU F|PUF|P A|P O|P O U|P O U O|P O U O F|P U O|P U O F|PU O|PU O F|U|U F|UF|F|R|R E|RE|E|A|O"
)
WHITELIST = DOCUMENTED.split("|")

shapes = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=_plan.MOST_ACTIONS).map(tuple), max_size=_plan.MOST_STEPS
).map(tuple)
steps = st.builds(
    Step,
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(tuple),
    st.integers(1, 2),
    st.sampled_from([None, 240, 60]),
)
plans = st.lists(steps, max_size=_plan.MOST_STEPS)


def shape(letters: str) -> Shape:
    """`PU F` is [Prep,Upgrade] [FinalizeUpgrade]."""
    return tuple(tuple(LETTERS[letter] for letter in step) for step in letters.split())


def step(letters: str = "P", max_concurrency: int = 5, timeout: int | None = 60) -> Step:
    return Step(shape(letters)[0], max_concurrency, timeout)


def refusal(made: pytest.ExceptionInfo[InvalidOption]) -> tuple[str, object, str]:
    return made.value.option, made.value.value, made.value.remedy


# A step and its spelling


def test_step_is_spelled_as_the_api_does() -> None:
    assert step("PU", 10, 90).as_spec() == {
        "actions": ["Prep", "Upgrade"],
        "rolloutStrategy": {"maxConcurrency": 10, "timeout": 90},
    }


def test_step_without_a_timeout_leaves_it_to_the_api() -> None:
    assert step("F", 1, None).as_spec()["rolloutStrategy"] == {"maxConcurrency": 1}


@given(steps)
def test_spelling_and_reading_give_the_same_step(one: Step) -> None:
    assert Step.of(one.as_spec()) == one


def test_step_with_nothing_in_it_can_be_read() -> None:
    assert Step.of({}) == Step((), 0, None)


@pytest.mark.parametrize(("timeout", "minutes"), [(None, 240), (0, 240), (1, 1), (2400, 2400)])
def test_minutes_are_those_that_talm_gives(timeout: int | None, minutes: int) -> None:
    assert step(timeout=timeout).minutes == minutes


@pytest.mark.parametrize(
    ("other", "same"),
    [(step("P", 5, 240), True), (step("P", 5, 0), False), (step("P", 6, None), False), (step("U", 5, None), False)],
)
def test_an_absent_timeout_equals_the_default_and_not_zero(other: Step, same: bool) -> None:
    assert step("P", 5, None).equals(other) is same
    assert other.equals(step("P", 5, None)) is same


# The whitelist


def test_exactly_the_documented_plans_are_permitted() -> None:
    assert len(WHITELIST) == 26
    assert set(PERMITTED) == {shape(letters) for letters in WHITELIST}
    assert len(PERMITTED) == len(set(PERMITTED))


@pytest.mark.parametrize("letters", WHITELIST)
def test_permitted_plan_passes(letters: str) -> None:
    _plan.check_shape(shape(letters))


@pytest.mark.parametrize("letters", ["P O U F", "P U A", "U O", "R U", "P U R", "P P", "U P", "PA", "FU", "P UO", "RO"])
def test_plausible_plan_that_the_api_refuses(letters: str) -> None:
    with pytest.raises(InvalidOption):
        _plan.check_shape(shape(letters))


@given(shapes)
def test_checking_agrees_with_the_whitelist(drawn: Shape) -> None:
    try:
        _plan.check_shape(drawn)
    except InvalidOption:
        assert not _plan.is_permitted(drawn)
    else:
        assert _plan.is_permitted(drawn)


@pytest.mark.parametrize("known", PERMITTED, ids=_plan.text_of)
def test_every_permitted_plan_can_be_reached_step_by_step(known: Shape) -> None:
    for count in range(1, len(known) + 1):
        assert _plan.is_permitted(known[:count])


# What is said about the rest


def test_no_steps() -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_shape(())

    assert refusal(made)[:2] == ("plan", [])
    assert "at least one step" in made.value.remedy


def test_too_many_steps() -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_shape((("Prep",),) * 7, "ibgu_plan")

    assert refusal(made) == ("ibgu_plan", "7 steps", "the API accepts at most 6 steps")


def test_too_many_actions() -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_shape((("Prep",), ("Upgrade",) * 5))

    assert refusal(made) == ("plan step 2", ["Upgrade"] * 5, "a step has at most 4 actions")


@pytest.mark.parametrize("word", ["prep", "Finalize", "", " Prep"])
def test_unknown_action(word: str) -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_shape((("Prep",), (word,)))

    assert refusal(made)[:2] == ("plan step 2", word)
    assert all(known in made.value.remedy for known in WORDS)


@pytest.mark.parametrize(
    ("letters", "index", "said"),
    [
        ("PR", 0, "step 1 ([Prep,Rollback]) cannot begin a plan"),
        ("P R", 1, "step 2 ([Rollback]) cannot follow step 1 ([Prep])"),
        ("P U A", 2, "step 3 ([Abort]) cannot follow step 2 ([Upgrade])"),
        ("P O U F", 3, "step 4 ([FinalizeUpgrade]) cannot follow step 3 ([Upgrade])"),
        ("F F", 1, "step 2 ([FinalizeUpgrade]) cannot follow step 1 ([FinalizeUpgrade])"),
    ],
)
def test_refusal_names_the_step_that_leaves_every_permitted_plan(letters: str, index: int, said: str) -> None:
    plan = shape(letters)

    with pytest.raises(InvalidOption) as made:
        _plan.check_shape(plan)

    assert _plan.first_bad_step(plan) == index
    assert refusal(made)[:2] == ("plan", _plan.text_of(plan))
    assert made.value.remedy.startswith(f"{said}: the API accepts 26 plans; nearest: [")


@given(shapes.filter(lambda drawn: drawn and not _plan.is_permitted(drawn)))
def test_first_bad_step_is_the_first(drawn: Shape) -> None:
    index = _plan.first_bad_step(drawn)

    assert any(known[:index] == drawn[:index] for known in PERMITTED)
    assert not any(known[: index + 1] == drawn[: index + 1] for known in PERMITTED)


@pytest.mark.parametrize("known", PERMITTED, ids=_plan.text_of)
def test_permitted_plan_is_its_own_nearest(known: Shape) -> None:
    assert _plan.nearest(known) == (known,)


@pytest.mark.parametrize(
    ("letters", "nearest"),
    [
        ("PUFF", "PU F | PUF"),
        ("U P", "U F"),
        ("P U R", "P U F | P U O"),
        # Of those that are equally near, the ones that keep most of the actions.
        ("PA", "P A"),
        ("PF", "PUF"),
        ("P U U F", "P U O F"),
        ("P O U F", "P O U O"),
        # Then those that begin alike: nobody who wants to upgrade wants to abort.
        ("U A", "U F"),
        ("RU", "R | RE"),
        # Nothing tells these apart, so all are named.
        ("PP", "P | PU"),
        ("P F", "P UF | PU F | PUF"),
    ],
)
def test_nearest_takes_the_fewest_edits(letters: str, nearest: str) -> None:
    assert set(_plan.nearest(shape(letters))) == {shape(one) for one in nearest.split(" | ")}


def test_of_many_that_are_equally_near_some_are_named() -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_shape(shape("F P P"))
    assert made.value.remedy.count(" or ") == 2
    assert made.value.remedy.endswith(", and others")


@given(shapes)
def test_nearest_is_permitted(drawn: Shape) -> None:
    found = _plan.nearest(drawn)
    assert found and all(map(_plan.is_permitted, found))


# Appending


def test_nothing_appended() -> None:
    _plan.check_append([step("P")], [step("P")])


def test_steps_appended() -> None:
    _plan.check_append([step("P")], [step("P"), step("O", 1, 10), step("U")])


def test_everything_can_be_appended_to_nothing() -> None:
    _plan.check_append([], [step("P")])


def test_default_timeout_may_be_spelled_out_or_left_out() -> None:
    _plan.check_append([step("P", 5, 240)], [step("P", 5, None)])
    _plan.check_append([step("P", 5, None)], [step("P", 5, 240)])


@pytest.mark.parametrize(
    ("old", "new", "number", "value", "told"),
    [
        (["P"], [], 1, "nothing", "give the step again"),
        (["P", "U"], ["P"], 2, "nothing", "give the step again"),
        (["P", "U"], ["P", "O", "U"], 2, "[AbortOnFailure]", "keep its actions"),
        (["U"], ["P", "U"], 1, "[Prep]", "keep its actions"),
        (["P", "O", "U", "O"], ["P", "U", "O"], 2, "[Upgrade]", "keep its actions"),
        (["P", "O", "U", "O"], ["P", "O", "U"], 4, "nothing", "give the step again"),
    ],
    ids=["emptied", "shrunk", "between", "before", "reordered", "one of two equal steps gone"],
)
def test_no_append(old: list[str], new: list[str], number: int, value: str, told: str) -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_append([step(letters) for letters in old], [step(letters) for letters in new], "ibgu_plan")

    before = f"{_plan.text_of(shape(old[number - 1]))} with maxConcurrency 5, timeout 60"
    assert made.value.option == f"ibgu_plan step {number}"
    assert str(made.value.value).startswith(value)
    assert made.value.remedy.startswith(f"the plan in the cluster has {before} there and can only grow: {told}, ")
    assert f"behind step {len(old)}" in made.value.remedy


@pytest.mark.parametrize(
    ("now", "value"),
    [
        (step("P", 6, 60), "[Prep] with maxConcurrency 6, timeout 60"),
        (step("P", 5, 61), "[Prep] with maxConcurrency 5, timeout 61"),
        (step("P", 5, None), "[Prep] with maxConcurrency 5, timeout 240"),
        (step("P", 5, 0), "[Prep] with maxConcurrency 5, timeout 0"),
    ],
)
def test_strategy_of_an_old_step_cannot_change(now: Step, value: str) -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_append([step("P"), step("U")], [now, step("U"), step("F")])

    assert refusal(made)[:2] == ("plan step 1", value)
    assert "keep its rolloutStrategy" in made.value.remedy


@given(plans, plans)
def test_appending_is_refused_wherever_an_old_step_is_missing(old: list[Step], new: list[Step]) -> None:
    """The API's rule; ours is stricter, and exactly "the old plan is the beginning of the new one"."""
    begins = len(new) >= len(old) and all(one.equals(other) for one, other in zip(old, new, strict=False))
    try:
        _plan.check_append(old, new)
    except InvalidOption:
        assert not begins
    else:
        assert begins
        assert all(any(one.equals(other) for other in new) for one in old)


@given(plans, plans)
def test_whatever_is_put_behind_is_an_append(old: list[Step], more: list[Step]) -> None:
    _plan.check_append(old, old + more)


# Steps for clusters that failed


@pytest.mark.parametrize("letters", ["A", "O", "R", "RE"])
def test_recovery(letters: str) -> None:
    _plan.check_recovery(step(letters), 2)


@pytest.mark.parametrize("letters", ["P", "U", "UF", "F", "E"])
def test_no_recovery(letters: str) -> None:
    with pytest.raises(InvalidOption) as made:
        _plan.check_recovery(step(letters), 2, "ibgu_plan")

    assert refusal(made)[:2] == ("ibgu_plan step 2", list(shape(letters)[0]))
    assert all(word in made.value.remedy for word in ("Abort", "AbortOnFailure", "Rollback"))


def test_no_recovery_without_actions() -> None:
    with pytest.raises(InvalidOption):
        _plan.check_recovery(Step((), 1), 1)


# Minutes


@pytest.mark.parametrize(
    ("clusters", "at_once", "count"),
    [(10, 5, 2), (10, 3, 4), (10, 10, 1), (10, 11, 1), (1, 1, 1), (3500, 200, 18), (10, 0, 1), (10, -1, 1), (0, 5, 1)],
)
def test_batches(clusters: int, at_once: int, count: int) -> None:
    assert _plan.batches(clusters, at_once) == count


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_batches_are_just_enough(clusters: int, at_once: int) -> None:
    count = _plan.batches(clusters, at_once)

    assert (count - 1) * at_once < clusters <= count * at_once


@pytest.mark.parametrize(
    ("clusters", "at_once", "each", "minutes"),
    [(10, 5, 30, 60), (10, 3, 30, 120), (10, 0, 30, 30), (10, 5, 0.5, 1), (1, 1, 0, 1), (7, 2, 1.5, 6), (3, 1, 0.4, 2)],
)
def test_minutes_for(clusters: int, at_once: int, each: float, minutes: int) -> None:
    assert _plan.minutes_for(clusters, at_once, each) == minutes


@given(st.integers(1, 5000), st.integers(-1, 500), st.integers(1, 600))
def test_every_batch_gets_the_minutes_of_a_cluster(clusters: int, at_once: int, each: int) -> None:
    """TALM divides what is left over the batches that are left, so the first one gets the least."""
    minutes = _plan.minutes_for(clusters, at_once, each)

    assert minutes / _plan.batches(clusters, at_once) >= each
    assert minutes == math.ceil(minutes)


@pytest.mark.parametrize(
    ("clusters", "at_once", "each", "told"),
    [
        (10, 3, 30, "120 minutes = 4 batches of 30 minutes (10 clusters, 3 at a time)"),
        (2, 5, 7.5, "8 minutes = 1 batch of 7.5 minutes (2 clusters, all at once)"),
    ],
)
def test_minutes_are_explained(clusters: int, at_once: int, each: float, told: str) -> None:
    assert _plan.explain_minutes(clusters, at_once, each) == told


def test_text_of_a_plan() -> None:
    assert _plan.text_of(shape("PU F")) == "[Prep,Upgrade] [FinalizeUpgrade]"
    assert len({_plan.text_of(known) for known in PERMITTED}) == len(PERMITTED)
