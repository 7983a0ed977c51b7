# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: managed_clusters
short_description: Clusters of an Advanced Cluster Management hub as inventory hosts
version_added: 0.1.0
description:
  - Makes a host of every ManagedCluster of a hub, or of those that label selectors choose, with the connection
    variables that the playbooks and action plugins of this collection use.
  - The inventory file's name ends in C(managed_clusters.yml) or C(managed_clusters.yaml).
  - Host variables are C(ibu_managed_cluster) (its name on the hub), C(ibu_managed_cluster_labels),
    C(ibu_managed_cluster_claims), C(ibu_managed_cluster_version) (claim C(version.openshift.io), else label
    C(openshiftVersion)), C(ibu_managed_cluster_available) (whether the condition
    C(ManagedClusterConditionAvailable) is true), C(ibu_managed_cluster_url) (of its API server), C(ansible_connection)
    and C(ansible_python_interpreter).
  - Groups are C(managed_clusters), after that condition C(clusters_available), C(clusters_unavailable) or
    C(clusters_unknown), further C(clusters_without_connection), and after the labels of group upgrades
    C(ibgu_<action>_completed) and C(ibgu_<action>_failed), for example C(ibgu_upgrade_failed). They are there without
    members too.
  - A cluster whose kubeconfig is missing or unusable stays in the inventory, without connection variables; its variable
    C(ibu_connection_error) says why.
author:
  - The sno.image_upgrade authors (@sno-image-upgrade)
extends_documentation_fragment:
  - constructed
  - inventory_cache
requirements:
  - kubernetes >= 31.0.0
  - urllib3 >= 2.0
notes:
  - With O(connection=secret) the host variable C(ibu_kubeconfig) holds the cluster's admin credential. No task of this
    collection prints it, at any verbosity, but C(ansible-inventory --list) and a task that prints C(hostvars) do.
    With O(connection=kubeconfig_dir) it is a path.
  - The cache holds what the ManagedClusters say (names, labels, claims, availability) and never a credential. With
    O(connection=secret) the secrets are read every time.
  - Where Ansible cannot use an inventory source it warns and goes on with the others. Set
    C(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true) to fail instead.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [sno.image_upgrade.managed_clusters]
  kubeconfig:
    description:
      - Path of the hub's kubeconfig, or the kubeconfig itself as a mapping.
      - This or O(host) is needed.
    type: raw
    env:
      - name: K8S_AUTH_KUBECONFIG
  context:
    description: The context of the kubeconfig. When omitted, its current context.
    type: str
    env:
      - name: K8S_AUTH_CONTEXT
  host:
    description: URL of the hub's API server.
    type: str
    env:
      - name: K8S_AUTH_HOST
  api_key:
    description: Token for the hub.
    type: str
    env:
      - name: K8S_AUTH_API_KEY
  validate_certs:
    description: Whether the certificate of the hub's API server is verified. When omitted, it is.
    type: bool
    aliases: [verify_ssl]
    env:
      - name: K8S_AUTH_VALIDATE_CERTS
      - name: K8S_AUTH_VERIFY_SSL
  ca_cert:
    description: Path of the CA certificates that the hub's API server is verified against.
    type: path
    aliases: [ssl_ca_cert]
    env:
      - name: K8S_AUTH_CA_CERT
      - name: K8S_AUTH_SSL_CA_CERT
  client_cert:
    description: Path of a client certificate for the hub.
    type: path
    aliases: [cert_file]
    env:
      - name: K8S_AUTH_CLIENT_CERT
      - name: K8S_AUTH_CERT_FILE
  client_key:
    description: Path of the key to O(client_cert).
    type: path
    aliases: [key_file]
    env:
      - name: K8S_AUTH_CLIENT_KEY
      - name: K8S_AUTH_KEY_FILE
  proxy:
    description: URL of an HTTP proxy on the way to the hub.
    type: str
    env:
      - name: K8S_AUTH_PROXY
  no_proxy:
    description: Hosts, domains and networks, separated by commas, that O(proxy) is not used for.
    type: str
    env:
      - name: K8S_AUTH_NO_PROXY
  proxy_headers:
    description: Headers for the proxy, C(proxy_basic_auth), C(basic_auth) and C(user_agent).
    type: dict
  cluster_label_selectors:
    description:
      - The clusters to take, in the words of C(spec.clusterLabelSelectors) of an ImageBasedGroupUpgrade, so that the
        same list means the same clusters here and there.
      - Every entry has C(matchLabels), C(matchExpressions) or both. Inside an entry everything must match; a cluster is
        taken when one of the entries matches.
      - When omitted, all ManagedClusters are taken. An empty list takes none, an entry C({}) takes all.
    type: list
    elements: dict
    aliases: [clusterLabelSelectors]
  connection:
    description:
      - Where C(ibu_kubeconfig) comes from.
      - V(secret) reads the cluster's admin kubeconfig from a secret on the hub, and keeps its current context's server,
        certificates, key and token. It needs the right to get these secrets.
      - V(kubeconfig_dir) names a file in O(kubeconfig_dir).
      - V(none) sets no connection variables. Set them in C(group_vars), or with O(compose).
    type: str
    choices: [secret, kubeconfig_dir, none]
    default: secret
  secret_name:
    description: Name of the secret; C({cluster}) stands for the cluster's name.
    type: str
    default: "{cluster}-admin-kubeconfig"
  secret_namespace:
    description: Namespace of the secret; C({cluster}) stands for the cluster's name.
    type: str
    default: "{cluster}"
  secret_key:
    description: The key in the secret that holds the kubeconfig.
    type: str
    default: kubeconfig
  secret_label_selector:
    description:
      - Where the account may list secrets in all namespaces, those with this label selector are read page by page,
        instead of one request for each cluster. The secrets that the assisted installer makes have
        V(hive.openshift.io/secret-type=kubeconfig).
      - Secrets that the listing lacks, or all where it is not permitted, are read one by one, several at a time. This
        is also what happens when omitted.
    type: str
  kubeconfig_dir:
    description: The directory with one kubeconfig for each cluster, for O(connection=kubeconfig_dir).
    type: path
  kubeconfig_file:
    description: Name of the file in O(kubeconfig_dir); C({cluster}) stands for the cluster's name.
    type: str
    default: "{cluster}.kubeconfig"
  hub_variables:
    description:
      - Whether the hosts get the connection to the hub as C(ibu_hub_<option>), so that playbooks can hold back the
        hub's auto-import during an upgrade.
      - Addresses, names and paths are passed on. A token, a kubeconfig given as a mapping, O(proxy_headers) and a
        O(proxy) with a password are not; set C(ibu_hub_api_key) or C(ibu_hub_kubeconfig) yourself.
    type: bool
    default: true
"""

EXAMPLES = r"""
# Every cluster of the hub, with the admin kubeconfigs that the hub keeps.
plugin: sno.image_upgrade.managed_clusters
kubeconfig: ~/hub.kubeconfig

---
# The clusters that an ImageBasedGroupUpgrade with this clusterLabelSelectors would take; groups region_north and so on.
plugin: sno.image_upgrade.managed_clusters
kubeconfig: ~/hub.kubeconfig
cluster_label_selectors:
  - matchLabels:
      common: "true"
    matchExpressions:
      - key: region
        operator: In
        values: [north, south]
  - matchLabels:
      canary: "true"
keyed_groups:
  - key: ibu_managed_cluster_labels.region | default('')
    prefix: region
groups:
  old: ibu_managed_cluster_version is version('4.16', '<')
strict: true

---
# Kubeconfigs from a directory of the controller, and an answer of the hub that may be ten minutes old.
plugin: sno.image_upgrade.managed_clusters
kubeconfig: ~/hub.kubeconfig
connection: kubeconfig_dir
kubeconfig_dir: ~/kubeconfigs
kubeconfig_file: "{cluster}.yml"
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/managed_clusters
cache_timeout: 600
"""

import dataclasses
import typing as t

from ansible.errors import AnsibleParserError
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.sno.image_upgrade.plugins.module_utils import _session
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import over_a_busy_moment
from ansible_collections.sno.image_upgrade.plugins.module_utils._selectors import Selector, parse_selectors
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import has_have
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._admin_kubeconfigs import (
    Found,
    NoRights,
    SecretReader,
    Secrets,
    files_in,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._managed_clusters import (
    HUB_OPTIONS,
    WITHOUT_CONNECTION,
    ManagedCluster,
    fetch,
    hub_variables,
    queries,
    standing_groups,
)

try:
    from ansible.template import trust_as_template
except ImportError:
    # Before 2.19 every string is a template that is not marked as unsafe; since then it is none that is not trusted.
    trust_as_template = None


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Reads everything first and fills the inventory then, so that an error leaves nothing half done."""

    NAME = "sno.image_upgrade.managed_clusters"

    def verify_file(self, path: str) -> bool:
        """Only files whose name says what they are."""
        return bool(super().verify_file(path)) and path.endswith(("managed_clusters.yml", "managed_clusters.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Ansible's entry point."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        if not _session.HAS_KUBERNETES:
            raise AnsibleParserError(missing_required_lib("kubernetes"))
        try:
            clusters = self._clusters(path, cache)
            connections = self._connections([cluster.name for cluster in clusters])
        except IbuError as error:
            raise AnsibleParserError(str(error)) from error
        self._fill(clusters, connections)

    # -- what the hub says ------------------------------------------------------------------------------------------

    def _open_hub(self) -> _session.Session:
        return _session.open_session({name: self.get_option(name) for name in HUB_OPTIONS})

    def _clusters(self, path: str, cache: bool) -> list[ManagedCluster]:
        session, selectors = self._open_hub(), self._selectors()
        session.repeat = over_a_busy_moment()
        if not self.get_option("cache"):
            return fetch(session, selectors)
        # An edited file must not get the answer to its earlier question.
        question = {"hub": session.url, "queries": queries(selectors)}
        key = self.get_cache_key(path)
        cached = self._cache.get(key) if cache else None
        if not cached or cached["question"] != question:
            clusters = [dataclasses.asdict(cluster) for cluster in fetch(session, selectors)]
            cached = self._cache[key] = {"question": question, "clusters": clusters}
        return [ManagedCluster(**cluster) for cluster in cached["clusters"]]

    def _selectors(self) -> tuple[Selector, ...] | None:
        value = self.get_option("cluster_label_selectors")
        return None if value is None else parse_selectors(value, "cluster_label_selectors")

    # -- connections ------------------------------------------------------------------------------------------------

    def _connections(self, names: list[str]) -> dict[str, Found]:
        kind = self.get_option("connection")
        if kind == "secret":
            return self._from_secrets(names)
        if kind == "kubeconfig_dir":
            directory = self.get_option("kubeconfig_dir")
            if not directory:
                raise InvalidOption("kubeconfig_dir", directory, "connection: kubeconfig_dir needs it")
            return files_in(directory, self.get_option("kubeconfig_file"), names)
        return {}

    def _from_secrets(self, names: list[str]) -> dict[str, Found]:
        options = (f"secret_{part}" for part in ("namespace", "name", "key", "label_selector"))
        found = SecretReader(self._open_hub, Secrets(*map(self.get_option, options))).read(names)
        refused = [error for error in found.values() if isinstance(error, NoRights)]
        if refused and len(refused) == len(found):
            raise IbuError(
                f"the account may read the admin kubeconfig of none of {len(found)} clusters; give it get on these "
                f"secrets, or set connection to kubeconfig_dir or none ({refused[0]})"
            )
        return found

    # -- the inventory ----------------------------------------------------------------------------------------------

    def _fill(self, clusters: list[ManagedCluster], connections: dict[str, Found]) -> None:
        common = self._common_variables()
        for group in standing_groups():
            self.inventory.add_group(group)
        for cluster in clusters:
            connection, groups = _connection_of(connections.get(cluster.name))
            variables = {**common, **_as_text({**cluster.variables, **connection})}
            self.inventory.add_host(cluster.name)
            for name, value in variables.items():
                self.inventory.set_variable(cluster.name, name, value)
            for group in (*cluster.groups, *groups):
                self.inventory.add_group(group)
                self.inventory.add_child(group, cluster.name)
            self._construct(cluster.name, variables)
        self._warn_of(connections)

    def _common_variables(self) -> dict[str, t.Any]:
        hub = {name: self.get_option(name) for name in HUB_OPTIONS} if self.get_option("hub_variables") else {}
        python = "{{ ansible_playbook_python }}"
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": trust_as_template(python) if trust_as_template else python,
            **_as_text(hub_variables(hub)),
        }

    def _construct(self, name: str, variables: dict[str, t.Any]) -> None:
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _warn_of(self, connections: dict[str, Found]) -> None:
        errors = [(name, error) for name, error in connections.items() if isinstance(error, IbuError)]
        for name, error in errors[:1]:
            self.display.warning(
                f"{len(errors)} of {len(connections)} clusters {has_have(len(errors))} no connection, for example "
                f"{name}: {error} "
                f"(group {WITHOUT_CONNECTION}, variable ibu_connection_error)"
            )


def _connection_of(found: Found | None) -> tuple[dict[str, t.Any], list[str]]:
    """The connection variables and groups of a host."""
    if isinstance(found, IbuError):
        return {"ibu_connection_error": str(found)}, [WITHOUT_CONNECTION]
    return ({} if found is None else {"ibu_kubeconfig": found}), []


def _as_text(value: t.Any) -> t.Any:
    """Labels and secrets are written by others: what looks like a template in them must stay text."""
    if trust_as_template:
        return value
    if isinstance(value, dict):
        return {key: _as_text(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_as_text(entry) for entry in value]
    return wrap_var(value) if isinstance(value, str) and "{" in value else value
