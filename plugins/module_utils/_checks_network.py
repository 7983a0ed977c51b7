# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Network and trust: proxy, CA bundles, addresses and their families. Facts in, findings out."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HealthFacts, TargetFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge

_UNSUPPORTED = "this combination is not supported"
_SEED_INFO = "label com.openshift.lifecycle-agent.seed_cluster_info of the seed image"
_OTHER_SEED = "use a seed image made on a cluster like this one"


def check_network(judge: Judge, seed: Seed, target: TargetFacts, health: HealthFacts) -> None:
    """Everything of this page."""
    _proxy(judge, seed, target)
    _bundles(judge, seed, target)
    _addresses(judge, seed, target, health)
    _mirrors(judge, seed, target)


def _proxy(judge: Judge, seed: Seed, target: TargetFacts) -> None:
    if not target.proxy.known:
        return
    has_proxy = _seed_record.has_proxy(target.proxy.one)
    if seed.facts.has_proxy is None:
        seed.missing(judge, "the proxy")
    elif seed.facts.has_proxy != has_proxy:
        says = "has a proxy but the cluster being upgraded does not"
        if has_proxy:
            says = "does not have a proxy but the cluster being upgraded does"
        judge.blocked(
            "proxy",
            f"seed image {says}, {_UNSUPPORTED}",
            f"use a seed made {'with' if has_proxy else 'without'} a proxy",
            seen=has_proxy,
            expected=seed.facts.has_proxy,
            source="Proxy cluster spec",
        )


def _bundles(judge: Judge, seed: Seed, target: TargetFacts) -> None:
    name = _seed_record.proxy_configmap_name(target.proxy.one)
    if target.trusted_ca.items and not _seed_record.has_user_ca_bundle(target.trusted_ca.one):
        judge.blocked(
            "trust-bundle",
            f"proxy trustedCA configmap openshift-config/{name} exists but is empty",
            "put the CA bundle into its key ca-bundle.crt, or take the name out of Proxy cluster spec.trustedCA",
            source=f"ConfigMap openshift-config/{name}",
        )
    if target.user_ca.known:
        _user_bundle(judge, seed, _seed_record.has_user_ca_bundle(target.user_ca.one))
    if not target.proxy.known:
        return
    theirs = seed.facts.proxy_configmap_name
    if theirs is None:
        # An image that tells of the user's bundle and names no ConfigMap has none.
        if seed.facts.has_user_ca_bundle is None:
            seed.missing(judge, "the CA bundle of the proxy")
            return
        theirs = ""
    if theirs != name:
        judge.blocked(
            "trust-bundle",
            f"seed image's Proxy trustedCA configmap name {theirs!r} (oc get proxy -oyaml) mismatches the cluster's, "
            f"{_UNSUPPORTED}",
            f"name the same ConfigMap in Proxy cluster spec.trustedCA, or {_OTHER_SEED}",
            seen=name or "(none)",
            expected=theirs or "(none)",
            source="Proxy cluster spec.trustedCA.name",
        )


def _user_bundle(judge: Judge, seed: Seed, has_bundle: bool) -> None:
    theirs = seed.facts.has_user_ca_bundle
    if theirs is None:
        seed.missing(judge, "the user CA bundle")
    elif theirs != has_bundle:
        what = "an openshift-config/user-ca-bundle configmap"
        says = f"has {what} but the cluster being upgraded does not"
        if has_bundle:
            says = f"does not have {what} but the cluster being upgraded does"
        judge.blocked(
            "trust-bundle",
            f"seed image {says}, {_UNSUPPORTED}",
            _OTHER_SEED,
            seen=has_bundle,
            expected=theirs,
            source="ConfigMap openshift-config/user-ca-bundle",
        )


# --- addresses ----------------------------------------------------------------------------------------------------


def _families(addresses: t.Iterable[str]) -> tuple[str, ...]:
    """``ipv4`` or ``ipv6`` of each address or network, in order. What is neither is left out."""
    found = []
    for text in addresses:
        try:
            found.append(f"ipv{ipaddress.ip_network(text, strict=False).version}")
        except ValueError:
            continue
    return tuple(found)


def _addresses(judge: Judge, seed: Seed, target: TargetFacts, health: HealthFacts) -> None:
    networks = target.machine_networks
    if health.nodes.known and len(health.nodes.items) == 1:
        addresses = _seed_record.node_ips(health.nodes.one)
        _node_addresses(judge, seed, addresses)
        _in_networks(judge, addresses, networks or ())
    if not target.cluster_config.known:
        return
    theirs = seed.facts.machine_networks
    if not theirs:
        seed.missing(judge, "the machine networks")
    elif not networks:
        judge.unknown(
            "the machine networks",
            "the configuration of the cluster's installation does not name them",
            "compare networking.machineNetwork in ConfigMap kube-system/cluster-config-v1 with the seed's",
            check="target-facts",
        )
    elif _families(networks) != _families(theirs):
        judge.blocked(
            "machine-networks",
            "the machine networks differ from the seed's in number or IP family; it shows only after the reboot",
            _OTHER_SEED,
            seen=networks,
            expected=theirs,
            source="ConfigMap kube-system/cluster-config-v1",
        )


def _node_addresses(judge: Judge, seed: Seed, addresses: tuple[str, ...]) -> None:
    ours = _families(addresses)
    facts = seed.facts
    theirs = _families(facts.node_ips) if facts.node_ips else tuple(facts.ip_families or ())
    if len(set(ours)) > 1:
        judge.warned(
            "ip-family",
            "the node has addresses of both IP families; dual stack is not documented for image-based upgrades",
            "try it on one cluster first",
            seen=addresses,
            source="Node status.addresses",
        )
    if not theirs:
        seed.missing(judge, "the IP family")
    elif ours and len(ours) != len(theirs):
        _family_mismatch(judge, "count", addresses, theirs)
    elif ours and ours != theirs:
        _family_mismatch(judge, "family", addresses, theirs)


def _family_mismatch(judge: Judge, what: str, addresses: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    judge.blocked(
        "ip-family",
        f"node IP {what} mismatch with the seed ({', '.join(theirs)}); it shows only after the reboot, which is "
        "rolled back",
        _OTHER_SEED,
        seen=addresses,
        expected=theirs,
        source="Node status.addresses",
    )


def _in_networks(judge: Judge, addresses: tuple[str, ...], networks: tuple[str, ...]) -> None:
    nets = [ipaddress.ip_network(text, strict=False) for text in networks]
    outside = [text for text in addresses if nets and not any(ipaddress.ip_address(text) in net for net in nets)]
    if outside:
        judge.warned(
            "node-ip",
            "the node's address lies in none of the cluster's machine networks, from which it is set up after the "
            "reboot",
            "compare oc get node -o wide with install-config in ConfigMap kube-system/cluster-config-v1",
            seen=outside,
            expected=networks,
            source="Node status.addresses",
        )


def _mirrors(judge: Judge, seed: Seed, target: TargetFacts) -> None:
    theirs = seed.facts.mirror_registry_configured
    if theirs is None:
        seed.missing(judge, "mirrored registries")
    elif target.mirrors.known and bool(target.mirrors.items) != theirs:
        has = "mirrors registries and the seed does not" if not theirs else "mirrors no registry, but the seed does"
        judge.warned(
            "registry-mirrors",
            f"the cluster {has}; images may not be found after the reboot",
            _OTHER_SEED,
            seen=bool(target.mirrors.items),
            expected=theirs,
            source="ImageDigestMirrorSets",
        )
