# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server's error answers, as Status objects with the real reasons, codes and wording."""

from __future__ import annotations

import json
from typing import Any


class StatusError(Exception):
    """A request ends with this Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.headers = headers or {}

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if not self.reason:
            del body["reason"]
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body

    def body(self) -> bytes:
        return json.dumps(self.status(), separators=(",", ":")).encode() + b"\n"


def no_resource() -> StatusError:
    """A path below the core API that names no resource."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


class PageNotFound(Exception):
    """The path belongs to no API: plain text, no Status object."""


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(group: str, kind: str, name: str = "", **more: Any) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    return {**details, **more}


def not_found(group: str, plural: str, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', _details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> StatusError:
    return StatusError(
        409, "AlreadyExists", f'{qualified(plural, group)} "{name}" already exists', _details(group, plural, name)
    )


def conflict(group: str, plural: str, name: str, why: str = "") -> StatusError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: list[tuple[str, str, str]]) -> StatusError:
    """`causes` are (reason, message, field)."""
    lines = [f"{field}: {message}" for _, message, field in causes]
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    listed = [{"reason": reason, "message": message, "field": field} for reason, message, field in causes]
    message = f'{kind}.{group} "{name}" is invalid: {text}' if group else f'{kind} "{name}" is invalid: {text}'
    return StatusError(422, "Invalid", message, _details(group, kind, name, causes=listed))


def forbidden(user: str, verb: str, group: str, resource: str, namespace: str, name: str, sub: str = "") -> StatusError:
    subject = qualified(resource, group) + (f' "{name}"' if name else "")
    full = f"{resource}/{sub}" if sub else resource
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = f'{subject} is forbidden: User "{user}" cannot {verb} resource "{full}" in API group "{group}" {where}'
    return StatusError(403, "Forbidden", message, _details(group, resource, name))


def terminating(group: str, plural: str, name: str, namespace: str) -> StatusError:
    """Nothing new comes into a namespace that is being deleted."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    causes = [{"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}]
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return StatusError(403, "Forbidden", message, _details(group, plural, name, causes=causes))


def forbidden_path(user: str, verb: str, path: str) -> StatusError:
    return StatusError(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def not_allowed(group: str, plural: str) -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, _details(group, plural))


def unsupported_patch(accepted: list[str]) -> StatusError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return StatusError(415, "UnsupportedMediaType", message)


def unprocessable_patch(group: str, plural: str, name: str) -> StatusError:
    """A JSON patch that cannot be applied: the server says no more than this."""
    message = "the server rejected our request due to an error in our request"
    return StatusError(422, "Invalid", message, _details(group, plural, name))


def too_large_version(asked: int, current: int) -> StatusError:
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return StatusError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1}, {"Retry-After": "1"})
