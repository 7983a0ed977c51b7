# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can go wrong, in one table. `python -m fleetsim troubles` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Params = dict[str, Any]


@dataclass(frozen=True)
class Trouble:
    """`at` says where a Prep failure strikes, `message` what the cluster says (fields are the parameters)."""

    doc: str
    params: Params = field(default_factory=dict)
    message: str = ""
    at: str = ""


_SPEC = "failed to validate IBU spec: "
_OADP = _SPEC + "failed to check oadp operator availability: "
_OADP_CM = _SPEC + "failed to validate oadp configMap: "
_EXTRA = _SPEC + "failed to validate extramanifest cms: "
_POLICY = _SPEC + "failed to validate manifests from policies: "
_SEED = "failed to validate seed image info: "
_COMPATIBLE = _SEED + "checking seed image compatibility: "
_BUNDLE = _SEED + "checking seed image additional trust bundle compatibility: "
_UNSUPPORTED = "this combination is not supported"
_IN_LCA = "job-namespace: openshift-lifecycle-agent"


def _prep(doc: str, message: str, /, where: str = "validate", **params: Any) -> Trouble:
    return Trouble(f"Prep fails: {doc}", params, message, where)


PREP_FAILURES: dict[str, Trouble] = {
    "prep_failed": _prep("any message, at validate, stateroot or precache", "{message}", message="", at="validate"),
    "no_container_storage": _prep(
        "/var/lib/containers is not a mount of its own", "container storage mountpoint target not found"
    ),
    "workspace_failed": _prep(
        "no workspace", "failed to initialize IBU workspace: {err}", err="mkdir /var/lib/lca: read-only file system"
    ),
    "seed_version": _prep(
        "the seed is not newer than the cluster; `current` is the release that it runs, unless given",
        _SPEC + "failed to validate seed image OCP version: seed OCP version ({seed}) must be higher than current OCP "
        "version ({current})",
        seed="4.16.1",
        current="",
    ),
    "seed_version_unparsable": _prep(
        "the version is not semver",
        _SPEC + "failed to validate seed image OCP version: failed to parse seed version {seed}: {err}",
        seed="latest",
        err="latest is not in dotted-tri format",
    ),
    "oadp_missing": _prep("no OADP operator", _OADP + "Please ensure OADP operator is installed in the openshift-adp"),
    "dpa_missing": _prep("no DPA", _OADP + "No DataProtectionApplication CR found in the openshift-adp"),
    "dpa_twice": _prep("two DPAs", _OADP + "Only one DataProtectionApplication CR is allowed in the openshift-adp,"),
    "oadp_configmap_missing": _prep(
        "an OADP ConfigMap is not there",
        _OADP_CM + 'OADP configmap not found, error: configmaps "{name}" not found. Please create the configmap.',
        name="oadp-cm",
    ),
    "oadp_undecodable": _prep(
        "an OADP ConfigMap is not YAML",
        _OADP_CM + "failed to decode file: {err}",
        err="yaml: line 3: mapping values are not allowed in this context",
    ),
    "backup_invalid": _prep(
        "a Backup fails its dry run",
        _OADP_CM + "Invalid backup {name} detected in configmap, error: {err}. Please update the invalid Backup in "
        "configmap.",
        name="acm-klusterlet",
        err='Backup.velero.io "acm-klusterlet" is invalid: spec.ttl: Invalid value: "string"',
    ),
    "backup_dry_run_failed": _prep(
        "the dry run of a Backup hits an API error",
        _OADP_CM + "failed to create backup with dry run: {err}",
        err="etcdserver: request timed out",
    ),
    "apply_label_invalid": _prep(
        "apply-label does not parse",
        _OADP_CM + "invalid apply-label obj in annotation value: {item}",
        item="v1/secrets",
    ),
    "apply_label_missing": _prep(
        "an object of apply-label is not there",
        _OADP_CM + "failed apply backup label to objects included in apply-backup annotation: failed to patch object: "
        "{err}",
        err='secrets "open-cluster-management-image-pull-credentials" not found',
    ),
    "restore_invalid": _prep(
        "a Restore fails its dry run",
        _OADP_CM + "Invalid Restore {name} detected in configmap, error: {err}. Please update the invalid Restore in "
        "configmap.",
        name="acm-klusterlet",
        err='Restore.velero.io "acm-klusterlet" is invalid',
    ),
    "restore_dry_run_failed": _prep(
        "the dry run of a Restore hits an API error",
        _OADP_CM + "failed to create restore with dry run: {err}",
        err="etcdserver: request timed out",
    ),
    "restore_unpaired": _prep(
        "a Restore names a Backup that is not there",
        _OADP_CM + "The backup CR {backup} defined in restore CR {restore} not found in OADP configmaps",
        backup="test-app-cluster-resources",
        restore="test-app-cluster-resources",
    ),
    "backup_restore_count": _prep(
        "numbers of Backups and Restores differ",
        _OADP_CM + "Both backup and restore CRs should be specified in OADP configmaps and each backup CR should be "
        "paired with a corresponding restore CR.",
    ),
    "stale_backups": _prep(
        "backups of another cluster cannot be deleted",
        _OADP_CM + "Failed to cleanup stale Backups: {err}",
        err="context deadline exceeded",
    ),
    "extra_manifest_configmap_missing": _prep(
        "an extraManifests ConfigMap is not there",
        _EXTRA + 'the extraManifests configMap is not found, error: configmaps "{name}" not found. Please create the '
        "configMap.",
        name="site-extra",
    ),
    "extra_manifest_undecodable": _prep(
        "an extra manifest does not decode",
        _EXTRA + "failed to decode {key} in the configMap {name}: {err}",
        key="extra.yaml",
        name="site-extra",
        err="Object 'Kind' is missing",
    ),
    "extra_manifest_no_name": _prep(
        "an extra manifest has no name", _EXTRA + "{kind} resource name is empty", kind="ConfigMap"
    ),
    "extra_manifest_forbidden": _prep(
        "a kind that is not allowed",
        _EXTRA + "{kind}[{name}] in extramanifests is not allowed",
        kind="MachineConfig",
        name="99-extra",
    ),
    "extra_manifest_wave": _prep(
        "apply-wave is not a number",
        _EXTRA + "failed to sort and group manifests: error convert: {err}",
        err='strconv.Atoi: parsing "first": invalid syntax',
    ),
    "extra_manifest_dry_run": _prep(
        "the dry run hits an API error",
        _EXTRA + "failed to validate manifest with dryrun: {err}",
        err='namespaces "site" is forbidden',
    ),
    "policy_count": _prep(
        "labelled manifests in policies are not as many as expected",
        _POLICY + "The labeled manifests count found in policies {found} does not match the expected manifests count "
        "{expected}",
        found=3,
        expected=5,
    ),
    "policy_compliance_type": _prep(
        "a labelled manifest in a policy has another compliance type",
        _POLICY + "unsupported compliance type: {kind}",
        kind="mustexist",
    ),
    "policy_crd_missing": _prep(
        "manifests of policies are expected where there are no policies",
        _POLICY + "failed to list policies: {err}",
        err='no matches for kind "Policy" in version "policy.open-cluster-management.io/v1"',
    ),
    "pull_secret_missing": _prep(
        "the seed's pull secret is not there",
        _SEED + "failed to get seed image labels: failed to retrieve pull-secret from secret {name}, err: secrets "
        '"{name}" not found',
        name="seed-pull",
    ),
    "pull_secret_no_key": _prep(
        "the pull secret has no .dockerconfigjson",
        _SEED + "failed to get seed image labels: failed to retrieve pull-secret from secret {name}, err: did not find "
        "key .dockerconfigjson in Secret openshift-lifecycle-agent/{name}",
        name="seed-pull",
    ),
    "registry_unreachable": _prep(
        "the seed image cannot be inspected",
        _SEED + "failed to get seed image labels: failed to inspect image: {err}",
        err="pinging container registry registry.example.com: dial tcp 192.0.2.1:443: i/o timeout",
    ),
    "seed_format_missing": _prep(
        "the seed has no format label",
        _COMPATIBLE + "seed image is missing the com.openshift.lifecycle-agent.seed_format_version label, please build "
        "a new image using the latest version of the lca-cli",
    ),
    "seed_format_mismatch": _prep(
        "the seed has another format",
        _COMPATIBLE + "seed image format version mismatch: expected 4, got {got}",
        got=3,
    ),
    "proxy_only_seed": _prep(
        "only the seed has a proxy",
        _COMPATIBLE + "seed image has a proxy but the cluster being upgraded does not, " + _UNSUPPORTED,
    ),
    "proxy_only_cluster": _prep(
        "only the cluster has a proxy",
        _COMPATIBLE + "seed image does not have a proxy but the cluster being upgraded does, " + _UNSUPPORTED,
    ),
    "node_count": _prep(
        "more than one node",
        _SEED + "failed to check if cluster has fips: expected exactly one node, got {nodes}",
        nodes=2,
    ),
    "fips_mismatch": _prep(
        "only the seed has FIPS",
        _COMPATIBLE + "seed image has FIPS enabled but the cluster being upgraded does not, " + _UNSUPPORTED,
    ),
    "fips_only_cluster": _prep(
        "only the cluster has FIPS",
        _COMPATIBLE + "seed image does not have FIPS enabled but the cluster being upgraded does, " + _UNSUPPORTED,
    ),
    "trust_bundle_mismatch": _prep(
        "only the seed has a user CA bundle",
        _BUNDLE + "seed image has an openshift-config/user-ca-bundle configmap but the cluster being upgraded does "
        "not, " + _UNSUPPORTED,
    ),
    "trust_bundle_only_cluster": _prep(
        "only the cluster has a user CA bundle",
        _BUNDLE + "seed image does not have an openshift-config/user-ca-bundle configmap but the cluster being "
        "upgraded does, " + _UNSUPPORTED,
    ),
    "trusted_ca_empty": _prep(
        "the ConfigMap that Proxy trustedCA names is empty",
        _BUNDLE + "proxy trustedCA configmap openshift-config/{name} exists but is empty",
        name="user-ca-bundle",
    ),
    "trusted_ca_mismatch": _prep(
        "other trustedCA names",
        _BUNDLE + "seed image's Proxy trustedCA configmap name \"{seed}\" (oc get proxy -oyaml) mismatches cluster's "
        'name "{cluster}", ' + _UNSUPPORTED,
        seed="user-ca-bundle",
        cluster="",
    ),
    "storage_target_mismatch": _prep(
        "other container storage partitions",
        _COMPATIBLE + "container storage mountpoint target mismatch: seed={seed}, cluster={cluster}",
        seed="/dev/disk/by-partlabel/varlibcontainers",
        cluster="/dev/disk/by-partlabel/var-lib-containers",
    ),
    "stateroot_failed": _prep(
        "the stateroot job",
        "stateroot setup job failed to complete. job-name: lca-prep-stateroot-setup, " + _IN_LCA,
        where="stateroot",
    ),
    "precache_failed": _prep(
        "the precache job",
        "precache job failed to complete. job-name: lca-prep-precache, " + _IN_LCA,
        where="precache",
        failed_images=3,
    ),
}

PREPIVOT_MESSAGES = (
    "Failed backup CRs: acm-klusterlet",
    "failed to reboot. This should never happen! Please check the system",
)

_T = Trouble
TROUBLES: dict[str, Trouble] = {
    **PREP_FAILURES,
    # Prep
    "prep_hangs": _T("Prep stays at health, stateroot or precache until healed.", {"at": "precache"}),
    "prep_slow": _T("Prep takes `factor` times as long.", {"factor": 4}),
    "validation_warning": _T(
        "Prep completes with a warning about extra manifests.",
        {"message": "Widget[site] - CRD not deployed on cluster"},
    ),
    "health_blocked": _T(
        "Something is unhealthy until healed: csr, clusteroperator, mcp, node, dpa, bsl or csv. `when`: from the "
        "start, or only when Prep begins (prep), so that nobody could know before.",
        {"check": "csr", "name": None, "when": "start"},
    ),
    "blocked_by_ipconfig": _T("An IPConfig flow blocks the next stage for `seconds`.", {"seconds": 120}),
    # Upgrade
    "prepivot_failed": _T("Upgrade fails before the pivot with `message`.", {"message": PREPIVOT_MESSAGES[0]}),
    "postpivot_failure": _T(
        "The post-pivot service fails: automatic rollback (or the watchdog, where that is switched off).",
        {"err": "failed to run recert: exit status 1"},
    ),
    "service_unit_failure": _T("A service unit fails: automatic rollback.", {"component": "postpivot"}),
    "init_monitor_timeout": _T(
        "An operator stays unhealthy after the pivot until the watchdog rolls back.",
        {"operator": "authentication", "timeout": None},
    ),
    "missing_dpa": _T("The stored DPA is not found after the pivot: automatic rollback.", {"name": "dpa"}),
    "policy_manifest": _T(
        "A policy manifest cannot be applied: automatic rollback.",
        {"err": 'no matches for kind "PerformanceProfile" in version "performance.openshift.io/v2"'},
    ),
    "config_manifest": _T(
        "An extra manifest cannot be applied: automatic rollback.",
        {"err": 'no matches for kind "Widget" in version "example.com/v1"'},
    ),
    "restore_failed": _T("A Restore fails: automatic rollback.", {"names": ["acm-klusterlet"]}),
    "uncontrolled_rollback": _T("The node comes up in the old stateroot without the agent's doing."),
    "upgrade_failed_no_auto_rollback": _T(
        "Upgrade fails after the pivot and nothing rolls it back.",
        {"message": "Failed restore CRs: acm-klusterlet"},
    ),
    "upgrade_hangs": _T(
        "Upgrade stays where it is until healed: at pre, reboot (no API server) or post; no watchdog.", {"at": "post"}
    ),
    "upgrade_slow": _T("Upgrade takes `factor` times as long.", {"factor": 4}),
    "unhealthy_after_upgrade": _T("An operator degrades just after UpgradeCompleted.", {"operator": "ingress"}),
    "pv_unbound_after_upgrade": _T("A PersistentVolume is not bound in the new stateroot.", {"name": "pv-app"}),
    "version_wrong_after_upgrade": _T("ClusterVersion shows another version after the pivot.", {"version": "4.17.0"}),
    "restore_failed_object": _T(
        "A Restore of phase `phase` is left although the upgrade completed.",
        {"name": "acm-klusterlet", "phase": "PartiallyFailed"},
    ),
    # Seed images
    "imager_hangs": _T("The imager of a seed cluster does not come to its end until healed: no API all the time."),
    # Idle and Rollback
    "abort_failed": _T(
        "The next `times` cleanups of an abort fail at `part`: stateroot, job, backups, requests, pv or workspace.",
        {"times": 1, "part": "stateroot"},
    ),
    "finalize_failed": _T("The next `times` cleanups of a finalize fail at `part`.", {"times": 1, "part": "backups"}),
    # OADP
    "backups_left": _T(
        "From the start the cluster has these Backups of its own, in the bucket too (`stored`), each with a Restore.",
        {"names": ["acm-klusterlet", "small-app"], "phase": "Completed", "stored": True, "restores": True},
    ),
    "foreign_backups": _T(
        "Another cluster's Backups lie in the same bucket, so they are shown here.", {"names": ["acm-klusterlet-b"]}
    ),
    "bucket_shared": _T("All clusters with this trouble use one bucket, by `name`.", {"name": "common"}),
    "restores_left": _T(
        "Restores with Velero's finalizer; `leaving`: somebody has deleted them.",
        {"names": ["late"], "backup": "small-app", "leaving": True},
    ),
    "requests_left": _T(
        "DeleteBackupRequests of the agent, `seconds` old. One that is not Processed is never ended until healed.",
        {"names": ["small-app"], "phase": "InProgress", "errors": [], "seconds": 3600},
    ),
    "delete_hangs": _T(
        "Velero never ends the next `times` DeleteBackupRequests, until healed.", {"times": 1, "phase": "InProgress"}
    ),
    "delete_fails": _T(
        "Velero ends the next `times` DeleteBackupRequests with `errors`; their Backups stay in phase Deleting.",
        {"times": 1, "errors": ["error downloading backup contents: AccessDenied: Access Denied"]},
    ),
    "velero_down": _T("Velero does nothing until healed."),
    "location_unavailable": _T(
        "The backup location is Unavailable for `seconds` or until healed.",
        {
            "seconds": None,
            "message": 'BackupStorageLocation "dpa-1" is unavailable: Head "http://s3.example.com/backups": dial tcp '
            "192.0.2.20:9000: connect: connection refused",
        },
    ),
    "bucket_lost": _T("The bucket is gone with everything in it, for good."),
    "pv_policy_left": _T(
        "A PersistentVolume is still switched to Retain, of phase `phase`.", {"name": "pv-app", "phase": "Bound"}
    ),
    "lvms_volumes": _T(
        "The application has a volume of LVM Storage; after the upgrade its contents are missing by `cause`: backup or "
        "restore (which lacks something), or None.",
        {"cause": None},
    ),
    "rollback_failed": _T(
        "Rollback fails in the new stateroot.",
        {"message": "failed to set default deployment: exit status 1"},
    ),
    "rollback_slow": _T("Rollback takes `factor` times as long.", {"factor": 4}),
    # What a client meets on the network
    "no_answer": _T("From the start the port accepts connections and never answers."),
    "refused_from_start": _T("From the start connections are refused."),
    "http_error": _T(
        "`code` (401, 403, 429, 500, 503) for the next `count` requests or a `share` of all with these verbs.",
        {"code": 503, "count": None, "share": None, "verbs": ["*"], "resource": "*"},
    ),
    "slow_answers": _T("Each answer takes `seconds` of real time.", {"seconds": 0.5}),
    "lost_watch": _T(
        "Watches break after `after` events, or with `silent` stay open and tell nothing; `times` limits how many.",
        {"after": 2, "silent": False, "times": None},
    ),
    "tls_changed": _T(
        "A serving certificate of another CA, from the start or after the pivot, for `seconds` or for good.",
        {"when": "pivot", "seconds": None},
    ),
    # What a client finds there
    "lca_missing": _T("The Lifecycle Agent is not installed: no Deployment, no CRD."),
    "lca_not_ready": _T("The Lifecycle Agent's Deployment is not ready, and nothing reacts to patches."),
    "no_crd": _T(
        "No ImageBasedUpgrade CRD from the start, or after the pivot for `seconds`.", {"when": "start", "seconds": None}
    ),
    "no_cr": _T(
        "No ImageBasedUpgrade from the start, or after the pivot for `seconds`.", {"when": "start", "seconds": None}
    ),
    "no_status_for": _T("The re-created CR has no status for `seconds`.", {"seconds": 60}),
    "stale_cr_for": _T("On the way back the stale CR is shown for `seconds`.", {"seconds": 120}),
    "configmap_missing": _T("One ConfigMap of the goal is not there (all of them without `name`).", {"name": None}),
    "secret_missing": _T("The seed's pull secret is not there."),
    # What the hub sees of it
    "hub_unavailable": _T("The cluster is cut off from the hub: availability Unknown, nothing applied or reported."),
    "work_agent_silent": _T("ManifestWorks are applied, and nothing is ever reported of them."),
    # How a client gets in
    "token_only": _T("The host's kubeconfig has a bearer token, which dies at the pivot."),
    "expired_token": _T("The host's kubeconfig has a token that nobody knows."),
    "expired_certificate": _T("The host's client certificate has expired."),
    "unknown_certificate": _T("The host's client certificate is of a CA that the cluster does not know."),
    "wrong_ca": _T("The host's kubeconfig trusts another CA."),
    "no_permission": _T(
        "The host's account is no administrator and lacks a permission.",
        {"verb": "patch", "resource": "imagebasedupgrades", "group": "*"},
    ),
    "kubeconfig_empty": _T("The host's kubeconfig is an empty file."),
    "kubeconfig_missing": _T("The host's kubeconfig does not exist."),
}


class Troubles:
    """What is wrong with one cluster at the moment."""

    def __init__(self, given: dict[str, Params | None] | None = None) -> None:
        self._active: dict[str, Params] = {}
        for name, params in (given or {}).items():
            self.add(name, params)

    def add(self, name: str, params: Params | None = None) -> Params:
        known = TROUBLES.get(name)
        if known is None:
            raise ValueError(f"unknown trouble {name}; `python -m fleetsim troubles` lists them")
        unknown = set(params or {}) - set(known.params)
        if unknown:
            raise ValueError(f"trouble {name} has no parameter {', '.join(sorted(unknown))}")
        self._active[name] = {**known.params, **(params or {})}
        return self._active[name]

    def remove(self, name: str) -> None:
        self._active.pop(name, None)

    def get(self, name: str) -> Params | None:
        return self._active.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._active

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._active)

    def prep_failure(self, at: str, runs: str) -> str | None:
        """The message of a Prep failure that strikes at this point. ``runs``: the cluster's release, which it names."""
        for name, params in self._active.items():
            known = PREP_FAILURES.get(name)
            if known and params.get("at", known.at) == at:
                return known.message.format(**{**params, "current": params.get("current") or runs})
        return None


def describe() -> str:
    """The table for people."""
    width = max(map(len, TROUBLES))
    lines = []
    for name, trouble in TROUBLES.items():
        defaults = ", ".join(f"{key}={value!r}" for key, value in trouble.params.items())
        lines.append(f"{name:<{width}}  {trouble.doc}" + (f"  [{defaults}]" if defaults else ""))
    return "\n".join(lines)
