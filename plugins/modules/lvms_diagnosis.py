#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lvms_diagnosis
short_description: Why volumes of LVM Storage lost their contents in an image-based upgrade
version_added: 1.0.0
description:
  - Reads the events, volumes, claims, LogicalVolumes, Backups and Restores of every host of the batch in parallel, and tells
    which of the two causes it is. The Backup takes no C(logicalvolumes.topolvm.io) or no volumes, or the Restore lacks C(restorePVs) or
    C(restoreStatus).
  - It names the Backup or Restore with the lines that it lacks, and says whether a rollback still brings the contents back and until when.
  - It knows the same faults before an upgrade, from the Backups that are on the cluster.
  - The Lifecycle Agent keeps the reclaim policy of volumes at C(Retain) during an upgrade. Where a failed cleanup has left that behind, it
    says so, and sets it back with O(restore_policies).
  - An option that the task does not give is taken from the variable C(ibu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
    details: It asks the API servers for a dry run of what O(restore_policies) would do.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  restore_policies:
    description:
      - Set the reclaim policy of volumes back to C(Delete) that an upgrade has left at C(Retain), once the upgrade is over.
      - A volume that is not bound, or whose contents are missing, stays as it is.
    type: bool
    default: false
  contact_timeout:
    description: How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 30
seealso:
  - module: sno.image_upgrade.ibu_velero_debug
  - module: sno.image_upgrade.oadp_fleet_cleanup
"""

EXAMPLES = r"""
- name: Say why volumes are empty
  sno.image_upgrade.lvms_diagnosis:
  run_once: true
  register: lvms

- name: Show what to correct on this cluster
  ansible.builtin.debug:
    msg: "{{ lvms.clusters[inventory_hostname].corrections | map(attribute='snippet') | list }}"

- name: Set reclaim policies back that a failed finalize has left
  sno.image_upgrade.lvms_diagnosis:
    restore_policies: true
  run_once: true
"""

RETURN = r"""
clusters:
  description:
    - By host, what was found.
    - C(cause) is V(backup), V(restore), V(backup and restore), V(unknown) where contents are missing and nothing says why, or V(none). With a
      cause and without anything in C(missing), the next upgrade would lose contents.
    - C(corrections) has the part of each Backup and Restore that is to be changed; the new lines end in C(# add). They belong in one of
      C(configmaps), the ConfigMaps of C(oadpContent).
    - C(rollback.possible) is null where the cluster runs the old release already.
    - C(reclaim_policies) has the volumes that an upgrade has left at C(Retain) and that can be set back (C(left)), those that were
      (C(set_back)), those that stay and why (C(kept)), and those that an upgrade still needs (C(in_use)).
  returned: success
  type: dict
  sample:
    site-0001:
      state: upgraded
      cause: backup
      missing:
        - claim: app/app-data
          volume: pv-app
          sign: "pod app/app-0 cannot mount it: VolumeID is not found"
      corrections:
        - kind: Backup
          namespace: openshift-adp
          name: small-app
          lacks: [logicalvolumes.topolvm.io]
          snippet: |-
            apiVersion: velero.io/v1
            kind: Backup
            metadata:
              name: small-app
              namespace: openshift-adp
            spec:
              includedClusterScopedResources:
              - persistentVolumes
              - logicalvolumes.topolvm.io  # add
          note: ""
      configmaps: [openshift-adp/oadp-cm]
      rollback: {possible: true, until: "2026-12-20T14:01:00Z", why: what is on the disk was not touched}
      reclaim_policies: {left: [], set_back: [], kept: {}, in_use: []}
      message: "the contents of app/app-data were not restored: Backup small-app lacks logicalvolumes.topolvm.io"
      next_step: >-
        leave claims and volumes alone; ansible-playbook sno.image_upgrade.rollback -l site-0001 before 2026-12-20 14:01Z; correct what is
        named, then upgrade again (docs/runbooks/lvms-contents)
failed_clusters:
  description: The message for each cluster whose contents are missing, or that could not be read, by host.
  returned: success
  type: dict
  sample: {}
"""
