# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight shows: one entry per cause, with all names, what was seen and the way out."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._checks_contact import silence
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight import Finding, Severity
from ansible_collections.sno.image_upgrade.plugins.module_utils._preflight_report import (
    preflight_lines,
    report_document,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import NotThere, Refused, Unanswered

MANY = [f"s{number:04}" for number in range(1000)]


def finding(
    cluster: str, severity: Severity = Severity.BLOCKED, cause: str = "bad", remedy: str = "mend", **more: str
) -> Finding:
    return Finding(severity, cluster, "check", cause, remedy, **more)


def test_a_fit_fleet_is_one_line() -> None:
    assert preflight_lines(["a", "b"], [], "4.17.3", 2.4) == ["PREFLIGHT  2 clusters → 4.17.3   2 ready   (2 s)"]
    assert preflight_lines(["a"], [], "", 0) == ["PREFLIGHT  1 cluster   1 ready   (0 s)"]


def test_a_cluster_is_counted_once_however_much_is_wrong() -> None:
    findings = [
        finding("a"),
        finding("a", cause="worse"),
        finding("a", Severity.WARNED),
        finding("b", Severity.NO_ANSWER),
        finding("c", Severity.WARNED),
        finding("d", Severity.NOT_CHECKED),
    ]

    head = preflight_lines(["a", "b", "c", "d"], findings, "", 1)[0]

    assert "2 ready   1 blocked   2 warned   1 no answer" in head, "a warned cluster is ready"


def test_one_cause_is_said_once_with_a_remedy_for_all() -> None:
    findings = [finding(name, remedy=f"abort -l {name}") for name in ("s01", "s02")]

    lines = preflight_lines(["s01", "s02"], findings, "", 1)

    assert lines[2:] == ["BLOCKED   2  bad", f"{'             s01 s02':<66}  → abort -l s01,s02"]


def test_a_long_way_out_gets_lines_of_its_own() -> None:
    lines = preflight_lines(["s01"], [finding("s01", remedy="one two " * 20)], "", 1)

    assert lines[3].strip() == "s01"
    assert lines[4].startswith("             → one two") and lines[5].startswith("               ")
    assert all(len(line) <= 100 for line in lines)


def test_a_thousand_names_are_cut_short_with_the_total_and_the_file_that_has_all() -> None:
    findings = [finding(name, remedy=f"abort -l {name}") for name in MANY]

    lines = preflight_lines(MANY, findings, "", 1, "report.json")

    assert lines[2].startswith("BLOCKED   1000  bad")
    assert lines[3].split()[0] == "s0000" and len(lines) == 8
    shown = sum(len(line.split()) for line in lines[3:6])
    assert lines[6].strip() == f"and {1000 - shown} more of 1000 (all of them in report.json)"
    assert lines[7].strip() == "→ abort -l GROUP"
    assert all(len(line) <= 100 for line in lines)


def test_what_was_seen_is_counted_by_value() -> None:
    findings = [finding(name, seen=seen, expected="16") for name, seen in zip("abc", ("8", "8", "12"), strict=True)]

    text = "\n".join(preflight_lines(list("abc"), findings, "", 1))

    assert "seen: 8 (2); 12 (1), expected 16" in text


def test_what_the_cause_says_already_is_not_said_again() -> None:
    text = "\n".join(preflight_lines(["a"], [finding("a", cause="found 3 of them", seen="3")], "", 1))

    assert "seen" not in text


@pytest.mark.parametrize(
    ("cause", "seen"),
    [
        ("seed image has FIPS enabled but the cluster does not", "no"),
        ("found 13 of them", "3"),
        ("it runs 4.17.30", "4.17.3"),
        ("it runs 4.17.3-rc.1", "4.17.3"),
        ("it runs 4.17.3", "17"),
    ],
)
def test_a_part_of_a_word_does_not_say_it(cause: str, seen: str) -> None:
    text = " ".join(preflight_lines(["a"], [finding("a", cause=cause, seen=seen, expected="yes")], "", 1))

    assert f"seen: {seen}, expected yes" in text


@pytest.mark.parametrize("cause", ["it runs 4.17.3.", "it runs 4.17.3; the seed too", "(4.17.3)", "4.17.3"])
def test_marks_beside_a_word_are_none_of_it(cause: str) -> None:
    assert "seen" not in " ".join(preflight_lines(["a"], [finding("a", cause=cause, seen="4.17.3")], "", 1))


def test_many_different_values_are_cut_short() -> None:
    findings = [finding(name, seen=name) for name in MANY[:9]]

    assert "and 6 other values" in "\n".join(preflight_lines(MANY, findings, "", 1))


def test_the_worst_and_most_frequent_come_first() -> None:
    findings = [
        finding("a", Severity.NOT_CHECKED, "unknown"),
        finding("a", Severity.NO_ANSWER, "silent"),
        finding("a", Severity.WARNED, "warned"),
        finding("a", cause="rare"),
        finding("b", cause="two\n lines"),
        finding("c", cause="two\n lines"),
    ]

    text = "\n".join(preflight_lines(["a", "b", "c"], findings, "", 1))

    places = [
        text.index(words)
        for words in ("BLOCKED   2  two lines", "rare", "WARNED    1  warned", "NO ANSWER 1", "NOT CHECKED  unknown")
    ]
    assert places == sorted(places)


def test_a_silent_cluster_says_its_own_words() -> None:
    error = Unanswered("connect", "connection refused by https://api.a.example.com:6443")
    found = silence("a", f"{error} for 30 s", "check the network", error)

    lines = preflight_lines(["a"], [found], "", 1)

    assert lines[2] == "NO ANSWER 1  a: connection refused by https://api.a.example.com:6443 for 30 s"


@pytest.mark.parametrize(
    ("error", "severity", "words"),
    [
        (Unanswered("session", "x", 401), Severity.BLOCKED, "the credential is not accepted (401)"),
        (Unanswered("rights", "x", 403), Severity.BLOCKED, "may not read it (403)"),
        (Unanswered("tls", "x"), Severity.BLOCKED, "no trusted TLS connection"),
        (NotThere("x"), Severity.BLOCKED, "no ImageBasedUpgrade"),
        (Refused("x", 400), Severity.BLOCKED, "refuses to be read"),
        (Unanswered("http", "x", 503), Severity.NO_ANSWER, "in trouble (HTTP 503)"),
        (Unanswered("timeout", "no answer from https://a in time"), Severity.NO_ANSWER, "no answer in time"),
        (Unanswered("connect", "connection refused by https://a"), Severity.NO_ANSWER, "connection refused"),
        (Unanswered("connect", "the name of https://a is not known: x"), Severity.NO_ANSWER, "name of its API server"),
        (Unanswered("connect", "connection to https://a lost: x"), Severity.NO_ANSWER, "no connection"),
    ],
)
def test_clusters_in_the_same_trouble_share_its_words(error: Exception, severity: Severity, words: str) -> None:
    found = [silence(name, f"{name}: {error}", "go", error) for name in ("a", "b")]

    assert found[0].cause == found[1].cause and words in found[0].cause
    assert (found[0].severity, found[0].seen) == (severity, f"a: {error}")


def test_what_was_not_checked_names_clusters_only_where_it_is_not_all_of_them() -> None:
    findings = [finding(name, Severity.NOT_CHECKED, "CPUs: not known", "tell") for name in "ab"]

    assert preflight_lines(list("ab"), findings, "", 1)[2] == "NOT CHECKED  CPUs: not known"
    assert preflight_lines(list("abc"), findings, "", 1)[2] == "NOT CHECKED  CPUs: not known (2 of 3 clusters)"


def test_the_report_keeps_problems_and_ignorance_apart() -> None:
    findings = [finding("a"), finding("b", Severity.WARNED), *(finding(n, Severity.NOT_CHECKED, "why") for n in "ab")]

    document = report_document(["a", "b", "c"], findings, "4.17.3")

    assert (document["clusters"], document["ready"], document["target"]) == (["a", "b", "c"], ["b", "c"], "4.17.3")
    assert [(one["cluster"], one["severity"]) for one in document["findings"]] == [("a", "blocked"), ("b", "warned")]
    assert document["not_checked"] == [{"check": "check", "cause": "why", "remedy": "mend", "clusters": ["a", "b"]}]
