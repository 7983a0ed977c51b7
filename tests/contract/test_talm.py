# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client of the hub sees of TALM: on the simulated hub, and on a real API server, with the upstream CRDs too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import managed
from contract.managed import Hub, failing, messages, names, step, until

UPSTREAM = Path(os.environ.get("SNO_UPSTREAM_CRDS") or Path(__file__).resolve().parents[3] / "shared" / "crds")
DISABLE_IMPORT = "import.open-cluster-management.io/disable-auto-import"
NOBODY = "All clusters already compliant with the specified managed policies"


@pytest.fixture(
    scope="module",
    params=["sim", *(pytest.param(kind, marks=pytest.mark.kubeapi) for kind in ("kube", "upstream"))],
    name="hub",
)
def fixture_hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sim":
        with managed.sim(folder) as hub:
            yield hub
        return
    upstream = request.param == "upstream"
    if upstream and not UPSTREAM.is_dir():
        pytest.skip(f"there are no upstream CRDs in {UPSTREAM}; set SNO_UPSTREAM_CRDS to the folder that has them")
    with managed.kube(folder, UPSTREAM if upstream else None) as hub:
        yield hub


def test_a_plan_that_grows_step_by_step(hub: Hub) -> None:
    everyone = names("good")
    name = hub.start("good", step("Prep"), step("Upgrade"))
    hub.done(name)

    assert sorted(hub.cgus(name)) == ["good-prep-0", "good-upgrade-1"]
    assert hub.results(name) == dict.fromkeys(everyone, (["Prep", "Upgrade"], []))
    assert [entry["name"] for entry in hub.status(name)["clusters"]] == everyone
    assert messages(hub.status(name)) == {"Progressing": ("False", "Completed", "All plan steps are completed")}
    assert [hub.labels(one) for one in everyone] == [{"prep-completed", "upgrade-completed"}] * 3
    cgu = hub.cgu("good-upgrade-1")
    assert messages(cgu["status"])["Succeeded"][:2] == ("True", "Completed")
    assert cgu["status"]["remediationPlan"] == [everyone]
    assert {one["name"]: one["state"] for one in cgu["status"]["clusters"]} == dict.fromkeys(everyone, "complete")
    assert cgu["spec"]["clusterLabelSelectors"] == [
        {"matchLabels": {"group": "good", "lcm.openshift.io/ibgu-prep-completed": ""}}
    ]

    hub.append(name, step("FinalizeUpgrade"))
    hub.done(name)
    assert hub.results(name) == dict.fromkeys(everyone, (["Prep", "Upgrade", "FinalizeUpgrade"], []))
    assert [hub.labels(one) for one in everyone] == [set()] * 3
    assert [one for one in everyone if DISABLE_IMPORT in hub.annotations(one)] == []
    assert [work for one in everyone for work in hub.works(one)] == []


def test_a_failure_waits_for_the_time_to_be_over_and_an_abort_takes_only_it(hub: Hub) -> None:
    bad = failing("bad")
    assert bad is not None
    good = [name for name in names("bad") if name != bad]
    name = hub.start("bad", step("Prep", timeout=40))
    until(lambda: [hub.labels(one) for one in good] == [{"prep-completed"}] * 2, lambda: hub.status(name))
    assert messages(hub.status(name))["Progressing"][2] == "Waiting for plan step 0 to be completed"
    (work,) = hub.works(bad)
    ibu = work["status"]["resourceStatus"]["manifests"][-1]
    assert ibu["resourceMeta"]["kind"] == "ImageBasedUpgrade"
    assert hub.labels(bad) == set()
    assert hub.results(name)[bad] == ([], [])

    hub.done(name)
    too_long = ("False", "TimedOut", "Manifestwork rollout took too long")
    assert messages(hub.cgu("bad-prep-0")["status"])["Succeeded"] == too_long
    failed = next(one for one in hub.status(name)["clusters"] if one["name"] == bad)
    assert failed == {"name": bad, "failedActions": [{"action": "Prep", "message": "Prep failed"}]}
    assert hub.labels(bad) == {"prep-failed"}

    hub.append(name, step("AbortOnFailure", timeout=20))
    hub.done(name)
    assert hub.cgu("bad-abortonfailure-1")["status"]["remediationPlan"] == [[bad]]
    assert hub.results(name) == {**dict.fromkeys(good, (["Prep"], [])), bad: (["AbortOnFailure"], ["Prep"])}
    assert (hub.labels(bad), hub.labels(good[0])) == (set(), {"prep-completed"})


def test_a_step_is_successful_although_an_earlier_batch_was_not(hub: Hub) -> None:
    bad = failing("batches")
    assert bad is not None
    name = hub.start("batches", step("Prep", concurrency=2, timeout=40))
    hub.done(name)
    cgu = hub.cgu("batches-prep-0")
    everyone = names("batches")
    assert cgu["status"]["remediationPlan"] == [everyone[:2], everyone[2:]]
    assert messages(cgu["status"])["Succeeded"][:2] == ("True", "Completed")
    assert hub.results(name)[bad] == ([], ["Prep"])
    assert hub.labels(bad) == {"prep-failed"}


def test_a_step_for_nobody_looks_successful(hub: Hub) -> None:
    name = hub.start("again", step("Upgrade"), name="nobody")
    hub.done(name)
    assert messages(hub.cgu("nobody-upgrade-0")["status"])["Succeeded"] == ("True", "Completed", NOBODY)
    assert messages(hub.status(name))["Progressing"] == ("False", "Completed", "All plan steps are completed")
    assert hub.results(name) == {}


def test_deletion_leaves_the_labels(hub: Hub) -> None:
    everyone = names("deleted")
    name = hub.start("deleted", step("Prep"))
    hub.done(name)
    hub.api.delete(f"{managed.IBGUS}/{name}").ok()
    until(lambda: not hub.cgus(name))
    until(lambda: hub.api.get(f"{managed.WORK_SETS}/deleted-prep").status == 404)
    assert [hub.labels(one) for one in everyone] == [{"prep-completed"}] * 2

    again = hub.start("deleted", step("Upgrade"), name="more")
    hub.done(again)
    assert hub.results(again) == dict.fromkeys(everyone, (["Upgrade"], []))


def test_deletion_while_it_runs_takes_the_works_away(hub: Hub) -> None:
    (cluster,) = names("again")
    name = hub.start("again", step("Prep", "Upgrade"))
    until(lambda: hub.works(cluster))
    hub.api.delete(f"{managed.IBGUS}/{name}").ok()
    until(lambda: not hub.works(cluster) and not hub.cgus(name))
