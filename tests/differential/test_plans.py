# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No plan of a group upgrade passes our check and fails on the API server, or the other way round.

Asked are our own CRD and, where it is there, the upstream one. The server evaluates the rules without storing
anything, several requests at a time.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import (
    PERMITTED,
    Shape,
    Step,
    check_append,
    check_shape,
    is_permitted,
    shape_of,
    text_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from differential import plans
from differential.many import Many, Question
from differential.plans import Plan
from differential.test_crds import _bare, _sorted
from kubeapi import KubeApi, Reply
from kubeapi.client import MERGE_PATCH

Document = dict[str, Any]
Told = tuple[str, ...]

CRD = "imagebasedgroupupgrades.lcm.openshift.io"
GROUPS = {"own": "lcm.openshift.io", "upstream": "lcm.upstream.example.com"}
RANDOM = 20_000

ACCEPTED: Told = ()
COMBINATION = "invalid combinations of actions in the plan"
APPEND_ONLY = "plan is append only"


class Judge:
    """What the API server says about plans under one of the two CRDs. No plan is asked about twice."""

    def __init__(self, server: KubeApi, group: str) -> None:
        self._api, self._many, self._group = server.admin, Many(server), group
        self._path = f"/apis/{group}/v1alpha1/namespaces/default/imagebasedgroupupgrades"
        self._known: dict[Shape, Told] = {}

    def _document(self, plan: object, name: str = "asked", **spec: object) -> Document:
        return {
            "apiVersion": f"{self._group}/v1alpha1",
            "kind": "ImageBasedGroupUpgrade",
            "metadata": {"name": name},
            "spec": {"ibuSpec": {}, "plan": plan, **spec},
        }

    def create(self, plan: object, **spec: object) -> Reply:
        """Try to create; nothing is stored."""
        return self._api.create(self._path, self._document(plan, **spec), dryRun="All")

    def shapes(self, asked: Iterable[Shape]) -> dict[Shape, Told]:
        """Plan by plan why it is refused; nothing where it is accepted."""
        wanted = list(dict.fromkeys(asked))
        new = [shape for shape in wanted if shape not in self._known]
        documents = [self._document(_spec(Step(actions, 1) for actions in shape)) for shape in new]
        replies = self._many.ask([Question("POST", f"{self._path}?dryRun=All", document) for document in documents])
        self._known.update(zip(new, map(_told, replies), strict=True))
        return {shape: self._known[shape] for shape in wanted}

    def store(self, stored: dict[str, Plan]) -> None:
        """Group upgrades by name."""
        documents = [self._document(_spec(plan), name) for name, plan in stored.items()]
        for reply in self._many.ask([Question("POST", self._path, document) for document in documents]):
            reply.ok()

    def updates(self, asked: Sequence[tuple[str, Plan]]) -> list[Told]:
        """Try to make these the plans of stored group upgrades, each of which stays as it was."""
        questions = [
            Question("PATCH", f"{self._path}/{name}?dryRun=All", {"spec": {"plan": _spec(plan)}}, MERGE_PATCH)
            for name, plan in asked
        ]
        return [_told(reply) for reply in self._many.ask(questions)]


def _spec(plan: Iterable[Step]) -> list[Document]:
    return [step.as_spec() for step in plan]


def _told(reply: Reply) -> Told:
    """The causes of a refusal. Kubernetes before 1.33 puts the value's type in front of a rule's message."""
    if reply.status in (200, 201):
        return ACCEPTED
    assert reply.status == 422, reply.text
    causes = (cause["message"] for cause in reply.json["details"]["causes"])
    return tuple(sorted(re.sub(r'^Invalid value: ("array": )?', "", message) for message in causes))


@pytest.fixture(scope="session")
def own(server: KubeApi, own_crds: dict[str, Document]) -> Judge:
    return _judge(server, own_crds[CRD], GROUPS["own"])


@pytest.fixture(scope="session")
def upstream(server: KubeApi, upstream_crds: dict[str, Document]) -> Judge:
    if CRD not in upstream_crds:
        pytest.skip(f"{CRD} is not among the upstream CRDs")
    return _judge(server, upstream_crds[CRD], GROUPS["upstream"])


def _judge(server: KubeApi, crd: Document, group: str) -> Judge:
    moved = copy.deepcopy(crd)
    moved["metadata"] = {"name": f"{crd['spec']['names']['plural']}.{group}"}
    moved["spec"]["group"] = group
    server.apply_crds([moved])
    return Judge(server, group)


@pytest.fixture(params=list(GROUPS))
def judge(request: pytest.FixtureRequest) -> Judge:
    found: Judge = request.getfixturevalue(request.param)
    return found


# Plans


@pytest.fixture(scope="module", autouse=True)
def brief() -> Iterator[None]:
    """Refusals without the nearest permitted plan: to look for it takes longer than to ask the API server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "nearest", lambda shape: shape)
        yield


@cache
def passes(shape: Shape) -> bool:
    """Our own check; it must also agree with itself."""
    try:
        check_shape(shape)
    except InvalidOption:
        assert not is_permitted(shape), text_of(shape)
        return False
    assert is_permitted(shape), text_of(shape)
    return True


def disagreements(verdicts: dict[Shape, Told]) -> list[tuple[str, Told]]:
    return [(text_of(shape), told) for shape, told in verdicts.items() if passes(shape) is not (told == ACCEPTED)]


def test_every_permitted_plan(judge: Judge) -> None:
    assert len(PERMITTED) == 26
    assert judge.shapes(PERMITTED) == dict.fromkeys(PERMITTED, ACCEPTED)


def test_every_short_plan(judge: Judge) -> None:
    asked = plans.short_plans()
    assert len(asked) == len(set(asked)) == 3_192

    verdicts = judge.shapes(asked)

    assert disagreements(verdicts) == []
    assert list(verdicts.values()).count(ACCEPTED) == 18


def test_every_plan_with_nothing_somewhere(judge: Judge) -> None:
    """The 3,192 have an action in every step. No plan without one passes: 1 + 1 + 57 * 57 - 56 * 56."""
    asked = plans.plans_with_nothing_somewhere()
    assert len(asked) == len(set(asked)) == 115

    verdicts = judge.shapes(asked)

    assert disagreements(verdicts) == []
    assert ACCEPTED not in verdicts.values()


def test_every_plan_one_edit_from_a_permitted_one(judge: Judge) -> None:
    asked = {near for plan in PERMITTED for near in plans.neighbours(plan)}
    assert len(asked) == 1_511

    verdicts = judge.shapes(sorted(asked))

    assert disagreements(verdicts) == []
    assert ACCEPTED in verdicts.values()


def test_random_plans(judge: Judge) -> None:
    asked = plans.random_plans(RANDOM)
    assert len(asked) == RANDOM

    assert disagreements(judge.shapes(asked)) == []


@pytest.mark.parametrize("count", [6, 7])
def test_limit_of_steps(judge: Judge, count: int) -> None:
    asked: Shape = (("Prep",),) * count

    told = judge.shapes([asked])[asked]

    assert not passes(asked)
    assert any("must have at most 6 items" in cause for cause in told) is (count > 6)


@pytest.mark.parametrize("count", [4, 5])
def test_limit_of_actions(judge: Judge, count: int) -> None:
    asked: Shape = (("Prep",) * count,)

    told = judge.shapes([asked])[asked]

    assert not passes(asked)
    assert any("must have at most 4 items" in cause for cause in told) is (count > 4)


# Appending


@pytest.fixture(scope="module")
def stored() -> dict[str, Plan]:
    """Every permitted plan as it may be in a cluster, with one of two strategies in each step."""
    return {f"stored-{number}": plan for number, plan in enumerate(plans.old_plans())}


def appends(old: Plan, new: Plan) -> bool:
    """Our own checks of a change."""
    try:
        check_append(old, new)
    except InvalidOption:
        return False
    return passes(shape_of(new))


def still_there(old: Plan, new: Plan) -> bool:
    """The API's own rule: each old step is somewhere in the new plan. Order and number do not count."""
    return all(any(step.equals(other) for other in new) for step in old)


def expected(old: Plan, new: Plan) -> Told:
    """What the API is known to say."""
    told = [] if still_there(old, new) else [APPEND_ONLY]
    return tuple(told if is_permitted(shape_of(new)) else sorted([*told, COMBINATION]))


def test_every_way_to_append(judge: Judge, stored: dict[str, Plan]) -> None:
    """Every permitted plan to every other, and to what else can be made of it: the rule is what we know of it.

    What the API refuses we refuse. What we refuse and the API accepts is exactly what it takes for an append although
    the old plan is not the beginning of the new one.
    """
    judge.store(stored)
    new = plans.new_plans()
    asked = [(name, plan) for name, old in stored.items() for plan in dict.fromkeys((*new, *plans.odd_successors(old)))]

    verdicts = judge.updates(asked)

    wrong, silly = [], []
    for (name, plan), told in zip(asked, verdicts, strict=True):
        old = stored[name]
        if told != expected(old, plan) or (appends(old, plan) and told != ACCEPTED):
            wrong.append((old, plan, told))
        elif told == ACCEPTED and not appends(old, plan):
            silly.append((old, plan))
    assert wrong == []
    assert all(plan[: len(old)] != old and still_there(old, plan) for old, plan in silly)
    assert (len(asked), len(silly)) == (17_908, 452)


def test_own_and_upstream_refuse_in_the_same_words(own: Judge, upstream: Judge) -> None:
    asked: list[Shape] = [
        *PERMITTED,
        *plans.plans_with_nothing_somewhere(),
        *plans.short_plans()[::8],
        (("Prep",) * 5,) * 7,
    ]

    assert own.shapes(asked) == upstream.shapes(asked)


def test_schema_is_the_upstream_one(own_crds: dict[str, Document], upstream_crds: dict[str, Document]) -> None:
    if CRD not in upstream_crds:
        pytest.skip(f"{CRD} is not among the upstream CRDs")
    one, other = (crds[CRD]["spec"]["versions"][0] for crds in (own_crds, upstream_crds))

    assert _sorted(_bare(one["schema"])) == _sorted(_bare(other["schema"]))
    assert one["additionalPrinterColumns"] == other["additionalPrinterColumns"]
    assert _messages(one["schema"]) == _messages(other["schema"])


def _messages(schema: Any, path: str = "") -> dict[str, list[str]]:
    """Where there are rules, and what they say."""
    if not isinstance(schema, dict):
        return {}
    found = {}
    if rules := schema.get("x-kubernetes-validations"):
        found[path] = sorted(rule["message"] for rule in rules)
    for key, child in schema.items():
        found.update(_messages(child, f"{path}.{key}"))
    return found
