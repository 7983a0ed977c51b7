# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cleanup of OADP against a small Velero with a bucket, which two clusters share."""

from __future__ import annotations

import copy
import datetime
import itertools
import pickle
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    BACKUP,
    CLUSTER_ID,
    REQUEST,
    RESTORE,
    UPDATED_POLICY,
    VOLUME,
    Documents,
    Key,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import Policy, Step, Verb
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_drive import OadpDrive
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Refused, Result, State, Unanswered

MINE, OTHER = "11111111-aaaa", "22222222-bbbb"
NS = "openshift-adp"
START = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.timezone.utc)
FINALIZER = "restores.velero.io/external-resources-finalizer"
SYNC_SECONDS = 60.0
DAMAGE = ["error downloading backup: NoSuchKey"]


class Killed(BaseException):
    """The process is gone, as by SIGKILL."""


@dataclass
class World:
    """A cluster with OADP. ``velero`` works, is dead, fails every deletion, or so many times first."""

    velero: str = "works"
    failures: int = 0
    phase: str = "Available"
    back_at: float | None = None
    state: State = State.FINALIZE_FAILED
    die_after: int | None = None
    seconds: float = 0.0
    documents: dict[str, dict[Key, dict[str, Any]]] = field(
        default_factory=lambda: {BACKUP: {}, RESTORE: {}, REQUEST: {}, VOLUME: {}}
    )
    # What lies in the bucket, by name of the Backup: whose it is.
    bucket: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[Step, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    synced: float = 0.0
    reads: int = 0
    uids: Any = field(default_factory=lambda: itertools.count(1))

    # --- making it

    def add(self, kind: str, name: str, owner: str | None = MINE, **more: Any) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": name, "uid": f"u{next(self.uids)}", "creationTimestamp": self.time(-600)}
        if kind != VOLUME:
            meta["namespace"] = NS
        if owner:
            meta["labels"] = {CLUSTER_ID: owner}
        meta |= more.pop("metadata", {})
        document = {"metadata": meta, "spec": more.pop("spec", {}), "status": more}
        self.documents[kind][meta.get("namespace", ""), meta["name"]] = document
        return document

    def backup(self, name: str, owner: str | None = MINE, stored: bool = True, **status: Any) -> None:
        self.add(BACKUP, name, owner, **{"phase": "Completed", **status})
        if stored:
            self.bucket[name] = owner or ""

    def restore(self, name: str, backup: str, **more: Any) -> None:
        self.add(RESTORE, name, None, spec={"backupName": backup}, phase="Completed", **more)

    def request(self, name: str, owner: str | None = MINE, backup: str = "", **status: Any) -> None:
        self.add(REQUEST, name, owner, spec={"backupName": backup or name}, **status)

    def names(self, kind: str) -> set[str]:
        return {name for _namespace, name in self.documents[kind]}

    def time(self, after: float = 0.0) -> str:
        return (START + datetime.timedelta(seconds=self.seconds + after)).isoformat().replace("+00:00", "Z")

    # --- what the drive needs

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds
        self.tick()

    def read(self) -> Documents:
        self.reads += 1
        if self.errors:
            raise self.errors.pop(0)
        listed = {kind: list(found.values()) for kind, found in self.documents.items()}
        # As copy.deepcopy, in a fraction of the time; there are a dozen reads in each of a thousand generated worlds.
        kinds = pickle.loads(pickle.dumps(listed))
        return Documents(
            cluster_id=MINE,
            backups=kinds[BACKUP],
            restores=kinds[RESTORE],
            requests=kinds[REQUEST],
            locations=[self.location()],
            volumes=kinds[VOLUME],
            state=self.state,
            now=self.now(),
        )

    def read_moving(self, before: Documents) -> Documents:
        now = self.read()
        return Documents(**{**vars(before), "requests": now.requests, "locations": now.locations, "now": now.now})

    def do(self, step: Step) -> str | None:
        if self.die_after is not None and len(self.sent) >= self.die_after:
            raise Killed
        self.sent.append((step, self.phase))
        table = self.documents[step.kind]
        if step.verb is Verb.CREATE:
            meta = copy.deepcopy(step.body["metadata"])
            name = meta.pop("name", "") or f"{meta.pop('generateName')}{next(self.uids)}"
            if (meta["namespace"], name) in table:
                raise Unanswered("conflict", "already exists", 409)
            made = {"name": name, **meta}
            self.add(REQUEST, name, None, spec=step.body["spec"], metadata={**made, "creationTimestamp": self.time()})
            return str(table[meta["namespace"], name]["metadata"]["uid"])
        found = table.get(step.key)
        if found is None:
            return None
        if found["metadata"]["uid"] != step.uid:
            raise Unanswered("conflict", "another uid", 409)
        if step.verb is Verb.DELETE:
            self.delete(step.kind, step.key)
        elif step.verb is Verb.RELEASE:
            found["metadata"]["finalizers"] = step.body["metadata"]["finalizers"] or []
            self.delete(step.kind, step.key)
        else:
            found["spec"].update(step.body["spec"])
            del found["metadata"]["annotations"][UPDATED_POLICY]
        return None

    def close(self) -> None:
        """Nothing to drop."""

    # --- what goes on by itself

    def location(self) -> dict[str, Any]:
        status = {"phase": self.phase, "lastSyncedTime": self.time(self.synced - self.seconds), "message": "says S3"}
        spec = {"default": True, "objectStorage": {"bucket": "backups", "prefix": "north"}}
        return {"metadata": {"namespace": NS, "name": "dpa-1"}, "spec": spec, "status": status}

    def delete(self, kind: str, key: Key) -> None:
        found = self.documents[kind].get(key)
        if found and found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = self.time()
        else:
            self.documents[kind].pop(key, None)

    def tick(self) -> None:
        if self.back_at is not None and self.seconds >= self.back_at:
            self.phase = "Available"
        if self.velero == "dead" or self.phase != "Available":
            return
        for key, request in list(self.documents[REQUEST].items()):
            if request["status"].get("phase") != "Processed" and not request["metadata"].get("stuck"):
                self.process(key, request)
        for restore in list(self.documents[RESTORE].values()):
            if restore["metadata"].get("deletionTimestamp"):
                self.documents[RESTORE].pop((NS, restore["metadata"]["name"]), None)
        if self.seconds - self.synced >= SYNC_SECONDS:
            self.sync()

    def process(self, key: Key, request: dict[str, Any]) -> None:
        name = request["spec"]["backupName"]
        backup = self.documents[BACKUP].get((NS, name))
        if backup is None:
            request["status"] = {"phase": "Processed", "errors": ["backup not found"]}
            return
        backup["status"]["phase"] = "Deleting"
        if self.velero == "fails" or self.failures > 0:
            self.failures -= 1
            request["status"] = {"phase": "Processed", "errors": list(DAMAGE)}
            return
        # As Velero does: what lies under the name goes, whoever has put it there.
        self.bucket.pop(name, None)
        for place, restore in list(self.documents[RESTORE].items()):
            if restore["spec"]["backupName"] == name:
                self.documents[RESTORE].pop(place)
        self.documents[BACKUP].pop((NS, name))
        self.documents[REQUEST].pop(key, None)

    def sync(self) -> None:
        self.synced = self.seconds
        for name, owner in self.bucket.items():
            if (NS, name) not in self.documents[BACKUP]:
                self.add(BACKUP, name, owner or None, phase="Completed")


def clean(world: World, check: bool = False, **policy: Any) -> OadpDrive:
    """One run to its end."""
    drive = OadpDrive("site-0001", world, Policy(**policy), clock=world, stop=threading.Event(), check=check)  # type: ignore[arg-type]
    drive.run()
    return drive


def ordinary(**more: Any) -> World:
    """Two backups with their restores here, one of another cluster in the same bucket."""
    world = World(**more)
    for name in ("acm-klusterlet", "small-app"):
        world.backup(name)
        world.restore(name, name)
    world.backup("acm-klusterlet-b", OTHER)
    world.restore("by-hand", "acm-klusterlet-b")
    return world


# --- one by one ---------------------------------------------------------------------------------------------------


def test_velero_deletes_backups_data_and_restores_of_this_cluster_alone() -> None:
    world = ordinary()
    drive = clean(world)

    assert (drive.outcome.result, drive.outcome.changed) == (Result.DONE, True)
    assert [(step.verb, step.kind) for step, _phase in world.sent] == [(Verb.CREATE, REQUEST)] * 2
    assert [step.body["metadata"] for step, _phase in world.sent] == [
        {"name": name, "namespace": NS, "labels": {CLUSTER_ID: MINE}} for name in ("acm-klusterlet", "small-app")
    ]
    assert world.bucket == {"acm-klusterlet-b": OTHER}
    assert world.names(BACKUP) == {"acm-klusterlet-b"}
    assert world.names(RESTORE) == {"by-hand"}
    assert drive.outcome.message == (
        "deleted 2 backups (acm-klusterlet, small-app), 2 restores (acm-klusterlet, small-app); "
        "1 of another cluster stays"
    )
    assert drive.report["removed"]["backups"] == [f"{NS}/acm-klusterlet", f"{NS}/small-app"]

    again = clean(world)
    assert (again.outcome.result, again.outcome.changed) == (Result.DONE, False)
    assert again.outcome.message == "nothing to clean up; 1 of another cluster stays"


def test_check_mode_lists_exactly_what_would_go_and_sends_nothing() -> None:
    world = ordinary()
    drive = clean(world, check=True)

    assert world.sent == []
    assert drive.outcome.changed
    assert drive.outcome.message == (
        "would delete 2 backups (acm-klusterlet, small-app) of this cluster through DeleteBackupRequests; "
        "1 of another cluster stays; would see that 2 restores (acm-klusterlet, small-app) goes with it"
    )
    assert drive.report["removed"] == clean(world).report["removed"]


def test_waits_for_the_location_and_refuses_where_it_does_not_come_back() -> None:
    world = ordinary(phase="Unavailable", back_at=200.0)
    assert clean(world).outcome.result is Result.DONE
    assert world.seconds >= 200

    gone = ordinary(phase="Unavailable")
    drive = clean(gone)
    assert (drive.outcome.result, drive.outcome.changed, gone.sent) == (Result.TIMED_OUT, False, [])
    assert "backup location dpa-1 is Unavailable: says S3; nothing was deleted" in drive.outcome.message
    assert "orphan_data=true" in drive.outcome.next_step
    assert 600 <= gone.seconds < 620
    # Waiting is cheap: the full read is the exception.
    assert gone.reads < 200


def test_with_the_bucket_lost_the_objects_go_and_the_data_is_named() -> None:
    world = ordinary(phase="Unavailable")
    world.restore("late", "small-app", metadata={"finalizers": [FINALIZER]})
    world.restore("later", "small-app", metadata={"finalizers": [FINALIZER], "deletionTimestamp": world.time()})
    drive = clean(world, orphan_data=True)

    assert drive.outcome.result is Result.DONE
    assert world.names(BACKUP) == {"acm-klusterlet-b"}
    assert world.names(RESTORE) == {"by-hand"}
    assert sorted(str(row["path"]) for row in drive.report["data_left"]) == [
        "backups/north/backups/acm-klusterlet",
        "backups/north/backups/small-app",
        "backups/north/restores/acm-klusterlet",
        "backups/north/restores/late",
        "backups/north/restores/later",
        "backups/north/restores/small-app",
    ]
    assert world.seconds < 60


def test_orphan_data_changes_nothing_where_the_bucket_answers() -> None:
    world = ordinary()
    drive = clean(world, orphan_data=True)
    assert {step.verb for step, _phase in world.sent} == {Verb.CREATE}
    assert drive.report["data_left"] == []
    assert world.bucket == {"acm-klusterlet-b": OTHER}


def test_a_location_that_was_not_validated_yet_is_not_lost() -> None:
    world = ordinary(phase="")
    drive = clean(world, orphan_data=True, location_timeout=60)
    assert (drive.outcome.result, world.sent) == (Result.TIMED_OUT, [])


def test_veleros_errors_are_the_failures_words() -> None:
    world = ordinary(velero="fails")
    drive = clean(world)
    assert drive.outcome.result is Result.FAILED
    assert f"failed with errors: {DAMAGE[0]}" in drive.outcome.message
    assert "remove_stuck" not in drive.outcome.next_step
    assert world.names(BACKUP) == {"acm-klusterlet", "small-app", "acm-klusterlet-b"}

    # Now Velero had both in hand before the run began.
    again = clean(world)
    assert "backup acm-klusterlet hangs in phase Deleting" in again.outcome.message
    assert "remove_stuck=true" in again.outcome.next_step


def test_an_earlier_failure_is_tried_again() -> None:
    world = ordinary()
    world.request("small-app", phase="Processed", errors=["error getting backup store"])
    drive = clean(world)
    assert drive.outcome.result is Result.DONE
    assert Verb.DELETE in {step.verb for step, _phase in world.sent}
    assert world.names(REQUEST) == set()


def test_a_request_that_hangs_is_removed_on_explicit_word_only() -> None:
    world = ordinary()
    world.request("small-app", phase="InProgress", metadata={"stuck": True})
    refused = clean(world)
    assert refused.outcome.result is Result.TIMED_OUT
    assert "DeleteBackupRequest small-app hangs: InProgress for" in refused.outcome.message
    assert "small-app" in world.bucket and "acm-klusterlet" not in world.bucket

    drive = clean(world, remove_stuck=True)
    assert drive.outcome.result is Result.DONE
    assert world.bucket == {"acm-klusterlet-b": OTHER}


def test_a_backup_that_hangs_in_deleting_goes_alone_on_explicit_word_and_is_watched() -> None:
    world = World(velero="fails")
    world.backup("small-app", stored=False, phase="Deleting")
    world.restore("small-app", "small-app")
    drive = clean(world, remove_stuck=True)

    assert drive.outcome.result is Result.DONE, drive.outcome.message
    assert world.names(BACKUP) | world.names(RESTORE) | world.names(REQUEST) == set()
    assert world.seconds > SYNC_SECONDS


def test_a_backup_that_comes_back_from_the_bucket_is_a_failure() -> None:
    world = World(velero="fails")
    world.backup("small-app", phase="Deleting")
    drive = clean(world, remove_stuck=True)
    assert drive.outcome.result is Result.FAILED
    assert "came back" in drive.outcome.message


def test_the_name_of_another_clusters_data_is_not_deleted_through_velero() -> None:
    world = World()
    world.backup("acm-klusterlet", MINE, False, phase="Failed", failureReason="backup already exists in object storage")
    world.bucket["acm-klusterlet"] = OTHER
    drive = clean(world)
    assert drive.outcome.result is Result.DONE
    assert world.bucket == {"acm-klusterlet": OTHER}


@pytest.mark.parametrize(
    "state", [State.UPGRADE_POST_PIVOT, State.UPGRADE_COMPLETED, State.FINALIZING, State.ROLLED_BACK], ids=str
)
def test_refused_while_the_agent_may_need_the_backups_or_deletes_them_itself(state: State) -> None:
    world = ordinary(state=state)
    drive = clean(world)
    assert (drive.outcome.result, world.sent) == (Result.REFUSED, [])
    assert clean(World(state=state)).outcome.result is Result.DONE


def test_reclaim_policies_go_back_last_and_only_where_the_contents_are_safe() -> None:
    world = ordinary()
    for name, phase in (("pv-app", "Bound"), ("pv-old", "Released")):
        notes = {"annotations": {UPDATED_POLICY: "true"}}
        world.add(VOLUME, name, None, metadata=notes, spec={"persistentVolumeReclaimPolicy": "Retain"}, phase=phase)
    drive = clean(world)
    assert drive.report["volumes"] == ["pv-app"]
    assert world.sent[-1][0].verb is Verb.RECLAIM
    policies = [doc["spec"]["persistentVolumeReclaimPolicy"] for doc in world.documents[VOLUME].values()]
    assert policies == ["Delete", "Retain"]
    assert "pv-old keeps reclaim policy Retain" in drive.outcome.notes[0]
    assert not clean(world).outcome.changed


def test_a_short_silence_is_waited_out_and_a_long_one_is_not() -> None:
    world = ordinary()
    world.errors = [Unanswered("connect", "refused")] * 3
    assert clean(world).outcome.result is Result.DONE
    world = ordinary()
    world.errors = [Unanswered("connect", "refused")] * 500
    assert clean(world).outcome.result is Result.UNREACHABLE


def test_missing_rights_are_said_at_once() -> None:
    world = ordinary()
    world.errors = [Unanswered("rights", "backups.velero.io is forbidden", 403)]
    drive = clean(world)
    assert (drive.outcome.result, world.seconds) == (Result.UNREACHABLE, 0)
    assert "docs/rbac" in drive.outcome.next_step


def test_an_object_that_does_not_go_is_not_deleted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ordinary(phase="Unavailable")
    monkeypatch.setattr(World, "delete", lambda *_: None)
    drive = clean(world, orphan_data=True)
    assert drive.outcome.result is Result.FAILED
    assert "5 times without effect" in drive.outcome.message


def test_a_refusal_of_the_api_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_world: World, _step: Step) -> None:
        raise Refused("admission webhook says no", 422)

    monkeypatch.setattr(World, "do", refuse)
    drive = clean(ordinary())
    assert drive.outcome.result is Result.FAILED
    assert "admission webhook says no" in drive.outcome.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unanswered("http", "failed calling webhook", 500), "failed calling webhook"),
        (Unanswered("conflict", "the object has been modified", 409), "has been modified"),
    ],
    ids=["webhook", "conflict"],
)
def test_an_api_that_can_be_read_but_takes_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, error: Unanswered, words: str
) -> None:
    tries: list[float] = []

    def fail(world: World, _step: Step) -> None:
        tries.append(world.seconds)
        assert world.seconds < 1000, "it would try for ever"
        # Even a request that fails takes its time.
        world.seconds += 0.01
        raise error

    monkeypatch.setattr(World, "do", fail)

    drive = clean(ordinary())

    assert drive.outcome.result is Result.FAILED
    assert words in drive.outcome.message and "for 6" in drive.outcome.message
    assert "run again" in drive.outcome.next_step
    assert 60 <= tries[-1] < 80 and len(tries) < 80


# --- generated ----------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
OWNERS = st.sampled_from([MINE, MINE, OTHER, None])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any mixture of what two clusters and their people have left."""
    world = World(phase=draw(st.sampled_from(["Available", "Available", "Unavailable", ""])))
    world.back_at = draw(st.sampled_from([None, 30.0, 5000.0]))
    world.velero = draw(st.sampled_from(["works", "works", "works", "fails", "dead"]))
    world.failures = draw(st.integers(0, 2))
    for name in draw(st.sets(st.sampled_from(NAMES))):
        owner = draw(OWNERS)
        clash = owner == MINE and draw(st.integers(0, 4)) == 0
        if clash:
            world.backup(name, owner, False, phase="Failed", failureReason="backup already exists in object storage")
            world.bucket[name] = OTHER
        else:
            world.backup(name, owner, phase=draw(st.sampled_from(["Completed", "PartiallyFailed", "Deleting"])))
    for number, backup in enumerate(draw(st.lists(st.sampled_from(NAMES), max_size=4))):
        metadata = {"finalizers": [FINALIZER]} if draw(st.booleans()) else {}
        if metadata and draw(st.booleans()):
            metadata["deletionTimestamp"] = world.time()  # type: ignore[assignment]
        world.restore(f"r{number}", backup, metadata=metadata)
    for number, name in enumerate(draw(st.lists(st.sampled_from(NAMES), max_size=3))):
        owner = draw(OWNERS)
        backup = world.documents[BACKUP].get((NS, name))
        if backup and owner == MINE and backup["metadata"].get("labels", {}).get(CLUSTER_ID) != MINE:
            # Nobody makes a request of this cluster for another one's backup; Velero would act on it by itself.
            continue
        clash = backup is not None and backup["status"]["phase"] == "Failed"
        status = draw(st.sampled_from([{}, {"phase": "InProgress"}, {"phase": "Processed", "errors": ["no"]}]))
        if clash or owner != MINE:
            status = {"phase": "Processed", "errors": ["no"]}
        called = draw(st.sampled_from([name, f"{name}-{number}"]))
        world.request(called, owner, name, **status, metadata={"stuck": draw(st.booleans())})
    return world


POLICIES = st.fixed_dictionaries({"remove_stuck": st.booleans(), "orphan_data": st.booleans()})


def owner_of(document: dict[str, Any]) -> str | None:
    found: str | None = document["metadata"].get("labels", {}).get(CLUSTER_ID)
    return found


def foreign(world: World) -> dict[str, Any]:
    """Everything that is not this cluster's: objects, and data in the bucket."""
    backups = {key for key, doc in world.documents[BACKUP].items() if owner_of(doc) != MINE}
    requests = {key for key, doc in world.documents[REQUEST].items() if owner_of(doc) != MINE}
    restores = {key for key, doc in world.documents[RESTORE].items() if (NS, doc["spec"]["backupName"]) in backups}
    data = {name for name, owner in world.bucket.items() if owner != MINE}
    return {"backups": backups, "requests": requests, "restores": restores, "data": data}


def is_clean(world: World) -> bool:
    labelled = [*world.documents[BACKUP].values(), *world.documents[REQUEST].values()]
    return not any(owner_of(doc) == MINE for doc in labelled)


@given(worlds(), POLICIES)
def test_never_anything_of_another_cluster(world: World, policy: dict[str, bool]) -> None:
    before = foreign(world)
    drive = clean(world, **policy)
    after = foreign(world)

    assert all(before[kind] <= after[kind] for kind in before if kind != "restores"), drive.outcome
    # Velero itself lets go of a restore that somebody has deleted.
    touched = {step.key for step, _phase in world.sent if step.kind == RESTORE}
    assert not (before["restores"] - after["restores"]) & touched
    deleted = {step.key for step, _phase in world.sent if step.kind == BACKUP}
    assert not deleted & before["backups"]


@given(worlds(), POLICIES)
def test_nothing_is_written_while_the_location_is_not_available(world: World, policy: dict[str, bool]) -> None:
    drive = clean(world, **policy)
    for _step, phase in world.sent:
        assert phase == "Available" or (policy["orphan_data"] and phase == "Unavailable"), drive.outcome


@given(worlds(), POLICIES)
def test_check_mode_writes_nothing(world: World, policy: dict[str, bool]) -> None:
    clean(world, check=True, **policy)
    assert world.sent == []


@given(worlds())
def test_without_a_word_no_object_with_data_goes_alone_and_nothing_is_let_go_by_force(world: World) -> None:
    stored = {doc["metadata"]["uid"] for (_ns, name), doc in world.documents[BACKUP].items() if name in world.bucket}
    clashing = {
        doc["metadata"]["uid"] for doc in world.documents[BACKUP].values() if doc["status"]["phase"] == "Failed"
    }
    clean(world)
    assert not {step.uid for step, _phase in world.sent if step.verb is Verb.DELETE} & (stored - clashing)
    assert not [step for step, _phase in world.sent if step.verb is Verb.RELEASE]


@given(worlds(), st.lists(st.integers(0, 4), max_size=6))
def test_killed_after_any_step_and_run_again_it_converges(world: World, deaths: list[int]) -> None:
    world.velero = "works"
    world.phase = world.phase or "Available"
    before = foreign(world)
    own = {key for key, doc in world.documents[BACKUP].items() if owner_of(doc) == MINE}
    restores = {key for key, doc in world.documents[RESTORE].items() if (NS, doc["spec"]["backupName"]) in own}
    policy = {"remove_stuck": True, "orphan_data": True}
    for steps in deaths:
        world.die_after = len(world.sent) + steps
        try:
            clean(world, **policy)
        except Killed:
            world.wait(threading.Event(), 1.0)
    world.die_after = None
    drive = clean(world, **policy)
    for _attempt in range(3):
        # Velero itself may fail a few times first, and a backup come back meanwhile.
        if drive.outcome.result is Result.FAILED:
            drive = clean(world, **policy)

    assert drive.outcome.result is Result.DONE, drive.outcome
    assert is_clean(world)
    assert not restores & set(world.documents[RESTORE])
    assert all(before[kind] <= foreign(world)[kind] for kind in ("backups", "requests", "data"))
    assert not clean(world, **policy).outcome.changed
