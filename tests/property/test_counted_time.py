"""Deadlines and warnings of every limit against the oracle's: any start, any standstills, two zones."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendars import CalendarSpec
from schemas.limits import Limit, parse_limit
from streams.core.deadlines import deadline_of, part_of, warning_instant
from streams.rulebooks.calendars import build_calendar
from tests.oracle.deadline import Standstill, runs_out, warned_at
from tests.property.runs import moment, us
from tests.property.stories import BERLIN, SHANGHAI, instants_of

LIMITS = (
    "5 min",
    "30 h",
    "1 day",
    "3 days",
    "1 working day",
    "4 working days",
    "1 natural month",
    "1 billing cycle",
    "same working day",
)
FRACTIONS = (0.1, 1 / 3, 0.5, 0.8, 0.9, 0.999)


def standstills_of(instants: list[datetime], *, ends: bool) -> list[Standstill]:
    """Pairs of instants in order; the last may have no end."""
    found: list[Standstill] = []
    for since, until in zip(instants[::2], instants[1::2], strict=False):
        if found and found[-1][1] == since:
            since = found.pop()[0]
        if since < until:
            found.append((since, until))
    if found and not ends:
        found[-1] = (found[-1][0], None)
    return found


@pytest.mark.parametrize("calendar", [SHANGHAI, BERLIN], ids=["Shanghai", "Berlin"])
@pytest.mark.parametrize("text", LIMITS)
@given(data=st.data())
def test_deadlines_and_warnings_are_the_oracles(text: str, calendar: CalendarSpec, data: st.DataObject) -> None:
    limit: Limit = parse_limit(text)
    instants = instants_of(calendar.zone)
    at = st.sampled_from(instants)
    start = data.draw(at)
    later = sorted(one for one in data.draw(st.lists(at, max_size=6)) if one >= start)
    still = standstills_of(later, ends=data.draw(st.booleans()))
    working = build_calendar(calendar)
    pauses = [(us(since), None if until is None else us(until)) for since, until in still]
    deadline = deadline_of(limit, us(start), pauses, working).at
    assert (None if deadline is None else moment(deadline)) == runs_out(limit, start, still, calendar)
    if deadline is None:
        return
    for fraction in FRACTIONS:
        found = warning_instant(limit, us(start), pauses, deadline, fraction, working)
        expected = warned_at(limit, start, still, moment(deadline), Fraction(str(fraction)), calendar)
        assert (None if found is None else moment(found)) == expected, fraction


@given(st.integers(-(2**62), 2**62), st.sampled_from(FRACTIONS) | st.floats(0, 1))
def test_a_part_of_a_length_is_that_of_the_fraction_as_it_is_written(length: int, fraction: float) -> None:
    assert part_of(length, fraction) == int(length * Fraction(str(fraction)))
