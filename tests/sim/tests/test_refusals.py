# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each refusal of Prep comes of objects, in exactly these words, and the list of them is complete."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from virtual import Site

import fleetsim
from fleetsim import ibu
from fleetsim.ports import LCA_NAMESPACE
from fleetsim.refusals import NOT_REFUSALS, PREP, backup, labelled, manifest, restore
from fleetsim.troubles import PREP_FAILURES

CODE = Path(fleetsim.__file__).parent
COUNT = "lca.openshift.io/target-ocp-version-manifest-count"


@pytest.mark.parametrize("name", PREP)
async def test_prep_refuses_in_these_words(name: str) -> None:
    refusal = PREP[name]
    async with Site(**refusal.cluster) as s:
        await s.prep()
        assert s.condition("PrepInProgress") == ("False", "Failed", refusal.message)
        assert s.condition("PrepCompleted") == ("False", "Failed", "Prep failed")
        troubles = refusal.cluster.get("troubles", {})
        # A trouble of the same name would only prove that the simulator repeats what it is told.
        assert refusal.word not in troubles or refusal.unforeseen


def test_every_message_of_prep_has_its_refusal() -> None:
    assert {refusal.word for refusal in PREP.values()} == set(PREP_FAILURES) - set(NOT_REFUSALS)


def named(call: ast.Call) -> Iterator[str]:
    """The names that a call of refused() may get."""
    for node in ast.walk(call.args[0]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_code_knows_no_other_message() -> None:
    """Also a message that no test brings about would be seen here, and one that nobody says any more."""
    found: set[str] = {"oadp_configmap_missing", "extra_manifest_configmap_missing"}
    others = 0
    for path in (*CODE.glob("prep_*.py"), CODE / "stage_prep.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        for call in calls:
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            found |= set(named(call)) if name == "refused" else set()
            others += name == "StageFailed"
    found -= {"_invalid", "_dry_run_failed"}
    found |= {f"{kind}_{end}" for kind in ("backup", "restore") for end in ("invalid", "dry_run_failed")}
    forced = {refusal.word for refusal in PREP.values() if refusal.unforeseen}
    assert found | forced == set(PREP_FAILURES) - set(NOT_REFUSALS)
    # Without a name: refused() itself, several errors in one, troubles, and a job that somebody deletes.
    assert others == 6


def test_what_cannot_be_foreseen_says_why() -> None:
    assert all(bool(refusal.check) != bool(refusal.unforeseen) for refusal in PREP.values())


async def extra(text: str, **more: Any) -> tuple[str, str]:
    """What Prep of a cluster with these extra manifests says, and the warning that it leaves."""
    meta = {"name": "site-extra", "namespace": LCA_NAMESPACE}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"extra.yaml": text}}
    async with Site(**{**more, "objects": [config, *more.get("objects", [])]}) as s:
        await s.prep()
        found = s.condition("PrepInProgress")
        assert s.get("namespaces", "late") is None
        assert found and s.cr
        return found[2], s.cr["metadata"].get("annotations", {}).get(ibu.VALIDATION_WARNING, "")


async def test_warnings_are_written_down_and_prep_completes() -> None:
    text = (
        manifest("Widget", "w", "example.com/v1")
        + manifest(more="").replace("namespace: app", "namespace: nowhere")
        + "---\napiVersion: velero.io/v1\nkind: Backup\nmetadata: {name: b, namespace: app}\nspec: none\n"
    )
    said, warning = await extra(text)
    assert said == "Prep completed"
    first, second, third = warning.split("; ")[:3]
    assert first.startswith("Backup[b] - dryrun failed in namespace app: Backup.velero.io")
    assert "namespace nowhere not found on cluster or not added in configmap in right order" in warning
    assert "Widget[w] - CRD not deployed on cluster" in (second, third, warning.split("; ")[-1])


async def test_errors_win_over_warnings() -> None:
    said, warning = await extra(manifest("Widget", "w", "example.com/v1") + "---\nkind: ConfigMap\napiVersion: v1\n")
    assert said.endswith("ConfigMap resource name is empty")
    assert warning == ""


NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: late%s}\n"
INSIDE = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: late%s}\n"


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (NAMESPACE % ", annotations: {lca.openshift.io/apply-wave: '1'}" + INSIDE % "", True),
        (NAMESPACE % "" + INSIDE % "", False),  # by name: inside comes before late
        (NAMESPACE % "" + INSIDE % ", annotations: {lca.openshift.io/apply-wave: '1'}", False),
    ],
)
async def test_a_namespace_has_to_come_before_what_is_in_it(text: str, fine: bool) -> None:
    said, warning = await extra(text)
    assert said == "Prep completed"
    assert (warning == "") is fine, warning


@pytest.mark.parametrize(
    ("policy", "count"),
    [
        (labelled(), 1),
        (labelled("mustonlyhave", "4.17.3"), 1),
        (labelled("mustnothave"), 0),
        (labelled(version="4.16"), 0),
        (labelled(name="root-policy"), 0),
        ({**labelled(), "spec": {**labelled()["spec"], "disabled": True}}, 0),
        ({**labelled(), "spec": {**labelled()["spec"], "remediationAction": "enforce"}}, 0),
    ],
)
async def test_how_the_manifests_of_policies_are_counted(policy: dict[str, Any], count: int) -> None:
    async with Site(objects=[policy], annotations={COUNT: str(count)}) as s:
        await s.prep()
        assert s.condition("PrepInProgress") == ("False", "Completed", "Prep completed")


async def test_valid_content_is_not_refused() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "app"}}
    label = "lca.openshift.io/apply-label: v1/secrets/app/pull"
    meta = {"name": "oadp-cm", "namespace": "openshift-adp"}
    text = backup(annotation=label) + restore() + backup("b", spec="{}") + restore("r", of="b")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a.yaml": text}}
    async with Site(objects=[secret, config]) as s:
        await s.prep()
        assert s.condition("PrepInProgress") == ("False", "Completed", "Prep completed")


async def test_backups_of_another_cluster_are_deleted() -> None:
    async with Site(troubles={"foreign_backups": {"names": ["acm-klusterlet"]}}) as s:
        await s.prep()
        assert s.condition("PrepInProgress") == ("False", "Completed", "Prep completed")
        assert s.get("backups.velero.io", "acm-klusterlet", "openshift-adp") is None


async def test_an_older_seed_without_the_second_label_is_taken_as_it_is() -> None:
    async with Site(seed_image={"cluster_info": False, "container_storage_mountpoint_target": "/dev/other"}) as s:
        await s.prep()
        assert s.condition("PrepInProgress") == ("False", "Completed", "Prep completed")
