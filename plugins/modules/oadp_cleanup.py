#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oadp_cleanup
short_description: Delete the backups that an image-based upgrade has left behind
version_added: 0.1.0
description:
  - Finds the Backups, Restores and DeleteBackupRequests of this cluster as the Lifecycle Agent does - by the label
    C(config.openshift.io/clusterID), Restores by the name of their Backup - and deletes them with their data. Those of other
    clusters in the same bucket stay.
  - A Backup is deleted through a DeleteBackupRequest, which is followed to its end. A Backup object that is deleted alone comes
    back from the bucket.
  - It waits for the backup location first, and deletes nothing while it is not C(Available).
  - It is refused while the Lifecycle Agent may still need the backups, or is deleting them itself. The cluster has to be Idle,
    or in C(AbortFailed) or C(FinalizeFailed).
  - It can be stopped at any moment and run again.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.actiongroup_ibu
  - sno.image_upgrade._oadp
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
attributes:
  check_mode:
    support: full
    details: Reads once, and lists exactly what would go.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - Afterwards set the annotation C(lca.openshift.io/manual-cleanup-done) on the ImageBasedUpgrade, so that the Lifecycle Agent
    looks again.
seealso:
  - module: sno.image_upgrade.oadp_fleet_cleanup
  - module: sno.image_upgrade.ibu_info
"""

EXAMPLES = r"""
- name: Say what would go, and what keeps it
  sno.image_upgrade.oadp_cleanup:
    kubeconfig: /etc/sites/site-0001.kubeconfig
  check_mode: true
  register: would_go

- name: Wait for the backup location, then delete the backups of this cluster
  sno.image_upgrade.oadp_cleanup:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    location_timeout: 1800

- name: Delete them although requests of an earlier attempt hang
  sno.image_upgrade.oadp_cleanup:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    remove_stuck: true

- name: Remove the objects although the bucket is lost for good
  sno.image_upgrade.oadp_cleanup:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    orphan_data: true
  register: cleanup

- name: Say which data stays behind
  ansible.builtin.debug:
    msg: "{{ cleanup.data_left | map(attribute='path') | list }}"
"""

RETURN = r"""
result:
  description: V(done), V(skipped) (OADP is not installed), V(failed), V(timed_out), V(refused) or V(unreachable).
  returned: always
  type: str
  sample: done
message:
  description: What was done, or why it was not.
  returned: always
  type: str
  sample: deleted 2 backups (acm-klusterlet, small-app), 2 restores (acm-klusterlet, small-app); 3 of other clusters stay
next_step:
  description: What to do about a failure.
  returned: always
  type: str
  sample: ""
notes:
  description: What else is worth knowing.
  returned: always
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took, in seconds.
  returned: always
  type: float
  sample: 12.4
locations:
  description: The backup locations as last seen.
  returned: when the cluster could be read
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
      sample: openshift-adp
    name:
      description: Its name.
      type: str
      sample: dataprotectionapplication-1
    phase:
      description: V(Available), V(Unavailable), or V(null) where it was not validated yet.
      type: str
      sample: Available
    last_validated:
      description: When it was validated last.
      type: str
      sample: "2026-11-21T01:58:00Z"
    message:
      description: What Velero says of it.
      type: str
      sample: ""
    provider:
      description: The kind of object store.
      type: str
      sample: aws
    bucket:
      description: The bucket.
      type: str
      sample: backups
    prefix:
      description: The folder in the bucket.
      type: str
      sample: site-0001
    read_only:
      description: Whether nothing may be deleted there.
      type: bool
      sample: false
    data_protection_application:
      description: The DataProtectionApplication that it comes from.
      type: str
      sample: dataprotectionapplication
    secret:
      description: The Secret with its credentials.
      type: str
      sample: cloud-credentials
found:
  description: >-
    What belonged to this cluster at first, in the lists C(backups), C(restores) and C(delete_backup_requests), with C(namespace),
    C(name) and C(phase). A Backup has its C(location), the others their C(backup); a request C(errors) and C(age_seconds) too.
  returned: when the cluster could be read
  type: dict
  sample:
    backups: [{namespace: openshift-adp, name: small-app, phase: Completed, location: dpa-1}]
    restores: [{namespace: openshift-adp, name: small-app, phase: Completed, backup: small-app}]
    delete_backup_requests: []
removed:
  description: What of it is gone, as V(namespace/name), in lists of the same names; in check mode what would go.
  returned: when the cluster could be read
  type: dict
  sample:
    backups: [openshift-adp/small-app]
    restores: [openshift-adp/small-app]
    delete_backup_requests: []
others:
  description: How many Backups in the same bucket are not this cluster's. They stay.
  returned: when the cluster could be read
  type: int
  sample: 3
data_left:
  description: What stays in the object store behind objects that were removed without Velero.
  returned: when the cluster could be read
  type: list
  elements: dict
  sample: [{kind: Backup, name: small-app, location: dpa-1, path: backups/site-0001/backups/small-app}]
volumes:
  description: The PersistentVolumes whose reclaim policy was set back, in check mode would be.
  returned: when the cluster could be read
  type: list
  elements: str
  sample: []
steps:
  description: Every write and why; in check mode what would be done.
  returned: when the cluster could be read
  type: list
  elements: str
  sample: ["create DeleteBackupRequest small-app: Velero shall delete the backup and its data"]
"""

import threading
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._module import (
    cluster_module,
    cluster_name,
    open_session,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_cluster import OadpCluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_drive import (
    POLICY_OPTIONS,
    OadpDrive,
    policy_of,
    result_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def drive_of(module: AnsibleModule, clock: Clock) -> OadpDrive:
    """What the options ask for. Raises InvalidOption."""
    policy = policy_of(module.params)
    contact = seconds_of("contact_timeout", module.params["contact_timeout"])
    session = open_session(module)
    return OadpDrive(
        cluster_name(session),
        OadpCluster(session, volumes=policy.reclaim_policies),
        policy,
        clock=clock,
        stop=threading.Event(),
        contact=contact,
        check=module.check_mode,
    )


def main() -> None:
    """Run the module."""
    module = cluster_module(POLICY_OPTIONS, supports_check_mode=True)
    try:
        drive = drive_of(module, Clock())
    except IbuError as error:
        module.fail_json(msg=str(error))
    outcome = drive.run()
    result = result_of(outcome, drive.report)
    if outcome.result.is_failure:
        step = f". Next: {outcome.next_step}" if outcome.next_step else ""
        module.fail_json(msg=f"{outcome.name}: {outcome.message}{step}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
