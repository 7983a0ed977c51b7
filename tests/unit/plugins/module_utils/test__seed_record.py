# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is compared between a seed cluster and its targets: equal where it means the same, unequal where it does not."""

from __future__ import annotations

import base64
import copy
import gzip
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seed_record as record

Object = dict[str, Any]


def config(name: str = "99-site", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": spec}


def file(path: str, source: str, **contents: str) -> Object:
    return {"path": path, "mode": 420, "contents": {"source": source, **contents}}


def ignition(*files: Object, units: tuple[Object, ...] = ()) -> Object:
    return {"ignition": {"version": "3.2.0"}, "storage": {"files": list(files)}, "systemd": {"units": list(units)}}


MOUNT = {
    "name": "var-lib-containers.mount",
    "enabled": True,
    "contents": "[Mount]\nWhat=/dev/disk/by-partlabel/varlibcontainers\nWhere=/var/lib/containers\n",
}


class TestMachineConfigs:
    """By content, not by spelling."""

    def test_another_encoding_of_the_same_file_is_the_same_config(self) -> None:
        plain = b"server ntp.example.com\n"
        packed = base64.b64encode(gzip.compress(plain)).decode()
        spellings = (
            file("/etc/chrony.conf", "data:,server%20ntp.example.com%0A"),
            file("/etc/chrony.conf", f"data:text/plain;charset=utf-8;base64,{base64.b64encode(plain).decode()}"),
            file("/etc/chrony.conf", f"data:;base64,{packed}", compression="gzip"),
        )
        digests = {record.machine_config_digest(config(config=ignition(one))) for one in spellings}
        assert len(digests) == 1

    def test_order_empty_fields_and_release_do_not_count(self) -> None:
        one, two = file("/a", "data:,1"), file("/b", "data:,2")
        short = config(config=ignition(one, two), kernelArguments=["nosmt"])
        long = config(
            config={**ignition(two, one), "passwd": {}, "ignition": {"version": "3.4.0"}},
            kernelArguments=["nosmt"],
            extensions=[],
            fips=None,
            osImageURL="quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:00",
        )
        assert record.machine_config_digest(short) == record.machine_config_digest(long)

    @pytest.mark.parametrize(
        "other",
        [
            config(config=ignition(file("/a", "data:,2"))),
            config(config=ignition(file("/b", "data:,1"))),
            config(config=ignition(file("/a", "data:,1")), kernelArguments=["nosmt"]),
            config(config=ignition(file("/a", "data:,1")), fips=True),
            config(config=ignition(file("/a", "data:,1"), units=(MOUNT,))),
            config(config=ignition({**file("/a", "data:,1"), "mode": 384})),
        ],
        ids=["content", "path", "kernel argument", "fips", "unit", "mode"],
    )
    def test_what_the_node_would_notice_counts(self, other: Object) -> None:
        assert record.machine_config_digest(config(config=ignition(file("/a", "data:,1")))) != (
            record.machine_config_digest(other)
        )

    def test_the_order_of_kernel_arguments_counts(self) -> None:
        one, two = config(kernelArguments=["a=1", "a=2"]), config(kernelArguments=["a=2", "a=1"])
        assert record.machine_config_digest(one) != record.machine_config_digest(two)

    @pytest.mark.parametrize("source", ["data:;base64,&", "data:;base64,QUJD", "https://files.example.com/a", "data:"])
    def test_what_cannot_be_decoded_is_compared_as_it_is(self, source: str) -> None:
        broken = config(config=ignition(file("/a", source, compression="gzip")))
        assert record.machine_config_digest(broken) == record.machine_config_digest(copy.deepcopy(broken))

    def test_only_what_somebody_made_is_listed(self) -> None:
        generated = config("00-master")
        generated["metadata"]["annotations"] = {
            "machineconfiguration.openshift.io/generated-by-controller-version": "x"
        }
        owned = config("50-performance-site")
        owned["metadata"]["ownerReferences"] = [{"kind": "PerformanceProfile"}]
        found = record.machine_configs([config(), generated, owned, config("rendered-master-0a")])
        assert list(found) == ["99-site"]

    def test_the_document_is_left_as_it_was(self) -> None:
        given = config(config=ignition(file("/b", "data:,1"), file("/a", "data:,2"), units=(MOUNT,)))
        before = copy.deepcopy(given)
        record.machine_config_digest(given)
        assert given == before

    def test_the_rendered_config_says_what_the_node_has(self) -> None:
        rendered = config(
            "rendered-master-1", fips=True, kernelArguments=["b", "a"], config=ignition(file("/x", ""), units=(MOUNT,))
        )
        node = {"metadata": {"annotations": {record.CURRENT_CONFIG: "rendered-master-1"}}}
        assert record.rendered_config([config(), rendered], node) is rendered
        assert record.rendered_config([config()], node) is None
        assert record.container_storage_mountpoint(rendered) == "/dev/disk/by-partlabel/varlibcontainers"
        assert record.has_file(rendered, "/x")
        assert not record.has_file(rendered, "/y")
        assert record.has_fips(rendered)
        assert record.kernel_arguments(rendered) == ("a", "b")

    @pytest.mark.parametrize("units", [(), ({**MOUNT, "enabled": False},), ({"name": "other.mount"},)])
    def test_no_mount_of_its_own(self, units: tuple[Object, ...]) -> None:
        assert record.container_storage_mountpoint(config(config=ignition(units=units))) is None


class TestProfile:
    """A PerformanceProfile, whatever it is called."""

    def test_the_same_cpus_in_another_spelling(self) -> None:
        one = {"metadata": {"name": "a"}, "spec": {"cpu": {"reserved": "0-1,52-53", "isolated": "2,3,4"}}}
        two = {"metadata": {"name": "b"}, "spec": {"cpu": {"isolated": "2-4", "reserved": "53,52,0,1"}, "numa": {}}}
        assert record.canonical_profile(one) == record.canonical_profile(two)
        assert record.reserved_cpus(two) == "0-1,52-53"

    def test_other_cpus_are_another_profile(self) -> None:
        one, two = ({"spec": {"cpu": {"reserved": cpus}}} for cpus in ("0-1", "0-2"))
        assert record.canonical_profile(one) != record.canonical_profile(two)

    def test_false_and_zero_are_kept(self) -> None:
        spec = {"globallyDisableIrqLoadBalancing": False, "hugepages": {"pages": [{"count": 0, "size": "1G"}]}}
        assert record.canonical_profile({"spec": spec}) == spec

    @pytest.mark.parametrize(
        ("text", "short"),
        [("", ""), ("0", "0"), ("3,1,2", "1-3"), ("0-1,1-2", "0-2"), (" 0 , 2 ", "0,2"), ("all", "all"), ("1-", "1-")],
    )
    def test_cpu_sets(self, text: str, short: str) -> None:
        assert record.canonical_cpus(text) == short


def csv(name: str, namespace: str = "ops", labels: Object | None = None, **more: Any) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, **more}


class TestOperators:
    """What is installed, once."""

    def test_the_label_knows_the_package_and_the_spec_the_version(self) -> None:
        labels = {"operators.coreos.com/ptp-operator.openshift-ptp": ""}
        found = record.operators([csv("ptp.v9", "openshift-ptp", labels, spec={"version": "4.17.0-202411"})])
        assert found == {"ptp-operator": "4.17.0-202411"}

    def test_without_a_label_the_name_says_both(self) -> None:
        assert record.operators([csv("lvms-operator.v4.17.1")]) == {"lvms-operator": "4.17.1"}

    def test_copies_do_not_count_and_the_newest_does(self) -> None:
        copied = csv("a.v3.0.0", "default", {"olm.copiedFrom": "ops"})
        found = record.operators([csv("a.v1.10.0"), csv("a.v1.9.0"), copied, csv("odd")])
        assert found == {"a": "1.10.0"}

    @pytest.mark.parametrize(
        ("packages", "word"),
        [
            ((), None),
            (("lvms-operator",), "lvms"),
            (("local-storage-operator", "ptp-operator"), "lso"),
            (("local-storage-operator", "lvms-operator"), None),
        ],
    )
    def test_storage_operator(self, packages: tuple[str, ...], word: str | None) -> None:
        assert record.storage_operator(packages) == word


class TestCluster:
    """Small facts."""

    def test_node(self) -> None:
        status = {
            "capacity": {"cpu": "104"},
            "nodeInfo": {"architecture": "amd64"},
            "addresses": [
                {"type": "InternalIP", "address": "2001:db8::5"},
                {"type": "InternalIP", "address": "192.0.2.5"},
                {"type": "Hostname", "address": "site"},
            ],
        }
        assert record.cpu_topology({"status": status}) == (104, "amd64")
        assert record.node_ips({"status": status}) == ("2001:db8::5", "192.0.2.5")
        assert record.ip_families(["2001:db8::5", "192.0.2.5", "192.0.2.6", "odd"]) == ("ipv6", "ipv4")
        assert record.cpu_topology({}) == (None, None)

    @pytest.mark.parametrize(
        ("spec", "there"),
        [({}, False), ({"noProxy": ".example.com"}, True), ({"httpsProxy": "http://p.example.com"}, True)],
    )
    def test_proxy(self, spec: Object, there: bool) -> None:
        assert record.has_proxy({"spec": spec}) is there

    def test_trust(self) -> None:
        assert record.proxy_configmap_name({"spec": {"trustedCA": {"name": "user-ca-bundle"}}}) == "user-ca-bundle"
        assert record.proxy_configmap_name(None) == ""
        assert not record.has_user_ca_bundle({"data": {"ca-bundle.crt": " \n"}})
        assert record.has_user_ca_bundle({"data": {"ca-bundle.crt": "x"}})

    def test_networks(self) -> None:
        assert record.machine_networks({"networking": {"machineNetwork": [{"cidr": "192.0.2.0/24"}]}}) == (
            "192.0.2.0/24",
        )
        assert record.machine_networks(None) == ()

    @pytest.mark.parametrize(
        ("mode", "arguments", "version", "wanted"),
        [
            ("v1", (), "4.19.0", "v1"),
            (None, ("systemd.unified_cgroup_hierarchy=0",), "4.16.0", "v1"),
            (None, ("systemd.unified_cgroup_hierarchy=1",), "4.16.0", "v2"),
            (None, (), "4.19.0", "v2"),
            (None, (), "4.16.0", None),
            (None, (), None, None),
        ],
    )
    def test_cgroup(
        self, mode: str | None, arguments: tuple[str, ...], version: str | None, wanted: str | None
    ) -> None:
        assert record.cgroup_version({"spec": {"cgroupMode": mode}}, arguments, version) == wanted
