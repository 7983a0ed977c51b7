# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: per user a list of rules; members of system:masters may do everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fleetsim.auth import User

_ANY = ("*",)


@dataclass(frozen=True)
class Rule:
    """Like an RBAC rule; `*` stands for everything, no namespaces means all of them."""

    verbs: tuple[str, ...] = _ANY
    groups: tuple[str, ...] = _ANY
    resources: tuple[str, ...] = _ANY
    namespaces: tuple[str, ...] = _ANY
    names: tuple[str, ...] = _ANY

    @classmethod
    def of(cls, data: dict[str, Any]) -> Rule:
        return cls(**{key: tuple(value) if isinstance(value, list) else (value,) for key, value in data.items()})

    def covers(self, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        pairs = self._pairs(verb, group, resource, namespace, name)
        return all("*" in allowed or asked in allowed for allowed, asked in pairs)

    def touches(self, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        """Like `covers`, but a question for everything (`*`) touches every rule."""
        pairs = self._pairs(verb, group, resource, namespace, name)
        return all("*" in (*allowed, asked) or asked in allowed for allowed, asked in pairs)

    def _pairs(self, *asked: str) -> Iterable[tuple[tuple[str, ...], str]]:
        return zip((self.verbs, self.groups, self.resources, self.namespaces, self.names), asked, strict=True)


class Rbac:
    """Rules of one API server. `denied` wins over everything but system:masters: it plays a missing permission."""

    def __init__(self, rules: dict[str, Iterable[Rule]] | None = None) -> None:
        self.rules = {user: list(given) for user, given in (rules or {}).items()}
        self.denied: list[Rule] = []

    def allows(self, user: User, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        if user.admin:
            return True
        # everybody who is known may ask what he may do (system:basic-user)
        if group == "authorization.k8s.io" and verb == "create" and user.name != "system:anonymous":
            return True
        if any(rule.touches(verb, group, resource, namespace, name) for rule in self.denied):
            return False
        return any(rule.covers(verb, group, resource, namespace, name) for rule in self.rules.get(user.name, ()))

    def review(self, user: User, review: dict[str, Any]) -> dict[str, Any]:
        """The answer to a SelfSubjectAccessReview."""
        spec = review.get("spec") or {}
        if asked := spec.get("resourceAttributes"):
            resource = asked.get("resource", "*")
            if asked.get("subresource"):
                resource = f"{resource}/{asked['subresource']}"
            allowed = self.allows(
                user,
                asked.get("verb", "*"),
                asked.get("group", ""),
                resource,
                asked.get("namespace", ""),
                asked.get("name", ""),
            )
        else:
            allowed = user.name != "system:anonymous"
        status: dict[str, Any] = {"allowed": allowed}
        if allowed:
            status["reason"] = 'RBAC: allowed by ClusterRoleBinding "fleetsim" of ClusterRole "fleetsim"'
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"creationTimestamp": None},
            "spec": spec,
            "status": status,
        }
