#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_fleet_info
short_description: Where all clusters of a batch stand in their image-based upgrade
version_added: 0.1.0
description:
  - Reads every host of the batch in parallel and prints one line for each.
  - An option that the task does not give is taken from the variable C(ibu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
attributes:
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: none
    details: It only reads.
  idempotent:
    support: full
options:
  contact_timeout:
    description: How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 10
seealso:
  - module: sno.image_upgrade.ibu_info
"""

EXAMPLES = r"""
- name: Show where every cluster stands
  sno.image_upgrade.ibu_fleet_info:
  run_once: true
  register: fleet_status

- name: List the clusters that could be finalized now
  ansible.builtin.debug:
    msg: "{{ fleet_status.clusters | selectattr('state', 'eq', 'upgraded') | map(attribute='cluster') | list }}"
  run_once: true
"""

RETURN = r"""
clusters:
  description:
    - One entry per host, with the keys that M(sno.image_upgrade.ibu_info) returns under
      RV(sno.image_upgrade.ibu_info#module:status). Here C(cluster) is the name of the host.
    - A cluster that cannot be read has the state V(no answer), and the cause in C(message).
  returned: success
  type: list
  elements: dict
  sample:
    - cluster: site-0001
      version: 4.17.3
      target_version: 4.17.3
      stage: Upgrade
      state: upgraded
      reason: Completed
      message: Upgrade completed
      since: "2026-11-21T01:12:40Z"
      since_seconds: 840.0
      valid_next_stages: [Idle, Rollback]
      progress: {phase: null, job: null, total: null, pulled: null, failed: null, health: [], message: Upgrade completed}
      blocking_health_checks: []
      rollback_until: "2026-12-20T14:01:00Z"
      validation_warning: null
      history:
        - {stage: Prep, started: "2026-11-21T00:50:00Z", seconds: 250.0, phases: {Stateroot: 190.0, Precache: 60.0}}
        - {stage: Upgrade, started: "2026-11-21T01:00:09Z", seconds: 751.0, phases: {PrePivot: 45.0, PostPivot: 706.0}}
      next_step: ansible-playbook sno.image_upgrade.finalize -l site-0001
      detail: roll back until 2026-12-20 14:01
"""
