# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user sees of a seed image."""

from __future__ import annotations

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_report import (
    end_lines,
    finding_lines,
    plain_report,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_tools import Report
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Result

BLOCKED = Finding(Severity.BLOCKED, "seed-1", "oadp", "OADP is too old", "update it", "1.3.0", ">= 1.3.1", "CSV")
UNKNOWN = Finding(Severity.NOT_CHECKED, "seed-1", "not_checked", "whether ostree is new enough", "")


def test_a_finding_says_what_was_seen_and_what_to_do() -> None:
    assert finding_lines("seed-1", [BLOCKED, UNKNOWN]) == [
        "REFUSED      seed-1: OADP is too old",
        "               seen: 1.3.0; expected: >= 1.3.1",
        "               → update it",
        "NOT CHECKED  seed-1: whether ostree is new enough",
    ]


def test_check_mode_numbers_its_steps() -> None:
    report = Report(Result.DONE, "would generate the seed image", steps=["one", "two"])
    assert end_lines("seed-1", report, check=True) == [
        "seed-1  would generate the seed image:",
        "  would 1  one",
        "  would 2  two",
    ]


def test_the_end_warns_of_the_cluster() -> None:
    report = Report(Result.DONE, "the seed image is generated", warnings=["of no other use"])
    assert end_lines("seed-1", report, check=False) == [
        "DONE         seed-1: the seed image is generated",
        "WARNING      seed-1: of no other use",
    ]


def test_a_failure_is_the_verdicts() -> None:
    assert end_lines("seed-1", Report(Result.FAILED, "no"), check=False) == []


def test_the_result_is_plain() -> None:
    plain = plain_report(Report(Result.REFUSED, findings=[BLOCKED]))
    assert plain["result"] == "refused"
    assert plain["findings"][0]["severity"] == "blocked"
    assert plain["findings"][0]["expected"] == ">= 1.3.1"
