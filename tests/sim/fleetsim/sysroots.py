# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysroots with real deployments, made by a real ostree, and nodes that run from them without being booted.

A node is a chroot into a deployment, in mount and PID namespaces that live as long as one command: with the host's /usr
over its own, the sysroot on /sysroot, read-only as on RHCOS if wanted, and /run/ostree-booted there. ostree compares
the root directory with its deployments and so takes this one for the booted one. There is no Python on such a node.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# In the namespaces of one command. Everything is undone by their end.
_NODE = r"""#!/bin/sh
# Run a command on the node: as `chroot /host` does in a debug pod.
exec unshare --mount --pid --fork --kill-child /bin/sh -eu -c '
root=$1 sysroot=$2 tools=$3 mode=$4; shift 4
mount --bind "$root" "$root"
mount --bind /usr "$root/usr"
for python in "$root"/usr/bin/python* "$root"/usr/local/bin/python*; do
  [ ! -f "$python" ] || mount --bind /dev/null "$python"
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
: > "$root/run/ostree-booted"
cp -R "$tools" "$root/run/tools"
mount --bind "$sysroot" "$root/sysroot"
mount -o "remount,bind,$mode" "$root/sysroot"
mount --bind "$sysroot/boot" "$root/boot"
PATH=/run/tools:/usr/bin:/usr/sbin exec /usr/sbin/chroot "$root" "$@"
' node "$ROOT" "$SYSROOT" "$TOOLS" "$MODE" "$@"
"""

# What rpm-ostree would say, from what the real ostree says.
RPM_OSTREE = r"""#!/bin/sh
[ "$*" = "status --json" ] || { echo "unexpected: $*" >&2; exit 1; }
ostree admin status | grep "^[* ] [^ ]" | tr "*" "+" | {
  comma=
  printf '{"deployments": ['
  while IFS= read -r line; do
    booted=false; case "$line" in "+ "*) booted=true;; esac
    set -- ${line#+}
    printf '%s{"osname": "%s", "checksum": "%s", "serial": %s, ' "$comma" "$1" "${2%.*}" "${2#*.}"
    printf '"booted": %s, "staged": false, "pinned": false, "version": "of rpm-ostree"}' "$booted"
    comma=', '
  done
  printf '], "transaction": null, "cached-update": null}\n'
}
"""

# The older ostree of some distributions cannot change the default. A new order is new versions in the boot entries.
SET_DEFAULT = r"""#!/bin/sh
case "$*" in
"admin --help") /usr/bin/ostree admin --help; echo "  set-default        Make deployment INDEX the default";;
"admin set-default "*)
  [ "$3" -gt 0 ] || exit 0
  cd /boot/loader/entries
  ordered=$(grep -H "^version " ./*.conf | sed "s/:version / /" | sort -k2,2nr | cut -d" " -f1)
  first=$(echo "$ordered" | sed -n "$(($3 + 1))p")
  number=$(echo "$ordered" | wc -l)
  for entry in $first $(echo "$ordered" | grep -vxF "$first"); do
    sed -i "s/^version .*/version $number/" "$entry"
    number=$((number - 1))
  done;;
*) exec /usr/bin/ostree "$@";;
esac
"""


# Stands before kubectl on a controller: `kubectl ... exec ... -- COMMAND` runs COMMAND here, and chroot leads to
# the node.
_KUBECTL = r"""#!/bin/sh
while [ "$1" != exec ]; do shift; done
while [ "$1" != -- ]; do shift; done
shift
PATH="$STANDINS/pod:$PATH" exec "$@"
"""
_CHROOT = """#!/bin/sh
[ "$1" = /host ] || { echo "there is no $1 in this pod" >&2; exit 1; }
shift
exec "$STANDINS/on-node" "$@"
"""


def why_not() -> str | None:
    """What is missing for all this, with the way out; None where nothing is."""
    if not shutil.which("ostree"):
        return "there is no ostree here: apt-get install ostree"
    if os.geteuid() != 0:
        return "only root can make deployments: run it as root"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True).returncode:
        return "this machine allows no mount namespaces: run it where `unshare --mount` works"
    return None


@dataclass
class Deployed:
    """A deployment as ostree lists it from the outside."""

    stateroot: str
    id: str
    version: str = ""
    pinned: bool = False


class ScratchSysroot:
    """One sysroot in a directory of its own, made there unless it exists."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "sysroot"
        self.tools = directory / "tools"
        self.on_node = directory / "on-node"
        if not self.path.exists():
            for folder in (self.path, self.tools):
                folder.mkdir(parents=True)
            _run("ostree", "admin", "init-fs", str(self.path))

    def admin(self, *words: str) -> str:
        """`ostree admin` from the outside."""
        return _run("ostree", "admin", words[0], f"--sysroot={self.path}", *words[1:])

    def stateroot(self, name: str) -> Path:
        """The directory of a stateroot, made if need be."""
        where = self.path / "ostree" / "deploy" / name
        if not where.exists():
            self.admin("os-init", name)
        return where

    def deploy(self, stateroot: str, version: str) -> None:
        """A deployment, the new default."""
        tree = self.directory / "trees" / version
        if not tree.exists():
            _make_tree(tree, version)
            repo = f"--repo={self.path / 'ostree' / 'repo'}"
            _run("ostree", repo, "commit", f"--branch={version}", f"--add-metadata-string=version={version}", str(tree))
        self.stateroot(stateroot)
        self.admin("deploy", f"--os={stateroot}", "--retain", version)

    def leave_orphan(self, stateroot: str, version: str) -> Path:
        """What an interrupted deployment leaves: its immutable directory, in no boot entry."""
        self.deploy(stateroot, version)
        one = self.listed()[0]
        where = self.stateroot(stateroot) / "deploy" / one.id
        kept = self.directory / "kept"
        _run("chattr", "-i", str(where))
        _run("cp", "-a", str(where), str(kept))
        self.admin("undeploy", "0")
        kept.rename(where)
        _run("chattr", "+i", str(where))
        return where

    def add_tool(self, name: str, script: str) -> None:
        """A command that stands before the node's own."""
        (self.tools / name).write_text(script)
        (self.tools / name).chmod(0o755)

    def boot(self, index: int, *, read_only: bool = False) -> str:
        """Let the node run from a deployment. Returns the command prefix that leads there.

        Read-only is for what ostree itself does not write to: it would change the mount options of the whole file
        system, which here is that of the machine.
        """
        one = self.listed()[index]
        root = self.path / "ostree" / "deploy" / one.stateroot / "deploy" / one.id
        quoted = f"ROOT={root}\nSYSROOT={self.path}\nTOOLS={self.tools}\nMODE={'ro' if read_only else 'rw'}\n"
        first, rest = _NODE.split("\n", 1)
        self.on_node.write_text(f"{first}\n{quoted}{rest}")
        self.on_node.chmod(0o755)
        return str(self.on_node)

    def stand_in(self) -> Path:
        """A folder with a kubectl that leads to the node, for the PATH of a controller."""
        pod = self.directory / "pod"
        pod.mkdir(exist_ok=True)
        for where, script in ((self.directory / "bin" / "kubectl", _KUBECTL), (pod / "chroot", _CHROOT)):
            where.parent.mkdir(exist_ok=True)
            where.write_text(script.replace("$STANDINS", str(self.directory)))
            where.chmod(0o755)
        return self.directory / "bin"

    def listed(self) -> list[Deployed]:
        """The deployments in boot order, read by a parser other than the one under test."""
        found: list[Deployed] = []
        for words in (line.split() for line in self.admin("status").splitlines()):
            if words[0] == "Version:":
                found[-1].version = words[1]
            elif words[:2] == ["Pinned:", "yes"]:
                found[-1].pinned = True
            elif len(words) > 1 and len(words[1].partition(".")[0]) == 64:
                found.append(Deployed(words[0], words[1]))
        return found

    def stateroots(self) -> list[str]:
        """The stateroots on disk."""
        return sorted(entry.name for entry in (self.path / "ostree" / "deploy").iterdir())

    def everything(self) -> dict[str, int]:
        """Every file and folder with its inode: what nobody has touched stays equal."""
        return {str(path): path.lstat().st_ino for path in sorted(self.path.rglob("*"))}

    def remove(self) -> None:
        """Make it removable, and remove it."""
        for root in self.path.glob("ostree/deploy/*/deploy/*"):
            if stat.S_ISDIR(root.lstat().st_mode):
                subprocess.run(["chattr", "-i", str(root)], check=False, capture_output=True)
        shutil.rmtree(self.directory)


def _make_tree(tree: Path, version: str) -> None:
    """The least that can be deployed and entered: a kernel, a release file, and the mount points of a root."""
    modules = tree / "usr" / "lib" / "modules" / "5.14.0"
    modules.mkdir(parents=True)
    (modules / "vmlinuz").write_text("kernel")
    (modules / "initramfs.img").write_text(version)
    (tree / "usr" / "etc").mkdir()
    (tree / "usr" / "etc" / "os-release").write_text(f"ID=scratch\nPRETTY_NAME=Scratch {version}\n")
    for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"):
        (tree / name).mkdir()
    for name in ("bin", "lib", "lib64", "sbin"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "ostree").symlink_to("sysroot/ostree")


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def main() -> int:
    """`create DIR` makes a node with a stateroot too many, and a kubectl in DIR/bin; `remove DIR` undoes it."""
    command, directory = sys.argv[1], Path(sys.argv[2])
    if command == "remove":
        if directory.exists():
            ScratchSysroot(directory).remove()
        return 0
    if reason := why_not():
        print(f"SKIPPED: {reason}")
        return 0
    sysroot = ScratchSysroot(directory)
    sysroot.deploy("rhcos_4.17.3", "4.17.2")
    sysroot.deploy("rhcos_4.17.3", "4.17.3")
    sysroot.deploy("rhcos", "4.16.8")
    sysroot.boot(0)
    print(sysroot.stand_in())
    return 0


if __name__ == "__main__":
    sys.exit(main())
