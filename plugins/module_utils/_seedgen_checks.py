# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the Lifecycle Agent will refuse to make a seed image of, all at once and in its order. No I/O, no clock."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref, _seedgen, _version
from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import NOTHING, HealthFacts, Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding, Judge
from ansible_collections.sno.image_upgrade.plugins.module_utils._health import closed_gates
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_record import (
    container_storage_mountpoint,
    has_file,
    operators,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

Document = t.Mapping[str, t.Any]

KLUSTERLET_CRD = "klusterlets.operator.open-cluster-management.io"
ADDON_PREFIX = "open-cluster-management-addon-"
DNSMASQ_SCRIPT = "/usr/local/bin/dnsmasq_config.sh"
OADP_LEAST = "1.3.1"

# One line per fact, so that the answer of a login shell that says more around them can be read, too.
HOST_COMMAND = (
    "ostree admin --help 2>/dev/null | grep -q set-default && echo seed:set_default=yes || echo seed:set_default=no; "
    "systemctl is-active --quiet var-lib-containers.mount && echo seed:storage=yes || echo seed:storage=no; "
    f"test -e {DNSMASQ_SCRIPT} && echo seed:dnsmasq=yes || echo seed:dnsmasq=no"
)


NOT_ASKED = "the node was not asked"


@dataclass(frozen=True)
class HostFacts:
    """What only the node itself can say; None where it was not asked, with ``why``."""

    set_default: bool | None = None
    storage: bool | None = None
    dnsmasq: bool | None = None
    why: str = NOT_ASKED


def host_facts(text: str) -> HostFacts:
    """What the node has answered to HOST_COMMAND."""
    said: dict[str, bool] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("seed:").partition("=")
        if line.strip().startswith("seed:") and equals:
            said[name] = value == "yes"
    why = "" if said else "the node's answer could not be read"
    return HostFacts(said.get("set_default"), said.get("storage"), said.get("dnsmasq"), why)


@dataclass(frozen=True)
class SeedSurvey:
    """What was read of the cluster that shall become the seed."""

    nodes: Reading = NOTHING
    rendered: Reading = NOTHING
    klusterlet_crd: Reading = NOTHING
    klusterlets: Reading = NOTHING
    namespaces: Reading = NOTHING
    pull_secret: Reading = NOTHING
    volumes: Reading = NOTHING
    claims: Reading = NOTHING
    local_volumes: Reading = NOTHING
    lvm_clusters: Reading = NOTHING
    protections: Reading = NOTHING
    services: Reading = NOTHING
    secret: Reading = NOTHING
    upgrade: Reading = NOTHING
    agent: Reading = NOTHING
    health: HealthFacts = field(default_factory=HealthFacts)
    host: HostFacts = field(default_factory=HostFacts)

    def readings(self) -> dict[str, Reading]:
        """Every reading by what it is good for."""
        return {
            "the node": self.nodes,
            "the node's MachineConfig": self.rendered,
            "the klusterlet's CRD": self.klusterlet_crd,
            "namespaces of add-ons": self.namespaces,
            "the cluster's pull secret": self.pull_secret,
            "PersistentVolumes": self.volumes,
            "LocalVolumes": self.local_volumes,
            "LVMClusters": self.lvm_clusters,
            "DataProtectionApplications": self.protections,
            "operators": self.services,
            "Secret seedgen": self.secret,
        }


@dataclass(frozen=True)
class Auth:
    """The registry's credential as the run has it: the text of an auth file, or None where the cluster has its own."""

    text: str | None = None
    source: str = "seed_image_auth_file"


def findings(cluster: str, survey: SeedSurvey, image: str, auth: Auth, kept_copy: str = "") -> list[Finding]:
    """Everything that keeps this cluster from becoming a seed: the agent's refusals in its order, then the rest.

    ``kept_copy``: where a copy of the cluster's pull secret lies that an earlier run has made.
    """
    judge = Judge(cluster)
    for check in _REFUSALS:
        check(judge, survey)
    _pull_secret_hint(judge, survey, kept_copy)
    _prerequisites(judge, survey, image, auth)
    for what, reading in survey.readings().items():
        if reading.denied is not None:
            judge.unknown(what, f"not permitted: {reading.denied}", "give this identity the right (docs/rbac)")
    return judge.findings()


# --- the agent's refusals, in its order -------------------------------------------------------------------------------

_DETACH = "detach it from the hub (seed_image_detach)"


def _set_default(judge: Judge, survey: SeedSurvey) -> None:
    host = survey.host
    if host.set_default is None:
        _only_on_host(judge, host, 'whether ostree has "admin set-default"')
    elif not host.set_default:
        judge.blocked(
            "ostree",
            'Rejected: Installed release does not support "ostree admin set-default" feature',
            _remedy('does not support "ostree admin set-default"'),
            source="ostree admin --help on the node",
        )


def _storage(judge: Judge, survey: SeedSurvey) -> None:
    source, there = "mount unit var-lib-containers.mount on the node", survey.host.storage
    if there is None and survey.rendered.items:
        source = "MachineConfig of the node, unit var-lib-containers.mount"
        there = container_storage_mountpoint(survey.rendered.one) is not None
    if there is None:
        _only_on_host(judge, survey.host, "whether /var/lib/containers is shared")
    elif not there:
        cause = "Rejected: Cluster must be configured with shared container storage"
        judge.blocked("container_storage", cause, _remedy(cause), source=source)


def _hub(judge: Judge, survey: SeedSurvey) -> None:
    if survey.klusterlet_crd.items:
        cause = "Rejected: Cluster must be detached from hub prior to seed generation"
        judge.blocked("hub", cause, _remedy(cause), seen=KLUSTERLET_CRD, source="CustomResourceDefinition")


def _addons(judge: Judge, survey: SeedSurvey) -> None:
    found = [_name(one) for one in survey.namespaces.items if _name(one).startswith(ADDON_PREFIX)]
    if found:
        cause = "Rejected due to presence of ACM addon(s)"
        judge.blocked("addons", cause, _remedy(cause), seen=found, source="Namespace")


def _dnsmasq(judge: Judge, survey: SeedSurvey) -> None:
    there = survey.host.dnsmasq
    if there is None and survey.rendered.items and has_file(survey.rendered.one, DNSMASQ_SCRIPT):
        there = True
    if there is None:
        # No MachineConfig brings the file; it may still be there.
        _only_on_host(judge, survey.host, f"whether {DNSMASQ_SCRIPT} is there")
    elif not there:
        cause = "Rejected due to system missing dnsmasq config required for IBU"
        judge.blocked("dnsmasq", cause, _remedy(cause), source=f"{DNSMASQ_SCRIPT} on the node")


def _pull_secret(judge: Judge, survey: SeedSurvey) -> None:
    if survey.pull_secret.known and _seedgen.is_sanitized(_seedgen.pull_secret_text(survey.pull_secret.one)):
        cause = "Rejected due to invalid cluster pull-secret (previously sanitized without proper restore)"
        judge.blocked("pull_secret", cause, _remedy(cause), source="Secret openshift-config/pull-secret")


def _configured(what: str, check: str, reading: t.Callable[[SeedSurvey], Reading]) -> _Check:
    def find(judge: Judge, survey: SeedSurvey) -> None:
        if found := reading(survey).items:
            cause = f"Rejected: Cluster must not have any {what} configured"
            judge.blocked(
                check, cause, _remedy(cause), seen=[_key(one) for one in found], source=found[0].get("kind", "")
            )

    return find


def _oadp(judge: Judge, survey: SeedSurvey) -> None:
    version = oadp_version(survey.services.items)
    if version and _version.is_valid(version) and _version.is_newer(OADP_LEAST, version):
        cause = f"Rejected: Cluster must have OADP version >= {OADP_LEAST}"
        judge.blocked(
            "oadp", cause, _remedy(cause), seen=version, expected=f">= {OADP_LEAST}", source="ClusterServiceVersion"
        )


def oadp_version(services: t.Iterable[Document]) -> str:
    """The version of the installed OADP operator; empty where there is none."""
    found = operators(services)
    return found.get("redhat-oadp-operator") or found.get("oadp-operator") or ""


_Check = t.Callable[[Judge, SeedSurvey], None]
_REFUSALS: tuple[_Check, ...] = (
    _set_default,
    _storage,
    _hub,
    _addons,
    _dnsmasq,
    _pull_secret,
    _configured("Persistent Volumes", "volumes", lambda survey: survey.volumes),
    _configured("LocalVolumes", "local_volumes", lambda survey: survey.local_volumes),
    _configured("LVMClusters", "lvm_clusters", lambda survey: survey.lvm_clusters),
    _configured("DataProtectionApplication resources", "data_protection", lambda survey: survey.protections),
    _oadp,
)


def _only_on_host(judge: Judge, host: HostFacts, what: str) -> None:
    remedy = "let the run ask it: seed_image_connection=ssh"
    if host.why != NOT_ASKED:
        remedy = "see that the node can be logged in to, and that this user may become root there"
    judge.unknown(what, host.why or "the node's answer does not say", remedy)


def _remedy(text: str) -> str:
    return _seedgen.explain(text).remedy


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _key(document: Document) -> str:
    namespace = document["metadata"].get("namespace")
    return f"{namespace}/{_name(document)}" if namespace else _name(document)


# --- what else has to be there ----------------------------------------------------------------------------------------


def _pull_secret_hint(judge: Judge, survey: SeedSurvey, kept_copy: str) -> None:
    if not survey.pull_secret.known:
        return
    sanitized = _seedgen.is_sanitized(_seedgen.pull_secret_text(survey.pull_secret.one))
    if sanitized and not kept_copy:
        judge.warned(
            "pull_secret_copy",
            "no copy of the cluster's pull secret is kept here",
            "give your own with seed_image_pull_secret_file, or download it again from where you got it",
        )


def _prerequisites(judge: Judge, survey: SeedSurvey, image: str, auth: Auth) -> None:
    if not survey.agent.items:
        judge.blocked(
            "agent", "the Lifecycle Agent is not there", "install it on the cluster", source="Deployment of the agent"
        )
    if survey.nodes.known and len(survey.nodes.items) != 1:
        count = len(survey.nodes.items)
        judge.blocked(
            "node", "the cluster has not exactly one node", "use a single-node cluster", seen=count, expected=1
        )
    _upgrade(judge, survey)
    _credential(judge, survey, image, auth)
    for gate in closed_gates(survey.health):
        if gate.check == "health-oadp" and survey.protections.items:
            # It has to go anyway, and its gate with it.
            continue
        say = judge.warned if gate.passes else judge.blocked
        say(gate.check, gate.cause, gate.remedy, seen=gate.seen, source=gate.source)


def _upgrade(judge: Judge, survey: SeedSurvey) -> None:
    if not survey.upgrade.items:
        return
    conditions = (survey.upgrade.one.get("status") or {}).get("conditions") or ()
    idle: Document = next((one for one in conditions if one.get("type") == "Idle"), {})
    if idle.get("status") != "True":
        stage = (survey.upgrade.one.get("spec") or {}).get("stage")
        judge.blocked(
            "upgrade",
            "an image-based upgrade of this very cluster is not over",
            "finalize or abort it first",
            seen=f"stage {stage}, Idle {idle.get('status') or 'not reported'}",
            source="ImageBasedUpgrade status.conditions",
        )


def _credential(judge: Judge, survey: SeedSurvey, image: str, auth: Auth) -> None:
    """The Secret seedgen as it is, or as it will be."""
    place = f"Secret {_seedgen.NAMESPACE}/{_seedgen.SECRET}"
    text, source = auth.text, auth.source
    if text is None:
        if not survey.secret.known:
            return
        text, source = _seedgen.seed_auth(survey.secret.one), place
        if not survey.secret.items:
            judge.blocked("secret", f"{place} is not there", _remedy("could not access secret seedgen"), source=place)
            return
        if not text:
            cause = f"could not find {_seedgen.SECRET_KEY} in {_seedgen.SECRET} secret"
            judge.blocked("secret", cause, _remedy("could not find seedAuth"), source=place)
            return
    elif survey.secret.items and _seedgen.would_lose(survey.secret.one, text):
        judge.blocked("secret", _seedgen.NOT_OURS, _seedgen.NOT_OURS_REMEDY, source=place)
    if problem := _login_problem(text, image, source):
        judge.blocked(
            "secret",
            "there is no credential for the registry of the seed image",
            "give an auth file with an entry for it, which may push: seed_image_auth_file",
            seen=problem,
            source=source,
        )


def _login_problem(text: str, image: str, source: str) -> str:
    """Why this auth file is of no use for the image; empty where it has a login for it."""
    try:
        reference = _image_ref.parse(image)
        login = _image_ref.read_pull_secret(text, source, source).login(reference)
    except InvalidOption as error:
        return error.remedy
    return "" if login else f"no entry for {reference.registry}/{reference.repository}"
