"""Merged pauses move a deadline, its later warnings and all sums as those did from which they were made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.calendars import CalendarSpec
from schemas.limits import BusinessTime, Limit, parse_limit
from streams.core.deadlines import Pause, deadline_of, time_counted, warning_instant
from streams.core.kinds import pauses as merging
from streams.core.working_days import WorkingCalendar
from tests.property.stories import BERLIN, FIRST_DAY, SHANGHAI, calendar_of, named_calendars
from tests.property.test_counted_time import FRACTIONS, LIMITS

HOUR = 3_600_000_000
GAPS = (1, 60_000_000, HOUR, 5 * HOUR, 12 * HOUR, 24 * HOUR, 30 * HOUR)


def pauses_of(start: int, gaps: Sequence[int]) -> list[Pause]:
    """Pauses that begin and end so much later each time."""
    instants = list(accumulate(gaps, initial=start))[1:]
    return list(zip(instants[::2], instants[1::2], strict=False))


def counted_by(limit: Limit, zone: str) -> WorkingCalendar:
    found: WorkingCalendar = named_calendars(zone)["office"] if isinstance(limit, BusinessTime) else calendar_of(zone)
    return found


@settings(max_examples=max(20, settings().max_examples // 10))
@pytest.mark.parametrize("spec", [SHANGHAI, BERLIN], ids=["Shanghai", "Berlin"])
@pytest.mark.parametrize("text", [*LIMITS, "9 business hours"])
@given(data=st.data())
def test_merged_pauses_count_as_before(text: str, spec: CalendarSpec, data: st.DataObject) -> None:
    limit = parse_limit(text)
    calendar = counted_by(limit, spec.zone)
    midnight = calendar.start_of_day(FIRST_DAY[spec.zone].toordinal())
    start = midnight + data.draw(st.integers(0, 24)) * HOUR
    gaps = data.draw(st.lists(st.sampled_from(GAPS), max_size=24))
    all_pauses = pauses_of(start, gaps)
    number = data.draw(st.integers(0, len(all_pauses)))
    if number < len(all_pauses) and data.draw(st.booleans()):
        all_pauses[-1] = (all_pauses[-1][0], None)
    known, later = all_pauses[:number], all_pauses[number:]
    cut = known[-1][1] if known else start
    assert cut is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merging, "EACH_END", 1)
        fewer = merging.merged(known, limit, deadline_of(limit, start, known, calendar).at, calendar)
    assert len(fewer) <= len(known)
    found, expected = (
        deadline_of(limit, start, [*fewer, *later], calendar),
        deadline_of(limit, start, all_pauses, calendar),
    )
    assert found == expected
    end = start + 40 * 24 * HOUR
    assert time_counted(limit, start, end, [*fewer, *later], calendar) == time_counted(
        limit, start, end, all_pauses, calendar
    )
    if found.at is None:
        return
    for fraction in FRACTIONS:
        instants = [
            warning_instant(limit, start, pauses, found.at, fraction, calendar)
            for pauses in ([*fewer, *later], all_pauses)
        ]
        assert instants[0] == instants[1] or all(at is not None and at <= cut for at in instants), fraction


def test_a_month_of_short_pauses_is_two_a_day() -> None:
    start = calendar_of(SHANGHAI.zone).start_of_day(FIRST_DAY[SHANGHAI.zone].toordinal())
    pauses = pauses_of(start, [60_000_000] * 2 * 30 * 720)
    assert len(pauses) == 30 * 720
    for text in ("5 min", "30 days", "9 business hours"):
        limit = parse_limit(text)
        fewer = merging.merged(pauses, limit, None, counted_by(limit, SHANGHAI.zone))
        assert len(fewer) <= 2 * 30 + 2 * merging.EACH_END
