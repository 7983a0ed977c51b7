# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group upgrades for the tests of the hub."""

from __future__ import annotations

from typing import Any

from contract.helpers import SEED, causes
from kubeapi import Reply

Document = dict[str, Any]

API_VERSION = "lcm.openshift.io/v1alpha1"
GROUPS = f"/apis/{API_VERSION}/namespaces/default/imagebasedgroupupgrades"
SELECTORS = [{"matchLabels": {"region": "north"}}]

# P(rep) U(pgrade) F(inalizeUpgrade) R(ollback) E (FinalizeRollback) A(bort) O (AbortOnFailure)
LETTERS = {
    "P": "Prep",
    "U": "Upgrade",
    "F": "FinalizeUpgrade",
    "R": "Rollback",
    "E": "FinalizeRollback",
    "A": "Abort",
    "O": "AbortOnFailure",
}


def step(letters: str, most: int = 5, **strategy: Any) -> Document:
    strategy = {"maxConcurrency": most, "timeout": 60, **strategy}
    return {"actions": [LETTERS[letter] for letter in letters], "rolloutStrategy": strategy}


def plan(letters: str) -> list[Document]:
    """`PU F` is [Prep,Upgrade] [FinalizeUpgrade]."""
    return [step(actions) for actions in letters.split()]


def group(name: str, steps: list[Document] | str = "P", labels: dict[str, str] | None = None, **spec: Any) -> Document:
    wanted = {"ibuSpec": {"seedImageRef": SEED}, "plan": plan(steps) if isinstance(steps, str) else steps, **spec}
    meta: Document = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": API_VERSION, "kind": "ImageBasedGroupUpgrade", "metadata": meta, "spec": wanted}


def broken(reply: Reply) -> list[tuple[str, str]]:
    """Field and message of each broken rule. Kubernetes before 1.33 puts the value's type in front of the message."""
    found = []
    for reason, field, message in causes(reply):
        assert reason == "FieldValueInvalid", (reason, field, message)
        for front in ("Invalid value: ", '"array": ', '"object": '):
            message = message.removeprefix(front)
        found.append((field, message))
    return found
