# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m fleetsim` for `fleetsim.warm`: a fork runs the whole command line, with standard files of its own."""

from __future__ import annotations

import os

from fleetsim.__main__ import main, prepare

__all__ = ["prepare", "warm"]


def warm(arguments: list[str], files: list[int]) -> int:
    """Become the command; `files` are for standard error, and input."""
    for file, number in zip(files, (2, 0), strict=False):
        os.dup2(file, number)
        os.close(file)
    return main(arguments[arguments.index("fleetsim") + 1 :])
