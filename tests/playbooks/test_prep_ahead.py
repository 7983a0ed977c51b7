# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""prep.yml days before the window: who pulls at once, who is ready, and what is left for the window."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import open_session

from .runs import Playground, failing, names, scenario

Prepare = Callable[..., Playground]
OTHER_SEED = {"version": "4.17.9", "image": "registry.example.com/seeds/sno:4.17.9"}


def preps(ground: Playground, name: str) -> tuple[float, float]:
    """When Prep of a cluster began and ended, by the clock that the whole fleet shares."""
    session = open_session({"kubeconfig": str(ground.fleet.kubeconfig(name))})
    try:
        (timing,) = [one for one in Cluster(session).read().history if one.stage == "Prep"]
    finally:
        session.close()
    assert timing.started and timing.seconds
    begin = timing.started.timestamp()
    return begin, begin + timing.seconds


def most_at_once(ground: Playground, clusters: list[str]) -> int:
    """How many of these were in Prep at the same time."""
    spans = [preps(ground, name) for name in clusters]
    # A second is the finest that the API tells.
    return max(sum(begin <= moment < end - 1 for begin, end in spans) for moment, _end in spans)


def test_a_second_run_changes_nothing_and_the_window_begins_at_upgrade(prepare: Prepare) -> None:
    ground = prepare(scenario(4))
    first = ground.play("prep")
    assert first.code == 0, first.output
    assert "READY FOR THE WINDOW 4 of 4" in first.words
    written = ground.writes()

    again = ground.play("prep")
    assert again.code == 0 and "changed=0" in again.output, again.output
    assert "READY FOR THE WINDOW 4 of 4" in again.words
    assert ground.writes() == written

    night = ground.directory / "night.json"
    window = ground.play("upgrade", ibu_serial=["100%"], ibu_outcome_file=str(night))
    assert window.code == 0, window.output
    for name in names(1, 2, 3, 4):
        # Prep was asked for once, days before; nothing but the rest happens in the window.
        assert ground.stages(name) == ["Prep", "Upgrade", "Idle"]
        outcome = json.loads(night.read_text())["clusters"][name]
        assert set(outcome["durations"]) == {"Upgrade", "FinalizeUpgrade"}
    assert not ground.refusals()


def test_so_many_pull_at_once_over_each_link_and_nobody_else_waits_for_them(prepare: Prepare) -> None:
    ground = prepare(scenario(8))
    hosts = ground.directory / "links.yml"
    north = {name: {"ibu_link": "north"} for name in names(1, 2, 3, 4, 5)}
    south = {name: {"ibu_link": "south"} for name in names(6, 7)}
    hosts.write_text(str({"all": {"hosts": {**north, **south}}}))
    run = ground.play("prep", "-i", str(hosts), ibu_link_concurrency={"north": 2, "south": 1})
    assert run.code == 0, run.output
    assert most_at_once(ground, names(1, 2, 3, 4, 5)) == 2
    assert most_at_once(ground, names(6, 7)) == 1


def test_so_many_pull_at_once_in_all(prepare: Prepare) -> None:
    ground = prepare(scenario(5))
    run = ground.play("prep", ibu_prep_concurrency=2)
    assert run.code == 0, run.output
    assert most_at_once(ground, names(1, 2, 3, 4, 5)) == 2


def test_a_number_that_is_none_is_refused_before_anything_is_touched(prepare: Prepare) -> None:
    ground = prepare(scenario(2))
    run = ground.play("prep", ibu_link_concurrency={"north": "many"})
    assert run.code != 0 and "link_concurrency" in run.words and "mapping of links to numbers" in run.words
    assert not ground.touched()


def test_the_report_names_who_is_ready_who_is_not_and_why(prepare: Prepare) -> None:
    ground = prepare(scenario(5, troubles=failing(2, 3)))
    run = ground.play("prep")
    assert run.code != 0
    assert "READY FOR THE WINDOW 3 of 5" in run.words
    assert "FAILED 2 site-0002, site-0003: " in run.words and "the seed image is not for this cluster" in run.words
    written = ground.writes()

    # On the morning of the window another seed is wanted.
    morning = ground.play("prep_status", ibu_seed_image_ref=OTHER_SEED)
    assert morning.code != 0
    assert "READY FOR THE WINDOW 0 of 5" in morning.words
    assert "STALE 3 site-0001, site-0004, site-0005: " in morning.words and "not '4.17.9'" in morning.words
    assert "sno.image_upgrade.abort -l CLUSTERS, then ansible-playbook sno.image_upgrade.prep" in morning.words
    assert "site-0001 is not ready for the window: stale" in morning.words
    assert ground.writes() == written


def test_stale_clusters_become_ready_by_the_remedy(prepare: Prepare) -> None:
    ground = prepare(scenario(2))
    assert ground.play("prep").code == 0
    stale: dict[str, Any] = {"ibu_seed_image_ref": OTHER_SEED}
    assert ground.play("prep_status", **stale).code != 0
    assert ground.play("abort").code == 0
    again = ground.play("prep", **stale)
    assert again.code == 0 and "READY FOR THE WINDOW 2 of 2" in again.words, again.output
    assert ground.play("prep_status", **stale).code == 0


def test_a_cluster_without_an_answer_is_named(prepare: Prepare) -> None:
    ground = prepare(scenario(2, troubles={"site-0002": {"refused_from_start": {}}}))
    run = ground.play("prep_status", ibu_contact_timeout=1)
    assert run.code != 0
    assert (
        "NO ANSWER 1 site-0002: " in run.words and "NOT PREPARED 1 site-0001: Prep was not requested yet" in run.words
    )


def test_check_mode_shows_who_would_be_prepared_and_writes_nothing(prepare: Prepare) -> None:
    ground = prepare(scenario(2))
    run = ground.play("prep", "--check")
    assert run.code == 0 and "would go to Prep" in run.words, run.output
    assert not ground.touched()
