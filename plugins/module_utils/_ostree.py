# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What may be done to the stateroots of a node: its state in, the next steps or a refusal out. No I/O.

The plan is made anew from a fresh reading before every single step. Indices shift after each change, and whoever was
interrupted goes on from what the node says, so nothing here remembers what was done before.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

# No slash, no blank, nothing that begins like an option or a hidden file, and so neither "." nor "..".
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Unreadable(IbuError):
    """What the node says of its deployments cannot be understood, so nothing may be decided from it."""


class Refusal(IbuError):
    """The node is as it should be understood, and that is why this is not done to it."""


@dataclass(frozen=True)
class Deployment:
    """One bootable root. ``index`` is its place in the boot order; 0 is what the next boot takes."""

    index: int
    stateroot: str
    checksum: str
    serial: int
    version: str | None = None
    booted: bool = False
    pinned: bool = False
    staged: bool = False

    @property
    def id(self) -> str:  # noqa: A003
        """The name of its directory, which stays the same when indices shift."""
        return f"{self.checksum}.{self.serial}"

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other deployment of the node."""
        return self.stateroot, self.id

    def __str__(self) -> str:
        version = f" (version {self.version})" if self.version else ""
        return f"deployment {self.index}, {self.stateroot} {self.checksum[:12]}.{self.serial}{version}"


@dataclass(frozen=True)
class Sysroot:
    """The deployments and stateroots of one node at one moment.

    ``live``: the node runs from it, so exactly one deployment must be booted.
    ``directories``: the stateroots on disk, with or without deployments.
    ``orphans``: directories of deployments that are in no boot entry, as pairs of stateroot and name.
    ``mounts``: mount points at or below the directories of the stateroots, as pairs of stateroot and path.
    ``transaction``: what rpm-ostree is doing at the moment, if anything.
    """

    deployments: tuple[Deployment, ...] = ()
    directories: tuple[str, ...] = ()
    orphans: tuple[tuple[str, str], ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    live: bool = True
    transaction: str | None = None
    free_bytes: int | None = None
    size_bytes: int | None = None

    @property
    def booted(self) -> Deployment | None:
        """The deployment that runs; None where the node does not run from this sysroot."""
        return next((one for one in self.deployments if one.booted), None)

    @property
    def defaults(self) -> tuple[Deployment, ...]:
        """What the next boot may take: the first deployment, and up to its shutdown the one behind a staged one."""
        last = next((one.index for one in self.deployments if not one.staged), len(self.deployments) - 1)
        return self.deployments[: last + 1]

    @property
    def rollback(self) -> Deployment | None:
        """What ostree calls the rollback: the first deployment of the booted stateroot behind the booted one."""
        booted = self.booted
        if booted is None:
            return None
        later = self.deployments[booted.index + 1 :]
        return next((one for one in later if one.stateroot == booted.stateroot), None)

    @property
    def other(self) -> Deployment | None:
        """What the Lifecycle Agent would roll back to: the first deployment of a stateroot that is not booted."""
        booted = self.booted
        if booted is None:
            return None
        return next((one for one in self.deployments if one.stateroot != booted.stateroot), None)

    @property
    def unused(self) -> tuple[str, ...]:
        """The stateroots that have a directory and no deployment."""
        used = {one.stateroot for one in self.deployments}
        return tuple(name for name in self.directories if name not in used)

    def of(self, name: str) -> tuple[Deployment, ...]:
        """The deployments of a stateroot, in boot order."""
        return tuple(one for one in self.deployments if one.stateroot == name)


@dataclass(frozen=True)
class Undeploy:
    """Take one deployment out of the boot order and delete it."""

    deployment: Deployment

    def __str__(self) -> str:
        return f"undeploy {self.deployment}"


@dataclass(frozen=True)
class CleanUp:
    """Delete directories of deployments that are in no boot entry; they are immutable, so nobody but ostree can."""

    stateroot: str

    def __str__(self) -> str:
        return f"delete what is left of deployments of {self.stateroot} that are no longer in the boot order"


@dataclass(frozen=True)
class Remove:
    """Delete the directory of a stateroot that has no deployment."""

    stateroot: str

    def __str__(self) -> str:
        return f"remove the directory of stateroot {self.stateroot}"


@dataclass(frozen=True)
class SetDefault:
    """Put one deployment first in the boot order."""

    deployment: Deployment

    def __str__(self) -> str:
        return f"make {self.deployment} the default for the next boot"


# Written without bars, which pylint takes for an operation on dataclasses.
Step = t.Union[Undeploy, CleanUp, Remove, SetDefault]  # noqa: UP007


def valid_name(name: str | None) -> str:
    """The name of a stateroot that is safe in a path and on a command line. Raises InvalidOption."""
    if not name:
        raise InvalidOption("name", name, "name the stateroot, for example rhcos_4.17.3")
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            "name", name, "a stateroot is named by letters, digits, dots, underscores and hyphens, without any path"
        )
    return name


def checked(sysroot: Sysroot) -> Sysroot:
    """The same, if it makes sense as a whole. Raises Unreadable."""
    booted = [one for one in sysroot.deployments if one.booted]
    if len(booted) > 1:
        raise Unreadable(f"more than one deployment is marked as booted: {'; '.join(map(str, booted))}")
    if sysroot.live and not booted:
        raise Unreadable(
            "no deployment is marked as booted, so nobody can say which one must stay; is this the node's own root "
            "(command_prefix), and is it booted by ostree? For a disk that is not booted, say where it is with sysroot"
        )
    if [one.index for one in sysroot.deployments] != list(range(len(sysroot.deployments))):
        raise Unreadable("the deployments are not numbered from 0 on")
    if len({one.key for one in sysroot.deployments}) != len(sysroot.deployments):
        raise Unreadable("the same deployment is listed twice")
    if lost := sorted({one.stateroot for one in sysroot.deployments} - set(sysroot.directories)):
        raise Unreadable(f"there is no directory for the stateroot of a deployment: {', '.join(lost)}")
    return sysroot


def plan_absent(sysroot: Sysroot, name: str, *, remove_pinned: bool = False) -> tuple[Step, ...]:
    """The steps that are left until a stateroot is gone; none where it is.

    Raises InvalidOption, Unreadable, Refusal.
    """
    valid_name(name)
    checked(sysroot)
    if name not in sysroot.directories:
        return ()
    _refuse_busy(sysroot)
    _refuse_needed(sysroot, name)
    victims = sysroot.of(name)
    pinned = [one for one in victims if one.pinned]
    if pinned and not remove_pinned:
        raise Refusal(
            f"somebody pinned {'; '.join(map(str, pinned))}; unpin it (ostree admin pin --unpin INDEX), "
            "or remove it all the same with remove_pinned: true"
        )
    if mounts := [path for stateroot, path in sysroot.mounts if stateroot == name]:
        raise Refusal(f"stateroot {name} is in use: {', '.join(mounts)} is mounted; unmount it first")
    # From the highest index to the lowest, so that what is left keeps its index.
    steps: list[Step] = [Undeploy(one) for one in reversed(victims)]
    # Undeploying ends with the same cleanup, so it takes a step of its own only where there is nothing to undeploy.
    if not victims and any(stateroot == name for stateroot, _id in sysroot.orphans):
        steps.append(CleanUp(name))
    return (*steps, Remove(name))


def plan_default(sysroot: Sysroot, name: str) -> tuple[Step, ...]:
    """The step that lets the next boot take a stateroot, if one is needed.

    Raises InvalidOption, Unreadable, Refusal.
    """
    valid_name(name)
    checked(sysroot)
    wanted = next(iter(sysroot.of(name)), None)
    if wanted is None:
        there = sorted({one.stateroot for one in sysroot.deployments})
        raise Refusal(f"stateroot {name} has no deployment to boot; those that have one: {', '.join(there) or 'none'}")
    if wanted.index == 0:
        return ()
    _refuse_busy(sysroot)
    if staged := next((one for one in sysroot.deployments if one.staged), None):
        raise Refusal(
            f"{staged} is staged and would become the default again when the node shuts down; "
            "drop it first (rpm-ostree cleanup --pending)"
        )
    return (SetDefault(wanted),)


def _refuse_busy(sysroot: Sysroot) -> None:
    if sysroot.transaction:
        raise Refusal(f"rpm-ostree is at work ({sysroot.transaction}); wait until it has ended, then try again")


def _refuse_needed(sysroot: Sysroot, name: str) -> None:
    booted = sysroot.booted
    if booted is not None and booted.stateroot == name:
        raise Refusal(f"the node runs from stateroot {name} ({booted}); the booted stateroot is never removed")
    for default in sysroot.defaults:
        if default.stateroot == name:
            way_out = f"name: {booted.stateroot}" if booted else "the name of the stateroot that shall boot"
            raise Refusal(
                f"the next boot takes stateroot {name} ({default}), so it is not removed; "
                f"make another one the default first (state: default, {way_out})"
            )


def after(sysroot: Sysroot, step: Step) -> Sysroot:
    """The node after this step, as ostree does it: what check mode shows, and what the real node is compared with."""
    if isinstance(step, Undeploy):
        left = [one for one in sysroot.deployments if one.key != step.deployment.key]
        return replace(sysroot, deployments=_numbered(left), orphans=())
    if isinstance(step, CleanUp):
        return replace(sysroot, orphans=())
    if isinstance(step, SetDefault):
        others = [one for one in sysroot.deployments if one.key != step.deployment.key]
        return replace(sysroot, deployments=_numbered([step.deployment, *others]))
    return replace(
        sysroot,
        directories=tuple(name for name in sysroot.directories if name != step.stateroot),
        orphans=tuple(orphan for orphan in sysroot.orphans if orphan[0] != step.stateroot),
    )


def after_all(sysroot: Sysroot, steps: t.Iterable[Step]) -> Sysroot:
    """The node after these steps."""
    for step in steps:
        sysroot = after(sysroot, step)
    return sysroot


def mismatch(expected: Sysroot, found: Sysroot, step: Step) -> str | None:
    """What the node says otherwise than the step should have made it; None where it did just that."""
    if [one.key for one in expected.deployments] != [one.key for one in found.deployments]:
        return f"the deployments are now {_listed(found)}, and should be {_listed(expected)}"
    booted = (found.booted.key if found.booted else None, expected.booted.key if expected.booted else None)
    if booted[0] != booted[1]:
        return "another deployment is booted than before"
    if set(expected.directories) != set(found.directories):
        return f"the stateroots are now {', '.join(found.directories)}, and should be {', '.join(expected.directories)}"
    left = [name for stateroot, name in found.orphans if isinstance(step, CleanUp) and stateroot == step.stateroot]
    return f"it left {', '.join(left)} of stateroot {step.stateroot}" if left and isinstance(step, CleanUp) else None


def _numbered(deployments: t.Iterable[Deployment]) -> tuple[Deployment, ...]:
    return tuple(replace(one, index=index) for index, one in enumerate(deployments))


def _listed(sysroot: Sysroot) -> str:
    return ", ".join(f"{one.stateroot} {one.checksum[:12]}.{one.serial}" for one in sysroot.deployments) or "none"


def facts(sysroot: Sysroot) -> dict[str, t.Any]:
    """What the user gets to see."""
    booted, default, rollback, other = sysroot.booted, sysroot.deployments[:1], sysroot.rollback, sysroot.other
    return {
        "deployments": [
            {
                "index": one.index,
                "stateroot": one.stateroot,
                "checksum": one.checksum,
                "serial": one.serial,
                "version": one.version,
                "booted": one.booted,
                "default": one.index == 0,
                "pinned": one.pinned,
                "staged": one.staged,
                "rollback": one == rollback,
            }
            for one in sysroot.deployments
        ],
        "stateroots": list(sysroot.directories),
        "unused_stateroots": list(sysroot.unused),
        "booted_stateroot": booted.stateroot if booted else None,
        "default_stateroot": default[0].stateroot if default else None,
        "other_stateroot": other.stateroot if other else None,
        "free_bytes": sysroot.free_bytes,
        "size_bytes": sysroot.size_bytes,
    }


def lines(sysroot: Sysroot) -> str:
    """The deployments and stateroots as text, one a line, for diff mode."""
    shown = [f"{one.stateroot} {one.id}{_marks(one)}" for one in sysroot.deployments]
    return "".join(f"{line}\n" for line in [*shown, *(f"{name} without deployments" for name in sysroot.unused)])


def _marks(one: Deployment) -> str:
    version = [f"version {one.version}"] if one.version else []
    marks = [word for word in ("booted", "pinned", "staged") if getattr(one, word)]
    default = ["default"] if one.index == 0 else []
    return "".join(f", {word}" for word in [*version, *default, *marks])
