# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Examples of modules and pages are tasks that Ansible takes, with options that the code itself takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import specs
from .pages import ROOT, blocks

KEYWORDS_OF_A_PLAY = {"hosts", "import_playbook", "ansible.builtin.import_playbook"}
ROLE_TASKS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
Task = dict[str, Any]


def examples_of_modules() -> dict[str, list[Task]]:
    """The tasks in EXAMPLES, by module."""
    paths = {name: ROOT / "plugins" / "modules" / f"{name}.py" for name in specs.modules()}
    return {name: yaml.safe_load(specs.documentation(path)["examples"]) for name, path in paths.items()}


def is_task(item: Any) -> bool:
    return isinstance(item, dict) and any(str(key).count(".") >= 2 for key in item)


def examples_of_pages() -> tuple[dict[str, list[Task]], dict[str, list[Task]]]:
    """The plays, and the lists of tasks, in the YAML of all pages."""
    plays, tasks = {}, {}
    for block in blocks("yaml"):
        for document in yaml.safe_load_all(block.text):
            if not isinstance(document, list) or not document or not isinstance(document[0], dict):
                continue
            if KEYWORDS_OF_A_PLAY & set(document[0]):
                plays[str(block)] = document
            elif any(is_task(item) for item in document):
                tasks[str(block)] = document
    return plays, tasks


PLAYS, TASKS = examples_of_pages()


def flat(tasks: list[Task]) -> Iterator[Task]:
    """Tasks, those in blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from flat(task.get(part) or [])


def tasks_of(play: Task) -> list[Task]:
    return [task for part in ("pre_tasks", "tasks", "post_tasks") for task in flat(play.get(part) or [])]


def problems_of(task: Task) -> list[str]:
    """What the code says against the options of a task."""
    found = []
    for key, arguments in task.items():
        name = str(key).removeprefix("sno.image_upgrade.")
        if name in specs.modules():
            found += specs.problems(specs.module_spec(name), arguments or {})
        elif key in ROLE_TASKS and str(arguments.get("name")).startswith("sno.image_upgrade."):
            role = str(arguments["name"]).removeprefix("sno.image_upgrade.")
            found += specs.role_problems(role, task.get("vars") or {})
    return found


@pytest.mark.parametrize("name", specs.modules())
def test_options_in_examples_of_modules_are_taken(name: str) -> None:
    tasks = list(flat(examples_of_modules()[name]))
    assert any(f"sno.image_upgrade.{name}" in task for task in tasks), "no example uses the module itself"
    assert {task["name"]: found for task in tasks if "block" not in task and (found := problems_of(task))} == {}


@pytest.mark.parametrize("place", [*PLAYS, *TASKS])
def test_options_in_examples_of_pages_are_taken(place: str) -> None:
    tasks = [task for play in PLAYS.get(place, []) for task in tasks_of(play)] + list(flat(TASKS.get(place, [])))
    assert [found for task in tasks if (found := problems_of(task))] == []


@pytest.mark.parametrize("path", sorted((ROOT / "plugins" / "inventory").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_options_in_examples_of_inventories_are_there(path: Path) -> None:
    found = specs.documentation(path)
    options = set(found["documentation"]["options"]) | {"plugin"}
    for fragment in found["documentation"].get("extends_documentation_fragment", []):
        # Ansible's own: keyed_groups, groups, compose, strict; and the cache.
        options |= {"constructed": {"keyed_groups", "groups", "compose", "strict"}}.get(fragment, set())
        options |= {name for name in ("cache", "cache_plugin", "cache_connection", "cache_timeout", "cache_prefix")}
    documents = list(yaml.safe_load_all(found["examples"]))
    assert documents
    for document in documents:
        assert document["plugin"] == f"sno.image_upgrade.{path.stem}"
        assert set(document) - options == set()


def test_ansible_takes_all_of_them(tmp_path: Path) -> None:
    lists = {**{f"{name} EXAMPLES": tasks for name, tasks in examples_of_modules().items()}, **TASKS}
    books = {place: [{"hosts": "all", "gather_facts": False, "tasks": tasks}] for place, tasks in lists.items()}
    paths = []
    for number, (place, plays) in enumerate({**books, **PLAYS}.items()):
        path = tmp_path / f"{number:03d}-{place.replace('/', '_').replace(' ', '_')}.yml"
        path.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
        paths.append(path)

    command = [Path(sys.executable).parent / "ansible-playbook", "--syntax-check", "-i", "site-0001,", *paths]
    # Their groups are the reader's.
    environment = {**os.environ, "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert len(paths) > 25
    assert done.returncode == 0, done.stderr
