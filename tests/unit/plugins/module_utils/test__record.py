# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outcome file: valid at every moment, and the memory of a run that was killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result


def begun(path: Path, run: str = "run-1") -> Record:
    record = Record.load(str(path))
    record.begin(run, ["a", "b"], "2026-11-21T00:00:00+00:00")
    return record


def outcome(name: str, result: Result, action: str | None = "Upgrade", **more: object) -> Outcome:
    return Outcome(name, result, action=action, **more)  # type: ignore[arg-type]


def test_every_cluster_is_listed_before_it_is_started(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.save()

    clusters = Record.load(record.path).clusters

    assert {name: found.result for name, found in clusters.items()} == {"a": "never_started", "b": "never_started"}


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.FAILED, message="no – image", durations={"Prep": 3.0}))
    record.begin_batch(["a"])
    record.save()

    again = Record.load(record.path)

    assert again.clusters["a"].message == "no – image"
    assert again.batches == [["a"]]
    assert json.loads(Path(record.path).read_text(encoding="utf-8"))["format"] == 1


@pytest.mark.parametrize("broken", ["fsync", "chmod", "replace"])
def test_a_crash_while_saving_leaves_the_file_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    record = begun(tmp_path / "o.json")
    record.save()
    before = Path(record.path).read_bytes()
    record.put(outcome("a", Result.DONE))

    def crash(*_args: object, **_kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, broken, crash)
    with pytest.raises(OSError, match="no space"):
        record.save()

    assert Path(record.path).read_bytes() == before
    assert os.listdir(tmp_path) == ["o.json"]


def test_a_failed_save_is_remembered_until_one_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "outcomes"
    record = begun(folder / "o.json")
    assert record.is_saved
    with pytest.raises(FileNotFoundError):
        record.save()
    assert not record.is_saved
    folder.mkdir()
    record.save()
    assert record.is_saved


def test_the_content_is_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, steps = begun(tmp_path / "o.json"), list[str]()
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        steps.append(f"sync {os.fstat(descriptor).st_size}")
        sync(descriptor)

    def note_replace(source: str, target: str) -> None:
        steps.append(f"replace {os.stat(source).st_size}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    record.save()

    size = os.path.getsize(record.path)
    assert size > 0 and steps == [f"sync {size}", f"replace {size}"]


def test_the_next_run_removes_what_a_kill_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL runs no handler: what was being written stays where it was."""
    path, other = tmp_path / "rollout.json", tmp_path / ".other.json.x.partial"
    other.touch()
    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", lambda *_names: None)
        begun(path).save()
    assert len(list(tmp_path.glob("*.partial"))) == 2

    begun(path).save_first()

    assert sorted(tmp_path.iterdir()) == [other, path]


def test_timings_of_an_earlier_run_are_kept(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.INTERRUPTED, version_before="4.16.8", durations={"Prep": 3.0}))
    record.put(outcome("a", Result.DONE, version_before="4.17.3", durations={"Upgrade": 9.0}))

    found = record.clusters["a"]

    assert found.durations == {"Prep": 3.0, "Upgrade": 9.0}
    assert found.version_before == "4.16.8"


@pytest.mark.parametrize(
    ("result", "action", "expected"),
    [
        (Result.IN_FLIGHT, "Upgrade", True),
        (Result.INTERRUPTED, "Rollback", True),
        (Result.TIMED_OUT, "Upgrade", True),
        (Result.INTERRUPTED, "Prep", False),
        (Result.DONE, "Upgrade", False),
        (Result.ROLLED_BACK, "Upgrade", False),
    ],
)
def test_who_may_be_in_a_reboot(tmp_path: Path, result: Result, action: str, expected: bool) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", result, action))

    assert record.expects_away("a") is expected
    assert not record.expects_away("stranger")


def test_a_second_kill_before_the_first_contact_loses_nothing(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.INTERRUPTED))
    record.put(outcome("a", Result.IN_FLIGHT, None))

    assert record.expects_away("a")


def test_another_run_counts_its_batches_anew(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.begin_batch(["a"])
    record.put(outcome("a", Result.FAILED))

    record.begin("run-1", ["a", "b"], "later")
    assert record.batches == [["a"]]

    record.begin("run-2", ["a", "b"], "later")
    assert (record.batches, record.started) == ([], "later")
    assert record.clusters["a"].result is Result.FAILED


def test_the_rest_for_a_rerun(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.DONE))

    rest = record.save_remaining()
    assert rest is not None and Path(rest).read_text() == "b\n"

    record.put(outcome("b", Result.SKIPPED))
    assert record.save_remaining() is None
    assert not Path(rest).exists()


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    record = Record.load(str(tmp_path / "o.json"), writable=False)
    record.begin("run-1", ["a"], "now")
    record.save()

    assert record.save_remaining() is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', "nonsense"])
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "o.json"
    path.write_text(text)

    with pytest.raises(InvalidOption, match=r"outcome_file: '.*o\.json'"):
        Record.load(str(path))


def test_a_crash_in_the_encoder_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = begun(tmp_path / "o.json")
    record.save()
    before = Path(record.path).read_bytes()
    record.put(outcome("a", Result.DONE))
    record.put(outcome("b", Result.DONE, message=object()))

    with pytest.raises(TypeError):
        record.save()

    assert Path(record.path).read_bytes() == before
    assert os.listdir(tmp_path) == ["o.json"]


def test_every_save_is_valid_json_with_a_line_per_cluster(tmp_path: Path) -> None:
    record = Record.load(str(tmp_path / "o.json"))
    record.save()
    assert Record.load(record.path).clusters == {}

    record.begin("run-1", ["a", 'odd "name"\n'], "now")
    for result in (Result.IN_FLIGHT, Result.DONE):
        record.put(outcome("a", result))
        record.save()

        text = Path(record.path).read_text(encoding="utf-8")
        assert list(json.loads(text)["clusters"]) == ["a", 'odd "name"\n']
        assert json.loads(text)["clusters"]["a"]["result"] == result
        assert len(text.splitlines()) == 4


def test_a_loaded_record_saves_what_it_did_not_change(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.FAILED, message="m"))
    record.save()

    again = Record.load(record.path)
    again.put(outcome("b", Result.DONE))
    again.save()

    found = Record.load(record.path).clusters
    assert (found["a"].message, found["b"].result) == ("m", Result.DONE)


def test_the_file_may_be_read_by_others(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.save()

    assert Path(record.path).stat().st_mode & 0o777 == 0o644


def test_a_drive_that_goes_on_does_not_change_what_was_put(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    running = outcome("a", Result.IN_FLIGHT)
    record.put(running)

    running.durations["Prep"] = 1.0
    running.completed.append("Prep")
    running.notes.append("n")

    found = record.clusters["a"]
    assert (found.durations, found.completed, found.notes) == ({}, [], [])


def test_a_run_that_saw_the_end_is_finished(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    assert not record.is_unfinished

    record.put(outcome("a", Result.IN_FLIGHT))
    assert record.is_unfinished and record.was_under_way("a")

    record.put(outcome("a", Result.FAILED))
    assert not record.is_unfinished
    assert not record.was_under_way("stranger")


def test_fields_of_a_later_version_are_no_trouble(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.save()
    document = json.loads(Path(record.path).read_text())
    document["clusters"]["a"]["invented"] = 1
    Path(record.path).write_text(json.dumps(document))

    assert Record.load(record.path).clusters["a"].name == "a"


def test_the_first_save_names_the_option(tmp_path: Path) -> None:
    record = Record.load(str(tmp_path / "missing" / "o.json"))

    with pytest.raises(InvalidOption, match="outcome_file: .* cannot be written: No such file"):
        record.save_first()


def test_a_folder_is_no_outcome_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="outcome_file"):
        Record.load(str(tmp_path))


@pytest.mark.parametrize("clusters", ['{"a": 1}', '{"a": {}}', '{"a": {"result": "eaten"}}', "[]", "null"])
def test_an_outcome_file_that_somebody_edited_is_refused(tmp_path: Path, clusters: str) -> None:
    path = tmp_path / "o.json"
    path.write_text(f'{{"format": 1, "run": "r", "started": "s", "batches": [], "clusters": {clusters}}}')

    with pytest.raises(InvalidOption, match="outcome_file"):
        Record.load(str(path))


@pytest.mark.parametrize("key", ["run", "started", "batches", "clusters"])
def test_half_an_outcome_file_is_refused(tmp_path: Path, key: str) -> None:
    record = begun(tmp_path / "o.json")
    record.save()
    document = json.loads(Path(record.path).read_text())
    del document[key]
    Path(record.path).write_text(json.dumps(document))

    with pytest.raises(InvalidOption, match="damaged"):
        Record.load(record.path)


def test_a_later_format_is_not_guessed_at(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.save()
    text = Path(record.path).read_text()
    Path(record.path).write_text(text.replace('"format": 1', '"format": 2'))

    with pytest.raises(InvalidOption, match="no outcome file of format 1"):
        Record.load(record.path)


# --- a plan ---------------------------------------------------------------------------------------------------------

STEP = {"actions": ["Prep"], "result": "done", "completed": ["Prep"], "message": ""}


def with_plan(path: Path, *shape: tuple[str, ...]) -> bool:
    """Whether a run with this plan goes on with what the file tells; it leaves a step behind."""
    record = begun(path)
    goes_on = record.begin_plan(shape)
    if not goes_on:
        record.put(outcome("a", Result.DONE, steps=[STEP]))
    record.save()
    return goes_on


def test_the_steps_behind_a_cluster_are_read_again(tmp_path: Path) -> None:
    with_plan(tmp_path / "o.json", ("Prep",))

    assert Record.load(str(tmp_path / "o.json")).clusters["a"].steps == [STEP]


def test_without_a_plan_the_file_knows_no_steps(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.put(outcome("a", Result.DONE))
    record.save()

    document = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert "plan" not in document
    assert "steps" not in document["clusters"]["a"]


@pytest.mark.parametrize(
    ("shape", "goes_on"),
    [
        ((("Prep",),), True),
        ((("Prep",), ("Upgrade",)), True),
        ((("Prep", "Upgrade"),), False),
        ((("Upgrade",),), False),
    ],
    ids=["the same", "longer", "another step", "another plan"],
)
def test_only_the_same_plan_or_a_longer_one_goes_on(
    tmp_path: Path, shape: tuple[tuple[str, ...], ...], goes_on: bool
) -> None:
    path = tmp_path / "o.json"
    assert with_plan(path, ("Prep",)) is False

    record = begun(path)
    assert record.begin_plan(shape) is goes_on
    record.save()

    assert Record.load(str(path)).clusters["a"].steps == ([STEP] if goes_on else [])


def test_a_run_for_the_first_steps_only_forgets_nothing_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    with_plan(path, ("Prep",), ("Upgrade",))

    record = begun(path)
    assert record.begin_plan((("Prep",),)) is True
    record.save()

    assert begun(path).begin_plan((("Prep",), ("FinalizeUpgrade",))) is False, "the whole plan is still known"


def test_a_plan_that_has_not_ended_is_unfinished(tmp_path: Path) -> None:
    record = begun(tmp_path / "o.json")
    record.begin_plan((("Prep",),))
    assert record.is_unfinished
    record.end_plan()
    assert not record.is_unfinished


@pytest.mark.parametrize(
    "damage",
    [
        {"plan": {"steps": [["Prep"]]}},
        {"plan": {"steps": 5, "ended": True}},
        {"plan": []},
        {"clusters": {"a": {"result": "done", "steps": [{"actions": ["Prep"]}]}}},
        {"clusters": {"a": {"result": "done", "steps": [{**STEP, "result": "odd"}]}}},
        {"clusters": {"a": {"result": "done", "steps": ["Prep"]}}},
        {"clusters": {"a": {"result": "done", "steps": [{**STEP, "actions": []}]}}},
    ],
)
def test_a_file_whose_steps_make_no_sense_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    with_plan(tmp_path / "o.json", ("Prep",))
    path = tmp_path / "o.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **damage}), encoding="utf-8")

    with pytest.raises(InvalidOption, match="damaged or was edited by hand"):
        Record.load(str(path))
