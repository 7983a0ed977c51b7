# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program that must not outlive the process that asked for it.

``python guard.py PROGRAM ARGS`` runs PROGRAM and kills it as soon as standard input ends, which it does
when the asking process closes the pipe or dies, however it dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Cover the guard's own violent death too, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(command: list[str]) -> int:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent) as child:  # noqa: PLW1509
        threading.Thread(target=_kill_at_end_of_input, args=(child,), daemon=True).start()
        return child.wait()


def _kill_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
