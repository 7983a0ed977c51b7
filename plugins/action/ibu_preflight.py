# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Checks a whole fleet without changing anything; the documentation is in plugins/modules/ibu_preflight.py."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import threading
import time
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _budget
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_contact import silence
from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_seed import Seed
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import Cluster
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import (
    Clock,
    NoContact,
    Patience,
    first_contact,
    patient,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._content import content_findings
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import (
    GOAL_OPTIONS,
    seconds_of,
    timeouts_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ibu import parse_actions, resume
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import (
    ACCEPTABLE,
    Finding,
    Policy,
    Severity,
    accepted,
    option_findings,
    shared_clusters,
    shared_servers,
    survey_findings,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight_report import (
    plain_findings,
    plain_unknown,
    preflight_lines,
    report_document,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._record import Record
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey_hub import Hubs, needs_hub
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    Action,
    Goal,
    IbuError,
    InvalidOption,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._words import is_are
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction, Host
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._run import default_outcome_file
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_lookup import SEED_OPTIONS, NotKnown, SeedLookup

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import HubFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_THREADS = 100


class ActionModule(FleetAction):
    """All clusters, all problems, one list; nothing is changed anywhere."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "actions": {"type": "list", "elements": "str", "required": True},
        "stop_after": {"type": "str"},
        **GOAL_OPTIONS,
        **SEED_OPTIONS,
        "accept_token": {"type": "bool", "default": False},
        "accept_findings": {"type": "list", "elements": "str", "default": [], "choices": list(ACCEPTABLE)},
        "through_hub": {"type": "bool", "default": False},
        "rollback_after_expiration": {"type": "bool", "default": False},
        "accept_validation_warnings": {"type": "bool", "default": True},
        "timeouts": {"type": "dict", "default": {}},
        "contact_timeout": {"type": "float", "default": 30},
        "serial": {"type": "raw"},
        "max_fail_percentage": {"type": "raw"},
        "budget": {"type": "raw"},
        "outcome_file": {"type": "path"},
        "report_file": {"type": "path"},
        "on_blocked": {"type": "str", "choices": ["fail", "exclude"], "default": "fail"},
        "refusal_fails": {"type": "str", "choices": ["task", "blocked", "all"], "default": "task"},
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Survey every host of the batch and say what speaks against the actions."""
        began = time.monotonic()
        actions = parse_actions(options["actions"], options["stop_after"])
        _check_rollout(options)
        # What is driven through the hub needs no credential that survives the reboot.
        policy = Policy(
            options["accept_token"] or options["through_hub"],
            timeouts_of("timeouts", options["timeouts"]),
            frozenset(options["accept_findings"]),
            options["through_hub"],
        )
        checker = _Checker(actions, options, policy)
        hosts = self.hosts(task_vars)
        findings = checker.check(hosts)
        names = [host.name for host in hosts]
        report = None if self.check_mode else options["report_file"]
        lines = preflight_lines(names, findings, checker.target, time.monotonic() - began, report)
        lines += ["", _closing_line(report, report_document(names, findings, checker.target))]
        for line in lines:
            self.show(line)
        blocked = _blocked(findings)
        refused = bool(blocked) and options["on_blocked"] == "fail"
        failed = blocked
        if refused:
            failed = self._refuse(
                f"{len(blocked)} of {len(names)} clusters {is_are(len(blocked))} not ready for {', '.join(actions)}",
                names,
                blocked,
                options["refusal_fails"],
            )
        return {
            "changed": False,
            "findings": plain_findings(findings),
            "not_checked": plain_unknown(findings),
            "ready": [name for name in names if name not in blocked],
            "refused": refused,
            "failed_clusters": failed,
        }

    def _refuse(self, why: str, names: t.Sequence[str], blocked: dict[str, str], fails: str) -> dict[str, str]:
        """The clusters whose hosts a verdict is to fail. Raises IbuError where the task itself is to."""
        said = f"{why}; nothing was changed. Mend what is listed above"
        if fails == "task":
            raise IbuError(f"{said}, leave them out with --limit, or go on without them (ibu_on_blocked=exclude)")
        self.show(f"{said}, or go on without them (ibu_on_blocked=exclude)")
        if fails == "blocked":
            return blocked
        return {
            name: blocked.get(name, f"{name}: never started: preflight refused the rollout: {why}") for name in names
        }


class _Checker:
    """Surveys hosts in parallel; each costs its own patience, not the others'."""

    def __init__(self, actions: t.Sequence[Action], options: t.Mapping[str, t.Any], policy: Policy) -> None:
        self._actions = actions
        self._options = options
        self._policy = policy
        self._patience = seconds_of("contact_timeout", options["contact_timeout"])
        self._record = Record.load(options["outcome_file"] or default_outcome_file(), writable=False)
        self._versions: set[str] = set()
        # Of the ImageBasedUpgrades, by host.
        self._uids: dict[str, str | None] = {}
        self._hubs = Hubs(through_hub=policy.through_hub)
        self._seeds = _Seeds(options)
        self._clock = Clock()
        self._stop = threading.Event()

    @property
    def target(self) -> str:
        """The seeds' versions, for the headline."""
        return ", ".join(sorted(self._versions))

    def check(self, hosts: t.Sequence[Host]) -> list[Finding]:
        """All findings about all hosts."""
        findings: list[Finding] = []
        jobs: list[tuple[Host, Session, list[Goal]]] = []
        for host in hosts:
            try:
                goals = self._goals(host)
                jobs.append((host, host.open(), goals))
                findings.extend(option_findings(host.name, goals, self._policy))
            except InvalidOption as error:
                findings.append(_blocked_by_option(host.name, error))
        findings.extend(shared_servers({host.name: session.url for host, session, _goals in jobs}))
        unusable = set(_blocked(findings))
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            for found in pool.map(self._survey, [job for job in jobs if job[0].name not in unusable]):
                findings.extend(found)
        return findings + shared_clusters({host.name: self._uids.get(host.name) for host in hosts})

    def _goals(self, host: Host) -> list[Goal]:
        goals = host.goals(
            self._actions,
            self._options,
            rollback_after_expiration=self._options["rollback_after_expiration"],
            accept_warnings=self._options["accept_validation_warnings"],
        )
        self._versions.update(goal.seed.version for goal in goals if goal.seed)
        return goals

    def _survey(self, job: tuple[Host, Session, list[Goal]]) -> list[Finding]:
        host, session, goals = job
        try:
            # The survey as a whole is tried again: one busy moment of an API server is no finding.
            return first_contact(lambda: self._judge(host, session, goals), self._patience, self._clock, self._stop)
        except NoContact as error:
            return [self._silence(host.name, error)]
        finally:
            session.close()

    def _judge(self, host: Host, session: Session, goals: list[Goal]) -> list[Finding]:
        observed = Cluster(session).read()
        self._uids[host.name] = observed.uid
        # There is a server. From here on a busy moment costs one request, not all of them.
        session.repeat = Patience(self._patience, self._clock, self._stop)
        # What the cluster has behind it needs nothing any more: after an upgrade the pull secret may be gone.
        ahead = goals[resume(observed, goals) :]
        if not ahead:
            return []
        found = survey(
            host.name,
            session,
            observed,
            ahead,
            lambda: self._seeds.seed(ahead),
            lambda: self._hub(host, ahead),
            host.managed_cluster,
            through_hub=self._policy.through_hub,
        )
        findings = survey_findings(found, ahead, self._policy)
        if found.scope.prep:
            content = content_findings(
                session, host.name, ahead, observed, known=found.references, through_hub=self._policy.through_hub
            )
            findings += accepted(content, self._policy)
        if self._record.was_under_way(host.name):
            # It failed while nobody looked: the drive has to see that, or no outcome and no budget ever would.
            return [_failed_meanwhile(finding) if finding.check == "state" else finding for finding in findings]
        return findings

    def _hub(self, host: Host, goals: t.Sequence[Goal]) -> tuple[HubFacts | None, str | None]:
        if not host.has_hub or not (self._policy.through_hub or needs_hub(goals)):
            return None, None
        open_hub = patient(host.open_hub, self._patience, self._clock, self._stop)
        return self._hubs.facts(host.hub_key, open_hub, host.managed_cluster)

    def _silence(self, name: str, error: NoContact) -> Finding:
        if self._record.expects_away(name):
            cause = "it does not answer, but an earlier run left it in the middle of its reboot"
            return Finding(Severity.WARNED, name, "contact", cause, "nothing: this run waits for it")
        return silence(name, str(error), error.next_step, error.__cause__)


class _Seeds:
    """What is known of the seed images. Each is looked up once, for the first cluster that will be given it."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._lookup = SeedLookup(options)
        self._lock = threading.Lock()
        self._found: dict[str, Seed] = {}

    def seed(self, goals: t.Iterable[Goal]) -> Seed:
        """The seed of these goals. Raises IbuError where the user wants the registry's answer and there is none."""
        image = next(goal.seed.image for goal in goals if goal.seed)
        with self._lock:
            if image not in self._found:
                self._found[image] = self._look(image)
            return self._found[image]

    def _look(self, image: str) -> Seed:
        try:
            found = self._lookup.facts(image)
        except InvalidOption as error:
            # The options themselves were read before; this is about the one image.
            return Seed(SeedFacts(), str(error), str(error), error.remedy)
        if not isinstance(found, NotKnown):
            return Seed(found)
        problem = found.reason if found.missing else ""
        return Seed(found.facts, found.reason, problem, "give an image that is there in ibu_seed_image_ref.image")


def _failed_meanwhile(finding: Finding) -> Finding:
    cause = f"since an earlier run was stopped: {finding.cause}"
    remedy = f"nothing now: this run enters it as failed; then {finding.remedy}"
    return dataclasses.replace(finding, severity=Severity.WARNED, cause=cause, remedy=remedy)


def _blocked_by_option(name: str, error: InvalidOption) -> Finding:
    says = " is not set" if error.value is None else f": {error.value!r} is not valid"
    return Finding(Severity.BLOCKED, name, "options", f"{error.option}{says}", error.remedy)


def _blocked(findings: t.Iterable[Finding]) -> dict[str, str]:
    """The clusters that cannot be used, with all that speaks against each."""
    causes: dict[str, list[str]] = {}
    for finding in findings:
        if finding.severity.excludes:
            causes.setdefault(finding.cluster, []).append(f"{_of_one(finding)} → {finding.remedy}")
    return {name: "; ".join(texts) for name, texts in causes.items()}


def _of_one(finding: Finding) -> str:
    """What a finding says of its one cluster."""
    if finding.check == "contact" and finding.seen:
        return finding.seen
    return finding.cause if not finding.seen or finding.seen in finding.cause else f"{finding.cause} ({finding.seen})"


def _check_rollout(options: t.Mapping[str, t.Any]) -> None:
    """Batch sizes and budgets are checked here, because Ansible would take some nonsense without a word."""
    if options["serial"] is not None:
        _budget.check_batches("serial", options["serial"])
    if options["max_fail_percentage"] is not None:
        _budget.check_percentage("max_fail_percentage", options["max_fail_percentage"])
    if options["budget"] is not None:
        _budget.parse_budget("budget", options["budget"])


def _closing_line(path: str | None, document: dict[str, t.Any]) -> str:
    if not path:
        return "Nothing was changed."
    try:
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
    except OSError as error:
        raise InvalidOption("report_file", path, f"it cannot be written: {error.strerror}") from error
    return f"Nothing was changed. Report: {path}"
