#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_recover
short_description: Recover many clusters from failed image-based upgrades, each from the state that it is in
version_added: 1.0.0
description:
  - Looks at every host of the batch, decides by the state of its ImageBasedUpgrade, does the first step, and looks again, until the cluster
    is Idle or a person has to decide. All of them at once, or O(concurrency) at a time, from one task.
  - A failed Prep, an upgrade that failed before its reboot and one that has rolled back by itself are aborted. An upgrade that failed
    after its reboot is rolled back. A completed rollback is finalized. What is under way is waited for, or left alone where nothing has failed.
  - After a failed abort or finalize it waits for the backup location, asks the Lifecycle Agent to try again, and waits until it has
    looked again. Where it fails once more, exactly the parts that it names are cleaned up through the API, and the agent is asked again.
    A stateroot can only be removed on the node; RV(needs_node) has it.
  - A cluster that the running step of a group upgrade is not done with is left alone, because the hub would ask for its stage again.
    One that has failed is refused then, and check mode says so together with what comes afterwards. This is only known where a hub is configured and answers.
  - In the end the labels on the hub are brought into line, and the hub may import the cluster again.
  - A rollback that has failed, a stage that was asked for in the wrong state, and a state that is not known are a person's to decide.
    Nothing is done about them; the message has what is needed.
  - The task itself fails only for options that nothing can be done with. What became of a cluster stands in its result; a task
    afterwards fails the hosts in RV(failed_clusters).
  - An option that the task does not give is taken from the variable C(ibu_OPTION) of the play.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
    details: Says of each cluster what was seen, what would be done, and why.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  look:
    description: Only say what will be done, as check mode does.
    type: bool
    default: false
  clusters:
    description:
      - The hosts of the batch to work on.
      - Unset, it is all of them.
    type: list
    elements: str
  only_cleanup:
    description: Only work on clusters whose abort or finalize has failed or is under way. Others are left alone.
    type: bool
    default: false
  logs:
    description:
      - Whether the logs of a cluster have to be saved before a step that deletes what shows why it has failed.
      - A cluster whose logs are not saved is left as it is, and stands in RV(needs_logs).
    type: bool
    default: true
  logs_saved:
    description: The hosts whose logs are saved, for example by M(sno.image_upgrade.ibu_gather).
    type: list
    elements: str
    default: []
  location_timeout:
    description: How long to wait until the backup location is C(Available), in seconds. The agent is not asked before.
    type: float
    default: 600
  request_timeout:
    description: How long Velero may take for one DeleteBackupRequest before it is said to hang, in seconds.
    type: float
    default: 300
  cleanup_timeout:
    description: How long the agent may take for one cleanup, in seconds. A finalize waits until the cluster is healthy.
    type: float
    default: 2400
  answer_timeout:
    description: How long the agent may take to take up the annotation that asks for another cleanup, in seconds.
    type: float
    default: 600
  same_failure_timeout:
    description:
      - After how many seconds a failure that reads like the one before counts as a new one.
      - The agent need not give any other sign that it has looked again, and deleting backups alone may take it five minutes.
    type: float
    default: 420
  wait_timeout:
    description: How long to wait for what blocks a cluster, in seconds.
    type: float
    default: 2400
  remove_stuck:
    description: Whether to remove what hangs of OADP's, as M(sno.image_upgrade.oadp_cleanup) does.
    type: bool
    default: false
  orphan_data:
    description: Whether the bucket is lost for good, as for M(sno.image_upgrade.oadp_cleanup). It changes nothing where the bucket answers.
    type: bool
    default: false
  finalize_rollback:
    description: Whether to finalize completed rollbacks, which removes the stateroot of the release that was left.
    type: bool
    default: true
  rollback_after_expiration:
    description: Whether to roll back although the certificates of the old release may have expired.
    type: bool
    default: false
  node_access:
    description: Whether somebody will work on the hosts in RV(needs_node). It changes only what is said.
    type: bool
    default: false
  despite_group_upgrades:
    description: Whether to change labels of clusters that a group upgrade still lists; TALM may change them back.
    type: bool
    default: false
  timeouts:
    description: Seconds that an abort (V(Abort)), a rollback (V(Rollback)) and its finalize (V(FinalizeRollback)) may take.
    type: dict
    default: {}
  contact_timeout:
    description: How long a cluster may be silent while it does not reboot, in seconds.
    type: float
    default: 60
  settle_timeout:
    description: How long a state that may be left over from before a reboot must last before it counts, in seconds.
    type: float
    default: 180
  concurrency:
    description:
      - How many clusters to work on at a time. A place is filled again as soon as a cluster is done.
      - V(0) means the whole batch.
    type: int
    default: 0
  progress_interval:
    description: Least time between two progress lines, in seconds. Without a change there is one line a minute.
    type: float
    default: 5
seealso:
  - module: sno.image_upgrade.ibu_gather
  - module: sno.image_upgrade.oadp_cleanup
  - module: sno.image_upgrade.ostree_stateroot
  - module: sno.image_upgrade.ibgu_labels
"""

EXAMPLES = r"""
- name: Save what shows why clusters failed
  sno.image_upgrade.ibu_gather:
    only_failed: true
  run_once: true
  register: evidence

- name: Recover all that have failed
  sno.image_upgrade.ibu_recover:
    logs_saved: "{{ evidence.clusters | dict2items | selectattr('value.result', 'in', ['saved', 'kept']) | map(attribute='key') }}"
  run_once: true
  register: recovery

- name: Fail exactly the clusters that need more
  ansible.builtin.assert:
    that: inventory_hostname not in recovery.failed_clusters
    fail_msg: "{{ recovery.failed_clusters[inventory_hostname] | default('') }}"
    quiet: true
"""

RETURN = r"""
clusters:
  description:
    - What became of every host. C(way) is V(nothing to do), V(recover), V(a person must decide) or V(unknown state); C(saw) and C(steps)
      are what was seen and decided at first, C(completed) what was done.
    - C(failures) are the failed cleanups that were seen, with their parts; C(asked) says how often the agent was asked to try
      again, and C(removed), C(volumes) and C(data_left) what was done about OADP.
  returned: success
  type: dict
  sample:
    site-0005:
      changed: true
      result: done
      state: idle
      way: recover
      saw:
        - "cleanup of OADP backups failed: failed to delete backups: context deadline exceeded"
      steps:
        - collect logs
        - ask the Lifecycle Agent to retry its cleanup
        - "if that fails: delete 2 backups (acm-klusterlet, small-app) of this cluster through DeleteBackupRequests, then ask again"
      failures:
        - parts: [backups]
          message: "failed to cleanup backups: failed to delete backups: context deadline exceeded Perform cleanup manually ..."
      asked: 1
      completed: [retry]
      message: "recovered: it is idle"
failed_clusters:
  description: The message for each cluster that is not recovered, by host.
  returned: success
  type: dict
  sample:
    site-0007: >-
      site-0007: a person must decide: the rollback failed: failed to set default deployment: exit status 1 → no automatic way leads out ...
check_mode:
  description: Whether this was check mode, also where only the task says so.
  returned: success
  type: bool
  sample: false
needs_logs:
  description: The hosts whose logs have to be saved before anything is done. In check mode and with O(look), before anything will be.
  returned: success
  type: list
  elements: str
  sample: [site-0005]
needs_node:
  description:
    - By host, the stateroot that the agent could not remove. It is empty where only the node knows its name.
    - Role C(recover_stateroot) removes it; then recover again.
  returned: success
  type: dict
  sample:
    site-0009: rhcos_4.17.3
"""
