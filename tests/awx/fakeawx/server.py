# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API over HTTP, on a free port of the loopback interface."""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .kinds import KINDS, REQUIRED, ROOT_NAMES, UNIFIED
from .store import Refused, Store

VERSION = "24.6.1"
USER, PASSWORD, TOKEN = "admin", "fake-password", "fake-token"
_ROOT = "/api/v2/"
_PAGE = 25
_DATE = "2026-01-01T00:00:00Z"


class FakeAwx:
    """A context in which the API answers. ``writes`` counts the requests that changed something."""

    def __init__(self, playbooks: Iterable[str]) -> None:
        self.store = Store(playbooks)
        self.store.create("organizations", {"name": "Default"})
        self.writes: list[str] = []
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"awx": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeAwx:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- how objects look -------------------------------------------------------------------------------------------

    def shown(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """An object as the API shows it."""
        url = f"{_ROOT}{kind}/{item['id']}/"
        refers = {"organization": "organizations", **KINDS[kind].refers}
        related = {
            name: f"{_ROOT}{self._real(target, item[name])}/{item[name]}/"
            for name, target in refers.items()
            if item.get(name) is not None
        }
        related.update({name: f"{url}{name}/" for name in KINDS[kind].lists})
        if KINDS[kind].has_survey:
            related["survey_spec"] = f"{url}survey_spec/"
        if kind == "workflow_job_templates":
            related["workflow_nodes"] = f"{url}workflow_nodes/"
        if kind == "workflow_job_template_nodes":
            related["create_approval_template"] = f"{url}create_approval_template/"
        extra: dict[str, Any] = {"managed": False} if kind in ("credential_types", "execution_environments") else {}
        if kind == "projects":
            extra.update(status="successful", scm_revision="0" * 40)
        summary = {
            name: {"id": item[name], "name": self.store.get(target, item[name]).get("name", "")}
            for name, target in refers.items()
            if item.get(name) is not None
        }
        head = {"id": item["id"], "type": KINDS[kind].type, "url": url, "related": related, "summary_fields": summary}
        return {**head, "created": _DATE, "modified": _DATE, **item, **extra}

    def _real(self, kind: str, number: int) -> str:
        return self.store.kind_of(number) if kind == "unified_job_templates" else kind

    def options(self, path: list[str]) -> dict[str, Any]:
        """What may be posted where."""
        fields: dict[str, Any] = {}
        if len(path) == 1 and path[0] in KINDS:
            fields = _fields(path[0])
        elif len(path) == 3:
            target = KINDS[path[0]].lists.get(path[2])
            if path[2] == "workflow_nodes":
                fields = _fields("workflow_job_template_nodes")
            elif path[2] == "create_approval_template":
                fields = _fields("workflow_approval_templates")
            elif target:
                fields = {"id": {"type": "id", "required": False}, **_fields(target)}
            elif path[2] == "survey_spec":
                fields = {"name": {"type": "string"}, "description": {"type": "string"}, "spec": {"type": "list"}}
        actions = {"GET": {}, "POST": fields} if fields else {"GET": {}}
        return {"name": path[-1], "search_fields": ["name"], "description": "", "actions": actions}


def _fields(kind: str) -> dict[str, Any]:
    return {
        name: {"type": "id" if name in KINDS[kind].refers else "field", "required": default is REQUIRED}
        for name, default in KINDS[kind].fields.items()
    }


class _Handler(BaseHTTPRequestHandler):
    awx: FakeAwx
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: the second of two would wait until the client has acknowledged the first.
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal of the tests."""

    def _answer(self, code: int, body: Any = None, allow: str = "") -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", VERSION)
        if allow:
            self.send_header("Allow", allow)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        path = [part for part in url.path.removeprefix(_ROOT).split("/") if part]
        try:
            with self.awx.lock:
                if url.path.rstrip("/") == "/api":
                    return self._answer(200, {"current_version": _ROOT, "available_versions": {"v2": _ROOT}})
                if not url.path.startswith(_ROOT):
                    raise Refused({"detail": "Not found."}, 404)
                self._authorize(path)
                query = dict(urllib.parse.parse_qsl(url.query))
                code, body = self._route(path, query, json.loads(text) if text else {})
                allow = "GET, POST, OPTIONS" if self.command != "OPTIONS" or "POST" in body["actions"] else "GET"
                self._answer(code, body, allow)
        except Refused as refused:
            self._answer(refused.code, refused.body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _authorize(self, path: list[str]) -> None:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if path == ["ping"]:
            return
        if self.headers.get("Authorization", "") not in (f"Bearer {TOKEN}", f"Basic {basic}"):
            raise Refused({"detail": "Authentication credentials were not provided."}, 401)

    def _route(self, path: list[str], query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        method = self.command
        if method == "OPTIONS":
            return 200, self.awx.options(path)
        if not path or path[0] in ("ping", "config", "me", "tokens"):
            return self._instance(path)
        if path[0] not in KINDS and path[0] != "unified_job_templates":
            raise Refused({"detail": "Not found."}, 404)
        if method != "GET":
            self.awx.writes.append(f"{method} {'/'.join(path)}")
        if len(path) == 1:
            return self._list(path[0], query) if method == "GET" else (201, self._created(path[0], body))
        if len(path) == 2:
            return self._one(path[0], int(path[1]), body)
        return self._related(path[0], int(path[1]), path[2], query, body)

    def _instance(self, path: list[str]) -> tuple[int, Any]:
        if path == ["tokens"]:
            return 201, {"id": 1, "token": TOKEN}
        if path and path[0] == "tokens":
            return 204, None
        root = {ROOT_NAMES.get(kind, kind): f"{_ROOT}{kind}/" for kind in [*KINDS, "unified_job_templates"]}
        answers = {"ping": {"version": VERSION, "ha": False}, "config": {"version": VERSION}}
        if path == ["me"]:
            return 200, {"count": 1, "next": None, "results": [{"id": 0, "username": USER, "is_superuser": True}]}
        return 200, answers[path[0]] if path else root

    def _created(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        store = self.awx.store
        return self.awx.shown(kind, store.get(kind, store.create(kind, body)["id"]))

    def _one(self, kind: str, number: int, body: dict[str, Any]) -> tuple[int, Any]:
        if self.command == "DELETE":
            self.awx.store.delete(kind, number)
            return 204, None
        if self.command in ("PATCH", "PUT"):
            self.awx.store.change(kind, number, body)
        return 200, self.awx.shown(kind, self.awx.store.get(kind, number))

    def _list(self, kind: str, query: dict[str, str]) -> tuple[int, Any]:
        items = [(real, item) for real, item in self.awx.store.all(kind) if _matches(item, query)]
        return 200, self._page([self.awx.shown(real, item) for real, item in items], kind, query)

    def _page(self, items: list[Any], where: str, query: dict[str, str]) -> dict[str, Any]:
        page, size = int(query.get("page", 1)), int(query.get("page_size", _PAGE))
        more = page * size < len(items)
        following = urllib.parse.urlencode({**query, "page": page + 1})
        return {
            "count": len(items),
            "next": f"{_ROOT}{where}/?{following}" if more else None,
            "previous": None,
            "results": items[(page - 1) * size : page * size],
        }

    def _related(self, kind: str, number: int, name: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        store = self.awx.store
        if name == "survey_spec":
            if self.command == "GET":
                return 200, store.surveys.get((kind, number), {})
            store.set_survey(kind, number, {} if self.command == "DELETE" else body)
            return 200, None
        if name == "create_approval_template":
            approval = store.create_approval(number, body)
            return 201, self.awx.shown("workflow_approval_templates", approval)
        if name == "workflow_nodes":
            nodes = [node for _kind, node in store.all("workflow_job_template_nodes")]
            mine = [node for node in nodes if node["workflow_job_template"] == number]
            shown = [self.awx.shown("workflow_job_template_nodes", node) for node in mine]
            return 200, self._page(shown, f"{kind}/{number}/{name}", query)
        target = KINDS[kind].lists.get(name)
        if target is None:
            raise Refused({"detail": "Not found."}, 404)
        if self.command == "POST":
            store.associate(kind, number, name, int(body["id"]), remove=bool(body.get("disassociate")))
            return 204, None
        members = [self.awx.shown(target, store.get(target, member)) for member in store.members(kind, number, name)]
        return 200, self._page(members, f"{kind}/{number}/{name}", query)


def _matches(item: dict[str, Any], query: dict[str, str]) -> bool:
    """AWX's filters, as far as anybody here uses them: FIELD, FIELD__in, or__FIELD."""
    wanted = {name: value for name, value in query.items() if name not in ("page", "page_size", "order_by")}
    either = {name.removeprefix("or__"): value for name, value in wanted.items() if name.startswith("or__")}
    for name, value in wanted.items():
        if name.startswith("or__"):
            continue
        field, _, how = name.partition("__")
        values = value.split(",") if how == "in" else [value]
        if how not in ("", "in", "exact") or str(item.get(field)) not in values:
            return False
    return not either or any(str(item.get(name)) == value for name, value in either.items())


__all__ = ["PASSWORD", "TOKEN", "UNIFIED", "USER", "FakeAwx"]
