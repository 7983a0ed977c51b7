# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One API server on the loopback address, and the pivots of a single-node upgrade.

An image-based upgrade reboots the API server into another image. Here that is: kill the API server and its etcd,
then start them again on the same port with another, younger etcd and another service-account key. The serving
certificate, the client CA and the administrator's credential stay, as they do on a real cluster.
"""

from __future__ import annotations

import base64
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Self

import urllib3
import yaml

from .binary import HERE, Binaries, find
from .certs import Authority, signing_key
from .client import Api, Document

CRDS = HERE.parent / "crds"
GUARD = HERE / "kubeapi" / "guard.py"
START_TIMEOUT = 60.0
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A server lives for a minute or so: to save memory before it uses much costs a tenth of its time.
GO_SETTINGS = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
# Below the range from which Linux takes the local ports of outgoing connections: nobody grabs it while we are down.
PORTS = range(20000, 32000)
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class StartFailed(Exception):
    """The API server did not come up; the text ends with what it logged last."""


@dataclass(frozen=True)
class Stateroot:
    """What belongs to one installed image: its etcd and its service-account key."""

    name: str
    data: Path
    account_key: Path


class Process:
    """A program under a guard that kills it when this process is gone."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        # As a file and without site-packages: as a module it would import this package, for more than etcd's start.
        guarded = [sys.executable, "-I", "-S", str(GUARD), *command]
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=HERE,
                env=GO_SETTINGS | os.environ,
                start_new_session=True,
            )

    def assert_alive(self) -> None:
        if self._guard.poll() is not None:
            raise StartFailed(f"{self.name} ended with code {self._guard.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def kill(self) -> None:
        """Like a power cut: no goodbye to clients."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(timeout=30)


class KubeApi:
    """A kube-apiserver with its etcd; a context manager that leaves nothing running."""

    def __init__(
        self,
        folder: Path,
        *,
        crds: Path | None = CRDS,
        groups: Collection[str] | None = None,
        binaries: Binaries | None = None,
    ) -> None:
        """With the definitions in the folder `crds`, or only those of these API groups: each costs time at a start."""
        self._folder = folder.resolve()
        self._binaries = binaries or find()
        found = load_documents(crds) if crds else []
        self.crds = [crd for crd in found if groups is None or crd["spec"]["group"] in groups]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A unix socket's path has room for 100 characters only, and a test's folder may be deep.
        self._sockets = Path(tempfile.mkdtemp(prefix="kubeapi-"))
        self._authority = Authority(self._folder / "pki")
        self._serving = self._authority.serving("apiserver")
        self._tokens: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._stateroots: dict[str, Stateroot] = {}
        self._booted: list[str] = []
        self._processes: list[Process] = []
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = self._client_kubeconfig("admin", "system:admin", ("system:masters",))
        self.admin = Api(self.kubeconfig)
        self.admin_token = self.add_token("token-admin", ("system:masters",))

    # Identities

    @property
    def ca_certificate(self) -> Path:
        return self._authority.certificate

    def add_token(self, user: str, groups: Sequence[str] = ()) -> str:
        """A static bearer token for this user. The server reads the list only when it starts."""
        token = secrets.token_hex(16)
        self._tokens[token] = (user, tuple(groups))
        return token

    def certificate_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate for this user; may be made at any time."""
        return self._client_kubeconfig(user.replace(":", "-"), user, groups)

    def service_account_token(self, name: str, namespace: str = "default") -> str:
        """A token of this service account, signed by the key of the running stateroot."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.admin.create(path, {"metadata": {"name": name}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.admin.create(f"{path}/{name}/token", request).ok()["status"]["token"]
        assert isinstance(token, str)
        return token

    # Life

    def __enter__(self) -> Self:
        try:
            self.boot("stateroot-1")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.power_off()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def power_off(self) -> None:
        """Gone at once; every connection drops and the port refuses new ones."""
        while self._processes:
            self._processes.pop().kill()

    def boot(self, name: str, *, apply_crds: bool = True) -> None:
        """Restart in this stateroot, made now if it is new, and return when the API server is ready.

        Without CRDs a young etcd knows none of their kinds, as right after a real pivot.
        """
        self.power_off()
        root = self._stateroots.get(name) or self._make(name)
        self._booted = [*(other for other in self._booted if other != name), name]
        self._power_on(root)
        if apply_crds:
            self.install_crds()

    def pivot(self, *, apply_crds: bool = True) -> None:
        """Reboot into a new stateroot: an empty, younger etcd and another service-account key."""
        new = next(name for n in itertools.count(1) if (name := f"stateroot-{n}") not in self._stateroots)
        self.boot(new, apply_crds=apply_crds)

    def back(self) -> None:
        """Reboot into the stateroot that was booted before this one; it holds what it held when it was left."""
        assert len(self._booted) > 1, "there is no stateroot to go back to"
        self.boot(self._booted[-2], apply_crds=False)

    def forget(self, name: str) -> None:
        """Delete a stateroot that is not booted, its etcd with it."""
        assert name != self.stateroot, f"{name} is booted"
        root = self._stateroots.pop(name, None)
        if root is not None:
            self._booted.remove(name)
            shutil.rmtree(root.data.parent)

    @property
    def stateroot(self) -> str:
        """The booted one."""
        return self._booted[-1]

    # Content

    def install_crds(self) -> None:
        """The definitions that this server was made with."""
        self.apply_crds(self.crds)

    def apply_crds(self, crds: Iterable[Document]) -> None:
        """Create or update the definitions and wait until the server serves them."""
        wanted = list(crds)
        for crd in wanted:
            path = f"{CRD_PATH}/{crd['metadata']['name']}"
            applied = {"fieldManager": "kubeapi", "force": "true"}
            self.admin.request("PATCH", path, crd, content_type="application/apply-patch+yaml", query=applied).ok()
        for crd in wanted:
            wait_until(partial(self._serves, crd), f"{crd['metadata']['name']} is served")

    def allow(self, user: str, rules: Sequence[Document], *, kind: str = "User") -> None:
        """Bind this user to a cluster role of its own with exactly these rules."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        name = f"test-{user}"
        self.admin.create(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": list(rules)}).ok()
        subject = {"kind": kind, "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
        self.admin.create(f"{rbac}/clusterrolebindings", binding).ok()

    # Inside

    def _serves(self, crd: Document) -> bool:
        """Whether the server stores and lists this kind: discovery alone runs a little ahead of it."""
        spec = crd["spec"]
        version = next(v["name"] for v in spec["versions"] if v["storage"])
        current = self.admin.get(f"{CRD_PATH}/{crd['metadata']['name']}").ok()
        conditions = {c["type"]: c["status"] for c in (current.get("status") or {}).get("conditions") or []}
        return (
            conditions.get("Established") == "True"
            and self.admin.get(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}").status == 200
        )

    def _is_ready(self) -> bool:
        try:
            return self.admin.get("/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _make(self, name: str) -> Stateroot:
        home = self._folder / name
        home.mkdir(mode=0o700)
        self._stateroots[name] = Stateroot(name, home / "etcd", signing_key(home / "sa.key"))
        return self._stateroots[name]

    def _power_on(self, root: Stateroot) -> None:
        etcd = self._start("etcd", self._etcd_command(root))
        wait_until(lambda: accepts(self._socket(root)), "etcd listens", alive=etcd)
        apiserver = self._start("kube-apiserver", self._apiserver_command(root))
        wait_until(self._is_ready, "the API server is ready", alive=apiserver)

    def _socket(self, root: Stateroot) -> Path:
        return self._sockets / root.name

    def _start(self, name: str, command: Sequence[str]) -> Process:
        process = Process(name, command, self._folder / f"{name}.log")
        self._processes.append(process)
        return process

    def _etcd_command(self, root: Stateroot) -> list[str]:
        # A lone member talks to no peer and nobody looks its addresses up, but etcd insists on a host and port.
        anywhere = "http://127.0.0.1:0"
        flags = {
            "name": root.name,
            "data-dir": root.data,
            "listen-client-urls": f"unix://{self._socket(root)}",
            "advertise-client-urls": anywhere,
            "listen-peer-urls": anywhere,
            "initial-advertise-peer-urls": anywhere,
            "initial-cluster": f"{root.name}={anywhere}",
            # Lets the API server's watch cache, and so bookmarks and expiry, keep up on an idle server.
            "watch-progress-notify-interval": "5s",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        return [*self._binaries.etcd, *as_flags(flags)]

    def _apiserver_command(self, root: Stateroot) -> list[str]:
        flags = {
            "etcd-servers": f"unix://{self._socket(root)}",
            "bind-address": "127.0.0.1",
            "secure-port": self.port,
            "cert-dir": self._folder / "pki",
            "tls-cert-file": self._serving.certificate,
            "tls-private-key-file": self._serving.key,
            "client-ca-file": self._authority.certificate,
            "token-auth-file": self._write_tokens(),
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": root.account_key,
            "service-account-signing-key-file": root.account_key,
            "service-cluster-ip-range": "10.0.0.0/24",
            # There is no controller here to make service accounts and endpoints.
            "disable-admission-plugins": "ServiceAccount",
            "endpoint-reconciler-type": "none",
            # A tenth of the time of a start and of each request, to share out the server fairly among one client.
            "enable-priority-and-fairness": "false",
        }
        return [*self._binaries.apiserver, *as_flags(flags)]

    def _write_tokens(self) -> Path:
        path = self._folder / "pki" / "tokens.csv"
        path.touch(mode=0o600)
        lines = [f'{token},{user},{user},"{",".join(groups)}"\n' for token, (user, groups) in self._tokens.items()]
        path.write_text("".join(lines))
        return path

    def _client_kubeconfig(self, name: str, user: str, groups: Sequence[str]) -> Path:
        pair = self._authority.client(name, user, groups)
        identity = {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}
        return self._write_kubeconfig(name, identity)

    def _write_kubeconfig(self, name: str, identity: Document) -> Path:
        cluster = {"server": self.url, "certificate-authority-data": encoded(self._authority.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubeapi", "cluster": cluster}],
            "users": [{"name": name, "user": identity}],
            "contexts": [{"name": "kubeapi", "context": {"cluster": "kubeapi", "user": name}}],
            "current-context": "kubeapi",
        }
        path = self._folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path


def load_documents(folder: Path) -> list[Document]:
    """Every document of the YAML files in a folder."""
    files = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
    texts = (file.read_text() for file in files)
    return [document for text in texts for document in yaml.load_all(text, Loader=_LOADER) if document]


def as_flags(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def accepts(path: Path) -> bool:
    """Whether a program listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def free_port() -> int:
    """A loopback port that nobody listens on."""
    for port in SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartFailed("no free port")


def wait_until(
    condition: Callable[[], bool], what: str, *, alive: Process | None = None, timeout: float = START_TIMEOUT
) -> None:
    """Ask until the condition holds; give up when the process that should make it hold is dead."""
    deadline = time.monotonic() + timeout
    while not condition():
        if alive is not None:
            alive.assert_alive()
        if time.monotonic() > deadline:
            raise StartFailed(f"waited {timeout:.0f} s until {what}" + (f":\n{alive.tail()}" if alive else ""))
        time.sleep(0.05)
