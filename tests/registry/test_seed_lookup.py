# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a seed image on the controller: registry and record together, and as a playbook shows them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils import _registry, _seed_facts
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_lookup import NotKnown, SeedLookup, seed_facts
from fleetsim.seedimage import SeedImage
from kubeapi.certs import Authority

from . import servers
from .servers import RegistryServer

ROOT = Path(__file__).resolve().parents[2]
LABELS = SeedImage(has_proxy=True).labels("4.18.9")
Options = dict[str, Any]


@pytest.fixture(name="options")
def fixture_options(guarded: RegistryServer, authority: Authority, tmp_path: Path) -> Options:
    """How the guarded registry is reached."""
    auth = tmp_path / "auth.json"
    login = {"username": servers.USER, "password": servers.PASSWORD}
    auth.write_text(json.dumps({"auths": {guarded.address: login}}))
    return {
        "seed_registry_auth_file": str(auth),
        "seed_registry_ca": str(authority.certificate),
        "seed_registry_proxy": "",
    }


@pytest.fixture(name="image")
def fixture_image(guarded: RegistryServer) -> str:
    guarded.push("seeds/lookup", "v1", LABELS)
    return f"{guarded.address}/seeds/lookup:v1"


@pytest.fixture(name="record")
def fixture_record(tmp_path: Path) -> Callable[..., str]:
    """Write a record; its path."""

    def write(facts: SeedFacts) -> str:
        file = tmp_path / f"record-{len(list(tmp_path.iterdir()))}.yml"
        file.write_text(yaml.safe_dump(facts.to_document()))
        return str(file)

    return write


def test_the_labels(image: str, options: Options) -> None:
    facts = seed_facts(image, options)
    assert isinstance(facts, SeedFacts)
    assert (facts.version, facts.has_proxy, facts.cpus) == ("4.18.9", True, None)
    assert facts.digest and facts.digest.startswith("sha256:")


def test_the_record_adds_what_the_labels_do_not_say(image: str, options: Options, record: Callable[..., str]) -> None:
    path = record(SeedFacts(cpus=16, has_proxy=False))
    facts = seed_facts(image, {**options, "seed_facts": path})
    assert isinstance(facts, SeedFacts)
    assert (facts.cpus, facts.has_proxy) == (16, True)


def test_a_record_of_another_image_is_refused(image: str, options: Options, record: Callable[..., str]) -> None:
    path = record(SeedFacts(digest="sha256:" + "0" * 64))
    with pytest.raises(InvalidOption, match="record of another image"):
        seed_facts(image, {**options, "seed_facts": path})


def test_a_record_for_each_image(image: str, options: Options, record: Callable[..., str]) -> None:
    records = {image: record(SeedFacts(cpus=16)), "quay.example.com/other:v1": record(SeedFacts(cpus=8))}
    facts = seed_facts(image, {**options, "seed_facts": records})
    assert isinstance(facts, SeedFacts) and facts.cpus == 16


def test_a_registry_that_does_not_tell_leaves_the_record(
    guarded: RegistryServer, options: Options, record: Callable[..., str]
) -> None:
    image = f"{guarded.address}/seeds/none:v1"
    found = seed_facts(image, {**options, "seed_facts": record(SeedFacts(cpus=16))})
    assert isinstance(found, NotKnown)
    assert found.missing and "no such image" in found.reason and found.facts.cpus == 16
    with pytest.raises(_registry.RegistryError, match="no such image"):
        seed_facts(image, {**options, "seed_lookup": "controller"})


def test_a_record_with_the_labels_makes_up_for_a_registry_out_of_reach(
    image: str, options: Options, record: Callable[..., str]
) -> None:
    known = dataclasses.replace(_seed_facts.from_labels(LABELS), cpus=16)
    away = {**options, "seed_registry_ca": None}
    assert isinstance(seed_facts(image, away), NotKnown)
    assert seed_facts(image, {**away, "seed_facts": record(known)}) == known


def test_never_asks_nobody(record: Callable[..., str]) -> None:
    found = seed_facts("anything goes", {"seed_lookup": "never", "seed_facts": record(SeedFacts(cpus=16))})
    assert found == NotKnown("the registry was not asked (ibu_seed_lookup=never)", SeedFacts(cpus=16))


def test_each_image_is_asked_for_once(image: str, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = _registry.Registry.labels

    def labels(self: _registry.Registry, image: str) -> _registry.ImageFacts:
        asked.append(image)
        return real(self, image)

    monkeypatch.setattr(_registry.Registry, "labels", labels)
    lookup = SeedLookup(options)
    assert lookup.facts(image) is lookup.facts(image)
    assert asked == [image]


def test_the_login_of_the_user_is_taken_where_none_is_given(
    image: str, options: Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = options.pop("seed_registry_auth_file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = seed_facts(image, options)
    assert isinstance(found, NotKnown) and "wants a login" in found.reason
    monkeypatch.setenv("REGISTRY_AUTH_FILE", login)
    assert isinstance(seed_facts(image, options), SeedFacts)
    # A helper in a file that nobody asked for is a reason, not an error.
    Path(login).write_text(json.dumps({"credsStore": "desktop"}))
    found = seed_facts(image, options)
    assert isinstance(found, NotKnown) and "credential helper" in found.reason
    with pytest.raises(InvalidOption, match="credential helper"):
        seed_facts(image, {**options, "seed_registry_auth_file": login})


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"seed_facts": 7}, "ibu_seed_facts"),
        ({"seed_facts": "/nowhere/record.yml"}, "ibu_seed_facts"),
        ({"seed_facts": __file__}, "ibu_seed_facts"),
        ({"seed_registry_auth_file": "/nowhere/auth.json"}, "ibu_seed_registry_auth_file"),
        ({"seed_registry_mirrors": {"a": 1}}, "ibu_seed_registry_mirrors"),
        ({"seed_registry_ca": "/nowhere/ca.pem"}, "ibu_seed_registry_ca"),
    ],
)
def test_options_of_no_use_are_named(image: str, options: Options, bad: Options, says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        seed_facts(image, {**options, **bad})


def test_an_image_without_a_registry_in_its_name_is_refused(options: Options) -> None:
    with pytest.raises(InvalidOption, match=r"ibu_seed_image_ref.image"):
        seed_facts("sno:v1", options)


def run_playbook(folder: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "sno.image_upgrade.seed_info"]
    collections = f"{ROOT / '.collections'}:{ROOT / '.cache' / 'collections'}"
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_NOCOLOR": "1"}
    command += ["-e", json.dumps(variables)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_playbook_shows_and_writes_what_another_run_can_read(image: str, options: Options, tmp_path: Path) -> None:
    given = {f"ibu_{name}": value for name, value in options.items()}
    record = tmp_path / "seed.yml"
    first = run_playbook(tmp_path, ibu_image=image, ibu_record_file=str(record), **given)
    assert first.returncode == 0 and "changed=1" in first.stdout, first.stdout
    assert "4.18.9" in first.stdout and servers.PASSWORD not in first.stdout
    again = run_playbook(tmp_path, ibu_image=image, ibu_record_file=str(record), **given)
    assert "changed=0" in again.stdout
    facts = seed_facts(image, {"seed_lookup": "never", "seed_facts": str(record)})
    assert facts == seed_facts(image, options)


def test_no_record_without_a_fact_is_written(tmp_path: Path) -> None:
    record = tmp_path / "seed.yml"
    done = run_playbook(tmp_path, ibu_image="registry.example.com/seed:4.17.3", ibu_record_file=str(record))
    assert done.returncode != 0 and "nothing is known of registry.example.com/seed:4.17.3" in done.stdout, done.stdout
    assert not record.exists()


def test_the_playbook_says_what_is_missing(tmp_path: Path) -> None:
    done = run_playbook(tmp_path)
    assert done.returncode != 0 and "ibu_seed_image_ref.image" in done.stdout
