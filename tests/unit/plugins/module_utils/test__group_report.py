# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group upgrade shows at its end: columns in line, and a command that can be pasted."""

from __future__ import annotations

from ansible_collections.sno.image_upgrade.plugins.module_utils._group_report import failed_clusters, recap_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import view

from .groups import cgu, entry, ibgu, members, steps

PLAN = steps(["Prep"], ["AbortOnFailure"])
FAILED = entry("b", failed={"Prep": "no image"})


def test_what_the_steps_took_and_came_to_is_in_line() -> None:
    first = cgu(PLAN, 0, [["a", "b"]], {"a": "complete", "b": "timedout"}, succeeded=False)

    lines = recap_lines(view(ibgu(PLAN, [entry("a", ["Prep"]), FAILED]), [first], members("a", "b")))

    assert lines[0] == "GROUP UPGRADE ibu/north"
    assert lines[1] == "  step 1 [Prep]             10:00   1 completed, 1 failed"
    assert lines[2] == "  step 2 [AbortOnFailure]           2 not begun"


def test_those_that_failed_are_aborted_with_a_command_that_is_complete() -> None:
    first = cgu(PLAN[:1], 0, [["a", "b"]], {"a": "complete", "b": "timedout"}, succeeded=False)

    said = failed_clusters(view(ibgu(PLAN[:1], [entry("a", ["Prep"]), FAILED]), [first], members("a", "b")))

    assert list(said) == ["b"]
    assert "ansible-playbook sno.image_upgrade.group_abort -e ibgu_namespace=ibu -e ibgu_copy_from=north (" in said["b"]
