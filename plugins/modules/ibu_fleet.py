#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ibu_fleet
short_description: Drive all clusters of a batch through an image-based upgrade at once, by a list of actions or a plan
version_added: 0.1.0
description:
  - Takes every host of the batch through a list of actions, all at once or O(concurrency) at a time, from one task.
  - Instead of a list of actions it takes the O(plan) of a group upgrade, the same that M(sno.image_upgrade.ibgu_plan) declares
    on a hub, and runs it where there is no hub.
  - It survives the reboot of every API server, ends at once where a stage has failed, and continues from what each cluster
    says when it is run again.
  - The task itself fails only for options that nothing can be done with. What became of a cluster stands in its outcome; a
    verdict task afterwards fails the hosts in RV(failed_clusters), so that C(serial) and C(max_fail_percentage) mean what they
    say.
  - An option that the task does not give is taken from the variable C(ibu_OPTION). For O(seed_image_ref), O(oadp_content),
    O(extra_manifests), O(auto_rollback_on_failure) and O(annotations) that is the variable of each host, so a fleet of several
    hardware types can have several seeds; for the others it is the play's.
  - An upgraded cluster is verified - ClusterVersion at the seed's release, ClusterOperators and node healthy, no failed
    Restore, PersistentVolumes bound. That is at the end of Upgrade, and again before it is finalized where O(soak) or another
    run lies between.
  - Where a hub connection is configured, the hub's auto-import of the cluster is held back before Upgrade, and let go after the
    verified Upgrade, after an abort and after FinalizeRollback.
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
    details: Reads every cluster and says what would be requested next. Nothing is written, the outcome file neither.
  diff_mode:
    support: none
    details: The recap and the outcome file say what has changed.
  idempotent:
    support: full
options:
  actions:
    # Not required here: a plan may be given instead.
    required: false
  plan:
    description:
      - The steps of a group upgrade, in the API's own spelling or in Ansible's (C(rollout_strategy), C(max_concurrency)).
        The 26 plans that the API permits are permitted here; exactly one of O(actions) and O(plan) must be given.
      - The steps run one after the other. Each has C(actions) and C(rolloutStrategy.maxConcurrency), the number of clusters that
        are driven at a time. A place is filled again as soon as a cluster is done.
      - C(rolloutStrategy.timeout) is the time of the whole step in minutes. Whoever is under way when it is over has timed out,
        whoever has not begun is never started.
      - C(rolloutStrategy.timeoutPerCluster) is the time of one cluster for all actions of the step in minutes, counted from when
        it begins. It takes the place of the defaults of O(timeouts).
      - A cluster takes part in a step as the step's first action wants it - Prep everybody, Upgrade the prepared, Rollback and
        FinalizeUpgrade the upgraded, FinalizeRollback those that were rolled back on request, Abort all but the upgraded,
        AbortOnFailure those that failed. Its own state says so. Whoever is left out is skipped, and its outcome says why.
      - A cluster that fails an action skips the rest of its step, and takes part only in later steps that abort. It stays failed
        when these have brought it back to Idle.
      - See the notes for what a second run with the same O(outcome_file) does.
    type: list
    elements: dict
  concurrency:
    description:
      - How many clusters to drive at a time. A place is filled again as soon as a cluster is done.
      - V(0) means the whole batch, or what the steps of O(plan) say. Of the two numbers the smaller one counts.
    type: int
    default: 0
  link_concurrency:
    description:
      - How many clusters that have the same value in the host variable C(ibu_link) pull images at a time; V(0) means any number.
        A mapping says so by the name of the link, and bounds no other.
      - It counts for tasks and steps of O(plan) that only prepare. O(concurrency) counts as well.
    type: raw
    default: 0
  max_failures:
    description:
      - Start no further cluster of this batch once more than this many have failed; those under way go on.
      - Of a O(plan) the later steps do not begin either, those that abort included, so that the logs of what failed are still
        there for whoever looks into it.
      - When omitted, all are started.
    type: int
  timeouts:
    description:
      - Deadline per action in seconds, by the action's name.
      - Those not given are 3600 for Prep, 5400 for Upgrade, 1800 for Rollback and 2400 for the others.
      - The deadline of Upgrade must leave time for the watchdog and the way back, or a rollback will look like a timeout.
    type: dict
    default: {}
  contact_timeout:
    description:
      - How long to try to reach a cluster that does not answer at first, in seconds.
      - Where the outcome file says that an earlier run left the cluster in its reboot, the deadline of Upgrade counts instead.
    type: float
    default: 60
  settle_timeout:
    description: How long a state that may be a leftover from before a reboot must last before it counts, in seconds.
    type: float
    default: 180
  verify_timeout:
    description: How long an upgraded cluster may take to become healthy, in seconds. It is not finalized before.
    type: float
    default: 600
  soak:
    description:
      - How long an upgraded cluster must run before it is verified again and finalized, in seconds.
      - It counts from the completion of Upgrade by the cluster's own clock, so a second run does not start over.
    type: float
    default: 0
  progress_interval:
    description: Least time between two progress lines, in seconds. Without a change there is one line a minute.
    type: float
    default: 5
notes:
  - A O(plan) that was interrupted goes on when it is run again with the same O(outcome_file). Each cluster is taken up in the last
    step that the file knows it to have begun, and goes on from its own state there. So a cluster that AbortOnFailure has taken
    back to Idle is not prepared again by the first step; to begin again with it, name another outcome file.
  - A step that a cluster failed is tried again, for example after a person has aborted it by hand.
  - The plan may have grown since, as on the hub, or be given up to one of its steps, to stop for a person there. What the file
    tells of any other plan is not used.
seealso:
  - module: sno.image_upgrade.ibgu_plan
  - module: sno.image_upgrade.ibu_preflight
  - module: sno.image_upgrade.ibu_gate
  - module: sno.image_upgrade.ibu_report
"""

EXAMPLES = r"""
# Clusters of another hardware type have another seed: ibu_seed_image_ref in the variables of their group, none in the task.
- name: Say what would be requested of every cluster, and send nothing
  sno.image_upgrade.ibu_fleet:
    actions: [Prep]
  run_once: true
  check_mode: true

- name: Prepare the whole fleet ahead of the window, fifty at a time
  sno.image_upgrade.ibu_fleet:
    actions: [Prep]
    concurrency: 50
  run_once: true
  register: fleet

# Host variables say which line a site hangs on, for example ibu_link: north.
- name: Prepare, with no more than four pulling over one line and two over the satellite
  sno.image_upgrade.ibu_fleet:
    actions: [Prep]
    link_concurrency:
      north: 4
      satellite: 2
  run_once: true

- name: Upgrade and finalize what is healthy for an hour
  sno.image_upgrade.ibu_fleet:
    actions: [Prep, Upgrade, FinalizeUpgrade]
    soak: 3600
    timeouts:
      Prep: 7200
  run_once: true
  register: fleet

- name: Run the plan of a group upgrade without a hub
  sno.image_upgrade.ibu_fleet:
    plan:
      - actions: [Prep]
        rolloutStrategy:
          maxConcurrency: 100
          timeout: 240
      - actions: [AbortOnFailure]
        rolloutStrategy:
          maxConcurrency: 100
          timeout: 60
      - actions: [Upgrade]
        rolloutStrategy:
          maxConcurrency: 20
          timeoutPerCluster: 90
    max_failures: 5
    outcome_file: night.json
  run_once: true
  register: fleet

- name: Fail exactly the clusters that did not get there
  ansible.builtin.assert:
    that: inventory_hostname not in fleet.failed_clusters
    fail_msg: "{{ fleet.failed_clusters[inventory_hostname] | default('') }}"
    quiet: true
"""

RETURN = r"""
outcomes:
  description: What became of every cluster, by host name.
  returned: success
  type: dict
  contains:
    name:
      description: The host.
      type: str
      sample: site-0001
    result:
      description: >-
        V(done), V(skipped), V(failed), V(rolled_back) (by itself), V(timed_out), V(unreachable), V(refused), V(unverified),
        V(interrupted) or V(never_started).
      type: str
      sample: done
    action:
      description: The action that the cluster was at last.
      type: str
      sample: FinalizeUpgrade
    completed:
      description: The actions that the cluster has behind it.
      type: list
      elements: str
      sample: [Prep, Upgrade, FinalizeUpgrade]
    stage:
      description: The stage that was requested last.
      type: str
      sample: Idle
    state:
      description: Where the cluster stood at last.
      type: str
      sample: idle
    message:
      description: Why it ended there, in the cluster's own words where it has any.
      type: str
      sample: ""
    next_step:
      description: What to do about it.
      type: str
      sample: ""
    version_before:
      description: The release that the cluster ran at first.
      type: str
      sample: 4.16.8
    version_after:
      description: The release that it ran at last.
      type: str
      sample: 4.17.3
    durations:
      description: Seconds per action that this task has brought to its end, by the cluster's own clock.
      type: dict
      sample: {Prep: 250.0, Upgrade: 751.0, FinalizeUpgrade: 41.0}
    away_seconds:
      description: The longest silence of its API server, in seconds.
      type: float
      sample: 302.4
    rollback_until:
      description: Until when a rollback is safe, where the cluster says so; V(null) once it is finalized.
      type: str
      sample: "2026-12-20T14:01:00+00:00"
    started:
      description: When its drive began, UTC.
      type: str
      sample: "2026-11-21T23:01:07+00:00"
    ended:
      description: When its drive ended, UTC.
      type: str
      sample: "2026-11-21T23:17:30+00:00"
    seconds:
      description: How long the drive took, in seconds.
      type: float
      sample: 983.2
    changed:
      description: Whether a request was sent to the cluster; in check mode, whether one would be.
      type: bool
      sample: true
    notes:
      description: What went wrong beside the upgrade itself, for example at the hub.
      type: list
      elements: str
      sample: []
    steps:
      description: Of a O(plan), what became of the cluster in each step that is behind it.
      type: list
      elements: dict
      contains:
        actions:
          description: The actions of the step.
          type: list
          elements: str
          sample: [Prep]
        result:
          description: What the step has come to for this cluster, in the words of RV(outcomes.result).
          type: str
          sample: done
        completed:
          description: Those of its actions that the cluster has behind it.
          type: list
          elements: str
          sample: [Prep]
        message:
          description: Why it ended there, or why the cluster was left out.
          type: str
          sample: ""
failed_clusters:
  description: The message for each cluster that failed, by host name.
  returned: success
  type: dict
  sample:
    site-0004: >-
      site-0004 rolled back in stage Upgrade: Rollback due to postpivot failure: ... → it runs its old release again; collect
      logs, then ansible-playbook sno.image_upgrade.abort -l site-0004
outcome_file:
  description: Where the outcomes were written.
  returned: success
  type: str
  sample: /home/operator/rollout-20261121T230107Z.json
"""
