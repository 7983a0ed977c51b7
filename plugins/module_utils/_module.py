# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the modules for one cluster share: options, the session, and one way to fail."""

from __future__ import annotations

import copy
import os
import typing as t
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.sno.image_upgrade.plugins.module_utils import _connection, _session

_DEFAULT_KUBECONFIG = "~/.kube/config"


def cluster_module(argument_spec: t.Mapping[str, t.Any], **kwargs: t.Any) -> AnsibleModule:
    """A module with kubernetes.core's authentication options beside its own; fails where the client is missing."""
    module = AnsibleModule(argument_spec={**copy.deepcopy(AUTH_ARG_SPEC), **argument_spec}, **kwargs)
    kubeconfig = module.params["kubeconfig"]
    if _connection.names_a_file(kubeconfig):
        # kubernetes.core masks the option because it may hold a whole kubeconfig. A path is no secret, and without it
        # no message could say which file is meant.
        module.no_log_values.discard(kubeconfig)
    if not _session.HAS_KUBERNETES:
        module.fail_json(msg=missing_required_lib("kubernetes"))
    return module


def open_session(module: AnsibleModule) -> _session.Session:
    """A session from the module's options, the K8S_AUTH_* environment, or the default kubeconfig, in this order.

    Raises InvalidOption.
    """
    options = {name: _option(module, name) for name in AUTH_ARG_SPEC}
    if not _connection.has_connection(options) and os.path.exists(os.path.expanduser(_DEFAULT_KUBECONFIG)):
        options["kubeconfig"] = _DEFAULT_KUBECONFIG
    return _session.open_session(options)


def cluster_name(session: _session.Session) -> str:
    """How messages call the cluster: the host of its API address."""
    return urlsplit(session.url).hostname or session.url


def _option(module: AnsibleModule, name: str) -> t.Any:
    value = module.params.get(name)
    if value is not None:
        return value
    value = os.environ.get(f"K8S_AUTH_{name.upper()}")
    if value is not None and AUTH_ARG_SPEC[name].get("type") == "bool":
        return value.lower() not in ("0", "false", "no")
    return value
