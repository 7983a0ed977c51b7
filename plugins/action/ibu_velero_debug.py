# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Backups and Restores failed; the documentation is in plugins/modules/ibu_velero_debug.py."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._velero_debug import parse_names
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import PREFIX, FleetAction
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import Disk, open_folder, shown
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._velero_api import Store
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._velero_host import (
    FAILED,
    SAVED,
    WOULD,
    Answers,
    HostVelero,
    Told,
    Wish,
)

_SHOWN = 5


class ActionModule(FleetAction):
    """Finds failed Backups and Restores, or saves what Velero says about them."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "state": {"type": "str", "choices": ["found", "saved"], "default": "saved"},
        "names": {"type": "list", "elements": "str", "default": []},
        "folder": {"type": "path", "default": "velero-debug"},
        "contents": {"type": "bool", "default": False},
        "answers_variable": {"type": "str"},
        "download_requests": {"type": "bool", "default": True},
        "ca_cert": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "proxy": {"type": "str"},
        "max_age": {"type": "float", "default": 3600},
        "timeout": {"type": "float", "default": 60},
        "concurrency": {"type": "int", "default": 20},
        "least_free": {"type": "bytes", "default": "1G"},
        "contact_timeout": {"type": "float", "default": 30},
    }

    def variables(self) -> dict[str, str]:
        """Only what the other plugins of a play call by the same name; the rest is said by the task."""
        return {"contact_timeout": f"{PREFIX}contact_timeout"}

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Ask every host of the batch."""
        if options["concurrency"] < 1:
            raise InvalidOption("concurrency", options["concurrency"], "give 1 or more")
        finding = options["state"] == "found"
        wish = self._wish(options, finding)
        disk = Disk(wish.folder, options["least_free"])
        make_store = functools.partial(Store, options["ca_cert"], options["validate_certs"], options["proxy"])
        make_store()
        if not self.check_mode and not finding:
            disk.check()
        clock, stop = Clock(), threading.Event()
        hosts = self.hosts(task_vars)
        jobs = [
            HostVelero(
                host, wish, _answers(task_vars, host.name, options["answers_variable"]), make_store, disk, clock, stop
            )
            for host in hosts
        ]
        with concurrent.futures.ThreadPoolExecutor(options["concurrency"]) as pool:
            told = dict(zip([host.name for host in hosts], pool.map(HostVelero.run, jobs), strict=True))
        if not finding:
            for name, one in told.items():
                self._tell(name, one)
        return {
            "changed": any(one.result in (SAVED, WOULD) for one in told.values()),
            "folder": wish.folder,
            "clusters": {name: dataclasses.asdict(one) for name, one in told.items()},
            "failed_clusters": {name: f"{name}: {one.message}" for name, one in told.items() if one.result == FAILED},
        }

    def _wish(self, options: t.Mapping[str, t.Any], finding: bool) -> Wish:
        return Wish(
            folder=os.path.abspath(options["folder"]) if self.check_mode or finding else open_folder(options["folder"]),
            names=tuple(parse_names("names", options["names"])),
            contents=options["contents"],
            ask_store=options["download_requests"],
            max_age=seconds_of("max_age", options["max_age"]),
            seconds=seconds_of("timeout", options["timeout"]),
            patience=seconds_of("contact_timeout", options["contact_timeout"]),
            check=self.check_mode,
            only_find=finding,
        )

    def _tell(self, name: str, told: Told) -> None:
        """What a person wants to know first."""
        objects = ", ".join(f"{one['kind']}/{one['name']} {one['phase']}" for one in told.objects)
        self.show(f"  {name}  {told.result:<10}  {told.message or objects or 'no Backup or Restore has failed'}")
        for title, texts in (("error", told.errors), ("warning", told.warnings), ("not had", told.problems)):
            for text in texts[:_SHOWN]:
                self.show(f"    {title}: {text}")
            if len(texts) > _SHOWN:
                self.show(f"    ... and {len(texts) - _SHOWN} more")
        if told.folder:
            self.show(f"    all of it: {shown(told.folder)}{os.sep}summary.txt")


def _answers(task_vars: t.Mapping[str, t.Any], host: str, variable: str | None) -> Answers:
    """What kubernetes.core.k8s_exec has brought, as a task with a loop over ``commands`` registers it."""
    registered = task_vars["hostvars"][host].get(variable) if variable else None
    found: dict[tuple[str, str, str], tuple[int, str, str]] = {}
    for one in (registered or {}).get("results") or ():
        item = one.get(str(one.get("ansible_loop_var", "item"))) or {}
        if item:
            code = one.get("rc")
            error = str(one.get("stderr") or one.get("msg") or "")
            key = (str(item["kind"]), str(item["name"]), str(item["what"]))
            found[key] = (1 if code is None else int(code), str(one.get("stdout") or ""), error)
    return found
