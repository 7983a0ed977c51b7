# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run make targets, all of them even if one fails, and close with a table of results and times.

Two run side by side, since each of them waits here and there: one is taken from the begin of the list, where those
stand that use several processes, and one from its end. What a target says is shown when it has ended. A target that
leaves processes behind has failed; they are named and ended.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path

# In the environment of every process of a part, whatever session it has put itself into.
MARK = "SNO_TEST_PART"
# So long may a process take to notice that it is alone.
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Result:
    """Of one part."""

    part: str
    passed: bool
    seconds: float
    # Of the processors, by all of its processes that were waited for: what there is to save when other things run too.
    cpu_seconds: float


class Parts:
    """What is still to be run, and what is running."""

    def __init__(self, parts: list[str]) -> None:
        self._waiting = deque(parts)
        self._lock = threading.Lock()
        self._running: dict[str, str] = {}
        self._over = False
        self.results: list[Result] = []

    def work(self, from_begin: bool) -> None:
        """Run parts from one end of the list until there are no more."""
        while True:
            with self._lock:
                if self._over or not self._waiting:
                    return
                part = self._waiting.popleft() if from_begin else self._waiting.pop()
                mark = self._running[part] = uuid.uuid4().hex
            result = self._run(part, mark)
            with self._lock:
                del self._running[part]
                self.results.append(result)

    def _run(self, part: str, mark: str) -> Result:
        print(f"-- {part}: started", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                ["make", "--no-print-directory", part],
                env={**os.environ, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            said = output.read()
        left = left_behind(mark)
        seconds = time.monotonic() - started
        passed = process.returncode == 0 and not left
        with self._lock:
            sys.stdout.buffer.write(said)
            for line in left:
                print(f"{part}: left running, and ended now: {line}")
            print(f"-- {part}: {'passed' if passed else 'FAILED'} after {seconds:.0f} s", flush=True)
        return Result(part, passed, seconds, usage.ru_utime + usage.ru_stime)

    def stop(self) -> None:
        """Nothing new, and an end to what runs."""
        with self._lock:
            self._over = True
            marks = list(self._running.values())
        for mark in marks:
            for pid in marked(mark):
                end(pid, signal.SIGTERM)


def marked(mark: str) -> list[int]:
    """The living processes with this mark; none where there is no /proc."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        # A process that has ended and was not collected yet has an empty environment.
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end(pid: int, number: int) -> None:
    """Send a signal, if anybody is there to get it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def left_behind(mark: str) -> list[str]:
    """The command lines of processes that do not end by themselves; ended here."""
    deadline = time.monotonic() + GRACE_SECONDS
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    told = []
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            told.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        end(pid, signal.SIGKILL)
    return told


def interrupt(*_: object) -> None:
    """To be told to end is as an interrupting key: nothing goes on alone."""
    raise KeyboardInterrupt


def table(results: list[Result], seconds: float) -> str:
    """The closing words."""
    lines = [
        f"  {one.part:<12} {'passed' if one.passed else 'FAILED'} {one.seconds:7.0f} s, {one.cpu_seconds:5.0f} s CPU"
        for one in results
    ]
    failed, cpu = sum(not one.passed for one in results), sum(one.cpu_seconds for one in results)
    closing = f"{len(results) - failed} passed, {failed} failed, {seconds:.0f} s, {cpu:.0f} s CPU"
    return "\n".join(["\n== results", *lines, closing])


def main() -> int:
    """Run the targets named on the command line; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="how many at a time")
    parser.add_argument("parts", nargs="+")
    args = parser.parse_args()

    started, parts = time.monotonic(), Parts(args.parts)
    workers = [threading.Thread(target=parts.work, args=(number == 0,)) for number in range(args.jobs)]
    signal.signal(signal.SIGTERM, interrupt)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        parts.stop()
        return 130
    results = sorted(parts.results, key=lambda one: args.parts.index(one.part))
    print(table(results, time.monotonic() - started), flush=True)
    return 0 if all(one.passed for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
