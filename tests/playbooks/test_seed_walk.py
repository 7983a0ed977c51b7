# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal of the agent is told before anything is asked of it, and a healthy cluster gets no finding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import seed_runbook_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import from_document
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import Auth, HostFacts, findings
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import refusing
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_read import read_record, read_survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session, open_session
from fleetsim.seedgen_refusals import SEED
from fleetsim.testing import Fleet

IMAGE = "registry.example.com/seed:4.17.3"
FIT = HostFacts(set_default=True, storage=True, dnsmasq=True)
CLUSTERS = dict(enumerate(SEED, 1))


@pytest.fixture(scope="module", name="fleet")
def fixture_fleet() -> Iterator[Fleet]:
    """A cluster for each refusal, and a healthy one at the end."""
    extra = {f"site-{number:04d}": SEED[name].scenario for number, name in CLUSTERS.items()}
    extra[f"site-{len(SEED) + 1:04d}"] = {"seedgen": {}}
    with Fleet({"speed": 1, "hub": False, "clusters": {"count": len(extra)}, "clusters_extra": extra}) as fleet:
        yield fleet


def session(fleet: Fleet, number: int) -> Session:
    return open_session({"kubeconfig": str(fleet.kubeconfig(f"site-{number:04d}"))})


def found(fleet: Fleet, number: int, host: HostFacts) -> list[Finding]:
    survey = read_survey(session(fleet, number), host)
    return findings(f"site-{number:04d}", survey, IMAGE, Auth())


@pytest.mark.parametrize("number", [n for n, name in CLUSTERS.items() if SEED[name].check], ids=CLUSTERS.get)
def test_what_the_agent_refuses_is_told_before(fleet: Fleet, number: int) -> None:
    wanted = SEED[CLUSTERS[number]]
    plan = (wanted.scenario["seedgen"] or {}) if wanted.on_host else {}
    host = HostFacts(set_default=plan.get("set_default", True), dnsmasq=plan.get("dnsmasq")) if plan else HostFacts()
    told = refusing(found(fleet, number, host))
    assert [one.check for one in told] == [wanted.check]
    if told[0].check != "secret":
        # The agent's own words, but for what differs from cluster to cluster.
        assert wanted.message.startswith(told[0].cause)
    assert told[0].remedy


def test_the_agents_words_are_explained() -> None:
    """No failure of the agent is unknown, and its remedy is the one of the finding."""
    for name, refusal in SEED.items():
        cause = _seedgen.explain(refusal.message)
        assert cause.key != "unknown", name
        assert seed_runbook_of(refusal.message), name
        if refusal.check:
            assert cause.key == refusal.check


def test_what_only_the_node_knows_is_not_checked_without_it(fleet: Fleet) -> None:
    for number, name in CLUSTERS.items():
        if SEED[name].on_host:
            told = found(fleet, number, HostFacts())
            assert not refusing(told)
            assert [one.check for one in told if one.severity is Severity.NOT_CHECKED] == ["not_checked"]


def test_a_healthy_cluster_has_no_finding(fleet: Fleet) -> None:
    assert found(fleet, len(SEED) + 1, FIT) == []


def test_the_record_can_be_read_back(fleet: Fleet) -> None:
    facts = read_record(session(fleet, len(SEED) + 1))
    assert facts.version == "4.16.8"
    assert facts.has_proxy is False
    assert facts.node_ips == ("192.0.2.10",)
    assert facts.ip_families == ("ipv4",)
    assert facts.operators
    assert facts.container_storage_mountpoint
    assert from_document(facts.to_document()) == facts
