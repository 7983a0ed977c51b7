# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Get the programs that no Python package has and some tests need: a real ostree, and a registry of images.

Where apt-get is there and this is root, or sudo asks for no password, ostree is installed; the registry is only
unpacked into .cache. Elsewhere the tests that need them are skipped; what to install is said here and by the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from fetch_registry import NoRegistry, fetch


def apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """apt-get as root, without questions."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def is_root() -> bool:
    """Whether packages can be installed here."""
    if os.geteuid() == 0:
        return True
    if not shutil.which("sudo"):
        return False
    return subprocess.run(["sudo", "--non-interactive", "true"], capture_output=True, check=False).returncode == 0


def get_ostree() -> str:
    """Empty, or why there is no ostree."""
    if shutil.which("ostree"):
        return ""
    if not shutil.which("apt-get"):
        return "there is no apt-get"
    if not is_root():
        return "this is not root, and sudo asks for a password"
    print("installing ostree", flush=True)
    install = ("install", "--no-install-recommends", "ostree")
    done = apt(*install)
    if done.returncode:
        # The lists of a fresh container are empty.
        apt("update")
        done = apt(*install)
    return f"apt-get could not install it: {done.stderr.strip()}" if done.returncode else ""


def get_registry() -> str:
    """Empty, or why there is no registry."""
    try:
        fetch()
    except NoRegistry as reason:
        return str(reason)
    return ""


def main() -> None:
    """Get them, and say what is skipped for want of them; no reason to fail."""
    for reason, skipped, package in (
        (get_ostree(), "what is done on a node (tests/playbooks/test_stateroot.py and others)", "ostree"),
        (get_registry(), "reading the labels of images from a registry (tests/registry)", "docker-registry"),
    ):
        if reason:
            print(f"SKIPPED: {skipped}: install the package {package} ({reason})", flush=True)


if __name__ == "__main__":
    main()
