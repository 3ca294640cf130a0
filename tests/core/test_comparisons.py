"""Conditions that compare with a field of the event that began the case; the oracle is asked too."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events import EventCatalogue
from schemas.patterns import Condition
from streams.core.conditions import comparison
from streams.core.rule_checks import check
from streams.errors import ConfigError
from streams.rulebooks.loader import load_rulebook
from tests.core.test_acts import at, judged, outcomes
from tests.oracle.common import compares
from tests.property.stories import rule

TWO_HOURS = {"kind": "deadline", "start": "start", "stop": "stop", "limit": "2 h"}
SAME = {"field": "amount", "is": "start.amount"}
NEED = {"any": {"type": "need", "where": SAME}}


@pytest.mark.parametrize(
    ("text", "story", "cases"),
    [
        (
            {**TWO_HOURS, "stop": {"type": "stop", "where": SAME}},
            "a 02T09:00 start amount=80; b 02T10:00 stop amount=50; c 02T12:00 stop amount=80",
            ["a met_late"],
        ),
        (
            {**TWO_HOURS, "stop": {"type": "stop", "where": {"amount": {"is": "start.amount"}}}},
            'a 02T09:00 start amount=80; b 02T10:00 stop amount="80.00"',
            ["a met"],
        ),
        (
            {**TWO_HOURS, "cancel": {"type": "off", "where": {"amount": {"less_than": "start.amount"}}}},
            "a 02T09:00 start amount=80; b 02T10:00 off amount=80; c 02T10:30 off amount=79.99",
            ["a cancelled"],
        ),
        (
            {**TWO_HOURS, "pause": {"type": "wait", "where": SAME}, "resume": "work"},
            "a 02T09:00 start amount=1; b 02T10:00 wait amount=2; c 02T10:30 wait amount=1; d 02T11:30 work;"
            "e 02T12:00 stop",
            ["a met"],
        ),
        # before the start there is nothing to compare with
        (
            {**TWO_HOURS, "pause": {"type": "wait", "where": SAME}, "resume": "work"},
            "a 02T08:00 wait amount=1; b 02T09:00 start amount=1",
            ["b breached"],
        ),
        # a stop at the instant of its start, before it in the history
        (
            {**TWO_HOURS, "stop": {"type": "stop", "where": SAME}},
            "a 02T09:00 stop amount=1; b 02T09:00 stop amount=2; c 02T09:00 start amount=2",
            ["c met"],
        ),
        # an absent field compares with nothing
        (
            {**TWO_HOURS, "stop": {"type": "stop", "where": SAME}},
            "a 02T09:00 start; b 02T10:00 stop",
            ["a breached"],
        ),
        (
            {"kind": "prerequisite", "act": "act", "needs": {"any": "need", "if_act": {"a": {"more_than": "start.b"}}}},
            "a 02T09:00 act a=1 b=2; b 02T10:00 act a=2 b=1",
            ["a met", "b violated"],
        ),
        (
            {"kind": "prerequisite", "act": "act", "needs": "need", "facts_from": "facts",
             "when": {"paid": {"less_than": "start.amount"}}},
            "f 02T08:00 facts paid=5; a 02T09:00 act amount=5; b 02T10:00 act amount=6",
            ["b violated"],
        ),
        (
            {**TWO_HOURS, "limit": [{"when": {"paid": {"is": "start.amount"}}, "is": "4 h"}, {"is": "2 h"}]},
            "a 02T09:00 start paid=5 amount=5; b 02T12:00 stop; c 03T09:00 start paid=4 amount=5; d 03T12:00 stop",
            ["a met", "c met_late"],
        ),
        # what an act is judged by compares with the act: not only the latest may do
        (
            {"kind": "prerequisite", "act": "act", "needs": NEED, "reset": "reset"},
            "n 02T08:00 need amount=5; m 02T08:30 need amount=6; a 02T09:00 act amount=5; b 02T10:00 act amount=7;"
            "r 02T11:00 reset; c 02T12:00 act amount=5; o 02T13:00 need amount=5; d 02T13:00 act amount=5",
            ["a met", "b violated", "c violated", "d met"],
        ),
        (
            {"kind": "prerequisite", "act": "act", "facts_from": "facts",
             "needs": {"any": {"type": "need", "where": {"amount": {"more_than": "start.owed"}}}, "same_day": True}},
            "f 02T08:00 facts owed=5; n 02T08:00 need amount=6; m 02T08:30 need amount=5; a 02T09:00 act;"
            "b 03T09:00 act",
            ["a met", "b violated"],
        ),
        (
            {"kind": "evidence", "act": "act", "needs": NEED, "by": "close"},
            "a 02T09:00 act amount=1; b 02T09:30 act amount=2; n 02T10:00 need amount=1; m 02T10:30 need amount=3;"
            "c 02T11:00 close",
            ["a met", "b violated"],
        ),
        (
            {"kind": "minimum_notice", "act": "act", "limit": "1 h",
             "notice": {"type": "notice", "where": {"amount": {"is": "start.amount"}}}},
            "n 02T08:00 notice amount=5; m 02T08:30 notice amount=6; a 02T09:00 act amount=5; b 02T09:10 act amount=6;"
            "c 02T09:20 act amount=7",
            ["a met", "b violated", "c violated"],
        ),
        (
            {"kind": "not_before", "act": "act", "limit": "1 h",
             "since": {"type": "since", "where": {"code": {"is": "start.code"}}}},
            'n 02T08:00 since code="x"; m 02T08:30 since code="y"; a 02T09:00 act code="x"; b 02T09:10 act code="y";'
            'c 02T09:20 act code="z"',
            ["a met", "b violated"],
        ),
    ],
)  # fmt: skip
def test_cases(text: dict[str, Any], story: str, cases: list[str]) -> None:
    assert outcomes(judged(text, story, at("20T00:00"))) == cases


def test_the_sentence_says_what_it_is_compared_with() -> None:
    text = {"kind": "prerequisite", "act": "act", "needs": NEED}
    (alert,) = judged(text, "n 02T08:00 need amount=6; a 02T09:00 act amount=5").alerts
    assert "no need (amount = amount of the act) before it" in alert.explanation.en
    assert "此前无「need（amount=本次的amount）」" in alert.explanation.zh
    assert alert.evidence == ("a",)


VALUES: list[Any] = [
    None, True, False, 0, 1, 1.5, Decimal("1.50"), "1.5", "1.50", "007", "7", 7, "-1", "x", "X", [], ["x"],
    "2026-03-02", "2026-03-10", "2026-02-30", "2026-03-02T09:00:00+08:00", "2026-03-02T01:00:00Z",
    "2026-03-02T01:00:00.000001Z",
]  # fmt: skip
SMALLER = [(0, 1), (1, "1.50"), ("1.5", 7), ("-1", 0), ("2026-03-02", "2026-03-10")]
EQUAL = [(1.5, "1.50"), ("1.5", "1.50"), (7, "007"), ("2026-03-02T09:00:00+08:00", "2026-03-02T01:00:00Z"), ("x", "x")]
NEITHER = [(True, 1), ("007", "7"), ("x", "X"), (None, None), ("2026-03-02", 1), ("2026-02-30", "x")]


def holds(how: str, left: object, right: object) -> bool:
    condition = Condition.model_validate({how: "start.b"})
    compare = comparison({"a": condition})
    assert compare is not None
    found = compare({"a": left}, {"b": right})
    assert found is compares(condition, left, {"b": right}), (how, left, right)
    return found


def test_values() -> None:
    assert all(holds("less_than", left, right) and holds("more_than", right, left) for left, right in SMALLER)
    assert all(holds("is", left, right) and holds("is", right, left) for left, right in EQUAL)
    assert not any(holds("is", left, right) for left, right in (*SMALLER, *NEITHER))
    assert not any(holds("less_than", left, right) for left, right in EQUAL)


def test_the_oracle_compares_all_pairs_alike() -> None:
    for how in ("is", "less_than", "more_than"):
        assert {holds(how, left, right) for left in VALUES for right in VALUES} == {True, False}


BOOK = """\
chapter: T
title: {zh: 测试, en: Test}
events:
  desk.opened: {fields: {amount: amount, due_on: date, code: text}}
  desk.closed: {fields: {amount: amount, paid_on: date, code: text}}
rules:
  - id: my-rule
    effective_from: 2024-01-01
    clauses: [T-S1]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 规则, en: My rule}
    start: {type: desk.opened, where: START}
    stop: {type: desk.closed, where: STOP}
    limit: 5 min
"""


def load(directory: Path, *, start: object = None, stop: object = None) -> None:
    text = BOOK.replace("START", json.dumps(start or {})).replace("STOP", json.dumps(stop or {}))
    (directory / "book.yaml").write_text(text, encoding="utf-8")
    load_rulebook(only=directory)


def test_comparisons_that_can_hold_are_loaded(tmp_path: Path) -> None:
    load(tmp_path, stop=SAME)
    load(tmp_path, stop=[SAME, {"field": "paid_on", "less_than": "start.due_on"}])
    load(tmp_path, stop={"code": {"is": "start.code"}, "amount": {"more_than": "start.amount"}})


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ({"stop": {"amount": {"is": "start.amonut"}}}, r"desk.opened has no field 'amonut'"),
        ({"stop": {"amount": {"is": "amount"}}}, r"pattern"),
        ({"stop": {"code": {"less_than": "start.amount"}}}, r"desk.closed.code is of kind string"),
        ({"stop": {"amount": {"more_than": "start.code"}}}, r"desk.opened.code is of kind string"),
        ({"start": {"amount": {"is": "start.amount"}}}, r"nothing to compare with"),
        ({"stop": [SAME, SAME]}, r"stands twice"),
    ],
)
def test_comparisons_that_cannot_hold_are_refused(tmp_path: Path, patterns: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, **patterns)
    assert "book.yaml" in str(caught.value)


EVENTS = EventCatalogue.shipped().with_declared("desk.opened", {"amount": "amount"})
EVENTS = EVENTS.with_declared("desk.closed", {"amount": "amount", "code": "text"})
OPENED = {"type": "desk.opened", "where": SAME}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"kind": "prerequisite", "needs": {"any": OPENED}}, None),
        ({"kind": "evidence", "needs": {"any": OPENED}, "by": "desk.opened"}, None),
        ({"kind": "minimum_notice", "notice": OPENED, "limit": "1 h"}, None),
        ({"kind": "not_before", "since": OPENED, "limit": "1 h"}, None),
        ({"kind": "prerequisite", "needs": "desk.opened", "reset": OPENED}, "nothing to compare with here"),
        ({"kind": "evidence", "needs": "desk.opened", "by": OPENED}, "nothing to compare with here"),
        ({"kind": "retention", "since": OPENED, "limit": "1 h"}, "and since (of not_before) with the act"),
        ({"kind": "forbidden_while", "during": {"since": OPENED}}, "nothing to compare with here"),
        (
            {"kind": "prerequisite", "needs": {"any": {"type": "desk.opened", "where": {"amount": {"is": "start.x"}}}}},
            "desk.closed has no field 'x'",
        ),
        (
            {"kind": "minimum_notice", "limit": "1 h",
             "notice": {"type": "desk.opened", "where": {"amount": {"less_than": "start.code"}}}},
            "desk.closed.code is of kind string",
        ),
    ],
)  # fmt: skip
def test_what_an_act_is_compared_with(text: dict[str, Any], says: str | None) -> None:
    problems = check([rule({**text, "act": "desk.closed"})], EVENTS)
    assert [says is not None and says in problem.message for problem in problems] == ([] if says is None else [True])
