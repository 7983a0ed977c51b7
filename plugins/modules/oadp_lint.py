#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oadp_lint
short_description: Check the Backups and Restores of an image-based upgrade before Prep does
version_added: 0.1.0
description:
  - Reads the Backup and Restore objects for C(spec.oadpContent) from files, or from ConfigMaps on a cluster, and says everything
    at once that the Lifecycle Agent would refuse in Prep, that Velero would refuse in the Upgrade stage, or that would not be
    there after the reboot.
  - Each finding names file, line, document and rule, and where only one correction is possible it comes with the corrected
    document. The rules are listed in docs/oadp_lint_rules.md.
  - With a cluster at hand it also asks there - dry runs of every object, the objects that C(lca.openshift.io/apply-label) names,
    the installed storage operator, the klusterlet, the DataProtectionApplication and the backup locations.
  - It never changes anything, on disk or on a cluster.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - sno.image_upgrade._attributes
  - sno.image_upgrade._attributes.actiongroup_ibu
  - kubernetes.core.k8s_auth_options
requirements:
  - PyYAML
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
attributes:
  check_mode:
    support: full
    details: It only reads; on a cluster it makes server side dry runs.
  diff_mode:
    support: none
    details: It only reads.
  idempotent:
    support: full
  action:
    description: Has a corresponding action plugin, which prints the findings where O(show) asks for it.
    support: full
options:
  paths:
    description:
      - Files, or folders in which all files that end in C(.yml), C(.yaml) or C(.json) and have something to do with backups are read.
      - A file has Backups and Restores themselves, or ConfigMaps with them.
      - All of them together are taken for the content of one upgrade.
    type: list
    elements: str
  content:
    description: The documents themselves, as text.
    type: str
  base:
    description:
      - The folder at which relative O(paths) start.
      - Unset, it is that in which Ansible was started.
    type: path
  config_maps:
    description: ConfigMaps on the cluster, as in C(spec.oadpContent).
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the ConfigMap.
        type: str
        required: true
      namespace:
        description: The namespace of the ConfigMap.
        type: str
        default: openshift-adp
  ask_cluster:
    description:
      - Whether to ask a cluster.
      - Unset, one is asked where O(config_maps), O(kubeconfig) or O(host) is given.
    type: bool
  through_hub:
    description:
      - Whether an ImageBasedGroupUpgrade will drive the upgrade.
      - Unset, it is assumed where there is such an object among the files.
    type: bool
  storage:
    description:
      - The storage operator of the cluster, LVM Storage or the Local Storage Operator.
      - V(auto) asks the cluster, or concludes it from the content.
    type: str
    choices: [auto, lvms, lso, none]
    default: auto
  hub:
    description:
      - Whether the cluster is managed by a hub.
      - Unset, the cluster is asked; without one it is left open.
    type: bool
  cluster_is_seed:
    description: The cluster is one that a seed image will be made from. Then it must have OADP, and no DataProtectionApplication.
    type: bool
    default: false
  ignore:
    description: Rules that say nothing.
    type: list
    elements: str
    default: []
  fail_on:
    description: From which level on a finding lets the task fail.
    type: str
    choices: [error, warning, never]
    default: error
  show:
    description: Print the findings as a compiler does, one for each line.
    type: bool
    default: false
seealso:
  - name: The rules
    description: What is checked, and why.
    link: https://github.com/sno-image-upgrade/sno.image_upgrade/blob/main/docs/oadp_lint_rules.md
"""

EXAMPLES = r"""
- name: Check the files before they are committed
  sno.image_upgrade.oadp_lint:
    paths:
      - oadp/

- name: Check what is on the cluster, and ask the cluster about it
  sno.image_upgrade.oadp_lint:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    config_maps:
      - name: oadp-cm
        namespace: openshift-adp
    through_hub: true
    fail_on: warning

- name: Look for a corrected version
  sno.image_upgrade.oadp_lint:
    paths: [oadp/small-app.yml]
    storage: lvms
    ignore: [oadp-storage-label]
    fail_on: never
  register: linted

- name: Show it
  ansible.builtin.debug:
    msg: "{{ linted.corrected | map(attribute='text') | join('---\n') }}"
"""

RETURN = r"""
findings:
  description: Everything that is wrong, in the order of the files.
  returned: always
  type: list
  elements: dict
  contains:
    level:
      description: V(error) or V(warning).
      type: str
      sample: error
    rule:
      description: The name of the rule.
      type: str
      sample: oadp-wave
    message:
      description: What was seen.
      type: str
      sample: lca.openshift.io/apply-wave is a number without quotes
    remedy:
      description: What to do.
      type: str
      sample: write "3", a whole number in quotes
    file:
      description: The file, or the ConfigMap.
      type: str
      sample: oadp/small-app.yml
    document:
      description: Which document of it, from 1; 0 where it concerns no single one.
      type: int
      sample: 2
    line:
      description: The line, from 1; for ConfigMaps on a cluster, the line in the value of the key. 0 where there is none.
      type: int
      sample: 27
    object:
      description: Kind, namespace and name.
      type: str
      sample: Restore openshift-adp/small-app
    source:
      description: The ConfigMap and the key in it.
      type: str
      sample: openshift-adp/oadp-cm oadp.yaml
    corrected:
      description: The corrected document, where only one correction is possible; with all such corrections of the document.
      type: str
      sample: "apiVersion: velero.io/v1\nkind: Restore\n..."
corrected:
  description: The documents that could be corrected, with their C(file), C(document), C(line), C(object) and C(text).
  returned: always
  type: list
  elements: dict
  sample: [{file: oadp/small-app.yml, document: 2, line: 14, object: Restore openshift-adp/small-app, text: "apiVersion: ..."}]
lines:
  description: The findings for people.
  returned: always
  type: list
  elements: str
  sample: ["oadp/small-app.yml:27: error: [oadp-wave] Restore openshift-adp/small-app: ..."]
error_count:
  description: How many findings are errors.
  returned: always
  type: int
  sample: 1
warning_count:
  description: How many findings are warnings.
  returned: always
  type: int
  sample: 0
documents:
  description: How many documents were looked at.
  returned: always
  type: int
  sample: 4
not_checked:
  description: What the cluster could not be asked, and why.
  returned: always
  type: list
  elements: str
  sample: []
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import HAS_YAML, readable
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, lint_lines, object_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._module import cluster_module, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_ask import (
    Asked,
    ask,
    read_config_maps,
    read_paths,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import LintFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_lint import Linted, linted
from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_rules import RULES
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, t.Any] = {
    "paths": {"type": "list", "elements": "str"},
    "content": {"type": "str"},
    "base": {"type": "path"},
    "config_maps": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "openshift-adp"},
        },
    },
    "ask_cluster": {"type": "bool"},
    "through_hub": {"type": "bool"},
    "storage": {"type": "str", "choices": ["auto", "lvms", "lso", "none"], "default": "auto"},
    "hub": {"type": "bool"},
    "cluster_is_seed": {"type": "bool", "default": False},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    "show": {"type": "bool", "default": False},
}


def check_ignore(rules: t.Iterable[str]) -> None:
    """Refuse rules that do not exist: a typing error would switch nothing off."""
    for rule in rules:
        if rule not in RULES:
            raise InvalidOption("ignore", rule, "there is no such rule; docs/oadp_lint_rules.md lists them")


def facts_of(params: t.Mapping[str, t.Any]) -> LintFacts:
    """What the options say of the cluster."""
    storage = {"auto": None, "none": frozenset()}.get(params["storage"], frozenset([params["storage"]]))
    return LintFacts(
        storage=storage, hub=params["hub"], through_hub=params["through_hub"], seed=params["cluster_is_seed"]
    )


def run(module: AnsibleModule) -> tuple[Linted, Asked]:
    """Read, ask, and lint. Raises IbuError."""
    params = module.params
    check_ignore(params["ignore"])
    refs = [(one["namespace"], one["name"]) for one in params["config_maps"] or ()]
    documents, broken = read_paths(params["paths"] or (), params["base"] or "")
    if params["content"]:
        more, wrong = readable(params["content"], "content")
        documents, broken = documents + more, broken + wrong
    asked = Asked(facts_of(params), ())
    asks = params["ask_cluster"]
    if asks is None:
        asks = bool(refs or params["kubeconfig"] or params["host"])
    if refs and not asks:
        raise InvalidOption("ask_cluster", False, "ConfigMaps can only be read from a cluster")
    if asks:
        session = open_session(module)
        found, missing = read_config_maps(session, refs)
        if missing:
            raise InvalidOption("config_maps", ", ".join(missing), "Prep fails without it; create the ConfigMap")
        documents += found
        asked = ask(session, documents, facts=asked.facts, every_config_map=bool(refs))
    return linted(documents, asked.facts, broken, every_config_map=bool(refs), ignore=params["ignore"]), asked


def result_of(found: Linted, asked: Asked) -> dict[str, t.Any]:
    """What the module returns."""
    errors = sum(finding.level is Level.ERROR for finding in found.findings)
    return {
        "changed": False,
        "findings": [_as_dict(finding) for finding in found.findings],
        "corrected": [
            {
                "file": document.file,
                "document": document.index,
                "line": document.line,
                "object": object_name(document.value),
                "text": text,
            }
            for document, text in found.corrected
        ],
        "lines": lint_lines(found.findings, len(found.documents)),
        "error_count": errors,
        "warning_count": len(found.findings) - errors,
        "documents": len(found.documents),
        "not_checked": list(asked.not_checked),
    }


def _as_dict(finding: LintFinding) -> dict[str, t.Any]:
    return {**dataclasses.asdict(finding), "level": finding.level.value}


def main() -> None:
    """Run the module."""
    module = cluster_module(ARGUMENTS, required_one_of=[["paths", "config_maps", "content"]], supports_check_mode=True)
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        found, asked = run(module)
    except IbuError as error:
        module.fail_json(msg=str(error))
    result = result_of(found, asked)
    counted = {"error": result["error_count"], "warning": result["error_count"] + result["warning_count"], "never": 0}
    if counted[module.params["fail_on"]]:
        module.fail_json(msg="\n".join(result["lines"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
