# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Credentials and the time that certificates leave. Facts in, findings out."""

from __future__ import annotations

import base64
import binascii
import datetime
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._certificate import Certificate, read_certificate
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Goal, Observed

# Signs certificates that are asked for through CertificateSigningRequests. Its key is another one after the reboot.
_CSR_SIGNER = "kube-csr-signer"
_KUBELET_SIGNERS = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving")
_MARGIN = datetime.timedelta(minutes=30)
_ROLLBACK_WINDOW = datetime.timedelta(days=1)
_LITTLE = datetime.timedelta(hours=1)
_USUAL_SECONDS = 3600.0


def check_credential(
    judge: Judge,
    credential: str,
    certificate: Certificate | None,
    goals: t.Sequence[Goal],
    now: datetime.datetime | None,
    timeouts: t.Mapping[Action, float],
    *,
    accept_token: bool,
) -> None:
    """Whether the credential lasts over the reboot, and until the end of what is to come."""
    reboots = any(goal.action.reboots for goal in goals)
    if credential == "token" and reboots:
        say = judge.warned if accept_token else judge.blocked
        say(
            "credential",
            "the connection uses a bearer token; it stops working at the reboot into the other release",
            "use the admin client certificate (docs: credentials), or accept it with ibu_accept_token=true",
            source="ibu_kubeconfig or ibu_api_key",
        )
    if certificate is None:
        return
    if reboots and certificate.issuer.startswith(_CSR_SIGNER):
        judge.warned(
            "credential",
            "the client certificate was issued through a CertificateSigningRequest; the other release does not know "
            "its signer, so it stops working at the reboot",
            "use the admin client certificate (docs: credentials)",
            seen=f"issuer {certificate.issuer}",
            expected="issuer admin-kubeconfig-signer",
            source="client certificate of the connection",
        )
    wanted = datetime.timedelta(seconds=sum(timeouts.get(goal.action, _USUAL_SECONDS) for goal in goals))
    if now and certificate.not_after - now < wanted:
        judge.warned(
            "credential",
            "the client certificate expires before the actions to come must have ended",
            "renew the credential in ibu_kubeconfig",
            seen=f"expires {certificate.not_after:%Y-%m-%d %H:%M}Z",
            expected=f"valid for {wanted}",
            source="client certificate of the connection",
        )


def check_rollback_time(judge: Judge, observed: Observed, goals: t.Sequence[Goal]) -> None:
    """How long the way back is open, for clusters that are to go there."""
    if observed.rollback_until is None or observed.now is None:
        return
    left = observed.rollback_until - observed.now
    if any(goal.action is Action.ROLLBACK for goal in goals) and datetime.timedelta(0) < left < _LITTLE:
        judge.warned(
            "rollback-time",
            "less than an hour is left for a rollback; afterwards the old release's certificates may have expired",
            "roll back now (docs/runbooks/rollback-deadline)",
            seen=f"until {observed.rollback_until:%Y-%m-%d %H:%M}Z",
            source="ImageBasedUpgrade status.rollbackAvailabilityExpiration",
        )


def check_kubelet_certificates(judge: Judge, requests: Reading, now: datetime.datetime | None) -> bool:
    """How long a rollback will be possible after the upgrade, as far as requests of the kubelet still tell.

    Returns whether that is known. The agent takes the earliest end of the kubelet's certificates, less 30 minutes.
    """
    ends: dict[str, datetime.datetime] = {}
    for request in requests.items:
        signer = (request.get("spec") or {}).get("signerName")
        found = _issued((request.get("status") or {}).get("certificate")) if signer in _KUBELET_SIGNERS else None
        if found:
            ends[str(signer)] = max(found.not_after, ends.get(str(signer), found.not_after))
    if now is None or set(ends) != set(_KUBELET_SIGNERS):
        return False
    until = min(ends.values()) - _MARGIN
    if until - now < _ROLLBACK_WINDOW:
        judge.warned(
            "rollback-time",
            "the kubelet's certificates end within a day; a rollback would be safe only until shortly before",
            "wait until the kubelet has renewed them, or finalize or roll back in time "
            "(docs/runbooks/rollback-deadline)",
            seen=f"until {until:%Y-%m-%d %H:%M}Z",
            expected="more than a day",
            source="CertificateSigningRequest status.certificate",
        )
    return True


def _issued(encoded: t.Any) -> Certificate | None:
    if not encoded:
        return None
    try:
        return read_certificate(base64.b64decode(str(encoded)).decode("ascii", "replace"))
    except (binascii.Error, ValueError):
        return None
