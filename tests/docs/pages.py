# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown pages of the checkout, taken apart: code blocks, links, names in backquotes, headings."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/**/*.md", "roles/*/README.md", "awx/**/*.md", "extensions/**/README.md", "tests/**/README.md")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Inline:
    """A link's target, or the text in backquotes, and where it stands."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text}"


def pages() -> list[Path]:
    """Every page, none of what tools have fetched or made."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    own = (path for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))
    return sorted(path for path in own if path.name != "CHANGELOG.md")


@functools.cache
def tokens(path: Path) -> tuple[Token, ...]:
    """A page as Markdown has it."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")))


def name_of(path: Path) -> str:
    """The path in the checkout."""
    return path.relative_to(ROOT).as_posix()


def blocks(*languages: str) -> list[Block]:
    """All fenced blocks of these languages."""
    return [
        Block(name_of(path), (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for path in pages()
        for token in tokens(path)
        if token.type == "fence" and token.info.strip() in languages
    ]


def _inline(path: Path) -> Iterator[tuple[int, Token]]:
    line = 0
    for token in tokens(path):
        # A cell of a table has no place of its own; its row has.
        line = token.map[0] + 1 if token.map else line
        for child in token.children or []:
            yield line, child


def links() -> list[Inline]:
    """The targets of all links and pictures."""
    found = []
    for path in pages():
        for line, token in _inline(path):
            target = token.attrGet("href" if token.type == "link_open" else "src")
            if token.type in ("link_open", "image") and target:
                found.append(Inline(name_of(path), line, str(target)))
    return found


def quoted() -> list[Inline]:
    """Everything in backquotes."""
    return [
        Inline(name_of(path), line, token.content)
        for path in pages()
        for line, token in _inline(path)
        if token.type == "code_inline"
    ]


def anchors(path: Path) -> set[str]:
    """What a link may name behind #, as forges and the site make it of headings."""
    all_tokens = tokens(path)
    headings = [
        all_tokens[number + 1].content for number, token in enumerate(all_tokens) if token.type == "heading_open"
    ]
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.lower().strip())) for text in headings}


def commands(block: Block) -> list[str]:
    """The commands of a block: all of a shell's, in a console those behind the prompt."""
    text = block.text.replace("\\\n", " ")
    if block.language == "shell":
        return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
