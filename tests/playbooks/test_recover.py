# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""recover.yml on simulated fleets: every row of its table, outages of the store, and runs that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from fleetsim.sysroots import ScratchSysroot, why_not

from .runs import Playground, Run, names, scenario, until

Prepare = Callable[..., Playground]

# Through the API, so that no `oc` is looked for; and with the clock of the simulator.
QUICK: dict[str, Any] = {
    "must_gather_method": "api",
    "must_gather_least_free": 0,
    "recover_location_timeout": 30,
    "recover_answer_timeout": 10,
    "recover_same_failure_timeout": 5,
    "recover_request_timeout": 5,
}


def ready(prepare: Prepare, initials: list[str], troubles: dict[int, dict[str, Any]], **more: Any) -> Playground:
    """A fleet that begins in these states, with these troubles by number."""
    extra = {
        name: {"initial": state} for name, state in zip(names(*range(1, len(initials) + 1)), initials, strict=True)
    }
    by_name = {names(number)[0]: trouble for number, trouble in troubles.items()}
    ground = prepare(scenario(len(initials), clusters_extra=extra, troubles=by_name, **more), **QUICK)
    ground.variables["must_gather_folder"] = str(ground.directory / "logs")
    return ground


def _all(ground: Playground) -> list[str]:
    return [str(cluster["name"]) for cluster in ground.fleet.control.clusters()]


def write_status(ground: Playground, name: str, status: dict[str, Any]) -> None:
    """Let the cluster say something that no Lifecycle Agent says."""
    api = kubernetes.config.new_client_from_config(str(ground.fleet.kubeconfig(name)))
    group, version, plural = "lca.openshift.io", "v1", "imagebasedupgrades"
    with api:
        objects = kubernetes.client.CustomObjectsApi(api)
        objects.patch_cluster_custom_object_status(group, version, plural, "upgrade", {"status": status})


def archives(ground: Playground) -> set[str]:
    """The clusters that there is an archive of."""
    return {path.name[:9] for path in (ground.directory / "logs").glob("*.tar.gz")}


def part(run: Run, cluster: str) -> str:
    """What was said of a cluster before anything was done."""
    lines = run.output.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(cluster) and "   stage " in line)
    rest = lines[begin + 1 :]
    end = next(number for number, line in enumerate(rest) if not line.startswith("  "))
    return "\n".join(lines[begin : begin + 1 + end])


def test_every_state_in_one_run_and_check_mode_before_it(prepare: Prepare) -> None:
    initials = [
        "PrepFailed",
        "UpgradePrePivotFailed",
        "AutoRolledBack",
        "UpgradeFailed",
        "RollbackCompleted",
        "RollbackFailed",
        "Idle",
        "PrepCompleted",
        "UpgradeCompleted",
    ]
    ground = ready(prepare, initials, {})

    said = ground.play("recover", "--check")

    assert said.code == 2, said.output
    assert "Nothing was changed." in said.output
    assert not any(ground.writes().values())
    assert not (ground.directory / "logs").exists()
    assert "would 2   abort the upgrade (stage Idle): " in part(said, "site-0001")
    assert "saw       the cluster has rolled back by itself: Rollback due to" in part(said, "site-0003")
    assert "would 2   roll back" in part(said, "site-0004")
    assert "would 3   finalize the rollback" in part(said, "site-0004")
    assert "would 2   finalize the rollback" in part(said, "site-0005")
    assert "a person must decide" in part(said, "site-0006")
    assert "trigger-reconcile" in part(said, "site-0006")
    assert "so        nothing to do" in part(said, "site-0007")

    run = ground.play("recover")

    assert run.code == 2, run.output
    assert "will  2   abort the upgrade" in part(run, "site-0001")
    wanted = [["Idle"], ["Idle"], ["Idle"], ["Rollback", "Idle"], ["Idle"], [], [], [], []]
    assert [ground.stages(name) for name in _all(ground)] == wanted
    assert archives(ground) == set(names(1, 2, 3, 4, 5, 6))
    assert [ground.version(name) for name in names(1, 2, 3, 4, 5)] == ["4.16.8"] * 5
    assert "site-0006: a person must decide" in run.words
    assert not ground.refusals()

    before = ground.writes()
    again = ground.play("recover", "--limit", "!site-0006")
    assert again.code == 0, again.output
    assert "changed=0" in again.output
    assert ground.writes() == before


@pytest.mark.parametrize(
    ("initial", "trouble"), [("AbortFailed", "abort_failed"), ("FinalizeFailed", "finalize_failed")]
)
def test_cleanups_that_fail_never_again_once_more_twice_and_for_ever(
    prepare: Prepare, initial: str, trouble: str
) -> None:
    left: dict[str, Any] = {"backups_left": {}, "foreign_backups": {}}
    troubles: dict[int, dict[str, Any]] = {
        1: left,
        2: {**left, trouble: {"times": 1, "part": "backups"}},
        3: {**left, trouble: {"times": 9, "part": "backups"}},
        4: {trouble: {"times": 9, "part": "stateroot"}},
        5: {trouble: {"times": 9, "part": "workspace"}},
        6: {trouble: {"times": 1, "part": "requests"}},
        7: {trouble: {"times": 2, "part": "pv"}},
    }
    ground = ready(prepare, [initial] * 7, troubles)

    run = ground.play("recover")

    assert run.code == 2, run.output
    ended = {name: ground.fleet.control.state(name) for name in _all(ground)}
    idle = [name for name, row in ended.items() if row["valid_next_stages"] == ["Prep"]]
    assert idle == names(1, 2, 6)
    assert ended["site-0002"]["velero"]["backups"] == ["acm-klusterlet-b"]
    assert "seen 3 times, asked the Lifecycle Agent 2" in run.words
    assert "removed 2 backups" in run.words
    assert "cleanup of stateroot failed: failed to remove 1 stateroots" in run.words
    assert "sno.image_upgrade.recover_stateroot -l site-0004" in run.words
    assert "/var/lib/lca/workspace" in run.words
    assert not any(ground.stages(name) for name in _all(ground))
    assert archives(ground) == set(_all(ground))


def test_an_outage_of_the_store_that_ends_and_a_bucket_that_is_lost(prepare: Prepare) -> None:
    left: dict[str, Any] = {"backups_left": {}, "foreign_backups": {}}
    troubles = {
        1: {**left, "location_unavailable": {"seconds": 12000}},
        2: {**left, "bucket_lost": {}},
        3: {"backups_left": {"names": ["app-3"]}, "bucket_shared": {}},
        4: {"backups_left": {"names": ["app-4"]}, "bucket_shared": {}},
    }
    troubles[5] = {**left, "bucket_lost": {}}
    initials = ["FinalizeFailed", "AbortFailed", "AbortFailed", "UpgradeCompleted", "FinalizeFailed"]
    ground = ready(prepare, initials, troubles, hub=False)

    said = ground.play("recover", "--check", recover_orphan_data=True)
    assert "backup location dpa-1 is Unavailable" in part(said, "site-0001")
    assert "1 of another cluster stays" in part(said, "site-0001")
    assert "remove the objects of 2 backups (acm-klusterlet, small-app); their data stays" in part(said, "site-0005")
    assert "a finalize waits until the cluster is healthy" in part(said, "site-0005")
    assert not any(ground.writes().values())

    run = ground.play("recover", "--limit", "!site-0002", recover_location_timeout=14)

    assert run.code == 2, run.output
    assert "site-0005  TIMED OUT" in run.output
    assert "NoSuchBucket" in run.words
    assert not ground.writes()["site-0005"]
    assert ground.fleet.control.state("site-0001")["velero"]["backups"] == ["acm-klusterlet-b"]
    assert ground.fleet.control.state("site-0004")["velero"]["backups"] == ["app-4"]
    assert ground.fleet.control.state("site-0004")["bucket"] == ["app-4"]
    assert ground.writes()["site-0004"] == 0

    lost = ground.play("recover", "--limit", "site-0002,site-0005", recover_orphan_data=True, recover_cleanup_timeout=3)
    assert ground.fleet.control.state("site-0002")["valid_next_stages"] == ["Prep"], lost.output
    assert "site-0005  TIMED OUT" in lost.output
    assert "backupStorageLocation dpa-1 not available" in lost.words


def test_what_is_under_way_is_waited_for_and_its_logs_are_saved_before_it_goes_on(prepare: Prepare) -> None:
    initials = ["Aborting", "RollbackInProgress", "Finalizing"]
    ground = ready(prepare, initials, {1: {"abort_failed": {"times": 1, "part": "backups"}}})

    run = ground.play("recover")

    assert run.code == 0, run.output
    assert all(ground.fleet.control.state(name)["valid_next_stages"] == ["Prep"] for name in names(1, 2, 3))
    assert "site-0002" in archives(ground)
    assert ground.stages("site-0002") == ["Idle"]
    assert ground.stages("site-0001") == ground.stages("site-0003") == []


def test_a_cluster_whose_logs_cannot_be_saved_is_left_as_it_is(prepare: Prepare) -> None:
    troubles = {1: {"no_permission": {"verb": "list", "resource": "pods"}}}
    ground = ready(prepare, ["PrepFailed", "PrepFailed"], troubles)

    run = ground.play("recover")
    assert run.code == 2, run.output
    assert (ground.stages("site-0001"), ground.stages("site-0002")) == ([], ["Idle"])
    assert "is not saved" in run.words

    off = ground.play("recover", recover_logs=False)
    assert off.code == 0, off.output
    assert ground.stages("site-0001") == ["Idle"]


def test_the_hubs_labels_and_its_import_follow(prepare: Prepare) -> None:
    labels = {"lcm.openshift.io/ibgu-prep-completed": "", "lcm.openshift.io/ibgu-upgrade-failed": ""}
    extra = {
        "site-0001": {
            "initial": "AutoRolledBack",
            "labels": labels,
            "annotations": {"import.open-cluster-management.io/disable-auto-import": "true"},
        },
        "site-0002": {"initial": "Idle", "labels": labels},
    }
    ground = prepare(scenario(2, clusters_extra=extra, hub=True), **QUICK)
    ground.variables["must_gather_folder"] = str(ground.directory / "logs")

    said = ground.play("recover", "--check")
    assert "bring the hub into line: ibgu-prep-completed removed, ibgu-upgrade-failed removed" in part(
        said, "site-0001"
    )
    assert not ground.writes()["hub"]

    run = ground.play("recover")
    assert run.code == 0, run.output
    done = [entry for entry in ground.fleet.control.journal("hub") if entry["code"] == 200]
    assert done
    writes = ground.writes()["hub"]

    again = ground.play("recover")
    assert again.code == 0, again.output
    assert ground.writes()["hub"] == writes
    assert "bring the hub into line" not in again.output


def test_a_state_that_is_not_known_is_reported_and_left(prepare: Prepare) -> None:
    ground = ready(prepare, ["Idle", "PrepFailed"], {})
    dreaming = {"type": "Idle", "status": "False", "reason": "Dreaming", "message": "of electric sheep"}
    write_status(ground, "site-0001", {"conditions": [{**dreaming, "lastTransitionTime": "2026-11-21T01:00:00Z"}]})

    run = ground.play("recover")

    assert run.code == 2, run.output
    assert "unknown state" in run.words
    assert "file a case" in run.words
    assert "reason Dreaming: of electric sheep" in run.words
    assert "site-0001" in archives(ground)
    assert ground.writes()["site-0001"] == 1, "the test's own"
    assert ground.stages("site-0002") == ["Idle"]


def test_bad_options_are_refused_before_anything(prepare: Prepare) -> None:
    ground = ready(prepare, ["PrepFailed"], {})

    for variables, words in (
        ({"recover_node_access": "telnet"}, "recover_node_access: telnet is not valid"),
        ({"recover_location_timeout": -1}, "location_timeout"),
    ):
        run = ground.play("recover", **variables)
        assert run.code == 2, run.output
        assert words in run.words
    assert not any(ground.writes().values())


@pytest.mark.parametrize("moment", [0, 1, 2, 4])
def test_killed_at_any_moment_the_next_run_converges(prepare: Prepare, moment: int) -> None:
    """Killed after so many writes of the fleet, by a signal that nobody can catch."""
    left = {"backups_left": {}, "finalize_failed": {"times": 1, "part": "backups"}}
    ground = ready(
        prepare,
        ["FinalizeFailed", "UpgradeFailed", "PrepFailed", "AutoRolledBack"],
        {1: left, 2: {"rollback_slow": {}}},
    )

    with ground.start("recover") as run:
        until(
            lambda: sum(ground.writes().values()) >= moment and (moment or "saw " in run.output),
            60,
            f"{moment} writes",
        )
        run.kill(signal.SIGKILL, run.processes())
        run.process.wait()

    again = ground.play("recover", ibu_contact_timeout=20)

    assert again.code == 0, again.output
    assert all(ground.fleet.control.state(name)["valid_next_stages"] == ["Prep"] for name in _all(ground))
    assert all(ground.version(name) == "4.16.8" for name in names(2, 3, 4))
    # Whatever was destroyed was saved before.
    assert set(names(1, 2, 3, 4)) == archives(ground)
    assert not ground.refusals()


@pytest.fixture(name="node")
def fixture_node(tmp_path: Path) -> Iterator[ScratchSysroot]:
    """A node with deployments of a real ostree, which runs the old release and holds the attempt's stateroot."""
    if reason := why_not():
        pytest.skip(reason)
    sysroot = ScratchSysroot(tmp_path / "node")
    sysroot.deploy("rhcos_4.17.3", "4.17.3")
    sysroot.deploy("rhcos", "4.16.8")
    sysroot.boot(0)
    yield sysroot
    sysroot.remove()


def through(node: ScratchSysroot) -> dict[str, str]:
    """The environment in which kubectl leads to this node."""
    return {"PATH": f"{node.stand_in()}{os.pathsep}{os.environ['PATH']}"}


def test_a_stateroot_that_the_agent_cannot_remove_goes_on_the_node_and_the_agent_is_asked_again(
    prepare: Prepare, node: ScratchSysroot
) -> None:
    """Of three clusters one needs its node; its neighbours keep their outcome."""
    troubles = {1: {"abort_failed": {"times": 1, "part": "stateroot"}}}
    ground = ready(prepare, ["AbortFailed", "PrepFailed", "RollbackFailed"], troubles)

    run = ground.play("recover", recover_node_access="debug_pod", env=through(node))

    assert run.code == 2, run.output
    assert node.stateroots() == ["rhcos"]
    state = ground.fleet.control.state
    assert [state(name)["valid_next_stages"] for name in names(1, 2, 3)] == [["Prep"], ["Prep"], []]
    assert "fatal: [site-0003]" in run.output
    assert "fatal: [site-0001]" not in run.output
    assert "fatal: [site-0002]" not in run.output


def test_a_node_that_refuses_leaves_the_cluster_with_the_reason(prepare: Prepare, node: ScratchSysroot) -> None:
    """The cluster says that it runs the old release, and its node runs the new one."""
    node.deploy("rhcos_4.17.3", "4.17.3")
    node.boot(0)
    troubles = {1: {"abort_failed": {"times": 9, "part": "stateroot"}}}
    ground = ready(prepare, ["AbortFailed"], troubles)
    before = node.stateroots()

    run = ground.play("recover", recover_node_access="debug_pod", env=through(node))

    assert run.code == 2, run.output
    assert node.stateroots() == before
    assert "its stateroot could not be removed" in run.words
    assert "booted" in run.words
    assert ground.fleet.control.state("site-0001")["valid_next_stages"] == []


def test_rollback_saves_logs_before_it_leaves_the_new_release(prepare: Prepare) -> None:
    initials = ["UpgradeFailed", "UpgradeCompleted", "AutoRolledBack"]
    ground = ready(prepare, initials, {2: {"unhealthy_after_upgrade": {}}})

    back = ground.play("rollback")
    assert back.code == 0, back.output
    # Nothing is lost of the one that has gone back by itself, as long as it is not finalized.
    assert archives(ground) == set(names(1, 2))
    assert [ground.stages(name) for name in names(1, 2, 3)] == [["Rollback"], ["Rollback"], []]

    idle = ground.play("rollback", "--limit", "site-0001,site-0003", rollback_finalize=True)
    assert idle.code == 0, idle.output
    # Another archive: what was left is seen from the old release now.
    assert len(list((ground.directory / "logs").glob("site-0001-*.tar.gz"))) == 2
    assert archives(ground) == set(names(1, 2, 3))
    assert ground.stages("site-0001") == ["Rollback", "Idle"]


@pytest.mark.parametrize("finalize", [True, False])
def test_an_upgraded_cluster_whose_logs_cannot_be_saved_is_not_rolled_back(prepare: Prepare, finalize: bool) -> None:
    ground = ready(prepare, ["UpgradeCompleted", "UpgradeCompleted"], {1: {"unhealthy_after_upgrade": {}}})
    ground.fleet.control.inject("site-0001", "http_error", {"code": 403, "resource": "pods", "count": None})

    run = ground.play("rollback", rollback_finalize=finalize)
    assert run.code == 2, run.output
    assert "site-0001: its logs could not be saved" in run.words
    assert "accept the loss with must_gather_on_failure=go_on" in run.words
    assert ground.stages("site-0001") == []
    assert archives(ground) == {"site-0002"}
    assert ground.stages("site-0002")[0] == "Rollback"

    lost = ground.play("rollback", "--limit", "site-0001", rollback_finalize=finalize, must_gather_on_failure="go_on")
    assert lost.code == 0, lost.output
    assert ground.stages("site-0001")[0] == "Rollback"
