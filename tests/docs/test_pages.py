# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages name is there: links, playbooks, variables, tests, make targets; and their commands are commands."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Outcome

from . import specs
from .pages import ROOT, Block, Inline, anchors, blocks, commands, links, quoted

SHELL = blocks("shell", "console", "text", "")
COLLECTION = "sno.image_upgrade."
# What pages call inventories: one written by hand, and one from the hub, whose plugin takes no other name.
INVENTORIES = {"fleet.yml", "managed_clusters.yml"}
# Names that belong to this collection by their beginning.
OWNED = re.compile(rf"(ibu|ibgu|{'|'.join(specs.playbook_index.all_roles())})_[a-z_]+")
# Labels and groups of the inventory, whose middle is the name of an action.
GENERATED = re.compile(r"ibgu_[a-z]+_(completed|failed)|ibgu_preflight_.*")


def is_elsewhere(target: str) -> bool:
    """Whether a link leaves the checkout."""
    return re.match(r"[a-z]+:", target) is not None


def broken(link: Inline) -> str | None:
    """What is wrong with a link."""
    if is_elsewhere(link.text):
        return None
    target, _, anchor = unquote(link.text).partition("#")
    path = (ROOT / link.page).parent / target if target else ROOT / link.page
    if not path.exists():
        return f"{link}: there is no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"{link}: there is no such heading"
    return None


def test_links_lead_somewhere() -> None:
    # docs/docsite/index.md stands at the root of the site, which is built with warnings as errors.
    found = [link for link in links() if not link.page.startswith("docs/docsite/")]
    assert len(found) > 100
    assert [problem for problem in map(broken, found) if problem] == []


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_are_shell(block: Block) -> None:
    script = "\n".join(commands(block))
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@functools.cache
def known() -> frozenset[str]:
    """Every variable that a user may set, those that belong to a single playbook too."""
    return specs.variables() | {name for book in specs.playbook_index.playbooks() for name in book.variables}


@functools.cache
def parser() -> argparse.ArgumentParser:
    """The options of ansible-playbook, as it has them itself."""
    cli = PlaybookCLI(["ansible-playbook", "x"])
    cli.init_parser()
    return cli.parser  # type: ignore[no-any-return]


def words_of(command: str) -> list[str]:
    """The words of a command up to the next one, without what is set for it."""
    words = shlex.split(command, comments=True)
    end = next((number for number, word in enumerate(words) if word in ("&&", "|", ";")), len(words))
    words = words[:end]
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def calls(program: str) -> list[tuple[Block, list[str]]]:
    """All calls of a program on all pages."""
    found = [(block, words_of(command)) for block in SHELL for command in commands(block) if "..." not in command]
    return [(block, words) for block, words in found if words and words[0] == program]


def test_calls_in_the_text_are_calls_too() -> None:
    """A playbook that is named with its options in backquotes has these variables."""
    found = [code for code in quoted() if code.text.startswith("ansible-playbook ")]
    problems = []
    for code in found:
        args = parser().parse_args(words_of(code.text)[1:])
        names = {name for extra in args.extra_vars for name in given(extra)}
        problems += [f"{code}: there is no variable {name}" for name in names - known()]
        problems += strange_inventories(str(code), args.inventory)
    assert len(found) > 3
    assert problems == []


def test_variables_that_the_text_gives_are_there() -> None:
    """`-e name=value` in backquotes, without a command around it."""
    found = [(code, given(match)) for code in quoted() for match in re.findall(r"^-e '?([^'@].*?)'?$", code.text)]
    assert len(found) > 20
    assert [str(code) for code, names in found if set(names) - known()] == []


def strange_inventories(place: str, named: list[str] | None) -> list[str]:
    """Inventories of a command that a reader has not been told to write."""
    return [f"{place}: no page tells of an inventory {name}" for name in set(named or []) - INVENTORIES]


def test_inventories_of_other_programs_are_told_of() -> None:
    found = [(block, words) for name in ("ansible-rulebook", "ansible-inventory") for block, words in calls(name)]
    named = [(block, words[words.index("-i") + 1]) for block, words in found if "-i" in words]
    assert len(named) > 2
    assert [problem for block, name in named for problem in strange_inventories(str(block), [name])] == []


def given(extra: str) -> dict[str, Any]:
    """The variables of one -e."""
    if extra.startswith("@"):
        return {}
    if extra.startswith("{"):
        return dict(json.loads(extra))
    return dict(part.partition("=")[::2] for part in shlex.split(extra))


def test_playbooks_and_variables_of_commands_are_there() -> None:
    problems = []
    found = calls("ansible-playbook")
    for block, words in found:
        try:
            args = parser().parse_args(words[1:])
        except SystemExit:
            problems.append(f"{block}: ansible-playbook does not know these options: {words}")
            continue
        for playbook in args.args:
            name = playbook.removeprefix(COLLECTION) if playbook.startswith(COLLECTION) else Path(playbook).stem
            # A playbook of the reader's own has no path.
            own = not playbook.startswith((COLLECTION, "playbooks/"))
            if not own and not (ROOT / "playbooks" / f"{name}.yml").exists():
                problems.append(f"{block}: there is no playbook {playbook}")
        problems += strange_inventories(str(block), args.inventory)
        names = {name for extra in args.extra_vars for name in given(extra)}
        problems += [f"{block}: there is no variable {name}" for name in names - known()]
    assert len(found) > 100
    assert problems == []


def playbook_of(words: list[str]) -> list[str]:
    """What a call of ansible-playbook plays."""
    return list(parser().parse_args(words[1:]).args)


def test_a_look_can_be_copied_without_what_comes_after_it() -> None:
    """Whoever pastes a block that first looks and then acts has acted before having seen anything."""
    seen, hasty = set(), []
    for block, words in calls("ansible-playbook"):
        key = block, *playbook_of(words)
        if "--check" in words:
            seen.add(key)
        elif key in seen:
            hasty.append(f"{block}: {shlex.join(words)}")
    assert len(seen) > 20
    assert hasty == []


@functools.cache
def make_targets() -> frozenset[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def test_make_targets_are_there() -> None:
    wanted = [(str(block), words[1:]) for block, words in calls("make")]
    wanted += [(str(code), code.text.split()[1:]) for code in quoted() if code.text.startswith("make ")]
    targets = [(place, word) for place, words in wanted for word in words if re.fullmatch(r"[a-z-]+", word)]
    assert len(targets) > 20
    assert [f"{place}: {word}" for place, word in targets if word not in make_targets()] == []


def test_variables_in_the_text_are_there() -> None:
    known = specs.variables() | set(specs.modules()) | {book.name for book in specs.playbook_index.playbooks()}
    named = [code for code in quoted() if OWNED.fullmatch(code.text)]
    roles = specs.playbook_index.all_roles()
    known |= {*roles, *(f"{role}_result" for role in roles)}
    # Keys of the outcome file.
    known |= {field.name for field in dataclasses.fields(Outcome)}
    assert len(named) > 200
    unknown = [str(code) for code in named if code.text not in known and not GENERATED.fullmatch(code.text)]
    assert unknown == []


def test_tests_that_prove_something_are_there() -> None:
    problems, file, count = [], "", 0
    for code in quoted():
        match = re.fullmatch(r"(tests/\S+\.py)?(?:::(test_\w+))?", code.text)
        if not match or not code.text:
            continue
        count += 1
        # `::test_x` alone is in the file named before it.
        file = match.group(1) or file
        path = ROOT / file
        if not path.exists():
            problems.append(f"{code}: there is no such file")
        elif match.group(2) and f"def {match.group(2)}(" not in path.read_text(encoding="utf-8"):
            problems.append(f"{code}: there is no such test")
    assert count > 25
    assert problems == []


# Scenarios of the simulator have keys of their own.
YAML = [block for block in blocks("yaml") if not block.page.startswith("tests/")]


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_yaml_and_its_variables_are_there(block: Block) -> None:
    def unknown(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(unknown, value))
        if not isinstance(value, dict):
            return set()
        inside = set().union(*map(unknown, value.values()))
        return inside | {str(key) for key in value if OWNED.fullmatch(str(key)) and key not in specs.variables()}

    names = set(specs.modules()) | set(specs.playbook_index.all_roles())
    for document in yaml.safe_load_all(block.text):
        assert unknown(document) - names == set()


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


def test_the_readme_names_every_playbook() -> None:
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml") if "argument_specs" not in path.name}
    named = {code.text for code in quoted() if code.page == "README.md"}
    assert there - named == set()


def test_every_guide_can_be_found_from_the_readme() -> None:
    known = {(ROOT / link.page).parent.joinpath(link.text).resolve() for link in links() if link.page == "README.md"}
    guides = set((ROOT / "docs" / "guides").glob("*.md"))
    assert guides - known == set()
