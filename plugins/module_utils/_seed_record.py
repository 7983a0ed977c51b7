# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What makes a seed cluster and a target comparable: equal documents give equal values on both. No I/O, no clock."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import ipaddress
import json
import re
import typing as t
import urllib.parse
import zlib

from ansible_collections.sno.image_upgrade.plugins.module_utils import _version

Document = t.Mapping[str, t.Any]

CONTAINER_STORAGE_UNIT = "var-lib-containers.mount"
CURRENT_CONFIG = "machineconfiguration.openshift.io/currentConfig"
_GENERATED_BY = "machineconfiguration.openshift.io/generated-by-controller-version"
_COPIED_FROM = "olm.copiedFrom"
_PACKAGE_LABEL = "operators.coreos.com/"
_CSV_NAME = re.compile(r"(?P<package>[^.]+)\.v?(?P<version>\d.*)")
_CPU_FIELDS = ("reserved", "isolated", "offlined", "shared")
_LVMS, _LSO = "lvms-operator", "local-storage-operator"
_CGROUP_ARGUMENT = "systemd.unified_cgroup_hierarchy="


# --- MachineConfigs ---------------------------------------------------------------------------------------------------


def is_custom(config: Document) -> bool:
    """True for a MachineConfig that somebody made; what a controller makes follows the release, or another object."""
    meta = config.get("metadata") or {}
    made = _GENERATED_BY in (meta.get("annotations") or {}) or bool(meta.get("ownerReferences"))
    return not made and not str(meta.get("name", "")).startswith("rendered-")


def machine_config_digest(config: Document) -> str:
    """SHA-256 of what a MachineConfig means: order, empty fields and the encoding of file contents do not count."""
    spec = dict(config.get("spec") or {})
    spec["config"] = _ignition(spec.get("config") or {})
    # Where the image of the operating system comes from follows the release.
    for name in ("osImageURL", "baseOSExtensionsContainerImage"):
        spec.pop(name, None)
    return hashlib.sha256(_canonical_text(spec).encode()).hexdigest()


def machine_configs(configs: t.Iterable[Document]) -> dict[str, str]:
    """The digest of each MachineConfig that somebody made, by name."""
    return {str(one["metadata"]["name"]): machine_config_digest(one) for one in configs if is_custom(one)}


def rendered_config(configs: t.Iterable[Document], node: Document) -> Document | None:
    """The MachineConfig that the node runs."""
    name = ((node.get("metadata") or {}).get("annotations") or {}).get(CURRENT_CONFIG)
    return next((one for one in configs if one["metadata"]["name"] == name), None)


def container_storage_mountpoint(rendered: Document) -> str | None:
    """``What=`` of the mount unit of /var/lib/containers; None where it is no mount of its own."""
    for unit in _units(rendered):
        if unit.get("name") == CONTAINER_STORAGE_UNIT and unit.get("enabled") is not False:
            found = re.search(r"^\s*What\s*=\s*(\S+)", str(unit.get("contents") or ""), re.MULTILINE)
            return found.group(1) if found else ""
    return None


def has_file(rendered: Document, path: str) -> bool:
    """True where the configuration puts this file on the node."""
    files = ((_config(rendered).get("storage") or {}).get("files")) or ()
    return any(one.get("path") == path for one in files)


def has_fips(rendered: Document) -> bool:
    """True where the node runs in FIPS mode."""
    return bool((rendered.get("spec") or {}).get("fips"))


def kernel_arguments(rendered: Document) -> tuple[str, ...]:
    """The kernel arguments beyond those of the operating system."""
    return tuple(sorted(map(str, (rendered.get("spec") or {}).get("kernelArguments") or ())))


def cgroup_version(node_config: Document | None, arguments: t.Iterable[str], version: str | None) -> str | None:
    """``v1`` or ``v2``: from the cluster's Node configuration, else from the kernel's arguments, else by release."""
    wanted = ((node_config or {}).get("spec") or {}).get("cgroupMode")
    if wanted:
        return str(wanted)
    for argument in arguments:
        if argument.startswith(_CGROUP_ARGUMENT):
            return "v2" if argument.endswith("1") else "v1"
    if not version or not _version.is_valid(version):
        return None
    # From 4.19 on there is no v1 any more. Before, an upgraded cluster keeps what it was installed with.
    return "v2" if int(version.split(".")[1]) >= 19 else None


def _config(config: Document) -> Document:
    return (config.get("spec") or {}).get("config") or {}


def _units(config: Document) -> t.Sequence[Document]:
    return (_config(config).get("systemd") or {}).get("units") or ()


def _ignition(config: Document) -> dict[str, t.Any]:
    """An Ignition configuration with lists in the order of what they are about, and with plain contents."""
    found = dict(config)
    if storage := found.get("storage"):
        files = [_file(one) for one in storage.get("files") or ()]
        found["storage"] = {**storage, "files": sorted(files, key=lambda one: str(one.get("path")))}
    if systemd := found.get("systemd"):
        units = sorted(systemd.get("units") or (), key=lambda one: str(one.get("name")))
        found["systemd"] = {**systemd, "units": units}
    # The version of the format: newer releases convert what they read.
    found.pop("ignition", None)
    return found


def _file(entry: Document) -> dict[str, t.Any]:
    found = {name: value for name, value in entry.items() if name not in ("contents", "overwrite")}
    contents = entry.get("contents") or {}
    if contents.get("source") is not None:
        plain = _plain(str(contents["source"]), str(contents.get("compression") or ""))
        found["contents"] = hashlib.sha256(plain).hexdigest()
    return found


def _plain(source: str, compression: str) -> bytes:
    """The bytes that a data URL stands for; of another URL, and of a broken one, its own text."""
    if not source.startswith("data:"):
        return source.encode()
    head, _comma, body = source[len("data:") :].partition(",")
    try:
        raw = urllib.parse.unquote_to_bytes(body)
        raw = base64.b64decode(raw) if head.endswith(";base64") else raw
        return gzip.decompress(raw) if compression == "gzip" else raw
    except (binascii.Error, EOFError, OSError, ValueError, zlib.error):
        return source.encode()


# --- the node ---------------------------------------------------------------------------------------------------------


class CpuTopology(t.NamedTuple):
    """The CPUs of a node as its API tells them."""

    cpus: int | None
    architecture: str | None


def cpu_topology(node: Document) -> CpuTopology:
    """How many CPUs the node has, and of what kind."""
    status = node.get("status") or {}
    capacity = str((status.get("capacity") or {}).get("cpu") or "")
    architecture = (status.get("nodeInfo") or {}).get("architecture")
    return CpuTopology(int(capacity) if capacity.isdigit() else None, str(architecture) if architecture else None)


def node_ips(node: Document) -> tuple[str, ...]:
    """The node's own addresses in the order of its status, which says which family is the first."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return tuple(str(one["address"]) for one in addresses if one.get("type") == "InternalIP")


def ip_families(addresses: t.Iterable[str]) -> tuple[str, ...]:
    """``ipv4`` and ``ipv6`` in the order of the addresses, each once."""
    found: dict[str, None] = {}
    for address in addresses:
        try:
            found[f"ipv{ipaddress.ip_address(address).version}"] = None
        except ValueError:
            continue
    return tuple(found)


# --- the performance profile ------------------------------------------------------------------------------------------


def canonical_profile(profile: Document) -> dict[str, t.Any]:
    """The spec of a PerformanceProfile without what is empty, with its CPU sets in one spelling.

    The name is not part of it: what counts is what the node is told.
    """
    spec = _without_empty(profile.get("spec") or {})
    cpu = spec.get("cpu")
    if isinstance(cpu, dict):
        spec["cpu"] = {name: canonical_cpus(str(v)) if name in _CPU_FIELDS else v for name, v in cpu.items()}
    if arguments := spec.get("additionalKernelArgs"):
        spec["additionalKernelArgs"] = sorted(map(str, arguments))
    return t.cast("dict[str, t.Any]", json.loads(_canonical_text(spec)))


def canonical_cpus(text: str) -> str:
    """A CPU set in its shortest spelling: ``1,0,2`` is ``0-2``. What is no CPU set stays as it is."""
    numbers: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None:
            return text
        numbers.update(range(int(found.group(1)), int(found.group(2) or found.group(1)) + 1))
    return ",".join(_runs(sorted(numbers)))


def _runs(numbers: t.Sequence[int]) -> t.Iterator[str]:
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            yield str(number) if start == index else f"{numbers[start]}-{number}"
            start = index + 1


def reserved_cpus(profile: Document) -> str | None:
    """The CPUs that the profile keeps for the platform."""
    reserved = ((profile.get("spec") or {}).get("cpu") or {}).get("reserved")
    return canonical_cpus(str(reserved)) if reserved else None


# --- operators --------------------------------------------------------------------------------------------------------


def operators(csvs: t.Iterable[Document]) -> dict[str, str]:
    """The version of each installed operator by its package. Copies in other namespaces and old ones do not count."""
    found: dict[str, str] = {}
    for csv in csvs:
        labels = (csv.get("metadata") or {}).get("labels") or {}
        if _COPIED_FROM in labels or (csv.get("status") or {}).get("reason") == "Copied":
            continue
        package, version = _package(csv, labels)
        if package and (package not in found or _is_newer(version, found[package])):
            found[package] = version
    return dict(sorted(found.items()))


def _package(csv: Document, labels: t.Mapping[str, str]) -> tuple[str, str]:
    """Package and version: the label of the Operator Lifecycle Manager knows the package, else the object's name."""
    meta = csv.get("metadata") or {}
    name, namespace = str(meta.get("name", "")), str(meta.get("namespace", ""))
    match = _CSV_NAME.fullmatch(name)
    version = str((csv.get("spec") or {}).get("version") or (match.group("version") if match else ""))
    ending = f".{namespace}"
    for label in labels:
        if label.startswith(_PACKAGE_LABEL) and label.endswith(ending):
            return label[len(_PACKAGE_LABEL) : -len(ending)], version
    return (match.group("package") if match else ""), version


def _is_newer(one: str, other: str) -> bool:
    return _version.is_valid(one) and _version.is_valid(other) and _version.is_newer(one, other)


def storage_operator(packages: t.Iterable[str]) -> str | None:
    """``lvms`` or ``lso``; None where there is neither, or both."""
    there = set(packages)
    found = [word for word, package in (("lvms", _LVMS), ("lso", _LSO)) if package in there]
    return found[0] if len(found) == 1 else None


# --- the cluster's configuration --------------------------------------------------------------------------------------


def has_proxy(proxy: Document | None) -> bool:
    """True where the cluster's Proxy says anything: the agent counts noProxy alone, too."""
    spec = (proxy or {}).get("spec") or {}
    return any(spec.get(name) for name in ("httpProxy", "httpsProxy", "noProxy"))


def proxy_configmap_name(proxy: Document | None) -> str:
    """The ConfigMap of the proxy's trusted CAs; empty where there is none."""
    return str((((proxy or {}).get("spec") or {}).get("trustedCA") or {}).get("name") or "")


def has_user_ca_bundle(configmap: Document | None) -> bool:
    """True where openshift-config/user-ca-bundle is there and not empty."""
    return any(str(text).strip() for text in ((configmap or {}).get("data") or {}).values())


def machine_networks(install_config: Document | None) -> tuple[str, ...]:
    """The machine networks that the cluster was installed with."""
    networks = (((install_config or {}).get("networking")) or {}).get("machineNetwork") or ()
    return tuple(str(one["cidr"]) for one in networks if one.get("cidr"))


# --- spelling ---------------------------------------------------------------------------------------------------------


def _without_empty(value: t.Any) -> t.Any:
    """Without nulls, empty strings, lists and mappings: to leave a field out says the same."""
    if isinstance(value, dict):
        found = {name: _without_empty(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if inner not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [_without_empty(inner) for inner in value]
    return value


def _canonical_text(value: t.Any) -> str:
    return json.dumps(_without_empty(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
