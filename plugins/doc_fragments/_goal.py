# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not use it from elsewhere.

from __future__ import annotations


class ModuleDocFragment:
    """What an upgrade consists of, in the API's own names."""

    DOCUMENTATION = r"""
options:
  seed_image_ref:
    description:
      - The seed image to upgrade to. It is sent with the request for Prep, because the API freezes it afterwards.
      - When the cluster is already prepared with another one, the request is refused.
    type: dict
    aliases: [seedImageRef]
    suboptions:
      version:
        description: Target release. It must be above the running one and equal to the release inside the seed image.
        type: str
        required: true
      image:
        description: Pull specification of the seed image.
        type: str
        required: true
      pull_secret_ref:
        description:
          - Secret in the namespace C(openshift-lifecycle-agent) that holds the credentials for the image.
          - Without it, the cluster's own pull secret is used.
        type: dict
        aliases: [pullSecretRef]
        suboptions:
          name:
            description: Name of the Secret.
            type: str
            required: true
  oadp_content:
    description:
      - ConfigMaps with the OADP Backup and Restore objects, sent with the request for Prep.
      - When omitted, what the object holds is left alone. An empty list clears it.
    type: list
    elements: dict
    aliases: [oadpContent]
    suboptions:
      name:
        description: Name of the ConfigMap.
        type: str
        required: true
      namespace:
        description: Namespace of the ConfigMap.
        type: str
        required: true
  extra_manifests:
    description:
      - ConfigMaps with manifests to apply after the reboot, sent with the request for Prep.
      - When omitted, what the object holds is left alone. An empty list clears it.
    type: list
    elements: dict
    aliases: [extraManifests]
    suboptions:
      name:
        description: Name of the ConfigMap.
        type: str
        required: true
      namespace:
        description: Namespace of the ConfigMap.
        type: str
        required: true
  auto_rollback_on_failure:
    description:
      - Settings of the automatic rollback, sent with the request for Prep.
      - When omitted, what the object holds is left alone.
    type: dict
    aliases: [autoRollbackOnFailure]
    suboptions:
      init_monitor_timeout_seconds:
        description:
          - How long after the reboot an upgrade may stay incomplete before the cluster rolls back by itself.
          - V(0) means the Lifecycle Agent's own 1800 seconds.
        type: int
        aliases: [initMonitorTimeoutSeconds]
  annotations:
    description:
      - Annotations of the ImageBasedUpgrade object, sent with the requests for Prep and Upgrade where they differ.
      - A value of V(null) removes the annotation.
    type: dict
"""
