# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole fleet: clusters, hub, control API, and the directory of files that clients use."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
from asyncio import sslproto
from pathlib import Path

from aiohttp import web

from fleetsim import access
from fleetsim.clock import SimClock
from fleetsim.cluster import Cluster, World
from fleetsim.control import Control
from fleetsim.endpoint import Endpoint
from fleetsim.hub import Manager, make_hub
from fleetsim.populate import Populator
from fleetsim.resources import load_registries
from fleetsim.scenario import Scenario
from fleetsim.seedregistry import SeedRegistry
from fleetsim.tls import Authority, server_context

CRD_DIR = Path(__file__).resolve().parents[2] / "crds"
_TLS_BUFFER = 16 * 1024  # asyncio takes 256 kB per connection, which a thousand watches feel


def raise_limits() -> None:
    """Each cluster takes two files and each connection one more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class SimFleet:
    """Start it, use the files below `folder`, stop it."""

    def __init__(self, scenario: Scenario, folder: Path, crd_dir: Path | None = CRD_DIR) -> None:
        self.scenario, self.folder, self._crd_dir = scenario, folder.resolve(), crd_dir
        self.clusters: dict[str, Cluster] = {}
        self.hub: Endpoint | None = None
        self._manager: Manager | None = None
        self.access: access.Access
        self._registry: SeedRegistry | None = None
        self._control: asyncio.Server | None = None
        self.control_url = ""

    def endpoint(self, name: str) -> Endpoint:
        if name == "hub" and self.hub is not None:
            return self.hub
        return self.clusters[name].endpoint

    async def start(self) -> None:
        raise_limits()
        sslproto.SSLProtocol.max_size = _TLS_BUFFER
        scenario = self.scenario
        for path in (self.folder, self.folder / "kubeconfigs"):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        serving, clients = Authority("fleetsim-serving"), Authority("fleetsim-clients")
        strange, stranger = Authority("strange-serving"), Authority("strange-clients")
        self.access = access.Access(serving, clients, stranger, strange)
        trusted = [clients.pem, stranger.pem]
        context = server_context(self.folder, "serving", serving.serving(), trusted)
        other = server_context(self.folder, "strange", strange.serving(), trusted)
        clock = SimClock(scenario.speed)
        spoke, hub_registry = load_registries(self._crd_dir)
        populator = Populator(spoke, clock.now())
        world = World(
            clock, spoke, populator, clients.name, context, other, scenario.watch_history, scenario.random_seed
        )
        self.clusters = {plan.name: Cluster(plan, world) for plan in scenario.clusters}
        for cluster in self.clusters.values():
            cluster.power_on()
        await asyncio.gather(*(cluster.started for cluster in self.clusters.values()))
        if scenario.hub:
            everyone = list(self.clusters.values())
            self.hub = make_hub(
                hub_registry, clock, clients.name, everyone, scenario.random_seed, scenario.watch_history, scenario.hub
            )
            if scenario.hub.talm:
                self._manager = Manager(self.hub, everyone, scenario.random_seed, scenario.hub)
                self._manager.start()
            await self.hub.listen(context)
        if seeds := [cluster for cluster in self.clusters.values() if cluster.plan.seedgen is not None]:
            self._registry = SeedRegistry(seeds)
            await self._registry.start()
        await self._open_control()
        self._write_files()

    async def _open_control(self) -> None:
        loop = asyncio.get_running_loop()
        server = web.Server(Control(self).handle, access_log=None)
        self._control = await loop.create_server(server, "127.0.0.1", 0, family=socket.AF_INET)
        port = self._control.sockets[0].getsockname()[1]
        self.control_url = f"http://127.0.0.1:{port}"

    def _write_files(self) -> None:
        for cluster in self.clusters.values():
            self.access.write_cluster(self.folder / "kubeconfigs", cluster)
        if self.hub is not None and self.scenario.hub is not None:
            text = self.access.kubeconfig("hub", self.hub.url, self.access.certificate())
            access.write_private(self.folder / "hub.kubeconfig", text)
            self.access.write_users(self.folder / "kubeconfigs", "hub", self.hub.url, self.scenario.hub.users)
        everyone = list(self.clusters.values())
        (self.folder / "inventory.yml").write_text(access.inventory(self.folder, everyone, self.hub is not None))
        control = {"url": self.control_url, "pid": os.getpid()}
        if self._registry is not None:
            control["registry"] = self._registry.address
        (self.folder / "control.json").write_text(json.dumps(control) + "\n")

    def rewrite_access(self, name: str) -> None:
        """A trouble of credentials came or went."""
        path = self.folder / "kubeconfigs" / f"{name}.yml"
        path.unlink(missing_ok=True)
        self.access.write_cluster(self.folder / "kubeconfigs", self.clusters[name])

    def environment(self) -> dict[str, str]:
        """For commands that use the fleet."""
        inventory = str(self.folder / "inventory.yml")
        return {
            "FLEETSIM_DIR": str(self.folder),
            "FLEETSIM_INVENTORY": inventory,
            "FLEETSIM_CONTROL": self.control_url,
            "ANSIBLE_INVENTORY": inventory,
        }

    async def stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._registry is not None:
            self._registry.stop()
        if self._manager is not None:
            await self._manager.stop()
        endpoints = [self.hub.close()] if self.hub is not None else []
        await asyncio.gather(*(cluster.power_off() for cluster in self.clusters.values()), *endpoints)
