"""``gridclock calendar``: a month of a rulebook's calendars."""

from __future__ import annotations

import calendar as gregorian
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import click

from schemas.calendars import WEEKDAYS
from streams.commands.common import DONE, rulebook_of, rulebook_options
from streams.core.rulebook import Rulebook
from streams.core.working_days import TABLE_DAYS, WorkingCalendar
from streams.errors import ConfigError

_WEEKDAYS = ("一 Mon", "二 Tue", "三 Wed", "四 Thu", "五 Fri", "六 Sat", "日 Sun")
DEFAULT = "default"


@click.group(short_help="Show the calendars: working days and opening hours.")
def calendar() -> None:
    """Show the calendars of a rulebook 工作日历: working days, holidays, opening hours.

    \b
    Example:
      gridclock calendar show office 2026-10 --rules my-rules/
    """


@calendar.command(short_help="Print a month, one line per day.")
@click.argument("name")
@click.argument("month", metavar="YYYY-MM")
@rulebook_options
def show(name: str, month: str, rules: tuple[Path, ...], only: Path | None) -> int:
    """Print a month of the calendar NAME, one line per day: worked or not, its hours, the name of a holiday.

    NAME is one of ``calendars`` in the rulebook's calendar.yaml, or "default", the calendar of rules that name none.

    \b
    Example:
      gridclock calendar show office 2026-10 --rules my-rules/
    """
    known = _named(rulebook_of(rules, only).rulebook)
    if name not in known:
        raise ConfigError(f"no calendar {name!r}; there is {', '.join(sorted(known))}", key="NAME")
    match = re.fullmatch(r"(\d{4})-(\d\d)", month)
    if match is None or not 1 <= int(match[2]) <= 12 or not 1970 <= int(match[1]) <= 2160:
        raise ConfigError(f"{month!r} is not a month; write YYYY-MM, such as 2026-10", key="YYYY-MM")
    year, number = int(match[1]), int(match[2])
    for day in range(1, gregorian.monthrange(year, number)[1] + 1):
        click.echo(_line(known[name], date(year, number, day)))
    return DONE


def _line(found: WorkingCalendar, day: date) -> str:
    ordinal = day.toordinal()
    worked = found.is_working_day(ordinal)
    words = [day.isoformat(), _WEEKDAYS[day.weekday()], "工作 worked" if worked else "休息 off   "]
    if found.hours is not None:
        words.append(_hours(found, ordinal))
    words.append(found.day_name(ordinal) or "")
    if found.is_provisional(ordinal):
        words.append("节假日未公布 provisional")
    return "  ".join(words).rstrip()


def _named(rulebook: Rulebook) -> Mapping[str, WorkingCalendar]:
    return {DEFAULT: rulebook.calendar, **rulebook.calendars}


def calendar_changes(before: Rulebook, after: Rulebook) -> Iterator[str]:
    """Each difference of the calendars of two rulebooks, in one line; of opening hours the first date."""
    old, new = _named(before), _named(after)
    for name in sorted(old.keys() | new.keys()):
        if name in old and name in new:
            for place, was, now in _changes(old[name], new[name]):
                yield f"~ calendar {name}: {place}: {was} -> {now}"
        else:
            yield f"{'-' if name in old else '+'} calendar {name}"


def _changes(old: WorkingCalendar, new: WorkingCalendar) -> Iterator[tuple[str, str, str]]:
    for place, was, now in (
        ("zone", old.zone_name, new.zone_name),
        ("weekend", _weekend(old), _weekend(new)),
        ("known years", _years(old, new), _years(new, old)),
    ):
        if was != now:
            yield place, was, now
    for ordinal in sorted({day.ordinal for calendar in (old, new) for day in calendar.special_days}):
        was, now = (("off", "worked")[calendar.is_working_day(ordinal)] for calendar in (old, new))
        if was != now:
            yield date.fromordinal(ordinal).isoformat(), was, now
    if old.hours is not None and new.hours is not None and old.hours.table != new.hours.table:
        for ordinal in TABLE_DAYS:
            was, now = (_hours(calendar, ordinal) or "closed" for calendar in (old, new))
            if was != now:
                yield f"hours from {date.fromordinal(ordinal).isoformat()} on", was, now
                break


def _weekend(found: WorkingCalendar) -> str:
    return ", ".join(WEEKDAYS[day] for day in sorted(found.weekend)) or "none"


def _years(found: WorkingCalendar, other: WorkingCalendar) -> str:
    """The years that one calendar knows and another does not."""
    if found.known_years is None:
        return "all"
    return ", ".join(map(str, sorted(found.known_years - (other.known_years or frozenset())))) or "-"


def _hours(found: WorkingCalendar, ordinal: int) -> str:
    assert found.hours is not None
    spans = found.hours.spans(found.start_of_day(ordinal), found.start_of_day(ordinal + 1))
    clock = [(found.local_text(opened)[11:16], found.local_text(closed)[11:16]) for opened, closed in spans]
    return " ".join(f"{opened}-{'24:00' if closed == '00:00' else closed}" for opened, closed in clock)
