# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision core agrees with the CRDs: what it would send is accepted, and what the CRDs refuse is never sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import decide
from ansible_collections.sno.image_upgrade.plugins.module_utils._observe import observe
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, Patch, SeedImage
from differential.conftest import Twin
from differential.states import HELD, REACHABLE, STAGES, State
from differential.upgrades import Judge, put
from kubeapi import KubeApi

OLD, NEW = "4.16.8", "4.17.3"
SEEDS = (
    None,
    SeedImage(NEW, f"registry.example.com/seed:{NEW}"),
    SeedImage("4.17.4", "registry.example.com/seed:4.17.4"),
)
REFS = (None, (), (("openshift-adp", "a"), ("openshift-adp", "b")))


def _goals() -> Iterator[Goal]:
    for action in Action:
        for seed in SEEDS:
            for refs in REFS:
                yield Goal(action, seed, oadp_content=refs, init_monitor_timeout=None if refs is None else 900)


def _patches(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Everything that any goal would send to a cluster in this state, whichever release it runs."""
    found = []
    for version in (OLD, NEW):
        observed = observe(document, version)
        for goal in _goals():
            decision = decide(observed, goal)
            if isinstance(decision, Patch):
                found.append((f"{goal.action} on {version}", dict(decision.body["spec"])))
    return found


@pytest.fixture(scope="module")
def judge(both: KubeApi, twins: tuple[Twin, Twin]) -> Judge:
    return Judge(both, twins)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("state", REACHABLE, ids=lambda state: state.name)
def test_what_the_core_sends_is_accepted(judge: Judge, twins: tuple[Twin, Twin], state: State, held: str) -> None:
    put(twins[0], state, HELD[held])
    document = twins[0].api.get(f"{twins[0].list_path}/upgrade").ok()
    sent = _patches(document)

    verdicts = judge.verdicts(state, HELD[held], [spec for _label, spec in sent])

    refused = [(*one, told) for one, told in zip(sent, verdicts, strict=True) if {v["code"] for v in told} != {200}]
    assert refused == []


def test_the_core_uses_every_transition_that_leads_somewhere(twins: tuple[Twin, Twin]) -> None:
    """Else the test above could pass because nothing is ever sent."""
    sent = set()
    for state in REACHABLE:
        put(twins[0], state, HELD["full"])
        document = twins[0].api.get(f"{twins[0].list_path}/upgrade").ok()
        sent |= {(state.stage, spec["stage"]) for _label, spec in _patches(document)}

    assert {
        ("Idle", "Prep"),
        ("Prep", "Upgrade"),
        ("Prep", "Idle"),
        ("Upgrade", "Idle"),
        ("Upgrade", "Rollback"),
    } <= sent
    assert ("Rollback", "Idle") in sent
    assert {stage for pair in sent for stage in pair} == set(STAGES)
