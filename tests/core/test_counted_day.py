"""The day on which a case counts, at midnight: by the definition, and the same on the board, in trends and in rows."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from streams.board.messages import alert_from_bytes
from streams.core.board import Board
from streams.core.counted_day import counted_at
from streams.core.filters import Filter
from streams.core.open_cases import OpenCases
from streams.core.trends import Days, DecidedCases, Figures
from streams.sink.rows import row_of
from streams.wire.cloudevents import CloudEvents, encode
from tests.stories import judge, shipped, us

CALENDAR = shipped().rulebook.calendar
MIDNIGHT = "2026-03-07T00:00"
# Fees are due after five minutes; what is accepted on a working day is entered by 24:00 of it.
STORY = """
    a 2026-03-06T23:55 counter.service_started BREACHED business=fee
    b 2026-03-06T23:55 counter.service_started LATE business=fee
    c 2026-03-07T00:00:00.001 counter.service_completed LATE business=fee
    d 2026-03-06T23:55 counter.service_started JUST_MET business=fee
    e 2026-03-07T00:00 counter.service_completed JUST_MET business=fee
    f 2026-03-06T16:00 application.accepted RECORDED_LATE recorded=2026-03-07T00:00:00.001
    g 2026-03-06T23:55:00.001 counter.service_started NEXT_DAY business=fee
    h 2026-03-06T23:56 counter.service_started MET_NEXT_DAY business=fee
    i 2026-03-07T00:00 counter.service_completed MET_NEXT_DAY business=fee
"""
RULES = ("fee-5-minutes", "acceptance-recorded-late")
DAYS = {"BREACHED": 6, "LATE": 6, "JUST_MET": 6, "RECORDED_LATE": 6, "NEXT_DAY": 7, "MET_NEXT_DAY": 7}
FIGURES = {6: Figures(4, 1, 2, 1, 1), 7: Figures(2, 1, 1, 0, 0)}
JUDGED = judge("\n".join(line.strip() for line in STORY.strip().splitlines()), "2026-03-07T10:00")
CASES = [case for case in JUDGED.cases if case.verdict.rule.id in RULES]


def march(day: int) -> int:
    return date(2026, 3, day).toordinal()


def rows() -> list[dict[str, Any]]:
    writer = CloudEvents(CALENDAR)
    return [row_of("cases", encode(writer.case(case, us(MIDNIGHT)))) for case in CASES]


@pytest.mark.parametrize(
    ("outcome", "deadline", "stopped", "counted"),
    [
        ("breached", MIDNIGHT, None, "2026-03-06T23:59:59.999999"),
        ("met_late", MIDNIGHT, "2026-03-08T00:00", "2026-03-06T23:59:59.999999"),
        ("met", MIDNIGHT, MIDNIGHT, "2026-03-06T23:59:59.999999"),
        ("met", "2026-03-07T00:00:00.001", MIDNIGHT, MIDNIGHT),
        ("met", None, MIDNIGHT, MIDNIGHT),
        ("violated", None, None, "2026-03-06T00:00"),
        ("running", MIDNIGHT, None, None),
        ("cancelled", MIDNIGHT, "2026-03-06T09:00", None),
    ],
)
def test_a_limit_that_ends_at_midnight_is_of_the_day_that_ends(
    outcome: str, deadline: str | None, stopped: str | None, counted: str | None
) -> None:
    instants = [None if text is None else us(text) for text in (deadline, stopped)]
    assert counted_at(outcome, us("2026-03-06T00:00"), *instants) == (None if counted is None else us(counted))


def test_trends_and_the_rows_of_the_sink_count_it_on_that_day() -> None:
    assert {case.verdict.anchor.order_id for case in CASES} == set(DAYS)
    assert {row["order_id"]: row["decided_on"] for row in rows()} == {
        order: f"2026-03-0{day}" for order, day in DAYS.items()
    }
    decided = DecidedCases(CALENDAR, keep_for=us("2026-03-31T00:00") - us("2026-03-01T00:00"))
    for case in CASES:
        decided.take(case.subject, [case.verdict])
    found = decided.trends(Filter(), Days(march(1), march(9)), us("2026-03-07T10:00"))
    assert found.days == {march(day): figures for day, figures in FIGURES.items()}


@pytest.mark.parametrize("day", [6, 7])
def test_the_board_counts_it_as_due_on_that_day(day: int) -> None:
    board, writer = Board(OpenCases(shipped().rulebook), CALENDAR), CloudEvents(CALENDAR)
    for alert in JUDGED.alerts:
        if alert.rule in RULES:
            board.take_alert(alert_from_bytes(encode(writer.alert(alert))))
    counts = board.view(Filter(), us(f"2026-03-0{day}T23:59:59")).counts
    expected = FIGURES[day]
    names = ("breaches", "violations", "red_lines")
    assert [counts[f"{name}_due_today"] for name in names] == [getattr(expected, name) for name in names]
