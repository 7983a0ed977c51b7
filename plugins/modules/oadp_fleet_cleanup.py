#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oadp_fleet_cleanup
short_description: Delete the backups that image-based upgrades have left behind, on all clusters of a batch at once
version_added: 0.1.0
description:
  - Does what M(sno.image_upgrade.oadp_cleanup) does, on every host of the batch, all at once or O(concurrency) at a time, from
    one task. Hundreds of clusters that wait for the same object store wait together.
  - The task itself fails only for options that nothing can be done with. What became of a cluster stands in its result; a task
    afterwards fails the hosts in RV(failed_clusters).
  - An option that the task does not give is taken from the variable C(ibu_OPTION) of the play.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
  - sno.image_upgrade._oadp
attributes:
  check_mode:
    support: full
    details: Reads every cluster once, and lists exactly what would go.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  concurrency:
    description:
      - How many clusters to clean up at a time. A place is filled again as soon as a cluster is done.
      - V(0) means the whole batch.
    type: int
    default: 0
  progress_interval:
    description: Least time between two progress lines, in seconds. Without a change there is one line a minute.
    type: float
    default: 5
seealso:
  - module: sno.image_upgrade.oadp_cleanup
"""

EXAMPLES = r"""
- name: Clean up after an outage of the object store
  sno.image_upgrade.oadp_fleet_cleanup:
    location_timeout: 1800
  run_once: true
  register: cleanup

- name: Fail exactly the clusters that are not clean
  ansible.builtin.assert:
    that: inventory_hostname not in cleanup.failed_clusters
    fail_msg: "{{ cleanup.failed_clusters[inventory_hostname] | default('') }}"
    quiet: true
"""

RETURN = r"""
clusters:
  description: By host, what M(sno.image_upgrade.oadp_cleanup) returns.
  returned: success
  type: dict
  sample:
    site-0001:
      changed: true
      result: done
      message: deleted 1 backup (small-app), 1 restore (small-app)
failed_clusters:
  description: The message for each cluster that is not clean, by host.
  returned: success
  type: dict
  sample:
    site-0004: >-
      site-0004: backup location dpa-1 is Unavailable: ...; nothing was deleted → repair Secret cloud-credentials or the object
      store or DataProtectionApplication dpa (oc -n openshift-adp get backupstoragelocations), then run again
"""
