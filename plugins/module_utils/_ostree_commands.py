# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The commands that read and change a node's deployments, and what their output means. No I/O."""

from __future__ import annotations

import json
import re
import shlex
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree import (
    CleanUp,
    Deployment,
    Remove,
    SetDefault,
    Step,
    Sysroot,
    Undeploy,
    Unreadable,
)

_STATUS_LINE = re.compile(r"([* ]) (\S+) ([0-9a-f]{64})\.([0-9]+)((?: \([^)]*\))*)")
_DETAIL_LINE = re.compile(r" {4}(\S.*)")
_DEPLOYMENT_PATH = re.compile(r"([^/]+)/deploy/([0-9a-f]{64}\.[0-9]+)")
_OCTAL = re.compile(r"\\([0-7]{3})")

# An index means another deployment as soon as somebody changes the list, and a connection that drops may run a command
# twice (the option reconnection_retries of ssh). So the node itself looks once more at what the index means.
_GUARDED = (
    'case "$({status} | grep "^[* ] [^ ]" | sed -n {line}p) " in {patterns}) exec {command};; '
    '*) echo "deployment {index} is no longer {what}" >&2; exit 1;; esac'
)
# The directory is made writable in a mount namespace of this one command, so the rest of the node goes on with its own.
# Where the file system itself is read-only, as on a disk in a rescue system, a change of the mount alone is not enough.
_REMOVE = (
    "found=$({status}) || exit 1; "
    'if echo "$found" | grep -q "^[* ] {pattern} "; then echo "{name} has deployments again" >&2; exit 1; fi; '
    "test -w {deploy} || {{ mount -o remount,bind,rw {physical} && test -w {deploy}; }} || "
    "mount -o remount,rw {physical} || exit 1; exec rm -rf -- {directory}"
)


@dataclass(frozen=True)
class Commands:
    """The command lines for one sysroot. ``path`` is None for the one that the node is booted from."""

    path: str | None = None

    @property
    def live(self) -> bool:
        """True for the node's own."""
        return self.path is None

    @property
    def physical(self) -> str:
        """Where the whole file system with all stateroots is."""
        return "/sysroot" if self.path is None else (self.path.rstrip("/") or "/")

    @property
    def deploy(self) -> str:
        """The directory of the stateroots."""
        return f"{self.physical.rstrip('/')}/ostree/deploy"

    def status(self) -> list[str]:
        """The deployments as ostree knows them."""
        return self._admin("status")

    def rpm_status(self) -> list[str] | None:
        """The deployments as rpm-ostree knows them: always those of the booted system, so None for another sysroot."""
        return ["env", "LC_ALL=C", "rpm-ostree", "status", "--json"] if self.live else None

    def running(self) -> list[str] | None:
        """What the node runs from, for another sysroot: given a path, ostree never marks a deployment as booted."""
        return None if self.live else Commands().status()

    def directories(self) -> list[str]:
        """The paths of the stateroots and of their deployments' directories."""
        search = ["find", self.deploy, "-mindepth", "1", "-maxdepth", "3"]
        return [*search, "-path", "*/var", "-prune", "-o", "-type", "d", "-printf", r"%P\n"]

    def mounts(self) -> list[str]:
        """Everything that is mounted."""
        return ["cat", "/proc/self/mountinfo"]

    def space(self) -> list[str]:
        """Size and free space of the file system."""
        return ["env", "LC_ALL=C", "df", "-Pk", self.deploy]

    def abilities(self) -> list[str]:
        """The subcommands that this ostree has: set-default came late."""
        return ["env", "LC_ALL=C", "ostree", "admin", "--help"]

    def of(self, step: Step) -> list[str]:
        """What does a step."""
        if isinstance(step, Undeploy):
            # Two blanks: a booted deployment has a star.
            return self._guarded("undeploy", step.deployment, ["  "])
        if isinstance(step, SetDefault):
            return self._guarded("set-default", step.deployment, ["  ", "* "])
        if isinstance(step, CleanUp):
            return self._admin("cleanup")
        return self._remove(step)

    def _guarded(self, word: str, one: Deployment, marks: list[str]) -> list[str]:
        what = f"{one.stateroot} {one.id}"
        script = _GUARDED.format(
            status=shlex.join(self.status()),
            line=one.index + 1,
            patterns="|".join(f'"{mark}{what} "*' for mark in marks),
            command=shlex.join(self._admin(word, str(one.index))),
            index=one.index,
            what=what,
        )
        return ["/bin/sh", "-c", script]

    def _remove(self, step: Remove) -> list[str]:
        script = _REMOVE.format(
            status=shlex.join(self.status()),
            name=step.stateroot,
            pattern=step.stateroot.replace(".", "[.]"),
            physical=shlex.quote(self.physical),
            deploy=shlex.quote(self.deploy),
            directory=shlex.quote(f"{self.deploy}/{step.stateroot}"),
        )
        return ["unshare", "--mount", "/bin/sh", "-c", script]

    def _admin(self, *words: str) -> list[str]:
        where = [] if self.path is None else [f"--sysroot={self.path}"]
        return ["env", "LC_ALL=C", "ostree", "admin", words[0], *where, *words[1:]]


def parse_status(text: str) -> tuple[Deployment, ...]:
    """The output of ``ostree admin status``. Raises Unreadable for a line that is nothing it should be."""
    found: list[Deployment] = []
    for line in text.splitlines():
        if match := _STATUS_LINE.fullmatch(line):
            mark, stateroot, checksum, serial, words = match.groups()
            # A deployment whose finalization is locked is a staged one.
            staged = "staged" in words or "finalization locked" in words
            found.append(
                Deployment(len(found), stateroot, checksum, int(serial), booted=mark == "*", staged=staged),
            )
        elif found and (detail := _DETAIL_LINE.fullmatch(line)):
            found[-1] = _with_detail(found[-1], detail.group(1))
        elif line.strip() and line.strip() != "No deployments.":
            raise Unreadable(f"ostree admin status says something unknown: {line!r}")
    if not found and "No deployments." not in text:
        raise Unreadable("ostree admin status says nothing")
    return tuple(found)


def _with_detail(one: Deployment, detail: str) -> Deployment:
    word, _colon, value = detail.partition(":")
    if word == "Version":
        return replace(one, version=value.strip() or None)
    return replace(one, pinned=True) if word == "Pinned" and value.strip() == "yes" else one


def parse_rpm_status(text: str) -> tuple[tuple[Deployment, ...], str | None]:
    """The output of ``rpm-ostree status --json``: the deployments, and what rpm-ostree is doing. Raises Unreadable."""
    try:
        document = json.loads(text)
        listed = document["deployments"]
        found = tuple(_from_document(index, one) for index, one in enumerate(listed))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"rpm-ostree status --json is not what it used to be: {error!r}") from error
    transaction = document.get("transaction")
    return found, None if not transaction else _words(transaction)


def _from_document(index: int, one: t.Mapping[str, t.Any]) -> Deployment:
    checksum, serial, stateroot, version = one["checksum"], one["serial"], one["osname"], one.get("version")
    plain = isinstance(checksum, str) and isinstance(stateroot, str) and isinstance(serial, int)
    if not plain or isinstance(serial, bool):
        raise TypeError(f"deployment {index} has no checksum, serial or osname")
    marks = {word: one.get(word) for word in ("booted", "pinned", "staged")}
    if not isinstance(one["booted"], bool) or any(mark not in (None, True, False) for mark in marks.values()):
        raise TypeError(f"deployment {index} does not say whether it is booted, pinned and staged")
    return Deployment(
        index,
        stateroot,
        checksum,
        serial,
        str(version) if version else None,
        **{word: bool(mark) for word, mark in marks.items()},
    )


def _words(transaction: t.Any) -> str:
    return " ".join(str(word) for word in transaction) if isinstance(transaction, list) else str(transaction)


def agreed(by_ostree: tuple[Deployment, ...], by_rpm: tuple[Deployment, ...] | None) -> tuple[Deployment, ...]:
    """The deployments, if both tools say the same of them. Raises Unreadable."""
    if by_rpm is None:
        return by_ostree
    both = [[(one.key, one.booted) for one in said] for said in (by_ostree, by_rpm)]
    if both[0] != both[1]:
        raise Unreadable(
            "ostree and rpm-ostree do not list the same deployments: "
            f"{_short(by_ostree)}, and {_short(by_rpm)}; look at both, or run again if one was just changed"
        )
    # Whatever one of them takes for pinned or staged, is.
    return tuple(
        replace(
            one, pinned=one.pinned or two.pinned, staged=one.staged or two.staged, version=one.version or two.version
        )
        for one, two in zip(by_ostree, by_rpm, strict=True)
    )


def _short(deployments: t.Iterable[Deployment]) -> str:
    return (
        ", ".join(f"{'*' if one.booted else ''}{one.stateroot} {one.checksum[:12]}.{one.serial}" for one in deployments)
        or "none"
    )


def marked(deployments: tuple[Deployment, ...], running: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
    """The deployments of another sysroot, with the one marked as booted that the node runs from: it may be the same."""
    booted = {one.key for one in running if one.booted}
    return tuple(replace(one, booted=True) if one.key in booted else one for one in deployments)


@dataclass(frozen=True)
class Directories:
    """The stateroots' directories, and those of deployments as pairs of stateroot and name."""

    stateroots: tuple[str, ...]
    deployments: tuple[tuple[str, str], ...]


def parse_directories(listing: str) -> Directories:
    """What `find` says."""
    paths = sorted(listing.splitlines())
    found = [match.groups() for path in paths if (match := _DEPLOYMENT_PATH.fullmatch(path))]
    return Directories(
        stateroots=tuple(path for path in paths if path and "/" not in path),
        deployments=tuple((stateroot, name) for stateroot, name in found),
    )


def parse_mounts(mountinfo: str, deploy: str) -> tuple[tuple[str, str], ...]:
    """The mount points at or below the stateroots' directories, as pairs of stateroot and path."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        point = _OCTAL.sub(lambda code: chr(int(code.group(1), 8)), fields[4]) if len(fields) > 4 else ""
        if point.startswith(f"{deploy}/"):
            found.append((point[len(deploy) + 1 :].split("/")[0], point))
    return tuple(found)


def parse_space(text: str) -> tuple[int, int]:
    """Size and free space in bytes, from ``df -Pk``. Raises Unreadable."""
    fields = (text.splitlines() or [""])[-1].split()
    try:
        return int(fields[1]) * 1024, int(fields[3]) * 1024
    except (IndexError, ValueError):
        raise Unreadable(f"df says something unknown: {text!r}") from None


def sysroot_of(
    deployments: tuple[Deployment, ...],
    directories: Directories,
    *,
    live: bool,
    mounts: tuple[tuple[str, str], ...] = (),
    transaction: str | None = None,
    space: tuple[int, int] | None = None,
) -> Sysroot:
    """The parts put together."""
    known = {one.key for one in deployments}
    return Sysroot(
        deployments=deployments,
        directories=directories.stateroots,
        orphans=tuple(one for one in directories.deployments if one not in known),
        mounts=mounts,
        live=live,
        transaction=transaction,
        size_bytes=space[0] if space else None,
        free_bytes=space[1] if space else None,
    )
