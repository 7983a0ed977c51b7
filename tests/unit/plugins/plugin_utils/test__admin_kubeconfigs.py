# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clusters' kubeconfigs: from secrets of the hub, or from a directory."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Refused, Unanswered
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._admin_kubeconfigs import (
    NoRights,
    SecretReader,
    Secrets,
    files_in,
    kubeconfig_of_secret,
    reduced_kubeconfig,
)

KUBECONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "admin",
    "clusters": [
        {"name": "other", "cluster": {"server": "https://other.example.com:6443"}},
        {"name": "site", "cluster": {"server": "https://api.example.com:6443", "certificate-authority-data": "Q0E="}},
    ],
    "users": [{"name": "admin", "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}],
    "contexts": [{"name": "admin", "context": {"cluster": "site", "user": "admin", "namespace": "default"}}],
}
REDUCED = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "admin",
    "clusters": [{"name": "cluster", "cluster": KUBECONFIG["clusters"][1]["cluster"]}],
    "users": KUBECONFIG["users"],
    "contexts": [{"name": "admin", "context": {"cluster": "cluster", "user": "admin"}}],
}
SECRETS = Secrets("{cluster}", "{cluster}-admin-kubeconfig", "kubeconfig")


def secret(cluster: str, text: str | None = None) -> dict[str, Any]:
    """The secret of a cluster on the hub."""
    data = base64.b64encode((text or yaml.safe_dump(KUBECONFIG)).encode()).decode()
    meta = {"name": f"{cluster}-admin-kubeconfig", "namespace": cluster}
    return {"metadata": meta, "data": {"kubeconfig": data}}


class Reply:
    """What a session answers with."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document


class Hub:
    """Answers of a hub by path; a list of them is used up one by one."""

    def __init__(self, answers: dict[str, Any], listing: Any = None) -> None:
        self.answers, self.listing = answers, listing
        self.asked: list[str] = []
        self.closed = 0

    def get(self, path: str) -> Reply:
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer)

    def list(self, path: str, labelSelector: str) -> list[dict[str, Any]]:
        self.asked.append(f"{path}?{labelSelector}")
        if isinstance(self.listing, Exception):
            raise self.listing
        return self.listing  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed += 1


def path_of(cluster: str) -> str:
    return f"/api/v1/namespaces/{cluster}/secrets/{cluster}-admin-kubeconfig"


def reader(hub: Hub, secrets: Secrets = SECRETS, pauses: list[float] | None = None) -> SecretReader:
    """A reader of this hub that does not sleep."""
    return SecretReader(lambda: hub, secrets, (pauses if pauses is not None else []).append)  # type: ignore[arg-type,return-value]


def test_one_broken_secret_is_its_own_clusters_affair() -> None:
    hub = Hub(
        {
            path_of("one"): secret("one"),
            path_of("two"): NotThere('secrets "two-admin-kubeconfig" not found'),
            path_of("three"): secret("three", "{"),
            path_of("four"): Unanswered("rights", "secrets is forbidden", 403),
            path_of("five"): Refused("bad request", 400),
        }
    )
    found = reader(hub).read(["one", "two", "three", "four", "five"])
    assert found.pop("one") == REDUCED
    assert isinstance(found["four"], NoRights)
    assert {name: str(error) for name, error in found.items()} == {
        "two": "the hub has no secret two/two-admin-kubeconfig",
        "three": "secret three/three-admin-kubeconfig on the hub: the value of 'kubeconfig' is not YAML",
        "four": "the hub did not give the secret four/four-admin-kubeconfig: secrets is forbidden",
        "five": "the hub did not give the secret five/five-admin-kubeconfig: bad request",
    }
    assert hub.closed


def test_a_moment_of_trouble_is_waited_out() -> None:
    pauses: list[float] = []
    troubles = [Unanswered("http", "busy", 429, 1.5), Unanswered("connect", "lost")]
    assert reader(Hub({path_of("one"): [*troubles, secret("one")]}), pauses=pauses).read(["one"]) == {"one": REDUCED}
    assert pauses == [1.5, 0.4]


def test_lasting_trouble_is_reported_after_a_few_attempts() -> None:
    hub = Hub({path_of("one"): Unanswered("timeout", "no answer in time")})
    assert "no answer in time" in str(reader(hub).read(["one"])["one"])
    assert len(hub.asked) == 3


def test_templates_say_where_the_secrets_are() -> None:
    hub = Hub({"/api/v1/namespaces/keys/secrets/site-one": secret("one")})
    assert reader(hub, Secrets("keys", "site-{cluster}", "kubeconfig")).read(["one"]) == {"one": REDUCED}


def test_secrets_are_listed_by_label_and_only_missing_ones_read_alone() -> None:
    hub = Hub({path_of("two"): secret("two")}, [secret("one"), secret("stranger")])
    found = reader(hub, SECRETS._replace(label_selector="type=kubeconfig")).read(["one", "two"])
    assert found == {"one": REDUCED, "two": REDUCED}
    assert hub.asked == ["/api/v1/secrets?type=kubeconfig", path_of("two")]


def test_without_the_right_to_list_each_is_read_alone() -> None:
    hub = Hub({path_of("one"): secret("one")}, Unanswered("rights", "secrets is forbidden", 403))
    assert reader(hub, SECRETS._replace(label_selector="type=kubeconfig")).read(["one"]) == {"one": REDUCED}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "it has no key 'kubeconfig'"),
        ({"data": {"other": "eA=="}}, "it has no key 'kubeconfig'"),
        ({"data": {"kubeconfig": "no base64"}}, "the value of 'kubeconfig' is not YAML"),
        ({"data": {"kubeconfig": "/w=="}}, "the value of 'kubeconfig' is not YAML"),
        ({"data": {"kubeconfig": "LSBh"}}, "it holds no kubeconfig"),
    ],
)
def test_a_secret_without_a_kubeconfig(document: dict[str, Any], text: str) -> None:
    with pytest.raises(IbuError) as caught:
        kubeconfig_of_secret(document, "kubeconfig")
    assert str(caught.value) == text


def without(path: str, **values: Any) -> dict[str, Any]:
    """The kubeconfig with one entry changed."""
    changed = copy.deepcopy(KUBECONFIG)
    section, index, inner = path.split(".")
    changed[section][int(index)][inner] = values
    return changed


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({**KUBECONFIG, "current-context": "absent"}, "no context"),
        ({**KUBECONFIG, "clusters": None}, "no cluster"),
        ({**KUBECONFIG, "users": [{"name": "admin"}]}, "no user"),
        (without("clusters.1.cluster"), "no https server"),
        (without("clusters.1.cluster", server="http://api.example.com"), "no https server"),
        (without("users.0.user", exec={"command": "sh"}), "no inline credential"),
        (without("users.0.user", **{"client-certificate": "/c", "client-key": "/k"}), "no inline credential"),
        (without("users.0.user", **{"client-certificate-data": "Q0U="}), "no inline credential"),
    ],
)
def test_an_unusable_kubeconfig(document: dict[str, Any], text: str) -> None:
    with pytest.raises(IbuError, match=text):
        reduced_kubeconfig(document)


def test_what_a_secret_says_beside_its_credential_is_not_taken_over() -> None:
    user = {"token": "word", "exec": {"command": "sh"}, "auth-provider": {"name": "x"}, "client-key": "/k"}
    reduced = reduced_kubeconfig(without("users.0.user", **user))
    assert reduced["users"] == [{"name": "admin", "user": {"token": "word"}}]
    files = without("clusters.1.cluster", server="https://api.example.com", **{"certificate-authority": "/ca"})
    assert reduced_kubeconfig(files)["clusters"] == [
        {"name": "cluster", "cluster": {"server": "https://api.example.com"}}
    ]


def test_kubeconfigs_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "one.yml").touch()
    found = files_in(str(tmp_path), "{cluster}.yml", ["one", "two"])
    assert found["one"] == str(tmp_path / "one.yml")
    assert str(found["two"]) == f"no kubeconfig can be read at {tmp_path / 'two.yml'}"
