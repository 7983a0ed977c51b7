# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the hub's labels into line with the clusters; the documentation is in plugins/modules/ibgu_labels.py."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _labels
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption, Observed
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction, Host
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_labels import Entry, HubLabels

_READERS = 100
_WRITERS = 16


class ActionModule(FleetAction):
    """All clusters of the batch, and their hub or hubs, from one task."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "contact_timeout": {"type": "float", "default": 10},
        "despite_group_upgrades": {"type": "bool", "default": False},
    }

    def _from_variables(self, task_vars: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        given = {name: f"ibgu_{name}" for name in self.OPTIONS}
        return {name: self._templar.template(task_vars[var]) for name, var in given.items() if var in task_vars}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Read the clusters and the hubs, then write where they differ."""
        patience = seconds_of("contact_timeout", options["contact_timeout"])
        hosts = self.hosts(task_vars)
        hubs = _hubs(hosts)
        for hub in set(hubs.values()):
            hub.read({host.managed_cluster for host in hosts if hubs[host.name] is hub})
        with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
            states = dict(zip((h.name for h in hosts), pool.map(lambda h: _state(h, patience), hosts), strict=True))
        respect = not options["despite_group_upgrades"]
        rows = {host.name: _judge(hubs[host.name], host, states[host.name], respect) for host in hosts}
        if not self.check_mode:
            self._write(hosts, hubs, states, rows, respect)
        for line in _lines(rows, check=self.check_mode):
            self.show(line)
        return _result(rows)

    @staticmethod
    def _write(
        hosts: t.Sequence[Host],
        hubs: t.Mapping[str, HubLabels],
        states: t.Mapping[str, Observed | IbuError],
        rows: dict[str, _Row],
        respect: bool,
    ) -> None:
        def write(host: Host) -> _Row:
            state = states[host.name]
            if isinstance(state, IbuError):
                return rows[host.name]
            return _written(hubs[host.name], host, state, rows[host.name], respect)

        wanted = [host for host in hosts if rows[host.name].correction.is_needed]
        with concurrent.futures.ThreadPoolExecutor(_WRITERS) as pool:
            rows.update(zip((host.name for host in wanted), pool.map(write, wanted), strict=True))


class _Row(t.NamedTuple):
    """One host: what the hub said before, and what is to be, or was, done about it. ``error``: why it was not."""

    before: Entry | None
    correction: _labels.Correction
    error: str = ""


def _hubs(hosts: t.Iterable[Host]) -> dict[str, HubLabels]:
    """The hub of every host; hosts with the same connection share one. Raises InvalidOption where one has none."""
    known: dict[str, HubLabels] = {}
    found = {}
    for host in hosts:
        if not host.has_hub:
            raise InvalidOption("ibu_hub_kubeconfig", None, f"say how to reach the hub of host {host.name}")
        found[host.name] = known.setdefault(host.hub_key, HubLabels(host.open_hub))
    return found


def _state(host: Host, patience: float) -> Observed | IbuError:
    try:
        session = host.open()
    except IbuError as error:
        return error
    try:
        return first_contact(Cluster(session).read, patience, Clock())
    except NoContact as error:
        return error
    finally:
        session.close()


def _judge(hub: HubLabels, host: Host, state: Observed | IbuError, respect: bool) -> _Row:
    entry = hub.entries.get(host.managed_cluster)
    if entry is None:
        words = f"{hub.url} has no ManagedCluster {host.managed_cluster!r}; name it in ibu_managed_cluster"
        return _Row(None, _labels.Correction(words, keep=True), words)
    if isinstance(state, IbuError):
        words = f"the cluster does not say where it stands: {state}"
        return _Row(entry, _labels.Correction(words, keep=True), words)
    held_by = hub.holders.get(host.managed_cluster) if respect else None
    found = _labels.correction(state, entry.labels, entry.annotations, held_by)
    return _Row(entry, found, found.reason if found.wrong else "")


def _written(hub: HubLabels, host: Host, state: Observed, row: _Row, respect: bool) -> _Row:
    """Write; where somebody else was faster, look again and decide again."""

    def decide(entry: Entry) -> _labels.Correction:
        held_by = hub.holders.get(host.managed_cluster) if respect else None
        return _labels.correction(state, entry.labels, entry.annotations, held_by)

    try:
        return row._replace(correction=hub.write(host.managed_cluster, decide))
    except IbuError as error:
        return row._replace(error=f"the hub did not take it: {error}")


def _lines(rows: t.Mapping[str, _Row], *, check: bool) -> list[str]:
    """One entry per finding, not per cluster."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(_finding(row, check), []).append(name)
    order = ["FAILED", "LEFT ALONE", "WOULD CHANGE", "CHANGED", "AGREES"]
    lines = []
    for (word, text), names in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))):
        lines.append(f"{word:<12} {len(names):>4}  {text}")
        lines.append(f"{' ' * 19}{names_in_short(names)}")
    return lines


def _finding(row: _Row, check: bool) -> tuple[str, str]:
    if row.error:
        return "FAILED", row.error
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
        "failed_clusters": {name: f"{name}: {row.error}" for name, row in rows.items() if row.error},
        "diff": [
            {"before_header": name, "after_header": name, **_diff(row)} for name, row in changed.items() if row.before
        ],
    }


def _diff(row: _Row) -> dict[str, str]:
    before = set(_labels.ours(row.before.labels)) if row.before else set()
    after = (before | set(row.correction.add)) - set(row.correction.remove)
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
