# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not use it from elsewhere.

from __future__ import annotations


class ModuleDocFragment:
    """How the facts of a seed image are found out."""

    DOCUMENTATION = r"""
options:
  seed_facts:
    description:
      - A file with facts of the seed image, YAML or JSON, or a mapping of images to such files.
      - Either the record that was made with the image on the seed cluster, or what C(skopeo inspect docker://IMAGE) prints.
      - What the labels of the image say counts more than what the record says.
    type: raw
  seed_lookup:
    description:
      - Whether the controller asks the registry of the seed image for its labels, once for each image.
      - V(auto) asks, and lists what is not known then as not checked. V(controller) asks, and fails where the registry does not
        tell. V(never) leaves the registry alone.
    type: str
    choices: [auto, controller, never]
    default: auto
  seed_registry_auth_file:
    description:
      - A file with the login for the registry, as C(podman login --authfile) makes it, or the content of a pull secret.
      - When omitted, the file that podman and skopeo would take, from E(REGISTRY_AUTH_FILE) on.
      - Credential helpers are not run.
    type: path
  seed_registry_ca:
    description: Certificates of authorities, in PEM form, to trust beside those of the system.
    type: path
  seed_registry_proxy:
    description:
      - The proxy on the way to the registry, C(http://HOST:PORT). An empty text is for none.
      - When omitted, E(HTTPS_PROXY) and E(NO_PROXY) count.
    type: str
  seed_registry_mirrors:
    description:
      - Where else images are, as in an ImageDigestMirrorSet; a mapping of sources to lists of mirrors, both without tags.
      - The mirrors of the longest source are asked first, in order, and the source last.
      - Mirrors that a cluster declares are not asked by themselves; M(sno.image_upgrade.ibu_preflight) names them where the registry did not tell.
    type: dict
    default: {}
  seed_registry_insecure:
    description: Whether to go on with a registry whose certificate is not trusted, or which has no TLS. The login is in danger then.
    type: bool
    default: false
  seed_architecture:
    description: The architecture of the nodes, where the image is a list of images.
    type: str
    default: amd64
"""
