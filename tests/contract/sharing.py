# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files run in the same worker of pytest-xdist: those that use the same servers."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Files with servers of their own.
ALONE = ("tests/contract/test_oadp.py", "tests/contract/test_talm.py", "tests/kubeapi/tests/test_pivot.py")
FOLDERS = ("tests/contract/", "tests/differential/", "tests/kubeapi/tests/", "tests/registry/")


def together(nodeid: str) -> str:
    """What a test shares its worker with: the tests of its file, or of its folder."""
    file = nodeid.split("::", 1)[0]
    if file in ALONE:
        return file
    return next((folder for folder in FOLDERS if file.startswith(folder)), file)


class ByServer(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, with files that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
