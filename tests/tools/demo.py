# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a simulated fleet with a few seeded troubles, upgrade it, and say what to try next while it still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fleet
from checkout import ROOT

DIRECTORY = ROOT / ".cache" / "demo"
SCENARIO = ROOT / "tests" / "sim" / "scenarios" / "demo.yml"
BIN = Path(sys.executable).parent

WHAT = """
What you saw is what a real fleet shows. Clusters in trouble were left as they are; above they say what to do."""
STAYS = "The simulated fleet is still there. In another terminal, in this folder:"
GONE = "The simulated fleet is gone now; started from a terminal, `make demo` keeps it up for you to try:"
NEXT = f"""
  . {os.path.relpath(BIN, ROOT)}/activate
  export ANSIBLE_INVENTORY={(DIRECTORY / "inventory.yml").relative_to(ROOT)}
  ansible-playbook sno.image_upgrade.status                                  what every cluster says now
  ansible-playbook sno.image_upgrade.recover -l site-0009,site-0019 --check  what would be done about those that failed
  ansible-playbook sno.image_upgrade.recover -l site-0009,site-0019          do it, or preflight refuses the next
  ansible-playbook sno.image_upgrade.upgrade                                 again; site-0009 is not mended and stops it
  ansible-playbook sno.image_upgrade.rollback -l site-0001                   refused: what is finalized has no way back
"""


def main() -> int:
    """The demo's exit code is that of its machinery: that some clusters fail is part of the show."""
    # `make release` runs what it has installed, from a folder without this checkout's ansible.cfg.
    installed = "--installed" in sys.argv[1:]
    playbook = "sno.image_upgrade.upgrade" if installed else "playbooks/upgrade.yml"
    variables = ROOT / "tests" / "sim" / "scenarios" / "demo_vars.yml"
    fleet.start(DIRECTORY, SCENARIO, None)
    try:
        environment = {**os.environ, "ANSIBLE_INVENTORY": str(DIRECTORY / "inventory.yml")}
        done = subprocess.run(
            [BIN / "ansible-playbook", playbook, "-e", f"@{variables if installed else variables.relative_to(ROOT)}"],
            cwd=None if installed else ROOT,
            env=environment,
            check=False,
        )
        # 2 is Ansible's way to say that hosts failed.
        if done.returncode not in (0, 2):
            return done.returncode
        stays = sys.stdin.isatty() and sys.stdout.isatty()
        print(WHAT, STAYS if stays else GONE, NEXT, sep="\n")
        if stays:
            input("Press Enter here to stop the fleet. ")
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        fleet.stop(DIRECTORY)


if __name__ == "__main__":
    sys.exit(main())
