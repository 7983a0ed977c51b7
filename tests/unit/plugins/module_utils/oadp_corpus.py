# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content for oadpContent: what is right, and each rule of the lint broken once."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import IBU_ROLE, PULL_SECRET, LintFacts


def backup(name: str, spec: str, *, label: str = "", wave: str = "") -> str:
    """A Backup; ``spec`` is its YAML, indented by two."""
    notes = f'    lca.openshift.io/apply-wave: "{wave}"\n' if wave else ""
    notes += f"    lca.openshift.io/apply-label: {label}\n" if label else ""
    return _object("Backup", name, f"  annotations:\n{notes}" if notes else "", spec)


def restore(name: str, *, of: str = "", wave: str = "", spec: str = "") -> str:
    """A Restore of the Backup ``of``, which has the same name by default."""
    notes = f'  annotations:\n    lca.openshift.io/apply-wave: "{wave}"\n' if wave else ""
    return _object("Restore", name, notes, f"  backupName: {of or name}\n{spec}")


def _object(kind: str, name: str, notes: str, spec: str) -> str:
    return f"""\
---
apiVersion: velero.io/v1
kind: {kind}
metadata:
  name: {name}
  namespace: openshift-adp
  labels:
    velero.io/storage-location: default
{notes}spec:
{spec}"""


SETTINGS = "  includedNamespaces: [test]\n  includedNamespaceScopedResources: [secrets, deployments]\n"
APP = backup("small-app", SETTINGS) + restore("small-app", wave="3")
CLAIMS = "  includedNamespaces: [test]\n  includedNamespaceScopedResources: [secrets, persistentVolumeClaims]\n"
LVMS_APP = backup(
    "small-app",
    CLAIMS
    + "  includedClusterScopedResources: [persistentVolumes, volumesnapshotcontents, logicalvolumes.topolvm.io]\n",
) + restore(
    "small-app", wave="3", spec="  restorePVs: true\n  restoreStatus:\n    includedResources: [logicalvolumes]\n"
)
LSO_APP = backup("small-app", CLAIMS + "  excludedClusterScopedResources: [persistentVolumes]\n") + restore("small-app")
LVMS = backup(
    "lvmcluster",
    "  includedNamespaces: [openshift-storage]\n"
    "  includedNamespaceScopedResources: [lvmclusters, lvmvolumegroups, lvmvolumegroupnodestatuses]\n",
    wave="1",
) + restore("lvmcluster", wave="1")
KLUSTERLET_LABEL = (
    "rbac.authorization.k8s.io/v1/clusterroles/klusterlet,"
    "apps/v1/deployments/open-cluster-management-agent/klusterlet,"
    "v1/secrets/open-cluster-management-agent/bootstrap-hub-kubeconfig," + IBU_ROLE
)
KLUSTERLET = backup(
    "acm-klusterlet",
    "  includedNamespaces: [open-cluster-management-agent]\n"
    "  includedClusterScopedResources: [clusterroles]\n"
    "  includedNamespaceScopedResources: [deployments, secrets]\n",
    label=KLUSTERLET_LABEL,
    wave="1",
) + restore("acm-klusterlet", wave="1")
CLUSTER_SCOPED = backup(
    "small-app-cluster",
    "  includedClusterScopedResources: [customresourcedefinitions]\n",
    label="apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com",
) + restore("small-app-cluster", wave="2")
DPA = """\
---
apiVersion: oadp.openshift.io/v1alpha1
kind: DataProtectionApplication
metadata: {name: dpa, namespace: openshift-adp}
spec:
  configuration:
    restic: {enable: false}
  backupLocations:
    - velero:
        provider: aws
        credential: {name: cloud-credentials, key: cloud}
        objectStorage: {bucket: sites, prefix: site-0001}
"""


def config_map(text: str, name: str = "oadp-cm") -> str:
    """The documents inside a ConfigMap."""
    body = "".join(f"    {line}\n" for line in text.splitlines())
    return (
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: openshift-adp}}\n"
        f"data:\n  oadp.yaml: |\n{body}"
    )


IBU = """\
---
apiVersion: lca.openshift.io/v1
kind: ImageBasedUpgrade
metadata: {name: upgrade}
spec:
  stage: Idle
  oadpContent: [{name: oadp-cm, namespace: openshift-adp}]
"""
IBGU = """\
---
apiVersion: lcm.openshift.io/v1alpha1
kind: ImageBasedGroupUpgrade
metadata: {name: group, namespace: default}
spec:
  ibuSpec:
    oadpContent: [{name: oadp-cm, namespace: openshift-adp}]
"""
ALL_LVMS = KLUSTERLET + LVMS + CLUSTER_SCOPED + LVMS_APP
READY = {"status": {"conditions": [{"type": "Reconciled", "status": "True"}]}}
ONE_DPA: dict[str, t.Any] = {"metadata": {"name": "dpa", "namespace": "openshift-adp"}, **READY}
LOCATION: dict[str, t.Any] = {"metadata": {"name": "default"}, "status": {"phase": "Available"}}
HEALTHY = LintFacts(
    storage=frozenset({"lvms"}),
    hub=True,
    through_hub=True,
    objects={item: "" for item in KLUSTERLET_LABEL.split(",")},
    operators=("oadp-operator.v1.4.2", "volsync.v0.9"),
    applications=(ONE_DPA,),
    locations=(LOCATION,),
    secrets=frozenset({"cloud-credentials"}),
)

# Configurations that are right: the text, and what is known of the cluster.
CLEAN: dict[str, tuple[str, LintFacts]] = {
    "an application": (APP, LintFacts()),
    "in a ConfigMap": (config_map(APP), LintFacts()),
    "with the upgrade that names it": (config_map(APP) + IBU, LintFacts()),
    "LVM Storage": (LVMS + LVMS_APP, LintFacts()),
    "LVM Storage, known": (LVMS + LVMS_APP, LintFacts(storage=frozenset({"lvms"}))),
    "Local Storage Operator": (LSO_APP, LintFacts(storage=frozenset({"lso"}), hub=False)),
    "Local Storage Operator, not known": (LSO_APP, LintFacts()),
    "no storage": (APP, LintFacts(storage=frozenset())),
    "the klusterlet": (KLUSTERLET, LintFacts(hub=True)),
    "the klusterlet through the hub": (config_map(KLUSTERLET) + IBGU, LintFacts()),
    "everything": (config_map(ALL_LVMS) + DPA, HEALTHY),
    "two applications with cluster-scoped resources": (
        CLUSTER_SCOPED
        + APP
        + (CLUSTER_SCOPED + APP).replace("small-app", "big-thing").replace('"2"', '"4"').replace('"3"', '"5"'),
        LintFacts(),
    ),
    "old filters": (
        backup("old", "  includedNamespaces: [a]\n  includedResources: [secrets, deploy]\n") + restore("old"),
        LintFacts(),
    ),
    "JSON": (
        '{"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "a", "namespace": "openshift-adp", '
        '"labels": {"velero.io/storage-location": "default"}}, "spec": {"includedNamespaceScopedResources": ["cm"]}}\n'
        + restore("a"),
        LintFacts(),
    ),
    "everything in some namespaces": (
        backup(
            "all",
            "  includedNamespaces: [a]\n  excludedNamespaceScopedResources: [pods, endpoints, controllerrevisions, "
            "podmetrics, packagemanifests, replicasets, persistentvolumeclaims]\n  ttl: 720h0m0s\n",
        )
        + restore("all"),
        LintFacts(),
    ),
    "a neighbour in the file": (APP + DPA, LintFacts()),
    "null as if it were not there": (APP.replace("[test]", "[test]\n  ttl: null\n  hooks: null"), LintFacts()),
    "a negative wave": (APP.replace('"3"', '"-3"'), LintFacts()),
    "a seed cluster": (APP, LintFacts(seed=True, operators=("oadp-operator.v1.4.2",), applications=())),
    "a seed record": (APP, LintFacts(seed_oadp="1.3.1")),
}


class Broken(t.NamedTuple):
    """A text that breaks a rule. ``says`` is part of the message, ``line`` where it is."""

    text: str
    says: str = ""
    line: int = 0
    facts: LintFacts = LintFacts()


def _in(old: str, new: str, text: str = APP) -> str:
    assert old in text
    return text.replace(old, new, 1)


_OTHER = restore("other", of="small-app", wave="3")
_LABEL = "apps/v1/deployments/test/web,v1/secrets/test/pull"


def labelled(label: str, spec: str = SETTINGS) -> str:
    """An application with apply-label."""
    return backup("small-app", spec, label=label) + restore("small-app")


BROKEN: dict[str, list[Broken]] = {
    "yaml-syntax": [Broken(APP + "---\na: [\n", "", 26), Broken(config_map(APP) + "    b: }\n")],
    "yaml-tab": [Broken(APP + "---\na: 1\n\tb: 2\n", "tab", 26), Broken(APP + "---\na:\n\t- 2\n")],
    "yaml-alias": [Broken("---\na: &x 1\nkind: A\n---\nb: *x\n" + APP, "alias", 5)],
    "yaml-duplicate-key": [Broken(_in("  name:", "  name: first\n  name:"), "metadata.name", 6)],
    "yaml-no-object": [Broken(APP + "---\njust text\n", "", 25), Broken(APP + "---\na: 1\n")],
    "oadp-api-version": [
        Broken(_in("velero.io/v1", "velero.io/v1alpha1"), "v1alpha1", 2),
        Broken(_in("velero.io/v1", "v1")),
        Broken(config_map(_in("apiVersion: velero.io/v1\n", "")), "missing"),
    ],
    "oadp-kind": [Broken(_in("kind: Restore", "kind: Restores"), "Restores", 14), Broken(_in("Backup", "backup"))],
    "oadp-ignored": [
        Broken(config_map(APP + "---\napiVersion: v1\nkind: Namespace\n"), "Namespace"),
        Broken(APP + "---\napiVersion: v1\nkind: Service\n", "Service", 26),
    ],
    "oadp-namespace": [
        Broken(_in("namespace: openshift-adp", "namespace: adp"), "adp", 6),
        Broken(_in("  namespace: openshift-adp\n", ""), "missing", 4),
    ],
    "oadp-name": [
        Broken(_in("name: small-app", "name: Small_App"), "", 5),
        Broken(_in("name: small-app", "generateName: small-app")),
        Broken(_in("name: small-app", "name: 5")),
    ],
    "oadp-name-label": [Broken(labelled(_LABEL).replace("small-app", "a" * 64), "64", 5)],
    "oadp-duplicate-name": [Broken(APP + APP, "", 28)],
    "oadp-empty": [Broken(""), Broken(DPA)],
    "oadp-metadata": [
        Broken(_in("storage-location: default", "storage-location: 5"), "number", 8),
        Broken(_in("storage-location: default", "storage-location: default\n    a b: c")),
        Broken(_in("storage-location: default", "storage-location: d/e"), "label value"),
        Broken(_in("labels:\n    velero.io/storage-location: default", "labels: [a]")),
    ],
    "oadp-schema": [
        Broken(_in("[test]", "test"), "must be a list", 10),
        Broken(_in("[test]", "[5]"), "must be a string", 10),
        Broken(_in("[test]", "[test]\n  snapshotVolumes: 'true'"), "true or false", 11),
        Broken(_in("[test]", "[null]"), "null"),
        Broken(_in("[test]", "[test]\n  hooks: {resources: [{pre: []}]}"), "name is required"),
        Broken(_in("[test]", "[test]\n  uploaderConfig: {parallelFilesUpload: '3'}"), "whole number"),
        Broken(_in("spec:", "status: done\nspec:"), "status"),
        Broken(
            _in(
                "[test]", "[test]\n  hooks: {resources: [{name: a, pre: [{exec: {command: [], onError: Stop}}]}]}"
            ),
            "one of Continue, Fail",
        ),
    ],
    "oadp-unknown-field": [
        Broken(_in("includedNamespaces", "inculdedNamespaces"), "spec.inculdedNamespaces", 10),
        Broken(_in("  labels:", "  lables:"), "metadata.lables", 7),
        Broken(_in("spec:", "includedNamespaces: [a]\nspec:"), "includedNamespaces"),
        Broken(_in("backupName", "restorePV: true\n  backupName"), "spec.restorePV"),
        Broken(_in("[test]", "[test]\n  restorePVs: true"), "restorePVs"),
    ],
    "oadp-pairing": [
        Broken(backup("small-app", SETTINGS), "no Restore", 5),
        Broken(restore("small-app"), "no Backup small-app"),
        Broken(_in("backupName: small-app", "backupName: smal-app"), "smal-app", 23),
        Broken(APP + _OTHER, "2 Restores", 35),
    ],
    "oadp-restore-source": [
        Broken(_in("  backupName: small-app\n", "  scheduleName: nightly\n"), "scheduleName", 23),
        Broken(_in("  backupName: small-app\n", "  restorePVs: true\n"), "missing"),
    ],
    "oadp-wave": [
        Broken(_in('"3"', "3"), "without quotes", 21),
        Broken(_in('"3"', '"3 "')),
        Broken(_in('"3"', "first"), "first"),
        Broken(_in('"3"', '"1.0"')),
    ],
    "oadp-wave-platform": [
        Broken(_in('wave: "3"', 'wave: "1"', LVMS + LVMS_APP), "wave 1", 23),
        Broken(KLUSTERLET.replace('"1"', '"7"') + APP, "wave 7"),
        Broken(KLUSTERLET.replace('apply-wave: "1"', 'apply-wave: ""') + APP, "last wave"),
    ],
    "oadp-wave-cluster-scope": [
        Broken(CLUSTER_SCOPED.replace('"2"', '"3"') + APP, "wave 3"),
        Broken(CLUSTER_SCOPED.replace('"2"', '"9"').replace("small-app", "x") + APP, "wave 9"),
    ],
    "oadp-cluster-scope-mixed": [
        Broken(_in("[test]", "[test]\n  includedClusterScopedResources: [customresourcedefinitions]"), "custom")
    ],
    "oadp-apply-label": [
        Broken(labelled("v1/secrets"), "2 parts", 10),
        Broken(labelled("a/b/c/d/e/f"), "6 parts"),
        Broken(labelled('"apps/v1/deployments/test/web, v1/secrets/test/x"'), "blank"),
        Broken(labelled(f'"{_LABEL},"'), "comma too many"),
        Broken(labelled("v1//test/x"), "empty part"),
        Broken(labelled("apps/deployments/web"), "version"),
        Broken(labelled("v1/v1/secrets/test/x"), "group"),
        Broken(labelled("apps/v1/Deployment/test/web"), "lower case"),
        Broken(labelled('""'), "empty"),
    ],
    "oadp-apply-label-scope": [
        Broken(labelled("apps/v1/deployments/web"), "no namespace", 10),
        Broken(labelled("v1/secrets/pull"), "v1/secrets/pull"),
        Broken(labelled("rbac.authorization.k8s.io/v1/clusterroles/test/web"), "are in none"),
    ],
    "oadp-apply-label-resources": [
        Broken(labelled(_LABEL, SETTINGS.replace("secrets, ", "")), "secrets", 13),
        Broken(labelled(IBU_ROLE), "clusterroles"),
        Broken(labelled(_LABEL, SETTINGS.replace("[secrets, deployments]", "[]\n  excludedResources: [secrets]"))),
    ],
    "oadp-apply-label-namespaces": [
        Broken(labelled(_LABEL, SETTINGS.replace("[test]", "[other]")), "test", 12),
        Broken(labelled(_LABEL, SETTINGS.replace("includedNamespaces", "excludedNamespaces")), "test"),
    ],
    "oadp-apply-label-only": [
        Broken(labelled("v1/secrets/test/pull"), "deployments", 13),
        Broken(_in("lca.openshift.io/apply-wave", "lca.openshift.io/apply-label"), "Restore"),
    ],
    "oadp-apply-label-selector": [
        Broken(labelled(_LABEL, SETTINGS + "  labelSelector: {matchLabels: {a: b}}\n"), "labelSelector", 14)
    ],
    "oadp-filters-mixed": [
        Broken(_in("[test]", "[test]\n  includedResources: [secrets]"), "includedResources", 11),
        Broken(_in("[test]", "[test]\n  includeClusterResources: false")),
    ],
    "oadp-filters-overlap": [
        Broken(_in("[test]", "[test]\n  excludedNamespaces: [test]"), "test", 11),
        Broken(_in("[test]", "['*', test]"), "'*'", 10),
        Broken(_in("[test]", "[test]\n  excludedNamespaces: ['*']")),
    ],
    "oadp-selectors": [
        Broken(
            _in("[test]", "[test]\n  labelSelector: {matchLabels: {a: b}}\n  orLabelSelectors: [{matchLabels: {}}]"),
            "together", 12,
        )
    ],
    "oadp-duration": [Broken(_in("[test]", "[test]\n  ttl: 30d"), "30d", 11)],
    "oadp-excluded": [
        Broken(_in("[secrets,", "[pods, secrets,"), "pods", 11),
        Broken(_in("deployments]", "replicaset]"), "replicaset"),
        Broken(_in("deployments]", "localvolume]"), "localvolume"),
        Broken(backup("all", "  includedNamespaces: [a]\n") + restore("all"), "pods, endpoints"),
    ],
    "oadp-not-restorable": [Broken(APP + "  includedResources: [nodes]\n", "nodes", 24)],
    "oadp-storage-label": [
        Broken(_in("  labels:\n    velero.io/storage-location: default\n", ""), "missing", 4),
        Broken(_in("velero.io/storage-location", "other")),
    ],
    "oadp-lvms-backup": [
        Broken(_in(", logicalvolumes.topolvm.io", "", LVMS_APP), "logicalvolumes", 12, LintFacts(frozenset({"lvms"}))),
        Broken(LVMS + LSO_APP, "persistentVolumes", 0, LintFacts(frozenset({"lvms"}))),
        Broken(_in("persistentVolumes, ", "", LVMS_APP), "persistentVolumes"),
        Broken(
            _in("[secrets,", "[volumesnapshots,", LVMS_APP).replace("volumesnapshotcontents, ", ""),
            "volumesnapshotcontents",
        ),
    ],
    "oadp-lvms-restore": [
        Broken(_in("restorePVs: true", "restorePVs: false", LVMS_APP), "restorePVs"),
        Broken(_in("[logicalvolumes]", "[]", LVMS_APP), "restoreStatus", 0, LintFacts(frozenset({"lvms"}))),
    ],
    "oadp-lvms-platform": [
        Broken(LVMS_APP, "lvmclusters"),
        Broken(APP, "lvmclusters", 0, LintFacts(storage=frozenset({"lvms"}))),
        Broken(_in("lvmclusters, ", "", LVMS), "lvmclusters"),
    ],
    "oadp-lso-backup": [
        Broken(
            _in("  excludedClusterScopedResources: [persistentVolumes]\n", "", LSO_APP),
            "does not exclude", 9, LintFacts(frozenset({"lso"})),
        )
    ],
    "oadp-storage-unknown": [
        Broken(_in("  excludedClusterScopedResources: [persistentVolumes]\n", "", LSO_APP), "volume claims")
    ],
    "oadp-storage-mixed": [
        Broken(LVMS_APP + LSO_APP.replace("small-app", "other"), "others"),
        Broken(LVMS + APP, "lvmclusters", 0, LintFacts(storage=frozenset({"lso"}))),
        Broken(APP, "both", 0, LintFacts(storage=frozenset({"lso", "lvms"}))),
    ],
    "oadp-klusterlet": [Broken(APP, "klusterlet", 0, LintFacts(hub=True))],
    "oadp-klusterlet-no-hub": [Broken(KLUSTERLET, "has none", 5, LintFacts(hub=False))],
    "oadp-klusterlet-ibgu": [
        Broken(_in("," + IBU_ROLE, "", KLUSTERLET), "ibu-role", 11, LintFacts(through_hub=True)),
        Broken(config_map(_in("," + IBU_ROLE, "", KLUSTERLET)) + IBGU),
    ],
    "oadp-klusterlet-optional": [Broken(_in(IBU_ROLE, PULL_SECRET, KLUSTERLET), "pull-credentials")],
    "oadp-config-map-size": [Broken(config_map(APP + "# " + "x" * 1048576 + "\n"), "1048576", 5)],
    "oadp-config-map-apply": [Broken(config_map(APP + "# " + "x" * 300000 + "\n"), "262144")],
    "oadp-config-map-binary": [Broken(config_map(APP) + "binaryData: {a: YQ==}\n", "binaryData")],
    "oadp-config-map-missing": [Broken(config_map(APP, "other") + IBU, "oadp-cm")],
    "oadp-config-map-unused": [Broken(config_map(LVMS) + config_map(APP, "other") + IBU, "other")],
    "oadp-dpa-restic": [
        Broken(_in("enable: false", "enable: true", APP + DPA), "restic", 30),
        Broken(_in("    restic: {enable: false}\n", "    velero: {}\n", APP + DPA)),
    ],
    "oadp-dpa-locations": [Broken(_in("backupLocations", "snapshotLocations", APP + DPA), "missing")],
    "oadp-dpa-credential": [
        Broken(_in("        credential: {name: cloud-credentials, key: cloud}\n", "", APP + DPA), "missing"),
        Broken(APP + DPA, "no Secret", 0, LintFacts(secrets=frozenset({"other"}))),
    ],
    "oadp-dpa-bucket": [Broken(APP + DPA + DPA, "site-0001")],
    "oadp-operator": [Broken(APP, "", 0, LintFacts(operators=("other.v1",)))],
    "oadp-dpa": [
        Broken(APP, "no Data", 0, LintFacts(applications=())),
        Broken(APP, "2 Data", 0, LintFacts(applications=(ONE_DPA, ONE_DPA))),
        Broken(APP, "not reconciled", 0, LintFacts(applications=({**ONE_DPA, "status": {}},))),
    ],
    "oadp-backup-location": [
        Broken(APP, "no Backup", 0, LintFacts(locations=())),
        Broken(APP, "Unavailable: refused", 0, LintFacts(locations=(
            {**LOCATION, "status": {"phase": "Unavailable", "message": "refused"}},
        ))),
    ],
    "oadp-apply-label-missing": [
        Broken(labelled(_LABEL), "v1/secrets/test/pull", 10, LintFacts(missing=frozenset({"v1/secrets/test/pull"})))
    ],
    "oadp-apply-label-patch": [
        Broken(labelled(_LABEL), "denied", 10, LintFacts(objects={"v1/secrets/test/pull": "denied by webhook"}))
    ],
    "oadp-refused": [Broken(APP, "webhook", 5, LintFacts(refusals={("Backup", "small-app"): "denied by webhook"}))],
    "oadp-seed": [
        Broken(APP, "1.3.0", 0, LintFacts(seed=True, operators=("oadp-operator.v1.3.0",))),
        Broken(APP, "no OADP", 0, LintFacts(seed=True, operators=())),
        Broken(APP, "has a Data", 0, LintFacts(seed=True, applications=(ONE_DPA,))),
        Broken(APP, "1.2.0", 0, LintFacts(seed_oadp="1.2.0")),
    ],
}  # fmt: skip
