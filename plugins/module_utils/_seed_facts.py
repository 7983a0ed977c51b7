# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What is known of a seed image: from its labels, and from the record that was made on the seed cluster. No I/O."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

API_VERSION = "sno.image_upgrade/v1"
KIND = "SeedRecord"
FORMAT_LABEL = "com.openshift.lifecycle-agent.seed_format_version"
INFO_LABEL = "com.openshift.lifecycle-agent.seed_cluster_info"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LAYOUT = f"give a document with apiVersion: {API_VERSION}, kind: {KIND} and the facts under spec"


@dataclass(frozen=True)
class SeedFacts:
    """The facts of one seed image; None is unknown, which is not the same as no, none or empty.

    The first block stands in the labels of the image, the second only in the record.
    """

    version: str | None = None
    format_version: str | None = None
    has_proxy: bool | None = None
    has_fips: bool | None = None
    has_user_ca_bundle: bool | None = None
    proxy_configmap_name: str | None = None
    container_storage_mountpoint: str | None = None
    node_ips: tuple[str, ...] | None = None
    machine_networks: tuple[str, ...] | None = None
    cluster_name: str | None = None
    base_domain: str | None = None
    release_registry: str | None = None
    mirror_registry_configured: bool | None = None
    recert_image: str | None = None
    ingress_certificate_cn: str | None = None

    digest: str | None = None
    cpus: int | None = None
    reserved_cpus: str | None = None
    performance_profile: t.Mapping[str, t.Any] | None = None
    machine_configs: t.Mapping[str, str] | None = None
    operators: t.Mapping[str, str] | None = None
    ip_families: tuple[str, ...] | None = None
    storage_operator: str | None = None
    cgroup_version: str | None = None
    kernel_arguments: tuple[str, ...] | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """The names of the facts that are known."""
        return tuple(name for name in FIELDS if getattr(self, name) is not None)

    def to_document(self, metadata: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The document that ``from_document`` reads; ``metadata`` is for people: the image, when and where it was made.

        It holds nothing but what JSON and YAML have.
        """
        spec = {name: _plain(getattr(self, name)) for name in self.known}
        head: dict[str, t.Any] = {"apiVersion": API_VERSION, "kind": KIND}
        return {**head, **({"metadata": dict(metadata)} if metadata else {}), "spec": spec}


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, t.Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


# --- the labels of the image ------------------------------------------------------------------------------------------


def from_labels(labels: t.Mapping[str, str], image: str = "the seed image") -> SeedFacts:
    """What the labels say. ``image`` is its name for errors.

    An empty ``format_version`` says that the label is not there, which the agent refuses: it is no seed image, or one
    that is too old. The agent takes an image without the other label for one without proxy and FIPS, and so does this.
    """
    info = _info(labels[INFO_LABEL], image) if INFO_LABEL in labels else {}
    bundle = info.get("additionalTrustBundle")
    if bundle is not None and not isinstance(bundle, dict):
        raise _bad_label(image, "additionalTrustBundle is not an object")
    read = _Reader(info, lambda problem: _bad_label(image, problem))
    trust = _Reader(bundle or {}, lambda problem: _bad_label(image, f"additionalTrustBundle.{problem}"))
    return SeedFacts(
        version=read.text("seed_cluster_ocp_version") or None,
        format_version=labels.get(FORMAT_LABEL, ""),
        has_proxy=read.flag("has_proxy") or False,
        has_fips=read.flag("has_fips") or False,
        # Go leaves an empty name out: who tells of the bundle tells of its name.
        has_user_ca_bundle=None if bundle is None else trust.flag("hasUserCaBundle") or False,
        proxy_configmap_name=None if bundle is None else trust.text("proxyConfigmapName") or "",
        container_storage_mountpoint=read.text("container_storage_mountpoint_target") or None,
        node_ips=read.texts("node_ips", "node_ip"),
        machine_networks=read.texts("machine_networks", "machine_network"),
        cluster_name=read.text("cluster_name") or None,
        base_domain=read.text("base_domain") or None,
        release_registry=read.text("release_registry") or None,
        mirror_registry_configured=read.flag("mirror_registry_configured"),
        recert_image=read.text("recert_image_pull_spec") or None,
        ingress_certificate_cn=read.text("ingress_certificate_cn") or None,
    )


def _bad_label(image: str, problem: str) -> InvalidOption:
    return InvalidOption("image", image, f"its label {INFO_LABEL} cannot be used: {problem}; make the seed image anew")


def _info(text: str, image: str) -> dict[str, t.Any]:
    try:
        info = json.loads(text)
    except ValueError as error:
        raise _bad_label(image, f"it is not JSON ({error})") from error
    if not isinstance(info, dict):
        raise _bad_label(image, "it is not a JSON object")
    return info


class _Reader:
    """Fields of one JSON object by type; one that is absent or null is None."""

    def __init__(self, document: t.Mapping[str, t.Any], error: t.Callable[[str], InvalidOption]) -> None:
        self._document = document
        self._error = error

    def flag(self, name: str) -> bool | None:
        value = self._document.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._error(f"{name} is {value!r} and should be true or false")
        return value

    def text(self, name: str) -> str | None:
        value = self._document.get(name)
        if value is not None and not isinstance(value, str):
            raise self._error(f"{name} is {value!r} and should be a text")
        return value

    def texts(self, name: str, older: str) -> tuple[str, ...] | None:
        """A list of texts, or the single one that seeds of an older agent have."""
        value = self._document.get(name)
        if value is None:
            single = self.text(older)
            return (single,) if single else None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._error(f"{name} is {value!r} and should be a list of texts")
        return tuple(value) or None


# --- the record -------------------------------------------------------------------------------------------------------


def from_document(document: t.Any, option: str = "seed_facts", name: str = "<document>") -> SeedFacts:
    """The facts of a record, or of what ``skopeo inspect`` printed. ``option`` and ``name`` are for errors."""
    if not isinstance(document, t.Mapping):
        raise InvalidOption(option, name, _LAYOUT)
    if "Labels" in document:
        return _from_inspect(document, option, name)
    if document.get("apiVersion") != API_VERSION or document.get("kind") != KIND:
        found = f"apiVersion {document.get('apiVersion')!r}, kind {document.get('kind')!r}"
        raise InvalidOption(option, name, f"it has {found}; {_LAYOUT}")
    spec = document.get("spec")
    if not isinstance(spec, t.Mapping):
        raise InvalidOption(option, name, f"it has no spec; {_LAYOUT}")
    if unknown := sorted(map(str, set(spec) - set(FIELDS))):
        raise InvalidOption(option, name, f"spec.{unknown[0]} is not known; there are {', '.join(FIELDS)}")
    return SeedFacts(**{key: _checked(key, value, option, name) for key, value in spec.items()})


def _from_inspect(document: t.Mapping[str, t.Any], option: str, name: str) -> SeedFacts:
    labels = document["Labels"]
    if not isinstance(labels, t.Mapping) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidOption(
            option, name, "its Labels are no mapping of texts; give what skopeo inspect prints as it is"
        )
    facts = from_labels(labels, name)
    return dataclasses.replace(facts, digest=_checked("digest", document.get("Digest"), option, name))


def _checked(key: str, value: t.Any, option: str, name: str) -> t.Any:
    """The value as the dataclass has it."""
    if value is None:
        return None
    says, fits, convert = _RULES[FIELDS[key]]
    if not fits(value):
        raise InvalidOption(option, name, f"spec.{key} is {value!r} and should be {says}")
    if key in _WORDS and value not in _WORDS[key]:
        raise InvalidOption(option, name, f"spec.{key} is {value!r} and should be {' or '.join(_WORDS[key])}")
    if key == "digest" and not _DIGEST.fullmatch(value):
        raise InvalidOption(option, name, f"spec.digest is {value!r} and should be sha256: and 64 hexadecimal digits")
    return convert(value)


def _is_texts(value: t.Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _is_text_map(value: t.Any) -> bool:
    return isinstance(value, t.Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)


_Rule = tuple[str, t.Callable[[t.Any], bool], t.Callable[[t.Any], t.Any]]
_RULES: dict[str, _Rule] = {
    "flag": ("true or false", lambda value: isinstance(value, bool), bool),
    # YAML reads an unquoted 4 as a number.
    "text": ("a text", lambda value: isinstance(value, str), str),
    "format": ("a number", lambda value: isinstance(value, (str, int)) and not isinstance(value, bool), str),
    "number": ("a number", lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0, int),
    "texts": ("a list of texts", _is_texts, tuple),
    "text_map": ("a mapping of texts", _is_text_map, dict),
    "mapping": ("a mapping", lambda value: isinstance(value, t.Mapping), dict),
}
_KINDS = {
    "format_version": "format",
    "cpus": "number",
    "performance_profile": "mapping",
    **dict.fromkeys(("has_proxy", "has_fips", "has_user_ca_bundle", "mirror_registry_configured"), "flag"),
    **dict.fromkeys(("node_ips", "machine_networks", "ip_families", "kernel_arguments"), "texts"),
    **dict.fromkeys(("machine_configs", "operators"), "text_map"),
}
_WORDS = {"storage_operator": ("lvms", "lso"), "cgroup_version": ("v1", "v2")}

FIELDS: dict[str, str] = {one.name: _KINDS.get(one.name, "text") for one in dataclasses.fields(SeedFacts)}
"""Every fact and what kind of value it has."""


# --- both -------------------------------------------------------------------------------------------------------------


def merged(first: SeedFacts, second: SeedFacts) -> SeedFacts:
    """Each fact from the first who knows it."""
    known = {name: value for name in FIELDS if (value := getattr(first, name)) is not None}
    return dataclasses.replace(second, **known)


def conflicts(first: SeedFacts, second: SeedFacts) -> tuple[str, ...]:
    """The names of the facts that both know and tell differently: then they are not of the same image."""
    both = set(first.known) & set(second.known)
    return tuple(name for name in FIELDS if name in both and getattr(first, name) != getattr(second, name))
