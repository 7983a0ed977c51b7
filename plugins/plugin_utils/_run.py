# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Which run of ansible-playbook this is: told by the process that all its workers come from."""

from __future__ import annotations

import datetime
import os


def run_started(pid: int | None = None) -> datetime.datetime:
    """When the controlling ansible-playbook process began, UTC; the same in all batches of a run."""
    process = os.getppid() if pid is None else pid
    with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as stream:
        # The second field is the command in parentheses and may hold blanks; the 22nd is the start in clock ticks.
        ticks = int(stream.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="ascii") as stream:
        boot = next(int(line.split()[1]) for line in stream if line.startswith("btime "))
    seconds = boot + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)


def run_id() -> str:
    """Identifies this run among those that write the same outcome file."""
    return f"{run_started():%Y%m%dT%H%M%SZ}-{os.getppid()}"


def default_outcome_file() -> str:
    """The outcome file of this run where the user names none, in the directory that ansible-playbook was started in."""
    return os.path.abspath(f"rollout-{run_started():%Y%m%dT%H%M%SZ}.json")
