# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kinds of objects there are: their fields with defaults, what they refer to, and what makes them unique."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# A field without a default has to be given.
REQUIRED = object()


@dataclass(frozen=True)
class Kind:
    """One kind of object, by the name of its list endpoint."""

    type: str
    fields: dict[str, Any]
    # Field -> kind of the object that it holds the id of.
    refers: dict[str, str] = field(default_factory=dict)
    # Related list -> kind of its members.
    lists: dict[str, str] = field(default_factory=dict)
    unique: tuple[str, ...] = ("name", "organization")
    has_survey: bool = False


_NAMED = {"name": REQUIRED, "description": ""}
_NOTIFY = {f"notification_templates_{when}": "notification_templates" for when in ("started", "success", "error")}
_ASK = ("variables", "limit", "tags", "skip_tags", "inventory", "scm_branch", "labels")
_ASK_JOB = (
    *_ASK,
    *("diff_mode", "job_type", "verbosity", "credential", "execution_environment", "forks"),
    *("instance_groups", "job_slice_count", "timeout"),
)


def _asks(names: tuple[str, ...]) -> dict[str, bool]:
    return {f"ask_{name}_on_launch": False for name in names}


KINDS: dict[str, Kind] = {
    "organizations": Kind("organization", {**_NAMED, "max_hosts": 0}, unique=("name",)),
    "execution_environments": Kind(
        "execution_environment",
        {**_NAMED, "organization": None, "image": REQUIRED, "credential": None, "pull": ""},
        {"organization": "organizations", "credential": "credentials"},
        unique=("name",),
    ),
    "credential_types": Kind(
        "credential_type", {**_NAMED, "kind": REQUIRED, "inputs": {}, "injectors": {}}, unique=("name", "kind")
    ),
    "credentials": Kind(
        "credential",
        {**_NAMED, "organization": None, "credential_type": REQUIRED, "inputs": {}},
        {"organization": "organizations", "credential_type": "credential_types"},
        unique=("organization", "name", "credential_type"),
    ),
    "notification_templates": Kind(
        "notification_template",
        {
            **_NAMED,
            "organization": REQUIRED,
            "notification_type": REQUIRED,
            "notification_configuration": {},
            "messages": None,
        },
        {"organization": "organizations"},
    ),
    "projects": Kind(
        "project",
        {
            **_NAMED,
            "organization": None,
            "scm_type": "",
            "scm_url": "",
            "scm_branch": "",
            "scm_refspec": "",
            "scm_clean": False,
            "scm_delete_on_update": False,
            "scm_track_submodules": False,
            "scm_update_on_launch": False,
            "scm_update_cache_timeout": 0,
            "allow_override": False,
            "timeout": 0,
            "credential": None,
            "default_environment": None,
            "local_path": "",
        },
        {
            "organization": "organizations",
            "credential": "credentials",
            "default_environment": "execution_environments",
        },
        _NOTIFY,
    ),
    "inventories": Kind(
        "inventory",
        {**_NAMED, "organization": REQUIRED, "kind": "", "host_filter": None, "variables": ""},
        {"organization": "organizations"},
    ),
    "inventory_sources": Kind(
        "inventory_source",
        {
            **_NAMED,
            "inventory": REQUIRED,
            "source": REQUIRED,
            "source_project": None,
            "source_path": "",
            "source_vars": "",
            "scm_branch": "",
            "credential": None,
            "execution_environment": None,
            "enabled_var": "",
            "enabled_value": "",
            "host_filter": "",
            "limit": "",
            "overwrite": False,
            "overwrite_vars": False,
            "timeout": 0,
            "verbosity": 1,
            "update_on_launch": False,
            "update_cache_timeout": 0,
        },
        {
            "inventory": "inventories",
            "source_project": "projects",
            "credential": "credentials",
            "execution_environment": "execution_environments",
        },
        _NOTIFY,
        unique=("name", "inventory"),
    ),
    "job_templates": Kind(
        "job_template",
        {
            **_NAMED,
            "job_type": "run",
            "inventory": None,
            "project": None,
            "playbook": "",
            "scm_branch": "",
            "forks": 0,
            "limit": "",
            "verbosity": 0,
            "extra_vars": "",
            "job_tags": "",
            "force_handlers": False,
            "skip_tags": "",
            "start_at_task": "",
            "timeout": 0,
            "use_fact_cache": False,
            "execution_environment": None,
            "host_config_key": "",
            "survey_enabled": False,
            "become_enabled": False,
            "diff_mode": False,
            "allow_simultaneous": False,
            "job_slice_count": 1,
            "webhook_service": "",
            "webhook_credential": None,
            "prevent_instance_group_fallback": False,
            **_asks(_ASK_JOB),
        },
        {
            "inventory": "inventories",
            "project": "projects",
            "execution_environment": "execution_environments",
            "webhook_credential": "credentials",
        },
        {"credentials": "credentials", "labels": "labels", **_NOTIFY},
        has_survey=True,
    ),
    "workflow_job_templates": Kind(
        "workflow_job_template",
        {
            **_NAMED,
            "organization": None,
            "extra_vars": "",
            "inventory": None,
            "limit": "",
            "scm_branch": "",
            "job_tags": "",
            "skip_tags": "",
            "survey_enabled": False,
            "allow_simultaneous": False,
            "webhook_service": "",
            "webhook_credential": None,
            **_asks(_ASK),
        },
        {"organization": "organizations", "inventory": "inventories", "webhook_credential": "credentials"},
        {"labels": "labels", "notification_templates_approvals": "notification_templates", **_NOTIFY},
        has_survey=True,
    ),
    "workflow_job_template_nodes": Kind(
        "workflow_job_template_node",
        {
            "identifier": REQUIRED,
            "workflow_job_template": REQUIRED,
            "unified_job_template": None,
            "extra_data": {},
            "inventory": None,
            "scm_branch": None,
            "job_type": None,
            "job_tags": None,
            "skip_tags": None,
            "limit": None,
            "diff_mode": None,
            "verbosity": None,
            "execution_environment": None,
            "forks": None,
            "job_slice_count": None,
            "timeout": None,
            "all_parents_must_converge": False,
        },
        {
            "workflow_job_template": "workflow_job_templates",
            "unified_job_template": "unified_job_templates",
            "inventory": "inventories",
            "execution_environment": "execution_environments",
        },
        {
            "credentials": "credentials",
            "labels": "labels",
            **{f"{when}_nodes": "workflow_job_template_nodes" for when in ("success", "failure", "always")},
        },
        unique=("identifier", "workflow_job_template"),
    ),
    "workflow_approval_templates": Kind(
        "workflow_approval_template", {**_NAMED, "timeout": 0}, unique=("name", "organization")
    ),
    "labels": Kind("label", {"name": REQUIRED, "organization": REQUIRED}, {"organization": "organizations"}),
    "users": Kind("user", {"username": REQUIRED, "is_superuser": False}, unique=("username",)),
    "teams": Kind("team", {**_NAMED, "organization": REQUIRED}, {"organization": "organizations"}),
    "schedules": Kind("schedule", {**_NAMED, "rrule": REQUIRED, "unified_job_template": REQUIRED}),
    "applications": Kind("application", {**_NAMED, "organization": REQUIRED}, {"organization": "organizations"}),
}

# Whatever a workflow node can run.
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources", "workflow_approval_templates")

# What AWX calls a kind in its list of endpoints, where that is not the path.
ROOT_NAMES = {"inventories": "inventory"}
