#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_stage
short_description: Bring one single-node OpenShift cluster to a stage of its image-based upgrade
version_added: 0.1.0
description:
  - Sets C(spec.stage) of the cluster's ImageBasedUpgrade, together with everything that the stage needs, in one patch.
  - What the cluster has already reached is left alone. A stage that its state cannot reach is refused before anything
    is sent, with the state and the way out.
  - With O(wait=true) it follows the stage through the reboot of the API server to its end, and fails at once, with the
    cluster's own words, when the stage fails.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.actiongroup_ibu
  - sno.image_upgrade._goal
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
attributes:
  check_mode:
    support: full
    details: The API server itself judges the change, by a dry run.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  stage:
    description:
      - The stage wanted.
      - V(Idle) finalizes an upgrade or a rollback that is complete, and aborts one that is not. An upgrade is finalized
        only after the cluster was found healthy and at the seed's release. Finalizing cannot be undone.
    type: str
    required: true
    choices: [Idle, Prep, Upgrade, Rollback]
  wait:
    description:
      - Whether to wait until the stage has ended.
      - At the default the module returns as soon as the API has accepted the request.
    type: bool
    default: false
  wait_timeout:
    description:
      - How long to wait, in seconds. When omitted, 3600 for V(Prep), 5400 for V(Upgrade), 1800 for V(Rollback) and 2400
        for V(Idle).
      - For V(Upgrade) it must leave time for the watchdog and the way back, or a rollback will look like a timeout.
    type: float
  contact_timeout:
    description: How long to try to reach a cluster that does not answer at all, in seconds.
    type: float
    default: 60
  rollback_after_expiration:
    description:
      - Whether to roll back although C(status.rollbackAvailabilityExpiration) is over.
      - The node may then come up with expired certificates and need its signing requests approved by hand.
    type: bool
    default: false
seealso:
  - module: sno.image_upgrade.ibu_info
  - module: sno.image_upgrade.ibu_fleet
"""

EXAMPLES = r"""
- name: Say what Prep would change, and let the API server judge it
  sno.image_upgrade.ibu_stage:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    stage: Prep
    seed_image_ref:
      version: 4.17.3
      image: registry.example.com/seed:4.17.3
  check_mode: true
  diff: true

- name: Prepare the cluster and wait for it
  sno.image_upgrade.ibu_stage:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    stage: Prep
    seed_image_ref:
      version: 4.17.3
      image: registry.example.com/seed:4.17.3
      pull_secret_ref:
        name: seed-pull
    oadp_content:
      - name: oadp-cm
        namespace: openshift-adp
    wait: true

- name: Upgrade, and abort if the cluster has rolled back by itself
  block:
    - name: Upgrade
      sno.image_upgrade.ibu_stage:
        kubeconfig: /etc/sites/site-0001.kubeconfig
        stage: Upgrade
        wait: true
  rescue:
    - name: Return to Idle
      sno.image_upgrade.ibu_stage:
        kubeconfig: /etc/sites/site-0001.kubeconfig
        stage: Idle
        wait: true

    - name: Report the failure all the same
      ansible.builtin.fail:
        msg: "{{ ansible_failed_result.msg }}"
"""

RETURN = r"""
status:
  description: >-
    The cluster's state at the end, as M(sno.image_upgrade.ibu_info) returns it; on failure too, where it could be read.
  returned: when the cluster could be read
  type: dict
  sample:
    cluster: api.site-0001.example.com
    stage: Prep
    state: prepared
    valid_next_stages: [Idle, Upgrade]
    version: 4.16.8
note:
  description: Why there was nothing to do, where that needs a word.
  returned: success
  type: str
  sample: it already runs 4.17.3
duration:
  description: How long the module waited, in seconds.
  returned: when O(wait=true)
  type: float
  sample: 312.4
next_step:
  description: What to do about the failure.
  returned: failure
  type: str
  sample: collect logs, ansible-playbook sno.image_upgrade.abort -l site-0001, then start again
"""

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, over_a_busy_moment
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS
from ansible_collections.sno.image_upgrade.plugins.module_utils._info import status_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._module import (
    cluster_module,
    cluster_name,
    open_session,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._stage import Answer, Request, StageFailed, to_stage
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Stage

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def argument_spec() -> dict[str, t.Any]:
    """The module's own options."""
    return {
        "stage": {"type": "str", "required": True, "choices": [str(stage) for stage in Stage]},
        **GOAL_OPTIONS,
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "float"},
        "contact_timeout": {"type": "float", "default": 60},
        "rollback_after_expiration": {"type": "bool", "default": False},
    }


def request_of(module: AnsibleModule) -> Request:
    """What the options ask for."""
    params = module.params
    return Request(
        stage=Stage(params["stage"]),
        options=params,
        wait=params["wait"],
        wait_timeout=params["wait_timeout"],
        contact_timeout=params["contact_timeout"],
        rollback_after_expiration=params["rollback_after_expiration"],
        check=module.check_mode,
    )


def result_of(name: str, answer: Answer) -> dict[str, t.Any]:
    """The keys that success and failure share."""
    result = {
        "changed": answer.changed,
        "status": status_of(name, answer.observed),
        "diff": {"before": answer.before, "after": answer.after},
    }
    return result if answer.seconds is None else {**result, "duration": answer.seconds}


def main() -> None:
    """Run the module."""
    module = cluster_module(argument_spec(), supports_check_mode=True)
    try:
        session = open_session(module)
    except IbuError as error:
        module.fail_json(msg=str(error))
    name, clock = cluster_name(session), Clock()
    try:
        answer = to_stage(name, Cluster(session, over_a_busy_moment(clock)), request_of(module), clock)
    except StageFailed as error:
        step = error.next_step.replace("{cluster}", name)
        seen = result_of(name, error.answer) if error.answer else {}
        module.fail_json(msg=f"{name}: {error}. Next: {step}", next_step=step, **seen)
    except IbuError as error:
        module.fail_json(msg=f"{name}: {error}")
    module.exit_json(note=answer.note, **result_of(name, answer))


if __name__ == "__main__":
    main()
