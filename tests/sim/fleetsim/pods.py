# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of the Lifecycle Agent and of Velero: the objects, their logs, and Velero's CLI behind `exec`.

They hold a secret in every place where real ones have been seen to: whoever collects them must not pass it on.
"""

from __future__ import annotations

import base64
import functools
import json
import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from fleetsim import downloads, errors, ibu
from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE, Object
from fleetsim.resources import IBU
from fleetsim.store import Record, Store, dumps

if TYPE_CHECKING:
    from fleetsim.api import Target
    from fleetsim.endpoint import Endpoint

PODS = "pods"
BACKUPS, RESTORES = "backups.velero.io", "restores.velero.io"
SUBRESOURCES = ("log", "exec")
MARKER = "only-for-the-cluster-5hQ2"
AGENT_POD, VELERO_POD = "lifecycle-agent-controller-manager-6d8f7b9c5-x2k4p", "velero-7c87d58c7b-sw6fc"
_BORN = "2024-09-01T08:00:00Z"
_PROTOCOL = "v4.channel.k8s.io"
_STDOUT, _STDERR, _ERROR = 1, 2, 3


def place(store: Store) -> None:
    """What the node runs whenever it is up. All clusters share the records."""
    for table, record in _records():
        if store.get(table, (record.namespace, record.name)) is None:
            store.seed(table, record)


@functools.cache
def _records() -> tuple[tuple[str, Record], ...]:
    secret: Object = {"data": {"cloud": base64.b64encode(MARKER.encode()).decode()}, "stringData": {"plain": MARKER}}
    event: Object = {
        "involvedObject": {"kind": "Pod", "name": VELERO_POD, "namespace": OADP_NAMESPACE},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": f"probe failed: GET https://admin:{MARKER}@s3.example.com/backups: 503",
    }
    labels = {"app.kubernetes.io/component": "lifecycle-agent"}
    made: list[tuple[str, str, str, str, Object]] = [
        (PODS, "Pod", LCA_NAMESPACE, AGENT_POD, _pod(labels, "manager", "agent:v4.17", restarts=1)),
        (PODS, "Pod", OADP_NAMESPACE, VELERO_POD, _pod({"component": "velero"}, "velero", "velero:v1.14", restarts=0)),
        ("secrets", "Secret", OADP_NAMESPACE, "cloud-credentials", secret),
        ("events", "Event", OADP_NAMESPACE, "velero.17c0ffee", event),
    ]
    return tuple((table, _record(kind, namespace, name, obj)) for table, kind, namespace, name, obj in made)


def _record(kind: str, namespace: str, name: str, obj: Object) -> Record:
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{namespace}/{name}"))
    meta: Object = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "creationTimestamp": _BORN,
        "resourceVersion": "900",
    }
    if "labels" in obj:
        meta["labels"] = obj.pop("labels")
        copy = {"apiVersion": "v1", "kind": kind, "metadata": {}, "spec": obj["spec"]}
        meta["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(copy)}
    return Record({"apiVersion": "v1", "kind": kind, "metadata": meta, **obj}, 900)


def _pod(labels: dict[str, str], container: str, image: str, restarts: int) -> Object:
    image = f"registry.example.com/{image}"
    environment = [
        {"name": "AWS_SECRET_ACCESS_KEY", "value": MARKER},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    spec = {"containers": [{"name": container, "image": image, "env": environment, "args": [f"--token={MARKER}"]}]}
    state = {"running": {"startedAt": _BORN}}
    status = {"name": container, "image": image, "imageID": image, "ready": True}
    status |= {"restartCount": restarts, "state": state}
    ready = {"type": "Ready", "status": "True"}
    return {
        "labels": labels,
        "spec": spec,
        "status": {"phase": "Running", "conditions": [ready], "containerStatuses": [status]},
    }


async def answer(ep: Endpoint, request: web.BaseRequest, target: Target) -> web.StreamResponse:
    """One of the subresources that this file plays."""
    record = ep.store.get(PODS, (target.namespace, target.name))
    if record is None:
        raise errors.not_found("", PODS, target.name)
    if target.sub == "exec":
        return await _exec(ep, request)
    return _log(ep, request, record.view())


# -- logs -----------------------------------------------------------------------------------------------------------


def _log(ep: Endpoint, request: web.BaseRequest, pod: Object) -> web.Response:
    query = request.query
    names = [one["name"] for one in pod["spec"]["containers"]]
    container = query.get("container") or names[0]
    if container not in names:
        raise errors.bad_request(f"container {container} is not valid for pod {pod['metadata']['name']}")
    previous = query.get("previous") == "true"
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if previous and not any(one["name"] == container and one.get("restartCount") for one in statuses):
        name = pod["metadata"]["name"]
        raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    lines = _agent_lines(ep.store, previous) if container == "manager" else _velero_lines(ep.store)
    if (last := query.get("tailLines", "")).isdigit():
        lines = lines[-int(last) :]
    if query.get("timestamps") == "true":
        lines = [f"2026-11-21T01:12:40.000000000Z {line}" for line in lines]
    text = "".join(f"{line}\n" for line in lines)
    return web.Response(body=text.encode(), headers=ep.headers("text/plain"))


def _agent_lines(store: Store, previous: bool) -> list[str]:
    record = store.get(IBU, ("", ibu.NAME))
    conditions = ((record.view().get("status") if record else None) or {}).get("conditions") or ()
    told = [f"INFO\tcontrollers.ImageBasedUpgrade\t{c['type']}: {c['message']}" for c in conditions]
    secret = f'DEBUG\tcontrollers.SeedImage\tpull secret: {{"auths":{{"registry.example.com":{{"auth":"{MARKER}"}}}}}}'
    return [*(["ERROR\tmanager\tleader election lost"] if previous else told), secret]


def _velero_lines(store: Store) -> list[str]:
    found = [record.view() for table in (BACKUPS, RESTORES) for record in store.records(table)]
    told = [line for obj in found for line in downloads.log(obj).splitlines()]
    return [f'level=info msg="Starting Velero server" token={MARKER}', *told]


# -- exec -----------------------------------------------------------------------------------------------------------


async def _exec(ep: Endpoint, request: web.BaseRequest) -> web.StreamResponse:
    """A command in a container, over a websocket as the API server has it."""
    socket = web.WebSocketResponse(protocols=(_PROTOCOL,))
    await socket.prepare(request)
    command = request.query.getall("command", [])
    text, problem = _velero(ep.store, command)
    if text:
        await socket.send_bytes(bytes([_STDOUT]) + text.encode())
    if problem:
        await socket.send_bytes(bytes([_STDERR]) + problem.encode())
    status: Object = {"metadata": {}, "status": "Success"}
    if problem:
        causes = [{"reason": "ExitCode", "message": "1"}]
        status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
        status["message"] = "command terminated with non-zero exit code"
    await socket.send_bytes(bytes([_ERROR]) + dumps(status))
    await socket.close()
    return socket


def _velero(store: Store, command: list[str]) -> tuple[str, str]:
    """`./velero VERB KIND NAME`, `./velero KIND logs NAME`, or a script that downloads: its output and errors."""
    if command[:2] == ["sh", "-c"]:
        name = command[2].split(f"-n {OADP_NAMESPACE} ")[1].split()[0]
        record = store.get(BACKUPS, (OADP_NAMESPACE, name))
        return (base64.encodebytes(downloads.contents(record.view())).decode(), "") if record else ("", "not found\n")
    words = [word for word in command if not word.startswith("-") and word != OADP_NAMESPACE]
    if len(words) != 4 or words[0] != "./velero":
        return "", f"error: unknown command {' '.join(command)}\n"
    describes = words[1] == "describe"
    kind, verb, name = (words[2], "describe", words[3]) if describes else (words[1], words[2], words[3])
    record = store.get(BACKUPS if kind == "backup" else RESTORES, (OADP_NAMESPACE, name))
    if record is None:
        return "", f'An error occurred: {kind}s.velero.io "{name}" not found\n'
    obj = record.view()
    if verb == "logs":
        return downloads.log(obj), ""
    return _description(obj), ""


def _description(obj: Object) -> str:
    results = downloads.results(obj)
    status = obj.get("status") or {}
    lines = [f"Name:         {obj['metadata']['name']}", f"Namespace:    {OADP_NAMESPACE}", ""]
    lines += [f"Phase:  {status.get('phase', 'New')}", ""]
    for title in ("Errors", "Warnings"):
        lines.append(f"{title}:")
        for place, found in results[title.lower()].items():
            items = found if isinstance(found, list) else [text for texts in found.values() for text in texts]
            lines += [f"  {place.capitalize()}:  {text}" for text in items]
    return "\n".join([*lines, f"Annotations:  token={MARKER}", ""])
