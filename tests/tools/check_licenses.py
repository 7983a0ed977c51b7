# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file names its licence in its first lines, and it is the collection's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from checkout import ROOT, source_files

LICENSE = "GPL-3.0-or-later"
FIRST_LINES = 6
TAG = re.compile(r"SPDX-License-Identifier: *(\S+)")

# Files that have no place for a comment, or whose text is prescribed.
WITHOUT_COMMENTS = {".json", ".png", ".svg", ".sum", ".mod", ".cast", ".gif"}
PRESCRIBED = {"LICENSE", "CHANGELOG.md", "CHANGELOG.rst", "changelogs/changelog.yaml"}
# ansible-test reads these itself and takes a comment for an entry.
ANSIBLE_TEST = re.compile(r"tests/sanity/ignore-.*\.txt")


def is_exempt(path: Path) -> bool:
    """Whether the file cannot carry a tag, or may not."""
    name = path.as_posix()
    empty = not (ROOT / path).stat().st_size
    return empty or path.suffix in WITHOUT_COMMENTS or name in PRESCRIBED or bool(ANSIBLE_TEST.fullmatch(name))


def problem_of(path: Path) -> str | None:
    """What is wrong with the file's tag, None if nothing."""
    with (ROOT / path).open(encoding="utf-8", errors="replace") as text:
        head = "".join(line for _number, line in zip(range(FIRST_LINES), text, strict=False))
    tag = TAG.search(head)
    if tag is None:
        return f"{path}: no SPDX-License-Identifier in the first {FIRST_LINES} lines"
    if tag.group(1) != LICENSE:
        return f"{path}: its licence is {tag.group(1)}, the collection's is {LICENSE}"
    return None


def main() -> int:
    """Print every file without the right tag; 1 if there is one."""
    files = [path for path in source_files() if not is_exempt(path)]
    problems = [problem for problem in map(problem_of, files) if problem]
    print("\n".join(problems) if problems else f"{len(files)} files name their licence")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
