# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a simulated fleet in the background, and stop it: `fleet.py start --scenario FILE DIR`, `fleet.py stop DIR`.

`start` returns when the fleet answers; its files are then in DIR, its words in DIR/fleet.log. `stop` returns when the
process is gone, and does nothing where there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from checkout import ROOT

START_SECONDS = 60
STOP_SECONDS = 10
POLL_SECONDS = 0.05


def pid_file(directory: Path) -> Path:
    """Where the process of a fleet is noted."""
    return directory / "fleet.pid"


def is_running(pid: int) -> bool:
    """Whether the process is there, and is a fleet: a process number is soon somebody else's."""
    try:
        os.kill(pid, 0)
        # Where there is no /proc, the number has to do.
        return not Path("/proc/self").exists() or b"fleetsim" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def wait_until_gone(pid: int) -> bool:
    """Whether the process ended in time."""
    deadline = time.monotonic() + STOP_SECONDS
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return not is_running(pid)


def stop(directory: Path) -> None:
    """End the fleet of this folder."""
    try:
        pid = int(pid_file(directory).read_text())
    except (OSError, ValueError):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_running(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until_gone(pid):
            break
    pid_file(directory).unlink(missing_ok=True)


def start(directory: Path, scenario: Path, speed: str | None) -> None:
    """Start a fleet and wait until it answers."""
    stop(directory)
    directory.mkdir(parents=True, exist_ok=True)
    ready, log = directory / "ready", directory / "fleet.log"
    ready.unlink(missing_ok=True)
    # One on PATH is quick; see warm_path.py.
    quick = shutil.which("fleetsim")
    command: list[str | Path] = [quick] if quick else [sys.executable, "-m", "fleetsim"]
    command += ["serve", "--scenario", scenario.resolve(), "--dir", directory.resolve()]
    command += ["--ready-file", ready.resolve(), *(["--speed", speed] if speed else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sim")}
    with log.open("wb") as output:
        fleet = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    pid_file(directory).write_text(str(fleet.pid))
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if fleet.poll() is not None or time.monotonic() > deadline:
            stop(directory)
            sys.exit(f"The simulated fleet did not start. Its last words:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("directory", type=Path, help="the fleet's files: inventory.yml, kubeconfigs, control.json")
    parser.add_argument("--scenario", type=Path, help="what the fleet is and what happens to it")
    parser.add_argument("--speed", help="simulated seconds per second")
    parser.add_argument(
        "--inventory", type=Path, help="a link to the fleet's inventory, there as long as the fleet runs"
    )
    args = parser.parse_args()
    if args.inventory is not None:
        args.inventory.unlink(missing_ok=True)
    if args.action == "stop":
        stop(args.directory)
    elif args.scenario is None:
        parser.error("start needs --scenario")
    else:
        start(args.directory, args.scenario, args.speed)
        if args.inventory is not None:
            args.inventory.symlink_to(args.directory.resolve() / "inventory.yml")


if __name__ == "__main__":
    main()
