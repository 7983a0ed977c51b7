#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibgu_labels
short_description: Bring the labels of group upgrades on the hub into line with the clusters
version_added: 0.1.0
description:
  - Compares the labels C(lcm.openshift.io/ibgu-ACTION-completed) and C(-failed) of each host's ManagedCluster with what the
    cluster itself says, and corrects them. Group upgrades choose clusters by these labels.
  - Where a cluster is Idle, because its upgrade was finalized or cancelled, all of them are removed.
  - Removes the annotation C(import.open-cluster-management.io/disable-auto-import) from clusters that stand still in the release
    that they will run, so that the hub imports them again.
  - A cluster whose stage is running, that does not answer, or whose cleanup has failed, is left alone.
  - While a group upgrade lists a cluster, TALM changes its labels back. Such a cluster is left alone and stands in
    RV(failed_clusters), unless its labels are right.
  - An option that the task does not give is taken from the variable C(ibgu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  contact_timeout:
    description: How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 10
  despite_group_upgrades:
    description: Whether to correct labels although a group upgrade still lists the cluster, so that TALM may change them back.
    type: bool
    default: false
seealso:
  - module: sno.image_upgrade.ibgu_info
"""

EXAMPLES = r"""
- name: Correct the labels of clusters that were recovered
  sno.image_upgrade.ibgu_labels:
  run_once: true
  register: labels

- name: Show what was wrong
  ansible.builtin.debug:
    msg: "{{ labels.clusters | dict2items | selectattr('value.changed') | map(attribute='key') }}"
  run_once: true
"""

RETURN = r"""
clusters:
  description:
    - By host, the C(labels) that its ManagedCluster had, which of them to C(add) and to C(remove), whether to let the hub import
      it again (C(release_import)), the C(reason), and whether it was C(changed).
  returned: success
  type: dict
  sample:
    site-0003:
      labels: [lcm.openshift.io/ibgu-prep-completed, lcm.openshift.io/ibgu-upgrade-failed]
      add: []
      remove: [lcm.openshift.io/ibgu-prep-completed, lcm.openshift.io/ibgu-upgrade-failed]
      release_import: true
      reason: the cluster is idle
      changed: true
failed_clusters:
  description: By host, why its labels could not be brought into line.
  returned: success
  type: dict
  sample: {}
"""
