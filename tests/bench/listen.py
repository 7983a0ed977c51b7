# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source of ansible-rulebook alone: listen to a hub until an action has completed on so many clusters.

`listen.py KUBECONFIG ACTION CLUSTERS`; ends with 1 where something is told twice.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[2] / ".collections" / "ansible_collections" / "sno" / "image_upgrade"
SOURCE = COLLECTION / "extensions" / "eda" / "plugins" / "event_source" / "hub.py"


async def listen(kubeconfig: str, action: str, clusters: int) -> int:
    """The exit code."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    source = asyncio.ensure_future(runpy.run_path(str(SOURCE))["main"](queue, {"kubeconfig": kubeconfig}))
    told: set[str] = set()
    while len(told) < clusters and not source.done():
        event = (await queue.get())["ibu"]
        if (event["type"], event["action"]) == ("completed", action):
            if event["cluster"] in told:
                print(f"told twice: {event}", file=sys.stderr)
                return 1
            told.add(event["cluster"])
    source.cancel()
    print(f"{len(told)} clusters")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(listen(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
