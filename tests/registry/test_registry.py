# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry is asked, what it answers, and what people are told where it does not."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref, _registry, _seed_facts
from ansible_collections.sno.image_upgrade.plugins.module_utils._registry import Reach, Registry, RegistryError
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from kubeapi.certs import Authority, Pair

from . import servers
from .servers import Asked, RegistryServer, Reply, Server

LABELS = {
    _seed_facts.FORMAT_LABEL: "4",
    _seed_facts.INFO_LABEL: json.dumps({"seed_cluster_ocp_version": "4.18.9", "has_proxy": True}),
}


def secret(address: str, user: str = servers.USER, password: str = servers.PASSWORD) -> _image_ref.PullSecret:
    entry = {"username": user, "password": password}
    return _image_ref.read_pull_secret(json.dumps({"auths": {address: entry}}))


@pytest.fixture(name="pauses")
def fixture_pauses() -> list[float]:
    return []


@pytest.fixture(name="ask")
def fixture_ask(authority: Authority, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """A client that trusts the private CA and waits for nothing."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def ask(**reach: Any) -> Registry:
        return Registry(Reach(**{"ca_file": str(authority.certificate), **reach}), pauses.append)

    return ask


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class TestRealRegistry:
    def test_labels_digest_and_size_with_a_password_and_a_private_ca(
        self, guarded: RegistryServer, ask: Callable[..., Registry]
    ) -> None:
        digest = guarded.push("seeds/sno", "v1", LABELS, b"x" * 1000)
        client = ask(secret=secret(guarded.address))
        facts = client.labels(f"{guarded.address}/seeds/sno:v1")
        assert (facts.digest, facts.manifest_digest, facts.size) == (digest, digest, 1000)
        assert (facts.architecture, facts.created[:4]) == ("amd64", "2026")
        assert _seed_facts.from_labels(facts.labels).version == "4.18.9"
        assert client.labels(f"{guarded.address}/seeds/sno@{digest}").labels == facts.labels

    def test_the_tag_is_latest_where_none_is_given(self, guarded: RegistryServer, ask: Callable[..., Registry]) -> None:
        guarded.push("seeds/untagged", "latest", LABELS)
        assert ask(secret=secret(guarded.address)).labels(f"{guarded.address}/seeds/untagged").labels == LABELS

    @pytest.mark.parametrize(
        ("outer", "inner"), [(servers.INDEX, servers.MANIFEST), (servers.DOCKER_LIST, servers.DOCKER_MANIFEST)]
    )
    def test_of_a_list_the_image_of_the_architecture_counts(
        self, guarded: RegistryServer, ask: Callable[..., Registry], outer: str, inner: str
    ) -> None:
        images = {
            name: guarded.push_image("seeds/multi", {"for": name}, name.encode(), name, media_type=inner)
            for name in ("arm64", "amd64")
        }
        digest = guarded.push_index("seeds/multi", "v1", images, outer, inner)
        image = f"{guarded.address}/seeds/multi:v1"
        found = ask(secret=secret(guarded.address)).labels(image)
        assert (found.labels, found.digest) == ({"for": "amd64"}, digest)
        assert found.manifest_digest != digest
        arm = ask(secret=secret(guarded.address), architecture="arm64").labels(image)
        assert (arm.labels, arm.architecture) == ({"for": "arm64"}, "arm64")
        with pytest.raises(RegistryError, match=r"no image for linux/s390x in it, but linux/amd64, linux/arm64"):
            ask(secret=secret(guarded.address), architecture="s390x").labels(image)

    def test_an_image_in_the_older_format(self, guarded: RegistryServer, ask: Callable[..., Registry]) -> None:
        guarded.push("seeds/docker", "v1", LABELS, media_type=servers.DOCKER_MANIFEST)
        assert ask(secret=secret(guarded.address)).labels(f"{guarded.address}/seeds/docker:v1").labels == LABELS

    def test_a_token_of_the_token_service(
        self, by_token: RegistryServer, tokens: Server, ask: Callable[..., Registry]
    ) -> None:
        by_token.push("seeds/sno", "v1", LABELS)
        tokens.asked.clear()
        client = ask(secret=secret(f"{by_token.address}/seeds"))
        assert client.labels(f"{by_token.address}/seeds/sno:v1").labels == LABELS
        # One token does for manifest and configuration.
        (asked,) = tokens.asked
        assert asked.query == {"service": servers.SERVICE, "scope": "repository:seeds/sno:pull"}

    @pytest.mark.parametrize("login", ["none", "wrong"])
    @pytest.mark.parametrize("kind", ["guarded", "by_token"])
    def test_without_a_valid_login_the_pull_secret_is_the_remedy(
        self, request: pytest.FixtureRequest, ask: Callable[..., Registry], kind: str, login: str
    ) -> None:
        place: RegistryServer = request.getfixturevalue(kind)
        place.push("seeds/sno", "v1", LABELS)
        wrong = secret(place.address, password="not-that-one")
        client = ask(secret=wrong) if login == "wrong" else ask()
        with pytest.raises(RegistryError) as caught:
            client.labels(f"{place.address}/seeds/sno:v1")
        said = str(caught.value)
        assert f"image {place.address}/seeds/sno:v1" in said and "ibu_seed_registry_auth_file" in said
        assert ("not accepted" in said) is (login == "wrong")
        assert "not-that-one" not in said

    @pytest.mark.parametrize("image", ["seeds/sno:v0", "seeds/none:v1", f"seeds/sno@{servers.digest_of(b'none')}"])
    def test_an_image_that_is_not_there(
        self, guarded: RegistryServer, ask: Callable[..., Registry], image: str
    ) -> None:
        guarded.push("seeds/sno", "v1", LABELS)
        with pytest.raises(RegistryError, match=r"no such image \(404 .*UNKNOWN") as caught:
            ask(secret=secret(guarded.address)).labels(f"{guarded.address}/{image}")
        assert caught.value.missing and image in str(caught.value)

    def test_without_the_private_ca_the_ca_is_the_remedy(
        self, guarded: RegistryServer, ask: Callable[..., Registry]
    ) -> None:
        with pytest.raises(RegistryError, match=r"no trusted TLS connection.*ibu_seed_registry_ca"):
            ask(ca_file=None).labels(f"{guarded.address}/seeds/sno:v1")

    def test_http_is_for_who_asks_for_it(
        self, plain: RegistryServer, ask: Callable[..., Registry], guarded: RegistryServer
    ) -> None:
        plain.push("seeds/sno", "v1", LABELS)
        with pytest.raises(RegistryError, match=r"HTTP without TLS.*ibu_seed_registry_insecure"):
            ask().labels(f"{plain.address}/seeds/sno:v1")
        assert ask(insecure=True).labels(f"{plain.address}/seeds/sno:v1").labels == LABELS
        # ... and so is a certificate that nobody vouches for.
        guarded.push("seeds/sno", "v1", LABELS)
        client = ask(insecure=True, ca_file=None, secret=secret(guarded.address))
        assert client.labels(f"{guarded.address}/seeds/sno:v1").labels == LABELS

    def test_a_mirror_is_asked_first_and_the_source_after_it(
        self, plain: RegistryServer, guarded: RegistryServer, ask: Callable[..., Registry]
    ) -> None:
        guarded.push("mirror/sno", "v1", LABELS)
        mirrors = {"quay.example.com/seeds": [f"{guarded.address}/nothing", f"{guarded.address}/mirror"]}
        found = ask(secret=secret(guarded.address), mirrors=mirrors).labels("quay.example.com/seeds/sno:v1")
        assert (found.labels, found.asked) == (LABELS, f"{guarded.address}/mirror/sno:v1")
        source = f"{guarded.address}/mirror"
        mirrors = {source: [f"127.0.0.1:{closed_port()}/x"]}
        found = ask(secret=secret(guarded.address), mirrors=mirrors).labels(f"{source}/sno:v1")
        assert found.asked == f"{source}/sno:v1"

    def test_where_no_mirror_has_it_all_of_them_are_named(
        self, guarded: RegistryServer, ask: Callable[..., Registry]
    ) -> None:
        mirrors = {f"{guarded.address}/a": [f"{guarded.address}/b"]}
        with pytest.raises(RegistryError) as caught:
            ask(secret=secret(guarded.address), mirrors=mirrors).labels(f"{guarded.address}/a/none:v1")
        assert f"{guarded.address}/b/none:v1" in str(caught.value) and f"{guarded.address}/a/none:v1" in str(
            caught.value
        )

    def test_through_a_proxy_that_wants_a_login(self, guarded: RegistryServer, ask: Callable[..., Registry]) -> None:
        guarded.push("seeds/sno", "v1", LABELS)
        image, pull = f"{guarded.address}/seeds/sno:v1", secret(guarded.address)
        with servers.proxy(servers.BASIC) as between:
            login = f"{servers.USER}:{servers.PASSWORD}"
            client = ask(secret=pull, proxy=f"http://{login}@{between.address}")
            assert client.labels(image).labels == LABELS
            assert {one.path for one in between.asked} == {guarded.address}
            # The registry's login is no business of the proxy.
            assert not any("authorization" in one.headers for one in between.asked)
            with pytest.raises(RegistryError, match=r"proxy.*ibu_seed_registry_proxy") as caught:
                ask(secret=pull, proxy=f"http://who:wrong-one@{between.address}").labels(image)
            assert "wrong-one" not in str(caught.value)

    def test_the_proxy_of_the_environment_and_what_goes_past_it(
        self, guarded: RegistryServer, ask: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guarded.push("seeds/sno", "v1", LABELS)
        image, pull = f"{guarded.address}/seeds/sno:v1", secret(guarded.address)
        with servers.proxy() as between:
            monkeypatch.setenv("https_proxy", f"http://{between.address}")
            assert ask(secret=pull).labels(image).labels == LABELS
            assert between.asked
            between.asked.clear()
            assert ask(secret=pull, proxy="").labels(image).labels == LABELS
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert ask(secret=pull).labels(image).labels == LABELS
            assert not between.asked


# --- servers that misbehave -------------------------------------------------------------------------------------------

CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": LABELS}}).encode()
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "config": {"digest": servers.digest_of(CONFIG)},
    "layers": [{"size": 5}],
}


def good(asked: Asked) -> Reply:
    return Reply(body=CONFIG) if "/blobs/" in asked.path else Reply(body=MANIFEST)


class TestTrouble:
    def test_a_redirect_to_another_host_gets_no_login(self, serving: Pair, ask: Callable[..., Registry]) -> None:
        with servers.server(good, serving) as storage:

            def answer(asked: Asked) -> Reply:
                if asked.headers.get("authorization") != servers.BASIC:
                    return Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
                if "/blobs/" in asked.path:
                    return Reply(
                        307, headers={"Location": f"https://localhost:{storage.address[10:]}{asked.path}?sig=1"}
                    )
                return good(asked)

            with servers.server(answer, serving) as place:
                found = ask(secret=secret(place.address)).labels(f"{place.address}/seeds/sno:v1")
            assert found.labels == LABELS
            (asked,) = storage.asked
            assert "authorization" not in asked.headers and asked.query == {"sig": "1"}

    def test_a_redirect_on_the_same_host_keeps_it(self, serving: Pair, ask: Callable[..., Registry]) -> None:
        def answer(asked: Asked) -> Reply:
            if asked.headers.get("authorization") != servers.BASIC:
                return Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            moved = asked.path.startswith("/moved")
            return good(asked) if moved else Reply(302, headers={"Location": "/moved" + asked.path})

        with servers.server(answer, serving) as place:
            assert ask(secret=secret(place.address)).labels(f"{place.address}/seeds/sno:v1").labels == LABELS

    @pytest.mark.parametrize(
        ("reply", "says"),
        [
            (Reply(307, headers={"Location": "http://127.0.0.1:1/x?sig=hidden"}), "has no TLS"),
            (Reply(307, headers={"Location": "/v2/a"}), "more than 5 redirects"),
            (Reply(body=b"<html>"), "not JSON"),
            (Reply(body=[]), "not JSON"),
            (Reply(body={"manifests": ["x"]}), "unknown layout"),
            (Reply(body={"schemaVersion": 1}), "schema version 1"),
            (Reply(body=b"x" * (_registry._MOST_BYTES + 1)), "more than"),
            (Reply(418), "HTTP 418"),
            (Reply(403, {"errors": [{"code": "DENIED", "message": "go away"}]}), "DENIED: go away"),
            (Reply(401, headers={"WWW-Authenticate": "Negotiate"}), "not known"),
            (Reply(401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/t"'}), "has no TLS"),
            (Reply(401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}), "has no TLS"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_cannot_be_used_is_said(
        self, serving: Pair, ask: Callable[..., Registry], reply: Reply, says: str
    ) -> None:
        with servers.server(lambda asked: reply, serving) as place, pytest.raises(RegistryError) as caught:
            ask(secret=secret(place.address)).labels(f"{place.address}/seeds/sno:v1")
        assert says in str(caught.value) and f"registry {place.address}" in str(caught.value)
        assert "hidden" not in str(caught.value) and servers.PASSWORD not in str(caught.value)

    def test_an_answer_that_is_not_what_its_digest_says(self, serving: Pair, ask: Callable[..., Registry]) -> None:
        def answer(asked: Asked) -> Reply:
            return Reply(body={}) if "/blobs/" in asked.path else good(asked)

        with servers.server(answer, serving) as place, pytest.raises(RegistryError, match="what came is not sha256:"):
            ask().labels(f"{place.address}/seeds/sno:v1")

    def test_trouble_that_passes_is_waited_for(
        self, serving: Pair, ask: Callable[..., Registry], pauses: list[float]
    ) -> None:
        replies = [Reply(503), Reply(429, headers={"Retry-After": "7"})]

        def answer(asked: Asked) -> Reply:
            return replies.pop(0) if replies else good(asked)

        with servers.server(answer, serving) as place:
            assert ask().labels(f"{place.address}/seeds/sno:v1").labels == LABELS
        assert pauses == [1.0, 7.0]

    @pytest.mark.parametrize(("status", "says"), [(429, "too many requests"), (503, "in trouble")])
    def test_trouble_that_stays_is_said_after_three_tries(
        self, serving: Pair, ask: Callable[..., Registry], status: int, says: str
    ) -> None:
        with servers.server(lambda asked: Reply(status), serving) as place:
            with pytest.raises(RegistryError, match=says):
                ask().labels(f"{place.address}/seeds/sno:v1")
            assert len(place.asked) == 3

    def test_nobody_listens(self, ask: Callable[..., Registry], pauses: list[float]) -> None:
        with pytest.raises(RegistryError, match="no connection to 127.0.0.1"):
            ask().labels(f"127.0.0.1:{closed_port()}/seeds/sno:v1")
        assert len(pauses) == 2

    def test_a_server_that_is_silent(self, ask: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch) -> None:
        # The handshake is the first to wait.
        monkeypatch.setattr(_registry, "_CONNECT_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RegistryError, match="no answer"):
            ask().labels(f"127.0.0.1:{silent.getsockname()[1]}/seeds/sno:v1")

    def test_a_name_that_nobody_knows(self, ask: Callable[..., Registry]) -> None:
        with pytest.raises(RegistryError, match="the name of registry.invalid is not known"):
            ask().labels("registry.invalid/seeds/sno:v1")

    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://", "ftp://x"])
    def test_a_proxy_of_another_kind_is_refused(self, ask: Callable[..., Registry], proxy: str) -> None:
        with pytest.raises(InvalidOption, match="http://HOST:PORT"):
            ask(proxy=proxy).labels("quay.example.com/a:v1")

    @pytest.mark.parametrize("text", [None, "no certificate"])
    def test_a_ca_file_that_is_none(self, tmp_path: Path, text: str | None) -> None:
        file = tmp_path / "ca.pem"
        if text:
            file.write_text(text)
        with pytest.raises(InvalidOption, match="ibu_seed_registry_ca"):
            Registry(Reach(ca_file=str(file)))
