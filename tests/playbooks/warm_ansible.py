# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook for `fleetsim.warm`: Ansible and the Kubernetes client are imported, a fork runs one playbook.

What Ansible reads of its environment while it is imported is that of the warm process, which is the same for every
run; `runs.py` starts a program of its own for a run that wants something else there.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import tempfile
from pathlib import Path

from ansible import constants
from ansible.cli.playbook import main
from ansible.utils.path import cleanup_tmp_file

# What every run comes to import, and what belongs to no run.
for _name in (
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.plugins.action",
    "ansible.plugins.callback",
    "kubernetes.client",
    "kubernetes.config",
):
    importlib.import_module(_name)

TESTS = Path(__file__).resolve().parents[1]


def warm(arguments: list[str], files: list[int]) -> None:
    """Become `ansible-playbook ARGUMENTS`; its end is a SystemExit, as that of the program."""
    assert not files
    # Plugins must not find what is here for the tests only.
    sys.path[:] = [folder for folder in sys.path if not Path(folder).resolve().is_relative_to(TESTS)]
    sys.argv = [str(Path(sys.executable).with_name("ansible-playbook")), *arguments]
    _take_own_folder(os.environ["ANSIBLE_LOCAL_TEMP"])
    main()


def _take_own_folder(parent: str) -> None:
    """As Ansible makes one for each process and removes it at the end."""
    atexit.unregister(cleanup_tmp_file)
    Path(parent).mkdir(mode=0o700, parents=True, exist_ok=True)
    own = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=parent)
    constants.DEFAULT_LOCAL_TMP = own
    atexit.register(cleanup_tmp_file, own, warn=True)
