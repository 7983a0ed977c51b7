# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Collecting the logs of one cluster, from the first contact to the archive."""

from __future__ import annotations

import dataclasses
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import (
    AGENT_DEPLOYMENT,
    OADP_CSVS,
    Method,
    Source,
    agent_image,
    archive_name,
    fingerprint,
    is_current,
    is_enough,
    is_wanted,
    operator_image,
    safe_name,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    NotThere,
    Observed,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import (
    Archive,
    Disk,
    manifests,
    only_one,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._gather_api import ApiGather
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._gather_oc import MustGather, OcFailed

SAVED, KEPT, NOT_NEEDED, WOULD, FAILED = "saved", "kept", "not needed", "would collect", "failed"


class Target(Host):
    """A host whose connection has to be told to another program."""

    @property
    def options(self) -> t.Mapping[str, t.Any]:
        """The authentication options of kubernetes.core."""
        return self._cluster


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the user wants of every cluster. ``oc`` is the tool's path; None where it is not there or not wanted."""

    folder: str
    images: tuple[str, ...]
    method: Method
    oc: str | None
    only_failed: bool
    before_rollback: bool
    max_age: float
    size_limit: int
    seconds: float
    log_lines: int
    patience: float
    check: bool


@dataclasses.dataclass
class Saved:
    """What became of one cluster's logs. The keys are those of the result."""

    result: str
    state: str | None = None
    method: str | None = None
    archive: str | None = None
    bytes: int | None = None
    problems: list[str] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)
    message: str = ""


class HostGather:
    """Collects from one cluster, in a thread of its own."""

    def __init__(self, target: Target, wish: Wish, disk: Disk, clock: Clock, stop: threading.Event) -> None:
        self._target = target
        self._wish = wish
        self._disk = disk
        self._clock = clock
        self._stop = stop
        self._stem = safe_name(target.name)

    def run(self) -> Saved:
        """Never raises: what went wrong is in the result."""
        try:
            session = self._target.open()
        except InvalidOption as error:
            return Saved(FAILED, message=str(error))
        try:
            return self._gather(session)
        except NoContact as error:
            return Saved(FAILED, message=f"{error} → {error.next_step}")
        except (IbuError, OSError) as error:
            return Saved(FAILED, message=str(error))
        except Exception as error:  # noqa: BLE001
            # A defect must not pass as saved evidence, nor take the other clusters down.
            return Saved(FAILED, message=f"internal error: {type(error).__name__}: {error}")
        finally:
            session.close()

    def _gather(self, session: Session) -> Saved:
        wish = self._wish
        observed = first_contact(lambda: _read(session), wish.patience, self._clock, self._stop)
        state = str(observed.state) if observed else "no ImageBasedUpgrade"
        if not is_wanted(observed, wish.only_failed, wish.before_rollback):
            return Saved(NOT_NEEDED, state)
        shows, now = fingerprint(observed), self._clock.now()
        for manifest in manifests(wish.folder, self._stem):
            if (
                manifest.get("cluster") == self._target.name
                and is_current(manifest, shows, now, wish.max_age)
                and is_enough(manifest, wish.method, bool(wish.oc))
            ):
                return self._result(KEPT, state, manifest)
        if wish.check:
            return Saved(WOULD, state)
        with only_one(wish.folder, self._stem):
            self._disk.check()
            document = {
                "cluster": self._target.name,
                "api": session.url,
                "collected": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "shows": shows,
                "tried_oc": bool(wish.oc),
                "version": observed.version if observed else None,
                "target_version": observed.target if observed else None,
                "reason": observed.reason if observed else "",
                "message": observed.message if observed else "",
            }
            return self._result(SAVED, state, self._collect(session, archive_name(self._target.name, now), document))

    def _collect(self, session: Session, name: str, document: dict[str, t.Any]) -> dict[str, t.Any]:
        """The archive's manifest. In auto, what oc does not do is done through the API."""
        problems: list[str] = []
        if self._wish.oc:
            try:
                return self._with_oc(session, name, document, problems)
            except OcFailed as error:
                if self._stop.is_set() or self._wish.method is Method.OC:
                    raise
                problems.append(f"{error}; collected through the API instead")
        archive = self._archive(name)
        try:
            gather = ApiGather(
                session,
                archive,
                log_lines=self._wish.log_lines,
                patience=self._wish.patience,
                clock=self._clock,
                stop=self._stop,
            )
            gather.run()
            manifest = {**document, "method": Method.API.value, "images": [], "problems": problems + gather.problems}
            return _finish(archive, manifest)
        finally:
            archive.discard()

    def _with_oc(
        self, session: Session, name: str, document: dict[str, t.Any], problems: list[str]
    ) -> dict[str, t.Any]:
        images, missing = self._images(session)
        archive = self._archive(name)
        try:
            MustGather(str(self._wish.oc), self._target.options, images, archive, self._wish.seconds).run(session)
            manifest = {**document, "method": Method.OC.value, "images": images, "problems": problems + missing}
            return _finish(archive, manifest)
        finally:
            archive.discard()

    def _archive(self, name: str) -> Archive:
        return Archive(self._wish.folder, name, self._wish.size_limit, self._disk, self._stop)

    def _images(self, session: Session) -> tuple[list[str], list[str]]:
        """The images to run, and what is wrong with those that are not found. Raises OcFailed where none is left."""
        images, missing = [], []
        for wanted in self._wish.images:
            try:
                image = _find(session, wanted)
            except (NotThere, Refused, Unanswered) as error:
                missing.append(f"the must-gather image of {wanted} is not known: {error}")
                continue
            if image is None:
                missing.append(f"the cluster names no must-gather image of {wanted}: give it in images to have it too")
            elif image not in images:
                images.append(image)
        if not images:
            raise OcFailed("; ".join(missing))
        return images, missing

    def _result(self, result: str, state: str, manifest: t.Mapping[str, t.Any]) -> Saved:
        return Saved(
            result,
            state,
            method=manifest.get("method"),
            archive=f"{self._wish.folder}/{manifest['archive']}",
            bytes=manifest.get("bytes"),
            problems=list(manifest.get("problems") or ()),
            left_out=list(manifest.get("left_out") or ()),
        )


def _read(session: Session) -> Observed | None:
    try:
        return Cluster(session).read()
    except NotThere:
        return None


def _find(session: Session, wanted: str) -> str | None:
    if wanted == Source.AGENT:
        return agent_image(session.get(AGENT_DEPLOYMENT).document)
    if wanted == Source.OADP:
        return operator_image(session.list(OADP_CSVS))
    return wanted


def _finish(archive: Archive, manifest: dict[str, t.Any]) -> dict[str, t.Any]:
    archive.add("summary.txt", _summary(manifest, archive.left_out).encode())
    return archive.close(manifest)


def _summary(manifest: t.Mapping[str, t.Any], left_out: t.Sequence[str]) -> str:
    """What a person reads first."""
    shows = manifest["shows"]
    since = f" since {shows['since']}" if shows["since"] else ""
    lines = [
        f"cluster    {manifest['cluster']}  {manifest['api']}",
        f"collected  {manifest['collected']}  {'by oc adm must-gather' if manifest['images'] else 'through the API'}",
        f"version    {manifest['version']}, target {manifest['target_version']}",
        f"state      {shows['state']} (stage {shows['stage']}){since}",
        f"reason     {manifest['reason']}",
        f"message    {manifest['message']}",
    ]
    for title, entries in (("images", manifest["images"]), ("problems", manifest["problems"]), ("left out", left_out)):
        lines += ["", f"{title}:", *(f"  {entry}" for entry in entries)] if entries else []
    return "\n".join([*lines, ""])
