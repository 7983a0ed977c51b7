# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""seed_image.yml from the outside: refusals, the outage, a kill, failures of the imager, and what is left behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fleetsim import pods, seedregistry

from .runs import ROOT, Playground, Run, names, until

Prepare = Callable[..., Playground]
Document = dict[str, Any]

SITE = "site-0001"
SPEED = 1000


def seeds(*plans: Document, **more: Any) -> Document:
    """A fleet of clusters that shall become seeds, without a credential to push with."""
    extra = {
        name: {"seedgen": {"secret": "missing", **plan}}
        for name, plan in zip(names(*range(1, len(plans) + 1)), plans, strict=True)
    }
    return {"speed": SPEED, "random_seed": 1, "hub": False, "clusters": {"count": len(plans)}, **more} | {
        "clusters_extra": extra
    }


def wish(ground: Playground, **more: Any) -> Document:
    """The variables of a run."""
    auth = ground.directory / "push.json"
    login = base64.b64encode(seedregistry.LOGIN.encode()).decode()
    auth.write_text(json.dumps({"auths": {ground.fleet.registry: {"auth": login}}}))
    return {
        "target": "fleet",
        "seed_image_image": f"{ground.fleet.registry}/seeds/sno:4.16.8",
        "seed_image_auth_file": str(auth),
        "seed_image_registry_insecure": True,
        "seed_image_folder": str(ground.directory / "seeds"),
        "seed_image_progress_interval": 1,
        "seed_image_contact_timeout": 4,
        "seed_image_lost_timeout": 3,
        **more,
    }


def kept(ground: Playground, name: str) -> Path:
    return ground.directory / "seeds" / f"{SITE}.{name}"


def seed(ground: Playground, name: str = SITE) -> Document:
    return ground.fleet.control.state(name)["seed"]  # type: ignore[no-any-return]


def nothing_written(ground: Playground) -> bool:
    return not any(ground.writes().values())


def has_no_secret(run: Run) -> bool:
    return pods.MARKER not in run.output


def test_a_cluster_becomes_a_seed(prepare: Prepare) -> None:
    ground = prepare(seeds({}))
    run = ground.play("seed_image", **wish(ground))
    assert run.code == 0, run.output
    assert seed(ground)["pushed"] == [f"{ground.fleet.registry}/seeds/sno:4.16.8"]
    for words in ("Pulling recert image", "no answer", "answers again", "Use it for nothing but further seed images"):
        assert words in run.words
    record = yaml.safe_load(kept(ground, "seed.yml").read_text())
    assert record["kind"] == "SeedRecord"
    assert record["spec"]["digest"].startswith("sha256:")
    assert record["spec"]["version"] == "4.16.8"
    assert record["spec"]["operators"]
    assert stat.S_IMODE(kept(ground, "pull-secret.json").stat().st_mode) == 0o600
    assert not kept(ground, "run.json").exists()
    assert has_no_secret(run)
    # Again: nothing to do, and the credential is gone from the cluster.
    writes = ground.writes()
    again = ground.play("seed_image", **wish(ground))
    assert again.code == 0, again.output
    assert "changed=0" in again.output
    assert ground.writes() == writes


# -- refusals -------------------------------------------------------------------------------------------------------

LVM = {
    "apiVersion": "lvm.topolvm.io/v1alpha1",
    "kind": "LVMCluster",
    "metadata": {"name": "lvmcluster", "namespace": "openshift-storage"},
    "spec": {},
}
PROTECTION = {
    "apiVersion": "oadp.openshift.io/v1alpha1",
    "kind": "DataProtectionApplication",
    "metadata": {"name": "dpa", "namespace": "openshift-adp"},
    "spec": {},
    "status": {"conditions": [{"type": "Reconciled", "status": "True"}]},
}


def test_everything_in_the_way_is_told_at_once_and_removed_only_by_consent(prepare: Prepare) -> None:
    scenario = seeds({"addons": ["search"]}, objects=[LVM, PROTECTION], troubles={})
    ground = prepare(scenario)
    refused = ground.play("seed_image", **wish(ground))
    assert refused.code != 0
    assert "3 things keep it from becoming a seed" in refused.words
    assert "Rejected due to presence of ACM addon(s)" in refused.words
    assert "openshift-storage/lvmcluster" in refused.words
    assert nothing_written(ground)
    consents = {"seed_image_remove": ["data_protection", "lvm_clusters", "addons"]}
    asked = ground.play("seed_image", "--check", **wish(ground, **consents))
    assert asked.code == 0, asked.output
    for line in (
        "would 2  remove DataProtectionApplication dpa in openshift-adp",
        "would 3  remove LVMCluster lvmcluster in openshift-storage",
        "would 4  remove Namespace open-cluster-management-addon-search",
        "would 5  bring Secret seedgen about",
    ):
        assert line in asked.output
    assert nothing_written(ground)
    assert not kept(ground, "run.json").exists()
    done = ground.play("seed_image", **wish(ground, **consents))
    assert done.code == 0, done.output
    deleted = [
        entry["path"].rpartition("/")[2] for entry in ground.fleet.control.journal(SITE) if entry["verb"] == "delete"
    ]
    assert deleted == ["dpa", "lvmcluster", "open-cluster-management-addon-search", "seedgen"]


def test_a_credential_of_somebody_else_is_left_as_it_is(prepare: Prepare) -> None:
    ground = prepare(seeds({"secret": "valid"}))
    refused = ground.play("seed_image", **wish(ground))
    assert refused.code != 0
    assert "Secret seedgen is there with another credential" in refused.words
    assert "leave seed_image_auth_file" in refused.words
    assert nothing_written(ground)
    assert has_no_secret(refused)


def test_wrong_options_are_refused_before_anything_is_asked(prepare: Prepare) -> None:
    """One run: each cluster has another mistake."""
    first, second, third = names(1, 2, 3)
    ground = prepare(seeds({}, {}, {}))
    wrong = {
        first: {"seed_image_image": "seed"},
        second: {"seed_image_auth_file": "/nowhere/push.json"},
        third: {"seed_image_auth_file": str(ROOT / "galaxy.yml")},
    }
    given = wish(ground)
    own = {key: given[key] for key in ("seed_image_image", "seed_image_auth_file")}
    folder = ground.fleet.inventory.parent / "host_vars"
    folder.mkdir()
    for name, variables in wrong.items():
        (folder / f"{name}.json").write_text(json.dumps({**own, **variables}))
    run = ground.play("seed_image", **{**given, **dict.fromkeys(own)})
    assert run.code != 0
    for words in ("image: 'seed' is not valid", "auth_file: '/nowhere/push.json' is not valid", "it is not JSON"):
        assert words in run.words
    assert nothing_written(ground)


# -- the hub --------------------------------------------------------------------------------------------------------


def test_a_cluster_leaves_its_hub_only_when_that_is_asked_for(prepare: Prepare) -> None:
    first, second, third = names(1, 2, 3)
    ground = prepare(
        seeds(
            {"attached": True, "addons": ["search"]},
            {"attached": True, "gitops": True},
            {"attached": True, "stays": True},
            hub=True,
        )
    )
    gitops = ground.play("seed_image", "-l", second, **wish(ground, seed_image_detach="delete"))
    assert gitops.code != 0
    assert "belongs to GitOps" in gitops.words
    assert "Argo CD application sites" in gitops.words
    assert nothing_written(ground)
    done = ground.play("seed_image", "-l", first, **wish(ground, seed_image_detach="delete"))
    assert done.code == 0, done.output
    assert "detached from the hub" in done.words
    deleted = [entry["path"] for entry in ground.fleet.control.journal("hub") if entry["verb"] == "delete"]
    assert [path.rpartition("/")[2] for path in deleted] == [first]
    # The hub has let go, but its CRD stays: that takes a consent of its own.
    stays = ground.play(
        "seed_image", "-l", third, **wish(ground, seed_image_detach="delete", seed_image_detach_timeout=1)
    )
    assert stays.code != 0
    assert "klusterlets.operator.open-cluster-management.io" in stays.words
    removed = ground.play("seed_image", "-l", third, **wish(ground, seed_image_remove=["klusterlet"]))
    assert removed.code == 0, removed.output


# -- the outage -----------------------------------------------------------------------------------------------------


def test_a_killed_run_is_continued_in_the_middle_of_the_outage(prepare: Prepare) -> None:
    ground = prepare(seeds({}, troubles={SITE: {"imager_hangs": {}}}))
    with ground.start("seed_image", **wish(ground)) as run:
        until(lambda: not ground.fleet.control.state(SITE)["up"], 60, "the imager works")
        run.kill(signal.SIGKILL, run.processes())
        run.wait_until_gone(10)
    assert kept(ground, "run.json").exists()
    with ground.start("seed_image", **wish(ground)) as again:
        until(lambda: "no answer, as the imager is at work" in again.output, 60, "the next run waits, too")
        ground.fleet.control.heal(SITE, "imager_hangs")
        ended = again.wait()
    assert ended.code == 0, ended.output
    journal = ground.fleet.control.journal(SITE)
    assert len([entry for entry in journal if entry["verb"] == "create" and "seedgenerators" in entry["path"]]) == 1
    record = yaml.safe_load(kept(ground, "seed.yml").read_text())
    assert record["spec"]["operators"]


def test_without_a_file_the_cluster_itself_says_that_the_imager_works(prepare: Prepare) -> None:
    """The API is up before and after the imager: a new SeedGenerator there would be the ruin of both."""
    ground = prepare(seeds({"fails": "lost", "image": 1000}))
    lost = ground.play("seed_image", **wish(ground))
    assert lost.code != 0
    assert "does not bring the SeedGenerator back" in lost.words
    assert "seed_image_state=restored" in lost.words
    assert not kept(ground, "run.json").exists()
    writes = len(ground.fleet.control.journal(SITE))
    again = ground.play("seed_image", **wish(ground))
    assert again.code != 0
    assert "goes on: the imager is at work" in again.words
    assert len(ground.fleet.control.journal(SITE)) == writes
    # The way back.
    restored = ground.play("seed_image", **wish(ground, seed_image_state="restored", seed_image_removal_timeout=2))
    assert restored.code == 0, restored.output
    assert has_no_secret(restored)


# -- failures -------------------------------------------------------------------------------------------------------

PODMAN = """#!/bin/sh
case "$*" in
  *"--tail 1 "*) echo "pushing layer 7" ;;
  *) echo "Error: pushing image: unauthorized: password=MARKER" ;;
esac
"""
OSTREE = '#!/bin/sh\necho "  set-default"\n'
SYSTEMCTL = "#!/bin/sh\nexit 0\n"
# What the connection's shell is told to run, on a node that has the file.
NODE_SHELL = """#!/bin/sh
exec "$1" "$2" "$(printf %s "$3" | sed s#/usr/local/bin/dnsmasq_config.sh#/dev/null#)"
"""


def node(ground: Playground) -> dict[str, str]:
    """The commands of a node, in front of everything else on the path."""
    folder = ground.directory / "bin"
    folder.mkdir(exist_ok=True)
    for name, text in {
        "podman": PODMAN.replace("MARKER", pods.MARKER),
        "ostree": OSTREE,
        "systemctl": SYSTEMCTL,
        "node-shell": NODE_SHELL,
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_failure_of_the_imager_comes_with_its_log(prepare: Prepare) -> None:
    ground = prepare(seeds({"fails": "imager", "image": 3000}))
    variables = wish(ground, seed_image_connection="inventory", seed_image_command_prefix="node-shell")
    run = ground.play("seed_image", env=node(ground), **variables)
    assert run.code != 0
    assert "expected container exit code 0, found: 125" in run.words, run.output
    assert "the imager says: pushing layer 7" in run.words
    log = kept(ground, "imager.log").read_text()
    assert "unauthorized" in log
    assert pods.MARKER not in log
    assert has_no_secret(run)
    # It reacts to its creation only.
    assert "seed_image_recreate=failed" in run.words
    anew = ground.play("seed_image", env=node(ground), **variables, seed_image_recreate="failed")
    assert anew.code != 0
    assert "deleted the SeedGenerator that was over" in anew.words


def test_success_without_the_image_is_no_success(prepare: Prepare) -> None:
    ground = prepare(seeds({"push": False}))
    run = ground.play("seed_image", **wish(ground))
    assert run.code != 0
    assert "the agent reports success, but the image could not be verified" in run.words
    assert not kept(ground, "seed.yml").exists()
