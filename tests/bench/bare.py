# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that a client can do: a thread and one connection per cluster; read once, then patch and watch per stage.

It knows no preflight, verification, progress, outcome file, deadline or failure: the floor to compare with.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

COLLECTION = "/apis/lca.openshift.io/v1/imagebasedupgrades"
OBJECT = f"{COLLECTION}/upgrade"
ENDS = (("Prep", "PrepCompleted"), ("Upgrade", "UpgradeCompleted"), ("Idle", "Idle"))
RETRY_SECONDS = 0.25


class Client:
    """One cluster."""

    def __init__(self, kubeconfig: Path, spec: dict[str, Any]) -> None:
        document = yaml.load(kubeconfig.read_text(), Loader=yaml.CSafeLoader)
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        server = urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=_text(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self._connection = http.client.HTTPSConnection(str(server.hostname), server.port, timeout=180, context=context)
        self._spec = spec

    def run(self) -> None:
        self._call("GET", OBJECT)
        for stage, condition in ENDS:
            spec = {"stage": stage, **(self._spec if stage == "Prep" else {})}
            self._follow(self._call("PATCH", OBJECT, {"spec": spec}), condition)
        self._connection.close()

    def _follow(self, found: dict[str, Any], condition: str) -> None:
        """Watch until the condition is true; through a reboot, from a fresh read."""
        while not _is_true(found, condition):
            try:
                found = self._watch(found, condition)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                time.sleep(RETRY_SECONDS)
                found = self._read_again()

    def _read_again(self) -> dict[str, Any]:
        while True:
            try:
                return self._call("GET", OBJECT)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                time.sleep(RETRY_SECONDS)

    def _watch(self, found: dict[str, Any], condition: str) -> dict[str, Any]:
        version = found["metadata"]["resourceVersion"]
        query = f"watch=true&fieldSelector=metadata.name%3Dupgrade&timeoutSeconds=120&resourceVersion={version}"
        self._connection.request("GET", f"{COLLECTION}?{query}")
        response = self._connection.getresponse()
        for line in response:
            event = json.loads(line)
            if event["type"] == "MODIFIED" and _is_true(event["object"], condition):
                found = event["object"]
                break
        # The stream is not at its end, so the connection is of no more use.
        self._connection.close()
        return found if _is_true(found, condition) else self._call("GET", OBJECT)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/merge-patch+json"} if body else {}
        self._connection.request(method, path, json.dumps(body) if body else None, headers)
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status >= 300:
            raise http.client.HTTPException(answer.get("message"))
        return answer


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _is_true(found: dict[str, Any], kind: str) -> bool:
    """Of this generation: right after a patch the conditions still tell of the stage before."""
    return any(
        c["type"] == kind and c["status"] == "True" and c["observedGeneration"] >= found["metadata"]["generation"]
        for c in (found.get("status") or {}).get("conditions") or ()
    )


def main() -> None:
    """Entry point: the inventory that a simulated fleet wrote."""
    document = yaml.load(Path(sys.argv[1]).read_text(), Loader=yaml.CSafeLoader)
    fleet = document["all"]["children"]["fleet"]
    spec = {
        "seedImageRef": fleet["vars"]["ibu_seed_image_ref"],
        "oadpContent": fleet["vars"]["ibu_oadp_content"],
        "extraManifests": fleet["vars"]["ibu_extra_manifests"],
    }
    clients = [Client(Path(host["ibu_kubeconfig"]), spec) for host in fleet["hosts"].values()]
    threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
