#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_velero_debug
short_description: Why Backups and Restores of many clusters failed
version_added: 1.0.0
description:
  - Finds the Backups and Restores in the namespace C(openshift-adp) that failed, and saves in one folder per cluster what Velero says about
    them. It has the objects, their descriptions, logs and results, and a summary with the errors and warnings on top.
  - What Velero's CLI says in its own pod comes from tasks with M(kubernetes.core.k8s_exec), through O(answers_variable); the role
    C(velero_debug) has them. What it did not say is fetched from the object store with the help of DownloadRequests. The
    addresses that those give have to be reachable from the control node.
  - What looks like a secret is masked in all of it, except in O(contents).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
    details: It says of which clusters it would save something, and makes no DownloadRequest.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: A cluster is left alone that has a folder about the same failures which is younger than O(max_age).
options:
  state:
    description:
      - With V(saved) everything is saved.
      - With V(found) only the objects and the commands to ask Velero's CLI are returned.
    type: str
    choices: [found, saved]
    default: saved
  names:
    description:
      - The objects, as C(backup/NAME), C(restore/NAME), or C(NAME) for both.
      - Without any, those in phase Failed, PartiallyFailed or FailedValidation.
    type: list
    elements: str
    default: []
  folder:
    description: Where the folders of the clusters go. It is made where it is not there, for this user alone.
    type: path
    default: velero-debug
  contents:
    description: Save what a Backup holds, too. That has Secrets in it as they are on the cluster, and is not masked.
    type: bool
    default: false
  answers_variable:
    description:
      - The variable of each host in which a task with M(kubernetes.core.k8s_exec) has registered its answers. That task loops over the
        C(commands) that O(state=found) returns.
    type: str
  download_requests:
    description: Fetch from the object store what Velero's CLI has not said.
    type: bool
    default: true
  ca_cert:
    description:
      - The CA of the object store, in a file.
      - The CAs of the system and that of the backup location are trusted anyway.
    type: path
  validate_certs:
    description: Verify the certificate of the object store.
    type: bool
    default: true
  proxy:
    description: The proxy on the way to the object store, such as V(http://proxy.example.com:3128).
    type: str
  max_age:
    description: Seconds for which a folder about the same failures of a cluster makes another one unnecessary; 0 always asks.
    type: float
    default: 3600
  timeout:
    description: Seconds that Velero may take to answer one DownloadRequest.
    type: float
    default: 60
  concurrency:
    description: How many clusters are asked at once.
    type: int
    default: 20
  least_free:
    description: What has to stay free on the disk of O(folder).
    type: bytes
    default: 1G
  contact_timeout:
    description:
      - How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
      - Where the task does not give it, the variable C(ibu_contact_timeout) counts.
    type: float
    default: 30
seealso:
  - module: sno.image_upgrade.ibu_gather
  - module: kubernetes.core.k8s_exec
"""

EXAMPLES = r"""
- name: Save why Backups and Restores failed
  sno.image_upgrade.ibu_velero_debug:
    folder: velero
    ca_cert: s3-ca.pem
  run_once: true

- name: Save all about one Restore
  sno.image_upgrade.ibu_velero_debug:
    names: [restore/acm-klusterlet]
  run_once: true
"""

RETURN = r"""
folder:
  description: The absolute path of the folder.
  returned: success
  type: str
  sample: /home/ops/velero-debug
clusters:
  description:
    - What became of every host. C(result) is V(saved), V(kept) where there is a fresh folder already, V(nothing) where nothing has failed,
      V(would save), V(found) or V(failed). C(problems) says what could not be had.
    - With O(state=found), C(pod) is the pod that has Velero's CLI, and C(commands) what to run in its container C(velero).
  returned: success
  type: dict
  sample:
    site-0003:
      result: saved
      objects: [{kind: restore, name: acm-klusterlet, phase: PartiallyFailed}]
      pod: velero-7c87d58c7b-sw6fc
      commands: []
      folder: /home/ops/velero-debug/site-0003-20261121T011240Z
      errors: ["restore/acm-klusterlet: velero: rpc error: AccessDenied: Access Denied"]
      warnings: []
      problems: []
      message: ""
failed_clusters:
  description: The hosts about which nothing could be saved, and why.
  returned: success
  type: dict
  sample: {}
"""
