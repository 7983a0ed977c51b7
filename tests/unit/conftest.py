# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no reason to fail: how long one example takes says nothing here.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
