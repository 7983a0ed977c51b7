# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal of Prep, and the part of a scenario that really provokes it: by objects, not by a trouble of that name.

The texts are those of `fleetsim.troubles.PREP_FAILURES`. A refusal that nobody can know of beforehand says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetsim.ports import LCA_NAMESPACE, OADP_NAMESPACE, Object
from fleetsim.troubles import PREP_FAILURES

Fragment = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """`cluster` is what stands in `clusters_extra`; `says` the parameters of the text where they are not the defaults.

    `check` is the word by which preflight's finding is known. `unforeseen`: why no finding can tell of it.
    `text`: the whole text, where it is put together of more than one.
    """

    word: str
    cluster: Fragment
    check: str = ""
    says: dict[str, Any] = field(default_factory=dict)
    unforeseen: str = ""
    text: str = ""

    @property
    def message(self) -> str:
        known = PREP_FAILURES[self.word]
        return self.text or known.message.format(**{**known.params, **self.says})


def _config_map(name: str, namespace: str, text: str) -> Object:
    key = "oadp.yaml" if namespace == OADP_NAMESPACE else "extra.yaml"
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {key: text}}


def _oadp(text: str) -> Fragment:
    return {"objects": [_config_map("oadp-cm", OADP_NAMESPACE, text)]}


def _extra(text: str) -> Fragment:
    return {"objects": [_config_map("site-extra", LCA_NAMESPACE, text)]}


_SPEC = "{includedNamespaces: [app], includedNamespaceScopedResources: [secrets]}"


def backup(name: str = "small-app", annotation: str = "", spec: str = "") -> str:
    """The text of a Backup that is valid as it stands."""
    notes = f"  annotations: {{{annotation}}}\n" if annotation else ""
    return (
        "---\napiVersion: velero.io/v1\nkind: Backup\n"
        f"metadata:\n  name: {name}\n  namespace: openshift-adp\n  labels: {{velero.io/storage-location: default}}\n"
        f"{notes}spec: {spec or _SPEC}\n"
    )


def restore(name: str = "small-app", of: str = "", spec: str = "") -> str:
    """The text of a Restore that is valid as it stands."""
    return (
        "---\napiVersion: velero.io/v1\nkind: Restore\n"
        f"metadata:\n  name: {name}\n  namespace: openshift-adp\n  labels: {{velero.io/storage-location: default}}\n"
        f"spec: {spec or f'{{backupName: {of or name}}}'}\n"
    )


def manifest(kind: str = "ConfigMap", name: str = "site-settings", api: str = "v1", more: str = "") -> str:
    """The text of an extra manifest."""
    return f"---\napiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: app\n{more}"


def labelled(compliance: str = "musthave", version: str = "4.17", name: str = "common.group-du") -> Object:
    """A Policy as it is on a cluster, with one manifest for a release."""
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "from-policy",
            "namespace": "app",
            "annotations": {},
            "labels": {"lca.openshift.io/target-ocp-version": version},
        },
    }
    template = {
        "apiVersion": "policy.open-cluster-management.io/v1",
        "kind": "ConfigurationPolicy",
        "metadata": {"name": "group-du-config"},
        "spec": {"object-templates": [{"complianceType": compliance, "objectDefinition": obj}]},
    }
    return {
        "apiVersion": "policy.open-cluster-management.io/v1",
        "kind": "Policy",
        "metadata": {"name": name, "namespace": "app", "annotations": {"ran.openshift.io/ztp-deploy-wave": "10"}},
        "spec": {"remediationAction": "inform", "policy-templates": [{"objectDefinition": template}]},
    }


def _of(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


_OADP_CSV = _of("operators.coreos.com/v1alpha1", "ClusterServiceVersion", "oadp-operator.v1.4.1", OADP_NAMESPACE)
_DPA = _of("oadp.openshift.io/v1alpha1", "DataProtectionApplication", "dpa", OADP_NAMESPACE)
_RECONCILED = {"conditions": [{"type": "Reconciled", "status": "True", "reason": "Complete", "message": ""}]}
_CONFIG = _of("machineconfiguration.openshift.io/v1", "MachineConfig", "rendered-master-4.16")
_PROXY = _of("config.openshift.io/v1", "Proxy", "cluster")
_SECRET = _of("v1", "Secret", "seed-pull", LCA_NAMESPACE)
_OTHER_PARTITION = "/dev/disk/by-partlabel/var-lib-containers"
_COUNT = "lca.openshift.io/target-ocp-version-manifest-count"
_MOUNT = {
    "name": "var-lib-containers.mount",
    "contents": f"[Mount]\nWhere=/var/lib/containers\nWhat={_OTHER_PARTITION}\n",
}


def _units(*units: Object) -> Fragment:
    return {"objects": [{**_CONFIG, "spec": {"config": {"systemd": {"units": list(units)}}}}]}


def _bundle(name: str, text: str = "-----BEGIN CERTIFICATE-----") -> Object:
    return _of("v1", "ConfigMap", name, "openshift-config", data={"ca-bundle.crt": text})


def _second_node() -> Object:
    roles = ("control-plane", "master", "worker")
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {}, "addresses": []}
    node = _of("v1", "Node", "worker-1", status=ready)
    node["metadata"]["labels"] = {f"node-role.kubernetes.io/{role}": "" for role in roles}
    return node


def _proxy(trusted: str = "", **spec: str) -> Object:
    return {**_PROXY, "spec": {**spec, "trustedCA": {"name": trusted}}}


_JOB = "the job runs on the node, with the node's network and disk"

PREP: dict[str, Refusal] = {
    "no container storage": Refusal("no_container_storage", _units(), "container-storage"),
    "no workspace": Refusal(
        "workspace_failed",
        {"troubles": {"workspace_failed": {}}},
        unforeseen="the agent's own directory on the node cannot be seen through the API",
    ),
    "version too low": Refusal("seed_version", {"version": "4.17.5"}, "state", {"seed": "4.17.3", "current": "4.17.5"}),
    "version no version": Refusal("seed_version_unparsable", {"goal": {"version": "latest"}}, "options"),
    # OADP
    "no OADP": Refusal("oadp_missing", {"without": [_OADP_CSV]}, "oadp"),
    "no DPA": Refusal("dpa_missing", {"without": [_DPA]}, "oadp"),
    "two DPAs": Refusal(
        "dpa_twice",
        {"objects": [{**_DPA, "metadata": {**_DPA["metadata"], "name": "other"}, "status": _RECONCILED}]},
        "oadp",
    ),
    "no OADP ConfigMap": Refusal(
        "oadp_configmap_missing", {"without": [_of("v1", "ConfigMap", "oadp-cm", OADP_NAMESPACE)]}, "references"
    ),
    "OADP content no YAML": Refusal(
        "oadp_undecodable",
        _oadp("kind: Backup\nmetadata: {\n"),
        "oadp-content",
        {"err": "yaml: line 3: did not find expected node content"},
    ),
    "Backup invalid": Refusal(
        "backup_invalid",
        _oadp(backup(spec="everything") + restore()),
        "oadp-content",
        {
            "name": "small-app",
            "err": 'Backup.velero.io "small-app" is invalid: [spec: Invalid value: "string": spec in body must be of '
            'type object: "string", <nil>: Invalid value: null: some validation rules were not checked because the '
            "object was invalid; correct the existing errors to complete validation]",
        },
    ),
    "Backup in no namespace": Refusal(
        "backup_dry_run_failed",
        _oadp(backup().replace("namespace: openshift-adp", "namespace: adp") + restore()),
        "oadp-content",
        {"err": 'namespaces "adp" not found'},
    ),
    "apply-label no path": Refusal(
        "apply_label_invalid",
        _oadp(backup(annotation="lca.openshift.io/apply-label: v1/secrets") + restore()),
        "oadp-content",
    ),
    "apply-label of nothing": Refusal(
        "apply_label_missing",
        _oadp(backup(annotation="lca.openshift.io/apply-label: v1/secrets/app/pull") + restore()),
        "oadp-content",
        {"err": 'secrets "pull" not found'},
    ),
    "Restore invalid": Refusal(
        "restore_invalid",
        _oadp(backup() + restore(spec="everything")),
        "oadp-content",
        {
            "name": "small-app",
            "err": 'Restore.velero.io "small-app" is invalid: [spec: Invalid value: "string": spec in body must be of '
            'type object: "string", <nil>: Invalid value: null: some validation rules were not checked because the '
            "object was invalid; correct the existing errors to complete validation]",
        },
    ),
    "Restore in no namespace": Refusal(
        "restore_dry_run_failed",
        _oadp(backup() + restore().replace("namespace: openshift-adp", "namespace: adp")),
        "oadp-content",
        {"err": 'namespaces "adp" not found'},
    ),
    "Restore of nothing": Refusal(
        "restore_unpaired",
        _oadp(backup() + restore(of="large-app")),
        "oadp-content",
        {"backup": "large-app", "restore": "small-app"},
    ),
    "Backup without Restore": Refusal(
        "backup_restore_count", _oadp(backup() + backup("large-app") + restore()), "oadp-content"
    ),
    "neither Backup nor Restore": Refusal("backup_restore_count", _oadp(manifest()), "oadp-content"),
    "Backups of another cluster": Refusal(
        "stale_backups",
        {"troubles": {"foreign_backups": {"names": ["acm-klusterlet"]}, "velero_down": {}}},
        "stale-backups",
    ),
    # Extra manifests
    "no ConfigMap of manifests": Refusal(
        "extra_manifest_configmap_missing",
        {"without": [_of("v1", "ConfigMap", "site-extra", LCA_NAMESPACE)]},
        "references",
    ),
    "manifest without kind": Refusal(
        "extra_manifest_undecodable",
        _extra("metadata: {name: x}\n"),
        "extra-manifests",
        {"err": 'Object \'Kind\' is missing in \'{"metadata":{"name":"x"}}\''},
    ),
    "manifest without name": Refusal(
        "extra_manifest_no_name", _extra("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"), "extra-manifests"
    ),
    "manifest not allowed": Refusal(
        "extra_manifest_forbidden",
        _extra(manifest("MachineConfig", "99-extra", "machineconfiguration.openshift.io/v1")),
        "extra-manifests",
    ),
    "two manifests not allowed": Refusal(
        "extra_manifest_forbidden",
        _extra(
            manifest("InstallPlan", "a", "operators.coreos.com/v1alpha1")
            + manifest("Subscription", "b", "operators.coreos.com/v1alpha1")
        ),
        "extra-manifests",
        text="failed to validate IBU spec: failed to validate extramanifest cms: "
        "InstallPlan[a] in extramanifests is not allowed; Subscription[b] in extramanifests is not allowed",
    ),
    "wave no number": Refusal(
        "extra_manifest_wave",
        _extra(manifest(more="  annotations: {lca.openshift.io/apply-wave: first}\n")),
        "extra-manifests",
    ),
    "namespace going away": Refusal(
        "extra_manifest_dry_run",
        {"objects": [_of("v1", "Namespace", "app", status={"phase": "Terminating"})]},
        "extra-manifests",
        {
            "err": 'configmaps "site-settings" is forbidden: unable to create new content in namespace app because it '
            "is being terminated"
        },
    ),
    # Policies
    "policies hold fewer": Refusal(
        "policy_count",
        {"annotations": {_COUNT: "2"}, "objects": [labelled()]},
        "policies",
        {"found": 1, "expected": 2},
    ),
    "count not as text": Refusal(
        "policy_count",
        {"annotations": {_COUNT: "01"}, "objects": [labelled()]},
        "policies",
        {"found": 1, "expected": "01"},
    ),
    "compliance type": Refusal(
        "policy_compliance_type",
        {"annotations": {_COUNT: "1"}, "objects": [labelled("mustexist")]},
        "policies",
    ),
    "no policies at all": Refusal(
        "policy_crd_missing",
        {
            "annotations": {_COUNT: "1"},
            "without": [
                _of(
                    "apiextensions.k8s.io/v1",
                    "CustomResourceDefinition",
                    "policies.policy.open-cluster-management.io",
                )
            ],
        },
        "policies",
    ),
    # The seed image
    "no pull secret": Refusal("pull_secret_missing", {"without": [_SECRET]}, "references"),
    "pull secret without key": Refusal(
        "pull_secret_no_key",
        {"objects": [{**_SECRET, "data": {".dockerconfigjson": None, "auth": "e30="}}]},
        "references",
    ),
    "registry": Refusal(
        "registry_unreachable",
        {
            "seed_image": {
                "inspect_error": "pinging container registry registry.example.com: dial tcp 192.0.2.1:443: i/o timeout"
            }
        },
        unforeseen="it is the node that asks the registry, from its own network",
    ),
    "format missing": Refusal("seed_format_missing", {"seed_image": {"format_version": None}}, "seed-format"),
    "other format": Refusal("seed_format_mismatch", {"seed_image": {"format_version": 3}}, "seed-format"),
    "proxy only in seed": Refusal("proxy_only_seed", {"seed_image": {"has_proxy": True}}, "proxy"),
    "proxy only here": Refusal(
        "proxy_only_cluster", {"objects": [_proxy(httpsProxy="http://proxy.example.com:3128")]}, "proxy"
    ),
    "two nodes": Refusal("node_count", {"objects": [_second_node()]}, "node-count"),
    "FIPS only in seed": Refusal("fips_mismatch", {"seed_image": {"has_fips": True}}, "fips"),
    "FIPS only here": Refusal("fips_only_cluster", {"objects": [{**_CONFIG, "spec": {"fips": True}}]}, "fips"),
    "CA bundle only in seed": Refusal(
        "trust_bundle_mismatch", {"seed_image": {"additional_trust_bundle": {"hasUserCaBundle": True}}}, "trust-bundle"
    ),
    "CA bundle only here": Refusal(
        "trust_bundle_only_cluster", {"objects": [_bundle("user-ca-bundle")]}, "trust-bundle"
    ),
    "trusted CA empty": Refusal(
        "trusted_ca_empty",
        {"objects": [_bundle("proxy-ca", ""), _proxy("proxy-ca")]},
        "trust-bundle",
        {"name": "proxy-ca"},
    ),
    "other trusted CA": Refusal(
        "trusted_ca_mismatch",
        {"objects": [_bundle("proxy-ca"), _proxy("proxy-ca")]},
        "trust-bundle",
        {"seed": "", "cluster": "proxy-ca"},
    ),
    "other partition": Refusal("storage_target_mismatch", _units(_MOUNT), "container-storage"),
    "other release in the image": Refusal("stateroot_failed", {"seed_image": {"version": "4.17.2"}}, "seed-version"),
    "stateroot job": Refusal("stateroot_failed", {"troubles": {"stateroot_failed": {}}}, unforeseen=_JOB),
    "precache job": Refusal("precache_failed", {"troubles": {"precache_failed": {}}}, unforeseen=_JOB),
}

# Not a refusal of its own: a trouble with any text.
NOT_REFUSALS = {"prep_failed": "stands for any text, for tests of other things"}
