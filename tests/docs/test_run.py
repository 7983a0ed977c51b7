# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick start as it stands there, from the preflight to the end, and examples of modules, on simulated clusters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from playbooks.runs import QUICK_MODULES

from fleetsim.testing import Fleet

from . import specs
from .pages import ROOT, Block, blocks, commands
from .test_examples import examples_of_modules

BIN = Path(sys.executable).parent
SPEED = 1000
TIMEOUT = 120
# For the simulator's clock; the pages say nothing of them.
FAST: dict[str, Any] = {
    "ibu_settle_timeout": 3, "ibu_verify_timeout": 5, "ibu_contact_timeout": 10, "must_gather_least_free": "1M",
    "ibu_seed_lookup": "never",
}  # fmt: skip


def environment(directory: Path) -> dict[str, str]:
    """What somebody has who has installed the collection, but for modules that start faster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    paths = [str(ROOT / ".collections"), str(ROOT / ".cache" / "collections")]
    return {
        **kept,
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(paths),
        "ANSIBLE_LOCAL_TEMP": str(directory / "ansible"),
        "ANSIBLE_NOCOLOR": "true",
        **QUICK_MODULES,
    }


def run(command: str, directory: Path) -> str:
    """Run a command of a page in a folder; its output."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def of_page(page: str, *languages: str) -> list[Block]:
    return [block for block in blocks(*languages) if block.page == page]


def described(page: str, fleet: Fleet) -> dict[str, Any]:
    """The inventory of a page, with the simulated cluster in the place of the one that it names."""
    found = [yaml.safe_load(block.text) for block in of_page(page, "yaml") if "ibu_kubeconfig" in block.text]
    inventory: dict[str, Any] = found[0]
    inventory["fleet"]["hosts"]["site-0001"]["ibu_kubeconfig"] = str(fleet.kubeconfig("site-0001"))
    inventory["fleet"]["vars"].update(FAST)
    return inventory


def steps(page: str) -> list[str]:
    """The commands of a page that need a cluster of one's own: those with the inventory fleet.yml."""
    found = [command for block in of_page(page, "shell") for command in commands(block)]
    return [command for command in found if "-i fleet.yml" in command]


def test_the_quick_start_leads_to_an_upgraded_cluster(tmp_path: Path) -> None:
    page = "docs/quick_start.md"
    wanted = ["preflight", "prep", "upgrade", "status", "finalize", "rollback"]
    assert [step.split("sno.image_upgrade.")[1].split()[0] for step in steps(page)] == wanted
    # The page offers one of the last two, or the other.
    preflight, prep, upgrade, status, _finalize, rollback = steps(page)
    with Fleet({"speed": SPEED, "hub": False, "clusters": {"count": 1}}) as fleet:
        (tmp_path / "fleet.yml").write_text(yaml.safe_dump(described(page, fleet)), encoding="utf-8")

        assert "1 ready" in run(preflight, tmp_path)
        assert json.loads((tmp_path / "preflight.json").read_text(encoding="utf-8"))
        assert fleet.control.journal("site-0001") == []
        run(prep, tmp_path)
        run(upgrade, tmp_path)
        assert "Upgrade" in run(status, tmp_path)
        assert fleet.control.state("site-0001")["version"] == "4.17.3"
        run(rollback, tmp_path)
        assert fleet.control.state("site-0001")["version"] == "4.16.8"


def test_the_readme_leads_to_a_preflight_with_three_commands(tmp_path: Path) -> None:
    found = [command for block in of_page("README.md", "shell") for command in commands(block)]
    first = next(number for number, command in enumerate(found) if command.startswith("ansible-galaxy "))
    install, client, preflight = found[first : first + 3]
    assert (install.split()[:3], client.split()[:2]) == (
        ["ansible-galaxy", "collection", "install"],
        ["pip", "install"],
    )
    with Fleet({"speed": SPEED, "hub": False, "clusters": {"count": 1}}) as fleet:
        (tmp_path / "fleet.yml").write_text(yaml.safe_dump(described("README.md", fleet)), encoding="utf-8")

        assert "1 ready" in run(preflight, tmp_path)


# Per module: how many of its examples to run, from the first one on.
EXAMPLES = {
    "ibu_info": 1,
    "ibu_stage": 2,
    "ibu_fleet_info": 2,
    "ibu_fleet": 2,
    "ibu_prep_info": 1,
    "ibu_preflight": 1,
    "ibu_gate": 1,
    "ibu_gather": 3,
    "oadp_cleanup": 1,
    "lvms_diagnosis": 2,
}
# What the examples call the cluster.
PLACE = "/etc/sites/site-0001.kubeconfig"


def test_examples_of_modules_run(tmp_path: Path) -> None:
    tasks = [task for name, count in EXAMPLES.items() for task in examples_of_modules()[name][:count]]
    play = {"hosts": "all", "gather_facts": False, "vars": FAST, "tasks": tasks}
    # The example of Prep asks for no extra manifests; whoever asks for others is refused afterwards.
    scenario = {"speed": SPEED, "hub": False, "clusters": {"count": 2}, "goal": {"extra_manifests": []}}
    with Fleet(scenario) as fleet:
        text = yaml.safe_dump([play], sort_keys=False).replace(PLACE, str(fleet.kubeconfig("site-0001")))
        (tmp_path / "examples.yml").write_text(text, encoding="utf-8")

        output = run(f"ansible-playbook -i {fleet.inventory} examples.yml", tmp_path)

    assert "failed=0" in output
    for task in tasks:
        assert task["name"] in output


def test_an_example_of_the_inventory_runs(tmp_path: Path) -> None:
    path = ROOT / "plugins" / "inventory" / "managed_clusters.py"
    example = next(yaml.safe_load_all(specs.documentation(path)["examples"]))
    with Fleet({"speed": SPEED, "hub": True, "clusters": {"count": 2}}) as fleet:
        # The simulated hub has no secrets with kubeconfigs.
        example = {**example, "kubeconfig": str(fleet.hub_kubeconfig), "connection": "none"}
        (tmp_path / "managed_clusters.yml").write_text(yaml.safe_dump(example), encoding="utf-8")

        listed = json.loads(run("ansible-inventory -i managed_clusters.yml --list", tmp_path))

    assert sorted(listed["managed_clusters"]["hosts"]) == ["site-0001", "site-0002"]
