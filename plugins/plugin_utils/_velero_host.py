# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The failed Backups and Restores of one cluster: find them, and save in one folder what Velero says about them."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import shutil
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import archive_name, is_current, safe_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import masked, masked_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import HAS_KUBERNETES, Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._velero_debug import (
    NAMESPACE,
    Findings,
    Item,
    Question,
    What,
    choose,
    questions,
    read_description,
    read_log,
    read_object,
    read_results,
    running_pod,
    summary,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import PARTIAL, Disk, only_one
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._velero_api import NoAnswer, Store, download

if HAS_KUBERNETES:
    import yaml

_BASE = f"/apis/velero.io/v1/namespaces/{NAMESPACE}"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_MANIFEST = "manifest.json"

SAVED, KEPT, NOTHING, WOULD, FOUND, FAILED = "saved", "kept", "nothing", "would save", "found", "failed"

# What Velero's CLI has said: by kind, name and what was asked, the exit status, output and error output.
Answers = t.Mapping[tuple[str, str, str], tuple[int, str, str]]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the user wants. ``ask_store``: what the CLI has not said is fetched from the object store."""

    folder: str
    names: tuple[tuple[str | None, str], ...]
    contents: bool
    ask_store: bool
    max_age: float
    seconds: float
    patience: float
    check: bool
    only_find: bool


@dataclasses.dataclass
class Told:
    """What was found about one cluster. The keys are those of the result."""

    result: str
    objects: list[dict[str, str]] = dataclasses.field(default_factory=list)
    pod: str | None = None
    commands: list[dict[str, str]] = dataclasses.field(default_factory=list)
    folder: str | None = None
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    message: str = ""


@dataclasses.dataclass
class _Seen:
    """What the cluster's API has."""

    documents: dict[Item, dict[str, t.Any]]
    locations: list[dict[str, t.Any]]
    pod: str | None

    @property
    def shows(self) -> dict[str, t.Any]:
        """Two folders with the same one are about the same failures."""
        uids = [
            f"{item} {item.phase} {document['metadata'].get('uid')}"
            for item, document in sorted(self.documents.items(), key=lambda entry: str(entry[0]))
        ]
        return {"objects": uids}


class HostVelero:
    """One cluster, in a thread of its own."""

    def __init__(
        self,
        host: Host,
        wish: Wish,
        answers: Answers,
        store: t.Callable[[], Store],
        disk: Disk,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._host = host
        self._wish = wish
        self._answers = answers
        self._store = store
        self._disk = disk
        self._clock = clock
        self._stop = stop
        self._stem = safe_name(host.name)

    def run(self) -> Told:
        """Never raises: what went wrong is in the result."""
        try:
            session = self._host.open()
        except InvalidOption as error:
            return Told(FAILED, message=str(error))
        try:
            return self._look(session)
        except NoContact as error:
            return Told(FAILED, message=f"{error} → {error.next_step}")
        except (IbuError, OSError) as error:
            return Told(FAILED, message=str(error))
        except Exception as error:  # noqa: BLE001
            # A defect must not take the other clusters down.
            return Told(FAILED, message=f"internal error: {type(error).__name__}: {error}")
        finally:
            session.close()

    def _look(self, session: Session) -> Told:
        wish = self._wish
        seen, missing = first_contact(lambda: self._read(session), wish.patience, self._clock, self._stop)
        if missing:
            return Told(FAILED, message=f"there is no {', no '.join(missing)} in {NAMESPACE}")
        objects = [{"kind": item.kind, "name": item.name, "phase": item.phase} for item in seen.documents]
        told = Told(NOTHING, objects, seen.pod)
        if not objects:
            return told
        now = self._clock.now()
        for path, manifest in self._before():
            if is_current(manifest, seen.shows, now, wish.max_age):
                told.result, told.folder = KEPT, path
                told.errors, told.warnings = list(manifest["errors"]), list(manifest["warnings"])
                return told
        if wish.only_find:
            told.result, told.commands = FOUND, self._commands(seen)
            return told
        if wish.check:
            told.result = WOULD
            return told
        with only_one(wish.folder, self._stem):
            self._disk.check()
            self._save(session, seen, told, archive_name(self._host.name, now))
        return told

    def _read(self, session: Session) -> tuple[_Seen, list[str]]:
        backups, restores, locations = (
            _listed(session, f"{_BASE}/{plural}") for plural in ("backups", "restores", "backupstoragelocations")
        )
        items, missing = choose(backups, restores, self._wish.names)
        by_name = {("backup", one["metadata"]["name"]): one for one in backups}
        by_name |= {("restore", one["metadata"]["name"]): one for one in restores}
        documents = {item: by_name[item.kind, item.name] for item in items}
        return _Seen(documents, locations, _pod(session) if items else None), missing

    def _before(self) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
        """The folders of earlier runs with what they say of themselves."""
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._wish.folder), reverse=True):
                path = os.path.join(self._wish.folder, name)
                if name.startswith(f"{self._stem}-") and not name.endswith(PARTIAL):
                    with (
                        contextlib.suppress(OSError, ValueError),
                        open(os.path.join(path, _MANIFEST), encoding="utf-8") as stream,
                    ):
                        manifest = json.load(stream)
                        if manifest.get("cluster") == self._host.name:
                            yield path, manifest

    def _commands(self, seen: _Seen) -> list[dict[str, str]]:
        asked = [q for item in seen.documents for q in questions(item, contents=self._wish.contents)]
        return [
            {"kind": q.item.kind, "name": q.item.name, "what": q.what.value, "command": q.command}
            for q in asked
            if seen.pod and q.command
        ]

    # -- saving -----------------------------------------------------------------------------------------------------

    def _save(self, session: Session, seen: _Seen, told: Told, name: str) -> None:
        final = os.path.join(self._wish.folder, name)
        work = final + PARTIAL
        os.makedirs(work, mode=0o700)
        try:
            findings = Findings.none()
            files = self._write_all(session, seen, findings, told.problems, work)
            text = summary(self._host.name, list(seen.documents), findings, seen.locations, told.problems, files)
            _write(work, "summary.txt", masked_text(text).encode())
            told.errors = [masked_text(error) for error in findings.errors]
            told.warnings = [masked_text(warning) for warning in findings.warnings]
            collected = self._clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
            manifest = {"cluster": self._host.name, "collected": collected, "shows": seen.shows}
            manifest |= {"errors": told.errors, "warnings": told.warnings, "problems": told.problems}
            _write(work, _MANIFEST, json.dumps(manifest, indent=1).encode())
            os.rename(work, final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        told.result, told.folder = SAVED, final

    def _write_all(
        self, session: Session, seen: _Seen, findings: Findings, problems: list[str], work: str
    ) -> list[str]:
        files = []
        for item, document in seen.documents.items():
            name = f"{item.kind}-{item.name}.yaml"
            _write(work, name, yaml.safe_dump(masked(document), sort_keys=False).encode())
            read_object(item, document, findings)
            files.append(name)
            for question in questions(item, contents=self._wish.contents):
                self._disk.check()
                try:
                    data = self._answer(session, seen, question)
                except NoAnswer as error:
                    problems.append(masked_text(f"{question.file}: {error}"))
                    continue
                if data is None:
                    continue
                files.append(question.file)
                _write(work, question.file, self._taken_in(question, data, findings))
        return files

    def _answer(self, session: Session, seen: _Seen, question: Question) -> bytes | None:
        """From the CLI, else from the object store; None where neither has such a thing."""
        said = self._answers.get((question.item.kind, question.item.name, question.what.value))
        if said and said[0] == 0:
            return _contents_of(said[1]) if question.what is What.CONTENTS else said[1].encode()
        if question.target and self._wish.ask_store:
            store = self._store()
            store.trust(seen.locations)
            return download(session, store, question, seconds=self._wish.seconds, clock=self._clock, stop=self._stop)
        if said:
            raise NoAnswer(f"Velero's CLI says: {' '.join(said[2].split())[:300] or f'exit status {said[0]}'}")
        return None

    @staticmethod
    def _taken_in(question: Question, data: bytes, findings: Findings) -> bytes:
        """What an answer adds to the findings, and how it is written: masked, except what was backed up itself."""
        if question.what is What.CONTENTS:
            return data
        text = data.decode("utf-8", "replace")
        if question.what is What.RESULTS:
            with contextlib.suppress(ValueError):
                document = json.loads(text)
                read_results(question.item, document, findings)
                return json.dumps(masked(document), indent=1).encode()
        elif question.what is What.LOG:
            read_log(question.item, text, findings)
        else:
            read_description(question.item, text, findings)
        return masked_text(text).encode()


def _listed(session: Session, path: str) -> list[dict[str, t.Any]]:
    """Nothing where the API is not there: without OADP there are no backups."""
    try:
        return session.list(path)
    except NotThere:
        return []


def _pod(session: Session) -> str | None:
    try:
        return running_pod(session.list(_PODS))
    except (Refused, Unanswered):
        # Without it the object store is asked.
        return None


def _contents_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except ValueError as error:
        raise NoAnswer("what Velero's CLI has sent is damaged") from error


def _write(folder: str, name: str, data: bytes) -> None:
    descriptor = os.open(os.path.join(folder, safe_name(name)), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
