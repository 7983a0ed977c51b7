# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: serve, run, troubles."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
import tempfile
from pathlib import Path

import yaml

from fleetsim.fleet import CRD_DIR, SimFleet
from fleetsim.resources import load_registries
from fleetsim.scenario import Scenario, ScenarioError, load
from fleetsim.troubles import describe


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleetsim", description="A simulated fleet of single-node clusters.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve a fleet until SIGTERM or SIGINT")
    run = commands.add_parser("run", help="serve a fleet for as long as a command runs, and exit with its code")
    for sub in (serve, run):
        sub.add_argument("--scenario", type=Path, required=True)
        sub.add_argument("--dir", type=Path, required=sub is serve)
        sub.add_argument("--speed", type=float, help="simulated seconds per real second; wins over the scenario")
    serve.add_argument("--ready-file", type=Path, help="written when the fleet answers")
    serve.add_argument("--ready-fd", type=int, help="a line is written to it when the fleet answers")
    serve.add_argument("--life-fd", type=int, help="serve until this file descriptor is closed at the other end")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    commands.add_parser("troubles", help="list everything that can go wrong, with parameters")
    return parser


async def _until_told(life_fd: int | None) -> None:
    """SIGTERM, SIGINT, or the end of whoever holds the other end of the pipe."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if life_fd is not None:
        loop.add_reader(life_fd, told.set)
    await told.wait()
    if life_fd is not None:
        loop.remove_reader(life_fd)


@contextlib.asynccontextmanager
async def _running(scenario: Scenario, folder: Path):  # type: ignore[no-untyped-def]
    fleet = SimFleet(scenario, folder)
    try:
        await fleet.start()
        # What is there now stays: let the garbage collector look only at what comes and goes.
        gc.collect()
        gc.freeze()
        yield fleet
    finally:
        await fleet.stop()


async def _serve(args: argparse.Namespace, scenario: Scenario) -> int:
    async with _running(scenario, args.dir) as fleet:
        print(f"{len(fleet.clusters)} clusters, control {fleet.control_url}", flush=True)
        if args.ready_file:
            args.ready_file.write_text("ready\n")
        if args.ready_fd is not None:
            os.write(args.ready_fd, b"ready\n")
            os.close(args.ready_fd)
        await _until_told(args.life_fd)
    return 0


async def _run(args: argparse.Namespace, scenario: Scenario) -> int:
    with contextlib.ExitStack() as stack:
        folder = args.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleetsim-")))
        async with _running(scenario, folder) as fleet:
            process = await asyncio.create_subprocess_exec(*args.argv, env={**os.environ, **fleet.environment()})
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _forward, process, number)
            code = await process.wait()
    return code if code >= 0 else 128 - code


def _forward(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    if args.command == "troubles":
        print(describe())
        return 0
    try:
        scenario = load(args.scenario, args.speed)
    except (ScenarioError, OSError, TypeError, yaml.YAMLError) as error:
        print(f"fleetsim: {args.scenario}: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_serve(args, scenario) if args.command == "serve" else _run(args, scenario))


def prepare() -> None:
    """For `fleetsim.warm`: what every fleet reads at its start."""
    load_registries(CRD_DIR)


def warm(arguments: list[str], files: list[int]) -> int:
    """For `fleetsim.warm`: `main` with the two file descriptors that tests watch a fleet by."""
    ready, life = files
    return main([*arguments, "--ready-fd", str(ready), "--life-fd", str(life)])


if __name__ == "__main__":
    sys.exit(main())
