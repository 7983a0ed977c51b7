#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibgu_plan
short_description: Declare the plan of a group upgrade on the hub, and follow it to its end
version_added: 0.1.0
description:
  - Declares an ImageBasedGroupUpgrade, which Topology Aware Lifecycle Manager (TALM) on the hub carries out for groups of
    clusters. Where the hub has it already, the steps that the declared plan has beyond it are appended.
  - What the API or TALM would refuse, and what they would accept and silently misunderstand, is refused before anything
    is written, with the offending step named. See the notes.
  - With O(wait=true) it follows the plan to its end. The outcome is computed for each cluster that was expected, because
    the status on the hub says "completed" whatever became of the clusters. A failure is reported as soon as the cluster
    itself reports it; TALM notices one only when the time of the whole step is over.
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
    details: The hub's API server judges the change, by a dry run. Nothing is waited for.
  diff_mode:
    support: full
    details: Shows the object before and after, with the exact change of the plan.
  idempotent:
    support: full
    details: A plan that the hub has already is only followed.
options:
  state:
    description:
      - V(present) creates the group upgrade or appends to its plan.
      - V(absent) deletes it. The clusters stay in the stage that they are in, and labels stay as they are.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description: Whether to follow the plan until all its steps have ended.
    type: bool
    default: false
  max_failures:
    description:
      - Stop waiting as soon as more clusters than this have failed, a number or a share such as V("5%").
      - TALM goes on with the other clusters of the step; what it protects is the steps that you would append next.
    type: str
  leave_failing:
    description:
      - Whether to stop waiting when only clusters are left that have failed already. TALM waits for them until the time of
        the step is over.
    type: bool
    default: false
  verify:
    description:
      - Whether to look at each cluster before a step that finalizes it is sent. When one is not fit, nothing is sent.
      - Needs hosts in the inventory that say how to reach the clusters (C(ibu_kubeconfig)). Steps that upgrade and finalize
        in one go are refused, because nobody could look in between.
    type: bool
    default: false
  delete_running:
    description: Whether O(state=absent) may delete a group upgrade that is still at work.
    type: bool
    default: false
notes:
  - Refused are, for example, plans that are not among the 26 that the API permits, steps that were removed or changed, a
    changed seed image or selector, a step appended while another one runs, a step that would select nobody (TALM calls that
    completed), a first action for clusters that failed other than Abort, AbortOnFailure or Rollback, a C(maxConcurrency)
    below 1 (TALM takes it for "all"), a timeout that the batches cannot meet, ConfigMaps or a pull secret that the hub does
    not have (TALM copies nothing and says nothing), and clusters that another group upgrade is still working on.
seealso:
  - module: sno.image_upgrade.ibgu_info
  - module: sno.image_upgrade.ibu_fleet
"""

EXAMPLES = r"""
- name: Prepare all clusters of the north
  sno.image_upgrade.ibgu_plan:
    kubeconfig: /etc/hub.kubeconfig
    name: north-4-17-3
    namespace: ibu
    cluster_label_selectors:
      - matchLabels: {region: north}
    seed_image_ref:
      version: 4.17.3
      image: registry.example.com/seed:4.17.3
      pull_secret_ref: {name: seed-pull}
    oadp_content:
      - {name: oadp-cm, namespace: openshift-adp}
    plan:
      - actions: [Prep]
        rolloutStrategy: {maxConcurrency: 50, timeoutPerCluster: 30}
    wait: true
  run_once: true
  register: prepared

- name: Abort those that failed, upgrade the others, and stop at more than 5 percent of failures
  sno.image_upgrade.ibgu_plan:
    kubeconfig: /etc/hub.kubeconfig
    name: north-4-17-3
    namespace: ibu
    cluster_label_selectors:
      - matchLabels: {region: north}
    seed_image_ref:
      version: 4.17.3
      image: registry.example.com/seed:4.17.3
      pull_secret_ref: {name: seed-pull}
    oadp_content:
      - {name: oadp-cm, namespace: openshift-adp}
    plan:
      - actions: [Prep]
        rolloutStrategy: {maxConcurrency: 50, timeoutPerCluster: 30}
      - actions: [AbortOnFailure]
        rolloutStrategy: {maxConcurrency: 50, timeout: 30}
      - actions: [Upgrade]
        rolloutStrategy: {maxConcurrency: 50, timeoutPerCluster: 90}
    wait: true
    max_failures: "5%"
  run_once: true

- name: Try the seed image on two clusters first
  sno.image_upgrade.ibgu_plan:
    kubeconfig: /etc/hub.kubeconfig
    name: north-canary
    namespace: ibu
    copy_from: north-4-17-3
    clusters: [site-0001, site-0002]
    plan:
      - actions: [Prep]
        rolloutStrategy: {maxConcurrency: 2}
      - actions: [Upgrade]
        rolloutStrategy: {maxConcurrency: 2}
    wait: true
  run_once: true

- name: Remove the group upgrade once it has ended
  sno.image_upgrade.ibgu_plan:
    kubeconfig: /etc/hub.kubeconfig
    name: north-4-17-3
    namespace: ibu
    state: absent
  run_once: true
"""

RETURN = r"""
appended_steps:
  description: How many steps the hub did not have before, all of them for a new group upgrade.
  returned: when O(state=present)
  type: int
  sample: 1
group:
  description: The group upgrade as RV(sno.image_upgrade.ibgu_info#module:group) has it, at the end of the task.
  returned: when O(state=present), empty in check mode
  type: dict
  sample: {}
failed_clusters:
  description:
    - By cluster, one sentence on why it does not get what the plan wants, and what to do.
    - Clusters that no step selected although they were expected are among them.
  returned: when O(state=present)
  type: dict
  sample:
    site-0003: >-
      site-0003 failed in step 1 of ibu/north-4-17-3, Prep: precache job failed to complete → save the logs and abort those
      that failed: ansible-playbook sno.image_upgrade.group_abort -e ibgu_namespace=ibu -e ibgu_copy_from=north-4-17-3
      (docs/runbooks/hub-failed)
stopped:
  description: Why the waiting ended before the plan did; empty where it did not.
  returned: when O(state=present)
  type: str
  sample: ""
"""
