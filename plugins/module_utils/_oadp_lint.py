# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The lint of Backups and Restores for oadpContent: documents in, findings out. No I/O, no clock.

The rules are listed in ``_oadp_rules``; the modules ``_oadp_lint_*`` check them by topic.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import (
    _oadp_lint_cluster,
    _oadp_lint_filters,
    _oadp_lint_identity,
    _oadp_lint_labels,
    _oadp_lint_order,
    _oadp_lint_storage,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import (
    Document,
    NotYaml,
    as_yaml,
    readable_inside,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import LintFinding, in_order
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import BACKUP
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import (
    NOTHING_KNOWN,
    Content,
    Fault,
    Item,
    LintFacts,
    Notes,
    is_ours,
    mapping,
    target_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_rules import RULES

__all__ = ["LintFacts", "Linted", "lint", "linted", "targets_of", "velero_documents"]

_UPGRADES = ("ImageBasedUpgrade", "ImageBasedGroupUpgrade")


@dataclasses.dataclass(frozen=True)
class Linted:
    """What a run of the lint has to say. ``corrected`` are the documents with every certain correction made."""

    findings: tuple[LintFinding, ...]
    documents: tuple[Document, ...]
    corrected: tuple[tuple[Document, str], ...]


def lint(documents: t.Sequence[Document], facts: LintFacts = NOTHING_KNOWN) -> list[LintFinding]:
    """Everything that is wrong. ConfigMaps among the documents are looked into."""
    return list(linted(documents, facts).findings)


def linted(
    documents: t.Sequence[Document],
    facts: LintFacts = NOTHING_KNOWN,
    broken: t.Sequence[NotYaml] = (),
    *,
    every_config_map: bool = False,
    ignore: t.Collection[str] = (),
) -> Linted:
    """Lint what could be read; ``broken`` is what could not.

    ``every_config_map``: all of them are known to be oadpContent; otherwise only those that hold manifests count.
    ``ignore``: names of rules.
    """
    inner, wrong = _opened(documents, every_config_map)
    content = _content(inner)
    notes = Notes()
    for document in inner:
        _repeated(document, notes)
    _oadp_lint_identity.check(content, notes)
    _oadp_lint_order.check(content, notes)
    _oadp_lint_labels.check(content, facts, notes)
    _oadp_lint_filters.check(content, facts, notes)
    _oadp_lint_storage.check(content, facts, notes)
    _oadp_lint_cluster.check(content, facts, notes)
    faults = [fault for fault in notes.faults if fault.rule not in ignore]
    corrected = _corrected(faults)
    findings = [_of_text(error) for error in (*broken, *wrong)]
    findings += [fault.finding(corrected.get(id(fault.document)) if fault.fix else None) for fault in faults]
    return Linted(
        tuple(in_order(one for one in findings if one.rule not in ignore)),
        tuple(inner),
        tuple((document, corrected[id(document)]) for document in inner if id(document) in corrected),
    )


def velero_documents(documents: t.Sequence[Document], *, every_config_map: bool = False) -> list[dict[str, t.Any]]:
    """The Backups and Restores, as the agent would find them."""
    inner, _broken = _opened(documents, every_config_map)
    return [document.value for document in inner if is_ours(document.value)]


def targets_of(backups: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """The objects of all apply-labels that can be understood, with their addresses."""
    items = [item for one in backups for item in Item(Document("", 0, 0, one)).items]
    return {item: target.path for item in items for target in (target_of(item),) if target is not None}


def _opened(documents: t.Sequence[Document], every_config_map: bool) -> tuple[list[Document], list[NotYaml]]:
    """The documents, and those in ConfigMaps behind them."""
    found: list[Document] = []
    broken: list[NotYaml] = []
    for document in documents:
        found.append(document)
        if document.inside or not _holds_documents(document, every_config_map):
            continue
        more, wrong = readable_inside(document)
        found += more
        broken += wrong
    return found, broken


def _holds_documents(document: Document, every_config_map: bool) -> bool:
    value = document.value
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap":
        return False
    texts = [text for text in mapping(value, "data").values() if isinstance(text, str)]
    return bool(texts) and (every_config_map or any(_is_like_manifests(text) for text in texts))


def _is_like_manifests(text: str) -> bool:
    return "kind:" in text or '"kind"' in text or "velero.io" in text


def _content(documents: t.Sequence[Document]) -> Content:
    backups: list[Item] = []
    restores: list[Item] = []
    sorted_out: dict[str, list[Document]] = {"ConfigMap": [], "DataProtectionApplication": [], "upgrades": [], "": []}
    for document in documents:
        if is_ours(document.value):
            (backups if document.value["kind"] == BACKUP else restores).append(Item(document))
            continue
        kind = str(document.value.get("kind")) if isinstance(document.value, dict) else ""
        if document.inside or not isinstance(document.value, dict):
            sorted_out[""].append(document)
        elif kind in _UPGRADES:
            sorted_out["upgrades"].append(document)
        else:
            sorted_out[kind if kind in sorted_out else ""].append(document)
    return Content(
        tuple(backups), tuple(restores), tuple(sorted_out["ConfigMap"]),
        tuple(sorted_out["DataProtectionApplication"]), tuple(sorted_out["upgrades"]), tuple(sorted_out[""]),
    )  # fmt: skip


def _repeated(document: Document, notes: Notes) -> None:
    for key, line in document.repeated:
        # The line of the second one, which counts.
        placed = dataclasses.replace(document, line=line, lines={})
        notes.add(
            "yaml-duplicate-key", placed, (), f"{key} stands twice; only the last one counts", "remove one of them"
        )


def _of_text(error: NotYaml) -> LintFinding:
    problem = str(error)
    rule, remedy = "yaml-syntax", "correct the YAML"
    if error.tab or "tab" in problem.split():
        rule, remedy = "yaml-tab", "indent with blanks instead of tabs"
    elif "undefined alias" in problem:
        rule, remedy = "yaml-alias", "write the value out, or put the anchor into the same document"
    return LintFinding(RULES[rule].level, rule, problem, remedy, error.file, error.document, error.line)


def _corrected(faults: t.Iterable[Fault]) -> dict[int, str]:
    """Each document with all the corrections of its faults, by identity."""
    fixed: dict[int, dict[str, t.Any]] = {}
    for fault in faults:
        if fault.fix is None:
            continue
        key = id(fault.document)
        if key not in fixed:
            fixed[key] = copy.deepcopy(fault.document.value)
        fault.fix(fixed[key])
    return {key: as_yaml(value) for key, value in fixed.items()}
