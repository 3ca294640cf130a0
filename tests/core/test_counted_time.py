"""What a pause takes out of a limit, and when a warning falls due: rows by hand, in Shanghai."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.calendars import CalendarSpec
from schemas.limits import parse_limit
from streams.core.deadlines import Pause, deadline_of, earliest_of, warning_instant
from streams.core.explanations import duration
from streams.core.faults import local_time
from streams.rulebooks.calendars import build_calendar
from streams.rulebooks.opening_hours import build_calendars
from tests.property.stories import BERLIN, SHANGHAI
from tests.stories import us

CALENDAR = build_calendar(SHANGHAI)


def pauses_of(text: str) -> list[Pause]:
    """``2026-03-03T10:00/2026-03-05T09:00 ...``; without an end while it is open."""
    found: list[Pause] = []
    for one in text.split():
        since, _, until = one.partition("/")
        found.append((us(since), us(until) if until else None))
    return found


@pytest.mark.parametrize("pauses", ["", "2025-12-29T10:00/2025-12-29T11:00"])
@pytest.mark.parametrize(
    ("known", "start", "limit", "is_provisional"),
    [
        # Counted are 29, 30 and 31 December, and 1 and 2 January.
        ([2026], "2025-12-26T09:00", "5 working days", True),
        ([2025], "2025-12-26T09:00", "5 working days", True),
        ([2025, 2026], "2025-12-26T09:00", "5 working days", False),
        ([2026], "2025-12-31T09:00", "5 working days", False),
        ([2025], "2025-12-26T09:00", "3 working days", False),
        ([2025, 2028], "2025-12-26T09:00", "600 working days", True),
        ([2025, 2026, 2027, 2028], "2025-12-26T09:00", "600 working days", False),
        ([2026], "2025-12-31T09:00", "7 business hours", True),
        ([2025], "2025-12-31T09:00", "7 business hours", False),
        ([2026], "2025-12-31T09:00", "9 business hours", True),
        ([2025, 2026], "2025-12-31T09:00", "9 business hours", False),
    ],
)
def test_any_day_counted_in_a_year_that_is_not_known_makes_a_deadline_provisional(
    known: list[int], start: str, limit: str, is_provisional: bool, pauses: str
) -> None:
    hours = {"office": {"week": {"mon-fri": ["08:00-17:00"]}}}
    spec = CalendarSpec.model_validate({"source": "none", "known_years": known, "calendars": hours})
    calendar = build_calendars(spec)["office"]
    parsed, began = parse_limit(limit), us(start)
    own = [one for one in pauses_of(pauses) if one[0] > began]
    assert deadline_of(parsed, began, own, calendar).provisional == is_provisional
    assert earliest_of(parsed, began, calendar).provisional == is_provisional


@pytest.mark.parametrize(
    ("limit", "start", "pauses", "deadline"),
    [
        ("1 natural month", "2026-03-02T09:00", "", "2026-04-03T00:00"),
        # paused and not resumed: there is no deadline
        ("1 natural month", "2026-03-02T09:00", "2026-03-02T10:00/", None),
        ("1 billing cycle", "2026-03-02T09:00", "2026-03-02T10:00/", None),
        ("7 days", "2026-03-02T09:00", "2026-03-02T10:00/", None),
        ("same working day", "2026-03-02T09:00", "2026-03-02T10:00/", None),
        # it moves by the whole local days: the 4th and 5th; parts of a day are none
        ("1 natural month", "2026-03-02T09:00", "2026-03-03T10:00/2026-03-06T09:00", "2026-04-05T00:00"),
        ("1 billing cycle", "2026-03-02T09:00", "2026-03-03T10:00/2026-03-06T09:00", "2026-04-05T00:00"),
        ("1 natural month", "2026-03-02T09:00", "2026-03-03T10:00/2026-03-04T23:59", "2026-04-03T00:00"),
        ("1 natural month", "2026-03-02T09:00", "2026-03-04T00:00/2026-03-05T00:00", "2026-04-04T00:00"),
        # never at a midnight at which the clock stands still: the next one at which it runs
        ("1 natural month", "2026-03-02T09:00", "2026-04-02T20:00/2026-04-03T08:00", "2026-04-04T00:00"),
        ("2 days", "2026-03-02T09:00", "2026-03-04T20:00/2026-03-06T08:00", "2026-03-07T00:00"),
        ("same working day", "2026-03-02T09:00", "2026-03-02T20:00/2026-03-03T08:00", "2026-03-04T00:00"),
        ("same working day", "2026-03-06T09:00", "2026-03-06T20:00/2026-03-07T08:00", "2026-03-10T00:00"),
        # resumed at the very midnight: it runs, and ends there
        ("2 days", "2026-03-02T09:00", "2026-03-04T20:00/2026-03-05T00:00", "2026-03-05T00:00"),
    ],
)
def test_a_pause_moves_a_day_limit_by_whole_days(limit: str, start: str, pauses: str, deadline: str | None) -> None:
    found = deadline_of(parse_limit(limit), us(start), pauses_of(pauses), CALENDAR).at
    assert found == (None if deadline is None else us(deadline))


@pytest.mark.parametrize("limit", ["600 natural months", "18300 days", "13050 working days", "600 billing cycles"])
def test_the_longest_limits_are_computed(limit: str) -> None:
    start = us("2026-03-02T09:00")
    plain = deadline_of(parse_limit(limit), start, (), CALENDAR).at
    moved = deadline_of(parse_limit(limit), start, pauses_of("2026-03-03T00:00/2027-03-03T00:00"), CALENDAR).at
    assert plain is not None
    assert moved is not None
    assert moved > plain > us("2074-01-01T00:00")


@pytest.mark.parametrize(
    ("limit", "start", "pauses", "fraction", "warned"),
    [
        # 0.8 of 5 working days are four: told when the fourth has run, whatever the time of the start
        ("5 working days", "2026-03-09T09:00", "", 0.8, "2026-03-14T00:00"),
        # 0.8 of 3 are 2.4: the third day's 9:36
        ("3 working days", "2026-03-09T09:00", "", 0.8, "2026-03-12T09:36"),
        ("3 working days", "2026-03-05T09:00", "", 0.8, "2026-03-10T09:36"),
        # a counted day runs 24 h, even if part of it was paused; a day paused whole does not run
        ("3 working days", "2026-03-09T09:00", "2026-03-10T09:00/2026-03-10T18:00", 0.8, "2026-03-12T09:36"),
        ("3 working days", "2026-03-09T09:00", "2026-03-09T18:00/2026-03-11T09:00", 0.8, "2026-03-13T09:36"),
        # a point in a standstill is told at the resume
        ("3 working days", "2026-03-09T09:00", "2026-03-12T08:00/2026-03-12T15:00", 0.8, "2026-03-12T15:00"),
        ("3 working days", "2026-03-09T09:00", "2026-03-12T09:36/2026-03-12T15:00", 0.8, "2026-03-12T15:00"),
        ("10 h", "2026-03-09T09:00", "2026-03-09T17:00/2026-03-09T20:00", 0.8, "2026-03-09T20:00"),
        ("10 h", "2026-03-09T09:00", "2026-03-09T16:00/2026-03-09T20:00", 0.8, "2026-03-09T21:00"),
        ("1 natural month", "2026-03-01T00:00", "", 0.5, "2026-03-17T12:00"),
        ("same working day", "2026-03-09T14:00", "", 0.8, "2026-03-09T22:00"),
        ("same working day", "2026-03-07T14:00", "", 0.5, "2026-03-09T12:00"),
    ],
)
def test_a_warning_is_a_fraction_of_counted_time(
    limit: str, start: str, pauses: str, fraction: float, warned: str
) -> None:
    parsed, begun, paused = parse_limit(limit), us(start), pauses_of(pauses)
    deadline = deadline_of(parsed, begun, paused, CALENDAR).at
    assert deadline is not None
    assert warning_instant(parsed, begun, paused, deadline, fraction, CALENDAR) == us(warned)


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        ("2026-10-25T01:59:59.999999+02:00", "2026-10-25 01:59:59.999999"),
        ("2026-10-25T02:00:00+02:00", "2026-10-25 02:00:00 +02:00"),
        ("2026-10-25T02:59:59.999999+02:00", "2026-10-25 02:59:59.999999 +02:00"),
        ("2026-10-25T02:00:00+01:00", "2026-10-25 02:00:00 +01:00"),
        ("2026-10-25T02:59:59.999+01:00", "2026-10-25 02:59:59.999 +01:00"),
        ("2026-10-25T03:00:00+01:00", "2026-10-25 03:00:00"),
        ("2026-03-29T03:00:00+02:00", "2026-03-29 03:00:00"),  # an hour left out occurs once
    ],
)
def test_a_local_time_that_occurs_twice_has_its_offset(instant: str, shown: str) -> None:
    assert local_time(us(instant), build_calendar(BERLIN)) == shown


@pytest.mark.whole
def test_a_year_of_changes_has_two_hours_that_occur_twice() -> None:
    """Every minute of 2026 in Berlin against the definition: another instant shows the same local time."""
    berlin = build_calendar(BERLIN)
    minute = 60_000_000
    instants = range(us("2026-01-01T00:00+01:00"), us("2027-01-01T00:00+01:00"), minute)
    shown = Counter(berlin.local_text(at)[:19] for at in instants)
    assert [at for at in instants if berlin.occurs_twice(at) != (shown[berlin.local_text(at)[:19]] > 1)] == []
    assert sum(map(berlin.occurs_twice, instants)) == 120
    assert not any(map(CALENDAR.occurs_twice, instants))


@pytest.mark.parametrize(
    ("length", "shown"),
    [(1, "1 µs"), (999, "999 µs"), (1000, "1 ms"), (999_999, "999 ms"), (1_000_000, "1 s"), (0, "0 s")],
)
def test_no_length_of_time_is_rounded_up(length: int, shown: str) -> None:
    assert duration(length)[1] == shown
