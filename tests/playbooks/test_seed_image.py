# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""seed_image.yml from the outside: refusals, the outage, a kill, failures of the imager, and what is left behind."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fleetsim import pods, seedregistry

from .runs import Playground, Run, names

Prepare = Callable[..., Playground]
Document = dict[str, Any]

SITE = "site-0001"
SPEED = 300


def seeds(*plans: Document, **more: Any) -> Document:
    """A fleet of clusters that shall become seeds."""
    extra = {name: {"seedgen": plan} for name, plan in zip(names(*range(1, len(plans) + 1)), plans, strict=True)}
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
