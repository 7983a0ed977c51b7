# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Names of images, where their mirrors are, and which entry of a pull secret is theirs. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

_REGISTRY = (
    r"(?P<registry>localhost|[A-Za-z0-9.-]*[.][A-Za-z0-9.-]*|[A-Za-z0-9.-]+(?=:)|\[[0-9a-fA-F:]+\])(?P<port>:\d+)?"
)
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"{_REGISTRY}/(?P<repository>{_NAME}(?:/{_NAME})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_HOW = "give REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST, for example quay.example.com/seeds/sno:4.18.9"


@dataclass(frozen=True)
class Reference:
    """One image: the digest counts where both are given, as everywhere."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def wanted(self) -> str:
        """What the registry is asked for."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        ending = f"@{self.digest}" if self.digest else f":{self.wanted}"
        return f"{self.registry}/{self.repository}{ending}"


def parse(image: t.Any, option: str = "image") -> Reference:
    """The reference that a text is. A short name is refused: what it stands for differs from node to node."""
    found = _REFERENCE.fullmatch(image) if isinstance(image, str) else None
    if found is None:
        raise InvalidOption(option, image, _HOW)
    return Reference(
        (found["registry"] + (found["port"] or "")).lower(), found["repository"], found["tag"], found["digest"]
    )


# --- mirrors ----------------------------------------------------------------------------------------------------------


def candidates(reference: Reference, mirrors: t.Mapping[str, t.Sequence[str]]) -> tuple[Reference, ...]:
    """Where to ask for the image: the mirrors of the longest source that it lies under, then the source itself."""
    path = f"{reference.registry}/{reference.repository}"
    source = max((one for one in mirrors if _lies_under(path, one)), key=len, default=None)
    if source is None:
        return (reference,)
    found = [_moved(reference, path, source, mirror) for mirror in mirrors[source]]
    return tuple(dict.fromkeys((*found, reference)))


def _lies_under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


def _moved(reference: Reference, path: str, source: str, mirror: str) -> Reference:
    moved = parse(mirror + path[len(source) :], "mirrors")
    return replace(moved, tag=reference.tag, digest=reference.digest)


def check_mirrors(mirrors: t.Any, option: str = "mirrors") -> dict[str, tuple[str, ...]]:
    """The mapping of sources to their mirrors, or an error that says what is wrong with it."""
    if not isinstance(mirrors, t.Mapping):
        raise InvalidOption(option, mirrors, "give a mapping of sources to lists of mirrors")
    checked = {}
    for source, places in mirrors.items():
        places = [places] if isinstance(places, str) else places
        if not isinstance(places, (list, tuple)) or not all(isinstance(one, str) and one for one in places):
            raise InvalidOption(option, places, f"give a list of mirrors for {source}")
        checked[str(source).rstrip("/")] = tuple(one.rstrip("/") for one in places)
    return checked


def declared_mirrors(documents: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, tuple[str, ...]]:
    """The mapping of sources to mirrors that ImageDigestMirrorSets and ImageContentSourcePolicies make together."""
    found: dict[str, tuple[str, ...]] = {}
    for document in documents:
        spec = document.get("spec") or {}
        for entry in spec.get("imageDigestMirrors") or spec.get("repositoryDigestMirrors") or ():
            source, mirrors = entry.get("source"), entry.get("mirrors")
            if source and isinstance(mirrors, list):
                found[source] = (*found.get(source, ()), *mirrors)
    return found


# --- pull secrets -----------------------------------------------------------------------------------------------------


class Login(t.NamedTuple):
    """Who to be at a registry. Never shown to anybody."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Login(<masked>)"

    @property
    def basic(self) -> str:
        """The value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class PullSecret:
    """The content of a pull secret: ``.dockerconfigjson``, the auth.json of podman and skopeo, or ``.dockercfg``.

    ``option`` and ``name`` are for errors; these never quote the content.
    """

    def __init__(self, entries: t.Mapping[str, t.Any], helpers: bool, option: str, name: str) -> None:
        self._entries = {_scope(key): value for key, value in entries.items()}
        self._helpers = helpers
        self._option = option
        self._name = name

    def login(self, reference: Reference) -> Login | None:
        """The login for an image: the entry with the longest path that the image lies under, else nobody's."""
        path = f"{reference.registry}/{reference.repository}"
        scope = max((one for one in self._entries if _lies_under(path, one)), key=len, default=None)
        if scope is None or not self._entries[scope]:
            if self._helpers:
                raise self._error(
                    f"it leaves the login for {reference.registry} to a credential helper (credsStore, credHelpers), "
                    "which is not run; give a file that holds the login itself, for example made with "
                    f"podman login --authfile FILE {reference.registry}"
                )
            return None
        return self._login(self._entries[scope], scope)

    def _login(self, entry: t.Any, scope: str) -> Login:
        if not isinstance(entry, dict):
            raise self._error(f"its entry for {scope} is no mapping; give the file as podman login makes it")
        if entry.get("identitytoken") or entry.get("registrytoken"):
            raise self._error(
                f"its entry for {scope} holds a token for another kind of login; give a user and a password"
            )
        if entry.get("auth"):
            return self._decoded(str(entry["auth"]), scope)
        if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
            return Login(entry["username"], entry["password"])
        raise self._error(f"its entry for {scope} has neither auth nor username and password")

    def _decoded(self, auth: str, scope: str) -> Login:
        try:
            user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise self._error(f"auth of its entry for {scope} is not base64 of USER:PASSWORD")
        # Some tools leave the byte that ends a text in C.
        return Login(user, password.rstrip("\0"))

    def _error(self, problem: str) -> InvalidOption:
        return InvalidOption(self._option, self._name, problem)


NO_SECRET = PullSecret({}, False, "", "")


def read_pull_secret(text: str, option: str = "auth_file", name: str = "<pull secret>") -> PullSecret:
    """The pull secret in a text."""
    try:
        document = json.loads(text)
    except ValueError:
        # A parser's message would quote the secret.
        document = None
    if not isinstance(document, dict):
        raise InvalidOption(
            option, name, "it is not JSON; give the content of .dockerconfigjson, or podman's auth.json"
        )
    helpers = bool(document.get("credsStore") or document.get("credHelpers"))
    # The older layout has the registries at the top.
    entries = document.get("auths", {}) if "auths" in document or helpers else document
    if not isinstance(entries, dict):
        raise InvalidOption(option, name, "its auths is no mapping of registries")
    return PullSecret(entries, helpers, option, name)


def _scope(key: str) -> str:
    """A registry with or without a path. Docker writes whole addresses for some: https://host/v1/."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    bare = re.sub(r"/v[12]$", "", bare) if bare != key.rstrip("/") else bare
    host, slash, path = bare.partition("/")
    return host.lower() + slash + path


# --- authentication ---------------------------------------------------------------------------------------------------


class Challenge(t.NamedTuple):
    """What a registry says about how to log in."""

    scheme: str
    parameters: dict[str, str]


_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,)\s*(Bearer|Basic)(?=\s|,|$)", re.IGNORECASE)


def read_challenge(header: str) -> Challenge | None:
    """The challenge of a WWW-Authenticate header; Bearer where there are several, None where there is none we know."""
    starts = [*_SCHEME.finditer(header)]
    found: dict[str, Challenge] = {}
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(header)
        pairs = _PARAMETER.findall(header[start.end() : end])
        parameters = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in pairs}
        found.setdefault(start[1].lower(), Challenge(start[1].lower(), parameters))
    return found.get("bearer") or found.get("basic")
