#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibgu_info
short_description: Where a group upgrade stands, per step and per cluster
version_added: 0.1.0
description:
  - Reads an ImageBasedGroupUpgrade, its ClusterGroupUpgrades and the ManagedClusters that it selects, and says what became
    of each cluster that was expected, including those that no step selected, and why not.
  - Shows the labels on the ManagedClusters beside what the status says, and where the two disagree.
  - An option that the task does not give is taken from a variable, the connection to the hub from C(ibu_hub_OPTION), all
    others from C(ibgu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: none
    details: It only reads.
  idempotent:
    support: full
options:
  name:
    description: Name of the ImageBasedGroupUpgrade.
    type: str
    required: true
  namespace:
    description: Its namespace on the hub.
    type: str
    required: true
  causes:
    description:
      - Whether to look for the causes of failures too, in the ManifestWorks of the step that runs, and on the clusters
        themselves where the inventory says how to reach them. TALM's own text is a generic one for most failures.
    type: bool
    default: false
  quiet:
    description: Whether to return the result only, and print nothing.
    type: bool
    default: false
notes:
  - One task serves all hosts of the batch; set C(run_once) so that all get its result.
seealso:
  - module: sno.image_upgrade.ibgu_plan
"""

EXAMPLES = r"""
- name: See what became of a group upgrade
  sno.image_upgrade.ibgu_info:
    kubeconfig: /etc/hub.kubeconfig
    name: north-4-17-3
    namespace: ibu
    causes: true
  run_once: true
  register: north

- name: List the clusters that were never selected
  ansible.builtin.debug:
    msg: "{{ north.group.clusters | dict2items | selectattr('value.place', 'eq', 'not_selected') | map(attribute='key') }}"
  run_once: true
"""

RETURN = r"""
exists:
  description: Whether the hub has such a group upgrade.
  returned: success
  type: bool
  sample: true
failed_clusters:
  description: By cluster, one sentence on why it does not get what the plan wants, and what to do.
  returned: success
  type: dict
  sample: {}
group:
  description: The group upgrade; empty where there is none.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: north-4-17-3
    namespace:
      description: Its namespace.
      type: str
      sample: ibu
    settled:
      description: Whether TALM has seen the latest plan and all steps have ended. It says nothing about success.
      type: bool
      sample: true
    message:
      description: TALM's own message.
      type: str
      sample: All plan steps are completed
    steps:
      description:
        - The steps of the plan, each with C(number) (from 1), C(actions), C(max_concurrency), C(timeout) in minutes, the name of
          its ClusterGroupUpgrade in C(cgu), its C(state) (V(pending), V(running), V(ended) or V(timed_out)), why TALM does not
          begin in C(problem), C(batch) and C(batches), C(started), C(completed) and C(seconds), and C(clusters).
        - In C(clusters), by name, C(place), C(action), C(message) and C(batch). A place is one of V(pending) (the step has not
          begun), V(waiting) (its batch has not), V(in_progress), V(failing) (it has failed and TALM does not know),
          V(completed), V(failed), V(not_selected) (with the label that is missing), V(skipped) (it failed in an earlier step, or
          there is nothing to abort) or V(never_reached).
      type: list
      elements: dict
      sample:
        - number: 1
          actions: [Prep]
          max_concurrency: 50
          timeout: 30
          cgu: north-4-17-3-prep-0
          state: ended
          problem: ""
          batch: 1
          batches: 1
          started: "2026-11-21T01:00:00Z"
          completed: "2026-11-21T01:07:12Z"
          seconds: 432.0
          clusters:
            site-0001: {place: completed, action: null, message: "", batch: 1}
    clusters:
      description:
        - What became of each cluster over the whole plan. Its first failure counts; that it was aborted afterwards does not
          make it a success. C(labels) are those of group upgrades on its ManagedCluster, C(disagreements) say where they differ
          from the status.
      type: dict
      sample:
        site-0001:
          place: completed
          step: null
          action: null
          message: ""
          completed_actions: [Prep]
          aborted: false
          labels: [lcm.openshift.io/ibgu-prep-completed]
          available: true
          disagreements: []
"""
