# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the controller can find out about a seed image: from its registry, and from the record of the seed."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref, _registry, _seed_facts
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import NOT_ASKED
from ansible_collections.sno.image_upgrade.plugins.module_utils._files import read_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

# Options of a task, and as ibu_<name> variables of a play; the documentation is in doc_fragments/_seed.py.
SEED_OPTIONS: dict[str, dict[str, t.Any]] = {
    "seed_facts": {"type": "raw"},
    "seed_lookup": {"type": "str", "choices": ["auto", "controller", "never"], "default": "auto"},
    "seed_registry_auth_file": {"type": "path"},
    "seed_registry_ca": {"type": "path"},
    "seed_registry_proxy": {"type": "str"},
    "seed_registry_mirrors": {"type": "dict", "default": {}},
    "seed_registry_insecure": {"type": "bool", "default": False},
    "seed_architecture": {"type": "str", "default": "amd64"},
}


@dataclass(frozen=True)
class NotKnown:
    """The labels are not known, and why. ``facts`` is what the record says nevertheless.

    ``missing``: the registry answered, and it has no such image.
    """

    reason: str
    facts: SeedFacts = field(default_factory=SeedFacts)
    missing: bool = False


class SeedLookup:
    """Facts of seed images, each looked up once. Not to be shared between threads before the images are known.

    Raises InvalidOption where an option or a file is of no use; with ``seed_lookup=controller`` RegistryError, too.
    """

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._options = options
        self._mode = options.get("seed_lookup") or "auto"
        self._records = _records(options.get("seed_facts"))
        self._registry: _registry.Registry | None = None
        self._found: dict[str, SeedFacts | NotKnown] = {}

    def facts(self, image: str) -> SeedFacts | NotKnown:
        """What is known of an image."""
        if image not in self._found:
            self._found[image] = self._look(image)
        return self._found[image]

    def _look(self, image: str) -> SeedFacts | NotKnown:
        record = self._records.get(image, self._records.get("", SeedFacts()))
        if self._mode == "never":
            return record if _has_labels(record) else NotKnown(NOT_ASKED, record)
        _image_ref.parse(image, "ibu_seed_image_ref.image")
        try:
            found = self._ask(image)
        except _registry.RegistryError as error:
            if self._mode == "controller":
                raise
            # Who gave a record with all that the labels say need not hear that the registry is out of reach.
            known = _has_labels(record) and not error.missing
            return record if known else NotKnown(str(error), record, error.missing)
        labels = replace(_seed_facts.from_labels(found.labels, image), digest=found.digest)
        if record.digest and record.digest not in (found.digest, found.manifest_digest):
            raise InvalidOption(
                "ibu_seed_facts",
                record.digest,
                f"it is the record of another image: {image} has the digest {found.digest} in the registry; give the "
                "record that was made with this image",
            )
        return _seed_facts.merged(labels, record)

    def _ask(self, image: str) -> _registry.ImageFacts:
        if self._registry is None:
            self._registry = _registry.Registry(_reach(self._options))
        try:
            return self._registry.labels(image)
        except InvalidOption as error:
            if error.option != _DEFAULT_AUTH:
                raise
            # Nobody asked for that file: it is only where a login may be.
            raise _registry.RegistryError(
                f"image {image}", str(error), "or name another file in ibu_seed_registry_auth_file"
            ) from error


def seed_facts(image: str, options: t.Mapping[str, t.Any]) -> SeedFacts | NotKnown:
    """What is known of one image; for more than one keep a SeedLookup."""
    return SeedLookup(options).facts(image)


def _has_labels(facts: SeedFacts) -> bool:
    return facts.format_version is not None and facts.version is not None


# --- options ----------------------------------------------------------------------------------------------------------


def _records(value: t.Any) -> dict[str, SeedFacts]:
    """The records by image; the empty name is for every image."""
    if not value:
        return {}
    if isinstance(value, str):
        return {"": _read_record(value)}
    if isinstance(value, t.Mapping) and all(isinstance(path, str) for path in value.values()):
        return {str(image): _read_record(path) for image, path in value.items()}
    raise InvalidOption("ibu_seed_facts", value, "give a file, or a mapping of images to files")


def _read_record(path: str) -> SeedFacts:
    text = read_text("ibu_seed_facts", path)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidOption("ibu_seed_facts", path, f"it is neither YAML nor JSON: {error}") from error
    return _seed_facts.from_document(document, "ibu_seed_facts", path)


def _reach(options: t.Mapping[str, t.Any]) -> _registry.Reach:
    return _registry.Reach(
        secret=_secret(options.get("seed_registry_auth_file")),
        ca_file=options.get("seed_registry_ca"),
        proxy=options.get("seed_registry_proxy"),
        insecure=bool(options.get("seed_registry_insecure")),
        mirrors=_image_ref.check_mirrors(options.get("seed_registry_mirrors") or {}, "ibu_seed_registry_mirrors"),
        architecture=options.get("seed_architecture") or "amd64",
    )


_DEFAULT_AUTH = "the login of this user"


def _secret(path: str | None) -> _image_ref.PullSecret:
    """The pull secret of the option, else the login that podman, skopeo or docker of this user would take."""
    if path:
        option = "ibu_seed_registry_auth_file"
        return _image_ref.read_pull_secret(read_text(option, path), option, path)
    for place in _default_places():
        if os.access(place, os.R_OK):
            return _image_ref.read_pull_secret(read_text(_DEFAULT_AUTH, place), _DEFAULT_AUTH, place)
    return _image_ref.NO_SECRET


def _default_places() -> t.Iterator[str]:
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield named
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield os.path.join(runtime, "containers", "auth.json")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    yield os.path.join(config, "containers", "auth.json")
    yield os.path.expanduser("~/.docker/config.json")
