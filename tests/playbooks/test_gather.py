# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collecting logs: with a stand-in for oc and without one, resumed, limited, masked, and before an abort."""

from __future__ import annotations

import gzip
import json
import os
import signal
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetsim import pods

from .runs import Playground, names, scenario, until

Prepare = Callable[..., Playground]

# What the stand-in collects is a file with a secret, a Secret, and what it was given.
OC = r"""#!/bin/sh
for argument; do case $argument in --dest-dir=*) folder=${argument#*=};; esac; done
echo "$$ $*" >> "$OC_CALLS"
stat -c %a "$KUBECONFIG" >> "$OC_CALLS"
grep -o 'https://[^"]*' "$KUBECONFIG" >> "$OC_CALLS"
mkdir -p "$folder/image-1/namespaces/openshift-adp/secrets" "$folder/image-1/lca-data"
echo "password=MARKER" > "$folder/image-1/lca-data/lca.log"
echo "password=MARKER" | gzip > "$folder/image-1/lca-data/old.log.gz"
echo "kind: Secret MARKER" > "$folder/image-1/namespaces/openshift-adp/secrets/a.yaml"
echo "kind: Secret MARKER" > "$folder/image-1/namespaces/openshift-adp/secrets.yaml"
EXTRA
"""


def stand_in(ground: Playground, extra: str = "true") -> dict[str, str]:
    """A command oc, in front of everything else on the path; what it was called with is in `calls`."""
    folder = ground.directory / "bin"
    folder.mkdir(exist_ok=True)
    path = folder / "oc"
    path.write_text(OC.replace("MARKER", pods.MARKER).replace("EXTRA", extra))
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "OC_CALLS": str(ground.directory / "calls")}


def calls(ground: Playground) -> str:
    path = ground.directory / "calls"
    return path.read_text() if path.exists() else ""


def wanted(ground: Playground, **more: Any) -> dict[str, Any]:
    return {
        "must_gather_folder": str(ground.directory / "logs"),
        "must_gather_least_free": "1M",
        "must_gather_oc": "oc-is-not-here",
        **more,
    }


def with_oc(ground: Playground, **more: Any) -> dict[str, Any]:
    return wanted(ground, must_gather_oc="oc", **more)


def archives(ground: Playground) -> dict[str, list[str]]:
    """The names in every archive, by the host; everything is searched for the marker."""
    found: dict[str, list[str]] = {}
    for path in sorted((ground.directory / "logs").iterdir()):
        assert pods.MARKER.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if path.name.endswith(".tar.gz"):
            manifest = json.loads(path.with_name(path.name.replace(".tar.gz", ".json")).read_text())
            found[manifest["cluster"]] = content(path)
    return found


def content(path: Path) -> list[str]:
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            data = stream.read()
            data = gzip.decompress(data) if member.name.endswith(".gz") else data
            assert pods.MARKER.encode() not in data, member.name
            found.append(member.name.partition("/")[2])
    return found


def text(ground: Playground, host: str, name: str) -> str:
    (path,) = (ground.directory / "logs").glob(f"{host}-*.tar.gz")
    with tarfile.open(path) as archive:
        stream = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/{name}")
        assert stream is not None
        return stream.read().decode()


def left_over(ground: Playground) -> list[str]:
    return [
        path.name for path in (ground.directory / "logs").iterdir() if ".partial" in path.name or "lock" in path.name
    ]


FAILED = {"site-0001": {"initial": "PrepFailed"}, "site-0002": {"initial": "AutoRolledBack"}}


def test_without_oc_it_says_so_and_asks_the_api(prepare: Prepare) -> None:
    ground = prepare(scenario(2, clusters_extra=FAILED))
    done = ground.play("must_gather", **wanted(ground))
    assert done.code == 0, done.output
    assert "oc-is-not-here is not there, so objects and logs are collected through the API" in done.words
    found = archives(ground)
    assert set(found) == set(names(1, 2))
    agent = f"namespaces/openshift-lifecycle-agent/pods/{pods.AGENT_POD}"
    assert {
        "summary.txt",
        "cluster/imagebasedupgrades.lca.openshift.io.yaml",
        "cluster/clusteroperators.config.openshift.io.yaml",
        "cluster/clusterversions.config.openshift.io.yaml",
        "cluster/machineconfigpools.machineconfiguration.openshift.io.yaml",
        "cluster/certificatesigningrequests.certificates.k8s.io.yaml",
        "cluster/nodes.yaml",
        "namespaces/openshift-adp/events.yaml",
        "namespaces/openshift-adp/backupstoragelocations.velero.io.yaml",
        "namespaces/openshift-lifecycle-agent/jobs.batch.yaml",
        f"{agent}/manager.log",
        f"{agent}/manager.previous.log",
    } <= set(found["site-0001"])
    assert "precache job failed to complete" in text(ground, "site-0001", f"{agent}/manager.log")
    assert "state      prep failed" in text(ground, "site-0001", "summary.txt")
    assert ground.touched() == [] and sum(ground.writes().values()) == 0
    assert left_over(ground) == []


def test_the_clusters_own_images_are_run_with_a_private_kubeconfig(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    env = stand_in(ground)
    variables = with_oc(ground, must_gather_images=["lifecycle-agent", "oadp", "cluster"])
    done = ground.play("must_gather", env=env, **variables)
    assert done.code == 0, done.output
    command, mode, url = calls(ground).splitlines()[:3]
    assert "adm must-gather" in command and "--image-stream=openshift/must-gather" in command
    assert "lifecycle-agent-rhel9-operator:v4.17" in command
    assert (mode, url) == ("600", ground.fleet.control.state("site-0001")["url"])
    assert "the cluster names no must-gather image of oadp" in done.words
    found = archives(ground)["site-0001"]
    assert "must-gather/image-1/lca-data/lca.log" in found and "must-gather/image-1/lca-data/old.log.gz" in found
    assert not [name for name in found if "secrets" in name]
    assert text(ground, "site-0001", "must-gather/image-1/lca-data/lca.log") == "password=<masked>\n"


def test_a_second_run_goes_on_where_the_first_was(prepare: Prepare) -> None:
    ground = prepare(scenario(2, clusters_extra=FAILED))
    assert ground.play("must_gather", "-l", "site-0001", **wanted(ground)).code == 0
    before = (ground.directory / "logs").glob("site-0001-*.tar.gz")
    again = ground.play("must_gather", **wanted(ground))
    assert "1 saved, 1 saved before" in again.words
    assert set(archives(ground)) == set(names(1, 2))
    assert list((ground.directory / "logs").glob("site-0001-*.tar.gz")) == list(before) or len(archives(ground)) == 2
    assert "changed=0" in ground.play("must_gather", **wanted(ground)).words
    assert "2 saved" in ground.play("must_gather", **wanted(ground, must_gather_max_age=0)).words


def test_a_disk_that_is_too_full_is_refused(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    done = ground.play("must_gather", **wanted(ground, must_gather_least_free="900000T"))
    assert done.code != 0
    assert "have to stay free: make room, name another folder, or lower least_free" in done.words
    assert list((ground.directory / "logs").iterdir()) == []


def test_what_oc_cannot_finish_is_ended_and_the_api_is_asked(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    grows = 'head -c 3000000 /dev/zero > "$folder/image-1/big"; sleep 600 & sleep 600'
    env = stand_in(ground, grows)
    done = ground.play("must_gather", env=env, **with_oc(ground, must_gather_size_limit="1M"))
    assert done.code == 0, done.output
    assert "oc adm must-gather has collected more than fits" in done.words
    assert "summary.txt" in archives(ground)["site-0001"]
    assert not Path(f"/proc/{calls(ground).split()[0]}").exists()
    assert left_over(ground) == []


def test_only_oc_means_that_a_failure_is_one(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    env = stand_in(ground, "echo 'error: you must be logged in' >&2; exit 3")
    done = ground.play("must_gather", env=env, **with_oc(ground, must_gather_method="oc"))
    assert done.code != 0
    assert "ended with exit status 3: error: you must be logged in" in done.words
    assert left_over(ground) == [] and archives(ground) == {}


def test_a_killed_run_ends_its_tools_and_a_new_one_cleans_up(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    env = stand_in(ground, "sleep 600 & sleep 600")
    for name, value in env.items():
        os.environ[name], env[name] = value, os.environ.get(name, "")
    try:
        with ground.start("must_gather", **with_oc(ground)) as run:
            until(lambda: calls(ground).count("\n") >= 3, 60, "oc runs")
            run.kill(signal.SIGTERM, run.processes()[:1])
            run.wait_until_gone(60)
    finally:
        os.environ.update(env)
    assert not list((ground.directory / "logs").glob("*.tar.gz"))
    assert ground.play("must_gather", **wanted(ground)).code == 0
    assert left_over(ground) == [] and set(archives(ground)) == {"site-0001"}


def test_an_abort_saves_the_logs_of_who_failed_first(prepare: Prepare) -> None:
    ground = prepare(scenario(3, clusters_extra=FAILED))
    done = ground.play("abort", **wanted(ground))
    assert done.code == 0, done.output
    assert set(archives(ground)) == set(names(1, 2))
    assert "Prep failed" in text(ground, "site-0001", "cluster/imagebasedupgrades.lca.openshift.io.yaml")
    assert [ground.stages(name) for name in names(1, 2, 3)] == [["Idle"], ["Idle"], []]


def test_an_abort_can_do_without_logs(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra={"site-0001": FAILED["site-0001"]}))
    done = ground.play("abort", **wanted(ground, must_gather_before_idle=False))
    assert done.code == 0, done.output
    assert ground.stages("site-0001") == ["Idle"]
    assert not (ground.directory / "logs").exists()


@pytest.mark.parametrize("on_failure", ["stop", "go_on"])
def test_who_has_no_logs_is_not_aborted_unless_that_is_accepted(prepare: Prepare, on_failure: str) -> None:
    ground = prepare(scenario(2, clusters_extra=FAILED))
    ground.fleet.control.inject("site-0001", "http_error", {"code": 403, "resource": "pods", "count": None})
    done = ground.play("abort", **wanted(ground, must_gather_on_failure=on_failure))
    assert "site-0001: its logs could not be saved: pods in openshift-lifecycle-agent cannot be read" in done.words
    assert set(archives(ground)) == {"site-0002"}
    assert ground.stages("site-0002") == ["Idle"]
    if on_failure == "stop":
        assert done.code != 0
        assert "accept the loss with must_gather_on_failure=go_on" in done.words
        assert ground.stages("site-0001") == []
    else:
        assert done.code == 0, done.output
        assert "WARNING, must_gather_on_failure is go_on" in done.words
        assert ground.stages("site-0001") == ["Idle"]


def test_what_is_not_saved_in_time_holds_nothing_up(prepare: Prepare) -> None:
    ground = prepare(scenario(3))
    # Two are collected from for ever, and the third waits for its turn.
    env = stand_in(ground, "sleep 600 & sleep 600")
    limit = {"must_gather_time_limit": 3, "must_gather_concurrency": 2}
    done = ground.play("must_gather", env=env, **with_oc(ground, **limit))
    assert done.code != 0
    for name in names(1, 2, 3):
        words = f"{name}: its logs could not be saved: saving all logs may take 3 s, and that time was over"
        assert words in done.words, done.output
    assert left_over(ground) == [] and archives(ground) == {}
    pids = [line.split()[0] for line in calls(ground).splitlines() if " adm must-gather" in line]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    again = ground.play("must_gather", **wanted(ground, must_gather_time_limit=0))
    assert again.code == 0, again.output


def test_who_is_not_saved_in_time_is_taken_back_where_that_is_accepted(prepare: Prepare) -> None:
    ground = prepare(scenario(1, clusters_extra={"site-0001": {"initial": "UpgradeCompleted"}}))
    env = stand_in(ground, "sleep 600")
    limit = {"must_gather_time_limit": 2, "must_gather_on_failure": "go_on"}
    done = ground.play("rollback", env=env, **with_oc(ground, **limit))
    assert done.code == 0, done.output
    assert "WARNING, must_gather_on_failure is go_on: site-0001" in done.words
    assert ground.stages("site-0001") == ["Rollback"]


def test_check_mode_collects_nothing(prepare: Prepare) -> None:
    ground = prepare(scenario(1))
    done = ground.play("must_gather", "--check", **wanted(ground))
    assert done.code == 0, done.output
    assert "1 would collect" in done.words
    assert not (ground.directory / "logs").exists()


def test_many_clusters_in_one_task(prepare: Prepare) -> None:
    ground = prepare(scenario(60))
    done = ground.play("must_gather", **wanted(ground, must_gather_concurrency=30))
    assert done.code == 0, done.output
    assert "Logs of 60 clusters: 60 saved" in done.words
    assert len(archives(ground)) == 60
