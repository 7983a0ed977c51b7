# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which Backups and Restores are asked about, how, and what the answers say."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _velero_debug as vd
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

ITEM = vd.Item("backup", "a", "Failed")


def one(name: str, phase: str | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase} if phase else {}}


def test_without_names_those_that_failed() -> None:
    backups = [one("a", "Failed"), one("b", "Completed"), one("c"), one("d", "FailedValidation")]
    items, missing = vd.choose(backups, [one("a", "PartiallyFailed"), one("e", "Deleting")], [])
    assert ([str(item) for item in items], missing) == (["backup/a", "backup/d", "restore/a"], [])


def test_named_ones_of_one_kind_or_both() -> None:
    names = vd.parse_names("names", ["a", "restore/b", "backup/none"])
    items, missing = vd.choose([one("a"), one("b")], [one("a"), one("b")], names)
    assert [str(item) for item in items] == ["backup/a", "restore/a", "restore/b"]
    assert missing == ["backup/none"]


@pytest.mark.parametrize("name", ["", "A", "backup/", "schedule/a", "a b", "a;rm", "$(x)", "-a", "../a"])
def test_names_that_no_object_can_have(name: str) -> None:
    with pytest.raises(InvalidOption, match="give backup/NAME"):
        vd.parse_names("names", [name])


def test_what_is_asked_of_the_cli() -> None:
    asked = {q.what: q.command for q in vd.questions(ITEM, contents=True)}
    assert asked[vd.What.DESCRIPTION] == "./velero describe backup -n openshift-adp a --details"
    assert asked[vd.What.LOG] == "./velero backup logs -n openshift-adp a"
    assert asked[vd.What.RESULTS] is None
    shell = shlex.split(str(asked[vd.What.CONTENTS]))
    assert shell[:2] == ["sh", "-c"] and "backup download -n openshift-adp a -o /tmp/ibu-a.tar.gz" in shell[2]


def test_what_is_asked_of_the_object_store() -> None:
    assert [q.target for q in vd.questions(ITEM, contents=True)] == [
        None,
        "BackupLog",
        "BackupResults",
        "BackupContents",
    ]
    restore = vd.questions(vd.Item("restore", "r", "Failed"), contents=True)
    assert [q.target for q in restore] == [None, "RestoreLog", "RestoreResults"]


def test_the_pod_that_has_the_cli() -> None:
    agent = {"metadata": {"name": "node-agent"}, "spec": {"containers": [{"name": "node-agent"}]}}
    velero = {"metadata": {"name": "velero-1"}, "spec": {"containers": [{"name": "velero"}]}}
    assert vd.running_pod([agent, {**velero, "status": {"phase": "Pending"}}]) is None
    assert vd.running_pod([agent, {**velero, "status": {"phase": "Running"}}]) == "velero-1"


def found(read: Any, *arguments: Any) -> tuple[list[str], list[str]]:
    findings = vd.Findings.none()
    read(ITEM, *arguments, findings)
    return list(findings.errors), list(findings.warnings)


def test_what_the_object_itself_says() -> None:
    status = {"failureReason": "no bucket", "validationErrors": ["no location"], "errors": 2, "warnings": 0}
    assert found(vd.read_object, {"status": status}) == (
        ["backup/a: no bucket", "backup/a: validation: no location", "backup/a: 2 errors in its status"],
        [],
    )


def test_what_a_log_says() -> None:
    log = """time="t" level=info msg="fine"
time="t" level=error msg="cannot \\"put\\"" error="rpc: denied" backup=a
time="t2" level=error msg="cannot \\"put\\"" error="rpc: denied" backup=a
time="t" level=warning msg="no class"
level=fatal gone
"""
    assert found(vd.read_log, log) == (
        ['backup/a: cannot "put": rpc: denied', "backup/a: level=fatal gone"],
        ["backup/a: no class"],
    )


def test_what_results_say() -> None:
    results = {
        "errors": {"velero": ["v"], "cluster": None, "namespaces": {"app": ["x", "y"]}},
        "warnings": {"namespaces": {}, "cluster": ["w"]},
    }
    expected = (["backup/a: velero: v", "backup/a: app: x", "backup/a: app: y"], ["backup/a: cluster: w"])
    assert found(vd.read_results, results) == expected
    assert found(vd.read_results, ["no mapping"]) == ([], [])


def test_what_a_description_says() -> None:
    text = """Name:  a
Phase:  PartiallyFailed (run `velero backup logs a` for more)

Warnings:
  Velero:     <none>
  Cluster:    <none>
  Namespaces:
    app:  could not restore
Errors:
  Velero:  rpc error
Namespaces:
  Included:  app
Validation errors:  <none>
"""
    assert found(vd.read_description, text) == (
        ["backup/a: Velero: rpc error"],
        ["backup/a: app: could not restore"],
    )


def test_the_summary_has_errors_and_warnings_on_top() -> None:
    findings = vd.Findings.none()
    findings.add(ITEM, "warning", "w")
    for number in range(205):
        findings.add(ITEM, "error", f"e{number}")
    location = {"metadata": {"name": "dpa-1"}, "status": {"phase": "Unavailable", "message": "refused"}}
    lines = vd.summary("site", [ITEM], findings, [location], ["x: not had"], ["f"]).splitlines()
    assert lines[:4] == ["site: backup/a Failed", "", "errors (205):", "  backup/a: e0"]
    assert "  ... and 5 more, in the logs" in lines
    assert lines.index("warnings (1):") < lines.index("backup locations:") < lines.index("could not be had:")
    assert "  dpa-1  Unavailable: refused" in lines and lines[-1] == "  f"
