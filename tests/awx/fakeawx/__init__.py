# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API that speaks AWX's, as far as the modules of awx.awx and the export of awxkit need it."""
