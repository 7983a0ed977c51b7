# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The rules of the OADP lint, by name. Names and levels are stable: people put them into exceptions.

``docs/oadp_lint_rules.md`` is made from this list; a test compares the two.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level

FILES, CONTENT, CLUSTER = "files", "content", "cluster"


class Rule(t.NamedTuple):
    """``needs``: what must be known for the rule: a file, the parsed content, or a cluster at hand.

    ``mends``: whether findings of the rule may carry a corrected document.
    """

    name: str
    level: Level
    needs: str
    mends: bool
    says: str
    because: str


_E, _W = Level.ERROR, Level.WARNING

_LIST = (
    # --- the text -------------------------------------------------------------------------------------------------
    Rule("yaml-syntax", _E, FILES, False, "Every document is YAML or JSON.",
         "The Lifecycle Agent decodes all documents in Prep, and fails at the first that it cannot read."),
    Rule("yaml-tab", _E, FILES, False, "Lines are indented with blanks, never with tabs.",
         "YAML allows no tabs there: the agent cannot decode the document."),
    Rule("yaml-alias", _E, FILES, False, "An alias names an anchor of the same document.",
         "Documents are read one by one, so an anchor of another document is not known."),
    Rule("yaml-duplicate-key", _W, FILES, True, "No key stands twice in one mapping.",
         "The last one counts and the others are lost in silence."),
    Rule("yaml-no-object", _E, FILES, False, "Every document is an object with apiVersion and kind.",
         "Anything else cannot be decoded as a Kubernetes object, and Prep fails."),
    # --- identity -------------------------------------------------------------------------------------------------
    Rule("oadp-api-version", _E, CONTENT, True, "Backups and Restores are of velero.io/v1.",
         "The agent passes over any other apiVersion without a word."),
    Rule("oadp-kind", _E, CONTENT, True, "Kinds are spelt Backup and Restore.",
         "The agent passes over any other kind without a word."),
    Rule("oadp-ignored", _W, CONTENT, False, "ConfigMaps for oadpContent hold Backups and Restores only.",
         "The agent passes over anything else without a word; other manifests belong into extraManifests."),
    Rule("oadp-namespace", _E, CONTENT, True, "Backups and Restores are in the namespace openshift-adp.",
         "The agent and its OADP operator look nowhere else."),
    Rule("oadp-name", _E, CONTENT, False, "Every Backup and Restore has a valid name.",
         "The API server refuses names that are no lower case DNS names of at most 253 characters."),
    Rule("oadp-name-label", _E, CONTENT, False, "With apply-label, the name of a Backup has at most 63 characters.",
         "The name becomes the value of a label on every object that is backed up."),
    Rule("oadp-duplicate-name", _E, CONTENT, False, "No two Backups and no two Restores have one name.",
         "The second replaces the first, or is taken for it."),
    Rule("oadp-empty", _E, CONTENT, False, "There is at least one Backup and one Restore.",
         "Prep fails where oadpContent holds none of them."),
    Rule("oadp-metadata", _E, CONTENT, True, "Labels and annotations are valid, and their values are strings.",
         "The API server refuses numbers and booleans there, and names with other characters."),
    Rule("oadp-schema", _E, CONTENT, True, "Fields have the types and values that the API takes.",
         "Prep creates each object with a dry run first, and fails where the API server refuses it."),
    Rule("oadp-unknown-field", _W, CONTENT, True, "Fields are those that the API knows.",
         "The API server drops unknown fields without a word, so a misspelt one has no effect."),
    # --- pairs and order ------------------------------------------------------------------------------------------
    Rule("oadp-pairing", _E, CONTENT, True, "Each Backup has one Restore, and each Restore names one Backup.",
         "Prep compares the numbers and looks up every spec.backupName; a Backup that no Restore names stays unused."),
    Rule("oadp-restore-source", _E, CONTENT, True, "A Restore names spec.backupName and no spec.scheduleName.",
         "Velero takes either; the agent looks only at the Backup's name."),
    Rule("oadp-wave", _E, CONTENT, True, "lca.openshift.io/apply-wave is a whole number, written as a string.",
         "The agent cannot sort by anything else and fails."),
    Rule("oadp-wave-platform", _W, CONTENT, False, "Restores of the platform have a lower wave than applications.",
         "Applications need the klusterlet and the volumes of LVM Storage to be there before them. "
         "A Restore without a wave comes last."),
    Rule("oadp-wave-cluster-scope", _W, CONTENT, False,
         "The Restore of an application's cluster-scoped resources comes before its namespaced one.",
         "Namespaced objects may need them, for example a custom resource its definition."),
    Rule("oadp-cluster-scope-mixed", _W, CONTENT, False,
         "An application's cluster-scoped resources have a Backup and a Restore of their own.",
         "Only then can they be limited to the application's own, and restored first."),
    # --- apply-label ----------------------------------------------------------------------------------------------
    Rule("oadp-apply-label", _E, CONTENT, True,
         "lca.openshift.io/apply-label is a list of objects with commas and no blanks.",
         "Each object is group/version/resource/namespace/name, group/version/resource/name, or, of the core group, "
         "v1/resource/namespace/name or v1/resource/name; anything else fails Prep."),
    Rule("oadp-apply-label-scope", _E, CONTENT, False,
         "apply-label names namespaced objects with their namespace and others without.",
         "The agent would ask for an object that cannot exist, and Prep fails."),
    Rule("oadp-apply-label-resources", _W, CONTENT, True,
         "The resources that apply-label names are in the Backup's lists of included resources.",
         "What is not included is not backed up, labelled or not."),
    Rule("oadp-apply-label-namespaces", _W, CONTENT, True,
         "The namespaces that apply-label names are in spec.includedNamespaces.",
         "What is not included is not backed up, labelled or not."),
    Rule("oadp-apply-label-only", _W, CONTENT, False,
         "With apply-label, the Backup includes no other resources than the labelled ones.",
         "Only the objects that apply-label names are backed up; nothing is taken of the other resources."),
    Rule("oadp-apply-label-selector", _W, CONTENT, False, "A Backup with apply-label has no selector of its own.",
         "The agent puts its own labelSelector there; an object would have to fit both, and orLabelSelectors "
         "beside a labelSelector are refused by Velero."),
    # --- filters --------------------------------------------------------------------------------------------------
    Rule("oadp-filters-mixed", _E, CONTENT, False,
         "A Backup uses either the old filters or the scoped ones.",
         "Velero refuses includedResources, excludedResources and includeClusterResources beside the lists of "
         "cluster-scoped and namespace-scoped resources: the Backup ends as FailedValidation in the Upgrade stage."),
    Rule("oadp-filters-overlap", _E, CONTENT, False, "Included and excluded lists do not contradict each other.",
         "Velero refuses an item that is in both, '*' beside other items, and '*' among the excluded ones."),
    Rule("oadp-selectors", _E, CONTENT, False, "There is one of labelSelector and orLabelSelectors.",
         "Velero refuses both together."),
    Rule("oadp-duration", _E, CONTENT, False, "Durations are written as Velero reads them, for example 720h0m0s.",
         "The API takes any string, but Velero and the agent cannot decode the object."),
    Rule("oadp-excluded", _W, CONTENT, True,
         "Pods, endpoints, controllerrevisions, podmetrics, packagemanifests, replicasets and localvolumes are not "
         "backed up.",
         "They are made anew on the upgraded cluster; restored ones are in its way."),
    Rule("oadp-not-restorable", _E, CONTENT, False, "A Restore includes no resources that Velero never restores.",
         "Velero refuses nodes, events, volumeattachments and its own objects in a Restore's included resources."),
    Rule("oadp-storage-label", _W, CONTENT, True, "The label velero.io/storage-location names the backup location.",
         "The product's own examples have it on every Backup and Restore."),
    # --- storage --------------------------------------------------------------------------------------------------
    Rule("oadp-lvms-backup", _W, CONTENT, True,
         "With LVM Storage, a Backup of volume claims includes persistentVolumes and logicalvolumes.topolvm.io "
         "(and volumesnapshotcontents where it takes snapshots).",
         "Without them the claims come back with empty volumes, or none: VolumeID is not found."),
    Rule("oadp-lvms-restore", _W, CONTENT, True,
         "With LVM Storage, the Restore of volume claims has restorePVs and restores the status of logicalvolumes.",
         "Without them the volumes are made anew and empty."),
    Rule("oadp-lvms-platform", _W, CONTENT, False,
         "With LVM Storage, its lvmclusters, lvmvolumegroups and lvmvolumegroupnodestatuses have a Backup and a "
         "Restore.",
         "The agent saves those of the Local Storage Operator by itself, these not."),
    Rule("oadp-lso-backup", _W, CONTENT, True,
         "With the Local Storage Operator, a Backup of volume claims excludes persistentVolumes.",
         "The agent saves LocalVolumes and their storage classes itself, and the operator makes the volumes anew."),
    Rule("oadp-storage-unknown", _W, CONTENT, False,
         "A Backup of volume claims says what becomes of the volumes.",
         "LVM Storage needs persistentVolumes and logicalvolumes.topolvm.io included, the Local Storage Operator "
         "needs persistentVolumes excluded; with neither the data may be lost."),
    Rule("oadp-storage-mixed", _W, CONTENT, False, "All Backups are for the same storage operator, the installed one.",
         "Only one of LVM Storage and the Local Storage Operator is supported on a cluster."),
    # --- klusterlet -----------------------------------------------------------------------------------------------
    Rule("oadp-klusterlet", _W, CONTENT, False, "A cluster with a hub has a Backup and a Restore of its klusterlet.",
         "Without them the upgraded cluster is not known to its hub."),
    Rule("oadp-klusterlet-no-hub", _W, CONTENT, False,
         "A cluster without a hub has no Backup of the klusterlet.",
         "The objects are not there; where apply-label names them, Prep fails."),
    Rule("oadp-klusterlet-ibgu", _W, CONTENT, True,
         "Where the hub drives the upgrade, the klusterlet's apply-label has the ClusterRole "
         "open-cluster-management:klusterlet-work:ibu-role.",
         "Without it the hub's work agent may not read the upgrade any more after the reboot."),
    Rule("oadp-klusterlet-optional", _W, CONTENT, False,
         "The klusterlet's pull secret and priority class are named only where they exist.",
         "The Secret open-cluster-management-image-pull-credentials is not on every cluster, the PriorityClass "
         "klusterlet-critical only from ACM 2.10 and MCE 2.5 on; a missing object fails Prep."),
    # --- ConfigMaps -----------------------------------------------------------------------------------------------
    Rule("oadp-config-map-size", _E, FILES, False, "A ConfigMap holds less than 1 MiB.",
         "The API server refuses a larger one; split it and name both in oadpContent."),
    Rule("oadp-config-map-apply", _W, FILES, False, "A ConfigMap holds less than 256 KiB.",
         "oc apply keeps a copy in an annotation, which may not be larger; use server-side apply or split it."),
    Rule("oadp-config-map-binary", _W, FILES, False, "Documents are in data, not in binaryData.",
         "The agent reads data alone."),
    Rule("oadp-config-map-missing", _E, CONTENT, False,
         "Every ConfigMap that an ImageBasedUpgrade or ImageBasedGroupUpgrade names in oadpContent is there.",
         "Prep fails where one is missing."),
    Rule("oadp-config-map-unused", _W, CONTENT, False,
         "Every ConfigMap with Backups or Restores is named in oadpContent.",
         "What is not named is not used."),
    # --- DataProtectionApplication --------------------------------------------------------------------------------
    Rule("oadp-dpa-restic", _W, CONTENT, True, "The DataProtectionApplication has configuration.restic.enable: false.",
         "Volume contents stay on the disk in an image-based upgrade; Velero must not copy them."),
    Rule("oadp-dpa-locations", _E, CONTENT, False, "The DataProtectionApplication has spec.backupLocations.",
         "Backups need one, and the agent reads the list without asking whether it is there."),
    Rule("oadp-dpa-credential", _W, CONTENT, False,
         "Every velero backup location names the Secret with its credential, and the Secret exists.",
         "The agent carries over only the Secrets that are named; without it the location is not reachable after the "
         "reboot."),
    Rule("oadp-dpa-bucket", _W, CONTENT, False, "Every cluster has a bucket or a prefix of its own.",
         "Clusters that share both see and delete each other's backups."),
    # --- the cluster ----------------------------------------------------------------------------------------------
    Rule("oadp-operator", _E, CLUSTER, False, "The OADP operator is installed in openshift-adp.",
         "Prep fails without it."),
    Rule("oadp-dpa", _E, CLUSTER, False, "There is exactly one DataProtectionApplication in openshift-adp, reconciled.",
         "Prep fails with none or with two, and waits without end for one that is not reconciled."),
    Rule("oadp-backup-location", _E, CLUSTER, False, "Every BackupStorageLocation is Available.",
         "Every stage waits without end until it is."),
    Rule("oadp-apply-label-missing", _E, CLUSTER, False, "Every object that apply-label names exists.",
         "Prep tries to label each of them and fails."),
    Rule("oadp-apply-label-patch", _E, CLUSTER, False, "Every object that apply-label names can be labelled.",
         "Prep tries to label each of them and fails."),
    Rule("oadp-refused", _E, CLUSTER, False, "The API server takes every Backup and Restore in a dry run.",
         "Prep makes the same attempt and fails where it is refused."),
    Rule("oadp-seed", _W, CLUSTER, False,
         "A seed cluster has OADP 1.3.1 or later, and no DataProtectionApplication.",
         "The seed image would lack the operator, or carry another cluster's backup location."),
)  # fmt: skip

RULES: t.Mapping[str, Rule] = {rule.name: rule for rule in _LIST}
