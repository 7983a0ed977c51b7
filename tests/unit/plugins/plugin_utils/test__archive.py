# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive is complete or not there, the disk does not fill up, and nobody else is at work on it."""

from __future__ import annotations

import gzip
import os
import tarfile
import threading
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils import _archive
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import (
    Archive,
    Disk,
    GatherFailed,
    TooBig,
    manifests,
    masked_bytes,
    only_one,
    open_folder,
)

NAME = "site-20261121T011240Z"
OTHER = "site-20261122T011240Z"


class Free:
    """A disk with so many bytes free."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, _path: str) -> int:
        return self.size


def archive(folder: Path, most: int = 1000, free: Free | None = None, stop: threading.Event | None = None) -> Archive:
    return Archive(str(folder), NAME, most, Disk(str(folder), 100, free or Free(10**9)), stop or threading.Event())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_final_names_are_given_at_the_end(tmp_path: Path) -> None:
    one = archive(tmp_path)
    one.add("a/b.txt", b"text")
    assert names(tmp_path) == [f"{NAME}.tar.gz.partial"]
    found = one.close({"cluster": "site"})
    one.discard()
    assert names(tmp_path) == [f"{NAME}.json", f"{NAME}.tar.gz"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert (found["files"], found["archive"]) == (1, f"{NAME}.tar.gz")
    assert manifests(str(tmp_path), "site") == [found]
    with tarfile.open(tmp_path / f"{NAME}.tar.gz") as tar:
        assert tar.getnames() == [f"{NAME}/a/b.txt"]


def test_discarded_it_leaves_nothing(tmp_path: Path) -> None:
    one = archive(tmp_path)
    (Path(one.workdir()) / "x").write_text("x")
    one.add("a", b"a")
    one.discard()
    assert names(tmp_path) == []


@pytest.mark.parametrize("lost", ["json", "tar.gz"])
def test_one_file_without_the_other_does_not_count(tmp_path: Path, lost: str) -> None:
    archive(tmp_path).close({})
    (tmp_path / f"{NAME}.{lost}").unlink()
    assert manifests(str(tmp_path), "site") == []


def test_hosts_whose_names_begin_alike_are_not_confused(tmp_path: Path) -> None:
    archive(tmp_path).close({})
    assert len(manifests(str(tmp_path), "site")) == 1
    assert manifests(str(tmp_path), "sit") == manifests(str(tmp_path), "site-2") == []


def test_too_much_is_refused(tmp_path: Path) -> None:
    one = archive(tmp_path, most=5)
    one.add("a", b"1234")
    with pytest.raises(TooBig, match="raise size_limit"):
        one.add("b", b"12")
    one.discard()


def test_a_disk_that_fills_up_ends_it(tmp_path: Path) -> None:
    free = Free(101)
    one = archive(tmp_path, free=free)
    one.add("a", b"a")
    free.size = 99
    with pytest.raises(GatherFailed, match="99.00 Bytes free, and 100.00 Bytes have to stay free: make room"):
        one.add("b", b"b")
    one.discard()


def test_a_stopped_run_ends_it(tmp_path: Path) -> None:
    stop = threading.Event()
    one = archive(tmp_path, stop=stop)
    stop.set()
    with pytest.raises(GatherFailed, match="stopped"):
        one.add("b", b"b")
    one.discard()


def test_an_error_of_the_disk_is_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: str, _target: str) -> None:
        raise OSError(28, "No space left on device")

    one = archive(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(GatherFailed, match="No space left"):
        one.close({})
    one.discard()
    assert names(tmp_path) == []


def test_a_tree_is_masked_and_without_secrets_and_links(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    folder.mkdir()
    for name, text in {
        "ns/pods.yaml": "token: abcdefgh",
        "ns/secrets.yaml": "no",
        "ns/secrets/a.yaml": "no",
        "ns/secretstores.yaml": "yes",
    }.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "link").symlink_to("/etc/hostname")
    one = archive(folder)
    one.add_tree(str(source), "data")
    one.close({})
    with tarfile.open(folder / f"{NAME}.tar.gz") as tar:
        assert tar.getnames() == [f"{NAME}/data/ns/pods.yaml", f"{NAME}/data/ns/secretstores.yaml"]
        stream = tar.extractfile(f"{NAME}/data/ns/pods.yaml")
        assert stream is not None and stream.read() == b"token: <masked>"


def test_of_a_huge_file_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "_FILE_MOST", 4)
    source, folder = tmp_path / "source", tmp_path / "folder"
    source.mkdir()
    folder.mkdir()
    (source / "log").write_text("123456")
    one = archive(folder)
    one.add_tree(str(source), "data")
    assert one.close({})["left_out"] == ["data/log: all but the last 4.00 Bytes"]


@pytest.mark.parametrize(
    ("data", "masked"),
    [
        (b"password=abc\xff\n", b"password=<masked>\n"),
        (b"\0password=abc", b"\0password=abc"),
        (gzip.compress(b"password=abc", mtime=0), b"password=<masked>"),
        (gzip.compress(b"password=abc", mtime=0)[:-9], None),
    ],
)
def test_masking_of_files(data: bytes, masked: bytes | None) -> None:
    found = masked_bytes(data)
    assert (gzip.decompress(found) if found.startswith(b"\x1f\x8b") and masked else found) == (masked or data)


def test_one_run_at_a_time_and_it_cleans_up(tmp_path: Path) -> None:
    for left in (f"{NAME}.tar.gz.partial", f"{OTHER}.json.partial", "site-2-20261121T011240Z.tar.gz.partial"):
        (tmp_path / left).touch()
    (tmp_path / f"{NAME}.work.partial").mkdir()
    with only_one(str(tmp_path), "site"):
        assert names(tmp_path) == [".site.lock", "site-2-20261121T011240Z.tar.gz.partial"]
        with pytest.raises(GatherFailed, match="another run"), only_one(str(tmp_path), "site"):
            raise AssertionError
    assert names(tmp_path) == ["site-2-20261121T011240Z.tar.gz.partial"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidOption, match="folder: .* cannot be written to"):
        open_folder(str(tmp_path / "file" / "logs"))
    made = tmp_path / "a" / "b"
    assert open_folder(str(made)) == str(made)
    assert made.stat().st_mode & 0o777 == 0o700
