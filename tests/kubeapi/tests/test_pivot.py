# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pivot as a client sees it, there and back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from contract.helpers import IBU, IBUS, ibu, put_ibu

from kubeapi import Binaries, KubeApi
from kubeapi.binary import HERE
from kubeapi.server import wait_until

pytestmark = pytest.mark.kubeapi


def _version_of_list(server: KubeApi) -> int:
    return int(server.admin.get(IBUS).ok()["metadata"]["resourceVersion"])


def test_pivot_there_and_back(server: KubeApi) -> None:
    """One long story, since every reboot costs seconds."""
    before = put_ibu(server.admin, ibu("Upgrade"))
    for number in range(30):  # an old etcd is far ahead of a young one
        server.admin.merge(IBU, {"metadata": {"labels": {"n": str(number)}}}).ok()
    old = server.admin.get(IBU).ok()
    old_version = _version_of_list(server)
    token = server.service_account_token("bot")
    assert server.admin.with_token(token).get(IBU).status == 403
    url, tls = server.url, server.ca_certificate.read_bytes()

    server.power_off()
    with pytest.raises(urllib3.exceptions.NewConnectionError, match="refused"):
        server.admin.get(IBU)

    server.pivot(apply_crds=False)
    # The API answers before it knows the kind: plain text, no Status object.
    early = server.admin.get(IBU)
    assert (early.status, early.text) == (404, "404 page not found\n")
    assert (server.url, server.ca_certificate.read_bytes()) == (url, tls)
    # The static credentials live on, by certificate and by token; the old service account's token does not.
    assert server.admin.get("/version").status == 200
    assert server.admin.with_token(server.admin_token).get("/apis").status == 200
    assert server.admin.with_token(token).get("/apis").status == 401

    server.install_crds()
    missing = server.admin.get(IBU)
    assert (missing.status, missing.json["reason"]) == (404, "NotFound")
    # The new etcd is younger, so a watch resumed from before waits for a version that is far away.
    assert _version_of_list(server) < old_version
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        list(server.admin.watch(IBUS, resourceVersion=old_version, read_timeout=1))
    recreated = server.admin.create(IBUS, ibu("Upgrade")).ok()
    assert recreated["metadata"]["uid"] != before["metadata"]["uid"]
    assert recreated["metadata"]["generation"] == 1

    server.back()
    # The stale object of before is there again, and so is the old account.
    assert server.admin.get(IBU).ok() == old
    assert server.admin.with_token(token).get(IBU).status == 403

    gone = server.stateroot
    server.pivot()
    server.forget(gone)
    assert server.admin.get(IBU).status == 404


@pytest.fixture
def short_folder() -> Iterator[str]:
    """For what a killed program leaves behind; short, since sockets go there."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def test_nothing_outlives_a_killed_owner(binaries: Binaries, tmp_path: Path, short_folder: str) -> None:
    """Killed without a chance to clean up, the owner takes its API server and etcd along."""
    program = (
        "import sys; from pathlib import Path; from kubeapi import KubeApi\n"
        "with KubeApi(Path(sys.argv[1]), crds=None) as server:\n"
        "    print(server.port, flush=True); sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE), "TMPDIR": short_folder},
    )
    assert owner.stdout is not None
    port = int(owner.stdout.readline())

    owner.send_signal(signal.SIGKILL)
    owner.wait(timeout=10)

    def refuses() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_until(refuses, "the API server is gone", timeout=10)
    wait_until(lambda: not _mentions(str(tmp_path)), "no process works in that folder", timeout=10)


def _mentions(text: str) -> list[str]:
    """The running processes with this text in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
