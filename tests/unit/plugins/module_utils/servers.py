# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that answers what a test says."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session, open_session

# Status, headers, and the chunks of the body.
Answer = tuple[int, dict[str, str], list[bytes]]


class Server:
    """Answers every request with what the test put into ``answer``; with what is in ``first`` before, each once."""

    def __init__(self) -> None:
        self.first: list[Answer] = []
        self.answer: Answer = (200, {}, [b"{}"])
        self.requests: list[tuple[str, str, Any, bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, self.headers, body))
                status, headers, chunks = outer.first.pop(0) if outer.first else outer.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in [*chunks, b""]:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

            do_GET = do_POST = do_PATCH = do_DELETE = do_CONNECT = handle_any  # noqa: N815

            def log_message(self, *_args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def open(self, **options: Any) -> Session:
        return open_session({"host": self.url, **options})


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server, which ends with the context."""
    server = Server()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
