# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated fleet: N single-node clusters and a hub, served by one process.

kmock was looked at first and is not used: it answers scripted requests on one endpoint, while this needs a thousand TLS
endpoints with resourceVersions, watch history, CRD rules, RBAC and an API server that goes away and comes back.
"""

from __future__ import annotations

__version__ = "1.0.0"
