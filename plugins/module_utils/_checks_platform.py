# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The node and its configuration: CPUs, FIPS, container storage, MachineConfigs. Facts in, findings out."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record
from ansible_collections.sno.image_upgrade.plugins.module_utils._health import conditions

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Document, HealthFacts, TargetFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge

_UNSUPPORTED = "this combination is not supported"
_OTHER_SEED = "use a seed image made on a cluster like this one"
_THRESHOLD = "image-cleanup.lca.openshift.io/disk-usage-threshold-percent"
_ON_PREP = "image-cleanup.lca.openshift.io/on-prep"
# Written by the installer or for one machine: names, addresses, keys and devices differ from cluster to cluster.
_OF_ONE_CLUSTER = re.compile(r"99-(master|worker)-ssh|50-(master|worker)s?-(dnsmasq|chrony).*|.*var-lib-containers.*")
_PARTLABEL = "/dev/disk/by-partlabel/"


def check_platform(
    judge: Judge,
    seed: Seed,
    target: TargetFacts,
    health: HealthFacts,
    annotations: t.Mapping[str, str | None],
    version: str | None,
) -> None:
    """Everything of this page. ``annotations``: those that the ImageBasedUpgrade will have."""
    if health.nodes.known:
        _nodes(judge, seed, health)
    if target.machine_config.items:
        _fips(judge, seed, target.machine_config.one)
        _container_storage(judge, seed, target.machine_config.one)
        _kernel(judge, seed, target.machine_config.one, version)
    elif target.machine_config.known:
        judge.unknown(
            "FIPS, the partition of container storage, kernel arguments",
            "the MachineConfig that the node says it runs is not there",
            "oc get node -o yaml, annotation machineconfiguration.openshift.io/currentConfig",
            check="target-facts",
        )
    _profile(judge, seed, target)
    _machine_configs(judge, seed, target)
    _ip_config(judge, target)
    _image_cleanup(judge, annotations)


def _nodes(judge: Judge, seed: Seed, health: HealthFacts) -> None:
    nodes = health.nodes.items
    if len(nodes) != 1:
        judge.blocked(
            "node-count",
            f"expected exactly one node, got {len(nodes)}",
            "an image-based upgrade takes single-node clusters without further workers only",
            seen=[node["metadata"]["name"] for node in nodes],
            expected="one node",
            source="Nodes",
        )
        return
    node = nodes[0]
    if conditions(node).get("DiskPressure") == "True":
        judge.blocked(
            "disk",
            "the node is under DiskPressure; the jobs of Prep are not scheduled there",
            "make room below /var/lib/containers, as with: oc debug node/NODE -- chroot /host crictl rmi --prune",
            source="Node status.conditions",
        )
    _cpus(judge, seed, _seed_record.cpu_topology(node).cpus)


def _cpus(judge: Judge, seed: Seed, cpus: int | None) -> None:
    theirs = seed.facts.cpus
    if theirs is None:
        seed.missing_record(judge, "CPU topology")
    elif cpus is not None and cpus != theirs:
        say = judge.blocked if cpus < theirs else judge.warned
        say(
            "cpus",
            f"the node has {'fewer' if cpus < theirs else 'more'} CPUs than the seed; CPU topologies must be equal",
            _OTHER_SEED,
            seen=cpus,
            expected=theirs,
            source="Node status.capacity.cpu",
        )


def _fips(judge: Judge, seed: Seed, config: Document) -> None:
    ours, theirs = _seed_record.has_fips(config), seed.facts.has_fips
    if theirs is None:
        seed.missing(judge, "FIPS")
    elif ours != theirs:
        says = "has FIPS enabled but the cluster being upgraded does not"
        if ours:
            says = "does not have FIPS enabled but the cluster being upgraded does"
        judge.blocked(
            "fips",
            f"seed image {says}, {_UNSUPPORTED}",
            f"use a seed made {'with' if ours else 'without'} FIPS",
            seen=ours,
            expected=theirs,
            source="spec.fips of the node's current MachineConfig",
        )


def _container_storage(judge: Judge, seed: Seed, config: Document) -> None:
    source = "unit var-lib-containers.mount in the node's current MachineConfig"
    ours, theirs = _seed_record.container_storage_mountpoint(config), seed.facts.container_storage_mountpoint
    if ours is None:
        # The unit can also come from the installation's Ignition, which no object of the cluster shows.
        judge.warned(
            "container-storage",
            "no MachineConfig mounts /var/lib/containers as a partition of its own; unless the installation made it, "
            "Prep fails: container storage mountpoint target not found",
            "oc debug node/NODE -- chroot /host systemctl status var-lib-containers.mount (docs/runbooks/prep-seed)",
            expected=theirs or "",
            source=source,
        )
        return
    if theirs is None:
        seed.missing(judge, "the partition of container storage")
    elif theirs != ours:
        judge.blocked(
            "container-storage",
            f"container storage mountpoint target mismatch with the seed ({theirs})",
            f"label the partition as on the seed, or {_OTHER_SEED}",
            seen=ours,
            expected=theirs,
            source=source,
        )
    labels = partition_labels(config)
    if labels and ours.startswith(_PARTLABEL) and ours[len(_PARTLABEL) :] not in labels:
        judge.warned(
            "container-storage",
            "the unit var-lib-containers.mount names a partition label that no partition of the MachineConfig has",
            "compare storage.disks[].partitions[].label with What= of the unit",
            seen=labels,
            expected=ours[len(_PARTLABEL) :],
            source=source,
        )


def partition_labels(config: Document) -> tuple[str, ...]:
    """Labels of all partitions that the MachineConfig makes."""
    disks = (((config.get("spec") or {}).get("config") or {}).get("storage") or {}).get("disks") or ()
    return tuple(str(part["label"]) for disk in disks for part in disk.get("partitions") or () if part.get("label"))


def _kernel(judge: Judge, seed: Seed, config: Document, version: str | None) -> None:
    arguments = _seed_record.kernel_arguments(config)
    if seed.facts.kernel_arguments is None:
        seed.missing_record(judge, "kernel arguments")
    else:
        lost = sorted(set(arguments) - set(map(str, seed.facts.kernel_arguments)))
        if lost:
            judge.warned(
                "kernel-arguments",
                "the node has kernel arguments that the seed does not have; after the upgrade they are gone",
                "put them into a MachineConfig of the seed",
                seen=lost,
                expected=seed.facts.kernel_arguments,
                source="spec.kernelArguments of the node's current MachineConfig",
            )
    if seed.facts.cgroup_version is None:
        seed.missing_record(judge, "the cgroup version")
        return
    ours = _seed_record.cgroup_version(None, arguments, version)
    if ours is None:
        judge.on_node_only("the cgroup version")
    elif ours != seed.facts.cgroup_version:
        judge.warned(
            "cgroups",
            f"the node has cgroups {ours}, the seed {seed.facts.cgroup_version}",
            _OTHER_SEED,
            seen=ours,
            expected=seed.facts.cgroup_version,
            source="spec.kernelArguments of the node's current MachineConfig",
        )


def _profile(judge: Judge, seed: Seed, target: TargetFacts) -> None:
    if not target.profiles.known:
        return
    facts = seed.facts
    if facts.performance_profile is None and facts.reserved_cpus is None:
        if facts.cpus is None:
            seed.missing_record(judge, "the performance profile")
        elif target.profiles.items:
            judge.warned(
                "performance-profile",
                "the cluster has a performance profile and the seed has none; after the upgrade it is gone",
                "make the seed with the same performance profile",
                seen=[item["metadata"]["name"] for item in target.profiles.items],
                source="PerformanceProfile",
            )
        return
    theirs = dict(facts.performance_profile or {})
    profiles = [_seed_record.canonical_profile(item) for item in target.profiles.items]
    ours = profiles[0] if len(profiles) == 1 else {}
    reserved = _seed_record.reserved_cpus(target.profiles.one) if profiles else None
    if facts.reserved_cpus and reserved and reserved != facts.reserved_cpus:
        judge.warned(
            "reserved-cpus",
            "the reserved CPUs differ from the seed's, which is what the node gets",
            "make the seed with the same performance profile",
            seen=reserved,
            expected=facts.reserved_cpus,
            source="PerformanceProfile spec.cpu.reserved",
        )
        theirs.pop("cpu", None)
        ours = {name: value for name, value in ours.items() if name != "cpu"}
    different = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if theirs and different:
        judge.warned(
            "performance-profile",
            f"the performance profile differs from the seed's, which is what the node gets: {', '.join(different)}",
            "make the seed with the same performance profile",
            seen=different if profiles else "none",
            source="PerformanceProfile spec",
        )


def _machine_configs(judge: Judge, seed: Seed, target: TargetFacts) -> None:
    theirs = seed.facts.machine_configs
    if theirs is None:
        seed.missing_record(judge, "MachineConfigs")
        return
    if not target.all_machine_configs.known:
        return
    ours = {name: digest for name, digest in target.machine_configs.items() if not _OF_ONE_CLUSTER.fullmatch(name)}
    other = {name: digest for name, digest in theirs.items() if not _OF_ONE_CLUSTER.fullmatch(name)}
    for cause, names in (
        ("the cluster has MachineConfigs that the seed does not have", sorted(set(ours) - set(other))),
        ("the seed has MachineConfigs that the cluster does not have", sorted(set(other) - set(ours))),
        ("MachineConfigs differ from the seed's", sorted(n for n in ours if n in other and ours[n] != other[n])),
    ):
        if names:
            judge.warned(
                "machine-configs",
                f"{cause}; after the upgrade the seed's are in force",
                "make the seed with the same MachineConfigs, or see that the difference is meant",
                seen=names,
                source="MachineConfigs that no controller made",
            )


def _ip_config(judge: Judge, target: TargetFacts) -> None:
    for config in target.ip_config.items:
        status = conditions(config)
        reasons = {c.get("type"): c.get("reason") for c in (config.get("status") or {}).get("conditions") or ()}
        stage = (config.get("spec") or {}).get("stage") or "Idle"
        if not status or "Blocked" in reasons.values():
            continue
        if stage != "Idle" or status.get("Idle") != "True":
            judge.warned(
                "ipconfig",
                "IPC is not idle; Prep waits until the change of addresses is over",
                "bring IPConfig ipconfig to Idle (docs/runbooks/blocked-by-ipconfig)",
                seen=f"stage {stage}, Idle {status.get('Idle')}",
                expected="stage Idle, Idle True",
                source="IPConfig ipconfig",
            )


def _image_cleanup(judge: Judge, annotations: t.Mapping[str, str | None]) -> None:
    threshold, on_prep = annotations.get(_THRESHOLD), annotations.get(_ON_PREP)
    if threshold is not None and not re.fullmatch(r"[+-]?\d+", threshold):
        judge.warned(
            "image-cleanup",
            f"annotation {_THRESHOLD} is no whole number; images are then never removed in Prep",
            "give a percentage such as 50",
            seen=repr(threshold),
            expected="a whole number",
            source="annotations of the ImageBasedUpgrade",
        )
    if on_prep is not None and on_prep != "Disabled":
        judge.warned(
            "image-cleanup",
            f"annotation {_ON_PREP} has no effect: only the value Disabled, so written, switches the cleanup off",
            "write Disabled, or remove the annotation",
            seen=repr(on_prep),
            expected="Disabled",
            source="annotations of the ImageBasedUpgrade",
        )
    elif on_prep == "Disabled" and threshold is not None:
        judge.warned(
            "image-cleanup",
            f"annotation {_ON_PREP} switches the cleanup of images off, so its threshold has no effect",
            "remove one of the two annotations",
            seen=f"{_ON_PREP}: {on_prep}, {_THRESHOLD}: {threshold}",
            source="annotations of the ImageBasedUpgrade",
        )
