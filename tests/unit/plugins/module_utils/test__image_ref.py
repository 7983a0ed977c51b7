# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images, mirrors, pull secrets and challenges."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref as images
from ansible_collections.sno.image_upgrade.plugins.module_utils._image_ref import Challenge, Reference
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

DIGEST = "sha256:" + "0f" * 32
AUTH = base64.b64encode(b"me:pass:word").decode()


class TestReference:
    @pytest.mark.parametrize(
        ("text", "parsed", "wanted"),
        [
            ("quay.example.com/seeds/sno:4.18.9", ("quay.example.com", "seeds/sno", "4.18.9", None), "4.18.9"),
            ("quay.example.com/sno", ("quay.example.com", "sno", None, None), "latest"),
            (f"quay.example.com:8443/a/b/c@{DIGEST}", ("quay.example.com:8443", "a/b/c", None, DIGEST), DIGEST),
            (f"quay.example.com/a:v1@{DIGEST}", ("quay.example.com", "a", "v1", DIGEST), DIGEST),
            ("localhost/a:v1", ("localhost", "a", "v1", None), "v1"),
            ("registry:5000/a:v1", ("registry:5000", "a", "v1", None), "v1"),
            ("[2001:db8::1]:5000/a:v1", ("[2001:db8::1]:5000", "a", "v1", None), "v1"),
            ("192.0.2.1:5000/a__b-c.d:v1", ("192.0.2.1:5000", "a__b-c.d", "v1", None), "v1"),
            ("Quay.Example.com/a:V1", ("quay.example.com", "a", "V1", None), "V1"),
        ],
    )
    def test_parts(self, text: str, parsed: tuple[Any, ...], wanted: str) -> None:
        reference = images.parse(text)
        assert (reference, reference.wanted) == (Reference(*parsed), wanted)
        assert images.parse(str(reference)).wanted == wanted

    @pytest.mark.parametrize(
        "text",
        ["", None, 7, "sno:v1", "seeds/sno:v1", "docker://quay.example.com/a", "quay.example.com/A:v1"]
        + ["quay.example.com/a:", "quay.example.com/a@sha256:12", "quay.example.com/a b", "quay.example.com/", "/a:v1"]
        + ["quay.example.com/a:v1\n", "quay.example.com/../a:v1", "u:p@quay.example.com/a:v1"],
    )
    def test_what_is_none_is_refused_with_an_example(self, text: Any) -> None:
        with pytest.raises(InvalidOption, match="REGISTRY/NAME:TAG"):
            images.parse(text)


class TestMirrors:
    MIRRORS = {
        "quay.example.com": ["all.example.com/q"],
        "quay.example.com/seeds": ["a.example.com/s", "b.example.com"],
    }

    def places(self, image: str) -> list[str]:
        return [str(one) for one in images.candidates(images.parse(image), images.check_mirrors(self.MIRRORS))]

    def test_the_longest_source_counts_and_the_source_comes_last(self) -> None:
        assert self.places("quay.example.com/seeds/sno:v1") == [
            "a.example.com/s/sno:v1",
            "b.example.com/sno:v1",
            "quay.example.com/seeds/sno:v1",
        ]

    def test_a_source_is_no_prefix_of_a_word(self) -> None:
        assert self.places("quay.example.com/seedsmore/sno:v1")[0] == "all.example.com/q/seedsmore/sno:v1"
        assert self.places("quay.example.com.org/sno:v1") == ["quay.example.com.org/sno:v1"]

    def test_the_digest_stays(self) -> None:
        assert self.places(f"quay.example.com/sno@{DIGEST}")[0] == f"all.example.com/q/sno@{DIGEST}"

    def test_a_single_mirror_may_be_a_text(self) -> None:
        assert images.check_mirrors({"a.example.com/": "b.example.com/x/"}) == {"a.example.com": ("b.example.com/x",)}

    @pytest.mark.parametrize("bad", [None, [], "x", {"a": 1}, {"a": [1]}, {"a": [""]}])
    def test_what_is_no_mapping_of_lists_is_refused(self, bad: Any) -> None:
        with pytest.raises(InvalidOption, match="ibu_seed_registry_mirrors"):
            images.check_mirrors(bad, "ibu_seed_registry_mirrors")


def login(document: Any, image: str = "quay.example.com/seeds/sno:v1") -> images.Login | None:
    return images.read_pull_secret(json.dumps(document), "auth_file", "pull.json").login(images.parse(image))


class TestPullSecret:
    @pytest.mark.parametrize("key", ["quay.example.com", "https://quay.example.com", "https://quay.example.com/v1/"])
    def test_the_entry_of_the_registry(self, key: str) -> None:
        assert login({"auths": {key: {"auth": AUTH}}}) == ("me", "pass:word")

    def test_the_older_layout(self) -> None:
        assert login({"quay.example.com": {"auth": AUTH}}) == ("me", "pass:word")

    def test_the_longest_path_counts(self) -> None:
        entries = {f"quay.example.com{path}": {"username": path or "/", "password": "x"} for path in PATHS}
        found = login({"auths": entries})
        assert found and found.user == "/seeds/sno"
        other = login({"auths": entries}, "quay.example.com/seeds/other:v1")
        assert other and other.user == "/seeds"
        last = login({"auths": entries}, "quay.example.com/seedless:v1")
        assert last and last.user == "/"

    @pytest.mark.parametrize("key", ["other.example.com", "quay.example.com:443", "quay.example.com/see"])
    def test_entries_of_others_are_nobodys(self, key: str) -> None:
        assert login({"auths": {key: {"auth": AUTH}}}) is None

    def test_an_empty_secret_is_nobody(self) -> None:
        assert login({"auths": {}}) is None and login({}) is None

    @pytest.mark.parametrize("helper", [{"credsStore": "desktop"}, {"credHelpers": {"quay.example.com": "x"}}])
    @pytest.mark.parametrize("entries", [{}, {"auths": {"quay.example.com": {}}}])
    def test_helpers_are_not_run(self, helper: dict[str, Any], entries: dict[str, Any]) -> None:
        with pytest.raises(InvalidOption, match="credential helper"):
            login({**helper, **entries})

    def test_a_helper_does_no_harm_where_the_login_is_there(self) -> None:
        assert login({"credsStore": "x", "auths": {"quay.example.com": {"auth": AUTH}}})

    @pytest.mark.parametrize(
        "document",
        [
            [],
            "text-secret",
            {"auths": []},
            {"auths": {"quay.example.com": "text-secret"}},
            {"auths": {"quay.example.com": {"auth": "text-secret!"}}},
            {"auths": {"quay.example.com": {"auth": base64.b64encode(b"text-secret").decode()}}},
            {"auths": {"quay.example.com": {"identitytoken": "text-secret"}}},
            {"auths": {"quay.example.com": {"username": "text-secret"}}},
        ],
    )
    def test_what_cannot_be_used_is_named_and_not_quoted(self, document: Any) -> None:
        with pytest.raises(InvalidOption) as caught:
            login(document)
        assert "pull.json" in str(caught.value) and "text-secret" not in str(caught.value)

    def test_what_is_no_json_is_not_quoted(self) -> None:
        with pytest.raises(InvalidOption) as caught:
            images.read_pull_secret("text-secret {", "auth_file", "pull.json")
        assert "text-secret" not in str(caught.value) and "text-secret" not in repr(caught.value.__cause__)

    def test_a_login_is_not_shown(self) -> None:
        assert "word" not in repr(login({"quay.example.com": {"auth": AUTH}}))


PATHS = ("", "/seeds", "/seeds/sno")


class TestChallenge:
    @pytest.mark.parametrize(
        ("header", "found"),
        [
            ('Basic realm="a, b"', Challenge("basic", {"realm": "a, b"})),
            (
                'Bearer realm="https://a.example.com/t",service="s",scope="repository:a:pull"',
                Challenge("bearer", {"realm": "https://a.example.com/t", "service": "s", "scope": "repository:a:pull"}),
            ),
            ("bearer realm=https://a.example.com/t", Challenge("bearer", {"realm": "https://a.example.com/t"})),
            ('Basic realm="x", Bearer realm="y"', Challenge("bearer", {"realm": "y"})),
            ('Bearer realm="say \\"hi\\""', Challenge("bearer", {"realm": 'say "hi"'})),
            ("Negotiate", None),
            ("", None),
        ],
    )
    def test_headers(self, header: str, found: Challenge | None) -> None:
        assert images.read_challenge(header) == found
