# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ibu_info: what a cluster says, and what to check where it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Unanswered
from ansible_collections.sno.image_upgrade.plugins.modules import ibu_info

IBU = "/apis/lca.openshift.io/v1/imagebasedupgrades/upgrade"


def test_the_status_and_nothing_changed(api: Any, run: Any) -> None:
    api.show("Prep", ["Idle", "Upgrade"], ("PrepCompleted", "True", "Completed", "Prep stage completed successfully"))

    found = run(ibu_info, host="https://api.site-0001.example.com:6443")

    assert found.keys() == {"changed", "status"}
    assert found["changed"] is False
    status = found["status"]
    assert (status["cluster"], status["state"]) == ("api.site-0001.example.com", "prepared")
    assert (status["version"], status["target_version"]) == ("4.16.8", "4.17.3")
    assert status["valid_next_stages"] == ["Idle", "Upgrade"]
    assert api.sent == []


def test_check_mode_reads_too(api: Any, run: Any) -> None:
    api.show("Idle", ["Prep"], ("Idle", "True", "Idle", "Idle"))

    assert run(ibu_info, host="https://h", _ansible_check_mode=True)["status"]["state"] == "idle"


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        (None, "it has no ImageBasedUpgrade", "install the Lifecycle Agent"),
        (Unanswered("session", "the credential is not accepted", 401), "not accepted", "renew the credential"),
        (Unanswered("rights", "forbidden", 403), "forbidden", "rights"),
        (Unanswered("tls", "no trusted TLS connection", None), "no trusted TLS", "ibu_ca_cert"),
        (Unanswered("connect", "connection refused by x", None), "connection refused", "power, network"),
    ],
    ids=["404", "401", "403", "tls", "connect"],
)
def test_a_failure_names_the_cluster_the_cause_and_the_remedy(
    api: Any, run: Any, error: Exception | None, words: str, remedy: str
) -> None:
    if error:
        api.objects[IBU] = error

    found = run(ibu_info, host="https://h", contact_timeout=0)

    assert found["failed"] is True
    assert found["msg"].startswith("api.site-0001.example.com: ")
    assert words in found["msg"] and f"Next: {found['next_step']}" in found["msg"]
    assert remedy in found["next_step"]
