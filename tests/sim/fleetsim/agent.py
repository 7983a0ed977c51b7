# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lifecycle Agent: one life of it, from its start in a booted stateroot to the next reboot.

It only knows the interfaces of `ports`, so the same agent runs on the simulated API and on a real API server.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

from fleetsim import ibu
from fleetsim.health import health
from fleetsim.ports import Api, Object
from fleetsim.resources import IBU, IPCONFIG
from fleetsim.store import clone

if TYPE_CHECKING:
    from fleetsim.machine import Machine

HEALTH_EVERY = 20.0
BLOCKED_EVERY = 30.0


class StageFailed(Exception):
    """The stage ends as failed, with this text as InProgress message."""


class Superseded(Exception):
    """Another stage was asked for, or the object was replaced: begin again from what is there now."""


class Reboot(Exception):
    """The machine leaves this stateroot."""

    def __init__(self, target: str, automatic: str | None = None) -> None:
        super().__init__(target)
        self.target = target
        self.automatic = automatic  # the message of an automatic rollback


class Agent:
    """Reconciles the ImageBasedUpgrade of one cluster."""

    def __init__(self, machine: Machine, api: Api) -> None:
        self.machine, self.api = machine, api
        self.clock, self.troubles = machine.clock, machine.troubles
        self.stage = ""
        self.generation = 0
        self.uid = ""
        self.spec: Object = {}
        self.annotations: dict[str, str] = {}
        self.status: ibu.Status = {}
        self._wake: asyncio.Future[None] | None = None
        self._dirty = False

    # -- life ---------------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """The IBU or the troubles of this cluster changed."""
        self._dirty = True
        if self._wake and not self._wake.done():
            self._wake.set_result(None)

    async def run(self) -> NoReturn:
        """Until a Reboot."""
        await self._recover()
        while True:
            while self._absent():
                await self._wait(None)
            found = await self.api.get(IBU, ibu.NAME)
            if found is None:
                await self._recreate()
                continue
            self._load(found)
            seen = self._fingerprint(found)
            with contextlib.suppress(Superseded):
                await self._reconcile()
                await self.write()
                await self._until_changed(seen)

    def _absent(self) -> bool:
        """Nobody is at home: the agent is not there, not ready, or has nothing to look at."""
        if self.machine.seeding or "lca_not_ready" in self.troubles or "lca_missing" in self.troubles:
            return True
        return any((self.troubles.get(name) or {}).get("when") == "start" for name in ("no_cr", "no_crd"))

    async def _recover(self) -> None:
        """First thing after a start: put back the copy that was saved before the reboot."""
        root = self.machine.root
        if root.saved is None:
            return
        saved, root.saved = root.saved, None
        await self.api.delete(IBU, ibu.NAME)
        await self._restore(saved)

    async def _restore(self, saved: Object) -> None:
        meta = {k: v for k, v in saved["metadata"].items() if k in ("name", "annotations", "labels")}
        obj = {"apiVersion": "lca.openshift.io/v1", "kind": "ImageBasedUpgrade", "metadata": meta}
        await self.api.create(IBU, {**obj, "spec": clone(saved["spec"])})
        await self.clock.sleep(self.machine.delay("status"))
        if saved.get("status"):
            await self.api.set_status(IBU, ibu.NAME, clone(saved["status"]))

    async def _recreate(self) -> None:
        """The CR is gone. Idle or Rollback failed: a fresh one; otherwise the one that was, with its status."""
        fresh = not self.status or ibu.is_true(self.status, "Idle") or ibu.outcome(self.status, "Rollback") == "failed"
        spec = {"stage": "Idle", "seedImageRef": {}} if fresh else self.spec
        status = {} if fresh else self.status
        meta = {"name": ibu.NAME, "annotations": {} if fresh else self.annotations}
        if not meta["annotations"]:
            del meta["annotations"]
        self.status = {}
        await self._restore({"metadata": meta, "spec": spec, "status": status})

    def _load(self, found: Object) -> None:
        meta = found["metadata"]
        self.uid, self.generation = meta["uid"], meta.get("generation", 1)
        self.annotations = dict(meta.get("annotations") or {})
        self.spec, self.stage = found["spec"], found["spec"].get("stage", "Idle")
        self.status = clone(found.get("status") or {})

    @staticmethod
    def _fingerprint(found: Object) -> tuple[Any, ...]:
        """What the agent reacts to: creation, spec changes and two annotations."""
        meta = found["metadata"]
        notes = meta.get("annotations") or {}
        cleanup, trigger = notes.get(ibu.MANUAL_CLEANUP), notes.get(ibu.TRIGGER_RECONCILE)
        return (meta["uid"], meta.get("generation"), cleanup, trigger)

    async def _until_changed(self, seen: tuple[Any, ...]) -> None:
        while True:
            found = await self.api.get(IBU, ibu.NAME)
            if found is None or self._fingerprint(found) != seen:
                return
            await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        """Until something changes, or for so many simulated seconds."""
        if self._dirty:
            self._dirty = False
            return
        self._wake = asyncio.get_running_loop().create_future()
        timer = None if seconds is None else self.clock.call_later(seconds, self._time_over, self._wake)
        try:
            await self._wake
        finally:
            self._dirty = False
            self._wake = None
            if timer is not None:
                timer.cancel()

    @staticmethod
    def _time_over(wake: asyncio.Future[None]) -> None:
        if not wake.done():
            wake.set_result(None)

    async def pause(self, seconds: float) -> None:
        """Let simulated time pass; leaves with Superseded when another stage is asked for meanwhile."""
        end = self.clock.seconds() + seconds
        while (left := end - self.clock.seconds()) > 1e-6:
            await self._wait(left)
            found = await self.api.get(IBU, ibu.NAME)
            if found is None or found["metadata"]["uid"] != self.uid or found["spec"].get("stage") != self.stage:
                self._dirty = True
                raise Superseded
            self.annotations = dict(found["metadata"].get("annotations") or {})

    async def hang(self, name: str, **params: Any) -> None:
        """Stay here for as long as the trouble with these parameters lasts."""
        while (active := self.troubles.get(name)) and all(active.get(k) == v for k, v in params.items()):
            await self.pause(3600)

    # -- reconcile ----------------------------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        from fleetsim import stage_idle, stage_prep, stage_rollback, stage_upgrade

        await self._ipconfig_gate()
        handlers = {
            "Idle": stage_idle.run,
            "Prep": stage_prep.run,
            "Upgrade": stage_upgrade.run,
            "Rollback": stage_rollback.run,
        }
        self.machine.phase = self.stage
        await handlers[self.stage](self)

    async def _ipconfig_gate(self) -> None:
        """IBU and IPConfig block each other: wait until the other one is idle."""
        trouble = self.troubles.get("blocked_by_ipconfig")
        if trouble and self.stage != "Idle":
            self.troubles.remove("blocked_by_ipconfig")
            await self._occupy_ipconfig(float(trouble["seconds"]))
        while await self._ipconfig_busy():
            kind = "Idle" if self.stage == "Idle" else f"{self.stage}InProgress"
            self.machine.phase = "Blocked"
            self.set(kind, False, "Blocked", "IPC is not idle")
            self.status["observedGeneration"] = self.generation
            if kind == "Idle":
                self.status["validNextStages"] = ["Idle"]
            await self._put()
            await self.pause(BLOCKED_EVERY)
        kind = "Idle" if self.stage == "Idle" else f"{self.stage}InProgress"
        if ibu.reason(self.status, kind) == "Blocked":
            ibu.drop_condition(self.status, kind)

    async def _occupy_ipconfig(self, seconds: float) -> None:
        config = await self.api.get(IPCONFIG, "ipconfig")
        if config is None:
            return
        status: ibu.Status = {"conditions": []}
        ibu.set_condition(status, "Idle", False, "InProgress", "In progress", 2, self.clock.now())
        ibu.set_condition(status, "ConfigInProgress", True, "InProgress", "In progress", 2, self.clock.now())
        await self.api.merge(IPCONFIG, "ipconfig", {"spec": {"stage": "Config"}})
        await self.api.set_status(IPCONFIG, "ipconfig", status)
        self.machine.background(self._release_ipconfig(seconds))

    async def _release_ipconfig(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        status: ibu.Status = {"validNextStages": ["Config"]}
        ibu.set_condition(status, "Idle", True, "Idle", "Idle", 3, self.clock.now())
        await self.api.merge(IPCONFIG, "ipconfig", {"spec": {"stage": "Idle"}})
        await self.api.set_status(IPCONFIG, "ipconfig", status)

    async def _ipconfig_busy(self) -> bool:
        config = await self.api.get(IPCONFIG, "ipconfig")
        if config is None:
            return False
        status = config.get("status") or {}
        if not status.get("conditions"):
            return False
        return not (config["spec"].get("stage") == "Idle" and ibu.is_true(status, "Idle"))

    # -- status -------------------------------------------------------------------------------------------------

    @property
    def pivoted(self) -> bool:
        """After the pivot: the booted stateroot is the one of the seed's version."""
        version = (self.spec.get("seedImageRef") or {}).get("version", "")
        return bool(version) and self.machine.booted == ibu.osname(version)

    def set(self, kind: str, value: bool, why: str, message: str) -> None:
        ibu.set_condition(self.status, kind, value, why, message, self.generation, self.clock.now())

    async def say(self, message: str) -> None:
        """The stage is in progress, with this message."""
        self.set(f"{self.stage}InProgress", True, "InProgress", message)
        await self.write()

    async def write(self) -> None:
        """Put the status on the cluster. A status that did not change costs nothing and wakes nobody."""
        self.status["observedGeneration"] = self.generation
        stages = ibu.next_stages(self.status, self.pivoted)
        if stages:
            self.status["validNextStages"] = stages
        else:
            self.status.pop("validNextStages", None)
        await self._put()

    async def _put(self) -> None:
        await self.api.set_status(IBU, ibu.NAME, {key: self.status[key] for key in sorted(self.status)})

    async def fail(self, message: str) -> None:
        """Completed=False first, InProgress=False with the detail last."""
        self.machine.phase = f"{self.stage} failed"
        self.set(f"{self.stage}Completed", False, "Failed", f"{self.stage} failed")
        self.set(f"{self.stage}InProgress", False, "Failed", message)
        await self.write()

    async def complete(self, message: str, detail: str) -> None:
        self.machine.phase = f"{self.stage} completed"
        ibu.end_stage(self.status, self.stage, self.clock.now())
        self.set(f"{self.stage}InProgress", False, "Completed", message)
        self.set(f"{self.stage}Completed", True, "Completed", detail)
        await self.write()

    async def refuse(self, message: str) -> None:
        """The stage was asked for in a wrong state (the API's rules were not in force)."""
        kind = "Idle" if self.stage == "Idle" else f"{self.stage}InProgress"
        self.set(kind, False, "InvalidTransition", message)
        await self.write()

    def clear_refusals(self) -> None:
        """A valid transition takes the marks of refused ones away."""
        for kind in ("PrepInProgress", "UpgradeInProgress", "RollbackInProgress"):
            if ibu.reason(self.status, kind) == "InvalidTransition":
                ibu.drop_condition(self.status, kind)
        if self.stage != "Idle" and ibu.reason(self.status, "Idle") == "InvalidTransition":
            self.set("Idle", False, "InProgress", "In progress")

    def phase(self, name: str) -> None:
        self.machine.phase = f"{self.stage}/{name}"
        ibu.start_phase(self.status, self.stage, name, self.clock.now())

    def end_phase(self, name: str) -> None:
        ibu.end_phase(self.status, self.stage, name, self.clock.now())

    async def annotate(self, key: str, value: str | None) -> None:
        if self.annotations.get(key) != value:
            found = await self.api.merge(IBU, ibu.NAME, {"metadata": {"annotations": {key: value}}})
            self.annotations = dict(found["metadata"].get("annotations") or {})

    async def stable(self, text: str, mandatory: bool = True, deferred: bool = True, idle: str = "") -> None:
        """The health gate: wait for ever, and say for what. `idle` is the Idle reason where that is the stage."""
        patience = self.machine.durations.of("health")
        while problems := await health(self.api, mandatory, deferred):
            self.machine.phase = f"{self.stage}/Health"
            if idle:
                self.set("Idle", False, idle, text + problems)
                await self.write()
            else:
                await self.say(text + problems)
            await self.pause(HEALTH_EVERY)
        await self.pause(patience)

    def rollback_enabled(self, what: str) -> bool:
        return self.annotations.get(ibu.AUTO_ROLLBACK + what) != "Disabled"
