"""Calendars as the document for the native engine writes them: a table of days, and opening hours."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from schemas.limits import MINUTE
from streams.core.opening_hours import OpeningHours
from streams.core.working_days import TABLE_DAYS, WorkingCalendar
from streams.engine.texts import inside


class NotExpressible(Exception):
    """The document has no form for this part of a rule."""


def days_of(calendar: WorkingCalendar) -> dict[str, Any]:
    """The table of a calendar.

    Raises:
        NotExpressible: where its opening hours are not whole minutes.
    """
    return {**_table(calendar), "hours": None if calendar.hours is None else _hours(calendar.hours, _ends(calendar))}


@lru_cache(maxsize=32)
def _table(calendar: WorkingCalendar) -> dict[str, Any]:
    days = TABLE_DAYS
    names = {day: calendar.day_name(day) for day in days}
    settled_at, settled_day, offset = calendar.settled
    return {
        "first": days[0],
        "works": "".join("01"[calendar.is_working_day(day)] for day in days),
        "provisional": "".join("01"[calendar.is_provisional(day)] for day in days),
        "names": {str(day): inside(name) for day, name in names.items() if name is not None},
        "settled_at": settled_at,
        "settled_day": settled_day,
        "offset": offset,
        "suffix": calendar.local_text(max(settled_at, 0))[23:],
    }


def _ends(calendar: WorkingCalendar) -> tuple[int, int]:
    return calendar.start_of_day(TABLE_DAYS[0]), calendar.start_of_day(TABLE_DAYS[-1] + 1)


@lru_cache(maxsize=32)
def _hours(hours: OpeningHours, ends: tuple[int, int]) -> dict[str, Any]:
    """Opening hours between two instants: from an instant on, minutes closed and minutes open in turn."""
    first, end = ends
    spans = [(opens, closes) for opens, closes in zip(*hours.table, strict=True) if closes > first and opens < end]
    at = began = spans[0][0] if spans else first
    minutes = []
    for opens, closes in spans:
        if (opens - at) % MINUTE or (closes - opens) % MINUTE:
            raise NotExpressible
        minutes.append(((opens - at) // MINUTE, (closes - opens) // MINUTE))
        at = closes
    return {"from": began, "minutes": minutes}
