# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of OADP's objects are this cluster's, and where a backup location comes from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp import (
    BACKUP,
    CLUSTER_ID,
    Documents,
    Item,
    Mine,
    locations_of,
    request_for,
    select,
)

MINE, OTHER = "11111111-aaaa", "22222222-bbbb"
NS = "openshift-adp"


def document(name: str, owner: str | None = None, namespace: str = NS, **spec: Any) -> dict[str, Any]:
    labels = {CLUSTER_ID: owner} if owner else {}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}


def names(mine: Mine) -> dict[str, list[str]]:
    return {
        "backups": [str(item) for item in mine.backups],
        "restores": [str(item) for item in mine.restores],
        "requests": [str(item) for item in mine.requests],
    }


def test_backups_and_requests_by_label_and_restores_by_the_name_of_their_backup() -> None:
    seen = Documents(
        cluster_id=MINE,
        backups=[document("a", MINE), document("b", OTHER), document("c"), document("d", MINE, "other-namespace")],
        restores=[document(f"r-{name}", backupName=name) for name in "abcd"],
        requests=[
            document("a", MINE, backupName="a"),
            document("b", OTHER, backupName="a"),
            document("x", backupName="a"),
        ],
    )
    mine = select(seen)
    assert names(mine) == {"backups": ["a", "d"], "restores": ["r-a"], "requests": ["a"]}
    assert mine.others == 2


def test_a_restore_carries_no_label_of_its_own() -> None:
    seen = Documents(cluster_id=MINE, restores=[document("r", MINE, backupName="gone")])
    assert select(seen).restores == ()


def test_a_request_says_whose_restores_are_whose_backup_is_gone() -> None:
    seen = Documents(
        cluster_id=MINE,
        restores=[document("r", backupName="gone"), document("s", backupName="elsewhere")],
        requests=[document("gone", MINE, backupName="gone"), document("elsewhere", OTHER, backupName="elsewhere")],
    )
    assert names(select(seen))["restores"] == ["r"]
    assert names(select(Documents(cluster_id=MINE, restores=seen.restores), {(NS, "elsewhere"): (NS, "l")})) == {
        "backups": [],
        "restores": ["s"],
        "requests": [],
    }


def test_a_name_that_is_another_clusters_by_now_is_not_ours_however_it_was_known() -> None:
    seen = Documents(
        cluster_id=MINE,
        backups=[document("a", OTHER), document("b")],
        restores=[document("r-a", backupName="a"), document("r-b", backupName="b")],
        requests=[document("a", MINE, backupName="a"), document("b", MINE, backupName="b")],
    )
    mine = select(seen, {(NS, "a"): (NS, "dpa-1"), (NS, "b"): (NS, "dpa-1")})
    assert names(mine) == {"backups": [], "restores": [], "requests": ["a", "b"]}


def test_without_a_cluster_id_nothing_is_ours() -> None:
    seen = Documents(backups=[document("a"), document("b", "")], requests=[document("a", "")])
    assert select(seen) == Mine()


LABELS = st.sampled_from([MINE, OTHER, "", None])


@given(
    backups=st.dictionaries(st.sampled_from("abcd"), LABELS),
    restores=st.lists(st.sampled_from("abcde")),
    requests=st.lists(st.tuples(st.sampled_from("abcde"), LABELS)),
    known=st.sets(st.sampled_from("abcde")),
)
def test_never_selects_anothers(
    backups: dict[str, str | None], restores: list[str], requests: list[tuple[str, str | None]], known: set[str]
) -> None:
    seen = Documents(
        cluster_id=MINE,
        backups=[document(name, owner) for name, owner in backups.items()],
        restores=[document(f"r{number}", backupName=name) for number, name in enumerate(restores)],
        requests=[document(f"q{n}", owner, backupName=name) for n, (name, owner) in enumerate(requests)],
    )
    mine = select(seen, {(NS, name): (NS, "dpa-1") for name in known})

    assert {str(backup) for backup in mine.backups} == {name for name, owner in backups.items() if owner == MINE}
    assert all(backups.get(restore.backup[1], MINE) == MINE for restore in mine.restores)
    own = {name for name, owner in backups.items() if owner == MINE}
    assert {f"r{n}" for n, name in enumerate(restores) if name in own} <= {str(one) for one in mine.restores}
    assert [str(one) for one in mine.requests] == [
        f"q{n}" for n, (_name, owner) in enumerate(requests) if owner == MINE
    ]


# --- backup locations ---------------------------------------------------------------------------------------------

DPA = {
    "metadata": {"name": "dpa", "namespace": NS},
    "spec": {
        "backupLocations": [
            {"velero": {"credential": {"name": "cloud-credentials", "key": "cloud"}}},
            {"name": "archive", "velero": {"credential": {"name": "archive-key"}}},
            {"velero": {}},
        ]
    },
}


def location(name: str, owner: str | None = None, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": NS}
    if owner:
        meta["ownerReferences"] = [{"kind": "DataProtectionApplication", "name": owner}]
    return {"metadata": meta, "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("document", "application", "secret"),
    [
        (location("dpa-1", "dpa"), "dpa", "cloud-credentials"),
        (location("archive", "dpa"), "dpa", "archive-key"),
        (location("dpa-3", "dpa"), "dpa", "cloud-credentials"),
        (location("dpa-1"), "dpa", "cloud-credentials"),
        (location("dpa-1", "dpa", credential={"name": "own"}), "dpa", "own"),
        (location("by-hand"), None, None),
        (location("dpa-1", "removed"), "removed", "cloud-credentials"),
    ],
    ids=["numbered", "named", "OADP's default", "no owner", "its own Secret", "made by hand", "application is gone"],
)
def test_a_location_names_its_application_and_secret(document: dict[str, Any], application: str, secret: str) -> None:
    found = locations_of(Documents(locations=[document], applications=[DPA]))[0]
    assert (found.application, found.secret) == (application, secret)


@pytest.mark.parametrize(
    ("document", "usable", "lost", "problem"),
    [
        (location("l", status={"phase": "Available"}), True, False, ""),
        (location("l", status={"phase": "Available"}, accessMode="ReadOnly"), False, False, "location l is read-only"),
        (location("l"), False, False, "location l is not validated yet"),
        (
            location("l", status={"phase": "Unavailable", "lastValidationTime": "T", "message": "no\nroute"}),
            False,
            True,
            "location l is Unavailable (validated T): no route",
        ),
    ],
    ids=["available", "read-only", "fresh", "unavailable"],
)
def test_what_a_location_allows(document: dict[str, Any], usable: bool, lost: bool, problem: str) -> None:
    found = locations_of(Documents(locations=[document]))[0]
    assert (found.usable, found.lost, found.problem) == (usable, lost, f"backup {problem}" if problem else "")


def test_a_backup_without_a_location_is_in_the_default_one() -> None:
    backups = [
        document("a", MINE),
        document("b", MINE, storageLocation="archive"),
        document("c", MINE, storageLocation="x"),
    ]
    seen = Documents(cluster_id=MINE, backups=backups, locations=[location("archive"), location("dpa-1", default=True)])
    mine = select(seen)
    assert [mine.location_of(backup).key[1] for backup in mine.backups] == ["dpa-1", "archive", "x"]
    assert mine.location_of(mine.backups[2]).lost


def test_a_request_has_the_agents_name_and_label_unless_the_name_is_taken() -> None:
    backup = Item(BACKUP, (NS, "a"))
    meta = {"namespace": NS, "labels": {CLUSTER_ID: MINE}}
    assert request_for(backup, MINE, [])["metadata"] == {"name": "a", **meta}
    assert request_for(backup, MINE, [(NS, "a")])["metadata"] == {"generateName": "a-", **meta}
    assert request_for(backup, MINE, [])["spec"] == {"backupName": "a"}
