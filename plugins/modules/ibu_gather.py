#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_gather
short_description: Collect the logs of many clusters, one archive for each
version_added: 1.0.0
description:
  - Runs C(oc adm must-gather) for every host of the batch, a few at a time, with the image of the Lifecycle Agent that is
    installed on the cluster, and packs what it collects into one archive per cluster.
  - Where C(oc) is missing or fails, collects through the API instead. That has the ImageBasedUpgrade, the jobs, the pods with their logs
    and the events of the Lifecycle Agent and of OADP, OADP's objects, ClusterVersion, ClusterOperators, MachineConfigPools,
    nodes and certificate signing requests. It does not have what only the node has, such as the logs of the stateroot that is not booted.
  - Secrets are left out, and so are ConfigMaps where the API is asked. What looks like a secret in anything else is masked, also in what
    C(oc adm must-gather) has collected. Binary files in that are taken as they are.
  - An archive gets its name once it is complete. Run again after an interruption, it goes on with the clusters that have none yet.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
    details: It says of which clusters it would collect.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: A cluster is left alone that has an archive of the same state which is younger than O(max_age).
options:
  folder:
    description: Where the archives go. It is made where it is not there, for this user alone.
    type: path
    default: must-gather
  images:
    description:
      - What C(oc adm must-gather) runs. V(lifecycle-agent) and V(oadp) are the images that these operators name on the cluster,
        V(cluster) is the cluster's own must-gather, and anything else is an image by its name.
      - An operator that is not installed is passed over; the result says so.
    type: list
    elements: str
    default: [lifecycle-agent, oadp]
  method:
    description:
      - With V(oc) a cluster fails whose logs C(oc adm must-gather) cannot collect.
      - With V(api) only the API is asked.
      - With V(auto) the API is asked where C(oc) is missing or fails.
    type: str
    choices: [auto, oc, api]
    default: auto
  oc:
    description: The name of the command, or its path.
    type: path
    default: oc
  only_failed:
    description:
      - Only collect where something has failed and Idle would delete what shows why. That is a failed Prep, Upgrade or Rollback,
        an automatic rollback, a rollback that is completed, a failed abort or finalize, and a state that is not known.
      - An upgraded cluster is none of these, whether it is healthy or not.
    type: bool
    default: false
  before_rollback:
    description:
      - Only collect from clusters that run the new release and are not finalized, upgraded ones among them, healthy or not. After a
        rollback their API no longer shows why they were taken back.
      - With O(only_failed), from these and those.
    type: bool
    default: false
  max_age:
    description: Seconds for which an archive of the same state of a cluster makes another one unnecessary; 0 always collects.
    type: float
    default: 3600
  concurrency:
    description: How many clusters are collected from at once.
    type: int
    default: 10
  size_limit:
    description:
      - The most that is collected from one cluster, before it is packed.
      - Where C(oc adm must-gather) goes beyond it, it is ended, and V(auto) asks the API. There the logs are cut at their beginning.
    type: bytes
    default: 1G
  least_free:
    description: What has to stay free on the disk of O(folder). Collecting does not begin, or ends, where less is left.
    type: bytes
    default: 5G
  timeout:
    description: Seconds that C(oc adm must-gather) may take for one cluster.
    type: float
    default: 1200
  time_limit:
    description:
      - Seconds that all clusters together may take; 0 is no limit. So that collecting cannot hold up what comes after it.
      - Whoever is not saved by then has failed, with everything that was started for it ended. The next run goes on with the rest.
    type: float
    default: 0
  log_lines:
    description: How many lines are wanted of the end of a log that is read through the API; 0 is all.
    type: int
    default: 0
  contact_timeout:
    description:
      - How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
      - Where the task does not give it, the variable C(ibu_contact_timeout) counts.
    type: float
    default: 30
seealso:
  - module: sno.image_upgrade.ibu_velero_debug
"""

EXAMPLES = r"""
- name: Collect the logs of all clusters
  sno.image_upgrade.ibu_gather:
    folder: logs
  run_once: true

- name: Keep what shows why clusters failed, before anything deletes it
  sno.image_upgrade.ibu_gather:
    only_failed: true
    images: [lifecycle-agent, oadp, cluster]
    size_limit: 2G
  run_once: true
  register: evidence

- name: Stop where that did not work
  ansible.builtin.assert:
    that: inventory_hostname not in evidence.failed_clusters
    fail_msg: "{{ evidence.failed_clusters[inventory_hostname] | default('') }}"
"""

RETURN = r"""
folder:
  description: The absolute path of the folder.
  returned: success
  type: str
  sample: /home/ops/must-gather
clusters:
  description:
    - What became of every host. C(result) is V(saved), V(kept) where there is a fresh archive already, V(not needed), V(would collect) or
      V(failed). C(problems) says what could not be collected, C(left_out) what was too much.
  returned: success
  type: dict
  sample:
    site-0003:
      result: saved
      state: rolled back automatically
      method: oc
      archive: /home/ops/must-gather/site-0003-20261121T011240Z.tar.gz
      bytes: 93417472
      problems: []
      left_out: []
      message: ""
failed_clusters:
  description: The hosts whose logs could not be saved, and why.
  returned: success
  type: dict
  sample:
    site-0007: "site-0007: its logs could not be saved: no connection to https://api.site-0007.example.com:6443"
"""
