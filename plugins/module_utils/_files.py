# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Files that a user names, and files that are never half written: whoever reads finds the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import tempfile

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

# How a file ends that is not whole yet.
_PARTIAL = ".partial"


def read_text(option: str, path: str) -> str:
    """The text of the file that an option names. Raises InvalidOption."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOption(option, path, f"the file cannot be read: {getattr(error, 'strerror', error)}") from error


def replace_text(path: str, text: str, mode: int) -> None:
    """Put a text in the place of a file. Raises OSError, and leaves the file of before then."""
    directory, prefix = _temporary_names(path)
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=prefix, suffix=_PARTIAL)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            # Some file systems put the new name on disk before the content: a power cut would leave an empty file.
            os.fsync(stream.fileno())
        # mkstemp creates for this user alone.
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def remove_partial(path: str) -> None:
    """Remove what somebody left who was killed, beyond any handler, while he replaced this file."""
    directory, prefix = _temporary_names(path)
    for name in os.listdir(directory):
        if name.startswith(prefix) and name.endswith(_PARTIAL):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def _temporary_names(path: str) -> tuple[str, str]:
    """The folder of a file, and how what is written there on the way to it begins."""
    directory, name = os.path.split(os.path.abspath(path))
    return directory, f".{name}."
