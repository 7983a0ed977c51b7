# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""A cluster that could not be read at all: what that means, in words that clusters with the same trouble share."""

from __future__ import annotations

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered


def silence(cluster: str, message: str, next_step: str, error: BaseException | None) -> Finding:
    """The finding. ``message`` is the cluster's own trouble in full, ``error`` what it came from.

    An answer that is of no use blocks; only where nothing came back there is no answer.
    """
    severity, cause = _meaning(error)
    return Finding(severity, cluster, "contact", cause or message, next_step, seen=message if cause else "")


def _meaning(error: BaseException | None) -> tuple[Severity, str]:
    if isinstance(error, NotThere):
        return Severity.BLOCKED, "it answers, but it has no ImageBasedUpgrade"
    if isinstance(error, Refused):
        return Severity.BLOCKED, "it answers, but refuses to be read"
    if not isinstance(error, Unanswered):
        return Severity.NO_ANSWER, ""
    if error.status == 401:
        return Severity.BLOCKED, "it answers, but the credential is not accepted (401)"
    if error.status == 403:
        return Severity.BLOCKED, "it answers, but this identity may not read it (403)"
    if error.kind == "tls":
        return Severity.BLOCKED, "no trusted TLS connection: its certificate is not one of the CA that was given"
    if error.status is not None:
        return Severity.NO_ANSWER, f"the API server is in trouble (HTTP {error.status})"
    if error.kind == "timeout":
        return Severity.NO_ANSWER, "no answer in time"
    for words in ("connection refused", "the name of"):
        if str(error).startswith(words):
            return Severity.NO_ANSWER, words if words != "the name of" else "the name of its API server is not known"
    return Severity.NO_ANSWER, "no connection"
