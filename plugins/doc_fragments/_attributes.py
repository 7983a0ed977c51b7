# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not use it from elsewhere.

from __future__ import annotations


class ModuleDocFragment:
    """What every module says of itself."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
  idempotent:
    description: >-
      When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
options: {}
"""

    # For the modules in the action group of meta/runtime.yml.
    ACTIONGROUP_IBU = r"""
attributes:
  action_group:
    description: >-
      Use C(group/sno.image_upgrade.ibu) in C(module_defaults) to state the connection once for these modules and those of
      kubernetes.core.
    support: full
    membership:
      - sno.image_upgrade.ibu
options: {}
"""

    # For modules that one task runs once for a whole batch.
    FLEET = r"""
notes:
  - One task serves all hosts of the batch, whatever the number of forks; set C(run_once) so that all get its result.
  - A host is a cluster. Its connection comes from its own host variables, named as the authentication options of
    M(kubernetes.core.k8s) behind the prefix C(ibu_), for example C(ibu_kubeconfig), or C(ibu_host) with
    C(ibu_client_cert) and C(ibu_client_key). The connection to its hub, where there is one, has the prefix C(ibu_hub_).
  - Credentials stay in the process. They are in no result, no report and no outcome file.
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options can be executed on the controller.
    support: full
options: {}
"""
