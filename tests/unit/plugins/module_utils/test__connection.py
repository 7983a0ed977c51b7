# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection options that cannot be used, and what becomes of keys and certificates."""

from __future__ import annotations

import base64
import datetime
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

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


@pytest.fixture(scope="module")
def key_pair() -> tuple[str, str]:
    """A certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now)
    return (
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


# --- kubeconfigs that people really have ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"clusters": ["c"]},
        {"clusters": {"c": {"server": "https://127.0.0.1:1"}}},
        {"clusters": [{"name": "c", "cluster": "https://127.0.0.1:1"}]},
        {"users": ["u"]},
        {"users": [{"name": "u", "user": {"client-certificate-data": 5, "client-key-data": 5}}]},
        {"users": [{"name": "u", "user": {"client-certificate-data": "%%%", "client-key-data": "é"}}]},
        {"users": [{"name": "u", "user": {"client-certificate": 5}}]},
        {"contexts": [{"name": "x"}]},
        {"contexts": ["x"]},
        {"current-context": None},
    ],
    ids=lambda broken: str(broken)[:60],
)
def test_a_kubeconfig_of_the_wrong_shape_is_the_users_to_mend(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="ibu_kubeconfig"):
        open_session({"kubeconfig": {**kubeconfig(token="t"), **broken}}, "ibu_")


NOBODY = [{"name": "x", "context": {"cluster": "c", "user": "nobody"}}]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"contexts": NOBODY}, "context 'x' names the user 'nobody', who is not among its users"),
        ({"contexts": NOBODY, "users": None}, "context 'x' names the user 'nobody'"),
        ({"users": [{"name": "u", "user": {"tokenFile": "/nowhere/token"}}]}, "/nowhere/token"),
    ],
    ids=["no such user", "no users at all", "no such token file"],
)
def test_a_kubeconfig_that_would_leave_its_bearer_nameless(broken: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match="ibu_kubeconfig") as caught:
        open_session({"kubeconfig": {**kubeconfig(token="t"), **broken}}, "ibu_")

    assert words in str(caught.value)


def test_a_context_may_do_without_a_user() -> None:
    nameless = {**kubeconfig(), "contexts": [{"name": "x", "context": {"cluster": "c"}}]}

    assert open_session({"kubeconfig": nameless}).credential == "none"


@pytest.mark.parametrize("server", ["", "127.0.0.1:6443", "localhost", "ftp://localhost"])
def test_an_address_without_a_scheme_is_not_spoken_to_in_the_clear(server: str) -> None:
    document = {**kubeconfig(token=SECRET), "clusters": [{"name": "c", "cluster": {"server": server}}]}

    with pytest.raises(InvalidOption, match="ibu_kubeconfig.*https://HOST:PORT") as caught:
        open_session({"kubeconfig": document}, "ibu_")

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:6443", 6443])
def test_a_host_without_a_scheme(host: Any) -> None:
    with pytest.raises(InvalidOption, match="ibu_host.*https://HOST:PORT"):
        open_session({"host": host, "api_key": SECRET}, "ibu_")


@pytest.mark.parametrize("cluster", [{}, {"server": None}, {"server": 6443}], ids=str)
def test_a_kubeconfig_without_an_address(cluster: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="ibu_kubeconfig"):
        open_session({"kubeconfig": {**kubeconfig(), "clusters": [{"name": "c", "cluster": cluster}]}}, "ibu_")


def test_proxy_headers_that_are_none() -> None:
    with pytest.raises(InvalidOption, match="ibu_proxy_headers") as caught:
        open_session({"host": "https://127.0.0.1:1", "proxy_headers": SECRET}, "ibu_")

    assert SECRET not in str(caught.value)


def test_a_kubeconfig_that_may_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"ibu_kubeconfig: .*cannot be read: Is a directory"):
        open_session({"kubeconfig": str(tmp_path)}, "ibu_")


def test_a_kubeconfig_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(b"\xff\xfe\x00" + SECRET.encode())

    with pytest.raises(InvalidOption, match="not YAML") as caught:
        open_session({"kubeconfig": str(path)})

    assert SECRET not in str(caught.value)


def test_a_context_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidOption, match="elsewhere"):
        open_session({"kubeconfig": kubeconfig(token="t"), "context": "elsewhere"})


def test_usable_inline_keys_leave_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_pair: tuple[str, str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate, key = (base64.b64encode(text.encode()).decode() for text in key_pair)

    session = open_session(
        {"kubeconfig": kubeconfig(**{"client-certificate-data": certificate, "client-key-data": key})}
    )

    assert session.credential == "certificate"
    assert os.listdir(tmp_path) == []


def test_relative_keys_are_found_beside_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_pair: tuple[str, str]
) -> None:
    (tmp_path / "auth").mkdir()
    for name, text in zip(("tls.crt", "tls.key"), key_pair, strict=True):
        (tmp_path / "auth" / name).write_text(text)
    document = kubeconfig(**{"client-certificate": "tls.crt", "client-key": "tls.key"})
    (tmp_path / "auth" / "kubeconfig").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)

    assert open_session({"kubeconfig": "auth/kubeconfig"}).credential == "certificate"
