# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the three places that name a role's options: the argument specs, the defaults and the README.

The rules, for every role:
- every task file named as an entry point in meta/argument_specs.yml exists, and "main" is one of them;
- defaults/main.yml has the options of the spec that are not required, in the order of the spec, and no other;
- a default is written the same way in the spec, where the spec states one;
- public options begin with the role's name or with `ibu_` or `ibgu_`, which all roles share;
- README.md names every option in backquotes.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
SHARED_PREFIXES = ("ibu_", "ibgu_")


def load(path: Path) -> dict[str, t.Any]:
    """A YAML file as a mapping; nothing where there is no file."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}


def options_of(specs: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Every option of every entry point, in the order of the file, the first mention counting."""
    found: dict[str, dict[str, t.Any]] = {}
    for spec in specs.values():
        for name, option in (spec.get("options") or {}).items():
            found.setdefault(name, option)
    return found


def check_entry_points(role: Path, specs: dict[str, t.Any]) -> t.Iterator[str]:
    """Entry points are validated by file name, so each has to be a task file."""
    if "main" not in specs:
        yield "meta/argument_specs.yml has no entry point main"
    for name in specs:
        if not any((role / "tasks" / f"{name}{suffix}").exists() for suffix in (".yml", "")):
            yield f"meta/argument_specs.yml has the entry point {name}, but there is no tasks/{name}.yml"


def check_defaults(options: dict[str, dict[str, t.Any]], defaults: dict[str, t.Any]) -> t.Iterator[str]:
    """The defaults are the optional options, in the same order, with the same values."""
    optional = [name for name, option in options.items() if not option.get("required")]
    required = [name for name in options if name not in optional]
    for name in defaults:
        if name in required:
            yield f"{name} is required in the spec, but has a default"
        elif name not in options:
            yield f"{name} is in defaults/main.yml, but not in meta/argument_specs.yml"
    # A spec without a default for an optional option says that leaving it unset means something.
    missing = [name for name in optional if name not in defaults and "default" in options[name]]
    for name in missing:
        yield f"{name} has a default in the spec, but is not in defaults/main.yml"

    in_spec = [name for name in optional if name in defaults]
    in_defaults = [name for name in defaults if name in optional]
    if in_spec != in_defaults:
        first = next(a for a, b in zip(in_defaults, in_spec, strict=True) if a != b)
        yield f"defaults/main.yml is not in the order of meta/argument_specs.yml, from {first} on"

    for name in in_spec:
        stated, real = options[name].get("default", defaults[name]), defaults[name]
        # A computed default cannot be stated in the spec.
        if stated != real and not (isinstance(real, str) and "{{" in real):
            yield f"{name} is {real!r} in defaults/main.yml, but {stated!r} in meta/argument_specs.yml"


def check_names(role: Path, options: t.Iterable[str]) -> t.Iterator[str]:
    """A public option says whose it is."""
    for name in options:
        if not name.startswith((f"{role.name}_", *SHARED_PREFIXES)):
            yield f"{name} begins neither with {role.name}_ nor with {' or '.join(SHARED_PREFIXES)}"


def check_readme(role: Path, options: t.Iterable[str]) -> t.Iterator[str]:
    """The README names every option."""
    readme = role / "README.md"
    if not readme.exists():
        yield "there is no README.md"
        return
    text = readme.read_text(encoding="utf-8")
    for name in options:
        if f"`{name}`" not in text:
            yield f"README.md does not name `{name}`"


def check(role: Path) -> list[str]:
    """Everything that is wrong with one role."""
    specs = load(role / "meta" / "argument_specs.yml").get("argument_specs") or {}
    if not specs:
        return ["there is no meta/argument_specs.yml"]
    options = options_of(specs)
    return [
        *check_entry_points(role, specs),
        *check_defaults(options, load(role / "defaults" / "main.yml")),
        *check_names(role, options),
        *check_readme(role, options),
    ]


def main(roles: Path = ROLES) -> int:
    """Print every problem of every role; 1 if there is one."""
    found = sorted(path for path in roles.glob("*") if path.is_dir())
    problems = [f"roles/{role.name}: {problem}" for role in found for problem in check(role)]
    print("\n".join(problems) if problems else f"{len(found)} roles: specs, defaults and README agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
