# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the two causes it is, the lines to add, reclaim policies, and the way back."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms import Cause, Diagnosis, Seen, diagnose
from ansible_collections.sno.image_upgrade.plugins.module_utils._lvms_report import lines_of, row_of, row_of_silent
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Observed, State

MINE, NS = "11111111-aaaa", "openshift-adp"
PIVOT = datetime.datetime(2026, 11, 21, 1, 0, tzinfo=datetime.timezone.utc)
BEFORE, AFTER, LATER = "2026-10-01T00:00:00Z", "2026-11-21T01:10:00Z", "2026-11-21T02:00:00Z"
UNTIL = PIVOT + datetime.timedelta(days=20)
BOTH = ["persistentVolumes", "logicalvolumes.topolvm.io"]
STATUS = {"includedResources": ["logicalvolumes"]}
RESTORED = {"velero.io/restore-name": "small-app"}


def observed(state: State = State.UPGRADE_COMPLETED, **more: Any) -> Observed:
    given: dict[str, Any] = {
        "version": "4.17.3",
        "spec": {"seedImageRef": {"version": "4.17.3"}},
        "valid_next": ("Idle", "Rollback") if state is State.UPGRADE_COMPLETED else (),
        "rollback_until": UNTIL if state is State.UPGRADE_COMPLETED else None,
        "now": PIVOT + datetime.timedelta(hours=1),
    }
    return Observed(state, **{**given, **more})


def volume(name: str = "pv-app", policy: str = "Delete", phase: str = "Bound", **annotations: str) -> dict[str, Any]:
    notes = {"pv.kubernetes.io/provisioned-by": "topolvm.io", **annotations}
    spec = {"persistentVolumeReclaimPolicy": policy, "csi": {"driver": "topolvm.io", "volumeHandle": f"id-{name}"}}
    return {"metadata": {"name": name, "annotations": notes}, "spec": spec, "status": {"phase": phase}}


def claim(born: str = AFTER, labels: dict[str, str] | None = None, volume_name: str = "pv-app") -> dict[str, Any]:
    meta = {"name": "app-data", "namespace": "app", "creationTimestamp": born, "labels": labels or {}}
    return {"metadata": meta, "spec": {"volumeName": volume_name}}


def logical(born: str = AFTER, labels: dict[str, str] | None = None, handle: str = "id-pv-app") -> dict[str, Any]:
    meta = {"name": "pv-app", "creationTimestamp": born, "labels": labels or {}}
    return {"metadata": meta, "spec": {"name": "pv-app"}, "status": {"volumeID": handle}}


def backup(
    name: str = "small-app", owner: str = MINE, notes: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": NS,
        "labels": {"config.openshift.io/clusterID": owner},
        "annotations": notes or {},
    }
    return {"metadata": meta, "spec": spec}


def restore(name: str = "small-app", of: str = "small-app", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": NS},
        "spec": {"backupName": of, **spec},
        "status": {"completionTimestamp": AFTER},
    }


def event(name: str = "pv-app") -> dict[str, Any]:
    message = f'MountVolume.SetUp failed for volume "{name}" : rpc error: code = Unknown desc = VolumeID is not found'
    return {"message": message, "involvedObject": {"namespace": "app", "name": "app-0"}}


def good_backup(**more: Any) -> dict[str, Any]:
    return backup(includedNamespaces=["app"], includedClusterScopedResources=BOTH, **more)


GOOD_RESTORE = restore(restorePVs=True, restoreStatus=STATUS)


def look(**more: Any) -> Diagnosis:
    given: dict[str, Any] = {
        "upgrade": observed(),
        "made": PIVOT,
        "cluster_id": MINE,
        "volumes": [volume()],
        "claims": [claim(labels=RESTORED)],
        "logical_volumes": [logical(labels=RESTORED)],
        "backups": [good_backup()],
        "restores": [GOOD_RESTORE],
    }
    return diagnose(Seen(**{**given, **more}))


def corrected(found: Diagnosis) -> dict[str, Any]:
    (fault,) = found.faults
    document: dict[str, Any] = yaml.safe_load(fault.snippet)
    return document


def test_what_was_restored_well_is_said_to_be_well() -> None:
    found = look()
    assert (found.cause, found.missing, found.faults) == (Cause.NONE, (), ())


def test_a_backup_without_logical_volumes() -> None:
    found = look(
        events=[event(), {"message": "Back-off restarting failed container"}],
        logical_volumes=[],
        backups=[backup(includedNamespaces=["app"], includedClusterScopedResources=["persistentVolumes"])],
    )
    assert found.cause is Cause.BACKUP
    assert [one.sign for one in found.missing] == ["pod app/app-0 cannot mount it: VolumeID is not found"]
    assert found.faults[0].lacks == ("logicalvolumes.topolvm.io",)
    assert corrected(found)["spec"] == {"includedClusterScopedResources": BOTH}
    assert found.faults[0].snippet.splitlines()[-1] == "  - logicalvolumes.topolvm.io  # add"


def test_without_an_event_the_missing_logical_volume_shows_it() -> None:
    found = look(logical_volumes=[logical(handle="another")])
    assert [one.sign for one in found.missing] == ["no LogicalVolume has the volumeID of its PersistentVolume"]
    assert found.cause is Cause.UNKNOWN


def test_a_volume_that_did_not_come_back() -> None:
    annotated = claim(labels=RESTORED)
    annotated["metadata"]["annotations"] = {"volume.kubernetes.io/storage-provisioner": "topolvm.io"}
    assert look(volumes=[], claims=[annotated]).missing[0].sign == "its PersistentVolume was not restored"


@pytest.mark.parametrize(
    ("spec", "lacks"),
    [
        ({}, ("restorePVs", "restoreStatus")),
        ({"restorePVs": True}, ("restoreStatus",)),
        ({"restorePVs": False, "restoreStatus": STATUS}, ("restorePVs",)),
        ({"restorePVs": True, "restoreStatus": {"includedResources": ["pods"]}}, ("restoreStatus",)),
        ({"restorePVs": True, "restoreStatus": {"includedResources": ["*"]}}, ()),
        ({"restorePVs": True, "restoreStatus": {"includedResources": ["logicalvolumes.topolvm.io"]}}, ()),
        (
            {
                "restorePVs": True,
                "restoreStatus": {"includedResources": ["*"], "excludedResources": ["logicalvolumes"]},
            },
            ("restoreStatus",),
        ),
    ],
)
def test_what_a_restore_lacks(spec: dict[str, Any], lacks: tuple[str, ...]) -> None:
    found = look(restores=[restore(**spec)])
    assert tuple(name for fault in found.faults for name in fault.lacks) == lacks
    if lacks:
        assert found.cause is Cause.RESTORE
        assert set(corrected(found)["spec"]) == set(lacks)


def test_a_restore_without_volumes_leaves_younger_ones() -> None:
    found = look(restores=[restore()], logical_volumes=[logical()])
    assert found.missing[0].sign == "its LogicalVolume pv-app is younger than the upgrade (2026-11-21 01:10Z)"


def test_a_restored_logical_volume_without_its_status_is_a_young_one() -> None:
    found = look(restores=[restore(restorePVs=True)], logical_volumes=[logical(labels=RESTORED)])
    assert found.cause is Cause.RESTORE and len(found.missing) == 1


def test_an_old_logical_volume_has_its_contents() -> None:
    assert look(restores=[restore()], logical_volumes=[logical(BEFORE)]).missing == ()


def test_a_claim_that_was_made_after_the_upgrade_began_empty() -> None:
    assert look(claims=[claim(LATER)], logical_volumes=[logical(LATER)]).missing == ()
    assert len(look(claims=[claim(AFTER)], logical_volumes=[logical()]).missing) == 1


def test_both_causes_at_once() -> None:
    found = look(backups=[backup(includedNamespaces=["app"])], restores=[restore()])
    assert found.cause is Cause.BOTH
    assert [(fault.kind, fault.lacks) for fault in found.faults] == [
        ("Backup", ("logicalvolumes.topolvm.io",)),
        ("Restore", ("restorePVs", "restoreStatus")),
    ]


def test_another_clusters_backup_and_other_namespaces_are_nobodys_fault() -> None:
    others = [
        backup("theirs", "22222222-bbbb", includedNamespaces=["app"]),
        backup("acm-klusterlet", includedNamespaces=["open-cluster-management-agent"]),
        good_backup(),
    ]
    restores = [GOOD_RESTORE, restore("acm-klusterlet", "acm-klusterlet"), restore("theirs", "theirs")]
    assert look(backups=others, restores=restores).faults == ()


def test_logical_volumes_may_be_in_a_backup_of_their_own() -> None:
    split = [
        backup(includedNamespaces=["app"], includedClusterScopedResources=["persistentVolumes"]),
        backup("volumes", includedClusterScopedResources=["logicalvolumes"], includedNamespaces=["none"]),
    ]
    restores = [restore(restorePVs=True), restore("volumes", "volumes", restoreStatus=STATUS)]
    assert look(backups=split, restores=restores).faults == ()
    found = look(backups=split, restores=[restore(restorePVs=True), restore("volumes", "volumes")])
    assert [(fault.name, fault.lacks) for fault in found.faults] == [("volumes", ("restoreStatus",))]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"includedNamespaces": ["app"], "includedResources": ["*"], "includeClusterResources": True}, None),
        ({"includeClusterResources": True}, None),
        ({}, None),
        (
            {
                "includedNamespaces": ["app"],
                "includedResources": ["persistentvolumeclaims", "persistentvolumes"],
            },
            {
                "includedResources": ["persistentvolumeclaims", "persistentvolumes", "logicalvolumes.topolvm.io"],
                "includeClusterResources": True,
            },
        ),
        (
            {
                "includedNamespaces": ["app"],
                "includedClusterScopedResources": BOTH,
                "excludedClusterScopedResources": ["logicalvolumes", "nodes"],
            },
            {
                "includedClusterScopedResources": [*BOTH, "logicalvolumes.topolvm.io"],
                "excludedClusterScopedResources": ["nodes"],
            },
        ),
        (
            {"includedNamespaces": ["a*"], "includedClusterScopedResources": ["clusterroles"]},
            {"includedClusterScopedResources": ["clusterroles", *BOTH]},
        ),
        ({"includedNamespaces": ["app"], "excludedNamespaceScopedResources": ["persistentvolumeclaims"]}, None),
    ],
)
def test_what_a_backup_takes(spec: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    found = look(backups=[backup(**spec)])
    assert [corrected(found)["spec"] if found.faults else None] == [wanted]


def test_apply_label_limits_what_is_taken() -> None:
    found = look(
        backups=[backup(includedNamespaces=["app"], notes={"lca.openshift.io/apply-label": "v1/secrets/app/x"})]
    )
    assert "limits it to the objects named there" in found.faults[0].note


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ROLLBACK_COMPLETED])
def test_after_the_way_back_nothing_is_missing(state: State) -> None:
    found = look(upgrade=observed(state, version="4.16.8"), events=[event()], logical_volumes=[])
    assert found.missing == () and found.rollback.possible is None


@pytest.mark.parametrize(
    ("state", "more", "possible", "why"),
    [
        (State.UPGRADE_COMPLETED, {}, True, "not touched"),
        (State.UPGRADE_COMPLETED, {"now": UNTIL}, False, "its time is over"),
        (State.UPGRADE_FAILED_POST_PIVOT, {"valid_next": ("Rollback",)}, True, "not touched"),
        (State.UPGRADE_COMPLETED, {"valid_next": ()}, False, "does not allow it"),
        (State.ROLLBACK_RUNNING, {}, True, "under way"),
        (State.IDLE, {}, False, "was finalized"),
        (State.FINALIZE_FAILED, {}, False, "was finalized"),
        (State.ROLLBACK_FAILED, {}, False, "does not allow it"),
        (State.IDLE, {"version": "4.16.8"}, None, "old"),
    ],
)
def test_whether_a_rollback_helps(state: State, more: dict[str, Any], possible: bool | None, why: str) -> None:
    rollback = look(upgrade=observed(state, **more)).rollback
    assert rollback.possible is possible
    assert why in rollback.why or possible is None


MARK = {"lca.openshift.io/updated-reclaim-policy": "true"}


@pytest.mark.parametrize("state", [State.IDLE, State.ABORT_FAILED, State.FINALIZE_FAILED])
def test_policies_that_a_cleanup_left_are_set_back(state: State) -> None:
    volumes = [volume(policy="Retain", **MARK), volume("gone", "Retain", "Released", **MARK), volume("other")]
    policies = look(upgrade=observed(state), volumes=volumes).policies
    assert [one["metadata"]["name"] for one in policies.back] == ["pv-app"]
    assert policies.kept == {"gone": "it is not bound"}


@pytest.mark.parametrize(
    "state", [state for state in State if state not in ("idle", "abort failed", "finalize failed")]
)
def test_policies_are_left_alone_while_an_upgrade_needs_them(state: State) -> None:
    policies = look(upgrade=observed(state), volumes=[volume(policy="Retain", **MARK)]).policies
    assert policies.back == () and policies.in_use == ("pv-app",)


def test_the_volume_of_lost_contents_keeps_its_policy() -> None:
    found = look(upgrade=observed(State.IDLE), volumes=[volume(policy="Retain", **MARK)], events=[event()])
    assert found.policies.back == () and found.policies.kept == {"pv-app": "its contents are missing"}


def test_lines_are_grouped_by_cause() -> None:
    lost = row_of(observed(), look(events=[event()], logical_volumes=[], backups=[backup(includedNamespaces=["app"])]))
    risk = row_of(observed(), look(restores=[restore()], logical_volumes=[logical(BEFORE)]))
    well = row_of(observed(), look())
    rows = {"a": lost, "b": well, "c": lost, "d": risk, "e": row_of_silent("refused", "check the network")}
    lines = lines_of(rows)
    assert lines[0] == "LVMS  5 clusters   2 missing   1 at risk   1 no answer"
    heads = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert heads == [
        "MISSING    2 Backup small-app lacks logicalvolumes.topolvm.io",
        "AT RISK    1 Restore small-app lacks restorePVs, restoreStatus",
        "NO ANSWER  1 refused",
    ]
    assert lines[heads.index(heads[0]) + 3].split() == ["a", "c"]
    assert "a: → leave claims and volumes alone; ansible-playbook sno.image_upgrade.rollback" in "\n".join(lines)


def test_without_an_api_for_logical_volumes_nothing_is_guessed() -> None:
    assert look(logical_volumes=None).missing == ()
