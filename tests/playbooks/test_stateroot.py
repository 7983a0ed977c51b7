# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ostree_stateroot on real deployments of a real ostree, over a connection that has no Python."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetsim.sysroots import RPM_OSTREE, SET_DEFAULT, ScratchSysroot, why_not

from .runs import ANSIBLE_PLAYBOOK, ansible

OLD, NEW, THIRD = "rhcos", "rhcos_4.17.3", "rhcos_4.18.0_rc.1"

INVENTORY = "node ansible_connection=local ansible_python_interpreter=/nonexistent\n"

Answer = dict[str, Any]
Ask = Callable[..., Answer]
AskAll = Callable[..., list[Answer]]


@pytest.fixture(name="sysroot")
def fixture_sysroot(tmp_path: Path) -> Iterator[ScratchSysroot]:
    """An empty sysroot; it goes away with the test, however immutable parts of it are."""
    if reason := why_not():
        pytest.skip(reason)
    sysroot = ScratchSysroot(tmp_path / "node")
    yield sysroot
    sysroot.remove()


@pytest.fixture(name="upgraded")
def fixture_upgraded(sysroot: ScratchSysroot) -> ScratchSysroot:
    """A node whose finalize failed: the new release, then two deployments of the old one around a third stateroot."""
    sysroot.deploy(OLD, "4.16.8")
    sysroot.deploy(THIRD, "4.18.0")
    sysroot.deploy(OLD, "4.16.9")
    sysroot.deploy(NEW, "4.17.3")
    sysroot.stateroot("leftover")
    return sysroot


@pytest.fixture(name="ask_all")
def fixture_ask_all(tmp_path: Path) -> AskAll:
    """Run a task on the node for each of several sets of options, and return the results, also failed ones."""
    (tmp_path / "inventory").write_text(INVENTORY)

    def ask_all(asked: list[dict[str, Any]], *arguments: str) -> list[Answer]:
        (tmp_path / "play.yml").write_text(json.dumps([_play(asked)]))
        where = ["-i", str(tmp_path / "inventory"), *arguments, str(tmp_path / "play.yml")]
        done = ansible([str(ANSIBLE_PLAYBOOK), *where], tmp_path)
        assert done.code == 0, done.output
        said = re.search(r"answers:(\S+):", done.output)
        assert said, done.output
        answers = json.loads(base64.b64decode(said.group(1)))
        return [{"failed": False, **answer, "output": done.output} for answer in answers]

    return ask_all


@pytest.fixture(name="ask")
def fixture_ask(ask_all: AskAll) -> Ask:
    """Run one task on the node and return its result, also a failed one."""
    return lambda *arguments, **options: ask_all([options], *arguments)[0]


def _play(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """The tasks on the node, and one that says their results in a word that nothing wraps."""
    answers = ", ".join(f"answer_{number}" for number in range(len(asked)))
    tasks = [
        {"sno.image_upgrade.ostree_stateroot": options, "register": f"answer_{number}", "ignore_errors": True}
        for number, options in enumerate(asked)
    ]
    said = {"ansible.builtin.debug": {"msg": f"answers:{{{{ [{answers}] | to_json | b64encode }}}}:"}}
    return {"hosts": "node", "gather_facts": False, "tasks": [*tasks, said]}


def commands(answer: dict[str, Any]) -> list[str]:
    """What was done, by the word that matters."""
    said = [step["command"] for step in answer["steps"]]
    words = ["undeploy", "set-default", "cleanup", "rm -rf"]
    return [next(word for word in words if word in command) for command in said]


class TestBooted:
    """On a node that runs from one of its deployments, reached as in a debug pod."""

    def test_the_node_is_told_as_it_is(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.admin("pin", "3")
        answer = ask(command_prefix=upgraded.boot(0))
        assert not answer["failed"], answer["msg"]
        shown = [(one["stateroot"], one["version"], one["booted"], one["pinned"]) for one in answer["deployments"]]
        assert shown == [
            (NEW, "4.17.3", True, False),
            (OLD, "4.16.9", False, False),
            (THIRD, "4.18.0", False, False),
            (OLD, "4.16.8", False, True),
        ]
        assert [f"{one['checksum']}.{one['serial']}" for one in answer["deployments"]] == [
            one.id for one in upgraded.listed()
        ]
        assert answer["stateroots"] == ["leftover", OLD, NEW, THIRD]
        assert answer["unused_stateroots"] == ["leftover"]
        assert [answer[f"{word}_stateroot"] for word in ("booted", "default", "other")] == [NEW, NEW, OLD]
        assert 0 < answer["free_bytes"] <= answer["size_bytes"]
        assert (answer["changed"], answer["steps"]) == (False, [])

    def test_check_mode_lists_the_commands_and_changes_nothing(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        before, prefix = upgraded.everything(), upgraded.boot(0)
        told = ask("--check", "--diff", name=OLD, state="absent", command_prefix=prefix)
        assert told["changed"]
        assert upgraded.everything() == before
        assert commands(told) == ["undeploy", "undeploy", "rm -rf"]
        # The same list as that of the run itself, word by word.
        done = ask("--diff", name=OLD, state="absent", command_prefix=prefix)
        assert done["steps"] == told["steps"]
        assert done["diff"] == told["diff"]
        assert done["deployments"] == told["deployments"]
        assert f"-{OLD} " in done["output"]

    def test_a_stateroot_goes_with_all_its_deployments_and_nothing_else(
        self, upgraded: ScratchSysroot, ask: Ask
    ) -> None:
        others = [one for one in upgraded.listed() if one.stateroot != OLD]
        (upgraded.stateroot(OLD) / "var" / "lib").mkdir(parents=True, exist_ok=True)
        (upgraded.stateroot(OLD) / "var" / "lib" / "state").write_text("of the old release")
        prefix = upgraded.boot(0)
        answer = ask(name=OLD, state="absent", command_prefix=prefix)
        assert not answer["failed"], answer["msg"]
        assert answer["changed"]
        assert upgraded.listed() == others
        assert upgraded.stateroots() == ["leftover", NEW, THIRD]

        again = ask(name=OLD, state="absent", command_prefix=prefix)
        assert (again["changed"], again["steps"]) == (False, [])
        assert again["msg"] == f"there is no stateroot {OLD}; there are leftover, {NEW}, {THIRD}"

    def test_a_directory_without_deployments_goes(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        """Although the file system is mounted read-only, and stays so for everybody else."""
        before = upgraded.listed()
        answer = ask(name="leftover", state="absent", command_prefix=upgraded.boot(0, read_only=True))
        assert not answer["failed"], answer["msg"]
        assert commands(answer) == ["rm -rf"]
        assert upgraded.stateroots() == [OLD, NEW, THIRD]
        assert upgraded.listed() == before

    def test_immutable_remains_of_a_deployment_go_too(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.leave_orphan("leftover", "4.15.0")
        answer = ask(name="leftover", state="absent", command_prefix=upgraded.boot(0))
        assert not answer["failed"], answer["msg"]
        assert commands(answer) == ["cleanup", "rm -rf"]
        assert upgraded.stateroots() == [OLD, NEW, THIRD]

    @pytest.mark.parametrize(
        ("booted", "refused"),
        [
            (0, {NEW: f"runs from stateroot {NEW}", "../rhcos": "without any path", "": "name the stateroot"}),
            (
                3,
                {
                    OLD: f"runs from stateroot {OLD}",
                    NEW: f"make another one the default first (state: default, name: {OLD})",
                },
            ),
        ],
        ids=["the default is booted", "the last deployment is booted"],
    )
    def test_what_is_needed_is_never_removed(
        self, upgraded: ScratchSysroot, ask_all: AskAll, booted: int, refused: dict[str, str]
    ) -> None:
        before, prefix = upgraded.everything(), upgraded.boot(booted)
        asked = [{"name": name, "state": "absent", "command_prefix": prefix} for name in refused]
        for arguments in ([], ["--check"]):
            for answer, words in zip(ask_all(asked, *arguments), refused.values(), strict=True):
                assert answer["failed"]
                assert words in answer["msg"]
                assert answer["steps"] == []
        assert upgraded.everything() == before

    def test_a_pinned_deployment_stays_unless_told(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.admin("pin", "3")
        prefix = upgraded.boot(0)
        answer = ask(name=OLD, state="absent", command_prefix=prefix)
        assert answer["failed"]
        assert "remove_pinned: true" in answer["msg"]
        assert len(upgraded.listed()) == 4
        assert not ask(name=OLD, state="absent", remove_pinned=True, command_prefix=prefix)["failed"]
        assert upgraded.stateroots() == ["leftover", NEW, THIRD]

    def test_a_mount_in_the_stateroot_keeps_it(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        prefix = upgraded.boot(0)
        inside = upgraded.path / "ostree" / "deploy" / "leftover" / "var" / "data"
        inside.mkdir(parents=True)
        text = upgraded.on_node.read_text()
        mounted = 'mount -t tmpfs tmpfs "$root/sysroot/ostree/deploy/leftover/var/data"\nPATH='
        upgraded.on_node.write_text(text.replace("PATH=", mounted, 1))
        answer = ask(name="leftover", state="absent", command_prefix=prefix)
        assert answer["failed"]
        assert "/sysroot/ostree/deploy/leftover/var/data is mounted" in answer["msg"]
        assert inside.is_dir()

    def test_given_the_path_of_its_own_sysroot_the_booted_stateroot_stays(
        self, upgraded: ScratchSysroot, ask: Ask
    ) -> None:
        """ostree itself marks nothing as booted then."""
        answer = ask(name=OLD, state="absent", sysroot="/sysroot", command_prefix=upgraded.boot(1))
        assert answer["failed"]
        assert f"runs from stateroot {OLD}" in answer["msg"]


class TestInterrupted:
    @pytest.mark.parametrize("steps", [1, 2])
    def test_after_any_step_the_next_run_goes_on(self, upgraded: ScratchSysroot, ask: Ask, steps: int) -> None:
        """The tool breaks in the middle; what was done is told, and the rerun does the rest."""
        upgraded.add_tool("rm", "#!/bin/sh\necho 'the disk is gone' >&2; exit 1\n")
        if steps == 1:
            upgraded.add_tool("ostree", _BREAKING.replace("DEPLOYMENTS", "3"))
        answer = ask(name=OLD, state="absent", command_prefix=upgraded.boot(0))
        assert answer["failed"]
        assert answer["changed"]
        assert commands(answer) == ["undeploy"] * steps
        assert "Already done: undeploy deployment 3" in answer["msg"]
        assert "is gone" in answer["msg"]
        assert len(upgraded.listed()) == 4 - steps

        for tool in ("rm", "ostree"):
            (upgraded.tools / tool).unlink(missing_ok=True)
        answer = ask(name=OLD, state="absent", command_prefix=upgraded.boot(0))
        assert not answer["failed"], answer["msg"]
        assert commands(answer) == ["undeploy"] * (2 - steps) + ["rm -rf"]
        assert upgraded.stateroots() == ["leftover", NEW, THIRD]

    def test_a_command_that_is_sent_twice_hits_no_other_deployment(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        """As ssh does with reconnection_retries when the connection drops before the answer."""
        prefix = upgraded.boot(0)
        told = ask("--check", name=OLD, state="absent", command_prefix=prefix)
        # Index 1 first: after it another deployment, of a stateroot that stays, has that index.
        command = told["steps"][1]["command"]
        assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0
        left = upgraded.listed()
        second = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True)
        assert second.returncode != 0
        assert f"deployment 1 is no longer {OLD} " in second.stderr
        assert upgraded.listed() == left


_BREAKING = """#!/bin/sh
if [ "$1 $2" = "admin undeploy" ] && [ "$(/usr/bin/ostree admin status | grep -c '^[* ] [^ ]')" = DEPLOYMENTS ]; then
  echo "the bus is gone" >&2; exit 1
fi
exec /usr/bin/ostree "$@"
"""


class TestDefault:
    def test_the_old_release_becomes_the_default_and_the_new_can_go(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        """The manual half of a rollback and what comes after it, with the real tool where it can."""
        if "set-default" not in upgraded.admin("--help"):
            upgraded.add_tool("ostree", SET_DEFAULT)
        before = upgraded.listed()
        prefix = upgraded.boot(1)
        told = ask("--check", name=OLD, state="default", command_prefix=prefix)
        assert upgraded.listed() == before
        done = ask(name=OLD, state="default", command_prefix=prefix)
        assert not done["failed"], done["msg"]
        assert commands(done) == ["set-default"]
        assert done["steps"] == told["steps"]
        assert (done["default_stateroot"], done["booted_stateroot"]) == (OLD, OLD)
        assert upgraded.listed() == [before[1], before[0], *before[2:]]
        assert not ask(name=OLD, state="default", command_prefix=prefix)["changed"]

        done = ask(name=NEW, state="absent", command_prefix=prefix)
        assert not done["failed"], done["msg"]
        assert upgraded.stateroots() == ["leftover", OLD, THIRD]

    def test_an_ostree_that_cannot_is_told_before_anything(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.add_tool("ostree", '#!/bin/sh\n/usr/bin/ostree "$@" | grep -v set-default\n')
        answer = ask("--check", name=OLD, state="default", command_prefix=upgraded.boot(1))
        assert answer["failed"]
        assert "too old" in answer["msg"]

    def test_a_stateroot_that_cannot_boot_is_refused(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        answer = ask(name="leftover", state="default", command_prefix=upgraded.boot(0))
        assert answer["failed"]
        assert "has no deployment to boot" in answer["msg"]


class TestTwoTools:
    def test_both_are_asked_and_have_to_agree(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.add_tool("rpm-ostree", RPM_OSTREE)
        prefix = upgraded.boot(0)
        assert not ask(name="leftover", state="absent", command_prefix=prefix)["failed"]
        upgraded.add_tool("rpm-ostree", RPM_OSTREE.replace('"+ "*) booted=true', '"- "*) booted=true'))
        answer = ask(name=OLD, state="absent", command_prefix=prefix)
        assert answer["failed"]
        assert "do not list the same deployments" in answer["msg"]
        assert len(upgraded.listed()) == 4

    def test_nothing_is_done_while_rpm_ostree_is_at_work(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.add_tool("rpm-ostree", RPM_OSTREE.replace('"transaction": null', '"transaction": ["upgrade", ":1.9"]'))
        answer = ask(name=OLD, state="absent", command_prefix=upgraded.boot(0))
        assert answer["failed"]
        assert "rpm-ostree is at work (upgrade :1.9)" in answer["msg"]

    def test_a_broken_rpm_ostree_is_no_obstacle(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        """It is the very trouble that the Lifecycle Agent fails with; the documented procedure needs ostree alone."""
        upgraded.add_tool("rpm-ostree", "#!/bin/sh\necho 'error: the daemon is not running' >&2; exit 1\n")
        answer = ask(name="leftover", state="absent", command_prefix=upgraded.boot(0))
        assert not answer["failed"], answer["msg"]
        assert "the daemon is not running" in answer["output"]

    def test_what_cannot_be_understood_is_refused(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        upgraded.add_tool("rpm-ostree", """#!/bin/sh\necho '{"deployments": [{"osname": "rhcos"}]}'\n""")
        answer = ask(name=OLD, state="absent", command_prefix=upgraded.boot(0))
        assert answer["failed"]
        assert "rpm-ostree status --json" in answer["msg"]


class TestBesides:
    """A disk that nobody runs from."""

    def test_a_stateroot_of_another_disk_goes_but_for_the_default(self, upgraded: ScratchSysroot, ask: Ask) -> None:
        where = str(upgraded.path)
        assert ask(sysroot=where)["booted_stateroot"] is None
        assert "next boot takes" in ask(name=NEW, state="absent", sysroot=where)["msg"]
        assert not ask(name=OLD, state="absent", sysroot=where)["failed"]
        assert upgraded.stateroots() == ["leftover", NEW, THIRD]

    def test_no_node_behind_the_connection_is_told(self, sysroot: ScratchSysroot, ask: Ask) -> None:
        assert sysroot.listed() == []
        answer = ask()
        assert answer["failed"]
        assert "ostree admin status: error" in answer["msg"]
        assert "command_prefix" in ask(command_prefix="env PATH=/nowhere")["msg"]

    def test_an_option_that_makes_no_sense_is_refused(self, sysroot: ScratchSysroot, ask_all: AskAll) -> None:
        assert sysroot.listed() == []
        refused: list[tuple[dict[str, str], str]] = [
            ({"sysroot": "relative"}, "sysroot: 'relative'"),
            ({"sysroot": "/mnt/../etc"}, "sysroot: "),
            ({"command_prefix": "chroot '/host"}, "command_prefix: "),
            ({"state": "absent"}, "name is not set"),
            ({"state": "gone"}, "state"),
        ]
        answers = ask_all([options for options, _words in refused])
        for answer, (_options, words) in zip(answers, refused, strict=True):
            assert answer["failed"]
            assert words in answer["msg"]


def test_over_ssh_errors_stay_out_of_the_output(upgraded: ScratchSysroot, ask: Ask, tmp_path: Path) -> None:
    """ssh with a terminal would mix both, and what a tool warns of could no longer be told from what it says."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last do case "$last" in -tt) exit 9;; esac; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    noisy = RPM_OSTREE.replace("#!/bin/sh\n", "#!/bin/sh\necho 'note: of little interest' >&2\n")
    upgraded.add_tool("rpm-ostree", noisy)
    (tmp_path / "inventory").write_text(
        f"node ansible_connection=ssh ansible_ssh_executable={ssh} ansible_python_interpreter=/nonexistent\n"
    )
    answer = ask(command_prefix=upgraded.boot(0))
    assert not answer["failed"], answer["msg"]
    assert answer["booted_stateroot"] == NEW
