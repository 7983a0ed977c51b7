#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibgu_fleet
short_description: Take a fleet through a plan on the hub, with a canary and a failure budget
version_added: 0.1.0
description:
  - Runs the plan of a group upgrade step by step. Each step is sent once the one before has ended, the clusters that were
    expected have been judged one by one, and the budget allows it.
  - With O(canary), a few clusters go through the whole plan first, as a group upgrade of their own with C(-canary) behind its
    name. The others begin only when none of these has failed.
  - Before a step that finalizes, each cluster to be finalized is looked at.
  - Stopped or killed, and run again, it goes on with the first step that has not ended; there is never a second group
    upgrade for the same plan.
  - Everything that M(sno.image_upgrade.ibgu_plan) refuses, is refused here too.
  - A cluster that fails does not fail the task; it stands in RV(failed_clusters).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._goal
  - sno.image_upgrade._group
  - sno.image_upgrade._group.follow
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: Shows the next step only, judged by the hub's API server with a dry run.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: A plan that has ended is only reported.
options:
  canary:
    description: Names on the hub of the clusters to take through the whole plan before all others.
    type: list
    elements: str
    default: []
  stop_after:
    description: The number of the step to stop after, so that a person can look. Run again without it to go on.
    type: int
  budget:
    description:
      - How many clusters may fail, a number or a share of those selected. When it is exceeded, no further step is sent.
      - A canary has no budget.
    type: str
    default: "5%"
  verify:
    description:
      - Whether to look at each cluster before a step that finalizes it is sent. When one is not fit, nothing is sent.
      - Needs hosts in the inventory that say how to reach the clusters (C(ibu_kubeconfig)). Steps that upgrade and finalize
        in one go are refused, because nobody could look in between.
    type: bool
    default: true
  require_hosts:
    description:
      - Whether to refuse when the selectors select a cluster that is no host of the batch. The command line's C(--limit) does
        not limit what a group upgrade selects.
    type: bool
    default: true
  limit_to_hosts:
    description:
      - Whether to narrow the selectors to the hosts of the batch, so that C(--limit) means what it says. The names become part
        of the selectors, which cannot be changed later; go on with the same limit.
    type: bool
    default: false
  abort_failed:
    description:
      - Whether to take the clusters that failed back to Idle when the run is stopped, with C(AbortOnFailure) in a group upgrade
        that has C(-abort) behind its name. Their logs are lost then.
      - The budget is looked at only once a step has ended, because TALM does not let go of a cluster before.
    type: bool
    default: false
seealso:
  - module: sno.image_upgrade.ibgu_plan
  - module: sno.image_upgrade.ibgu_info
"""

EXAMPLES = r"""
- name: Upgrade the north, two clusters first
  sno.image_upgrade.ibgu_fleet:
    kubeconfig: /etc/hub.kubeconfig
    name: north-4-17-3
    namespace: ibu
    cluster_label_selectors:
      - matchLabels: {region: north}
    seed_image_ref:
      version: 4.17.3
      image: registry.example.com/seed:4.17.3
    canary: [site-0001, site-0002]
    budget: "2%"
    plan:
      - actions: [Prep]
        rolloutStrategy: {maxConcurrency: 50, timeoutPerCluster: 30}
      - actions: [AbortOnFailure]
        rolloutStrategy: {maxConcurrency: 50, timeout: 30}
      - actions: [Upgrade]
        rolloutStrategy: {maxConcurrency: 50, timeoutPerCluster: 90}
  run_once: true
  register: north
"""

RETURN = r"""
failed_clusters:
  description:
    - By host, one sentence on why its cluster does not get what the plan wants, and what to do.
    - When the run was stopped, every host that did not get to the end of the plan is among them.
  returned: success
  type: dict
  sample:
    site-0003: >-
      site-0003 failed in step 1 of ibu/north-4-17-3, Prep: precache job failed to complete → save the logs and abort those
      that failed: ansible-playbook sno.image_upgrade.group_abort -e ibgu_namespace=ibu -e ibgu_copy_from=north-4-17-3
      (docs/runbooks/hub-failed)
groups:
  description:
    - The group upgrades of this run, that of the canary first, each as RV(sno.image_upgrade.ibgu_info#module:group) has it.
  returned: success
  type: list
  elements: dict
  sample: []
next_step:
  description: The number of the first step that was not sent; null once all were.
  returned: success
  type: int
  sample: null
stopped:
  description: Why the run ended before the plan did; empty where it did not.
  returned: success
  type: str
  sample: ""
"""
