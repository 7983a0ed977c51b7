# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each playbook does and which variables it takes, read from the playbooks and the argument specs of their roles.

A playbook takes the options of the roles that it imports, but for those that it sets itself, and the variables in its
own expressions. `docs/docsite/play_variables.yml` describes the latter.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from jinja2 import Environment, meta

from checkout import ROOT

PREFIX = "sno.image_upgrade."
DESCRIBED = ROOT / "docs" / "docsite" / "play_variables.yml"
# Variables of plays that are nobody else's.
INTERNAL = {"awx_is_missing"}
TARGET = re.compile(r"target \| default\('([^']+)'\)")
IMPORTS = ("import_role", "include_role")
# Read by every role: where a cluster is, and what it shall become. docs/inventory.md has them.
FROM_INVENTORY = ROOT / "docs" / "inventory.md"


@dataclass(frozen=True)
class Variable:
    """A variable that a user may set."""

    name: str
    text: str
    default: t.Any = None
    # Whether the default is told in words, and is no value.
    words_only: bool = False


@dataclass
class Playbook:
    """A playbook as a user sees it."""

    name: str
    text: str
    commands: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)


def load(path: Path) -> t.Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def words(description: t.Any) -> str:
    """A description as one paragraph, without Ansible's markup."""
    text = " ".join([description] if isinstance(description, str) else description or [])
    return re.sub(r"\b[A-Z]+\(([^()]*)\)", r"\1", text)


def variable(name: str, option: dict[str, t.Any]) -> Variable:
    """An option as it is described; "Unset, it is X." at the end of a description is its default."""
    text = words(option.get("description"))
    told = re.search(r" Unset, (?:it is ([^.]*(?:\.\w[^.]*)*)|there is none)\.$", text)
    if "default" not in option and told:
        return Variable(name, text[: told.start()], told.group(1) or "none", words_only=True)
    return Variable(name, text, option.get("default"))


def described() -> dict[str, Variable]:
    """The variables that playbooks read in their own expressions."""
    return {name: variable(name, about) for name, about in load(DESCRIBED).items()}


def role_options(role: str) -> dict[str, Variable]:
    """The options of a role."""
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return {
        name: variable(name, option) for spec in specs.values() for name, option in (spec.get("options") or {}).items()
    }


def all_roles() -> list[str]:
    """The names of all roles."""
    return sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


def strings(value: t.Any) -> t.Iterator[str]:
    """Every string in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def read_by(play: dict[str, t.Any]) -> set[str]:
    """The names of the variables in the expressions of a play."""
    environment, found = Environment(), set()
    for text in strings(play):
        if "{{" in text:
            # Filters and tests are Ansible's; only the names count here.
            plain = re.sub(r"\|\s*[a-z_.]+", "| upper", text)
            found |= meta.find_undeclared_variables(environment.parse(re.sub(r"upper\(", "default(", plain)))
    return found


def tasks_of(play: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    """The tasks of a play, those in blocks too."""
    waiting = [task for kind in ("pre_tasks", "tasks", "post_tasks") for task in play.get(kind) or []]
    while waiting:
        task = waiting.pop(0)
        yield task
        waiting += [inner for part in ("block", "rescue", "always") for inner in task.get(part) or []]


def imported(play: dict[str, t.Any]) -> t.Iterator[tuple[str, set[str]]]:
    """The roles of a play, each with the variables that are set for it."""
    for task in tasks_of(play):
        for key, arguments in task.items():
            if key.rpartition(".")[2] in IMPORTS and isinstance(arguments, dict):
                name = str(arguments["name"])
                # The verdict at the end of each batch takes nothing from the user.
                if name.startswith(PREFIX) and arguments.get("tasks_from") != "verdict.yml":
                    yield name.removeprefix(PREFIX), set(task.get("vars") or {})


def documented_options(module: str) -> dict[str, t.Any]:
    """The options of a module with those of its own fragments, as documented; not those of other collections."""

    def documentation(path: Path) -> dict[str, t.Any]:
        text = re.search(r'DOCUMENTATION = r"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
        return yaml.safe_load(text.group(1)) if text else {}

    own = documentation(ROOT / "plugins" / "modules" / f"{module}.py")
    found = dict(own.get("options") or {})
    for name in own.get("extends_documentation_fragment") or []:
        path = ROOT / "plugins" / "doc_fragments" / f"{name.removeprefix(PREFIX)}.py"
        if path.exists():
            found |= documentation(path).get("options") or {}
    return found


def serves_a_batch(module: str) -> bool:
    """Whether the module takes options that the task does not give from variables."""
    path = ROOT / "plugins" / "action" / f"{module}.py"
    return path.exists() and "(FleetAction)" in path.read_text(encoding="utf-8")


def module_options(play: dict[str, t.Any]) -> t.Iterator[Variable]:
    """What modules of the play take from variables.

    An option that the task does not give comes from `ibu_<option>`; one that it gives may come from a variable of the
    same name.
    """
    for task in tasks_of(play):
        for key, arguments in task.items():
            module = key.removeprefix(PREFIX)
            if not key.startswith(PREFIX) or not (ROOT / "plugins" / "modules" / f"{module}.py").exists():
                continue
            for name, option in documented_options(module).items():
                if name not in (arguments or {}):
                    if serves_a_batch(module):
                        yield variable(f"ibu_{name}", option)
                elif name in read_by({name: arguments[name]}):
                    yield variable(name, option)


def own_variables(path: Path) -> t.Iterator[Variable]:
    """The variables of plays that a comment explains."""
    comment: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"    (\w+): (.+)", line):
            # "Another name: -e x=y" is no description.
            if comment and not comment[0].startswith("Another") and found.group(1) not in INTERNAL:
                yield Variable(found.group(1), " ".join(comment), yaml.safe_load(found.group(2)))
            comment = []
        elif found := re.fullmatch(r"    # (.+)", line):
            comment.append(found.group(1))
        else:
            comment = []


def heading_comment(path: Path) -> tuple[str, list[str]]:
    """The words at the beginning of a playbook, and the commands among them."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and "SPDX" not in line:
            found.append(line[2:])
        elif line.startswith("- "):
            break
    # Indented lines are commands.
    text = " ".join(line for line in found if not line.startswith(" "))
    return text, [line.strip() for line in found if line.startswith(" ")]


def playbook(path: Path) -> Playbook:
    """One playbook."""
    plays = load(path)
    book = Playbook(path.stem, *heading_comment(path))
    own, read = described(), set().union(*(read_by(play) for play in plays))
    book.variables = {name: own[name] for name in own if name in read}
    book.variables |= {item.name: item for item in own_variables(path) if item.name not in book.variables}
    if "target" in book.variables and (found := TARGET.search(path.read_text(encoding="utf-8"))):
        book.variables["target"] = dataclasses.replace(book.variables["target"], default=found.group(1))
    for play in plays:
        fixed = set(play.get("vars") or {})
        for option in module_options(play):
            book.variables.setdefault(option.name, option)
        for role, given in imported(play):
            if role not in book.roles:
                book.roles.append(role)
            for name, option in role_options(role).items():
                if name not in given and (name not in fixed or name.startswith(("ibu_", "ibgu_"))):
                    book.variables.setdefault(name, option)
    return book


def playbooks() -> list[Playbook]:
    """All playbooks, by name."""
    return [playbook(path) for path in sorted(ROOT.glob("playbooks/*.yml")) if isinstance(load(path), list)]


def cell(text: str) -> str:
    """A text for one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def shown_default(item: Variable) -> str:
    """The default as a user would write it."""
    if item.default is None or item.words_only:
        return cell(item.default or "")
    return f"`{yaml.safe_dump(item.default, default_flow_style=True, width=1000).splitlines()[0].strip()}`"


def section(book: Playbook, common: set[str]) -> str:
    """The chapter of one playbook."""
    shared = [name for name in book.variables if name in common]
    commands = book.commands or [f"ansible-playbook -i fleet.yml {PREFIX}{book.name}"]
    lines = [f"## {book.name}", "", book.text, "", "```shell", *commands, "```"]
    roles = ", ".join(f"[{role}](../roles/{role}/README.md)" for role in book.roles)
    lines += ["", f"Roles: {roles}.", ""] if roles else [""]
    if shared:
        names = ", ".join(f"`{name}`" for name in shared)
        lines += [f"From [the inventory](../docs/inventory.md): {names}.", ""]
    own = [variable for name, variable in book.variables.items() if name not in common]
    if own:
        lines += ["| Variable | Default | Meaning |", "|---|---|---|"]
        lines += [f"| `{item.name}` | {shown_default(item)} | {cell(item.text)} |" for item in own]
    return "\n".join([*lines, ""])


def page() -> str:
    """The page about all playbooks, in Markdown."""
    inventory = FROM_INVENTORY.read_text(encoding="utf-8")
    common = set(re.findall(r"`(ibu_[a-z_]+)`", inventory))
    start = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "# Playbooks and their variables",
        "",
        "Made from the playbooks and the argument specs of their roles. Give a variable with `-e`, or set it in the",
        "inventory. Call a playbook by its full name, `sno.image_upgrade.upgrade`.",
        "",
    ]
    return "\n".join([*start, *(section(book, common) for book in playbooks())])


def roles_page() -> str:
    """The page about all roles, in Markdown."""
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "# Roles",
        "",
        "Each stage and each recovery is a role. A role fails the hosts whose cluster failed; the playbooks put",
        "batches and budgets around it.",
        "",
        "| Role | What it does | |",
        "|---|---|---|",
    ]
    for role in all_roles():
        specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
        text = cell(words(specs["main"].get("short_description")))
        lines.append(f"| [{role}](../roles/{role}/README.md) | {text} | [options]({role}_role.rst) |")
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", ":glob:", "", "../roles/*/README", "```", ""])
