# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real server's own tests: what a client sees over a pivot, and that nothing is left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent, HERE.parent.parent / "sim", HERE.parent.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from kubeapi import Binaries, KubeApi, NoBinaries, find  # noqa: E402
from kubeapi.standin import Standin  # noqa: E402


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    try:
        return find()
    except NoBinaries as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def clusters(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Standin]]:
    """The cluster of the test before, if that has left it as it was installed, otherwise a new one."""
    with ExitStack() as stack:
        running: list[Standin] = []

        def one() -> Standin:
            if running and not running[0].is_as_installed():
                running.clear()
                stack.close()
            if not running:
                running.append(stack.enter_context(Standin(tmp_path_factory.mktemp("standin"))))
            return running[0]

        yield one


@pytest.fixture
def cluster(clusters: Callable[[], Standin]) -> Iterator[Standin]:
    """A cluster with nothing but the old release, its upgrade Idle. The troubles of a test end with it."""
    found = clusters()
    yield found
    for trouble in found.state()["troubles"]:
        found.heal(trouble)


@pytest.fixture(scope="module")
def server(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """With the kinds of the Lifecycle Agent only: a pivot installs them anew."""
    with KubeApi(tmp_path_factory.mktemp("kube"), groups=["lca.openshift.io"], binaries=binaries) as running:
        yield running
