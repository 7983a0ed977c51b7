# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The vocabulary: stages, actions, states, decisions, outcomes and errors. Knows nothing else."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    import datetime


class Word(str, enum.Enum):
    """An enumeration whose members are, print as, and compare equal to the API's own words."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class Stage(Word):
    """The values of ImageBasedUpgrade ``spec.stage``."""

    IDLE = "Idle"
    PREP = "Prep"
    UPGRADE = "Upgrade"
    ROLLBACK = "Rollback"


class Action(Word):
    """What a plan asks of a cluster, in the words of ImageBasedGroupUpgrade ``spec.plan[].actions``."""

    PREP = "Prep"
    UPGRADE = "Upgrade"
    FINALIZE_UPGRADE = "FinalizeUpgrade"
    ROLLBACK = "Rollback"
    FINALIZE_ROLLBACK = "FinalizeRollback"
    ABORT = "Abort"
    ABORT_ON_FAILURE = "AbortOnFailure"

    @property
    def stage(self) -> Stage:
        """The stage that the action requests of the Lifecycle Agent."""
        return _STAGE_OF_ACTION.get(self, Stage.IDLE)

    @property
    def reboots(self) -> bool:
        """True where the node reboots into the other stateroot, so that its API goes away on the good path."""
        return self in (Action.UPGRADE, Action.ROLLBACK)


_STAGE_OF_ACTION = {Action.PREP: Stage.PREP, Action.UPGRADE: Stage.UPGRADE, Action.ROLLBACK: Stage.ROLLBACK}


class State(Word):
    """Where one cluster stands, read from its ImageBasedUpgrade and ClusterVersion. The values are for people."""

    ABSENT = "no ImageBasedUpgrade"
    NO_STATUS = "no status yet"
    PENDING = "requested"
    BLOCKED = "blocked by IPConfig"
    INVALID_TRANSITION = "invalid transition"
    IDLE = "idle"
    ABORTING = "aborting"
    ABORT_FAILED = "abort failed"
    FINALIZING = "finalizing"
    FINALIZE_FAILED = "finalize failed"
    PREP_RUNNING = "preparing"
    PREP_FAILED = "prep failed"
    PREP_COMPLETED = "prepared"
    UPGRADE_PRE_PIVOT = "before reboot"
    UPGRADE_POST_PIVOT = "after reboot"
    UPGRADE_FAILED_PRE_PIVOT = "failed before reboot"
    UPGRADE_FAILED_POST_PIVOT = "failed after reboot"
    ROLLED_BACK = "rolled back automatically"
    UPGRADE_COMPLETED = "upgraded"
    ROLLBACK_RUNNING = "rolling back"
    ROLLBACK_FAILED = "rollback failed"
    ROLLBACK_COMPLETED = "rolled back"
    UNKNOWN = "unknown"


class Result(Word):
    """How the drive of one cluster ended, or why it has not. The values stand in the outcome file."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNVERIFIED = "unverified"
    INTERRUPTED = "interrupted"
    IN_FLIGHT = "in_flight"
    NEVER_STARTED = "never_started"

    @property
    def is_failure(self) -> bool:
        """True where the cluster counts against the failure budget. Interrupted work does not: it can go on."""
        return self in _FAILURES


_FAILURES = frozenset(
    {Result.FAILED, Result.ROLLED_BACK, Result.TIMED_OUT, Result.UNREACHABLE, Result.REFUSED, Result.UNVERIFIED}
)


@dataclass(frozen=True)
class SeedImage:
    """The seed image wanted: ``spec.seedImageRef``."""

    version: str
    image: str
    pull_secret: str | None = None

    def as_spec(self) -> dict[str, t.Any]:
        """The object in the API's own spelling."""
        spec: dict[str, t.Any] = {"version": self.version, "image": self.image}
        if self.pull_secret:
            spec["pullSecretRef"] = {"name": self.pull_secret}
        return spec


@dataclass(frozen=True)
class Goal:
    """One action for one cluster, with everything the stage needs.

    ``None`` means "leave what is there"; an empty list clears.
    ``rollback_after_expiration`` accepts a rollback whose certificates may have expired.
    ``accept_warnings`` goes on to Upgrade although Prep left a validation warning.
    """

    action: Action
    seed: SeedImage | None = None
    oadp_content: tuple[tuple[str, str], ...] | None = None
    extra_manifests: tuple[tuple[str, str], ...] | None = None
    init_monitor_timeout: int | None = None
    annotations: t.Mapping[str, str | None] = field(default_factory=dict)
    rollback_after_expiration: bool = False
    accept_warnings: bool = True


@dataclass(frozen=True)
class Progress:
    """What shows that a running stage moves: two unequal values are progress."""

    phase: str | None = None
    job: str | None = None
    total: int | None = None
    pulled: int | None = None
    failed: int | None = None
    health: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class StageTiming:
    """One entry of ``status.history``. Seconds are ``None`` while the stage or phase has not completed."""

    stage: str
    started: datetime.datetime | None
    seconds: float | None
    phases: t.Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """One cluster at one moment, as read from its API. Times are the cluster's own clock."""

    state: State
    stage: str | None = None
    version: str | None = None
    reason: str = ""
    message: str = ""
    since: datetime.datetime | None = None
    valid_next: tuple[str, ...] = ()
    uid: str | None = None
    generation: int | None = None
    observed_generation: int | None = None
    resource_version: str | None = None
    spec: t.Mapping[str, t.Any] = field(default_factory=dict)
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    rollback_until: datetime.datetime | None = None
    history: tuple[StageTiming, ...] = ()
    progress: Progress = field(default_factory=Progress)
    now: datetime.datetime | None = None

    @property
    def target(self) -> str | None:
        """The version of the seed image in the spec; stays there after finalize and abort."""
        version = (self.spec.get("seedImageRef") or {}).get("version")
        return str(version) if version else None

    @property
    def at_target(self) -> bool:
        """True where the running release is the one of the spec's seed image."""
        return self.target is not None and self.version == self.target


@dataclass(frozen=True)
class Done:
    """The goal is reached, or the state has passed it. ``skipped``: the action does not apply to this cluster."""

    note: str = ""
    skipped: bool = False


@dataclass(frozen=True)
class Patch:
    """Send this merge patch to the ImageBasedUpgrade. ``verify``: only after the upgraded cluster was verified."""

    body: t.Mapping[str, t.Any]
    stage: Stage
    verify: bool = False


@dataclass(frozen=True)
class Wait:
    """Nothing to do but watch; ``why`` is for people."""

    why: str


@dataclass(frozen=True)
class Fail:
    """The goal cannot be reached from here.

    ``settle``: the state may be a leftover from before a reboot, so it counts only once it has stayed for a while.
    ``next_step`` may contain ``{cluster}``.
    """

    result: Result
    message: str
    next_step: str
    settle: bool = False


# Written without bars, which pylint takes for an operation on dataclasses.
Decision = t.Union[Done, Patch, Wait, Fail]  # noqa: UP007


@dataclass
class Outcome:
    """What became of one cluster. Times are UTC of the controller, durations seconds of the cluster's own clock.

    ``steps``: of a plan, what became of the cluster in each step that is behind it or under way.
    """

    name: str
    result: Result = Result.NEVER_STARTED
    action: str | None = None
    stage: str | None = None
    state: str | None = None
    message: str = ""
    next_step: str = ""
    version_before: str | None = None
    version_after: str | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    away_seconds: float = 0.0
    changed: bool = False
    rollback_until: str | None = None
    durations: dict[str, float] = field(default_factory=dict)
    completed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[dict[str, t.Any]] = field(default_factory=list)


class IbuError(Exception):
    """Base of everything this collection raises on purpose. The text is for people."""


class InvalidOption(IbuError):
    """An option has a value that nothing can be done with."""

    def __init__(self, option: str, value: object, remedy: str) -> None:
        says = " is not set" if value is None else f": {value!r} is not valid"
        super().__init__(f"{option}{says}; {remedy}")
        self.option = option
        self.value = value
        self.remedy = remedy


class Unanswered(IbuError):
    """The cluster gave no usable answer: no connection, no session, no rights yet, or a server in trouble.

    ``kind`` is a short stable word (``connect``, ``timeout``, ``tls``, ``http``, ``expired``);
    ``status`` the HTTP status where there was one.
    During a reboot this is the normal course of things; before the first contact it is a failure.
    """

    def __init__(self, kind: str, detail: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after


class NotThere(Unanswered):
    """HTTP 404: the object, its namespace or its whole API is not there (yet)."""

    def __init__(self, detail: str) -> None:
        super().__init__("missing", detail, 404)


class Refused(IbuError):
    """The API refused the request for good (422, 400, 405, 415); the text is the API's own."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status
