# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every contract test runs against the simulator and against a real API server."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
for folder in (TESTS / "kubeapi", TESTS / "sim", TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from contract import servers  # noqa: E402
from kubeapi import Api  # noqa: E402

pytest.register_assert_rewrite("contract.helpers", "contract.groups", "contract.managed")


@pytest.fixture(scope="session", params=["sim", pytest.param("kube", marks=pytest.mark.kubeapi)])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """One server for the whole run; each test brings the objects that it looks at."""
    start = getattr(servers, request.param)
    with start(tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="session")
def hub(api: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The hub's administrator. Nobody else acts on group upgrades there."""
    if api.kind == "kube":
        yield api.admin
        return
    with servers.sim_hub(tmp_path_factory.mktemp("hub")) as admin:
        yield admin


@pytest.fixture
def name() -> str:
    """Of a group upgrade that no other test has."""
    return f"group-{uuid.uuid4().hex[:12]}"
