#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_info
short_description: Where one single-node OpenShift cluster stands in its image-based upgrade
version_added: 0.1.0
description:
  - Reads the cluster's ImageBasedUpgrade and ClusterVersion and returns them in a form for people and playbooks.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.actiongroup_ibu
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
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
    description: How long to try to reach a cluster that does not answer, in seconds.
    type: float
    default: 30
seealso:
  - module: sno.image_upgrade.ibu_stage
  - module: sno.image_upgrade.ibu_fleet_info
"""

EXAMPLES = r"""
- name: Read where the cluster stands
  sno.image_upgrade.ibu_info:
    kubeconfig: /etc/sites/site-0001.kubeconfig
  register: site_upgrade

- name: Stop here unless the cluster can go on to Upgrade
  ansible.builtin.assert:
    that: "'Upgrade' in site_upgrade.status.valid_next_stages"
    fail_msg: "{{ site_upgrade.status.state }}: {{ site_upgrade.status.message }}"
"""

RETURN = r"""
status:
  description: The state of the cluster's upgrade.
  returned: success
  type: dict
  contains:
    cluster:
      description: The host of the API address.
      type: str
      sample: api.site-0001.example.com
    version:
      description: The running release.
      type: str
      sample: 4.17.3
    target_version:
      description: The release of the seed image in the object; stays there after finalize and abort.
      type: str
      sample: 4.17.3
    stage:
      description: The stage requested last, C(spec.stage).
      type: str
      sample: Upgrade
    state:
      description: Where the cluster stands in it, for people.
      type: str
      sample: upgraded
    reason:
      description: The reason of the condition that decides.
      type: str
      sample: Completed
    message:
      description: The message of the condition that decides, in the cluster's own words.
      type: str
      sample: Upgrade completed
    since:
      description: When that condition changed, by the cluster's clock.
      type: str
      sample: "2026-11-21T01:12:40Z"
    since_seconds:
      description: How long ago that was, by the cluster's clock.
      type: float
      sample: 840.0
    valid_next_stages:
      description: The stages that the cluster allows now. An empty list means that it allows none.
      type: list
      elements: str
      sample: [Idle, Rollback]
    progress:
      description: What shows that a running stage moves.
      type: dict
      sample: {phase: Precache, job: precache, total: 120, pulled: 80, failed: 0, health: [], message: "..."}
    blocking_health_checks:
      description: The health checks that hold the stage up, in the cluster's own words.
      type: list
      elements: str
      sample: ["one or more ClusterOperators not yet ready: authentication"]
    rollback_until:
      description: Until when a rollback is safe, C(status.rollbackAvailabilityExpiration).
      type: str
      sample: "2026-12-20T14:01:00Z"
    validation_warning:
      description: What Prep warned of in the extra manifests.
      type: str
      sample: null
    history:
      description: The stages so far with their durations in seconds; null while one has not completed.
      type: list
      elements: dict
      sample:
        - {stage: Prep, started: "2026-11-21T00:50:00Z", seconds: 250.0, phases: {Stateroot: 190.0, Precache: 60.0}}
    next_step:
      description: What to do next, where something is to be done.
      type: str
      sample: ansible-playbook sno.image_upgrade.finalize -l api.site-0001.example.com
    detail:
      description: The one thing most worth showing in a table.
      type: str
      sample: roll back until 2026-12-20 14:01
"""

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._info import status_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._module import (
    cluster_module,
    cluster_name,
    open_session,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError


def main() -> None:
    """Run the module."""
    module = cluster_module({"contact_timeout": {"type": "float", "default": 30}}, supports_check_mode=True)
    try:
        session = open_session(module)
    except IbuError as error:
        module.fail_json(msg=str(error))
    name = cluster_name(session)
    try:
        observed = first_contact(Cluster(session).read, module.params["contact_timeout"], Clock())
    except NoContact as error:
        module.fail_json(msg=f"{name}: {error}. Next: {error.next_step}", next_step=error.next_step)
    module.exit_json(changed=False, status=status_of(name, observed))


if __name__ == "__main__":
    main()
