#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_gate
short_description: Begin a batch, unless the failure budget of the whole fleet is spent
version_added: 0.1.0
description:
  - Ansible counts C(max_fail_percentage) per batch and never over the fleet, and misses hosts that were unreachable or
    rescued. This task, the first of every batch, counts what has failed so far in this run and fails where that is more than
    O(budget) allows, before anything of the batch is touched.
  - It enters every cluster of the fleet into the outcome file, so that those never started are listed too.
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
    details: Judges as usual and writes nothing.
  diff_mode:
    support: none
    details: The recap and the outcome file say what has changed.
  idempotent:
    support: full
options:
  budget:
    description:
      - How many clusters of the fleet may fail, as a share such as V(5%) or as a number of clusters.
      - The budget must be exceeded to stop the rollout, as with C(max_fail_percentage).
    type: str
    default: 5%
  fleet:
    description: The hosts of the whole rollout. When omitted, all hosts of the play.
    type: list
    elements: str
  excluded:
    description:
      - Hosts that were left out of the rollout before it began, such as those that M(sno.image_upgrade.ibu_preflight) has found
        to be unusable. They count neither as failed nor as lost.
      - At the default every host that has left the play before the gate of its batch counts as lost.
    type: list
    elements: str
    default: []
  on_stop:
    description:
      - What a spent budget does. V(fail) fails the task, which ends the play. V(close) lets the task succeed with
        RV(is_open=false), also in the batches after this one, so that a play can come to a verdict about all clusters.
    type: str
    choices: [fail, close]
    default: fail
  accept_slices:
    description:
      - Whether to run as a slice of an AWX job. Every slice is a rollout of its own, with its own canary and its own budget.
      - At the default a slice is refused.
    type: bool
    default: false
seealso:
  - module: sno.image_upgrade.ibu_fleet
  - module: sno.image_upgrade.ibu_report
"""

EXAMPLES = r"""
- name: Begin the batch unless the fleet's failure budget is spent
  sno.image_upgrade.ibu_gate:
    budget: 5%
  run_once: true
  any_errors_fatal: true

- name: The same, after a preflight that has left out what cannot be used
  sno.image_upgrade.ibu_gate:
    budget: 12
    excluded: "{{ preflight.failed_clusters | list }}"
  run_once: true
  any_errors_fatal: true
"""

RETURN = r"""
is_open:
  description: Whether the batch may begin.
  returned: success
  type: bool
  sample: true
reason:
  description: Why it may not.
  returned: where it may not
  type: str
  sample: "the fleet's failure budget is spent: 13 of 240 clusters failed, the limit is 5 %"
batch:
  description: The number of this batch in this run, from 1.
  returned: where the batch may begin
  type: int
  sample: 2
failed_clusters:
  description: The clusters of earlier batches that count as failed.
  returned: success
  type: list
  elements: str
  sample: [site-0004]
outcome_file:
  description: The outcome file of the rollout.
  returned: success
  type: str
  sample: /home/operator/rollout-20261121T230107Z.json
"""
