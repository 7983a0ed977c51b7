# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The status of one cluster in a form that people and playbooks can use. Values in, a plain dictionary out."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import next_step
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State

_AT_REST = frozenset({State.IDLE, State.PREP_COMPLETED, State.ROLLBACK_COMPLETED})


def status_of(cluster: str, observed: Observed) -> dict[str, t.Any]:
    """What ``ibu_info`` returns under ``status``."""
    return {
        "cluster": cluster,
        "version": observed.version,
        "target_version": observed.target,
        "stage": observed.stage,
        "state": str(observed.state),
        "reason": observed.reason,
        "message": observed.message,
        "since": _text(observed.since),
        "since_seconds": _age(observed),
        "valid_next_stages": list(observed.valid_next),
        "progress": dataclasses.asdict(observed.progress) | {"health": list(observed.progress.health)},
        "blocking_health_checks": list(observed.progress.health),
        "rollback_until": _text(observed.rollback_until),
        "validation_warning": observed.annotations.get("extra-manifest.lca.openshift.io/validation-warning"),
        "history": [
            {
                "stage": timing.stage,
                "started": _text(timing.started),
                "seconds": timing.seconds,
                "phases": dict(timing.phases),
            }
            for timing in observed.history
        ],
        "next_step": _next_step(cluster, observed),
        "detail": _detail(observed),
    }


def status_of_silent(cluster: str, why: str) -> dict[str, t.Any]:
    """The same keys for a cluster that does not answer."""
    silent = status_of(cluster, Observed(State.UNKNOWN, message=why))
    return {**silent, "state": "no answer", "next_step": "", "detail": why}


def _next_step(cluster: str, observed: Observed) -> str:
    if observed.state in _AT_REST:
        return ""
    return pointed(next_step(observed.state).format(cluster=cluster), observed.state, observed.message)


def _detail(observed: Observed) -> str:
    if observed.state is State.UPGRADE_COMPLETED and observed.rollback_until:
        return f"roll back until {observed.rollback_until:%Y-%m-%d %H:%M}"
    return "" if observed.state is State.IDLE else observed.message


def _age(observed: Observed) -> float | None:
    if observed.since is None or observed.now is None:
        return None
    return max(0.0, (observed.now - observed.since).total_seconds())


def _text(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
