# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m kubeapi build`` makes the programs ready, ``serve`` runs one server to play with.

``python -m kubeapi standin -- COMMAND`` runs a command against a cluster that ANSIBLE_INVENTORY and KUBECONFIG name.
It needs the simulator on the path: PYTHONPATH=tests/kubeapi:tests/sim.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .binary import NoBinaries, build
from .server import KubeApi, StartFailed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kubeapi", description="a real kube-apiserver and etcd for the tests")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the programs unless they are there")
    serve = commands.add_parser("serve", help="run one server until interrupted")
    serve.add_argument("--dir", type=Path, help="where its files go (default: a temporary folder)")
    standin = commands.add_parser("standin", help="run a command against a cluster with a Lifecycle Agent")
    standin.add_argument("--dir", type=Path, help="where its files go (default: a temporary folder)")
    standin.add_argument("--speed", type=float, default=60, help="simulated seconds per second (default: %(default)s)")
    standin.add_argument("--trouble", action="append", default=[], help="a trouble of the simulator; may be repeated")
    standin.add_argument("words", nargs="+", metavar="COMMAND", help="the command, after --")
    options = parser.parse_args(arguments)
    try:
        binaries = build(lambda line: print(line, flush=True))
        print(f"ready: {binaries.origin}", flush=True)
        if options.command == "serve":
            _serve(options.dir)
        elif options.command == "standin":
            return _standin(options)
    except (NoBinaries, StartFailed) as problem:
        print(f"kubeapi: {problem}", file=sys.stderr)
        return 1
    return 0


def _serve(folder: Path | None) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="kubeapi-") as scratch, KubeApi(folder or Path(scratch)) as server:
        print(f"serving {server.url}\nexport KUBECONFIG={server.kubeconfig}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping", flush=True)


def _standin(options: argparse.Namespace) -> int:
    from .standin import Standin  # the simulator is needed for this command only

    troubles = dict.fromkeys(options.trouble)
    with (
        tempfile.TemporaryDirectory(prefix="kubeapi-") as scratch,
        Standin(options.dir or Path(scratch), troubles=troubles, speed=options.speed) as cluster,
    ):
        print(f"{cluster.name} runs at {cluster.server.url}", flush=True)
        ours = {"ANSIBLE_INVENTORY": str(cluster.inventory), "KUBECONFIG": str(cluster.kubeconfig)}
        return subprocess.run(options.words, env={**os.environ, **ours}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
