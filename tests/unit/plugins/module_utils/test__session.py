# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions: unusable connection options, and the meaning of an API server's refusals."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import error_of, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)

SECRET = "c2VjcmV0LXZhbHVl"


def kubeconfig(**user: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "cannot be read: No such file"),
        ("", "it is empty"),
        ("just words", "it is empty or no kubeconfig"),
        ("a: [", "the file is not YAML"),
        ("apiVersion: v1\nkind: Config\nclusters: []\n", "it is empty or no kubeconfig"),
        (yaml.safe_dump({**kubeconfig(), "current-context": "other"}), "cannot be used"),
        (yaml.safe_dump({**kubeconfig(), "contexts": None}), "cannot be used"),
    ],
    ids=["missing", "empty", "words", "broken", "no clusters", "unknown context", "no contexts"],
)
def test_a_kubeconfig_that_is_no_use(tmp_path: Path, content: str | None, fragment: str) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)

    with pytest.raises(InvalidOption) as caught:
        open_session({"kubeconfig": str(path)}, "ibu_")

    assert "ibu_kubeconfig" in str(caught.value)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)


def test_without_any_connection_the_options_are_named() -> None:
    with pytest.raises(InvalidOption, match=r"ibu_kubeconfig.*ibu_host with ibu_client_cert"):
        open_session({}, "ibu_")


@pytest.mark.parametrize("option", ["username", "password", "impersonate_user", "impersonate_groups"])
def test_a_credential_that_would_be_ignored_is_refused(option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        open_session({"host": "https://127.0.0.1:1", option: SECRET}, "ibu_")

    assert f"ibu_{option}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_broken_keys_are_not_quoted() -> None:
    inline = kubeconfig(**{"client-certificate-data": SECRET, "client-key-data": SECRET})

    with pytest.raises(InvalidOption) as caught:
        open_session({"kubeconfig": inline}, "ibu_")

    assert SECRET not in str(caught.value)
    assert "secret-value" not in str(caught.value)


def test_inline_keys_leave_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(InvalidOption):
        open_session({"kubeconfig": kubeconfig(**{"client-certificate-data": SECRET, "client-key-data": SECRET})})

    assert os.listdir(tmp_path) == []


def test_what_kind_of_credential_it_is() -> None:
    assert open_session({"kubeconfig": kubeconfig(token="t")}).credential == "token"
    assert open_session({"host": "http://127.0.0.1:1", "api_key": "t"}).credential == "token"
    assert open_session({"host": "http://127.0.0.1:1"}).credential == "none"


def test_relative_paths_start_at_the_kubeconfig(tmp_path: Path) -> None:
    document = kubeconfig(**{"client-certificate": "tls.crt", "client-key": "tls.key"})
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("not a certificate")

    with pytest.raises(InvalidOption, match="cannot be loaded"):
        open_session({"kubeconfig": str(path)})


@pytest.mark.parametrize("text", ["false", "no", False])
def test_booleans_may_be_text(text: Any) -> None:
    session = open_session({"host": "https://127.0.0.1:1", "validate_certs": text})

    assert session._configuration.verify_ssl is False


def test_a_boolean_that_is_none() -> None:
    with pytest.raises(InvalidOption, match="ibu_validate_certs"):
        open_session({"host": "https://127.0.0.1:1", "validate_certs": "perhaps"}, "ibu_")


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (401, "session", Unanswered),
        (403, "rights", Unanswered),
        (404, "missing", NotThere),
        (409, "conflict", Unanswered),
        (410, "expired", Unanswered),
        (429, "http", Unanswered),
        (500, "http", Unanswered),
        (503, "http", Unanswered),
        (400, None, Refused),
        (415, None, Refused),
        (422, None, Refused),
    ],
)
def test_what_a_status_means(status: int, kind: str | None, error: type[Exception]) -> None:
    body = json.dumps({"kind": "Status", "message": "the API's own words"}).encode()

    found = error_of(status, {"Retry-After": "7"}, body, "GET /x")

    assert type(found) is error
    assert "the API's own words" in str(found)
    assert getattr(found, "kind", None) == kind


def test_plain_text_and_silence_have_words_too() -> None:
    assert str(error_of(404, {}, b"404 page not found\n", "GET /x")) == "404 page not found"
    assert str(error_of(503, {}, b"", "GET /x")) == "HTTP 503 for GET /x"
    busy = error_of(429, {"Retry-After": "7"}, b"", "GET /x")
    assert isinstance(busy, Unanswered) and busy.retry_after == 7
