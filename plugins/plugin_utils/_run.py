# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which run of ansible-playbook this is, and which outcome file is its own: told by the process that began it."""

from __future__ import annotations

import datetime
import glob
import os

from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

_LOOK_BACK = 20


def process_started(pid: int) -> datetime.datetime:
    """When a process began, UTC. Raises OSError where there is none."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
        # The second field is the command in parentheses and may hold blanks; the 22nd is the start in clock ticks.
        ticks = int(stream.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="ascii") as stream:
        boot = next(int(line.split()[1]) for line in stream if line.startswith("btime "))
    seconds = boot + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)


def run_id() -> str:
    """Identifies this run among those that write the same outcome file; the same in all its batches."""
    return _id_of(os.getppid())


def check_free(record: Record) -> None:
    """Raise InvalidOption where another run, which is still at work, writes this file: each would lose the other's."""
    run = record.run
    if run != run_id() and _is_alive(run):
        raise InvalidOption(
            "outcome_file",
            record.path,
            f"another run is writing it (process {(run or '').rpartition('-')[2]}, begun {record.started}); wait for "
            "its end, or name another file (ibu_outcome_file)",
        )


def default_outcome_file() -> str:
    """The outcome file of this run where the user names none, in the directory that ansible-playbook was started in.

    It is the one that this run has begun; else one that a run left which was killed in the middle of its work, so that
    a plain rerun knows which clusters are silent because they reboot; else a new one.
    """
    mine = run_id()
    for path in sorted(glob.glob("rollout-*.json"), reverse=True)[:_LOOK_BACK]:
        try:
            record = Record.load(path, writable=False)
        except InvalidOption:
            # Not one of ours, whatever its name; the user may keep it.
            continue
        if record.run == mine or (record.is_unfinished and not _is_alive(record.run)):
            return os.path.abspath(path)
    return os.path.abspath(f"rollout-{process_started(os.getppid()):%Y%m%dT%H%M%SZ}.json")


def latest_outcome_file() -> str | None:
    """The youngest outcome file with a name of our own in this directory: that of a run that is over."""
    for path in sorted(glob.glob("rollout-*.json"), reverse=True)[:_LOOK_BACK]:
        try:
            if Record.load(path, writable=False).clusters:
                return os.path.abspath(path)
        except InvalidOption:
            continue
    return None


def _id_of(pid: int) -> str:
    return f"{process_started(pid):%Y%m%dT%H%M%SZ}-{pid}"


def _is_alive(run: str | None) -> bool:
    """True where the process that began this run is still there; a number that was used again does not count."""
    pid = (run or "").rpartition("-")[2]
    try:
        return pid.isdigit() and _id_of(int(pid)) == run and not _has_ended(int(pid))
    except OSError:
        return False


def _has_ended(pid: int) -> bool:
    """True for a process that has ended and that nobody has asked how."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
        return stream.read().rpartition(")")[2].split()[0] in ("Z", "X")
