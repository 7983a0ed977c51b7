# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Bringing a declared group upgrade to the hub, whole or step by step: checked before every write, then followed."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import typing as t
from dataclasses import dataclass, field

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import (
    Change,
    Declared,
    change_to,
    check_finalize,
    check_overlap,
    finalized_by,
    resolve,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import GroupView, Member, view
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import Step, text_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, IbuError
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import has_have, is_are
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import StopOnSignal
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._follow import End, Follow, Limits
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._spokes import Causes, unfit

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import Budget
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import Documents, GroupHub
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import Inventory

_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Settings:
    """How to go about it.

    ``stop_after``: the number of the last step to run in this run; None: all of them. ``stop_early``: whether the
    budget ends the waiting, or is looked at only between steps. ``allowed``: the clusters that may be selected.
    """

    wait: bool = False
    stepwise: bool = False
    stop_after: int | None = None
    verify: bool = False
    budget: Budget | None = None
    limits: Limits = field(default_factory=Limits)
    check: bool = False
    stop_early: bool = True
    allowed: t.Collection[str] | None = None


@dataclass
class Outcome:
    """What was done and where that has led. ``next_step``: the number of the first step that was not sent; or None."""

    members: t.Sequence[Member] = ()
    group: GroupView | None = None
    changed: bool = False
    appended: int = 0
    before: str | None = None
    after: str = ""
    stopped: str = ""
    next_step: int | None = None


class GroupRun:
    """One declared group upgrade on one hub."""

    def __init__(
        self,
        hub: GroupHub,
        declared: Declared,
        settings: Settings,
        inventory: Inventory,
        show: t.Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._hub = hub
        self._declared = declared
        self._settings = settings
        self._inventory = inventory
        self._show = show
        self._clock = clock or Clock()
        # One for all steps: after an abort a cluster no longer says why it failed.
        self._causes = Causes(inventory.find)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Do it. Raises IbuError before a write that must not be."""
        last = len(self._declared.plan)
        held = [Step.of(spec) for spec in ((self._hub.read().ibgu or {}).get("spec") or {}).get("plan") or ()]
        if self._settings.verify:
            check_finalize(self._declared.plan, len(held), stepwise=self._settings.stepwise)
        if not self._settings.stepwise:
            self._bring(last)
            return self._outcome
        # A later step that cannot be sent is known before the first one is.
        resolve(self._declared.plan, held, self._hub.members(self._declared.selectors))
        return self._bring_stepwise(len(held), min(last, self._settings.stop_after or last))

    def _bring_stepwise(self, held: int, last: int) -> Outcome:
        for count in range(max(held, 1), max(held, last) + 1):
            self._bring(count)
            self._outcome.next_step = count + 1 if count < len(self._declared.plan) else None
            if self._settings.check or not self._may_go_on(count):
                break
        return self._outcome

    def _may_go_on(self, count: int) -> bool:
        """Judge the steps so far; say why no other step is sent."""
        outcome, budget = self._outcome, self._settings.budget
        failed = len(outcome.group.failed) if outcome.group else 0
        left = len(self._declared.plan) - count
        if not outcome.stopped and left and budget is not None and budget.is_exceeded(failed, len(outcome.members)):
            outcome.stopped = (
                f"{failed} of {len(outcome.members)} clusters {has_have(failed)} failed, the limit is {budget}"
            )
        if outcome.stopped and left:
            rest = text_of(tuple(step.actions for step in self._declared.plan[count:]))
            self._show(f"STOPPED  {outcome.stopped}; not sent: {rest}")
        return not outcome.stopped

    def _bring(self, count: int) -> None:
        """Bring the first ``count`` steps to the hub, and wait for them where that is wanted."""
        declared = dataclasses.replace(self._declared, plan=self._declared.plan[:count])
        documents = self._hub.read()
        members = self._hub.members(declared.selectors)
        self._check_allowed(members)
        group = view(documents.ibgu, documents.cgus, members) if documents.ibgu else None
        change = change_to(declared, documents.ibgu, group, members)
        self._check(declared, change, members)
        for note in change.notes:
            self._show(f"PLAN  {note}")
        self._send(declared, change, documents)
        self._outcome.members = members
        if not self._settings.check:
            self._wait(members)

    def _check_allowed(self, members: t.Sequence[Member]) -> None:
        allowed = self._settings.allowed
        strangers = [] if allowed is None else [member.name for member in members if member.name not in allowed]
        if strangers:
            shown = ", ".join(strangers[:_NAMES_SHOWN])
            raise IbuError(
                f"{len(strangers)} of the {len(members)} clusters that the selectors select are no hosts of this play: "
                f"{shown}{' and more' if len(strangers) > _NAMES_SHOWN else ''}; --limit does not limit a group "
                "upgrade. Narrow the selectors, name the clusters (ibgu_clusters), or say require_hosts: false"
            )

    def _check(self, declared: Declared, change: Change, members: t.Sequence[Member]) -> None:
        """Everything that needs a look at other objects; only where there are steps to send."""
        if not change.appended:
            return
        check_overlap(declared, change, members, self._hub.others())
        if any(Action.PREP in step.actions for step in change.new_steps):
            self._check_inputs(declared)
        if any(Action.UPGRADE in step.actions for step in change.new_steps) and not declared.ibu_spec.get(
            "oadpContent"
        ):
            self._show(
                "NOTE  without oadp_content nothing brings the klusterlet back after the reboot: unless something else "
                "does, the hub hears no more of the clusters and the step times out for all of them"
            )
        if self._settings.verify:
            self._verify(declared, finalized_by(change, members))

    def _check_inputs(self, declared: Declared) -> None:
        if missing := self._hub.missing_inputs(declared.ibu_spec):
            raise IbuError(
                f"the hub has no {', '.join(missing)}: TALM would copy nothing, say nothing, and each cluster would "
                "fail in Prep; create them on the hub first"
            )

    def _verify(self, declared: Declared, names: t.Sequence[str]) -> None:
        version = str((declared.ibu_spec.get("seedImageRef") or {}).get("version") or "") or None
        bad = unfit(self._inventory.find, names, version)
        for name, problem in bad.items():
            self._show(f"         {name}  NOT VERIFIED: {problem}")
        if bad:
            shown = ", ".join(list(bad)[:_NAMES_SHOWN])
            raise IbuError(
                f"{len(bad)} of {len(names)} clusters {is_are(len(bad))} not fit to be finalized, and finalizing takes "
                f"their way back away: {shown}{' and more' if len(bad) > _NAMES_SHOWN else ''}; see above. The step "
                "was not sent"
            )

    def _send(self, declared: Declared, change: Change, documents: Documents) -> None:
        present = documents.ibgu
        if self._outcome.before is None:
            self._outcome.before = text_of_object(present) if present else ""
        self._outcome.after = text_of_object(_afterwards(declared, change, present))
        if present is None:
            self._hub.create(declared.document(change.steps), dry_run=self._settings.check)
        elif change.appended or change.annotations:
            self._hub.patch(_patch(change, present), dry_run=self._settings.check)
        else:
            return
        self._outcome.changed = True
        self._outcome.appended += change.appended

    def _wait(self, members: t.Sequence[Member]) -> None:
        if not (self._settings.wait or self._settings.stepwise):
            documents = self._hub.read()
            if documents.ibgu is None:
                raise IbuError("the group upgrade was deleted at the same time")
            self._outcome.group = view(documents.ibgu, documents.cgus, members)
            return
        end = self._follow(members)
        self._outcome.group, self._outcome.stopped = end.group, end.stopped
        # A second look: the labels are TALM's last word.
        self._outcome.members = self._hub.members(self._declared.selectors) if end.group.settled else members

    def _follow(self, members: t.Sequence[Member]) -> End:
        budget = self._settings.budget
        limits = self._settings.limits
        if budget is not None and self._settings.stop_early:
            limits = dataclasses.replace(limits, max_failures=budget.clusters(len(members)))
        stop = threading.Event()
        parent = os.getppid()
        follow = Follow(
            self._hub,
            members,
            self._causes,
            limits=limits,
            clock=self._clock,
            stop=stop,
            show=self._show,
            # A killed ansible-playbook leaves its workers behind; they must not send the next step of the plan.
            is_wanted=lambda: os.getppid() == parent,
        )
        with StopOnSignal(stop):
            return follow.run()


def _patch(change: Change, present: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    # With the version that the decision was made on: a plan is replaced as a whole.
    metadata: dict[str, t.Any] = {"resourceVersion": present["metadata"]["resourceVersion"]}
    if change.annotations:
        metadata["annotations"] = dict(change.annotations)
    body: dict[str, t.Any] = {"metadata": metadata}
    if change.appended:
        body["spec"] = {"plan": [step.as_spec() for step in change.steps]}
    return body


def _afterwards(declared: Declared, change: Change, present: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    after = declared.document(change.steps)
    if present is not None:
        kept = present["metadata"].get("annotations") or {}
        after["metadata"]["annotations"] = {**kept, **change.annotations}
    return after


def text_of_object(document: t.Mapping[str, t.Any]) -> str:
    """What a person wants to compare: no status, and of the metadata only what can be declared."""
    metadata = {key: document["metadata"].get(key) for key in ("name", "namespace", "annotations")}
    kept = {"metadata": {key: value for key, value in metadata.items() if value}, "spec": document.get("spec")}
    # Values from Ansible's variables are subclasses of str and int, which a YAML dumper does not know.
    plain = json.loads(json.dumps(kept))
    return str(yaml.safe_dump(plain, sort_keys=True, default_flow_style=False))


def still_running(group: GroupView) -> str:
    """Why a group upgrade that is at work is not deleted."""
    step = group.current
    what = _group_report.progress_text(group, None) if step is not None else "TALM has not seen its last change"
    return (
        f"{group.namespace}/{group.name} is still at work: {what}. Deleting it stops nothing on the clusters, each "
        "goes on with the stage that it is in and nobody follows it; wait for the end, or say delete_running: true"
    )
