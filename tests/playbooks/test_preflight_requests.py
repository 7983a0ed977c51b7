# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight asks of a cluster, it asks once."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.action.ibu_preflight import ActionModule, _Checker
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import Policy
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host
from fleetsim.testing import Fleet

from .test_refusals_walk import HEALTHY, MANIFESTS, config_map

SITE = "site-0001"


def test_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [*HEALTHY["apply-label"]["objects"], config_map("site-extra", "openshift-lifecycle-agent", MANIFESTS)]
    read: list[str] = []
    ask = Session._reply

    def counted(self: Session, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        if method == "GET":
            read.append(path)
        return ask(self, method, path, *args, **kwargs)

    monkeypatch.setattr(Session, "_reply", counted)
    fleet = {"clusters": {"count": 1}, "hub": False, "clusters_extra": {SITE: {"objects": objects}}}
    options: dict[str, Any] = {name: spec.get("default") for name, spec in ActionModule.OPTIONS.items()}
    options["seed_lookup"] = "never"
    with Fleet(fleet, directory=tmp_path / "fleet") as running:
        variables = {
            "ibu_kubeconfig": str(running.kubeconfig(SITE)),
            "ibu_seed_image_ref": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"},
            "ibu_oadp_content": [{"name": "oadp-cm", "namespace": "openshift-adp"}],
            "ibu_extra_manifests": [{"name": "site-extra", "namespace": "openshift-lifecycle-agent"}],
        }
        checker = _Checker([Action.PREP, Action.UPGRADE], options, Policy())
        findings = checker.check([Host(SITE, variables)])
    assert not [one for one in findings if one.severity.excludes], findings
    counts = collections.Counter(read)
    assert sum(path.endswith(("/oadp-cm", "/site-extra")) for path in counts) == 2
    assert {path: count for path, count in counts.items() if count > 1} == {}
