# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes API over HTTP: one function per verb, on whatever endpoint the request came to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import yaml
from aiohttp import web

from fleetsim import discovery, downloads, errors, patches, pods
from fleetsim.auth import ANONYMOUS, ANONYMOUS_PATHS, User, user_of_certificate, user_of_header
from fleetsim.endpoint import Endpoint
from fleetsim.errors import PageNotFound, StatusError
from fleetsim.journal import Entry
from fleetsim.resources import IBU, Resource
from fleetsim.selectors import Predicate, both, field_selector, label_selector
from fleetsim.store import Record, dumps
from fleetsim.verbs import Notes
from fleetsim.watch import serve_watch
from fleetsim.yamls import read


@dataclass(slots=True)
class Target:
    """What a resource path names."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    sub: str = ""


def parse(path: str) -> Target | None:
    """None for a path that is not about objects."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    return Target(group, version, rest[0], namespace, *rest[1:])


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    if method in ("GET", "HEAD"):
        if query.get("watch") in ("true", "1"):
            return "watch"
        return "get" if target.name else "list"
    deleting = "delete" if target.name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": deleting}.get(method, method.lower())


async def handle(ep: Endpoint, request: web.BaseRequest) -> web.StreamResponse:
    """Answer one request."""
    if ep.journal.first_request is None:
        ep.journal.first_request = ep.clock.real()
    try:
        return await _answer(ep, request)
    except StatusError as error:
        return web.Response(status=error.code, body=error.body(), headers={**ep.headers(), **error.headers})
    except PageNotFound:
        return web.Response(status=404, body=b"404 page not found\n", headers=ep.headers("text/plain; charset=utf-8"))
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        ep.abort(request)
        raise


async def _answer(ep: Endpoint, request: web.BaseRequest) -> web.StreamResponse:
    target = parse(request.path)
    if ep.faults.latency:
        await asyncio.sleep(ep.faults.latency)
    if target is None:
        return _other_path(ep, request)
    verb = verb_of(request.method, target, request.query)
    try:
        user = authenticate(ep, request)
        fault = ep.faults.answer(verb, user.name, target.group, target.plural, target.namespace, target.name)
        if fault:
            raise fault
        return await _on_objects(ep, request, user, verb, target)
    except StatusError as error:
        if verb not in ("get", "list", "watch"):
            await _log_refusal(ep, request, verb, error)
        raise


def authenticate(ep: Endpoint, request: web.BaseRequest) -> User:
    """By certificate, else by token, else anonymous."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport else None
    user = user_of_certificate(certificate, ep.trusted_issuer)
    return user or user_of_header(request.headers.get("Authorization"), ep.tokens) or ANONYMOUS


def _json(ep: Endpoint, body: Any, code: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    raw = body if isinstance(body, bytes) else dumps(body)
    return web.Response(status=code, body=raw + b"\n", headers={**ep.headers(), **(headers or {})})


def _other_path(ep: Endpoint, request: web.BaseRequest) -> web.Response:
    """Health, version and discovery."""
    path = request.path.rstrip("/")
    if path.startswith(downloads.PREFIX):
        return downloads.answer(ep, request)
    user = authenticate(ep, request)
    fault = ep.faults.answer("get", user.name, "", path, "", "")
    if fault:
        raise fault
    if path in ANONYMOUS_PATHS or path.startswith(("/livez/", "/readyz/", "/healthz/")):
        if path == "/version":
            return _json(ep, discovery.version_document(ep.version))
        return web.Response(body=b"ok", headers=ep.headers("text/plain; charset=utf-8"))
    if user == ANONYMOUS:
        raise errors.forbidden_path(user.name, "get", path)
    parts = path.strip("/").split("/")
    document: dict[str, Any] | None = None
    if parts == ["api"]:
        document = discovery.api_versions(f"127.0.0.1:{ep.port}")
    elif parts == ["api", "v1"]:
        document = discovery.resource_list(ep.registry, ep.absent, "", "v1")
    elif parts == ["apis"]:
        document = discovery.group_list(ep.registry, ep.absent)
    elif len(parts) == 2 and parts[0] == "apis":
        document = discovery.one_group(ep.registry, ep.absent, parts[1])
    elif len(parts) == 3 and parts[0] == "apis":
        document = discovery.resource_list(ep.registry, ep.absent, parts[1], parts[2])
    if document is None:
        raise PageNotFound
    return _json(ep, document)


async def _on_objects(
    ep: Endpoint, request: web.BaseRequest, user: User, verb: str, target: Target
) -> web.StreamResponse:
    full = f"{target.plural}/{target.sub}" if target.sub else target.plural
    if not ep.rbac.allows(user, verb, target.group, full, target.namespace, target.name):
        raise errors.forbidden(user.name, verb, target.group, target.plural, target.namespace, target.name, target.sub)
    if target.group == discovery.AUTHORIZATION and target.plural == "selfsubjectaccessreviews" and verb == "create":
        return _json(ep, ep.rbac.review(user, await _body(request)), 201)
    res = ep.registry.find(target.group, target.version, target.plural)
    if res is None or res.table in ep.absent or (target.namespace and not res.namespaced):
        raise errors.no_resource() if not target.group else PageNotFound()
    if res.table == pods.PODS and target.sub in pods.SUBRESOURCES:
        return await pods.answer(ep, request, target)
    if target.sub and (target.sub != "status" or not res.status):
        raise errors.not_found(target.group, target.plural, target.name) if not res.custom else PageNotFound()
    if verb in ("get", "list", "watch"):
        return await _read(ep, request, verb, res, target)
    return await _write(ep, request, user, verb, res, target)


async def _read(ep: Endpoint, request: web.BaseRequest, verb: str, res: Resource, target: Target) -> web.StreamResponse:
    if verb == "get":
        ep.journal.reads += 1
        record = ep.store.get(res.table, (target.namespace, target.name))
        if record is None:
            raise errors.not_found(res.group, res.plural, target.name)
        ep.journal.told(ep.clock.real())
        return _json(ep, record.raw)
    query = request.query
    fields = query.get("fieldSelector", "")
    if verb == "watch" and target.name:  # the old spelling of a watch on one object
        fields = f"metadata.name={target.name}"
    matches = both(label_selector(query.get("labelSelector", "")), field_selector(fields, res.table))
    if verb == "watch":
        ep.journal.watches += 1
        return await serve_watch(ep, request, res, target.namespace, matches)
    ep.journal.reads += 1
    return await _list(ep, query, res, target.namespace, matches)


async def _list(
    ep: Endpoint, query: Mapping[str, str], res: Resource, namespace: str, matches: Predicate | None
) -> web.Response:
    asked = query.get("resourceVersion", "")
    if asked.isdigit() and int(asked) > ep.store.rv:
        await asyncio.sleep(3)
        if int(asked) > ep.store.rv:
            raise errors.too_large_version(int(asked), ep.store.rv)
    records = [r for r in ep.store.records(res.table, namespace) if matches is None or matches(r)]
    meta: dict[str, Any] = {"resourceVersion": str(ep.store.rv)}
    if token := query.get("continue"):
        version, start = _read_token(token)
        if version < ep.store.oldest(res.table):
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter."
            )
        meta["resourceVersion"] = str(version)
        records = [r for r in records if [r.namespace, r.name] > start]
    limit = _limit(query.get("limit", ""))
    if limit and len(records) > limit:
        if matches is None:  # with a selector the server would have to look at everything
            meta["remainingItemCount"] = len(records) - limit
        records = records[:limit]
        last = records[-1]
        meta["continue"] = _write_token(int(meta["resourceVersion"]), [last.namespace, last.name])
    head = dumps({"kind": f"{res.kind}List", "apiVersion": res.api_version, "metadata": meta})
    return _json(ep, head[:-1] + b',"items":[' + b",".join(r.raw for r in records) + b"]}")


def _limit(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _write_token(version: int, start: list[str]) -> str:
    return base64.urlsafe_b64encode(dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start})).decode()


def _read_token(token: str) -> tuple[int, list[str]]:
    try:
        data = json.loads(base64.urlsafe_b64decode(token))
        return int(data["rv"]), list(data["start"])
    except (ValueError, KeyError, TypeError):
        raise errors.bad_request("continue key is not valid") from None


async def _body(request: web.BaseRequest) -> Any:
    raw = await request.read()
    if not raw:
        return {}
    try:
        return read(raw) if "yaml" in request.content_type else orjson.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise errors.bad_request(f"the object provided is unrecognized: {error}") from None


async def _write(
    ep: Endpoint, request: web.BaseRequest, user: User, verb: str, res: Resource, target: Target
) -> web.Response:
    body = await _body(request)
    dry_run = _dry_run(request, verb)
    if verb == "deletecollection":
        return _delete_collection(ep, request, user, res, target, dry_run)
    text = (await request.read()).decode(errors="replace") if verb == "patch" else ""
    notes = Notes(request.query.get("fieldValidation", ""), text)
    before = ep.store.get(res.table, (target.namespace, target.name))
    code = 200
    if verb == "create":
        if not isinstance(body, dict):
            raise errors.bad_request("the object provided is unrecognized")
        record, code = ep.verbs.create(res, target.namespace, body, dry_run=dry_run, notes=notes), 201
    elif verb == "update":
        record = ep.verbs.update(
            res,
            target.namespace,
            target.name,
            lambda _: body,
            subresource=target.sub,
            dry_run=dry_run,
            replace=True,
            notes=notes,
        )
    elif verb == "patch":
        record = _patch(ep, request, res, target, body, dry_run, notes)
    elif verb == "delete" and not target.sub:
        record = ep.verbs.delete(res, target.namespace, target.name, body, dry_run)
    else:
        raise errors.not_allowed(res.group, res.plural)
    if not dry_run:
        downloads.created(ep, res, verb, record)
    changed = not dry_run and (before is None or record.generation != before.generation)
    _log(ep, request, user.name, verb, body, code, record.generation, changed and res.table == IBU)
    if verb == "delete" and not ep.store.get(res.table, (target.namespace, target.name)) and not dry_run:
        return _json(ep, _deleted(res, record))
    return _json(ep, record.raw, code, notes.headers())


def _delete_collection(
    ep: Endpoint, request: web.BaseRequest, user: User, res: Resource, target: Target, dry_run: bool
) -> web.Response:
    """Delete what the selectors choose, and answer with the list of it."""
    query = request.query
    fields = field_selector(query.get("fieldSelector", ""), res.table)
    matches = both(label_selector(query.get("labelSelector", "")), fields)
    chosen = [r for r in list(ep.store.records(res.table, target.namespace)) if matches is None or matches(r)]
    gone = [ep.verbs.delete(res, r.namespace, r.name, {}, dry_run).parse() for r in chosen]
    _log(ep, request, user.name, "deletecollection", None, 200, None, bool(gone) and res.table == IBU and not dry_run)
    meta = {"resourceVersion": str(ep.store.rv)}
    return _json(ep, {"kind": f"{res.kind}List", "apiVersion": res.api_version, "metadata": meta, "items": gone})


def _dry_run(request: web.BaseRequest, verb: str) -> bool:
    asked = request.query.get("dryRun")
    if asked in (None, "", "All"):
        return asked == "All"
    kind = {"delete": "DeleteOptions", "create": "CreateOptions", "update": "UpdateOptions"}.get(verb, "PatchOptions")
    cause = ("FieldValueNotSupported", f'Unsupported value: "{asked}": supported values: "All"', "dryRun")
    raise errors.invalid("meta.k8s.io", kind, "", [cause])


def _deleted(res: Resource, record: Record) -> dict[str, Any]:
    details = {"name": record.name, "group": res.group, "kind": res.plural, "uid": record.uid}
    if not res.group:
        del details["group"]
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _patch(
    ep: Endpoint, request: web.BaseRequest, res: Resource, target: Target, body: Any, dry_run: bool, notes: Notes
) -> Record:
    kind = request.content_type
    accepted = [patches.JSON, patches.MERGE, *([] if res.custom else [patches.STRATEGIC]), patches.APPLY]
    if kind not in accepted:
        raise errors.unsupported_patch(accepted)
    fits = isinstance(body, list) if kind == patches.JSON else isinstance(body, dict)
    if not fits:
        shape = "[]handlers.jsonPatchOp" if kind == patches.JSON else "map[string]interface {}"
        raise errors.bad_request(f"error decoding patch: json: cannot unmarshal into Go value of type {shape}")
    if kind == patches.APPLY and ep.store.get(res.table, (target.namespace, target.name)) is None:
        body.setdefault("metadata", {}).setdefault("name", target.name)
        return ep.verbs.create(res, target.namespace, body, dry_run=dry_run)

    def change(obj: dict[str, Any]) -> dict[str, Any]:
        if kind != patches.JSON:
            return patches.merge(obj, body)  # type: ignore[no-any-return]
        try:
            return patches.json_patch(obj, body)  # type: ignore[no-any-return]
        except patches.PatchFailed:
            raise errors.unprocessable_patch(res.group, res.plural, target.name) from None

    return ep.verbs.update(
        res, target.namespace, target.name, change, subresource=target.sub, dry_run=dry_run, notes=notes
    )


def _stage(body: Any) -> str | None:
    """The stage that a write asks for, whatever kind of patch it is."""
    if isinstance(body, dict):
        spec = body.get("spec")
        return spec.get("stage") if isinstance(spec, dict) else None
    if isinstance(body, list):
        found = [op.get("value") for op in body if isinstance(op, dict) and op.get("path") == "/spec/stage"]
        return str(found[-1]) if found else None
    return None


def _log(
    ep: Endpoint,
    request: web.BaseRequest,
    user: str,
    verb: str,
    body: Any,
    code: int,
    generation: int | None,
    changed: bool,
    reason: str = "",
) -> None:
    entry = Entry(
        simulated=ep.clock.seconds(),
        real=ep.clock.real(),
        verb=verb,
        path=request.path,
        user=user,
        stage=_stage(body),
        code=code,
        generation=generation,
        dry_run="dryRun" in request.query,
        reason=reason,
    )
    ep.journal.write(entry, changed)


async def _log_refusal(ep: Endpoint, request: web.BaseRequest, verb: str, error: StatusError) -> None:
    try:
        body, user = await _body(request), authenticate(ep, request).name
    except StatusError:
        body, user = None, ""
    _log(ep, request, user, verb, body, error.code, None, False, error.message)
