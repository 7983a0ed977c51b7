# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig's path is shown, its content never: not in a message, and not in the echo of the options."""

from __future__ import annotations

import base64
import json
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

if t.TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "token-that-nobody-may-see"
KEY = "key-that-nobody-may-see"
SECRETS = (TOKEN, KEY, base64.b64encode(KEY.encode()).decode())

MODULES = pytest.mark.parametrize(
    ("module", "options"),
    [
        ("sno.image_upgrade.ibu_info", {"contact_timeout": 0}),
        ("sno.image_upgrade.ibu_stage", {"contact_timeout": 0, "stage": "Idle"}),
    ],
    ids=["ibu_info", "ibu_stage"],
)


def kubeconfig(**cluster: t.Any) -> dict[str, t.Any]:
    """A kubeconfig full of secrets; its server is on a port where nobody listens."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster-of-test", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "user-of-test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "cluster-of-test", "user": "user-of-test"}}],
        "current-context": "test",
    }


def with_broken_key() -> dict[str, t.Any]:
    """A kubeconfig whose client key cannot be loaded."""
    document = kubeconfig()
    encoded = base64.b64encode(KEY.encode()).decode()
    document["users"][0]["user"] = {"client-certificate-data": encoded, "client-key-data": encoded}
    return document


@pytest.fixture(name="failure")
def fixture_failure(ansible_adhoc: t.Any) -> Callable[..., dict[str, t.Any]]:
    """Run a module on localhost that has to fail, and return its whole result."""
    host = ansible_adhoc(inventory="localhost,", connection="local", host_pattern="localhost").localhost
    host.options["inventory_manager"].get_host("localhost").set_variable("ansible_python_interpreter", sys.executable)

    def run(module: str, **options: t.Any) -> dict[str, t.Any]:
        result = dict(getattr(host, module)(**options).contacted["localhost"])
        assert result["failed"], result
        assert not [secret for secret in SECRETS if secret in str(result)]
        return result

    return run


@MODULES
def test_the_path_is_shown(
    failure: Callable[..., dict[str, t.Any]], module: str, options: dict[str, t.Any], tmp_path: Path
) -> None:
    path = tmp_path / "site.kubeconfig"

    result = failure(module, kubeconfig=str(path), api_key=TOKEN, **options)

    assert f"kubeconfig: '{path}' is not valid; the file cannot be read: No such file" in result["msg"]
    assert result["invocation"]["module_args"]["kubeconfig"] == str(path)


@MODULES
@pytest.mark.parametrize("document", [kubeconfig(), with_broken_key()], ids=["nobody there", "broken key"])
def test_the_content_of_a_file_is_not_shown(
    failure: Callable[..., dict[str, t.Any]],
    module: str,
    options: dict[str, t.Any],
    document: dict[str, t.Any],
    tmp_path: Path,
) -> None:
    path = tmp_path / "site.kubeconfig"
    path.write_text(yaml.safe_dump(document))

    failure(module, kubeconfig=str(path), **options)


@MODULES
@pytest.mark.parametrize("document", [kubeconfig(), with_broken_key()], ids=["nobody there", "broken key"])
def test_an_inline_kubeconfig_stays_masked(
    failure: Callable[..., dict[str, t.Any]], module: str, options: dict[str, t.Any], document: dict[str, t.Any]
) -> None:
    result = failure(module, kubeconfig=document, **options)

    assert "user-of-test" not in str(result["invocation"])
    assert "127.0.0.1:1" not in str(result["invocation"])


@MODULES
@pytest.mark.parametrize(
    "encode",
    [
        yaml.safe_dump,
        json.dumps,
        lambda document: base64.b64encode(yaml.safe_dump(document).encode()).decode(),
        lambda document: document["users"][0]["user"]["token"],
    ],
    ids=["YAML", "JSON", "base64", "token"],
)
def test_the_text_of_a_kubeconfig_in_place_of_its_path_is_not_shown(
    failure: Callable[..., dict[str, t.Any]],
    module: str,
    options: dict[str, t.Any],
    encode: Callable[[dict[str, t.Any]], str],
) -> None:
    text = encode(kubeconfig())

    result = failure(module, kubeconfig=text, **options)

    assert text not in str(result)
    assert "user-of-test" not in str(result)
