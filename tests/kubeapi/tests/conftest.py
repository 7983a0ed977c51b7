# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real server's own tests: what a client sees over a pivot, and that nothing is left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent, HERE.parent.parent / "sim", HERE.parent.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from kubeapi import Binaries, KubeApi, NoBinaries, find  # noqa: E402


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    try:
        return find()
    except NoBinaries as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def server(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """With the kinds of the Lifecycle Agent only: a pivot installs them anew."""
    with KubeApi(tmp_path_factory.mktemp("kube"), groups=["lca.openshift.io"], binaries=binaries) as running:
        yield running
