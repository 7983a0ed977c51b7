# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two servers that must answer alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetsim.testing import Fleet
from kubeapi import Api, KubeApi, NoBinaries

READER = "reader"
READER_RULES = [
    {"apiGroups": ["lca.openshift.io"], "resources": ["imagebasedupgrades"], "verbs": ["get", "list", "watch"]}
]


@dataclass(frozen=True)
class Server:
    """One API server with the test's CRDs, and no Lifecycle Agent that would answer to changes."""

    kind: str
    admin: Api
    reader: Api
    reader_name: str = READER


@contextmanager
def sim(folder: Path) -> Iterator[Server]:
    """One cluster of the simulated fleet. Its agent is not ready, so the upgrade is all ours."""
    may_read = {"groups": ["lca.openshift.io"], "resources": ["imagebasedupgrades"], "verbs": ["get", "list", "watch"]}
    scenario = {
        "speed": 1,
        "hub": False,
        "clusters": {"count": 1, "name": "site"},
        "troubles": {"site": {"lca_not_ready": {}}},
        "users": {READER: {"rules": [may_read]}},
    }
    with Fleet(scenario, folder) as fleet:
        yield Server("sim", Api(fleet.kubeconfig("site")), Api(fleet.kubeconfig("site", READER)))


@contextmanager
def sim_hub(folder: Path) -> Iterator[Api]:
    """The hub of a simulated fleet, without the Topology Aware Lifecycle Manager."""
    with Fleet({"speed": 1, "hub": {"talm": False}, "clusters": {"count": 1, "name": "site"}}, folder) as fleet:
        yield Api(fleet.hub_kubeconfig)


@contextmanager
def kube(folder: Path) -> Iterator[Server]:
    """A real kube-apiserver."""
    try:
        server = KubeApi(folder)
    except NoBinaries as reason:
        pytest.skip(str(reason))
    with server:
        server.allow(READER, READER_RULES)
        yield Server("kube", server.admin, Api(server.certificate_kubeconfig(READER)))
