# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Own and upstream CRD side by side on one real API server.

The upstream one is installed under another group, so that both are there at once; only the group differs in answers.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent
for folder in (TESTS / "kubeapi", TESTS / "sim", TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from kubeapi import Api, KubeApi, NoBinaries, Reply  # noqa: E402
from kubeapi.server import CRDS, load_documents  # noqa: E402

Document = dict[str, Any]
OWN_GROUP = "lca.openshift.io"
UPSTREAM_GROUP = "lca.upstream.example.com"


def upstream_folder() -> Path:
    return Path(os.environ.get("SNO_UPSTREAM_CRDS") or TESTS.parent.parent / "shared" / "crds")


@pytest.fixture(scope="session")
def upstream_crds() -> dict[str, Document]:
    """The upstream definitions by name."""
    folder = upstream_folder()
    found = load_documents(folder) if folder.is_dir() else []
    if not found:
        pytest.skip(f"there are no upstream CRDs in {folder}; set SNO_UPSTREAM_CRDS to the folder that has them")
    return {crd["metadata"]["name"]: crd for crd in found}


@pytest.fixture(scope="session")
def own_crds() -> dict[str, Document]:
    return {crd["metadata"]["name"]: crd for crd in load_documents(CRDS)}


@dataclass(frozen=True)
class Twin:
    """One of the two kinds, on the same server."""

    api: Api
    group: str
    plural: str = "imagebasedupgrades"
    kind: str = "ImageBasedUpgrade"

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1"

    @property
    def list_path(self) -> str:
        return f"/apis/{self.api_version}/{self.plural}"

    def verdict(self, reply: Reply) -> Document:
        """What the server decided, without what tells one group from the other."""
        document = json.loads(reply.text.replace(self.group, "GROUP"))
        if reply.status >= 300:
            told = sorted((c["reason"], c["field"], c["message"]) for c in document["details"].get("causes", []))
            alone = document["message"] if len(told) < 2 else ""
            return {"code": reply.status, "reason": document["reason"], "causes": told, "message": alone}
        return {"code": reply.status, "spec": document.get("spec"), "status": document.get("status")}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    try:
        made = KubeApi(tmp_path_factory.mktemp("differential"), crds=None)
    except NoBinaries as reason:
        pytest.skip(str(reason))
    with made:
        yield made


@pytest.fixture(scope="session")
def both(upstream_crds: dict[str, Document], own_crds: dict[str, Document], server: KubeApi) -> KubeApi:
    """The server with the kinds of the Lifecycle Agent, each of them twice."""
    for name in sorted(own_crds):
        if name.endswith(f".{OWN_GROUP}"):
            server.apply_crds([own_crds[name], _under_another_group(upstream_crds[name])])
    return server


@pytest.fixture(scope="session")
def twins(both: KubeApi) -> tuple[Twin, Twin]:
    """The two kinds of upgrade: ours and the upstream one."""
    return Twin(both.admin, OWN_GROUP), Twin(both.admin, UPSTREAM_GROUP)


def _under_another_group(crd: Document) -> Document:
    moved = copy.deepcopy(crd)
    moved["metadata"] = {"name": f"{crd['spec']['names']['plural']}.{UPSTREAM_GROUP}"}
    moved["spec"]["group"] = UPSTREAM_GROUP
    return moved
