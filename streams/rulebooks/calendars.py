"""Builds the core's calendar from calendar data: the holiday package and the override file.

The package ``chinesecalendar`` is the only source of China's holidays. It raises for years that are not announced;
here such a year is not among the known ones, and its days are provisional.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path

import chinese_calendar
from pydantic import ValidationError

from schemas.calendars import WEEKDAYS, CalendarSpec, Days
from streams.core.working_days import SpecialDay, WorkingCalendar
from streams.errors import ConfigError, plain_message
from streams.rulebooks.yaml_files import read_yaml


@lru_cache(maxsize=1)
def china_days() -> tuple[dict[int, SpecialDay], frozenset[int]]:
    """China's statutory holidays and make-up working days by ordinal, and the years that are announced."""
    chinese = {holiday.value: str(holiday.chinese) for holiday in chinese_calendar.Holiday}
    off: Mapping[date, str] = chinese_calendar.holidays
    on: Mapping[date, str] = chinese_calendar.workdays
    days = {day.toordinal(): SpecialDay(day.toordinal(), False, chinese[name], name) for day, name in off.items()}
    for day, name in on.items():
        names = f"{chinese[name]}调休上班", f"{name} make-up working day"
        days[day.toordinal()] = SpecialDay(day.toordinal(), True, *names)
    # The years that the package covers.
    return days, frozenset(range(min(off).year, max(off).year + 1))


@lru_cache(maxsize=16)
def build_calendar(spec: CalendarSpec | None = None) -> WorkingCalendar:
    """The calendar that ``spec`` describes; without one, China's as shipped. Same spec, same object.

    Raises:
        ValueError: where the pinned zone data lacks a zone that the operating system has.
    """
    spec = spec or CalendarSpec()
    days, announced = china_days() if spec.source == "china" else ({}, frozenset())
    own = {**_special(spec.holidays, is_working=False), **_special(spec.working_days, is_working=True)}
    known: frozenset[int] | None
    if spec.known_years is not None:
        known = announced | frozenset(spec.known_years)
    elif spec.source == "none":
        known = None
    else:
        known = announced | {day.year for days_off in spec.holidays for day in days_off.dates()}
    return WorkingCalendar(
        spec.zone,
        frozenset(WEEKDAYS.index(day) for day in spec.weekend),
        tuple(sorted({**days, **own}.values())),
        known,
    )


def _special(entries: tuple[Days, ...], *, is_working: bool) -> dict[int, SpecialDay]:
    return {
        day.toordinal(): SpecialDay(day.toordinal(), is_working, entry.name, entry.name_en or entry.name)
        for entry in entries
        for day in entry.dates()
    }


def load_calendar(path: Path) -> WorkingCalendar:
    """The calendar that a YAML or JSON file describes.

    Raises:
        ConfigError: naming file, line and key, for a file that cannot be read or has impossible values.
    """
    spec = load_calendar_spec(path)
    try:
        return build_calendar(spec)
    except ValueError as error:
        raise ConfigError(str(error), path=str(path), key="zone") from error


def load_calendar_spec(path: Path) -> CalendarSpec:
    """The calendar data of a YAML or JSON file; an empty file gives the defaults.

    Raises:
        ConfigError: naming file, line and key.
    """
    file = read_yaml(path)
    data = {} if file.root is None else file.data
    if not isinstance(data, dict):
        raise ConfigError("a calendar is a mapping of keys such as zone and holidays", path=str(path), line=1)
    try:
        return CalendarSpec.model_validate(data)
    except ValidationError as error:
        first, *others = error.errors()
        message = plain_message(first)
        if first["type"] == "extra_forbidden":
            message = _unknown_key(str(first["loc"][-1]), first["loc"])
        if others:
            message += f" (and {len(others)} more)"
        key = ".".join(str(part) for part in first["loc"])
        line = file.line(first["loc"])
        raise ConfigError(message, path=str(path), line=line, key=key or None) from error


def _unknown_key(key: str, location: tuple[int | str, ...]) -> str:
    model = Days if len(location) > 1 else CalendarSpec
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key, names, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; the keys are {', '.join(names)}"
