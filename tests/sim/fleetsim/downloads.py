# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Velero's DownloadRequests: an address in the object store for the log or the results of a Backup or Restore.

The object store answers on the cluster's own port, under a path of its own, and asks for no more than the signature.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fleetsim import pods
from fleetsim.errors import PageNotFound
from fleetsim.ports import OADP_NAMESPACE, Object

if TYPE_CHECKING:
    from fleetsim.endpoint import Endpoint
    from fleetsim.resources import Resource
    from fleetsim.store import Record

TABLE = "downloadrequests.velero.io"
_LOCATIONS = "backupstoragelocations.velero.io"
PREFIX = "/object-store/"


def created(ep: Endpoint, res: Resource, verb: str, record: Record) -> None:
    """A client has made an object; a DownloadRequest is answered as soon as the client's own write is over."""
    if verb == "create" and res.table == TABLE:
        asyncio.get_running_loop().call_soon(_process, ep, res, record.namespace, record.name)


def _process(ep: Endpoint, res: Resource, namespace: str, name: str) -> None:
    locations = [one.view() for one in ep.store.records(_LOCATIONS, OADP_NAMESPACE)]
    if not all((one.get("status") or {}).get("phase") == "Available" for one in locations):
        return  # Velero cannot sign an address for a location that it does not reach

    def process(request: Object) -> Object:
        target = request["spec"]["target"]
        path = f"{target['kind']}/{target['name']}"
        url = f"{ep.url}{PREFIX}{path}?X-Amz-Credential={pods.MARKER}&X-Amz-Signature={_signature(path)}"
        request["status"] = {"phase": "Processed", "downloadURL": url, "expiration": "2030-01-01T00:00:00Z"}
        return request

    if ep.store.get(TABLE, (namespace, name)):
        ep.verbs.update(res, namespace, name, process, trusted=True)


def _signature(path: str) -> str:
    return hashlib.sha256(f"{pods.MARKER}/{path}".encode()).hexdigest()


def answer(ep: Endpoint, request: web.BaseRequest) -> web.Response:
    """What the object store has there."""
    path = request.path.removeprefix(PREFIX)
    kind, _, name = path.partition("/")
    if request.query.get("X-Amz-Signature") != _signature(path):
        return web.Response(status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
    table = pods.BACKUPS if kind.startswith("Backup") else pods.RESTORES
    record = ep.store.get(table, (OADP_NAMESPACE, name))
    if record is None:
        raise PageNotFound
    return web.Response(body=_content(kind, record.view()), headers={"Content-Type": "application/octet-stream"})


def _content(kind: str, obj: Object) -> bytes:
    if kind.endswith("Log"):
        return gzip.compress(log(obj).encode())
    if kind.endswith("Results"):
        return gzip.compress(json.dumps(results(obj)).encode())
    if kind == "BackupContents":
        return contents(obj)
    raise PageNotFound


def failed(obj: Object) -> bool:
    return (obj.get("status") or {}).get("phase") in ("Failed", "PartiallyFailed", "FailedValidation")


def log(obj: Object) -> str:
    """What Velero wrote while it worked on this object."""
    kind, name = obj["kind"].lower(), obj["metadata"]["name"]
    lines = [
        f'time="2026-11-21T01:10:00Z" level=info msg="starting {kind}" {kind}={OADP_NAMESPACE}/{name}',
        'time="2026-11-21T01:10:01Z" level=warning msg="volume is not backed up" pvc=app/data',
        f'time="2026-11-21T01:10:01Z" level=debug msg="request" header="Authorization: Bearer {pods.MARKER}"',
    ]
    if failed(obj):
        lines.append(
            f'time="2026-11-21T01:10:02Z" level=error msg="error from the object store" {kind}={OADP_NAMESPACE}/{name} '
            'error="rpc error: AccessDenied: Access Denied"'
        )
    return "\n".join([*lines, f'time="2026-11-21T01:10:03Z" level=info msg="{kind} completed"', ""])


def results(obj: Object) -> dict[str, Any]:
    errors = {"velero": ["rpc error: AccessDenied: Access Denied"]} if failed(obj) else {}
    there = 'could not restore, configmaps "kube-root-ca.crt" already exists'
    return {"errors": errors, "warnings": {"namespaces": {"app": [there]}}}


def contents(obj: Object) -> bytes:
    data = json.dumps({"kind": "Secret", "metadata": {"name": "app"}, "data": {"password": pods.MARKER}}).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(f"resources/secrets/namespaces/app/{obj['metadata']['name']}.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()
