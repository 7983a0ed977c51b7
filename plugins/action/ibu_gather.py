# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collects the logs of many clusters; the documentation is in plugins/modules/ibu_gather.py."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import shutil
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import Method, check_images
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import counted
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import PREFIX, FleetAction, StopOnSignal
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import Disk, human, open_folder, shown
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._gather_host import (
    FAILED,
    KEPT,
    NOT_NEEDED,
    SAVED,
    WOULD,
    HostGather,
    Saved,
    Target,
    Wish,
)

_TICK_SECONDS = 0.25
# How long a stopped run waits for its tools to end. They are asked at once; silent sockets are not waited for.
_END_SECONDS = 15.0


class ActionModule(FleetAction):
    """One archive per cluster, a few clusters at a time."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "folder": {"type": "path", "default": "must-gather"},
        "images": {"type": "list", "elements": "str", "default": ["lifecycle-agent", "oadp"]},
        "method": {"type": "str", "choices": [method.value for method in Method], "default": Method.AUTO.value},
        "oc": {"type": "path", "default": "oc"},
        "only_failed": {"type": "bool", "default": False},
        "before_rollback": {"type": "bool", "default": False},
        "max_age": {"type": "float", "default": 3600},
        "concurrency": {"type": "int", "default": 10},
        "size_limit": {"type": "bytes", "default": "1G"},
        "least_free": {"type": "bytes", "default": "5G"},
        "timeout": {"type": "float", "default": 1200},
        "time_limit": {"type": "float", "default": 0},
        "log_lines": {"type": "int", "default": 0},
        "contact_timeout": {"type": "float", "default": 30},
    }

    def variables(self) -> dict[str, str]:
        """Only what the other plugins of a play call by the same name; the rest is said by the task."""
        return {"contact_timeout": f"{PREFIX}contact_timeout"}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Collect from every host of the batch that needs it."""
        concurrency = _count("concurrency", options["concurrency"], 1)
        wish = self._wish(options)
        disk = Disk(wish.folder, options["least_free"])
        if not self.check_mode:
            disk.check()
        hostvars = task_vars["hostvars"]
        targets = [Target(str(name), hostvars[name]) for name in task_vars["ansible_play_batch"]]
        found = self._run(targets, wish, disk, concurrency, seconds_of("time_limit", options["time_limit"]))
        self._tell_sum(found)
        failed = {name: _verdict(name, saved) for name, saved in found.items() if saved.result == FAILED}
        return {
            "changed": any(saved.result in (SAVED, WOULD) for saved in found.values()),
            "folder": wish.folder,
            "clusters": {name: dataclasses.asdict(saved) for name, saved in found.items()},
            "failed_clusters": failed,
        }

    def _wish(self, options: t.Mapping[str, t.Any]) -> Wish:
        check_images("images", options["images"])
        method = Method(options["method"])
        size_limit = _count("size_limit", options["size_limit"], 1)
        _count("least_free", options["least_free"], 0)
        wish = Wish(
            folder=os.path.abspath(options["folder"]) if self.check_mode else open_folder(options["folder"]),
            images=tuple(options["images"]),
            method=method,
            oc=self._find_oc(options["oc"], method),
            only_failed=options["only_failed"],
            before_rollback=options["before_rollback"],
            max_age=seconds_of("max_age", options["max_age"]),
            size_limit=size_limit,
            seconds=seconds_of("timeout", options["timeout"]),
            log_lines=_count("log_lines", options["log_lines"], 0),
            patience=seconds_of("contact_timeout", options["contact_timeout"]),
            check=self.check_mode,
        )
        return wish

    def _find_oc(self, name: str, method: Method) -> str | None:
        if method is Method.API:
            return None
        found = shutil.which(name)
        if found is None and method is Method.OC:
            raise InvalidOption("oc", name, "it is not there: install it, name its path, or set method to auto")
        if found is None:
            self.show(
                f"{name} is not there, so objects and logs are collected through the API. The host's own logs are not "
                "among them: they need oc adm must-gather."
            )
        return found

    def _run(self, targets: list[Target], wish: Wish, disk: Disk, concurrency: int, limit: float) -> dict[str, Saved]:
        """``limit``: the seconds after which whoever is not saved yet has failed; 0 is none."""
        # ``end`` ends the work on every cluster: because somebody has stopped the run, or because time is up.
        clock, stop, end, parent = Clock(), threading.Event(), threading.Event(), os.getppid()
        found: dict[str, Saved] = {}
        until = clock.monotonic() + limit if limit else None
        with StopOnSignal(stop) as signals:
            pool = concurrent.futures.ThreadPoolExecutor(min(concurrency, max(1, len(targets))))
            waiting = {pool.submit(HostGather(target, wish, disk, clock, end).run): target.name for target in targets}
            pending = set(waiting)
            while pending and not stop.is_set() and not (until is not None and clock.monotonic() >= until):
                done, pending = concurrent.futures.wait(
                    pending, _TICK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    name = waiting[future]
                    found[name] = future.result()
                    self._tell(name, found[name])
                # A killed ansible-playbook leaves its workers behind.
                if os.getppid() != parent:
                    stop.set()
            end.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # The tools are ended first; nobody else would do it.
            concurrent.futures.wait(pending, _END_SECONDS)
            if stop.is_set():
                # Whoever asked for the stop is gone or going.
                os._exit(128 + signals.number)
        for future in pending:
            found[waiting[future]] = _late(future, limit)
            self._tell(waiting[future], found[waiting[future]])
        return {target.name: found[target.name] for target in targets}

    def _tell(self, name: str, saved: Saved) -> None:
        """One line for a cluster that something was done for."""
        if saved.result == NOT_NEEDED:
            return
        what = saved.message
        if saved.archive:
            size = f" {human(saved.bytes)}" if saved.bytes else ""
            what = f"{shown(saved.archive)} ({saved.method}{size})"
        self.show(f"  {name}  {saved.result:<13}  {saved.state or '':<25}  {what}".rstrip())
        for problem in saved.problems:
            self.show(f"    {problem}")
        for left_out in saved.left_out:
            self.show(f"    left out: {left_out}")

    def _tell_sum(self, found: t.Mapping[str, Saved]) -> None:
        counts = {word: sum(saved.result == word for saved in found.values()) for word in _ORDER}
        said = ", ".join(f"{count} {_SAID.get(word, word)}" for word, count in counts.items() if count)
        self.show(f"Logs of {counted(len(found), 'cluster')}: {said or 'nothing to do'}")


_ORDER = (SAVED, KEPT, NOT_NEEDED, WOULD, FAILED)
_SAID = {KEPT: "saved before"}


def _late(future: concurrent.futures.Future[Saved], limit: float) -> Saved:
    """What became of a cluster when the time was over: some end just then."""
    saved = future.result() if future.done() and not future.cancelled() else None
    if saved is not None and saved.result != FAILED:
        return saved
    return Saved(
        FAILED,
        saved.state if saved else None,
        message=f"saving all logs may take {limit:.0f} s, and that time was over: run again, or raise time_limit",
    )


def _verdict(name: str, saved: Saved) -> str:
    return f"{name}: its logs could not be saved: {saved.message}"


def _count(option: str, value: int, least: int) -> int:
    if value < least:
        raise InvalidOption(option, value, f"give {least} or more")
    return int(value)
