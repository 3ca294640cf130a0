"""Opening hours as data to the core's table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from schemas.calendars import CalendarSpec
from schemas.limits import MINUTE
from schemas.opening_hours import OpeningHoursSpec, Spans
from streams.core.opening_hours import OpeningHours, Span
from streams.core.working_days import SpecialDay, WorkingCalendar
from streams.rulebooks.calendars import build_calendar


def build_calendars(spec: CalendarSpec) -> dict[str, WorkingCalendar]:
    """The calendars with opening hours that a rulebook's calendar file names.

    Any day with hours is a working day of such a calendar; holidays keep their names, and days of years whose holidays
    are not announced stay provisional.
    """
    return {name: _calendar_with(own, spec) for name, own in spec.calendars.items()}


def _days_of(spec: OpeningHoursSpec, calendar: CalendarSpec) -> WorkingCalendar:
    """Without opening hours, with the holidays of the base."""
    return build_calendar(calendar.model_copy(update={"source": spec.base or calendar.source, "calendars": {}}))


def _calendar_with(spec: OpeningHoursSpec, calendar: CalendarSpec) -> WorkingCalendar:
    days = _days_of(spec, calendar)
    special = {day.ordinal: day for day in days.special_days}
    find = spans_of(spec, {day.ordinal: day.is_working for day in days.special_days})
    closed = frozenset(day for day, spans in enumerate(spec.of_week()) if not spans)
    own = list(special.values())
    for ordinal in range(date(2000, 1, 1).toordinal(), date(2060, 12, 31).toordinal() + 1):
        is_open = bool(find(ordinal))
        known = special.get(ordinal)
        expected = (ordinal - 1) % 7 not in closed if known is None else known.is_working
        if is_open != expected:
            name = ("", "") if known is None else (known.name_zh, known.name_en)
            own = [day for day in own if day.ordinal != ordinal] if known is not None else own
            own.append(SpecialDay(ordinal, is_open, *name))
    return WorkingCalendar(
        days.zone_name, closed, tuple(sorted(own)), days.known_years, build_opening_hours(spec, calendar)
    )


def build_opening_hours(spec: OpeningHoursSpec, calendar: CalendarSpec) -> OpeningHours:
    """The opening hours of ``spec`` in the zone of ``calendar``, whose holidays and working days apply as well."""
    days = _days_of(spec, calendar)
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
    return tuple((begins * MINUTE, ends * MINUTE) for begins, ends in spans)
