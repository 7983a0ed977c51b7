# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be done to stateroots: never the booted one, never the default, and always to the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree import (
    CleanUp,
    Deployment,
    Refusal,
    Remove,
    SetDefault,
    Sysroot,
    Undeploy,
    Unreadable,
    after,
    after_all,
    checked,
    facts,
    lines,
    mismatch,
    plan_absent,
    plan_default,
    valid_name,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

OLD, NEW, THIRD, LEFT = "rhcos", "rhcos_4.17.3", "rhcos_4.18.0_rc.1", "leftover"


def deployment(index: int, stateroot: str, **more: object) -> Deployment:
    """A deployment whose checksum tells its place."""
    return Deployment(index, stateroot, f"{index:x}" * 64, 0, **more)  # type: ignore[arg-type]


def node(*deployments: Deployment, **more: object) -> Sysroot:
    """A node with these deployments and one stateroot that is left over."""
    names = sorted({one.stateroot for one in deployments} | {LEFT})
    return Sysroot(deployments, tuple(names), **more)  # type: ignore[arg-type]


# As finalize leaves it when it fails: upgraded, with two deployments of the old release and one of the new.
FINALIZE_FAILED = node(
    deployment(0, NEW, booted=True, version="4.17.3"), deployment(1, OLD), deployment(2, THIRD), deployment(3, OLD)
)


class TestAbsent:
    def test_undeploys_from_the_highest_index_down_and_then_removes(self) -> None:
        first, second = FINALIZE_FAILED.of(OLD)
        assert plan_absent(FINALIZE_FAILED, OLD) == (Undeploy(second), Undeploy(first), Remove(OLD))

    def test_removes_at_once_what_has_no_deployment(self) -> None:
        assert plan_absent(FINALIZE_FAILED, LEFT) == (Remove(LEFT),)

    def test_lets_ostree_delete_what_is_left_of_deployments(self) -> None:
        state = replace(FINALIZE_FAILED, orphans=((LEFT, "a" * 64 + ".0"), (OLD, "b" * 64 + ".0")))
        assert plan_absent(state, LEFT) == (CleanUp(LEFT), Remove(LEFT))
        # Undeploying cleans up too.
        assert CleanUp(OLD) not in plan_absent(state, OLD)

    def test_has_nothing_to_do_where_there_is_no_such_stateroot(self) -> None:
        assert plan_absent(FINALIZE_FAILED, "rhcos_4.16.0") == ()
        # Not even while something else is going on.
        assert plan_absent(replace(FINALIZE_FAILED, transaction="upgrade"), "rhcos_4.16.0") == ()

    def test_refuses_the_booted_stateroot(self) -> None:
        state = node(deployment(0, NEW), deployment(1, OLD), deployment(2, OLD, booted=True))
        with pytest.raises(Refusal, match="runs from stateroot rhcos "):
            plan_absent(state, OLD)

    def test_refuses_the_default_and_says_how_to_change_it(self) -> None:
        state = node(deployment(0, NEW), deployment(1, OLD, booted=True))
        with pytest.raises(Refusal, match=r"next boot takes stateroot rhcos_4.17.3 .*state: default, name: rhcos\)"):
            plan_absent(state, NEW)

    def test_refuses_what_counts_as_default_until_a_staged_deployment_is_written(self) -> None:
        state = node(deployment(0, THIRD, staged=True), deployment(1, NEW), deployment(2, OLD, booted=True))
        for name in (THIRD, NEW):
            with pytest.raises(Refusal, match="next boot takes"):
                plan_absent(state, name)

    def test_refuses_the_default_of_a_disk_that_is_not_booted(self) -> None:
        state = node(deployment(0, NEW), deployment(1, OLD), live=False)
        with pytest.raises(Refusal, match="next boot takes"):
            plan_absent(state, NEW)
        assert plan_absent(state, OLD) == (Undeploy(state.deployments[1]), Remove(OLD))

    def test_refuses_a_pinned_deployment_unless_told(self) -> None:
        state = node(deployment(0, NEW, booted=True), deployment(1, OLD, pinned=True))
        with pytest.raises(Refusal, match="remove_pinned: true"):
            plan_absent(state, OLD)
        assert plan_absent(state, OLD, remove_pinned=True) == (Undeploy(state.deployments[1]), Remove(OLD))

    def test_refuses_while_rpm_ostree_is_at_work(self) -> None:
        with pytest.raises(Refusal, match=r"at work \(upgrade"):
            plan_absent(replace(FINALIZE_FAILED, transaction="upgrade"), OLD)

    def test_refuses_while_something_is_mounted_there(self) -> None:
        state = replace(FINALIZE_FAILED, mounts=((OLD, "/sysroot/ostree/deploy/rhcos/var/log"), (NEW, "/x")))
        with pytest.raises(Refusal, match="/sysroot/ostree/deploy/rhcos/var/log is mounted"):
            plan_absent(state, OLD)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            None,
            "",
            ".",
            "..",
            ".hidden",
            "-rf",
            "--",
            "a/b",
            "/",
            "../rhcos",
            "rhcos/",
            "a b",
            " ",
            "a\n",
            "rhcos\n",
            "*",
            "a;b",
            "ä",
        ],
    )
    def test_whatever_is_no_plain_name_is_refused(self, name: str | None) -> None:
        with pytest.raises(InvalidOption, match="^name(: | is not set)"):
            valid_name(name)
        for plan in (plan_absent, plan_default):
            with pytest.raises(InvalidOption):
                plan(FINALIZE_FAILED, name)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["rhcos", "rhcos_4.17.0_rc.1", "rhcos_192-0-2-1_vlan-3_dns-filter-out-ipv6", "0"])
    def test_the_names_that_exist_are_taken(self, name: str) -> None:
        assert valid_name(name) == name


class TestDefault:
    def test_takes_the_first_deployment_of_the_stateroot(self) -> None:
        assert plan_default(FINALIZE_FAILED, OLD) == (SetDefault(FINALIZE_FAILED.deployments[1]),)

    def test_has_nothing_to_do_where_it_is_the_default(self) -> None:
        assert plan_default(FINALIZE_FAILED, NEW) == ()

    @pytest.mark.parametrize("name", [LEFT, "nobody"])
    def test_refuses_a_stateroot_without_deployments(self, name: str) -> None:
        with pytest.raises(Refusal, match="has no deployment to boot; those that have one: rhcos, rhcos_4.17.3"):
            plan_default(FINALIZE_FAILED, name)

    def test_refuses_while_a_staged_deployment_would_undo_it(self) -> None:
        state = node(deployment(0, NEW, staged=True), deployment(1, NEW, booted=True), deployment(2, OLD))
        with pytest.raises(Refusal, match="is staged"):
            plan_default(state, OLD)

    def test_refuses_while_rpm_ostree_is_at_work(self) -> None:
        with pytest.raises(Refusal, match="at work"):
            plan_default(replace(FINALIZE_FAILED, transaction="upgrade"), OLD)


class TestSense:
    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (node(deployment(0, NEW), deployment(1, OLD)), "no deployment is marked as booted"),
            (node(), "no deployment is marked as booted"),
            (node(deployment(0, NEW, booted=True), deployment(1, OLD, booted=True)), "more than one deployment"),
            (node(deployment(0, NEW, booted=True), deployment(2, OLD)), "not numbered"),
            (node(deployment(0, NEW, booted=True), replace(deployment(0, NEW), index=1)), "listed twice"),
            (
                replace(FINALIZE_FAILED, directories=(NEW, THIRD)),
                "no directory for the stateroot of a deployment: rhcos$",
            ),
        ],
        ids=["none booted", "nothing there", "two booted", "gap", "twice", "no directory"],
    )
    def test_a_state_that_makes_no_sense_is_refused(self, state: Sysroot, words: str) -> None:
        for decide in (checked, lambda one: plan_absent(one, OLD), lambda one: plan_default(one, OLD)):
            with pytest.raises(Unreadable, match=words):
                decide(state)

    def test_a_disk_that_is_not_booted_needs_no_booted_deployment(self) -> None:
        assert checked(node(live=False)) == node(live=False)


class TestMismatch:
    def test_what_happened_otherwise_is_told(self) -> None:
        step = plan_absent(FINALIZE_FAILED, OLD)[0]
        expected = after(FINALIZE_FAILED, step)
        assert mismatch(expected, expected, step) is None
        wrong = after(FINALIZE_FAILED, Undeploy(FINALIZE_FAILED.deployments[2]))
        assert "the deployments are now rhcos_4.17.3 000000000000.0, " in str(mismatch(expected, wrong, step))

    def test_a_directory_that_stayed_is_told(self) -> None:
        step = Remove(LEFT)
        assert "the stateroots are now" in str(mismatch(after(FINALIZE_FAILED, step), FINALIZE_FAILED, step))

    def test_another_booted_deployment_is_told(self) -> None:
        rebooted = tuple(replace(one, booted=one.index == 1) for one in FINALIZE_FAILED.deployments)
        told = mismatch(FINALIZE_FAILED, replace(FINALIZE_FAILED, deployments=rebooted), Remove(LEFT))
        assert told == "another deployment is booted than before"

    def test_remains_that_the_cleanup_left_are_told(self) -> None:
        state = replace(FINALIZE_FAILED, orphans=((LEFT, "a" * 64 + ".0"),))
        assert "it left aaaa" in str(mismatch(state, state, CleanUp(LEFT)))
        assert mismatch(state, state, CleanUp(OLD)) is None


def test_facts_say_what_is_booted_default_rollback_and_unused() -> None:
    told = facts(replace(FINALIZE_FAILED, free_bytes=5, size_bytes=9))
    assert told["booted_stateroot"] == told["default_stateroot"] == NEW
    assert told["other_stateroot"] == OLD
    assert told["unused_stateroots"] == [LEFT]
    assert told["stateroots"] == [LEFT, OLD, NEW, THIRD]
    assert (told["free_bytes"], told["size_bytes"]) == (5, 9)
    assert told["deployments"][0] == {
        "index": 0,
        "stateroot": NEW,
        "checksum": "0" * 64,
        "serial": 0,
        "version": "4.17.3",
        "booted": True,
        "default": True,
        "pinned": False,
        "staged": False,
        "rollback": False,
    }
    assert not any(one["rollback"] for one in told["deployments"])


def test_the_rollback_of_ostree_is_the_next_of_the_booted_stateroot() -> None:
    state = node(deployment(0, OLD, booted=True), deployment(1, NEW), deployment(2, OLD))
    assert [one["rollback"] for one in facts(state)["deployments"]] == [False, False, True]


def test_nothing_is_booted_on_a_disk_beside() -> None:
    told = facts(node(live=False))
    assert [told[f"{word}_stateroot"] for word in ("booted", "default", "other")] == [None, None, None]


def test_the_diff_names_what_matters() -> None:
    state = node(deployment(0, NEW, booted=True, version="4.17.3"), deployment(1, OLD, pinned=True))
    shown = [f"{NEW} {'0' * 64}.0, version 4.17.3, default, booted", f"{OLD} {'1' * 64}.0, pinned"]
    assert lines(state) == "".join(f"{line}\n" for line in [*shown, "leftover without deployments"])


# -- generated nodes ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from([OLD, NEW, THIRD, LEFT, "fifth"])


@st.composite
def sysroots(draw: st.DrawFn) -> Sysroot:
    """Any node that makes sense: deployments of several stateroots in any order, left-over directories, one booted."""
    stateroots = draw(st.lists(NAMES, min_size=1, max_size=7))
    live = draw(st.booleans())
    booted = draw(st.integers(0, len(stateroots) - 1)) if live or draw(st.booleans()) else None
    staged = draw(st.booleans())
    deployments = tuple(
        Deployment(
            index,
            stateroot,
            # The same commit may be deployed again and again: only the serial differs.
            draw(st.sampled_from("abc")) * 64,
            index,
            booted=index == booted,
            staged=staged and index == 0 and booted != 0,
            pinned=draw(st.booleans()),
        )
        for index, stateroot in enumerate(stateroots)
    )
    more = draw(st.lists(NAMES, max_size=3))
    directories = tuple(sorted({*stateroots, *more}))
    orphans = tuple((draw(st.sampled_from(directories)), f"{'d' * 64}.{n}") for n in range(draw(st.integers(0, 3))))
    return Sysroot(deployments, directories, orphans, live=live)


def needed(sysroot: Sysroot) -> set[tuple[str, str]]:
    """The deployments that must survive whatever anybody asks for."""
    first_written = next((one for one in sysroot.deployments if not one.staged), None)
    kept = [sysroot.booted, *sysroot.deployments[:1], first_written]
    return {one.key for one in kept if one is not None}


def really(sysroot: Sysroot, step: object) -> Sysroot:
    """The node after what its own tool does: that goes by the index alone, and refuses nothing but the booted one."""
    if isinstance(step, Undeploy):
        victim = sysroot.deployments[step.deployment.index]
        assert not victim.booted
        left = [one for one in sysroot.deployments if one is not victim]
        numbered = tuple(replace(one, index=index) for index, one in enumerate(left))
        return replace(sysroot, deployments=numbered, orphans=())
    if isinstance(step, CleanUp):
        return replace(sysroot, orphans=())
    assert isinstance(step, Remove)
    # rm meets an immutable directory of a deployment: that is a failure, not half a success.
    assert not sysroot.of(step.stateroot)
    assert step.stateroot not in {stateroot for stateroot, _id in sysroot.orphans}
    return replace(sysroot, directories=tuple(name for name in sysroot.directories if name != step.stateroot))


@given(sysroots(), NAMES, st.booleans())
def test_no_plan_touches_a_booted_or_default_deployment(sysroot: Sysroot, name: str, remove_pinned: bool) -> None:
    try:
        steps = plan_absent(sysroot, name, remove_pinned=remove_pinned)
    except Refusal:
        return
    kept = needed(sysroot)
    for step in steps:
        if isinstance(step, Undeploy):
            assert step.deployment.key not in kept
        else:
            assert step.stateroot not in {stateroot for stateroot, _id in kept}  # type: ignore[union-attr]
        assert not isinstance(step, Undeploy) or remove_pinned or not step.deployment.pinned


@given(sysroots(), NAMES)
def test_a_refusal_has_its_reason(sysroot: Sysroot, name: str) -> None:
    """Nothing is refused that could be done."""
    try:
        plan_absent(sysroot, name, remove_pinned=True)
    except Refusal:
        assert name in {stateroot for stateroot, _id in needed(sysroot)}


@given(sysroots(), NAMES)
def test_the_whole_plan_holds_under_shifting_indices(sysroot: Sysroot, name: str) -> None:
    """Check mode's list is right even if run as it stands: no index in it means another deployment by then."""
    try:
        steps = plan_absent(sysroot, name, remove_pinned=True)
    except Refusal:
        return
    found = sysroot
    for step in steps:
        if isinstance(step, Undeploy):
            assert found.deployments[step.deployment.index].key == step.deployment.key
        found = really(found, step)
    others = [one.key for one in sysroot.deployments if one.stateroot != name]
    assert [one.key for one in found.deployments] == others
    assert set(found.directories) == set(sysroot.directories) - {name}
    assert [one.key for one in after_all(sysroot, steps).deployments] == others
    assert after_all(sysroot, steps).directories == found.directories


@given(sysroots(), NAMES, st.data())
def test_interrupted_after_any_step_a_rerun_gets_there(sysroot: Sysroot, name: str, data: st.DataObject) -> None:
    """Every step planned anew from a fresh reading; whatever the run before did, the next ends the same way."""
    found, runs = sysroot, 0
    while True:
        runs += 1
        assert runs <= len(sysroot.deployments) + 3
        try:
            steps = plan_absent(found, name, remove_pinned=True)
        except Refusal:
            # A refusal comes before the first step or never.
            assert found == sysroot
            return
        if not steps:
            break
        for _number in range(data.draw(st.integers(1, len(steps)))):
            step = plan_absent(found, name, remove_pinned=True)[0]
            expected, found = after(found, step), really(found, step)
            assert mismatch(expected, found, step) is None
        assert needed(sysroot) <= {one.key for one in found.deployments}
    assert name not in found.directories
    assert not found.of(name)


@given(sysroots(), NAMES)
def test_a_new_default_loses_nothing_and_is_done_once(sysroot: Sysroot, name: str) -> None:
    try:
        steps = plan_default(sysroot, name)
    except Refusal:
        assert not sysroot.of(name) or any(one.staged for one in sysroot.deployments)
        return
    found = after_all(sysroot, steps)
    assert found.deployments[0].stateroot == name
    assert {one.key for one in found.deployments} == {one.key for one in sysroot.deployments}
    assert [one.index for one in found.deployments] == list(range(len(found.deployments)))
    assert plan_default(found, name) == ()
