# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What all tasks that drive a batch do alike: stop on signals, and do without a host that is described wrongly."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption, Outcome, Result
from ansible_collections.sno.image_upgrade.plugins.module_utils._view import View
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import StopOnSignal

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host

D = t.TypeVar("D")
Hook = t.Callable[[], None]


class Runs(t.Protocol):
    """A fleet, or a plan of fleets."""

    def run(self) -> dict[str, Outcome]:
        """Drive all of it to its end, or until it is stopped."""


def while_parent_lives() -> t.Callable[[], bool]:
    """True until ansible-playbook is killed, which leaves its workers behind: a rerun must not meet them."""
    parent = os.getppid()
    return lambda: os.getppid() == parent


def run_until_stopped(fleet: Runs, stop: threading.Event) -> dict[str, Outcome]:
    """Run it. A signal ends this process at once when the run has come to rest and its outcome file is complete."""
    with StopOnSignal(stop) as signals:
        outcomes = fleet.run()
        if stop.is_set():
            # Whoever asked for the stop is gone or going, and nobody listens any more.
            os._exit(128 + signals.number)
    return outcomes


class Unopened:
    """In the place of a drive, for a host whose connection variables are of no use."""

    def __init__(self, name: str, task: str, why: str) -> None:
        self.view = View(name, task=task)
        self.outcome = Outcome(name, action=task)
        self._why = why

    def run(self) -> Outcome:
        """Say so."""
        self.outcome.result, self.outcome.message = Result.UNREACHABLE, self._why
        self.outcome.next_step = "correct its connection variables, then run again"
        return self.outcome


def maker(host: Host, task: str, make: t.Callable[[Session, Hook, Hook], D]) -> t.Callable[[Hook, Hook], D | Unopened]:
    """What makes the drive of a host in its thread. Its credentials are loaded now, in one thread, before any write.

    A host that was described wrongly is no reason to leave the others in their outage: it gets an ``Unopened``.
    """
    try:
        session = host.open()
    except InvalidOption as error:
        unopened = Unopened(host.name, task, str(error))
        return lambda _notify, _commit: unopened
    return lambda notify, commit: make(session, notify, commit)


class NoRecord:
    """The outcome file belongs to rollouts: what a recovery did to a cluster is not what became of its upgrade."""

    path = ""

    def put(self, outcome: Outcome) -> None:
        """Nothing to keep."""

    def save(self) -> None:
        """Nothing to write."""


def silent(_line: str) -> None:
    """Of what changes nothing there is a preview instead of progress."""


def failed_clusters(outcomes: t.Mapping[str, Outcome]) -> dict[str, str]:
    """What the verdict says of each host that has failed."""
    return {
        name: f"{name}: {outcome.message}" + (f" → {outcome.next_step}" if outcome.next_step else "")
        for name, outcome in outcomes.items()
        if outcome.result.is_failure
    }
