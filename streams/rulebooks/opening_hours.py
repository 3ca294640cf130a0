"""From opening hours as data to the table that the core counts with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from schemas.calendars import CalendarSpec
from schemas.opening_hours import OpeningHoursSpec, Spans
from streams.core.opening_hours import OpeningHours, Span
from streams.rulebooks.calendars import build_calendar

_MINUTE = 60_000_000


def build_opening_hours(spec: OpeningHoursSpec, calendar: CalendarSpec) -> OpeningHours:
    """The opening hours of ``spec`` in the zone of ``calendar``, whose own holidays and working days hold as well."""
    days = build_calendar(calendar.model_copy(update={"source": spec.base}))
    return OpeningHours(days, spans_of(spec, {day.ordinal: day.is_working for day in days.special_days}))


def spans_of(spec: OpeningHoursSpec, special: dict[int, bool]) -> Callable[[int], tuple[Span, ...]]:
    """The spans of a local date; ``special`` are holidays (false) and make-up working days (true)."""
    week = [_in_microseconds(spans) for spans in spec.of_week()]
    makeup = week[0] if spec.makeup is None else _in_microseconds(spec.makeup)
    own = {day.toordinal(): _in_microseconds(spans) for day, spans in spec.days.items()}
    recurring = {(int(text[:2]), int(text[3:])) for text in spec.recurring}

    def found(day: int) -> tuple[Span, ...]:
        if day in own:
            return own[day]
        if recurring:
            on = date.fromordinal(day)
            if (on.month, on.day) in recurring:
                return ()
        if day in special:
            return makeup if special[day] else ()
        return week[(day - 1) % 7]

    return found


def _in_microseconds(spans: Spans) -> tuple[Span, ...]:
    return tuple((begins * _MINUTE, ends * _MINUTE) for begins, ends in spans)
