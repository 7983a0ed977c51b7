# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The cleanup of OADP on one cluster: read, decide, act, wait. The clock and the cluster are injected."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _oadp_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import NoContact, away_pause, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import Documents, Item, Mine
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import (
    Act,
    Memory,
    Policy,
    Step,
    Verb,
    decide,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import FOLDER
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Done,
    Fail,
    Outcome,
    Refused,
    Result,
    Unanswered,
    Wait,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock

TASK = "OADP cleanup"
_FULL_READ_SECONDS = 30.0
# The same write over and over helps nobody.
_MOST_TRIES = 5
RIGHTS = "give this identity the rights that docs/rbac lists, or use the admin client certificate"


class ClusterLike(t.Protocol):
    """What a cleanup needs of a cluster; ``_oadp_cluster.OadpCluster`` is the real one."""

    def read(self) -> Documents:
        """Everything that counts."""

    def read_moving(self, before: Documents) -> Documents:
        """Only what changes while one waits."""

    def do(self, step: Step) -> str | None:
        """Take a step; why it was refused, None where it was not."""

    def close(self) -> None:
        """Give up the connection."""


class OadpDrive:
    """Cleans up one cluster. ``run`` never raises for the cluster's sake; it returns the outcome.

    ``check``: only look, and say what would go. ``contact``: seconds for which the API may be silent, at first and in
    between. After the run ``report`` has what the module returns.
    """

    def __init__(
        self,
        name: str,
        cluster: ClusterLike,
        policy: Policy,
        *,
        clock: Clock,
        stop: threading.Event,
        contact: float = 60.0,
        notify: t.Callable[[], None] = lambda: None,
        check: bool = False,
    ) -> None:
        self.view = View(name, task=TASK)
        self.outcome = Outcome(name, action=TASK)
        self._cluster = cluster
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._contact = contact
        self._notify = notify
        self._check = check
        self._memory = Memory()
        self._begun = clock.monotonic()
        self._read_at = self._begun
        self._answered = self._begun
        self._untaken_since: float | None = None
        self._seen = Documents()
        self._first: tuple[Documents, Mine] | None = None
        self._mine = Mine()
        self._would: tuple[Item, ...] | None = None
        self._steps: list[str] = []
        self._data_left: list[dict[str, str | None]] = []
        self._volumes: list[str] = []

    def run(self) -> Outcome:
        """Clean up to the end and say how it ended."""
        outcome = self.outcome
        outcome.result, outcome.started = Result.IN_FLIGHT, self._clock.now().isoformat(timespec="seconds")
        try:
            end = self._run()
        except NoContact as error:
            end = Fail(Result.UNREACHABLE, str(error), error.next_step)
        finally:
            self._cluster.close()
        if self._stop.is_set() and isinstance(end, Fail):
            end = Fail(Result.INTERRUPTED, "this run was stopped", "run again: it continues from what the cluster says")
        self._conclude(end)
        outcome.ended = self._clock.now().isoformat(timespec="seconds")
        outcome.seconds = round(self._clock.monotonic() - self._begun, 3)
        self._notify()
        return outcome

    @property
    def removed(self) -> tuple[Item, ...]:
        """What was there at first and is gone; in check mode, what would go."""
        if self._would is not None:
            return self._would
        if self._first is None:
            return ()
        left = {(item.kind, item.key, item.uid) for item in self._mine.items}
        return tuple(item for item in self._first[1].items if (item.kind, item.key, item.uid) not in left)

    @property
    def report(self) -> dict[str, t.Any]:
        """Everything that the module returns beside the outcome's own words."""
        if self._first is None:
            return {}
        seen, mine = self._first
        removed = self.removed
        before = _oadp_report.lists_of(mine.items)
        gone = _oadp_report.lists_of(removed)
        return {
            "locations": [_oadp_report.location_row(location) for location in self._mine.locations.values()],
            "found": _oadp_report.found_of(seen, mine),
            "removed": gone,
            "others": mine.others,
            "data_left": self._data_left,
            "volumes": self._volumes,
            "steps": self._steps,
            "diff": {
                "before": {**before, "retained_volumes": _oadp_report.volume_names(mine)},
                "after": {
                    **{kind: [name for name in before[kind] if name not in gone[kind]] for kind in before},
                    "retained_volumes": [n for n in _oadp_report.volume_names(mine) if n not in self._volumes],
                },
            },
        }

    # --- the way ---------------------------------------------------------------------------------------------------

    def _run(self) -> Done | Fail:
        self._look(first_contact(self._cluster.read, self._contact, self._clock, self._stop))
        self._first = (self._seen, self._mine)
        if note := _oadp_report.held_volume_note(self._mine):
            self.outcome.notes.append(note)
        if self._check:
            return self._preview()
        waiting_since: float | None = None
        while True:
            decision = decide(self._seen, self._mine, self._policy, self._memory)
            if isinstance(decision, (Done, Fail)):
                return decision
            if self._stop.is_set():
                return Fail(Result.INTERRUPTED, "", "")
            if isinstance(decision, Act):
                waiting_since = None
                if (ended := self._act(decision)) is not None:
                    return ended
            else:
                now = self._clock.monotonic()
                waiting_since = now if waiting_since is None else waiting_since
                self._wait(decision, now - waiting_since)
            if (ended := self._look_again(full=isinstance(decision, Act))) is not None:
                return ended

    def _preview(self) -> Done | Fail:
        found = _oadp_report.preview(self._seen, self._mine, self._policy)
        self._would, self._steps = found.items, [f"would {step}" for step in found.steps]
        if self._policy.orphan_data:
            self._data_left = _oadp_report.data_rows(self._mine, found.items)
        if self._policy.reclaim_policies and found.steps:
            self._volumes = _oadp_report.volume_names(self._mine)
        self.outcome.changed = bool(found.steps)
        return found.problem or Done("; ".join(self._steps))

    def _act(self, decision: Act) -> Fail | None:
        """Take the steps. What the cluster looks like afterwards is read, not assumed."""
        for step in decision.steps:
            if self._stop.is_set():
                return None
            if self._memory.tries[step.verb, step.kind, step.key] >= _MOST_TRIES:
                message = f"{step.verb} {step.kind} {step.key[1]} was accepted {_MOST_TRIES} times without effect"
                return Fail(Result.FAILED, message, "look at what writes to it")
            self._show(f"{step.verb} {step.kind} {step.key[1]}", "cleaning up")
            self.outcome.changed = True
            try:
                uid = self._cluster.do(step)
            except Unanswered as error:
                return self._untaken(step, error)
            except Refused as refusal:
                message = f"the API refused to {step.verb} {step.kind} {step.key[1]}: {refusal}"
                return Fail(Result.FAILED, message, "report this with the cluster's versions of OADP and Velero")
            self._did(step, uid)
        return None

    def _untaken(self, step: Step, error: Unanswered) -> Fail | None:
        """Whether it arrived is unknown; the next look tells. A cluster that can be read may take nothing for ever."""
        now = self._clock.monotonic()
        self._untaken_since = now if self._untaken_since is None else self._untaken_since
        waited = now - self._untaken_since
        if waited >= self._contact:
            message = f"the API did not take {step.verb} {step.kind} {step.key[1]} for {waited:.0f} s: {error}"
            return Fail(Result.FAILED, message, "mend what keeps it from that (a webhook, a policy), then run again")
        if (ended := self._silence(error)) is not None:
            return ended
        self._clock.wait(self._stop, away_pause(waited))
        return None

    def _did(self, step: Step, uid: str | None) -> None:
        self._untaken_since = None
        self._memory.did(step, uid, self._seen.now)
        self._steps.append(f"{step.verb} {step.kind} {step.key[1]}: {step.why}")
        if step.verb is Verb.RECLAIM:
            self._volumes.append(step.key[1])
        if step.verb in (Verb.DELETE, Verb.RELEASE):
            item = [item for item in self._mine.items if (item.kind, item.key) == (step.kind, step.key)]
            rows = _oadp_report.data_rows(self._mine, item)
            # An object that was deleted and did not go was noted then.
            self._data_left += [row for row in rows if row not in self._data_left]

    def _wait(self, decision: Wait, waited: float) -> None:
        bad = self._memory.location_bad_since is not None
        self._show(decision.why, "waiting for the backup location" if bad else "waiting for Velero")
        self._clock.wait(self._stop, away_pause(waited))

    # --- reading ---------------------------------------------------------------------------------------------------

    def _look_again(self, *, full: bool) -> Fail | None:
        """Read until the cluster answers. While Velero works, or a location is away, only what moves is read."""
        quiet = self._memory.location_bad_since is None and not self._mine.requests
        full = full or quiet or self._clock.monotonic() - self._read_at >= _FULL_READ_SECONDS
        while True:
            try:
                self._look(self._cluster.read() if full or self._has_moved() else self._seen, read=full)
                return None
            except Unanswered as error:
                if (ended := self._silence(error)) is not None:
                    return ended
                if self._stop.is_set():
                    return Fail(Result.INTERRUPTED, "", "")
            except Refused as refusal:
                return Fail(Result.FAILED, str(refusal), RIGHTS)

    def _has_moved(self) -> bool:
        before = self._seen
        self._seen = self._cluster.read_moving(before)
        return (before.requests, before.locations) != (self._seen.requests, self._seen.locations)

    def _look(self, seen: Documents, *, read: bool = True) -> None:
        self._seen, self._answered = seen, self._clock.monotonic()
        if read:
            self._read_at = self._answered
        self.view.away_since = None
        self._mine = self._memory.look(seen, self._answered - self._begun)

    def _silence(self, error: Unanswered) -> Fail | None:
        """None where it is worth asking again."""
        if error.status in (401, 403) or error.kind == "tls":
            return Fail(Result.FAILED, str(error), RIGHTS)
        if error.kind == "conflict":
            return None
        now = self._clock.monotonic()
        self.view.away_since = self.view.away_since if self.view.away_since is not None else now
        self.view.away_why = str(error)
        if now - self._answered >= self._contact:
            step = "check the cluster's power, network and API address, then run again"
            return Fail(Result.UNREACHABLE, f"{error} for {now - self._answered:.0f} s", step)
        self._clock.wait(self._stop, away_pause(now - self._answered))
        return None

    # --- the end ---------------------------------------------------------------------------------------------------

    def _conclude(self, end: Done | Fail) -> None:
        outcome = self.outcome
        if isinstance(end, Fail):
            outcome.result, outcome.message = end.result, end.message
            outcome.next_step = end.next_step.replace("{cluster}", self.view.name)
            if end.result.is_failure and FOLDER not in outcome.next_step:
                outcome.next_step += f" ({FOLDER}/finalize-failed)"
            return
        outcome.result = Result.SKIPPED if end.skipped else Result.DONE
        if self._check or end.skipped:
            outcome.message = end.note or _oadp_report.summary(self._mine, (), (), ())
            return
        outcome.message = _oadp_report.summary(self._mine, self.removed, self._data_left, self._volumes)
        if end.note:
            outcome.notes.append(end.note)

    def _show(self, note: str, label: str) -> None:
        self.view.note, self.view.label = note, label
        self.view.changed = self._clock.monotonic()
        self._notify()


# --- the options of the module, and what it returns ---------------------------------------------------------------

POLICY_OPTIONS: dict[str, dict[str, t.Any]] = {
    "location_timeout": {"type": "float", "default": 600},
    "request_timeout": {"type": "float", "default": 300},
    "remove_stuck": {"type": "bool", "default": False},
    "orphan_data": {"type": "bool", "default": False},
    "reclaim_policies": {"type": "bool", "default": True},
    "contact_timeout": {"type": "float", "default": 60},
}


def policy_of(options: t.Mapping[str, t.Any]) -> Policy:
    """What the options want and permit. Raises InvalidOption."""
    return Policy(
        location_timeout=seconds_of("location_timeout", options["location_timeout"]),
        request_timeout=seconds_of("request_timeout", options["request_timeout"], 1),
        remove_stuck=options["remove_stuck"],
        orphan_data=options["orphan_data"],
        reclaim_policies=options["reclaim_policies"],
    )


def result_of(outcome: Outcome, report: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What is returned for one cluster."""
    return {
        "changed": outcome.changed,
        "result": str(outcome.result),
        "message": outcome.message,
        "next_step": outcome.next_step,
        "notes": list(outcome.notes),
        "seconds": outcome.seconds,
        **report,
    }
