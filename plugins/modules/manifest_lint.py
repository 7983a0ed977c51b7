#!/usr/bin/python
# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_lint
short_description: Check extra manifests and labelled policies of an image-based upgrade before Prep does
version_added: 0.1.0
description:
  - Reads the manifests for C(spec.extraManifests) from files, or from ConfigMaps on a cluster, and says everything at once that
    the Lifecycle Agent would refuse in Prep, that it would only warn of and that rolls the upgrade back after the reboot, and
    that it does not look at although it should not be there.
  - Counts the manifests in policies that are labelled C(lca.openshift.io/target-ocp-version) as the agent counts them. The number
    belongs into the annotation C(lca.openshift.io/target-ocp-version-manifest-count) of the ImageBasedUpgrade.
  - Each finding names file, line, document and rule, and where only one correction is possible it comes with the corrected
    document. The rules are listed in docs/manifest_lint_rules.md.
  - With a cluster at hand it also asks there - kinds, namespaces, CatalogSources that would be lost, and a dry run of each manifest.
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
      - Files, or folders in which all files that end in C(.yml), C(.yaml) or C(.json) are read.
      - A file has manifests themselves, or ConfigMaps with manifests in them.
      - All of them together are taken for the extra manifests of one upgrade.
    type: list
    elements: str
  base:
    description:
      - The folder at which relative O(paths) and O(policies) start.
      - Unset, it is that in which Ansible was started.
    type: path
  config_maps:
    description: ConfigMaps on the cluster, as in C(spec.extraManifests).
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
        default: openshift-lifecycle-agent
  policies:
    description: Files or folders with Policy objects, as they are on the hub or are made for it.
    type: list
    elements: str
  cluster_policies:
    description: Whether to read the policies on the cluster itself. Needs O(version).
    type: bool
    default: false
  version:
    description:
      - The release of the seed image, as in C(seedImageRef.version). It chooses the labelled manifests.
      - Required for O(policies) and O(cluster_policies).
    type: str
  manifest_count:
    description:
      - The value that the annotation C(lca.openshift.io/target-ocp-version-manifest-count) has or will have.
      - It is compared as text, as the agent does. A value that does not match is an error.
    type: str
  ask_cluster:
    description:
      - Whether to ask a cluster.
      - Unset, one is asked where O(config_maps), O(cluster_policies), O(kubeconfig) or O(host) is given.
    type: bool
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
  - module: sno.image_upgrade.oadp_lint
  - name: The rules
    description: What is checked, and why.
    link: https://github.com/sno-image-upgrade/sno.image_upgrade/blob/main/docs/manifest_lint_rules.md
"""

EXAMPLES = r"""
- name: Check the files before they are committed
  sno.image_upgrade.manifest_lint:
    paths:
      - extra-manifests/
    version: 4.17.3

- name: Count the labelled manifests in policies
  sno.image_upgrade.manifest_lint:
    policies:
      - policies/
    version: 4.17.3
  register: linted

- name: Use the number in the upgrade
  ansible.builtin.set_fact:
    ibu_annotations: "{{ linted.annotations }}"

- name: Check what is on the cluster, and ask the cluster about it
  sno.image_upgrade.manifest_lint:
    kubeconfig: /etc/sites/site-0001.kubeconfig
    config_maps:
      - name: site-extra
        namespace: openshift-lifecycle-agent
    cluster_policies: true
    version: 4.17.3
    manifest_count: "5"
    fail_on: warning
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
      sample: manifest-forbidden
    message:
      description: What was seen.
      type: str
      sample: MachineConfig is not allowed in extra manifests; Prep fails
    remedy:
      description: What to do.
      type: str
      sample: "leave it out: it has to be in the seed image"
    file:
      description: The file, or the ConfigMap and its key.
      type: str
      sample: extra-manifests/site.yml
    document:
      description: Which document of it, from 1; 0 where it concerns no single one.
      type: int
      sample: 2
    line:
      description: The line, from 1; for ConfigMaps on a cluster, the line in the value of the key. 0 where there is none.
      type: int
      sample: 9
    object:
      description: Kind, namespace and name.
      type: str
      sample: MachineConfig 99-extra
    source:
      description: What the rule follows.
      type: str
      sample: the Lifecycle Agent's checks of extraManifests in Prep
    corrected:
      description: The corrected document, where only one correction is possible.
      type: str
      sample: "apiVersion: v1\nkind: ConfigMap\n..."
manifests:
  description: The labelled manifests that the agent takes out of the policies, in the order in which it applies them.
  returned: always
  type: list
  elements: dict
  contains:
    policy:
      description: The policy.
      type: str
      sample: common.group-du
    wave:
      description: The wave of the policy.
      type: int
      sample: 10
    object:
      description: Kind, namespace and name.
      type: str
      sample: ConfigMap app/settings
    apply_type:
      description: V(merge) or V(replace), how an object is treated that is there already.
      type: str
      sample: merge
    label:
      description: The value of the label.
      type: str
      sample: "4.17"
manifest_count:
  description: The number of RV(manifests). Null where no policies were looked at.
  returned: always
  type: int
  sample: 5
annotations:
  description: The annotation with that number, for the variable C(ibu_annotations). Empty where no policies were looked at.
  returned: always
  type: dict
  sample: {lca.openshift.io/target-ocp-version-manifest-count: "5"}
lines:
  description: The findings for people.
  returned: always
  type: list
  elements: str
  sample: ["extra-manifests/site.yml:9: error: [manifest-forbidden] MachineConfig 99-extra: ..."]
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

from ansible_collections.sno.image_upgrade.plugins.module_utils import _version
from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import HAS_YAML
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level, LintFinding, in_order, lint_lines
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_ask import (
    Asked,
    Text,
    ask,
    read_config_maps,
    read_files,
    read_policies,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_lint import ManifestFacts, lint
from ansible_collections.sno.image_upgrade.plugins.module_utils._manifest_rules import RULES
from ansible_collections.sno.image_upgrade.plugins.module_utils._module import cluster_module, open_session
from ansible_collections.sno.image_upgrade.plugins.module_utils._policies import (
    COUNT,
    PolicyFacts,
    PolicyReport,
    examine,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

ARGUMENTS: dict[str, t.Any] = {
    "paths": {"type": "list", "elements": "str"},
    "base": {"type": "path"},
    "config_maps": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "openshift-lifecycle-agent"},
        },
    },
    "policies": {"type": "list", "elements": "str"},
    "cluster_policies": {"type": "bool", "default": False},
    "version": {"type": "str"},
    "manifest_count": {"type": "str"},
    "ask_cluster": {"type": "bool"},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    "show": {"type": "bool", "default": False},
}


def check_options(params: t.Mapping[str, t.Any]) -> None:
    """Refuse what cannot be meant. Raises InvalidOption."""
    for rule in params["ignore"]:
        if rule not in RULES:
            raise InvalidOption("ignore", rule, "there is no such rule; docs/manifest_lint_rules.md lists them")
    counts = params["policies"] or params["cluster_policies"]
    if params["policies"] and params["cluster_policies"]:
        raise InvalidOption("cluster_policies", True, "give policies as files or read those of the cluster, not both")
    if counts and not params["version"]:
        raise InvalidOption("version", params["version"], "say for which release the labelled manifests are counted")
    if params["version"] and not _version.is_valid(params["version"]):
        raise InvalidOption("version", params["version"], "give it as X.Y.Z or X.Y.Z-pre.release")
    if params["ask_cluster"] is False and (params["config_maps"] or params["cluster_policies"]):
        raise InvalidOption("ask_cluster", False, "ConfigMaps and policies of a cluster can only be read from it")


def run(module: AnsibleModule) -> tuple[list[LintFinding], int, PolicyReport | None, Asked]:
    """Read, ask, and lint. Raises IbuError."""
    params = module.params
    check_options(params)
    base, version = params["base"] or "", params["version"] or ""
    session = open_session(module) if _asks(params) else None
    text = read_files("paths", params["paths"] or (), base)
    if session is not None:
        text += read_config_maps(session, [(one["namespace"], one["name"]) for one in params["config_maps"] or ()])
    asked = Asked(ManifestFacts(version=version))
    if session is not None and (params["paths"] or params["config_maps"]):
        asked = ask(session, text.documents, version)
    policies, report = _policies(params, session, base)
    findings = [*text.findings, *lint(text.documents, asked.facts), *asked.findings]
    findings += [*policies.findings, *(report.findings if report else ())]
    shown = in_order(one for one in findings if one.rule not in params["ignore"])
    return shown, len(text.documents) + len(policies.documents), report, asked


def _asks(params: t.Mapping[str, t.Any]) -> bool:
    if params["ask_cluster"] is not None:
        return bool(params["ask_cluster"])
    return any(params[name] for name in ("config_maps", "cluster_policies", "kubeconfig", "host"))


def _policies(params: t.Mapping[str, t.Any], session: Session | None, base: str) -> tuple[Text, PolicyReport | None]:
    """The policies, and what the agent takes out of them; None where none were to be looked at."""
    facts = PolicyFacts(params["version"] or "", params["manifest_count"], on_cluster=params["cluster_policies"])
    if params["policies"]:
        text = read_files("policies", params["policies"], base)
        return text, examine(text.documents, facts)
    if params["cluster_policies"] and session is not None:
        found = read_policies(session)
        if found is None and params["manifest_count"] is not None:
            raise InvalidOption("manifest_count", params["manifest_count"], "Prep fails: the cluster has no policies")
        return Text(found or ()), examine(found or (), facts)
    return Text(), None


def result_of(
    findings: t.Sequence[LintFinding], documents: int, report: PolicyReport | None, asked: Asked
) -> dict[str, t.Any]:
    """What the module returns."""
    errors = sum(finding.level is Level.ERROR for finding in findings)
    return {
        "changed": False,
        "findings": [{**dataclasses.asdict(finding), "level": finding.level.value} for finding in findings],
        "manifests": [dataclasses.asdict(one) for one in report.manifests] if report else [],
        "manifest_count": report.count if report else None,
        "annotations": {COUNT: str(report.count)} if report else {},
        "lines": lint_lines(findings, documents),
        "error_count": errors,
        "warning_count": len(findings) - errors,
        "documents": documents,
        "not_checked": list(asked.not_checked),
    }


def main() -> None:
    """Run the module."""
    module = cluster_module(
        ARGUMENTS,
        required_one_of=[["paths", "config_maps", "policies", "cluster_policies"]],
        supports_check_mode=True,
    )
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        found = run(module)
    except IbuError as error:
        module.fail_json(msg=str(error))
    result = result_of(*found)
    counted = {"error": result["error_count"], "warning": result["error_count"] + result["warning_count"], "never": 0}
    if counted[module.params["fail_on"]]:
        module.fail_json(msg="\n".join(result["lines"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
