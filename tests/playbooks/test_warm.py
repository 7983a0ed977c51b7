# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are forked from a warm process are as those that are started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .runs import ANSIBLE_PLAYBOOK, MARK, ROOT, ansible, marked, until

SHOWN = ["DEFAULT_FORKS", "COLLECTIONS_PATHS", "DEFAULT_FILTER_PLUGIN_PATH", "ANY_ERRORS_FATAL", "CONFIG_FILE"]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "SHOWN {% for name in NAMES %}{{ lookup('ansible.builtin.config', name) }} {% endfor %}"
""".replace("NAMES", str(SHOWN))


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    path = tmp_path / "play.yml"
    path.write_text(PLAY)
    return path


@pytest.mark.parametrize(
    "settings",
    [
        {"forks": "23"},
        {"forks": "23", "collections_path": "elsewhere"},
        {"filter_plugins": "filters"},
        {"any_errors_fatal": "true"},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_settings_of_a_file_are_those_of_the_program(tmp_path: Path, playbook: Path, settings: dict[str, str]) -> None:
    file = tmp_path / "ansible.cfg"
    file.write_text("\n".join(["[defaults]", *(f"{name} = {value}" for name, value in settings.items())]))
    env = {"ANSIBLE_CONFIG": str(file), "ANSIBLE_LOCALHOST_WARNING": "false"}
    command = [str(ANSIBLE_PLAYBOOK), str(playbook)]

    forked = ansible(command, tmp_path, env)
    started = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=True)

    def shown(output: str) -> str:
        return output.partition("SHOWN")[2].partition('"')[0]

    assert shown(forked.output), forked.output
    assert shown(forked.output) == shown(started.stdout)
    assert str(file) in shown(forked.output)


def test_plugins_of_another_path_are_found(tmp_path: Path) -> None:
    (tmp_path / "filters").mkdir()
    (tmp_path / "filters" / "own.py").write_text(
        textwrap.dedent("""
            class FilterModule:
                def filters(self):
                    return {"twice": lambda text: text * 2}
        """)
    )
    (tmp_path / "play.yml").write_text("- hosts: localhost\n  tasks: [{debug: {msg: \"{{ 'ab' | twice }}\"}}]\n")
    env = {"ANSIBLE_FILTER_PLUGINS": str(tmp_path / "filters"), "ANSIBLE_GATHERING": "explicit"}
    assert "abab" in ansible([str(ANSIBLE_PLAYBOOK), str(tmp_path / "play.yml")], tmp_path, env).output


# -- the tool that puts them on PATH, tests/tools/warm_path.py ---------------------------------------------------------

WAITS = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Touch, and wait
      ansible.builtin.shell: "touch {{ playbook_dir }}/waits; exec sleep 600"
"""


def start(script: str, mark: str, **files: int) -> subprocess.Popen[str]:
    """The tool, which runs a script of the shell."""
    path = f"{ANSIBLE_PLAYBOOK.parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "tools" / "warm_path.py"), "--", "sh", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", MARK: mark},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def mark() -> str:
    """In the environment of all processes of a test."""
    return f"warm-{os.urandom(8).hex()}"


def processes(mark: str) -> list[int]:
    return marked(f"{MARK}={mark}")


def until_it_waits(folder: Path) -> None:
    until((folder / "waits").exists, 60, "the run waits")
    (folder / "waits").unlink()


def test_input_output_and_exit_code_are_passed_on(tmp_path: Path, mark: str) -> None:
    (tmp_path / "ok.yml").write_text("- hosts: some\n  gather_facts: false\n  tasks: [{debug: {msg: fine}}]\n")
    (tmp_path / "bad.yml").write_text("- hosts: some\n  gather_facts: false\n  tasks: [{fail: {msg: broken}}]\n")
    play = f"ansible-playbook -i some, -c local {tmp_path}"
    script = f"{play}/ok.yml 2>&1; echo $?; {play}/bad.yml; echo $?; {play}/none.yml; echo $?; "
    # A connection password is read from standard input, if that is said so.
    script += "ansible -i some, -c local --connection-password-file - -m debug -a msg={{ansible_password}} some; exit 7"
    with start(script, mark) as process:
        output, errors = process.communicate("said-to-it\n", timeout=120)
    assert process.returncode == 7
    assert [line for line in output.splitlines() if line.isdigit()] == ["0", "2", "1"], output + errors
    assert "fine" in output and "broken" in output + errors and "none.yml could not be found" in errors
    assert "said-to-it" in output
    until(lambda: not processes(mark), 10, "everything ends with the command")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_as_it_ends_the_program(tmp_path: Path, mark: str, number: signal.Signals) -> None:
    (tmp_path / "waits.yml").write_text(WAITS)
    script = (
        f"ansible-playbook {tmp_path}/waits.yml >{tmp_path}/log 2>&1 & "
        f'read go; kill -{number.value} $!; wait $!; echo "code $?"; exec sleep 600'
    )
    with subprocess.Popen(
        [str(ANSIBLE_PLAYBOOK), f"{tmp_path}/waits.yml"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as real:
        until_it_waits(tmp_path)
        real.send_signal(number)
        code = real.wait(60)
    expected = code if code >= 0 else 128 - code

    with start(script, mark) as process:
        assert process.stdin is not None and process.stdout is not None
        until_it_waits(tmp_path)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"code {expected}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    until(lambda: not processes(mark), 30, "nothing is left")


@pytest.mark.parametrize("killed", ["the program", "the tool"])
def test_nothing_is_left_of_what_is_killed(tmp_path: Path, mark: str, killed: str) -> None:
    (tmp_path / "waits.yml").write_text(WAITS)
    script = f"echo $$ >{tmp_path}/pid; exec ansible-playbook {tmp_path}/waits.yml >{tmp_path}/log 2>&1"
    with start(script, mark) as process:
        until_it_waits(tmp_path)
        if killed == "the tool":
            process.kill()
        else:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            assert process.wait(60) == 128 + signal.SIGKILL
    until(lambda: not processes(mark), 30, "nothing is left")
