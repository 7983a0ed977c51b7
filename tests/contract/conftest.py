# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every contract test runs against the simulator and against a real API server."""

from __future__ import annotations

import contextlib
import functools
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
for folder in (TESTS / "kubeapi", TESTS / "sim", TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from contract import servers  # noqa: E402
from kubeapi import Api  # noqa: E402

pytest.register_assert_rewrite("contract.helpers", "contract.groups", "contract.managed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where `make contract` runs tests on several processes."""
    from contract.sharing import ByServer

    return ByServer(config, log)


@pytest.fixture(scope="session", name="started")
def fixture_started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], servers.Server]]:
    """Start a server when it is first asked for. It runs to the end: pytest would end it whenever `api` changes."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(kind: str) -> servers.Server:
            return stack.enter_context(getattr(servers, kind)(tmp_path_factory.mktemp(kind)))

        yield start


@pytest.fixture(scope="session", params=["sim", pytest.param("kube", marks=pytest.mark.kubeapi)])
def api(request: pytest.FixtureRequest, started: Callable[[str], servers.Server]) -> servers.Server:
    """One server for the whole run; each test brings the objects that it looks at."""
    return started(request.param)


@pytest.fixture(scope="session")
def simulated_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Api]]:
    """Start the hub of a simulated fleet when it is first asked for."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda: stack.enter_context(servers.sim_hub(tmp_path_factory.mktemp("hub"))))


@pytest.fixture(scope="session")
def hub(api: servers.Server, simulated_hub: Callable[[], Api]) -> Api:
    """The hub's administrator. Nobody else acts on group upgrades there."""
    return api.admin if api.kind == "kube" else simulated_hub()


@pytest.fixture
def name() -> str:
    """Of a group upgrade that no other test has."""
    return f"group-{uuid.uuid4().hex[:12]}"
