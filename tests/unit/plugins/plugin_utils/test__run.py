# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which outcome file a run writes where the user names none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.plugin_utils import _run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dead_run() -> str:
    """The identity of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return f"{_run.process_started(process.pid):%Y%m%dT%H%M%SZ}-{process.pid}"


def leave(folder: Path, run: str, result: Result) -> Path:
    path = folder / "rollout-20260101T000000Z.json"
    record = Record.load(str(path))
    record.begin(run, ["a"], "then")
    record.put(Outcome("a", result, action="Upgrade"))
    record.save()
    return path


def test_a_new_one_by_default_and_the_same_in_every_batch(folder: Path) -> None:
    first = _run.default_outcome_file()

    assert Path(first).parent == folder and Path(first).name.startswith("rollout-")
    assert _run.default_outcome_file() == first


@pytest.mark.parametrize("result", [Result.IN_FLIGHT, Result.INTERRUPTED])
def test_a_run_that_was_killed_is_continued(folder: Path, dead_run: str, result: Result) -> None:
    left = leave(folder, dead_run, result)

    assert _run.default_outcome_file() == str(left)


@pytest.mark.parametrize("result", [Result.DONE, Result.FAILED, Result.ROLLED_BACK])
def test_a_run_that_came_to_its_end_is_left_alone(folder: Path, dead_run: str, result: Result) -> None:
    left = leave(folder, dead_run, result)

    assert _run.default_outcome_file() != str(left)


def test_a_run_that_still_works_is_left_alone(folder: Path) -> None:
    here = f"{_run.process_started(os.getpid()):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    left = leave(folder, here, Result.IN_FLIGHT)

    assert _run.default_outcome_file() != str(left)


def test_what_this_run_has_begun_is_its_own(folder: Path) -> None:
    own = leave(folder, _run.run_id(), Result.DONE)

    assert _run.default_outcome_file() == str(own)


def test_files_of_others_are_passed_over(folder: Path) -> None:
    (folder / "rollout-zzz.json").write_text("{}")

    assert _run.default_outcome_file() != str(folder / "rollout-zzz.json")


@pytest.fixture
def living_run() -> Iterator[str]:
    """The identity of a process that is at work."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield f"{_run.process_started(process.pid):%Y%m%dT%H%M%SZ}-{process.pid}"


def test_a_file_that_another_run_is_writing_is_refused(folder: Path, living_run: str) -> None:
    left = leave(folder, living_run, Result.DONE)

    with pytest.raises(InvalidOption, match=r"^outcome_file: '.*' is not valid; another run is writing it") as caught:
        _run.check_free(Record.load(str(left)))

    assert f"process {living_run.rpartition('-')[2]}" in str(caught.value)
    assert "ibu_outcome_file" in caught.value.remedy


def test_a_file_of_this_run_or_of_one_that_is_gone_is_free(folder: Path, dead_run: str) -> None:
    for run in (dead_run, _run.run_id()):
        _run.check_free(Record.load(str(leave(folder, run, Result.IN_FLIGHT))))
    _run.check_free(Record(str(folder / "new.json")))


def test_a_run_that_nobody_has_collected_yet_is_gone(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = f"{_run.process_started(process.pid):%Y%m%dT%H%M%SZ}-{process.pid}"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        _run.check_free(Record.load(str(leave(folder, run, Result.IN_FLIGHT))))
    finally:
        process.communicate()
