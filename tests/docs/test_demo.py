# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo proposes at its end is what the quick start says, and concerns every cluster that it lets fail."""

from __future__ import annotations

import sys

import yaml

from .pages import ROOT

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import demo  # noqa: E402

# Troubles of the scenario that cost no cluster its upgrade.
HARMLESS = {"http_error", "upgrade_slow", "lost_watch"}


def playbook_commands(text: str) -> list[str]:
    """The calls of ansible-playbook, without what is said about them."""
    lines = (line.strip() for line in text.splitlines())
    return [line.partition("  ")[0] for line in lines if line.startswith("ansible-playbook ")]


def test_the_hints_are_those_of_the_quick_start() -> None:
    page = (ROOT / "docs" / "quick_start.md").read_text(encoding="utf-8")
    wanted = playbook_commands(page.partition("## 1.")[2].partition("\n## ")[0])
    hints = playbook_commands(demo.NEXT)
    assert len(wanted) > 2
    assert [hint for hint in hints if hint in wanted] == wanted, "in this order"


def test_every_cluster_that_fails_is_recovered_before_the_next_upgrade() -> None:
    troubles = yaml.safe_load(demo.SCENARIO.read_text(encoding="utf-8"))["troubles"]
    failing = [name for name, trouble in troubles.items() if not set(trouble) <= HARMLESS]
    hints = playbook_commands(demo.NEXT)
    recover = f"ansible-playbook sno.image_upgrade.recover -l {','.join(failing)}"
    assert len(failing) > 1
    assert hints.index(recover) < hints.index("ansible-playbook sno.image_upgrade.upgrade")
