# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source of ansible-rulebook: what happens to the clusters of a hub in their image-based upgrades."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pathlib
import sys
import threading
import typing as t

DOCUMENTATION = r"""
---
short_description: What happens to the clusters of a hub in their image-based upgrades
description:
  - Watches a hub, and tells when an action of a group upgrade has failed or completed on a cluster. One watch for each
    kind of object, whatever the number of clusters.
  - A failure is told as soon as the cluster reports it, with its cause, long before the step of the group upgrade ends.
    A cluster that went silent is told of when the group upgrade gives it up.
  - Each is one event, also over outages of the hub, and over watches that expire. What is there already when the source
    starts is told once, with C(initial) true.
options:
  kubeconfig:
    description: The path of the hub's kubeconfig.
    type: str
  context:
    description: The context in it. When omitted, its current one.
    type: str
  host:
    description: The address of the hub's API, in place of O(kubeconfig).
    type: str
  api_key:
    description: A token for O(host).
    type: str
  ca_cert:
    description: The file with the CA of O(host).
    type: str
  client_cert:
    description: The file with the client certificate for O(host).
    type: str
  client_key:
    description: The file with its key.
    type: str
  validate_certs:
    description: Whether to check the hub's certificate.
    type: bool
    default: true
  watch:
    description:
      - What to watch. V(works) are the ManifestWorks, which bring failures early and with their cause; V(clusters) the
        labels of the ManagedClusters, which bring the verdict of the group upgrade; V(groups) the
        ImageBasedGroupUpgrades, which bring their end, at the price of one large object for every change of a cluster.
    type: list
    elements: str
    choices: [works, clusters, groups]
    default: [works, clusters]
  initial:
    description: Whether to tell what is there already when the source starts.
    type: bool
    default: true
  watch_seconds:
    description: How long one watch lasts before it is opened anew.
    type: int
    default: 300
"""

EXAMPLES = r"""
- sno.image_upgrade.hub:
    kubeconfig: /etc/hub/kubeconfig
    watch: [works, clusters]
"""

_LOG = logging.getLogger("sno.image_upgrade.hub")
_CONNECTION = ("kubeconfig", "context", "host", "api_key", "ca_cert", "client_cert", "client_key", "validate_certs")
_OPTIONS = {*_CONNECTION, "watch", "initial", "watch_seconds"}


def _find_collections() -> None:
    """Make ansible_collections importable: ansible-rulebook itself has no use for Ansible's import hook."""
    try:
        importlib.import_module("ansible_collections.sno.image_upgrade.plugins.module_utils._types")
        return
    except ImportError:
        pass
    try:
        from ansible import constants
        from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
    except ImportError:
        raise RuntimeError("the event source needs ansible-core beside ansible-rulebook") from None
    root = str(pathlib.Path(__file__).absolute().parents[7])
    _AnsibleCollectionFinder([root, *constants.COLLECTIONS_PATHS])._install()


async def main(queue: asyncio.Queue[t.Any], args: dict[str, t.Any]) -> None:
    """Put an event into the queue for everything that happens, until cancelled."""
    _find_collections()
    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._hub_events import HubEvents
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import HAS_KUBERNETES, open_session
    from ansible_collections.sno.image_upgrade.plugins.plugin_utils._hub_watch import KINDS, HubWatch

    if not HAS_KUBERNETES:
        raise RuntimeError(f"the event source needs the Python package kubernetes in {sys.executable}")
    kinds = _checked(args, KINDS)
    options = {name: args[name] for name in _CONNECTION if args.get(name) is not None}
    first = open_session(options)
    events, lock, stop = HubEvents(first.url), threading.Lock(), threading.Event()
    loop = asyncio.get_running_loop()
    ended: asyncio.Queue[BaseException | None] = asyncio.Queue()

    def emit(event: dict[str, t.Any]) -> None:
        if event["initial"] and not args.get("initial", True):
            return
        asyncio.run_coroutine_threadsafe(queue.put({"ibu": event}), loop).result()

    def follow(watch: HubWatch) -> None:
        problem: BaseException | None = None
        try:
            watch.run()
        except BaseException as error:  # noqa: BLE001
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.put_nowait, problem)

    for number, kind in enumerate(kinds):
        watch = HubWatch(
            first if number == 0 else open_session(options),
            KINDS[kind],
            events,
            lock,
            emit=emit,
            say=_LOG.warning,
            clock=Clock(),
            stop=stop,
            seconds=int(args.get("watch_seconds", 300)),
        )
        # A daemon: nobody waits for a socket that is silent for minutes.
        threading.Thread(target=follow, args=(watch,), name=f"hub-{kind}", daemon=True).start()
    try:
        problem = await ended.get()
        if problem is not None:
            raise problem
    finally:
        stop.set()


def _checked(args: dict[str, t.Any], kinds: t.Collection[str]) -> list[str]:
    """What to watch. Raises ValueError with what is wrong."""
    if unknown := sorted(set(args) - _OPTIONS):
        raise ValueError(
            f"sno.image_upgrade.hub: {unknown[0]!r} is no option of it; there are {', '.join(sorted(_OPTIONS))}"
        )
    wanted = args.get("watch", ["works", "clusters"])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not wanted or (strange := sorted(set(wanted) - set(kinds))):
        given = strange[0] if wanted else wanted
        raise ValueError(f"sno.image_upgrade.hub: watch: {given!r} is not valid; give some of {', '.join(kinds)}")
    return list(dict.fromkeys(wanted))
