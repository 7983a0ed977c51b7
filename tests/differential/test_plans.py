# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No plan of a group upgrade passes our check and fails on the API server, or the other way round.

Asked are our own CRD and, where it is there, the upstream one. The server evaluates the rules without storing
anything, several requests at a time; the random plans and the changes many in one request.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils import _plan
from ansible_collections.sno.image_upgrade.plugins.module_utils._plan import (
    DEFAULT_TIMEOUT,
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
T = TypeVar("T")

CRD = "imagebasedgroupupgrades.lcm.openshift.io"
GROUPS = {"own": "lcm.openshift.io", "upstream": "lcm.upstream.example.com"}
RANDOM = 5_000
IN_ONE_REQUEST = 100
SAME_STORED = 20

ABSENT = object()
ACCEPTED: Told = ()
COMBINATION = "invalid combinations of actions in the plan"
APPEND_ONLY = "plan is append only"


class Judge:
    """What the API server says about plans under one of the two CRDs. No plan is asked about twice."""

    def __init__(self, server: KubeApi, group: str) -> None:
        self._api, self._many, self._group = server.admin, Many(server), group
        self._path = f"/apis/{group}/v1alpha1/namespaces/default/imagebasedgroupupgrades"
        self._lists = f"/apis/{group}/v1/planlists"
        self._known: dict[Shape, Told] = {}
        self._stored: dict[Plan, str] = {}
        self._numbers = itertools.count()

    def _document(self, plan: object, name: str = "asked") -> Document:
        return {
            "apiVersion": f"{self._group}/v1alpha1",
            "kind": "ImageBasedGroupUpgrade",
            "metadata": {"name": name},
            "spec": {"ibuSpec": {}, "plan": plan},
        }

    def create(self, plan: object) -> Reply:
        """Try to create; nothing is stored."""
        return self._api.create(self._path, self._document(plan), dryRun="All")

    def shapes(self, asked: Iterable[Shape]) -> dict[Shape, Told]:
        """Plan by plan why it is refused; nothing where it is accepted."""
        wanted = list(dict.fromkeys(asked))
        new = [shape for shape in wanted if shape not in self._known]
        documents = [self._document(_spec(_steps(shape))) for shape in new]
        replies = self._many.ask([Question("POST", f"{self._path}?dryRun=All", document) for document in documents])
        self._known.update(zip(new, map(_told, replies), strict=True))
        return {shape: self._known[shape] for shape in wanted}

    def many_shapes(self, asked: Sequence[Shape]) -> dict[Shape, Told]:
        """Like `shapes`, many in one request: see `_list_of_plans`."""
        lists = [[_steps(shape) for shape in some] for some in _portions(asked)]
        documents = [self._list(enumerate(some)) for some in lists]
        replies = self._many.ask([Question("POST", f"{self._lists}?dryRun=All", document) for document in documents])
        return dict(zip(asked, self._told_of_lists(lists, replies), strict=True))

    def many_changes(self, asked: Sequence[tuple[Plan, Plan]]) -> list[Told]:
        """Like `changes`, many in one request. Each stored list of old plans serves for several of them."""
        found: dict[tuple[Plan, Plan], Told] = {}
        for some in _portions(_by_old_plan(asked)):
            stored = self._list([(n, old) for n, (old, _news) in enumerate(some)], f"stored-{next(self._numbers)}")
            created = self._api.create(self._lists, stored).ok()["metadata"]
            rounds = [_round(some, number) for number in range(SAME_STORED)]
            lists = [one for one in rounds if one]
            questions = [
                Question(
                    "PUT",
                    f"{self._lists}/{created['name']}?dryRun=All",
                    self._list([(n, new) for n, _old, new in one], created["name"], created["resourceVersion"]),
                )
                for one in lists
            ]
            told = self._told_of_lists(lists, self._many.ask(questions))
            found.update(zip(((old, new) for one in lists for _n, old, new in one), told, strict=True))
        return [found[change] for change in asked]

    def _list(self, some: Iterable[tuple[int, Plan]], name: str = "asked", version: str | None = None) -> Document:
        """Of plans with numbers. One that has been stored has a version."""
        items = [{"id": str(n), "plan": _spec(plan)} for n, plan in some]
        meta = {"name": name, **({"resourceVersion": version} if version else {})}
        return {"apiVersion": f"{self._group}/v1", "kind": "PlanList", "metadata": meta, "plans": items}

    def _told_of_lists(self, lists: Sequence[Sequence[object]], replies: Sequence[Reply]) -> list[Told]:
        """What is said about each plan, one after the other."""
        told: list[Told] = []
        for some, reply in zip(lists, replies, strict=True):
            causes = reply.json["details"]["causes"] if reply.status == 422 else []
            assert causes or reply.status in (200, 201), reply.text
            found: list[list[str]] = [[] for _plan in some]
            for cause in causes:
                place = re.fullmatch(r"plans\[(\d+)\]\.plan", cause["field"])
                assert place, cause
                found[int(place[1])].append(_message(cause))
            told += [tuple(sorted(messages)) for messages in found]
        return told

    def changes(self, asked: Sequence[tuple[Plan, Plan]]) -> list[Told]:
        """Try to make the second plan out of the first; each stored group upgrade stays as it was."""
        self._store(list(dict.fromkeys(old for old, _new in asked)))
        questions = [
            Question("PATCH", f"{self._stored[old]}?dryRun=All", {"spec": {"plan": _spec(new)}}, MERGE_PATCH)
            for old, new in asked
        ]
        return [_told(reply) for reply in self._many.ask(questions)]

    def _store(self, stored: Sequence[Plan]) -> None:
        wanted = {plan: f"stored-{len(self._stored) + n}" for n, plan in enumerate(stored) if plan not in self._stored}
        documents = [self._document(_spec(plan), name) for plan, name in wanted.items()]
        for reply in self._many.ask([Question("POST", self._path, document) for document in documents]):
            reply.ok()
        self._stored.update({plan: f"{self._path}/{name}" for plan, name in wanted.items()})


def _portions(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + IN_ONE_REQUEST] for start in range(0, len(items), IN_ONE_REQUEST)]


def _by_old_plan(asked: Iterable[tuple[Plan, Plan]]) -> list[tuple[Plan, list[Plan]]]:
    """What each old plan is to become, up to `SAME_STORED` new plans together."""
    news: dict[Plan, list[Plan]] = {}
    for old, new in asked:
        news.setdefault(old, []).append(new)
    starts = [(old, start) for old, some in news.items() for start in range(0, len(some), SAME_STORED)]
    return [(old, news[old][start : start + SAME_STORED]) for old, start in starts]


def _round(some: Sequence[tuple[Plan, list[Plan]]], number: int) -> list[tuple[int, Plan, Plan]]:
    """One change of each stored plan that has so many: its place in the stored list, the old plan and the new one."""
    return [(n, old, news[number]) for n, (old, news) in enumerate(some) if number < len(news)]


def _steps(shape: Shape) -> Plan:
    return tuple(Step(actions, 1) for actions in shape)


def _spec(plan: Iterable[Step]) -> list[Document]:
    return [step.as_spec() for step in plan]


def _told(reply: Reply) -> Told:
    """The causes of a refusal."""
    if reply.status in (200, 201):
        return ACCEPTED
    assert reply.status == 422, reply.text
    return tuple(sorted(_message(cause) for cause in reply.json["details"]["causes"]))


def _message(cause: Document) -> str:
    """Kubernetes before 1.33 puts the value's type in front of a rule's message."""
    return re.sub(r'^Invalid value: ("array": )?', "", cause["message"])


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
    server.apply_crds([moved, _list_of_plans(moved)])
    return Judge(server, group)


def _list_of_plans(crd: Document) -> Document:
    """A kind of lists of plans, each with the very schema and rules that the plan has in the group upgrade.

    Tens of thousands of requests would take minutes; what takes time is not the rules but everything around them.
    """
    group = crd["spec"]["group"]
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    item = {
        "type": "object",
        "required": ["id", "plan"],
        "properties": {"id": {"type": "string", "maxLength": 8}, "plan": spec["properties"]["plan"]},
    }
    # Lists by key: a rule about the value before asks to know which item it was.
    plans_ = {
        "type": "array",
        "maxItems": IN_ONE_REQUEST,
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["id"],
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"plans": plans_}}},
    }
    names = {"kind": "PlanList", "listKind": "PlanListList", "plural": "planlists", "singular": "planlist"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"planlists.{group}"},
        "spec": {"group": group, "scope": "Cluster", "names": names, "versions": [version]},
    }


@pytest.fixture(params=list(GROUPS))
def judge(request: pytest.FixtureRequest) -> Judge:
    found: Judge = request.getfixturevalue(request.param)
    return found


# Plans


@pytest.fixture(scope="module", autouse=True)
def brief() -> Iterator[None]:
    """Refusals without the nearest permitted plan: to look for it takes longer than to ask the API server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "nearest", lambda shape: (shape,))
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

    verdicts = judge.many_shapes(asked)

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
    asked = sorted({near for plan in PERMITTED for near in plans.neighbours(plan)})
    assert len(asked) == 1_511

    verdicts = judge.many_shapes(asked)

    assert disagreements(verdicts) == []
    assert ACCEPTED in verdicts.values()


def test_random_plans(judge: Judge) -> None:
    asked = plans.random_plans(RANDOM)
    assert len(asked) == len(set(asked)) == RANDOM

    verdicts = judge.many_shapes(asked)

    assert disagreements(verdicts) == []
    assert set(PERMITTED) <= set(asked)


def test_many_in_one_request_are_judged_as_one_by_one(judge: Judge) -> None:
    near = sorted({near for plan in PERMITTED for near in plans.neighbours(plan)})[::8]
    asked = list(dict.fromkeys([*PERMITTED, *plans.short_plans()[::8], *plans.plans_with_nothing_somewhere(), *near]))

    assert judge.many_shapes(asked) == judge.shapes(asked)


def test_many_changes_in_one_request_are_judged_as_one_by_one(judge: Judge) -> None:
    asked = [*SILLY.values(), *plans.changes()[::12]]

    assert judge.many_changes(asked) == judge.changes(asked)


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


def test_every_way_to_append(judge: Judge) -> None:
    """The API's rule is what we know of it, and what it refuses we refuse.

    What we refuse and the API accepts are 218 changes that it takes for an append although the old plan is not the
    beginning of the new one; see `test_what_the_api_takes_for_an_append`.
    """
    asked = plans.changes()
    verdicts = judge.many_changes(asked)

    wrong, silly = [], []
    for (old, new), told in zip(asked, verdicts, strict=True):
        if told != expected(old, new) or (appends(old, new) and told != ACCEPTED):
            wrong.append((old, new, told))
        elif told == ACCEPTED and not appends(old, new):
            silly.append((old, new))
    assert wrong == []
    assert all(not _begins(old, new) and still_there(old, new) for old, new in silly)
    assert (len(asked), len(silly)) == (5_817, 218)


def _begins(old: Plan, new: Plan) -> bool:
    return len(old) <= len(new) and all(one.equals(other) for one, other in zip(old, new, strict=False))


PREP, UPGRADE, FINALIZE = (Step((word,), 5, 60) for word in ("Prep", "Upgrade", "FinalizeUpgrade"))
ON_FAILURE, OTHER = Step(("AbortOnFailure",), 5, 60), Step(("AbortOnFailure",), 9, 60)
SILLY: dict[str, tuple[Plan, Plan]] = {
    "a step put before": ((UPGRADE,), (PREP, UPGRADE)),
    "two steps put before": ((FINALIZE,), (PREP, UPGRADE, FINALIZE)),
    "a step put between": ((PREP, UPGRADE), (PREP, ON_FAILURE, UPGRADE)),
    "put between and behind": ((PREP, UPGRADE), (PREP, ON_FAILURE, UPGRADE, ON_FAILURE)),
    "one of two equal steps gone": ((PREP, ON_FAILURE, UPGRADE, ON_FAILURE), (PREP, ON_FAILURE, UPGRADE)),
    "another order": ((PREP, ON_FAILURE, UPGRADE), (PREP, UPGRADE, ON_FAILURE)),
    "strategies exchanged": ((PREP, ON_FAILURE, UPGRADE, OTHER), (PREP, OTHER, UPGRADE, ON_FAILURE)),
    "strategy of one of two equal steps changed": (
        (PREP, ON_FAILURE, UPGRADE, ON_FAILURE),
        (PREP, ON_FAILURE, UPGRADE, OTHER),
    ),
}


@pytest.mark.parametrize(("old", "new"), SILLY.values(), ids=list(SILLY))
def test_what_the_api_takes_for_an_append(judge: Judge, old: Plan, new: Plan) -> None:
    """It only looks whether each old step is still somewhere in the plan. TALM counts steps by position: we refuse."""
    assert judge.changes([(old, new)]) == [ACCEPTED]
    assert not appends(old, new)


# Numbers

MOST = 2**63 - 1
NUMBERS = (1, 0, -1, MOST, -MOST, MOST + 1, 10**30, 1.0, 1.5, "5", True, None, ABSENT)


def _with_numbers(field: str, value: object) -> list[Document]:
    strategy: Document = {"maxConcurrency": 5, "timeout": 60, field: value}
    if value is ABSENT:
        del strategy[field]
    return [{"actions": ["Prep"], "rolloutStrategy": strategy}]


# By name: an address would differ from one test worker to the next.
@pytest.mark.parametrize("value", NUMBERS, ids=[*map(repr, NUMBERS[:-1]), "absent"])
@pytest.mark.parametrize("field", ["maxConcurrency", "timeout"])
def test_numbers(judge: Judge, field: str, value: object) -> None:
    """The API takes every whole number of 64 bits, 0 and less too; an absent timeout gets the default, 0 does not."""
    reply = judge.create(_with_numbers(field, value))

    whole = abs(value) <= MOST if type(value) is int else type(value) is float and value.is_integer()
    absent = field == "timeout" and (value is None or value is ABSENT)
    assert reply.status == (201 if whole or absent else 422), reply.text
    if reply.status == 201:
        stored = reply.json["spec"]["plan"][0]["rolloutStrategy"][field]
        assert stored == (DEFAULT_TIMEOUT if absent else value)


# Upstream


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
