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
    cluster lets the actions go on, the permissions for every call to come, the kind of credential, that the seed's release is
    above the running one, that the ConfigMaps and the Secret referred to exist, that no two hosts lead to the same API server,
    and the hub where one is configured.
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
    description: Where to write the findings as JSON. When omitted they are only shown and returned.
    type: path
  on_blocked:
    description:
      - What to do where clusters cannot be used. V(fail) fails the task, so that nothing is begun.
      - V(exclude) returns them in RV(failed_clusters), for a verdict task that fails only their hosts.
    type: str
    choices: [fail, exclude]
    default: fail
seealso:
  - module: sno.image_upgrade.ibu_fleet
"""

EXAMPLES = r"""
- name: Say what speaks against upgrading the fleet
  sno.image_upgrade.ibu_preflight:
    actions: [Prep, Upgrade, FinalizeUpgrade]
    report_file: preflight.json
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
      description: What was seen. The same for all clusters that share the cause.
      type: str
      sample: ConfigMap openshift-adp/oadp-cm does not exist on the cluster
    remedy:
      description: What to do about it.
      type: str
      sample: create it before Prep
ready:
  description: The hosts that nothing speaks against.
  returned: success
  type: list
  elements: str
  sample: [site-0001, site-0002]
failed_clusters:
  description: All that speaks against each host that cannot be used.
  returned: success
  type: dict
  sample: {site-0009: "ConfigMap openshift-adp/oadp-cm does not exist on the cluster → create it before Prep"}
"""
