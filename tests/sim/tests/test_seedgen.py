# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated agent's seed generation: refusals in its order, the steps, the outage, and what comes back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from virtual import Site

from fleetsim import ibu, seedgen
from fleetsim.resources import IBU
from fleetsim.seedgen_refusals import SEED, SeedRefusal
from fleetsim.store import Object

IMAGE = "registry.example.com/seed:4.17.3"


def ask(site: Site) -> Object:
    """A client creates the SeedGenerator."""
    obj: Object = {"kind": "SeedGenerator", "metadata": {"name": seedgen.NAME}, "spec": {"seedImage": IMAGE}}
    return site.cluster.verbs().create(site.cluster.world.registry.table(seedgen.TABLE), "", obj).parse()


def generator(site: Site) -> Object | None:
    return site.get(seedgen.TABLE, seedgen.NAME) if site.up else None


def told(site: Site, kind: str) -> tuple[str, str, str] | None:
    found = ibu.condition((generator(site) or {}).get("status") or {}, kind)
    return (found["status"], found["reason"], found["message"]) if found else None


def agent(site: Site) -> seedgen.SeedAgent:
    assert site.cluster.seed
    return site.cluster.seed


async def over(site: Site) -> None:
    await site.until(lambda: told(site, "SeedGenCompleted"))


@pytest.mark.parametrize("name", SEED)
async def test_every_refusal_in_the_agents_words(name: str) -> None:
    refusal: SeedRefusal = SEED[name]
    async with Site(**refusal.scenario) as site:
        ask(site)
        await over(site)
        assert told(site, "SeedGenInProgress") == ("False", "Failed", refusal.message)
        assert told(site, "SeedGenCompleted") == ("False", "Failed", f"Seed generation failed: {refusal.message}")
        assert not agent(site).pushed


def test_the_list_of_refusals_is_complete() -> None:
    """Whatever the simulated agent can say has an entry."""
    source = Path(seedgen.__file__).read_text()
    texts = {text for text in re.findall(r"(?:Rejected|could not|failed|imager failed)[^\"\n{]{8,}", source)}
    messages = [refusal.message for refusal in SEED.values()]
    for text in texts:
        part = text.split("{")[0].split("(")[0].strip(" '")
        assert any(part[:24] in message for message in messages), f"no entry for: {text}"
    assert {f"run_{name}" for name, text in seedgen.FAILURES.items() if text} <= set(SEED)


async def test_refusals_come_in_the_agents_order() -> None:
    worst: dict[str, Any] = {"set_default": False, "storage": False, "attached": True, "addons": ["a"]}
    worst |= {"dnsmasq": False, "sanitized": True}
    order = ["set_default", "container_storage", "hub", "addons", "dnsmasq", "pull_secret"]
    cures = {"set_default": True, "storage": True, "attached": False, "addons": [], "dnsmasq": True, "sanitized": False}
    for name, cure in zip(order, cures, strict=True):
        async with Site(seedgen=worst) as site:
            refusal = await agent(site).refusal()
            assert refusal.split("(s)")[0] in SEED[name].message
        worst = {**worst, cure: cures[cure]}
    async with Site(seedgen=worst) as site:
        assert await agent(site).refusal() == ""


async def test_a_healthy_cluster_becomes_a_seed() -> None:
    async with Site(seedgen={}) as site:
        first = ask(site)
        await over(site)
        assert agent(site).messages == [
            "Waiting for system to stabilize",
            "Starting seed generation",
            "Pulling recert image",
            "Preparing for seed generation",
            "Cleaning cluster resources",
            "Launching imager container",
            "Finalizing seed generation",
            "Seed Generation completed",
        ]
        assert told(site, "SeedGenInProgress") == ("False", "Completed", "Seed Generation completed")
        assert told(site, "SeedGenCompleted") == ("True", "Completed", "Seed Generation completed")
        found = generator(site)
        assert found
        assert found["metadata"]["uid"] != first["metadata"]["uid"]
        assert found["metadata"]["generation"] == 1
        assert agent(site).pushed == [IMAGE]
        assert site.get("secrets", "seedgen", "openshift-lifecycle-agent")
        assert site.get("pods", "finished", "app") is None
        assert not seedgen.pull_secret_is_dummy(site.get("secrets", "pull-secret", "openshift-config") or {})
        await site.until(lambda: site.condition("Idle"))


async def test_while_the_imager_works_nothing_is_there() -> None:
    async with Site(seedgen={}) as site:
        ask(site)
        await site.until(lambda: generator(site) is None)
        if site.up:
            assert site.get(IBU, "upgrade") is None
            assert site.get("secrets", "seedgen", "openshift-lifecycle-agent") is None
        await site.until(lambda: not site.up)
        left = site.seconds
        await site.until(lambda: site.up)
        assert site.seconds - left == pytest.approx(900, abs=5)
        assert generator(site) is None
        assert site.get(IBU, "upgrade") is None
        await over(site)


async def test_an_imager_that_hangs_keeps_the_api_away_until_healed() -> None:
    async with Site(seedgen={}, troubles={"imager_hangs": {}}) as site:
        ask(site)
        await site.until(lambda: site.seconds > 5000)
        assert not site.up
        await site.cluster.heal("imager_hangs")
        await over(site)


async def test_an_unhealthy_cluster_waits_for_ever_and_says_for_what() -> None:
    async with Site(seedgen={}, troubles={"health_blocked": {"check": "csr"}}) as site:
        ask(site)
        await site.until(lambda: "csr" in ((told(site, "SeedGenInProgress") or ("", "", ""))[2]))
        assert not site.cluster.machine.seeding
        await site.cluster.heal("health_blocked")
        await over(site)
        assert (told(site, "SeedGenCompleted") or ("",))[0] == "True"


async def test_a_failed_sanitizing_leaves_the_dummy_and_the_next_run_is_refused() -> None:
    async with Site(seedgen={"fails": "sanitize"}) as site:
        ask(site)
        await over(site)
        assert seedgen.pull_secret_is_dummy(site.get("secrets", "pull-secret", "openshift-config") or {})
        assert await agent(site).refusal() == SEED["pull_secret"].message


async def test_what_is_lost_does_not_come_back() -> None:
    async with Site(seedgen={"fails": "lost"}) as site:
        ask(site)
        await site.until(lambda: not site.up)
        await site.until(lambda: site.up)
        await site.until(lambda: site.seconds > 4000)
        assert generator(site) is None
        assert site.get(IBU, "upgrade") is None
        assert seedgen.pull_secret_is_dummy(site.get("secrets", "pull-secret", "openshift-config") or {})


async def test_a_second_wish_is_only_heard_after_a_deletion() -> None:
    async with Site(**SEED["hub"].scenario) as site:
        ask(site)
        await over(site)
        site.cluster.verbs().store.remove(
            "customresourcedefinitions.apiextensions.k8s.io", ("", seedgen.KLUSTERLET_CRD)
        )
        await site.until(lambda: site.seconds > 600)
        assert (told(site, "SeedGenCompleted") or ("",))[0] == "False"
        site.cluster.verbs().store.remove(seedgen.TABLE, ("", seedgen.NAME))
        ask(site)
        await site.until(lambda: (told(site, "SeedGenCompleted") or ("",))[0] == "True")


def test_misspelt_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="fails"):
        seedgen.SeedPlan(fails="everything")
    with pytest.raises(ValueError, match="secret"):
        seedgen.SeedPlan(secret="none")
