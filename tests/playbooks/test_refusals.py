# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused in words that name option, value, cluster and remedy, before the first write anywhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from .runs import Playground, playground, scenario

Prepare = Callable[..., Playground]

# --- what is wrong with one cluster -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A cluster that cannot be used: what is wrong, and what the preflight says about it."""

    id: str
    cause: str
    remedy: str
    trouble: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    initial: str = "Idle"
    host: dict[str, Any] = field(default_factory=dict)


SEED = {"version": "4.17.3", "image": "registry.example.com/seed:4.17.3"}
CASES = [
    Case(
        "configmap",
        "ConfigMap openshift-adp/oadp-cm does not exist",
        "create it",
        "configmap_missing",
        {"name": "oadp-cm"},
    ),
    Case("secret", "Secret openshift-lifecycle-agent/seed-pull does not exist", "create it", "secret_missing"),
    Case("kubeconfig missing", "ibu_kubeconfig: '", "cannot be read: No such file", "kubeconfig_missing"),
    Case("kubeconfig empty", "ibu_kubeconfig: '", "empty or no kubeconfig", "kubeconfig_empty"),
    Case(
        "kubeconfig not YAML", "ibu_kubeconfig: '", "the file is not YAML", host={"ibu_kubeconfig": "{folder}/not.yml"}
    ),
    Case(
        "kubeconfig a folder",
        "ibu_kubeconfig: '",
        "cannot be read: Is a directory",
        host={"ibu_kubeconfig": "{folder}"},
    ),
    Case("context", "ibu_kubeconfig: '", "no-such-context", host={"ibu_context": "no-such-context"}),
    Case("wrong CA", "no trusted TLS connection", "ibu_ca_cert", "wrong_ca"),
    Case("unknown token", "the credential is not accepted (401", "renew the credential", "expired_token"),
    Case("token", "bearer token; it stops working at the reboot", "ibu_accept_token", "token_only"),
    Case("expired certificate", "not accepted", "renew the credential", "expired_certificate"),
    Case("unknown certificate", "not accepted", "renew the credential", "unknown_certificate"),
    Case("no right to patch", "may not: patch imagebasedupgrades.lca.openshift.io", "grant it", "no_permission"),
    Case(
        "no right to see health",
        "may not: list clusteroperators.config.openshift.io",
        "grant it",
        "no_permission",
        {"verb": "list", "resource": "clusteroperators"},
    ),
    Case("no agent", "no ImageBasedUpgrade", "install the Lifecycle Agent", "lca_missing"),
    Case("agent not ready", "the Lifecycle Agent is not ready", "look at its pod", "lca_not_ready"),
    Case("no CR", "it has no ImageBasedUpgrade", "install the Lifecycle Agent", "no_cr"),
    Case("nobody there", "connection refused by https://127.0.0.1:", "check the cluster's power", "refused_from_start"),
    Case("silence", "no answer from https://127.0.0.1:", "check the cluster's power", "no_answer"),
    Case("prep failed before", "precache job failed", "sno.image_upgrade.abort -l {cluster}", initial="PrepFailed"),
    Case("rollback failed before", "failed to set default deployment", "call a person", initial="RollbackFailed"),
    Case(
        "another upgrade",
        "it was prepared with seed version '4.17.3', not '4.17.4'",
        "sno.image_upgrade.abort -l {cluster}",
        initial="PrepCompleted",
        host={"ibu_seed_image_ref": {"version": "4.17.4", "image": "registry.example.com/seed:4.17.4"}},
    ),
    Case(
        "seed not above",
        "the seed's version 4.16.2 is not above the running 4.16.8",
        "use a seed image of a later release",
        host={"ibu_seed_image_ref": {**SEED, "version": "4.16.2"}},
    ),
    Case("seed version", "'latest' is no version", "X.Y.Z", host={"ibu_seed_image_ref": {**SEED, "version": "latest"}}),
    Case(
        "seed image",
        "'registry example com' is no image reference",
        "REGISTRY/PATH:TAG",
        host={"ibu_seed_image_ref": {**SEED, "image": "registry example com"}},
    ),
    Case("seed unset", "ibu_seed_image_ref is not set", "give version and image", host={"ibu_seed_image_ref": None}),
    Case("seed key", "ibu_seed_image_ref: ", "give {{version:", host={"ibu_seed_image_ref": {**SEED, "tag": "x"}}),
    Case("oadp", "ibu_oadp_content: 'oadp-cm'", "give a list of", host={"ibu_oadp_content": "oadp-cm"}),
    Case(
        "watchdog",
        "ibu_auto_rollback_on_failure: -5",
        "0 or more",
        host={"ibu_auto_rollback_on_failure": {"initMonitorTimeoutSeconds": -5}},
    ),
    Case("hub name", "has no ManagedCluster 'atlantis'", "ibu_hub_", host={"ibu_managed_cluster": "atlantis"}),
]
NAMES = [f"site-{number:04d}" for number in range(1, len(CASES) + 1)]
# Hosts of the user's own beside them: one that leads to the server of another, and one that leads nowhere.
TWIN, NOWHERE = "twin", "nowhere"


def write_hosts(path: Path, folder: Path, kubeconfig: Path) -> Path:
    """An inventory beside the fleet's own, with the users' mistakes in it."""
    hosts: dict[str, Any] = {}
    for name, case in zip(NAMES, CASES, strict=True):
        given = {k: v.format(folder=folder) if isinstance(v, str) else v for k, v in case.host.items()}
        hosts[name] = given
    hosts[TWIN] = {"ibu_kubeconfig": str(kubeconfig)}
    hosts[NOWHERE] = {}
    path.write_text(yaml.safe_dump({"fleet": {"hosts": hosts}}))
    return path


def test_everything_wrong_with_the_clusters_stands_in_one_list(
    prepare: Prepare, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    cases = dict(zip(NAMES, CASES, strict=True))
    count = len(CASES) + 2
    ground = prepare(
        scenario(
            count,
            hub=True,
            troubles={name: {case.trouble: case.params} for name, case in cases.items() if case.trouble},
            clusters_extra={name: {"initial": case.initial} for name, case in cases.items()},
        )
    )
    (tmp_path / "not.yml").write_text("{apiVersion: [secret-of-the-file")
    same, fine = (f"site-{number:04d}" for number in (count - 1, count))
    more = write_hosts(tmp_path / "more.yml", tmp_path, ground.fleet.kubeconfig(same))

    run = ground.play(
        "upgrade", "-i", str(more), ibu_contact_timeout=1, ibu_report_file=str(tmp_path / "preflight.json")
    )

    assert run.code == 2, run.output
    assert not any(ground.writes().values())
    assert not ground.outcome_file.exists()
    assert f"{count + 1} of {count + 2} clusters are not ready" in run.words, run.output
    assert "secret-of-the-file" not in run.output
    document = json.loads((tmp_path / "preflight.json").read_text())
    findings = document["findings"]
    assert fine in document["clusters"]
    assert fine not in {finding["cluster"] for finding in findings}
    for name, case in cases.items():
        with subtests.test(msg=case.id):
            found = [finding for finding in findings if finding["cluster"] == name]
            assert len(found) == 1, found
            assert case.cause in f"{found[0]['cause']} ({found[0]['seen']})"
            assert case.remedy.format(cluster=name) in found[0]["remedy"]
            assert name in run.words
    for name in (same, TWIN):
        (finding,) = (finding for finding in findings if finding["cluster"] == name)
        assert f"{same} and {TWIN} have the same API server https://127.0.0.1:" in finding["cause"]
        assert "own ibu_kubeconfig" in finding["remedy"]
    (finding,) = (finding for finding in findings if finding["cluster"] == NOWHERE)
    assert finding["cause"] == "ibu_kubeconfig is not set"
    assert "ibu_host with ibu_client_cert and ibu_client_key" in finding["remedy"]


# --- what is wrong with the run -----------------------------------------------------------------------------------


@pytest.fixture(name="pair", scope="module")
def fixture_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """Two clusters that nobody ever gets to write to."""
    with playground(tmp_path_factory.mktemp("pair"), scenario(2)) as ground:
        yield ground


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("serial", [0], "a number of clusters from 1"),
        ("serial", [1, "150%"], 'a share such as "20%"'),
        ("serial", "a few", "a number of clusters from 1"),
        ("max_fail_percentage", 101, "between 0 and 100"),
        ("max_fail_percentage", -1, "between 0 and 100"),
        ("budget", "101%", "between 0% and 100%"),
        ("budget", "some", 'give a share such as "5%"'),
        ("stop_after", "Fly", "one of the actions to run: Prep, Upgrade, FinalizeUpgrade"),
        ("stop_after", "Rollback", "one of the actions to run: Prep, Upgrade, FinalizeUpgrade"),
        ("timeouts", {"Prepare": 60}, "an action is one of Prep, Upgrade"),
        ("timeouts", {"Prep": 0}, "at least 1 seconds"),
        ("timeouts", {"Prep": "long"}, "a number of seconds"),
        ("contact_timeout", -1, "at least 0 seconds"),
        ("soak", -60, "at least 0 seconds"),
        ("concurrency", -1, "0 or more"),
        ("on_blocked", "ignore", "fail, exclude"),
        ("outcome_file", "{directory}/no/such/folder.json", "cannot be written: No such file"),
        ("outcome_file", "{directory}/other.json", "no outcome file of format"),
        ("report_file", "{directory}", "cannot be written: Is a directory"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:30],
)
def test_a_bad_option_is_named_before_anything_is_written(
    pair: Playground, option: str, value: Any, remedy: str
) -> None:
    (pair.directory / "other.json").write_text('{"format": "of something else"}')
    given = value.format(directory=pair.directory) if isinstance(value, str) else value

    run = pair.play("upgrade", **{f"ibu_{option}": given})

    assert run.code != 0, run.output
    assert option in run.words
    shown = next(iter(given.items())) if isinstance(given, dict) else (given,)
    assert any(str(part) in run.words for part in shown)
    assert remedy in run.words
    assert not any(pair.writes().values())
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (["Fly"], "actions: 'Fly' is not valid; an action is one of Prep, Upgrade"),
        (["Upgrade", "Prep"], "a cluster can follow one of these"),
        (["Prep", "FinalizeUpgrade"], "a cluster can follow one of these"),
        ([], "a cluster can follow one of these"),
    ],
    ids=["unknown", "wrong order", "gap", "none"],
)
def test_actions_that_no_cluster_can_follow_are_refused(
    pair: Playground, tmp_path: Path, actions: list[str], words: str
) -> None:
    playbook = tmp_path / "own.yml"
    task = {"name": "Drive", "sno.image_upgrade.ibu_fleet": {"actions": actions}, "run_once": True}
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))

    run = pair.play(playbook)

    assert run.code == 2, run.output
    assert words in run.words
    assert not any(pair.writes().values())


# --- secrets ------------------------------------------------------------------------------------------------------


def test_an_accepted_token_drives_and_no_secret_is_ever_shown(prepare: Prepare, tmp_path: Path) -> None:
    ground = prepare(
        scenario(3, hub=True, troubles={"site-0001": {"token_only": {}}, "site-0003": {"expired_token": {}}})
    )
    secrets = []
    for name in ("site-0001", "site-0002", "site-0003"):
        document = yaml.safe_load(ground.fleet.kubeconfig(name).read_text())
        user = document["users"][0]["user"]
        secrets += [user[key] for key in ("token", "client-key-data") if key in user]
    # One cluster is given by variables instead of a file.
    document = yaml.safe_load(ground.fleet.kubeconfig("site-0001").read_text())
    ca = tmp_path / "ca.pem"
    ca.write_bytes(base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]))
    token = document["users"][0]["user"]["token"]
    host = {
        "ibu_kubeconfig": "",
        "ibu_host": document["clusters"][0]["cluster"]["server"],
        "ibu_ca_cert": str(ca),
        "ibu_api_key": token,
    }
    more = tmp_path / "more.yml"
    more.write_text(yaml.safe_dump({"fleet": {"hosts": {"site-0001": host}}}))
    report = tmp_path / "preflight.json"

    run = ground.play(
        "upgrade",
        "-vvv",
        "-i",
        str(more),
        ibu_accept_token=True,
        ibu_on_blocked="exclude",
        ibu_serial=["100%"],
        ibu_timeouts={"Upgrade": 4},
        ibu_report_file=str(report),
    )

    assert run.code == 2, run.output
    assert "bearer token; it stops working at the reboot" in run.words
    # What was accepted comes true: the token is of no use after the reboot.
    assert ground.stages("site-0001") == ["Prep", "Upgrade"]
    assert run.outcomes["site-0001"]["result"] == "timed_out"
    assert "401" in run.outcomes["site-0001"]["message"]
    assert ground.stages("site-0002") == ["Prep", "Upgrade", "Idle"]
    assert ground.stages("site-0003") == []
    assert len(secrets) == 3
    for where in (run.output, run.outcome_file.read_text(), report.read_text()):
        assert not [secret for secret in secrets if secret in where]
