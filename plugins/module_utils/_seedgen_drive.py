# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""One cluster to its seed image: look, list every refusal, prepare, ask, follow, verify. Everything is injected."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen_plan as plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import NoContact, first_contact
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended, interrupted
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding
from ansible_collections.sno.image_upgrade.plugins.module_utils._runbooks import seed_pointed
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts, from_labels, merged
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import (
    WARNING,
    Do,
    Generation,
    Phase,
    decide,
    explain,
    is_sanitized,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import Auth, findings
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Follow, Patience
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_tools import Report, Tools, Wish
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Result, Unanswered

if t.TYPE_CHECKING:
    import threading

    from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import SeedSurvey
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import Look
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import HubView, Leftover

_POLL_SECONDS = 5.0


class SeedDrive:
    """Makes one seed image. ``run`` never raises for the cluster's sake; it returns the report."""

    def __init__(
        self,
        name: str,
        tools: Tools,
        wish: Wish,
        patience: Patience,
        *,
        clock: Clock,
        stop: threading.Event,
        show: t.Callable[[str], None] = lambda _line: None,
        show_findings: t.Callable[[t.Sequence[Finding]], None] = lambda _findings: None,
    ) -> None:
        self.report = Report()
        self._name, self._tools, self._wish, self._patience = name, tools, wish, patience
        self._clock, self._stop, self._show, self._show_findings = clock, stop, show, show_findings
        self._digest_before = ""
        self._told_at: float | None = None
        self._facts: SeedFacts | None = None

    def run(self) -> Report:
        """Go as far as it goes, and say how it ended."""
        report, begun = self.report, self._clock.monotonic()
        try:
            self._run()
        except Ended as ended:
            report.result, report.message = ended.result, str(ended)
            step = ended.step.replace("{cluster}", self._name)
            report.next_step = seed_pointed(step, str(ended)) if ended.result.is_failure else step
        except Unanswered as error:
            report.result, report.message = Result.UNREACHABLE, str(error)
            report.next_step = "check the cluster's API and the rights of this identity, then run again"
        except IbuError as error:
            report.result, report.message = Result.FAILED, str(error)
            report.next_step = "correct it, then run again: it continues from what the cluster says"
        finally:
            self._tools.cluster.close()
        report.seconds = round(self._clock.monotonic() - begun, 3)
        return report

    # --- looking --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        keep, wanted = self._tools.keep, self._wish.wanted
        look = self._contact()
        self._seen(look)
        self._facts, self._digest_before = keep.begun(wanted.image)
        way = decide(look.generation, wanted, under_way=self._is_under_way(look))
        if way.do is Do.REFUSE:
            raise Ended(Result.REFUSED, way.why, way.remedy)
        if way.do is Do.NOTHING:
            self.report.message = way.why
            self._finish(look.generation)
        elif way.do is Do.FOLLOW:
            self._say(f"goes on: {way.why}")
            self._follow(look)
        else:
            self._begin(look, again=way.do is Do.RECREATE)

    def _contact(self) -> Look:
        away = self._tools.keep.under_way
        patience = self._patience.generation if away else self._patience.contact
        try:
            return first_contact(
                self._tools.cluster.look,
                patience,
                self._clock,
                self._stop,
                expect_away=away,
                away=self._silent if away else lambda _error: None,
            )
        except NoContact as error:
            if self._stop.is_set():
                raise interrupted() from error
            raise Ended(Result.UNREACHABLE, str(error), error.next_step) from error

    def _silent(self, error: Unanswered) -> None:
        """An earlier run has started the imager: nothing else is to be expected, but somebody may be looking on."""
        now = self._clock.monotonic()
        if self._told_at is None or now - self._told_at >= self._patience.progress:
            self._told_at = now
            self._say(f"no answer, as the imager is at work: {error}")

    def _is_under_way(self, look: Look) -> bool:
        """Without any object of the agent: only an imager that was started explains the dummy in the pull secret."""
        if not look.vacant:
            return False
        return self._tools.keep.under_way or is_sanitized(self._tools.cluster.pull_secret())

    def _seen(self, look: Look) -> None:
        self.report.phase, self.report.version = str(look.generation.phase), look.version

    # --- before it is asked for -----------------------------------------------------------------------------------

    def _begin(self, look: Look, *, again: bool) -> None:
        survey, hub = self._survey(), self._hub_view()
        off_the_hub = plan.leads_off_the_hub(survey, hub, self._wish.detach)
        self._list_findings(survey, hub, off_the_hub)
        left = plan.leftovers(survey, self._wish.remove)
        if off_the_hub:
            # What goes with the hub is not removed behind its back, only what it leaves.
            left = [one for one in left if one.consent not in (plan.Remove.ADDONS, plan.Remove.KLUSTERLET)]
        steps = self._steps(hub, left, off_the_hub=off_the_hub, again=again)
        self.report.changed = True
        if self._wish.check:
            self.report.steps = steps
            self.report.result, self.report.message = Result.DONE, "would generate the seed image"
            return
        self._keep()
        if off_the_hub:
            self._leave_hub(hub)
        self._remove(left)
        if off_the_hub or left:
            self._look_again(off_the_hub=off_the_hub)
        self._ask(look, again=again)

    def _survey(self) -> SeedSurvey:
        node = self._tools.node
        return self._tools.cluster.survey(node.facts() if node else None)

    def _hub_view(self) -> HubView:
        return self._tools.hub.read() if self._tools.hub else plan.HubView()

    def _list_findings(self, survey: SeedSurvey, hub: HubView, off_the_hub: bool) -> None:
        """Everything at once, for people and for the result. Raises Ended where something is in the way."""
        wish = self._wish
        found = findings(self._name, survey, wish.wanted.image, Auth(wish.auth), self._tools.keep.copy_of_pull_secret)
        found += plan.hub_findings(self._name, survey, hub, wish.detach)
        found += self._registry_findings()
        self.report.findings = plan.remaining(found, wish.remove, detaches=off_the_hub)
        self._show_findings(self.report.findings)
        blocking = plan.refusing(self.report.findings)
        if blocking:
            words = "; ".join(_words(one) for one in blocking)
            many = f"{len(blocking)} things keep it from becoming a seed: " if len(blocking) > 1 else ""
            raise Ended(Result.REFUSED, f"{many}{words}", blocking[0].remedy if len(blocking) == 1 else _EACH)

    def _registry_findings(self) -> list[Finding]:
        """What the registry says beforehand: whether it answers, and whether the name is taken."""
        if self._tools.registry is None:
            return [
                plan.note(
                    self._name,
                    "registry",
                    "whether the registry takes the image: the registry is not asked (seed_image_verify)",
                )
            ]
        image = self._wish.wanted.image
        try:
            self._digest_before = self._tools.registry(image).digest
        except IbuError as error:
            if getattr(error, "missing", False):
                return []
            problem = str(getattr(error, "problem", error))
            return [plan.blocked_by_registry(self._name, problem, str(getattr(error, "remedy", "")))]
        return [plan.name_is_taken(self._name, image, self._digest_before)]

    def _steps(self, hub: HubView, left: t.Sequence[Leftover], *, off_the_hub: bool, again: bool) -> list[str]:
        steps = ["keep a copy of the cluster's pull secret"]
        if off_the_hub and self._wish.detach is plan.Detach.DELETE:
            if hub.addon_config and plan.disabled_addons(hub.addon_config):
                steps.append("switch the optional add-ons of the cluster off on the hub")
            steps.append("delete the ManagedCluster on the hub, and wait until the klusterlet is gone")
        elif off_the_hub:
            steps.append("wait until the cluster is detached from its hub")
        steps += [f"remove {one}" for one in left]
        if self._wish.auth is not None:
            steps.append("bring Secret seedgen about")
        if again:
            steps.append("delete the SeedGenerator that is over")
        return [*steps, f"create the SeedGenerator for {self._wish.wanted.image}"]

    # --- preparing ------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """The way back, and what targets will be compared with: before anything is changed."""
        cluster, keep = self._tools.cluster, self._tools.keep
        text = cluster.pull_secret()
        if not is_sanitized(text):
            self.report.pull_secret_copy = keep.keep_pull_secret(text)
            self._done(f"kept a copy of the pull secret: {self.report.pull_secret_copy}")
        self._facts = cluster.record(self._wish.wanted.recert_image)
        keep.begin(self._wish.wanted.image, self._facts, self._digest_before)

    def _leave_hub(self, hub: HubView) -> None:
        wait = self._wish.detach is plan.Detach.WAIT
        if not wait and self._tools.hub:
            self._tools.hub.let_go(hub)
            self._done("deleted the ManagedCluster on the hub")
        elif hub.managed is not None and (owner := plan.gitops_owner(hub.managed)):
            self._say(f"remove the site from Git now: the ManagedCluster belongs to {owner}")
        else:
            self._say("detach the cluster from its hub now")
        self._wait_for(self._still_attached, self._patience.detach, "it is not detached from its hub")
        self._done("detached from the hub")

    def _still_attached(self) -> str:
        survey, hub = self._survey(), self._hub_view()
        if hub.problem:
            return f"the hub cannot be asked: {hub.problem}"
        if plan.Remove.KLUSTERLET in self._wish.remove and hub.managed is None:
            return ""
        return "" if plan.is_detached(survey, hub) else plan.attached_words(survey, hub)

    def _remove(self, left: t.Sequence[Leftover]) -> None:
        for one in left:
            self._tools.cluster.remove(one)
            self._wait_for(functools.partial(self._left_of, one), self._patience.removal, "it does not go away")
            self._done(f"removed {one}")

    def _left_of(self, one: Leftover) -> str:
        return str(one) if self._tools.cluster.is_there(one) else ""

    def _look_again(self, *, off_the_hub: bool) -> None:
        """What was cured must be cured, and what the hub has left is removed where that is consented to."""
        survey = self._survey()
        if off_the_hub:
            self._remove(plan.leftovers(survey, self._wish.remove & {plan.Remove.ADDONS, plan.Remove.KLUSTERLET}))
            survey = self._survey()
        found = findings(self._name, survey, self._wish.wanted.image, Auth(self._wish.auth))
        # Operators may still be busy with what went away: the agent waits for them.
        blocking = [one for one in plan.refusing(found) if not one.check.startswith("health")]
        if blocking:
            words = "; ".join(_words(one) for one in blocking)
            raise Ended(Result.REFUSED, f"still in the way: {words}", blocking[0].remedy)

    def _wait_for(self, left: t.Callable[[], str], seconds: float, what: str) -> None:
        """Until nothing is left. ``left`` names what still is; an API that is busy is asked again."""
        begun, shown = self._clock.monotonic(), ""
        while True:
            try:
                there = left()
            except Unanswered as error:
                there = str(error)
            if not there:
                return
            waited = self._clock.monotonic() - begun
            if waited >= seconds:
                raise Ended(
                    Result.TIMED_OUT,
                    f"{what} within {waited:.0f} s: {there}",
                    "look for what holds it (finalizers, owners), then run again",
                )
            if there != shown:
                self._say(f"waits for: {there}")
                shown = there
            self._pause(_POLL_SECONDS)

    # --- asking and following -------------------------------------------------------------------------------------

    def _ask(self, look: Look, *, again: bool) -> None:
        cluster, wanted = self._tools.cluster, self._wish.wanted
        if self._wish.auth is not None and cluster.put_auth(self._wish.auth):
            self._done("wrote Secret seedgen")
        before = ""
        if again:
            before = look.generation.uid
            cluster.forget(look.generation)
            self._wait_for(
                lambda: self._still(before), self._patience.removal, "the old SeedGenerator does not go away"
            )
            self._done("deleted the SeedGenerator that was over")
        self._check_stop()
        asked = cluster.create(wanted.image, wanted.recert_image)
        self._tools.keep.asked(asked.uid)
        self._done(f"created the SeedGenerator for {wanted.image}")
        self._follow(type(look)(asked, look.version), before)

    def _still(self, uid: str) -> str:
        there = self._tools.cluster.look().generation
        return "the SeedGenerator" if there.uid == uid else ""

    def _follow(self, look: Look, before: str = "") -> None:
        self.report.changed = True
        if self._wish.check:
            self.report.result, self.report.message = Result.DONE, f"would follow: {look.generation.phase}"
            return
        follow = Follow(
            self._tools.cluster,
            self._patience,
            clock=self._clock,
            stop=self._stop,
            say=self._say,
            host_line=self._tools.node.last_line if self._tools.node else None,
        )
        try:
            ended = follow.run(look.generation, before=before, launched=look.generation.phase is Phase.ABSENT)
        except Ended as error:
            self.report.away_seconds = follow.away_seconds
            if error.result is not Result.INTERRUPTED:
                self._tools.keep.end()
                self._explain(error)
            raise
        self.report.away_seconds = follow.away_seconds
        self.report.phase = str(ended.phase)
        if ended.phase is Phase.FAILED:
            self._fail(ended)
        self._done("the agent has completed the seed image")
        self._finish(ended)

    def _fail(self, ended: Generation) -> t.NoReturn:
        self._tools.keep.end()
        cause = explain(ended.message)
        error = Ended(Result.FAILED, ended.message, f"{cause.remedy}, then run again with seed_image_recreate=failed")
        self._explain(error)
        raise error

    def _explain(self, error: Ended) -> None:
        """What else is known of a failure: the imager's log, and whether the pull secret is the dummy still."""
        if self._tools.node is not None:
            log = self._tools.node.log()
            if log.strip():
                self.report.log = self._tools.keep.save_log(log)
                error.step = f"{error.step}; the imager's log is in {self.report.log}"
        try:
            sanitized = is_sanitized(self._tools.cluster.pull_secret())
        except IbuError:
            return
        if sanitized:
            copy = self._tools.keep.copy_of_pull_secret
            self.report.pull_secret_copy = copy or None
            where = f"a copy is in {copy}" if copy else "give your own copy"
            error.step = (
                f"first put the cluster's pull secret back, the agent has left a dummy in its place "
                f"(seed_image_state=restored; {where}); then: {error.step}"
            )

    # --- the end --------------------------------------------------------------------------------------------------

    def _finish(self, ended: Generation) -> None:
        """The image has to be where it was pushed to, and to be of this cluster."""
        report, cluster = self.report, self._tools.cluster
        report.phase = str(ended.phase)
        facts = self._facts or cluster.record(self._wish.wanted.recert_image)
        from_image = self._verified()
        if from_image is not None:
            report.digest = from_image.digest
            facts = merged(from_image, facts)
        if self._wish.check:
            report.result = Result.DONE
            return
        report.record = self._tools.keep.has_record(report.digest)
        if not report.record:
            report.record = self._tools.keep.save_record(facts, self._wish.wanted.image)
            report.changed = True
            self._done(f"wrote the record of the seed: {report.record}")
        if self._wish.auth is not None and cluster.drop_auth():
            report.changed = True
            self._done("removed Secret seedgen again")
        self._tools.keep.end()
        report.result = Result.DONE
        report.message = report.message or "the seed image is generated"
        place = f"{self._wish.wanted.image} ({report.digest})" if report.digest else self._wish.wanted.image
        report.message = f"{report.message}: {place}; its record is {report.record}"
        report.warnings.append(WARNING)

    def _verified(self) -> SeedFacts | None:
        """What the image's labels say, or None where the registry is not asked. Raises Ended."""
        if self._tools.registry is None:
            self.report.warnings.append("the image was not looked for in the registry (seed_image_verify)")
            return None
        image = self._wish.wanted.image
        step = f"see what the registry has of {image}; read the imager's log on the node, then run again"
        try:
            found = self._tools.registry(image)
            facts = from_labels(found.labels, image)
        except IbuError as error:
            words = "the agent reports success, but the image could not be verified"
            raise Ended(Result.UNVERIFIED, f"{words}: {error}", step) from error
        if self._digest_before and found.digest == self._digest_before:
            raise Ended(
                Result.UNVERIFIED,
                f"the agent reports success, but the registry still has the image of before ({found.digest})",
                step,
            )
        if facts.version and self.report.version and facts.version != self.report.version:
            raise Ended(
                Result.UNVERIFIED,
                f"the registry has an image of {facts.version} under this name; the cluster runs {self.report.version}",
                step,
            )
        return SeedFacts(**{**vars(facts), "digest": found.digest})

    # --- patience -------------------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        self._show(words)

    def _done(self, words: str) -> None:
        self.report.steps.append(words)
        self._show(words)

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._stop, seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise interrupted()


_EACH = "mend each of them (they are in the result's findings, with a remedy each), then run again"


def _words(finding: Finding) -> str:
    return f"{finding.cause} ({finding.seen})" if finding.seen else finding.cause
