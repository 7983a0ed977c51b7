# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules are found by their full names, packed and started by Ansible, and answer in words.

The one place that uses pytest-ansible; see tests/README.md.
"""

from __future__ import annotations

import sys
import typing as t

import pytest


@pytest.fixture(name="run_module")
def fixture_run_module(ansible_adhoc: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """Run a module on localhost, with the Python of the tests, and return its result."""
    host = ansible_adhoc(inventory="localhost,", connection="local", host_pattern="localhost").localhost
    host.options["inventory_manager"].get_host("localhost").set_variable("ansible_python_interpreter", sys.executable)

    def run(module: str, **options: t.Any) -> dict[str, t.Any]:
        return dict(getattr(host, module)(**options).contacted["localhost"])

    return run


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("sno.image_upgrade.ibu_info", {}),
        ("sno.image_upgrade.ibu_stage", {"stage": "Idle"}),
        ("sno.image_upgrade.oadp_cleanup", {}),
        ("sno.image_upgrade.oadp_lint", {"content": "kind: Backup"}),
    ],
    ids=["ibu_info", "ibu_stage", "oadp_cleanup", "oadp_lint"],
)
def test_unreadable_kubeconfig_is_reported_and_no_secret_shown(
    run_module: t.Callable[..., dict[str, t.Any]], module: str, options: dict[str, t.Any]
) -> None:
    result = run_module(module, kubeconfig="/nowhere/kubeconfig", api_key="not-a-token", **options)

    assert result["failed"], result
    assert "/nowhere/kubeconfig" in result["msg"], result
    assert "No such file" in result["msg"], result
    assert "not-a-token" not in str(result["invocation"])
