#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: seed_info
short_description: What is known of a seed image, from its registry and from its record
version_added: 0.1.0
description:
  - Asks the registry for the labels of a seed image and returns the facts that M(sno.image_upgrade.ibu_preflight) compares the
    clusters with. Nothing of the image itself is pulled, and neither podman nor skopeo is needed.
  - Where preflight runs without a way to the registry, write the facts to a file here and give it there as O(seed_facts).
  - An option that the task does not give is taken from the variable C(ibu_OPTION).
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._seed
requirements:
  - urllib3 >= 2.0
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    support: full
    details: It reads, and says whether it would write O(record_file).
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  image:
    description:
      - The seed image with its registry, and its tag or digest.
      - When omitted, C(image) of the variable C(ibu_seed_image_ref).
    type: str
  record_file:
    description:
      - Where to write the facts, for O(seed_facts) of another run. When omitted they are only returned.
      - The task fails where nothing is known of the image; no file without facts is written.
    type: path
seealso:
  - module: sno.image_upgrade.ibu_preflight
"""

EXAMPLES = r"""
- name: Ask a private registry about the seed image
  sno.image_upgrade.seed_info:
    image: registry.example.com:8443/seeds/sno:4.18.9
    seed_registry_auth_file: /etc/sites/pull-secret.json
    seed_registry_ca: /etc/sites/registry-ca.pem
  register: seed

- name: Say what is inside
  ansible.builtin.debug:
    msg: "{{ seed.facts.version }}, FIPS: {{ seed.facts.has_fips }}"

- name: Write a record for a controller without a way to the registry
  sno.image_upgrade.seed_info:
    image: registry.example.com:8443/seeds/sno:4.18.9
    seed_lookup: controller
    record_file: seed-4.18.9.yml
"""

RETURN = r"""
image:
  description: The image that was asked about.
  returned: success
  type: str
  sample: registry.example.com:8443/seeds/sno:4.18.9
facts:
  description: The facts that are known, by the names that a record has under C(spec). What is unknown is left out.
  returned: success
  type: dict
  sample:
    version: 4.18.9
    format_version: "4"
    has_proxy: false
    has_fips: false
    node_ips: [192.0.2.10]
    digest: sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
reason:
  description: Why the labels of the image are not known. Empty where they are.
  returned: success
  type: str
  sample: ""
"""
