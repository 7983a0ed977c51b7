# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What to do next about the Backups that a cluster has left behind: values in, values out. No I/O, no clock.

A Backup goes through a DeleteBackupRequest: Velero then takes the data out of the bucket, the Restores and the Backup
away. A Backup object that is deleted alone comes back from the bucket. So objects are deleted alone only where there is
nothing behind them, where the bucket is lost for good, or where Velero has failed on them; always the Restores first,
the Backup next and the requests last, because what is left must still say whose it is when a run is interrupted.
"""

from __future__ import annotations

import collections
import datetime
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _ibu
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    DELETING,
    REQUEST,
    UPDATED_POLICY,
    VOLUME,
    Document,
    Documents,
    Item,
    Key,
    Location,
    Mine,
    age_of,
    key_of,
    request_for,
    select,
    without_velero_finalizers,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Done, Fail, Result, State, Wait, Word

# The Lifecycle Agent is not at work on backups, and needs none any more.
_QUIET = (State.IDLE, State.ABORT_FAILED, State.FINALIZE_FAILED, State.ABSENT)
# Velero may have been dead until a moment ago: a request that is old already gets this long to move.
_GRACE_SECONDS = 30.0
_VELERO = "look at Velero: oc -n openshift-adp get pods; oc -n openshift-adp logs deployment/velero"
_VELERO_OR_WORD = f"{_VELERO}; if it stays, run again with remove_stuck=true"


class Verb(Word):
    """What a step does to one object."""

    CREATE = "create"
    DELETE = "delete"
    RELEASE = "release"
    RECLAIM = "reclaim"


@dataclass(frozen=True)
class Step:
    """One write. ``key`` names the object, or for a new request its Backup; ``why`` is for people.

    ``watch``: a Backup object that goes alone, although its data may still be in the bucket.
    """

    verb: Verb
    kind: str
    key: Key
    why: str
    uid: str | None = None
    body: t.Mapping[str, t.Any] = field(default_factory=dict)
    watch: bool = False


@dataclass(frozen=True)
class Act:
    """Send these, in this order, then look again."""

    steps: tuple[Step, ...]


# Written without bars, which pylint takes for an operation on dataclasses.
Decision = t.Union[Done, Act, Wait, Fail]  # noqa: UP007


@dataclass(frozen=True)
class Policy:
    """What the user wants and permits; times in seconds. The two words that destroy are off unless given."""

    location_timeout: float = 600.0
    request_timeout: float = 300.0
    remove_stuck: bool = False
    orphan_data: bool = False
    reclaim_policies: bool = True


class Removed(t.NamedTuple):
    """A Backup object that was deleted alone: which one, when by the cluster's clock, and where its data was."""

    uid: str | None
    when: datetime.datetime | None
    location: Key


@dataclass
class Memory:
    """What a run remembers between two looks; a rerun does without. ``elapsed`` counts from the run's start."""

    elapsed: float = 0.0
    # This cluster's Backups and their locations.
    backups: dict[Key, Key] = field(default_factory=dict)
    first_seen: dict[str, float] = field(default_factory=dict)
    # Backups that were in phase Deleting before this run asked for anything, by uid.
    deleting: set[str] = field(default_factory=set)
    location_bad_since: float | None = None
    # The requests that this run has made, by uid.
    made: set[str] = field(default_factory=set)
    alone: dict[Key, Removed] = field(default_factory=dict)
    alone_at: float = 0.0
    tries: collections.Counter[tuple[Verb, str, Key]] = field(default_factory=collections.Counter)

    def look(self, seen: Documents, elapsed: float) -> Mine:
        """Take in one read, and say what belongs to the cluster."""
        self.elapsed = elapsed
        mine = select(seen, self.backups)
        self.backups.update({backup.key: backup.location for backup in mine.backups})
        for item in mine.items:
            if item.uid not in self.first_seen and item.phase == DELETING:
                self.deleting.add(item.uid or "")
            self.first_seen.setdefault(item.uid or "", elapsed)
        if all(location.usable for location in mine.needed):
            self.location_bad_since = None
        elif self.location_bad_since is None:
            self.location_bad_since = elapsed
        return mine

    def followed(self, item: Item) -> float:
        """Seconds for which this run has seen the object."""
        return self.elapsed - self.first_seen.get(item.uid or "", self.elapsed)

    def did(self, step: Step, uid: str | None, now: datetime.datetime | None) -> None:
        """Remember a step that was taken; ``uid`` is that of the object that it has made."""
        self.tries[step.verb, step.kind, step.key] += 1
        if step.verb is Verb.CREATE and uid:
            self.made.add(uid)
        if step.watch:
            self.alone[step.key] = Removed(step.uid, now, self.backups[step.key])
            self.alone_at = self.elapsed


def decide(seen: Documents, mine: Mine, policy: Policy, memory: Memory) -> Decision:
    """What to do next. Nothing is deleted while a location that is needed is not Available, unless it is given up."""
    if not seen.installed:
        return Done(
            "OADP is not installed: there is nothing to clean up here, and the bucket stays as it is", skipped=True
        )
    if not seen.cluster_id:
        return Fail(
            Result.REFUSED,
            "ClusterVersion has no spec.clusterID, so nothing says which backups are this cluster's",
            "look at it: oc get clusterversion version -o yaml",
        )
    volumes = _volumes(mine) if policy.reclaim_policies else ()
    if not mine.items and not volumes:
        return _ended(mine, policy, memory)
    if problem := state_problem(seen.state):
        return problem
    if mine.items:
        return _gate(mine, policy, memory) or _CleanUp(seen, mine, policy, memory).decide()
    return Act(volumes)


def state_problem(state: State) -> Fail | None:
    """Backups are left alone while the Lifecycle Agent may still need them, or is deleting them itself."""
    if state in _QUIET:
        return None
    if state in (State.ABORTING, State.FINALIZING):
        why, step = "the Lifecycle Agent is deleting them itself", "wait until it has ended or failed, then run again"
    else:
        why, step = "its backups may still be needed, and going Idle deletes them", _ibu.next_step(state)
    return Fail(Result.REFUSED, f"the image-based upgrade is in state '{state}': {why}", step)


# --- the backup location ------------------------------------------------------------------------------------------


def _gate(mine: Mine, policy: Policy, memory: Memory) -> Decision | None:
    """None where the locations allow to go on."""
    bad = [location for location in mine.needed if not location.usable]
    if not bad or (policy.orphan_data and all(location.lost for location in bad)):
        return None
    problems = "; ".join(location.problem for location in bad)
    if memory.elapsed - (memory.location_bad_since or 0.0) < policy.location_timeout:
        return Wait(problems)
    return Fail(Result.TIMED_OUT, f"{problems}; nothing was deleted", location_advice(bad[0]))


def location_advice(location: Location) -> str:
    """How to get a location back."""
    if location.usable or (location.phase == "Available" and location.read_only):
        return "set accessMode of its backup location to ReadWrite, then run again"
    parts = [f"Secret {location.secret}" if location.secret else "", "the object store"]
    parts.append(f"DataProtectionApplication {location.application}" if location.application else "")
    return (
        f"repair {' or '.join(part for part in parts if part)} (oc -n openshift-adp get backupstoragelocations), then "
        "run again; if the bucket is lost for good, with orphan_data=true"
    )


# --- Backups, Restores and requests -------------------------------------------------------------------------------


class _CleanUp:
    """Looks at every object once, and gathers what can be done, what has to be waited for and what cannot be done."""

    def __init__(self, seen: Documents, mine: Mine, policy: Policy, memory: Memory) -> None:
        self._seen = seen
        self._mine = mine
        self._policy = policy
        self._memory = memory
        self._steps: list[Step] = []
        self._waits: list[str] = []
        self._fails: list[Fail] = []

    def decide(self) -> Decision:
        """What can be done comes first, and a failure last: it must not keep the others from their end."""
        for backup in self._mine.backups:
            self._backup(backup)
        self._leftovers({backup.key for backup in self._mine.backups})
        if self._steps:
            return Act(tuple(self._steps))
        if self._waits:
            return Wait("; ".join(self._waits))
        message = "; ".join(fail.message for fail in self._fails)
        return Fail(self._fails[0].result, message, self._fails[0].next_step)

    def _backup(self, backup: Item) -> None:
        if self._mine.location_of(backup).lost:
            self._alone(backup, "its bucket is lost")
        elif not backup.uploaded:
            self._alone(backup, "nothing of it was ever written to the bucket")
        elif self._came_back(backup):
            self._fail(
                Result.FAILED,
                f"backup {backup} came back: its data is still in the bucket, and OADP made the object again from it",
                "let Velero delete it, by running again; if Velero cannot, delete the data in the bucket by hand",
            )
        else:
            self._through_request(backup)

    def _through_request(self, backup: Item) -> None:
        requests = [request for request in self._mine.requests if request.backup == backup.key]
        tried = [problem for one in requests if one.uid in self._memory.made and (problem := self._problem(one))]
        if tried:
            # Velero has had its chance in this run.
            self._failed(backup, tried[0])
        elif moving := [request for request in requests if not self._problem(request)]:
            phase = moving[0].phase or "New"
            self._waits.append(f"Velero deletes backup {backup}: DeleteBackupRequest {moving[0]} is {phase}")
        elif hanging := [one for one in requests if not one.processed and not self._policy.remove_stuck]:
            self._fails.append(hanging_failure(hanging[0], self._seen.now))
        elif requests:
            for request in requests:
                self._vanish(request, "an earlier attempt failed" if request.processed else "it hangs")
        else:
            taken = {key_of(doc) for doc in self._seen.requests}
            body = request_for(backup, self._seen.cluster_id, taken)
            why = "Velero shall delete the backup and its data"
            self._steps.append(Step(Verb.CREATE, REQUEST, backup.key, why, body=body))

    def _failed(self, backup: Item, problem: str) -> None:
        if backup.uid not in self._memory.deleting:
            self._fail(Result.FAILED, f"backup {backup} is not deleted: {problem}", _VELERO)
        elif self._policy.remove_stuck:
            self._alone(backup, f"it hangs in phase {DELETING}", watch=True)
        else:
            self._fail(Result.FAILED, f"backup {backup} hangs in phase {DELETING}: {problem}", _VELERO_OR_WORD)

    def _problem(self, request: Item) -> str:
        """What is wrong with a request, in Velero's words where it has any; empty while it may still end well."""
        followed = self._memory.followed(request)
        if request.errors:
            return f"DeleteBackupRequest {request} failed with errors: {', '.join(request.errors)}"
        if request.processed:
            fresh = request.uid in self._memory.made and followed < min(_GRACE_SECONDS, self._policy.request_timeout)
            gone = f"DeleteBackupRequest {request} is processed, but backup {request.backup[1]} is not deleted"
            return "" if fresh else gone
        return f"DeleteBackupRequest {request} hangs" if hangs(request, self._seen.now, self._policy, followed) else ""

    def _came_back(self, backup: Item) -> bool:
        removed = self._memory.alone.get(backup.key)
        return removed is not None and removed.uid != backup.uid

    def _alone(self, backup: Item, why: str, *, watch: bool = False) -> None:
        """Remove the objects without Velero, layer by layer."""
        forced = self._policy.remove_stuck or self._mine.location_of(backup).lost
        restores = [restore for restore in self._mine.restores if restore.backup == backup.key]
        for item in restores or [backup]:
            self._vanish(item, why, forced=forced, watch=watch and item is backup)

    def _leftovers(self, backups: t.Collection[Key]) -> None:
        """Restores and requests whose Backup is gone. A request stays until its Restores are: it names their owner."""
        restores = [restore for restore in self._mine.restores if restore.backup not in backups]
        for restore in restores:
            self._vanish(restore, "its backup is gone", forced=self._mine.location_of(restore).lost)
        held = {restore.backup for restore in restores}
        for request in self._mine.requests:
            if request.backup not in backups and request.backup not in held:
                self._leftover_request(request)

    def _leftover_request(self, request: Item) -> None:
        forced = self._policy.remove_stuck or self._mine.location_of(request).lost
        if request.processed or forced:
            self._vanish(request, "its backup is gone", forced=forced)
        elif hangs(request, self._seen.now, self._policy, self._memory.followed(request)):
            self._fails.append(hanging_failure(request, self._seen.now))
        else:
            # Velero may be at its last touch; it ends a request without a backup by itself.
            self._waits.append(f"DeleteBackupRequest {request} is {request.phase or 'New'}")

    def _vanish(self, item: Item, why: str, *, forced: bool = False, watch: bool = False) -> None:
        """Take one object away. One that is leaving already waits for Velero, or is let go by force."""
        followed = self._memory.followed(item)
        impatient = self._policy.remove_stuck and followed >= min(_GRACE_SECONDS, self._policy.request_timeout)
        if not item.leaving:
            self._steps.append(Step(Verb.DELETE, item.kind, item.key, why, item.uid, watch=watch))
        elif item.foreign_finalizers:
            names = ", ".join(item.foreign_finalizers)
            self._fail(
                Result.FAILED,
                f"{item.kind} {item} waits for finalizers that are not Velero's: {names}",
                "look at the controllers that have set them",
            )
        elif forced or impatient:
            body = without_velero_finalizers(item)
            self._steps.append(Step(Verb.RELEASE, item.kind, item.key, why, item.uid, body))
        elif followed < self._policy.request_timeout:
            self._waits.append(f"{item.kind} {item} is being deleted")
        else:
            message = f"{item.kind} {item} hangs: it was deleted, but Velero does not let it go"
            self._fail(Result.TIMED_OUT, message, _VELERO_OR_WORD)

    def _fail(self, result: Result, message: str, step: str) -> None:
        self._fails.append(Fail(result, message, step))


def hangs(request: Item, now: datetime.datetime | None, policy: Policy, followed: float | None = None) -> bool:
    """True for a request that Velero does not end.

    ``followed`` are the seconds for which this run has seen it; None: its age alone counts.
    """
    if request.processed:
        return False
    old = age_of(request, now) >= policy.request_timeout
    if followed is None:
        return old
    return followed >= policy.request_timeout or (old and followed >= min(_GRACE_SECONDS, policy.request_timeout))


def hanging_failure(request: Item, now: datetime.datetime | None) -> Fail:
    """What to say of a request that hangs and may not be removed."""
    minutes = age_of(request, now) / 60
    message = f"DeleteBackupRequest {request} hangs: {request.phase or 'New'} for {minutes:.0f} min"
    return Fail(Result.TIMED_OUT, message, _VELERO_OR_WORD)


# --- the end ------------------------------------------------------------------------------------------------------


def _ended(mine: Mine, policy: Policy, memory: Memory) -> Decision:
    """Nothing is left. Where a Backup was deleted without Velero, the next sync shows whether it comes back."""
    gone = memory.alone
    open_ones = [key for key in gone if not _synced_since(mine.location(gone[key].location), gone[key])]
    if not open_ones:
        return Done()
    names = ", ".join(name for _namespace, name in sorted(open_ones))
    if memory.elapsed - memory.alone_at < policy.request_timeout:
        return Wait(f"the next sync of the bucket shows whether {names} comes back")
    return Done(f"the bucket was not synced since {names} was removed: look again whether it has come back")


def _synced_since(location: Location, removed: Removed) -> bool:
    return location.last_synced is not None and removed.when is not None and location.last_synced > removed.when


def _volumes(mine: Mine) -> tuple[Step, ...]:
    """PersistentVolumes that the Lifecycle Agent has switched to Retain and not back."""
    return tuple(
        Step(
            Verb.RECLAIM,
            VOLUME,
            key_of(doc),
            "its reclaim policy was to be set back to Delete",
            (doc.get("metadata") or {}).get("uid"),
            {
                "metadata": {"annotations": {UPDATED_POLICY: None}},
                "spec": {"persistentVolumeReclaimPolicy": "Delete"},
            },
        )
        for doc in mine.volumes
        if may_reclaim(doc)
    )


def may_reclaim(volume: Document) -> bool:
    """False for a volume that nobody holds any more: with policy Delete its contents would be gone at once."""
    return (volume.get("status") or {}).get("phase") in ("Bound", "Available")
