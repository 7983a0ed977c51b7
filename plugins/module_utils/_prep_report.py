# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Who is ready for the maintenance window, who is not and why, and whose preparation is of no use any more. No I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide
from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Done,
    Fail,
    Goal,
    Observed,
    Patch,
    Stage,
    State,
    Word,
)

_ABORT = "ansible-playbook sno.image_upgrade.abort -l {cluster}"
_PREP = "ansible-playbook sno.image_upgrade.prep -l {cluster}"
_WARNING = "extra-manifest.lca.openshift.io/validation-warning"
_NAMES_SHOWN = 8


class Standing(Word):
    """What a cluster is for the window. The order is that of the report."""

    READY = "ready"
    UPGRADED = "upgraded"
    UNDER_WAY = "under way"
    PREPARING = "preparing"
    NOT_PREPARED = "not prepared"
    STALE = "stale"
    FAILED = "failed"
    NO_ANSWER = "no answer"

    @property
    def is_good(self) -> bool:
        """True where nobody has to do anything before the window."""
        return self in (Standing.READY, Standing.UPGRADED)


@dataclass(frozen=True)
class Row:
    """One cluster. ``seconds``: how long it has been standing there, by its own clock."""

    cluster: str
    standing: Standing
    why: str = ""
    next_step: str = ""
    seed: str | None = None
    image: str | None = None
    seconds: float | None = None
    note: str = ""


def row_of(cluster: str, observed: Observed, prep: Goal, upgrade: Goal) -> Row:
    """What a cluster is, judged as Prep and then Upgrade would judge it now."""
    standing, why, next_step = _standing(observed, prep, upgrade)
    present = observed.spec.get("seedImageRef") or {}
    age = (observed.now - observed.since).total_seconds() if observed.now and observed.since else None
    prepared = observed.state is not State.IDLE
    warning = observed.annotations.get(_WARNING) if prepared else None
    return Row(
        cluster,
        standing,
        " ".join(why.split()),
        next_step.format(cluster=cluster),
        present.get("version") if prepared else None,
        present.get("image") if prepared else None,
        age,
        f"Prep warned: {warning}" if warning else "",
    )


def _standing(observed: Observed, prep: Goal, upgrade: Goal) -> tuple[Standing, str, str]:
    judged = decide(observed, prep)
    if isinstance(judged, Patch):
        return Standing.NOT_PREPARED, "Prep was not requested yet", _PREP
    if isinstance(judged, Fail):
        return _not_there(observed, judged)
    if not isinstance(judged, Done):
        return Standing.PREPARING, observed.message or judged.why, ""
    if observed.state is not State.PREP_COMPLETED:
        runs = prep.seed is not None and observed.version == prep.seed.version
        return (Standing.UPGRADED if runs else Standing.UNDER_WAY), str(observed.state), ""
    onward = decide(observed, upgrade)
    if isinstance(onward, Patch) and onward.stage is Stage.UPGRADE:
        return Standing.READY, "", ""
    if isinstance(onward, Fail):
        past = prep.seed is not None and observed.version == prep.seed.version
        return (Standing.STALE if past else Standing.FAILED), onward.message, onward.next_step
    return Standing.PREPARING, getattr(onward, "why", ""), ""


def _not_there(observed: Observed, judged: Fail) -> tuple[Standing, str, str]:
    if observed.state in (State.PREP_COMPLETED, State.PREP_RUNNING):
        # It is prepared, or getting there, but not for what is wanted now.
        return Standing.STALE, judged.message, f"{_ABORT}, then {_PREP}"
    return Standing.FAILED, judged.message, pointed(judged.next_step, observed.state, judged.message)


def silent_row(cluster: str, why: str, next_step: str) -> Row:
    """A cluster that could not be read."""
    return Row(cluster, Standing.NO_ANSWER, why, next_step.format(cluster=cluster))


# --- for people -------------------------------------------------------------------------------------------------------


def report_lines(rows: t.Sequence[Row]) -> list[str]:
    """How many are ready, and of everybody else who and why; who shares a cause shares a paragraph."""
    ready = [row for row in rows if row.standing.is_good]
    lines = [f"READY FOR THE WINDOW  {len(ready)} of {len(rows)}"]
    for standing in Standing:
        here = [row for row in rows if row.standing is standing]
        if here:
            lines += ["", f"{standing.upper():<13} {len(here)}{_ages(here) if standing is Standing.READY else ''}"]
            lines += _notes(here) if standing.is_good else _paragraphs(here)
    return lines


def _ages(rows: t.Sequence[Row]) -> str:
    ages = [row.seconds for row in rows if row.seconds is not None]
    seeds = sorted({row.seed for row in rows if row.seed})
    # A single cluster, or all in the same second.
    span = dict.fromkeys((clock(min(ages)), clock(max(ages)))) if ages else {}
    since = f", prepared {' to '.join(span)} ago" if ages else ""
    return f"  with seed {', '.join(seeds)}{since}"


def _notes(rows: t.Sequence[Row]) -> list[str]:
    noted = [row for row in rows if row.note]
    return [f"  {text}: {names}" for text, names in _shared(noted, lambda row: row.note)]


def _paragraphs(rows: t.Sequence[Row]) -> list[str]:
    lines = []
    for why, names in _shared(rows, lambda row: row.why):
        lines.append(f"  {names}: {why}" if why else f"  {names}")
        first = next(row for row in rows if row.why == why)
        several = sum(row.why == why for row in rows) > 1
        if first.next_step:
            step = first.next_step.replace(f"-l {first.cluster}", "-l CLUSTERS") if several else first.next_step
            lines.append(f"    → {step}")
    return lines


def _shared(rows: t.Sequence[Row], text_of: t.Callable[[Row], str]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(text_of(row), []).append(row.cluster)
    return [(text, _names(names)) for text, names in groups.items()]


def _names(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def plain(row: Row) -> dict[str, t.Any]:
    """The row for playbooks."""
    return {
        "cluster": row.cluster,
        "standing": str(row.standing),
        "why": row.why,
        "next_step": row.next_step,
        "seed_version": row.seed,
        "seed_image": row.image,
        "since_seconds": row.seconds,
        "note": row.note,
    }
