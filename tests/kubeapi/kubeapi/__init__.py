# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver and etcd for the tests, started and stopped at will."""

from __future__ import annotations

from .binary import Binaries, NoBinaries, build, find
from .client import Api, Reply
from .server import KubeApi

__all__ = ["Api", "Binaries", "KubeApi", "NoBinaries", "Reply", "build", "find"]
