# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin between a hub that is played and Ansible's own inventory. Whole runs are in tests/playbooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.sno.image_upgrade.plugins.inventory import managed_clusters
from ansible_collections.sno.image_upgrade.plugins.inventory.managed_clusters import InventoryModule
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._admin_kubeconfigs import NoRights
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._managed_clusters import ManagedCluster

KUBECONFIG = {"apiVersion": "v1", "users": [{"name": "admin", "user": {"client-key-data": "S0VZ"}}]}
DEFAULTS: dict[str, Any] = {
    "connection": "secret",
    "secret_namespace": "{cluster}",
    "secret_name": "{cluster}-admin-kubeconfig",
    "secret_key": "kubeconfig",
    "kubeconfig_file": "{cluster}.kubeconfig",
    "hub_variables": True,
    "kubeconfig": "/hub.kubeconfig",
    "strict": False,
    "cache": False,
}


class Session:
    """An address is all that the plugin itself wants of it; ``repeat`` is for whoever asks."""

    url = "https://hub.example.com:6443"

    def repeat(self, ask: Callable[[], Any]) -> Any:
        return ask()


class Played:
    """The plugin with given options, clusters and secrets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.options: dict[str, Any] = dict(DEFAULTS)
        self.clusters: list[ManagedCluster] = []
        self.kubeconfigs: dict[str, Any] = {}
        self.fetched: list[Any] = []
        self.troubles: list[Unanswered] = []
        self.warnings: list[str] = []
        self.cache: dict[str, Any] = {}
        self.path = tmp_path / "managed_clusters.yml"
        self.path.write_text("---\n")
        monkeypatch.setattr(managed_clusters._session, "open_session", lambda _options: Session())
        monkeypatch.setattr(managed_clusters, "fetch", self._fetch)
        monkeypatch.setattr(managed_clusters, "SecretReader", lambda _open, secrets: self)
        monkeypatch.setattr(InventoryModule, "_read_config_data", lambda _self, _path: {})
        monkeypatch.setattr(InventoryModule, "get_option", lambda _self, name, **_more: self.options.get(name))

    def _fetch(self, session: Session, selectors: Any) -> list[ManagedCluster]:
        self.fetched.append(selectors)
        return session.repeat(self._answer)  # type: ignore[no-any-return]

    def _answer(self) -> list[ManagedCluster]:
        if self.troubles:
            raise self.troubles.pop()
        return self.clusters

    def read(self, names: list[str]) -> dict[str, Any]:
        """In place of a SecretReader."""
        return {name: self.kubeconfigs[name] for name in names}

    def parse(self, cache: bool = True) -> InventoryData:
        """Ansible's inventory as the plugin fills it."""
        inventory, plugin = InventoryData(), InventoryModule()
        plugin._cache = self.cache
        plugin.display = type("Display", (), {"warning": lambda _self, text: self.warnings.append(text)})()
        plugin.get_cache_key = lambda path: "key"
        plugin.parse(inventory, DataLoader(), str(self.path), cache)
        return inventory


@pytest.fixture(name="played")
def fixture_played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    played = Played(monkeypatch, tmp_path)
    played.clusters = [
        ManagedCluster("one", {"region": "north"}, {}, "True", None),
        ManagedCluster("two", {"lcm.openshift.io/ibgu-upgrade-failed": ""}, {}, "Unknown", None),
    ]
    played.kubeconfigs = {"one": KUBECONFIG, "two": IbuError("the hub has no secret two/two-admin-kubeconfig")}
    return played


def template(text: str) -> str:
    """As it comes from an inventory file: trusted, where ansible-core makes the difference."""
    trust = managed_clusters.trust_as_template
    return str(text) if trust is None else trust(text)


def members(inventory: InventoryData, group: str) -> list[str]:
    """The hosts of a group."""
    return [host.name for host in inventory.groups[group].get_hosts()]


def test_a_host_has_all_that_the_playbooks_need(played: Played) -> None:
    variables = played.parse().hosts["one"].vars
    wanted = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ibu_hub_kubeconfig": "/hub.kubeconfig",
        "ibu_kubeconfig": KUBECONFIG,
        "ibu_managed_cluster": "one",
        "ibu_managed_cluster_labels": {"region": "north"},
        "ibu_managed_cluster_available": True,
    }
    assert {name: variables[name] for name in wanted} == wanted


def test_a_hub_that_is_busy_for_a_moment_costs_no_inventory(played: Played) -> None:
    played.troubles = [Unanswered("http", "apiserver is shutting down", 503)]

    assert set(played.parse().hosts) == {"one", "two"} and not played.troubles


def test_a_host_without_a_connection_says_why_and_is_in_a_group(played: Played) -> None:
    inventory = played.parse()
    variables = inventory.hosts["two"].vars
    assert variables["ibu_connection_error"] == "the hub has no secret two/two-admin-kubeconfig"
    assert "ibu_kubeconfig" not in variables
    assert members(inventory, "clusters_without_connection") == ["two"]
    assert played.warnings == [
        "1 of 2 clusters has no connection, for example two: the hub has no secret two/two-admin-kubeconfig "
        "(group clusters_without_connection, variable ibu_connection_error)"
    ]


def test_groups_come_from_the_hub(played: Played) -> None:
    inventory = played.parse()
    assert members(inventory, "managed_clusters") == ["one", "two"]
    assert members(inventory, "clusters_available") == ["one"]
    assert members(inventory, "ibgu_upgrade_failed") == ["two"]
    assert members(inventory, "ibgu_rollback_completed") == []


def test_constructed_groups_and_variables(played: Played) -> None:
    played.options["compose"] = {"where": template("ibu_managed_cluster_labels.region | default('nowhere')")}
    played.options["groups"] = {"far": template("'region' not in ibu_managed_cluster_labels")}
    played.options["keyed_groups"] = [{"key": template("ibu_managed_cluster_labels.region"), "prefix": "region"}]
    inventory = played.parse()
    assert inventory.hosts["two"].vars["where"] == "nowhere"
    assert members(inventory, "far") == ["two"]
    assert members(inventory, "region_north") == ["one"]


def test_what_looks_like_a_template_in_a_label_stays_text(played: Played) -> None:
    evil = "{{ lookup('ansible.builtin.pipe', 'id') }}"
    played.clusters = [ManagedCluster("one", {}, {"note": evil}, "True", None)]
    played.options["compose"] = {"note": template("ibu_managed_cluster_claims.note")}
    variables = played.parse().hosts["one"].vars
    templar = Templar(DataLoader(), variables=dict(variables))
    assert templar.template(variables["ibu_managed_cluster_claims"]) == {"note": evil}
    assert templar.template(variables["note"]) == evil


def test_the_hub_connection_can_be_kept_back(played: Played) -> None:
    played.options["hub_variables"] = False
    assert not [name for name in played.parse().hosts["one"].vars if name.startswith("ibu_hub_")]


def test_connection_none_sets_no_connection(played: Played) -> None:
    played.options["connection"] = "none"
    variables = played.parse().hosts["two"].vars
    assert "ibu_kubeconfig" not in variables
    assert "ibu_connection_error" not in variables


def test_kubeconfigs_from_a_directory(played: Played, tmp_path: Path) -> None:
    (tmp_path / "one.kubeconfig").touch()
    played.options.update(connection="kubeconfig_dir", kubeconfig_dir=str(tmp_path))
    inventory = played.parse()
    assert inventory.hosts["one"].vars["ibu_kubeconfig"] == str(tmp_path / "one.kubeconfig")
    assert members(inventory, "clusters_without_connection") == ["two"]


def test_a_directory_must_be_named(played: Played) -> None:
    played.options["connection"] = "kubeconfig_dir"
    with pytest.raises(AnsibleParserError, match="kubeconfig_dir"):
        played.parse()


def test_an_account_without_any_secret_is_one_error(played: Played) -> None:
    played.kubeconfigs = {"one": NoRights("secrets is forbidden"), "two": NoRights("secrets is forbidden")}
    with pytest.raises(AnsibleParserError, match="none of 2 clusters; give it get on these secrets"):
        played.parse()


def test_an_account_without_one_secret_is_that_clusters_affair(played: Played) -> None:
    played.kubeconfigs["two"] = NoRights("secrets is forbidden")
    assert played.parse().hosts["two"].vars["ibu_connection_error"] == "secrets is forbidden"


def test_an_error_leaves_nothing_half_done(played: Played) -> None:
    played.options["cluster_label_selectors"] = [{"matchLabel": {}}]
    with pytest.raises(AnsibleParserError, match=r"cluster_label_selectors\[0\]: 'matchLabel' is not valid"):
        played.parse()
    assert not played.fetched


def test_an_empty_list_of_selectors_is_not_the_same_as_none(played: Played) -> None:
    played.options["cluster_label_selectors"] = []
    played.parse()
    assert played.fetched == [()]


def test_the_cache_saves_the_listing_and_holds_no_credential(played: Played) -> None:
    played.options["cache"] = True
    first = played.parse()
    second = played.parse()
    assert len(played.fetched) == 1
    assert second.hosts["one"].vars == first.hosts["one"].vars
    assert "S0VZ" not in repr(played.cache)


def test_the_cache_is_not_used_where_it_must_be_renewed_or_the_question_is_another(played: Played) -> None:
    played.options["cache"] = True
    played.parse()
    played.parse(cache=False)
    played.options["cluster_label_selectors"] = [{"matchLabels": {"region": "north"}}]
    played.parse()
    assert len(played.fetched) == 3


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("managed_clusters.yml", True), ("prod.managed_clusters.yaml", True), ("clusters.yml", False)],
)
def test_the_file_name_says_whose_it_is(tmp_path: Path, name: str, accepted: bool) -> None:
    (tmp_path / name).write_text("---\n")
    assert InventoryModule().verify_file(str(tmp_path / name)) is accepted
