"""When a limit runs out: (limit, start, pauses, calendar) -> instant.

Theory of operation. Elapsed limits live on instants: the deadline is the start plus the limit plus every pause
that began before the deadline so far. Day limits live on local dates and become an instant last: days are
counted from the day after the start (working days: from the next working day), and the limit ends at 24:00 of
the last one, which is the first instant of the following day.

Pauses and days (CLOCKS.md, edge decision 7): a day on which the clock stood still from 0:00 to 24:00 is left out. A
count never completes at a midnight at which the clock stands still: the limit then ends at the first later 24:00 of a
counted day at which it runs. Otherwise a clock paused on the afternoon of its last day would run out at the moment of
its resume.

While a pause that began before the deadline is open (no resume yet), there is no deadline.

Example: 5 working days from Friday 2026-09-25 16:00. The Mid-Autumn holiday and the weekend do not count, 28,
29 and 30 September do, 1 to 7 October do not, 8 and 9 October do: the deadline is 2026-10-10 00:00 local.
"""

from __future__ import annotations

import calendar as gregorian
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import assert_never

import msgspec

from schemas.fields import time_in
from schemas.limits import (
    DAY,
    BillingCycles,
    BusinessTime,
    CalendarDays,
    Elapsed,
    Limit,
    NaturalMonths,
    SameWorkingDay,
    UntilDate,
    UntilInstant,
    WorkingDays,
)
from streams.core.instants import instant_us
from streams.core.opening_hours import OpeningHours
from streams.core.working_days import WorkingCalendar

DayLimit = WorkingDays | CalendarDays | NaturalMonths | BillingCycles
"""Limits that count whole local days after the start's."""

Pause = tuple[int, int | None]
"""From (inclusive) and to (exclusive), instants; ``None`` while the pause is open."""

# A count of so many days is an error in the data (a pause of years), not a deadline.
MAX_DAYS = 20_000

# A date outside these years is an error in the data, and its instant could not be written.
_FIRST_YEAR, _LAST_YEAR = 1900, 2999


class Deadline(msgspec.Struct):
    """When the limit runs out, or ``None`` while the clock stands still. Treated as immutable.

    ``provisional`` is true where a counted day lies in a year whose holidays are not announced.
    """

    at: int | None
    provisional: bool = False


@dataclass(slots=True)
class DayCount:
    """The arithmetic of a day limit, as local date ordinals, for the explanation."""

    counted: list[int]
    days_off: list[int]
    paused: list[int]


def deadline_of(
    limit: Limit,
    start: int,
    pauses: Sequence[Pause],
    calendar: WorkingCalendar,
    *,
    until: int | None = None,
    trace: DayCount | None = None,
) -> Deadline:
    """The instant at which ``limit`` from ``start`` runs out; a stop at that instant is on time.

    ``pauses`` are in order of time and do not overlap. ``until`` is the instant of an ``UntilDate`` (see
    ``agreed_until``; pauses do not move what was agreed). ``trace`` receives the days counted.
    """
    # The usual types first, by exact type: `isinstance` is slow for classes of models.
    if type(limit) is Elapsed:
        return Deadline(_elapsed(limit.microseconds, start, pauses) if pauses else start + limit.microseconds)
    if not pauses and (type(limit) is WorkingDays or (type(limit) is CalendarDays and limit.days <= MAX_DAYS)):
        first = calendar.local_date(start)
        working = type(limit) is WorkingDays
        last = calendar.add_working_days(first, limit.days) if working else first + limit.days
        if trace is not None:
            for day in range(first + 1, last + 1):
                (trace.days_off if working and not calendar.is_working_day(day) else trace.counted).append(day)
        return Deadline(calendar.start_of_day(last + 1), working and calendar.has_provisional(first + 1, last))
    first = calendar.local_date(start)
    match limit:
        case Elapsed():
            return Deadline(_elapsed(limit.microseconds, start, pauses))
        case BusinessTime():
            at = hours_of(calendar).used_up(limit.microseconds, start, pauses)
            return Deadline(at, at is not None and calendar.has_provisional(first, calendar.local_date(at - 1)))
        case UntilDate():
            return Deadline(until)
        case SameWorkingDay():
            return _same_working_day(first, pauses, calendar)
        case WorkingDays():
            return _days(limit.days, first, pauses, calendar, working=True, trace=trace)
        case CalendarDays() | NaturalMonths() | BillingCycles():
            return _days(days_in(limit, first), first, pauses, calendar, working=False, trace=trace)
        case _:
            assert_never(limit)


def days_in(limit: DayLimit, first: int) -> int:
    """The number of counted days of a day limit from the local date ``first``; months differ in length."""
    match limit:
        case WorkingDays() | CalendarDays():
            return limit.days
        case NaturalMonths():
            return _later_month(first, limit.months) - first
        case BillingCycles():
            return _later_month(first, limit.cycles) - first
        case _:
            assert_never(limit)


def _elapsed(length: int, start: int, pauses: Sequence[Pause]) -> int | None:
    deadline = start + length
    for since, until in pauses:
        if since >= deadline:
            break
        if until is None:
            return None
        deadline += until - max(since, start)
    return deadline


def _same_working_day(first: int, pauses: Sequence[Pause], calendar: WorkingCalendar) -> Deadline:
    """24:00 of the first working day (the start's own included) at whose end the clock runs."""
    day = first - 1
    provisional = False
    for _ in range(MAX_DAYS):
        day = calendar.next_working_day(day)
        provisional = provisional or calendar.is_provisional(day)
        ends = calendar.start_of_day(day + 1)
        if not _stands_still_at(ends, pauses):
            return Deadline(ends, provisional)
        if pauses[-1][1] is None and pauses[-1][0] <= ends:
            break
    return Deadline(None, provisional)


def _stands_still_at(midnight: int, pauses: Sequence[Pause]) -> bool:
    """Whether the clock stands still just before and just after an instant."""
    return any(since < midnight and (until is None or until > midnight) for since, until in pauses)


def _days(
    days: int,
    first: int,
    pauses: Sequence[Pause],
    calendar: WorkingCalendar,
    *,
    working: bool,
    trace: DayCount | None,
) -> Deadline:
    """24:00 of the day on which ``days`` have been counted after ``first``, or of the first later one that runs.

    A day on which the clock stood still from midnight to midnight is not counted.
    """
    counted = 0
    day = first
    provisional = False
    if not pauses and not working and trace is None:
        return Deadline(calendar.start_of_day(first + days + 1))
    ends = calendar.start_of_day(day + 1)
    for _ in range(MAX_DAYS):
        day += 1
        begins, ends = ends, calendar.start_of_day(day + 1)
        if working:
            provisional = provisional or calendar.is_provisional(day)
        if working and not calendar.is_working_day(day):
            if trace is not None:
                trace.days_off.append(day)
            continue
        if _is_paused_all_day(begins, ends, pauses):
            if trace is not None:
                trace.paused.append(day)
            if pauses[-1][1] is None and pauses[-1][0] <= begins:
                return Deadline(None, provisional)
            continue
        counted += 1
        if trace is not None:
            trace.counted.append(day)
        if counted >= days and not _stands_still_at(ends, pauses):
            return Deadline(ends, provisional)
    return Deadline(None, provisional)


def _is_paused_all_day(begins: int, ends: int, pauses: Sequence[Pause]) -> bool:
    for since, until in pauses:  # noqa: SIM110 (a generator would cost more than it looks at)
        if since <= begins and (until is None or until >= ends):
            return True
    return False


def earliest_of(
    limit: Limit, start: int, calendar: WorkingCalendar, *, reading_day: int | None = None, agreed: object = None
) -> Deadline:
    """The first instant at which ``limit`` has passed since ``start``: the earliest lawful instant of an act.

    Minutes and hours: that much later, or so much open time later. Days: 0:00 local of date D + N, D the local date of
    the start (notice on the 1st, 7 days: the 8th). Months: 0:00 of the same day of the month. A billing cycle: 0:00 of
    the next-but-one reading day after the start where ``reading_day`` is known, else as a month. Until a field: the
    instant, or 0:00 of the date, that the field gives (``agreed``); ``None`` where it gives none.

    Raises:
        ValueError: for a limit that is not a length of time.
    """
    day = calendar.local_date(start)
    match limit:
        case Elapsed():
            return Deadline(start + limit.microseconds)
        case BusinessTime():
            return deadline_of(limit, start, (), calendar)
        case CalendarDays():
            return Deadline(calendar.start_of_day(day + limit.days))
        case WorkingDays():
            last = calendar.add_working_days(day, limit.days)
            return Deadline(calendar.start_of_day(last), calendar.has_provisional(day + 1, last))
        case NaturalMonths():
            return Deadline(calendar.start_of_day(_later_month(day, limit.months)))
        case BillingCycles():
            if reading_day is None:
                return Deadline(calendar.start_of_day(_later_month(day, limit.cycles)))
            return Deadline(calendar.start_of_day(_reading_day_after(day, reading_day, limit.cycles + 1)))
        case UntilDate():
            named = date_in_field(agreed)
            return Deadline(_instant_in_field(agreed) if named is None else calendar.start_of_day(named))
        case _:
            raise ValueError(f"{limit.text!r} is no length of time that an act could wait for")


def latest_of(limit: Limit, start: int, calendar: WorkingCalendar, *, agreed: object = None) -> int | None:
    """The last instant within ``limit`` of ``start`` (inclusive); days: the last microsecond of date D + N.

    Until a field: the instant, or the last microsecond of the date, that the field gives; ``None`` where
    ``agreed_until`` gives none.
    """
    until: int | None = None
    if isinstance(limit, UntilDate):
        limit, until = agreed_until(limit, agreed, start, calendar)
    found = deadline_of(limit, start, (), calendar, until=until).at
    return found if found is None or isinstance(limit, Elapsed | BusinessTime | UntilInstant) else found - 1


def _later_month(day: int, months: int) -> int:
    """The same day of a later month, or the last day of that month."""
    first = date.fromordinal(day)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return _day_of_month(year, month + 1, first.day)


def _day_of_month(year: int, month: int, day: int) -> int:
    return date(year, month, min(day, gregorian.monthrange(year, month)[1])).toordinal()


def _reading_day_after(day: int, reading_day: int, count: int) -> int:
    """The ``count``-th reading day after a date."""
    first = date.fromordinal(day)
    index = first.year * 12 + first.month - 1
    if _day_of_month(first.year, first.month, reading_day) > day:
        index -= 1
    year, month = divmod(index + count, 12)
    return _day_of_month(year, month + 1, reading_day)


def hours_of(calendar: WorkingCalendar) -> OpeningHours:
    """The opening hours by which a ``BusinessTime`` is counted; the calendar of such a rule always has them."""
    assert calendar.hours is not None
    return calendar.hours


def time_counted(
    limit: Limit | None, start: int, end: int, pauses: Sequence[Pause], calendar: WorkingCalendar
) -> tuple[int, int]:
    """``(running, paused)`` between two instants, in microseconds: for a ``BusinessTime`` only open time counts."""
    if type(limit) is not BusinessTime:
        return running_time(start, end, pauses) if pauses else (end - start, 0)
    hours = hours_of(calendar)
    running = hours.open_time(start, end, pauses)
    return running, hours.open_time(start, end) - running


def running_time(start: int, end: int, pauses: Sequence[Pause]) -> tuple[int, int]:
    """``(running, paused)`` between two instants, in microseconds."""
    paused = 0
    for since, until in pauses:
        low, high = max(since, start), end if until is None else min(until, end)
        paused += max(0, high - low)
    return end - start - paused, paused


def warning_instant(
    limit: Limit, start: int, pauses: Sequence[Pause], deadline: int, fraction: float, calendar: WorkingCalendar
) -> int | None:
    """When ``fraction`` of the limit is used up in counted time; ``None`` where an open pause begins before that.

    Minutes and hours count while the clock runs. Of a day limit only the counted days run, each as 24 h even where part
    of it was paused: 0.8 of 32 working days are 25.6, used up at 14:24 of the 26th. Of an agreed date, or of the same
    working day, the time from the start to the deadline counts, on the deadline's own day where that is later. An
    instant at which the clock stands still is moved to the resume.
    """
    at: int | None
    if type(limit) is WorkingDays:  # the usual types first, see ``deadline_of``
        return _after_standstill(_used_up(fraction, limit, start, pauses, calendar), pauses)
    match limit:
        case Elapsed():
            at = _elapsed(part_of(limit.microseconds, fraction), start, pauses)
        case WorkingDays() | CalendarDays() | NaturalMonths() | BillingCycles():
            at = _used_up(fraction, limit, start, pauses, calendar)
        case BusinessTime():
            at = hours_of(calendar).used_up(part_of(limit.microseconds, fraction), start, pauses)
        case UntilDate():
            at = start + part_of(deadline - start, fraction)
        case SameWorkingDay():
            begins = max(start, calendar.start_of_day(calendar.local_date(deadline - 1)))
            at = begins + part_of(deadline - begins, fraction)
        case _:
            assert_never(limit)
    return _after_standstill(at, pauses)


@lru_cache(maxsize=1024)
def _exact(fraction: float) -> tuple[int, int]:
    """Numerator and denominator of a fraction as it is written: 0.8 is 4/5, which no binary number is."""
    return Fraction(str(fraction)).as_integer_ratio()


def part_of(length: int, fraction: float) -> int:
    """A fraction of a length of time, in whole microseconds, rounded towards zero."""
    part, whole = _exact(fraction)
    return length * part // whole if length >= 0 else -(-length * part // whole)


def _used_up(
    fraction: float, limit: DayLimit, start: int, pauses: Sequence[Pause], calendar: WorkingCalendar
) -> int | None:
    first = calendar.local_date(start)
    part, whole = _exact(fraction)
    number, rest = divmod(days_in(limit, first) * part, whole)
    number += 1 if rest else 0
    if number == 0:
        return start
    day = _counted_day(number, first, pauses, calendar, working=type(limit) is WorkingDays)
    if day is None:
        return None
    begins, ends = calendar.start_of_day(day), calendar.start_of_day(day + 1)
    return min(begins + rest * DAY // whole, ends) if rest else ends


def _counted_day(
    number: int, first: int, pauses: Sequence[Pause], calendar: WorkingCalendar, *, working: bool
) -> int | None:
    """The ``number``-th day counted after a local date; ``None`` where an open pause comes before it."""
    if not pauses:
        return calendar.add_working_days(first, number) if working else first + number
    day = first
    while number:
        day = calendar.next_working_day(day) if working else day + 1
        begins, ends = calendar.start_of_day(day), calendar.start_of_day(day + 1)
        if not _is_paused_all_day(begins, ends, pauses):
            number -= 1
        elif pauses[-1][1] is None and pauses[-1][0] <= begins:
            return None
    return day


def _after_standstill(at: int | None, pauses: Sequence[Pause]) -> int | None:
    if at is None:
        return None
    for since, until in pauses:
        if since <= at and (until is None or at < until):
            return until
    return at


def agreed_until(
    limit: UntilDate, value: object, start: int, calendar: WorkingCalendar
) -> tuple[UntilDate, int | None]:
    """The limit as its field's value defines it (a date or a time), and the instant at which it ends.

    ``None`` where the value is neither, or was already past at ``start``, when it was agreed: it could not be met.
    """
    day = date_in_field(value)
    if day is not None:
        return limit, None if day < calendar.local_date(start) else calendar.start_of_day(day + 1)
    at = _instant_in_field(value)
    if at is None:
        return limit, None
    return UntilInstant(field=limit.field, text=limit.text), at if start <= at else None


def _instant_in_field(value: object) -> int | None:
    """The instant of a time in an event's field; ``None`` where there is none within the years allowed."""
    agreed = time_in(value)
    return None if agreed is None or not _FIRST_YEAR <= agreed.year <= _LAST_YEAR else instant_us(agreed)


def date_in_field(value: object) -> int | None:
    """The date ordinal of an ISO date in an event's field; ``None`` where there is no such date.

    Dates such as 9999-12-31 and 0001-01-01 mean "never" and "not known" in business data.
    """
    if not isinstance(value, str):
        return None
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return None
    return found.toordinal() if _FIRST_YEAR <= found.year <= _LAST_YEAR else None
