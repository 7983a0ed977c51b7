# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fleet, one run, a trouble of its own for every cluster: each ends as it must, and nobody is sent nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from .runs import Playground, Run, scenario

Prepare = Callable[..., Playground]

ABORT = "sno.image_upgrade.abort -l {cluster}"
ROLLBACK = "sno.image_upgrade.rollback -l {cluster}"
NEW, OLD = "4.17.3", "4.16.8"
ALL = ["Prep", "Upgrade", "Idle"]

# Real seconds, far above what actions take that get anywhere: the longest is the watchdog's rollback with four.
TIMEOUTS = {"Prep": 8, "Upgrade": 12, "FinalizeUpgrade": 5}


@dataclass(frozen=True)
class Case:
    """What is wrong with a cluster, and how that must end."""

    trouble: str
    params: dict[str, Any]
    result: str
    state: str
    message: str
    next_step: str
    stages: list[str]
    version: str = OLD

    @property
    def id(self) -> str:
        extra = "-".join(str(value) for value in self.params.values() if isinstance(value, str | int))
        return f"{self.trouble}-{extra}"[:50]


def prep(trouble: str, message: str, **params: Any) -> Case:
    return Case(trouble, params, "failed", "prep failed", message, ABORT, ["Prep"])


def back(trouble: str, message: str, **params: Any) -> Case:
    return Case(trouble, params, "rolled_back", "rolled back automatically", message, ABORT, ["Prep", "Upgrade"])


def late(trouble: str, message: str, **params: Any) -> Case:
    return Case(trouble, params, "unverified", "upgraded", message, ROLLBACK, ["Prep", "Upgrade"], NEW)


def fine(trouble: str, **params: Any) -> Case:
    return Case(trouble, params, "done", "idle", "", "", ALL, NEW)


CASES = [
    prep("no_container_storage", "container storage mountpoint target not found"),
    prep("oadp_missing", "OADP"),
    prep("restore_unpaired", "test-app-cluster-resources"),
    prep("extra_manifest_forbidden", "MachineConfig"),
    prep("registry_unreachable", "i/o timeout"),
    prep("fips_mismatch", "FIPS"),
    prep("stateroot_failed", "stateroot setup job failed to complete"),
    prep("precache_failed", "precache job failed to complete"),
    Case(
        "prepivot_failed",
        {},
        "failed",
        "failed before reboot",
        "Failed backup CRs: acm-klusterlet",
        ABORT,
        ["Prep", "Upgrade"],
    ),
    back("postpivot_failure", "Rollback due to postpivot failure: failed to run recert: exit status 1"),
    back("service_unit_failure", "Rollback due to service-unit failure"),
    back("init_monitor_timeout", "Rollback due to LCA Init Monitor timeout"),
    back("missing_dpa", "Rollback due to"),
    back("policy_manifest", "PerformanceProfile"),
    back("config_manifest", "Widget"),
    back("restore_failed", "acm-klusterlet"),
    back("uncontrolled_rollback", "Uncontrolled rollback"),
    Case(
        "upgrade_failed_no_auto_rollback",
        {},
        "failed",
        "failed after reboot",
        "Failed restore CRs: acm-klusterlet",
        ROLLBACK,
        ["Prep", "Upgrade"],
        NEW,
    ),
    Case(
        "prep_hangs",
        {},
        "timed_out",
        "preparing",
        "Prep took longer than",
        ABORT,
        ["Prep"],
    ),
    Case(
        "upgrade_hangs",
        {"at": "pre"},
        "timed_out",
        "before reboot",
        "Upgrade took longer than",
        ABORT,
        ["Prep", "Upgrade"],
    ),
    Case(
        "upgrade_hangs",
        {"at": "reboot"},
        "timed_out",
        "before reboot",
        "no answer for",
        "console",
        ["Prep", "Upgrade"],
    ),
    Case(
        "upgrade_hangs",
        {"at": "post"},
        "timed_out",
        "after reboot",
        "Upgrade took longer than",
        ROLLBACK,
        ["Prep", "Upgrade"],
        NEW,
    ),
    Case(
        "health_blocked",
        {"check": "csr", "when": "prep"},
        "timed_out",
        "preparing",
        "Prep took longer than",
        "repair what the health checks name",
        ["Prep"],
    ),
    Case(
        "finalize_failed",
        {"times": 9},
        "failed",
        "finalize failed",
        "backups",
        "manual-cleanup-done",
        ALL,
        NEW,
    ),
    Case(
        "tls_changed",
        {},
        "timed_out",
        "before reboot",
        "no trusted TLS connection",
        "console",
        ["Prep", "Upgrade"],
        NEW,
    ),
    late("unhealthy_after_upgrade", "ClusterOperators not ready: ingress"),
    late("restore_failed_object", "Restores failed: acm-klusterlet"),
    late("pv_unbound_after_upgrade", "PersistentVolumes not bound: pv-app"),
    late("version_wrong_after_upgrade", "ClusterVersion is 4.17.0, not the seed's 4.17.3"),
    fine("lost_watch", after=1),
    fine("lost_watch", after=1, silent=True, times=1),
    fine("http_error", code=429, share=0.2),
    fine("http_error", code=500, share=0.2),
    fine("http_error", code=503, share=0.2),
    fine("http_error", code=401, count=4, verbs=["watch"]),
    fine("http_error", code=403, count=4, verbs=["watch"]),
    fine("tls_changed", seconds=300),
    fine("no_status_for", seconds=300),
    fine("no_cr", when="pivot", seconds=300),
    fine("no_crd", when="pivot", seconds=300),
    fine("slow_answers", seconds=0.05),
    fine("validation_warning"),
    fine("blocked_by_ipconfig", seconds=120),
]
NAMES = [f"site-{number:04d}" for number in range(1, len(CASES) + 1)]
TROUBLES = {name: {case.trouble: case.params} for name, case in zip(NAMES, CASES, strict=True)}
ALL_TROUBLES: dict[str, Any] = {**scenario(len(CASES), troubles=TROUBLES), "speed": 600}
# All at once, whoever fails.
EVERYONE: dict[str, Any] = {
    "ibu_serial": ["100%"],
    "ibu_max_fail_percentage": 100,
    "ibu_budget": "100%",
    "ibu_timeouts": TIMEOUTS,
}


def check_ends(ground: Playground, run: Run, subtests: pytest.Subtests) -> None:
    """Every cluster ended as its trouble makes it end, and no request was sent that it would refuse."""
    for name, case in zip(NAMES, CASES, strict=True):
        with subtests.test(msg=case.id):
            outcome = run.outcomes[name]
            assert (outcome["result"], outcome["state"]) == (case.result, case.state), outcome
            assert case.message in outcome["message"]
            assert case.next_step.format(cluster=name) in outcome["next_step"]
            assert ground.stages(name) == case.stages
            assert ground.version(name) == case.version
    assert not ground.refusals(), "a request was refused for what it asked"
    assert run.remaining == [name for name, case in zip(NAMES, CASES, strict=True) if case.result != "done"]


def test_every_trouble_ends_as_it_must(prepare: Prepare, subtests: pytest.Subtests) -> None:
    ground = prepare(ALL_TROUBLES)

    run = ground.play("upgrade", **EVERYONE)

    check_ends(ground, run, subtests)
    assert run.code == 2, run.output
    assert all(f"{name} " in run.words for name in run.remaining)
