"""Rules that start with the breach of another: rows by hand, and the cases that open by silence."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from schemas.rules import DeadlineRule
from streams.core.engine import Engine
from streams.core.open_cases import OpenCases
from streams.core.outcome_counts import OutcomeCounts
from streams.core.records import Snapshot
from streams.core.rule_checks import Problem, check_follow_ups
from streams.core.rulebook import Rulebook
from tests.property.stories import rule
from tests.stories import decoded, judge, local, open_cases, shipped, us, wire

HOUR = 3_600_000_000

FEE = {
    "kind": "deadline",
    "id": "fee",
    "start": "counter.service_started",
    "stop": "counter.service_completed",
    "limit": "5 min",
    "warn_at": [],
}
SORRY = {
    "kind": "deadline",
    "id": "sorry",
    "start": {"alert": "fee", "kind": "breach"},
    "stop": "counter.receipt_issued",
    "pause": "counter.interrupted",
    "resume": "counter.resumed",
    "cancel": "counter.counter_closed",
    "limit": "1 h",
    "warn_at": [0.5],
}
ABOVE = {**SORRY, "id": "above", "start": {"alert": "sorry", "kind": "breach"}, "stop": "inquiry.transferred"}


def rulebook(*rules: dict[str, Any]) -> Rulebook:
    return Rulebook([rule(one) for one in rules], shipped().rulebook.calendar)


def loaded(*rules: dict[str, Any]) -> Any:
    found = shipped("fee-5-minutes")
    return type(found)(rulebook(*rules), found.catalogue, (), ())


BEGUN = "a 2026-03-02T09:00 counter.service_started O business=fee\n"


@pytest.mark.parametrize(
    ("story", "found"),
    [
        pytest.param("", ("breached", "10:05"), id="it starts at the deadline of the breach"),
        pytest.param("b +5m counter.service_completed O", None, id="exactly at the deadline there is no breach"),
        pytest.param("b +4m counter.receipt_issued O", ("breached", "10:05"), id="what came before does not count"),
        pytest.param("b +5m counter.receipt_issued O", ("met", "10:05"), id="at the instant of the breach it counts"),
        pytest.param("b +65m counter.receipt_issued O", ("met", "10:05"), id="exactly at its own deadline"),
        pytest.param("b +65m1ms counter.receipt_issued O", ("met_late", "10:05"), id="a millisecond later"),
        pytest.param("b +70m counter.service_completed O", ("breached", "10:05"), id="done late it stays a breach"),
        pytest.param("b +9m counter.counter_closed O", ("cancelled", "10:05"), id="cancelled"),
        pytest.param("b +5m counter.counter_closed O", ("cancelled", "10:05"), id="cancelled at once"),
        pytest.param(
            "b +15m counter.interrupted O\nc +25m counter.resumed O\nd +75m counter.receipt_issued O",
            ("met", "10:15"), id="a pause moves it",
        ),
        pytest.param(
            "b +3m counter.interrupted O\nc +35m counter.resumed O", ("breached", "10:35"), id="begins standing still"
        ),
        pytest.param(
            "b +3m counter.interrupted O\nc +4m counter.receipt_issued O", ("breached", "10:05"),
            id="a stop before the breach ends a standstill",
        ),
        pytest.param(
            "b +3m counter.interrupted O\nc +4m counter.resumed O", ("breached", "10:05"), id="resumed before it"
        ),
        pytest.param("b +5m counter.interrupted O", ("running", None), id="paused at the instant of the breach"),
    ],
)  # fmt: skip
def test_one_case(story: str, found: tuple[str, str | None] | None) -> None:
    judged = judge(BEGUN + story, "2026-03-02T18:00", loaded=loaded(FEE, SORRY))
    outcomes = [(outcome, due and due[11:16]) for outcome, due in judged.outcomes("sorry")]
    assert outcomes == ([] if found is None else [found])


def test_each_breach_has_a_case_and_one_stop_ends_all_that_are_open() -> None:
    story = (
        BEGUN
        + "b +10m counter.service_completed O\nc +20m counter.service_started O\nd +40m counter.service_completed O\n"
        + "e +50m counter.receipt_issued O\nf +2h counter.service_started O"
    )
    judged = judge(story, "2026-03-02T11:30", loaded=loaded(FEE, SORRY))
    assert [(outcome, due and due[11:16]) for outcome, due in judged.outcomes("sorry")] == [
        ("met", "10:05"),
        ("met", "10:25"),
        ("running", "12:05"),
    ]


def test_a_retracted_breach_takes_all_that_follows_along() -> None:
    late = "b +4m counter.service_completed O recorded=2026-03-02T12:00"
    judged = judge(BEGUN + late, "2026-03-02T13:00", loaded=loaded(FEE, SORRY, ABOVE), arrival=True)
    assert judged.told() == [
        ("fee", "breach", "2026-03-02T09:05:00.000"),
        ("sorry", "breach", "2026-03-02T10:05:00.000"),
        ("above", "breach", "2026-03-02T11:05:00.000"),
        ("fee", "retraction", "2026-03-02T09:05:00.000"),
        ("sorry", "retraction", "2026-03-02T10:05:00.000"),
        ("above", "retraction", "2026-03-02T11:05:00.000"),
    ]
    assert judged.net() == set()
    assert [case.verdict.rule.id for case in judged.cases] == ["fee"]


def test_the_sentence_and_the_evidence_name_the_breach() -> None:
    alerts = judge(BEGUN + "b +7m counter.service_completed O", "2026-03-02T11:00", loaded=loaded(FEE, SORRY)).alerts
    sorry = next(alert for alert in alerts if (alert.rule, alert.kind) == ("sorry", "breach"))
    assert 'started 2026-03-02 09:05:00 with the breach of "Rule", limit 1 h' in sorry.explanation.en
    assert "2026-03-02 09:05:00「规则」超时起算，时限1小时" in sorry.explanation.zh
    assert sorry.evidence == ("a",)  # what came after the breach is not its evidence
    assert sorry.arithmetic == {"after_breach_of": "fee"}


def test_its_calendar_and_limit_are_chosen_by_the_event_that_began_the_breached_case() -> None:
    limits = [{"when": {"business": "power"}, "is": "2 h"}, {"is": "1 h"}]
    book = loaded(FEE, {**SORRY, "limit": limits})
    power = "a 2026-03-02T09:00 counter.service_started O business=power"
    assert judge(power, "2026-03-02T10:00", loaded=book).outcomes("sorry") == [("running", "2026-03-02T11:05:00.000")]


def test_a_version_is_in_force_by_the_date_of_the_breach() -> None:
    first = {**SORRY, "effective_to": "2026-03-03"}
    second = {**SORRY, "version": "2", "effective_from": "2026-03-03", "limit": "2 h"}
    story = "a 2026-03-02T23:58 counter.service_started O business=fee"
    judged = judge(story, "2026-03-03T01:00", loaded=loaded(FEE, first, second))
    assert judged.outcomes("sorry") == [("running", "2026-03-03T02:03:00.000")]


def test_after_a_monthly_obligation() -> None:
    monthly = {"kind": "cadence", "id": "read", "act": "reading.collected", "every": "1 natural month",
               "calendar": True, "subject": "account"}  # fmt: skip
    report = {**SORRY, "subject": "account", "start": {"alert": "read", "kind": "breach"}, "limit": "1 day"}
    story = "a 2026-01-10T09:00 reading.collected - account=A1 period=2026-01 method=remote"
    judged = judge(story, "2026-04-10T00:00", loaded=loaded(monthly, report))
    assert judged.outcomes("sorry") == [
        ("breached", "2026-03-03T00:00:00.000"),
        ("breached", "2026-04-03T00:00:00.000"),
    ]


# --- what opens by silence ------------------------------------------------------------------------------------


def engine_with(story: str, *, keep_for: int | None = None, tally: OutcomeCounts | None = None) -> Engine:
    book = rulebook(FEE, SORRY)
    engine = Engine(book, keep_for=keep_for, tally=tally)
    for event in decoded(wire(story)):
        for subject, copy in book.copies_of(event):
            engine.handle(subject, copy)
    return engine


def test_the_engine_wakes_counts_and_keeps_it() -> None:
    tally = OutcomeCounts()
    engine = engine_with(BEGUN, keep_for=HOUR, tally=tally)
    engine.advance_to(us("2026-03-02T09:04"))
    assert open_cases(engine) == {("fee", None): 1}
    assert engine.next_due == us("2026-03-02T09:05")
    engine.advance_to(us("2026-03-02T09:05"))
    assert open_cases(engine) == {("fee", None): 1, ("sorry", None): 1}
    clocks = {clock.place.rule: clock for clock in tally.running["order", "O"]}
    assert clocks["sorry"].started_at == us("2026-03-02T09:05")
    assert clocks["sorry"].deadline == us("2026-03-02T10:05")
    assert engine.next_due == us("2026-03-02T09:35")  # the warning
    book = rulebook(FEE, SORRY)
    for event in decoded(wire(BEGUN + "b +6m counter.service_completed O")):
        for subject, copy in book.copies_of(event):
            engine.handle(subject, copy)
    engine.advance_to(us("2026-03-02T09:06"))
    assert open_cases(engine) == {("sorry", None): 1}
    engine.advance_to(us("2026-03-04T09:00"))
    assert len(engine) == 1, "the apology is open: it is not forgotten"
    for event in decoded(wire("c 2026-03-04T09:00 counter.receipt_issued O")):
        for subject, copy in book.copies_of(event):
            engine.handle(subject, copy)
    engine.advance_to(us("2026-03-04T09:00"))
    assert open_cases(engine) == {}
    engine.advance_to(us("2026-03-04T11:00"))
    assert len(engine) == 0


def test_a_restart_that_reads_only_where_it_stood_goes_on_alike() -> None:
    engine = engine_with(BEGUN, tally=OutcomeCounts())
    subject = ("order", "O")
    for stood_at in ("2026-03-02T09:04", "2026-03-02T09:05", "2026-03-02T09:36"):
        engine.advance_to(us(stood_at))
        standing, snapshot = engine.standing(subject), engine.snapshot(subject)
        assert standing is not None
        assert snapshot is not None
        asleep = Engine(rulebook(FEE, SORRY), tally=OutcomeCounts())
        asleep.watermark = engine.watermark
        asleep.restore_asleep(subject, standing, partial(_given, snapshot))
        assert (open_cases(asleep), asleep.next_due) == (open_cases(engine), engine.next_due)
        alerts = [
            (alert.rule, alert.kind) for at in (us("2026-03-02T09:50"), us(END)) for alert in asleep.advance_to(at)
        ]
        assert (
            alerts
            == {
                "2026-03-02T09:04": [("fee", "breach"), ("sorry", "warning"), ("sorry", "breach")],
                "2026-03-02T09:05": [("sorry", "warning"), ("sorry", "breach")],
                "2026-03-02T09:36": [("sorry", "breach")],
            }[stood_at]
        )


def _given(snapshot: Snapshot) -> Snapshot:
    return snapshot


END = "2026-03-02T10:05"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-02T09:04:59.999", [("fee", "running", "09:05")]),
        ("2026-03-02T09:05", [("fee", "breached", "09:05"), ("sorry", "running", "10:05")]),
        ("2026-03-02T09:06", [("sorry", "running", "10:05")]),
        ("2026-03-02T10:05", [("sorry", "breached", "10:05")]),
        ("2026-03-02T10:10", []),
    ],
)
def test_the_board_lists_it_from_the_breach_on(at: str, expected: list[tuple[str, str, str]]) -> None:
    story = BEGUN + "b +6m counter.service_completed O\nc +70m counter.receipt_issued O"
    for jump in (False, True):
        board = OpenCases(rulebook(FEE, SORRY))
        board.put(0, Snapshot(("order", "O"), tuple(decoded(wire(story))), (), (), us("2026-03-02T08:00")))
        if not jump:
            board.advance(0, us("2026-03-02T09:02"))
        board.advance(0, us(at))
        assert expected == sorted(
            (case.rule, case.outcome, local(case.deadline or 0)[11:16]) for case in board.cases.values()
        )


# --- what may be wrong ----------------------------------------------------------------------------------------

CADENCE = {"kind": "cadence", "id": "fee", "act": "counter.ticket_taken", "every": "1 day"}


@pytest.mark.parametrize(
    ("rules", "keys", "says"),
    [
        ([SORRY], ("start", "alert"), "there is no rule 'fee'; gridclock rules list shows"),
        ([{**FEE, "id": "feee"}, SORRY], ("start", "alert"), "no rule 'fee'; did you mean 'feee'?"),
        ([{**FEE, "subject": "account"}, SORRY], ("subject",), "'fee' has account"),
        ([{**SORRY, "id": "fee"}], ("start", "alert"), "in a circle never start: fee -> fee; let one of them"),
        (
            [{**SORRY, "id": "fee", "start": {"alert": "above", "kind": "breach"}}, SORRY, ABOVE],
            ("start", "alert"), "in a circle never start: fee -> sorry -> above -> fee; let one of them",
        ),
        (
            [{"kind": "at_most", "id": "fee", "act": "counter.ticket_taken"}, SORRY],
            ("start", "alert"), "'fee' is of kind at_most, which is violated and never breached",
        ),
        (
            [FEE, {**SORRY, "effective_to": "2026-01-01"},
             {**SORRY, "version": "2", "effective_from": "2026-01-01", "start": "counter.ticket_taken"}],
            ("start",), "or all follow one rule; use a new id",
        ),
    ],
)  # fmt: skip
def test_what_cannot_follow_is_named(rules: list[dict[str, Any]], keys: tuple[str, ...], says: str) -> None:
    problems = check_follow_ups([rule(one) for one in rules])
    assert problems, "nothing was said"
    assert problems[0].keys == keys
    assert says in problems[0].message


def test_what_can_follow_has_no_mistake() -> None:
    for base in (FEE, CADENCE):
        assert check_follow_ups([rule(one) for one in (base, SORRY, ABOVE)]) == list[Problem]()


@pytest.mark.parametrize(
    ("start", "more", "says"),
    [
        ({"alert": "fee"}, {}, "a start is an event, or all"),
        ({"alert": "fee", "kind": "warning"}, {}, "'breach'"),
        ({"alert": "fee", "kind": "breach", "all": ["counter.ticket_taken"]}, {}, "a start is an event, or all"),
        ({"alert": "fee", "kind": "breach"}, {"facts_from": "counter.ticket_taken"}, "goes without only_while"),
        ({"alert": "fee", "kind": "breach"}, {"only_while": {"since": "counter.ticket_taken"}}, "goes without"),
    ],
)
def test_a_start_that_is_written_wrong_is_refused(start: Any, more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rule({**SORRY, "start": start, **more})


def test_rules_that_follow_none_that_is_judged_are_not_judged() -> None:
    for rules in ([SORRY], [{**FEE, "enabled": False}, SORRY, ABOVE], [{**SORRY, "id": "fee"}]):
        book = rulebook(*rules)
        assert (book.folds, book.watched) == ((), frozenset())


def test_a_start_is_written_as_it_is_read() -> None:
    written = rule(SORRY).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert written["start"] == {"alert": "fee", "kind": "breach"}
    again = rule({**SORRY, "start": written["start"]})
    assert isinstance(again, DeadlineRule)
    assert again.start.all == ()
