# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declares a group upgrade on the hub and follows it; the documentation is in plugins/modules/ibgu_plan.py."""

from __future__ import annotations

import threading
import typing as t

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils import _group_report
from ansible_collections.sno.image_upgrade.plugins.module_utils._budget import Budget, parse_budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS, goals_of, seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import (
    Change,
    Declared,
    change_to,
    check_declared,
    check_finalize,
    check_overlap,
    finalized_by,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibgu import GroupView, Member, view
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import prep_spec
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    IbuError,
    InvalidOption,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import StopOnSignal
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._follow import End, Follow, Limits
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import Documents, GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import (
    AUTH_OPTIONS,
    NAME_OPTIONS,
    HubAction,
    Inventory,
    check_one_seed,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._spokes import Causes, unfit

_CONFLICT = 409


class ActionModule(HubAction):
    """Creates, extends or deletes one ImageBasedGroupUpgrade. A cluster's failure stands in the result."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        **NAME_OPTIONS,
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "cluster_label_selectors": {"type": "list", "elements": "dict", "aliases": ["clusterLabelSelectors"]},
        "plan": {"type": "list", "elements": "dict"},
        **GOAL_OPTIONS,
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "float"},
        "max_failures": {"type": "str"},
        "leave_failing": {"type": "bool", "default": False},
        "verify": {"type": "bool", "default": False},
        "delete_running": {"type": "bool", "default": False},
        "poll_interval": {"type": "float", "default": 10},
        "look_interval": {"type": "float", "default": 60},
        **AUTH_OPTIONS,
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Bring the hub to what is declared, then wait for TALM where that is wanted."""
        declared = None if options["state"] == "absent" else _declared(options, task_vars)
        limits = _limits(options)
        hub = GroupHub(self.open_hub(options), options["namespace"], options["name"])
        try:
            if declared is None:
                return self._absent(hub, allow_running=options["delete_running"])
            return self._present(hub, declared, options, limits, Inventory(task_vars))
        except Refused as error:
            raise IbuError(f"the hub's API refused it: {error}") from error
        except Unanswered as error:
            if error.status == _CONFLICT:
                raise IbuError(
                    f"somebody else changed the group upgrade at the same time; run again ({error})"
                ) from error
            raise IbuError(f"the hub {hub.url} does not answer as it should: {error}") from error
        finally:
            hub.close()

    def _present(
        self,
        hub: GroupHub,
        declared: Declared,
        options: t.Mapping[str, t.Any],
        limits: Limits,
        inventory: Inventory,
    ) -> dict[str, t.Any]:
        documents = hub.read()
        members = hub.members(declared.selectors)
        group = view(documents.ibgu, documents.cgus, members) if documents.ibgu else None
        change = change_to(declared, documents.ibgu, group, members)
        self._check(hub, declared, change, members, options["verify"], inventory)
        for note in change.notes[-change.appended :] if change.appended else ():
            self.show(f"PLAN  {note}")
        changed = self._send(hub, declared, change, documents)
        result = {"changed": changed, "diff": _diff(declared, documents.ibgu, change)}
        if self.check_mode:
            return {**result, "appended_steps": change.appended, "group": {}, "failed_clusters": {}, "stopped": ""}
        end = self._wait(hub, declared, members, options, limits, inventory)
        return {
            **result,
            "appended_steps": change.appended,
            "group": _group_report.as_result(end.group, members),
            "failed_clusters": _group_report.failed_clusters(end.group),
            "stopped": end.stopped,
        }

    def _check(
        self,
        hub: GroupHub,
        declared: Declared,
        change: Change,
        members: t.Sequence[Member],
        verify: bool,
        inventory: Inventory,
    ) -> None:
        """Everything that needs a look at other objects; only where there is something to send."""
        if not change.appended:
            return
        check_overlap(declared, change, members, hub.others())
        if any(Action.PREP in step.actions for step in change.new_steps) and (
            missing := hub.missing_inputs(declared.ibu_spec)
        ):
            raise IbuError(
                f"the hub has no {', '.join(missing)}: TALM would copy nothing, say nothing, and each cluster would "
                "fail in Prep; create them on the hub first"
            )
        if verify:
            check_finalize(change)
            self._verify(declared, finalized_by(change, members), inventory)

    def _verify(self, declared: Declared, names: t.Sequence[str], inventory: Inventory) -> None:
        version = str((declared.ibu_spec.get("seedImageRef") or {}).get("version") or "") or None
        bad = unfit(inventory.find, names, version)
        for name, problem in bad.items():
            self.show(f"         {name}  NOT VERIFIED: {problem}")
        if bad:
            raise IbuError(
                f"{len(bad)} of {len(names)} clusters are not fit to be finalized, and finalizing takes their way back "
                f"away: {', '.join(list(bad)[:6])}; see above. Nothing was changed"
            )

    def _send(self, hub: GroupHub, declared: Declared, change: Change, documents: Documents) -> bool:
        if documents.ibgu is None:
            hub.create(declared.document(change.steps), dry_run=self.check_mode)
            return True
        if not change.appended and not change.annotations:
            return False
        # With the version that the decision was made on: a plan is replaced as a whole.
        metadata: dict[str, t.Any] = {"resourceVersion": documents.ibgu["metadata"]["resourceVersion"]}
        if change.annotations:
            metadata["annotations"] = dict(change.annotations)
        body: dict[str, t.Any] = {"metadata": metadata}
        if change.appended:
            body["spec"] = {"plan": [step.as_spec() for step in change.steps]}
        hub.patch(body, dry_run=self.check_mode)
        return True

    def _wait(
        self,
        hub: GroupHub,
        declared: Declared,
        members: t.Sequence[Member],
        options: t.Mapping[str, t.Any],
        limits: Limits,
        inventory: Inventory,
    ) -> End:
        if not options["wait"]:
            documents = hub.read()
            if documents.ibgu is None:
                raise IbuError("the group upgrade was deleted at the same time")
            return End(view(documents.ibgu, documents.cgus, members))
        stop = threading.Event()
        budget = parse_budget("max_failures", options["max_failures"]) if options["max_failures"] else None
        follow = Follow(
            hub,
            members,
            Causes(inventory.find),
            limits=_with_budget(limits, budget, len(members)),
            clock=Clock(),
            stop=stop,
            show=self.show,
        )
        with StopOnSignal(stop):
            end = follow.run()
        for line in _group_report.recap_lines(end.group):
            self.show(line)
        if end.stopped:
            self.show(f"STOPPED  {end.stopped}")
        return end

    def _absent(self, hub: GroupHub, *, allow_running: bool) -> dict[str, t.Any]:
        documents = hub.read()
        if documents.ibgu is None:
            return {"changed": False, "diff": {"before": "", "after": ""}}
        members = hub.members(documents.ibgu["spec"].get("clusterLabelSelectors") or [])
        group = view(documents.ibgu, documents.cgus, members)
        if not group.settled and not allow_running:
            raise IbuError(_still_running(group))
        hub.delete(dry_run=self.check_mode)
        return {"changed": True, "diff": {"before": _text_of(documents.ibgu), "after": ""}}


def _still_running(group: GroupView) -> str:
    step = group.current
    what = _group_report.progress_text(group, None) if step is not None else "TALM has not seen its last change"
    return (
        f"{group.namespace}/{group.name} is still at work: {what}. Deleting it stops nothing on the clusters, each "
        "goes on with the stage that it is in and nobody follows it; wait for the end, or say delete_running: true"
    )


def _declared(options: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any]) -> Declared:
    for name in ("plan", "cluster_label_selectors"):
        if options[name] is None:
            raise InvalidOption(name, None, f"give it, or set the variable ibgu_{name}")
    (goal,) = goals_of([Action.PREP], options)
    if goal.seed is None:
        raise InvalidOption("seed_image_ref", None, "give {version: X.Y.Z, image: REGISTRY/PATH:TAG}")
    check_one_seed(task_vars, options["seed_image_ref"])
    spec = prep_spec(goal)
    del spec["stage"]
    for key, value in goal.annotations.items():
        if value is None:
            raise InvalidOption(f"annotations.{key}", None, "a group upgrade can set annotations, not remove them")
    declared = Declared(
        name=options["name"],
        namespace=options["namespace"],
        selectors=options["cluster_label_selectors"],
        ibu_spec=spec,
        plan=parse_plan(options["plan"], "plan"),
        annotations={key: str(value) for key, value in goal.annotations.items()},
    )
    check_declared(declared)
    return declared


def _limits(options: t.Mapping[str, t.Any]) -> Limits:
    timeout = options["wait_timeout"]
    return Limits(
        poll=seconds_of("poll_interval", options["poll_interval"], 0.05),
        look=seconds_of("look_interval", options["look_interval"]),
        timeout=None if timeout is None else seconds_of("wait_timeout", timeout),
        leave_failing=options["leave_failing"],
    )


def _with_budget(limits: Limits, budget: Budget | None, clusters: int) -> Limits:
    if budget is None:
        return limits
    return Limits(**{**limits.__dict__, "max_failures": budget.clusters(clusters)})


def _diff(declared: Declared, present: t.Mapping[str, t.Any] | None, change: Change) -> dict[str, str]:
    after = declared.document(change.steps)
    if present is not None:
        kept = present["metadata"].get("annotations") or {}
        after["metadata"]["annotations"] = {**kept, **change.annotations}
    return {"before": _text_of(present) if present else "", "after": _text_of(after)}


def _text_of(document: t.Mapping[str, t.Any]) -> str:
    """What a person wants to compare: no status, and of the metadata only what can be declared."""
    metadata = {key: document["metadata"].get(key) for key in ("name", "namespace", "annotations")}
    kept = {"metadata": {key: value for key, value in metadata.items() if value}, "spec": document.get("spec")}
    return str(yaml.safe_dump(kept, sort_keys=True, default_flow_style=False))
