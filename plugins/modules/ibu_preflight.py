#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_preflight
short_description: Check a whole fleet for everything that speaks against an image-based upgrade
version_added: 0.1.0
description:
  - Reads every host of the batch in parallel and lists all problems at once, grouped by cause, with the remedy.
  - It checks the inputs, that the cluster can be reached, that the Lifecycle Agent is there and ready, that the state of the
    cluster lets the actions go on, the permissions for every call to come, the credential, that the seed's release is above the
    running one, that the ConfigMaps and the Secret referred to exist, that no two hosts lead to the same API server, and the
    hub where one is configured.
  - Where a stage is to come that waits for them, it looks at every health gate of the Lifecycle Agent.
  - Before Prep it compares the cluster with what is known of the seed image - release, format, proxy, CA bundles, FIPS, IP
    family, machine networks, container storage - and, where the record of the seed is given, CPUs, performance profile,
    MachineConfigs, kernel arguments and operators.
  - What cannot be known is listed as not checked, with the way to make it known. It keeps no cluster from going on.
  - C(docs/preflight.md) lists all checks, and how to read the report.
  - It changes nothing anywhere.
  - An option that the task does not give is taken from the variable C(ibu_OPTION), as in M(sno.image_upgrade.ibu_fleet).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
  - sno.image_upgrade._rollout
  - sno.image_upgrade._rollout.actions
  - sno.image_upgrade._goal
  - sno.image_upgrade._seed
attributes:
  check_mode:
    support: full
    details: It only reads; in check mode it writes no report file either.
  diff_mode:
    support: none
    details: It only reads.
  idempotent:
    support: full
options:
  accept_token:
    description:
      - Whether to warn only where a connection uses a bearer token, which stops working at the reboot into the other release.
      - At the default such a cluster is blocked from actions that reboot it.
    type: bool
    default: false
  accept_findings:
    description:
      - Checks whose findings only warn, for a case that the checks judge too strictly. What the run itself would fail at
        cannot be accepted.
    type: list
    elements: str
    default: []
    choices:
      - container-storage
      - cpus
      - disk
      - fips
      - health-csr
      - health-node
      - health-oadp
      - health-operators
      - health-pools
      - health-services
      - health-sriov
      - hub-components
      - ip-family
      - machine-networks
      - node-count
      - oadp
      - proxy
      - seed-format
      - seed-image
      - seed-version
      - storage-operators
      - trust-bundle
  through_hub:
    description:
      - Whether the hub will carry the actions out (M(sno.image_upgrade.ibgu_plan)).
      - Then this identity needs to read only, a bearer token will do, and the pull secret and the ConfigMaps of
        O(oadp_content) need not be on the cluster, because the hub copies them.
    type: bool
    default: false
  timeouts:
    description: The deadlines that M(sno.image_upgrade.ibu_fleet) will get; one that is too short for the watchdog is warned of.
    type: dict
    default: {}
  contact_timeout:
    description: How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 30
  serial:
    description: The batch sizes that the rollout will use, to check them. When omitted they are not checked.
    type: raw
  max_fail_percentage:
    description: The failure budget of a batch that the rollout will use, to check it. When omitted it is not checked.
    type: raw
  budget:
    description: The failure budget of the fleet that the rollout will use, to check it. When omitted it is not checked.
    type: raw
  report_file:
    description: Where to write the report as JSON (C(docs/preflight.md)). When omitted it is only shown and returned.
    type: path
  on_blocked:
    description:
      - What to do where clusters cannot be used. V(fail) fails the task, so that nothing is begun.
      - V(exclude) returns them in RV(failed_clusters), for a verdict task that fails only their hosts.
    type: str
    choices: [fail, exclude]
    default: fail
  refusal_fails:
    description:
      - What fails where O(on_blocked=fail) and clusters cannot be used.
      - V(task) fails the task. Ansible then ends the run, with one failed host.
      - V(blocked) and V(all) return the hosts that a verdict task is to fail in RV(failed_clusters), those that cannot be used, or with
        them all the others, which were never started. AWX relaunches a job on the hosts that have failed.
    type: str
    choices: [task, blocked, all]
    default: task
seealso:
  - module: sno.image_upgrade.ibu_fleet
  - module: sno.image_upgrade.seed_info
"""

EXAMPLES = r"""
- name: Say what speaks against upgrading the fleet
  sno.image_upgrade.ibu_preflight:
    actions: [Prep, Upgrade, FinalizeUpgrade]
    report_file: preflight.json
  run_once: true

- name: Compare with everything that was recorded of the seed
  sno.image_upgrade.ibu_preflight:
    actions: [Prep, Upgrade, FinalizeUpgrade]
    seed_facts: seed-4.17.3.json
    seed_registry_auth_file: /etc/image-upgrade/registry.json
  run_once: true

- name: Go on with those that are ready
  sno.image_upgrade.ibu_preflight:
    actions: [Prep]
    on_blocked: exclude
  run_once: true
  register: preflight

- name: Fail the others
  ansible.builtin.assert:
    that: inventory_hostname not in preflight.failed_clusters
    fail_msg: "{{ preflight.failed_clusters[inventory_hostname] | default('') }}"
    quiet: true
"""

RETURN = r"""
findings:
  description: Every problem of every cluster.
  returned: success
  type: list
  elements: dict
  contains:
    severity:
      description: V(blocked), V(warned) or V(no_answer).
      type: str
      sample: blocked
    cluster:
      description: The host.
      type: str
      sample: site-0009
    check:
      description: What was checked.
      type: str
      sample: references
    cause:
      description: What is wrong. The same for all clusters that share the cause.
      type: str
      sample: seed image has FIPS enabled but the cluster being upgraded does not, this combination is not supported
    remedy:
      description: What to do about it.
      type: str
      sample: use a seed made without FIPS
    seen:
      description: What was seen on this cluster, where the cause does not say it all.
      type: str
      sample: "no"
    expected:
      description: What was expected instead.
      type: str
      sample: "yes"
    source:
      description: The object and the field that say so.
      type: str
      sample: spec.fips of the node's current MachineConfig
not_checked:
  description: What could not be checked, once per reason.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: >-
        Why it is not known: V(seed-facts), V(seed-record), V(target-facts), V(permissions-to-check), V(hub-permissions) or
        V(host).
      type: str
      sample: seed-record
    cause:
      description: What was not checked, and why.
      type: str
      sample: "CPU topology, MachineConfigs: the seed's record was not given"
    remedy:
      description: How to make it known.
      type: str
      sample: give the record that was made on the seed cluster with ibu_seed_facts=FILE
    clusters:
      description: The hosts that it concerns.
      type: list
      elements: str
      sample: [site-0001, site-0002]
ready:
  description: The hosts that nothing speaks against.
  returned: success
  type: list
  elements: str
  sample: [site-0001, site-0002]
refused:
  description: Whether nothing is to be begun, because O(on_blocked=fail) and clusters cannot be used.
  returned: success
  type: bool
  sample: false
failed_clusters:
  description: All that speaks against each host that cannot be used; with O(refusal_fails=all) also each host that was not begun with.
  returned: success
  type: dict
  sample: {site-0009: "ConfigMap openshift-adp/oadp-cm does not exist on the cluster → create it before Prep"}
"""
