# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the demo and draw what it printed: docs/images/rollout.svg.

Ansible's own lines about tasks are left out, the rest of preflight and the first batches too (a line with dots says
so), and what follows the recap. Everything else stands there as it was printed. `record_demo.py FILE` draws a recording
again that `record_demo.py --save FILE` has made.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import textwrap
from html import escape
from pathlib import Path

from checkout import ROOT

TARGET = ROOT / "docs" / "images" / "rollout.svg"
COLUMNS = 112
FONT_SIZE, LINE_HEIGHT, LETTER = 13, 19, 7.82
MARGIN = 18

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What Ansible says about its tasks: headings, results, the frames of errors with all their lines, its own recap.
TASK_LINES = re.compile(r"(TASK \[|ok: |changed: |PLAY RECAP|site-\d+ +: ok=)")
ERROR_LINES = re.compile(r"\[ERROR\]|fatal: ")
LAST = "to go on with the rest"
STRESSED = (
    (re.compile(r"^(PREFLIGHT|BUDGET|ROLLOUT|PLAY) "), "b"),
    (re.compile(r"FAILED after|ROLLED BACK BY ITSELF|^  failed|^  rolled back"), "r"),
    (re.compile(r"^  finalized"), "g"),
    (re.compile(r"^\s+→"), "d"),
)

STYLE = """
  rect.s { fill: #10181f }
  text { fill: #d7dee4; font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre }
  .b { font-weight: bold; fill: #ffffff } .r { fill: #ff9d8f } .g { fill: #9bd68d }
  .d { fill: #f2cc60 }
"""


def record() -> list[str]:
    """Run the demo."""
    command = [sys.executable, str(ROOT / "tests" / "tools" / "demo.py")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": str(COLUMNS), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    lines = COLOUR.sub("", done.stdout).splitlines()
    if done.returncode:
        sys.exit("\n".join(["The demo did not run to its end:", *lines[-20:]]))
    return lines


def shortened(lines: list[str]) -> list[str]:
    """Without what Ansible says about tasks, up to the end of the recap; never two empty lines in a row."""
    kept: list[str] = []
    in_error = False
    for line in lines:
        if ERROR_LINES.match(line):
            in_error = True
        elif line.startswith(("PLAY", "TASK", "ROLLOUT", "BUDGET")):
            in_error = False
        if in_error or TASK_LINES.match(line) or (not line and (not kept or not kept[-1])):
            continue
        # The path of this checkout is nobody's business.
        kept.append(line.replace(f"{ROOT}/", "").rstrip("*").rstrip())
        if LAST in line:
            break
    return kept


def without_beginnings(lines: list[str]) -> list[str]:
    """The line about preflight, and the rollout from its third batch on."""
    plays = [number for number, line in enumerate(lines) if line.startswith("PLAY [Upgrade")]
    first = [line for line in lines if line.startswith("PREFLIGHT")]
    return [*first[:1], "...", *lines[plays[2] :]]


def wrapped(lines: list[str]) -> list[str]:
    """As a terminal of that width shows them, but broken between words."""
    found = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        parts = textwrap.wrap(line, COLUMNS, subsequent_indent=indent, drop_whitespace=False, break_on_hyphens=False)
        found += [part.rstrip() for part in parts or [""]]
    return found


def drawn(lines: list[str]) -> str:
    """The picture."""
    width = round(COLUMNS * LETTER + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    texts = []
    for number, line in enumerate(lines):
        kind = next((name for pattern, name in STRESSED if pattern.search(line)), "")
        if not line:
            continue
        # The same width in every font: what stands in columns stays there.
        below, length = MARGIN + FONT_SIZE + number * LINE_HEIGHT, len(line) * LETTER
        mark = f' class="{kind}"' if kind else ""
        place = f'x="{MARGIN}" y="{below}" textLength="{length:.1f}" xml:space="preserve"'
        texts.append(f"<text{mark} {place}>{escape(line)}</text>")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    title = "<title>What make demo printed: the rollout of 24 simulated clusters</title>"
    frame = f'<rect class="s" width="{width}" height="{height}" rx="8"/>'
    return "\n".join([head, title, f"<style>{STYLE}</style>", frame, *texts, "</svg>", ""])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recording", type=Path, nargs="?", help="draw this one instead of running the demo")
    parser.add_argument("--save", type=Path, help="keep the recording here")
    args = parser.parse_args()
    lines = args.recording.read_text(encoding="utf-8").splitlines() if args.recording else record()
    if args.save:
        args.save.write_text("\n".join(lines), encoding="utf-8")
    TARGET.write_text(drawn(wrapped(without_beginnings(shortened(lines)))), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
