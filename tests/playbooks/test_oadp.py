# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What image-based upgrades leave in OADP goes: one cluster, an outage of many, and after a kill at any moment."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .runs import Playground, Run, Started, names, scenario, until

Prepare = Callable[..., Playground]

FLEET = 40
CLEAN: dict[str, list[str]] = {"backups": [], "restores": [], "deletebackuprequests": []}


def left(numbers: range, **more: Any) -> dict[str, dict[str, Any]]:
    """Troubles of clusters whose cleanup has failed; all of them see one backup of somebody else."""
    return {name: {"backups_left": {}, "foreign_backups": {}, **more} for name in names(*numbers)}


def fleet(count: int, speed: float = 1000, **more: Any) -> dict[str, Any]:
    numbers = range(1, count + 1)
    extra = {name: {"initial": "FinalizeFailed"} for name in names(*numbers)}
    return {**scenario(count, clusters_extra=extra, troubles=left(numbers, **more)), "speed": speed}


def playbook(ground: Playground, tasks: list[dict[str, Any]], **play: Any) -> Path:
    path = ground.directory / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "tasks": tasks, **play}]))
    return path


def role(ground: Playground) -> Path:
    return playbook(ground, [{"ansible.builtin.import_role": {"name": "sno.image_upgrade.recover_oadp"}}])


def velero(ground: Playground, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = ground.fleet.control.state(name)["velero"]
    return found


def check_clean(ground: Playground, clusters: list[str]) -> None:
    """Nothing of their own is left, all of somebody else's is, and no request was one that the API refuses."""
    for name in clusters:
        assert velero(ground, name) == {**CLEAN, "backups": ["acm-klusterlet-b"]}, name
        assert ground.fleet.control.state(name)["bucket"] == ["acm-klusterlet-b"], name
    assert not ground.refusals()


# --- one cluster --------------------------------------------------------------------------------------------------


def test_the_module_on_one_cluster(prepare: Prepare) -> None:
    ground = prepare(fleet(1, pv_policy_left={}))
    tasks = [
        {"sno.image_upgrade.oadp_cleanup": {}, "check_mode": True, "diff": True, "register": "would"},
        {"sno.image_upgrade.oadp_cleanup": {}, "register": "did"},
        {"sno.image_upgrade.oadp_cleanup": {}, "register": "again"},
        {
            "ansible.builtin.assert": {
                "that": [
                    "would is changed and did is changed and again is not changed",
                    "would.removed == did.removed",
                    "did.removed.backups == ['openshift-adp/acm-klusterlet', 'openshift-adp/small-app']",
                    "did.removed.restores == did.removed.backups",
                    "did.others == 1 and did.data_left == []",
                    "would.volumes == ['pv-app'] and did.volumes == ['pv-app']",
                    "did.locations[0].phase == 'Available' and did.locations[0].secret == 'cloud-credentials'",
                    "again.message == 'nothing to clean up; 1 of another cluster stays'",
                ]
            }
        },
    ]
    variables = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    defaults = {"group/sno.image_upgrade.ibu": {"kubeconfig": "{{ ibu_kubeconfig }}"}}
    run = ground.play(playbook(ground, tasks, vars=variables, module_defaults=defaults))

    assert run.code == 0, run.output
    taken = [line for line in run.output.splitlines() if line.startswith("-") and "openshift-adp/small-app" in line]
    assert len(taken) == 2, run.output
    check_clean(ground, names(1))


def test_an_unavailable_location_is_refused_with_the_way_out_and_nothing_is_written(prepare: Prepare) -> None:
    ground = prepare(fleet(2, location_unavailable={}))
    run = ground.play(role(ground), recover_oadp_location_timeout=0)

    assert run.code == 2, run.output
    assert "backup location dpa-1 is Unavailable" in run.words
    assert "connection refused; nothing was deleted" in run.words
    assert "repair Secret cloud-credentials or the object store or DataProtectionApplication dpa" in run.words
    assert "if the bucket is lost for good, with orphan_data=true" in run.words
    assert not any(ground.writes().values())


def test_veleros_errors_reach_the_user_and_the_next_run_succeeds(prepare: Prepare) -> None:
    ground = prepare(fleet(1, delete_fails={"times": 1, "errors": ["AccessDenied: Access Denied"]}))
    failed = ground.play(role(ground))
    assert failed.code == 2, failed.output
    assert "failed with errors: AccessDenied: Access Denied" in failed.words

    assert ground.play(role(ground)).code == 0
    check_clean(ground, names(1))


def test_with_the_bucket_lost_the_data_that_stays_is_named(prepare: Prepare) -> None:
    ground = prepare(fleet(1, bucket_lost={}, restores_left={"leaving": True}))
    tasks = [
        {"ansible.builtin.import_role": {"name": "sno.image_upgrade.recover_oadp"}},
        {"ansible.builtin.debug": {"msg": "{{ left | map(attribute='path') | sort | join(' ') }}"}},
    ]
    variables = {"left": "{{ recover_oadp_result.clusters['site-0001'].data_left }}"}
    run = ground.play(playbook(ground, tasks, vars=variables), recover_oadp_orphan_data=True)
    assert run.code == 0, run.output
    paths = ["backups/acm-klusterlet", "backups/small-app"]
    paths += ["restores/acm-klusterlet", "restores/late", "restores/small-app"]
    assert " ".join(f"backups/velero/{path}" for path in paths) in run.words
    assert velero(ground, "site-0001") == {**CLEAN, "backups": ["acm-klusterlet-b"]}


# --- many ---------------------------------------------------------------------------------------------------------


def test_one_outage_of_many_clusters_is_waited_for_together(prepare: Prepare) -> None:
    # Six real seconds each: one after the other, or by five forks, it would take most of a minute.
    ground = prepare(fleet(FLEET, location_unavailable={"seconds": 6000}))
    clusters = names(*range(1, FLEET + 1))
    ground.fleet.control.inject("site-0002", "refused_from_start")

    run = ground.play(role(ground), "--forks", "1")

    assert run.code == 2, run.output
    check_clean(ground, [name for name in clusters if name != "site-0002"])
    assert "site-0002 UNREACHABLE" in run.words
    assert f"{FLEET - 1} done" in run.words
    again = ground.play(role(ground), "--limit", "!site-0002")
    assert again.code == 0, again.output
    assert "changed=1" not in again.output


def test_a_host_that_is_described_wrongly_does_not_hold_up_the_others(prepare: Prepare) -> None:
    ground = prepare(fleet(3))
    ground.fleet.control.inject("site-0001", "kubeconfig_missing")
    run = ground.play(role(ground))
    assert run.code == 2, run.output
    assert "No such file" in run.words
    check_clean(ground, names(2, 3))


# --- killed -------------------------------------------------------------------------------------------------------

KILLED = names(1, 2, 3)


def waiting(ground: Playground, run: Started) -> bool:
    del ground
    return "waiting for the backup location" in run.output


def asked(ground: Playground, run: Started) -> bool:
    del run
    return any(velero(ground, name)["deletebackuprequests"] for name in KILLED)


def half_way(ground: Playground, run: Started) -> bool:
    del run
    return any("acm-klusterlet" not in velero(ground, name)["backups"] for name in KILLED)


def everything(run: Started) -> list[int]:
    return run.processes()


def main_only(run: Started) -> list[int]:
    return [run.process.pid]


@pytest.mark.parametrize(
    ("moment", "whom", "number"),
    [
        (waiting, everything, signal.SIGKILL),
        (waiting, main_only, signal.SIGTERM),
        (asked, everything, signal.SIGKILL),
        (asked, main_only, signal.SIGKILL),
        (half_way, everything, signal.SIGTERM),
        (half_way, everything, signal.SIGKILL),
    ],
    ids=["waiting-KILL", "waiting-TERM", "asked-KILL", "asked-KILL-main", "half-TERM", "half-KILL"],
)
def test_killed_at_any_moment_and_run_again_it_converges(
    prepare: Prepare,
    moment: Callable[[Playground, Started], bool],
    whom: Callable[[Started], list[int]],
    number: signal.Signals,
) -> None:
    # Two seconds of outage, and Velero takes half a second for a backup.
    ground = prepare(fleet(len(KILLED), speed=4, location_unavailable={"seconds": 40}))
    book = role(ground)
    with ground.start(str(book)) as run:
        until(lambda: moment(ground, run), 60, moment.__name__)
        run.kill(number, whom(run))
        run.wait_until_gone()

    again: Run = ground.play(book)

    assert again.code == 0, again.output
    check_clean(ground, KILLED)
    last = ground.play(book)
    assert (last.code, "changed=1" in last.output) == (0, False)
