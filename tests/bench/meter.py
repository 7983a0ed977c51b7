# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command costs with every process that it starts: CPU from the kernel's books, memory from samples of /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# To sum up the memory of a process with a thousand threads holds these threads up.
SAMPLE_SECONDS = 2.0
_PROC = Path("/proc")


class TookTooLong(RuntimeError):
    """The command did not end in time; its processes were ended."""


@dataclass(frozen=True)
class Cost:
    """CPU in seconds (user and system, reaped descendants included), memory in MB, moments of time.monotonic()."""

    code: int
    cpu: float
    pss_mb: float
    processes: int
    began: float
    ended: float


def measure(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path, seconds: float) -> Cost:
    """Run a command to its end. Raises TookTooLong."""
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), cwd=cwd
        )
    sampler = _Sampler(process.pid, began + seconds)
    try:
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.monotonic()
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        end_tree(process.pid)
        process.wait()
        raise
    finally:
        sampler.finish()
    if sampler.overdue:
        raise TookTooLong(f"{Path(command[0]).name} was ended after {seconds:.0f} s; see {log}")
    # Descendants count here once their parent has waited for them, which Ansible and its workers do.
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(process.returncode, cpu, sampler.peak_kb / 1024, sampler.most, began, ended)


class _Sampler(threading.Thread):
    """Looks at the whole tree every two seconds; keeps the largest sum, and ends a tree that is overdue."""

    def __init__(self, root: int, deadline: float) -> None:
        super().__init__(daemon=True)
        self._root, self._deadline = root, deadline
        self._over = threading.Event()
        self.peak_kb = 0
        self.most = 0
        self.overdue = False

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            pids = tree(self._root)
            self.peak_kb = max(self.peak_kb, sum(map(_pss_kb, pids)))
            self.most = max(self.most, len(pids))
            if time.monotonic() > self._deadline and not self._over.is_set():
                self.overdue = True
                end_tree(self._root)
                return

    def finish(self) -> None:
        self._over.set()
        self.join()


def tree(root: int) -> list[int]:
    """A process and all its descendants that are there now."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def end_tree(root: int) -> None:
    """End a process and what it started. Ansible's workers are sessions of their own: no process group has them all."""
    for pid in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def cpu_seconds(pid: int) -> float:
    """User and system time of one running process so far."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            # A process may end between the listing and the reading.
            with contextlib.suppress(OSError):
                # The second field, the command's name in parentheses, may hold anything.
                text = (_PROC / entry / "stat").read_text(errors="replace")
                yield int(entry), int(text.rpartition(")")[2].split()[1])


def _pss_kb(pid: int) -> int:
    """Proportional set size: a page that n processes share counts a n-th for each."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
