# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""How to reach an API server, and as whom: kubernetes.core's authentication options, read and checked."""

from __future__ import annotations

import base64
import os
import re
import ssl
import tempfile
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP, AUTH_ARG_SPEC

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

try:
    import urllib3
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    HAS_KUBERNETES = True
    # libyaml where PyYAML has it: it saves two thirds of the time that opening a session takes.
    _YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    # Every caller reports this with missing_required_lib before it opens a session.
    HAS_KUBERNETES = False

_NAME_MOST = 255


class Connection(t.NamedTuple):
    """``context``: None where the address is not https. ``certificate``: the client's, in PEM; public."""

    configuration: Configuration
    context: ssl.SSLContext | None
    certificate: str


def connection_of(options: t.Mapping[str, t.Any], prefix: str = "") -> Connection:
    """What the options say. ``prefix`` is put before their names in errors, which are InvalidOption.

    Keys and certificates that a kubeconfig carries inline touch the disk only inside this call, in a directory of this
    user alone.
    """
    with tempfile.TemporaryDirectory(prefix="ibu-") as workdir:
        configuration = _configuration(options, prefix, workdir)
        return Connection(configuration, _tls_context(configuration, prefix), _certificate(configuration))


def has_connection(options: t.Mapping[str, t.Any]) -> bool:
    """True where the options say which API server is meant."""
    return bool(options.get("kubeconfig") or options.get("host"))


def names_a_file(kubeconfig: object) -> bool:
    """True for a value that may be shown: a path, not the text of a kubeconfig or a token that was put in its place."""
    if not isinstance(kubeconfig, str) or "\n" in kubeconfig or "{" in kubeconfig:
        return False
    # An encoded kubeconfig has one line and slashes too, but is long and does not begin like an absolute path.
    short = len(kubeconfig) <= _NAME_MOST and ("/" in kubeconfig or "." in kubeconfig)
    return kubeconfig.startswith(("/", "~")) or short or os.path.exists(kubeconfig)


# Options of kubernetes.core that the REST layer alone does not act on: ignoring them would mean another identity.
_UNSUPPORTED = ("username", "password", "impersonate_user", "impersonate_groups")


def _configuration(options: t.Mapping[str, t.Any], prefix: str, workdir: str) -> Configuration:
    for name in _UNSUPPORTED:
        if options.get(name):
            raise InvalidOption(
                f"{prefix}{name}", "<given>", "it is not supported; use a client certificate, or a token in api_key"
            )
    if not has_connection(options):
        raise InvalidOption(
            f"{prefix}kubeconfig",
            None,
            f"say how to reach the cluster: {prefix}kubeconfig, or {prefix}host with {prefix}client_cert "
            f"and {prefix}client_key",
        )
    configuration = Configuration()
    if options.get("kubeconfig"):
        _load_kubeconfig(configuration, options, prefix, workdir)
    for attribute, option in AUTH_ARG_MAP.items():
        value = options.get(option)
        if value is None or option in ("kubeconfig", "context", "persist_config"):
            continue
        if AUTH_ARG_SPEC[option].get("type") == "bool":
            value = _boolean(value, f"{prefix}{option}")
        elif option == "api_key":
            value = {"authorization": f"Bearer {value}"}
        elif option == "proxy_headers":
            value = _proxy_headers(value, f"{prefix}{option}")
        elif option == "host":
            _check_address(value, f"{prefix}{option}")
        setattr(configuration, attribute, value)
    _check_address(configuration.host, f"{prefix}kubeconfig")
    return configuration


def _check_address(address: t.Any, option: str) -> None:
    """Refuse an address without a scheme: the transport would take it for plain HTTP, and send a token in the clear."""
    if not str(address).startswith(("https://", "http://")):
        raise InvalidOption(option, address, "give the API's address as https://HOST:PORT")


def _proxy_headers(value: t.Any, option: str) -> t.Any:
    try:
        return urllib3.util.make_headers(**value)
    except TypeError:
        raise InvalidOption(
            option, "<given>", "give a dictionary of basic_auth, proxy_basic_auth and user_agent"
        ) from None


def _boolean(value: t.Any, option: str) -> bool:
    try:
        return bool(boolean(value))
    except TypeError:
        raise InvalidOption(option, value, "give true or false") from None


def _load_kubeconfig(configuration: Configuration, options: t.Mapping[str, t.Any], prefix: str, workdir: str) -> None:
    option, value = f"{prefix}kubeconfig", options["kubeconfig"]
    shown = value if names_a_file(value) else "<inline kubeconfig>"
    if isinstance(value, str) and not names_a_file(value):
        raise InvalidOption(option, "<text>", "give the path of a file, or the kubeconfig itself as a dictionary")
    document = _read_kubeconfig(option, value) if isinstance(value, str) else value
    if not isinstance(document, dict) or not document.get("clusters"):
        raise InvalidOption(
            option, shown, "it is empty or no kubeconfig; give a file with clusters, users and contexts"
        )
    base = os.path.dirname(os.path.abspath(os.path.expanduser(value))) if isinstance(value, str) else os.getcwd()
    try:
        load_kube_config_from_dict(
            _with_files(document, base, workdir),
            context=options.get("context"),
            client_configuration=configuration,
            persist_config=False,
        )
        _check_user(document, options.get("context"))
    except (AttributeError, ConfigException, KeyError, OSError, TypeError, ValueError) as error:
        # The library's text names the broken entry and never its secret.
        raise InvalidOption(option, shown, f"it cannot be used: {error}") from error


def _check_user(document: t.Mapping[str, t.Any], context: str | None) -> None:
    """Raise ValueError where a usable kubeconfig names a user that it lacks: the client would go on as nobody."""
    name = context or document["current-context"]
    user = next(entry["context"].get("user") for entry in document["contexts"] if entry["name"] == name)
    if user and user not in [entry["name"] for entry in document.get("users") or ()]:
        raise ValueError(f"its context {name!r} names the user {user!r}, who is not among its users")


def _read_kubeconfig(option: str, path: str) -> t.Any:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            return yaml.load(stream, Loader=_YAML_LOADER)  # noqa: S506
    except OSError as error:
        raise InvalidOption(option, path, f"the file cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # A parser's message would quote the file.
        raise InvalidOption(option, path, "the file is not YAML") from None


def _with_files(document: t.Mapping[str, t.Any], base: str, workdir: str) -> dict[str, t.Any]:
    """The kubeconfig with inline data moved to files in ``workdir`` and relative paths made absolute.

    The client library would put inline data into temporary files that outlive a forked worker.
    """
    result = dict(document)
    for section, inner, keys in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key")),
    ):
        result[section] = [
            {**entry, inner: _entry_with_files(entry.get(inner) or {}, keys, base, workdir)}
            for entry in document.get(section) or ()
        ]
    return result


def _entry_with_files(entry: t.Mapping[str, t.Any], keys: t.Iterable[str], base: str, workdir: str) -> dict[str, t.Any]:
    result = dict(entry)
    for key in keys:
        data = result.pop(f"{key}-data", None)
        if data:
            descriptor, result[key] = tempfile.mkstemp(dir=workdir)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(base64.b64decode(data))
        elif result.get(key):
            result[key] = os.path.join(base, result[key])
    return result


def _tls_context(configuration: Configuration, prefix: str) -> ssl.SSLContext | None:
    """One TLS context for all connections of a session; None where the address is not https."""
    if not str(configuration.host).startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        names = f"{prefix}kubeconfig, {prefix}ca_cert, {prefix}client_cert or {prefix}client_key"
        raise InvalidOption(names, configuration.host, f"its certificates or key cannot be loaded: {error}") from error
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificate(configuration: Configuration) -> str:
    """The client's certificate. A file that also holds the key is cut down to what is public."""
    if not configuration.cert_file:
        return ""
    with open(configuration.cert_file, encoding="ascii", errors="replace") as stream:
        found = re.search(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", stream.read())
    return found[0] if found else ""
