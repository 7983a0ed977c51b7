# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a cleanup of OADP says: before it, instead of it in check mode, and after it. Values in, values out."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    BACKUP,
    REQUEST,
    RESTORE,
    Documents,
    Item,
    Location,
    Mine,
    age_of,
    key_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_decide import (
    Memory,
    Policy,
    decide,
    hanging_failure,
    hangs,
    may_reclaim,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Done, Fail

_LISTS = {BACKUP: "backups", RESTORE: "restores", REQUEST: "delete_backup_requests"}


@dataclass(frozen=True)
class Preview:
    """What a run would do: the objects that would go, the sentences that say how, and what would keep it from that."""

    items: tuple[Item, ...] = ()
    steps: tuple[str, ...] = ()
    problem: Fail | None = None


def preview(seen: Documents, mine: Mine, policy: Policy) -> Preview:
    """What a run would do, as far as one look can tell."""
    memory = Memory()
    memory.look(seen, 0.0)
    decision = decide(seen, mine, policy, memory)
    if isinstance(decision, Fail):
        return Preview(problem=decision)
    if isinstance(decision, Done):
        return Preview()
    held = _held(seen, mine, policy)
    names = {request.backup for request in held}
    going = tuple(item for item in mine.items if item.backup not in names)
    problem = hanging_failure(held[0], seen.now) if held else None
    return Preview(going, tuple(_would(seen, mine, policy, going)), problem)


def _held(seen: Documents, mine: Mine, policy: Policy) -> list[Item]:
    """The requests that hang and would go on hanging."""
    found = [one for one in mine.requests if hangs(one, seen.now, policy) and not mine.location_of(one).lost]
    return [] if policy.remove_stuck else found


def _would(seen: Documents, mine: Mine, policy: Policy, going: t.Sequence[Item]) -> t.Iterator[str]:
    """One sentence per intention."""
    bad = [location for location in mine.needed if not location.usable]
    if bad and not (policy.orphan_data and all(location.lost for location in bad)):
        problems = "; ".join(location.problem for location in bad)
        yield f"wait up to {policy.location_timeout:.0f} s: {problems}"
    stuck = [item for item in going if item.kind == REQUEST and hangs(item, seen.now, policy)]
    if stuck:
        yield f"remove what hangs: {counted(stuck)}"
    backups = [item for item in going if item.kind == BACKUP]
    lost = [item for item in backups if policy.orphan_data and mine.location_of(item).lost]
    empty = [item for item in backups if not item.uploaded and item not in lost]
    rest = [item for item in backups if item not in lost and item not in empty]
    stay = f"; {others_stay(mine)}" if mine.others else ""
    if rest:
        yield f"delete {counted(rest)} of this cluster through DeleteBackupRequests{stay}"
    if empty:
        yield f"remove {counted(empty)}, of which nothing was ever written to the bucket{stay}"
    if lost:
        yield f"remove the objects of {counted(lost)}; their data stays in the bucket{stay}"
    if restores := [item for item in going if item.kind == RESTORE]:
        yield f"see that {counted(restores)} goes with it" if backups else f"remove {counted(restores)}"
    if policy.reclaim_policies and (names := volume_names(mine)):
        yield f"set the reclaim policy of {', '.join(names)} back to Delete"


# --- values for results -------------------------------------------------------------------------------------------


def location_row(location: Location) -> dict[str, t.Any]:
    """A backup location as results show it."""
    return {
        "namespace": location.key[0],
        "name": location.key[1],
        "phase": location.phase or None,
        "last_validated": location.last_validated,
        "message": location.message,
        "provider": location.provider or None,
        "bucket": location.bucket or None,
        "prefix": location.prefix or None,
        "read_only": location.read_only,
        "data_protection_application": location.application,
        "secret": location.secret,
    }


def lists_of(items: t.Iterable[Item]) -> dict[str, list[str]]:
    """Names by kind, ``namespace/name``."""
    found: dict[str, list[str]] = {name: [] for name in _LISTS.values()}
    for item in items:
        found[_LISTS[item.kind]].append("/".join(item.key))
    return found


def found_of(seen: Documents, mine: Mine) -> dict[str, list[dict[str, t.Any]]]:
    """What belongs to the cluster, by kind, with what Velero says of it."""
    rows: dict[str, list[dict[str, t.Any]]] = {name: [] for name in _LISTS.values()}
    for item in mine.items:
        row: dict[str, t.Any] = {"namespace": item.key[0], "name": item.key[1], "phase": item.phase or None}
        if item.kind == BACKUP:
            row["location"] = mine.location_of(item).key[1] or None
        else:
            row["backup"] = item.backup[1]
        if item.kind == REQUEST:
            row["errors"] = list(item.errors)
            row["age_seconds"] = round(age_of(item, seen.now))
        rows[_LISTS[item.kind]].append(row)
    return rows


def data_rows(mine: Mine, items: t.Iterable[Item]) -> list[dict[str, str | None]]:
    """Where the data lies that stays behind when these objects go."""
    folders = {BACKUP: "backups", RESTORE: "restores"}
    rows: list[dict[str, str | None]] = []
    for item in items:
        if item.kind in folders and item.uploaded and (location := mine.location_of(item)).lost:
            path = location.path(folders[item.kind], item.key[1])
            rows.append({"kind": item.kind, "name": item.key[1], "location": location.key[1] or None, "path": path})
    return rows


def volume_names(mine: Mine) -> list[str]:
    """The volumes whose reclaim policy can be set back."""
    return [key_of(doc)[1] for doc in mine.volumes if may_reclaim(doc)]


def held_volume_note(mine: Mine) -> str:
    """What to say of volumes that nobody holds any more; empty where there are none."""
    names = [key_of(doc)[1] for doc in mine.volumes if not may_reclaim(doc)]
    if not names:
        return ""
    return (
        f"PersistentVolume {', '.join(names)} keeps reclaim policy Retain: it is not bound, and policy Delete would "
        "destroy its contents at once"
    )


# --- words --------------------------------------------------------------------------------------------------------


def counted(items: t.Sequence[Item]) -> str:
    """``2 backups (acm-klusterlet, small-app)``."""
    words = {BACKUP: "backup", RESTORE: "restore", REQUEST: "DeleteBackupRequest"}
    by_kind = {kind: [str(item) for item in items if item.kind == kind] for kind in words}
    return ", ".join(
        f"{len(names)} {words[kind]}{'s' if len(names) > 1 else ''} ({', '.join(names)})"
        for kind, names in by_kind.items()
        if names
    )


def others_stay(mine: Mine) -> str:
    """How many backups in the same bucket are somebody else's."""
    if not mine.others:
        return ""
    return f"{mine.others} of other clusters stay" if mine.others > 1 else "1 of another cluster stays"


def summary(mine: Mine, removed: t.Sequence[Item], left: t.Sequence[object], volumes: t.Sequence[str]) -> str:
    """One sentence for a cleanup that has ended well."""
    parts = [f"deleted {counted(removed)}" if removed else ""]
    if left:
        parts.append(
            f"data of {len(left)} of them stays in the bucket" if len(left) > 1 else "its data stays in the bucket"
        )
    if volumes:
        parts.append(f"set the reclaim policy of {', '.join(volumes)} back to Delete")
    if not any(parts):
        parts.append("nothing to clean up")
    parts.append(others_stay(mine))
    return "; ".join(part for part in parts if part)
