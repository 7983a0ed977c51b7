# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a seed image: what its labels and its record say, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_facts as seed
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

INFO: dict[str, Any] = {
    "seed_cluster_ocp_version": "4.18.9",
    "base_domain": "example.com",
    "cluster_name": "seed",
    "node_ips": ["192.0.2.10", "2001:db8::10"],
    "machine_networks": ["192.0.2.0/24", "2001:db8::/64"],
    "release_registry": "quay.example.com",
    "mirror_registry_configured": True,
    "recert_image_pull_spec": "quay.example.com/recert:v1",
    "has_proxy": True,
    "has_fips": False,
    "additionalTrustBundle": {"hasUserCaBundle": True, "proxyConfigmapName": "user-ca-bundle"},
    "container_storage_mountpoint_target": "/dev/disk/by-partlabel/varlibcontainers",
    "ingress_certificate_cn": "ingress-operator@1",
    "unknown_to_us": 1,
}
DIGEST = "sha256:" + "ab" * 32
FULL = SeedFacts(
    version="4.18.9",
    format_version="4",
    has_proxy=False,
    has_fips=True,
    has_user_ca_bundle=False,
    proxy_configmap_name="",
    container_storage_mountpoint="/dev/disk/by-partlabel/x",
    node_ips=("192.0.2.10",),
    machine_networks=("192.0.2.0/24",),
    cluster_name="seed",
    base_domain="example.com",
    release_registry="quay.example.com",
    mirror_registry_configured=False,
    recert_image="quay.example.com/recert:v1",
    ingress_certificate_cn="ingress-operator@1",
    digest=DIGEST,
    cpus=16,
    reserved_cpus="0-3",
    performance_profile={"cpu": {"reserved": "0-3"}, "hugepages": {"pages": [{"count": 2}]}},
    machine_configs={"99-site": "ab" * 32},
    operators={"lvms-operator": "4.18.1"},
    ip_families=("ipv4",),
    storage_operator="lvms",
    cgroup_version="v2",
    kernel_arguments=(),
)


def labels(info: Any = None, **changed: Any) -> dict[str, str]:
    text = json.dumps({**INFO, **changed}) if info is None else info
    return {seed.FORMAT_LABEL: "4", seed.INFO_LABEL: text}


def without(name: str) -> dict[str, str]:
    return labels(json.dumps({key: value for key, value in INFO.items() if key != name}))


def document(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": seed.API_VERSION, "kind": seed.KIND, "spec": spec}


class TestLabels:
    def test_every_field_is_read(self) -> None:
        assert seed.from_labels(labels()) == SeedFacts(
            version="4.18.9",
            format_version="4",
            has_proxy=True,
            has_fips=False,
            has_user_ca_bundle=True,
            proxy_configmap_name="user-ca-bundle",
            container_storage_mountpoint="/dev/disk/by-partlabel/varlibcontainers",
            node_ips=("192.0.2.10", "2001:db8::10"),
            machine_networks=("192.0.2.0/24", "2001:db8::/64"),
            cluster_name="seed",
            base_domain="example.com",
            release_registry="quay.example.com",
            mirror_registry_configured=True,
            recert_image="quay.example.com/recert:v1",
            ingress_certificate_cn="ingress-operator@1",
        )

    def test_an_older_seed_counts_as_one_without_proxy_and_fips_and_nothing_else_is_known(self) -> None:
        facts = seed.from_labels({seed.FORMAT_LABEL: "3"})
        assert facts == SeedFacts(format_version="3", has_proxy=False, has_fips=False)

    def test_a_missing_format_is_empty_which_is_not_unknown(self) -> None:
        assert seed.from_labels({seed.INFO_LABEL: json.dumps(INFO)}).format_version == ""
        assert seed.from_labels({}) == SeedFacts(format_version="", has_proxy=False, has_fips=False)

    def test_without_its_object_nothing_is_known_of_the_bundle(self) -> None:
        facts = seed.from_labels(without("additionalTrustBundle"))
        assert (facts.has_user_ca_bundle, facts.proxy_configmap_name) == (None, None)

    def test_an_empty_object_says_that_there_is_no_bundle(self) -> None:
        facts = seed.from_labels(labels(additionalTrustBundle={}))
        assert (facts.has_user_ca_bundle, facts.proxy_configmap_name) == (False, "")

    def test_single_addresses_of_an_older_agent(self) -> None:
        text = json.dumps({"node_ip": "192.0.2.10", "machine_network": "192.0.2.0/24"})
        facts = seed.from_labels(labels(text))
        assert (facts.node_ips, facts.machine_networks) == (("192.0.2.10",), ("192.0.2.0/24",))

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (labels("{"), "not JSON"),
            (labels("[]"), "not a JSON object"),
            (labels(has_proxy="yes"), "has_proxy is 'yes'"),
            (labels(node_ips="192.0.2.1"), "node_ips"),
            (labels(node_ips=[1]), "node_ips"),
            (labels(cluster_name=7), "cluster_name"),
            (labels(additionalTrustBundle=[]), "additionalTrustBundle"),
            (labels(additionalTrustBundle={"hasUserCaBundle": 1}), "additionalTrustBundle.hasUserCaBundle"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, bad: dict[str, str], says: str) -> None:
        with pytest.raises(InvalidOption) as caught:
            seed.from_labels(bad, "quay.example.com/seed:v1")
        assert says in str(caught.value) and "quay.example.com/seed:v1" in str(caught.value)


class TestRecord:
    def test_the_full_set_has_every_field(self) -> None:
        assert set(FULL.known) == set(seed.FIELDS)

    @pytest.mark.parametrize("facts", [FULL, SeedFacts(), seed.from_labels(labels())], ids=["full", "none", "labels"])
    @pytest.mark.parametrize("codec", [json, yaml], ids=["json", "yaml"])
    def test_what_was_written_is_read_back(self, facts: SeedFacts, codec: Any) -> None:
        if codec is json:
            text = json.dumps(facts.to_document({"image": "quay.example.com/seed:v1"}))
            assert seed.from_document(json.loads(text)) == facts
        else:
            assert seed.from_document(yaml.safe_load(yaml.safe_dump(facts.to_document()))) == facts

    def test_an_unquoted_format_is_taken(self) -> None:
        assert seed.from_document(document(format_version=4)).format_version == "4"

    def test_null_is_unknown(self) -> None:
        assert seed.from_document(document(cpus=None)) == SeedFacts()

    def test_what_skopeo_inspect_prints_is_taken(self) -> None:
        printed = {"Name": "quay.example.com/seed", "Digest": DIGEST, "Labels": labels()}
        facts = seed.from_document(printed)
        assert (facts.version, facts.digest) == ("4.18.9", DIGEST)

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (None, "apiVersion"),
            ([], "apiVersion"),
            ({}, "apiVersion"),
            ({**document(), "kind": "Other"}, "'Other'"),
            ({**document(), "spec": None}, "no spec"),
            (document(fips=True), "spec.fips is not known"),
            (document(has_proxy="no"), "spec.has_proxy"),
            (document(cpus="16"), "spec.cpus"),
            (document(cpus=True), "spec.cpus"),
            (document(cpus=0), "spec.cpus"),
            (document(node_ips="192.0.2.1"), "spec.node_ips"),
            (document(operators={"a": 1}), "spec.operators"),
            (document(performance_profile=[]), "spec.performance_profile"),
            (document(storage_operator="odf"), "lvms or lso"),
            (document(cgroup_version="3"), "v1 or v2"),
            (document(digest="latest"), "spec.digest"),
            (document(version=4.18), "spec.version"),
            ({"Labels": None}, "Labels"),
            ({"Labels": {}, "Digest": "x"}, "spec.digest"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, bad: Any, says: str) -> None:
        with pytest.raises(InvalidOption) as caught:
            seed.from_document(bad, "ibu_seed_facts", "record.yml")
        assert says in str(caught.value) and "record.yml" in str(caught.value)


class TestBoth:
    def test_the_first_who_knows_wins(self) -> None:
        first, second = SeedFacts(has_proxy=False, version="4.18.9"), SeedFacts(has_proxy=True, cpus=16)
        assert seed.merged(first, second) == SeedFacts(has_proxy=False, version="4.18.9", cpus=16)

    def test_conflicts_are_what_both_know_and_tell_differently(self) -> None:
        assert seed.conflicts(FULL, FULL) == ()
        assert seed.conflicts(FULL, SeedFacts()) == ()
        assert seed.conflicts(FULL, SeedFacts(has_proxy=True, version="4.18.9", cpus=8)) == ("has_proxy", "cpus")
