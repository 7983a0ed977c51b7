# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not use it from elsewhere.

from __future__ import annotations


class ModuleDocFragment:
    """What the modules of a rollout have in common."""

    DOCUMENTATION = r"""
options:
  outcome_file:
    description:
      - The outcome file of the rollout, JSON.
      - When omitted, C(rollout-TIME.json) in the directory that C(ansible-playbook) was started in, the same for all batches of
        a run. A run that follows one which was killed goes on with the file of that one.
    type: path
"""

    # For modules that are told what to do with the clusters.
    ACTIONS = r"""
options:
  actions:
    description:
      - The actions to take every cluster through, in this order; V(Prep), V(Upgrade), V(FinalizeUpgrade), or V(Rollback),
        V(FinalizeRollback), or V(Abort), or V(AbortOnFailure), whole or a part without gaps.
      - V(AbortOnFailure) takes back to Idle what failed in Prep or in the old release, and leaves everybody else alone.
      - A cluster starts at the first action that its state has not yet passed.
    type: list
    elements: str
    required: true
  stop_after:
    description:
      - Leave out the actions after this one, for example V(Prep) to prepare ahead of the maintenance window.
      - At the default all of O(actions) are run.
    type: str
  accept_validation_warnings:
    description: Whether to go on to Upgrade although Prep has left a validation warning about the extra manifests.
    type: bool
    default: true
  rollback_after_expiration:
    description:
      - Whether to roll back although C(status.rollbackAvailabilityExpiration) is over.
      - The node may then come up with expired certificates and need its signing requests approved by hand.
    type: bool
    default: false
"""
