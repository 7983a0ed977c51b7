# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One seed image from the first look to the record: every way it can end, with a script in the place of the cluster."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import threading
from collections.abc import Iterator
from typing import Any

from ansible_collections.sno.image_upgrade.plugins.module_utils._facts import Reading
from ansible_collections.sno.image_upgrade.plugins.module_utils._registry import ImageFacts, RegistryError
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import FORMAT_LABEL, INFO_LABEL, SeedFacts
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import ABSENT, Again, Generation, Phase, Wanted
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import HostFacts, SeedSurvey
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import Look
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_drive import SeedDrive
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Patience
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import Detach, HubView, Leftover, Remove
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_tools import Report, Tools, Wish
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Result, Unanswered

IMAGE = "registry.example.com/seeds/sno:4.17.3"
AUTH = json.dumps({"auths": {"registry.example.com": {"username": "push", "password": "word"}}})
PULL = json.dumps({"auths": {"quay.io": {"username": "pull", "password": "word"}}})
DUMMY = json.dumps({"auths": {}})
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"


def one(name: str, **more: Any) -> Reading:
    return Reading(({"metadata": {"name": name, "uid": f"u-{name}"}, **more},))


FIT = SeedSurvey(
    nodes=one("site", status={}),
    namespaces=Reading(()),
    pull_secret=Reading(
        (
            {
                "metadata": {"name": "pull-secret"},
                "data": {".dockerconfigjson": "eyJhdXRocyI6eyJhIjp7InVzZXJuYW1lIjoiYSIsInBhc3N3b3JkIjoiYiJ9fX0="},
            },
        )
    ),
    agent=one("lifecycle-agent"),
    upgrade=one("upgrade", status={"conditions": [{"type": "Idle", "status": "True"}]}),
    host=HostFacts(set_default=True, storage=True, dnsmasq=True),
)
MESSY = dataclasses.replace(FIT, lvm_clusters=one("lvmcluster"))
ATTACHED = dataclasses.replace(FIT, klusterlet_crd=one("klusterlets.operator.open-cluster-management.io"))
DONE = Generation(Phase.COMPLETED, "Seed Generation completed", IMAGE, uid="b")
FAILED = Generation(Phase.FAILED, "failed to pull recert image: no route", IMAGE, uid="b")


class World:
    """The cluster, its hub, its registry, and what is kept; `calls` are all writes in order."""

    def __init__(self, *looks: Any, survey: SeedSurvey = FIT, pushed: str = NEW) -> None:
        self.looks, self.current, self.pushed = list(looks), survey, pushed
        self.calls: list[str] = []
        self.seconds = 0.0
        self.stop = threading.Event()
        self.secret, self.version = PULL, "4.17.3"
        self.run: tuple[SeedFacts | None, str] = (None, "")
        self.asked_before = self.imaged = False
        self.copy_of_pull_secret = ""
        self.records: list[SeedFacts] = []
        self.view = HubView(asked=True)
        self.registry_error: Exception | None = None
        self.there: set[str] = set()
        self.stays = False

    # time
    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds

    # the cluster
    def look(self) -> Look:
        entry = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(entry, Exception):
            raise entry
        return entry if isinstance(entry, Look) else Look(entry, self.version)

    def changes(self, _since: Generation, seconds: int) -> Iterator[Generation]:
        self.seconds += seconds
        return iter(())

    def survey(self, _host: Any) -> SeedSurvey:
        return self.current

    def record(self, _recert: str | None) -> SeedFacts:
        return SeedFacts(version="4.17.3", cpus=8, has_fips=True)

    def create(self, image: str, _recert: str | None) -> Generation:
        self.calls.append("create")
        return Generation(Phase.PENDING, "", image, uid="b")

    def forget(self, found: Generation) -> None:
        self.calls.append(f"forget {found.uid}")

    def put_auth(self, _text: str) -> bool:
        self.calls.append("put auth")
        return True

    def drop_auth(self) -> bool:
        self.calls.append("drop auth")
        return True

    def pull_secret(self) -> str:
        return self.secret

    def remove(self, leftover: Leftover) -> None:
        self.calls.append(f"remove {leftover.name}")
        if not self.stays:
            self.current = FIT

    def is_there(self, leftover: Leftover) -> bool:
        return self.stays

    def close(self) -> None:
        self.calls.append("close")

    # the hub
    def read(self) -> HubView:
        return self.view

    def let_go(self, _seen: HubView) -> None:
        self.calls.append("let go")
        self.view, self.current = HubView(asked=True), FIT

    # the registry
    def registry(self, image: str) -> ImageFacts:
        if self.registry_error:
            raise self.registry_error
        made = "create" in self.calls or self.asked_before or self.imaged
        if not made and self.pushed == NEW:
            raise RegistryError(image, "no such image", "push it", missing=True)
        info = json.dumps({"seed_cluster_ocp_version": self.version})
        return ImageFacts(self.pushed, {FORMAT_LABEL: "4", INFO_LABEL: info}, 1)

    # what is kept
    @property
    def under_way(self) -> bool:
        return self.asked_before

    def begin(self, image: str, facts: SeedFacts, digest_before: str) -> None:
        self.calls.append("begin")

    def begun(self, image: str) -> tuple[SeedFacts | None, str]:
        return self.run

    def asked(self, uid: str) -> None:
        self.calls.append("asked")

    def end(self) -> None:
        self.calls.append("end")

    def keep_pull_secret(self, text: str) -> str:
        self.calls.append("keep")
        return "/copy"

    def save_record(self, facts: SeedFacts, image: str) -> str:
        self.records.append(facts)
        return "/record"

    def has_record(self, digest: str | None) -> str:
        return ""

    def save_log(self, text: str) -> str:
        return "/log"

    # the node
    def facts(self) -> HostFacts:
        return FIT.host

    def log(self) -> str:
        return "pushing: unauthorized"

    def last_line(self) -> str:
        return ""

    def drive(self, *, again: Again = Again.NEVER, node: bool = False, registry: bool = True, **wish: Any) -> Report:
        given = Wish(Wanted(IMAGE, again=again), **{"auth": AUTH, **wish})
        tools: Any = Tools(
            self,  # type: ignore[arg-type]
            self,
            self,
            self if node else None,
            self.registry if registry else None,
        )
        patience = Patience(contact=10, detach=60, removal=60, generation=600, lost=60)
        return SeedDrive("site", tools, given, patience, clock=self, stop=self.stop).run()  # type: ignore[arg-type]


WRITES = ["put auth", "create"]


def test_the_whole_way() -> None:
    world = World(ABSENT, DONE)
    report = world.drive()
    assert report.result is Result.DONE, report
    assert world.calls == ["keep", "begin", "put auth", "create", "asked", "drop auth", "end", "close"]
    # What the image says counts more than what was read of the cluster; the rest is added.
    assert world.records == [SeedFacts(**{**vars(world.records[0]), "digest": NEW, "cpus": 8, "has_fips": False})]
    assert report.digest == NEW
    assert "further seed images" in report.warnings[0]


def test_nothing_is_written_before_everything_is_told() -> None:
    survey = dataclasses.replace(MESSY, pull_secret=Reading(()))
    world = World(ABSENT, survey=survey)
    report = world.drive()
    assert report.result is Result.REFUSED
    assert report.message.startswith("2 things")
    assert world.calls == ["close"]


def test_a_credential_of_somebody_else_is_told_before_anything_is_written() -> None:
    data = {"seedAuth": base64.b64encode(PULL.encode()).decode()}
    world = World(ABSENT, survey=dataclasses.replace(FIT, secret=one("seedgen", data=data)))
    report = world.drive()
    assert report.result is Result.REFUSED
    assert "another credential" in report.message
    assert "seed_image_auth_file" in report.next_step
    assert world.calls == ["close"]
    assert "word" not in repr(report)


def test_check_mode_lists_what_would_be_done() -> None:
    world = World(ABSENT, survey=MESSY)
    report = world.drive(check=True, remove=frozenset({Remove.LVM_CLUSTERS}))
    assert report.result is Result.DONE
    assert report.changed
    assert "remove LVMCluster lvmcluster" in report.steps
    assert world.calls == ["close"]


def test_what_is_removed_must_be_gone_before_the_image_is_asked_for() -> None:
    world = World(ABSENT, DONE, survey=MESSY)
    world.stays = True
    report = world.drive(remove=frozenset({Remove.LVM_CLUSTERS}))
    assert report.result is Result.TIMED_OUT
    assert "LVMCluster lvmcluster" in report.message
    assert "create" not in world.calls


def test_a_cluster_is_detached_first() -> None:
    world = World(ABSENT, DONE, survey=ATTACHED)
    world.view = HubView(True, {"metadata": {"name": "site"}})
    report = world.drive(detach=Detach.DELETE)
    assert report.result is Result.DONE, report
    assert world.calls[:4] == ["keep", "begin", "let go", "put auth"]


def test_gitops_is_waited_for_and_not_overruled() -> None:
    owned = {"metadata": {"name": "site", "labels": {"app.kubernetes.io/instance": "sites"}}}
    world = World(ABSENT, survey=ATTACHED)
    world.view = HubView(True, owned)
    assert world.drive(detach=Detach.DELETE).result is Result.REFUSED
    report = world.drive(detach=Detach.WAIT)
    assert report.result is Result.TIMED_OUT
    assert "let go" not in world.calls
    assert "create" not in world.calls


def test_a_failure_names_its_remedy_and_the_way_to_ask_again() -> None:
    report = World(ABSENT, FAILED).drive()
    assert report.result is Result.FAILED
    assert report.message == "failed to pull recert image: no route"
    assert "seed_image_recreate=failed" in report.next_step


def test_a_failure_comes_with_the_log_and_the_way_back_of_the_pull_secret() -> None:
    world = World(ABSENT, FAILED)
    world.copy_of_pull_secret = "/copy"
    survey_secret = world.secret
    world.secret = DUMMY
    report = world.drive(node=True)
    assert report.log == "/log"
    assert "seed_image_state=restored" in report.next_step
    assert "/copy" in report.next_step
    # A dummy is never kept as if it were the real one.
    assert "keep" not in world.calls
    assert survey_secret == PULL


def test_one_that_failed_is_asked_for_again_only_by_word() -> None:
    assert World(FAILED).drive().result is Result.REFUSED
    old = dataclasses.replace(FAILED, uid="old")
    world = World(old, ABSENT, DONE)
    report = world.drive(again=Again.FAILED)
    assert report.result is Result.DONE, report
    assert world.calls.index("forget old") < world.calls.index("create")


def test_the_outcome_of_the_old_one_is_not_taken_for_the_new() -> None:
    old = Generation(Phase.COMPLETED, "", IMAGE, uid="old")
    world = World(old, ABSENT, old, old, DONE)
    report = world.drive(again=Again.ALWAYS)
    assert report.result is Result.DONE
    assert report.phase == "completed"


def test_a_run_under_way_is_followed_and_nothing_is_asked() -> None:
    running = Generation(Phase.RUNNING, "Pulling recert image", IMAGE, uid="b")
    world = World(running, DONE)
    world.imaged = True
    assert world.drive().result is Result.DONE
    assert not set(world.calls) & set(WRITES)


def test_the_cluster_itself_says_that_the_imager_works() -> None:
    world = World(Look(ABSENT, "4.17.3", vacant=True), DONE)
    world.secret, world.imaged = DUMMY, True
    assert world.drive().result is Result.DONE
    assert not set(world.calls) & set(WRITES)


def test_a_cluster_whose_agent_has_just_been_installed_is_not_taken_for_one_that_images() -> None:
    world = World(Look(ABSENT, "4.17.3", vacant=True), DONE)
    assert world.drive().result is Result.DONE
    assert "create" in world.calls


def test_a_silent_cluster_is_waited_for_only_where_that_is_expected() -> None:
    silence = Unanswered("connect", "connection refused")
    report = World(silence).drive()
    assert report.result is Result.UNREACHABLE
    world = World(*[silence] * 30, DONE)
    world.asked_before, world.run = True, (SeedFacts(cpus=4), "")
    report = world.drive()
    assert report.result is Result.DONE
    assert world.records[0].cpus == 4


def test_success_needs_another_image_than_before() -> None:
    report = World(ABSENT, DONE, pushed=OLD).drive()
    assert report.result is Result.UNVERIFIED
    assert "still has the image of before" in report.message


def test_success_needs_an_image_of_this_release() -> None:
    world = World(Generation(Phase.RUNNING, "x", IMAGE), DONE)
    world.asked_before = True
    world.version = "4.17.3"
    facts = world.registry(IMAGE)
    world.registry = lambda _image: dataclasses.replace(  # type: ignore[method-assign]
        facts, labels={**facts.labels, INFO_LABEL: json.dumps({"seed_cluster_ocp_version": "4.16.0"})}
    )
    report = world.drive()
    assert report.result is Result.UNVERIFIED
    assert "an image of 4.16.0" in report.message
    assert "docs/runbooks/seed-not-verified" in report.next_step


def test_a_registry_that_cannot_be_asked_stops_it_before_it_begins() -> None:
    world = World(ABSENT, DONE)
    world.registry_error = RegistryError(IMAGE, "no route to host", "mend the network")
    report = world.drive()
    assert report.result is Result.REFUSED
    assert "seed_image_verify=false" in report.next_step
    assert world.calls == ["close"]
    report = World(ABSENT, DONE).drive(registry=False)
    assert report.result is Result.DONE
    assert any("not looked for in the registry" in words for words in report.warnings)


def test_a_stop_leaves_everything_for_the_next_run() -> None:
    world = World(Generation(Phase.RUNNING, "x", IMAGE))
    world.stop.set()
    report = world.drive()
    assert report.result is Result.INTERRUPTED
    assert "end" not in world.calls


def test_check_mode_of_a_completed_one_writes_nothing() -> None:
    world = World(DONE)
    world.asked_before = True
    report = world.drive(check=True)
    assert report.result is Result.DONE
    assert world.calls == ["close"]
    assert not world.records
