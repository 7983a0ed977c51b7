# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight.yml costs for a large fleet in which some clusters do not answer.

README.md says what is measured. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "sim")]

import meter  # noqa: E402

from fleetsim.testing import Fleet  # noqa: E402

PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
SECONDS = 590.0
WANTED_SECONDS, WANTED_MB = 180, 600
CORES = os.cpu_count() or 1
# Facts of a seed that fits, so that everything is compared that can be.
SEED: dict[str, Any] = {
    "version": "4.17.3",
    "format_version": "4",
    "has_proxy": False,
    "has_fips": False,
    "has_user_ca_bundle": False,
    "proxy_configmap_name": "",
    "container_storage_mountpoint": "/dev/disk/by-partlabel/varlibcontainers",
    "node_ips": ["192.0.2.10"],
    "machine_networks": ["192.0.2.0/24"],
    "mirror_registry_configured": False,
    "cpus": 16,
    "machine_configs": {},
    "operators": {"lifecycle-agent": "4.17.0", "oadp-operator": "1.4.1"},
    "kernel_arguments": [],
    "cgroup_version": "v2",
}


def scenario(clusters: int, silent: int, hub: bool) -> dict[str, Any]:
    """A healthy fleet, but that its last clusters accept connections and never answer, or refuse them."""
    names = [f"site-{number:04d}" for number in range(clusters - silent + 1, clusters + 1)]
    wrong = {name: {("no_answer", "refused_from_start")[index % 2]: {}} for index, name in enumerate(names)}
    return {"speed": 10, "hub": hub, "clusters": {"count": clusters}, "troubles": wrong}


def measure(work: Path, clusters: int, silent: int, hub: bool, timeout: float) -> dict[str, Any]:
    """Run the playbook once."""
    facts = work / "seed.json"
    facts.write_text(json.dumps({"apiVersion": "sno.image_upgrade/v1", "kind": "SeedRecord", "spec": SEED}))
    report, log = work / "preflight.json", work / "log"
    variables = {
        "ibu_report_file": str(report),
        "ibu_seed_facts": str(facts),
        "ibu_seed_lookup": "never",
        "ibu_contact_timeout": timeout,
        "ibu_on_blocked": "exclude",
    }
    with Fleet(scenario(clusters, silent, hub), work / "fleet") as fleet:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {"ANSIBLE_INVENTORY": str(fleet.inventory), "ANSIBLE_LOCAL_TEMP": str(work / "ansible")}
        command = [PLAYBOOK, "playbooks/preflight.yml", "-e", json.dumps(variables)]
        before = meter.cpu_seconds(fleet.pid)
        cost = meter.measure(command, env=environment, cwd=ROOT, log=log, seconds=SECONDS)
        simulator = meter.cpu_seconds(fleet.pid) - before
        reads = sum(cluster["reads"] for cluster in fleet.control.clusters())
    if not report.exists():
        raise meter.TookTooLong(f"there is no report; the end of the output:\n{log.read_text()[-3000:]}")
    document = json.loads(report.read_text())
    wrong = {finding["cluster"] for finding in document["findings"]}
    wall = cost.ended - cost.began
    return {
        "clusters": clusters,
        "ready": len(document["ready"]),
        "found": len(wrong),
        "seconds": round(wall, 1),
        "cpu_s_per_cluster": round(cost.cpu / clusters, 4),
        "pss_mb": round(cost.pss_mb),
        "reads_per_cluster": round(reads / clusters, 1),
        "report_kb": round(report.stat().st_size / 1024),
        "simulator_share": round(simulator / (CORES * wall), 2),
    }


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clusters", type=int, default=1000, metavar="N")
    parser.add_argument("--silent", type=int, default=10, metavar="N", help="so many of them do not answer")
    parser.add_argument("--no-hub", action="store_true", help="without a hub")
    parser.add_argument("--contact-timeout", type=float, default=30, metavar="SECONDS")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="ibu-bench-") as work:
            result = measure(Path(work), args.clusters, args.silent, not args.no_hub, args.contact_timeout)
    except meter.TookTooLong as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"wanted: less than {WANTED_SECONDS} s and {WANTED_MB} MB for 1000 clusters")
    print(json.dumps(result))
    expected = args.clusters - args.silent
    if (result["ready"], result["found"]) != (expected, args.silent):
        print(
            f"bench: {expected} clusters should be ready, and the others the only ones with findings", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
