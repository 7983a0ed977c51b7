# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract tests do over and over: an upgrade in a given state, and a look at refusals."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from kubeapi import Api, Reply

Document = dict[str, Any]

API_VERSION = "lca.openshift.io/v1"
IBUS = f"/apis/{API_VERSION}/imagebasedupgrades"
IBU = f"{IBUS}/upgrade"
MAPS = "/api/v1/namespaces/default/configmaps"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SEED: Document = {
    "version": "4.17.3",
    "image": "registry.example.com/seed:4.17.3",
    "pullSecretRef": {"name": "seed-pull"},
}


def ibu(stage: str | None = "Idle", **spec: Any) -> Document:
    """An ImageBasedUpgrade ready to be created."""
    wanted = spec if stage is None else {"stage": stage, **spec}
    return {"apiVersion": API_VERSION, "kind": "ImageBasedUpgrade", "metadata": {"name": "upgrade"}, "spec": wanted}


def condition(kind: str, status: bool, reason: str, message: str = "") -> Document:
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def status(next_stages: Sequence[str], *conditions: Document) -> Document:
    """A status as the Lifecycle Agent writes it: an empty list of stages is left out."""
    return {"conditions": list(conditions), **({"validNextStages": list(next_stages)} if next_stages else {})}


IDLE = condition("Idle", True, "Idle", "Idle")
BUSY = condition("Idle", False, "InProgress", "In progress")


def put_ibu(api: Api, document: Document, reported: Document | None = None) -> Document:
    """Replace the upgrade by this one and report a status for it."""
    api.delete(IBU)
    created = api.create(IBUS, document).ok()
    return api.merge(f"{IBU}/status", {"status": reported}).ok() if reported is not None else created


def config_maps(api: Api, labels: Sequence[dict[str, str]]) -> str:
    """ConfigMaps with these labels and one common label `run`, whose value is returned."""
    run = f"run-{uuid.uuid4().hex[:12]}"
    for index, own in enumerate(labels):
        meta = {"name": f"{run}-{index}", "labels": {"run": run, **own}}
        api.create(
            MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"index": str(index)}}
        ).ok()
    return run


def names(listed: Document) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


def refused(reply: Reply, code: int, reason: str) -> Document:
    """The Status object of a refusal, after a look at the parts that every refusal has."""
    document = reply.json
    assert (reply.status, document.get("reason")) == (code, reason), reply.text
    assert (document["kind"], document["apiVersion"], document["status"]) == ("Status", "v1", "Failure")
    assert document["code"] == code
    assert reply.headers["Content-Type"] == "application/json"
    return document


def causes(reply: Reply) -> list[tuple[str, str, str]]:
    """Reason, field and message of each cause of a 422."""
    document = refused(reply, 422, "Invalid")
    return [(cause["reason"], cause["field"], cause["message"]) for cause in document["details"]["causes"]]


def events(stream: Iterator[Document]) -> list[tuple[str, str]]:
    """Type and object name of each event until the server ends the watch."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in stream]


def parametrize_cases(names: str, cases: dict[str, tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize with the keys as ids."""
    return pytest.mark.parametrize(names.split(", "), list(cases.values()), ids=list(cases))
