# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a group upgrade is, and how it is followed."""

from __future__ import annotations


class ModuleDocFragment:
    """For whom a group upgrade is, and its plan."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the ImageBasedGroupUpgrade.
    type: str
    required: true
  namespace:
    description: Its namespace on the hub. The pull secret for the seed image is read from there.
    type: str
    required: true
  cluster_label_selectors:
    description:
      - Which ManagedClusters the group upgrade is for; label selectors in the API's own spelling.
      - Several selectors are alternatives. They cannot be changed later.
      - Required where O(copy_from) does not give them.
    type: list
    elements: dict
    aliases: [clusterLabelSelectors]
  clusters:
    description:
      - Only these of the clusters that the selectors select, by their names on the hub; a canary, for example.
      - The label C(name), which the hub gives every ManagedCluster, is added to each selector.
    type: list
    elements: str
    default: []
  exclude:
    description: All clusters that the selectors select, but not these.
    type: list
    elements: str
    default: []
  copy_from:
    description:
      - Name of a group upgrade in the same namespace whose seed image, contents, annotations and selectors to use.
      - Clusters that were prepared refuse any other inputs, so a second group upgrade for them must repeat the first one's.
        O(cluster_label_selectors) may choose other clusters; O(seed_image_ref) and the like are not looked at.
    type: str
  plan:
    description:
      - The steps, in the API's own spelling. Required, but for deleting a group upgrade.
      - Each has C(actions), C(rolloutStrategy.maxConcurrency), and C(rolloutStrategy.timeout) in minutes for the whole step.
      - Instead of C(timeout), C(timeoutPerCluster) may give the minutes that one cluster may take for all actions of the step.
        The step's minutes are then computed from the number of batches. With neither, Prep has 60 minutes per cluster,
        Upgrade 90, Rollback 30 and all others 40.
    type: list
    elements: dict
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
notes:
  - An option that the task does not give is taken from a variable, the connection to the hub from C(ibu_hub_OPTION), what
    the clusters shall become from C(ibu_OPTION), all others from C(ibgu_OPTION).
  - One task serves all hosts of the batch; set C(run_once) so that all get its result.
  - TALM does not copy the ConfigMaps of O(extra_manifests) to the clusters. They must be there.
  - While a step runs, do not change the ImageBasedUpgrade of its clusters; the hub would change it back.
"""

    FOLLOW = r"""
options:
  wait_timeout:
    description:
      - The longest time to wait, in seconds. When it is over, the task ends and TALM goes on.
      - When omitted, the waiting ends with the plan, or 15 minutes after TALM should have ended a step.
    type: float
  poll_interval:
    description: How often to ask the hub, in seconds.
    type: float
    default: 10
  look_interval:
    description:
      - How often to look for failures that TALM does not notice, in seconds. The ManifestWorks of the step are read, and the
        clusters themselves where the inventory says how to reach them.
    type: float
    default: 60
"""
