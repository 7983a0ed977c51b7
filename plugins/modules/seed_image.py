#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: seed_image
short_description: From a cluster to a seed image in a registry
version_added: 1.0.0
description:
  - Asks the Lifecycle Agent of a cluster for a seed image (SeedGenerator C(seedimage)), follows it to its end, and looks for the image in the
    registry.
  - Everything that the agent would refuse is looked for first, and listed all at once, in the agent's order, before anything is changed.
    What only the node itself can tell is asked there with O(node_access), and otherwise listed as not checked.
  - While the imager works, kubelet and CRI-O are stopped. The whole API does not answer then, and the SeedGenerator is gone from it. A
    SeedGenerator that is gone is no success; only one that is back and says so is.
  - Before the generation it reads what preflight compares targets with (MachineConfigs, performance profile, operators, CPUs and more), and
    writes it to a file together with the digest of the image.
  - A run that was killed is continued by the next one with the same options. The cluster says where it is; a file in O(folder) says that a
    silent API is to be expected.
  - A cluster that has served as a seed is good for nothing but further seed images.
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
    details: It lists what would be refused, and exactly what would be done and removed. Nothing is written, on the cluster, its hub or
      the control node.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: A SeedGenerator for the same image that has completed is left alone, unless O(recreate=always).
options:
  image:
    description:
      - Where the seed image is pushed to, such as V(registry.example.com/seeds/sno:4.18.9).
      - Required with O(state=generated).
    type: str
  recert_image:
    description: The image of the tool that exchanges certificates, where it is not the Lifecycle Agent's own.
    type: str
  state:
    description:
      - With V(generated) the image is made.
      - With V(restored) the pull secret of the cluster is put back after a run that failed half-way and left the agent's dummy in its
        place. It is taken from the copy in O(folder) or from O(pull_secret_file).
    type: str
    choices: [generated, restored]
    default: generated
  recreate:
    description:
      - Whether a SeedGenerator that is over may be deleted to ask anew. The agent reacts to its creation only.
      - With V(failed) one that has failed is deleted. With V(always) one that has completed is, too, so that every run makes an image.
      - One that is at work is never deleted.
    type: str
    choices: [never, failed, always]
    default: never
  detach:
    description:
      - How the cluster leaves its hub, where it is on one. The agent refuses a cluster with a klusterlet.
      - With V(never) a cluster on a hub is refused.
      - With V(delete) the optional add-ons are switched off and the ManagedCluster is deleted on the hub (C(ibu_hub_kubeconfig)). A
        ManagedCluster that belongs to GitOps (Argo CD, ClusterInstance) is refused, because it would be made again.
      - With V(wait) somebody else does it, for example by removing the site from Git, and it is waited for.
    type: str
    choices: [never, delete, wait]
    default: never
  remove:
    description:
      - What may be removed from the cluster, each by its own consent; check mode lists the objects. What is removed is lost.
      - V(data_protection) is for DataProtectionApplications, V(volumes) for PersistentVolumes with their claims, V(local_volumes) for
        LocalVolumes, V(lvm_clusters) for LVMClusters, V(addons) for namespaces of add-ons that the hub has left, V(klusterlet) for the
        klusterlet and its CRD where the hub has left them.
    type: list
    elements: str
    choices: [data_protection, volumes, local_volumes, lvm_clusters, addons, klusterlet]
    default: []
  auth_file:
    description:
      - A file with the login that may push to the registry, as C(podman login --authfile) makes it.
      - It becomes the Secret C(seedgen) in C(openshift-lifecycle-agent). A Secret that was made that way is removed again at the end.
      - A Secret C(seedgen) with another credential that was not made that way is never replaced; the run is refused then.
      - Without it and without O(auth_secret), the Secret has to be there already.
    type: path
  auth_secret:
    description: The same from a Secret on the cluster, C(NAMESPACE/NAME), with the key C(.dockerconfigjson).
    type: str
  pull_secret_file:
    description: The pull secret to put back with O(state=restored). When omitted, it is the copy that the run before kept.
    type: path
  folder:
    description:
      - Where the control node keeps what belongs to the seed, by the name of the host. C(HOST.pull-secret.json) is a copy of the cluster's
        pull secret, C(HOST.seed.yml) the record, C(HOST.imager.log) the imager's log of a failure, C(HOST.run.json) a run under way.
      - It is made for this user alone. The copy of the pull secret is a credential.
    type: path
    default: seed-image
  record:
    description: Where the record goes, if not into O(folder). Preflight takes it as C(ibu_seed_facts).
    type: path
  verify:
    description:
      - Whether the registry is asked, before the generation and at its end. The image has to be there, has to be another one than before,
        and its labels have to name the release of the cluster.
      - Where the registry cannot be reached from the control node, nothing is begun.
    type: bool
    default: true
  registry_ca:
    description: Certificates of authorities, in PEM form, to trust beside those of the system.
    type: path
  registry_proxy:
    description:
      - The proxy on the way to the registry, C(http://HOST:PORT). An empty text is for none.
      - When omitted, E(HTTPS_PROXY) and E(NO_PROXY) count.
    type: str
  registry_insecure:
    description: Whether to go on with a registry whose certificate is not trusted, or which has no TLS. The login is in danger then.
    type: bool
    default: false
  node_access:
    description:
      - Whether the connection of the host ends on the node, as administrator. The node then says what only it knows, tells what the imager
        does while the API is down, and gives its log after a failure.
      - No Python is needed on the node.
    type: bool
    default: false
  command_prefix:
    description: What every command on the node begins with, such as V(chroot /host) in a debug pod.
    type: str
    default: ""
  timeout:
    description: How long the generation may take in all, in seconds.
    type: float
    default: 7200
  detach_timeout:
    description: How long it may take until the cluster is detached from its hub, in seconds.
    type: float
    default: 3600
  removal_timeout:
    description: How long it may take until something that is removed is gone, in seconds.
    type: float
    default: 900
  lost_timeout:
    description: For how many seconds an API may answer without the SeedGenerator, after the imager or before, until it is given up as lost.
    type: float
    default: 900
  contact_timeout:
    description: How long to try to reach a cluster that does not answer at first, in seconds.
    type: float
    default: 60
  progress_interval:
    description: How often a line says so where nothing has changed, in seconds.
    type: float
    default: 60
notes:
  - The host is the cluster. Its API is reached by its own variables, named as the authentication options of M(kubernetes.core.k8s) behind the
    prefix C(ibu_), its hub by those behind C(ibu_hub_).
  - The credential must be a client certificate, as in the installer's kubeconfig.
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
seealso:
  - module: sno.image_upgrade.ibu_preflight
  - module: sno.image_upgrade.ibu_stage
"""

EXAMPLES = r"""
- name: Say what would be refused, done and removed
  sno.image_upgrade.seed_image:
    image: registry.example.com/seeds/sno:4.18.9
    auth_file: push.json
    detach: delete
  check_mode: true

- name: Make the seed image
  sno.image_upgrade.seed_image:
    image: registry.example.com/seeds/sno:4.18.9
    auth_file: push.json
    detach: delete
    remove: [data_protection]
  register: seed

- name: Put the cluster's pull secret back after a run that failed half-way
  sno.image_upgrade.seed_image:
    state: restored
"""

RETURN = r"""
result:
  description: How it ended, one of V(done), V(refused), V(failed), V(unverified), V(timed_out), V(unreachable) and V(interrupted).
  returned: always
  type: str
  sample: done
message:
  description: The same in words. Of a failed generation, these are the agent's.
  returned: always
  type: str
  sample: the seed image is generated
next_step:
  description: What to do next, where something is to be done.
  returned: always
  type: str
  sample: ""
phase:
  description: Where the generation stands.
  returned: always
  type: str
  sample: completed
version:
  description: The release of the cluster, and so of the image.
  returned: when the cluster has answered
  type: str
  sample: 4.18.9
digest:
  description: The digest of the image in the registry.
  returned: when the image was verified
  type: str
  sample: sha256:0c4f3a...
steps:
  description: What was done; in check mode, what would be.
  returned: always
  type: list
  elements: str
  sample: ["created the SeedGenerator for registry.example.com/seeds/sno:4.18.9"]
findings:
  description: What stands in the way, what to know, and what could not be checked.
  returned: always
  type: list
  elements: dict
  sample:
    - severity: blocked
      check: lvm_clusters
      cause: "Rejected: Cluster must not have any LVMClusters configured"
      seen: openshift-storage/lvmcluster
      expected: ""
      source: LVMCluster
      remedy: remove the LVMClusters
record:
  description: The file that preflight takes as C(ibu_seed_facts).
  returned: when it was written
  type: str
  sample: /home/ops/seed-image/seed-1.seed.yml
log:
  description: The file with the imager's log.
  returned: after a failure, with O(node_access)
  type: str
  sample: /home/ops/seed-image/seed-1.imager.log
pull_secret_copy:
  description: The file with the copy of the cluster's pull secret.
  returned: when it was kept
  type: str
  sample: /home/ops/seed-image/seed-1.pull-secret.json
warnings_of_use:
  description: What to know about the cluster and the image from now on.
  returned: always
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 1830.4
away_seconds:
  description: The longest time without an answer.
  returned: always
  type: float
  sample: 912.0
"""
