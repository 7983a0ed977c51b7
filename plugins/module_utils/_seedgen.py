# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What a SeedGenerator says, and what to do about it. Documents in, values out; no I/O, no clock."""

from __future__ import annotations

import base64
import binascii
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Word

NAME = "seedimage"
NAMESPACE = "openshift-lifecycle-agent"
SECRET = "seedgen"
SECRET_KEY = "seedAuth"
IN_PROGRESS, COMPLETED = "SeedGenInProgress", "SeedGenCompleted"
LAUNCHING = "Launching imager container"
# What Secret seedgen carries where it was made here.
OURS: t.Mapping[str, str] = {"app.kubernetes.io/managed-by": "sno.image_upgrade"}

Document = t.Mapping[str, t.Any]


class Phase(Word):
    """Where the generation of a seed image stands. The values are for people."""

    ABSENT = "not asked for"
    PENDING = "requested"
    RUNNING = "in progress"
    IMAGING = "imager at work"
    FAILED = "failed"
    COMPLETED = "completed"

    @property
    def is_over(self) -> bool:
        """True where nothing more will come of this SeedGenerator."""
        return self in (Phase.FAILED, Phase.COMPLETED)


@dataclass(frozen=True)
class Generation:
    """One SeedGenerator at one moment. ``message`` is the agent's own."""

    phase: Phase
    message: str = ""
    image: str = ""
    recert_image: str = ""
    uid: str = ""
    resource_version: str = ""
    since: str = ""


def generation_of(document: Document) -> Generation:
    """Read one. A Completed condition counts only where the agent does not say in the same breath that it works."""
    meta, spec = document.get("metadata") or {}, document.get("spec") or {}
    conditions = {str(one.get("type")): one for one in (document.get("status") or {}).get("conditions") or ()}
    progress, completed = conditions.get(IN_PROGRESS) or {}, conditions.get(COMPLETED) or {}
    phase, message, since = Phase.PENDING, "", str(meta.get("creationTimestamp") or "")
    if progress.get("status") == "True":
        message = str(progress.get("message") or "")
        phase = Phase.IMAGING if message == LAUNCHING else Phase.RUNNING
        since = str(progress.get("lastTransitionTime") or since)
    elif completed.get("status") in ("True", "False"):
        phase = Phase.COMPLETED if completed["status"] == "True" else Phase.FAILED
        message = _detail(progress, completed)
        since = str(completed.get("lastTransitionTime") or since)
    return Generation(
        phase,
        message,
        str(spec.get("seedImage") or ""),
        str(spec.get("recertImage") or ""),
        str(meta.get("uid") or ""),
        str(meta.get("resourceVersion") or ""),
        since,
    )


_PREFIX = "Seed generation failed: "


def _detail(progress: Document, completed: Document) -> str:
    """The failure's own words: they stand in InProgress, and behind a prefix, which may come twice, in Completed."""
    text = str(progress.get("message") or "") or str(completed.get("message") or "")
    while text.startswith(_PREFIX):
        text = text[len(_PREFIX) :]
    return text


ABSENT = Generation(Phase.ABSENT)


# --- what to do -------------------------------------------------------------------------------------------------------


class Again(Word):
    """When a SeedGenerator that is over may be deleted, to ask anew: the agent reacts to creation only."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    image: str
    recert_image: str | None = None
    again: Again = Again.NEVER

    def matches(self, found: Generation) -> bool:
        """Whether an existing SeedGenerator asks for the same."""
        return found.image == self.image and found.recert_image in ("", self.recert_image or found.recert_image)


class Do(Word):
    """What comes next."""

    CREATE = "create"
    RECREATE = "delete and create again"
    FOLLOW = "follow"
    NOTHING = "nothing"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Way:
    """The decision. ``why`` and ``remedy`` are for people; a remedy belongs to a refusal."""

    do: Do
    why: str = ""
    remedy: str = ""


_AGAIN_HINT = "It reacts to its creation only, so it has to be deleted and created again: seed_image_recreate={}"


def decide(found: Generation, wanted: Wanted, *, under_way: bool = False) -> Way:
    """What an existing SeedGenerator, or its absence, means for the wish.

    ``under_way``: there is none, and there is no ImageBasedUpgrade either. The agent has deleted both to start the
    imager, and only its return can tell how that ends.
    """
    if found.phase is Phase.ABSENT:
        return Way(Do.FOLLOW, "the imager is at work") if under_way else Way(Do.CREATE)
    if not found.phase.is_over:
        if wanted.matches(found):
            return Way(Do.FOLLOW, f"a SeedGenerator for this image is there: {found.phase}")
        return Way(
            Do.REFUSE,
            f"a SeedGenerator for another image is at work: {found.image}",
            "wait until it is over, or run with that image to follow it",
        )
    if wanted.again is Again.ALWAYS or (wanted.again is Again.FAILED and found.phase is Phase.FAILED):
        return Way(Do.RECREATE, f"the SeedGenerator that is there has {found.phase}")
    if found.phase is Phase.FAILED:
        return Way(
            Do.REFUSE,
            f'a SeedGenerator is there that has failed: "{found.message}"',
            f"{explain(found.message).remedy}. {_AGAIN_HINT.format(Again.FAILED)}",
        )
    if wanted.matches(found):
        return Way(Do.NOTHING, "the seed image was generated before")
    return Way(
        Do.REFUSE,
        f"a SeedGenerator is there that has made another image: {found.image}",
        _AGAIN_HINT.format(Again.ALWAYS),
    )


def is_news(found: Generation, before: str) -> bool:
    """False for the SeedGenerator that was deleted to ask anew: its outcome is not the one that is waited for."""
    return not before or found.uid != before


# --- silence ----------------------------------------------------------------------------------------------------------

RETRIED_KINDS = frozenset({"connect", "timeout", "tls", "expired", "conflict"})


def is_expected(kind: str, status: int | None, launched: bool) -> bool:
    """Whether an API without an answer is the normal course of things.

    The imager stops kubelet and CRI-O, and with them the API; before that the machine configuration may restart it.
    A missing object (404) is normal only once the imager was started, and never a success.
    """
    if status == 404:
        return launched
    if status in (401, 403):
        return launched
    return kind in RETRIED_KINDS or status is None or status == 429 or status >= 500


# --- the credential to push with --------------------------------------------------------------------------------------


def seed_auth(secret: Document) -> str:
    """The registry's credential in Secret seedgen; empty where there is none."""
    data = (secret.get("data") or {}).get(SECRET_KEY)
    return pull_secret_text({"data": {".dockerconfigjson": data}}) if data else ""


def is_ours(secret: Document) -> bool:
    """Whether Secret seedgen was made here, and so may be replaced and removed."""
    return OURS.items() <= ((secret.get("metadata") or {}).get("labels") or {}).items()


def would_lose(secret: Document, text: str) -> bool:
    """Whether writing ``text`` into Secret seedgen would lose a credential of somebody else's."""
    if is_ours(secret) or not (secret.get("data") or {}).get(SECRET_KEY):
        return False
    there = seed_auth(secret)
    return there != text and _parsed(there) != _parsed(text)


def _parsed(text: str) -> t.Any:
    """What an auth file says; the file itself where it cannot be read."""
    try:
        return json.loads(text)
    except ValueError:
        return text


NOT_OURS = "Secret seedgen is there with another credential, and was not made by this collection"
NOT_OURS_REMEDY = (
    "leave seed_image_auth_file and seed_image_auth_secret out to push with the one that is there; "
    "or save it if it is still needed, delete it, and run again"
)

# --- the cluster's pull secret ----------------------------------------------------------------------------------------


def pull_secret_text(secret: Document | None) -> str:
    """The plain content of a Secret of docker credentials; empty where there is none."""
    data = (secret or {}).get("data") or {}
    try:
        return base64.b64decode(data.get(".dockerconfigjson") or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def is_sanitized(text: str) -> bool:
    """True for a pull secret without a credential of any use: the dummy that the agent puts in its place."""
    try:
        auths = json.loads(text).get("auths")
    except (AttributeError, ValueError):
        return True
    return not any(_is_credential(one) for one in (auths or {}).values())


def _is_credential(entry: t.Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if entry.get("identitytoken") or entry.get("registrytoken"):
        return True
    try:
        user, _colon, word = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return True
    user, word = user or str(entry.get("username") or ""), word or str(entry.get("password") or "")
    return bool(user and word) and (user, word) != ("empty", "empty")


# --- why it failed ----------------------------------------------------------------------------------------------------


class Cause(t.NamedTuple):
    """A failure by name, what to do about it, and whether the imager's log can say more."""

    key: str
    remedy: str
    on_host: bool = False


_IMAGER_LOG = "read the imager's log on the node: podman logs lca_image_builder"

# Every text with which the agent ends a generation. More than one may match: the first counts.
_CAUSES: tuple[tuple[str, Cause], ...] = (
    ('does not support "ostree admin set-default"', Cause("ostree", "use a release whose ostree can set the default")),
    (
        "must be configured with shared container storage",
        Cause("container_storage", "install the seed cluster with /var/lib/containers on a partition of its own"),
    ),
    (
        "must be detached from hub",
        Cause("hub", "detach it from the hub (seed_image_detach), and remove the klusterlet CRD if that stays"),
    ),
    ("presence of ACM addon", Cause("addons", "switch the optional add-ons off on the hub; remove their namespaces")),
    (
        "missing dnsmasq config",
        Cause("dnsmasq", "install the seed cluster with the dnsmasq configuration for image-based upgrades"),
    ),
    (
        "invalid cluster pull-secret",
        Cause("pull_secret", "an earlier run failed half-way: put the pull secret back (seed_image_state=restored)"),
    ),
    ("any Persistent Volumes", Cause("volumes", "remove the applications that own them, and the PersistentVolumes")),
    ("LocalVolumes configured", Cause("local_volumes", "remove the LocalVolumes and their StorageClasses")),
    ("LVMClusters configured", Cause("lvm_clusters", "remove the LVMClusters")),
    ("DataProtectionApplication resources", Cause("data_protection", "remove the DataProtectionApplications")),
    ("OADP version >= 1.3.1", Cause("oadp", "update OADP to 1.3.1 or newer")),
    ("Failure occurred during check for", Cause("check", "look at the API server and the agent's log, then run again")),
    ("could not access secret seedgen", Cause("secret", "give seed_image_auth_file, or create Secret seedgen")),
    ("could not find seedAuth", Cause("secret", "the Secret seedgen needs the key seedAuth")),
    (
        "failed to pull recert image",
        Cause("recert", "see that the node can pull the recert image; seed_image_recert_image names another one"),
    ),
    (
        "failed to cleanup resources",
        Cause("cleanup", "look for what keeps the CRDs or namespaces of ACM from being deleted (finalizers)"),
    ),
    (
        "failed sanitizing cluster's pull-secret",
        Cause("sanitize", "look at the MachineConfigPools; put the pull secret back if it was replaced"),
    ),
    ("unable to recover SeedGenerator CR", Cause("recover", "the agent lost what it had saved: install it anew")),
    (
        "imager container status check failed",
        Cause("imager", f"{_IMAGER_LOG}; most often the push to the registry failed", on_host=True),
    ),
    ("imager failed", Cause("imager", _IMAGER_LOG, on_host=True)),
)

_UNKNOWN = Cause("unknown", "read the agent's log, and the imager's on the node: podman logs lca_image_builder", True)


def explain(message: str) -> Cause:
    """Why a generation has failed."""
    return next((cause for part, cause in _CAUSES if part in message), _UNKNOWN)


WARNING = (
    "the cluster has served as a seed: the agent has removed what is left of ACM, finished pods and old rendered "
    "MachineConfigs from it, and its certificates were expired for the image. Use it for nothing but further seed "
    "images: install it anew before it gets a workload or goes back to a hub"
)
