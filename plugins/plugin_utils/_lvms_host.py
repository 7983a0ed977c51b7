# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The volumes of one cluster: read what there is, and set reclaim policies back where that is wanted."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import IBU_PATH, VERSION_PATH
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms import Seen, diagnose
from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms_report import row_of, row_of_silent
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import UPDATED_POLICY, key_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe, parse_time
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host

_VOLUMES = "/api/v1/persistentvolumes"
_FIELD_EVENTS = "type=Warning"


def diagnose_host(host: Host, patience: float, *, restore: bool, check: bool) -> dict[str, t.Any]:
    """The row of one host. ``restore``: set back what a failed cleanup left; ``check``: only say so. Never raises."""
    try:
        session = host.open()
    except InvalidOption as error:
        return row_of_silent(str(error), "correct its connection variables, then run again")
    try:
        seen = first_contact(lambda: _read(session), patience, Clock())
        diagnosis = diagnose(seen)
        row = row_of(seen.upgrade, diagnosis)
        row["next_step"] = row["next_step"].replace("{cluster}", host.name)
        if restore:
            _set_back(session, diagnosis.policies.back, row, check)
    except NoContact as error:
        return row_of_silent(str(error), error.next_step)
    except (Refused, Unanswered) as error:
        return row_of_silent(f"a reclaim policy could not be set back: {error}", "run again once the cause is mended")
    else:
        return row
    finally:
        session.close()


def _read(session: Session) -> Seen:
    version = session.get(VERSION_PATH)
    ibu = session.get(IBU_PATH)
    release = ((version.document.get("status") or {}).get("desired") or {}).get("version")
    return Seen(
        observe(ibu.document, release, ibu.now),
        made=parse_time((ibu.document.get("metadata") or {}).get("creationTimestamp")),
        cluster_id=str((version.document.get("spec") or {}).get("clusterID") or ""),
        events=session.list("/api/v1/events", fieldSelector=_FIELD_EVENTS),
        volumes=session.list(_VOLUMES),
        claims=session.list("/api/v1/persistentvolumeclaims"),
        logical_volumes=_if_served(session, "/apis/topolvm.io/v1/logicalvolumes"),
        backups=_if_served(session, "/apis/velero.io/v1/backups") or (),
        restores=_if_served(session, "/apis/velero.io/v1/restores") or (),
    )


def _if_served(session: Session, path: str) -> list[dict[str, t.Any]] | None:
    try:
        return session.list(path)
    except NotThere:
        return None


def _set_back(session: Session, volumes: t.Iterable[t.Mapping[str, t.Any]], row: dict[str, t.Any], check: bool) -> None:
    """Policy Delete, as before the upgrade. The uid makes sure that it is still the volume that was judged."""
    policies = row["reclaim_policies"]
    for volume in volumes:
        name = key_of(volume)[1]
        body = {
            "metadata": {"uid": volume["metadata"].get("uid"), "annotations": {UPDATED_POLICY: None}},
            "spec": {"persistentVolumeReclaimPolicy": "Delete"},
        }
        try:
            session.merge_patch(f"{_VOLUMES}/{name}", body, **({"dryRun": "All"} if check else {}))
        except NotThere:
            continue
        policies["left"].remove(name)
        policies["set_back"].append(name)
