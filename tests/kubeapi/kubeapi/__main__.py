# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m kubeapi build`` makes the programs ready; ``python -m kubeapi serve`` runs one server to play with."""

from __future__ import annotations

import argparse
import signal
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
    options = parser.parse_args(arguments)
    try:
        binaries = build(lambda line: print(line, flush=True))
        print(f"ready: {binaries.origin}", flush=True)
        if options.command == "serve":
            _serve(options.dir)
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


if __name__ == "__main__":
    sys.exit(main())
