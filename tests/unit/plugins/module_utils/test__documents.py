# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents know the file and the lines that they come from, also through the ConfigMap around them."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._documents import (
    NotYaml,
    is_wrapper,
    read_documents,
    readable,
    readable_inside,
    unwrapped,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._lint import (
    Level,
    LintFinding,
    in_order,
    lint_lines,
    object_name,
)

TEXT = """\
# a comment
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
---
---
kind: Backup
metadata:
  namespace: openshift-adp
  name: b
spec:
  list:
    - one
    - {two: 2}
"""
WRAPPER = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: oadp-cm
  namespace: openshift-adp
data:
  first.yaml: |
    kind: Backup
    metadata:
      name: x
    ---
    kind: Restore
  second.yaml: |
    kind: Backup
"""


def test_empty_documents_count_but_are_not_there() -> None:
    first, second = read_documents(TEXT, "a.yml")
    assert (first.index, first.line, second.index, second.line) == (1, 3, 3, 9)
    assert second.value["spec"]["list"] == ["one", {"two": 2}]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("kind",), 9),
        (("metadata", "name"), 12),
        (("spec", "list", 1), 16),
        (("spec", "list", 1, "two"), 16),
        (("spec", "none", "at", "all"), 13),
        (("nothing",), 9),
        ((), 9),
    ],
)
def test_the_line_of_a_field(path: tuple[str, ...], line: int) -> None:
    assert read_documents(TEXT, "a.yml")[1].line_of(path) == line


def test_text_that_is_no_yaml_names_its_place_and_keeps_what_came_before() -> None:
    with pytest.raises(NotYaml) as caught:
        read_documents("kind: A\n---\nb: [\n", "x.yml")
    error = caught.value
    assert (error.file, error.document, error.line) == ("x.yml", 2, 4)
    assert [document.value for document in error.documents] == [{"kind": "A"}]
    with pytest.raises(NotYaml, match="characters"):
        read_documents("a: \x07", "x.yml")


def test_aliases_that_multiply_cost_nothing() -> None:
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    line = read_documents(text, "x")[0].line_of(("a39",))
    assert line == 40


def test_documents_inside_a_configmap_have_the_lines_of_the_file() -> None:
    wrapper = read_documents(WRAPPER, "cm.yml")[0]
    assert is_wrapper(wrapper)
    inside = unwrapped(wrapper)
    assert [(one.value["kind"], one.index, one.line, one.inside) for one in inside] == [
        ("Backup", 1, 8, "openshift-adp/oadp-cm first.yaml"),
        ("Restore", 2, 12, "openshift-adp/oadp-cm first.yaml"),
        ("Backup", 3, 14, "openshift-adp/oadp-cm second.yaml"),
    ]
    assert inside[0].line_of(("metadata", "name")) == 10


def test_a_configmap_of_settings_is_a_manifest() -> None:
    for text in (
        "kind: ConfigMap\ndata: {a: b}\n",
        "kind: ConfigMap\ndata: {}\n",
        "kind: Secret\ndata: {a: 'kind: x'}\n",
    ):
        assert not is_wrapper(read_documents(text, "x")[0])


def test_findings_are_shown_with_their_place_and_summed_up() -> None:
    later = LintFinding(Level.WARNING, "b", "is odd", "mend it", "a.yml", 2, 7, "ConfigMap x")
    first = LintFinding(Level.ERROR, "a", "is wrong", "change it", "a.yml", 1, 3)
    assert lint_lines(in_order([later, first, later]), 2) == [
        "a.yml:3: error: [a] is wrong",
        "    → change it",
        "a.yml:7: warning: [b] ConfigMap x: is odd",
        "    → mend it",
        "2 documents: 1 error, 1 warning",
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"kind": "Backup", "metadata": {"name": "a", "namespace": "n"}}, "Backup n/a"),
        ({"kind": "Namespace", "metadata": {"name": "a"}}, "Namespace a"),
        ({"metadata": None}, "document"),
        ("text", ""),
    ],
)
def test_how_objects_are_called(value: object, name: str) -> None:
    assert object_name(value) == name


def test_what_cannot_be_read_hides_nothing_below_it() -> None:
    found, broken = readable("kind: A\n---\nb: [\n---\nkind: C\n---\n\td: 1\n---\nkind: E\n", "x.yml")
    assert [(one.value["kind"], one.index, one.line) for one in found] == [("A", 1, 1), ("C", 3, 5), ("E", 5, 9)]
    assert [(error.document, error.line) for error in broken] == [(2, 4), (4, 7)]


def test_what_cannot_be_read_inside_a_configmap_has_the_lines_of_the_file() -> None:
    wrapper = read_documents(WRAPPER.replace("name: x", "name: ["), "cm.yml")[0]
    found, broken = readable_inside(wrapper)
    assert [(one.value["kind"], one.line) for one in found] == [("Restore", 12), ("Backup", 14)]
    assert [error.line for error in broken] == [11]


def test_keys_that_stand_twice_are_told_and_dates_stay_text() -> None:
    document = read_documents("a: {b: 1, b: 2}\nc: 2026-11-21\na: 3\n", "x.yml")[0]
    assert document.repeated == (("a.b", 1), ("a", 3))
    assert document.value["c"] == "2026-11-21"


def test_what_concerns_no_file_comes_last_and_has_no_place() -> None:
    whole = LintFinding(Level.WARNING, "a", "lacks something", "add it")
    placed = LintFinding(Level.ERROR, "z", "is wrong", "change it", "b.yml", 1, 3)
    assert lint_lines(in_order([whole, placed]), 1)[2] == "warning: [a] lacks something"
