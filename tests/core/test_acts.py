"""Rules about acts and their periods where events meet at one instant, come for another month, or come again.

Each row is one small rule, and events as ``id time type fields``; a time without a month is of March 2026, in Shanghai.
The order of the ids decides the order of the history where times are equal, and must decide nothing else.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from streams.core.history import History
from tests.oracle.common import Fact
from tests.property.runs import Run, event_of, us
from tests.property.runs import moment as instant
from tests.property.stories import SHANGHAI, World, rule
from tests.stories import local, moment

NEXT_YEAR = moment("2027-01-01T00:00")


def at(text: str) -> datetime:
    return moment(f"2026-{text}" if re.match(r"\d\d-", text) else f"2026-03-{text}")


def facts(story: str) -> list[Fact]:
    found = []
    for line in story.split(";"):
        event_id, when, event_type, *fields = line.split()
        data: dict[str, Any] = {}
        for name, _, value in (field.partition("=") for field in fields):
            data[name] = json.loads(value)
        found.append(Fact(event_id, event_type, at(when), at(when), data, {"order": "O"}))
    return found


def judged(text: dict[str, Any], story: str, until: datetime = NEXT_YEAR) -> Run:
    """Everything known at once; the oracle is asked too, and time moved from one due instant to the next."""
    run = Run(World(SHANGHAI, [rule(text)], ("act",)))
    for fact in facts(story):
        run.send(fact)
    run.advance(facts(story)[0].at)
    while (due := run.engine.next_due) is not None and due <= us(until):
        run.advance(instant(due))
    run.advance(until)
    run.check(until)
    return run


def outcomes(run: Run) -> list[str]:
    return [f"{case.verdict.root} {case.verdict.outcome}" for case in run.engine.cases()]


def told(run: Run) -> list[str]:
    return [f"{alert.kind} {local(alert.due_at)[5:-4]}" for alert in run.alerts if alert.kind != "warning"]


CALENDAR = {"kind": "cadence", "act": "act", "every": "1 natural month", "calendar": True, "until": "until"}
ROLLING = {"kind": "cadence", "act": "act", "every": "1 day", "until": "until"}
FORBIDDEN = {"kind": "forbidden_while", "act": "act", "during": {"since": "since"}, "reset": "reset"}
OVERDUE = {"kind": "not_before", "act": "act", "since": "since", "date_field": "on", "limit": "3 days"}
KEPT = {"kind": "retention", "act": "act", "since": "since", "limit": "1 billing cycle"}
ONE = {"kind": "at_most", "act": "act"}
CLOSED = {"kind": "evidence", "act": "act", "needs": "need", "by": "close", "cancel": "cancel", "reset": "reset"}
NOTICE = {"kind": "minimum_notice", "act": "act", "notice": "notice", "limit": "2 days", "at_most": "5 days"}

ROWS: list[tuple[str, dict[str, Any], str, list[str], list[str]]] = [
    # --- prerequisite
    (
        "a reset at the instant of the act, or of what it needs, takes nothing",
        {"kind": "prerequisite", "act": "act", "needs": "need", "reset": "reset"},
        "a 02T09:00 need; b 02T09:00 reset; m 02T10:00 reset; x 02T10:00 act; y 02T10:00:00.001 act",
        ["x met", "y violated"],
        ["violation 03-02T10:00:00"],
    ),
    (
        "an act's own field goes before the one that is lent",
        {"kind": "prerequisite", "act": "act", "needs": "need", "facts_from": "facts", "when": {"f": 1}},
        "a 02T09:00 facts f=1; x 02T10:00 act f=2; y 02T11:00 act",
        ["y violated"],
        ["violation 03-02T11:00:00"],
    ),
    # --- recording_delay
    (
        "recorded at once",
        {"kind": "recording_delay", "act": "act", "limit": "same working day"},
        "x 02T23:59:59.999 act",
        ["x met"],
        [],
    ),
    # --- sequence
    (
        "a second crew is not held against the first",
        {"kind": "sequence", "stages": ["one", "two", "three"]},
        "a 02T09:00 two; b 02T09:00 one; c 02T08:59 three; d 02T10:00 one",
        ["b violated", "a violated", "c met"],
        ["violation 03-02T09:00:00", "violation 03-02T09:00:00"],
    ),
    # --- not_before
    (
        "two bills overdue at one instant since one day",
        OVERDUE,
        's 02T00:00 since on="2026-03-01"; t 02T00:00 since on="2026-03-01"; x 04T00:00 act',
        ["x met"],
        [],
    ),
    (
        "two that begin at one instant, of which one names the day",
        OVERDUE,
        's 02T00:00 since on="2026-03-02"; t 02T00:00 since; x 04T23:59 act',
        ["x violated"],
        ["violation 03-04T23:59:00"],
    ),
    # --- retention
    (
        "removed again at the instant of the disposal",
        KEPT,
        "s 01-10T09:00 since; t 02T09:00 since; x 02T09:00 act",
        ["x met"],
        [],
    ),
    (
        "removed at the instant of the disposal and never before",
        KEPT,
        "t 02T09:00 since; x 02T09:00 act",
        ["x violated"],
        ["violation 03-02T09:00:00"],
    ),
    *(
        (f"a reading day {day} is none", KEPT, f"s 02T09:00 since reading_day={day}; x 04-02T00:00 act", ["x met"], [])
        for day in ("0", "32", "true")
    ),
    (
        "a reading day 31 is the last of April",
        KEPT,
        "s 02T09:00 since reading_day=31; w 04-29T23:59 act; x 04-30T00:00 act",
        ["w violated", "x met"],
        ["violation 04-29T23:59:00"],
    ),
    # --- minimum_notice
    (
        "a notice at the instant of the act takes nothing away",
        NOTICE,
        "m 02T09:00 notice; n 05T09:00 notice; x 05T09:00 act",
        ["x met"],
        [],
    ),
    (
        "a notice a millisecond before the act does",
        NOTICE,
        "m 02T09:00 notice; n 05T08:59:59.999 notice; x 05T09:00 act",
        ["x violated"],
        ["violation 03-05T09:00:00"],
    ),
    # --- forbidden_while
    ("reset at the instant of the act", FORBIDDEN, "s 02T09:00 since; x 02T10:00 act; z 02T10:00 reset", ["x met"], []),
    ("reset as it begins", FORBIDDEN, "r 02T09:00 reset; s 02T09:00 since; x 02T10:00 act", ["x met"], []),
    (
        "reset before it begins",
        FORBIDDEN,
        "r 02T08:59:59.999 reset; s 02T09:00 since; x 02T10:00 act",
        ["x violated"],
        ["violation 03-02T10:00:00"],
    ),
    # --- at_most
    ("two", ONE, "x 02T09:00 act; y 03T09:00 act", ["x met", "y violated"], ["violation 03-03T09:00:00"]),
    (
        "reset at the instant of the second",
        {**ONE, "reset": "reset"},
        "x 02T09:00 act; y 03T09:00 act; z 03T09:00 reset",
        ["x met", "y met"],
        [],
    ),
    (
        "reset at the instant of the first",
        {**ONE, "reset": "reset"},
        "r 02T09:00 reset; x 02T09:00 act; y 03T09:00 act",
        ["x met", "y met"],
        [],
    ),
    (
        "true is not the number one",
        {**ONE, "per": "k"},
        "x 02T09:00 act k=1; y 03T09:00 act k=true",
        ["x met", "y met"],
        [],
    ),
    (
        "what is known at the instant of the first act, whatever its id",
        {**ONE, "facts_from": "facts", "when": {"f": 1}},
        "x 02T09:00 act; z 02T09:00 facts f=1; y 03T09:00 act",
        ["x met", "y violated"],
        ["violation 03-03T09:00:00"],
    ),
    # --- evidence
    (
        "there on the act's day, and once more on another",
        {**CLOSED, "needs": {"any": "need", "same_day": True}},
        "a 02T09:00 act; n 02T10:00 need; o 03T10:00 need; z 04T09:00 close",
        ["a met"],
        [],
    ),
    (
        "a reset takes nothing from an act that waits for its close",
        CLOSED,
        "a 02T09:00 act; n 02T10:00 need; r 02T11:00 reset; z 02T12:00 close",
        ["a met"],
        [],
    ),
    (
        "a reset takes what was there from a later act",
        CLOSED,
        "n 02T08:00 need; r 02T08:30 reset; a 02T09:00 act; z 02T12:00 close",
        ["a violated"],
        ["violation 03-02T12:00:00"],
    ),
    (
        "what is known at the instant of the act, whatever its id",
        {**CLOSED, "facts_from": "facts", "when": {"f": 1}},
        "a 02T09:00 act; b 02T09:00 facts f=1; z 02T12:00 close",
        ["a violated"],
        ["violation 03-02T12:00:00"],
    ),
    (
        "called off at its own instant",
        CLOSED,
        "a 02T09:00 cancel; b 02T09:00 act; z 02T12:00 close",
        ["b cancelled"],
        [],
    ),
    # --- cadence
    (
        "a month met before it began: the next is missed",
        {**CALENDAR, "period": "period"},
        'a 28T09:00 act period="2026-04"; z 06-10T00:00 until',
        ["month/2026-04 met", "month/2026-05 breached", "month/2026-06 cancelled"],
        ["breach 06-01T00:00:00"],
    ),
    (
        "the last reading, entered after the end, begins nothing",
        {**CALENDAR, "period": "period"},
        'a 02-10T09:00 act period="2026-02"; u 05T09:00 until; z 08T09:00 act period="2026-03"',
        ["month/2026-03 cancelled"],
        [],
    ),
    (
        "a reading of a later month begins it again",
        {**CALENDAR, "period": "period"},
        'a 02-10T09:00 act period="2026-02"; u 05T09:00 until; y 04-08T09:00 act period="2026-04"; z 05-09T00:00 until',
        ["month/2026-03 cancelled", "month/2026-05 cancelled"],
        [],
    ),
    (
        "begun at the first instant of a month: held to from the next on",
        CALENDAR,
        "a 04-01T00:00 act; z 06-10T00:00 until",
        ["month/2026-05 breached", "month/2026-06 cancelled"],
        ["breach 06-01T00:00:00"],
    ),
    (
        "begun again at the first instant of a month: the same",
        {**CALENDAR, "since": "since"},
        "a 02-10T09:00 since; u 05T09:00 until; b 04-01T00:00 since; z 05-10T00:00 until",
        ["month/2026-03 cancelled", "month/2026-05 cancelled"],
        [],
    ),
    (
        "ended at the last instant of a month",
        CALENDAR,
        "a 02-10T09:00 act; u 04-01T00:00 until",
        ["month/2026-03 cancelled", "month/2026-04 cancelled"],
        [],
    ),
    ("ended at the instant at which it begins", CALENDAR, "a 02T09:00 until; b 02T09:00 act", [], []),
    (
        "ended at the instant of the last act",
        ROLLING,
        "a 02T09:00 act; b 03T09:00 until; c 03T09:00 act",
        ["a cancelled", "c cancelled"],
        [],
    ),
    (
        "ended a millisecond before",
        ROLLING,
        "a 02T09:00 act; b 03T08:59:59.999 until; c 03T09:00 act; d 05T00:00 until",
        ["a cancelled", "c cancelled"],
        [],
    ),
]


@pytest.mark.parametrize(
    ("text", "story", "cases", "alerts"), [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in ROWS]
)
def test_row(text: dict[str, Any], story: str, cases: list[str], alerts: list[str]) -> None:
    run = judged(text, story)
    assert outcomes(run) == cases
    assert told(run) == alerts


def test_a_month_met_before_it_began_does_not_put_silence_to_sleep() -> None:
    run = judged({**CALENDAR, "period": "period"}, 'a 28T09:00 act period="2026-04"', at("06-15T00:00"))
    assert told(run) == ["breach 06-01T00:00:00"]


def test_a_case_called_off_rests_on_what_called_it_off() -> None:
    run = judged(CLOSED, "a 02T09:00 act; b 02T12:00 close; c 02T12:00 cancel")
    (case,) = run.engine.cases()
    assert (case.verdict.outcome, case.verdict.evidence) == ("cancelled", ("a", "c"))


def test_before_the_close_nothing_is_known_of_what_will_be_missing() -> None:
    run = judged(CLOSED, "a 02T09:00 act; z 02T12:00 close")
    (case,) = run.engine.cases(us(at("02T11:00")))
    assert (case.verdict.outcome, case.verdict.faults, case.verdict.evidence) == ("running", (), ("a",))


@pytest.mark.parametrize(
    ("text", "name", "limit"),
    [
        (NOTICE, "limit", "same working day"),
        (NOTICE, "at_most", "same working day"),
        (OVERDUE, "limit", "same working day"),
        (KEPT, "limit", "same working day"),
        (KEPT, "limit", {"until": "on"}),
        (ROLLING, "every", "same working day"),
        (ROLLING, "every", {"until": "on"}),
    ],
)
def test_what_must_have_passed_is_a_length_of_time(text: dict[str, Any], name: str, limit: Any) -> None:
    with pytest.raises(ValidationError, match="is no length of time"):
        rule({**text, name: limit})


def test_an_act_is_not_recorded_by_a_date_of_its_own() -> None:
    with pytest.raises(ValidationError, match="within a length of time"):
        rule({"kind": "recording_delay", "act": "act", "limit": {"until": "on"}})


def test_what_an_obligation_keeps_of_many_acts_does_not_grow_with_them() -> None:
    """A placeholder number had 30,000 readings: what a month begins with is the last of the one before."""
    world = World(SHANGHAI, [rule(CALENDAR), rule({**ROLLING, "id": "s"})], ("act",))
    routes = world.rulebook.routes("order")
    sizes = []
    for count in (100, 3000):
        history = History()
        for number in range(count):
            history.add(
                event_of(Fact(f"a{number}", "act", at("02T09:00") + number * timedelta(minutes=1), at("02T09:00")))
            )
        by_id = {
            fold.id: state for (_, fold, _), state in zip(routes("act"), history.fold(routes).values(), strict=True)
        }
        sizes.append((sum(map(len, by_id["r"].turns)), len(by_id["s"].owing)))
    assert sizes[0] == sizes[1]
