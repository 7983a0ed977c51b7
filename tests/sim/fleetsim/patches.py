# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge patch and JSON patch."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386. The target is not changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class PatchFailed(Exception):
    """The JSON patch does not fit the object."""


def _lenient(target: Any, operation: Any) -> Any:
    """The API server's library lets `replace` put what was not there."""
    if operation.get("op") != "replace":
        return operation
    parent, key = jsonpointer.JsonPointer(operation["path"]).to_last(target)
    return {**operation, "op": "add"} if isinstance(parent, dict) and key not in parent else operation


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. The target is not changed."""
    try:
        for operation in operations:
            target = jsonpatch.JsonPatch([_lenient(target, operation)]).apply(target)
        return target
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError) as error:
        raise PatchFailed(str(error)) from error
