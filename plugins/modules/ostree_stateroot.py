#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ostree_stateroot
short_description: Look at, remove or make the default one stateroot of a node
version_added: 0.1.0
description:
  - Says which deployments and stateroots a node has, removes a stateroot that the Lifecycle Agent failed to clean up, and makes
    a stateroot the default for the next boot, which is the manual half of a rollback.
  - It runs shell commands through the connection of the host, and needs no Python there. So the host is the B(node), reached with
    ssh, or with P(kubernetes.core.kubectl#connection) through a privileged pod on the node, and not the cluster's API.
    The role P(sno.image_upgrade.recover_stateroot#role) makes such a pod and removes it again.
  - The node is read with C(ostree admin status) and, where it is there and answers, C(rpm-ostree status --json). What they say is
    understood and the same, or nothing is done. After every step it is read again and the rest is planned anew, because the
    indices of deployments shift. Interrupted anywhere, the next run goes on.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    support: full
    details: Reads the node, and returns the commands that would be run under RV(steps).
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The stateroot, for example V(rhcos_4.17.3). For an upgrade it is V(rhcos_) and the version, with V(_) for every V(-);
        after an ordinary installation it is V(rhcos).
      - Required unless O(state=gathered). Letters, digits, dots, underscores and hyphens only.
    type: str
  state:
    description:
      - With V(gathered) the node is only read.
      - With V(absent) the deployments of the stateroot are undeployed, from the highest index to the lowest, and then its
        directory is removed with everything below it, C(/var) included, in a mount namespace of its own.
        There is no way back. A stateroot that does not exist is no change.
      - V(absent) is refused for the booted stateroot, for the one that the next boot takes, while something is mounted there, and
        while rpm-ostree is at work.
      - With V(default) the first deployment of the stateroot is put first in the boot order. The node is B(not) rebooted.
        This is refused where the stateroot has no deployment, and while a deployment is staged, which would come first again.
    type: str
    choices: [gathered, absent, default]
    default: gathered
  remove_pinned:
    description: Remove deployments that somebody has pinned, too. At the default they make O(state=absent) fail.
    type: bool
    default: false
  sysroot:
    description:
      - Absolute path of the sysroot on a disk that the node is B(not) booted from, for example V(/mnt/sysroot) in a rescue system.
      - At the default it is the one that the node is booted from, and then exactly one deployment must be marked as booted.
    type: str
  command_prefix:
    description:
      - What every command begins with, written as in a shell, to get from where the connection ends to the node's own root.
        In a debug pod that is V(chroot /host); in a pod with the PID namespace of the node also
        V(nsenter --target 1 --mount --).
      - At the default the connection ends on the node itself.
    type: str
    default: ""
notes:
  - All commands but some that read need root on the node, so use C(become) where the connection is not root's.
  - Before each change of the boot order the node itself looks once more whether the index still means the same deployment. A
    command that is sent twice, for example because C(reconnection_retries) of ssh is set, cannot hit another deployment.
  - Removing a stateroot that the Lifecycle Agent may still want to roll back to is not refused here, because only the
    ImageBasedUpgrade knows that. The role looks at it first.
seealso:
  - module: sno.image_upgrade.ibu_info
  - plugin: kubernetes.core.kubectl
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Look at the stateroots
  sno.image_upgrade.ostree_stateroot:
  become: true
  register: stateroots

- name: Say which of them have no deployments
  ansible.builtin.debug:
    var: stateroots.unused_stateroots

- name: Say what removing the stateroot of a failed upgrade would do
  sno.image_upgrade.ostree_stateroot:
    name: rhcos_4.17.3
    state: absent
  become: true
  check_mode: true
  diff: true

- name: Remove it
  sno.image_upgrade.ostree_stateroot:
    name: rhcos_4.17.3
    state: absent
  become: true

- name: Let the next boot take the release of before
  sno.image_upgrade.ostree_stateroot:
    name: rhcos
    state: default
  become: true

- name: Look at the stateroots through a privileged pod that is there
  sno.image_upgrade.ostree_stateroot:
    command_prefix: chroot /host
  vars:
    ansible_connection: kubernetes.core.kubectl
    ansible_kubectl_kubeconfig: /secure/kubeconfigs/site-0001.yml
    ansible_kubectl_namespace: openshift-lifecycle-agent
    ansible_kubectl_pod: site-0001-debug
"""

RETURN = r"""
deployments:
  description:
    - The deployments in boot order, after the changes. In check mode, as they would be then.
  returned: success
  type: list
  elements: dict
  contains:
    index:
      description: The place in the boot order.
      type: int
    stateroot:
      description: The stateroot that it belongs to.
      type: str
    checksum:
      description: The commit that is deployed.
      type: str
    serial:
      description: Tells deployments of the same commit apart.
      type: int
    version:
      description: The version of the commit, if it has one.
      type: str
    booted:
      description: Whether the node runs from it.
      type: bool
    default:
      description: Whether the next boot takes it.
      type: bool
    pinned:
      description: Whether somebody has pinned it.
      type: bool
    staged:
      description: Whether it is written only when the node shuts down.
      type: bool
    rollback:
      description: Whether it is what ostree calls the rollback, the next deployment of the booted stateroot.
      type: bool
  sample:
    - index: 0
      stateroot: rhcos_4.17.3
      checksum: 1f0b3c3dd1a5ba4c1b5d0e0d5a4f0c4a3b8d4f1a2c6e7d8f9a0b1c2d3e4f5a6b
      serial: 0
      version: 417.94.202411201839-0
      booted: true
      default: true
      pinned: false
      staged: false
      rollback: false
stateroots:
  description: The stateroots on the disk, with and without deployments.
  returned: success
  type: list
  elements: str
  sample: [rhcos, rhcos_4.17.3]
unused_stateroots:
  description: Those without deployments.
  returned: success
  type: list
  elements: str
  sample: []
booted_stateroot:
  description: The stateroot that the node runs from; V(null) where it does not run from this sysroot.
  returned: success
  type: str
  sample: rhcos_4.17.3
default_stateroot:
  description: The stateroot that the next boot takes; V(null) without deployments.
  returned: success
  type: str
  sample: rhcos_4.17.3
other_stateroot:
  description:
    - The stateroot that the Lifecycle Agent would roll back to, that of the first deployment outside the booted stateroot.
    - V(null) where there is none.
  returned: success
  type: str
  sample: rhcos
free_bytes:
  description: Free space of the file system with the stateroots.
  returned: success
  type: int
  sample: 76651724800
size_bytes:
  description: Size of the file system with the stateroots.
  returned: success
  type: int
  sample: 128311091200
steps:
  description:
    - What was done, in order; in check mode, what would be done. Empty where there is nothing to do.
    - On failure, what was done before it.
  returned: always
  type: list
  elements: dict
  contains:
    step:
      description: In words.
      type: str
    command:
      description: The command line on the node.
      type: str
  sample:
    - step: remove the directory of stateroot rhcos
      command: unshare --mount /bin/sh -c '...'
msg:
  description: The steps in one line, or why there are none.
  returned: always
  type: str
  sample: there is no stateroot rhcos_4.16.8; there are rhcos_4.17.3
"""
