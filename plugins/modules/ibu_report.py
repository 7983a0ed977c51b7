#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_report
short_description: Say how a batch went, and how the rollout ended
version_added: 0.1.0
description:
  - Prints, from the outcome file, how much of the failure budget is used up after a batch; and the recap of the whole rollout
    where it ends with this batch, because it was the last or because its failures will stop the play.
  - Beside the outcome file it writes a list of the clusters that a rerun should take, for C(--limit @FILE).
  - An option that the task does not give is taken from the variable C(ibu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
  - sno.image_upgrade._rollout
attributes:
  check_mode:
    support: full
    details: After a batch it prints nothing, because nothing was done.
  diff_mode:
    support: none
    details: The recap and the outcome file say what has changed.
  idempotent:
    support: full
options:
  budget:
    description: The failure budget of the fleet, as M(sno.image_upgrade.ibu_gate) has it.
    type: str
    default: 5%
  max_fail_percentage:
    description:
      - The play's C(max_fail_percentage), to say whether it will stop the rollout.
      - At the default one failure stops it, as in a play with C(max_fail_percentage=0).
    type: raw
    default: 0
  fleet:
    description: The hosts of the whole rollout. When omitted, all hosts of the play.
    type: list
    elements: str
  whole:
    description: Whether to print the recap of everything in the outcome file, at any time and from anywhere.
    type: bool
    default: false
  quiet:
    description: Whether to print nothing and only return what there is.
    type: bool
    default: false
seealso:
  - module: sno.image_upgrade.ibu_fleet
"""

EXAMPLES = r"""
- name: Show the recap of a rollout again
  sno.image_upgrade.ibu_report:
    outcome_file: rollout-20261121T230107Z.json
    whole: true
  run_once: true
"""

RETURN = r"""
lines:
  description: What was printed.
  returned: success
  type: list
  elements: str
  sample: ["BUDGET  1 of 240 failed so far (limit 5 %, 12 clusters); 186 clusters to go"]
outcome_file:
  description: The outcome file of the rollout.
  returned: success
  type: str
  sample: /home/operator/rollout-20261121T230107Z.json
summary:
  description:
    - The outcome in a few numbers, for C(set_stats). C(results) counts the clusters by result, and C(clusters_failed) has
      the names of the first hundred that failed.
  returned: success
  type: dict
  sample: {finished: false, stopped: "the fleet's failure budget is spent", clusters: 240, results: {done: 54, failed: 13, never_started: 173},
    clusters_failed: [site-0004]}
remaining_clusters:
  description: Why each cluster is left that is neither done nor skipped, those that were never started too.
  returned: success
  type: dict
  sample: {site-0190: "site-0190: never started: the fleet's failure budget is spent"}
"""
