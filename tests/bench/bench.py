# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What upgrade.yml costs per cluster beside other clients, and what a sliding window saves beside batches.

README.md says what is measured and how to read it. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "sim")]

import ideal  # noqa: E402
import meter  # noqa: E402
import window  # noqa: E402

from fleetsim.testing import Fleet  # noqa: E402

PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
SECONDS_IN_ALL = 590.0
STAGES = 3
PARTS = ("window", "small", "large")
CORES = os.cpu_count() or 1

# Simulated seconds; ten of them are a real one.
COMMON: dict[str, Any] = {"speed": 10, "hub": False}
# Without an outage and without a time in which the object is missing: a wait of kubernetes.core does not survive those.
SMALL = {
    **COMMON,
    "durations": {
        "stateroot": 80, "precache": 80, "pre_pivot": 60, "reboot": 0, "crd": 0, "lca_start": 0, "status": 0,
        "post_pivot": 100, "finalize": 160, "spread": 0.2,
    },
}  # fmt: skip
# The whole upgrade, with its reboot, some twenty times as fast as on a site: quicker still, and the simulator and the
# client, a core each, would measure how long they wait for each other. The spread keeps a thousand clusters from ending
# a stage in the same few seconds.
LARGE = {
    **COMMON,
    "durations": {
        "stateroot": 225, "precache": 225, "pre_pivot": 120, "reboot": 120, "crd": 15, "lca_start": 30, "status": 2,
        "post_pivot": 180, "finalize": 150, "spread": 0.4,
    },
}  # fmt: skip


class BenchError(RuntimeError):
    """There is no result."""


@dataclass(frozen=True)
class Run:
    """What one client did with one fleet."""

    title: str
    clusters: int
    done: int
    cost: meter.Cost
    ideal: float
    first_request: float
    reactions: list[float]
    simulator_cpu: float

    @property
    def start_up(self) -> float:
        """Seconds until a server heard of it."""
        return self.first_request - self.cost.began

    @property
    def wall(self) -> float:
        """Seconds from the first request at any server to the end of the process, recap included."""
        return self.cost.ended - self.first_request

    @property
    def wall_over_ideal(self) -> float:
        return self.wall / self.ideal

    @property
    def cpu_per_cluster(self) -> float:
        return self.cost.cpu / self.clusters

    @property
    def simulator_share(self) -> float:
        """Of all that this machine can compute in the time."""
        return self.simulator_cpu / (CORES * (self.cost.ended - self.cost.began))

    def reaction(self, share: float) -> float:
        """A percentile, by nearest rank."""
        ordered = sorted(self.reactions)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


class Bench:
    """Plays the same scenario to one client after the other, each time from the beginning."""

    def __init__(self, work: Path, deadline: float) -> None:
        self._work = work
        self._deadline = deadline

    def ours(self, scenario: Mapping[str, Any], clusters: int, title: str, forks: int | None = None) -> Run:
        """playbooks/upgrade.yml, all clusters in one batch."""
        command = [PLAYBOOK, "playbooks/upgrade.yml", "-e", "ibu_serial=100%"]
        command += ["-e", f"ibu_outcome_file={self._work / f'outcome-{time.monotonic_ns()}.json'}"]
        run = self._play(title, scenario, clusters, command, {"ANSIBLE_FORKS": str(forks)} if forks else {})
        if run.done < clusters or run.cost.code:
            raise BenchError(f"{title}: {run.done} of {clusters} clusters were upgraded, exit code {run.cost.code}")
        return run

    def kubernetes_core(self, scenario: Mapping[str, Any], clusters: int) -> Run:
        """The same upgrade from kubernetes.core.k8s tasks, with as many forks as clusters."""
        command = [PLAYBOOK, str(HERE / "kubernetes_core.yml")]
        return self._play("kubernetes.core.k8s", scenario, clusters, command, {"ANSIBLE_FORKS": str(clusters)})

    def bare(self, scenario: Mapping[str, Any], clusters: int) -> Run:
        """The least that a client can do."""
        return self._play("bare client", scenario, clusters, [sys.executable, str(HERE / "bare.py")], {})

    def _play(
        self,
        title: str,
        scenario: Mapping[str, Any],
        clusters: int,
        command: Sequence[str],
        variables: Mapping[str, str],
    ) -> Run:
        folder = Path(tempfile.mkdtemp(dir=self._work))
        scenario = {**scenario, "clusters": {"count": clusters}}
        expected = ideal.seconds(scenario)
        print(f"  {title}: {clusters} clusters, {expected:.0f} s at best", flush=True)
        with Fleet(scenario, folder / "fleet") as fleet:
            environment = {**_clean_environment(folder), "ANSIBLE_INVENTORY": str(fleet.inventory), **variables}
            argv = [*command, *([str(fleet.inventory)] if "bare.py" in command[-1] else [])]
            before = meter.cpu_seconds(fleet.pid)
            left = self._deadline - time.monotonic()
            cost = meter.measure(argv, env=environment, cwd=ROOT, log=folder / "log", seconds=left)
            simulator = meter.cpu_seconds(fleet.pid) - before
            states, reactions = fleet.control.clusters(), fleet.control.reactions()
        run = _run_of(title, cost, expected, simulator, states, reactions)
        if run.done < clusters:
            print("    " + "\n    ".join((folder / "log").read_text(errors="replace").splitlines()[-12:]))
        return run


def _run_of(
    title: str,
    cost: meter.Cost,
    expected: float,
    simulator: float,
    states: Sequence[Mapping[str, Any]],
    reactions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Run:
    first = min((s["first_request"] for s in states if s["first_request"] is not None), default=cost.ended)
    # A stage's last result has no successor; all others have the moment at which the next patch arrived.
    found = [r["reacted"] - r["visible"] for one in reactions.values() for r in one if r["reacted"] and _is_ours(r)]
    return Run(title, len(states), sum(map(_is_done, states)), cost, expected, first, found, simulator)


def _is_ours(reaction: Mapping[str, Any]) -> bool:
    """Not the state in which the fleet started: nobody was there to react to it."""
    return (reaction["stage"], reaction["next_stage"]) in (("Prep", "Upgrade"), ("Upgrade", "Idle"))


def _is_done(state: Mapping[str, Any]) -> bool:
    """Upgraded and finalized, by exactly one write per stage."""
    idle = any(c["type"] == "Idle" and c["status"] == "True" for c in state["conditions"])
    return bool(idle and state["boots"] > 1 and state["spec_writes"] == STAGES)


def _clean_environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's settings; temporary files, of which kubernetes.core leaves one per server, are removed."""
    prefixes = ("ANSIBLE_", "K8S_AUTH_", "KUBECONFIG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    temporary = folder / "tmp"
    temporary.mkdir()
    return {**kept, "TMPDIR": str(temporary), "ANSIBLE_LOCAL_TEMP": str(temporary), "ANSIBLE_NOCOLOR": "1"}


def small(bench: Bench, clusters: int) -> dict[str, Any]:
    """Three clients; ours before and after the others, the second time with as many forks as clusters."""
    ours = bench.ours(SMALL, clusters, "upgrade.yml")
    other = bench.kubernetes_core(SMALL, clusters)
    # These two compute for a tenth of their time, so they share a minute.
    with ThreadPoolExecutor() as both:
        forked = both.submit(bench.ours, SMALL, clusters, f"upgrade.yml, {clusters} forks", forks=clusters)
        bare = both.submit(bench.bare, SMALL, clusters).result()
        forks = forked.result()
    show([other, ours, forks, bare])
    # What the machine's neighbours do changes over minutes: before and after together tell what it cost in between.
    around = statistics.mean(run.cost.cpu for run in (ours, forks))
    return {
        "clusters": clusters,
        "cpu_ratio": round(other.cost.cpu / around, 1),
        "memory_ratio": round(other.cost.pss_mb / ours.cost.pss_mb, 1),
        "wall_over_ideal": round(ours.wall_over_ideal, 3),
    }


def large(bench: Bench, clusters: int) -> dict[str, Any]:
    """Ours alone: nothing else comes this far."""
    ours = bench.ours(LARGE, clusters, "upgrade.yml")
    show([ours])
    return {
        "clusters": clusters,
        "pss_mb": round(ours.cost.pss_mb),
        "cpu_s_per_cluster": round(ours.cpu_per_cluster, 4),
        "reaction_p99_s": round(ours.reaction(0.99), 3),
        "wall_over_ideal": round(ours.wall_over_ideal, 3),
    }


def show(runs: Sequence[Run]) -> None:
    """One line per client."""
    columns = ("done", "CPU s", "/cluster/stage", "PSS MB", "processes", "start s", "wall s", "wall/ideal")
    reactions = ("reaction p50", "p99", "max", "simulator")
    print("\n" + f"{'':<24}" + "".join(f"{c:>{max(len(c), 6) + 2}}" for c in (*columns, *reactions)))
    for run in runs:
        values = (
            f"{run.done}/{run.clusters}",
            f"{run.cost.cpu:.1f}",
            f"{run.cpu_per_cluster / STAGES:.4f}",
            f"{run.cost.pss_mb:.0f}",
            f"{run.cost.processes}",
            f"{run.start_up:.1f}",
            f"{run.wall:.1f}",
            f"{run.wall_over_ideal:.3f}",
            *(f"{run.reaction(share):.3f}" for share in (0.5, 0.99, 1)),
            f"{run.simulator_share:.0%}",
        )
        names = (*columns, *reactions)
        print(f"{run.title:<24}" + "".join(f"{v:>{max(len(c), 6) + 2}}" for c, v in zip(names, values, strict=True)))
    print(flush=True)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--small-only", action="store_true", help="only the comparison with kubernetes.core")
    only.add_argument("--large-only", action="store_true", help="only the large fleet")
    only.add_argument("--window-only", action="store_true", help="only the sliding window against batches")
    parser.add_argument("--clusters", type=int, metavar="N", help="clusters of the part named by --…-only")
    args = parser.parse_args()
    chosen = {part for part in PARTS if getattr(args, f"{part}_only")}
    if args.clusters is not None and (args.clusters < 1 or not chosen):
        parser.error("--clusters needs a positive number, and one of the --…-only")
    wanted = chosen or set(PARTS)
    deadline = time.monotonic() + SECONDS_IN_ALL
    result: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="ibu-bench-") as work:
            bench = Bench(Path(work), deadline)
            if "window" in wanted:
                result["window"] = window.window(args.clusters or 1000)
            if "small" in wanted:
                result["small"] = small(bench, args.clusters or 50)
            if "large" in wanted:
                result["large"] = large(bench, args.clusters or 1000)
    except (BenchError, meter.TookTooLong, window.Stuck) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
