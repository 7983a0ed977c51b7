# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dispatch of recover: every recorded situation and every row of the table has one way."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup_parts import Failure, Part, failed_parts
from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import BACKUP, Item, Location, Mine
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._recover import (
    Do,
    Way,
    Wishes,
    leftover_stateroot,
    recover,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State

SITUATIONS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "fixtures" / "situations.yml").read_text(encoding="utf-8")
)
MANUAL = "Perform cleanup manually then add 'lca.openshift.io/manual-cleanup-done' annotation to ibu CR to transition"
BACKUPS = f"failed to cleanup backups: failed to delete backups: context deadline exceeded {MANUAL}"
STATEROOT = f"failed to clean up host stateroot resources: failed to remove 1 stateroots {MANUAL}"
NOW = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.timezone.utc)
SPEC = {"seedImageRef": {"version": "4.17.3-rc.1", "image": "registry.example.com/seed:4.17.3"}}
LABELS = Correction("the cluster is idle", remove=("lcm.openshift.io/ibgu-upgrade-failed",))
HUB = Do.LABELS

# The table: the way, and the steps in their order.
TABLE: dict[State, tuple[Way, list[Do]]] = {
    State.ABSENT: (Way.PERSON, []),
    State.NO_STATUS: (Way.RECOVER, [Do.WAIT, HUB]),
    State.PENDING: (Way.RECOVER, [Do.WAIT, HUB]),
    State.BLOCKED: (Way.RECOVER, [Do.WAIT, HUB]),
    State.INVALID_TRANSITION: (Way.PERSON, [Do.LOGS]),
    State.IDLE: (Way.RECOVER, [HUB]),
    State.ABORTING: (Way.RECOVER, [Do.WAIT, HUB]),
    State.FINALIZING: (Way.RECOVER, [Do.WAIT, HUB]),
    State.ABORT_FAILED: (Way.RECOVER, [Do.LOGS, Do.RETRY, HUB]),
    State.FINALIZE_FAILED: (Way.RECOVER, [Do.LOGS, Do.RETRY, HUB]),
    State.PREP_RUNNING: (Way.NOTHING, []),
    State.PREP_FAILED: (Way.RECOVER, [Do.LOGS, Do.ABORT, HUB]),
    State.PREP_COMPLETED: (Way.NOTHING, []),
    State.UPGRADE_PRE_PIVOT: (Way.NOTHING, []),
    State.UPGRADE_POST_PIVOT: (Way.NOTHING, []),
    State.UPGRADE_FAILED_PRE_PIVOT: (Way.RECOVER, [Do.LOGS, Do.ABORT, HUB]),
    State.UPGRADE_FAILED_POST_PIVOT: (Way.RECOVER, [Do.LOGS, Do.ROLLBACK, Do.FINALIZE, HUB]),
    State.ROLLED_BACK: (Way.RECOVER, [Do.LOGS, Do.ABORT, HUB]),
    State.UPGRADE_COMPLETED: (Way.NOTHING, []),
    State.ROLLBACK_RUNNING: (Way.RECOVER, [Do.WAIT, Do.LOGS, Do.FINALIZE, HUB]),
    State.ROLLBACK_FAILED: (Way.PERSON, [Do.LOGS]),
    State.ROLLBACK_COMPLETED: (Way.RECOVER, [Do.LOGS, Do.FINALIZE, HUB]),
    State.UNKNOWN: (Way.UNKNOWN, [Do.LOGS]),
}


def at(state: State, message: str = "", **more: Any) -> Observed:
    return Observed(state, stage="Idle", version="4.16.8", message=message, spec=SPEC, now=NOW, **more)


def situation(name: str) -> Observed:
    """A recorded one, as its document is read."""
    given_ = SITUATIONS[name]
    generation = given_.get("generation", 3)
    document: dict[str, Any] = {
        "metadata": {"name": "upgrade", "uid": "a", "generation": generation},
        "spec": given_.get("spec", {**SPEC, "stage": given_.get("stage")}),
    }
    if "conditions" in given_:
        document["status"] = {
            "observedGeneration": given_.get("observed", generation),
            "validNextStages": given_.get("next", []),
            "history": given_.get("history", []),
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, (status, reason, message) in given_["conditions"].items()
            ],
        }
    return observe(document, given_["version"], NOW)


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_recorded_situation_goes_the_way_of_its_row(name: str) -> None:
    seen = situation(name)

    found = recover(seen, Wishes(), labels=LABELS)

    way, steps = TABLE[seen.state]
    assert found.way is way
    assert [step.do for step in found.steps if not step.fallback] == steps
    assert found.saw
    if found.way in (Way.PERSON, Way.UNKNOWN):
        assert found.advice
    assert all(step.text and step.why for step in found.steps)


def test_every_row_of_the_table_is_there_and_has_a_recorded_situation() -> None:
    assert set(TABLE) == set(State)
    # Of an object that is not there nothing can be recorded.
    assert {situation(name).state for name in SITUATIONS} | {State.ABSENT} == set(State)


TEXT = st.text(max_size=40) | st.sampled_from([BACKUPS, STATEROOT, "Rollback due to something", "IPC is not idle"])


@given(
    state=st.sampled_from(State),
    message=TEXT,
    reason=st.text(max_size=8),
    version=st.none() | st.sampled_from(["4.16.8", "4.17.3-rc.1"]),
    spec=st.sampled_from([SPEC, {}, {"seedImageRef": {}}]),
    until=st.none() | st.sampled_from([NOW - datetime.timedelta(hours=1), NOW + datetime.timedelta(hours=1)]),
    wishes=st.builds(Wishes, logs=st.booleans(), orphan_data=st.booleans(), finalize_rollback=st.booleans()),
    mine=st.none() | st.just(Mine()),
    labels=st.none() | st.just(LABELS),
)
def test_the_dispatch_is_total_and_never_guesses(
    state: State,
    message: str,
    reason: str,
    version: str | None,
    spec: dict[str, Any],
    until: datetime.datetime | None,
    wishes: Wishes,
    mine: Mine | None,
    labels: Correction | None,
) -> None:
    seen = Observed(state, version=version, message=message, reason=reason, spec=spec, rollback_until=until, now=NOW)

    found = recover(seen, wishes, mine, labels)

    acting = {step.do for step in found.steps} - {Do.LOGS}
    assert found.saw
    assert bool(acting) == (found.way is Way.RECOVER)
    assert not found.wants_logs or wishes.logs
    # The back door is a word for people, and never a step.
    assert not any("trigger-reconcile" in step.text + step.means for step in found.steps)
    if state is State.UNKNOWN:
        assert found.way is Way.UNKNOWN
    # Nothing that goes Idle after a failure comes before the logs.
    order = [step.do for step in found.steps]
    if wishes.logs and acting & {Do.ABORT, Do.RETRY, Do.FINALIZE}:
        assert order.index(Do.LOGS) < min(order.index(do) for do in acting & {Do.ABORT, Do.RETRY, Do.FINALIZE})


def test_logs_can_be_switched_off() -> None:
    assert not recover(at(State.PREP_FAILED), Wishes(logs=False)).wants_logs
    assert recover(at(State.PREP_FAILED)).wants_logs


def test_a_person_decides_about_a_failed_rollback_and_is_offered_the_back_door() -> None:
    found = recover(at(State.ROLLBACK_FAILED, "failed to set default deployment: exit status 1"))

    assert found.way is Way.PERSON
    assert "failed to set default deployment" in found.saw[0]
    assert "trigger-reconcile" in found.advice


def test_a_rollback_after_the_expiration_is_a_persons_word() -> None:
    late = at(State.UPGRADE_FAILED_POST_PIVOT, "x", rollback_until=NOW - datetime.timedelta(days=1))

    assert recover(late).way is Way.PERSON
    assert "CertificateSigningRequests" in recover(late).advice
    assert "recover_rollback_after_expiration" in recover(late).advice
    assert recover(late, Wishes(rollback_after_expiration=True)).first is Do.ROLLBACK


def test_an_unknown_state_says_everything_that_a_case_needs() -> None:
    seen = Observed(
        State.UNKNOWN, stage="Idle", version="4.16.8", reason="Dreaming", message="zzz", valid_next=("Prep",)
    )

    found = recover(seen)

    words = " ".join(found.saw)
    assert all(word in words for word in ("Dreaming", "zzz", "4.16.8", "Prep"))
    assert "file a case" in found.advice


@pytest.mark.parametrize(
    ("spec", "seen"), [({"seedImageRef": {"version": "4.17.3"}}, "the seed is 4.17.3"), ({}, "no seed is set")]
)
def test_an_unknown_state_is_told_with_its_seed_or_without(spec: dict[str, Any], seen: str) -> None:
    found = recover(Observed(State.UNKNOWN, stage="Idle", version="4.16.8", spec=spec))
    assert f"it runs 4.16.8, {seen}; it allows: none" in found.saw


# --- cleanup failures ---------------------------------------------------------------------------------------------

UNAVAILABLE = Location(("openshift-adp", "dpa-1"), phase="Unavailable", message="connection refused")


def leftovers(location: Location = UNAVAILABLE) -> Mine:
    names = ("acm-klusterlet", "small-app")
    backups = tuple(
        Item(BACKUP, ("openshift-adp", name), name, location=location.key, backup=("", name)) for name in names
    )
    backups = tuple(dataclasses.replace(item, backup=item.key) for item in backups)
    return Mine(backups=backups, locations={location.key: location}, others=3)


def test_a_failed_cleanup_of_backups_waits_for_the_store_asks_and_then_deletes() -> None:
    found = recover(at(State.FINALIZE_FAILED, BACKUPS), Wishes(), leftovers(), LABELS)

    assert [step.do for step in found.steps] == [Do.LOGS, Do.LOCATION, Do.RETRY, Do.OADP, Do.LABELS]
    assert found.saw[0] == "cleanup of OADP backups failed: failed to delete backups: context deadline exceeded"
    assert found.saw[1] == "backup location dpa-1 is Unavailable: connection refused"
    texts = [step.text for step in found.steps]
    assert texts[1] == "wait up to 10 min for the backup location"
    assert texts[3].startswith("if that fails: delete 2 backups (acm-klusterlet, small-app) of this cluster")
    assert "3 of other clusters stay" in texts[3]
    assert "ibgu-upgrade-failed removed" in texts[4]


def test_no_wait_where_the_store_answers_or_is_given_up() -> None:
    there = dataclasses.replace(UNAVAILABLE, phase="Available")

    answers = recover(at(State.ABORT_FAILED, BACKUPS), Wishes(), leftovers(there))
    given_up = recover(at(State.ABORT_FAILED, BACKUPS), Wishes(orphan_data=True), leftovers())

    assert [step.do for step in answers.steps] == [Do.LOGS, Do.RETRY, Do.OADP]
    assert [step.do for step in given_up.steps] == [Do.LOGS, Do.OADP, Do.RETRY]
    assert "their data stays in the bucket" in given_up.steps[1].text


def test_a_finalize_without_its_bucket_says_that_it_will_wait_for_health() -> None:
    words = "which takes every backup location to be Available"
    wishes = Wishes(orphan_data=True)

    assert any(words in saw for saw in recover(at(State.FINALIZE_FAILED, BACKUPS), wishes, leftovers()).saw)
    assert not any(words in saw for saw in recover(at(State.ABORT_FAILED, BACKUPS), wishes, leftovers()).saw)


def test_a_stateroot_is_named_with_the_exact_command_unless_there_is_access_to_the_node() -> None:
    seen = at(State.ABORT_FAILED, STATEROOT)

    (by_person,) = [step for step in recover(seen).steps if step.do is Do.STATEROOT]
    (by_us,) = [step for step in recover(seen, Wishes(node_access=True)).steps if step.do is Do.STATEROOT]

    assert "recover_stateroot_name=rhcos_4.17.3_rc.1" in by_person.text
    assert "a person does" not in by_us.text
    assert "rhcos_4.17.3_rc.1" in by_us.text


def test_only_the_node_knows_which_stateroot_an_upgraded_cluster_has_left() -> None:
    upgraded = dataclasses.replace(at(State.FINALIZE_FAILED, STATEROOT), version="4.17.3-rc.1")

    assert leftover_stateroot(upgraded) == ""
    assert leftover_stateroot(at(State.FINALIZE_FAILED, STATEROOT)) == "rhcos_4.17.3_rc.1"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (BACKUPS, [Part.BACKUPS]),
        (
            f"failed to cleanup DeleteBackupRequest CRs: failed to delete DeleteBackupRequest CR a: x {MANUAL}",
            [Part.REQUESTS],
        ),
        (f"failed to cleanup cluster stateroot resources: timed out {MANUAL}", [Part.STATEROOT_JOB]),
        (STATEROOT, [Part.STATEROOT]),
        (f"failed to job: forbidden {MANUAL}", [Part.PRECACHE]),
        (f"failed to update annotations: x {MANUAL}", [Part.ANNOTATION]),
        (
            "failed to restore persistentVolumeReclaimPolicy in PVs created by LVMS: failed to update PersistentVolume",
            [Part.VOLUMES],
        ),
        (f"removing /var/lib/lca/workspace failed: busy {MANUAL}", [Part.WORKSPACE]),
        # What older releases wrote, and what nobody knows.
        (f"failed to delete all the backup CRs. {MANUAL}", [Part.BACKUPS]),
        (f"could not reach Backup storage {MANUAL}", [Part.BACKUPS]),
        (f"the moon is in the wrong phase {MANUAL}", [Part.UNKNOWN]),
        ("", [Part.UNKNOWN]),
        (
            "failed to clean up host stateroot resources: failed to remove 1 stateroots failed to cleanup backups: "
            f"failed to delete backups: x removing /var/lib/lca/workspace failed: y {MANUAL}",
            [Part.STATEROOT, Part.BACKUPS, Part.WORKSPACE],
        ),
    ],
)
def test_the_message_says_which_parts_failed(words: str, parts: list[Part]) -> None:
    found = failed_parts(words)

    assert [failure.part for failure in found] == parts
    assert not any("Perform cleanup" in failure.why for failure in found)


def test_each_part_keeps_its_own_words() -> None:
    assert failed_parts(STATEROOT) == (Failure(Part.STATEROOT, "failed to remove 1 stateroots"),)


@given(st.text(max_size=200))
def test_any_words_name_at_least_one_part(words: str) -> None:
    found = failed_parts(words)

    assert found
    assert all(failure.why for failure in found)


# --- beside a group upgrade ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(TABLE))
def test_while_a_group_upgrade_works_on_it_nothing_is_done(state: State) -> None:
    alone, found = recover(at(state), labels=LABELS), recover(at(state), labels=LABELS, busy="ibu/north")

    if alone.first is None:
        assert found == alone
        return
    assert "the group upgrade ibu/north still works on it" in "; ".join(found.saw)
    assert "oc -n ibu delete imagebasedgroupupgrades north" in found.advice
    if "fail" in state or state is State.ROLLED_BACK:
        assert (found.way, found.first) == (Way.RECOVER, Do.LEAVE)
        # The logs are lost once the hub asks for Idle; what comes afterwards is said all the same.
        assert [step.do for step in found.steps if step.do is not Do.LEAVE] == [step.do for step in alone.steps]
        assert found.wants_logs
    else:
        assert (found.way, found.first, found.steps) == (Way.NOTHING, None, ())
