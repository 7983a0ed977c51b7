# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The rules of the lint of extra manifests and policies, by name. Names and levels are stable.

``docs/manifest_lint_rules.md`` is made from this list; a test compares the two.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import Level

FILES, CONTENT, POLICIES, CLUSTER = "files", "content", "policies", "cluster"


class Rule(t.NamedTuple):
    """``needs``: what must be known for the rule. ``mends``: findings may carry a corrected document.

    ``prep``: what the Lifecycle Agent does about it in Prep: it fails, it warns, or nothing.
    """

    name: str
    level: Level
    needs: str
    mends: bool
    prep: str
    says: str
    because: str


_E, _W = Level.ERROR, Level.WARNING
_ROLLBACK = "After the reboot it is terminal: the upgrade is rolled back."

_LIST = (
    # --- the text -------------------------------------------------------------------------------------------------
    Rule("yaml-syntax", _E, FILES, False, "fails", "Every document is YAML or JSON.",
         "Prep decodes all documents and fails at the first that it cannot read."),
    Rule("yaml-duplicate-key", _W, FILES, False, "", "No key stands twice in one mapping.",
         "The last one counts and the others are lost in silence."),
    Rule("manifest-size", _E, FILES, False, "", "A ConfigMap holds at most 1 MiB; above 256 KiB it is a warning.",
         "The API server refuses a larger one, and oc apply keeps a copy in an annotation of at most 256 KiB."),
    Rule("manifest-kind", _E, FILES, False, "fails", "Every document is an object with a kind.",
         "Anything else cannot be decoded as a Kubernetes object."),
    # --- the manifests --------------------------------------------------------------------------------------------
    Rule("manifest-name", _E, CONTENT, False, "fails", "Every manifest has metadata.name.",
         "The agent names what it applies; lists and generateName do not work."),
    Rule("manifest-forbidden", _E, CONTENT, False, "fails",
         "No MachineConfig, Subscription, InstallPlan or ClusterServiceVersion.",
         "They have to be in the seed image."),
    Rule("manifest-storage-operator", _E, CONTENT, False, "",
         "No LVMCluster, LocalVolume, LocalVolumeSet or LocalVolumeDiscovery.",
         "The documentation forbids it: volumes come back with their Backups (LVM Storage) or with the agent (Local "
         "Storage). The agent itself does not refuse it."),
    Rule("manifest-wave", _E, CONTENT, False, "fails",
         "lca.openshift.io/apply-wave is a whole number, written as a string.",
         "The agent cannot sort by anything else."),
    Rule("manifest-api-version", _W, CONTENT, False, "warns", "Every manifest has an apiVersion.", _ROLLBACK),
    Rule("manifest-strings", _W, CONTENT, True, "warns", "Labels and annotations have strings as values.",
         "One number or boolean makes the agent lose all of them, the wave too. " + _ROLLBACK),
    Rule("manifest-namespace-missing", _W, CONTENT, True, "", "What belongs into a namespace names it.",
         "It would be made in the namespace default."),
    Rule("manifest-apply-type", _W, CONTENT, False, "", "lca.openshift.io/apply-type is merge or replace.",
         "Anything but merge replaces the whole object."),
    Rule("manifest-server-fields", _W, CONTENT, True, "",
         "There is no resourceVersion, uid or managedFields.",
         "They belong to one object of one cluster."),
    Rule("manifest-catalog-version", _W, CONTENT, False, "",
         "The image of a CatalogSource is the catalog of the release to come.",
         "Operators of the old catalog need not run on the new release. Needs the version."),
    Rule("manifest-duplicate", _W, CONTENT, False, "", "No object stands there twice.",
         "What is applied last wins."),
    Rule("manifest-namespace-order", _W, CONTENT, False, "warns",
         "A Namespace has a lower wave than what is in it.",
         "Inside a wave the order is by name. After the reboot it is tried again until the watchdog rolls back."),
    Rule("manifest-crd-order", _W, CONTENT, False, "warns",
         "A CustomResourceDefinition has a lower wave than objects of its kind.", _ROLLBACK),
    # --- policies -------------------------------------------------------------------------------------------------
    Rule("policy-count", _E, POLICIES, False, "fails",
         "The annotation lca.openshift.io/target-ocp-version-manifest-count is the number of labelled manifests.",
         "It is compared as text, in Prep and once more in the Upgrade stage."),
    Rule("policy-compliance-type", _E, POLICIES, False, "fails",
         "The complianceType of a labelled manifest is musthave or mustonlyhave.",
         "The agent knows no other. Without the annotation that counts, only the Upgrade stage fails."),
    Rule("policy-not-taken", _W, POLICIES, False, "",
         "The policy of a labelled manifest informs, is not disabled and has ran.openshift.io/ztp-deploy-wave.",
         "The agent does not look into any other, nor into one that the hub has not put on the cluster."),
    Rule("policy-mustnothave", _W, POLICIES, False, "", "No labelled manifest is mustnothave.",
         "The agent does not take it."),
    Rule("policy-raw", _W, POLICIES, False, "", "Labelled manifests are in object-templates.",
         "The agent does not evaluate object-templates-raw."),
    Rule("policy-label", _W, POLICIES, False, "",
         "The label lca.openshift.io/target-ocp-version is X.Y, X.Y.Z or X.Y.Z-PRE.RELEASE.",
         "Any other value means no release."),
    Rule("policy-annotations", _W, POLICIES, True, "",
         "A labelled manifest that is musthave has annotations.",
         "Without any, the agent replaces the object as a whole instead of merging into it."),
    Rule("policy-wave", _W, POLICIES, False, "", "ran.openshift.io/ztp-deploy-wave is a whole number.",
         "Policies are applied in its order."),
    Rule("policy-forbidden", _W, POLICIES, False, "",
         "No labelled manifest is of a kind that must not be an extra manifest.",
         "The same reasons hold as for ConfigMaps."),
    Rule("policy-generator", _W, POLICIES, False, "", "Policies are given as policies.",
         "PolicyGenTemplate and PolicyGenerator are only what policies are made from."),
    # --- a cluster at hand ----------------------------------------------------------------------------------------
    Rule("manifest-kind-unknown", _W, CLUSTER, False, "warns", "The cluster knows the kind.",
         _ROLLBACK + " Unless its CRD is in the seed image."),
    Rule("manifest-namespace-unknown", _W, CLUSTER, False, "warns",
         "The namespace is on the cluster or among the manifests.",
         "After the reboot it is tried again until the watchdog rolls back, unless the seed image has it."),
    Rule("manifest-invalid", _W, CLUSTER, False, "warns", "The API server takes the manifest in a dry run.", _ROLLBACK),
    Rule("manifest-refused", _E, CLUSTER, False, "fails",
         "Nothing on the cluster is in the way of the manifest: no quota, no namespace on its way out.",
         "Prep makes the same attempt and fails."),
    Rule("manifest-catalog-lost", _W, CLUSTER, False, "",
         "CatalogSources of the cluster are among the manifests.",
         "After the reboot all of them are deleted; only the default ones and extra manifests come back."),
)  # fmt: skip

RULES: t.Mapping[str, Rule] = {rule.name: rule for rule in _LIST}
