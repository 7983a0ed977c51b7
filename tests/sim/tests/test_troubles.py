# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each trouble ends where its line in the table says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from virtual import Site

from fleetsim import ibu
from fleetsim.auth import User
from fleetsim.cluster import OPERATOR
from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE
from fleetsim.resources import IBU
from fleetsim.troubles import PREP_FAILURES, TROUBLES, Troubles, describe


def site(**troubles: Any) -> Site:
    return Site(troubles=troubles)


@pytest.mark.parametrize("name", PREP_FAILURES)
async def test_prep_failures(name: str) -> None:
    params = {"message": "what the cluster says"} if name == "prep_failed" else {}
    async with site(**{name: params}) as s:
        await s.prep()
        known = PREP_FAILURES[name]
        if name == "seed_version":
            params = {"current": s.cluster.machine.root.version}
        assert s.condition("PrepCompleted") == ("False", "Failed", "Prep failed")
        assert s.condition("PrepInProgress") == ("False", "Failed", known.message.format(**{**known.params, **params}))
        assert s.next == ["Idle"]
        await s.idle()
        assert s.cluster.machine.boots == 1


@pytest.mark.parametrize("at", ["validate", "stateroot", "precache"])
async def test_prep_failed_strikes_where_it_is_told_to(at: str) -> None:
    async with site(prep_failed={"message": "x", "at": at}) as s:
        await s.prep()
        phases = [p["phase"] for p in s.status["history"][0].get("phases", ())]
        assert phases == {"validate": [], "stateroot": ["Stateroot"], "precache": ["Stateroot", "Precache"]}[at]


@pytest.mark.parametrize("at", ["health", "stateroot", "precache"])
async def test_prep_hangs(at: str) -> None:
    async with site(prep_hangs={"at": at}) as s:
        s.patch("Prep", **s.goal())
        await asyncio.sleep(100_000)
        assert ibu.is_true(s.status, "PrepInProgress")
        await s.cluster.heal("prep_hangs")
        await s.until(lambda: ibu.is_true(s.status, "PrepCompleted"))


async def test_a_hanging_prep_can_be_aborted() -> None:
    async with site(prep_hangs={}) as s:
        s.patch("Prep", **s.goal())
        await asyncio.sleep(5000)
        await s.idle()


@pytest.mark.parametrize(
    ("name", "stage"), [("prep_slow", "prep"), ("upgrade_slow", "upgrade"), ("rollback_slow", "rollback")]
)
async def test_slow(name: str, stage: str) -> None:
    took = []
    for factor in (1, 5):
        async with site(**{name: {"factor": factor}}) as s:
            for step in ("prep", "upgrade", "rollback"):
                begun = s.seconds
                await getattr(s, step)()
                if step == stage:
                    took.append(s.seconds - begun)
                    break
    assert took[1] > took[0] * 3


async def test_validation_warning() -> None:
    async with site(validation_warning={"message": "Widget[a] - CRD not deployed on cluster"}) as s:
        await s.prep()
        assert s.cr
        assert s.cr["metadata"]["annotations"][ibu.VALIDATION_WARNING] == "Widget[a] - CRD not deployed on cluster"
        assert s.condition("PrepCompleted") == (
            "True",
            "Completed",
            "Prep stage completed with extramanifests validation warning. Please check the annotation "
            "'extra-manifest.lca.openshift.io/validation-warning' for details.",
        )
        await s.idle()
        assert ibu.VALIDATION_WARNING not in s.cr["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("csr", "certificateSigningRequest (csr) csr-7xk2p not yet approved"),
        ("clusteroperator", "one or more ClusterOperators not yet ready: authentication"),
        ("mcp", "one or more MachineConfigPools not yet ready: master"),
        ("node", "node is not yet ready: site-0001"),
        ("dpa", "dataProtectionApplication not reconciled"),
        ("bsl", "backupStorageLocation dpa-1 not available"),
        ("csv", "one or more ClusterServiceVersions not yet ready: oadp-operator.v1.4.1"),
    ],
)
async def test_health_blocked(check: str, text: str) -> None:
    async with site(health_blocked={"check": check}) as s:
        s.patch("Prep", **s.goal())
        await asyncio.sleep(3000)
        told = s.messages("PrepInProgress")[-1]
        assert told.endswith(f"one or more health checks failed: {text}")
        await s.cluster.heal("health_blocked")
        await s.until(lambda: ibu.is_true(s.status, "PrepCompleted"))


async def test_health_blocked_during_the_run() -> None:
    async with Site() as s:
        await s.prep()
        await s.cluster.inject("health_blocked", {"check": "csr"})
        s.patch("Upgrade")
        await asyncio.sleep(1000)
        assert s.messages("UpgradeInProgress")[-1].startswith(
            "Waiting for system to stabilize before Upgrade (pre-pivot) stage can continue: "
        )


async def test_blocked_by_ipconfig_before_upgrade() -> None:
    async with site() as s:
        await s.prep()
        await s.cluster.inject("blocked_by_ipconfig", {"seconds": 100})
        s.patch("Upgrade")
        await s.until(lambda: s.condition("UpgradeInProgress") == ("False", "Blocked", "IPC is not idle"))
        assert s.next == ["Idle", "Upgrade"]
        await s.until(lambda: ibu.is_true(s.status, "UpgradeCompleted"))


@pytest.mark.parametrize(
    "message", ["Failed backup CRs: a,b", "failed to reboot. This should never happen! Please check the system"]
)
async def test_prepivot_failed(message: str) -> None:
    async with site(prepivot_failed={"message": message}) as s:
        await s.prep()
        await s.upgrade()
        assert s.condition("UpgradeCompleted") == ("False", "Failed", "Upgrade failed")
        assert s.condition("UpgradeInProgress") == ("False", "Failed", message)
        assert s.next == ["Idle"]
        assert s.cluster.machine.boots == 1
        assert bool(s.get("backups.velero.io", "b", OADP_NAMESPACE)) == ("backup" in message)
        await s.idle()


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("postpivot_failure", {"err": "x"}, "Rollback due to postpivot failure: x"),
        ("service_unit_failure", {}, "Rollback due to service-unit failure: component postpivot"),
        ("init_monitor_timeout", {}, "Rollback due to LCA Init Monitor timeout, after 30m0s"),
        (
            "missing_dpa",
            {"name": "d"},
            "Rollback due to missing DataProtectionApplication: DataProtectionApplication d is not found",
        ),
        (
            "policy_manifest",
            {"err": "x"},
            "Rollback due to failure applying policy manifests: failed to apply manifest: x",
        ),
        (
            "config_manifest",
            {"err": "x"},
            "Rollback due to failure applying config manifests: failed to apply manifest: x",
        ),
        ("restore_failed", {"names": ["a", "b"]}, "Rollback due to restore failure: Failed restore CRs: a,b"),
        ("uncontrolled_rollback", {}, "Uncontrolled rollback"),
    ],
)
async def test_automatic_rollbacks(name: str, params: dict[str, Any], message: str) -> None:
    async with site(**{name: params}) as s:
        await s.prep()
        uid = (s.cr or {})["metadata"]["uid"]
        await s.upgrade()
        assert s.condition("UpgradeInProgress") == ("False", "Failed", message)
        assert s.condition("RollbackCompleted") is None
        await s.until(lambda: s.next == ["Idle"])
        assert s.cluster.machine.booted == "rhcos"
        assert s.cr and s.cr["metadata"]["uid"] != uid
        version = s.get("clusterversions.config.openshift.io", "version")
        assert version and version["status"]["desired"]["version"] == "4.16.8"
        await s.idle()
        # healed, the next attempt succeeds
        await s.cluster.heal(name)
        await s.prep()
        await s.upgrade()
        assert ibu.is_true(s.status, "UpgradeCompleted")


@pytest.mark.parametrize("name", ["postpivot_failure", "service_unit_failure"])
async def test_post_reboot_rollback_switched_off(name: str) -> None:
    off = {ibu.AUTO_ROLLBACK + "post-reboot-config": "Disabled"}
    async with Site(troubles={name: {}}, annotations=off) as s:
        await s.prep()
        await s.upgrade()
        told = (s.condition("UpgradeInProgress") or ("", "", ""))[2]
        assert told == "Rollback due to LCA Init Monitor timeout, after 30m0s"


async def test_upgrade_failed_no_auto_rollback() -> None:
    async with site(upgrade_failed_no_auto_rollback={"message": "x"}) as s:
        await s.prep()
        await s.upgrade()
        assert s.condition("UpgradeInProgress") == ("False", "Failed", "x")
        await asyncio.sleep(10_000)
        assert s.next == ["Rollback"]


@pytest.mark.parametrize("at", ["pre", "reboot", "post"])
async def test_upgrade_hangs(at: str) -> None:
    async with site(upgrade_hangs={"at": at}) as s:
        await s.prep()
        s.patch("Upgrade")
        await asyncio.sleep(50_000)
        assert s.up == (at != "reboot")
        assert s.next == {"pre": ["Idle"], "reboot": None, "post": ["Rollback"]}[at]
        await s.cluster.heal("upgrade_hangs")
        await s.until(lambda: ibu.is_true(s.status, "UpgradeCompleted"))


async def test_after_upgrade() -> None:
    async with site(
        unhealthy_after_upgrade={"operator": "dns"},
        pv_unbound_after_upgrade={"name": "pv-x"},
        version_wrong_after_upgrade={"version": "4.17.0"},
        restore_failed_object={"name": "r", "phase": "Failed"},
    ) as s:
        await s.prep()
        await s.upgrade()
        assert ibu.is_true(s.status, "UpgradeCompleted")
        operator = s.get("clusteroperators.config.openshift.io", "dns")
        volume, version = s.get("persistentvolumes", "pv-x"), s.get("clusterversions.config.openshift.io", "version")
        restore = s.get("restores.velero.io", "r", OADP_NAMESPACE)
        assert operator and volume and version and restore
        assert {"Degraded": "True"}.items() <= {
            c["type"]: c["status"] for c in operator["status"]["conditions"]
        }.items()
        assert volume["status"]["phase"] == "Released"
        assert version["status"]["desired"]["version"] == "4.17.0"
        assert restore["status"]["phase"] == "Failed"


@pytest.mark.parametrize(
    ("name", "done", "reason"),
    [("abort_failed", "prep", "AbortFailed"), ("finalize_failed", "upgrade", "FinalizeFailed")],
)
@pytest.mark.parametrize("part", ["stateroot", "backups", "requests", "pv", "job", "workspace"])
async def test_cleanup_fails(name: str, done: str, reason: str, part: str) -> None:
    async with site(**{name: {"part": part}}) as s:
        await s.prep()
        if done == "upgrade":
            await s.upgrade()
        s.patch("Idle")
        await s.until(lambda: (s.condition("Idle") or ("", ""))[1] == reason)
        assert s.next is None
        s.annotate(ibu.MANUAL_CLEANUP, "")
        await s.until(lambda: ibu.is_true(s.status, "Idle"))


async def test_rollback_failed() -> None:
    async with site(rollback_failed={"message": "x"}) as s:
        await s.prep()
        await s.upgrade()
        await s.rollback()
        assert s.condition("RollbackInProgress") == ("False", "Failed", "x")
        assert s.next is None


async def test_lca_not_ready() -> None:
    async with site(lca_not_ready={}) as s:
        s.patch("Prep", **s.goal())
        await asyncio.sleep(1000)
        assert s.condition("PrepInProgress") is None
        await s.cluster.heal("lca_not_ready")
        await s.until(lambda: ibu.is_true(s.status, "PrepCompleted"))


async def test_lca_missing() -> None:
    async with site(lca_missing={}) as s:
        assert IBU in s.cluster.endpoint.absent
        assert s.get("deployments.apps", "lifecycle-agent-controller-manager", LCA_NAMESPACE) is None
        await s.cluster.heal("lca_missing")
        await s.until(lambda: s.next == ["Prep"])


@pytest.mark.parametrize("name", ["no_crd", "no_cr"])
async def test_nothing_from_the_start(name: str) -> None:
    async with site(**{name: {}}) as s:
        await asyncio.sleep(1000)
        assert s.cr is None
        await s.cluster.heal(name)
        await s.until(lambda: s.next == ["Prep"])


@pytest.mark.parametrize("name", ["no_crd", "no_cr"])
@pytest.mark.parametrize("seconds", [900, None])
async def test_nothing_after_the_pivot(name: str, seconds: int | None) -> None:
    async with site(**{name: {"when": "pivot", "seconds": seconds}}) as s:
        await s.prep()
        s.patch("Upgrade")
        await s.until(lambda: not s.up)
        await s.until(lambda: s.up)
        await asyncio.sleep(800)
        assert s.cr is None
        assert (IBU in s.cluster.endpoint.absent) == (name == "no_crd")
        if seconds is None:
            await s.cluster.heal(name)
        await s.until(lambda: ibu.is_true(s.status, "UpgradeCompleted"))


async def test_no_status_for() -> None:
    async with site(no_status_for={"seconds": 500}) as s:
        await s.prep()
        s.patch("Upgrade")
        await s.until(lambda: not s.up)
        await s.until(lambda: s.cr)
        await asyncio.sleep(490)
        assert s.cr and "status" not in s.cr
        await s.until(lambda: ibu.is_true(s.status, "UpgradeCompleted"))


async def test_stale_cr_for() -> None:
    async with site(stale_cr_for={"seconds": 700}) as s:
        await s.prep()
        uid = (s.cr or {})["metadata"]["uid"]
        await s.upgrade()
        s.patch("Rollback")
        await s.until(lambda: not s.up)
        await s.until(lambda: s.up)
        await asyncio.sleep(690)
        assert s.cr and s.cr["metadata"]["uid"] == uid
        assert s.next == ["Idle"]
        await s.until(lambda: ibu.is_true(s.status, "RollbackCompleted"))


async def test_inputs_missing() -> None:
    async with site(configmap_missing={"name": "oadp-cm"}, secret_missing={}) as s:
        assert s.get("configmaps", "oadp-cm", OADP_NAMESPACE) is None
        assert s.get("configmaps", "site-extra", LCA_NAMESPACE)
        assert s.get("secrets", "seed-pull", LCA_NAMESPACE) is None
        await s.prep()
        assert (s.condition("PrepInProgress") or ("", "", ""))[2] == (
            "failed to validate IBU spec: failed to validate oadp configMap: OADP configmap not found, error: "
            'configmaps "oadp-cm" not found. Please create the configmap.'
        )
        await s.cluster.heal("configmap_missing")
        await s.idle()
        await s.cluster.heal("secret_missing")
        await s.prep()
        assert ibu.is_true(s.status, "PrepCompleted")


@pytest.mark.parametrize(("cause", "labels"), [("backup", None), ("restore", {}), (None, {"velero.io/restore-name"})])
async def test_volumes_of_lvm_storage(cause: str | None, labels: set[str] | None) -> None:
    async with site(lvms_volumes={"cause": cause}) as s:
        assert s.get("logicalvolumes.topolvm.io", "pv-app")
        await s.prep()
        await s.upgrade()
        await s.until(lambda: ibu.is_true(s.status, "UpgradeCompleted"))
        # Backed up without it, the volume's object is gone; restored without its status, it is a new and empty one.
        volume = s.get("logicalvolumes.topolvm.io", "pv-app")
        assert (volume is None) == (labels is None)
        assert volume is None or set(volume["metadata"].get("labels") or {}) == set(labels or ())


async def test_no_permission() -> None:
    async with site(no_permission={"verb": "patch", "resource": "imagebasedupgrades"}) as s:
        rbac, user = s.cluster.endpoint.rbac, User(OPERATOR)
        assert not rbac.allows(user, "patch", "lca.openshift.io", "imagebasedupgrades", "", "upgrade")
        assert rbac.allows(user, "get", "lca.openshift.io", "imagebasedupgrades", "", "upgrade")
        await s.cluster.heal("no_permission")
        assert rbac.allows(user, "patch", "lca.openshift.io", "imagebasedupgrades", "", "upgrade")


def test_table_is_documented() -> None:
    text = describe()
    for name, trouble in TROUBLES.items():
        assert f"\n{name} " in f"\n{text}"
        assert trouble.doc.endswith(".") or trouble in PREP_FAILURES.values()


@pytest.mark.parametrize(("name", "params"), [("no_such", {}), ("prep_slow", {"speed": 1})])
def test_unknown_troubles_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        Troubles({name: params})


def test_every_trouble_is_tested() -> None:
    """A new line of the table needs a test, here or beside."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in TROUBLES if name not in PREP_FAILURES and not re.search(rf"\b{name}\b", text)] == []
