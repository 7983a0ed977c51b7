# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of rules, its page and the code that gives findings agree."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.sno.image_upgrade.plugins.module_utils import _manifest_rules
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_rules import RULES

REPOSITORY = Path(__file__).resolve().parents[4]
CODE = ("_manifest_lint.py", "_manifest_ask.py", "_policies.py")
FIELDS = {"policy-templates"}
TITLES = {
    "files": "Of the text",
    "content": "Of the manifests",
    "policies": "Of labelled manifests in policies",
    "cluster": "With a cluster at hand",
}


def rules_page() -> str:
    """What docs/manifest_lint_rules.md has to be."""
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "<!-- Made from plugins/module_utils/_manifest_rules.py; a test says so when it is not up to date. -->",
        "# Rules of `manifest_lint`",
        "",
        "Names and levels are stable. An *error* will fail, or must not be. A *warning* will not do what was meant, or",
        "fails after the reboot. *Prep* is what the Lifecycle Agent does about it in Prep: it fails, it warns in an",
        "annotation and completes, or it says nothing. A rule that *mends* may come with a corrected document.",
        "`ignore` leaves rules out.",
        "",
        "A warning of Prep is a prediction: where it says that after the reboot the upgrade is rolled back, it is.",
    ]
    for needs, title in TITLES.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| Rule | Level | Prep | Mends | It says | Because |",
            "|---|---|---|---|---|---|",
        ]
        for rule in RULES.values():
            if rule.needs == needs:
                cells = (
                    f"`{rule.name}`",
                    rule.level.value,
                    rule.prep,
                    "yes" if rule.mends else "",
                    rule.says,
                    rule.because,
                )
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_page_of_the_rules_is_up_to_date() -> None:
    page = REPOSITORY / "docs" / "manifest_lint_rules.md"
    assert page.read_text(encoding="utf-8") == rules_page()


def test_the_code_gives_these_findings_and_no_others() -> None:
    folder = Path(_manifest_rules.__file__).parent
    text = "".join((folder / name).read_text(encoding="utf-8") for name in CODE)
    assert set(re.findall(r'"((?:manifest|policy|yaml)-[a-z-]+)"', text)) - FIELDS == set(RULES)
