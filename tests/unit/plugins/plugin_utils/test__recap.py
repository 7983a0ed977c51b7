# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recap that is printed again says what the run said, however long ago that was."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._recap import recap_of_before
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._run import latest_outcome_file


def record(path: Path, *ended: str) -> Record:
    """A rollout that began at ten, of one cluster for each time."""
    found = Record.load(str(path))
    names = [f"site-{number:04d}" for number in range(1, len(ended) + 1)]
    found.begin("run-1", names, "2026-11-21T10:00:00+00:00")
    for name, time in zip(names, ended, strict=True):
        found.put(Outcome(name, Result.DONE, ended=time))
    found.save()
    return found


def test_it_took_as_long_as_it_took(tmp_path: Path) -> None:
    found = record(tmp_path / "night.json", "2026-11-21T10:20:00+00:00", "2026-11-21T10:05:00+00:00")

    assert "finished in 20:00 " in recap_of_before(found)[1]


def test_a_run_that_found_everything_done_took_no_time(tmp_path: Path) -> None:
    assert "finished in 00:00 " in recap_of_before(record(tmp_path / "night.json", "2026-11-21T09:00:00+00:00"))[1]


def test_nobody_was_driven(tmp_path: Path) -> None:
    assert "finished   outcome" in recap_of_before(record(tmp_path / "night.json"))[1]


def test_what_was_stopped_is_called_stopped(tmp_path: Path) -> None:
    found = record(tmp_path / "night.json", "2026-11-21T10:20:00+00:00")
    found.begin("run-1", ["site-0009"], "2026-11-21T10:00:00+00:00")
    found.stop("the budget is spent")

    lines = recap_of_before(found)

    assert "stopped after 20:00 " in lines[1]
    assert any("site-0009 (the budget is spent)" in line for line in lines)


def test_where_no_outcome_file_is_named_the_youngest_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert latest_outcome_file() is None
    for day in (19, 20):
        record(tmp_path / f"rollout-202611{day}T100000Z.json", "2026-11-21T10:20:00+00:00")
    (tmp_path / "rollout-20261121T100000Z.json").write_text("no JSON", encoding="utf-8")

    assert latest_outcome_file() == str(tmp_path / "rollout-20261120T100000Z.json")
