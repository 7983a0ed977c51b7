# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the OADP lint needs to know, read from files or asked of a cluster. Nothing is changed: writes are dry runs."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import (
    Document,
    NotYaml,
    readable,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._dry_run import DryRuns
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import NAMESPACE
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    BACKUP_LABEL,
    LSO,
    LVMS,
    LintFacts,
    mapping,
    target_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_lint import targets_of, velero_documents
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import Reader
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_SUFFIXES = (".yml", ".yaml", ".json")
# A folder may be a whole repository: only what concerns backups is read.
_OF_INTEREST = re.compile(
    r"velero|kind[\"']?:\s*[\"']?(Backup|Restore|DataProtectionApplication)\b|oadpContent", re.IGNORECASE
)
_STORAGE = {"lvms-operator": LVMS, "local-storage-operator": LSO}


# --- files --------------------------------------------------------------------------------------------------------


def read_paths(paths: t.Iterable[str], base: str = "") -> tuple[list[Document], list[NotYaml]]:
    """The documents of files, and of the files below folders. Raises InvalidOption.

    Relative paths start at ``base``; documents are called as they were given.
    """
    found: list[Document] = []
    broken: list[NotYaml] = []
    for path in paths:
        for name, text in _texts(path, base):
            try:
                more, wrong = readable(text.decode("utf-8"), name)
            except UnicodeDecodeError as error:
                wrong = [NotYaml(name, 1, text[: error.start].count(b"\n") + 1, "it is not UTF-8", [])]
                more = []
            found += more
            broken += wrong
    return found, broken


def _texts(path: str, base: str) -> t.Iterator[tuple[str, bytes]]:
    where = os.path.join(base, os.path.expanduser(path))
    if os.path.isdir(where):
        for folder, folders, names in os.walk(where):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                text = _bytes(os.path.join(folder, name)) if name.endswith(_SUFFIXES) else b""
                if _OF_INTEREST.search(text.decode("utf-8", "replace")):
                    yield os.path.join(path, os.path.relpath(os.path.join(folder, name), where)), text
    else:
        yield path, _bytes(where)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise InvalidOption("paths", path, f"the file cannot be read: {error.strerror}") from error


# --- a cluster ----------------------------------------------------------------------------------------------------


def read_config_maps(session: Session, refs: t.Iterable[tuple[str, str]]) -> tuple[list[Document], list[str]]:
    """The ConfigMaps, and the names of those that are not there. Lines count within the value of a key."""
    reader = Reader(session)
    found: list[Document] = []
    missing: list[str] = []
    for namespace, name in refs:
        reading = reader.get("v1", "configmaps", name, namespace)
        if reading.denied:
            raise InvalidOption("config_maps", f"{namespace}/{name}", f"this identity cannot {reading.denied}")
        if not reading.items:
            missing.append(f"{namespace}/{name}")
            continue
        value = {"apiVersion": "v1", "kind": "ConfigMap", **reading.one}
        found.append(Document(f"ConfigMap {namespace}/{name}", 1, 0, value))
    return found, missing


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a cluster said. ``not_checked``: what this identity may not ask, or what is not there to be asked."""

    facts: LintFacts
    not_checked: tuple[str, ...]


def ask(
    session: Session,
    documents: t.Sequence[Document],
    *,
    facts: LintFacts,
    every_config_map: bool = False,
) -> Asked:
    """Complete the facts with what the cluster says. What is known already stays."""
    return _Asking(session, facts).all(velero_documents(documents, every_config_map=every_config_map))


class _Asking:
    """One round of questions."""

    def __init__(self, session: Session, facts: LintFacts) -> None:
        self._reader, self._dry, self._facts = Reader(session), DryRuns(session), facts
        self._not_checked: dict[str, None] = {}

    def all(self, content: t.Sequence[t.Mapping[str, t.Any]]) -> Asked:
        self._operators()
        self._hub()
        self._oadp()
        if not self._facts.seed:
            self._targets(content)
            self._tries(content)
        return Asked(self._facts, tuple(self._not_checked))

    def _learn(self, **facts: t.Any) -> None:
        self._facts = dataclasses.replace(self._facts, **facts)

    def _known(self, reading: Reading, what: str) -> bool:
        if reading.denied:
            self._not_checked[f"{what}: this identity cannot {reading.denied}"] = None
        return not reading.denied

    def _operators(self) -> None:
        reading = self._reader.each("operators.coreos.com/v1alpha1", "clusterserviceversions", _place)
        if not self._known(reading, "installed operators"):
            return
        ours = tuple(str(one["name"]) for one in reading.items if one["namespace"] == NAMESPACE)
        self._learn(operators=ours)
        if self._facts.storage is None:
            names = [str(one["name"]) for one in reading.items]
            kinds = frozenset(kind for name, kind in _STORAGE.items() if any(one.startswith(name) for one in names))
            self._learn(storage=kinds)

    def _hub(self) -> None:
        if self._facts.hub is None:
            crd = "klusterlets.operator.open-cluster-management.io"
            reading = self._reader.get("apiextensions.k8s.io/v1", "customresourcedefinitions", crd)
            if self._known(reading, "whether there is a klusterlet"):
                self._learn(hub=bool(reading.items))

    def _oadp(self) -> None:
        applications = self._reader.list("oadp.openshift.io/v1alpha1", "dataprotectionapplications", NAMESPACE)
        if self._known(applications, "DataProtectionApplication"):
            self._learn(applications=applications.items)
            self._secrets(applications.items)
        locations = self._reader.list("velero.io/v1", "backupstoragelocations", NAMESPACE)
        if self._known(locations, "BackupStorageLocations"):
            self._learn(locations=locations.items)

    def _secrets(self, applications: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        found: set[str] = set()
        for name in sorted({name for one in applications for name in _credentials(one)}):
            reading = self._reader.get("v1", "secrets", name, NAMESPACE)
            if not self._known(reading, "Secrets of backup locations"):
                return
            found |= {name} if reading.items else set()
        self._learn(secrets=frozenset(found))

    def _targets(self, content: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        said: dict[str, str] = {}
        missing: set[str] = set()
        for item in targets_of(one for one in content if one["kind"] == "Backup"):
            target = target_of(item)
            if target is None:
                continue
            answer = self._dry.label(target, BACKUP_LABEL, "oadp-lint")
            if answer.denied:
                self._not_checked[f"objects of apply-label: this identity cannot {answer.denied}"] = None
            elif answer.status == 404:
                missing.add(item)
            else:
                said[item] = answer.message
        self._learn(objects=said, missing=frozenset(missing))

    def _tries(self, content: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        refusals: dict[tuple[str, str], str] = {}
        for one in content:
            metadata = mapping(one, "metadata")
            name = metadata.get("name")
            if not isinstance(name, str) or not name or metadata.get("namespace") != NAMESPACE:
                continue  # what is wrong with these is known without asking
            answer = self._dry.apply(one, NAMESPACE, create=True)
            if answer.denied:
                self._not_checked[f"dry runs: this identity cannot {answer.denied}"] = None
            elif answer.unknown_kind:
                self._not_checked["dry runs: the cluster has no API of Velero"] = None
            elif not answer.fine:
                refusals[str(one["kind"]), name] = answer.message
        self._learn(refusals=refusals)


def _place(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: item["metadata"].get(key) for key in ("namespace", "name")}


def _credentials(application: t.Mapping[str, t.Any]) -> list[str]:
    locations = mapping(application, "spec").get("backupLocations")
    names = [
        mapping(mapping(one, "velero"), "credential").get("name")
        for one in (locations if isinstance(locations, list) else ())
    ]
    return [name for name in names if isinstance(name, str) and name]
