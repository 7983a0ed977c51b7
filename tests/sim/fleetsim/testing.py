# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: a fleet as a context manager, served by a process of its own that cannot outlive the test."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from fleetsim.warm import Warm, WarmProcess

# To import the simulator takes longer than most tests.
_WARM = Warm("fleetsim.__main__")
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0


class FleetError(RuntimeError):
    """The fleet did not start, or refused a call."""


class Control:
    """The control API's client."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        url = f"{self.url}/{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise FleetError(json.load(error)["error"]) from None

    def clusters(self) -> list[dict[str, Any]]:
        """The state of every cluster."""
        return self._call("GET", "clusters")  # type: ignore[no-any-return]

    def state(self, name: str) -> dict[str, Any]:
        return self._call("GET", "state", name=name)  # type: ignore[no-any-return]

    def journal(self, name: str) -> list[dict[str, Any]]:
        """Every write request that the cluster (or `hub`) received, refused ones too."""
        return self._call("GET", "journal", name=name)  # type: ignore[no-any-return]

    def reactions(self) -> dict[str, list[dict[str, Any]]]:
        """Per cluster: when a stage's end became visible, and when the next stage was asked for (time.monotonic())."""
        return self._call("GET", "reactions")  # type: ignore[no-any-return]

    def touched(self) -> list[str]:
        """Clusters whose spec a client changed."""
        return self._call("GET", "touched")  # type: ignore[no-any-return]

    def inject(self, name: str, trouble: str, params: dict[str, Any] | None = None) -> None:
        self._call("POST", "inject", {"name": name, "trouble": trouble, "params": params})

    def heal(self, name: str, trouble: str) -> None:
        self._call("POST", "heal", {"name": name, "trouble": trouble})

    def compact(self, name: str) -> None:
        """Forget the watch history: watches from older versions have expired."""
        self._call("POST", "compact", {"name": name})

    def cut(self, name: str) -> None:
        """Break every open connection of a cluster."""
        self._call("POST", "cut", {"name": name})

    def errors(self, name: str, code: int | None) -> None:
        """Let a cluster or the `hub` answer everything with an HTTP status, or as usual again (None)."""
        self._call("POST", "errors", {"name": name, "code": code})


class Fleet:
    """with Fleet({"clusters": {"count": 3}}) as fleet: ...

    The server ends with the context, and also by itself when this process dies: it holds the reading end of a pipe.
    """

    def __init__(
        self, scenario: dict[str, Any] | Path, directory: Path | None = None, speed: float | None = None
    ) -> None:
        self._scenario, self._speed, self._own = scenario, speed, directory is None
        self.dir = directory or Path(tempfile.mkdtemp(prefix="fleetsim-"))
        self._process: WarmProcess | None = None
        self._life = -1
        self.control: Control

    @property
    def inventory(self) -> Path:
        return self.dir / "inventory.yml"

    @property
    def hub_kubeconfig(self) -> Path:
        return self.dir / "hub.kubeconfig"

    @property
    def pid(self) -> int:
        """Of the server, to look at its memory and CPU."""
        if self._process is None:
            raise FleetError("the fleet is not running")
        return self._process.pid

    def kubeconfig(self, name: str, user: str | None = None) -> Path:
        return self.dir / "kubeconfigs" / (f"{name}@{user}.yml" if user else f"{name}.yml")

    @property
    def registry(self) -> str:
        """HOST:PORT of the registry that has what seed clusters have pushed; where there are such clusters."""
        return str(json.loads((self.dir / "control.json").read_text())["registry"])

    @property
    def environment(self) -> dict[str, str]:
        """For commands that use the fleet: the caller's environment and the fleet's variables."""
        inventory = str(self.inventory)
        ours = {
            "FLEETSIM_DIR": str(self.dir),
            "FLEETSIM_INVENTORY": inventory,
            "FLEETSIM_CONTROL": self.control.url,
            "ANSIBLE_INVENTORY": inventory,
        }
        return {**os.environ, **ours}

    @property
    def log(self) -> str:
        """What the server said."""
        path = self.dir / "fleetsim.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Fleet:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        scenario = self._scenario
        if isinstance(scenario, dict):
            path = self.dir / "scenario.yml"
            path.write_text(yaml.safe_dump(scenario))
            scenario = path
        ready, ready_end = os.pipe()
        life_end, self._life = os.pipe()
        arguments = ["serve", "--scenario", str(Path(scenario).resolve()), "--dir", str(self.dir.resolve())]
        arguments += ["--speed", str(self._speed)] if self._speed else []
        try:
            with (self.dir / "fleetsim.log").open("wb") as log:
                self._process = _WARM.spawn(arguments, log.fileno(), [ready_end, life_end])
            os.close(ready_end)
            ready_end = -1
            if not select.select([ready], [], [], START_TIMEOUT)[0] or not os.read(ready, 16):
                raise FleetError(f"the fleet did not start:\n{self.log}")
        finally:
            for fd in (ready, life_end, ready_end):
                if fd >= 0:
                    os.close(fd)
        self.control = Control(json.loads((self.dir / "control.json").read_text())["url"])

    def __exit__(self, *_: object) -> None:
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        if self._process is not None:
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._own:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.dir)
