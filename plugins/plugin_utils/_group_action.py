# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the actions share that declare group upgrades: their options, and what these mean. Controller side only."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS, goals_of, seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._group_spec import (
    Declared,
    check_declared,
    narrowed,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import prep_spec
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan_options import parse_plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    IbuError,
    InvalidOption,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._follow import Limits
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._group import GroupHub
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_action import check_one_seed
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_rights import refusal_of

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_CONFLICT = 409

# What a group upgrade is, and for whom.
GROUP_OPTIONS: dict[str, dict[str, t.Any]] = {
    "cluster_label_selectors": {"type": "list", "elements": "dict", "aliases": ["clusterLabelSelectors"]},
    "clusters": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "plan": {"type": "list", "elements": "dict"},
    "copy_from": {"type": "str"},
    **GOAL_OPTIONS,
}
# How it is followed.
FOLLOW_OPTIONS: dict[str, dict[str, t.Any]] = {
    "wait_timeout": {"type": "float"},
    "poll_interval": {"type": "float", "default": 10},
    "look_interval": {"type": "float", "default": 60},
}


@contextlib.contextmanager
def hub_errors(session: Session) -> t.Iterator[None]:
    """Turns what the hub refuses or does not answer into sentences for people, and closes the session."""
    try:
        yield
    except Refused as error:
        raise IbuError(f"the hub's API refused it: {error}") from error
    except Unanswered as error:
        if error.status == _CONFLICT:
            raise IbuError(f"somebody else changed the group upgrade at the same time; run again ({error})") from error
        raise IbuError(refusal_of(session.url, error)) from error
    finally:
        session.close()


def limits_of(options: t.Mapping[str, t.Any]) -> Limits:
    """When to ask and when to stop. Raises InvalidOption."""
    timeout = options["wait_timeout"]
    return Limits(
        poll=seconds_of("poll_interval", options["poll_interval"], 0.05),
        look=seconds_of("look_interval", options["look_interval"]),
        timeout=None if timeout is None else seconds_of("wait_timeout", timeout),
        leave_failing=bool(options.get("leave_failing")),
    )


def origin_of(options: t.Mapping[str, t.Any], session: Session) -> GroupHub | None:
    """The group upgrade to copy from, where one is named."""
    return GroupHub(session, options["namespace"], options["copy_from"]) if options["copy_from"] else None


def declared_by(options: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any], origin: GroupHub | None) -> Declared:
    """What the options declare. Raises InvalidOption before anything is read but the group upgrade to copy from."""
    if options["plan"] is None:
        raise InvalidOption("plan", None, "give it, or set the variable ibgu_plan")
    selectors, spec, annotations = _from_origin(origin) if origin else (None, None, {})
    if options["cluster_label_selectors"] is not None:
        selectors = options["cluster_label_selectors"]
    if selectors is None:
        raise InvalidOption(
            "cluster_label_selectors", None, "give it, or set the variable ibgu_cluster_label_selectors"
        )
    if spec is None:
        spec, annotations = _wanted(options, task_vars)
    declared = Declared(
        name=options["name"],
        namespace=options["namespace"],
        selectors=narrowed(selectors, options["clusters"], options["exclude"]),
        ibu_spec=spec,
        plan=parse_plan(options["plan"], "plan"),
        annotations=annotations,
        only=tuple(options["clusters"]),
    )
    check_declared(declared)
    return declared


def _from_origin(origin: GroupHub) -> tuple[list[t.Any], dict[str, t.Any], dict[str, str]]:
    """Whom and what another group upgrade is for: clusters that it prepared refuse any other inputs."""
    document = origin.read().ibgu
    if document is None:
        raise InvalidOption("copy_from", origin.name, "the hub has no such group upgrade in this namespace")
    spec = {key: value for key, value in document["spec"]["ibuSpec"].items() if key != "stage"}
    known = document["metadata"].get("annotations") or {}
    annotations = {key: value for key, value in known.items() if "lca.openshift.io" in key}
    return list(document["spec"].get("clusterLabelSelectors") or ()), spec, annotations


def _wanted(
    options: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any]
) -> tuple[dict[str, t.Any], dict[str, str]]:
    (goal,) = goals_of([Action.PREP], options)
    if goal.seed is None:
        raise InvalidOption("seed_image_ref", None, "give {version: X.Y.Z, image: REGISTRY/PATH:TAG}, or copy_from")
    check_one_seed(task_vars, goal.seed)
    spec = prep_spec(goal)
    del spec["stage"]
    for key, value in goal.annotations.items():
        if value is None:
            raise InvalidOption(f"annotations.{key}", None, "a group upgrade can set annotations, not remove them")
    return spec, {key: str(value) for key, value in goal.annotations.items()}
