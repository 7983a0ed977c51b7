# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of one cluster as playbooks get it."""

from __future__ import annotations

import datetime
import json

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._info import status_of, status_of_silent
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, Progress, StageTiming, State

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
LATER = NOON + datetime.timedelta(seconds=90)
WARNING = "extra-manifest.lca.openshift.io/validation-warning"


def test_everything_that_is_known() -> None:
    observed = Observed(
        State.UPGRADE_COMPLETED,
        stage="Upgrade",
        version="4.17.3",
        reason="Completed",
        message="Upgrade completed",
        since=NOON,
        valid_next=("Idle", "Rollback"),
        spec={"seedImageRef": {"version": "4.17.3"}},
        annotations={WARNING: "CRD not deployed"},
        rollback_until=datetime.datetime(2026, 12, 20, 14, 1, tzinfo=datetime.timezone.utc),
        history=(StageTiming("Prep", NOON, 250.0, {"Stateroot": 190.0, "Precache": None}),),
        progress=Progress(phase="PostPivot", health=("a", "b"), message="m"),
        now=LATER,
    )

    found = status_of("site-0001", observed)

    assert found == {
        "cluster": "site-0001",
        "version": "4.17.3",
        "target_version": "4.17.3",
        "stage": "Upgrade",
        "state": "upgraded",
        "reason": "Completed",
        "message": "Upgrade completed",
        "since": "2026-11-21T12:00:00Z",
        "since_seconds": 90.0,
        "valid_next_stages": ["Idle", "Rollback"],
        "progress": {
            "phase": "PostPivot",
            "job": None,
            "total": None,
            "pulled": None,
            "failed": None,
            "health": ["a", "b"],
            "message": "m",
        },
        "blocking_health_checks": ["a", "b"],
        "rollback_until": "2026-12-20T14:01:00Z",
        "validation_warning": "CRD not deployed",
        "history": [
            {
                "stage": "Prep",
                "started": "2026-11-21T12:00:00Z",
                "seconds": 250.0,
                "phases": {"Stateroot": 190.0, "Precache": None},
            }
        ],
        "next_step": "ansible-playbook sno.image_upgrade.finalize -l site-0001",
        "detail": "roll back until 2026-12-20 14:01",
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_can_be_shown(state: State) -> None:
    found = status_of("site-0001", Observed(state, message="words"))

    json.dumps(found)
    assert found["state"] == str(state)
    assert (found["next_step"] == "") is (state in (State.IDLE, State.PREP_COMPLETED, State.ROLLBACK_COMPLETED))
    assert "{" not in found["next_step"]
    assert found["detail"] == ("" if state is State.IDLE else "words")
    assert found["since_seconds"] is None and found["rollback_until"] is None


def test_a_clock_that_goes_wrong_makes_no_negative_age() -> None:
    assert status_of("a", Observed(State.IDLE, since=LATER, now=NOON))["since_seconds"] == 0.0


def test_a_silent_cluster_has_the_same_keys() -> None:
    silent = status_of_silent("site-0002", "connection refused")

    assert silent.keys() == status_of("site-0002", Observed(State.IDLE)).keys()
    assert (silent["cluster"], silent["state"], silent["detail"], silent["next_step"]) == (
        "site-0002",
        "no answer",
        "connection refused",
        "",
    )
