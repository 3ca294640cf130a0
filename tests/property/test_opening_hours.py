"""Drawn opening hours against the oracle, quarter by quarter: when a limit is used up, what has run."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendars import CalendarSpec
from schemas.opening_hours import OpeningHoursSpec
from streams.core import opening_hours
from streams.core.opening_hours import OpeningHours
from streams.rulebooks.calendars import build_calendar
from streams.rulebooks.opening_hours import spans_of
from tests.oracle.deadline import Standstill
from tests.oracle.opening_hours import QUARTER, open_quarters, used_up
from tests.property.runs import moment, us
from tests.property.test_counted_time import standstills_of

# Five days around a change of clocks, with a holiday, a make-up Saturday and a recurring holiday near it.
BEGINS = {
    "Asia/Shanghai": datetime(2026, 10, 8),  # noqa: DTZ001
    "Europe/Berlin": datetime(2026, 10, 23),  # noqa: DTZ001
    "America/New_York": datetime(2026, 3, 6),  # noqa: DTZ001
    "Australia/Lord_Howe": datetime(2026, 4, 3),  # noqa: DTZ001 (a change of half an hour)
}
DAYS = 5
CLOCKS = ["00:00", "01:30", "02:00", "02:15", "02:30", "03:00", "08:30", "12:00", "13:30", "17:30", "22:00", "24:00"]


@st.composite
def hours_of_day(draw: st.DrawFn) -> Any:
    chosen = sorted(draw(st.lists(st.sampled_from(CLOCKS), max_size=4, unique=True)))
    spans = [f"{begins}-{ends}" for begins, ends in zip(chosen[::2], chosen[1::2], strict=False)]
    if draw(st.booleans()) and (not chosen or chosen[-1] < "22:00"):
        spans.append("22:00-02:15")  # crosses midnight
    return spans or "closed"


@st.composite
def hours(draw: st.DrawFn, zone: str) -> dict[str, Any]:
    dates = [f"{BEGINS[zone] + timedelta(days=n):%Y-%m-%d}" for n in range(-1, DAYS)]
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    week = {day: draw(hours_of_day()) for day in draw(st.lists(st.sampled_from(days), unique=True))}
    found = {
        "base": "none",
        "week": {**week, "sun": ["00:00-24:00"]},
        "recurring": [day[5:] for day in draw(st.lists(st.sampled_from(dates), max_size=1))],
        "days": {day: draw(hours_of_day()) for day in draw(st.lists(st.sampled_from(dates), max_size=2, unique=True))},
    }
    return found | ({"makeup": draw(hours_of_day())} if draw(st.booleans()) else {})


@lru_cache(maxsize=8)
def quarters_of(zone: str) -> tuple[datetime, ...]:
    begins = BEGINS[zone].replace(tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))
    return tuple(begins + n * QUARTER for n in range(DAYS * 24 * 4))


@pytest.mark.parametrize("zone", BEGINS)
@given(data=st.data())
def test_open_time_is_the_oracles(zone: str, data: st.DataObject) -> None:
    written = data.draw(hours(zone))
    dates = [f"{BEGINS[zone] + timedelta(days=n):%Y-%m-%d}" for n in range(DAYS)]
    holiday, makeup = data.draw(st.sampled_from([(dates[1], dates[2]), (dates[3], dates[1])]))
    calendar = CalendarSpec.model_validate(
        {"source": "none", "zone": zone, "holidays": [holiday], "working_days": [makeup]}
    )
    days = build_calendar(calendar)
    with pytest.MonkeyPatch.context() as patched:  # a table of sixty days is enough here
        middle = BEGINS[zone].toordinal()
        patched.setattr(opening_hours, "FIRST_DAY", middle - 30)
        patched.setattr(opening_hours, "LAST_DAY", middle + 30)
        special = {day.ordinal: day.is_working for day in days.special_days}
        table = OpeningHours(days, spans_of(OpeningHoursSpec.model_validate(written), special))
    quarters = quarters_of(zone)
    open_at = open_quarters(quarters, written, zone, [holiday], [makeup])
    at = st.sampled_from(quarters)
    start = data.draw(at)
    later = sorted(one for one in data.draw(st.lists(at, max_size=4)) if one >= start)
    still: list[Standstill] = standstills_of(later, ends=data.draw(st.booleans()))
    pauses = [(us(since), None if until is None else us(until)) for since, until in still]
    wanted = data.draw(st.integers(min_value=1, max_value=120))
    expected = used_up(wanted, start, still, open_at)
    found = table.used_up(wanted * 900_000_000, us(start), pauses)
    if expected is None:  # never, or after the oracle's five days
        assert found is None or found > us(quarters[-1] + QUARTER)
    else:
        assert found is not None
        assert moment(found) == expected
    end = data.draw(at)
    if end >= start:
        running = [
            quarter
            for quarter in quarters
            if start <= quarter < end
            and open_at[quarter]
            and not any(since <= quarter and (until is None or quarter < until) for since, until in still)
        ]
        assert table.open_time(us(start), us(end), pauses) == len(running) * 900_000_000
