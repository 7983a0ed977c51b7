# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every failure leads to a page, every page is there, and every page is in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import FOLDER, PAGES, pointed, runbook_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import State

ROOT = Path(__file__).resolve().parents[4]
PAGES_DIR = ROOT / FOLDER
HEALTHY = frozenset(
    {
        State.IDLE,
        State.ABORTING,
        State.FINALIZING,
        State.PREP_RUNNING,
        State.PREP_COMPLETED,
        State.UPGRADE_PRE_PIVOT,
        State.UPGRADE_POST_PIVOT,
        State.UPGRADE_COMPLETED,
        State.ROLLBACK_RUNNING,
        State.ROLLBACK_COMPLETED,
    }
)


@pytest.mark.parametrize("state", list(State))
def test_every_state_that_needs_a_person_has_a_page(state: State) -> None:
    page = runbook_of(state, "something that no release has said so far")
    assert bool(page) is (state not in HEALTHY)


@pytest.mark.parametrize(
    ("state", "message", "page"),
    [
        (State.PREP_FAILED, "failed to validate IBU spec: failed to validate seed image OCP version", "prep-seed"),
        (State.PREP_FAILED, "container storage mountpoint target not found", "prep-seed"),
        (State.PREP_FAILED, "checking seed image compatibility: container storage mountpoint target mis", "prep-seed"),
        (State.PREP_FAILED, "precache job is marked to be deleted, this not allowed.", "prep-precache"),
        (State.PREP_FAILED, "failed to inspect image: unauthorized", "prep-registry"),
        (State.PREP_RUNNING, 'it is preparing ("certificateSigningRequest (csr) x not approved")', "health-gate-csr"),
        (State.PREP_RUNNING, "one or more ClusterOperators not yet ready: dns", "health-gate"),
        (State.UPGRADE_PRE_PIVOT, "over; no answer for 1800 s: refused; last seen before reboot", "stuck-away"),
        (State.UPGRADE_POST_PIVOT, "took too long; it is after reboot (\"In progress\")", "upgrade-after-reboot"),
        (State.UPGRADE_POST_PIVOT, "In progress", ""),
        (State.UPGRADE_COMPLETED, "cannot follow Rollback: rollback was safe until 2026-01-01", "rollback-deadline"),
        (State.UPGRADE_COMPLETED, "not fit to be finalized: ClusterOperator ingress", "not-verified"),
        (State.IDLE, "the API refused Upgrade: the stage transition is not permitted.", "invalid-transition"),
        (State.UPGRADE_FAILED_PRE_PIVOT, "Failed backup CRs: a,b", "backups-and-restores"),
        (State.UPGRADE_FAILED_PRE_PIVOT, "failed to reboot.", "upgrade-before-reboot"),
        (State.ROLLED_BACK, "Rollback due to restore failure: Failed restore CRs: a", "rolled-back-restore"),
        ("rolled back automatically", "Rollback due to LCA Init Monitor timeout, after 5m0s", "rolled-back-watchdog"),
        ("a word of a later release", "whatever", ""),
        (None, "whatever", ""),
        (State.UNKNOWN, "its state is unknown to this collection (reason 'Pondering')", "unknown-state"),
        (State.ABSENT, "", "no-contact"),
    ],
)  # fmt: skip
def test_the_page_of_a_message(state: State | str | None, message: str, page: str) -> None:
    assert runbook_of(state, message) == page


def test_the_arrow_names_the_page_once() -> None:
    step = pointed("abort it", State.ABORT_FAILED, "")
    assert step == "abort it (docs/runbooks/abort-failed)"
    assert pointed(step, State.ABORT_FAILED, "") == step
    assert pointed("", State.ABORT_FAILED, "") == ""
    assert pointed("wait", State.IDLE, "") == "wait"


def _pages() -> set[str]:
    return {path.stem for path in PAGES_DIR.glob("*.md")} - {"README"}


@pytest.mark.skipif(not PAGES_DIR.is_dir(), reason="docs/runbooks is not beside this copy of the plugins")
class TestPages:
    def test_every_page_is_there_and_no_other(self) -> None:
        assert _pages() == PAGES

    def test_the_index_has_every_page(self) -> None:
        linked = set(re.findall(r"\]\(([a-z-]+)\.md\)", (PAGES_DIR / "README.md").read_text()))
        assert linked == PAGES

    @pytest.mark.parametrize("name", sorted(PAGES))
    def test_every_page_says_symptom_command_and_result(self, name: str) -> None:
        text = (PAGES_DIR / f"{name}.md").read_text()
        heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert heads[:3] == ["On the screen", "What to do", "What you should see"], name
        assert "```" in text

    @pytest.mark.parametrize("name", sorted(PAGES))
    def test_every_link_and_playbook_is_there(self, name: str) -> None:
        path = PAGES_DIR / f"{name}.md"
        text = path.read_text()
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / link).exists(), link
        for playbook in re.findall(r"sno\.image_upgrade\.([a-z_]+)", text):
            assert (ROOT / "playbooks" / f"{playbook}.yml").exists(), playbook
