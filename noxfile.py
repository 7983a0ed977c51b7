# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same checks as the Makefile's, for those who have nox, and the matrix of Pythons and ansible-cores.

`nox --list` names the sessions. `lint`, `units`, `sanity` and `matrix` work with a package index alone; those that
antsibull-nox adds (docs-check, extra-checks, build-import-check) also want the places where collections are published.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = "tests/requirements/constraints.txt"
COLLECTIONS = ".cache/collections"
OLDEST_COLLECTIONS = ".cache/collections-oldest"

# ansible-core, and the Pythons of its control node that this collection is tested on.
MATRIX = {
    "2.16.19": ("3.11", "3.12"),
    "2.19.14": ("3.11", "3.12", "3.13"),
    "2.21.5": ("3.12", "3.13"),
}

nox.options.sessions = ["lint", "units"]
nox.options.default_venv_backend = "venv"

try:
    import antsibull_nox
except ImportError:
    # The sessions of this file do without.
    pass
else:
    antsibull_nox.load_antsibull_nox_toml()


def install(session: nox.Session, requirements: str) -> None:
    """The pinned packages of a requirement file, and kubernetes.core."""
    session.install("--quiet", "-r", f"tests/requirements/{requirements}.txt", "-c", CONSTRAINTS)
    session.run("python", "tests/tools/fetch_collections.py", COLLECTIONS)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, YAML, Ansible content, roles, licences, changelog."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", "--quiet", ".")
    session.run("mypy")
    session.run("yamllint", "--strict", ".")
    # As in the Makefile: without an inventory no play finds its hosts.
    session.run("ansible-lint", "-q", "--nocolor", env={"ANSIBLE_HOST_PATTERN_MISMATCH": "warning"})
    session.run("python", "tests/tools/check_roles.py")
    session.run("python", "tests/tools/check_licenses.py")
    session.run("antsibull-changelog", "lint")


@nox.session
def units(session: nox.Session) -> None:
    """The unit tests."""
    install(session, "dev")
    session.run("pytest", *(session.posargs or ["tests/unit"]))


@nox.session
def sanity(session: nox.Session) -> None:
    """ansible-test sanity on a copy of the collection."""
    install(session, "dev")
    session.run("python", "tests/tools/run_ansible_test.py", "sanity", "--requirements", *session.posargs)


def usable_python(version: str) -> str | None:
    """The path of this Python, None where there is none; a pyenv's own comes before its shims, which may not start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    own = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    return str(own[-1]) if own else shutil.which(f"python{version}")


def constraints_without_core() -> Path:
    """The pinned versions of everything but ansible-core, and resolvelib, of which each ansible-core wants its own."""
    path = ROOT / ".cache" / "matrix" / "constraints.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / CONSTRAINTS).read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(
        "".join(line for line in lines if not line.startswith(("ansible-core", "resolvelib"))), encoding="utf-8"
    )
    return path


def make_combination(session: nox.Session, core: str, python: str, directory: Path) -> Path:
    """The Python of an environment with this ansible-core, which is kept for the next time."""
    inside = directory / "bin" / "python"
    if not inside.exists():
        session.run(python, "-m", "venv", str(directory))
    pip = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["-r", "tests/requirements/unit.txt", "-c", str(constraints_without_core())]
    session.run(*pip, f"ansible-core=={core}", *wanted)
    return inside


def combinations(session: nox.Session) -> Iterator[tuple[str, Path]]:
    """Every supported ansible-core and Python that this machine has, by name; the others are told of."""
    for core, pythons in MATRIX.items():
        for version in pythons:
            name = f"ansible-core {core} on Python {version}"
            python = usable_python(version)
            if python:
                directory = ROOT / ".cache" / "matrix" / f"core-{core}-py{version}"
                yield name, make_combination(session, core, python, directory)
            else:
                session.warn(f"skipped, because this machine has no such Python: {name}")


def run_units(session: nox.Session, inside: Path, collections: str) -> None:
    """The unit tests with one kubernetes.core."""
    path = f"pythonpath=.collections {collections} tests/sim tests/kubeapi"
    session.run(str(inside), "-m", "pytest", "--quiet", "--override-ini", path, "tests/unit")


def run_sanity(session: nox.Session, inside: Path) -> None:
    """ansible-test sanity of one ansible-core."""
    path = {"PATH": f"{inside.parent}{os.pathsep}{os.environ['PATH']}"}
    session.run(str(inside), "tests/tools/run_ansible_test.py", "sanity", "--requirements", "--color", "no", env=path)


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """The unit tests on every supported Python and ansible-core that this machine has; the first also with the oldest
    kubernetes.core. With `-- sanity` also ansible-test sanity on each: that takes minutes."""
    session.run("python", "tests/tools/fetch_collections.py", COLLECTIONS)
    session.run("python", "tests/tools/fetch_collections.py", "--oldest", OLDEST_COLLECTIONS)
    failed = []
    for number, (name, inside) in enumerate(combinations(session)):
        session.log(name)
        try:
            run_units(session, inside, COLLECTIONS)
            if number == 0:
                session.log(f"{name}, with the oldest kubernetes.core")
                run_units(session, inside, OLDEST_COLLECTIONS)
            if "sanity" in session.posargs:
                run_sanity(session, inside)
        except CommandFailed:
            failed.append(name)
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


@nox.session(venv_backend="none")
def oldest(session: nox.Session) -> None:
    """The unit tests with the oldest ansible-core and kubernetes.core: the share of the matrix in `make test`."""
    core, pythons = next(iter(MATRIX.items()))
    python = usable_python(pythons[0])
    if python is None:
        session.skip(f"this machine has no Python {pythons[0]}")
    session.run("python", "tests/tools/fetch_collections.py", "--oldest", OLDEST_COLLECTIONS)
    directory = ROOT / ".cache" / "matrix" / f"core-{core}-py{pythons[0]}"
    run_units(session, make_combination(session, core, python, directory), OLDEST_COLLECTIONS)
