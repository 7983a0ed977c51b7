# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The dispatch of ``recover``: from what was seen on a cluster to what will be done about it, and why.

Pure: values in, a Recovery out. Every state has exactly one way; a state that is not known has one that does nothing.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _oadp_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._cleanup_parts import (
    OF_STORE,
    THROUGH_API,
    Part,
    by_hand,
    failed_parts,
    in_words,
    parts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import has_evidence
from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State, Word

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import Location, Mine

MANUAL_CLEANUP = "lca.openshift.io/manual-cleanup-done"
BACK_DOOR = (
    "the documented back door, which lets the agent look again and compute its next stages anew: "
    "oc annotate ibu upgrade --overwrite lca.openshift.io/trigger-reconcile=$(date +%s)"
)
CERTIFICATES = (
    "after the expiration the certificates of the old release may have expired: the node then comes back NotReady, and "
    "its pending CertificateSigningRequests (oc get csr, with the admin kubeconfig) have to be approved, client and "
    "serving ones, again and again until the node is Ready"
)


class Way(Word):
    """What kind of answer the dispatch gave."""

    NOTHING = "nothing to do"
    RECOVER = "recover"
    PERSON = "a person must decide"
    UNKNOWN = "unknown state"


class Do(Word):
    """One kind of step."""

    LOGS = "logs"
    LEAVE = "leave"
    WAIT = "wait"
    LOCATION = "location"
    RETRY = "retry"
    OADP = "oadp"
    STATEROOT = "stateroot"
    ABORT = "abort"
    ROLLBACK = "rollback"
    FINALIZE = "finalize"
    LABELS = "labels"


@dataclass(frozen=True)
class Step:
    """One step in words for people: what, by which means, and why. ``fallback``: if the one before did not help."""

    do: Do
    text: str
    why: str
    means: str = ""
    fallback: bool = False


@dataclass(frozen=True)
class Wishes:
    """What the user wants and permits; times in seconds. ``only_cleanup``: leave alone what is no cleanup."""

    logs: bool = True
    location_timeout: float = 600.0
    orphan_data: bool = False
    rollback_after_expiration: bool = False
    finalize_rollback: bool = True
    node_access: bool = False
    only_cleanup: bool = False


@dataclass(frozen=True)
class Recovery:
    """What was seen, and what follows. ``advice``: what a person does, where nothing more is done automatically."""

    way: Way
    saw: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    advice: str = ""

    @property
    def first(self) -> Do | None:
        """The first step on the cluster itself."""
        return next((step.do for step in self.steps if step.do not in (Do.LOGS, Do.LABELS)), None)

    @property
    def wants_logs(self) -> bool:
        """True where something would be destroyed that shows why the cluster failed."""
        return any(step.do is Do.LOGS for step in self.steps)


@dataclass(frozen=True)
class _Scene:
    """Everything that a row of the table may look at."""

    observed: Observed
    wishes: Wishes
    mine: Mine | None = None
    labels: Correction | None = None
    saw: tuple[str, ...] = field(default=())


def recover(
    observed: Observed,
    wishes: Wishes | None = None,
    mine: Mine | None = None,
    labels: Correction | None = None,
    busy: str = "",
) -> Recovery:
    """What to do about a cluster in this state.

    ``mine``: OADP's objects of the cluster, where its cleanup failed on them; None: not looked at.
    ``labels``: what brings the hub into line with a cluster that is Idle again; None: no hub.
    ``busy``: the group upgrade, NAMESPACE/NAME, whose running step is not done with the cluster; it is left alone then.
    """
    scene = _Scene(observed, wishes or Wishes(), mine, labels)
    if scene.wishes.only_cleanup and observed.state not in _CLEANUP_STATES:
        return Recovery(Way.NOTHING, (f"it is {observed.state}; no cleanup has failed",))
    found = _BY_STATE[observed.state](scene)
    return _left_to(busy, scene, found) if busy and found.first is not None else found


def _left_to(group_upgrade: str, scene: _Scene, found: Recovery) -> Recovery:
    """The hub asks again for the stage of its step, so whatever is done on the cluster would be undone."""
    namespace, _slash, name = group_upgrade.rpartition("/")
    why = "the hub would ask for its stage again"
    saw = (*found.saw, f"the group upgrade {group_upgrade} still works on it, and {why}")
    advice = (
        "wait for the end of its step, or delete it first "
        f"(oc -n {namespace} delete imagebasedgroupupgrades {name}), then run again"
    )
    if scene.observed.state in _WAITING or scene.observed.state is State.ROLLBACK_COMPLETED:
        return Recovery(Way.NOTHING, saw, advice=advice)
    logs = [step for step in found.steps if step.do is Do.LOGS]
    later = [step for step in found.steps if step.do is not Do.LOGS]
    leave = Step(Do.LEAVE, f"leave it to the group upgrade {group_upgrade} until that is done with it", why)
    return Recovery(Way.RECOVER, saw, (*logs, leave, *later), advice)


# A cleanup that has failed, one that is under way, and how it ends.
_CLEANUP_STATES = frozenset({State.ABORT_FAILED, State.FINALIZE_FAILED, State.ABORTING, State.FINALIZING, State.IDLE})


# --- the rows of the table ----------------------------------------------------------------------------------------


def _nothing(scene: _Scene) -> Recovery:
    steps = _labels(scene) if scene.observed.state is State.IDLE else ()
    return Recovery(Way.RECOVER if steps else Way.NOTHING, (_NOTHING[scene.observed.state],), steps)


_NOTHING: t.Mapping[State, str] = {
    State.IDLE: "it is Idle, and nothing is left of an upgrade",
    State.PREP_RUNNING: "Prep is running; nothing has failed",
    State.PREP_COMPLETED: "Prep is completed; nothing has failed",
    State.UPGRADE_PRE_PIVOT: "the upgrade is running, before the reboot; nothing has failed",
    State.UPGRADE_POST_PIVOT: "the upgrade is running in the new release; nothing has failed, its watchdog runs",
}


def _upgraded(scene: _Scene) -> Recovery:
    until = scene.observed.rollback_until
    deadline = f"; a rollback is safe until {until:%Y-%m-%d %H:%M}Z" if until else ""
    saw = f"the upgrade is completed, nothing has failed{deadline}"
    step = "sno.image_upgrade.finalize keeps the new release, sno.image_upgrade.rollback goes back"
    return Recovery(Way.NOTHING, (saw,), advice=step)


def _waiting(scene: _Scene) -> Recovery:
    state = scene.observed.state
    words, why = _WAITING[state]
    saw = words
    if health := scene.observed.progress.health:
        saw = f"{words}; it waits for: {'; '.join(health)}"
    steps = [Step(Do.WAIT, f"wait until it is over{_and_look_again(state)}", why)]
    if state is State.ROLLBACK_RUNNING and scene.wishes.finalize_rollback:
        steps += [*_logs(scene, force=True), _FINALIZE]
    return Recovery(Way.RECOVER, (saw,), (*steps, *_labels(scene)))


def _and_look_again(state: State) -> str:
    return ", through the reboot" if state is State.ROLLBACK_RUNNING else ", then look again"


_WAITING: t.Mapping[State, tuple[str, str]] = {
    State.NO_STATUS: ("the Lifecycle Agent has not written a status yet", "any stage would be accepted now"),
    State.PENDING: ("the Lifecycle Agent has not taken up the latest request yet", "its answer decides"),
    State.BLOCKED: ("a change of the IP configuration blocks it", "it goes on once the IPConfig is Idle"),
    State.ABORTING: ("an abort is under way", "there is no timeout on the cluster's side"),
    State.FINALIZING: ("a finalize is under way", "there is no timeout on the cluster's side"),
    State.ROLLBACK_RUNNING: ("a rollback is under way", "nothing is allowed until it has ended"),
}

_FINALIZE = Step(Do.FINALIZE, "finalize the rollback", "removes the stateroot that was left", "stage Idle")


def _failed(scene: _Scene) -> Recovery:
    """Failed, or gone back by itself, with the old release running: the way is an abort."""
    observed = scene.observed
    words = {
        State.PREP_FAILED: "Prep failed",
        State.UPGRADE_FAILED_PRE_PIVOT: "the upgrade failed before the reboot",
        State.ROLLED_BACK: "the cluster has rolled back by itself",
    }[observed.state]
    abort = Step(Do.ABORT, "abort the upgrade", "removes what is left of the attempt", "stage Idle")
    return Recovery(Way.RECOVER, (_why(words, observed),), (*_logs(scene), abort, *_labels(scene)))


def _failed_after_reboot(scene: _Scene) -> Recovery:
    observed = scene.observed
    why = _why("the upgrade failed after the reboot, and nothing rolls it back", observed)
    if _is_expired(scene):
        expired = f"a rollback was safe until {observed.rollback_until:%Y-%m-%d %H:%M}Z"
        advice = f"{CERTIFICATES}; to roll back nevertheless: recover_rollback_after_expiration=true"
        return Recovery(Way.PERSON, (why, expired), _logs(scene, _FOR_A_CASE), advice)
    back = Step(Do.ROLLBACK, "roll back", "one reboot into the old release", "stage Rollback")
    steps = [*_logs(scene), back]
    if scene.wishes.finalize_rollback:
        steps += [_FINALIZE, *_labels(scene)]
    return Recovery(Way.RECOVER, (why,), tuple(steps))


def _is_expired(scene: _Scene) -> bool:
    until, now = scene.observed.rollback_until, scene.observed.now
    return not scene.wishes.rollback_after_expiration and until is not None and now is not None and now > until


def _rolled_back(scene: _Scene) -> Recovery:
    saw = ("the rollback is completed; the old release runs",)
    if not scene.wishes.finalize_rollback:
        return Recovery(Way.NOTHING, saw, advice="sno.image_upgrade.rollback with rollback_finalize=true finalizes it")
    return Recovery(Way.RECOVER, saw, (*_logs(scene), _FINALIZE, *_labels(scene)))


def _cleanup_failed(scene: _Scene) -> Recovery:
    failures = failed_parts(scene.observed.message)
    parts = parts_of(failures)
    saw = [f"cleanup of {in_words(failure.part)} failed: {failure.why}" for failure in failures]
    if scene.mine is not None:
        saw += [location.problem for location in scene.mine.needed if location.problem]
    given_up = bool(parts & OF_STORE) and _is_given_up(scene)
    if scene.observed.state is State.FINALIZE_FAILED and given_up:
        saw.append(_HEALTH_OF_STORE)
    steps = [*_logs(scene)]
    if parts & OF_STORE and not given_up:
        steps += _location_steps(scene)
    if given_up:
        steps.append(Step(Do.OADP, _orphan_words(scene.mine), "the bucket is given up, and the agent would fail again"))
    why = "the cause may be gone; it repeats all parts"
    steps.append(Step(Do.RETRY, "ask the Lifecycle Agent to retry its cleanup", why, "annotation manual-cleanup-done"))
    if parts & THROUGH_API and not given_up:
        text = f"if that fails: {_oadp_words(scene.mine)}, then ask again"
        steps.append(Step(Do.OADP, text, "the agent needs them gone", fallback=True))
    if Part.STATEROOT in parts:
        steps.append(_stateroot_step(scene))
    saw += [f"nothing here can clean up the {part}; {by_hand(part)}" for part in _for_people(parts)]
    return Recovery(Way.RECOVER, tuple(saw), (*steps, *_labels(scene)))


def _for_people(parts: t.Collection[Part]) -> list[Part]:
    return [part for part in Part if part in parts and part not in (*THROUGH_API, Part.STATEROOT)]


def _bad(scene: _Scene) -> list[Location]:
    """The locations that are needed, and that Velero cannot delete from."""
    return [location for location in scene.mine.needed if not location.usable] if scene.mine else []


def _is_given_up(scene: _Scene) -> bool:
    """True where the user has said that the bucket is lost, and it does not answer."""
    bad = _bad(scene)
    return scene.wishes.orphan_data and bool(bad) and all(location.lost for location in bad)


_HEALTH_OF_STORE = (
    "a finalize waits until the cluster is healthy, which takes every backup location to be Available, or its "
    "DataProtectionApplication to be gone"
)


def _location_steps(scene: _Scene) -> list[Step]:
    if not _bad(scene):
        return []
    seconds = scene.wishes.location_timeout
    lasting = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    text = f"wait up to {lasting} for the backup location"
    return [Step(Do.LOCATION, text, "without it every deletion fails again")]


def _orphan_words(mine: Mine | None) -> str:
    backups = _oadp_report.counted(mine.backups) if mine and mine.backups else "what OADP still has of this cluster"
    stay = f"; {_oadp_report.others_stay(mine)}" if mine and mine.others else ""
    return f"remove the objects of {backups}; their data stays in the bucket{stay}"


def _oadp_words(mine: Mine | None) -> str:
    if mine is None or not mine.items:
        return "remove the backups of this cluster that are still there"
    backups = mine.backups or mine.items
    stay = f"; {_oadp_report.others_stay(mine)}" if mine.others else ""
    return f"delete {_oadp_report.counted(backups)} of this cluster through DeleteBackupRequests{stay}"


def _stateroot_step(scene: _Scene) -> Step:
    name = leftover_stateroot(scene.observed)
    what = f"remove the stateroot {name} on the node" if name else "remove the other stateroot on the node"
    if scene.wishes.node_access:
        return Step(Do.STATEROOT, f"if that fails: {what}, then ask again", "the agent needs it gone", fallback=True)
    how = f"a person does: {stateroot_command(name)}"
    return Step(Do.STATEROOT, f"if that fails: {what} ({how})", "no access to the node is configured", fallback=True)


def leftover_stateroot(observed: Observed) -> str:
    """The stateroot that a cleanup removes: the attempt's, where the cluster does not run it. Else only the node knows.

    Its name is ``rhcos_`` and the version, with every ``-`` turned into ``_``.
    """
    if not observed.target or observed.at_target or observed.version is None:
        return ""
    return f"rhcos_{observed.target.replace('-', '_')}"


def stateroot_command(name: str) -> str:
    """How a person removes a stateroot; contains ``{cluster}``."""
    command = "ansible-playbook sno.image_upgrade.recover_stateroot -l {cluster}"
    if not name:
        return f"{command}, which lists them, then once more with the name of the one that is not booted"
    return f"{command} -e recover_stateroot_state=absent -e recover_stateroot_name={name}"


def _rollback_failed(scene: _Scene) -> Recovery:
    logs = _logs(scene, _FOR_A_CASE)
    advice = (
        "no automatic way leads out of a failed rollback; on the node either stateroot may be the next to boot "
        "(sno.image_upgrade.recover_stateroot lists them, and with recover_stateroot_state=default chooses); "
        f"{BACK_DOOR}"
    )
    return Recovery(Way.PERSON, (_why("the rollback failed", scene.observed),), logs, advice)


def _invalid(scene: _Scene) -> Recovery:
    allowed = ", ".join(scene.observed.valid_next) or "none"
    saw = (_why(f"stage {scene.observed.stage} was asked for in a state that does not allow it", scene.observed),)
    advice = f"set spec.stage back to where the cluster is; it allows: {allowed}; {BACK_DOOR}"
    return Recovery(Way.PERSON, saw, _logs(scene, _FOR_A_CASE), advice)


def _absent(_scene: _Scene) -> Recovery:
    advice = "install the Lifecycle Agent on the cluster, or wait until it has started"
    return Recovery(Way.PERSON, ("it has no ImageBasedUpgrade",), advice=advice)


def _unknown(scene: _Scene) -> Recovery:
    """Never guess: everything that a case needs, and nothing done."""
    observed = scene.observed
    allowed = ", ".join(observed.valid_next) or "none"
    seed = f"the seed is {observed.target}" if observed.target else "no seed is set"
    saw = (
        f"stage {observed.stage}, reason {observed.reason or '(none)'}: {one_line(observed.message) or '(no message)'}",
        f"it runs {observed.version}, {seed}; it allows: {allowed}",
        f"generation {observed.generation}, observed {observed.observed_generation}, "
        f"resourceVersion {observed.resource_version}",
    )
    advice = (
        "this collection does not know this state and does nothing; file a case with the logs and with "
        "oc get ibu upgrade -o yaml; "
        f"{BACK_DOOR}"
    )
    return Recovery(Way.UNKNOWN, saw, _logs(scene, _FOR_A_CASE), advice)


_BY_STATE: t.Mapping[State, t.Callable[[_Scene], Recovery]] = {
    **dict.fromkeys(_NOTHING, _nothing),
    **dict.fromkeys(_WAITING, _waiting),
    State.ABSENT: _absent,
    State.INVALID_TRANSITION: _invalid,
    State.ABORT_FAILED: _cleanup_failed,
    State.FINALIZE_FAILED: _cleanup_failed,
    State.PREP_FAILED: _failed,
    State.UPGRADE_FAILED_PRE_PIVOT: _failed,
    State.ROLLED_BACK: _failed,
    State.UPGRADE_FAILED_POST_PIVOT: _failed_after_reboot,
    State.UPGRADE_COMPLETED: _upgraded,
    State.ROLLBACK_FAILED: _rollback_failed,
    State.ROLLBACK_COMPLETED: _rolled_back,
    State.UNKNOWN: _unknown,
}


_FOR_A_CASE = "whoever decides needs them"


# --- what several rows share --------------------------------------------------------------------------------------


def _logs(scene: _Scene, why: str = "going Idle deletes them", *, force: bool = False) -> tuple[Step, ...]:
    if not scene.wishes.logs or not (force or has_evidence(scene.observed)):
        return ()
    return (Step(Do.LOGS, "collect logs", why, "must-gather"),)


def _labels(scene: _Scene) -> tuple[Step, ...]:
    if scene.labels is None or not scene.labels.is_needed:
        return ()
    return (Step(Do.LABELS, f"bring the hub into line: {scene.labels.words()}", "the cluster will be Idle"),)


def _why(words: str, observed: Observed) -> str:
    return f"{words}: {one_line(observed.message)}" if observed.message else words


def one_line(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())
