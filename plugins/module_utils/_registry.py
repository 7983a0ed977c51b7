# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Asking a container registry about an image: manifest, digest, size and labels. Nothing of the image is pulled.

Speaks the OCI distribution API through urllib3, which the Kubernetes client brings along. No podman, no skopeo.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import time
import typing as t
import urllib.request as system
import warnings
from dataclasses import dataclass, field
from urllib.parse import unquote, urlencode, urljoin, urlsplit, urlunsplit

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref
from ansible_collections.sno.image_upgrade.plugins.module_utils._image_ref import NO_SECRET, PullSecret, Reference
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

try:
    import urllib3

    HAS_URLLIB3 = True
except ImportError:
    # Every caller reports this with missing_required_lib before it asks a registry.
    HAS_URLLIB3 = False

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LISTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = ", ".join(_MANIFESTS + _LISTS)
_OTHER_SERVER = "check the address, and that a registry answers there"
_MOST_BYTES = 8 * 1024 * 1024
_REDIRECTS = 5
_TRIES = 3
_PAUSE_SECONDS, _LONGEST_PAUSE = 1.0, 10.0
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
# The one registry whose API is not where its images are said to be.
_API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class RegistryError(IbuError):
    """A registry did not give what it was asked for. ``missing``: it has no such image."""

    def __init__(self, asked: str, problem: str, remedy: str, missing: bool = False) -> None:
        super().__init__(f"{asked}: {problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.missing = missing


@dataclass(frozen=True)
class Reach:
    """How registries are reached. ``proxy`` None takes the environment's; an empty text takes none.

    ``ca_file`` is trusted beside the system's own authorities. ``insecure`` gives up all protection, and allows HTTP.
    """

    secret: PullSecret = NO_SECRET
    ca_file: str | None = None
    proxy: str | None = None
    insecure: bool = False
    mirrors: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    architecture: str = "amd64"


@dataclass(frozen=True)
class ImageFacts:
    """What a registry says of an image. ``size`` is what a node has to pull, in bytes, compressed as it is.

    ``digest`` is of what the name stands for, ``manifest_digest`` of the image for the architecture; they differ
    where the name stands for a list of images. ``asked`` is where the answer came from, which may be a mirror.
    """

    digest: str
    labels: t.Mapping[str, str]
    size: int
    manifest_digest: str = ""
    architecture: str = ""
    created: str = ""
    asked: str = ""


class Registry:
    """Registries, reached in one way."""

    def __init__(self, reach: Reach | None = None, pause: t.Callable[[float], None] = time.sleep) -> None:
        self._reach = reach or Reach()
        self._pause = pause
        self._context = _tls_context(self._reach)
        self._tokens: dict[tuple[str, str], str] = {}
        self._plain: set[str] = set()

    def labels(self, image: str) -> ImageFacts:
        """The facts of an image. Mirrors are asked first; where none has it, the error tells of all."""
        with warnings.catch_warnings():
            if self._reach.insecure:
                # Whoever asks for it need not be told at every request.
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            return self._labels(image)

    def _labels(self, image: str) -> ImageFacts:
        failed: list[RegistryError] = []
        for reference in _image_ref.candidates(_image_ref.parse(image), self._reach.mirrors):
            try:
                return self._facts(reference)
            except RegistryError as error:
                failed.append(error)
            except (AttributeError, KeyError, TypeError):
                # Valid JSON of another shape; which part it is helps nobody.
                asked = f"registry {reference.registry}: image {reference}"
                failed.append(RegistryError(asked, "its manifest has an unknown layout", _OTHER_SERVER))
        last = failed[-1]
        if len(failed) == 1:
            raise last
        raise RegistryError(
            image, "; ".join(str(error) for error in failed), "no mirror has it either", last.missing
        ) from last

    def _facts(self, reference: Reference) -> ImageFacts:
        asked = f"registry {reference.registry}: image {reference}"
        first = self._manifest(reference, reference.wanted, asked)
        document, digest = first, _digest(first)
        manifest = self._decoded(document, asked)
        if "manifests" in manifest:
            digest = _of_platform(manifest, self._reach.architecture, asked)
            document = self._manifest(reference, digest, asked)
            manifest = self._decoded(document, asked)
        config = self._config(reference, manifest, asked)
        return ImageFacts(
            digest=_digest(first),
            labels={str(k): str(v) for k, v in ((config.get("config") or {}).get("Labels") or {}).items()},
            size=sum(layer["size"] for layer in manifest.get("layers") or () if isinstance(layer.get("size"), int)),
            manifest_digest=digest,
            architecture=str(config.get("architecture") or ""),
            created=str(config.get("created") or ""),
            asked=str(reference),
        )

    def _manifest(self, reference: Reference, wanted: str, asked: str) -> bytes:
        path = f"/v2/{reference.repository}/manifests/{wanted}"
        return _checked(self._get(reference, path, asked, _ACCEPT), wanted, asked)

    def _config(self, reference: Reference, manifest: t.Mapping[str, t.Any], asked: str) -> dict[str, t.Any]:
        digest = str((manifest.get("config") or {}).get("digest") or "")
        if not digest.startswith("sha256:"):
            kind = manifest.get("mediaType") or f"schema version {manifest.get('schemaVersion')}"
            raise RegistryError(asked, f"its manifest ({kind}) names no configuration", "push the image in OCI format")
        content = self._get(reference, f"/v2/{reference.repository}/blobs/{digest}", asked, "*/*")
        return self._decoded(_checked(content, digest, asked), asked)

    @staticmethod
    def _decoded(content: bytes, asked: str) -> dict[str, t.Any]:
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError(asked, "the answer is not JSON", _OTHER_SERVER)
        return document

    # --- requests -----------------------------------------------------------------------------------------------------

    def _get(self, reference: Reference, path: str, asked: str, accept: str) -> bytes:
        """The document at a path of a registry, after logging in where it asks for that."""
        key = (reference.registry, reference.repository)
        reply = self._at_registry(reference, path, asked, accept, self._tokens.get(key))
        if reply.status == 401:
            self._tokens[key] = self._authorization(reference, reply.headers.get("WWW-Authenticate", ""), asked)
            reply = self._at_registry(reference, path, asked, accept, self._tokens[key])
        if reply.status != 200:
            raise self._refusal(reference, reply, asked)
        return reply.body

    def _at_registry(self, reference: Reference, path: str, asked: str, accept: str, token: str | None) -> _Reply:
        headers = {"Accept": accept, **({"Authorization": token} if token else {})}
        host = _API_HOSTS.get(reference.registry, reference.registry)
        if reference.registry not in self._plain:
            try:
                return self._request(f"https://{host}{path}", headers, asked)
            except _NotTls:
                if not self._reach.insecure:
                    raise RegistryError(
                        asked,
                        "it speaks HTTP without TLS there",
                        "let it serve HTTPS; where that cannot be, ibu_seed_registry_insecure=true allows HTTP",
                    ) from None
                self._plain.add(reference.registry)
        return self._request(f"http://{host}{path}", headers, asked)

    def _authorization(self, reference: Reference, header: str, asked: str) -> str:
        """The Authorization header that answers a challenge."""
        login = self._reach.secret.login(reference)
        challenge = _image_ref.read_challenge(header)
        if challenge is None:
            raise RegistryError(asked, "it wants a login of a kind that is not known (401)", "check the address")
        if challenge.scheme == "basic":
            if login is None:
                raise RegistryError(asked, "it wants a login (401)", _login_remedy(reference))
            return login.basic
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm, asked)
        service = challenge.parameters.get("service")
        scope = challenge.parameters.get("scope") or f"repository:{reference.repository}:pull"
        query = urlencode({**({"service": service} if service else {}), "scope": scope})
        where = f"{asked}: token of {urlsplit(realm).netloc}"
        headers = {"Accept": "application/json", **({"Authorization": login.basic} if login else {})}
        reply = self._request(f"{realm}{'&' if '?' in realm else '?'}{query}", headers, where)
        if reply.status in (400, 401, 403):
            says = f"the login is not accepted ({reply.status})" if login else f"it wants a login ({reply.status})"
            raise RegistryError(where, says, _login_remedy(reference))
        if reply.status != 200:
            raise self._refusal(reference, reply, where)
        document = self._decoded(reply.body, where)
        token = document.get("token") or document.get("access_token")
        if not token:
            raise RegistryError(where, "the answer holds no token", "ask who runs the registry")
        return f"Bearer {token}"

    def _check_realm(self, realm: str, asked: str) -> None:
        """A password goes to the realm, so it has to be an address with TLS."""
        scheme = urlsplit(realm).scheme
        if scheme != "https" and not (self._reach.insecure and scheme == "http"):
            raise RegistryError(
                asked, f"it sends for a token to {realm!r}, which has no TLS", "let the token service serve HTTPS"
            )

    @staticmethod
    def _refusal(reference: Reference, reply: _Reply, asked: str) -> RegistryError:
        says = _api_error(reply.body)
        if reply.status == 404:
            return RegistryError(
                asked, f"there is no such image (404{says})", "check name and tag, and that it was pushed there", True
            )
        if reply.status in (401, 403):
            return RegistryError(asked, f"the login is not accepted ({reply.status}{says})", _login_remedy(reference))
        if reply.status == 429:
            return RegistryError(asked, f"it has had too many requests (429{says})", "wait, or use a mirror")
        if reply.status in _PASSING:
            return RegistryError(asked, f"it is in trouble ({reply.status}{says})", "try again later")
        return RegistryError(asked, f"it answered with HTTP {reply.status}{says}", _OTHER_SERVER)

    def _request(self, url: str, headers: t.Mapping[str, str], asked: str) -> _Reply:
        """One answer. Trouble that passes is waited for; redirects are followed, without the login elsewhere."""
        for attempt in range(1, _TRIES):
            try:
                reply = self._followed(url, dict(headers), asked)
            except _Passing:
                self._pause(_PAUSE_SECONDS * attempt)
                continue
            if reply.status not in _PASSING:
                return reply
            self._pause(_wanted_pause(reply.headers, _PAUSE_SECONDS * attempt))
        try:
            return self._followed(url, dict(headers), asked)
        except _Passing as error:
            raise error.told from error

    def _followed(self, url: str, headers: dict[str, str], asked: str) -> _Reply:
        for _hop in range(_REDIRECTS):
            reply = self._once(url, headers, asked)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            target = urljoin(url, reply.headers.get("Location", ""))
            if urlsplit(target).scheme != "https" and not self._reach.insecure:
                raise RegistryError(
                    asked, f"it redirects to {_shown(target)}, which has no TLS", "ask who runs the registry"
                )
            if _origin(target) != _origin(url):
                # The storage behind a registry is someone else, and has its own signature in the address.
                headers.pop("Authorization", None)
            url = target
        raise RegistryError(asked, f"more than {_REDIRECTS} redirects", "ask who runs the registry")

    def _once(self, url: str, headers: t.Mapping[str, str], asked: str) -> _Reply:
        parts = urlsplit(url)
        pool, proxy = self._pool(parts.scheme, parts.netloc)
        through = f" through the proxy {_shown(proxy)}" if proxy else ""
        host = parts.netloc
        try:
            response = pool.request(
                "GET",
                url,
                headers={"User-Agent": "sno.image_upgrade", **headers},
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                body = response.read(_MOST_BYTES + 1, decode_content=True)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise self._transport_error(error, asked, host, through) from None
        finally:
            pool.clear()
        if len(body) > _MOST_BYTES:
            raise RegistryError(asked, f"the answer has more than {_MOST_BYTES} bytes", "check the address")
        return _Reply(response.status, response.headers, body)

    def _pool(self, scheme: str, netloc: str) -> tuple[urllib3.PoolManager, str]:
        """Connections for one request, and the proxy that they go through."""
        context = self._context
        proxy = _environment_proxy(scheme, netloc) if self._reach.proxy is None else self._reach.proxy
        if not proxy:
            return urllib3.PoolManager(ssl_context=context), ""
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidOption("proxy", _shown(proxy), "give http://HOST:PORT")
        login = f"{parts.username}:{parts.password or ''}" if parts.username else None
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
        manager = urllib3.ProxyManager(bare, proxy_headers=headers, proxy_ssl_context=context, ssl_context=context)
        return manager, bare

    @staticmethod
    def _transport_error(error: Exception, asked: str, host: str, through: str) -> Exception:
        errors = urllib3.exceptions
        detail = _brief(error)
        where = f"{host}{through}"
        if isinstance(error, errors.ProxyError):
            return _Passing(RegistryError(asked, f"no way{through}: {detail}", "check ibu_seed_registry_proxy"))
        if isinstance(error, errors.SSLError):
            if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error).upper():
                return _NotTls()
            return RegistryError(
                asked,
                f"no trusted TLS connection to {where}: {detail}",
                "give the CA that signed its certificate in ibu_seed_registry_ca",
            )
        if isinstance(error, errors.NameResolutionError):
            return RegistryError(
                asked, f"the name of {where} is not known", "check the name, or give a proxy or a mirror"
            )
        # A connection that was refused counts as a timeout, too, in urllib3.
        if isinstance(error, errors.TimeoutError) and not isinstance(error, errors.NewConnectionError):
            return _Passing(
                RegistryError(asked, f"no answer from {where} in time", "check the network, or give a proxy")
            )
        return _Passing(RegistryError(asked, f"no connection to {where}: {detail}", "check address and network"))


class _Reply(t.NamedTuple):
    status: int
    headers: t.Mapping[str, str]
    body: bytes


class _Passing(Exception):
    """Trouble that may pass; ``told`` is what to say if it does not."""

    def __init__(self, told: RegistryError) -> None:
        super().__init__(str(told))
        self.told = told


class _NotTls(Exception):
    """Something that is not TLS answers where TLS was expected."""


def _environment_proxy(scheme: str, netloc: str) -> str:
    """The proxy that the environment names for an address, with regard to no_proxy."""
    proxies = system.getproxies_environment()
    bypass = t.cast("t.Callable[[str, dict[str, str]], bool]", vars(system)["proxy_bypass_environment"])
    return "" if bypass(netloc, proxies) else proxies.get(scheme, "")


def _tls_context(reach: Reach) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if reach.ca_file:
            context.load_verify_locations(os.path.expanduser(reach.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InvalidOption(
            "ibu_seed_registry_ca", reach.ca_file, f"give a file with certificates in PEM form: {error}"
        ) from error
    if reach.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _of_platform(manifest: t.Mapping[str, t.Any], architecture: str, asked: str) -> str:
    """The digest of the image for Linux on the architecture, of a list of images."""
    platforms = [(entry.get("platform") or {}, str(entry.get("digest"))) for entry in manifest["manifests"]]
    for platform, digest in platforms:
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return digest
    there = sorted({f"{platform.get('os')}/{platform.get('architecture')}" for platform, _digest in platforms})
    raise RegistryError(
        asked,
        f"there is no image for linux/{architecture} in it, but {', '.join(there) or 'nothing'}",
        "check the image, or give the architecture of the nodes",
    )


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _checked(content: bytes, wanted: str, asked: str) -> bytes:
    """The content, which is what its digest says where that was asked for."""
    if wanted.startswith("sha256:") and _digest(content) != wanted:
        raise RegistryError(asked, f"what came is not {wanted}", "somebody on the way changes answers; check the proxy")
    return content


def _login_remedy(reference: Reference) -> str:
    return f"give a pull secret with a valid login for {reference.registry} in ibu_seed_registry_auth_file"


def _api_error(body: bytes) -> str:
    """The registry's own words; what it answers is of no trust and may be long."""
    try:
        first = json.loads(body)["errors"][0]
        return f" {first.get('code', '')}: {first.get('message', '')}"[:200]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""


def _wanted_pause(headers: t.Mapping[str, str], otherwise: float) -> float:
    try:
        return min(float(headers["Retry-After"]), _LONGEST_PAUSE)
    except (KeyError, ValueError):
        return otherwise


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _shown(url: str) -> str:
    """An address without the login in it and without what signs it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
