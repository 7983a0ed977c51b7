# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What looks like a secret does not get into a collection, and what people need to read does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import (
    MASK,
    is_secret,
    is_secret_name,
    masked,
    masked_text,
)

HIDDEN = "hunter2-hunter2"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "AWS_SECRET_ACCESS_KEY",
        "aws_access_key",
        "token",
        "bootstrapToken",
        "bearer-token",
        "client-key-data",
        "clientSecret",
        ".dockerconfigjson",
        "kubeconfig",
        "API_KEY",
        "httpProxyPassword",
    ],
)
def test_the_name_of_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["secretName", "pullSecretRef", "tokenExpirationSeconds", "key", "name", "secretKeyRef", "credentialId", "keys"],
)
def test_a_name_that_only_looks_like_one(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN RSA PRIVATE KEY-----\n{HIDDEN}\n{HIDDEN}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n(cut off",
        f"Authorization: Bearer {HIDDEN}",
        f"authorization: Basic {HIDDEN}",
        f"token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.{HIDDEN}",
        f"GET https://s3.example.com/b/x.gz?X-Amz-Credential=a%2F{HIDDEN}&X-Amz-Signature={HIDDEN}",
        f"using proxy http://user:{HIDDEN}@proxy.example.com:3128",
        f'{{"auths":{{"registry.example.com":{{"auth":"{HIDDEN}"}}}}}}',
        f'{{\\"auths\\":{{\\"registry.example.com\\":{{\\"auth\\":\\"{HIDDEN}\\"}}}}}}',
        f"aws_secret_access_key = {HIDDEN}",
        f"AWS_SECRET_ACCESS_KEY={HIDDEN} velero server",
        f'level=info password="{HIDDEN} with blanks {HIDDEN}"',
        f"db.password: '{HIDDEN}'",
        f'msg="{{\\"token\\":\\"{HIDDEN}\\"}}"',
        f"--client-secret={HIDDEN}",
    ],
)
def test_secrets_in_a_text_are_masked(text: str) -> None:
    assert HIDDEN not in masked_text(text)
    assert MASK in masked_text(text)


@pytest.mark.parametrize(
    "text",
    [
        'secrets "seed-pull" not found',
        "failed to retrieve pull-secret from secret seed-pull, err: did not find key .dockerconfigjson",
        "Failed backup CRs: acm-klusterlet",
        "found /var/tmp/recert-summary.yaml file, returning error, it means recert previously failed",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "https://s3.example.com/backups/x.tar.gz?partNumber=2",
        "quay.example.com/seed@sha256:0123456789abcdef",
    ],
)
def test_what_people_need_stays(text: str) -> None:
    assert masked_text(text) == text


def test_objects_are_masked_by_names_and_environment_variables() -> None:
    found = masked(
        {
            "kind": "Pod",
            "metadata": {
                "name": "velero",
                "managedFields": [{"manager": "oc"}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": {"token": HIDDEN}})
                },
            },
            "spec": {
                "containers": [
                    {
                        "env": [
                            {"name": "DB_PASSWORD", "value": HIDDEN},
                            {"name": "OTHER", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                            {"name": "LEVEL", "value": "debug"},
                        ],
                        "args": [f"--token={HIDDEN}"],
                    }
                ]
            },
        }
    )
    assert HIDDEN not in json.dumps(found)
    assert "managedFields" not in found["metadata"]
    env = found["spec"]["containers"][0]["env"]
    assert [one.get("value") for one in env] == [MASK, None, "debug"]
    assert env[1]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k"}


def test_secrets_are_left_out_wherever_they_are() -> None:
    secret = {"kind": "Secret", "data": {"a": HIDDEN}}
    assert is_secret(secret)
    assert masked({"items": [secret, {"kind": "Job"}], "object": secret}) == {
        "items": [{"kind": "Job"}],
        "object": MASK,
    }
    assert HIDDEN not in json.dumps(
        masked({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret)}})
    )


def test_a_copy_that_cannot_be_read_is_masked_as_a_whole() -> None:
    note = {"kubectl.kubernetes.io/last-applied-configuration": "{not json"}
    assert masked(note) == dict.fromkeys(note, MASK)


_NAMES = st.sampled_from(["password", "name", "secretName", "token", "x", "value", "items", "env"])
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=15,
)


@given(_VALUES)
def test_masking_twice_is_masking_once(value: Any) -> None:
    once = masked(value)
    assert masked(once) == once


@given(st.text(alphabet='abk=:" \n<>{}tokenpasword-', max_size=60))
def test_masking_a_text_twice_is_masking_it_once(text: str) -> None:
    once = masked_text(text)
    assert masked_text(once) == once
