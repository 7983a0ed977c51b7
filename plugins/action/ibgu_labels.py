# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the hub's labels into line with the clusters; the documentation is in plugins/modules/ibgu_labels.py."""

from __future__ import annotations

import concurrent.futures
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _labels
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import (
    Clock,
    NoContact,
    first_contact,
    patient,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._hub import DISABLE_AUTO_IMPORT
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import FOLDER
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    Observed,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction, Host
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_labels import Entry, HubLabels
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_rights import refusal_of

_READERS = 100
_WRITERS = 16
_SILENT = "the cluster does not say where it stands"


class ActionModule(FleetAction):
    """All clusters of the batch, and their hub or hubs, from one task."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "contact_timeout": {"type": "float", "default": 10},
        "despite_group_upgrades": {"type": "bool", "default": False},
    }

    def variables(self) -> dict[str, str]:
        """Those of group upgrades."""
        return {name: f"ibgu_{name}" for name in self.OPTIONS}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Read the clusters and the hubs, then write where they differ."""
        patience = seconds_of("contact_timeout", options["contact_timeout"])
        hosts = self.hosts(task_vars)
        hubs = _hubs(hosts, patience)
        desk = _Desk(hubs, patience, respect=not options["despite_group_upgrades"])
        try:
            rows = desk.compare(hosts)
            if not self.check_mode:
                rows.update(desk.correct([host for host in hosts if rows[host.name].correction.is_needed], rows))
        finally:
            for hub in hubs.values():
                hub.close()
        for line in _lines(rows, check=self.check_mode):
            self.show(line)
        return {**_result(rows), "warnings": sorted({text for hub in hubs.values() for text in hub.warnings})}


class _Row(t.NamedTuple):
    """One host: what the hub said before, and what is to be, or was, done about it. ``error``: why it was not."""

    before: Entry | None
    correction: _labels.Correction
    error: str = ""


def _without(error: str, before: Entry | None = None) -> _Row:
    """The row of a host about which nothing can be done."""
    return _Row(before, _labels.Correction(error, keep=True), error)


def _hubs(hosts: t.Iterable[Host], patience: float) -> dict[str, HubLabels]:
    """The hub of every host; hosts with the same connection share one. Raises InvalidOption where one has none."""
    known: dict[str, HubLabels] = {}
    found = {}
    for host in hosts:
        if not host.has_hub:
            raise InvalidOption("ibu_hub_kubeconfig", None, f"say how to reach the hub of host {host.name}")
        open_hub = patient(host.open_hub, patience, Clock(), threading.Event())
        found[host.name] = known.setdefault(host.hub_key, HubLabels(open_hub))
    return found


class _Desk:
    """Compares hosts with their hubs, and corrects these. ``respect``: what group upgrades do to the labels counts."""

    def __init__(self, hubs: t.Mapping[str, HubLabels], patience: float, *, respect: bool) -> None:
        self._hubs = hubs
        self._patience = patience
        self._respect = respect
        self._states: dict[str, Observed | IbuError] = {}

    def compare(self, hosts: t.Sequence[Host]) -> dict[str, _Row]:
        """What is right and what is not. A hub that does not answer costs its own hosts only."""
        silent = {}
        for hub in dict.fromkeys(self._hubs.values()):
            try:
                hub.read({host.managed_cluster for host in hosts if self._hubs[host.name] is hub})
            except InvalidOption:
                raise
            except IbuError as error:
                silent[hub] = str(error)
        known = [host for host in hosts if self._hubs[host.name] not in silent]
        with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
            states = pool.map(self._state, known)
            self._states = {host.name: state for host, state in zip(known, states, strict=True)}
        return {
            host.name: _without(silent[hub]) if (hub := self._hubs[host.name]) in silent else self._judge(host)
            for host in hosts
        }

    def correct(self, hosts: t.Sequence[Host], rows: t.Mapping[str, _Row]) -> dict[str, _Row]:
        """Write to the hubs, with few threads each of which has a connection."""
        with concurrent.futures.ThreadPoolExecutor(_WRITERS) as pool:
            written = pool.map(lambda host: self._write(host, rows[host.name]), hosts)
            return {host.name: row for host, row in zip(hosts, written, strict=True)}

    def _state(self, host: Host) -> Observed | IbuError:
        try:
            session = host.open()
        except IbuError as error:
            return error
        try:
            return first_contact(Cluster(session).read, self._patience, Clock())
        except NoContact as error:
            return error
        finally:
            session.close()

    def _judge(self, host: Host) -> _Row:
        hub, name = self._hubs[host.name], host.managed_cluster
        entry = hub.entries.get(name)
        if entry is None:
            return _without(f"{hub.url} has no ManagedCluster {name!r}; name it in ibu_managed_cluster")
        return self._row(host, entry, entry)

    def _row(self, host: Host, before: Entry, now: Entry) -> _Row:
        state = self._states[host.name]
        if isinstance(state, IbuError):
            return _without(f"{_SILENT}: {state}", before)
        hub, name = self._hubs[host.name], host.managed_cluster
        holds = hub.holds.get(name, ()) if self._respect else ()
        found = _labels.correction(state, now.labels, now.annotations, holds, hub.busy.get(name, ""))
        return _Row(before, found, found.reason if found.wrong else "")

    def _write(self, host: Host, row: _Row) -> _Row:
        """Write; where somebody else was faster, look at the cluster and at the hub again, and decide again."""
        rows = [row]

        def decide(entry: Entry, again: bool) -> _labels.Correction:
            if again:
                self._states[host.name] = self._state(host)
                rows.append(self._row(host, entry, entry))
            return rows[-1].correction

        try:
            self._hubs[host.name].write(host.managed_cluster, decide)
        except IbuError as error:
            if isinstance(error, Unanswered) and error.kind == "rights":
                return rows[-1]._replace(error=refusal_of(self._hubs[host.name].url, error))
            return rows[-1]._replace(error=f"the hub did not take it: {error}")
        return rows[-1]


def _lines(rows: t.Mapping[str, _Row], *, check: bool) -> list[str]:
    """One entry per finding, not per cluster. Every silence has its own words; the first stands for all."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(_finding(row, check), []).append(name)
    order = ["FAILED", "LEFT ALONE", "WOULD CHANGE", "CHANGED", "AGREES"]
    lines = []
    for (word, text), names in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))):
        lines.append(f"{word:<12} {len(names):>4}  {rows[names[0]].error if text == _SILENT else text}")
        lines.append(f"{' ' * 19}{names_in_short(names)}")
    return lines


def _finding(row: _Row, check: bool) -> tuple[str, str]:
    if row.error:
        return "FAILED", _SILENT if row.error.startswith(_SILENT) else row.error
    if row.correction.keep:
        return "LEFT ALONE", row.correction.reason
    if row.correction.is_needed:
        return "WOULD CHANGE" if check else "CHANGED", f"{row.correction.words()}: {row.correction.reason}"
    return "AGREES", row.correction.reason


def _result(rows: t.Mapping[str, _Row]) -> dict[str, t.Any]:
    changed = {name: row for name, row in rows.items() if row.correction.is_needed and not row.error}
    return {
        "changed": bool(changed),
        "clusters": {name: _cluster(row, changed=name in changed) for name, row in rows.items()},
        "relabelled": [name for name, row in changed.items() if row.correction.add or row.correction.remove],
        "failed_clusters": {
            name: f"{name}: {row.error} ({FOLDER}/{_page(row.error)})" for name, row in rows.items() if row.error
        },
        "diff": [
            {"before_header": name, "after_header": name, **_diff(row)} for name, row in changed.items() if row.before
        ],
    }


def _diff(row: _Row) -> dict[str, str]:
    before = set(_labels.ours(row.before.labels)) if row.before else set()
    after = (before | set(row.correction.add)) - set(row.correction.remove)
    if row.correction.release:
        before.add(DISABLE_AUTO_IMPORT)
    return {
        "before": "".join(f"{key}\n" for key in sorted(before)),
        "after": "".join(f"{key}\n" for key in sorted(after)),
    }


def _cluster(row: _Row, *, changed: bool) -> dict[str, t.Any]:
    return {
        "labels": _labels.ours(row.before.labels) if row.before else [],
        "add": list(row.correction.add),
        "remove": list(row.correction.remove),
        "release_import": row.correction.release,
        "reason": row.error or row.correction.reason,
        "changed": changed,
    }


def _page(error: str) -> str:
    return "no-contact" if error.startswith(_SILENT) else "hub-failed"
