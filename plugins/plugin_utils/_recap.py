# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The recap of a rollout from its outcome file, and the leftovers for a rerun."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._report import recap_lines

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record


def recap(record: Record, fleet: t.Collection[str], *, stopped: str | None, in_job: bool = False) -> list[str]:
    """The lines that end a rollout; also writes the list of the clusters that a rerun should take.

    ``in_job``: in AWX, which has a button for that rerun, and whose jobs do not keep their files.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    return _lines(record, fleet, stopped=stopped, ended=now, in_job=in_job)


def recap_of_before(record: Record, *, in_job: bool = False) -> list[str]:
    """The same lines for a rollout that has ended, however long ago that was."""
    ended = [datetime.datetime.fromisoformat(o.ended) for o in record.clusters.values() if o.ended]
    return _lines(record, record.clusters, stopped=record.stopped, ended=max(ended) if ended else None, in_job=in_job)


def _lines(
    record: Record,
    fleet: t.Collection[str],
    *,
    stopped: str | None,
    ended: datetime.datetime | None,
    in_job: bool,
) -> list[str]:
    outcomes = {name: outcome for name, outcome in record.clusters.items() if name in fleet}
    seconds = None
    if record.started and ended:
        # Of a run that found everything done, all ends are those of runs before.
        seconds = max(0.0, (ended - datetime.datetime.fromisoformat(record.started)).total_seconds())
    remaining, untold = None, []
    try:
        remaining = record.save_remaining()
    except OSError as error:
        # A full disk is no reason to keep the rest from whoever has to act on it.
        untold = [f"  WARNING  {record.remaining_path} cannot be written: {error.strerror}"]
    lines = recap_lines(
        outcomes,
        outcome_file=record.path,
        remaining_file=None if in_job else remaining,
        stopped=stopped,
        seconds=seconds,
    )
    again = ["  to go on with the rest: relaunch this job on its failed hosts"] if in_job and remaining else []
    return ["", *lines, *again, *untold, ""]
