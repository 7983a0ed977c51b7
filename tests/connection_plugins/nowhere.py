# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a host that is not there: what Ansible calls unreachable."""

from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: nowhere
short_description: A host that is not there
description: [Never connects.]
author: sno.image_upgrade authors
"""


class Connection(ConnectionBase):
    """Never connects."""

    transport = "nowhere"

    def _connect(self) -> Connection:
        raise AnsibleConnectionFailure("no route to host")

    def exec_command(self, cmd, in_data=None, sudoable=True):  # type: ignore[no-untyped-def]
        return self._connect()

    def put_file(self, in_path, out_path):  # type: ignore[no-untyped-def]
        self._connect()

    def fetch_file(self, in_path, out_path):  # type: ignore[no-untyped-def]
        self._connect()

    def close(self) -> None:
        self._connected = False
