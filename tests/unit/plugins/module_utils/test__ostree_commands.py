# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tools of a node say, in the forms that were seen, and that anything else is refused."""

from __future__ import annotations

import contextlib
import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree import (
    CleanUp,
    Deployment,
    Remove,
    SetDefault,
    Undeploy,
    Unreadable,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree_commands import (
    Commands,
    agreed,
    marked,
    parse_directories,
    parse_mounts,
    parse_rpm_status,
    parse_space,
    parse_status,
    sysroot_of,
)

A, B, C = "a" * 64, "b" * 64, "c" * 64

STATUS = f"""\
  rhcos {C}.0 (staged)
    Version: 4.18.0
    origin: <unknown origin type>
* rhcos_4.17.3 {A}.0
    Version: 417.94.202411201839-0
    Unlocked: development
    Pinned: yes
    origin: <unknown origin type>
    `- of somewhere
  rhcos {B}.11 (rollback)
    origin refspec: v1
    GPG: Signature made Sat 21 Nov 2026
"""


class TestStatus:
    def test_everything_that_is_told_is_read(self) -> None:
        assert parse_status(STATUS) == (
            Deployment(0, "rhcos", C, 0, "4.18.0", staged=True),
            Deployment(1, "rhcos_4.17.3", A, 0, "417.94.202411201839-0", booted=True, pinned=True),
            Deployment(2, "rhcos", B, 11),
        )

    def test_the_line_ends_of_a_terminal_make_no_difference(self) -> None:
        assert parse_status(STATUS.replace("\n", "\r\n")) == parse_status(STATUS)

    def test_a_locked_finalization_is_a_staged_deployment(self) -> None:
        (one,) = parse_status(f"  rhcos {A}.0 (finalization locked)\n")
        assert one.staged

    def test_marks_of_later_releases_are_no_obstacle(self) -> None:
        (one,) = parse_status(f"* rhcos {A}.0 (pending) (soft-reboot)\n")
        assert (one.booted, one.staged) == (True, False)

    def test_no_deployments_are_none(self) -> None:
        assert parse_status("No deployments.\n") == ()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "error: something\n",
            f"  rhcos {A}\n",
            f"  rhcos {A[:-1]}.0\n",
            f"+ rhcos {A}.0\n",
            f"rhcos {A}.0\n",
            f"  rhcos {A}.0 or so\n",
            f"  rhcos of mine {A}.0\n",
            f"* rhcos {A}.0\n  rhcos_4.17.3 {B}\n",
            f"    Version: 1\n  rhcos {A}.0\n",
            f"** (ostree:1): WARNING **: something\n  rhcos {A}.0\n",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(Unreadable, match="ostree admin status says"):
            parse_status(text)

    @given(st.text(alphabet=f"* \n.()0{A[:2]}bc", max_size=90))
    def test_whatever_it_says_is_read_or_refused(self, text: str) -> None:
        with contextlib.suppress(Unreadable):
            assert parse_status(text) == parse_status(text + "\n")


def document(*deployments: dict[str, Any], **more: Any) -> str:
    """As `rpm-ostree status --json` has it, with some of what nobody reads."""
    return json.dumps({"deployments": list(deployments), "transaction": None, "cached-update": None, **more})


def entry(stateroot: str, commit: str, **more: Any) -> dict[str, Any]:
    """One deployment of it."""
    return {"osname": stateroot, "checksum": commit, "serial": 0, "booted": False, "origin": "x", **more}


class TestRpmStatus:
    def test_everything_that_is_told_is_read(self) -> None:
        text = document(entry("rhcos", A, booted=True, pinned=True, version="1"), entry("other", B, staged=True))
        assert parse_rpm_status(text) == (
            (
                Deployment(0, "rhcos", A, 0, "1", booted=True, pinned=True),
                Deployment(1, "other", B, 0, staged=True),
            ),
            None,
        )

    @pytest.mark.parametrize(
        ("transaction", "words"),
        [(["upgrade", ":1.20", "/org/x"], "upgrade :1.20 /org/x"), ("upgrade", "upgrade"), ([], None), (None, None)],
    )
    def test_what_it_is_doing_is_told(self, transaction: Any, words: str | None) -> None:
        assert parse_rpm_status(document(transaction=transaction))[1] == words

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "no JSON",
            "[]",
            "null",
            "{}",
            '{"deployments": null}',
            '{"deployments": {"a": 1}}',
            document({}),
            document(entry("rhcos", A, serial="0")),
            document(entry("rhcos", A, serial=True)),
            document(entry("rhcos", A, booted="true")),
            document(entry("rhcos", A, booted=None)),
            document(entry("rhcos", A, pinned="no")),
            document(entry("rhcos", A, checksum=None)),
            document(entry("rhcos", A, osname=1)),
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(Unreadable, match="rpm-ostree status --json"):
            parse_rpm_status(text)


class TestAgreed:
    ONE = Deployment(0, "rhcos", A, 0, "1", booted=True)
    TWO = Deployment(1, "other", B, 0)

    def test_without_rpm_ostree_there_is_nothing_to_compare(self) -> None:
        assert agreed((self.ONE,), None) == (self.ONE,)

    def test_what_one_of_them_knows_counts(self) -> None:
        pinned = Deployment(0, "rhcos", A, 0, booted=True, pinned=True)
        assert agreed((self.ONE,), (pinned,)) == (Deployment(0, "rhcos", A, 0, "1", booted=True, pinned=True),)

    @pytest.mark.parametrize(
        "other",
        [
            (),
            (Deployment(0, "rhcos", A, 0), TWO),
            (ONE,),
            (Deployment(0, "other", B, 0), Deployment(1, "rhcos", A, 0, booted=True)),
            (ONE, Deployment(1, "other", B, 1)),
            (ONE, Deployment(1, "else", B, 0)),
        ],
        ids=["nothing", "not booted", "one less", "other order", "other serial", "other stateroot"],
    )
    def test_any_difference_is_refused(self, other: tuple[Deployment, ...]) -> None:
        with pytest.raises(Unreadable, match="do not list the same"):
            agreed((self.ONE, self.TWO), other)


def test_a_deployment_that_runs_is_marked_wherever_it_was_read() -> None:
    listed = (Deployment(0, "rhcos", A, 0), Deployment(1, "rhcos", A, 1))
    running = (Deployment(0, "rhcos", A, 1, booted=True), Deployment(1, "rhcos", A, 0))
    assert [one.booted for one in marked(listed, running)] == [False, True]
    assert marked(listed, ()) == listed


def test_directories_are_told_apart() -> None:
    listing = f"rhcos\nrhcos/deploy\nrhcos/deploy/{A}.0\nrhcos/deploy/backing\nleft\nleft/deploy\nleft/deploy/{B}.1\n"
    found = parse_directories(listing)
    assert found.stateroots == ("left", "rhcos")
    assert found.deployments == (("left", f"{B}.1"), ("rhcos", f"{A}.0"))
    state = sysroot_of((Deployment(0, "rhcos", A, 0),), found, live=True, space=(9, 5))
    assert state.orphans == (("left", f"{B}.1"),)
    assert (state.unused, state.size_bytes, state.free_bytes) == (("left",), 9, 5)


def test_mounts_below_a_stateroot_are_found() -> None:
    info = (
        "63 43 254:0 / / rw - ext4 /dev/vda rw\n"
        "64 63 254:0 / /sysroot ro - ext4 /dev/vda rw\n"
        "65 64 254:0 / /sysroot/ostree/deploy/rhcos/var/a\\040b rw - ext4 /dev/vda rw\n"
        "66 64 254:0 / /sysroot/ostree/deploy/other rw - ext4 /dev/vda rw\n"
        "67 64 254:0 / /sysroot/ostree/deployments/x rw - ext4 /dev/vda rw\n"
    )
    assert parse_mounts(info, Commands().deploy) == (
        ("rhcos", "/sysroot/ostree/deploy/rhcos/var/a b"),
        ("other", "/sysroot/ostree/deploy/other"),
    )


def test_space_is_in_bytes() -> None:
    text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda4 1000 600 400 60% /sysroot\n"
    assert parse_space(text) == (1024000, 409600)
    for wrong in ("", "Filesystem\n", "a b c d e f\n"):
        with pytest.raises(Unreadable, match="df says"):
            parse_space(wrong)


class TestCommands:
    def test_on_the_node_itself_no_path_is_given(self) -> None:
        live = Commands()
        assert live.status()[2:] == ["ostree", "admin", "status"]
        assert live.deploy == "/sysroot/ostree/deploy"
        assert live.rpm_status() is not None
        assert live.running() is None

    def test_another_disk_is_named_and_rpm_ostree_is_not_asked(self) -> None:
        other = Commands("/mnt/sys root/")
        assert other.status()[2:] == ["ostree", "admin", "status", "--sysroot=/mnt/sys root/"]
        assert other.deploy == "/mnt/sys root/ostree/deploy"
        assert other.rpm_status() is None
        assert other.running() == Commands().status()

    def test_a_step_says_on_the_node_what_it_expects_there(self) -> None:
        one = Deployment(2, "rhcos_4.17.3", A, 0)
        (shell, option, undeploy) = Commands().of(Undeploy(one))
        assert (shell, option) == ("/bin/sh", "-c")
        assert f'"  rhcos_4.17.3 {A}.0 "*) exec env LC_ALL=C ostree admin undeploy 2;;' in undeploy
        assert "sed -n 3p" in undeploy
        set_default = Commands("/mnt").of(SetDefault(one))[2]
        assert f'"  rhcos_4.17.3 {A}.0 "*|"* rhcos_4.17.3 {A}.0 "*) exec' in set_default
        assert "ostree admin set-default --sysroot=/mnt 2;;" in set_default

    def test_a_directory_is_removed_by_its_whole_path_and_in_a_namespace_of_its_own(self) -> None:
        remove = Commands().of(Remove("rhcos_4.17.3"))
        assert remove[:2] == ["unshare", "--mount"]
        assert remove[-1].endswith("exec rm -rf -- /sysroot/ostree/deploy/rhcos_4.17.3")
        assert "remount,bind,rw /sysroot " in remove[-1]
        assert shlex.split(Commands("/a b").of(Remove("x"))[-1])[-1] == "/a b/ostree/deploy/x"

    def test_what_is_left_of_deployments_is_for_ostree_to_delete(self) -> None:
        assert Commands().of(CleanUp("rhcos"))[2:] == ["ostree", "admin", "cleanup"]
