# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a client and an image: a real registry, a token service, a proxy, and servers that misbehave."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509 import load_pem_x509_certificate

from kubeapi.certs import Authority, Pair
from kubeapi.server import Process

USER, PASSWORD = "puller", "only-for-tests"
# The password above in the only form that the registry reads; made once with bcrypt at its least cost.
HTPASSWD = USER + ":$2y$05$abcdefghijklmnopqrstuuDt8u8tY.Zm8YU.pieFNyF5h5afvnc0a\n"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ISSUER, SERVICE = "test-issuer", "test-registry"
START_SECONDS = 30.0

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


# --- the registry -----------------------------------------------------------------------------------------------------


@dataclass
class RegistryServer:
    """A running registry. `address` is what stands before the name of an image."""

    address: str
    scheme: str
    ca: Path | None
    process: Process
    login: Callable[[str, str], str | None] = field(default=lambda name, actions: None)

    def push(self, name: str, tag: str, labels: dict[str, str], layer: bytes = b"layer", **how: Any) -> str:
        """Push an image of one layer; its digest."""
        image = self.push_image(name, labels, layer, **how)
        return self.put_manifest(name, tag, image, how.get("media_type", MANIFEST))

    def push_image(
        self, name: str, labels: dict[str, str], layer: bytes, architecture: str = "amd64", media_type: str = MANIFEST
    ) -> dict[str, Any]:
        """Push what a manifest refers to; the manifest."""
        config: dict[str, Any] = {"architecture": architecture, "os": "linux", "created": "2026-11-01T00:00:00Z"}
        config |= {"config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}
        docker = media_type == DOCKER_MANIFEST
        kinds = ("container.image.v1", "image.rootfs.diff.tar.gzip") if docker else ("config.v1", "layer.v1.tar+gzip")
        prefix = "application/vnd.docker." if docker else "application/vnd.oci.image."
        return {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self._blob(name, json.dumps(config).encode(), f"{prefix}{kinds[0]}+json"),
            "layers": [self._blob(name, layer, f"{prefix}{kinds[1]}")],
        }

    def push_index(
        self, name: str, tag: str, images: dict[str, dict[str, Any]], media_type: str = INDEX, inner: str = MANIFEST
    ) -> str:
        """Push a list of images by architecture; its digest."""
        entries = []
        for architecture, image in images.items():
            digest = self.put_manifest(name, None, image, inner)
            size = len(json.dumps(image).encode())
            platform = {"os": "linux", "architecture": architecture}
            entries.append({"mediaType": inner, "digest": digest, "size": size, "platform": platform})
        return self.put_manifest(
            name, tag, {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, media_type
        )

    def put_manifest(self, name: str, tag: str | None, document: dict[str, Any], media_type: str) -> str:
        content = json.dumps(document).encode()
        where = f"/v2/{name}/manifests/{tag or digest_of(content)}"
        self._send("PUT", where, name, content, media_type)
        return digest_of(content)

    def _blob(self, name: str, content: bytes, media_type: str) -> dict[str, Any]:
        place = self._send("POST", f"/v2/{name}/blobs/uploads/", name).headers["Location"]
        path = place[place.index("/v2/") :]
        joint = "&" if "?" in path else "?"
        self._send("PUT", f"{path}{joint}digest={digest_of(content)}", name, content, "application/octet-stream")
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    def _send(self, method: str, path: str, name: str, body: bytes = b"", kind: str = "") -> urllib3.BaseHTTPResponse:
        login = self.login(name, "pull,push")
        headers = {**({"Content-Type": kind} if kind else {}), **({"Authorization": login} if login else {})}
        with urllib3.PoolManager(ca_certs=str(self.ca) if self.ca else None) as pool:
            reply = pool.request(method, f"{self.scheme}://{self.address}{path}", body=body, headers=headers)
        assert reply.status < 300, (reply.status, reply.data, self.process.tail())
        return reply


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def registry(
    binary: Path, folder: Path, authority: Authority | None = None, auth: dict[str, Any] | None = None
) -> Iterator[RegistryServer]:
    """A registry on a free port of the loopback address; with TLS where there is an authority."""
    folder.mkdir(parents=True)
    http_part: dict[str, Any] = {"addr": "127.0.0.1:0"}
    if authority:
        pair = authority.serving(f"registry-{folder.name}")
        http_part["tls"] = {"certificate": str(pair.certificate), "key": str(pair.key)}
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": http_part,
        **({"auth": auth} if auth else {}),
    }
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(config))
    log = folder / "registry.log"
    process = Process("docker-registry", [str(binary), "serve", str(file)], log)
    try:
        address = _listening(process, log)
        yield RegistryServer(
            address, "https" if authority else "http", authority.certificate if authority else None, process
        )
    finally:
        process.kill()


def _listening(process: Process, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        process.assert_alive()
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    raise TimeoutError(f"the registry did not start:\n{process.tail()}")


def htpasswd(folder: Path) -> dict[str, Any]:
    """The registry's own authentication by user and password."""
    file = folder / "htpasswd"
    file.write_text(HTPASSWD)
    return {"htpasswd": {"realm": "test", "path": str(file)}}


# --- servers of our own -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One request that a server got."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Asked], Reply]


@dataclass
class Server:
    """A small HTTP or HTTPS server with a log of what it was asked."""

    address: str
    asked: list[Asked]


@contextlib.contextmanager
def server(answer: Answer, pair: Pair | None = None) -> Iterator[Server]:
    """Serve what `answer` says on a free port of the loopback address."""
    log: list[Asked] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            log.append(Asked(parts.path, query, {name.lower(): value for name, value in self.headers.items()}))
            reply = answer(log[-1])
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: Any) -> None:
            """A client that refuses our certificate is what some tests are about."""

    listener = Quiet(("127.0.0.1", 0), Handler)
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    with _running(listener):
        yield Server(f"127.0.0.1:{listener.server_address[1]}", log)


@contextlib.contextmanager
def _running(listener: http.server.HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


# --- the token service ------------------------------------------------------------------------------------------------


def token_service(signer: Pair) -> Answer:
    """Answers like the token service of a registry: a signed token for who knows the password."""
    key = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    leaf = load_pem_x509_certificate(signer.certificate.read_bytes()).public_bytes(serialization.Encoding.DER)

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != BASIC:
            return Reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]})
        kind, name, actions = asked.query["scope"].split(":")
        return Reply(body={"token": _token(key, leaf, asked.query["service"], kind, name, actions)})

    return answer


def _token(key: ec.EllipticCurvePrivateKey, leaf: bytes, audience: str, kind: str, name: str, actions: str) -> str:
    now = int(time.time())
    head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(leaf).decode()]}
    claims = {"iss": ISSUER, "sub": USER, "aud": audience, "iat": now, "nbf": now - 60, "exp": now + 300, "jti": "1"}
    claims["access"] = [{"type": kind, "name": name, "actions": actions.split(",")}]
    text = ".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def token_auth(realm: str, bundle: Path) -> dict[str, Any]:
    """The registry's own authentication by token."""
    return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}}


# --- the proxy --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def proxy(wants: str | None = None) -> Iterator[Server]:
    """A proxy that connects; `wants` is the Proxy-Authorization that it asks for."""
    log: list[Asked] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            log.append(Asked(self.path, {}, {name.lower(): value for name, value in self.headers.items()}))
            if wants and self.headers.get("Proxy-Authorization") != wants:
                self.send_error(407)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as other:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, other)

        def log_message(self, *_args: Any) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    with _running(listener):
        yield Server(f"127.0.0.1:{listener.server_address[1]}", log)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one side ends."""
    ways = {one: other, other: one}
    while True:
        ready, _, _ = select.select([one, other], [], [], 30)
        if not ready:
            return
        for source in ready:
            content = source.recv(65536)
            if not content:
                return
            ways[source].sendall(content)


def fetch_token(service: Server, authority: Authority, name: str, actions: str) -> str:
    """What somebody presents who has been at the token service."""
    fields = {"service": SERVICE, "scope": f"repository:{name}:{actions}"}
    with urllib3.PoolManager(ca_certs=str(authority.certificate)) as pool:
        url = f"https://{service.address}/token"
        reply = pool.request("GET", url, fields=fields, headers={"Authorization": BASIC})
    return f"Bearer {reply.json()['token']}"
