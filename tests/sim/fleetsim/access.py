# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that clients use: kubeconfigs, the inventory, control.json."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from fleetsim.cluster import OPERATOR, Cluster
from fleetsim.scenario import Goal
from fleetsim.tls import Authority, Pair

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_private(path: Path, text: str) -> None:
    """0600 from the first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Access:
    """Makes credentials. One key pair per kind of account serves the whole fleet."""

    def __init__(
        self, serving: Authority, clients: Authority, strange_clients: Authority, strange_serving: Authority
    ) -> None:
        self._ca, self._clients = serving, clients
        self._strange_clients, self._strange_serving = strange_clients, strange_serving
        self._pairs: dict[str, Pair] = {}

    def _pair(self, kind: str, user: str = "", groups: tuple[str, ...] = ()) -> Pair:
        key = f"{kind}/{user}"
        if key not in self._pairs:
            self._pairs[key] = {
                "admin": lambda: self._clients.client("system:admin", ("system:masters",)),
                "expired": lambda: self._clients.client("system:admin", ("system:masters",), days=-1),
                "stranger": lambda: self._strange_clients.client("system:admin", ("system:masters",)),
                "user": lambda: self._clients.client(user, groups),
            }[kind]()
        return self._pairs[key]

    def kubeconfig(self, name: str, url: str, credential: dict[str, str], strange_ca: bool = False) -> str:
        ca = self._strange_serving if strange_ca else self._ca
        lines = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in credential.items())
        return (
            "apiVersion: v1\nkind: Config\ncurrent-context: admin\npreferences: {}\n"
            f"clusters:\n- name: {name}\n  cluster:\n    server: {url}\n"
            f"    certificate-authority-data: {_b64(ca.pem)}\n"
            f"users:\n- name: admin\n  user:\n{lines}"
            f"contexts:\n- name: admin\n  context:\n    cluster: {name}\n    user: admin\n"
        )

    def certificate(self, kind: str = "admin", user: str = "", groups: tuple[str, ...] = ()) -> dict[str, str]:
        pair = self._pair(kind, user, groups)
        return {"client-certificate-data": _b64(pair.certificate), "client-key-data": _b64(pair.key)}

    def of_host(self, cluster: Cluster) -> str | None:
        """The kubeconfig that the inventory names, as the cluster's troubles have it. None: there is no file."""
        troubles = cluster.troubles
        if "kubeconfig_missing" in troubles:
            return None
        if "kubeconfig_empty" in troubles:
            return ""
        if "token_only" in troubles:
            credential = {"token": cluster.token}
        elif "expired_token" in troubles:
            credential = {"token": "expired-" + "x" * 32}
        elif "expired_certificate" in troubles:
            credential = self.certificate("expired")
        elif "unknown_certificate" in troubles:
            credential = self.certificate("stranger")
        elif "no_permission" in troubles:
            credential = self.certificate("user", OPERATOR)
        else:
            credential = self.certificate()
        return self.kubeconfig(cluster.name, cluster.endpoint.url, credential, "wrong_ca" in troubles)

    def write_cluster(self, folder: Path, cluster: Cluster) -> None:
        text = self.of_host(cluster)
        if text is not None:
            write_private(folder / f"{cluster.name}.yml", text)
        self.write_users(folder, cluster.name, cluster.endpoint.url, cluster.plan.users)

    def write_users(self, folder: Path, name: str, url: str, users: dict[str, dict[str, Any]]) -> None:
        """A kubeconfig for each account of a server."""
        for user, account in users.items():
            credential = self.certificate("user", user, tuple(account.get("groups") or ()))
            write_private(folder / f"{name}@{user}.yml", self.kubeconfig(name, url, credential))


def goal_variables(goal: Goal) -> dict[str, Any]:
    """The goal as inventory variables."""
    spec = goal.spec()
    found: dict[str, Any] = {"ibu_seed_image_ref": spec["seedImageRef"]}
    for key, name in (
        ("oadpContent", "ibu_oadp_content"),
        ("extraManifests", "ibu_extra_manifests"),
        ("autoRollbackOnFailure", "ibu_auto_rollback_on_failure"),
    ):
        if key in spec:
            found[name] = spec[key]
    if goal.annotations:
        found["ibu_annotations"] = goal.annotations
    return found


def inventory(folder: Path, clusters: list[Cluster], hub: bool) -> str:
    """Group `fleet`. What most clusters want is said once, for the group."""
    goals = {cluster.name: goal_variables(cluster.plan.goal) for cluster in clusters}
    most = json.loads(Counter(json.dumps(goal) for goal in goals.values()).most_common(1)[0][0]) if goals else {}
    common: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        # There is no registry.example.com that could be asked for the seed image.
        "ibu_seed_lookup": "never",
        **most,
    }
    if hub:
        common["ibu_hub_kubeconfig"] = str(folder / "hub.kubeconfig")
    hosts = {}
    for cluster in clusters:
        own = {key: value for key, value in goals[cluster.name].items() if most.get(key) != value}
        hosts[cluster.name] = {"ibu_kubeconfig": str(folder / "kubeconfigs" / f"{cluster.name}.yml"), **own}
    document = {"all": {"children": {"fleet": {"hosts": hosts, "vars": common}}}}
    return "---\n" + yaml.dump(document, Dumper=_DUMPER, sort_keys=False)
