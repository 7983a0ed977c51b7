# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions: requests, and the meaning of an API server's refusals."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Reply, error_of, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    NotThere,
    Refused,
    Unanswered,
)

from .servers import Server, running

SECRET = "c2VjcmV0LXZhbHVl"


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

    assert isinstance(found, error) and (error is not Unanswered or not isinstance(found, NotThere))
    assert "the API's own words" in str(found)
    assert getattr(found, "kind", None) == kind


def test_plain_text_and_silence_have_words_too() -> None:
    assert str(error_of(404, {}, b"404 page not found\n", "GET /x")) == "404 page not found"
    assert str(error_of(503, {}, b"", "GET /x")) == "HTTP 503 for GET /x"
    busy = error_of(429, {"Retry-After": "7"}, b"", "GET /x")
    assert isinstance(busy, Unanswered) and busy.retry_after == 7


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def test_a_get_brings_the_document_and_the_servers_clock(server: Server) -> None:
    server.answer = (200, {}, [b'{"a": ', b"1}"])

    reply = server.open(api_key="t0k").get("/x", limit=5)

    assert reply.document == {"a": 1}
    assert reply.now is not None and reply.now.tzinfo is not None
    method, path, headers, _body = server.requests[0]
    assert (method, path, headers["Authorization"]) == ("GET", "/x?limit=5", "Bearer t0k")


def test_an_address_may_have_a_path_of_its_own(server: Server) -> None:
    session = open_session({"host": f"{server.url}/k8s/clusters/c-1/"})

    session.get("/x", limit=5)
    session.close()
    session.get("/y")

    assert [path for _method, path, _headers, _body in server.requests] == [
        "/k8s/clusters/c-1/x?limit=5",
        "/k8s/clusters/c-1/y",
    ]


def test_a_proxy_for_plain_http_is_told_the_whole_address(server: Server) -> None:
    login = {"proxy_basic_auth": "somebody:secret"}
    session = open_session({"host": "http://api.invalid:6443", "proxy": server.url, "proxy_headers": login})

    session.get("/x", limit=5)

    _method, path, headers, _body = server.requests[0]
    assert (path, headers["Host"]) == ("http://api.invalid:6443/x?limit=5", "api.invalid:6443")
    assert headers["Proxy-Authorization"].startswith("Basic ")


def test_a_proxy_for_https_is_asked_for_a_tunnel(server: Server) -> None:
    session = open_session({"host": "https://api.invalid:6443", "proxy": server.url})

    with pytest.raises(Unanswered):
        session.get("/x")

    assert [(method, path) for method, path, _headers, _body in server.requests] == [("CONNECT", "api.invalid:6443")]


def test_what_the_environment_excepts_goes_past_its_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    server.open().get("/x")

    assert len(server.requests) == 1


def test_nothing_is_sent_to_where_an_answer_points(server: Server) -> None:
    server.answer = (302, {"Location": f"{server.url}/elsewhere"}, [b"moved"])

    with pytest.raises(Unanswered, match="no object in JSON"):
        server.open(api_key=SECRET).get("/x")

    assert [path for _method, path, _headers, _body in server.requests] == ["/x"]


def test_a_patch_is_a_merge_patch(server: Server) -> None:
    server.open().merge_patch("/x", {"spec": {"stage": None}}, dryRun="All")

    method, path, headers, body = server.requests[0]
    assert (method, path, headers["Content-Type"]) == ("PATCH", "/x?dryRun=All", "application/merge-patch+json")
    assert json.loads(body) == {"spec": {"stage": None}}


def test_a_deletion_can_mean_one_object_alone(server: Server) -> None:
    server.open().delete("/x", "u-1")
    server.open().delete("/x")

    method, path, headers, body = server.requests[0]
    assert (method, path, headers["Content-Type"]) == ("DELETE", "/x", "application/json")
    assert json.loads(body)["preconditions"] == {"uid": "u-1"}
    assert not server.requests[1][3]


def test_who_would_rather_know_is_told_at_once(server: Server) -> None:
    session, asked = server.open(), list[object]()

    def repeat(ask: Callable[[], Reply]) -> Reply:
        asked.append(ask)
        return ask()

    session.repeat = repeat
    with session.at_once():
        session.get("/x")
    assert not asked
    session.get("/x")
    assert len(asked) == 1


def test_a_list_is_fetched_page_by_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    session = server.open()
    pages = {"": {"items": [1], "metadata": {"continue": "next"}}, "next": {"items": None, "metadata": {}}}
    asked: list[dict[str, Any]] = []

    def get(_path: str, **query: Any) -> Any:
        asked.append(query)
        return type("R", (), {"document": pages[query.get("continue", "")]})

    monkeypatch.setattr(session, "get", get)

    assert session.list("/x") == [1]
    assert [query.get("continue") for query in asked] == [None, "next"]


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'"ok"'], ids=["a login page", "nothing", "a list", "a word"])
def test_what_is_no_object_is_no_answer(server: Server, body: bytes) -> None:
    server.answer = (200, {}, [body] if body else [])

    with pytest.raises(Unanswered, match="no object in JSON") as caught:
        server.open().get("/x")

    assert caught.value.kind == "http"


def test_a_refusal_never_shows_the_credential(server: Server) -> None:
    server.answer = (401, {}, [b'{"message": "Unauthorized"}'])

    with pytest.raises(Unanswered) as caught:
        server.open(api_key=SECRET).get("/x")

    assert caught.value.status == 401
    assert SECRET not in str(caught.value) and "Unauthorized" in str(caught.value)


def test_a_watch_puts_split_lines_together(server: Server) -> None:
    server.answer = (
        200,
        {},
        [b'{"type": "ADDED", "ob', b'ject": {"n": 1}}\n\n{"type": "MODIFIED", "object": {"n": 2}}\n'],
    )

    events = list(server.open().watch("/x", resource_version="5", seconds=3))

    assert [event["object"]["n"] for event in events] == [1, 2]
    assert server.requests[0][1] == "/x?watch=true&resourceVersion=5&timeoutSeconds=3"


def test_a_watch_of_an_expired_version(server: Server) -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}
    server.answer = (200, {}, [json.dumps(gone).encode() + b"\n"])

    with pytest.raises(Unanswered, match="too old") as caught:
        list(server.open().watch("/x", resource_version="5", seconds=3))

    assert (caught.value.kind, caught.value.status) == ("expired", 410)


@pytest.mark.parametrize(
    "line", [b"<html>", b"[]", b"{}", b'{"type": "ADDED"}', b'{"type": "ADDED", "object": 5}', b"\xff"]
)
def test_a_watch_that_somebody_else_answers(server: Server, line: bytes) -> None:
    server.answer = (200, {}, [line + b"\n"])

    with pytest.raises(Unanswered) as caught:
        list(server.open().watch("/x", resource_version="5", seconds=3))

    assert caught.value.kind == "http" and server.url in str(caught.value)


def test_a_refused_watch(server: Server) -> None:
    server.answer = (403, {}, [b'{"message": "forbidden"}'])

    with pytest.raises(Unanswered, match="forbidden"):
        list(server.open().watch("/x", resource_version="5", seconds=3))


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        session = open_session({"host": f"http://127.0.0.1:{unused.getsockname()[1]}"})

        with pytest.raises(Unanswered, match="connection refused by") as caught:
            session.get("/x")

    assert caught.value.kind == "connect"


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["before the answer", "in the middle of it"]
)
def test_a_connection_that_breaks(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(Unanswered) as caught:
            open_session({"host": f"http://127.0.0.1:{listener.getsockname()[1]}"}).get("/x")

    assert caught.value.kind == "connect"


def test_a_server_without_tls(server: Server) -> None:
    session = open_session({"host": server.url.replace("http:", "https:"), "validate_certs": False})

    with pytest.raises(Unanswered) as caught:
        session.get("/x")

    assert caught.value.kind == "tls"
