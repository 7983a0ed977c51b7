# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a hub about labels, and how one ManagedCluster is corrected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._labels import Correction, Hold
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_labels import Entry, HubLabels

from ..module_utils.groups import PREP_DONE, PREP_FAILED, cgu, entry, ibgu, steps

MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
IBGUS = "/apis/lcm.openshift.io/v1alpha1/imagebasedgroupupgrades"
CGUS = "/apis/ran.openshift.io/v1alpha1/namespaces/ibu/clustergroupupgrades"
PLAN = steps(["Prep", "Upgrade"])
FORBIDDEN = Unanswered("rights", "you may not", 403)
CONFLICT = Unanswered("conflict", "the object has been modified", 409)
FIX = Correction("the cluster is idle", remove=(PREP_FAILED,))


def managed(name: str, version: str = "1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version, "labels": labels}}


class FakeSession:
    """Collections, or what asking for them raises; patches are answered one by one."""

    url = "https://hub.example.com:6443"

    def __init__(self, collections: dict[str, Any], answers: list[Exception | None] | None = None) -> None:
        self.collections = collections
        self.answers = answers or []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.patches: list[dict[str, Any]] = []
        self.closed = 0

    def items(self, path: str, _page: int = 500, **query: Any) -> Iterator[dict[str, Any]]:
        self.asked.append((path, query))
        found = self.collections.get(path, NotThere("no such API"))
        if isinstance(found, Exception):
            raise found
        yield from found

    def get(self, path: str) -> Any:
        name = path.rpartition("/")[2]
        document = managed(name, str(len(self.patches) + 1))
        return type("Reply", (), {"document": document})

    def merge_patch(self, _path: str, body: dict[str, Any]) -> None:
        self.patches.append(body)
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer

    def close(self) -> None:
        self.closed += 1


def read(session: FakeSession, *names: str) -> HubLabels:
    hub = HubLabels(lambda: session)  # type: ignore[arg-type,return-value]
    hub.read(names or ("a", "b"))
    return hub


def test_only_the_clusters_that_are_asked_for_are_kept() -> None:
    hub = read(FakeSession({MANAGED: [managed("a", x="1"), managed("z")], IBGUS: []}))

    assert hub.entries == {"a": Entry({"x": "1"}, {}, "1")}


def test_a_hub_without_talm() -> None:
    hub = read(FakeSession({MANAGED: [managed("a")]}))

    assert (hub.holds, hub.busy, hub.warnings) == ({}, {}, [])


def test_group_upgrades_of_all_namespaces_and_the_steps_of_those_that_run() -> None:
    over = ibgu(PLAN, [entry("a", ["Prep"])], progressing=False)
    runs = ibgu(PLAN, [entry("a", failed={"Prep": "why"})], name="two", progressing=True)
    session = FakeSession(
        {MANAGED: [managed("a"), managed("b")], IBGUS: [over, runs], CGUS: [cgu(PLAN, 0, [["a"], ["b"]], {})]}
    )

    hub = read(session)

    assert hub.holds == {"a": [Hold("ibu/north", frozenset([PREP_DONE])), Hold("ibu/two", frozenset([PREP_FAILED]))]}
    assert hub.busy == {"a": "ibu/two", "b": "ibu/two"}
    assert session.asked == [(MANAGED, {}), (IBGUS, {}), (CGUS, {"labelSelector": "ibgu=two"})]


def test_who_may_not_see_group_upgrades_is_warned() -> None:
    hub = read(FakeSession({MANAGED: [managed("a")], IBGUS: FORBIDDEN}))

    assert "may not list group upgrades" in hub.warnings[0] and not hub.holds


def test_who_may_not_see_the_steps_takes_everyone_for_busy_whom_the_group_upgrade_selects() -> None:
    session = FakeSession(
        {
            MANAGED: [managed("a", region="north"), managed("b", region="south")],
            IBGUS: [ibgu(PLAN, progressing=True)],
            CGUS: FORBIDDEN,
        }
    )

    assert read(session).busy == {"a": "ibu/north"}


@pytest.mark.parametrize(
    ("managed_clusters", "group_upgrades", "words"),
    [
        (NotThere("no such API"), [], "knows no ManagedClusters"),
        (FORBIDDEN, [], "does not allow it: you may not; give it the rights that docs/rbac lists"),
        ([], Unanswered("http", "in trouble", 503), "does not answer as it should: in trouble"),
    ],
)
def test_a_hub_that_cannot_be_read(managed_clusters: Any, group_upgrades: Any, words: str) -> None:
    with pytest.raises(IbuError, match=words):
        read(FakeSession({MANAGED: managed_clusters, IBGUS: group_upgrades}))


def test_a_correction_is_one_patch_of_what_was_read() -> None:
    session = FakeSession({MANAGED: [managed("a", "7")], IBGUS: []})
    hub = read(session)

    assert hub.write("a", lambda _entry, _again: FIX) is FIX
    assert session.patches == [{"metadata": {"labels": {PREP_FAILED: None}, "resourceVersion": "7"}}]

    hub.close()
    assert session.closed == 1


def test_after_a_conflict_it_is_decided_again() -> None:
    session = FakeSession({MANAGED: [managed("a", "7")], IBGUS: []}, [CONFLICT])
    hub = read(session)
    seen = []

    def decide(found: Entry, again: bool) -> Correction:
        seen.append((found.version, again))
        return Correction("it is finalizing", keep=True) if again else FIX

    assert hub.write("a", decide).keep
    assert seen == [("7", False), ("2", True)]
    assert len(session.patches) == 1


def test_it_does_not_go_on_for_ever() -> None:
    session = FakeSession({MANAGED: [managed("a")], IBGUS: []}, [CONFLICT, CONFLICT, CONFLICT])
    hub = read(session)

    with pytest.raises(IbuError, match="somebody else keeps changing"):
        hub.write("a", lambda _entry, _again: FIX)
    assert len(session.patches) == 3


def test_what_is_not_needed_is_not_written() -> None:
    session = FakeSession({MANAGED: [managed("a")], IBGUS: []})

    read(session).write("a", lambda _entry, _again: Correction("the cluster is idle"))

    assert session.patches == []


def test_a_refusal_is_no_reason_to_try_again() -> None:
    session = FakeSession({MANAGED: [managed("a")], IBGUS: []}, [FORBIDDEN])
    hub = read(session)

    with pytest.raises(IbuError, match="you may not"):
        hub.write("a", lambda _entry, _again: FIX)
    assert len(session.patches) == 1
