# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the lint of manifests needs: files, ConfigMaps, facts of a cluster. Nothing is changed: writes are dry runs."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import (
    Document,
    NotYaml,
    is_wrapper,
    readable,
    readable_inside,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._dry_run import DryRuns
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, object_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import (
    APPLY_TYPE,
    ManifestFacts,
    annotations_of,
    in_waves,
    meta_of,
    size_findings,
    wave_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import Reader
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_SUFFIXES = (".yml", ".yaml", ".json")


@dataclass(frozen=True)
class Text:
    """What was read, with the manifests in ConfigMaps instead of the ConfigMaps, and what is wrong already."""

    documents: tuple[Document, ...] = ()
    findings: tuple[LintFinding, ...] = ()

    def __add__(self, other: Text) -> Text:
        return Text(self.documents + other.documents, self.findings + other.findings)


def read_files(option: str, paths: t.Iterable[str], base: str = "") -> Text:
    """The documents of files and folders. Raises InvalidOption; relative paths start at ``base``."""
    found = Text()
    for path in paths:
        for name, where in _files(path, os.path.join(base, os.path.expanduser(path))):
            try:
                with open(where, encoding="utf-8") as stream:
                    text = stream.read()
            except OSError as error:
                raise InvalidOption(option, path, f"the file cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise InvalidOption(option, name, "the file is not UTF-8") from error
            found += read_text(text, name)
    return found


def read_text(text: str, name: str) -> Text:
    """The documents of one text."""
    documents, broken = readable(text, name)
    wrappers: list[Document] = []
    inside: list[Document] = []
    findings: list[LintFinding] = []
    for document in documents:
        if is_wrapper(document):
            more, wrong = readable_inside(document)
            wrappers.append(document)
            inside += more
            broken = [*broken, *wrong]
            size = sum(len(str(one).encode()) for one in document.value["data"].values())
            findings += size_findings(f"{name}:{document.line}", size)
        else:
            inside.append(document)
    if not any(one.inside for one in inside):
        findings += size_findings(name, len(text.encode()))
    return Text(tuple(inside), (*findings, *map(_of_text, broken), *_repeated(wrappers), *_repeated(inside)))


def _files(path: str, where: str) -> t.Iterator[tuple[str, str]]:
    if not os.path.isdir(where):
        yield path, where
        return
    for folder, folders, names in os.walk(where):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if name.endswith(_SUFFIXES)):
            whole = os.path.join(folder, name)
            yield os.path.join(path, os.path.relpath(whole, where)), whole


def _of_text(error: NotYaml) -> LintFinding:
    message = f"{error}; Prep fails"
    return LintFinding(Level.ERROR, "yaml-syntax", message, "correct the YAML", error.file, error.document, error.line)


def _repeated(documents: t.Iterable[Document]) -> t.Iterator[LintFinding]:
    for document in documents:
        for key, line in document.repeated:
            yield LintFinding(
                Level.WARNING,
                "yaml-duplicate-key",
                f"{key} stands twice; only the last one counts",
                "remove one of them",
                document.file,
                document.index,
                line,
                object_name(document.value),
            )


# --- a cluster ----------------------------------------------------------------------------------------------------


def read_config_maps(session: Session, refs: t.Iterable[tuple[str, str]]) -> Text:
    """All that is in ConfigMaps of extraManifests. Raises InvalidOption where one is not there."""
    reader = Reader(session)
    found = Text()
    for namespace, name in refs:
        reading = reader.get("v1", "configmaps", name, namespace)
        if reading.denied:
            raise InvalidOption("config_maps", f"{namespace}/{name}", f"this identity may not {reading.denied}")
        if not reading.items:
            raise InvalidOption("config_maps", f"{namespace}/{name}", "Prep fails without it; create the ConfigMap")
        data = reading.one.get("data") or {}
        size = sum(len(str(one).encode()) for one in data.values())
        found += Text(findings=tuple(size_findings(f"ConfigMap {namespace}/{name}", size)))
        for key, text in data.items():
            documents, broken = readable(str(text), f"ConfigMap {namespace}/{name} {key}")
            found += Text(tuple(documents), tuple(map(_of_text, broken)))
    return found


def read_policies(session: Session) -> tuple[Document, ...] | None:
    """The policies on a cluster; None where it has no such API. Raises InvalidOption where they may not be read."""
    reading = Reader(session).list("policy.open-cluster-management.io/v1", "policies")
    if reading.denied:
        raise InvalidOption("cluster_policies", True, f"this identity may not {reading.denied}")
    if not reading.served:
        return None
    return tuple(
        Document(f"Policy {one['metadata']['namespace']}/{one['metadata']['name']}", 1, 0, {"kind": "Policy", **one})
        for one in reading.items
    )


class Asked(t.NamedTuple):
    """What a cluster said of manifests. ``not_checked``: what this identity may not ask."""

    facts: ManifestFacts
    findings: tuple[LintFinding, ...] = ()
    not_checked: tuple[str, ...] = ()


def ask(session: Session, documents: t.Sequence[Document], version: str) -> Asked:
    """Facts for the lint, and a dry run of each manifest as Prep makes it."""
    reader, dry = Reader(session), DryRuns(session)
    unknown: dict[str, None] = {}
    namespaces = reader.list("v1", "namespaces")
    catalogs = reader.list("operators.coreos.com/v1alpha1", "catalogsources")
    for reading in (namespaces, catalogs):
        if reading.denied:
            unknown[str(reading.denied)] = None
    good = [one for one in documents if _is_usable(one)]
    keys = {(str(one.value.get("apiVersion") or ""), str(one.value["kind"])) for one in good}
    served = {key: dry.kind(*key) for key in keys if key[0]}
    facts = ManifestFacts(
        namespaces=frozenset(one["metadata"]["name"] for one in namespaces.items) if namespaces.known else None,
        kinds={key: found[1] for key, found in served.items() if found},
        catalogs=tuple(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in catalogs.items),
        version=version,
    )
    findings = [found for one in in_waves(good) if (found := _try(dry, one, unknown)) is not None]
    return Asked(facts, tuple(findings), tuple(unknown))


def _is_usable(document: Document) -> bool:
    value = document.value
    return (
        isinstance(value, dict)
        and bool(value.get("kind"))
        and bool(meta_of(value).get("name"))
        and (wave_of(value) is not None)
    )


def _try(dry: DryRuns, document: Document, unknown: dict[str, None]) -> LintFinding | None:
    value = document.value
    namespace = str(meta_of(value).get("namespace") or "default")
    answer = dry.apply(value, namespace, merge=annotations_of(value).get(APPLY_TYPE) == "merge")
    if answer.denied:
        unknown[f"dry run: {answer.denied}"] = None
    if answer.fine or answer.denied or answer.unknown_kind or answer.no_namespace:
        return None  # the lint says it, where it is wrong
    level, rule = (Level.WARNING, "manifest-invalid") if answer.invalid else (Level.ERROR, "manifest-refused")
    later = "Prep only warns of it; after the reboot it rolls the upgrade back" if answer.invalid else "Prep fails"
    return LintFinding(
        level,
        rule,
        f"{answer.message}; {later}",
        "correct the manifest" if answer.invalid else "see the cluster's words",
        document.file,
        document.index,
        document.line,
        object_name(value),
        source="a dry run on the cluster",
    )
