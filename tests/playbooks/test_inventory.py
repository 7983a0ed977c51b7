# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory from a simulated hub, as ansible-inventory and ansible-playbook read it."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session, open_session

from .runs import ANSIBLE_PLAYBOOK, Ended, Playground, ansible, names, scenario

# How many objects Session.list asks for at once.
PAGE = 500
MANAGED = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
PREP_COMPLETED = "lcm.openshift.io/ibgu-prep-completed"
READER = {"reader": {"groups": []}}


@dataclass
class Hub:
    """The hub of a fleet, and inventory files that name it."""

    ground: Playground
    folder: Path

    @functools.cached_property
    def session(self) -> Session:
        """As the administrator."""
        return open_session({"kubeconfig": str(self.ground.fleet.hub_kubeconfig)})

    def label(self, name: str, **labels: str) -> None:
        """Set labels of a ManagedCluster."""
        self.session.merge_patch(f"{MANAGED}/{name}", {"metadata": {"labels": labels}})

    def add_secret(self, name: str, text: str | None = None) -> None:
        """Give a cluster its admin kubeconfig secret, as an installation leaves it."""
        raw = (text or self.ground.fleet.kubeconfig(name).read_text()).encode()
        meta = {"name": f"{name}-admin-kubeconfig", "labels": {"hive.openshift.io/secret-type": "kubeconfig"}}
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "data": {"kubeconfig": base64.b64encode(raw).decode()},
        }
        self.session.create(f"/api/v1/namespaces/{name}/secrets", document)

    def source(self, **options: Any) -> Path:
        """An inventory file."""
        path = self.folder / "managed_clusters.yml"
        given = {"kubeconfig": str(self.ground.fleet.hub_kubeconfig), **options}
        path.write_text(yaml.safe_dump({"plugin": "sno.image_upgrade.managed_clusters", **given}))
        return path

    def ansible(self, program: str, *arguments: str) -> Ended:
        """Run one of Ansible's programs; an unusable inventory is its failure, as ansible.cfg has it."""
        return ansible([str(ANSIBLE_PLAYBOOK.with_name(program)), *arguments], self.folder, apart=True)

    def inventory(self, **options: Any) -> dict[str, Any]:
        """What ansible-inventory lists."""
        done = self.ansible("ansible-inventory", "-i", str(self.source(**options)), "--list")
        assert done.code == 0, done.errors
        # This is how ansible-inventory writes text that is not to be taken for a template.
        return json.loads(done.output, object_hook=lambda found: found.get("__ansible_unsafe", found))  # type: ignore[no-any-return]

    def failure(self, **options: Any) -> str:
        """What ansible-inventory says where it fails, in one line."""
        done = self.ansible("ansible-inventory", "-i", str(self.source(**options)), "--list")
        assert done.code != 0
        return " ".join(done.errors.split())


@pytest.fixture(name="hub")
def fixture_hub(prepare: Any, tmp_path: Path) -> Hub:
    """Five clusters; the fourth has no secret on the hub, the secret of the fifth is broken."""
    hub = Hub(prepare(scenario(5, hub=True, users=READER)), tmp_path)
    for name in names(1, 2, 3):
        hub.add_secret(name)
    hub.add_secret(*names(5), "users: [")
    for number, region in enumerate(("north", "south", "north", "south", "west"), 1):
        hub.label(*names(number), region=region)
    return hub


def test_every_cluster_is_a_host_and_a_broken_secret_is_its_own_affair(hub: Hub) -> None:
    listed = hub.inventory(keyed_groups=[{"key": "ibu_managed_cluster_labels.region", "prefix": "region"}], strict=True)
    variables = listed["_meta"]["hostvars"]
    assert sorted(variables) == listed["managed_clusters"]["hosts"] == names(1, 2, 3, 4, 5)
    assert listed["region_north"]["hosts"] == names(1, 3)
    assert listed["clusters_without_connection"]["hosts"] == names(4, 5)
    assert variables["site-0001"]["ibu_managed_cluster_version"] == "4.16.8"
    assert "has no secret site-0004/site-0004-admin-kubeconfig" in variables["site-0004"]["ibu_connection_error"]
    assert "is not YAML" in variables["site-0005"]["ibu_connection_error"]
    assert {name for name in variables if "ibu_kubeconfig" in variables[name]} == set(names(1, 2, 3))


def test_selectors_choose_as_a_group_upgrade_does(hub: Hub) -> None:
    hub.label(*names(1), **{PREP_COMPLETED: ""})
    selectors = [
        {"matchLabels": {PREP_COMPLETED: ""}},
        {
            "matchExpressions": [
                {"key": "region", "operator": "NotIn", "values": ["north", "west"]},
                {"key": PREP_COMPLETED, "operator": "DoesNotExist"},
            ]
        },
    ]
    listed = hub.inventory(clusterLabelSelectors=selectors, connection="none")
    assert listed["managed_clusters"]["hosts"] == names(1, 2, 4)
    assert listed["ibgu_prep_completed"]["hosts"] == names(1)


def test_playbooks_run_on_it_and_print_no_credential(hub: Hub) -> None:
    source = str(hub.source(cluster_label_selectors=[{"matchLabels": {"region": "north"}}]))
    done = hub.ansible("ansible-playbook", "-vvvv", "-i", source, "playbooks/status.yml")
    assert done.code == 0, done.output
    assert all(name in done.output for name in names(1, 3))
    user = yaml.safe_load(hub.ground.fleet.kubeconfig("site-0001").read_text())["users"][0]["user"]
    assert not [key for key, value in user.items() if value in done.output or value in done.errors]


def test_preflight_names_a_cluster_without_a_connection(hub: Hub) -> None:
    source = str(hub.source())
    seed = {"ibu_seed_image_ref": {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}}
    done = hub.ansible("ansible-playbook", "-i", source, "-e", json.dumps(seed), "playbooks/preflight.yml")
    assert done.code != 0
    assert all(name in done.output for name in names(4, 5))


def test_the_cache_answers_without_the_hub_and_holds_no_credential(hub: Hub) -> None:
    directory = hub.folder / "cache"
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(directory)}
    before = hub.inventory(**cache)
    hub.label(*names(1), region="east")
    assert hub.inventory(**cache)["_meta"] == before["_meta"]
    written = "".join(path.read_text() for path in directory.iterdir())
    assert "site-0001" in written
    assert "client-key-data" not in written


def test_kubeconfigs_of_a_directory(hub: Hub) -> None:
    folder = str(hub.ground.fleet.dir / "kubeconfigs")
    listed = hub.inventory(connection="kubeconfig_dir", kubeconfig_dir=folder, kubeconfig_file="{cluster}.yml")
    assert listed["_meta"]["hostvars"]["site-0004"]["ibu_kubeconfig"] == f"{folder}/site-0004.yml"


def test_a_cluster_without_acm_is_no_hub(hub: Hub) -> None:
    text = hub.failure(kubeconfig=str(hub.ground.fleet.kubeconfig("site-0001")))
    assert "knows no ManagedClusters: Advanced Cluster Management is not installed there" in text


def test_an_account_without_rights_is_told_which_it_needs(hub: Hub) -> None:
    document = yaml.safe_load(hub.ground.fleet.kubeconfig("site-0001", "reader").read_text())
    document["clusters"][0]["cluster"]["server"] = hub.session.url
    text = hub.failure(kubeconfig=document)
    assert "may not list ManagedClusters on https://" in text
    assert "managedclusters.cluster.open-cluster-management.io is forbidden" in text


def test_a_hub_must_be_named(hub: Hub) -> None:
    assert "say how to reach the cluster: kubeconfig, or host with" in hub.failure(kubeconfig=None)


@pytest.mark.slow
def test_lists_of_several_pages_are_read_whole(prepare: Any, tmp_path: Path) -> None:
    """How long it takes with thousands, `make bench-hub` says."""
    count = PAGE + 10
    hub = Hub(prepare(scenario(count, hub=True)), tmp_path)
    for name in names(*range(1, count + 1)):
        hub.add_secret(name)
    for options in ({}, {"secret_label_selector": "hive.openshift.io/secret-type=kubeconfig"}):
        source = hub.source(**options)
        connected = "managed_clusters:!clusters_without_connection"
        done = hub.ansible("ansible", connected, "-i", str(source), "--list-hosts")
        assert f"hosts ({count})" in done.output, options
