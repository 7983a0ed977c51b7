# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of an AWX in memory, and the rules by which they are made, changed and linked."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import checks
from .kinds import KINDS, REQUIRED, UNIFIED

ENCRYPTED = "$encrypted$"
_LINKS = ("success_nodes", "failure_nodes", "always_nodes")


class Refused(Exception):
    """A request that AWX answers with 400, or another code."""

    def __init__(self, body: Any, code: int = 400) -> None:
        super().__init__(str(body))
        self.body, self.code = body, code


class Store:
    """Everything there is. ``playbooks`` are those that a project of AWX would find in its repository."""

    def __init__(self, playbooks: Iterable[str]) -> None:
        self.playbooks = sorted(playbooks)
        self._next = 1
        self._objects: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        # (kind, id, list) -> ids of its members, in the order in which they came.
        self._lists: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], dict[str, Any]] = {}
        self._secrets: dict[int, dict[str, Any]] = {}

    # -- reading ----------------------------------------------------------------------------------------------------

    def all(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and object of everything in a list, also of the one that has several kinds in it."""
        for one in UNIFIED if kind == "unified_job_templates" else (kind,):
            yield from ((one, item) for item in self._objects[one].values())

    def get(self, kind: str, number: int) -> dict[str, Any]:
        """One object. Raises Refused."""
        found = next((item for _kind, item in self.all(kind) if item["id"] == number), None)
        if found is None:
            raise Refused({"detail": "Not found."}, 404)
        return found

    def members(self, kind: str, number: int, name: str) -> list[int]:
        """The ids of a related list."""
        return self._lists.setdefault((kind, number, name), [])

    def kind_of(self, number: int) -> str:
        """The kind of an object, whose ids are unique over all kinds here."""
        return next(kind for kind, objects in self._objects.items() if number in objects)

    def secret(self, number: int) -> dict[str, Any]:
        """The inputs of a credential as they were given."""
        return self._secrets[number]

    # -- writing ----------------------------------------------------------------------------------------------------

    def create(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new object. Raises Refused."""
        fields = KINDS[kind].fields
        missing = [name for name, default in fields.items() if default is REQUIRED and body.get(name) in (None, "")]
        if missing:
            raise Refused({name: ["This field is required."] for name in missing})
        item = {name: copy.deepcopy(body.get(name, default)) for name, default in fields.items()}
        item["id"] = self._next
        self._complete(kind, item)
        self._check(kind, item)
        self._next += 1
        self._objects[kind][item["id"]] = self._hidden(kind, item)
        return item

    def change(self, kind: str, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of an object. Raises Refused."""
        before = self.get(kind, number)
        item = {**before, **{name: value for name, value in body.items() if name in KINDS[kind].fields}}
        if kind == "credentials":
            kept = self._secrets[number]
            given = item["inputs"].items()
            item["inputs"] = {name: kept.get(name) if value == ENCRYPTED else value for name, value in given}
        self._complete(kind, item)
        self._check(kind, item)
        self._objects[kind][number] = self._hidden(kind, item)
        return self._objects[kind][number]

    def delete(self, kind: str, number: int) -> None:
        """Remove an object from everywhere."""
        self.get(kind, number)
        del self._objects[kind][number]
        for key in [key for key in self._lists if key[:2] == (kind, number)]:
            del self._lists[key]
        for members in self._lists.values():
            members[:] = [member for member in members if member != number]

    def associate(self, kind: str, number: int, name: str, member: int, *, remove: bool) -> None:
        """Put a member into a related list, or take it out. Raises Refused."""
        self.get(kind, number)
        self.get(KINDS[kind].lists[name], member)
        members = self.members(kind, number, name)
        if remove:
            members[:] = [other for other in members if other != member]
        elif member not in members:
            self._check_member(kind, number, name, member)
            members.append(member)

    def set_survey(self, kind: str, number: int, body: dict[str, Any]) -> None:
        """The survey of a template; an empty one removes it. Raises Refused."""
        self.get(kind, number)
        if body and (refusal := checks.survey(body)):
            raise Refused(refusal)
        self.surveys[kind, number] = body

    def create_approval(self, node: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a node one that waits for a person."""
        approval = self.create("workflow_approval_templates", body)
        self.get("workflow_job_template_nodes", node)["unified_job_template"] = approval["id"]
        return approval

    # -- rules ------------------------------------------------------------------------------------------------------

    def _complete(self, kind: str, item: dict[str, Any]) -> None:
        """What AWX fills in by itself."""
        if kind == "job_templates":
            # A job template belongs where its project does.
            item["organization"] = self.get("projects", item["project"])["organization"] if item["project"] else None
        if kind == "inventory_sources":
            item["organization"] = self.get("inventories", item["inventory"])["organization"]

    def _check(self, kind: str, item: dict[str, Any]) -> None:
        for name, target in KINDS[kind].refers.items():
            if item.get(name) is not None:
                try:
                    self.get(target, item[name])
                except Refused:
                    raise Refused({name: [f'Invalid pk "{item[name]}" - object does not exist.']}) from None
        unique = KINDS[kind].unique
        for other in self._objects[kind].values():
            if other["id"] != item["id"] and all(other.get(name) == item.get(name) for name in unique):
                raise Refused({"__all__": [f"{KINDS[kind].type} with this {' and '.join(unique)} already exists."]})
        refusal = getattr(self, f"_check_{kind}", lambda _item: None)(item)
        if refusal:
            raise Refused(refusal)

    def _check_credential_types(self, item: dict[str, Any]) -> checks.Refusal:
        return checks.credential_type(item)

    def _check_credentials(self, item: dict[str, Any]) -> checks.Refusal:
        inputs = self.get("credential_types", item["credential_type"])["inputs"]
        unknown = item["inputs"].keys() - {entry["id"] for entry in inputs.get("fields", [])}
        missing = [name for name in inputs.get("required", []) if not item["inputs"].get(name)]
        return {"inputs": [f"unknown {sorted(unknown)}, missing {missing}"]} if unknown or missing else None

    def _check_inventory_sources(self, item: dict[str, Any]) -> checks.Refusal:
        if item["source"] == "scm" and not item["source_project"]:
            return {"source_project": ["Project required for scm type sources."]}
        return None

    def _check_job_templates(self, item: dict[str, Any]) -> checks.Refusal:
        if item["job_type"] not in ("run", "check"):
            return {"job_type": [f'"{item["job_type"]}" is not a valid choice.']}
        if item["playbook"] not in self.playbooks:
            return {"playbook": ["Playbook not found for project."]}
        return None

    def _check_workflow_job_template_nodes(self, item: dict[str, Any]) -> checks.Refusal:
        target = item["unified_job_template"]
        if target is None:
            return None
        kind = self.kind_of(target)
        template = self.get(kind, target)
        if item["job_type"] and not template.get("ask_job_type_on_launch"):
            return {"job_type": ["Field is not configured to prompt on launch."]}
        asked = {question["variable"] for question in self.surveys.get((kind, target), {}).get("spec", [])}
        ignored = (item["extra_data"] or {}).keys() - asked
        if ignored and not template.get("ask_variables_on_launch"):
            return {"extra_data": [f"Variables {sorted(ignored)} are not allowed on launch."]}
        return None

    def _check_member(self, kind: str, number: int, name: str, member: int) -> None:
        members = self.members(kind, number, name)
        if name == "credentials":
            wanted = self.get("credentials", member)["credential_type"]
            if any(self.get("credentials", other)["credential_type"] == wanted for other in members):
                raise Refused({"error": "Cannot assign multiple credentials of one type."})
        if name in _LINKS:
            if any(member in self.members(kind, number, other) for other in _LINKS):
                raise Refused({"Error": "Relationship not allowed."})
            if number in self._descendants(member):
                raise Refused({"Error": "Cycle detected."})

    def _descendants(self, node: int) -> set[int]:
        found = {node}
        for name in _LINKS:
            for child in self.members("workflow_job_template_nodes", node, name):
                found |= self._descendants(child)
        return found

    def _hidden(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """The object as it is shown: secrets are kept elsewhere."""
        if kind != "credentials":
            return item
        self._secrets[item["id"]] = item["inputs"]
        fields = self.get("credential_types", item["credential_type"])["inputs"]["fields"]
        secret = {entry["id"] for entry in fields if entry.get("secret")}
        shown = {name: ENCRYPTED if name in secret else value for name, value in item["inputs"].items()}
        return {**item, "inputs": shown}
