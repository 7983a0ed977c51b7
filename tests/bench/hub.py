# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What thousands of clusters in one group upgrade cost: the inventory, a step, its events, its end.

README.md says what is measured. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "sim")]

import meter  # noqa: E402
import yaml  # noqa: E402
from kubernetes import client, config  # noqa: E402

from fleetsim.testing import Fleet  # noqa: E402

BIN = Path(sys.executable).parent
SECONDS_IN_ALL = 600.0
SCENARIO: dict[str, Any] = {"speed": 60, "random_seed": 1, "hub": True}
SECRET_LABEL = {"hive.openshift.io/secret-type": "kubeconfig"}


def main() -> int:
    """Play it, print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=3500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        numbers = run(Path(work), arguments.clusters)
    for name, value in numbers.items():
        print(f"{name:<24} {value}")
    print(json.dumps(numbers))
    return 0


def run(work: Path, count: int) -> dict[str, Any]:
    """Everything against one fleet."""
    with Fleet({**SCENARIO, "clusters": {"count": count}}) as fleet:
        add_secrets(fleet, count)
        inventory = cost(work, inventory_command(work, fleet))
        with ThreadPoolExecutor(1) as beside:
            listener = beside.submit(cost, work, listener_command(fleet, count))
            waiting = cost(work, play(work, fleet, "ibgu_plan", PLAN))
            listening = listener.result()
        settle(fleet)
        info = cost(work, play(work, fleet, "ibgu_info", {}))
        nothing = cost(work, play(work, fleet, None, {}))
    return {
        "clusters": count,
        "inventory_seconds": round(inventory.ended - inventory.began, 2),
        "inventory_mb": round(inventory.pss_mb),
        "wait_seconds": round(waiting.ended - waiting.began, 1),
        "wait_cpu_seconds": round(waiting.cpu, 1),
        "wait_mb": round(waiting.pss_mb),
        # From the start of the step to the event of the last cluster.
        "events_seconds": round(listening.ended - waiting.began, 1),
        "events_cpu_seconds": round(listening.cpu, 1),
        "events_mb": round(listening.pss_mb),
        "info_seconds": round(info.ended - info.began, 2),
        "info_cpu_seconds": round(info.cpu, 1),
        "info_mb": round(info.pss_mb),
        # The same play with a task that does nothing: what Ansible alone takes.
        "ansible_seconds": round(nothing.ended - nothing.began, 2),
        "ansible_mb": round(nothing.pss_mb),
    }


PLAN = {
    "cluster_label_selectors": [{"matchLabels": {"vendor": "OpenShift"}}],
    "plan": [{"actions": ["Prep"], "rolloutStrategy": {"maxConcurrency": 3500, "timeout": 120}}],
    "seed_image_ref": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"},
    "wait": True,
}


def add_secrets(fleet: Fleet, count: int) -> None:
    """Give every cluster its admin kubeconfig on the hub, as an installation leaves it."""
    api = client.CoreV1Api(config.new_client_from_config(str(fleet.hub_kubeconfig)))

    def add(number: int) -> None:
        name = f"site-{number:04d}"
        text = base64.b64encode(fleet.kubeconfig(name).read_bytes()).decode()
        meta = {"name": f"{name}-admin-kubeconfig", "labels": SECRET_LABEL}
        api.create_namespaced_secret(name, {"metadata": meta, "data": {"kubeconfig": text}})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(1, count + 1)))


def settle(fleet: Fleet) -> None:
    """Wait until the simulator, which plays the hub and all clusters, has time again: until it idles for a second."""
    while True:
        before, began = meter.cpu_seconds(fleet.pid), time.monotonic()
        time.sleep(1)
        if meter.cpu_seconds(fleet.pid) - before < 0.3 * (time.monotonic() - began):
            return


def inventory_command(work: Path, fleet: Fleet) -> list[str]:
    """List the hosts of the hub, with their connections."""
    source = work / "managed_clusters.yml"
    label = ",".join(f"{key}={value}" for key, value in SECRET_LABEL.items())
    options = {"kubeconfig": str(fleet.hub_kubeconfig), "secret_label_selector": label}
    source.write_text(yaml.safe_dump({"plugin": "sno.image_upgrade.managed_clusters", **options}))
    return [str(BIN / "ansible"), "managed_clusters", "-i", str(source), "--list-hosts"]


def listener_command(fleet: Fleet, count: int) -> list[str]:
    """The event source, until it has told of Prep on every cluster."""
    return [sys.executable, str(HERE / "listen.py"), str(fleet.hub_kubeconfig), "Prep", str(count)]


def play(work: Path, fleet: Fleet, module: str | None, options: Mapping[str, Any]) -> list[str]:
    """One task on the control node, about the one group upgrade."""
    task: dict[str, Any] = {"name": "Nothing", "ansible.builtin.meta": "noop"}
    if module:
        named = {"name": "north", "namespace": "ibu", "kubeconfig": str(fleet.hub_kubeconfig)}
        task = {"name": "Do", f"sno.image_upgrade.{module}": {**named, **options}}
    path = work / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    return [str(BIN / "ansible-playbook"), "-i", "localhost,", str(path)]


def cost(work: Path, command: list[str]) -> meter.Cost:
    """What a command costs. Raises RuntimeError where it fails."""
    log = work / f"{Path(command[0]).name}.log"
    spent = meter.measure(command, env={**os.environ}, cwd=ROOT, log=log, seconds=SECONDS_IN_ALL)
    if spent.code:
        raise RuntimeError(f"{' '.join(command)} ended with {spent.code}:\n{log.read_text()[-3000:]}")
    return spent


if __name__ == "__main__":
    sys.exit(main())
