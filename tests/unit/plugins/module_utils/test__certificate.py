# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a certificate says about itself, and what that means for an upgrade."""

from __future__ import annotations

import base64
import datetime

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._certificate import Certificate, read_certificate
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal

from . import targets
from .targets import NOW, PREP, judge, problems, some, unknown

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
UPGRADE = Goal(Action.UPGRADE, targets.IMAGE)


def tlv(tag: int, *parts: bytes) -> bytes:
    """An element of DER."""
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def pem(not_after: datetime.datetime, issuer: str = "admin-kubeconfig-signer", kind: int = UTC_TIME) -> str:
    """As much of a certificate as anybody reads here, with a filler that makes its lengths long."""
    form = "%y%m%d%H%M%SZ" if kind == UTC_TIME else "%Y%m%d%H%M%SZ"
    name = tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x06, b"\x55\x04\x03"), tlv(0x0C, issuer.encode()))))
    organization = tlv(0x31, tlv(0x30, tlv(0x06, b"\x55\x04\x0a"), tlv(0x0C, b"somebody")))
    name = tlv(0x30, organization, name[2:])
    dates = tlv(0x30, tlv(UTC_TIME, b"200101000000Z"), tlv(kind, not_after.strftime(form).encode()))
    signed = tlv(0x30, tlv(0xA0, tlv(0x02, b"\x02")), tlv(0x02, b"\x01"), tlv(0x30), name, dates, tlv(0x04, b"x" * 300))
    text = base64.encodebytes(tlv(0x30, signed, tlv(0x30))).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("kind", [UTC_TIME, GENERALIZED_TIME])
def test_issuer_and_end(kind: int) -> None:
    assert read_certificate(f"a comment\n{pem(NOW, kind=kind)}") == Certificate("admin-kubeconfig-signer", NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIBAgIA\n-----END CERTIFICATE-----",
    ],
)
def test_what_cannot_be_read_is_nothing(text: str) -> None:
    assert read_certificate(text) is None


# --- the credential -----------------------------------------------------------------------------------------------


def with_certificate(days: float, issuer: str = "admin-kubeconfig-signer", goal: Goal = UPGRADE) -> list[str]:
    certificate = Certificate(issuer, NOW + datetime.timedelta(days=days))
    return [cause for _severity, check, cause in problems(goal, certificate=certificate) if check == "credential"]


def test_the_administrators_certificate_is_fine() -> None:
    assert with_certificate(300) == []


def test_a_certificate_that_ends_before_the_actions_do() -> None:
    (cause,) = with_certificate(0.01)

    assert "expires before the actions to come must have ended" in cause


def test_a_certificate_of_a_signer_that_the_other_release_does_not_know() -> None:
    (cause,) = with_certificate(300, "kube-csr-signer_@1732180000")

    assert "issued through a CertificateSigningRequest" in cause
    assert with_certificate(300, "kube-csr-signer_@1732180000", PREP) == [], "Prep does not reboot"


# --- the kubelet's ------------------------------------------------------------------------------------------------


def request(signer: str, days: float) -> dict[str, object]:
    issued = base64.b64encode(pem(NOW + datetime.timedelta(days=days)).encode()).decode()
    return {
        "metadata": {"name": f"csr-{signer}"},
        "spec": {"signerName": f"kubernetes.io/{signer}"},
        "status": {"conditions": [{"type": "Approved", "status": "True"}], "certificate": issued},
    }


CLIENT, SERVING = "kube-apiserver-client-kubelet", "kubelet-serving"


def test_certificates_of_the_kubelet_that_end_soon() -> None:
    soon = some(request(CLIENT, 29), request(SERVING, 0.9))

    (found,) = [one for one in judge(health={"requests": soon}) if one.check == "rollback-time"]

    assert "end within a day" in found.cause
    assert found.seen == f"until {NOW + datetime.timedelta(days=0.9, minutes=-30):%Y-%m-%d %H:%M}Z"


def test_only_the_latest_certificate_of_each_kind_counts() -> None:
    renewed = some(request(CLIENT, 29), request(SERVING, 0.9), request(SERVING, 30))

    assert problems(health={"requests": renewed}) == []
    assert "kubelet" not in unknown(health={"requests": renewed})["host"]


def test_with_one_kind_alone_the_end_is_not_known() -> None:
    assert "the end of the kubelet's certificates" in unknown(health={"requests": some(request(SERVING, 0.9))})["host"]
