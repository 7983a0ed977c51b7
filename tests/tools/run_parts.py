# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run make targets one after the other, all of them even if one fails, and close with a table of results and times."""

from __future__ import annotations

import subprocess
import sys
import time


def run(part: str) -> tuple[bool, float]:
    """Whether the target passed, and how many seconds it took."""
    started = time.monotonic()
    done = subprocess.run(["make", "--no-print-directory", part], check=False)
    return done.returncode == 0, time.monotonic() - started


def main() -> int:
    """Run the targets named on the command line; 1 if one failed."""
    results = {part: run(part) for part in sys.argv[1:]}
    print("\n== results")
    for part, (passed, seconds) in results.items():
        print(f"  {part:<12} {'passed' if passed else 'FAILED'} {seconds:7.0f} s")
    failed = [part for part, (passed, _seconds) in results.items() if not passed]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
