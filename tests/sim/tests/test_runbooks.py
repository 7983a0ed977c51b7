# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that the simulator plays leads to its page of docs/runbooks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _runbooks
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import late
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import runbook_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State
from fleetsim import initial
from fleetsim.troubles import PREP_FAILURES, PREPIVOT_MESSAGES, TROUBLES

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "runbooks"
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
GOAL = {"seedImageRef": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}}

# By page, what is told apart by the beginning of the trouble's name; everything else is about the seed.
PREP_PAGES = {
    "prep-oadp": ("oadp_", "dpa_", "backup_", "apply_label_", "restore_", "stale_backups"),
    "prep-extra-manifests": ("extra_manifest_", "policy_"),
    "prep-registry": ("pull_secret_", "registry_unreachable"),
    "prep-stateroot": ("stateroot_failed",),
    "prep-precache": ("precache_failed",),
}
ROLLED_BACK = {
    "postpivot_failure": ("Rollback due to postpivot failure: {err}", "rolled-back-postpivot"),
    "service_unit_failure": ("Rollback due to service-unit failure: component {component}", "rolled-back-postpivot"),
    "init_monitor_timeout": ("Rollback due to LCA Init Monitor timeout, after 30m0s", "rolled-back-watchdog"),
    "missing_dpa": (
        "Rollback due to missing DataProtectionApplication: DataProtectionApplication {name} is not found",
        "rolled-back-dpa",
    ),
    "policy_manifest": (
        "Rollback due to failure applying policy manifests: failed to apply manifest: {err}",
        "rolled-back-manifests",
    ),
    "config_manifest": (
        "Rollback due to failure applying config manifests: failed to apply manifest: {err}",
        "rolled-back-manifests",
    ),
    "restore_failed": ("Rollback due to restore failure: Failed restore CRs: {names}", "rolled-back-restore"),
    "uncontrolled_rollback": ("Uncontrolled rollback", "rolled-back-uncontrolled"),
}


def check(page: str) -> None:
    assert (PAGES / f"{page}.md").is_file(), page


@pytest.mark.parametrize("name", [name for name in PREP_FAILURES if name != "prep_failed"])
def test_failures_of_prep(name: str) -> None:
    known = PREP_FAILURES[name]
    page = runbook_of(State.PREP_FAILED, known.message.format(**known.params))
    wanted = [page for page, starts in PREP_PAGES.items() if name.startswith(starts)]
    assert [page] == (wanted or ["prep-seed"])
    check(page)


@pytest.mark.parametrize("name", ROLLED_BACK)
def test_automatic_rollbacks(name: str) -> None:
    message, wanted = ROLLED_BACK[name]
    assert runbook_of(State.ROLLED_BACK, message.format(**TROUBLES[name].params)) == wanted
    check(wanted)


def test_failures_before_the_reboot() -> None:
    pages = [runbook_of(State.UPGRADE_FAILED_PRE_PIVOT, message) for message in PREPIVOT_MESSAGES]
    assert pages == ["backups-and-restores", "upgrade-before-reboot"]
    for page in pages:
        check(page)


@pytest.mark.parametrize(
    "name", [name for name in initial.STATES if name.endswith("Failed") or name == "AutoRolledBack"]
)
def test_failed_states(name: str) -> None:
    start = initial.begin(name, GOAL, NOW)
    document = {"metadata": {"generation": start.generation}, "spec": start.spec, "status": start.status}
    seen = observe(document, "4.17.3" if start.in_seed else "4.16.8", NOW)
    page = runbook_of(seen.state, seen.message)
    assert page
    check(page)


# --- nothing in the tables that nobody says -----------------------------------------------------------------------

# What a module says about itself, and what is no message anyway.
UNSAID = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
# No text of the code has the state in it.
LATE = str(late("", Observed(State.UPGRADE_POST_PIVOT), None, ""))


def strings(node: ast.AST) -> Iterator[str]:
    """The texts in a piece of code, without docstrings and documentation."""
    if isinstance(node, ast.Assign) and any(isinstance(name, ast.Name) and name.id in UNSAID for name in node.targets):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from strings(child)


def spoken() -> list[str]:
    """What the collection says, what the simulated cluster says as a real one does, and what the API refuses with."""
    files = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "tests" / "sim" / "fleetsim").rglob("*.py")]
    own = Path(_runbooks.__file__).name
    texts = [text for path in sorted(files) if path.name != own for text in strings(ast.parse(path.read_text()))]
    return [*texts, (ROOT / "tests" / "crds" / "imagebasedupgrade.yml").read_text(), LATE]


def test_everything_in_the_tables_is_said_by_somebody() -> None:
    texts = spoken()
    tables = (_runbooks._ANYWHERE, *_runbooks._BY_STATE.values(), _runbooks._SEED)
    parts = {part for table in tables for part, _page in table}
    unsaid = [part for part in sorted(parts) if not any(part in text for text in texts)]
    assert not unsaid, f"{unsaid}"


def test_no_line_of_a_table_hides_another() -> None:
    for state, table in _runbooks._BY_STATE.items():
        parts = [part for part, _page in (*_runbooks._ANYWHERE, *table)]
        hidden = [part for at, part in enumerate(parts) if any(before in part for before in parts[:at])]
        assert hidden == [], state
