#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_prep_info
short_description: Who is ready for the maintenance window, and who is not and why
version_added: 0.1.0
description:
  - Reads every cluster in parallel and compares what it was prepared with to what is wanted now, as Prep and Upgrade would.
  - A cluster is ready where Upgrade would be requested at once. It is stale where it was prepared with another seed or other
    references than are wanted by now, or was upgraded in another way since.
  - Who has the same trouble is listed in one paragraph with the remedy.
  - An option that the task does not give is taken from the variable C(ibu_OPTION), as in M(sno.image_upgrade.ibu_fleet).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.fleet
  - sno.image_upgrade._goal
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
  fleet:
    description: The hosts to look at. When omitted, those of the batch.
    type: list
    elements: str
  accept_validation_warnings:
    description: Whether a cluster counts as ready although Prep has left a validation warning about the extra manifests.
    type: bool
    default: true
  contact_timeout:
    description: How long to try to reach a cluster that does not answer, in seconds. It costs the others nothing.
    type: float
    default: 10
seealso:
  - module: sno.image_upgrade.ibu_fleet
  - module: sno.image_upgrade.ibu_fleet_info
"""

EXAMPLES = r"""
- name: Say who is ready for tonight
  sno.image_upgrade.ibu_prep_info:
  run_once: true
  register: prepared

- name: Fail exactly the clusters that are not
  ansible.builtin.assert:
    that: inventory_hostname not in prepared.not_ready
    fail_msg: "{{ prepared.not_ready[inventory_hostname] | default('') }}"
    quiet: true
"""

RETURN = r"""
clusters:
  description: One entry per cluster, in the order of the inventory.
  returned: success
  type: list
  elements: dict
  contains:
    cluster:
      description: The host.
      type: str
      sample: site-0001
    standing:
      description: >-
        V(ready), V(upgraded) (it runs the seed's release), V(under way) (beyond Prep), V(preparing), V(not prepared), V(stale),
        V(failed) or V(no answer).
      type: str
      sample: stale
    why:
      description: Why it is not ready, in the cluster's own words where it has any.
      type: str
      sample: it was prepared with seed version '4.18.5', not '4.18.9'
    next_step:
      description: What to do about it.
      type: str
      sample: ansible-playbook sno.image_upgrade.abort -l site-0001, then ansible-playbook sno.image_upgrade.prep -l site-0001
    seed_version:
      description: The release that it was prepared for.
      type: str
      sample: 4.18.5
    seed_image:
      description: The seed image that it was prepared with.
      type: str
      sample: registry.example.com/seeds/sno:4.18.5
    since_seconds:
      description: How long it has been standing there, by its own clock.
      type: float
      sample: 259200.0
    note:
      description: What Prep warned of.
      type: str
      sample: ""
ready:
  description: The clusters of which nothing more is wanted before the window.
  returned: success
  type: list
  elements: str
  sample: [site-0002, site-0003]
not_ready:
  description: The others, each with cause and remedy in one line, for a verdict task that fails their hosts.
  returned: success
  type: dict
  sample: {site-0001: "site-0001 is not ready for the window: stale: it was prepared with seed version '4.18.5', not '4.18.9'"}
"""
