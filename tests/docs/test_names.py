# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What messages, comments and task names of the collection point to is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import specs
from .pages import ROOT, pages

FOLDERS = ("plugins", "roles", "playbooks", "extensions", "awx")
# A name of the collection, not the path of one of its Python modules.
NAME = re.compile(r"sno\.image_upgrade\.(_?[a-z][a-z_]*)\b(?!\.)")
OTHERS = {"extensions/eda/rulebooks": "*.yml", "extensions/eda/plugins/event_source": "*.py"}


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that comes with the collection, and the pages of the checkout."""
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yml", ".j2")}
    for path in sorted(files | set(pages())):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def known() -> set[str]:
    """Everything that is called sno.image_upgrade.NAME."""
    plugins = {path.stem for kind in ("action", "modules", "inventory", "doc_fragments") for path in _python(kind)}
    others = {path.stem for folder, pattern in OTHERS.items() for path in (ROOT / folder).glob(pattern)}
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    # And the group of all modules, for module_defaults.
    return {"plugins", "ibu", *plugins, *others, *playbooks, *specs.playbook_index.all_roles()}


def _python(kind: str) -> list[Path]:
    return list((ROOT / "plugins" / kind).glob("*.py"))


def test_names_of_the_collection_are_there() -> None:
    found = [(place, name) for place, text in texts() for name in NAME.findall(text)]
    assert len(found) > 500
    assert sorted({(place, name) for place, name in found if name not in known()}) == []


def test_playbooks_that_messages_tell_people_to_run_are_there() -> None:
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    found = [
        (place, name)
        for place, text in texts()
        for name in re.findall(r"ansible-playbook (?:-[^\s]+ [^\s]+ )*sno\.image_upgrade\.([a-z_]+)", text)
    ]
    assert len(found) > 200
    assert sorted({(place, name) for place, name in found if name not in playbooks}) == []


def test_pages_that_messages_name_are_there() -> None:
    found = [
        (place, page)
        for place, text in texts()
        for page in re.findall(r"\(docs/([a-z_/-]+)\)|\bdocs/((?:guides|runbooks)/[a-z_-]+)(?:\.md)?\b", text)
    ]
    named = {(place, first or second) for place, (first, second) in found}
    assert len(named) > 30
    assert sorted((place, page) for place, page in named if not (ROOT / "docs" / f"{page}.md").exists()) == []


def tasks_of(items: Any) -> Iterator[dict[str, Any]]:
    for item in items or []:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks_of(item.get(part))


def given(role: str) -> set[str]:
    """The variables of a role that are there whatever the user gives."""
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    found = set(yaml.safe_load(defaults.read_text(encoding="utf-8")) or {}) if defaults.exists() else set()
    return found | {name for name, option in specs.role_spec(role).items() if option.get("required")}


@pytest.mark.parametrize("role", specs.playbook_index.all_roles())
def test_the_name_of_a_task_asks_for_nothing_that_may_be_missing(role: str) -> None:
    """Ansible shows the name of a skipped task too, and then the error of what is in it."""
    problems = []
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for name in re.findall(r"{{\s*([a-z_]+)(?!.*default\()", str(task.get("name", ""))):
                if name not in given(role):
                    problems.append(f"{path.name}: {task['name']}")
    assert problems == []
