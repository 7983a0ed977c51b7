# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lifecycle Agent's other half: from a cluster to a seed image.

It reacts to the creation of a SeedGenerator alone. While the imager runs there is no API; the SeedGenerator, its Secret
and the ImageBasedUpgrade are deleted before, and come back, as other objects, after it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetsim import ibu
from fleetsim.health import health
from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE, Api, Object
from fleetsim.resources import CRDS, IBU
from fleetsim.store import Event, clone

if TYPE_CHECKING:
    from fleetsim.cluster import Cluster

TABLE = "seedgenerators.lca.openshift.io"
NAME = "seedimage"
SECRET, KEY = "seedgen", "seedAuth"
KLUSTERLET_CRD = "klusterlets.operator.open-cluster-management.io"
ADDON_PREFIX = "open-cluster-management-addon-"
DNSMASQ = "/usr/local/bin/dnsmasq_config.sh"
OADP_LEAST = (1, 3, 1)
DUMMY = '{"auths":{"registry.example.com":{"auth":"' + base64.b64encode(b"empty:empty").decode() + '"}}}'
REAL = '{"auths":{"quay.io":{"auth":"' + base64.b64encode(b"pull:only-for-the-cluster-5hQ2").decode() + '"}}}'
PUSH = (
    '{"auths":{"registry.example.com":{"auth":"' + base64.b64encode(b"push:only-for-the-cluster-5hQ2").decode() + '"}}}'
)
HEALTH_EVERY = 20.0

_LEFTOVER_NAMESPACES = ("open-cluster-management-agent", "assisted-installer")

# Failures while it runs: where they strike, and the agent's words.
FAILURES: dict[str, str] = {
    "check": "Failure occurred during check for ACM addons: {err}",
    "recert": "failed to pull recert image: {err}",
    "cleanup": "failed to cleanup resources: {err}",
    "sanitize": "failed sanitizing cluster's pull-secret: {err}",
    "launch": "imager failed: {err}",
    "imager": "Seed generation failed: imager container status check failed: expected container exit code 0, "
    "found: {exit_code}",
    "lost": "",  # the agent cannot restore what it has saved, and does not start
}


@dataclass
class SeedPlan:
    """What the scenario says of a cluster that shall become a seed. The defaults make one that is fit for it.

    `secret`: valid, no_key or missing. `set_default`, `storage` and `dnsmasq` are the node's own. `fails` is one of
    FAILURES. `push: false`: the registry does not have the image afterwards. `gitops`: a deleted ManagedCluster is made
    again. `stays`: the klusterlet's CRD is left when the hub has let go.
    """

    attached: bool = False
    addons: list[str] = field(default_factory=list)
    gitops: bool = False
    stays: bool = False
    set_default: bool = True
    storage: bool = True
    dnsmasq: bool = True
    secret: str = "valid"
    sanitized: bool = False
    fails: str = ""
    err: str = "context deadline exceeded"
    exit_code: int = 125
    push: bool = True
    detach: float = 60
    stabilize: float = 5
    recert: float = 30
    clean: float = 120
    image: float = 900
    restore: float = 30

    def __post_init__(self) -> None:
        if self.fails and self.fails not in FAILURES:
            raise ValueError(f"fails: {self.fails} is none of {', '.join(FAILURES)}")
        if self.secret not in ("valid", "no_key", "missing"):
            raise ValueError(f"secret: {self.secret} is none of valid, no_key, missing")


def _secret(namespace: str, name: str, key: str, text: str) -> Object:
    data = {key: base64.b64encode(text.encode()).decode()} if key else {}
    kind = "kubernetes.io/dockerconfigjson" if key == ".dockerconfigjson" else "Opaque"
    return {"metadata": {"name": name, "namespace": namespace}, "type": kind, "data": data}


def objects(plan: SeedPlan) -> list[tuple[str, Object]]:
    """What a cluster of this plan has beside what every cluster has: table and object."""
    pull = _secret("openshift-config", "pull-secret", ".dockerconfigjson", DUMMY if plan.sanitized else REAL)
    found: list[tuple[str, Object]] = [("secrets", pull)]
    if plan.secret != "missing":
        found.append(("secrets", _secret(LCA_NAMESPACE, SECRET, KEY if plan.secret == "valid" else "", PUSH)))
    names = [f"{ADDON_PREFIX}{name}" for name in plan.addons]
    if plan.attached:
        names += [_LEFTOVER_NAMESPACES[0], f"{_LEFTOVER_NAMESPACES[0]}-addon"]
    found += [("namespaces", {"metadata": {"name": name}, "status": {"phase": "Active"}}) for name in names]
    finished = {"spec": {"containers": [{"name": "job", "image": "registry.example.com/job:1"}]}}
    done = {"metadata": {"name": "finished", "namespace": "app"}, "status": {"phase": "Succeeded"}, **finished}
    found.append(("pods", done))
    return found


# Where the cluster's own configuration has none.
MOUNT: Object = {
    "name": "var-lib-containers.mount",
    "enabled": True,
    "contents": "[Mount]\nWhat=/dev/disk/by-partlabel/varlibcontainers\nWhere=/var/lib/containers\n",
}

# What a cluster has that no seed may have.
WITHOUT = (
    ("dataprotectionapplications.oadp.openshift.io", OADP_NAMESPACE, "dpa"),
    ("backupstoragelocations.velero.io", OADP_NAMESPACE, "dpa-1"),
    ("persistentvolumeclaims", "app", "app-data"),
    ("persistentvolumes", "", "pv-app"),
)


def node_config(plan: SeedPlan, unit: Object | None) -> Object:
    """The Ignition part of the node's MachineConfig."""
    files = [{"path": DNSMASQ, "mode": 0o755, "contents": {"source": "data:,"}}] if plan.dnsmasq else []
    units = [unit] if plan.storage and unit else []
    return {"ignition": {"version": "3.4.0"}, "storage": {"files": files}, "systemd": {"units": units}}


class _Refused(Exception):
    """The agent does not begin, or gives up."""


class SeedAgent:
    """Makes the seed images of one cluster."""

    def __init__(self, cluster: Cluster, api: Api, plan: SeedPlan) -> None:
        self._cluster, self._api, self._plan = cluster, api, plan
        self._clock = cluster.world.clock
        self._restoring = False
        self.pushed: list[str] = []
        self.pushed_at: dict[str, float] = {}
        self.messages: list[str] = []
        cluster.endpoint.store.subscribe(TABLE, self._hear)

    def _hear(self, event: Event | None) -> None:
        if event is not None and event.type == "ADDED" and not self._restoring:
            asyncio.get_running_loop().call_soon(self._start, event.record.uid)

    def _start(self, uid: str) -> None:
        self._cluster.machine.background(self._generate(uid))

    # -- status -------------------------------------------------------------------------------------------------

    async def _conditions(self, *wanted: tuple[str, bool, str, str]) -> None:
        found = await self._api.get(TABLE, NAME)
        if found is None:
            return
        status = clone(found.get("status") or {})
        generation = found["metadata"].get("generation", 1)
        for kind, value, reason, message in wanted:
            ibu.set_condition(status, kind, value, reason, message, generation, self._clock.now())
        status["observedGeneration"] = generation
        await self._api.set_status(TABLE, NAME, status)

    async def _say(self, message: str) -> None:
        self.messages.append(message)
        await self._conditions(("SeedGenInProgress", True, "InProgress", message))

    async def _fail(self, message: str) -> None:
        self.messages.append(message)
        await self._conditions(
            ("SeedGenCompleted", False, "Failed", f"Seed generation failed: {message}"),
            ("SeedGenInProgress", False, "Failed", message),
        )

    async def _complete(self) -> None:
        text = "Seed Generation completed"
        self.messages.append(text)
        await self._conditions(
            ("SeedGenInProgress", False, "Completed", text), ("SeedGenCompleted", True, "Completed", text)
        )

    # -- validation ---------------------------------------------------------------------------------------------

    async def refusal(self) -> str:
        """Why the agent does not begin; empty where it does. The order is the agent's."""
        checks: tuple[Callable[[], Awaitable[str]], ...] = (
            self._ostree,
            self._storage,
            self._hub,
            self._addons,
            self._dnsmasq,
            self._pull_secret,
            self._volumes,
            self._local_volumes,
            self._lvm_clusters,
            self._protections,
            self._oadp,
        )
        for check in checks:
            if text := await check():
                return text
        return ""

    async def _ostree(self) -> str:
        there = self._plan.set_default
        return "" if there else 'Rejected: Installed release does not support "ostree admin set-default" feature'

    async def _storage(self) -> str:
        return "" if self._plan.storage else "Rejected: Cluster must be configured with shared container storage"

    async def _hub(self) -> str:
        found = await self._api.get(CRDS, KLUSTERLET_CRD)
        return "Rejected: Cluster must be detached from hub prior to seed generation" if found else ""

    async def _addons(self) -> str:
        if self._plan.fails == "check":
            return FAILURES["check"].format(err=self._plan.err)
        names = [one["metadata"]["name"] for one in await self._api.list("namespaces")]
        found = [name for name in names if name.startswith(ADDON_PREFIX)]
        return f"Rejected due to presence of ACM addon(s): {', '.join(found)}" if found else ""

    async def _dnsmasq(self) -> str:
        return "" if self._plan.dnsmasq else "Rejected due to system missing dnsmasq config required for IBU"

    async def _pull_secret(self) -> str:
        found = await self._api.get("secrets", "pull-secret", "openshift-config")
        text = base64.b64decode(((found or {}).get("data") or {}).get(".dockerconfigjson") or "").decode()
        if text != DUMMY:
            return ""
        return "Rejected due to invalid cluster pull-secret (previously sanitized without proper restore)"

    async def _none(self, table: str, what: str, namespace: str = "") -> str:
        return (
            f"Rejected: Cluster must not have any {what} configured" if await self._api.list(table, namespace) else ""
        )

    async def _volumes(self) -> str:
        return await self._none("persistentvolumes", "Persistent Volumes")

    async def _local_volumes(self) -> str:
        return await self._none("localvolumes.local.storage.openshift.io", "LocalVolumes")

    async def _lvm_clusters(self) -> str:
        return await self._none("lvmclusters.lvm.topolvm.io", "LVMClusters")

    async def _protections(self) -> str:
        table = "dataprotectionapplications.oadp.openshift.io"
        return await self._none(table, "DataProtectionApplication resources", OADP_NAMESPACE)

    async def _oadp(self) -> str:
        for csv in await self._api.list("clusterserviceversions.operators.coreos.com", OADP_NAMESPACE):
            name, _dot, version = csv["metadata"]["name"].partition(".v")
            if name.endswith("oadp-operator") and tuple(map(int, version.split("."))) < OADP_LEAST:
                return "Rejected: Cluster must have OADP version >= 1.3.1"
        return ""

    # -- the run ------------------------------------------------------------------------------------------------

    async def _generate(self, uid: str) -> None:
        while "lca_not_ready" in self._cluster.troubles:
            await self._clock.sleep(20)
        try:
            await self._prepare(uid)
        except _Refused as refused:
            await self._fail(str(refused))
            return
        await self._image()

    async def _prepare(self, uid: str) -> None:
        plan = self._plan
        if text := await self.refusal():
            raise _Refused(text)
        await self._say("Waiting for system to stabilize")
        while problems := await health(self._api):
            await self._say(f"Waiting for system to stabilize: {problems}")
            await self._clock.sleep(HEALTH_EVERY)
            self._check(await self._api.get(TABLE, NAME), uid)
        await self._clock.sleep(plan.stabilize)
        await self._say("Starting seed generation")
        await self._say("Pulling recert image")
        await self._clock.sleep(plan.recert)
        self._strike("recert")
        await self._say("Preparing for seed generation")
        secret = await self._api.get("secrets", SECRET, LCA_NAMESPACE)
        if secret is None:
            raise _Refused(f'could not access secret {SECRET} in {LCA_NAMESPACE}: secrets "{SECRET}" not found')
        if not (secret.get("data") or {}).get(KEY):
            raise _Refused(f"could not find {KEY} in {SECRET} secret")
        await self._say("Cleaning cluster resources")
        await self._clean()
        self._check(await self._api.get(TABLE, NAME), uid)
        await self._say("Launching imager container")
        self._strike("launch")

    @staticmethod
    def _check(found: Object | None, uid: str) -> None:
        """A client has deleted the SeedGenerator: nobody is told any more."""
        if found is None or found["metadata"]["uid"] != uid:
            raise _Refused("deleted")

    def _strike(self, where: str) -> None:
        if self._plan.fails == where:
            raise _Refused(FAILURES[where].format(err=self._plan.err))

    async def _clean(self) -> None:
        self._strike("cleanup")
        for crd in await self._api.list(CRDS):
            if crd["metadata"]["name"].endswith(".open-cluster-management.io"):
                await self._api.delete(CRDS, crd["metadata"]["name"])
        for one in await self._api.list("namespaces"):
            if one["metadata"]["name"].startswith(_LEFTOVER_NAMESPACES):
                await self._api.delete("namespaces", one["metadata"]["name"])
        for pod in await self._api.list("pods"):
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                await self._api.delete("pods", pod["metadata"]["name"], pod["metadata"]["namespace"])
        await self._put_pull_secret(DUMMY)
        await self._clock.sleep(self._plan.clean)
        self._strike("sanitize")

    async def _put_pull_secret(self, text: str) -> None:
        data = {".dockerconfigjson": base64.b64encode(text.encode()).decode()}
        await self._api.merge("secrets", "pull-secret", {"data": data}, "openshift-config")

    # -- the imager ---------------------------------------------------------------------------------------------

    async def _image(self) -> None:
        plan, machine = self._plan, self._cluster.machine
        saved = clone(await self._api.get(TABLE, NAME) or {})
        secret = clone(await self._api.get("secrets", SECRET, LCA_NAMESPACE) or {})
        machine.seeding = True
        await self._api.delete("secrets", SECRET, LCA_NAMESPACE)
        await self._api.delete(TABLE, NAME)
        await self._api.delete(IBU, ibu.NAME)
        machine.phase = "Seed/Imager"
        await self._clock.sleep(2)
        await machine.platform.stop()
        await self._clock.sleep(plan.image)
        while "imager_hangs" in self._cluster.troubles:
            await self._clock.sleep(HEALTH_EVERY)
        if plan.fails != "imager" and plan.push:
            image = saved["spec"]["seedImage"]
            self.pushed.append(image)
            self.pushed_at[image] = self._clock.seconds()
        await self._cluster.relisten()
        if self._cluster.klusterlet is not None:
            self._cluster.klusterlet.powered(True)
        machine.phase = "Seed/Boot"
        await self._clock.sleep(plan.restore)
        if plan.fails == "lost":
            return
        await self._restore(saved, secret)
        if plan.fails == "imager":
            await self._fail(FAILURES["imager"].format(exit_code=plan.exit_code))
        else:
            await self._complete()

    async def _restore(self, saved: Object, secret: Object) -> None:
        await self._api.create("secrets", _bare(secret))
        self._restoring = True
        await self._api.create(TABLE, _bare(saved))
        self._restoring = False
        await self._clock.sleep(1)
        await self._api.set_status(TABLE, NAME, saved.get("status") or {})
        await self._say("Finalizing seed generation")
        machine = self._cluster.machine
        machine.seeding, machine.phase = False, "Idle"
        machine.notify()
        await self._put_pull_secret(REAL)
        await self._clock.sleep(self._plan.restore)

    def state(self) -> dict[str, Any]:
        return {"pushed": list(self.pushed), "messages": list(self.messages)}


def _bare(obj: Object) -> Object:
    meta = {
        key: value for key, value in obj["metadata"].items() if key in ("name", "namespace", "labels", "annotations")
    }
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}


def pull_secret_is_dummy(secret: Object) -> bool:
    """For tests."""
    text = base64.b64decode(secret["data"][".dockerconfigjson"]).decode()
    return bool(json.loads(text) == json.loads(DUMMY))
