# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that serve all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeapi.certs import Authority, Pair

from . import servers
from .servers import RegistryServer, Server

FETCH = Path(__file__).resolve().parents[1] / "tools" / "fetch_registry.py"


@pytest.fixture(scope="session", name="binary")
def fixture_binary() -> Path:
    """Debian's registry; without it there is nothing to ask."""
    done = subprocess.run([sys.executable, FETCH], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return Path(done.stdout.strip())


@pytest.fixture(scope="session", name="authority")
def fixture_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private CA that no system trusts."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session", name="serving")
def fixture_serving(authority: Authority) -> Pair:
    """A certificate for servers of our own."""
    return authority.serving("other")


@pytest.fixture(scope="session", name="guarded")
def fixture_guarded(
    binary: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer]:
    """A registry with TLS that wants user and password."""
    folder = tmp_path_factory.mktemp("guarded")
    with servers.registry(binary, folder / "basic", authority, servers.htpasswd(folder)) as found:
        found.login = lambda name, actions: servers.BASIC
        yield found


@pytest.fixture(scope="session", name="tokens")
def fixture_tokens(authority: Authority) -> Iterator[Server]:
    """The token service of the registry below."""
    with servers.server(servers.token_service(authority.serving("signer")), authority.serving("tokens")) as found:
        yield found


@pytest.fixture(scope="session", name="by_token")
def fixture_by_token(
    binary: Path, authority: Authority, tokens: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer]:
    """A registry with TLS that wants a token of its token service."""
    auth = servers.token_auth(f"https://{tokens.address}/token", authority.certificate)
    with servers.registry(binary, tmp_path_factory.mktemp("tokens") / "token", authority, auth) as found:
        found.login = lambda name, actions: servers.fetch_token(tokens, authority, name, actions)
        yield found


@pytest.fixture(scope="session", name="plain")
def fixture_plain(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry without TLS and without logins."""
    with servers.registry(binary, tmp_path_factory.mktemp("plain") / "plain") as found:
        yield found
