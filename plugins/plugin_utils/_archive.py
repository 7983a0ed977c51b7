# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The folder of archives: one per cluster, complete or not there at all, with a disk that never fills up.

``HOST-TIME.tar.gz`` is the archive and ``HOST-TIME.json`` says what is in it. Both get their names once they are
complete, the second one last: so an archive counts if the JSON file is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import os
import re
import shutil
import tarfile
import threading
import typing as t
import zlib

from ansible.module_utils.common.text.formatters import bytes_to_human

from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import masked_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

PARTIAL = ".partial"
# A file beyond this is kept with its end only: to mask it, it has to be in memory.
_FILE_MOST = 64 * 1024 * 1024
_SECRET_PARTS = ("secrets", "secret")


class GatherFailed(IbuError):
    """Nothing was saved of one cluster; the text says why and what to do."""


class TooBig(GatherFailed):
    """It is more than the user wants to have."""


class Disk:
    """The file system of the folder, which keeps some bytes free. ``free`` is injected by tests."""

    def __init__(self, folder: str, least: int, free: t.Callable[[str], int] | None = None) -> None:
        self._folder = folder
        self._least = least
        self._free = free or (lambda path: shutil.disk_usage(path).free)

    def check(self, wanted: int = 0) -> None:
        """Raise GatherFailed where fewer bytes would be left than have to be."""
        free = self._free(self._folder)
        if free - wanted < self._least:
            raise GatherFailed(
                f"the disk of {self._folder} has {human(free)} free, and {human(self._least)} have to stay free: "
                "make room, name another folder, or lower least_free"
            )


def human(size: int) -> str:
    """A number of bytes for people."""
    return str(bytes_to_human(size))


def shown(path: str) -> str:
    """A path as short as can be: below the current directory, else absolute."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def open_folder(path: str) -> str:
    """The folder, made where it is not there. Raises InvalidOption where nothing can be written to it."""
    folder = os.path.abspath(os.path.expanduser(path))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise InvalidOption("folder", path, f"it cannot be written to: {error.strerror}") from error
    return folder


def manifests(folder: str, stem: str) -> list[dict[str, t.Any]]:
    """What the complete archives of one host say of themselves, the newest first. ``stem`` ends before the time."""
    found = []
    for name in sorted(_of_host(folder, stem), reverse=True):
        if name.endswith(".json"):
            with contextlib.suppress(OSError, ValueError):
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    manifest = json.load(stream)
                if os.path.exists(os.path.join(folder, str(manifest["archive"]))):
                    found.append(manifest)
    return found


def _of_host(folder: str, stem: str) -> list[str]:
    """What a folder has of one host, and not of one whose name begins alike."""
    own = re.compile(rf"{re.escape(stem)}-\d{{8}}T\d{{6}}Z(?:\.|$)")
    with contextlib.suppress(FileNotFoundError):
        return [name for name in os.listdir(folder) if own.match(name)]
    return []


@contextlib.contextmanager
def only_one(folder: str, stem: str) -> t.Iterator[None]:
    """For one host only one run at a time; what a killed one has left is removed. Raises GatherFailed."""
    path = os.path.join(folder, f".{stem}.lock")
    with open(path, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_ino != os.stat(path).st_ino:
                raise FileNotFoundError(path)
        except OSError as error:
            raise GatherFailed("another run collects from this cluster right now: wait for it") from error
        try:
            for left in _of_host(folder, stem):
                if left.endswith(PARTIAL):
                    _remove(os.path.join(folder, left))
            yield
        finally:
            os.unlink(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


class Archive:
    """One archive under way. ``most`` is how many bytes may be put into it."""

    def __init__(self, folder: str, name: str, most: int, disk: Disk, stop: threading.Event) -> None:
        self.name = name
        self.left = most
        self.size = 0
        self.files = 0
        self.left_out: list[str] = []
        self.disk = disk
        self._most = most
        self._stop = stop
        self._path = os.path.join(folder, f"{name}.tar.gz")
        self._manifest = os.path.join(folder, f"{name}.json")
        descriptor = os.open(self._path + PARTIAL, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._stream = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._stream, mode="w:gz")  # noqa: SIM115
        self._workdir = os.path.join(folder, f"{name}.work{PARTIAL}")

    @property
    def path(self) -> str:
        """Its final name."""
        return self._path

    def workdir(self) -> str:
        """A folder on the same disk for what has to be collected before it can be put in; gone with the archive."""
        os.makedirs(self._workdir, mode=0o700, exist_ok=True)
        return self._workdir

    def check(self, more: int = 0) -> None:
        """Raise GatherFailed where it cannot go on: stopped, too big, or a disk that is full."""
        if self._stop.is_set():
            raise GatherFailed("this run was stopped; run it again")
        if more > self.left:
            raise TooBig(f"it is more than {human(self._most)}: raise size_limit")
        self.disk.check()

    def add(self, path: str, data: bytes) -> None:
        """Put in a file. What it holds is masked already."""
        self.check(len(data))
        info = tarfile.TarInfo(f"{self.name}/{path}")
        info.size, info.mode = len(data), 0o600
        try:
            self._tar.addfile(info, io.BytesIO(data))
        except OSError as error:
            raise GatherFailed(f"{self._path} cannot be written: {error.strerror}") from error
        self.left -= len(data)
        self.files += 1

    def add_tree(self, root: str, prefix: str) -> None:
        """Put in a folder, masked, and without what is of Secrets by its name. Links are left out."""
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in _SECRET_PARTS)
            for name in sorted(files):
                source = os.path.join(folder, name)
                if name.partition(".")[0] in _SECRET_PARTS or os.path.islink(source) or not os.path.isfile(source):
                    continue
                path = os.path.join(prefix, os.path.relpath(source, root))
                self.add(path, self._read(source, path))

    def _read(self, source: str, path: str) -> bytes:
        with open(source, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _FILE_MOST:
                stream.seek(size - _FILE_MOST)
                self.left_out.append(f"{path}: all but the last {human(_FILE_MOST)}")
            data = stream.read(_FILE_MOST)
        return masked_bytes(data)

    def close(self, manifest: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Give both files their names. The manifest gets what only the archive knows."""
        try:
            self._tar.close()
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self.size = self._stream.tell()
            self._stream.close()
            document = {
                **manifest,
                "archive": os.path.basename(self._path),
                "bytes": self.size,
                "files": self.files,
                "left_out": self.left_out,
            }
            with open(self._manifest + PARTIAL, "w", encoding="utf-8", opener=_private) as stream:
                json.dump(document, stream, indent=1)
            os.replace(self._path + PARTIAL, self._path)
            os.replace(self._manifest + PARTIAL, self._manifest)
        except OSError as error:
            raise GatherFailed(f"{self._path} cannot be written: {error.strerror}") from error
        _remove(self._workdir)
        return document

    def discard(self) -> None:
        """Leave nothing behind. After close there is nothing to discard."""
        with contextlib.suppress(OSError):
            self._tar.close()
        with contextlib.suppress(OSError):
            self._stream.close()
        for path in (self._path + PARTIAL, self._manifest + PARTIAL, self._workdir):
            _remove(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def masked_bytes(data: bytes) -> bytes:
    """A file's content without what looks like a secret; also where it is compressed, but not where it is no text."""
    if data.startswith(b"\x1f\x8b"):
        plain = _unzipped(data)
        if plain is None or _is_binary(plain):
            return data
        return gzip.compress(masked_bytes(plain), 6)
    if _is_binary(data):
        return data
    # Bytes that are no UTF-8 come through as they are.
    return masked_text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _is_binary(data: bytes) -> bool:
    return b"\0" in data[:8192]


def _unzipped(data: bytes) -> bytes | None:
    """None where it is damaged, or more than is to be held in memory."""
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            plain = stream.read(_FILE_MOST + 1)
    except (OSError, EOFError, zlib.error):
        return None
    return plain if len(plain) <= _FILE_MOST else None
