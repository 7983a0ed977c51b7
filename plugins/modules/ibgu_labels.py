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
  - A cluster whose stage is running, or whose cleanup has failed, is left alone. So is one that a running group upgrade has
    taken on and is not done with, for it may be about to reboot into the other release.
  - While a group upgrade lists a cluster, TALM gives it the labels of the actions that have ended again, or takes them all away
    again once it was finalized or aborted. Where that would undo the correction, the cluster is left alone and stands in
    RV(failed_clusters).
  - A cluster that does not answer, or that the hub does not know, is left alone and stands in RV(failed_clusters), and so are all
    clusters of a hub that does not answer.
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
    description: How long to try to reach a cluster or a hub that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 10
  despite_group_upgrades:
    description:
      - Whether to correct labels although a group upgrade still lists the cluster, so that TALM may change them back.
      - Clusters that a running step is not done with are left alone all the same.
    type: bool
    default: false
notes:
  - Reading needs the right to list managedclusters, imagebasedgroupupgrades and clustergroupupgrades on the hub. Without the second
    there is a warning; without the third, every cluster that a running group upgrade selects is left alone.
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
relabelled:
  description:
    - The hosts whose labels were changed, or would be in check mode. A host of which only the import is let go is not among them,
      because group upgrades do not choose clusters by that.
  returned: success
  type: list
  elements: str
  sample: [site-0003]
failed_clusters:
  description: By host, why its labels could not be brought into line.
  returned: success
  type: dict
  sample: {}
"""
