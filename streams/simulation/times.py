"""The simulator's own arithmetic of limits: by the definitions, day by day, independent of the engine.

Times are datetimes at +08:00. Working days come from the package ``holidays``; the engine uses another package.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from typing import Final

import holidays

ZONE: Final = timezone(timedelta(hours=8))
LAST_ANNOUNCED: Final = 2026
"""For later years ``holidays`` guesses and the standard's calendar counts weekends; so does the simulator."""

Pause = tuple[datetime, datetime | None]


@cache
def _china(year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("CN", years=year)


@cache
def is_working_day(day: date) -> bool:
    """Whether people work on a day in China."""
    return day.weekday() < 5 if day.year > LAST_ANNOUNCED else _china(day.year).is_working_day(day)


def midnight(day: date) -> datetime:
    """0:00 of a day."""
    return datetime.combine(day, time(0), ZONE)


def after(start: datetime, length: timedelta, pauses: Sequence[Pause] = ()) -> datetime | None:
    """When a duration of running time is used up; ``None`` while the clock is paused."""
    deadline = start + length
    for since, until in pauses:
        if since >= deadline:
            break
        if until is None:
            return None
        deadline += until - since
    return deadline


def after_working_days(start: datetime, days: int, pauses: Sequence[Pause] = ()) -> datetime | None:
    """24:00 of the last working day, whole days of pause left out; ``None`` while the clock is paused."""
    day, counted = start.date(), 0
    while True:
        day += timedelta(days=1)
        begins, ends = midnight(day), midnight(day + timedelta(days=1))
        still = any(since <= begins and (until is None or until >= ends) for since, until in pauses)
        if still and pauses[-1][1] is None and pauses[-1][0] <= begins:
            return None
        if is_working_day(day) and not still:
            counted += 1
        elif not is_working_day(day) or still:
            continue
        if counted >= days and not any(s < ends and (u is None or u > ends) for s, u in pauses):
            return ends


def text(moment: datetime) -> str:
    """As written on the wire."""
    return moment.isoformat(timespec="milliseconds")
