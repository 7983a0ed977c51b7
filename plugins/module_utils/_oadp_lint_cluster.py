# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""OADP lint: ConfigMaps, DataProtectionApplications, backup locations, and what a cluster says."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document, config_map_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import NAMESPACE
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    NOWHERE,
    Content,
    LintFacts,
    Notes,
    mapping,
    same_namespace,
    set_path,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._version import is_newer, is_valid

_MIB = 1024 * 1024
_OADP_LEAST = "1.3.1"


def check(content: Content, facts: LintFacts, notes: Notes) -> None:
    """Note what is wrong."""
    for document in content.config_maps:
        _size(document, notes)
    _references(content, notes)
    for document in content.applications:
        _application(document, facts, notes)
    _buckets(content.applications, notes)
    if facts.seed:
        _seed(facts, notes)
    else:
        _cluster(facts, notes)
    if facts.seed_oadp is not None and _is_older(facts.seed_oadp):
        notes.add(
            "oadp-seed", NOWHERE, (), f"the seed has OADP {facts.seed_oadp or 'not at all'}",
            f"make the seed image from a cluster with OADP {_OADP_LEAST} or later",
        )  # fmt: skip
    for item in content.items:
        refusal = facts.refusals.get((item.kind, item.name))
        if refusal:
            notes.add("oadp-refused", item, ("metadata", "name"), refusal, "correct what the API server says")


# --- ConfigMaps ---------------------------------------------------------------------------------------------------


def _size(document: Document, notes: Notes) -> None:
    """The API server counts the data, oc apply the whole object."""
    data = {**mapping(document.value, "data"), **mapping(document.value, "binaryData")}
    size = sum(len(str(key).encode()) + len(str(text or "").encode()) for key, text in data.items())
    if size > _MIB:
        notes.add(
            "oadp-config-map-size", document, ("data",), f"it holds {size} bytes; the API server takes {_MIB}",
            "split it into several ConfigMaps and name all of them in oadpContent",
        )  # fmt: skip
    elif size > _MIB // 4:
        notes.add(
            "oadp-config-map-apply", document, ("data",), f"it holds {size} bytes; oc apply takes {_MIB // 4}",
            "apply it with oc apply --server-side, or split it",
        )  # fmt: skip
    if mapping(document.value, "binaryData"):
        notes.add(
            "oadp-config-map-binary", document, ("binaryData",), "the agent does not read binaryData",
            "put the documents into data as text",
        )  # fmt: skip


def _references(content: Content, notes: Notes) -> None:
    wanted = [(upgrade, *_reference(one)) for upgrade in content.upgrades for one in _oadp_content(upgrade.value)]
    if not wanted:
        return
    there = {config_map_name(document.value): document for document in content.config_maps}
    for upgrade, name, path in wanted:
        if there and name not in there:
            notes.add(
                "oadp-config-map-missing", upgrade, path, f"oadpContent names {name}, which is not in these files",
                "add the ConfigMap, or correct name and namespace",
            )  # fmt: skip
    named = {name for _upgrade, name, _path in wanted}
    for name, document in there.items():
        if name not in named and _holds_ours(document, content):
            notes.add(
                "oadp-config-map-unused", document, ("metadata", "name"), f"no oadpContent names {name}",
                "add it to spec.oadpContent",
            )  # fmt: skip


def _oadp_content(value: t.Any) -> list[t.Any]:
    spec = mapping(value, "spec")
    listed = (mapping(spec, "ibuSpec") or spec).get("oadpContent")
    return listed if isinstance(listed, list) else []


def _reference(one: t.Any) -> tuple[str, tuple[str, ...]]:
    names = one if isinstance(one, dict) else {}
    return f"{names.get('namespace')}/{names.get('name')}", ("spec",)


def _holds_ours(document: Document, content: Content) -> bool:
    name = config_map_name(document.value)
    return any(item.document.inside.startswith(f"{name} ") for item in content.items)


# --- DataProtectionApplication ------------------------------------------------------------------------------------


def _application(document: Document, facts: LintFacts, notes: Notes) -> None:
    spec = mapping(document.value, "spec")
    configuration = mapping(spec, "configuration")
    agent = mapping(configuration, "nodeAgent")
    if mapping(configuration, "restic").get("enable") is not False and agent.get("enable") is not False:
        notes.add(
            "oadp-dpa-restic", document, ("spec", "configuration", "restic"),
            "spec.configuration.restic.enable is not false", "write restic: {enable: false}",
            lambda doc: set_path(doc, ("spec", "configuration", "restic", "enable"), False),
        )  # fmt: skip
    locations = spec.get("backupLocations")
    if not isinstance(locations, list) or not locations:
        notes.add(
            "oadp-dpa-locations", document, ("spec", "backupLocations"), "spec.backupLocations is missing",
            "add the backup location with its credential",
        )  # fmt: skip
        return
    for index, location in enumerate(locations):
        _credential(document, index, mapping(location, "velero"), facts, notes)


def _credential(document: Document, index: int, velero: t.Mapping[str, t.Any], facts: LintFacts, notes: Notes) -> None:
    path = ("spec", "backupLocations", index, "velero")
    name = mapping(velero, "credential").get("name")
    if velero and not name:
        notes.add(
            "oadp-dpa-credential", document, path, f"backupLocations[{index}].velero.credential.name is missing",
            "name the Secret with the object store's credential there",
        )  # fmt: skip
    elif velero and facts.secrets is not None and name not in facts.secrets:
        notes.add(
            "oadp-dpa-credential", document, (*path, "credential"), f"there is no Secret {name} in {NAMESPACE}",
            "create it, or correct the name",
        )  # fmt: skip


def _buckets(applications: t.Sequence[Document], notes: Notes) -> None:
    seen: dict[tuple[str, str, str], Document] = {}
    for document in applications:
        locations = mapping(document.value, "spec").get("backupLocations")
        for location in locations if isinstance(locations, list) else ():
            velero = mapping(location, "velero")
            storage = mapping(velero, "objectStorage")
            where = (
                str(mapping(velero, "config").get("s3Url") or ""),
                str(storage.get("bucket")),
                str(storage.get("prefix")),
            )
            other = seen.setdefault(where, document)
            if storage.get("bucket") and other is not document:
                notes.add(
                    "oadp-dpa-bucket", document, ("spec", "backupLocations"),
                    f"bucket {where[1]} and prefix {storage.get('prefix') or 'none'} are also those of "
                    f"{other.file}:{other.line}", "give each cluster a prefix of its own",
                )  # fmt: skip


# --- what the cluster says ----------------------------------------------------------------------------------------


def _cluster(facts: LintFacts, notes: Notes) -> None:
    if facts.operators is not None and not any("oadp-operator" in name for name in facts.operators):
        notes.add(
            "oadp-operator", NOWHERE, (), f"there is no OADP operator in {NAMESPACE}",
            f"install the OADP operator in {NAMESPACE}",
        )  # fmt: skip
    if facts.applications is not None:
        ours = [one for one in facts.applications if same_namespace(one)]
        if len(ours) != 1:
            notes.add(
                "oadp-dpa", NOWHERE, (), f"there are {len(ours) or 'no'} DataProtectionApplications in {NAMESPACE}",
                "keep exactly one",
            )  # fmt: skip
        for one in ours:
            _reconciled(one, notes)
    if facts.locations is not None:
        _locations(facts, notes)


def _reconciled(application: t.Mapping[str, t.Any], notes: Notes) -> None:
    conditions = mapping(application, "status").get("conditions")
    states = (
        {one.get("type"): one for one in conditions if isinstance(one, dict)} if isinstance(conditions, list) else {}
    )
    state = states.get("Reconciled", {})
    if state.get("status") != "True":
        name = mapping(application, "metadata").get("name")
        notes.add(
            "oadp-dpa", NOWHERE, (),
            f"DataProtectionApplication {name} is not reconciled: {state.get('message') or 'no condition yet'}",
            "mend it; oc describe dpa tells what is wrong",
        )  # fmt: skip


def _locations(facts: LintFacts, notes: Notes) -> None:
    if not facts.locations:
        notes.add(
            "oadp-backup-location", NOWHERE, (), f"there is no BackupStorageLocation in {NAMESPACE}",
            "add backupLocations to the DataProtectionApplication",
        )  # fmt: skip
    for one in facts.locations or ():
        phase = mapping(one, "status").get("phase")
        if phase != "Available":
            name = mapping(one, "metadata").get("name")
            notes.add(
                "oadp-backup-location", NOWHERE, (),
                f"BackupStorageLocation {name} is {phase or 'not validated yet'}: "
                f"{mapping(one, 'status').get('message') or 'no message'}",
                "check the object store, its address, certificate and credential",
            )  # fmt: skip


def _seed(facts: LintFacts, notes: Notes) -> None:
    versions = [name.partition(".v")[2] for name in facts.operators or () if "oadp-operator" in name]
    if facts.operators is not None and (not versions or _is_older(versions[0])):
        has = f"OADP {versions[0]}" if versions else "no OADP operator"
        notes.add(
            "oadp-seed", NOWHERE, (), f"the seed cluster has {has}",
            f"install OADP {_OADP_LEAST} or later before the seed image is made",
        )  # fmt: skip
    if facts.applications:
        notes.add(
            "oadp-seed", NOWHERE, (), "the seed cluster has a DataProtectionApplication",
            "delete it before the seed image is made",
        )  # fmt: skip


def _is_older(version: str) -> bool:
    return not version or (is_valid(version) and is_newer(_OADP_LEAST, version))
