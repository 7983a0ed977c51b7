# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""oadp_lint says of a Backup or Restore what API servers say: the simulator, a real one, and one with upstream CRDs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import Document as Read
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_lint import lint
from differential.backups import documents
from differential.conftest import UPSTREAM_GROUP, _under_another_group
from differential.many import Many, Question
from kubeapi import KubeApi, Reply

Document = dict[str, Any]
COUNT = 300
NAMESPACE = "openshift-adp"
OWN = "velero.io"
CRDS = ("backups.velero.io", "restores.velero.io")
# What the API server itself refuses. A wave that is a string is fine for it, whatever it says.
SCHEMA_RULES = frozenset({"oadp-schema", "oadp-metadata", "oadp-name"})


@pytest.fixture(scope="module", name="corpus")
def fixture_corpus() -> list[Document]:
    return list(documents(COUNT))


def accepted_by_lint(document: Document) -> bool:
    found = lint([Read("corpus", 1, 1, document)])
    return not SCHEMA_RULES.intersection(finding.rule for finding in found)


def path_of(document: Document, group: str) -> str:
    return f"/apis/{group}/v1/namespaces/{NAMESPACE}/{document['kind'].lower()}s"


def disagreements(corpus: Sequence[Document], answers: Sequence[Reply]) -> list[str]:
    found = []
    for document, answer in zip(corpus, answers, strict=True):
        assert answer.status in (201, 400, 422), answer.text
        if accepted_by_lint(document) != (answer.status == 201):
            message = json.loads(answer.text).get("message", "created")
            found.append(f"{answer.status} {message}\n  {json.dumps(document)}")
    return found


def test_the_corpus_has_enough_of_both(corpus: list[Document]) -> None:
    found = Counter(accepted_by_lint(document) for document in corpus)
    assert min(found.values()) > COUNT / 2, found


@pytest.fixture(scope="module", name="velero")
def fixture_velero(server: KubeApi, own_crds: dict[str, Document]) -> KubeApi:
    server.apply_crds([own_crds[name] for name in CRDS])
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert server.admin.create("/api/v1/namespaces", space).status in (201, 409)
    return server


def ask(server: KubeApi, corpus: Sequence[Document], group: str) -> list[Reply]:
    return Many(server).ask(
        [Question("POST", f"{path_of(one, group)}?dryRun=All", {**one, "apiVersion": f"{group}/v1"}) for one in corpus]
    )


@pytest.mark.kubeapi
def test_lint_agrees_with_the_project_crds(velero: KubeApi, corpus: list[Document]) -> None:
    assert disagreements(corpus, ask(velero, corpus, OWN)) == []


@pytest.mark.kubeapi
def test_lint_agrees_with_the_upstream_crds(
    velero: KubeApi, upstream_crds: dict[str, Document], corpus: list[Document]
) -> None:
    velero.apply_crds([_under_another_group(upstream_crds[name]) for name in CRDS])

    assert disagreements(corpus, ask(velero, corpus, UPSTREAM_GROUP)) == []


def test_lint_agrees_with_the_simulator(tmp_path: Path, corpus: list[Document]) -> None:
    from fleetsim.testing import Fleet
    from kubeapi import Api

    with Fleet({"speed": 1, "hub": False, "clusters": {"count": 1, "name": "site"}}, tmp_path) as fleet:
        api = Api(fleet.kubeconfig("site"))
        answers = [api.create(path_of(one, OWN), one, dryRun="All") for one in corpus]

    # The content that the simulated cluster comes with may have the names already.
    kept = [pair for pair in zip(corpus, answers, strict=True) if pair[1].status != 409]
    assert disagreements([one for one, _ in kept], [answer for _, answer in kept]) == []
