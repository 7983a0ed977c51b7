# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""From options to goals: what a user gives, checked and turned into the values that decisions are made of."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, InvalidOption, SeedImage

_REFERENCES = {
    "type": "list",
    "elements": "dict",
    "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "required": True}},
}

# Names are the API's in Ansible's spelling; the API's own spelling is accepted too.
GOAL_OPTIONS: dict[str, dict[str, t.Any]] = {
    "seed_image_ref": {
        "type": "dict",
        "aliases": ["seedImageRef"],
        "options": {
            "version": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "pull_secret_ref": {
                "type": "dict",
                # The name of a Secret is no secret.
                "no_log": False,
                "aliases": ["pullSecretRef"],
                "options": {"name": {"type": "str", "required": True}},
            },
        },
    },
    "oadp_content": {**_REFERENCES, "aliases": ["oadpContent"]},
    "extra_manifests": {**_REFERENCES, "aliases": ["extraManifests"]},
    "auto_rollback_on_failure": {
        "type": "dict",
        "aliases": ["autoRollbackOnFailure"],
        "options": {"init_monitor_timeout_seconds": {"type": "int", "aliases": ["initMonitorTimeoutSeconds"]}},
    },
    "annotations": {"type": "dict"},
}

_SEED_KEYS = {"version", "image", "pull_secret_ref", "pullSecretRef"}
_ROLLBACK_KEYS = {"init_monitor_timeout_seconds", "initMonitorTimeoutSeconds"}


def goals_of(
    actions: t.Iterable[Action],
    values: t.Mapping[str, t.Any],
    prefix: str = "",
    *,
    rollback_after_expiration: bool = False,
    accept_warnings: bool = True,
) -> list[Goal]:
    """One goal per action. ``values`` holds GOAL_OPTIONS; raises InvalidOption, naming the option behind ``prefix``."""
    seed = _seed(values.get("seed_image_ref"), f"{prefix}seed_image_ref")
    monitor = _monitor(values.get("auto_rollback_on_failure"), f"{prefix}auto_rollback_on_failure")
    oadp_content = _references(values.get("oadp_content"), f"{prefix}oadp_content")
    extra_manifests = _references(values.get("extra_manifests"), f"{prefix}extra_manifests")
    annotations = _annotations(values.get("annotations"), f"{prefix}annotations")
    return [
        Goal(
            action=action,
            # Only on the way up does the seed say which upgrade is meant; the way back takes whatever is there.
            seed=seed if action in (Action.PREP, Action.UPGRADE, Action.FINALIZE_UPGRADE) else None,
            oadp_content=oadp_content,
            extra_manifests=extra_manifests,
            init_monitor_timeout=monitor,
            annotations=annotations,
            rollback_after_expiration=rollback_after_expiration,
            accept_warnings=accept_warnings,
        )
        for action in actions
    ]


def _seed(value: t.Any, option: str) -> SeedImage | None:
    if value is None:
        return None
    form = "give {version: X.Y.Z, image: REGISTRY/PATH:TAG}, and pullSecretRef: {name: SECRET} where one is needed"
    _check_keys(value, _SEED_KEYS, option, form)
    version, image = value.get("version"), value.get("image")
    if not (isinstance(version, str) and version and isinstance(image, str) and image):
        raise InvalidOption(option, value, form)
    secret = value.get("pull_secret_ref") or value.get("pullSecretRef")
    if secret is None:
        return SeedImage(str(version), str(image))
    _check_keys(secret, {"name"}, f"{option}.pullSecretRef", "give {name: SECRET}")
    if not secret.get("name"):
        raise InvalidOption(f"{option}.pullSecretRef", secret, "give {name: SECRET}")
    return SeedImage(str(version), str(image), str(secret["name"]))


def _references(value: t.Any, option: str) -> tuple[tuple[str, str], ...] | None:
    if value is None:
        return None
    form = "give a list of {name: CONFIGMAP, namespace: NAMESPACE}"
    if isinstance(value, str) or not isinstance(value, t.Sequence):
        raise InvalidOption(option, value, form)
    for item in value:
        _check_keys(item, {"name", "namespace"}, option, form)
        if not (item.get("name") and item.get("namespace")):
            raise InvalidOption(option, item, form)
    return tuple((str(item["namespace"]), str(item["name"])) for item in value)


def _monitor(value: t.Any, option: str) -> int | None:
    if value is None:
        return None
    form = "give {initMonitorTimeoutSeconds: SECONDS}, 0 or more; 0 means the agent's 1800"
    _check_keys(value, _ROLLBACK_KEYS, option, form)
    seconds = value.get("init_monitor_timeout_seconds", value.get("initMonitorTimeoutSeconds"))
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not str(seconds).isdigit():
        raise InvalidOption(option, seconds, form)
    return int(seconds)


def _annotations(value: t.Any, option: str) -> dict[str, str | None]:
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise InvalidOption(option, value, "give a dictionary of strings")
    return {str(key): None if text is None else str(text) for key, text in value.items()}


def _check_keys(value: t.Any, known: set[str], option: str, form: str) -> None:
    if not isinstance(value, t.Mapping) or not set(value) <= known:
        raise InvalidOption(option, value, form)


def seconds_of(option: str, value: t.Any, least: float = 0) -> float:
    """A number of seconds. Raises InvalidOption."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise InvalidOption(option, value, "give a number of seconds") from None
    if not least <= seconds < float("inf"):
        raise InvalidOption(option, value, f"give at least {least:g} seconds")
    return seconds


def count_of(option: str, value: int | None) -> int | None:
    """A number that is not negative, or None. Raises InvalidOption."""
    if value is not None and value < 0:
        raise InvalidOption(option, value, "give 0 or more")
    return value


def timeouts_of(option: str, value: t.Mapping[str, t.Any]) -> dict[Action, float]:
    """Deadlines in seconds by action. Raises InvalidOption for an unknown action or a number that is none."""
    for name in value:
        if name not in set(Action):
            raise InvalidOption(option, name, f"an action is one of {', '.join(Action)}")
    return {Action(name): seconds_of(f"{option}.{name}", seconds, 1) for name, seconds in value.items()}
