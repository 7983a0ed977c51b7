# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What is known of one drive at this moment, for whoever shows progress."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Observed


@dataclass
class View:
    """Written by the drive alone.

    ``task`` and ``label`` stand in the place of action and state where the work is no action of an upgrade.
    """

    name: str
    action: Action | None = None
    observed: Observed | None = None
    away_since: float | None = None
    away_why: str = ""
    changed: float = 0.0
    note: str = ""
    task: str = ""
    label: str = ""
