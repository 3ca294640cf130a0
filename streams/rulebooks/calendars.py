"""Builds the core's calendar from calendar data: the holiday package and the override file.

The package ``chinesecalendar`` is the only source of China's holidays. It raises for years that are not announced;
here such a year is not among the known ones, and its days are provisional.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path

import chinese_calendar
from pydantic import ValidationError

from schemas.calendars import WEEKDAYS, CalendarSpec, Days
from streams.core.working_days import SpecialDay, WorkingCalendar, zone_named
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
        ValueError: where the pinned zone data lacks a zone that the operating system has (``load_calendar_spec``
            refuses it).
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
        known = announced | frozenset(_years_of(spec))
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
    return build_calendar(load_calendar_spec(path))


def layered(below: CalendarSpec, above: CalendarSpec) -> CalendarSpec:
    """The calendar of two rulebook directories, one on top of the other.

    What the upper file says holds: key by key, ``calendars`` name by name, holidays and working days date by date. Days
    of a lower file are dropped where the upper one names another ``source`` for them.
    """
    given = above.model_fields_set
    merged = above.model_copy(
        update={
            **{key: getattr(below, key) for key in ("zone", "weekend", "source") if key not in given},
            "calendars": {**below.calendars, **above.calendars},
        }
    )
    if merged.source != below.source:
        return merged
    own = {day for days in (*above.holidays, *above.working_days) for day in days.dates()}

    def kept(entries: tuple[Days, ...]) -> Iterator[Days]:
        for entry in entries:
            for day in entry.dates():
                if day not in own:
                    yield Days(on=day, name=entry.name, name_en=entry.name_en)

    known = {year for spec in (below, above) for year in _years_of(spec)}
    is_listed = merged.source == "china" or {below.known_years, above.known_years} != {None}
    return merged.model_copy(
        update={
            "holidays": (*kept(below.holidays), *above.holidays),
            "working_days": (*kept(below.working_days), *above.working_days),
            "known_years": tuple(sorted(known)) if is_listed else None,
        }
    )


def _years_of(spec: CalendarSpec) -> Iterable[int]:
    """The years that a file announces by itself."""
    if spec.known_years is not None:
        return spec.known_years
    return {day.year for days in spec.holidays for day in days.dates()}


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
        spec = CalendarSpec.model_validate(data)
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
    try:
        zone_named(spec.zone)
    except ValueError as error:  # the operating system has names of its own, such as localtime
        raise ConfigError(str(error), path=str(path), line=file.line(("zone",)), key="zone") from error
    return spec


def _unknown_key(key: str, location: tuple[int | str, ...]) -> str:
    model = Days if len(location) > 1 else CalendarSpec
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key, names, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; the keys are {', '.join(names)}"
