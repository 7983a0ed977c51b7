# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Collecting objects and logs through the API of one cluster, where ``oc`` is not there or did not do it."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, away_pause
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import KINDS, Kind, Log, logs_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import is_secret, masked, masked_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import HAS_KUBERNETES, Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import Archive, GatherFailed, human

if HAS_KUBERNETES:
    import yaml

    _DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_T = t.TypeVar("_T")
_LOG_MOST = 16 * 1024 * 1024
_HOPELESS = (401, 403)


class ApiGather:
    """Reads what KINDS lists into an archive. ``log_lines`` is how many lines of a log's end are wanted (0: all)."""

    def __init__(
        self,
        session: Session,
        archive: Archive,
        *,
        log_lines: int,
        patience: float,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._session = session
        self._archive = archive
        self._log_lines = log_lines
        self._patience = patience
        self._clock = clock
        self._stop = stop
        self.problems: list[str] = []

    def run(self) -> None:
        """All kinds and all logs. Raises GatherFailed where what matters most cannot be read."""
        pods: list[dict[str, t.Any]] = []
        for kind in KINDS:
            items = self._items(kind)
            if items is not None:
                self._add_objects(kind, items)
                pods += items if kind.plural == "pods" else []
        for log in logs_of(pods):
            self._add_log(log)

    def _items(self, kind: Kind) -> list[dict[str, t.Any]] | None:
        """The objects of a kind; None where the cluster has no such API, or does not let this identity see it."""
        try:
            return self._patiently(lambda: self._session.list(kind.path))
        except NotThere:
            return None
        except (Refused, Unanswered) as error:
            if kind.essential or not self._goes_on(error):
                raise GatherFailed(f"{kind.title} cannot be read: {error}") from error
            self.problems.append(f"{kind.title} cannot be read: {error}")
            return None

    @staticmethod
    def _goes_on(error: Exception) -> bool:
        """True where only this one thing is refused; a cluster that is silent is silent for all that follows."""
        return isinstance(error, Refused) or getattr(error, "status", None) == 403

    def _add_objects(self, kind: Kind, items: list[dict[str, t.Any]]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": [masked(one) for one in items if not is_secret(one)]}
        data = yaml.dump(document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True).encode()
        if len(data) > self._archive.left and not kind.essential:
            self._archive.left_out.append(f"{kind.file}: {human(len(data))}")
            return
        self._archive.add(kind.file, data)

    def _add_log(self, log: Log) -> None:
        most = min(_LOG_MOST, self._archive.left)
        lines = {"tailLines": self._log_lines} if self._log_lines else {}
        try:
            data, missing = self._patiently(lambda: self._session.text(log.path, most, **log.query, **lines))
        except Refused:
            # The container has not started, or its earlier run is gone.
            return
        except NotThere:
            self.problems.append(f"{log.file}: the pod is gone")
            return
        except Unanswered as error:
            if not self._goes_on(error):
                raise GatherFailed(f"{log.file} cannot be read: {error}") from error
            self.problems.append(f"{log.file} cannot be read: {error}")
            return
        if missing:
            self._archive.left_out.append(f"{log.file}: {human(missing)} before what is there")
            # Whatever a line begins with that is cut in two, it may be half a secret.
            data = data.partition(b"\n")[2]
        text = masked_text(data.decode("utf-8", "replace")).encode()
        self._archive.add(log.file, text[-self._archive.left :] if self._archive.left else b"")

    def _patiently(self, call: t.Callable[[], _T]) -> _T:
        """Ask again for a while where the API is busy or its connection breaks."""
        began = self._clock.monotonic()
        while True:
            self._archive.check()
            try:
                return call()
            except NotThere:
                raise
            except Unanswered as error:
                waited = self._clock.monotonic() - began
                hopeless = error.status in _HOPELESS or error.kind == "tls"
                if hopeless or waited >= self._patience or self._stop.is_set():
                    raise
                self._session.close()
                self._clock.wait(self._stop, away_pause(waited))
